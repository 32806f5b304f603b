/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark found: rows of ours beside a peer's, and the conditions
 * under which they were measured; a table for people, JSON for scripts.
 */
#ifndef TANDEM_BENCH_TABLE_H
#define TANDEM_BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct bench_table;

/* Rounds that one row can have. */
#define BENCH_ROUNDS_MAX	99

/**
 * struct bench_samples - one figure, measured once in each round
 * @ours: of what is measured; more is better
 * @peer: of what it is measured against, in the same round
 * @count: rounds, 1 … %BENCH_ROUNDS_MAX
 */
struct bench_samples {
	double ours[BENCH_ROUNDS_MAX];
	double peer[BENCH_ROUNDS_MAX];
	size_t count;
};

/* A table with what is known of the machine as its conditions; NULL if there is no memory. */
struct bench_table *bench_table_create(void);
void bench_table_destroy(struct bench_table *table);

/* One more condition; the value is copied. */
void bench_table_condition(struct bench_table *table, const char *name, const char *value);
void bench_table_condition_number(struct bench_table *table, const char *name, double value);
/* Strings by their names, or null; @value is taken over. */
void bench_table_condition_object(struct bench_table *table, const char *name, json_t *value);

/**
 * bench_table_add() - one more row
 * @table: the table
 * @what: what was measured
 * @unit: of both figures
 * @peer_name: against what
 * @aim: the ratio that is aimed at; 0 for none
 * @samples: of each round; the row has their medians, least and greatest. Its
 *	ratio is the median of the rounds' ratios
 */
void bench_table_add(struct bench_table *table, const char *what, const char *unit,
		     const char *peer_name, double aim, const struct bench_samples *samples);

/* More of the row that was added last, in JSON only; @value is taken over. */
void bench_table_detail(struct bench_table *table, const char *name, json_t *value);

/* What could not be measured, and why. */
void bench_table_skip(struct bench_table *table, const char *what, const char *why);

/* To standard output. Return: 0, or -EIO. */
int bench_table_print(const struct bench_table *table, bool json);

#endif /* TANDEM_BENCH_TABLE_H */
