// SPDX-License-Identifier: MIT
/* Which slot of a store's file has which block, and which is used next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kv_file.h"

int kv_slots_init(struct kv_slots *slots, uint32_t count, uint32_t block_tokens)
{
	uint32_t buckets = 1;

	memset(slots, 0, sizeof(*slots));
	TAILQ_INIT(&slots->idle);
	while (buckets < count && buckets < 1u << 31)
		buckets *= 2;
	slots->slots = calloc(count, sizeof(*slots->slots));
	slots->tokens = calloc(count, block_tokens * sizeof(*slots->tokens));
	slots->buckets = calloc(buckets, sizeof(*slots->buckets));
	if (!slots->slots || !slots->tokens || !slots->buckets)
		return -ENOMEM;
	slots->count = count;
	slots->block_tokens = block_tokens;
	slots->bucket_mask = buckets - 1;
	for (uint32_t i = 0; i < count; i++)
		TAILQ_INSERT_TAIL(&slots->idle, &slots->slots[i], idle);
	return 0;
}

void kv_slots_destroy(struct kv_slots *slots)
{
	free(slots->buckets);
	free(slots->tokens);
	free(slots->slots);
}

uint32_t kv_slots_number(const struct kv_slots *slots, const struct kv_slot *slot)
{
	return (uint32_t)(slot - slots->slots);
}

uint32_t *kv_slots_tokens(const struct kv_slots *slots, const struct kv_slot *slot)
{
	return slots->tokens + (size_t)kv_slots_number(slots, slot) * slots->block_tokens;
}

static bool same_hash(const struct tandem_kv_hash *one, const struct tandem_kv_hash *other)
{
	return one->low == other->low && one->high == other->high;
}

struct kv_slot *kv_slots_find(const struct kv_slots *slots,
			      const struct tandem_kv_content *content)
{
	struct kv_slot *slot;

	LIST_FOREACH(slot, &slots->buckets[content->hash.low & slots->bucket_mask], bucket)
		if (same_hash(&slot->hash, &content->hash) &&
		    same_hash(&slot->before, &content->before) &&
		    !memcmp(&slot->salt, content->salt, sizeof(slot->salt)) &&
		    !memcmp(kv_slots_tokens(slots, slot), content->tokens,
			    slots->block_tokens * sizeof(*content->tokens)))
			return slot;
	return NULL;
}

void kv_slots_insert(struct kv_slots *slots, struct kv_slot *slot,
		     const struct tandem_kv_content *content)
{
	slot->indexed = true;
	slot->complete = false;
	slot->hash = content->hash;
	slot->before = content->before;
	slot->salt = *content->salt;
	memcpy(kv_slots_tokens(slots, slot), content->tokens,
	       slots->block_tokens * sizeof(*content->tokens));
	LIST_INSERT_HEAD(&slots->buckets[slot->hash.low & slots->bucket_mask], slot, bucket);
	slots->indexed++;
}

void kv_slots_forget(struct kv_slots *slots, struct kv_slot *slot)
{
	if (!slot->indexed)
		return;
	LIST_REMOVE(slot, bucket);
	slot->indexed = false;
	slot->complete = false;
	slots->indexed--;
}

void kv_slots_hold(struct kv_slots *slots, struct kv_slot *slot)
{
	slot->used = ++slots->clock;
	if (!slot->users++)
		TAILQ_REMOVE(&slots->idle, slot, idle);
}

void kv_slots_drop(struct kv_slots *slots, struct kv_slot *slot)
{
	struct kv_slot *before = NULL;

	if (--slot->users)
		return;
	/* Not far from the end: only those that were held later come behind it. */
	if (slot->indexed) {
		before = TAILQ_LAST(&slots->idle, kv_slot_queue);
		while (before && before->used > slot->used)
			before = TAILQ_PREV(before, kv_slot_queue, idle);
	}
	if (before)
		TAILQ_INSERT_AFTER(&slots->idle, before, slot, idle);
	else
		TAILQ_INSERT_HEAD(&slots->idle, slot, idle);
}
