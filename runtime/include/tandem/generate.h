/* SPDX-License-Identifier: MIT */
/*
 * Generation: a prompt goes in, tokens come out, over one device or two.
 */
#ifndef TANDEM_GENERATE_H
#define TANDEM_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/loop.h>
#include <tandem/model.h>
#include <tandem/sampling.h>
#include <tandem/xfer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct tandem_generation - what to generate, and how
 * @prefill: instance that reads the prompt
 * @decode: instance that makes the tokens; the same as @prefill for an
 *	aggregated run
 * @push: connection of @prefill's pool to @decode's; NULL when aggregated
 * @receive: the other side of it, on @decode's pool
 * @prompt: token ids
 * @prompt_tokens: their number, at least 1
 * @tokens_max: how many to make, at least 1
 * @sampling: how each token is chosen; the same seed gives the same tokens
 * @timeout_ms: time for the whole of it; 0 for no limit
 * @no_prefix_cache: not 0: compute all of the prompt, and leave nothing for others
 * @salt: with whom to share prefixes, see &struct tandem_kv_salt; NULL for all
 *	zeros. Give each tenant one of its own
 * @on_token: called for each token when it is known; a result other than 0
 *	ends generation there. May be NULL
 * @on_prefill: called as the prompt is worked through, with the share that is
 *	done in tokens × layers. May be NULL
 * @user: passed on to both
 */
struct tandem_generation {
	struct tandem_instance *prefill;
	struct tandem_instance *decode;
	struct tandem_connection *push;
	struct tandem_connection *receive;
	const uint32_t *prompt;
	uint32_t prompt_tokens;
	uint32_t tokens_max;
	struct tandem_sampling sampling;
	unsigned int timeout_ms;
	int no_prefix_cache;
	const struct tandem_kv_salt *salt;
	int (*on_token)(void *user, uint32_t token);
	void (*on_prefill)(void *user, uint64_t done, uint64_t total);
	void *user;
};

/* Why generation ended. */
enum tandem_finish {
	TANDEM_FINISH_LENGTH = 0,	/* tokens_max were made */
	TANDEM_FINISH_END = 1,		/* the model ended its text */
	TANDEM_FINISH_CONTEXT = 2,	/* the model's context is full */
	TANDEM_FINISH_CALLER = 3,	/* on_token said so */
};

/**
 * struct tandem_generation_stats - how it went
 * @generated: tokens given to on_token
 * @finish: &enum tandem_finish
 * @cached_tokens: tokens of the prompt whose KV was cached where prefill runs, and
 *	was not computed
 * @kv_cached_tokens: likewise where decode runs, and was not moved; 0 when
 *	aggregated
 * @ttft_ns: from the start until the first token was known and, when split,
 *	the KV cache was where decode needs it
 * @decode_ns: from there to the last token
 * @prefill_device_ns: time that the device spent on the prompt's programs
 * @decode_device_ns: likewise on those of decode
 * @kv_bytes: bytes of KV that were moved, in whole blocks; 0 when aggregated
 * @kv_writes: writes they were put into
 * @kv_cpu_copied_bytes: bytes of KV that this process's own instructions copied
 * @kv_exposed_ns: what time to first token had to wait for the transfer alone
 */
struct tandem_generation_stats {
	uint32_t generated;
	uint32_t finish;
	uint32_t cached_tokens;
	uint32_t kv_cached_tokens;
	uint64_t ttft_ns;
	uint64_t decode_ns;
	uint64_t prefill_device_ns;
	uint64_t decode_device_ns;
	uint64_t kv_bytes;
	uint64_t kv_writes;
	uint64_t kv_cpu_copied_bytes;
	uint64_t kv_exposed_ns;
};

/**
 * tandem_generate() - run it
 * @loop: that of the devices
 * @generation: what and how
 * @stats: filled in, also on failure as far as it went; may be NULL
 * @error: filled in on failure; may be NULL
 *
 * Blocks, running @loop meanwhile. When split, a layer's blocks are pushed as
 * soon as the device has finished the layer, while it works on the next.
 *
 * What the pools still have of the prompt, from runs before, is neither computed
 * nor moved again; the tokens are the same. A block is kept only when what wrote
 * it ended well.
 *
 * On failure everything has ended and all blocks are back when it returns; the
 * connections cannot be used again if a transfer was cut short.
 *
 * Return: 0; -EINVAL, also for a prompt that the model's context cannot hold;
 * -ENOSPC when a KV pool is too small; -ENODEV a device was lost; -ETIMEDOUT;
 * -ECONNRESET the connection was lost; -ENOMEM; -EIO.
 */
int tandem_generate(struct tandem_loop *loop, const struct tandem_generation *generation,
		    struct tandem_generation_stats *stats, struct tandem_error *error);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_GENERATE_H */
