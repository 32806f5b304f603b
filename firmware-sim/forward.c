// SPDX-License-Identifier: MIT
/* FORWARD. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "buffer.h"
#include "device.h"
#include "forward.h"
#include "kernels/philox.h"
#include "kernels/sampling.h"
#include "model.h"
#include "pool.h"
#include "program.h"

/* Rows that go through the layers together; bounds working memory. */
#define TILE_ROWS	128
/* Rows whose logits are made together. */
#define OUTPUT_ROWS	16
/*
 * Operations that a core takes at a time: about a millisecond, so that an
 * abort is noticed soon even where a core is emulated.
 */
#define GRAIN_FLOPS	(8u << 20)
/* Columns of a product are handed out in multiples of this. */
#define GRAIN_COLUMNS	32
/* Less work than this is not worth waking another core for. */
#define SHARE_FLOPS	(1u << 17)
/* Consecutive rows of a sequence whose attention is taken together, at most. */
#define QUERIES_MAX	32
/* Products that share one input. */
#define PRODUCTS_MAX	3

/**
 * struct queries - consecutive rows of one sequence
 * @first: row of the tile
 * @count: rows
 */
struct queries {
	uint32_t first;
	uint32_t count;
};

/**
 * struct run - a program that is running
 * @forward: the program
 * @p: its fixed part
 * @m: its model
 * @kernels: instruction set
 * @pool: the cores
 * @dim: width of the hidden state, likewise the following of other things
 * @q_dim: queries of a row
 * @kv_dim: keys, and values, of a row
 * @ffn_dim: feed-forward layer
 * @quantised_columns: the widest row that is multiplied with quantised weights
 * @tile_rows: the most rows in a tile
 * @rope_factors: divisors of the rotary frequencies, or NULL
 * @x: hidden state [tile_rows][dim]
 * @norm: normalised hidden state, likewise
 * @sum: what a block of the layer adds to @x, likewise
 * @q: queries [tile_rows][q_dim]
 * @attended: what attention makes of them, likewise
 * @k: keys [tile_rows][kv_dim]
 * @v: values, likewise
 * @gate: [tile_rows][ffn_dim]
 * @up: likewise
 * @rope: angles [tile_rows][rope_dim]
 * @logits: [OUTPUT_ROWS][vocabulary]
 * @candidates: likewise, where tokens are drawn
 * @history: [OUTPUT_ROWS][TANDEM_PROGRAM_HISTORY_MAX], likewise
 * @quantised: input of a product with quantised weights, row after row
 * @queries: the rows of the tile, cut into pieces that attention takes together
 * @block: KV blocks of the present layer, parallel to the table of blocks
 * @output_row: rows of the present output step, numbers within the tile
 *
 * And where it is:
 *
 * @first: first row of the tile
 * @rows: rows of the tile
 * @query_count: entries of @queries
 * @layer: the layer
 * @pool_layer: its part of the KV pool
 * @outputs_done: outputs written
 * @output_rows: entries of @output_row
 */
struct run {
	const struct fw_forward *forward;
	const struct tandem_program_forward *p;
	const struct tandem_program_model *m;
	const struct tandem_kernels *kernels;
	struct fw_pool *pool;
	uint64_t dim, q_dim, kv_dim, ffn_dim;
	uint64_t quantised_columns;
	uint64_t tile_rows;

	float *rope_factors;
	float *x, *norm, *sum, *q, *attended, *k, *v, *gate, *up, *rope, *logits;
	struct tandem_candidate *candidates;
	uint32_t *history;
	char *quantised;
	struct queries *queries;
	const void **block;
	uint32_t output_row[OUTPUT_ROWS];

	uint64_t first, rows;
	uint32_t query_count;
	const struct tandem_program_layer *layer;
	char *pool_layer;
	uint64_t outputs_done;
	uint32_t output_rows;
};

static const void *tensor(const struct run *run, const struct tandem_program_tensor *tensor)
{
	return (const char *)run->forward->weights.pointer + tensor->offset;
}

static const struct tandem_program_row *row_at(const struct run *run, uint64_t index)
{
	return &run->forward->rows[run->first + index];
}

static float *hidden_row(const struct run *run, uint64_t index)
{
	return (float *)run->forward->hidden.pointer + (run->first + index) * run->dim;
}

/* A loop over the rows of the tile, @flops being the work of one row. */
static int for_rows(struct run *run, uint64_t flops,
		    void (*body)(void *argument, uint64_t begin, uint64_t end))
{
	return fw_pool_run(run->pool, run->rows, GRAIN_FLOPS / (flops + 1) / 16 + 1, body, run);
}

