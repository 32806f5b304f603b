/* SPDX-License-Identifier: MIT */
/*
 * Prompts served together, their texts in the order of the prompts.
 */
#ifndef TANDEM_SERVE_PROMPTS_H
#define TANDEM_SERVE_PROMPTS_H

#include <stdbool.h>

#include "progress.h"
#include "prompts.h"
#include "session.h"

/**
 * struct serve_options - how to serve
 * @batch: at once, at most
 * @chunk_tokens: 0 for the default
 * @no_prefix_cache: nothing is reused
 * @parse_special: control tokens may be spelled out in prompts
 */
struct serve_options {
	uint32_t batch;
	uint32_t chunk_tokens;
	bool no_prefix_cache;
	bool parse_special;
};

/**
 * struct answer - what has come of one prompt
 * @prompt: from which
 * @prompt_tokens: its ids, @prompt_count of them
 * @tokens: ids that have come, @count of them
 * @text: of these, @text_bytes long; need not be valid UTF-8
 * @printed: bytes of it that are on standard output
 * @stream: keeps its characters whole
 * @op: pending while it is served
 * @result: how it went
 */
struct answer {
	struct serving *serving;
	const struct prompt *prompt;
	uint32_t *prompt_tokens;
	uint32_t prompt_count;
	uint32_t *tokens;
	uint32_t count;
	char *text;
	size_t text_bytes;
	size_t text_room;
	size_t printed;
	struct tandem_text_stream stream;
	struct tandem_operation op;
	struct tandem_request_result result;
};

/**
 * struct serving - all of them
 * @session: what with; open
 * @answers: @count of them, one for each prompt
 * @next: the first that is not over and printed: its text is shown as it comes
 * @on_answer: told of each that is over and printed, in order; may be NULL
 * @user: for that
 * @progress: of the prompt that is read
 * @failed: standard output takes no more
 */
struct serving {
	struct session *session;
	struct tandem_scheduler *scheduler;
	struct answer *answers;
	uint32_t count;
	uint32_t next;
	void (*on_answer)(struct answer *answer, void *user);
	void *user;
	struct progress progress;
	bool failed;
};

/**
 * serve() - have all prompts answered
 * @serving: @session and @on_answer are set, the rest is zero
 * @prompts: what is asked
 * @options: how
 * @error: filled in on failure
 *
 * A prompt that fails has that in its answer; the others are served all the same.
 *
 * Return: 0; a negative errno when nothing could be served, or standard output
 * takes no more.
 */
int serve(struct serving *serving, const struct prompts *prompts,
	  const struct serve_options *options, struct tandem_error *error);
void serving_free(struct serving *serving);

#endif /* TANDEM_SERVE_PROMPTS_H */
