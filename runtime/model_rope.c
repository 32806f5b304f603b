// SPDX-License-Identifier: MIT
/* Rotary positions. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "error.h"
#include "model_keys.h"
#include "model_rope.h"

/**
 * struct yarn - parameters of YaRN
 * @factor: by which the context is extended
 * @context: tokens of the context that was trained first
 * @beta_fast: pairs that turn at least that often over it stay as they are
 * @beta_slow: pairs that turn at most that often are interpolated by @factor
 */
struct yarn {
	float factor;
	uint32_t context;
	float beta_fast;
	float beta_slow;
};

static int refuse_not_one(const struct tandem_model *model, const char *name,
			  struct tandem_error *error)
{
	float value;
	int ret = model_f32_or(model, name, 1, &value, error);

	if (!ret && value != 1)
		ret = model_refuse_value(model, name, "a value other than 1", error);
	return ret;
}

/* The number of the pair, as a fraction, that turns @turns times over the context. */
static double pair_that_turns(const struct tandem_model *model, const struct yarn *yarn,
			      double turns)
{
	return model->rope_dim * log(yarn->context / (turns * 2 * M_PI)) /
	       (2 * log((double)model->rope_frequency_base));
}

/*
 * Section 3.2 of the paper, "NTK-by-parts": a mixture of the frequency and of the
 * frequency divided by the factor. Its part is linear in the number of the pair,
 * between numbers rounded down and up, as in the code that the paper's authors
 * published and models are run with; the paper's formula is linear in the turns.
 * Section 3.4: heads are multiplied by 0.1 ln(factor) + 1.
 */
static void apply_yarn(struct tandem_model *model, const struct yarn *yarn)
{
	const double first = fmax(0, floor(pair_that_turns(model, yarn, yarn->beta_fast)));
	const double last = fmin(model->rope_dim - 1,
				 ceil(pair_that_turns(model, yarn, yarn->beta_slow)));

	for (uint32_t i = 0; i < model->rope_dim / 2; i++) {
		const double part = fmin(1, fmax(0, (i - first) / fmax(last - first, 0.001)));

		model->rope_factors[i] = (float)(1 / (part / yarn->factor + 1 - part));
	}
	model->rope_magnitude = (float)(0.1 * log((double)yarn->factor) + 1);
}

static int allocate_factors(struct tandem_model *model, struct tandem_error *error)
{
	model->rope_factors = calloc(model->rope_dim / 2, sizeof(*model->rope_factors));
	if (!model->rope_factors)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory",
					tandem_gguf_name(model->file));
	return 0;
}

static int read_yarn(struct tandem_model *model, float factor, struct tandem_error *error)
{
	struct yarn yarn = { .factor = factor };
	int ret;

	ret = model_u32_or(model, "rope.scaling.original_context_length", model->info.context,
			   &yarn.context, error);
	if (!ret)
		ret = model_f32_or(model, "rope.scaling.yarn_beta_fast", 32, &yarn.beta_fast,
				   error);
	if (!ret)
		ret = model_f32_or(model, "rope.scaling.yarn_beta_slow", 1, &yarn.beta_slow,
				   error);
	if (ret)
		return ret;
	if (!(factor >= 1.0f) || !yarn.context || !(yarn.beta_slow > 0.0f) ||
	    !(yarn.beta_fast > yarn.beta_slow) || !(model->rope_frequency_base > 1.0f))
		return tandem_error_set(error, -EINVAL,
					"%s: the parameters of its YaRN make no sense: factor %g, context %u, beta %g to %g, base %g",
					tandem_gguf_name(model->file), (double)factor,
					yarn.context, (double)yarn.beta_slow,
					(double)yarn.beta_fast,
					(double)model->rope_frequency_base);
	ret = allocate_factors(model, error);
	if (!ret)
		apply_yarn(model, &yarn);
	return ret;
}

/* Also without a type a factor counts, and it had another name once. */
static int read_factor(const struct tandem_model *model, float *factor,
		       struct tandem_error *error)
{
	int ret = model_f32_or(model, "rope.scale_linear", 1, factor, error);