/**
 * struct product - a matrix product of the tile
 * @w: the matrix
 * @columns: its rows, which are the columns of the result
 * @y: the result
 */
struct product {
	const struct tandem_program_tensor *w;
	uint64_t columns;
	float *y;
};

struct products {
	struct run *run;
	uint64_t rows;
	uint64_t k;
	const float *x;
	struct product product[PRODUCTS_MAX];
	uint32_t count;
};

/* Units are the columns of all products, one after the other. */
static void products_body(void *argument, uint64_t begin, uint64_t end)
{
	const struct products *products = argument;

	for (uint32_t i = 0; i < products->count && begin < end; i++) {
		const struct product *product = &products->product[i];
		const struct tandem_matmul matmul = {
			.w_type = product->w->type,
			.m = products->rows,
			.k = products->k,
			.x = products->x,
			.ldx = products->k,
			.x_quantised = products->run->quantised,
			.w = tensor(products->run, product->w),
			.y = product->y,
			.ldy = product->columns,
		};

		if (begin < product->columns)
			products->run->kernels->matmul(&matmul, begin,
						       end < product->columns ?
						       end : product->columns);
		begin = begin > product->columns ? begin - product->columns : 0;
		end = end > product->columns ? end - product->columns : 0;
	}
}

static void quantise_body(void *argument, uint64_t begin, uint64_t end)
{
	const struct products *products = argument;
	const struct run *run = products->run;

	for (uint64_t i = begin; i < end; i++)
		run->kernels->quantise(run->quantised + i * tandem_activation_bytes(products->k),
				       products->x + i * products->k, products->k);
}

/* Quantise the input, where a product needs that. */
static int quantise_input(struct run *run, struct products *products)
{
	uint32_t i = 0;

	while (i < products->count && !tandem_type_quantised(products->product[i].w->type))
		i++;
	if (i == products->count)
		return 0;
	return fw_pool_run(run->pool, products->rows, SHARE_FLOPS / 8 / products->k + 1,
			   quantise_body, products);
}

/*
 * Of @units of @flops operations each, how many a core takes at a time: a multiple of
 * @multiple.
 */
static uint64_t find_grain(const struct run *run, uint64_t units, uint64_t flops,
			   uint64_t multiple)
{
	uint64_t cores = fw_pool_cores(run->pool);
	uint64_t grain = GRAIN_FLOPS / flops + 1;

	/*
	 * All cores take part, where there is enough for that to pay. One piece each:
	 * memory that lies in one piece is read fastest.
	 */
	if (grain > units / cores && cores > 1)
		grain = (units + cores - 1) / cores;
	if (grain < SHARE_FLOPS / flops)
		grain = SHARE_FLOPS / flops;
	return (grain + multiple - 1) / multiple * multiple;
}

static int run_products(struct run *run, struct products *products)
{
	uint64_t flops = 2 * products->rows * products->k;
	uint64_t columns = 0;
	int ret;

	products->run = run;
	ret = quantise_input(run, products);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < products->count; i++)
		columns += products->product[i].columns;
	return fw_pool_run(run->pool, columns, find_grain(run, columns, flops, GRAIN_COLUMNS),
			   products_body, products);
}

static void load_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++) {
		const struct tandem_program_row *row = row_at(run, i);
		float *x = run->x + i * run->dim;

		if (run->p->header.flags & TANDEM_FORWARD_EMBED)
			tandem_kernel_embed(run->kernels, x,
					    tensor(run, &run->m->token_embedding),
					    run->m->token_embedding.type, row->token,
					    run->dim);
		else
			memcpy(x, hidden_row(run, i), run->dim * sizeof(*x));
		if (run->p->layer_count)
			tandem_kernel_rope_table(run->rope + i * run->m->rope_dim,
						 row->position, run->m->rope_dim,
						 fw_model_float(run->m->rope_frequency_base),
						 run->rope_factors,
						 fw_model_float(run->m->rope_magnitude));
	}
}

static void store_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++)
		memcpy(hidden_row(run, i), run->x + i * run->dim, run->dim * sizeof(float));
}

static void normalise(struct run *run, float *out, const float *x,
		      const struct tandem_program_tensor *weight)
{
	run->kernels->rms_norm(out, x, tensor(run, weight), run->dim,
			       fw_model_float(run->m->rms_epsilon));
}

