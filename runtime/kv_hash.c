// SPDX-License-Identifier: MIT
/*
 * Hashes of blocks. Each has the hash of the one before in it, so that it stands
 * for the whole prefix; the first has the model's and the layout's identity and
 * the salt.
 */
#include <xxhash.h>

#include "kv.h"

/* Of @before and @size bytes at @data, which are hashed by themselves first. */
static struct tandem_kv_hash chain(const struct tandem_kv_pool *pool,
				   const struct tandem_kv_hash *before, const void *data,
				   size_t size)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(data, size, pool->seed);
	const uint64_t pair[] = { before->low, before->high, hash.low64, hash.high64 };

	hash = XXH3_128bits_withSeed(pair, sizeof(pair), pool->seed);
	return (struct tandem_kv_hash) { .low = hash.low64, .high = hash.high64 };
}

struct tandem_kv_hash kv_hash_model(const void *identity, size_t size)
{
	const XXH128_hash_t hash = XXH3_128bits(identity, size);

	return (struct tandem_kv_hash) { .low = hash.low64, .high = hash.high64 };
}

struct tandem_kv_hash kv_hash_identity(const struct tandem_kv_pool *pool)
{
	const uint32_t layout[] = { pool->layout.type, pool->layout.layers,
				    pool->layout.kv_width, pool->layout.block_tokens };
	const struct tandem_kv_hash nothing = { 0 };
	const struct tandem_kv_hash shape = chain(pool, &nothing, layout, sizeof(layout));

	return chain(pool, &shape, &pool->model, sizeof(pool->model));
}

struct tandem_kv_hash kv_hash_salt(const struct tandem_kv_pool *pool,
				   const struct tandem_kv_salt *salt)
{
	return chain(pool, &pool->identity, salt, sizeof(*salt));
}

struct tandem_kv_hash kv_hash_block(const struct tandem_kv_pool *pool,
				    const struct tandem_kv_hash *before, const uint32_t *tokens)
{
	return chain(pool, before, tokens, pool->layout.block_tokens * sizeof(*tokens));
}
