/* SPDX-License-Identifier: MIT */
/*
 * Queue pairs of soft-RoCE whose requests are carried out in random order, and some late, as
 * if they were of a kind that knows no order. Immediates and completions are those of such
 * a kind, too.
 */
#ifndef TANDEM_TESTS_GUEST_XFER_DISORDER_H
#define TANDEM_TESTS_GUEST_XFER_DISORDER_H

#include <stdint.h>

#include "runtime/xfer_verbs_service.h"

extern const struct verbs_service disorder_service;

/* Requests that were posted before one which had been given to be posted earlier. */
extern uint64_t disorder_overtakings;

#endif /* TANDEM_TESTS_GUEST_XFER_DISORDER_H */
