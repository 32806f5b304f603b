/* SPDX-License-Identifier: MIT */
#ifndef TANDEM_RUNTIME_XFER_TCP_REACH_H
#define TANDEM_RUNTIME_XFER_TCP_REACH_H

struct tandem_error;
struct xfer_side;

/* See &xfer_transport_ops.reach. */
int tcp_reach(const struct xfer_side *own, const struct xfer_side *other, struct tandem_error *why);

#endif /* TANDEM_RUNTIME_XFER_TCP_REACH_H */
