// SPDX-License-Identifier: MIT
/*
 * libFuzzer entry for everything that the transfer engine reads from the other
 * side: descriptions, what transports put into them, auto too, tcp's greetings and
 * frames, verbs' messages, and what processes say. tests/native/xfer/test_fuzz.sh builds it
 * and runs it for a while.
 *
 * The first byte of an input says what the others are. What is accepted has to
 * hold together, and to be what writing it again gives.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/kv.h"
#include "runtime/xfer.h"
#include "runtime/xfer_auto.h"
#include "runtime/xfer_ipc.h"
#include "runtime/xfer_tcp_frame.h"
#include "runtime/xfer_tcp_reach.h"
#include "runtime/xfer_verbs.h"
#include "runtime/xfer_verbs_reach.h"

#define LIMIT	(1ull << 40)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const uint8_t *one, const uint8_t *other, size_t size)
{
	if (memcmp(one, other, size))
		abort();
}

static void use_tcp_endpoint(const uint8_t *bytes, size_t size)
{
	uint8_t again[XFER_TRANSPORT_PART_MAX];
	struct tcp_endpoint endpoint;
	unsigned int i;

	if (tcp_endpoint_decode(bytes, size, &endpoint) < 0)
		return;
	for (i = 0; i < endpoint.address_count; i++)
		if (!tcp_address_size(&endpoint.addresses[i]))
			abort();
	/* Of a short address the bytes behind it do not count. */
	size = tcp_endpoint_encode(&endpoint, again);
	if (tcp_endpoint_decode(again, size, &endpoint) < 0)
		abort();
}

static void use_verbs_endpoint(const uint8_t *bytes, size_t size)
{
	struct verbs_endpoint endpoint;
	uint8_t again[XFER_TRANSPORT_PART_MAX];
	struct verbs_match matches[VERBS_RAILS_MAX];

	if (verbs_endpoint_decode(bytes, size, &endpoint) < 0)
		return;
	if (verbs_endpoint_encode(&endpoint, again) != size)
		abort();
	same(again, bytes, size);
	if (verbs_endpoint_match(&endpoint, &endpoint, matches) != endpoint.rail_count)
		abort();
}

static void use_verbs_message(const uint8_t *bytes, size_t size)
{
	uint8_t again[VERBS_MESSAGE_BYTES];
	struct verbs_message message;
	struct verbs_report report;
	struct verbs_notes notes;

	if (verbs_message_decode(bytes, size, &message) == 0) {
		if (verbs_message_encode(&message, again) != size)
			abort();
		same(again, bytes, size);
	}
	if (verbs_notes_decode(bytes, size, &notes) == 0) {
		if (verbs_notes_encode(&notes, again) != size)
			abort();
		same(again, bytes, size);
	}
	if (verbs_report_decode(bytes, size, &report) == 0) {
		if (verbs_report_encode(&report, again) != size)
			abort();
		same(again, bytes, size);
	}
}

/* Both sides come to the same answer, here with one that is as plain as can be. */
static void use_reach(const struct xfer_side *side,
		      int (*reach)(const struct xfer_side *own, const struct xfer_side *other,
				   struct tandem_error *why))
{
	struct xfer_side elsewhere = *side;

	elsewhere.place.network++;
	reach(side, side, NULL);
	if (reach(side, &elsewhere, NULL) != reach(&elsewhere, side, NULL))
		abort();
}

static void use_auto_part(const uint8_t *bytes, size_t size)
{
	uint8_t again[XFER_PART_MAX];
	struct xfer_auto_part part;
	struct xfer_side side;

	if (xfer_auto_part_decode(bytes, size, &part) < 0)
		return;
	if (xfer_auto_part_encode(&part, again) != size)
		abort();
	same(again, bytes, size);
	side = (struct xfer_side){ .place = part.place, .shareable = part.shareable };
	side.part = part.offers[TANDEM_TRANSPORT_TCP].part;
	side.part_size = part.offers[TANDEM_TRANSPORT_TCP].part_size;
	use_reach(&side, tcp_reach);
	side.part = part.offers[TANDEM_TRANSPORT_VERBS].part;
	side.part_size = part.offers[TANDEM_TRANSPORT_VERBS].part_size;
	use_reach(&side, verbs_reach);
}

static void use_greeting(const uint8_t *bytes, size_t size)
{
	struct tcp_greeting greeting;
	uint8_t again[TCP_GREETING_BYTES];

	if (size != TCP_GREETING_BYTES || tcp_greeting_decode(bytes, &greeting) < 0)
		return;
	if (greeting.stream >= greeting.streams || greeting.streams > TCP_STREAMS_MAX)
		abort();
	tcp_greeting_encode(&greeting, again);
	/* Between the fields there may be anything but what is checked to be zero. */
	same(again + size - TCP_TOKEN_BYTES, bytes + size - TCP_TOKEN_BYTES, TCP_TOKEN_BYTES);
}

