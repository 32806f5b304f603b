// SPDX-License-Identifier: MIT
/*
 * Memory that runs out: makes the first allocation of a call fail, then the
 * second, and so on until the call gets through without. Each failure has to
 * come back as an error, and to leave the device as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-heap.h>

#include "accel.h"
#include "firmware.h"
#include "tandem_emu.h"

#define OBJECT_SIZE	(64ull << 10)
#define ALLOCATIONS_MAX	2000
/* See is_of_drm_minor(): with those that an IDR may need for its nodes. */
#define DRM_MINOR_ALLOCATIONS	16

/**
 * struct scene - what calls work on
 * @accel: an open device
 * @other: another one, whose memory @dmabuf is
 * @object: of @accel
 * @dmabuf: exported by @other
 * @heap: a dma-buf of the system's
 * @memory: the process's own
 * @id: what a call has made, or is to destroy
 * @fd: likewise
 * @mapping: likewise
 */
struct scene {
	struct accel accel;
	struct accel other;
	uint32_t object;
	int dmabuf;
	int heap;
	uint8_t *memory;
	uint32_t id;
	int fd;
	void *mapping;
};

/**
 * struct call - a call under test
 * @name: for messages
 * @prepare: makes what it works on; may be NULL
 * @act: the call: 0 or -errno
 * @succeeded: undoes what it did
 * @failed: undoes what @prepare did; may be NULL
 * @is_spared: is this allocation not to fail? May be NULL
 */
struct call {
	const char *name;
	void (*prepare)(struct scene *scene);
	int (*act)(struct scene *scene);
	void (*succeeded)(struct scene *scene);
	void (*failed)(struct scene *scene);
	bool (*is_spared)(int nth);
};

static int fail_nth = -1;
/* Since arm(): has something been made to fail? */
static bool injected;
static bool armed;

static void write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

/* Of the calling thread, which alone is concerned. */
static void arm(int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", nth);

	injected = false;
	armed = true;
	assert_int_equal(pwrite(fail_nth, text, length, 0), length);
}

/* The call proper is over. Copies from and to users count, also those here. */
static void disarm(void)
{
	char text[16] = "";
	ssize_t length;

	if (!armed)
		return;
	armed = false;
	length = pread(fail_nth, text, sizeof(text) - 1, 0);
	injected = length > 0 && atoi(text) == 0;
	while (pwrite(fail_nth, "0", 1, 0) < 0)
		assert_int_equal(errno, EFAULT);
}

static int call_ioctl(struct scene *scene, unsigned long request, void *args)
{
	return accel_ioctl(&scene->accel, request, args);
}

static void close_fd(struct scene *scene)
{
	close(scene->fd);
}

static int act_open(struct scene *scene)
{
	scene->fd = open(ACCEL0, O_RDWR | O_CLOEXEC);
	return scene->fd < 0 ? -errno : 0;
}

static int act_get_param(struct scene *scene)
{
	struct drm_tandem_get_param args = {
		.param = TANDEM_PARAM_MEMORY_SIZE,
	};

	return call_ioctl(scene, DRM_IOCTL_TANDEM_GET_PARAM, &args);
}

static void nothing(struct scene *scene)
{
	(void)scene;
}

static int act_gem_create(struct scene *scene)
{
	struct drm_tandem_gem_create args = { .size = OBJECT_SIZE };
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_GEM_CREATE, &args);

	scene->id = args.handle;
	return ret;
}

static void close_object(struct scene *scene)
{
	accel_object_close(&scene->accel, scene->id);
}

static int act_gem_register(struct scene *scene)
{
	struct drm_tandem_gem_register args = {
		.address = address_of(scene->memory),
		.size = OBJECT_SIZE,
	};
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_GEM_REGISTER, &args);

	scene->id = args.handle;
	return ret;
}

static int act_mmap(struct scene *scene)
{
	struct drm_tandem_gem_mmap_offset args = { .handle = scene->object };
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &args);

	if (ret)
		return ret;
	scene->mapping = mmap(NULL, OBJECT_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED, scene->accel.fd, args.offset);
	return scene->mapping == MAP_FAILED ? -errno : 0;
}