	if (!ret)
		ret = model_f32_or(model, "rope.scaling.factor", *factor, factor, error);
	if (!ret && !(*factor > 0.0f))
		ret = tandem_error_set(error, -EINVAL,
				       "%s: the factor of its RoPE scaling is not positive",
				       tandem_gguf_name(model->file));
	return ret;
}

static int read_scaling(struct tandem_model *model, struct tandem_error *error)
{
	struct tandem_gguf_string type = { .data = "linear", .length = 6 };
	float factor;
	int ret = 0;

	model->rope_frequency_scale = 1;
	model->rope_magnitude = 1;
	if (model_has(model, "rope.scaling.type"))
		ret = model_string(model, "rope.scaling.type", &type, error);
	if (!ret)
		ret = read_factor(model, &factor, error);
	if (!ret)
		ret = refuse_not_one(model, "rope.scaling.attn_factor", error);
	if (!ret)
		ret = refuse_not_one(model, "rope.scaling.yarn_attn_factor", error);
	if (!ret)
		ret = refuse_not_one(model, "rope.scaling.yarn_ext_factor", error);
	if (ret || tandem_gguf_string_is(type, "none"))
		return ret;
	if (tandem_gguf_string_is(type, "yarn"))
		return read_yarn(model, factor, error);
	if (!tandem_gguf_string_is(type, "linear"))
		return model_refuse_value(model, "rope.scaling.type",
					  "RoPE scaling other than none, linear and yarn", error);
	model->rope_frequency_scale = 1 / factor;
	return 0;
}

/* The divisors that a file has: the device has them in its description of the model. */
static int read_divisors(struct tandem_model *model, struct tandem_error *error)
{
	const struct tandem_gguf_tensor *tensor = model->rope_freqs;
	const char *name = tandem_gguf_name(model->file);
	int ret;

	if (!tensor)
		return 0;
	if (model->rope_factors)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: YaRN together with tensor %s is not built", name,
					tensor->name);
	if (tensor->type != 0 || tensor->elements != model->rope_dim / 2)
		return tandem_error_set(error, -EINVAL, "%s: tensor %s is not %u elements of F32",
					name, tensor->name, model->rope_dim / 2);
	ret = allocate_factors(model, error);
	if (!ret)
		ret = tandem_gguf_read(model->file, tensor, 0, model->rope_factors, tensor->bytes,
				       error);
	for (uint32_t i = 0; !ret && i < model->rope_dim / 2; i++)
		if (!(model->rope_factors[i] > 0.0f) || !isfinite(model->rope_factors[i]))
			ret = tandem_error_set(error, -EINVAL,
					       "%s: element %u of tensor %s is %g, not a positive divisor",
					       name, i, tensor->name,
					       (double)model->rope_factors[i]);
	return ret;
}

int model_read_rope(struct tandem_model *model, struct tandem_error *error)
{
	int ret;

	ret = model_u32_or(model, "rope.dimension_count", model->info.head_dim, &model->rope_dim,
			   error);
	if (ret)
		return ret;
	if (!model->rope_dim || model->rope_dim % 2 || model->rope_dim > model->info.head_dim)
		return tandem_error_set(error, -EINVAL,
					"%s: %u rotated elements do not go into heads of %u",
					tandem_gguf_name(model->file), model->rope_dim,
					model->info.head_dim);
	ret = model_f32_or(model, "rope.freq_base", 10000.0f, &model->rope_frequency_base, error);
	if (ret)
		return ret;
	if (!(model->rope_frequency_base > 0.0f))
		return tandem_error_set(error, -EINVAL, "%s: the base of its RoPE is not positive",
					tandem_gguf_name(model->file));
	ret = read_scaling(model, error);
	if (!ret) {
		model->rope_freqs = tandem_gguf_tensor(model->file, "rope_freqs.weight");
		ret = read_divisors(model, error);
	}
	return ret;
}
