// SPDX-License-Identifier: MIT
/* The DMA engine. */
#include <string.h>

#include "device.h"
#include "dma.h"
#include "queue.h"
#include "regions.h"
#include "roofline.h"

/* What is done between two looks at the abort flag: about 0.1 ms. */
#define SLICE_BYTES	(1u << 20)
#define PATTERN_BYTES	4096

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool overlap(const struct fw_range *a, const struct fw_range *b)
{
	if (a->host != b->host || a->address == b->address)
		return false;
	/* Neither end overflows: region tables with such ends are refused. */
	return a->address < b->address + b->length && b->address < a->address + a->length;
}

struct slice {
	char *to;
	const char *from;
	size_t length;
};

static void copy_body(void *argument)
{
	const struct slice *slice = argument;

	/* Two regions can be one memory behind the bus: not memcpy(). */
	memmove(slice->to, slice->from, slice->length);
}

/* The bytes of device memory that a copy moves over the memory's bus. */
static uint64_t memory_traffic(const struct fw_range *range)
{
	return range->host ? 0 : range->length;
}

static uint32_t copy_one(struct fw_queue *queue, const struct fw_copy *copy)
{
	uint64_t length = copy->source.length;
	struct slice slice;

	for (uint64_t done = 0; done < length; done += slice.length) {
		if (fw_queue_aborted(queue))
			return TANDEM_HW_ABORTED;
		slice.to = (char *)copy->destination.pointer + done;
		slice.from = (const char *)copy->source.pointer + done;
		slice.length = smaller(length - done, SLICE_BYTES);
		if (fw_guarded(queue->fw, copy_body, &slice))
			return TANDEM_HW_BUS_FAULT;
	}
	return TANDEM_HW_OK;
}

uint32_t fw_dma_copy(struct fw_queue *queue, const struct fw_copy *copies, uint64_t count,
		     struct fw_result *result)
{
	uint32_t status = TANDEM_HW_OK;
	double traffic = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (overlap(&copies[i].destination, &copies[i].source))
			return TANDEM_HW_INVALID_FIELD;
		traffic += (double)memory_traffic(&copies[i].source) +
			   (double)memory_traffic(&copies[i].destination);
	}
	result->modelled_ns = fw_roofline_ns(queue->fw->profile, 0, traffic);
	for (uint64_t i = 0; i < count && status == TANDEM_HW_OK; i++)
		status = copy_one(queue, &copies[i]);
	return status;
}

static void fill_body(void *argument)
{
	const struct slice *slice = argument;

	for (size_t done = 0; done < slice->length; done += PATTERN_BYTES)
		memcpy(slice->to + done, slice->from,
		       smaller(slice->length - done, PATTERN_BYTES));
}

uint32_t fw_dma_fill(struct fw_queue *queue, const struct fw_range *range, uint32_t pattern,
		     struct fw_result *result)
{
	char patterns[PATTERN_BYTES];
	struct slice slice = { .from = patterns };

	for (size_t i = 0; i < sizeof(patterns); i += sizeof(pattern))
		memcpy(patterns + i, &pattern, sizeof(pattern));
	result->modelled_ns = fw_roofline_ns(queue->fw->profile, 0,
					     (double)memory_traffic(range));

	for (uint64_t done = 0; done < range->length; done += slice.length) {
		if (fw_queue_aborted(queue))
			return TANDEM_HW_ABORTED;
		slice.to = (char *)range->pointer + done;
		slice.length = smaller(range->length - done, SLICE_BYTES);
		if (fw_guarded(queue->fw, fill_body, &slice))
			return TANDEM_HW_BUS_FAULT;
	}
	return TANDEM_HW_OK;
}
