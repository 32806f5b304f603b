/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * Programs: what the runtime hands a Tandem device to execute.
 *
 * A program is a block of bytes in a region, named by an EXEC command. The
 * driver does not look into it. The device copies it in once, checks the copy,
 * and reaches memory only through (region, offset, length) references that the
 * region table of the command's context allows. Little-endian, naturally
 * aligned; every offset "in the program" counts from its first byte.
 */
#ifndef _UAPI_TANDEM_PROGRAM_H
#define _UAPI_TANDEM_PROGRAM_H

#include <linux/types.h>

/* "TPRG" in memory order. */
#define TANDEM_PROGRAM_MAGIC		0x47525054
#define TANDEM_PROGRAM_VERSION		2

/* The longest program, in bytes. */
#define TANDEM_PROGRAM_BYTES_MAX	(16u << 20)

/**
 * enum tandem_program_operation - what a program does
 * @TANDEM_PROGRAM_FORWARD: runs layers of a transformer over rows of tokens;
 *	&struct tandem_program_forward
 */
enum tandem_program_operation {
	TANDEM_PROGRAM_FORWARD = 1,
};

/**
 * enum tandem_program_error - detail of a PROGRAM_INVALID completion
 * @TANDEM_PROGRAM_BAD_HEADER: magic, version, operation or size
 * @TANDEM_PROGRAM_BAD_FIELD: a field out of range; a reserved one not zero
 * @TANDEM_PROGRAM_BAD_TABLE: rows, sequences or blocks beyond the program, or
 *	naming one another wrongly
 * @TANDEM_PROGRAM_BAD_MODEL: the model description does not hold together
 * @TANDEM_PROGRAM_BAD_REFERENCE: a referenced range is too short for what the
 *	program needs of it
 */
enum tandem_program_error {
	TANDEM_PROGRAM_BAD_HEADER = 1,
	TANDEM_PROGRAM_BAD_FIELD = 2,
	TANDEM_PROGRAM_BAD_TABLE = 3,
	TANDEM_PROGRAM_BAD_MODEL = 4,
	TANDEM_PROGRAM_BAD_REFERENCE = 5,
};

/**
 * enum tandem_program_type - element types; the numbers are those of GGUF
 * @TANDEM_PROGRAM_F32: IEEE-754 binary32
 * @TANDEM_PROGRAM_F16: IEEE-754 binary16
 * @TANDEM_PROGRAM_Q4_0: blocks of 32 elements, 18 bytes
 * @TANDEM_PROGRAM_Q8_0: blocks of 32 elements, 34 bytes
 * @TANDEM_PROGRAM_Q4_K: blocks of 256 elements, 144 bytes
 * @TANDEM_PROGRAM_Q6_K: blocks of 256 elements, 210 bytes
 * @TANDEM_PROGRAM_BF16: the upper half of a binary32
 *
 * Matrices may have any of them, where their columns are whole blocks; KV caches
 * F32, F16, or, where a head is whole blocks, Q8_0.
 */
enum tandem_program_type {
	TANDEM_PROGRAM_F32 = 0,
	TANDEM_PROGRAM_F16 = 1,
	TANDEM_PROGRAM_Q4_0 = 2,
	TANDEM_PROGRAM_Q8_0 = 8,
	TANDEM_PROGRAM_Q4_K = 12,
	TANDEM_PROGRAM_Q6_K = 14,
	TANDEM_PROGRAM_BF16 = 30,
};

/**
 * struct tandem_program_header - the first bytes of each program
 * @magic: %TANDEM_PROGRAM_MAGIC
 * @version: %TANDEM_PROGRAM_VERSION
 * @operation: &enum tandem_program_operation
 * @size: bytes of the whole program, tables included; at most the length
 *	that the EXEC command gave
 * @flags: of the operation
 */
struct tandem_program_header {
	__u32 magic;
	__u16 version;
	__u16 operation;
	__u32 size;
	__u32 flags;
};

