/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Commands of users by io_uring.
 */
#ifndef _TANDEM_URING_H
#define _TANDEM_URING_H

struct io_uring_cmd;

int tandem_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif /* _TANDEM_URING_H */
