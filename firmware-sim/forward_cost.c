// SPDX-License-Identifier: MIT
/*
 * What a FORWARD program asks of the hardware. Matrices and attention only:
 * the rest is a fraction of a per cent of either.
 */
#include "forward.h"
#include "model.h"
#include "program.h"

static double tensor_bytes(const struct tandem_program_tensor *tensor, double elements)
{
	return elements / (double)tandem_type_block(tensor->type) *
	       (double)tandem_type_block_bytes(tensor->type);
}

static void add_matrix(struct fw_forward_cost *cost, const struct tandem_program_tensor *tensor,
		       double rows, double columns, double tokens)
{
	cost->flops += 2 * rows * columns * tokens;
	cost->bytes += tensor_bytes(tensor, rows * columns);
}

static void add_layer(struct fw_forward_cost *cost, const struct tandem_program_model *m,
		      const struct tandem_program_layer *layer, double tokens)
{
	double q = (double)fw_model_query_dim(m), kv = (double)fw_model_kv_dim(m);

	add_matrix(cost, &layer->query, q, m->dim, tokens);
	add_matrix(cost, &layer->key, kv, m->dim, tokens);
	add_matrix(cost, &layer->value, kv, m->dim, tokens);
	add_matrix(cost, &layer->attention_output, m->dim, q, tokens);
	add_matrix(cost, &layer->gate, m->ffn_dim, m->dim, tokens);
	add_matrix(cost, &layer->up, m->ffn_dim, m->dim, tokens);
	add_matrix(cost, &layer->down, m->dim, m->ffn_dim, tokens);
}

/*
 * Attention of one layer. Rows of one sequence that come in one program share
 * one reading of its K and V, so the last row of each counts for the bytes;
 * what the rows add to the pool is written once.
 */
static void add_attention(struct fw_forward_cost *cost, const struct fw_forward *forward)
{
	const struct tandem_program_forward *p = forward->header;
	const struct tandem_program_model *m = forward->model;
	double q = (double)fw_model_query_dim(m), kv = (double)fw_model_kv_dim(m);
	double kv_bytes = 2 * (double)tandem_type_row_bytes(p->kv.type, (size_t)kv);
	double seen = 0, read = 0;

	for (uint32_t i = 0; i < p->rows; i++) {
		const struct tandem_program_row *row = &forward->rows[i];

		seen += row->position + 1.0;
		if (i + 1 == p->rows || row[1].sequence != row->sequence)
			read += row->position + 1.0;
	}
	cost->flops += p->layer_count * 4 * q * seen;
	cost->bytes += p->layer_count * kv_bytes * (read + p->rows);
}

void fw_forward_estimate(const struct fw_forward *forward, struct fw_forward_cost *cost)
{
	const struct tandem_program_forward *p = forward->header;
	const struct tandem_program_model *m = forward->model;
	const struct tandem_program_tensor *output =
		m->output.present ? &m->output : &m->token_embedding;
	double hidden = (double)p->rows * m->dim * sizeof(float);

	*cost = (struct fw_forward_cost){ .bytes = 2 * hidden };
	for (uint32_t i = 0; i < p->layer_count; i++)
		add_layer(cost, m, &m->layer[p->layer_first + i], p->rows);
	add_attention(cost, forward);
	if ((p->header.flags & TANDEM_FORWARD_OUTPUT) && forward->outputs)
		add_matrix(cost, output, m->vocabulary, m->dim, forward->outputs);
}