/**
 * struct tandem_program_reference - a range of a region
 * @region: index into the context's region table
 * @reserved: zero
 * @offset: bytes from the region's start; a multiple of 64
 * @length: bytes
 */
struct tandem_program_reference {
	__u32 region;
	__u32 reserved;
	__u64 offset;
	__u64 length;
};

/**
 * struct tandem_program_tensor - one tensor of a model
 * @offset: bytes from the start of &tandem_program_forward.weights; a
 *	multiple of 32
 * @type: &enum tandem_program_type; norms are F32
 * @present: 1, or 0 for a tensor that the model lacks
 *
 * Shapes follow from the model's dimensions. A matrix of n rows by k columns
 * lies row after row, k elements each.
 */
struct tandem_program_tensor {
	__u64 offset;
	__u32 type;
	__u32 present;
};

/**
 * struct tandem_program_layer - the tensors of one layer
 * @attention_norm: [dim]
 * @query: [heads * head_dim][dim]
 * @key: [kv_heads * head_dim][dim]
 * @value: [kv_heads * head_dim][dim]
 * @attention_output: [dim][heads * head_dim]
 * @ffn_norm: [dim]
 * @gate: [ffn_dim][dim]
 * @up: [ffn_dim][dim]
 * @down: [dim][ffn_dim]
 * @query_bias: [heads * head_dim], added to the queries; not present: nothing is.
 *	Likewise the following two
 * @key_bias: [kv_heads * head_dim]
 * @value_bias: [kv_heads * head_dim]
 * @query_norm: [head_dim], RMSNorm of each head of the queries, with its bias and
 *	before it is rotated; not present: there is none
 * @key_norm: [head_dim], likewise of the keys
 */
struct tandem_program_layer {
	struct tandem_program_tensor attention_norm;
	struct tandem_program_tensor query;
	struct tandem_program_tensor key;
	struct tandem_program_tensor value;
	struct tandem_program_tensor attention_output;
	struct tandem_program_tensor ffn_norm;
	struct tandem_program_tensor gate;
	struct tandem_program_tensor up;
	struct tandem_program_tensor down;
	struct tandem_program_tensor query_bias;
	struct tandem_program_tensor key_bias;
	struct tandem_program_tensor value_bias;
	struct tandem_program_tensor query_norm;
	struct tandem_program_tensor key_norm;
};

/* "TMDL" in memory order. */
#define TANDEM_PROGRAM_MODEL_MAGIC	0x4c444d54

/**
 * enum tandem_program_architecture - families of models
 * @TANDEM_PROGRAM_LLAMA: pre-norm RMSNorm, rotary positions, grouped-query
 *	attention, SwiGLU. What its descendants add, such as biases, is said by
 *	tensors that are present and by &enum tandem_program_rope_pairs
 */
enum tandem_program_architecture {
	TANDEM_PROGRAM_LLAMA = 1,
};

/**
 * enum tandem_program_rope_pairs - which elements of a head turn together
 * @TANDEM_PROGRAM_ROPE_ADJACENT: pair i is elements 2 i and 2 i + 1
 * @TANDEM_PROGRAM_ROPE_HALVES: pair i is elements i and rope_dim / 2 + i
 */
enum tandem_program_rope_pairs {
	TANDEM_PROGRAM_ROPE_ADJACENT = 0,
	TANDEM_PROGRAM_ROPE_HALVES = 1,
};

