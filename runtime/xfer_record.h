/* SPDX-License-Identifier: MIT */
/*
 * What is kept of transfers that have ended, until the application reads it.
 */
#ifndef TANDEM_RUNTIME_XFER_RECORD_H
#define TANDEM_RUNTIME_XFER_RECORD_H

#include <stdint.h>

#include <tandem/xfer.h>

/**
 * struct xfer_records - the records of a connection
 * @size: of @ring
 * @first: index of the oldest
 * @count: that there are
 * @lost: that were dropped since others came
 * @ring: the records
 */
struct xfer_records {
	unsigned int size;
	unsigned int first;
	unsigned int count;
	uint64_t lost;
	struct tandem_transfer_record ring[];
};

/* Room for @size of them, to be freed; NULL without memory. */
struct xfer_records *xfer_records_create(unsigned int size);
/* The oldest makes room if need be. */
void xfer_records_add(struct xfer_records *records, const struct tandem_transfer_record *record);

/* A number for a transfer or a connection that no other one of this process has; never 0. */
uint64_t xfer_new_id(void);

#endif /* TANDEM_RUNTIME_XFER_RECORD_H */