static void unmap(struct scene *scene)
{
	munmap(scene->mapping, OBJECT_SIZE);
}

static int act_export(struct scene *scene)
{
	struct drm_prime_handle args = {
		.handle = scene->object,
		.flags = DRM_CLOEXEC | DRM_RDWR,
	};
	int ret = call_ioctl(scene, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	scene->fd = args.fd;
	return ret;
}

static int act_context_create(struct scene *scene)
{
	struct drm_tandem_context_create args = { 0 };
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &args);

	scene->id = args.context;
	return ret;
}

static void make_context(struct scene *scene)
{
	scene->id = accel_context(&scene->accel);
}

static int act_context_destroy(struct scene *scene)
{
	struct drm_tandem_context_destroy args = { .context = scene->id };

	return call_ioctl(scene, DRM_IOCTL_TANDEM_CONTEXT_DESTROY, &args);
}

static void destroy_context(struct scene *scene)
{
	assert_int_equal(act_context_destroy(scene), 0);
}

static int act_region_map(struct scene *scene)
{
	struct drm_tandem_region_map args = {
		.context = scene->accel.context,
		.handle = scene->object,
		.length = OBJECT_SIZE,
		.flags = READ | WRITE,
	};
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_REGION_MAP, &args);

	scene->id = args.region;
	return ret;
}

static void make_region(struct scene *scene)
{
	assert_int_equal(act_region_map(scene), 0);
}

static int act_region_unmap(struct scene *scene)
{
	return accel_region_unmap(&scene->accel, 0, scene->id);
}

static void unmap_region(struct scene *scene)
{
	assert_int_equal(act_region_unmap(scene), 0);
}

static int act_queue_create(struct scene *scene)
{
	struct drm_tandem_queue_create args = {
		.context = scene->accel.context,
		.kind = TANDEM_QUEUE_COPY,
	};
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_QUEUE_CREATE, &args);

	scene->id = args.queue;
	return ret;
}

static void make_queue(struct scene *scene)
{
	assert_int_equal(act_queue_create(scene), 0);
}

static int act_queue_destroy(struct scene *scene)
{
	struct drm_tandem_queue_destroy args = { .queue = scene->id };

	return call_ioctl(scene, DRM_IOCTL_TANDEM_QUEUE_DESTROY, &args);
}

static void destroy_queue(struct scene *scene)
{
	assert_int_equal(act_queue_destroy(scene), 0);
}

