// SPDX-License-Identifier: MIT
/* COPY_LIST. */
#include <stdlib.h>

#include "copy_list.h"
#include "device.h"
#include "dma.h"
#include "queue.h"
#include "regions.h"

/* Segments that are read at a time. */
#define CHUNK	64

static uint32_t resolve(struct fw_queue *queue, const struct fw_context *context,
			uint32_t region, uint64_t offset, uint64_t length, uint32_t access,
			struct fw_range *range, struct fw_result *result)
{
	uint32_t status = fw_region_resolve(queue->fw, context, region, offset, length,
					    access, range);

	if (status != TANDEM_HW_OK)
		result->detail = region;
	return status;
}

static uint32_t resolve_segment(struct fw_queue *queue, const struct fw_context *context,
				const struct tandem_hw_segment *segment, struct fw_copy *copy,
				struct fw_result *result)
{
	uint32_t status;

	if (!segment->length)
		return TANDEM_HW_INVALID_FIELD;
	status = resolve(queue, context, segment->src_region, segment->src_offset,
			 segment->length, TANDEM_HW_REGION_READ, &copy->source, result);
	if (status != TANDEM_HW_OK)
		return status;
	return resolve(queue, context, segment->dst_region, segment->dst_offset,
		       segment->length, TANDEM_HW_REGION_WRITE, &copy->destination, result);
}

static uint32_t resolve_all(struct fw_queue *queue, const struct fw_context *context,
			    const struct tandem_hw_segment *segments, uint64_t count,
			    struct fw_copy *copies, struct fw_result *result)
{
	struct tandem_hw_segment chunk[CHUNK];
	uint32_t status;

	for (uint64_t done = 0; done < count; done++) {
		if (done % CHUNK == 0) {
			uint64_t left = count - done < CHUNK ? count - done : CHUNK;

			if (fw_queue_aborted(queue))
				return TANDEM_HW_ABORTED;
			if (fw_copy_guarded(queue->fw, chunk, segments + done,
					    left * sizeof(chunk[0])))
				return TANDEM_HW_BUS_FAULT;
		}
		status = resolve_segment(queue, context, &chunk[done % CHUNK], &copies[done],
					 result);
		if (status != TANDEM_HW_OK)
			return status;
	}
	return TANDEM_HW_OK;
}

uint32_t fw_copy_list_run(struct fw_queue *queue, const struct fw_context *context,
			  uint64_t address, uint64_t count, struct fw_result *result)
{
	const struct tandem_hw_segment *segments;
	struct fw_copy *copies;
	uint32_t status;

	if (!count || count > TANDEM_HW_SEGMENTS_MAX || address % 8)
		return TANDEM_HW_INVALID_FIELD;
	segments = queue->fw->bus->host(queue->fw->bus, address, count * sizeof(*segments),
					false);
	if (!segments)
		return TANDEM_HW_BUS_FAULT;
	copies = malloc(count * sizeof(*copies));
	if (!copies)
		return TANDEM_HW_NO_MEMORY;
	status = resolve_all(queue, context, segments, count, copies, result);
	if (status == TANDEM_HW_OK)
		status = fw_dma_copy(queue, copies, count, result);
	free(copies);
	return status;
}
