// SPDX-License-Identifier: GPL-2.0
#include <linux/ctype.h>
#include <linux/dma-direction.h>
#include <linux/mm.h>

#include "tandem_admin.h"
#include "tandem_device.h"
#include "tandem_hw.h"
#include "tandem_log.h"
#include "tandem_shared.h"

/* What is asked for at once. */
#define CHUNK_BYTES	(16 * 1024)
#define CHUNK_TEXT	(CHUNK_BYTES - sizeof(struct tandem_hw_log))
/* So that firmware which tells it byte by byte does not keep the reader. */
#define CHUNKS_MAX	64

/* The text is from the firmware, and ends up on somebody's terminal. */
static void make_printable(char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (text[i] != '\n' && (!isascii(text[i]) || !isprint(text[i])))
			text[i] = '?';
	}
}

/*
 * Adds the next piece to @text, which has room for @room bytes. Returns its
 * length, 0 at the end of the log.
 */
static ssize_t read_chunk(struct tandem_device *tdev,
			  const struct tandem_shared *shared, u64 *position,
			  char *text, size_t room)
{
	const struct tandem_hw_log *log = shared->virtual;
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_LOG_READ,
		.src_offset = cpu_to_le64(shared->bus_address),
		.argument = cpu_to_le64(*position),
		.length = cpu_to_le64(CHUNK_BYTES),
	};
	u64 first;
	u32 length;
	int ret;

	ret = tandem_admin_execute_detail(tdev, &descriptor, &length);
	if (ret)
		return ret;
	if (length > CHUNK_TEXT)
		return -EPROTO;
	length = min_t(size_t, length, room);
	/* The device can still write here: copy first, then look. */
	memcpy(text, log->text, length);
	make_printable(text, length);
	first = le64_to_cpu(READ_ONCE(log->position));
	*position = first + length;
	return length;
}

ssize_t tandem_log_read(struct tandem_device *tdev, char **text)
{
	struct tandem_shared shared;
	unsigned int chunks = 0;
	size_t length = 0;
	u64 position = 0;
	ssize_t ret;
	char *copy;

	copy = kvmalloc(TANDEM_LOG_BYTES_MAX + 1, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	ret = tandem_shared_alloc(tdev, &shared, CHUNK_BYTES,
				  DMA_BIDIRECTIONAL);
	if (ret)
		goto free_copy;
	do {
		ret = read_chunk(tdev, &shared, &position, copy + length,
				 TANDEM_LOG_BYTES_MAX - length);
		if (ret > 0)
			length += ret;
	} while (ret > 0 && length < TANDEM_LOG_BYTES_MAX &&
		 ++chunks < CHUNKS_MAX);
	tandem_shared_free(tdev, &shared);
	if (ret < 0)
		goto free_copy;
	copy[length] = '\0';
	*text = copy;
	return length;

free_copy:
	kvfree(copy);
	return ret;
}
