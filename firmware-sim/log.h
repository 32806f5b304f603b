/* SPDX-License-Identifier: MIT */
/*
 * The firmware's log: the newest lines, for whoever asks with LOG_READ.
 */
#ifndef TANDEM_FIRMWARE_LOG_H
#define TANDEM_FIRMWARE_LOG_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of text that a log keeps; a power of two. */
#define FW_LOG_BYTES	65536

/**
 * struct fw_log - a log
 * @lock: guards the rest
 * @start: number of the oldest byte there is, which begins a line
 * @end: number of the next byte; byte n is @text[n modulo FW_LOG_BYTES]
 * @text: whole lines, each with its newline
 */
struct fw_log {
	pthread_mutex_t lock;
	uint64_t start;
	uint64_t end;
	char text[FW_LOG_BYTES];
};

/* @log is zeroed. */
void fw_log_init(struct fw_log *log);
void fw_log_fini(struct fw_log *log);

/**
 * fw_log_append() - add a line, for which the oldest ones make room
 * @log: the log
 * @line: without newline, of less than FW_LOG_BYTES bytes
 */
void fw_log_append(struct fw_log *log, const char *line);

/**
 * fw_log_read() - copy what follows a byte
 * @log: the log
 * @position: number of the byte; moved to the oldest there is when it was
 *	dropped, and to the end when it was not written yet
 * @to: @size bytes
 * @size: bytes to copy at most
 *
 * Return: bytes copied; 0 at the end.
 */
size_t fw_log_read(struct fw_log *log, uint64_t *position, char *to, size_t size);

#endif /* TANDEM_FIRMWARE_LOG_H */