static void attention_norm_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++)
		normalise(run, run->norm + i * run->dim, run->x + i * run->dim,
			  &run->layer->attention_norm);
}

/* The block of a row of the tile, and its slot in there. */
static char *block_of(const struct run *run, const struct tandem_program_row *row,
		      uint64_t *slot)
{
	const struct tandem_program_sequence *sequence =
		&run->forward->sequences[row->sequence];
	uint32_t entry = sequence->first_block + row->position / run->p->kv.block_tokens;

	*slot = row->position % run->p->kv.block_tokens;
	return run->pool_layer + run->forward->blocks[entry] * run->forward->block_bytes;
}

static void add_bias(const struct run *run, float *x, uint64_t n,
		     const struct tandem_program_tensor *bias)
{
	if (bias->present)
		run->kernels->add(x, x, tensor(run, bias), n);
}

/* What comes between the product that gives the heads of a row and attention. */
static void finish_heads(struct run *run, float *x, uint64_t heads, const float *angles,
			 const struct tandem_program_tensor *bias,
			 const struct tandem_program_tensor *norm)
{
	const struct tandem_program_model *m = run->m;

	add_bias(run, x, heads * m->head_dim, bias);
	for (uint64_t i = 0; norm->present && i < heads; i++)
		run->kernels->rms_norm(x + i * m->head_dim, x + i * m->head_dim,
				       tensor(run, norm), m->head_dim,
				       fw_model_float(m->rms_epsilon));
	if (m->rope_pairs == TANDEM_PROGRAM_ROPE_HALVES)
		run->kernels->rope_halves(x, heads, m->head_dim, m->rope_dim, angles);
	else
		run->kernels->rope(x, heads, m->head_dim, m->rope_dim, angles);
}

static void rotate_and_store_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;
	const struct tandem_program_model *m = run->m;

	for (uint64_t i = begin; i < end; i++) {
		const float *angles = run->rope + i * m->rope_dim;
		uint64_t slot;
		char *block = block_of(run, row_at(run, i), &slot);

		finish_heads(run, run->q + i * run->q_dim, m->heads, angles,
			     &run->layer->query_bias, &run->layer->query_norm);
		finish_heads(run, run->k + i * run->kv_dim, m->kv_heads, angles,
			     &run->layer->key_bias, &run->layer->key_norm);
		add_bias(run, run->v + i * run->kv_dim, run->kv_dim, &run->layer->value_bias);
		tandem_kernel_store_kv(run->kernels, block, run->p->kv.type, run->kv_dim,
				       run->p->kv.block_tokens, slot,
				       run->k + i * run->kv_dim, run->v + i * run->kv_dim);
	}
}

/* Units are the heads of all pieces, piece after piece. */
static void attention_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;
	const uint64_t heads = run->m->heads;

	while (begin < end) {
		const struct queries *queries = &run->queries[begin / heads];
		uint64_t i = queries->first, head = begin % heads;
		uint64_t last = end - begin < heads - head ? head + end - begin : heads;
		const struct tandem_program_row *row = row_at(run, i);
		const struct tandem_program_sequence *sequence =
			&run->forward->sequences[row->sequence];
		const struct tandem_attention attention = {
			.kv_type = run->p->kv.type,
			.n_heads = heads,
			.n_kv_heads = run->m->kv_heads,
			.head_dim = run->m->head_dim,
			.block_tokens = run->p->kv.block_tokens,
			.n_queries = queries->count,
			.n_tokens = (size_t)row->position + 1,
			.scale = 1 / sqrtf((float)run->m->head_dim),
			.q = run->q + i * run->q_dim,
			.ldq = run->q_dim,
			.blocks = run->block + sequence->first_block,
			.out = run->attended + i * run->q_dim,
			.ld_out = run->q_dim,
		};

		run->kernels->attention(&attention, head, last);
		begin += last - head;
	}
}

/* Cut the tile into pieces of consecutive rows of one sequence. */
static void find_queries(struct run *run)
{
	struct queries *last = NULL;

	run->query_count = 0;
	for (uint32_t i = 0; i < run->rows; i++) {
		if (last && last->count < QUERIES_MAX &&
		    row_at(run, i)->sequence == row_at(run, i - 1)->sequence) {
			last->count++;
			continue;
		}
		last = &run->queries[run->query_count++];
		*last = (struct queries){ i, 1 };
	}
}

