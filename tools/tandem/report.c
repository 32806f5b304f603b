// SPDX-License-Identifier: MIT
/*
 * How a run went: a table for people, a JSON object for scripts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "reasons.h"
#include "report.h"

#define FINISH_COUNT	4

static const char *const finish_names[FINISH_COUNT] = {
	[TANDEM_FINISH_LENGTH] = "length",
	[TANDEM_FINISH_END] = "end of text",
	[TANDEM_FINISH_CONTEXT] = "context full",
	[TANDEM_FINISH_CALLER] = "stopped",
};

static const char *finish_name(const struct report *report)
{
	return report->result->stats.finish < FINISH_COUNT ? finish_names[report->result->stats.finish] : "?";
}

/* Time per token after the first; 0 when there was none. */
static double tpot_ms(const struct tandem_generation_stats *stats)
{
	return stats->generated > 1 ? (double)stats->decode_ns / 1e6 / (stats->generated - 1) : 0.0;
}

static void print_row(FILE *file, const char *name, const char *value, const char *unit)
{
	fprintf(file, "  %-24s %14s %s\n", name, value, unit);
}

static void print_number(FILE *file, const char *name, double value, int digits, const char *unit)
{
	char text[32];

	snprintf(text, sizeof(text), "%.*f", digits, value);
	print_row(file, name, text, unit);
}

/* Titles stand out on a terminal, unless NO_COLOR (https://no-color.org) is set. */
static int may_colour(FILE *file)
{
	const char *no_color = getenv("NO_COLOR");

	return !(no_color && *no_color) && isatty(fileno(file));
}

static void print_title(FILE *file, const struct report *report)
{
	const char *on = may_colour(file) ? "\033[1m" : "";
	const char *off = *on ? "\033[0m" : "";

	if (report->prompts > 1)
		fprintf(file, "%sprompt %u: %s", on, report->prompt + 1, off);
	if (report->connection)
		fprintf(file, "%sprefill on %s (%s), decode on %s (%s)%s\n", on,
			report->prefill->name, report->prefill->profile, report->decode->name,
			report->decode->profile, off);
	else
		fprintf(file, "%sprefill and decode on %s (%s)%s\n", on, report->decode->name,
			report->decode->profile, off);
}

static void print_estimate(FILE *file, const char *name, uint64_t ns, const char *unit)
{
	if (ns)
		print_number(file, name, (double)ns / 1e3, 3, unit);
}

/* Not measured: what the parts that the devices stand for would need at least. */
static void print_modelled(FILE *file, const struct report *report)
{
	const struct tandem_generation_stats *stats = &report->result->stats;
	char name[64];

	if (!stats->prefill_modelled_ns && !stats->decode_modelled_ns)
		return;
	fprintf(file, "  modelled, not measured (at least; Documentation/compute.rst)\n");
	snprintf(name, sizeof(name), "  prefill on a %s", report->prefill->profile);
	print_estimate(file, name, stats->prefill_modelled_ns, "us");
	print_estimate(file, "  transfer", stats->kv_modelled_ns, "us");
	snprintf(name, sizeof(name), "  step on a %s", report->decode->profile);
	if (stats->steps)
		print_estimate(file, name, stats->decode_modelled_ns / stats->steps, "us");
}

static const char *transport_name(const struct report *report)
{
	return report->connection ?
		tandem_transport_name(tandem_connection_transport(report->connection)) : "none";
}

