/* SPDX-License-Identifier: MIT */
/*
 * The same for ranges that are sent again and again.
 */
#ifndef TANDEM_RUNTIME_XFER_TABLE_H
#define TANDEM_RUNTIME_XFER_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/xfer.h>

#include "xfer_runs.h"

/**
 * struct tandem_xfer_table - ranges that are sent again and again
 * @local: layout of the local pool that they are of
 * @remote: of the other side's
 * @count: of @runs and @ends
 * @ends: for each entry, the number of the first one that does not continue it
 * @runs: the entries, in blocks
 */
struct tandem_xfer_table {
	struct tandem_kv_layout local;
	struct tandem_kv_layout remote;
	uint32_t count;
	uint32_t *ends;
	struct xfer_run runs[];
};

/* As xfer_push_check() and xfer_runs_build(), for pushes with a table. */
int xfer_table_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		     const struct tandem_push *push);
size_t xfer_table_build(const struct tandem_push *push, struct xfer_run *runs);

#endif /* TANDEM_RUNTIME_XFER_TABLE_H */
