// SPDX-License-Identifier: MIT
/* Prompts: what is to be generated. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "failure.h"
#include "prompts.h"

int prompts_add(struct prompts *prompts, const char *text, const struct prompt *like,
		struct tandem_error *error)
{
	struct prompt *grown;

	grown = reallocarray(prompts->list, prompts->count + 1u, sizeof(*grown));
	if (!grown)
		return failure(error, -ENOMEM, "out of memory");
	prompts->list = grown;
	grown += prompts->count;
	*grown = *like;
	grown->text = strdup(text);
	if (!grown->text)
		return failure(error, -ENOMEM, "out of memory");
	prompts->count++;
	return 0;
}

void prompts_free(struct prompts *prompts)
{
	for (uint32_t i = 0; i < prompts->count; i++)
		free(prompts->list[i].text);
	free(prompts->list);
}

static bool get_number(const json_t *value, double least, double most, double *number)
{
	*number = json_number_value(value);
	return json_is_number(value) && *number >= least && *number <= most;
}

/* Take one member of a line. Return: whether it is one that there is, and right. */
static bool take_member(struct prompt *prompt, const char **text, const char *key,
			const json_t *value)
{
	double number;

	if (!strcmp(key, "prompt")) {
		*text = json_string_value(value);
		return *text && strlen(*text) == json_string_length(value);
	}
	if (!strcmp(key, "tokens")) {
		if (!json_is_integer(value) || !get_number(value, 1, UINT32_MAX, &number))
			return false;
		prompt->tokens = (uint32_t)number;
		return true;
	}
	if (!strcmp(key, "temperature")) {
		if (!get_number(value, 0, 1000, &number))
			return false;
		prompt->sampling.temperature = (float)number;
		return true;
	}
	if (!strcmp(key, "seed")) {
		prompt->sampling.seed = (uint64_t)json_integer_value(value);
		return json_is_integer(value) && json_integer_value(value) >= 0;
	}
	if (!strcmp(key, "timeout")) {
		if (!get_number(value, 0.001, 4000000, &number))
			return false;
		prompt->timeout_ms = (unsigned int)ceil(number * 1000);
		return true;
	}
	if (!strcmp(key, "tenant")) {
		const size_t length = json_string_length(value);

		if (!json_is_string(value) || length > sizeof(prompt->tenant.bytes))
			return false;
		memset(&prompt->tenant, 0, sizeof(prompt->tenant));
		memcpy(prompt->tenant.bytes, json_string_value(value), length);
		return true;
	}
	return false;
}

static int add_line(struct prompts *prompts, const char *line, size_t length,
		    const struct prompt *like, struct tandem_error *error)
{
	struct prompt prompt = *like;
	const char *key, *text = NULL;
	json_error_t reason;
	json_t *object, *value;
	int ret = 0;

	object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &reason);
	if (!json_is_object(object)) {
		ret = failure(error, -EINVAL, "is not a JSON object: %s", object ? "it is another kind of value" : reason.text);
		goto out;
	}
	json_object_foreach(object, key, value) {
		if (take_member(&prompt, &text, key, value))
			continue;
		ret = failure(error, -EINVAL,
			      "member \"%s\" is unknown, or not what it has to be; see --help", key);
		goto out;
	}
	if (!text)
		ret = failure(error, -EINVAL, "there is no \"prompt\"");
	else
		ret = prompts_add(prompts, text, &prompt, error);
out:
	json_decref(object);
	return ret;
}

int prompts_read(struct prompts *prompts, const char *path, const struct prompt *like,
		 struct tandem_error *error)
{
	const bool is_input = !strcmp(path, "-");
	FILE *file = is_input ? stdin : fopen(path, "r");
	struct tandem_error reason = { 0 };
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int ret = 0;

	if (!file)
		return failure(error, -errno, "%s: cannot be opened: %s", path, strerror(errno));
	for (unsigned long number = 1; !ret && (length = getline(&line, &room, file)) > 0; number++) {
		if ((size_t)length == strspn(line, " \t\r\n"))
			continue;
		ret = add_line(prompts, line, (size_t)length, like, &reason);
		if (ret)
			failure(error, ret, "%s: line %lu: %s", path, number, reason.message);
	}
	if (!ret && ferror(file))
		ret = failure(error, -EIO, "%s: cannot be read", path);
	free(line);
	if (!is_input)
		fclose(file);
	return ret;
}
