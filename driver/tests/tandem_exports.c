// SPDX-License-Identifier: GPL-2.0
/*
 * What the KUnit tests call, which are a module of their own. Exports nothing
 * where the kernel has no KUnit.
 */
#include <kunit/visibility.h>

#include "../tandem_ban.h"
#include "../tandem_command.h"
#include "../tandem_context.h"
#include "../tandem_job.h"
#include "../tandem_memory_class.h"
#include "../tandem_ring.h"
#include "../tandem_schedule.h"
#include "../tandem_stats.h"

EXPORT_SYMBOL_IF_KUNIT(tandem_ban_count);
EXPORT_SYMBOL_IF_KUNIT(tandem_ban_init);
EXPORT_SYMBOL_IF_KUNIT(tandem_ban_score);
EXPORT_SYMBOL_IF_KUNIT(tandem_command_check);
EXPORT_SYMBOL_IF_KUNIT(tandem_command_read);
EXPORT_SYMBOL_IF_KUNIT(tandem_context_check);
EXPORT_SYMBOL_IF_KUNIT(tandem_histogram_count);
EXPORT_SYMBOL_IF_KUNIT(tandem_histogram_percentile);
EXPORT_SYMBOL_IF_KUNIT(tandem_histogram_total);
EXPORT_SYMBOL_IF_KUNIT(tandem_job_estimate);
EXPORT_SYMBOL_IF_KUNIT(tandem_memory_class_fini);
EXPORT_SYMBOL_IF_KUNIT(tandem_memory_class_init);
EXPORT_SYMBOL_IF_KUNIT(tandem_memory_class_release);
EXPORT_SYMBOL_IF_KUNIT(tandem_memory_class_take);
EXPORT_SYMBOL_IF_KUNIT(tandem_memory_layout_read);
EXPORT_SYMBOL_IF_KUNIT(tandem_region_add);
EXPORT_SYMBOL_IF_KUNIT(tandem_region_take);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_forget);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_full);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_is_insane);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_missed);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_next_slot);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_oldest);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_pop);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_publish);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_publish_taken);
EXPORT_SYMBOL_IF_KUNIT(tandem_ring_push);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_begin);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_end);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_has_ready);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_has_room);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_init);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_init_queue);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_init_share);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_next);
EXPORT_SYMBOL_IF_KUNIT(tandem_schedule_set_ready);
