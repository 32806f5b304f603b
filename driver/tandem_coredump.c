// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_file.h>
#include <linux/devcoredump.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/seq_buf.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>

#include "tandem_admin.h"
#include "tandem_context.h"
#include "tandem_coredump.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_job.h"
#include "tandem_log.h"
#include "tandem_queue.h"
#include "tandem_register.h"

/* The most that is said without the firmware's log; what is over is left out. */
#define TEXT_BYTES	(256 * 1024)

/**
 * struct suspects - contexts that may have had the device go wrong
 * @context: one for each engine, or NULL; holds a reference
 */
struct suspects {
	struct tandem_context *context[TANDEM_ENGINES_MAX];
};

static void describe_device(struct seq_buf *text, struct tandem_device *tdev,
			    enum tandem_reset_reason reason)
{
	const struct tandem_identity *identity = &tdev->identity;

	seq_buf_printf(text, "Tandem device core dump, version 1\n"
		       "device: %s\nkernel: %s\ntime: %lld\nboottime_ns: %lld\nreason: %s\nresets: %d\n",
		       dev_name(tdev->dev), init_utsname()->release,
		       ktime_get_real_seconds(), ktime_get_boottime_ns(),
		       tandem_reset_reason_name(reason),
		       atomic_read(&tdev->reset.count));
	seq_buf_printf(text, "profile: %s\nfirmware: %s\nmemory: %llu\nmemory_used: %lld\nobjects: %d\nretiring: %d\n",
		       identity->profile, identity->firmware_version,
		       tdev->memory_size, atomic64_read(&tdev->memory.used),
		       atomic_read(&tdev->objects),
		       atomic_read(&tdev->retiring));
}

static void describe_registers(struct seq_buf *text, struct tandem_device *tdev)
{
	static const struct {
		const char *name;
		u32 offset;
	} registers[] = {
		{ "MAGIC", TANDEM_REG_MAGIC },
		{ "VERSION", TANDEM_REG_VERSION },
		{ "STATUS", TANDEM_REG_STATUS },
		{ "CONTROL", TANDEM_REG_CONTROL },
		{ "HEARTBEAT", TANDEM_REG_HEARTBEAT },
		{ "FATAL", TANDEM_REG_FATAL },
		{ "EPOCH", TANDEM_REG_EPOCH },
		{ "ADMIN_ENTRIES", TANDEM_REG_ADMIN_ENTRIES },
		{ "CONTEXT_COUNT", TANDEM_REG_CONTEXT_COUNT },
		{ "QUEUE_MAX", TANDEM_REG_QUEUE_MAX },
	};
	size_t i;

	seq_buf_puts(text, "\nregisters:\n");
	for (i = 0; i < ARRAY_SIZE(registers); i++)
		seq_buf_printf(text, "  %s %#x\n", registers[i].name,
			       tandem_read32(tdev, registers[i].offset));
}

/* The ring's lock is held. */
static void describe_ring(struct seq_buf *text, const struct tandem_ring *ring,
			  const char *kind)
{
	u64 malformed = ring->stale + ring->spurious;
	u32 shown = min_t(u64, malformed, TANDEM_RING_MALFORMED_MAX), i;
	const struct tandem_malformed *entry;

	seq_buf_printf(text, "\nqueue %u (%s): epoch=%u entries=%u head=%u tail=%u taken=%u completed=%llu stale=%llu spurious=%llu\n",
		       ring->queue, kind, ring->epoch, ring->entries,
		       ring->sq_head, ring->sq_tail, ring->cq_head,
		       ring->completed, ring->stale, ring->spurious);
	for (i = 0; i < shown; i++) {
		entry = &ring->malformed[(malformed - shown + i) %
					 TANDEM_RING_MALFORMED_MAX];
		seq_buf_printf(text, "  malformed completion %u: epoch=%u command=%u queue=%u status=%u\n",
			       entry->number, entry->epoch, entry->command_id,
			       entry->queue, entry->status);
	}
}

static void describe_admin(struct seq_buf *text, struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	const struct tandem_admin_command *command;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&admin->lock, flags);
	describe_ring(text, &admin->ring, "admin");
	for (i = 0; i < admin->ring.entries; i++) {
		command = admin->ring.owner[i];
		if (command)
			seq_buf_printf(text, "  slot %u: opcode=%#x context=%u\n",
				       i, command->descriptor.opcode,
				       le32_to_cpu(command->descriptor.context));
	}
	spin_unlock_irqrestore(&admin->lock, flags);
}

/* Not the argument, which may be what is written to memory. */
static void describe_job(struct seq_buf *text, const struct tandem_job *job)
{
	const struct tandem_hw_descriptor *descriptor = &job->descriptor;
	const struct tandem_context *context = job->queue->context;

	seq_buf_printf(text, "  command %u: %s context=%u pid=%d comm=%s age_ms=%lld dst=%u+%#llx src=%u+%#llx length=%llu%s%s%s\n",
		       tandem_job_command_id(job), tandem_job_operation(job),
		       context->index, context->pid, context->comm,
		       ktime_ms_delta(ktime_get(), job->started),
		       le32_to_cpu(descriptor->dst_region),
		       le64_to_cpu(descriptor->dst_offset),
		       le32_to_cpu(descriptor->src_region),
		       le64_to_cpu(descriptor->src_offset),
		       le64_to_cpu(descriptor->length),
		       job->cancelled ? " cancelled" : "",
		       job->timed_out ? " timed-out" : "",
		       job->stuck ? " stuck" : "");
}

