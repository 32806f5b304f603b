/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of a user's that the device reaches: for the time of a command, or for
 * as long as it is registered (see tandem_registration.h).
 */
#ifndef _TANDEM_USER_H
#define _TANDEM_USER_H

#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct tandem_device;

/* The most user memory that one command can name, in bytes. */
#define TANDEM_USER_BYTES_MAX	SZ_1G

/**
 * struct tandem_user_memory - pinned pages, and where the device sees them
 * @pages: pinned, [@count]; NULL when there are none
 * @count: pages
 * @sgt: of them, while they are mapped
 * @write: the device writes them
 * @length: bytes
 * @bus_address: of the first byte while they are mapped, else 0
 */
struct tandem_user_memory {
	struct page **pages;
	unsigned long count;
	struct sg_table sgt;
	bool write;
	u64 length;
	u64 bus_address;
};

/*
 * Of the current process, for a command. Errors: -EFAULT, -EINVAL, -ENOMEM. May
 * fault, and so take as long as a user likes.
 */
int tandem_user_pin(struct tandem_user_memory *user, u64 address, u64 length,
		    bool write);
/*
 * The same for as long as anybody likes, and for any length of which the pages
 * can be counted in an int. Errors: -EFAULT, -ENOMEM, and what else
 * pin_user_pages() says to FOLL_LONGTERM.
 */
int tandem_user_pin_longterm(struct tandem_user_memory *user, u64 address,
			     u64 length, bool write);
/* -ENOMEM, also when the device has no bus addresses left; -ENODEV. */
int tandem_user_map(struct tandem_device *tdev, struct tandem_user_memory *user);
/* Undoes what was done. The device does not reach the memory afterwards. */
void tandem_user_release(struct tandem_device *tdev,
			 struct tandem_user_memory *user);

static inline bool tandem_user_is_mapped(const struct tandem_user_memory *user)
{
	return user->bus_address;
}

#endif /* _TANDEM_USER_H */
