/* SPDX-License-Identifier: MIT */
/*
 * What a session's connections remember of transfers, sorted by request.
 */
#ifndef TANDEM_TRANSFERS_H
#define TANDEM_TRANSFERS_H

#include <stddef.h>

#include <jansson.h>

#include "session.h"

/* Records that a connection of a session keeps until they are read. */
#define TRANSFERS_KEPT 4096u

/**
 * struct transfers - records that have been read
 * @records: @count of them; owned
 * @count: see there
 */
struct transfers {
	struct tandem_transfer_record *records;
	size_t count;
};

/* What is remembered of one; NULL without memory. */
json_t *transfers_object(const struct tandem_transfer_record *record);

/**
 * transfers_take() - what became of one transfer
 * @transfers: zeroed to begin with; reads what is new
 * @session: whose connections keep records
 * @transfer: name of the transfer. Its records are not kept any longer
 *
 * Return: an array, of pushes and of the wait for them, by when they ended on each side;
 * NULL without memory.
 */
json_t *transfers_take(struct transfers *transfers, const struct session *session, uint32_t transfer);

void transfers_free(struct transfers *transfers);

#endif /* TANDEM_TRANSFERS_H */