/**
 * struct tandem_program_model - description of a model, in device memory
 * @magic: %TANDEM_PROGRAM_MODEL_MAGIC
 * @architecture: &enum tandem_program_architecture
 * @layers: transformer layers
 * @dim: width of the hidden state
 * @ffn_dim: width of the feed-forward layer
 * @heads: query heads, a multiple of @kv_heads
 * @kv_heads: key and value heads
 * @head_dim: elements a head
 * @rope_dim: leading elements of a head that are rotated; even, ≤ @head_dim
 * @vocabulary: rows of @token_embedding
 * @context: positions run from 0 to @context - 1
 * @rms_epsilon: added to the mean square; bits of a binary32
 * @rope_frequency_base: bits of a binary32
 * @rope_frequency_scale: position is multiplied by it; bits of a binary32
 * @rope_pairs: &enum tandem_program_rope_pairs
 * @rope_magnitude: rotated elements are multiplied by it; bits of a binary32
 * @rope_factors: [rope_dim / 2], positive: divisors of the frequency of each pair;
 *	not present: none
 * @token_embedding: [vocabulary][dim]
 * @output_norm: [dim]
 * @output: [vocabulary][dim]; not present: @token_embedding serves
 * @layer: @layers entries
 */
struct tandem_program_model {
	__u32 magic;
	__u32 architecture;
	__u32 layers;
	__u32 dim;
	__u32 ffn_dim;
	__u32 heads;
	__u32 kv_heads;
	__u32 head_dim;
	__u32 rope_dim;
	__u32 vocabulary;
	__u32 context;
	__u32 rms_epsilon;
	__u32 rope_frequency_base;
	__u32 rope_frequency_scale;
	__u32 rope_pairs;
	__u32 rope_magnitude;
	struct tandem_program_tensor rope_factors;
	struct tandem_program_tensor token_embedding;
	struct tandem_program_tensor output_norm;
	struct tandem_program_tensor output;
	struct tandem_program_layer layer[];
};

/**
 * struct tandem_program_kv - layout of a KV pool
 * @type: &enum tandem_program_type of its elements
 * @block_tokens: tokens a block
 * @blocks: blocks that the pool has for each layer
 * @layers: layers that the pool covers, equal to those of the model
 *
 * A block is the K and the V of one layer for @block_tokens tokens:
 * K[block_tokens][kv_heads * head_dim], then V likewise. With
 * block_bytes = 2 * block_tokens * (bytes of kv_heads * head_dim elements), block b
 * of layer l starts (l * blocks + b) * block_bytes into the pool, so that
 * neighbouring blocks of a layer are one range.
 */
struct tandem_program_kv {
	__u32 type;
	__u32 block_tokens;
	__u32 blocks;
	__u32 layers;
};

/**
 * struct tandem_program_row - one token of a batch
 * @token: its id; looked at only with EMBED
 * @position: its place in the sequence, from 0
 * @sequence: index into the table of sequences
 * @flags: TANDEM_ROW_*
 *
 * Rows of one sequence come in ascending, gapless order of position. A row
 * attends to positions 0 … @position of its sequence, of which those that are
 * not rows of this program have to be in the KV pool already.
 */
struct tandem_program_row {
	__u32 token;
	__u32 position;
	__u32 sequence;
	__u32 flags;
#define TANDEM_ROW_OUTPUT		(1u << 0)
};

/**
 * struct tandem_program_sequence - one sequence of a batch
 * @first_block: index of its first entry in the table of blocks
 * @block_count: entries; token p of the sequence is in entry p / block_tokens
 */
struct tandem_program_sequence {
	__u32 first_block;
	__u32 block_count;
};

/* The longest history of a sampling, in tokens. */
#define TANDEM_PROGRAM_HISTORY_MAX	4096

/**
 * struct tandem_program_sampling - how the next tokens of one sequence are chosen
 * @seed: the token that follows a row at position p is drawn with number p + 1 of
 *	this seed's random numbers, whatever else is in the program
 * @temperature: logits are divided by it, 0 to 1e6; 0 takes the likeliest. Bits
 *	of a binary32, as the following three
 * @top_p: of what @top_k leaves, only the fewest of the likeliest whose
 *	probabilities sum up to it; more than 0, and at most 1: all
 * @min_p: of what @top_p leaves, only tokens at least that share as likely as the
 *	likeliest; 0 to 1
 * @repeat_penalty: logits of tokens in the history are divided by it, if they are
 *	negative multiplied with it; 0.01 to 100; 1: nothing happens
 * @top_k: only that many of the likeliest; 0: all
 * @first_history: index of its first entry in the table of history
 * @history_count: entries, at most %TANDEM_PROGRAM_HISTORY_MAX
 * @reserved: zero
 *
 * In this order: penalty, temperature, top_k, top_p, min_p, and a draw by the
 * probabilities of what is left. Of equals the lower ids go before. The random
 * numbers are those of Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As
 * Easy as 1, 2, 3", SC11) with the seed as key and p + 1 as counter, low words
 * first; the upper 53 bits of its first two words, low word first, decide.
 */