static int act_submit(struct scene *scene)
{
	struct tandem_submit_command command = {
		.op = TANDEM_URING_COPY,
		.command = {
			.queue = scene->accel.copy,
			.dst_region = scene->id,
			.src_region = USER,
			.src_offset = address_of(scene->memory),
			.length = OBJECT_SIZE,
		},
	};
	struct drm_tandem_submit args = {
		.commands = address_of(&command),
		.count = 1,
		.stride = sizeof(command),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	int ret = call_ioctl(scene, DRM_IOCTL_TANDEM_SUBMIT, &args);

	return ret ? ret : command.result;
}

/* What could not be submitted stays on the ring, and is taken once more. */
static int run_on_ring(struct scene *scene, uint32_t op,
		       const struct tandem_uring_command *command)
{
	uint64_t user_data;
	int ret;

	accel_prepare(&scene->accel, op, command, 1);
	ret = io_uring_submit(&scene->accel.ring);
	disarm();
	if (ret <= 0)
		ret = io_uring_submit(&scene->accel.ring);
	if (ret <= 0)
		return ret ? ret : -EAGAIN;
	return accel_wait(&scene->accel, &user_data);
}

static int act_nop(struct scene *scene)
{
	struct tandem_uring_command command = { .queue = scene->accel.copy };

	return run_on_ring(scene, TANDEM_URING_NOP, &command);
}

static int act_fill(struct scene *scene)
{
	struct tandem_uring_command command = {
		.queue = scene->accel.copy,
		.dst_region = scene->id,
		.length = OBJECT_SIZE,
	};

	return run_on_ring(scene, TANDEM_URING_FILL, &command);
}

static int act_copy_user(struct scene *scene)
{
	struct tandem_uring_command command = {
		.queue = scene->accel.copy,
		.dst_region = scene->id,
		.src_region = USER,
		.src_offset = address_of(scene->memory),
		.length = OBJECT_SIZE,
	};

	return run_on_ring(scene, TANDEM_URING_COPY, &command);
}

/* A program that the device refuses for what it is: it gets that far. */
static int act_exec(struct scene *scene)
{
	struct tandem_uring_command command = {
		.queue = scene->accel.compute,
		.src_region = scene->id,
		.length = 64,
	};
	int ret = run_on_ring(scene, TANDEM_URING_EXEC, &command);

	return ret == -EINVAL || ret == -EIO || ret == -EBADMSG ? 0 : ret;
}

/* Of a command that is not there. */
static int act_cancel(struct scene *scene)
{
	struct tandem_uring_command command = {
		.queue = scene->accel.copy,
		.cookie = 12345,
	};
	int ret = run_on_ring(scene, TANDEM_URING_CANCEL, &command);

	return ret == -ENOENT ? 0 : ret;
}

static int act_copy_list(struct scene *scene)
{
	struct tandem_segment segments[3];
	struct tandem_uring_command command = {
		.queue = scene->accel.copy,
		.dst_offset = sizeof(segments[0]),
		.src_offset = address_of(segments),
		.length = 3,
	};
	int i;

	for (i = 0; i < 3; i++)
		segments[i] = (struct tandem_segment) {
			.dst_region = scene->id,
			.src_region = scene->id,
			.dst_offset = i * 4096,
			.src_offset = OBJECT_SIZE / 2 + i * 4096,
			.length = 4096,
		};
	return run_on_ring(scene, TANDEM_URING_COPY_LIST, &command);
}

static int act_context_query(struct scene *scene)
{
	struct drm_tandem_context_query args = {
		.context = scene->accel.context,
	};

	return call_ioctl(scene, DRM_IOCTL_TANDEM_CONTEXT_QUERY, &args);
}

static int act_queue_query(struct scene *scene)
{
	struct drm_tandem_queue_query args = { .queue = scene->accel.copy };

	return call_ioctl(scene, DRM_IOCTL_TANDEM_QUEUE_QUERY, &args);
}

static int import(struct scene *scene, int dmabuf)
{
	struct drm_prime_handle args = { .fd = dmabuf };
	int ret = call_ioctl(scene, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	scene->id = args.handle;
	return ret;
}

static int act_import(struct scene *scene)
{
	return import(scene, scene->dmabuf);
}

static int act_import_heap(struct scene *scene)
{
	return import(scene, scene->heap);
}

/* A device on the bus, which is not plugged in yet. */
static int act_bus_create(struct scene *scene)
{
	struct tandem_emu_create args = {
		.version = TANDEM_EMU_VERSION,
		.queues = 2,
		.memory_size = MIB,
	};

	scene->fd = open("/dev/tandem-emu", O_RDWR | O_CLOEXEC);
	if (scene->fd < 0)
		return -errno;
	if (!ioctl(scene->fd, TANDEM_EMU_IOC_CREATE, &args))
		return 0;
	close(scene->fd);
	return -errno;
}

static void make_slot(struct scene *scene)
{
	assert_int_equal(act_bus_create(scene), 0);
}

/* The driver does not take it: its registers are all zero. */
static int act_bus_plug(struct scene *scene)
{
	return ioctl(scene->fd, TANDEM_EMU_IOC_PLUG) ? -errno : 0;
}

static const struct call calls[] = {
	{ "open", NULL, act_open, close_fd, NULL, NULL },
	{ "GET_PARAM", NULL, act_get_param, nothing, NULL, NULL },
	{ "GEM_CREATE", NULL, act_gem_create, close_object, NULL, NULL },
	{ "GEM_REGISTER", NULL, act_gem_register, close_object, NULL, NULL },
	{ "mmap", NULL, act_mmap, unmap, NULL, NULL },
	{ "PRIME_HANDLE_TO_FD", NULL, act_export, close_fd, NULL, NULL },
	{ "CONTEXT_CREATE", NULL, act_context_create, destroy_context, NULL, NULL },
	{ "CONTEXT_DESTROY", make_context, act_context_destroy, nothing,
	  destroy_context, NULL },
	{ "REGION_MAP", NULL, act_region_map, unmap_region, NULL, NULL },
	{ "REGION_UNMAP", make_region, act_region_unmap, nothing,
	  unmap_region, NULL },
	{ "QUEUE_CREATE", NULL, act_queue_create, destroy_queue, NULL, NULL },
	{ "QUEUE_DESTROY", make_queue, act_queue_destroy, nothing,
	  destroy_queue, NULL },
	{ "SUBMIT", make_region, act_submit, unmap_region, unmap_region, NULL },
	{ "NOP", NULL, act_nop, nothing, NULL, NULL },
	{ "FILL", make_region, act_fill, unmap_region, unmap_region, NULL },
	{ "COPY", make_region, act_copy_user, unmap_region, unmap_region, NULL },
	{ "EXEC", make_region, act_exec, unmap_region, unmap_region, NULL },
	{ "CANCEL", NULL, act_cancel, nothing, NULL, NULL },
	{ "COPY_LIST", make_region, act_copy_list, unmap_region,
	  unmap_region, NULL },
	{ "CONTEXT_QUERY", NULL, act_context_query, nothing, NULL, NULL },
	{ "QUEUE_QUERY", NULL, act_queue_query, nothing, NULL, NULL },
	{ "PRIME_FD_TO_HANDLE of another device", NULL, act_import,
	  close_object, NULL, NULL },
	{ "PRIME_FD_TO_HANDLE of a heap", NULL, act_import_heap, close_object,
	  NULL, NULL },
	{ "CREATE on the bus", NULL, act_bus_create, close_fd, NULL, NULL },
	{ "PLUG on the bus", make_slot, act_bus_plug, close_fd, close_fd, NULL },
};

/* How many allocations were made to fail until it got through. */
static int exhaust(struct scene *scene, const struct call *call)
{
	int failures = 0, nth, ret;

	for (nth = 1; nth < ALLOCATIONS_MAX; nth++) {
		if (call->is_spared && call->is_spared(nth))
			continue;
		if (call->prepare)
			call->prepare(scene);
		arm(nth);
		ret = call->act(scene);
		disarm();
		if (!ret)
			call->succeeded(scene);
		else if (call->failed)
			call->failed(scene);
		if (!injected && !ret)
			return failures;
		failures++;
		if (ret && ret != -ENOMEM && ret != -EFAULT && ret != -EAGAIN)
			fail_msg("%s: allocation %d failed, answer %s",
				 call->name, nth, strerror(-ret));
		if (!injected)
			fail_msg("%s: %s though nothing was made to fail",
				 call->name, strerror(-ret));
	}
	fail_msg("%s: does not get through", call->name);
	return 0;
}

static int make_heap_buffer(void)
{
	struct dma_heap_allocation_data data = {
		.len = OBJECT_SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);

	assert_true(heap >= 0);
	assert_int_equal(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), 0);
	close(heap);
	return data.fd;
}

static void scene_open(struct scene *scene)
{
	uint32_t exported;

	accel_open(&scene->accel, ACCEL0);
	accel_open(&scene->other, ACCEL1);
	exported = accel_object(&scene->other, OBJECT_SIZE);
	scene->dmabuf = accel_export(&scene->other, exported);
	scene->heap = make_heap_buffer();
	scene->object = accel_object(&scene->accel, OBJECT_SIZE);
	scene->memory = aligned_alloc(4096, OBJECT_SIZE);
	assert_non_null(scene->memory);
	fill_pattern(scene->memory, OBJECT_SIZE, 1);
}

static void scene_close(struct scene *scene)
{
	close(scene->heap);
	close(scene->dmabuf);
	accel_close(&scene->other);
	accel_close(&scene->accel);
	free(scene->memory);
}

static void need_fault_injection(void)
{
	if (fail_nth >= 0)
		return;
	print_message("# skip: the kernel cannot have allocations fail\n");
	skip();
}

static void test_failing_allocations(void **state)
{
	struct scene scene = { 0 };
	int total = 0;
	size_t i;

	(void)state;
	need_fault_injection();
	scene_open(&scene);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int failures = exhaust(&scene, &calls[i]);

		print_message("# %s: %d failures\n", calls[i].name, failures);
		total += failures;
	}
	assert_true(total > (int)i);

	/* The device goes on as if nothing had been. */
	make_region(&scene);
	assert_int_equal(act_copy_user(&scene), 0);
	assert_int_equal(act_submit(&scene), 0);
	unmap_region(&scene);
	scene_close(&scene);
}

