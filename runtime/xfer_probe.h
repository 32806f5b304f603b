/* SPDX-License-Identifier: MIT */
/*
 * Static probes of the transfer engine, for bpftrace, perf and the like: provider
 * "tandem". A probe that nobody has attached to is an instruction that does nothing, and a
 * note in the library. Nothing is computed for one: what is passed is there anyway.
 *
 *	transfer_post(id, kind, connection, transfer, generation, bytes)
 *		a push or pull has been started; or blocks are waited for, or offered
 *	transfer_first_write(id, kind, transport)
 *		the transport is handed the first write or read; or the first blocks have
 *		come of what is waited for; or this side has let the first read of an offer
 *		begin, which it does not see with verbs
 *	transfer_last_completion(id, kind, bytes)
 *		the last write or read that was handed over has been carried out; or all
 *		blocks have come; or as much of an offer has been read as was to be
 *	transfer_end(id, kind, result, bytes, writes, rails, exposed_ns)
 *		the operation ends; afterwards the application is told
 *
 * Arguments are as in &struct tandem_transfer_record, and likewise where the kind is
 * %TANDEM_TRANSFER_RECEIVE or %TANDEM_TRANSFER_OFFER; bytes of transfer_post() are those that there are to be.
 * connection is a number that no other one of the process has. What is there of the
 * four comes in this order, and transfer_end() always.
 */
#ifndef TANDEM_RUNTIME_XFER_PROBE_H
#define TANDEM_RUNTIME_XFER_PROBE_H

#if __has_include(<sys/sdt.h>)

#include <sys/sdt.h>

#define PROBE_TRANSFER_POST(id, kind, connection, transfer, generation, bytes) \
	DTRACE_PROBE6(tandem, transfer_post, id, kind, connection, transfer, generation, bytes)
#define PROBE_TRANSFER_FIRST_WRITE(id, kind, transport) \
	DTRACE_PROBE3(tandem, transfer_first_write, id, kind, transport)
#define PROBE_TRANSFER_LAST_COMPLETION(id, kind, bytes) \
	DTRACE_PROBE3(tandem, transfer_last_completion, id, kind, bytes)
#define PROBE_TRANSFER_END(id, kind, result, bytes, writes, rails, exposed_ns) \
	DTRACE_PROBE7(tandem, transfer_end, id, kind, result, bytes, writes, rails, exposed_ns)

#else

#define PROBE_TRANSFER_POST(...)	    ((void)0)
#define PROBE_TRANSFER_FIRST_WRITE(...)	    ((void)0)
#define PROBE_TRANSFER_LAST_COMPLETION(...) ((void)0)
#define PROBE_TRANSFER_END(...)		    ((void)0)

#endif

#endif /* TANDEM_RUNTIME_XFER_PROBE_H */
