// SPDX-License-Identifier: MIT
/*
 * tandem list: the accelerators of this machine.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <tandem/tandem.h>

#include "commands.h"
#include "failure.h"

#define DEVICES_MAX	256

struct list_options {
	bool json;
};

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "as one JSON array", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct list_options *list = state->input;

	switch (key) {
	case 'j':
		list->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not needed", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char *role_name(uint32_t role)
{
	switch (role) {
	case TANDEM_ROLE_PREFILL:
		return "prefill";
	case TANDEM_ROLE_DECODE:
		return "decode";
	default:
		return "any";
	}
}

static int get_info(struct tandem_loop *loop, const char *name, struct tandem_device_info *info,
		    struct tandem_error *error)
{
	struct tandem_device *device;
	int ret = tandem_device_open(loop, name, &device, error);

	if (ret)
		return ret;
	ret = tandem_device_get_info(device, info);
	tandem_device_close(device);
	return ret ? failure(error, ret, "%s: %s", name, strerror(-ret)) : 0;
}

static void print_text(const struct tandem_device_info *info)
{
	printf("%-10s %-8s %-8s %10.1f MiB %10.1f MiB %5u %8u\n", info->name, info->profile,
	       role_name(info->role), (double)info->memory_used / 0x1p20,
	       (double)info->memory_size / 0x1p20, info->copy_queues, info->compute_queues);
}

static void append_json(json_t *array, const struct tandem_device_info *info)
{
	json_array_append_new(array,
		json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			  "name", info->name, "profile", info->profile,
			  "role", role_name(info->role),
			  "memory_used", (json_int_t)info->memory_used,
			  "memory_size", (json_int_t)info->memory_size,
			  "copy_queues", (json_int_t)info->copy_queues,
			  "compute_queues", (json_int_t)info->compute_queues,
			  "profile_memory_size", (json_int_t)info->profile_memory_size,
			  "profile_memory_bandwidth", (json_int_t)info->profile_memory_bandwidth,
			  "profile_flops", (json_int_t)info->profile_flops,
			  "profile_link_bandwidth", (json_int_t)info->profile_link_bandwidth));
}

static int show(struct tandem_loop *loop, char (*names)[64], int count, json_t *array)
{
	int status = 0;

	for (int i = 0; i < count; i++) {
		struct tandem_device_info info = { 0 };
		struct tandem_error error = { 0 };

		if (get_info(loop, names[i], &info, &error)) {
			status = failure_print(&error);
		} else if (array) {
			append_json(array, &info);
		} else {
			print_text(&info);
		}
	}
	return status;
}

int command_list(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Show the Tandem accelerators of this machine. Devices on threads of a process (inproc:PROFILE) are not listed: they exist only while something uses them.",
	};
	static char names[DEVICES_MAX][64];
	struct list_options list = { 0 };
	struct tandem_error error = { 0 };
	struct tandem_loop *loop;
	json_t *array = NULL;
	int count, status;

	argp_parse(&argp, argc, argv, 0, NULL, &list);
	if (tandem_loop_create(&loop, &error))
		return failure_print(&error);
	count = tandem_device_list(names, DEVICES_MAX);
	if (count > DEVICES_MAX)
		count = DEVICES_MAX;
	if (list.json)
		array = json_array();
	else if (count > 0)
		printf("%-10s %-8s %-8s %14s %14s %5s %8s\n", "DEVICE", "PROFILE", "ROLE",
		       "MEMORY USED", "SIZE", "COPY", "COMPUTE");
	status = show(loop, names, count, array);
	if (array) {
		json_dumpf(array, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(array);
	} else if (count <= 0) {
		fprintf(stderr, "tandem: no Tandem accelerators here; load tandem_emu.ko and tandem.ko and start tandem-fw, or use inproc:PROFILE\n");
	}
	tandem_loop_destroy(loop);
	return status;
}