static int run_attention(struct run *run)
{
	uint64_t units = (uint64_t)run->query_count * run->m->heads;
	uint64_t longest = 0, flops;

	for (uint64_t i = 0; i < run->rows; i++)
		if (row_at(run, i)->position > longest)
			longest = row_at(run, i)->position;
	flops = 4 * (longest + 1) * run->m->head_dim * (run->rows / run->query_count + 1);
	/* Heads that share K and V are not parted. */
	return fw_pool_run(run->pool, units,
			   find_grain(run, units, flops, run->m->heads / run->m->kv_heads),
			   attention_body, run);
}

static void ffn_norm_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++) {
		float *x = run->x + i * run->dim;

		run->kernels->add(x, x, run->sum + i * run->dim, run->dim);
		normalise(run, run->norm + i * run->dim, x, &run->layer->ffn_norm);
	}
}

static void gate_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++)
		run->kernels->silu_mul(run->gate + i * run->ffn_dim,
				       run->gate + i * run->ffn_dim,
				       run->up + i * run->ffn_dim, run->ffn_dim);
}

static void ffn_add_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++)
		run->kernels->add(run->x + i * run->dim, run->x + i * run->dim,
				  run->sum + i * run->dim, run->dim);
}

static void begin_layer(struct run *run, uint32_t layer)
{
	const struct fw_forward *forward = run->forward;

	run->layer = &run->m->layer[layer];
	run->pool_layer = (char *)forward->kv_pool.pointer +
			  (uint64_t)layer * run->p->kv.blocks * forward->block_bytes;
	for (uint32_t i = 0; i < run->p->blocks; i++)
		run->block[i] = run->pool_layer + forward->blocks[i] * forward->block_bytes;
}

static int run_attention_block(struct run *run)
{
	const struct tandem_program_layer *layer = run->layer;
	struct products qkv = {
		.rows = run->rows, .k = run->dim, .x = run->norm, .count = 3,
		.product = {
			{ &layer->query, run->q_dim, run->q },
			{ &layer->key, run->kv_dim, run->k },
			{ &layer->value, run->kv_dim, run->v },
		},
	};
	struct products out = {
		.rows = run->rows, .k = run->q_dim, .x = run->attended, .count = 1,
		.product = { { &layer->attention_output, run->dim, run->sum } },
	};
	int ret;

	ret = for_rows(run, 4 * run->dim, attention_norm_body);
	if (!ret)
		ret = run_products(run, &qkv);
	if (!ret)
		ret = for_rows(run, 4 * run->q_dim, rotate_and_store_body);
	if (!ret)
		ret = run_attention(run);
	if (!ret)
		ret = run_products(run, &out);
	return ret;
}

static int run_ffn_block(struct run *run)
{
	const struct tandem_program_layer *layer = run->layer;
	struct products in = {
		.rows = run->rows, .k = run->dim, .x = run->norm, .count = 2,
		.product = {
			{ &layer->gate, run->ffn_dim, run->gate },
			{ &layer->up, run->ffn_dim, run->up },
		},
	};
	struct products out = {
		.rows = run->rows, .k = run->ffn_dim, .x = run->gate, .count = 1,
		.product = { { &layer->down, run->dim, run->sum } },
	};
	int ret;

	ret = for_rows(run, 4 * run->dim, ffn_norm_body);
	if (!ret)
		ret = run_products(run, &in);
	if (!ret)
		ret = for_rows(run, 16 * run->ffn_dim, gate_body);
	if (!ret)
		ret = run_products(run, &out);
	if (!ret)
		ret = for_rows(run, run->dim, ffn_add_body);
	return ret;
}

static void output_norm_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;

	for (uint64_t i = begin; i < end; i++)
		normalise(run, run->norm + i * run->dim,
			  run->x + run->output_row[i] * run->dim, &run->m->output_norm);
}

/* Draw the token that follows @row, out of logits that need not be kept. */
static uint32_t draw_token(struct run *run, uint64_t output, const struct tandem_program_row *row,
			   float *logits)
{
	const struct tandem_program_sampling *sampling = &run->forward->samplings[row->sequence];
	const uint64_t vocabulary = run->m->vocabulary;
	const struct tandem_sampling_rule rule = {
		.temperature = fw_model_float(sampling->temperature),
		.top_k = sampling->top_k,
		.top_p = fw_model_float(sampling->top_p),
		.min_p = fw_model_float(sampling->min_p),
	};
	const float penalty = fw_model_float(sampling->repeat_penalty);
	uint32_t *history = run->history + output * TANDEM_PROGRAM_HISTORY_MAX;

	if (penalty != 1) {
		memcpy(history, run->forward->history + sampling->first_history,
		       sampling->history_count * sizeof(*history));
		tandem_kernel_penalise(logits, penalty, history, sampling->history_count);
	}
	return tandem_kernel_sample(&rule, logits, vocabulary,
				    run->kernels->argmax(logits, vocabulary),
				    tandem_philox_uniform(sampling->seed, row->position + 1ull),
				    run->candidates + output * vocabulary);
}

