// SPDX-License-Identifier: MIT
/*
 * Records of transfers: a ring for each connection that was opened with one.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "xfer.h"
#include "xfer_record.h"

struct xfer_records *xfer_records_create(unsigned int size)
{
	struct xfer_records *records;

	records = calloc(1, sizeof(*records) + size * sizeof(records->ring[0]));
	if (records)
		records->size = size;
	return records;
}

void xfer_records_add(struct xfer_records *records, const struct tandem_transfer_record *record)
{
	if (records->count == records->size) {
		records->first = (records->first + 1) % records->size;
		records->count--;
		records->lost++;
	}
	records->ring[(records->first + records->count++) % records->size] = *record;
}

uint64_t xfer_new_id(void)
{
	static atomic_uint_fast64_t last;

	return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

unsigned int tandem_connection_read_records(struct tandem_connection *connection,
					    struct tandem_transfer_record *records,
					    unsigned int count)
{
	struct xfer_records *kept = connection->records;
	unsigned int i;

	for (i = 0; kept && i < count && kept->count; i++) {
		records[i] = kept->ring[kept->first];
		kept->first = (kept->first + 1) % kept->size;
		kept->count--;
	}
	return i;
}
