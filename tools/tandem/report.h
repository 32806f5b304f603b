/* SPDX-License-Identifier: MIT */
/*
 * How a run went: a table for people, a JSON object for scripts.
 */
#ifndef TANDEM_REPORT_H
#define TANDEM_REPORT_H

#include <stdio.h>

#include <tandem/tandem.h>

/* Whether an aggregated run gave the same tokens. */
enum report_verified {
	REPORT_NOT_VERIFIED,
	REPORT_SAME,
	REPORT_DIFFERENT,
};

/**
 * struct report - what there is to say about one run
 * @text: what was generated, @text_bytes long; need not be valid UTF-8
 * @transport: how the KV cache travelled, or NULL when aggregated
 */
struct report {
	const char *text;
	size_t text_bytes;
	uint32_t prompt_tokens;
	const char *transport;
	const char *prefill_device;
	const char *prefill_profile;
	const char *decode_device;
	const char *decode_profile;
	const struct tandem_generation_stats *stats;
	enum report_verified verified;
};

/* Both return 0 or -EIO when it could not be written. */
int report_table(const struct report *report, FILE *file);
int report_json(const struct report *report, FILE *file);

#endif /* TANDEM_REPORT_H */
