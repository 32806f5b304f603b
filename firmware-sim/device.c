// SPDX-License-Identifier: MIT
/* Making, starting and stopping a device; what all its parts use. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "device.h"
#include "fault.h"

#define FW_VERSION		"tandem-fw 1.0"
#define FW_CORES_MAX		256
#define FW_WORKING_MEMORY	(1ull << 30)

const char *tandem_fw_version(void)
{
	return FW_VERSION;
}

static _Atomic uint32_t *register_at(struct tandem_fw *fw, uint32_t offset)
{
	return (_Atomic uint32_t *)((char *)fw->bus->registers + offset);
}

uint32_t fw_register_read(struct tandem_fw *fw, uint32_t offset)
{
	return atomic_load_explicit(register_at(fw, offset), memory_order_acquire);
}

uint64_t fw_register_read64(struct tandem_fw *fw, uint32_t offset)
{
	uint64_t low = fw_register_read(fw, offset);

	return low | (uint64_t)fw_register_read(fw, offset + 4) << 32;
}

void fw_register_write(struct tandem_fw *fw, uint32_t offset, uint32_t value)
{
	atomic_store_explicit(register_at(fw, offset), value, memory_order_release);
}

void fw_register_write64(struct tandem_fw *fw, uint32_t offset, uint64_t value)
{
	fw_register_write(fw, offset, (uint32_t)value);
	fw_register_write(fw, offset + 4, value >> 32);
}

struct tandem_hw_doorbell *fw_doorbell(struct tandem_fw *fw, uint32_t queue)
{
	return (struct tandem_hw_doorbell *)((char *)fw->bus->registers +
					     TANDEM_HW_DOORBELL_BASE) + queue;
}

void fw_doorbell_clear(struct tandem_fw *fw, uint32_t queue)
{
	uint32_t offset = TANDEM_HW_DOORBELL_BASE + queue * sizeof(struct tandem_hw_doorbell);

	for (uint32_t i = 0; i < sizeof(struct tandem_hw_doorbell); i += 4)
		fw_register_write(fw, offset + i, 0);
}

void fw_doorbell_wake(struct tandem_fw *fw, uint32_t queue)
{
	uint64_t one = 1;
	ssize_t written;

	/* Fails only when the counter is full, and then it wakes as well. */
	written = write(fw->bus->doorbells[queue], &one, sizeof(one));
	(void)written;
}

void fw_doorbell_sleep(struct tandem_fw *fw, uint32_t queue, int timeout_ms)
{
	struct pollfd wait = {
		.fd = fw->bus->doorbells[queue],
		.events = POLLIN,
	};
	uint64_t count;
	ssize_t got;

	if (poll(&wait, 1, timeout_ms) <= 0 || !(wait.revents & POLLIN))
		return;
	got = read(wait.fd, &count, sizeof(count));
	(void)got;
}

int fw_guarded(struct tandem_fw *fw, void (*body)(void *argument), void *argument)
{
	if (fw->bus->guard)
		return fw->bus->guard(fw->bus, body, argument);
	body(argument);
	return 0;
}

struct copy {
	void *to;
	const void *from;
	size_t length;
};

static void copy_body(void *argument)
{
	const struct copy *copy = argument;

	memcpy(copy->to, copy->from, copy->length);
}

int fw_copy_guarded(struct tandem_fw *fw, void *to, const void *from, size_t length)
{
	struct copy copy = { .to = to, .from = from, .length = length };

	return fw_guarded(fw, copy_body, &copy);
}

void fw_fatal(struct tandem_fw *fw, uint32_t status)
{
	uint32_t none = 0;

	/* The first reason is the one that explains the others. */
	atomic_compare_exchange_strong(&fw->fatal, &none, status);
	fw_doorbell_wake(fw, 0);
}

void fw_interrupt(struct tandem_fw *fw, uint32_t vector)
{
	if (!fw_fault_interrupt(fw, vector))
		fw->bus->raise_interrupt(fw->bus, vector);
}

uint64_t fw_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

__attribute__((format(printf, 2, 3)))
static int refuse(char *error, const char *format, ...)
{
	va_list arguments;

	if (error) {
		va_start(arguments, format);
		vsnprintf(error, TANDEM_FW_ERROR_BYTES, format, arguments);
		va_end(arguments);
	}
	return -EINVAL;
}

