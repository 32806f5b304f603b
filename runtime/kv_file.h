/* SPDX-License-Identifier: MIT */
/*
 * A file behind KV pools, from the inside.
 *
 *	kv_file.c		opening, closing; blocks on their way out and back
 *	kv_file_format.c	what is in the file
 *	kv_file_slots.c		which slot has which block, and who goes next
 */
#ifndef TANDEM_RUNTIME_KV_FILE_H
#define TANDEM_RUNTIME_KV_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/file.h>
#include <tandem/kv_file.h>

/**
 * struct kv_slot - room for a block in the file
 * @idle: in the store's @idle while nothing is done with it, else in a pool's @queue or
 *	in nothing
 * @bucket: of the index, while it is indexed
 * @indexed: it has a content, or is getting it
 * @complete: that is in the file
 * @users: writes and reads of it
 * @used: time of the store's @clock when the last of them began
 * @block: of the pool that it comes from, while it is being written
 * @hash: see &struct tandem_kv_content, likewise the following
 * @before: likewise
 * @salt: likewise
 * @checksum: of the block's bytes
 */
struct kv_slot {
	TAILQ_ENTRY(kv_slot) idle;
	LIST_ENTRY(kv_slot) bucket;
	bool indexed;
	bool complete;
	uint32_t users;
	uint64_t used;
	uint32_t block;
	struct tandem_kv_hash hash;
	struct tandem_kv_hash before;
	struct tandem_kv_salt salt;
	uint64_t checksum;
};

TAILQ_HEAD(kv_slot_queue, kv_slot);
LIST_HEAD(kv_slot_bucket, kv_slot);

/**
 * struct kv_slots - all slots of a file
 * @slots: @count of them
 * @tokens: [count][block_tokens], of those that are indexed
 * @idle: the next to be used first: those without content, then the least recently
 *	used
 * @clock: counts holds
 * @buckets: of the index, @bucket_mask + 1 of them
 * @indexed: how many are
 */
struct kv_slots {
	struct kv_slot *slots;
	uint32_t *tokens;
	uint32_t count;
	uint32_t block_tokens;
	struct kv_slot_queue idle;
	uint64_t clock;
	struct kv_slot_bucket *buckets;
	uint32_t bucket_mask;
	uint32_t indexed;
};

/* kv_file_slots.c */

/* Return: 0 or -ENOMEM. */
int kv_slots_init(struct kv_slots *slots, uint32_t count, uint32_t block_tokens);
void kv_slots_destroy(struct kv_slots *slots);
uint32_t kv_slots_number(const struct kv_slots *slots, const struct kv_slot *slot);
uint32_t *kv_slots_tokens(const struct kv_slots *slots, const struct kv_slot *slot);
/* The slot with this content, by comparison; NULL if there is none. */
struct kv_slot *kv_slots_find(const struct kv_slots *slots,
			      const struct tandem_kv_content *content);
/* @slot, which has none, gets this content; it is not complete yet. */
void kv_slots_insert(struct kv_slots *slots, struct kv_slot *slot,
		     const struct tandem_kv_content *content);
/* @slot has no content any more. */
void kv_slots_forget(struct kv_slots *slots, struct kv_slot *slot);
/*
 * One user more, or one less. The last one makes it idle: the first to go if it has no
 * content, else behind all that were held before it was.
 */
void kv_slots_hold(struct kv_slots *slots, struct kv_slot *slot);
void kv_slots_drop(struct kv_slots *slots, struct kv_slot *slot);

/* kv_file_format.c */

/* Everything in the file begins at a multiple of this, which satisfies direct I/O. */
#define KV_FILE_ALIGNMENT	4096u

/**
 * struct kv_file_format - where things are in a file
 * @fd: locked as long as it is open
 * @layout: of the pool
 * @description_bytes: of a slot's description, which comes before the block's bytes
 * @slot_bytes: of both
 */
struct kv_file_format {
	int fd;
	struct tandem_kv_layout layout;
	uint64_t description_bytes;
	uint64_t slot_bytes;
};

/**
 * kv_file_format_open() - open and lock a file, and see whose it is
 * @format: filled in
 * @path: made if it is not there
 * @layout: of the pool
 * @model: kv_hash_model() of it
 * @seed: where to put that of the file's hashes
 * @error: filled in on failure; may be NULL
 *
 * Return: 0, or as tandem_kv_file_open(); nothing is open then.
 */
int kv_file_format_open(struct kv_file_format *format, const char *path,
			const struct tandem_kv_layout *layout, const struct tandem_kv_hash *model,
			uint64_t *seed, struct tandem_error *error);

/* Where slot @number's description is, and the bytes of its block, layer by layer. */
uint64_t kv_file_description_at(const struct kv_file_format *format, uint32_t number);
uint64_t kv_file_block_at(const struct kv_file_format *format, uint32_t number);
/* How many slots fit into a file of that size. */
uint64_t kv_file_slots_in(const struct kv_file_format *format, uint64_t bytes);

/* Take in what the file says of its blocks. Return: 0, or as read(2). */
int kv_file_read_slots(const struct kv_file_format *format, struct kv_slots *slots);

/* Write @slot's description to @to, description_bytes long. */
void kv_file_describe(const struct kv_file_format *format, const struct kv_slots *slots,
		      const struct kv_slot *slot, void *to);

#endif /* TANDEM_RUNTIME_KV_FILE_H */
