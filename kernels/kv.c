// SPDX-License-Identifier: MIT
/* Layout of KV blocks. */
#include "kernels.h"

size_t tandem_kernel_kv_block_bytes(enum tandem_type type, size_t kv_dim,
				    size_t block_tokens)
{
	size_t bytes;

	if (!tandem_type_kv_valid(type))
		return 0;
	if (__builtin_mul_overflow(tandem_type_row_bytes(type, kv_dim),
				   block_tokens, &bytes) ||
	    __builtin_mul_overflow(bytes, 2, &bytes))
		return 0;
	return bytes;
}

void tandem_kernel_store_kv(const struct tandem_kernels *kernels, void *block,
			    enum tandem_type type, size_t kv_dim,
			    size_t block_tokens, size_t slot, const float *k,
			    const float *v)
{
	size_t row_bytes = tandem_type_row_bytes(type, kv_dim);
	char *rows = block;

	kernels->from_f32(rows + slot * row_bytes, k, type, kv_dim);
	kernels->from_f32(rows + (block_tokens + slot) * row_bytes, v, type,
			  kv_dim);
}
