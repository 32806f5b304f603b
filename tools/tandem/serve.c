// SPDX-License-Identifier: MIT
/*
 * Prompts served together.
 *
 * Standard output gets the texts, each with a newline behind it, and nothing else:
 * that of the first prompt that is not over as it comes, those of later ones when
 * it is their turn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "serve.h"

/* Prompts with fewer tokens are read too fast for a progress line. */
#define PROGRESS_TOKENS	128

static uint32_t number_of(const struct answer *answer)
{
	return (uint32_t)(answer - answer->serving->answers);
}

static bool is_next(const struct answer *answer)
{
	return number_of(answer) == answer->serving->next;
}

static void show_progress(void *user, uint64_t done, uint64_t total)
{
	struct answer *answer = user;

	if (is_next(answer) && answer->prompt_count >= PROGRESS_TOKENS)
		progress_show(&answer->serving->progress, "prefill", done, total);
}

/* Bring standard output up to what there is of an answer. */
static void print(struct answer *answer)
{
	struct serving *serving = answer->serving;
	const size_t size = answer->text_bytes - answer->printed;

	progress_clear(&serving->progress);
	if (!size || serving->failed)
		return;
	/* A reader that has gone away ends all of it. */
	if (fwrite(answer->text + answer->printed, 1, size, stdout) != size || fflush(stdout))
		serving->failed = true;
	answer->printed = answer->text_bytes;
}

/* Print what is over, in order, and what there is of the first that is not. */
static void print_in_order(struct serving *serving)
{
	for (; serving->next < serving->count; serving->next++) {
		struct answer *answer = &serving->answers[serving->next];

		print(answer);
		if (answer->op.pending)
			return;
		/* Nothing at all of a prompt that was refused. */
		if ((!answer->result.error.code || answer->printed) && !serving->failed) {
			putchar('\n');
			fflush(stdout);
		}
		if (serving->on_answer && !serving->failed)
			serving->on_answer(answer, serving->user);
	}
}

static char *room_for(struct answer *answer, size_t size)
{
	if (size > answer->text_room - answer->text_bytes) {
		const size_t room = (answer->text_bytes + size) * 2;
		char *grown = realloc(answer->text, room);

		if (!grown)
			return NULL;
		answer->text = grown;
		answer->text_room = room;
	}
	return answer->text + answer->text_bytes;
}

static size_t piece_max(const struct tandem_tokenizer *tokenizer)
{
	return tandem_tokenizer_piece_max(tokenizer) + TANDEM_TEXT_STREAM_HELD_MAX;
}

static int take_token(void *user, uint32_t token)
{
	struct answer *answer = user;
	struct serving *serving = answer->serving;
	const struct tandem_tokenizer *tokenizer = tandem_model_tokenizer(serving->session->model);
	const size_t longest = piece_max(tokenizer);
	char *text = room_for(answer, longest);
	ssize_t size = -ENOMEM;

	answer->tokens[answer->count++] = token;
	if (text)
		size = tandem_text_stream_put(&answer->stream, tokenizer, token, text, longest);
	if (size < 0) {
		serving->failed = true;
		return 1;
	}
	answer->text_bytes += (size_t)size;
	if (is_next(answer))
		print(answer);
	return serving->failed;
}

/* It is over, one way or the other. */
static void answer_done(struct tandem_operation *op)
{
	struct answer *answer = op->user;
	char *text = room_for(answer, TANDEM_TEXT_STREAM_HELD_MAX);
	ssize_t size;

	if (text) {
		size = tandem_text_stream_end(&answer->stream, text, TANDEM_TEXT_STREAM_HELD_MAX);
		answer->text_bytes += size > 0 ? (size_t)size : 0;
	}
	print_in_order(answer->serving);
}

static int tokenize(struct answer *answer, bool special, struct tandem_error *error)
{
	const struct tandem_tokenizer *tokenizer =
		tandem_model_tokenizer(answer->serving->session->model);
	const unsigned int flags =
		(tandem_tokenizer_add_bos(tokenizer) ? TANDEM_ENCODE_BOS : 0) |
		(special ? TANDEM_ENCODE_SPECIAL | TANDEM_ENCODE_USER_DEFINED : 0);
	const char *text = answer->prompt->text;
	ssize_t ret;

	ret = tandem_tokenizer_encode(tokenizer, text, strlen(text), flags, NULL, 0);
	if (ret > 0) {
		answer->prompt_tokens = calloc((size_t)ret, sizeof(*answer->prompt_tokens));
		ret = !answer->prompt_tokens ? -ENOMEM :
		      tandem_tokenizer_encode(tokenizer, text, strlen(text), flags,
					      answer->prompt_tokens, (size_t)ret);
	}
	if (ret <= 0)
		return failure(error, ret ? (int)ret : -EINVAL, "prompt: %s",
			       ret ? strerror(-(int)ret) :
				     "is empty, and the model has no token to begin with");
	answer->prompt_count = (uint32_t)ret;
	return 0;
}

