/* SPDX-License-Identifier: MIT */
/*
 * Putting neighbouring blocks together.
 */
#ifndef TANDEM_RUNTIME_XFER_RUNS_H
#define TANDEM_RUNTIME_XFER_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/xfer.h>

/**
 * struct xfer_run - blocks that are neighbours on both sides
 * @local: the first one's number in the local pool, counted through all
 *	layers: layer * blocks + block
 * @remote: likewise in the other side's pool
 * @count: how many
 */
struct xfer_run {
	uint64_t local;
	uint64_t remote;
	uint64_t count;
};

/**
 * xfer_push_check() - is every layer and block of a push in range?
 * @local: this side's layout
 * @remote: the other side's
 * @push: from the application
 * @pull: the remote blocks go to the local ones
 *
 * Return: 0 or -EINVAL.
 */
int xfer_push_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		    const struct tandem_push *push, bool pull);

/**
 * xfer_runs_build() - put the blocks of a push together
 * @local: this side's layout
 * @remote: the other side's
 * @push: checked
 * @runs: where to put the runs, in the order of the push; NULL to count them
 *
 * Blocks of one layer and the next join too, where they are neighbours.
 *
 * Return: number of runs.
 */
size_t xfer_runs_build(const struct tandem_kv_layout *local,
		       const struct tandem_kv_layout *remote, const struct tandem_push *push,
		       struct xfer_run *runs);

/* Adds blocks to @count runs, if need be to the last. Return: how many there are then. */
size_t xfer_runs_add(struct xfer_run *runs, size_t count, struct xfer_run *last,
		     const struct xfer_run *add);

#endif /* TANDEM_RUNTIME_XFER_RUNS_H */
