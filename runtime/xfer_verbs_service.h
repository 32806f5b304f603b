/* SPDX-License-Identifier: MIT */
/*
 * Kinds of queue pairs: InfiniBand's "transport service types", and what differs by them.
 *
 *	xfer_verbs_service.c	which one a port is used with
 *	xfer_verbs_rc.c		reliable connected
 *	xfer_verbs_srd.c	scalable reliable datagrams, of EFA; where the headers are too old,
 *				xfer_verbs_srd_none.c
 */
#ifndef TANDEM_RUNTIME_XFER_VERBS_SERVICE_H
#define TANDEM_RUNTIME_XFER_VERBS_SERVICE_H

#include "xfer_verbs.h"

/**
 * struct verbs_path - from one end of a queue pair to the other
 * @port: of this end
 * @local: its rail
 * @remote: the other end's
 * @from: this end
 * @to: the other
 */
struct verbs_path {
	const struct verbs_port *port;
	const struct verbs_rail_end *local;
	const struct verbs_rail_end *remote;
	const struct verbs_pair_end *from;
	const struct verbs_pair_end *to;
};

/**
 * struct verbs_service - a kind of queue pairs
 * @number: as the sides tell each other; only those of one kind are joined
 * @ordered: a pair carries out its requests, and completes them, in the order in which they
 *	were posted, and the other side takes them in so. Else each has to have a completion
 * @probe: how to see whether the other side is there: IBV_WR_RDMA_WRITE of nothing, or
 *	IBV_WR_SEND of a byte
 * @write_bytes: the longest write of a port
 * @create: make &verbs_pair.queues on &verbs_pair.rail. Return: 0 or -errno
 * @init: ready for receives to be posted, from any state; @end is this end. Return: 0 or
 *	-errno
 * @connect: ready to receive and send. Return: 0 or -errno
 * @post: hand requests over to the NIC: writes, reads, messages. They and the list of what
 *	they read are not needed any more after it. Return: 0 or -errno
 * @destroy: returns when the NIC has let go of it; also of one that was not created
 */
struct verbs_service {
	uint8_t number;
	bool ordered;
	enum ibv_wr_opcode probe;
	uint32_t (*write_bytes)(const struct verbs_port *port);
	int (*create)(struct verbs_pair *pair);
	int (*init)(struct verbs_pair *pair, const struct verbs_pair_end *end);
	int (*connect)(struct verbs_pair *pair, const struct verbs_path *path);
	int (*post)(struct verbs_pair *pair, struct ibv_send_wr *requests);
	void (*destroy)(struct verbs_pair *pair);
};

/* Values of &verbs_service.number. */
enum {
	VERBS_SERVICE_RC = 0,
	VERBS_SERVICE_SRD = 1,
	VERBS_SERVICE_TEST = 255,
};

/*
 * xfer_verbs_service.c
 */

/* Instead of all others; only tests set it, before they open anything. */
extern const struct verbs_service *verbs_service_of_test;

/**
 * verbs_service_choose() - which one a port is used with
 * @port: open
 * @service: filled in
 * @error: filled in on failure
 *
 * Return: 0; -EOPNOTSUPP none can be.
 */
int verbs_service_choose(const struct verbs_port *port, const struct verbs_service **service,
			 struct tandem_error *error);

/* What each pair has room for, of whatever kind it is. */
struct ibv_qp_cap verbs_pair_capacity(void);

/* Take nothing in and send nothing any more. If that fails there is nothing to stop. */
void verbs_pair_stop(struct ibv_qp *pair);

/*
 * xfer_verbs_rc.c
 */

extern const struct verbs_service verbs_rc;

/* Reads in flight to ask a NIC for that has this limit; each has one. */
uint8_t verbs_reads(int limit);

/*
 * xfer_verbs_srd.c
 */

/* As verbs_service_choose(), for a port of an EFA device. */
int verbs_srd_choose(const struct verbs_port *port, const struct verbs_service **service,
		     struct tandem_error *error);

#endif /* TANDEM_RUNTIME_XFER_VERBS_SERVICE_H */