static void use_frame(const uint8_t *bytes, size_t size)
{
	struct tcp_entry entries[TCP_FRAME_ENTRIES];
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct xfer_note note;
	struct tcp_head head;
	uint64_t total = 0;
	uint32_t i, at;

	if (size < TCP_HEAD_BYTES || tcp_head_decode(bytes, &head) < 0)
		return;
	if (TCP_ENTRIES_AT + head.entries * TCP_ENTRY_BYTES > size)
		return;
	if (head.kind == TCP_FRAME_NOTES) {
		for (i = 0; i < head.entries; i++) {
			at = TCP_ENTRIES_AT + i * TCP_ENTRY_BYTES;
			if (xfer_note_decode(bytes + at, &note) < 0)
				return;
			xfer_note_encode(&note, frame + at);
		}
		tcp_head_encode(&head, frame);
		same(frame, bytes, TCP_ENTRIES_AT + head.entries * TCP_ENTRY_BYTES);
		return;
	}
	if (tcp_entries_decode(bytes, &head, LIMIT, entries) < 0)
		return;
	for (i = 0; i < head.entries; i++) {
		if (entries[i].offset > LIMIT || entries[i].length > LIMIT - entries[i].offset ||
		    !entries[i].length || !entries[i].blocks)
			abort();
		total += entries[i].length;
		tcp_entry_encode(&entries[i], frame, i);
	}
	if (head.bytes != (tcp_frame_has_bytes(head.kind) ? total : 0))
		abort();
	tcp_head_encode(&head, frame);
	if (head.entries)
		same(frame, bytes, TCP_ENTRIES_AT + head.entries * TCP_ENTRY_BYTES);
}

static void use_ipc_endpoint(const uint8_t *bytes, size_t size)
{
	uint8_t again[IPC_ENDPOINT_BYTES];
	struct ipc_endpoint endpoint;

	if (size != IPC_ENDPOINT_BYTES || ipc_endpoint_decode(bytes, &endpoint) < 0)
		return;
	ipc_endpoint_encode(&endpoint, again);
	same(again, bytes, size);
}

static void use_ipc_message(const uint8_t *bytes, size_t size)
{
	uint8_t again[IPC_MESSAGE_BYTES];
	struct ipc_entry entry;
	struct xfer_note note;
	struct ipc_head head;
	uint32_t i;

	if (ipc_head_decode(bytes, size, &head) < 0)
		return;
	if (size > sizeof(again))
		abort();
	memcpy(again, bytes, size);
	ipc_head_encode(&head, again);
	for (i = 0; i < head.count && (head.kind == IPC_WRITES || head.kind == IPC_READS); i++) {
		ipc_entry_decode(bytes, i, &entry);
		ipc_entry_encode(&entry, again, i);
	}
	if (head.kind == IPC_NOTE && !xfer_note_decode(bytes + IPC_HEAD_BYTES, &note))
		xfer_note_encode(&note, again + IPC_HEAD_BYTES);
	same(again, bytes, size);
}

/* So that inputs get past it. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
	uint32_t crc = ~0u;
	size_t i;
	int bit;

	for (i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void use_description(const uint8_t *bytes, size_t size)
{
	uint8_t again[TANDEM_DESCRIPTION_MAX], sound[TANDEM_DESCRIPTION_MAX];
	struct xfer_description description;
	uint64_t pool_bytes;

	xfer_description_decode(bytes, size, &description, NULL);
	if (size < 16 || size > sizeof(sound))
		return;
	memcpy(sound, bytes, size);
	xfer_put32(sound + 8, size);
	xfer_put32(sound + size - 4, checksum(sound, size - 4));
	if (xfer_description_decode(sound, size, &description, NULL) < 0)
		return;
	if (description.part_size > XFER_PART_MAX ||
	    kv_layout_check(&description.layout, &pool_bytes) < 0)
		abort();
	if (xfer_description_encode(&description, again, sizeof(again)) != (int)size)
		abort();
	same(again, sound, size);
	use_tcp_endpoint(description.part, description.part_size);
	use_verbs_endpoint(description.part, description.part_size);
	use_auto_part(description.part, description.part_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const uses[])(const uint8_t *bytes, size_t size) = {
		use_description, use_tcp_endpoint, use_verbs_endpoint, use_greeting, use_frame,
		use_auto_part, use_ipc_endpoint, use_ipc_message, use_verbs_message,
	};

	if (size)
		uses[*data % (sizeof(uses) / sizeof(uses[0]))](data + 1, size - 1);
	return 0;
}
