// SPDX-License-Identifier: MIT
/*
 * tandem list: the accelerators of this machine.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <tandem/tandem.h>

#include "attributes.h"
#include "commands.h"
#include "failure.h"

#define DEVICES_MAX	256
/* For how long the devices are watched, to see how busy they are. */
#define LOOK_MS		100

/**
 * struct device - a device of the list
 * @name: "accelN"
 * @info: what it says of itself
 * @before: how it was at first
 * @now: and how after LOOK_MS
 */
struct device {
	char name[64];
	struct tandem_device_info info;
	struct attributes before;
	struct attributes now;
};

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

/* Share of the time between two looks for which queues of a kind were busy. */
static double utilisation(uint64_t busy_before, uint64_t busy_now, uint32_t queues,
			  uint64_t elapsed_ns)
{
	double share;

	if (!queues || !elapsed_ns || busy_now < busy_before)
		return 0;
	share = (double)(busy_now - busy_before) / ((double)queues * (double)elapsed_ns);
	/* Commands count when they end: with all of their time, also of earlier. */
	return share < 1 ? share : 1;
}

static double copy_utilisation(const struct device *device)
{
	return utilisation(device->before.copy_busy_ns, device->now.copy_busy_ns,
			   device->info.copy_queues,
			   device->now.read_ns - device->before.read_ns);
}

static double compute_utilisation(const struct device *device)
{
	return utilisation(device->before.compute_busy_ns, device->now.compute_busy_ns,
			   device->info.compute_queues,
			   device->now.read_ns - device->before.read_ns);
}

static void print_header(void)
{
	printf("%-8s %-8s %-8s %-10s %14s %14s %5s %6s %8s %6s\n", "DEVICE", "PROFILE", "ROLE",
	       "STATE", "MEMORY USED", "SIZE", "COPY", "UTIL", "COMPUTE", "UTIL");
}

static void print_text(const struct device *device)
{
	const struct tandem_device_info *info = &device->info;
	const struct attributes *now = &device->now;

	printf("%-8s %-8s %-8s %-10s %10.1f MiB %10.1f MiB %5u %4.0f %% %8u %4.0f %%\n",
	       info->name, info->profile, role_name(info->role), *now->state ? now->state : "?",
	       (double)info->memory_used / 0x1p20, (double)info->memory_size / 0x1p20,
	       info->copy_queues, copy_utilisation(device) * 100, info->compute_queues,
	       compute_utilisation(device) * 100);
	for (uint32_t i = 0; now->memory_count > 1 && i < now->memory_count; i++)
		printf("%-37s %10.1f MiB %10.1f MiB\n", now->memory[i].kind,
		       (double)now->memory[i].used / 0x1p20,
		       (double)now->memory[i].size / 0x1p20);
}

static json_t *memory_json(const struct attributes *now)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < now->memory_count; i++)
		json_array_append_new(array,
				      json_pack("{s:s, s:I, s:I}", "kind", now->memory[i].kind,
						"used", (json_int_t)now->memory[i].used,
						"size", (json_int_t)now->memory[i].size));
	return array;
}

static void append_json(json_t *array, const struct device *device)
{
	const struct tandem_device_info *info = &device->info;
	const struct attributes *now = &device->now;
	json_t *object;

	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			   "name", info->name, "profile", info->profile,
			   "role", role_name(info->role), "state", now->state,
			   "firmware_version", now->firmware_version,
			   "memory_used", (json_int_t)info->memory_used,
			   "memory_size", (json_int_t)info->memory_size,
			   "copy_queues", (json_int_t)info->copy_queues,
			   "compute_queues", (json_int_t)info->compute_queues,
			   "profile_memory_size", (json_int_t)info->profile_memory_size,
			   "profile_memory_bandwidth", (json_int_t)info->profile_memory_bandwidth,
			   "profile_flops", (json_int_t)info->profile_flops,
			   "profile_link_bandwidth", (json_int_t)info->profile_link_bandwidth);
	json_object_set_new(object, "memory", memory_json(now));
	json_object_set_new(object, "contexts", json_integer((json_int_t)now->contexts));
	json_object_set_new(object, "resets", json_integer((json_int_t)now->resets));
	json_object_set_new(object, "commands_completed",
			    json_integer((json_int_t)now->completed));
	json_object_set_new(object, "commands_failed", json_integer((json_int_t)now->failed));
	json_object_set_new(object, "copy_busy_ns", json_integer((json_int_t)now->copy_busy_ns));
	json_object_set_new(object, "compute_busy_ns",
			    json_integer((json_int_t)now->compute_busy_ns));
	json_object_set_new(object, "copy_utilisation", json_real(copy_utilisation(device)));
	json_object_set_new(object, "compute_utilisation",
			    json_real(compute_utilisation(device)));
	json_array_append_new(array, object);
}

/* Two looks at all devices, some time apart. */
static void look(struct device *devices, int count)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };

	for (int i = 0; i < count; i++)
		attributes_read(&devices[i].before, devices[i].name);
	if (count)
		nanosleep(&pause, NULL);
	for (int i = 0; i < count; i++)
		attributes_read(&devices[i].now, devices[i].name);
}

static int show(struct tandem_loop *loop, struct device *devices, int count, json_t *array)
{
	int status = 0;

	for (int i = 0; i < count; i++) {
		struct tandem_error error = { 0 };

		if (get_info(loop, devices[i].name, &devices[i].info, &error)) {
			status = failure_print(&error);
		} else if (array) {
			append_json(array, &devices[i]);
		} else {
			print_text(&devices[i]);
		}
	}
	return status;
}

int command_list(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Show the Tandem accelerators of this machine: memory in use, hardware queues of each kind, and for what share of 100 ms these were busy (a command counts when it ends). Devices on threads of a process (inproc:PROFILE) are not listed: they exist only while something uses them.",
	};
	static char names[DEVICES_MAX][64];
	static struct device devices[DEVICES_MAX];
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
	for (int i = 0; i < count; i++)
		memcpy(devices[i].name, names[i], sizeof(names[i]));
	look(devices, count > 0 ? count : 0);
	if (list.json)
		array = json_array();
	else if (count > 0)
		print_header();
	status = show(loop, devices, count, array);
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
