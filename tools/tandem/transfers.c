// SPDX-License-Identifier: MIT
/*
 * What a session's connections remember of transfers, sorted by request.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "transfers.h"

static int read_connection(struct transfers *transfers, struct tandem_connection *connection)
{
	struct tandem_transfer_record *records;

	records = realloc(transfers->records, (transfers->count + TRANSFERS_KEPT) * sizeof(*records));
	if (!records)
		return -1;
	transfers->records = records;
	transfers->count += tandem_connection_read_records(connection, records + transfers->count,
							   TRANSFERS_KEPT);
	return 0;
}

json_t *transfers_object(const struct tandem_transfer_record *record)
{
	static const char *const kinds[] = {
		[TANDEM_TRANSFER_PUSH] = "push",
		[TANDEM_TRANSFER_PULL] = "pull",
		[TANDEM_TRANSFER_RECEIVE] = "receive",
		[TANDEM_TRANSFER_OFFER] = "offer",
	};
	const struct tandem_transfer_stats *stats = &record->stats;
	char generation[24];

	/* JSON's integers need not have 64 bits without a sign. */
	snprintf(generation, sizeof(generation), "0x%" PRIx64, record->generation);
	return json_pack(
		"{s:I, s:s, s:i, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"id", (json_int_t)stats->id, "kind", kinds[record->kind], "result",
		(int)record->result, "transfer", (int)record->transfer, "generation", generation,
		"transport", tandem_transport_name(stats->transport), "rails",
		(json_int_t)stats->rails, "bytes", (json_int_t)stats->bytes, "writes",
		(json_int_t)stats->writes, "retries", (json_int_t)stats->retries, "posted_ns",
		(json_int_t)stats->posted_ns, "post_ns", (json_int_t)stats->post_ns,
		"first_write_ns", (json_int_t)stats->first_write_ns, "last_write_ns",
		(json_int_t)stats->last_write_ns, "done_ns", (json_int_t)stats->done_ns,
		"exposed_ns", (json_int_t)record->exposed_ns);
}

json_t *transfers_take(struct transfers *transfers, const struct session *session, uint32_t transfer)
{
	json_t *array = json_array();
	size_t kept = 0;

	if (read_connection(transfers, session->push) ||
	    read_connection(transfers, session->receive)) {
		json_decref(array);
		return NULL;
	}
	for (size_t i = 0; i < transfers->count; i++) {
		if (transfers->records[i].transfer == transfer)
			json_array_append_new(array, transfers_object(&transfers->records[i]));
		else
			transfers->records[kept++] = transfers->records[i];
	}
	transfers->count = kept;
	return array;
}

void transfers_free(struct transfers *transfers)
{
	free(transfers->records);
}
