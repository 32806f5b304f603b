// SPDX-License-Identifier: MIT
/* Rows of a benchmark; schema 1 of `tandem bench … --json`. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <tandem/version.h>

#include "bench_table.h"

#define SCHEMA	1

/**
 * struct bench_table - all that was found
 * @conditions: JSON object
 * @rows: JSON array
 * @skipped: JSON array of {"what", "why"}
 */
struct bench_table {
	json_t *conditions;
	json_t *rows;
	json_t *skipped;
};

/* What follows "NAME\t: " in /proc/cpuinfo, first processor. */
static bool read_cpuinfo(const char *name, char *value, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[4096];
	char *colon;

	while (file && fgets(line, sizeof(line), file)) {
		colon = strchr(line, ':');
		if (strncmp(line, name, strlen(name)) || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(value, size, "%s", colon[1] ? colon + 2 : "");
		fclose(file);
		return true;
	}
	if (file)
		fclose(file);
	return false;
}

static void add_machine(struct bench_table *table)
{
	char text[4096], date[32];
	time_t now = time(NULL);
	struct utsname name;
	struct tm tm;

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	bench_table_condition(table, "date", date);
	bench_table_condition(table, "tandem", tandem_version());
	if (!uname(&name)) {
		bench_table_condition(table, "kernel", name.release);
		bench_table_condition(table, "architecture", name.machine);
	}
	if (read_cpuinfo("model name", text, sizeof(text)))
		bench_table_condition(table, "processor", text);
	bench_table_condition_number(table, "processors", (double)sysconf(_SC_NPROCESSORS_ONLN));
	if (read_cpuinfo("flags", text, sizeof(text)))
		json_object_set_new(table->conditions, "virtual",
				    json_boolean(strstr(text, " hypervisor") != NULL));
}

struct bench_table *bench_table_create(void)
{
	struct bench_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->conditions = json_object();
	table->rows = json_array();
	table->skipped = json_array();
	add_machine(table);
	return table;
}

void bench_table_destroy(struct bench_table *table)
{
	if (!table)
		return;
	json_decref(table->conditions);
	json_decref(table->rows);
	json_decref(table->skipped);
	free(table);
}

void bench_table_condition(struct bench_table *table, const char *name, const char *value)
{
	json_object_set_new(table->conditions, name, json_string(value));
}

void bench_table_condition_number(struct bench_table *table, const char *name, double value)
{
	json_object_set_new(table->conditions, name,
			    value == floor(value) ? json_integer((json_int_t)value) :
						    json_real(value));
}

void bench_table_condition_object(struct bench_table *table, const char *name, json_t *value)
{
	json_object_set_new(table->conditions, name, value);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts a copy. */
static double spread(const double *values, size_t count, double *least, double *greatest)
{
	double sorted[BENCH_ROUNDS_MAX];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare);
	*least = sorted[0];
	*greatest = sorted[count - 1];
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static void set_spread(json_t *row, const char *name, const double *values, size_t count)
{
	double least, greatest, median = spread(values, count, &least, &greatest);
	char key[32];

	json_object_set_new(row, name, json_real(median));
	snprintf(key, sizeof(key), "%s_min", name);
	json_object_set_new(row, key, json_real(least));
	snprintf(key, sizeof(key), "%s_max", name);
	json_object_set_new(row, key, json_real(greatest));
}

void bench_table_add(struct bench_table *table, const char *what, const char *unit,
		     const char *peer_name, double aim, const struct bench_samples *samples)
{
	double ratio[BENCH_ROUNDS_MAX];
	json_t *row = json_object();

	for (size_t i = 0; i < samples->count; i++)
		ratio[i] = samples->peer[i] > 0 ? samples->ours[i] / samples->peer[i] : 0;
	json_object_set_new(row, "what", json_string(what));
	json_object_set_new(row, "unit", json_string(unit));
	set_spread(row, "ours", samples->ours, samples->count);
	set_spread(row, "peer", samples->peer, samples->count);
	json_object_set_new(row, "peer_name", json_string(peer_name));
	set_spread(row, "ratio", ratio, samples->count);
	json_object_set_new(row, "aim", aim > 0 ? json_real(aim) : json_null());
	json_array_append_new(table->rows, row);
}

void bench_table_detail(struct bench_table *table, const char *name, json_t *value)
{
	json_object_set_new(json_array_get(table->rows, json_array_size(table->rows) - 1), name,
			    value);
}

void bench_table_skip(struct bench_table *table, const char *what, const char *why)
{
	json_array_append_new(table->skipped, json_pack("{s:s, s:s}", "what", what, "why", why));
}

static int print_json(const struct bench_table *table)
{
	json_t *root = json_pack("{s:i, s:O, s:O, s:O}", "schema", SCHEMA, "conditions",
				 table->conditions, "rows", table->rows, "skipped",
				 table->skipped);
	int ret;

	if (!root)
		return -EIO;
	ret = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	json_decref(root);
	return ret || putchar('\n') == EOF ? -EIO : 0;
}

static double number(const json_t *row, const char *name)
{
	return json_number_value(json_object_get(row, name));
}

static const char *text(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

static void print_figure(double value)
{
	printf(" %10.*f", value >= 1000 ? 0 : value >= 10 ? 1 : 3, value);
}

static void print_row(const json_t *row)
{
	const json_t *aim = json_object_get(row, "aim");

	printf("%-44s", text(row, "what"));
	print_figure(number(row, "ours"));
	print_figure(number(row, "peer"));
	printf("  %-16s %6.2f  %4.2f … %-5.2f", text(row, "unit"), number(row, "ratio"),
	       number(row, "ratio_min"), number(row, "ratio_max"));
	if (json_is_null(aim))
		printf(" %5s", "–");
	else
		printf(" %5.2f", json_number_value(aim));
	printf("  %s\n", text(row, "peer_name"));
}

static void print_conditions(const struct bench_table *table)
{
	const char *name, *part;
	json_t *value, *of_part;

	json_object_foreach(table->conditions, name, value) {
		json_object_foreach(value, part, of_part)
			printf("    %s\n", json_string_value(of_part));
		if (json_is_string(value))
			printf("  %-14s %s\n", name, json_string_value(value));
		else if (json_is_boolean(value))
			printf("  %-14s %s\n", name, json_is_true(value) ? "yes" : "no");
		else if (json_is_number(value))
			printf("  %-14s %g\n", name, json_number_value(value));
	}
}

int bench_table_print(const struct bench_table *table, bool json)
{
	size_t i;
	json_t *row;

	if (json)
		return print_json(table);
	print_conditions(table);
	printf("\n%-44s %10s %10s  %-16s %6s  %-13s %5s  %s\n", "WHAT", "OURS", "PEER", "UNIT",
	       "RATIO", "SPREAD", "AIM", "PEER IS");
	json_array_foreach(table->rows, i, row)
		print_row(row);
	json_array_foreach(table->skipped, i, row)
		printf("%-44s not measured: %s\n", text(row, "what"), text(row, "why"));
	return fflush(stdout) ? -EIO : 0;
}