static struct firmware firmware;
/* The directory of the driver on the bus, and the name of the device there. */
static char driver_path[] = "/sys/bus/tandem_emu/drivers/tandem";
static char device_name[64];

static int write_driver(const char *name)
{
	char path[128];
	ssize_t length;
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", driver_path, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = write(fd, device_name, strlen(device_name));
	ret = length < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Probes the device in this task, whose allocations are made to fail. */
static int act_probe(struct scene *scene)
{
	(void)scene;
	return write_driver("bind");
}

static void unbind(struct scene *scene)
{
	(void)scene;
	assert_int_equal(write_driver("unbind"), 0);
}

static void find_device_name(void)
{
	char link[128], target[256];
	ssize_t length;

	snprintf(link, sizeof(link), "/sys/class/accel/%s/device",
		 strrchr(firmware.node, '/') + 1);
	length = readlink(link, target, sizeof(target) - 1);
	assert_true(length > 0);
	target[length] = '\0';
	snprintf(device_name, sizeof(device_name), "%s",
		 strrchr(target, '/') + 1);
}

/*
 * Right after its inode, the DRM core allocates its minor. When the device of
 * that cannot be made, drm_minor_alloc_release() of Linux 6.12 calls
 * put_device() with an error pointer, and the kernel crashes.
 */
static bool is_of_drm_minor(int nth)
{
	static int log = -1, last_of_inode;
	char line[1024];
	ssize_t length;

	if (log < 0)
		log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(log >= 0);
	while ((length = read(log, line, sizeof(line) - 1)) > 0 ||
	       (length < 0 && errno == EPIPE)) {
		if (length < 0)
			continue;
		line[length] = '\0';
		if (strstr(line, "Cannot allocate anonymous inode"))
			last_of_inode = nth - 1;
	}
	return last_of_inode && nth > last_of_inode &&
	       nth <= last_of_inode + DRM_MINOR_ALLOCATIONS;
}

/* The device takes part in the handshake, again and again. */
static void test_failing_probes(void **state)
{
	const struct call probe = {
		.name = "probe",
		.act = act_probe,
		.succeeded = unbind,
		.is_spared = is_of_drm_minor,
	};
	struct tandem_uring_command nop = { 0 };
	struct accel accel;
	int failures;

	(void)state;
	need_fault_injection();
	firmware_start(&firmware);
	find_device_name();
	unbind(NULL);
	failures = exhaust(NULL, &probe);
	print_message("# probe: %d failures\n", failures);
	assert_true(failures > 50);

	assert_int_equal(write_driver("bind"), 0);
	accel_open(&accel, firmware.node);
	nop.queue = accel.copy;
	assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &nop), 0);
	accel_close(&accel);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
}

static int set_up(void **state)
{
	(void)state;
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	write_setting("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_setting("/sys/kernel/debug/failslab/verbose", "0");
	write_setting("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_setting("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem",
		      "N");
	write_setting("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_setting("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_setting("/sys/kernel/debug/fail_usercopy/verbose", "0");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failing_allocations),
		cmocka_unit_test(test_failing_probes),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
