// SPDX-License-Identifier: MIT
/*
 * The shape of a KV pool: what makes sense, and where a block is.
 */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "kv.h"

/* GGUF numbers of the element types. */
#define TYPE_F32	0
#define TYPE_F16	1
#define TYPE_Q8_0	8
#define TYPE_I8		KV_TYPE_BYTES

/* Q8_0 comes in blocks of so many elements and bytes. */
#define Q8_0_ELEMENTS	32
#define Q8_0_BYTES	34

/* Bytes of one token's K, or V; 0 where a type cannot have that width. */
static uint64_t row_bytes(const struct tandem_kv_layout *layout)
{
	const uint64_t width = layout->kv_width;

	switch (layout->type) {
	case TYPE_F32:
		return 4 * width;
	case TYPE_F16:
		return 2 * width;
	case TYPE_Q8_0:
		return width % Q8_0_ELEMENTS ? 0 : width / Q8_0_ELEMENTS * Q8_0_BYTES;
	case TYPE_I8:
		return width;
	default:
		return 0;
	}
}

int kv_layout_check(const struct tandem_kv_layout *layout, uint64_t *bytes)
{
	uint64_t size = 2 * row_bytes(layout);

	if (!size || !layout->layers || !layout->kv_width || !layout->block_tokens ||
	    !layout->blocks)
		return -EINVAL;
	if (__builtin_mul_overflow(size, layout->block_tokens, &size) ||
	    __builtin_mul_overflow(size, layout->blocks, &size) ||
	    __builtin_mul_overflow(size, layout->layers, &size) || size > INT64_MAX)
		return -EOVERFLOW;
	*bytes = size;
	return 0;
}

int kv_layout_error(const struct tandem_kv_layout *layout, int reason, struct tandem_error *error)
{
	if (reason == -EINVAL && layout->type == TYPE_Q8_0 && layout->kv_width % Q8_0_ELEMENTS)
		return tandem_error_set(error, -EINVAL,
					"KV pool: Q8_0 takes rows of whole blocks of %d elements, not of %"
					PRIu32 "; use F16", Q8_0_ELEMENTS, layout->kv_width);
	if (reason == -EINVAL && layout->type != TYPE_F32 && layout->type != TYPE_F16 &&
	    layout->type != TYPE_Q8_0)
		return tandem_error_set(error, -EINVAL,
					"KV pool: element type %" PRIu32
					" is not supported; use 0 (F32), 1 (F16) or 8 (Q8_0)",
					layout->type);
	return tandem_error_set(error, -EINVAL,
				"KV pool: %" PRIu32 " layers x %" PRIu32 " blocks of %" PRIu32
				" tokens x %" PRIu32 " elements %s",
				layout->layers, layout->blocks, layout->block_tokens,
				layout->kv_width,
				reason == -EINVAL ? "hold nothing; none may be 0" :
						    "are too large to address");
}

uint64_t tandem_kv_block_bytes(const struct tandem_kv_layout *layout)
{
	return 2 * row_bytes(layout) * layout->block_tokens;
}

uint64_t kv_layout_bytes(const struct tandem_kv_layout *layout)
{
	return tandem_kv_block_bytes(layout) * layout->blocks * layout->layers;
}

uint64_t tandem_kv_block_offset(const struct tandem_kv_layout *layout, uint32_t layer,
				uint32_t block)
{
	return ((uint64_t)layer * layout->blocks + block) * tandem_kv_block_bytes(layout);
}
