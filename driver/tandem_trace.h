/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: /sys/kernel/tracing/events/tandem/.
 *
 * Names, fields and their meaning only ever get more. They are described in
 * Documentation/inspection.rst.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tandem

#if !defined(_TANDEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TANDEM_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>

#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_hw.h"
#include "tandem_job.h"
#include "tandem_queue.h"

/* For tools, which know numbers only. */
TRACE_DEFINE_ENUM(TANDEM_HW_OP_NOP);
TRACE_DEFINE_ENUM(TANDEM_HW_OP_COPY);
TRACE_DEFINE_ENUM(TANDEM_HW_OP_FILL);
TRACE_DEFINE_ENUM(TANDEM_HW_OP_EXEC);
TRACE_DEFINE_ENUM(TANDEM_HW_OP_COPY_LIST);
TRACE_DEFINE_ENUM(TANDEM_HW_QUEUE_COPY);
TRACE_DEFINE_ENUM(TANDEM_HW_QUEUE_COMPUTE);
TRACE_DEFINE_ENUM(TANDEM_RESET_ASKED);
TRACE_DEFINE_ENUM(TANDEM_RESET_HEARTBEAT);
TRACE_DEFINE_ENUM(TANDEM_RESET_FATAL);
TRACE_DEFINE_ENUM(TANDEM_RESET_STOPPED);
TRACE_DEFINE_ENUM(TANDEM_RESET_ADMIN);
TRACE_DEFINE_ENUM(TANDEM_RESET_ABORT);
TRACE_DEFINE_ENUM(TANDEM_RESET_INSANE);
TRACE_DEFINE_ENUM(TANDEM_RESET_REFUSED);

#define show_opcode(opcode)				\
	__print_symbolic(opcode,			\
			 { TANDEM_HW_OP_NOP, "NOP" },	\
			 { TANDEM_HW_OP_COPY, "COPY" },	\
			 { TANDEM_HW_OP_FILL, "FILL" },	\
			 { TANDEM_HW_OP_EXEC, "EXEC" },	\
			 { TANDEM_HW_OP_COPY_LIST, "COPY_LIST" })

#define show_class(class)					\
	__print_symbolic(class,					\
			 { TANDEM_HW_QUEUE_COPY, "copy" },	\
			 { TANDEM_HW_QUEUE_COMPUTE, "compute" })

/* As users number engines; 0 when none has had the job. */
#define engine_number(job) tandem_engine_number((job)->engine)

TRACE_EVENT(tandem_job_submit,
	    TP_PROTO(const struct tandem_job *job),
	    TP_ARGS(job),
	    TP_STRUCT__entry(__string(dev, dev_name(job->queue->context->tdev->dev))
			     __field(u64, job)
			     __field(u64, cookie)
			     __field(u64, length)
			     __field(u32, class)
			     __field(u32, context)
			     __field(u32, opcode)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job->id;
			   __entry->cookie = job->cookie;
			   __entry->length = le64_to_cpu(job->descriptor.length);
			   __entry->class = job->queue->class->kind;
			   __entry->context = job->queue->context->index;
			   __entry->opcode = job->descriptor.opcode;
			   ),
	    TP_printk("dev=%s job=%llu class=%s context=%u opcode=%s length=%llu cookie=%#llx",
		      __get_str(dev), __entry->job, show_class(__entry->class),
		      __entry->context, show_opcode(__entry->opcode), __entry->length,
		      __entry->cookie)
);

TRACE_EVENT(tandem_job_push,
	    TP_PROTO(const struct tandem_job *job, u32 slot),
	    TP_ARGS(job, slot),
	    TP_STRUCT__entry(__string(dev, dev_name(job->queue->context->tdev->dev))
			     __field(u64, job)
			     __field(u64, cookie)
			     __field(u32, engine)
			     __field(u32, slot)
			     __field(u32, command)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job->id;
			   __entry->cookie = job->cookie;
			   __entry->engine = engine_number(job);
			   __entry->slot = slot;
			   __entry->command = tandem_job_command_id(job);
			   ),
	    TP_printk("dev=%s job=%llu engine=%u slot=%u command=%u cookie=%#llx",
		      __get_str(dev), __entry->job, __entry->engine, __entry->slot,
		      __entry->command, __entry->cookie)
);

