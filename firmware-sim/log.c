// SPDX-License-Identifier: MIT
/* The firmware's log. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "log.h"

#define MESSAGE_BYTES	256

void fw_log_init(struct fw_log *log)
{
	pthread_mutex_init(&log->lock, NULL);
}

void fw_log_fini(struct fw_log *log)
{
	pthread_mutex_destroy(&log->lock);
}

static char *byte_at(struct fw_log *log, uint64_t number)
{
	return &log->text[number % FW_LOG_BYTES];
}

/* Drop whole lines until there is room. */
static void make_room(struct fw_log *log, size_t length)
{
	while (log->end + length - log->start > FW_LOG_BYTES)
		while (*byte_at(log, log->start++) != '\n')
			;
}

void fw_log_append(struct fw_log *log, const char *line)
{
	size_t length = strlen(line);

	pthread_mutex_lock(&log->lock);
	make_room(log, length + 1);
	for (size_t i = 0; i < length; i++)
		*byte_at(log, log->end++) = line[i] == '\n' ? ' ' : line[i];
	*byte_at(log, log->end++) = '\n';
	pthread_mutex_unlock(&log->lock);
}

size_t fw_log_read(struct fw_log *log, uint64_t *position, char *to, size_t size)
{
	size_t count;

	pthread_mutex_lock(&log->lock);
	if (*position < log->start)
		*position = log->start;
	if (*position > log->end)
		*position = log->end;
	count = log->end - *position < size ? log->end - *position : size;
	for (size_t i = 0; i < count; i++)
		to[i] = *byte_at(log, *position + i);
	pthread_mutex_unlock(&log->lock);
	return count;
}

void fw_log(struct tandem_fw *fw, enum tandem_fw_log_level level, const char *format, ...)
{
	static const char *const names[] = { "error", "info", "debug" };
	char message[MESSAGE_BYTES], line[MESSAGE_BYTES + 48];
	uint64_t now = fw_now();
	va_list arguments;

	if (level > fw->log_level)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	snprintf(line, sizeof(line), "[%5" PRIu64 ".%06" PRIu64 "] %s: %s", now / 1000000000,
		 now / 1000 % 1000000, names[level], message);
	fw_log_append(&fw->log, line);
	if (fw->bus->log)
		fw->bus->log(fw->bus, level, message);
}
