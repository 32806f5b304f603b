/* SPDX-License-Identifier: MIT */
/*
 * A queue pair that is connected to itself: RDMA from and to memory regions of
 * this process, through the network adapter.
 */
#ifndef TEST_RDMA_LOOP_H
#define TEST_RDMA_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

struct rdma_loop {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
};

/* False when there is no RDMA device. */
bool rdma_loop_open(struct rdma_loop *loop);
void rdma_loop_close(struct rdma_loop *loop);
/* Reads or writes what @remote has at @address. Ends the test if that fails. */
void rdma_loop_read(struct rdma_loop *loop, struct ibv_mr *remote,
		    uint64_t address, struct ibv_mr *local, uint32_t length);
void rdma_loop_write(struct rdma_loop *loop, struct ibv_mr *remote,
		     uint64_t address, struct ibv_mr *local, uint32_t length);

#endif /* TEST_RDMA_LOOP_H */
