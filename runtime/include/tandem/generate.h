/* SPDX-License-Identifier: MIT */
/*
 * Generation: a prompt goes in, tokens come out, over one device or two. One at a
 * time; <tandem/serve.h> is for many.
 */
#ifndef TANDEM_GENERATE_H
#define TANDEM_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/loop.h>
#include <tandem/model.h>
#include <tandem/sampling.h>
#include <tandem/serve.h>
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

/**
 * tandem_generate() - run it
 * @loop: that of the devices
 * @generation: what and how
 * @stats: filled in, also on failure as far as it went; may be NULL
 * @error: filled in on failure; may be NULL
 *
 * Blocks, running @loop meanwhile; nothing else uses the instances. When split, a layer's blocks are pushed as
 * soon as the device has finished the layer, while it works on the next.
 *
 * What the pools still have of the prompt, from runs before, is neither computed
 * nor moved again; the tokens are the same. A block is kept only when what wrote
 * it ended well.
 *
 * On failure everything has ended and all blocks are back when it returns.
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