/* The text goes on from the prompt's last token, whose own text is not part of it. */
static int begin_text(struct answer *answer)
{
	const struct tandem_tokenizer *tokenizer =
		tandem_model_tokenizer(answer->serving->session->model);
	const size_t longest = piece_max(tokenizer);
	char *unused = room_for(answer, longest);
	ssize_t size;

	if (!unused)
		return -ENOMEM;
	tandem_text_stream_begin(&answer->stream);
	size = tandem_text_stream_put(&answer->stream, tokenizer,
				      answer->prompt_tokens[answer->prompt_count - 1], unused,
				      longest);
	return size < 0 ? (int)size : 0;
}

static void start(struct answer *answer, const struct serve_options *options)
{
	const struct prompt *prompt = answer->prompt;
	struct tandem_error *error = &answer->result.error;
	struct tandem_request request = {
		.tokens_max = prompt->tokens,
		.sampling = prompt->sampling,
		.timeout_ms = prompt->timeout_ms,
		.no_prefix_cache = options->no_prefix_cache,
		.salt = &prompt->tenant,
		.on_token = take_token,
		.on_prefill = show_progress,
		.user = answer,
	};
	struct tandem_model_info info;

	if (tokenize(answer, options->parse_special, error))
		return;
	tandem_model_get_info(answer->serving->session->model, &info);
	answer->tokens = calloc(info.context + 1u, sizeof(*answer->tokens));
	if (!answer->tokens || begin_text(answer)) {
		failure(error, -ENOMEM, "out of memory");
		return;
	}
	request.prompt = answer->prompt_tokens;
	request.prompt_tokens = answer->prompt_count;
	answer->op.done = answer_done;
	answer->op.user = answer;
	tandem_request_start(answer->serving->scheduler, &request, &answer->result, &answer->op);
}

static int open_scheduler(struct serving *serving, const struct serve_options *options,
			  struct tandem_error *error)
{
	const struct session *session = serving->session;
	const struct tandem_scheduler_options scheduler = {
		.prefill = session->prefill ? session->prefill : session->decode,
		.decode = session->decode,
		.push = session->push,
		.receive = session->receive,
		.active_max = options->batch,
		.waiting_max = serving->count,
		.chunk_tokens = options->chunk_tokens,
	};

	return tandem_scheduler_create(session->loop, &scheduler, &serving->scheduler, error);
}

int serve(struct serving *serving, const struct prompts *prompts,
	  const struct serve_options *options, struct tandem_error *error)
{
	int ret;

	serving->count = prompts->count;
	serving->answers = calloc(prompts->count, sizeof(*serving->answers));
	if (!serving->answers)
		return failure(error, -ENOMEM, "out of memory");
	ret = open_scheduler(serving, options, error);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < prompts->count; i++) {
		serving->answers[i].serving = serving;
		serving->answers[i].prompt = &prompts->list[i];
		start(&serving->answers[i], options);
	}
	print_in_order(serving);
	while (serving->next < serving->count && !serving->failed && (!ret || ret == -EINTR)) {
		ret = tandem_loop_run(serving->session->loop, -1);
		if (ret > 0)
			ret = 0;
	}
	/* What is still under way, because nobody reads it, is cancelled. */
	tandem_scheduler_destroy(serving->scheduler);
	serving->scheduler = NULL;
	progress_clear(&serving->progress);
	if (serving->failed)
		return failure(error, -EIO, "standard output: the text could not be written");
	return ret ? failure(error, ret, "event loop: %s", strerror(-ret)) : 0;
}

void serving_free(struct serving *serving)
{
	for (uint32_t i = 0; i < serving->count && serving->answers; i++) {
		free(serving->answers[i].prompt_tokens);
		free(serving->answers[i].tokens);
		free(serving->answers[i].text);
	}
	free(serving->answers);
}
