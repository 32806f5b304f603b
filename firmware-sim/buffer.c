// SPDX-License-Identifier: MIT
/* Working memory. */
#include <stdlib.h>

#include "buffer.h"

void fw_buffer_free(struct fw_buffer *buffer, struct fw_budget *budget)
{
	free(buffer->data);
	budget->used -= buffer->capacity;
	*buffer = (struct fw_buffer){ 0 };
}

bool fw_buffer_reserve(struct fw_buffer *buffer, uint64_t bytes, struct fw_budget *budget)
{
	if (bytes <= buffer->capacity)
		return true;
	fw_buffer_free(buffer, budget);
	if (bytes > budget->limit - budget->used)
		return false;
	if (posix_memalign(&buffer->data, 64, bytes)) {
		buffer->data = NULL;
		return false;
	}
	buffer->capacity = bytes;
	budget->used += bytes;
	return true;
}
