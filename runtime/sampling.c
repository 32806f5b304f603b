// SPDX-License-Identifier: MIT
/* Sampling: its options, and what programs say of them. */
#include <errno.h>
#include <string.h>

#include <tandem_program.h>

#include "error.h"
#include "sampling.h"

static int check_range(const char *name, float value, float least, float most,
		       struct tandem_error *error)
{
	/* A NaN is out of any range. */
	if (value >= least && value <= most)
		return 0;
	return tandem_error_set(error, -EINVAL, "sampling: %s of %g is not within %g to %g", name,
				(double)value, (double)least, (double)most);
}

int tandem_sampling_check(const struct tandem_sampling *sampling, struct tandem_error *error)
{
	int ret;

	ret = check_range("temperature", sampling->temperature, 0, 1e6f, error);
	if (!ret)
		ret = check_range("top_p", sampling->top_p, 0, 1, error);
	if (!ret)
		ret = check_range("min_p", sampling->min_p, 0, 1, error);
	if (!ret && sampling->repeat_penalty != 0)
		ret = check_range("repeat_penalty", sampling->repeat_penalty, 0.01f, 100, error);
	if (!ret && sampling->repeat_last > TANDEM_REPEAT_LAST_MAX)
		ret = tandem_error_set(error, -EINVAL,
				       "sampling: repeat_last of %u tokens is more than %d",
				       sampling->repeat_last, TANDEM_REPEAT_LAST_MAX);
	return ret;
}

static bool penalises(const struct tandem_sampling *sampling)
{
	return sampling && sampling->repeat_penalty != 0 && sampling->repeat_penalty != 1;
}

bool sampling_is_plain(const struct tandem_sampling *sampling)
{
	return !sampling || (sampling->temperature == 0 && !penalises(sampling));
}

uint32_t sampling_history_needed(const struct tandem_sampling *sampling, uint32_t count)
{
	uint32_t last;

	if (!penalises(sampling))
		return 0;
	last = sampling->repeat_last ? sampling->repeat_last : TANDEM_REPEAT_LAST_DEFAULT;
	return count < last ? count : last;
}

static uint32_t float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

void sampling_describe(const struct tandem_sampling *sampling,
		       struct tandem_program_sampling *description)
{
	static const struct tandem_sampling likeliest;

	if (!sampling)
		sampling = &likeliest;
	description->seed = sampling->seed;
	/* Adding zero makes -0 the 0 that stands for a default. */
	description->temperature = float_bits(sampling->temperature + 0.0f);
	description->top_p = float_bits(sampling->top_p != 0 ? sampling->top_p : 1);
	description->min_p = float_bits(sampling->min_p + 0.0f);
	description->repeat_penalty = float_bits(penalises(sampling) ? sampling->repeat_penalty : 1);
	description->top_k = sampling->top_k;
}

void sampling_history_add(struct sampling_history *history, const uint32_t *tokens,
			  uint32_t count)
{
	uint32_t kept;

	if (count > TANDEM_REPEAT_LAST_MAX) {
		tokens += count - TANDEM_REPEAT_LAST_MAX;
		count = TANDEM_REPEAT_LAST_MAX;
	}
	kept = TANDEM_REPEAT_LAST_MAX - count;
	if (kept > history->count)
		kept = history->count;
	memmove(history->tokens, history->tokens + history->count - kept,
		kept * sizeof(*tokens));
	memcpy(history->tokens + kept, tokens, count * sizeof(*tokens));
	history->count = kept + count;
}