static void output_store_body(void *argument, uint64_t begin, uint64_t end)
{
	struct run *run = argument;
	uint64_t vocabulary = run->m->vocabulary;

	for (uint64_t i = begin; i < end; i++) {
		float *logits = run->logits + i * vocabulary;
		char *to = (char *)run->forward->output.pointer +
			   (run->outputs_done + i) * run->p->output_stride;
		struct tandem_program_output output = {
			.row = run->first + run->output_row[i],
		};

		if (run->p->header.flags & TANDEM_FORWARD_LOGITS)
			memcpy(to + sizeof(output), logits, vocabulary * sizeof(*logits));
		output.token = run->forward->samplings ?
			draw_token(run, i, row_at(run, run->output_row[i]), logits) :
			run->kernels->argmax(logits, vocabulary);
		memcpy(to, &output, sizeof(output));
	}
}

/* The logits of the rows that have been gathered in output_row. */
static int output_step(struct run *run)
{
	const struct tandem_program_model *m = run->m;
	struct products logits = {
		.rows = run->output_rows, .k = run->dim, .x = run->norm, .count = 1,
		.product = { {
			m->output.present ? &m->output : &m->token_embedding,
			m->vocabulary, run->logits,
		} },
	};
	int ret;

	if (!run->output_rows)
		return 0;
	ret = fw_pool_run(run->pool, run->output_rows, 1, output_norm_body, run);
	if (!ret)
		ret = run_products(run, &logits);
	if (!ret)
		ret = fw_pool_run(run->pool, run->output_rows, 1, output_store_body, run);
	run->outputs_done += run->output_rows;
	run->output_rows = 0;
	return ret;
}

static int run_output(struct run *run)
{
	int ret;

	for (uint64_t i = 0; i < run->rows; i++) {
		if (!(row_at(run, i)->flags & TANDEM_ROW_OUTPUT))
			continue;
		run->output_row[run->output_rows++] = i;
		if (run->output_rows < OUTPUT_ROWS)
			continue;
		ret = output_step(run);
		if (ret)
			return ret;
	}
	return output_step(run);
}

/*
 * A tile goes through all layers before the next one begins. That is sound as
 * rows of a sequence ascend: what a row attends to was stored by its own tile,
 * an earlier one, or an earlier program.
 */
static int run_tile(struct run *run)
{
	int ret;

	if (run->p->layer_count)
		find_queries(run);
	ret = for_rows(run, 4 * run->dim + 64 * run->m->rope_dim, load_body);
	for (uint32_t i = 0; i < run->p->layer_count && !ret; i++) {
		begin_layer(run, run->p->layer_first + i);
		ret = run_attention_block(run);
		if (!ret)
			ret = run_ffn_block(run);
	}
	if (!ret)
		ret = for_rows(run, run->dim, store_body);
	if (!ret && (run->p->header.flags & TANDEM_FORWARD_OUTPUT))
		ret = run_output(run);
	return ret;
}

/* Hand out the next @bytes of working memory; only counts where @base is NULL. */
static void *carve(char *base, uint64_t *used, uint64_t bytes)
{
	void *part = base ? base + *used : NULL;

	*used += (bytes + 63) & ~63ull;
	return part;
}

