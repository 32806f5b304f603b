/* SPDX-License-Identifier: MIT */
/*
 * The KV pool from the inside.
 */
#ifndef TANDEM_RUNTIME_KV_H
#define TANDEM_RUNTIME_KV_H

#include <tandem/kv.h>

/**
 * kv_layout_check() - does a shape make sense?
 * @layout: from anywhere
 * @bytes: where to put the size of the pool
 *
 * Return: 0; -EINVAL for an unknown type or a dimension of 0; -EOVERFLOW when
 * the pool would not fit into 63 bits.
 */
int kv_layout_check(const struct tandem_kv_layout *layout, uint64_t *bytes);

/* Say what kv_layout_check() found, with @reason its result. Return: -EINVAL. */
int kv_layout_error(const struct tandem_kv_layout *layout, int reason, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_KV_H */