static bool is_suspect(const struct tandem_job *job,
		       enum tandem_reset_reason reason)
{
	switch (reason) {
	case TANDEM_RESET_NONE:
	case TANDEM_RESET_ASKED:
	case TANDEM_RESET_REFUSED:
		return false;
	case TANDEM_RESET_ABORT:
		return job->stuck;
	default:
		return true;
	}
}

static void describe_engine(struct seq_buf *text, struct tandem_engine *engine,
			    enum tandem_reset_reason reason,
			    struct suspects *suspects)
{
	struct tandem_job *job;
	unsigned long flags;

	spin_lock_irqsave(&engine->class->lock, flags);
	describe_ring(text, &engine->ring,
		      engine->kind == TANDEM_HW_QUEUE_COMPUTE ? "compute" :
								"copy");
	list_for_each_entry(job, &engine->in_flight, flight_link)
		describe_job(text, job);
	job = list_first_entry_or_null(&engine->in_flight, struct tandem_job,
				       flight_link);
	if (job && is_suspect(job, reason)) {
		tandem_context_get(job->queue->context);
		suspects->context[engine->index] = job->queue->context;
	}
	spin_unlock_irqrestore(&engine->class->lock, flags);
}

static bool is_described(const struct suspects *suspects, u32 end)
{
	u32 i;

	for (i = 0; i < end; i++) {
		if (suspects->context[i] == suspects->context[end])
			return true;
	}
	return false;
}

static void describe_suspects(struct seq_buf *text, struct suspects *suspects)
{
	struct tandem_context *context;
	u32 i;

	for (i = 0; i < TANDEM_ENGINES_MAX; i++) {
		context = suspects->context[i];
		if (!context || is_described(suspects, i))
			continue;
		seq_buf_printf(text, "\ncontext %u: pid=%d comm=%s resets=%u\n",
			       context->index, context->pid, context->comm,
			       READ_ONCE(context->ban.resets));
		tandem_context_describe(context, text);
	}
	for (i = 0; i < TANDEM_ENGINES_MAX; i++) {
		if (suspects->context[i])
			tandem_context_put(suspects->context[i]);
	}
}

void tandem_coredump_take(struct tandem_device *tdev,
			  enum tandem_reset_reason reason)
{
	struct tandem_coredump *coredump = &tdev->coredump;
	struct seq_buf *text = &coredump->text;
	struct suspects suspects = { };
	u32 i;

	/* The first tells more than what came of it. */
	if (!text->buffer || smp_load_acquire(&coredump->is_taken))
		return;
	seq_buf_clear(text);
	describe_device(text, tdev, reason);
	describe_registers(text, tdev);
	describe_admin(text, tdev);
	for (i = 0; i < tdev->engine_count; i++)
		describe_engine(text, &tdev->engines[i], reason, &suspects);
	describe_suspects(text, &suspects);
	/* Pairs with hand_on(). */
	smp_store_release(&coredump->is_taken, true);
}

/* The dump with the log after it, if there is one; or NULL. */
static char *with_log(struct seq_buf *text, const char *log, size_t log_length,
		      size_t *length)
{
	static const char title[] = "\nfirmware log:\n";
	size_t title_length = log ? sizeof(title) - 1 : 0;
	size_t used = seq_buf_used(text);
	char *whole;

	*length = used + title_length + log_length;
	whole = vmalloc(*length);
	if (!whole)
		return NULL;
	memcpy(whole, text->buffer, used);
	memcpy(whole + used, title, title_length);
	if (log)
		memcpy(whole + used + title_length, log, log_length);
	return whole;
}

/* The device is up again, or dead: no fence waits for this. */
static void hand_on(struct work_struct *work)
{
	struct tandem_coredump *coredump =
		container_of(work, struct tandem_coredump, work);
	struct tandem_device *tdev =
		container_of(coredump, struct tandem_device, coredump);
	ssize_t log_length = -ENODEV;
	char *log = NULL, *whole;
	size_t length;

	/* Pairs with tandem_coredump_take(). */
	if (!smp_load_acquire(&coredump->is_taken))
		return;
	if (!tandem_device_is_dead(tdev))
		log_length = tandem_log_read(tdev, &log);
	if (log_length < 0) {
		log = NULL;
		log_length = 0;
	}
	whole = with_log(&coredump->text, log, log_length, &length);
	/* The buffer is free for the next one. */
	smp_store_release(&coredump->is_taken, false);
	/*
	 * In the name of the node, not of the device on the bus: the dump may
	 * be there for longer than the driver, and this needs nothing of it.
	 */
	if (whole)
		dev_coredumpv(tdev->drm.accel->kdev, whole, length, GFP_KERNEL);
	kvfree(log);
}

void tandem_coredump_prepare(struct tandem_coredump *coredump)
{
	char *buffer;

	INIT_WORK(&coredump->work, hand_on);
	/* Without memory for it now, there will be no dumps: no harm. */
	buffer = __vmalloc(TEXT_BYTES, GFP_KERNEL | __GFP_NOWARN);
	seq_buf_init(&coredump->text, buffer, buffer ? TEXT_BYTES : 0);
}

void tandem_coredump_release(struct tandem_coredump *coredump)
{
	vfree(coredump->text.buffer);
}

void tandem_coredump_hand_on(struct tandem_device *tdev)
{
	schedule_work(&tdev->coredump.work);
}

void tandem_coredump_flush(struct tandem_device *tdev)
{
	flush_work(&tdev->coredump.work);
}