int report_table(const struct report *report, FILE *file)
{
	const struct tandem_generation_stats *stats = &report->result->stats;

	print_title(file, report);
	if (report->result->error.code) {
		print_row(file, "failed", "", report->result->error.message);
		return ferror(file) || fflush(file) ? -EIO : 0;
	}
	print_number(file, "prompt", report->prompt_tokens, 0, "tokens");
	if (stats->cached_tokens)
		print_number(file, "  of these cached", stats->cached_tokens, 0, "tokens");
	if (stats->restored_tokens)
		print_number(file, "  from the store", stats->restored_tokens, 0, "tokens");
	print_number(file, "generated", stats->generated, 0, "tokens");
	print_row(file, "ended by", finish_name(report), "");
	print_number(file, "time to first token", (double)stats->ttft_ns / 1e6, 2, "ms");
	if (report->prompts > 1)
		print_number(file, "  waited for room", (double)stats->waited_ns / 1e6, 2, "ms of it");
	if (stats->restore_ns)
		print_number(file, "  waited for the store", (double)stats->restore_ns / 1e6, 2,
			     "ms of it");
	print_number(file, "time per token", tpot_ms(stats), 3, "ms");
	if (report->connection) {
		print_row(file, "KV cache moved over", transport_name(report), "");
		reasons_print(file, report->connection);
		print_number(file, "KV cache moved", (double)stats->kv_bytes, 0, "bytes");
		print_number(file, "  in", (double)stats->kv_writes, 0, "writes");
		print_number(file, "  copied by the CPU", (double)stats->kv_cpu_copied_bytes, 0,
			     "bytes");
		print_number(file, "  waited for", (double)stats->kv_exposed_ns / 1e6, 2,
			     "ms of the time to first token");
		if (stats->kv_cached_tokens)
			print_number(file, "  there already", stats->kv_cached_tokens, 0,
				     "tokens of the prompt");
		if (stats->kv_restored_tokens)
			print_number(file, "  from the store", stats->kv_restored_tokens, 0,
				     "tokens of the prompt");
	}
	print_modelled(file, report);
	if (report->verified != REPORT_NOT_VERIFIED)
		print_row(file, "aggregated run",
			  report->verified == REPORT_SAME ? "same" : "DIFFERENT", "tokens");
	return ferror(file) || fflush(file) ? -EIO : 0;
}

/*
 * JSON is UTF-8 by definition; a model's bytes need not be. Each byte that is
 * not part of a valid sequence becomes U+FFFD.
 */
static json_t *text_to_json(const char *text, size_t size)
{
	char *valid = malloc(size * 3 + 1);
	size_t length = 0;
	json_t *json = NULL;

	if (!valid)
		return NULL;
	for (size_t i = 0; i < size;) {
		size_t step = 4;

		/* The library knows what is valid: let it judge one character. */
		while (step && (step > size - i ||
				!(json = json_stringn(text + i, step)) ||
				(step > 1 && !((unsigned char)text[i] & 0x80)))) {
			json_decref(json);
			json = NULL;
			step--;
		}
		json_decref(json);
		json = NULL;
		if (step) {
			memcpy(valid + length, text + i, step);
			length += step;
			i += step;
		} else {
			memcpy(valid + length, "\xef\xbf\xbd", 3);
			length += 3;
			i++;
		}
	}
	json = json_stringn(valid, length);
	free(valid);
	return json;
}

/* What is there of each prompt, also of one that failed. */
static json_t *common_object(const struct report *report)
{
	const struct tandem_generation_stats *stats = &report->result->stats;

	return json_pack("{s:I, s:I, s:o, s:I, s:I, s:s, s:s, s:s, s:s, s:s}",
			 "prompt", (json_int_t)report->prompt,
			 "request", (json_int_t)stats->request,
			 "text", text_to_json(report->text, report->text_bytes),
			 "prompt_tokens", (json_int_t)report->prompt_tokens,
			 "generated_tokens", (json_int_t)stats->generated,
			 "prefill_device", report->prefill->name,
			 "prefill_profile", report->prefill->profile,
			 "decode_device", report->decode->name,
			 "decode_profile", report->decode->profile,
			 "mode", report->connection ? "disagg" : "agg");
}