static int check_config(const struct tandem_fw_config *config, char *error)
{
	uint64_t queues = (uint64_t)config->copy_queues + config->compute_queues;

	if (!config->profile || !tandem_fw_profile_find(config->profile))
		return refuse(error, "profile '%.32s' is unknown",
			      config->profile ? config->profile : "");
	if (!config->memory_size || config->memory_size % 4096)
		return refuse(error, "memory size %llu is not a positive multiple of 4096",
			      (unsigned long long)config->memory_size);
	if (config->sram_size % 4096 || config->sram_size > UINT64_MAX - config->memory_size)
		return refuse(error, "SRAM size %llu is not a multiple of 4096, or too much",
			      (unsigned long long)config->sram_size);
	if (config->sram_size &&
	    tandem_fw_profile_find(config->profile)->memory_kind == TANDEM_HW_MEMORY_SRAM)
		return refuse(error, "all memory of profile '%.32s' is SRAM: it has none beside it",
			      config->profile);
	if (!queues || queues > TANDEM_HW_QUEUES_MAX)
		return refuse(error, "%llu queues: give 1 to %d, copy and compute together",
			      (unsigned long long)queues, TANDEM_HW_QUEUES_MAX);
	if (config->cores > FW_CORES_MAX)
		return refuse(error, "%u cores: give 1 to %d", config->cores, FW_CORES_MAX);
	if (config->look_us_max > TANDEM_FW_LOOK_US_MAX)
		return refuse(error, "looking for commands for %u us: give 0 to %d",
			      config->look_us_max, TANDEM_FW_LOOK_US_MAX);
	if (!tandem_kernels_select(config->isa))
		return refuse(error, "instruction set '%.32s' is unknown or not in this CPU",
			      config->isa);
	return 0;
}

int tandem_fw_create(const struct tandem_fw_config *config, struct tandem_fw_bus *bus,
		     struct tandem_fw **fw, char *error)
{
	char reason[TANDEM_FW_ERROR_BYTES];
	struct tandem_fw *device;
	int ret;

	ret = check_config(config, error);
	if (ret)
		return ret;

	device = calloc(1, sizeof(*device));
	if (!device) {
		if (error)
			snprintf(error, TANDEM_FW_ERROR_BYTES, "out of memory");
		return -ENOMEM;
	}
	device->bus = bus;
	device->profile = tandem_fw_profile_find(config->profile);
	device->kernels = tandem_kernels_select(config->isa);
	device->memory_size = config->memory_size + config->sram_size;
	device->sram_size = config->sram_size;
	device->working_memory_max = config->working_memory_max ?: FW_WORKING_MEMORY;
	device->copy_queues = config->copy_queues;
	device->compute_queues = config->compute_queues;
	device->cores = config->cores ?: 1;
	device->look_ns_max = config->look_us_max * 1000ull;
	device->log_level = config->log_level > TANDEM_FW_LOG_INFO ? config->log_level :
								     TANDEM_FW_LOG_INFO;
	ret = fw_faults_create(config->faults, &device->faults, error ? error : reason);
	if (ret) {
		free(device);
		return ret;
	}
	fw_log_init(&device->log);
	*fw = device;
	return 0;
}

int tandem_fw_start(struct tandem_fw *fw)
{
	int ret;

	fw_control_reset(fw);
	fw_log(fw, TANDEM_FW_LOG_INFO, "%s: %s, %llu MiB, %u copy and %u compute queues",
	       FW_VERSION, fw->profile->name, (unsigned long long)fw->memory_size >> 20,
	       fw->copy_queues, fw->compute_queues);
	ret = pthread_create(&fw->control, NULL, fw_control_main, fw);
	if (ret)
		return -ret;
	fw->started = true;
	return 0;
}

void tandem_fw_stop(struct tandem_fw *fw)
{
	if (!fw->started)
		return;
	atomic_store(&fw->stopping, true);
	fw_doorbell_wake(fw, 0);
	pthread_join(fw->control, NULL);
	fw->started = false;
}

void tandem_fw_destroy(struct tandem_fw *fw)
{
	if (!fw)
		return;
	tandem_fw_stop(fw);
	fw_log_fini(&fw->log);
	fw_faults_destroy(fw->faults);
	free(fw);
}