TRACE_EVENT(tandem_job_complete,
	    TP_PROTO(const struct tandem_job *job, u64 latency_ns),
	    TP_ARGS(job, latency_ns),
	    TP_STRUCT__entry(__string(dev, dev_name(job->queue->context->tdev->dev))
			     __field(u64, job)
			     __field(u64, cookie)
			     __field(u64, duration_ns)
			     __field(u64, latency_ns)
			     __field(u32, engine)
			     __field(u32, context)
			     __field(s32, result)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job->id;
			   __entry->cookie = job->cookie;
			   __entry->duration_ns = job->duration;
			   __entry->latency_ns = latency_ns;
			   __entry->engine = engine_number(job);
			   __entry->context = job->queue->context->index;
			   __entry->result = job->result;
			   ),
	    TP_printk("dev=%s job=%llu engine=%u context=%u result=%d duration_ns=%llu latency_ns=%llu cookie=%#llx",
		      __get_str(dev), __entry->job, __entry->engine, __entry->context,
		      __entry->result, __entry->duration_ns, __entry->latency_ns,
		      __entry->cookie)
);

DECLARE_EVENT_CLASS(tandem_job_ends_early,
		    TP_PROTO(const struct tandem_job *job),
		    TP_ARGS(job),
		    TP_STRUCT__entry(__string(dev, dev_name(job->queue->context->tdev->dev))
				     __field(u64, job)
				     __field(u64, cookie)
				     __field(u32, engine)
				     __field(u32, command)
				     ),
		    TP_fast_assign(__assign_str(dev);
				   __entry->job = job->id;
				   __entry->cookie = job->cookie;
				   __entry->engine = engine_number(job);
				   __entry->command = tandem_job_command_id(job);
				   ),
		    TP_printk("dev=%s job=%llu engine=%u command=%u cookie=%#llx",
			      __get_str(dev), __entry->job, __entry->engine,
			      __entry->command, __entry->cookie)
);

DEFINE_EVENT(tandem_job_ends_early, tandem_job_cancel,
	     TP_PROTO(const struct tandem_job *job), TP_ARGS(job));
DEFINE_EVENT(tandem_job_ends_early, tandem_job_timeout,
	     TP_PROTO(const struct tandem_job *job), TP_ARGS(job));
DEFINE_EVENT(tandem_job_ends_early, tandem_job_abort,
	     TP_PROTO(const struct tandem_job *job), TP_ARGS(job));

TRACE_EVENT(tandem_job_block,
	    TP_PROTO(const struct tandem_job *job),
	    TP_ARGS(job),
	    TP_STRUCT__entry(__string(dev, dev_name(job->queue->context->tdev->dev))
			     __field(u64, job)
			     __field(u64, cookie)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job->id;
			   __entry->cookie = job->cookie;
			   ),
	    TP_printk("dev=%s job=%llu cookie=%#llx", __get_str(dev),
		      __entry->job, __entry->cookie)
);

TRACE_EVENT(tandem_job_unblock,
	    TP_PROTO(const struct tandem_job *job, int error),
	    TP_ARGS(job, error),
	    TP_STRUCT__entry(__string(dev, dev_name(job->queue->context->tdev->dev))
			     __field(u64, job)
			     __field(u64, cookie)
			     __field(s32, error)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job->id;
			   __entry->cookie = job->cookie;
			   __entry->error = error;
			   ),
	    TP_printk("dev=%s job=%llu error=%d cookie=%#llx", __get_str(dev),
		      __entry->job, __entry->error, __entry->cookie)
);

TRACE_EVENT(tandem_interrupt,
	    TP_PROTO(const struct tandem_device *tdev, u32 vector),
	    TP_ARGS(tdev, vector),
	    TP_STRUCT__entry(__string(dev, dev_name(tdev->dev))
			     __field(u32, vector)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->vector = vector;
			   ),
	    TP_printk("dev=%s vector=%u", __get_str(dev), __entry->vector)
);

