/* SPDX-License-Identifier: MIT */
/*
 * How a run went: a table for people, a JSON object for scripts.
 */
#ifndef TANDEM_REPORT_H
#define TANDEM_REPORT_H

#include <stdio.h>

#include <jansson.h>
#include <tandem/tandem.h>

/* Whether an aggregated run gave the same tokens. */
enum report_verified {
	REPORT_NOT_VERIFIED,
	REPORT_SAME,
	REPORT_DIFFERENT,
};

/**
 * struct report - what there is to say about one prompt
 * @prompt: which, from 0
 * @prompts: of how many
 * @text: what was generated, @text_bytes long; need not be valid UTF-8
 * @connection: by which the KV cache travelled, or NULL when aggregated
 * @transfers: array of what became of each transfer, for JSON; or NULL
 * @store: behind the KV pools, or NULL, and @store_late as session_store_late() says
 * @prefill: device that read the prompt
 * @decode: device that made the tokens
 * @result: of the request; one that failed has an error
 */
struct report {
	uint32_t prompt;
	uint32_t prompts;
	const char *text;
	size_t text_bytes;
	uint32_t prompt_tokens;
	const struct tandem_connection *connection;
	json_t *transfers;
	const struct tandem_kv_file *store;
	uint64_t store_late;
	const struct tandem_device_info *prefill;
	const struct tandem_device_info *decode;
	const struct tandem_request_result *result;
	enum report_verified verified;
};

/* Both return 0 or -EIO when it could not be written. */
int report_table(const struct report *report, FILE *file);
int report_json(const struct report *report, FILE *file);

#endif /* TANDEM_REPORT_H */