struct tandem_program_sampling {
	__u64 seed;
	__u32 temperature;
	__u32 top_p;
	__u32 min_p;
	__u32 repeat_penalty;
	__u32 top_k;
	__u32 first_history;
	__u32 history_count;
	__u32 reserved;
};

/**
 * struct tandem_program_output - what the model says after one row
 * @token: the most likely next token, of equals the lowest id; with SAMPLE the
 *	one that was drawn
 * @row: the row it belongs to
 * @reserved: zero
 *
 * With LOGITS the logits follow as @vocabulary binary32 values, as the model has
 * them: before penalty and temperature.
 */
struct tandem_program_output {
	__u32 token;
	__u32 row;
	__u32 reserved[2];
};

/**
 * struct tandem_program_forward - run layers over rows of tokens
 * @header: operation FORWARD, flags of TANDEM_FORWARD_*
 * @model: &struct tandem_program_model
 * @weights: base of the tensors
 * @hidden: hidden state between programs, binary32 [rows][dim]: written from
 *	the tokens with EMBED, else read; holds the state after the last layer
 *	in the end
 * @kv_pool: base of the KV pool
 * @output: one &struct tandem_program_output for each row that has
 *	TANDEM_ROW_OUTPUT, in the order of rows, @output_stride apart; used
 *	only with OUTPUT
 * @kv: layout of the pool
 * @layer_first: first layer to run
 * @layer_count: how many, may be 0
 * @rows: entries in the table of rows, at least 1
 * @sequences: entries in the table of sequences
 * @blocks: entries in the table of blocks, each a __u32 below
 *	&tandem_program_kv.blocks
 * @rows_offset: in the program, of the table of rows; multiples of 8 all three
 * @sequences_offset: in the program
 * @blocks_offset: in the program
 * @output_stride: bytes, a multiple of 16
 * @history: entries in the table of history, each a token, a __u32
 * @samplings_offset: in the program, of the table of samplings, one entry for
 *	each of @sequences; a multiple of 8
 * @history_offset: in the program, of the table of history; a multiple of 8
 *
 * EMBED: begin with the embedding of the tokens. OUTPUT: end with the output
 * norm and matrix, and write @output. LOGITS: write logits as well. SAMPLE: draw
 * tokens as the table of samplings says; without it the last three fields are
 * zero.
 */
struct tandem_program_forward {
	struct tandem_program_header header;
	struct tandem_program_reference model;
	struct tandem_program_reference weights;
	struct tandem_program_reference hidden;
	struct tandem_program_reference kv_pool;
	struct tandem_program_reference output;
	struct tandem_program_kv kv;
	__u32 layer_first;
	__u32 layer_count;
	__u32 rows;
	__u32 sequences;
	__u32 blocks;
	__u32 rows_offset;
	__u32 sequences_offset;
	__u32 blocks_offset;
	__u32 output_stride;
	__u32 history;
	__u32 samplings_offset;
	__u32 history_offset;
};

#define TANDEM_FORWARD_EMBED		(1u << 0)
#define TANDEM_FORWARD_OUTPUT		(1u << 1)
#define TANDEM_FORWARD_LOGITS		(1u << 2)
#define TANDEM_FORWARD_SAMPLE		(1u << 3)

#endif /* _UAPI_TANDEM_PROGRAM_H */