#define show_reason(reason)						\
	__print_symbolic(reason,					\
			 { TANDEM_RESET_ASKED, "asked" },		\
			 { TANDEM_RESET_HEARTBEAT, "heartbeat" },	\
			 { TANDEM_RESET_FATAL, "fatal" },		\
			 { TANDEM_RESET_STOPPED, "stopped" },		\
			 { TANDEM_RESET_ADMIN, "admin" },		\
			 { TANDEM_RESET_ABORT, "abort" },		\
			 { TANDEM_RESET_INSANE, "insane" },		\
			 { TANDEM_RESET_REFUSED, "refused" })

TRACE_EVENT(tandem_reset_begin,
	    TP_PROTO(const struct tandem_device *tdev, u32 reason),
	    TP_ARGS(tdev, reason),
	    TP_STRUCT__entry(__string(dev, dev_name(tdev->dev))
			     __field(u32, reason)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->reason = reason;
			   ),
	    TP_printk("dev=%s reason=%s", __get_str(dev),
		      show_reason(__entry->reason))
);

TRACE_EVENT(tandem_reset_end,
	    TP_PROTO(const struct tandem_device *tdev, int result),
	    TP_ARGS(tdev, result),
	    TP_STRUCT__entry(__string(dev, dev_name(tdev->dev))
			     __field(s32, result)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->result = result;
			   ),
	    TP_printk("dev=%s result=%d", __get_str(dev), __entry->result)
);

DECLARE_EVENT_CLASS(tandem_context,
		    TP_PROTO(const struct tandem_context *context),
		    TP_ARGS(context),
		    TP_STRUCT__entry(__string(dev, dev_name(context->tdev->dev))
				     __field(u32, context)
				     ),
		    TP_fast_assign(__assign_str(dev);
				   __entry->context = context->index;
				   ),
		    TP_printk("dev=%s context=%u", __get_str(dev), __entry->context)
);

DEFINE_EVENT(tandem_context, tandem_context_create,
	     TP_PROTO(const struct tandem_context *context), TP_ARGS(context));
DEFINE_EVENT(tandem_context, tandem_context_destroy,
	     TP_PROTO(const struct tandem_context *context), TP_ARGS(context));

TRACE_EVENT(tandem_context_ban,
	    TP_PROTO(const struct tandem_context *context),
	    TP_ARGS(context),
	    TP_STRUCT__entry(__string(dev, dev_name(context->tdev->dev))
			     __field(u32, context)
			     __field(u32, faults)
			     __field(u32, resets)
			     __field(s32, pid)
			     ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->context = context->index;
			   __entry->faults = READ_ONCE(context->ban.faults);
			   __entry->resets = READ_ONCE(context->ban.resets);
			   __entry->pid = context->pid;
			   ),
	    TP_printk("dev=%s context=%u faults=%u resets=%u pid=%d",
		      __get_str(dev), __entry->context, __entry->faults,
		      __entry->resets, __entry->pid)
);

DECLARE_EVENT_CLASS(tandem_object,
		    TP_PROTO(const struct tandem_device *tdev, u64 address, u64 size,
			     bool host),
		    TP_ARGS(tdev, address, size, host),
		    TP_STRUCT__entry(__string(dev, dev_name(tdev->dev))
				     __field(u64, address)
				     __field(u64, size)
				     __field(bool, host)
				     ),
		    TP_fast_assign(__assign_str(dev);
				   __entry->address = address;
				   __entry->size = size;
				   __entry->host = host;
				   ),
		    TP_printk("dev=%s address=%#llx size=%llu host=%d",
			      __get_str(dev), __entry->address, __entry->size,
			      __entry->host)
);

DEFINE_EVENT(tandem_object, tandem_object_create,
	     TP_PROTO(const struct tandem_device *tdev, u64 address, u64 size, bool host),
	     TP_ARGS(tdev, address, size, host));
DEFINE_EVENT(tandem_object, tandem_object_free,
	     TP_PROTO(const struct tandem_device *tdev, u64 address, u64 size, bool host),
	     TP_ARGS(tdev, address, size, host));

#endif /* _TANDEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE tandem_trace
#include <trace/define_trace.h>