/* Return: the bytes that it takes. They do not overflow, see model.c. */
static uint64_t lay_out(struct run *run, char *base)
{
	const uint64_t rows = run->tile_rows, f = sizeof(float);
	uint64_t used = 0, rope = run->m->rope_dim, outputs = run->forward->outputs;

	if (outputs > OUTPUT_ROWS)
		outputs = OUTPUT_ROWS;
	if (!(run->p->header.flags & TANDEM_FORWARD_OUTPUT))
		outputs = 0;
	run->x = carve(base, &used, rows * run->dim * f);
	/* Output uses it, too, and then has rows of its own. */
	run->norm = carve(base, &used, (rows > outputs ? rows : outputs) * run->dim * f);
	run->logits = carve(base, &used, outputs * run->m->vocabulary * f);
	if (run->forward->samplings) {
		run->candidates = carve(base, &used, outputs * run->m->vocabulary *
					sizeof(*run->candidates));
		run->history = carve(base, &used, outputs * TANDEM_PROGRAM_HISTORY_MAX *
				     sizeof(*run->history));
	}
	run->quantised = carve(base, &used, (rows > outputs ? rows : outputs) *
			       tandem_activation_bytes(run->quantised_columns));
	if (!run->p->layer_count)
		return used;
	run->sum = carve(base, &used, rows * run->dim * f);
	run->q = carve(base, &used, rows * run->q_dim * f);
	run->attended = carve(base, &used, rows * run->q_dim * f);
	run->k = carve(base, &used, rows * run->kv_dim * f);
	run->v = carve(base, &used, rows * run->kv_dim * f);
	run->gate = carve(base, &used, rows * run->ffn_dim * f);
	run->up = carve(base, &used, rows * run->ffn_dim * f);
	run->rope = carve(base, &used, rows * rope * f);
	run->rope_factors = carve(base, &used, rope / 2 * f);
	run->queries = carve(base, &used, rows * sizeof(*run->queries));
	run->block = carve(base, &used, run->p->blocks * sizeof(*run->block));
	return used;
}

static void count_columns(struct run *run, const struct tandem_program_tensor *tensor,
			  uint64_t columns)
{
	if (tandem_type_quantised(tensor->type) && columns > run->quantised_columns)
		run->quantised_columns = columns;
}

static void find_quantised_columns(struct run *run)
{
	const struct tandem_program_model *m = run->m;

	count_columns(run, m->output.present ? &m->output : &m->token_embedding, run->dim);
	for (uint32_t i = 0; i < run->p->layer_count; i++) {
		const struct tandem_program_layer *layer = &m->layer[run->p->layer_first + i];

		count_columns(run, &layer->query, run->dim);
		count_columns(run, &layer->key, run->dim);
		count_columns(run, &layer->value, run->dim);
		count_columns(run, &layer->attention_output, run->q_dim);
		count_columns(run, &layer->gate, run->dim);
		count_columns(run, &layer->up, run->dim);
		count_columns(run, &layer->down, run->ffn_dim);
	}
}

/* Working memory for tiles as large as the budget allows. */
static bool allocate(struct run *run, struct fw_buffer *scratch, struct fw_budget *budget)
{
	run->tile_rows = run->p->rows < TILE_ROWS ? run->p->rows : TILE_ROWS;
	while (!fw_buffer_reserve(scratch, lay_out(run, NULL), budget)) {
		if (run->tile_rows == 1)
			return false;
		run->tile_rows /= 2;
	}
	lay_out(run, scratch->data);
	return true;
}

/*
 * The kernels scale frequencies where a model scales positions, which is the
 * same but for rounding; factors of 1 do not even round.
 */
static void set_rope_factors(struct run *run)
{
	float scale = fw_model_float(run->m->rope_frequency_scale);
	const float *factors = NULL;

	if (!run->rope_factors)
		return;
	if (run->m->rope_factors.present)
		factors = tensor(run, &run->m->rope_factors);
	if (scale == 1 && !factors) {
		run->rope_factors = NULL;
		return;
	}
	for (uint32_t i = 0; i < run->m->rope_dim / 2; i++)
		run->rope_factors[i] = (factors ? factors[i] : 1) / scale;
}

uint32_t fw_forward_run(const struct fw_forward *forward, const struct tandem_kernels *kernels,
			struct fw_pool *pool, struct fw_buffer *scratch,
			struct fw_budget *budget)
{
	struct run run = {
		.forward = forward,
		.p = forward->header,
		.m = forward->model,
		.kernels = kernels,
		.pool = pool,
		.dim = forward->model->dim,
		.q_dim = fw_model_query_dim(forward->model),
		.kv_dim = fw_model_kv_dim(forward->model),
		.ffn_dim = forward->model->ffn_dim,
	};
	int ret = 0;

	find_quantised_columns(&run);
	if (!allocate(&run, scratch, budget))
		return TANDEM_HW_NO_MEMORY;
	set_rope_factors(&run);
	for (; run.first < run.p->rows && !ret; run.first += run.rows) {
		run.rows = run.p->rows - run.first;
		if (run.rows > run.tile_rows)
			run.rows = run.tile_rows;
		ret = run_tile(&run);
	}
	if (ret == -ECANCELED)
		return TANDEM_HW_ABORTED;
	return ret ? TANDEM_HW_BUS_FAULT : TANDEM_HW_OK;
}