static void add_transfer(json_t *object, const struct report *report)
{
	const struct tandem_generation_stats *stats = &report->result->stats;
	json_t *transfer;

	transfer = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}",
			     "kv_transport", transport_name(report),
			     "kv_transport_reasons", reasons_object(report->connection),
			     "kv_bytes", (json_int_t)stats->kv_bytes,
			     "kv_pushes", (json_int_t)stats->kv_pushes,
			     "kv_writes", (json_int_t)stats->kv_writes,
			     "kv_retries", (json_int_t)stats->kv_retries,
			     "kv_cpu_copied_bytes", (json_int_t)stats->kv_cpu_copied_bytes,
			     "kv_post_ms", (double)stats->kv_post_ns / 1e6,
			     "kv_wire_ms", (double)stats->kv_wire_ns / 1e6,
			     "kv_exposed_ms", (double)stats->kv_exposed_ns / 1e6);
	json_object_update_new(object, transfer);
}

/* What the profiles would have needed at least; null where they say nothing. */
static json_t *modelled_ms(uint64_t ns)
{
	return ns ? json_real((double)ns / 1e6) : json_null();
}

static json_t *modelled_object(const struct tandem_generation_stats *stats)
{
	return json_pack("{s:o, s:o, s:o}",
			 "prefill_ms", modelled_ms(stats->prefill_modelled_ns),
			 "kv_ms", modelled_ms(stats->kv_modelled_ns),
			 "step_ms", modelled_ms(stats->steps ? stats->decode_modelled_ns /
							       stats->steps : 0));
}

/* What the store has done for all prompts so far. */
static json_t *store_object(const struct report *report)
{
	struct tandem_kv_file_stats stats;

	tandem_kv_file_get_stats(report->store, &stats);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "written", (json_int_t)stats.written,
			 "read", (json_int_t)stats.read,
			 "failed", (json_int_t)stats.failed,
			 "damaged", (json_int_t)stats.damaged,
			 "late", (json_int_t)report->store_late,
			 "direct_bytes", (json_int_t)stats.direct_bytes,
			 "buffered_bytes", (json_int_t)stats.buffered_bytes);
}

static json_t *report_object(const struct report *report)
{
	const struct tandem_generation_stats *stats = &report->result->stats;
	json_t *object = common_object(report);

	if (!object)
		return NULL;
	if (report->result->error.code) {
		json_object_set_new(object, "error", json_string(report->result->error.message));
		return object;
	}
	json_object_update_new(object, json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:s}",
			       "cached_tokens", (json_int_t)stats->cached_tokens,
			       "restored_tokens", (json_int_t)stats->restored_tokens,
			       "kv_cached_tokens", (json_int_t)stats->kv_cached_tokens,
			       "kv_restored_tokens", (json_int_t)stats->kv_restored_tokens,
			       "waited_ms", (double)stats->waited_ns / 1e6,
			       "restore_ms", (double)stats->restore_ns / 1e6,
			       "ttft_ms", (double)stats->ttft_ns / 1e6,
			       "tpot_ms", tpot_ms(stats),
			       "steps", (json_int_t)stats->steps,
			       "steps_repeated", (json_int_t)stats->steps_repeated,
			       "finish", finish_name(report)));
	add_transfer(object, report);
	if (report->transfers)
		json_object_set(object, "kv_transfers", report->transfers);
	if (report->store)
		json_object_set_new(object, "kv_store", store_object(report));
	json_object_set_new(object, "modelled", modelled_object(stats));
	if (report->verified != REPORT_NOT_VERIFIED)
		json_object_set_new(object, "aggregated_same",
				    json_boolean(report->verified == REPORT_SAME));
	return object;
}

int report_json(const struct report *report, FILE *file)
{
	json_t *object = report_object(report);
	int ret = -EIO;

	if (!object)
		return -ENOMEM;
	if (!json_dumpf(object, file, JSON_COMPACT) && fputc('\n', file) != EOF && !fflush(file))
		ret = 0;
	json_decref(object);
	return ret;
}
