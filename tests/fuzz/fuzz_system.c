// SPDX-License-Identifier: MIT
/*
 * Operations around the driver: what looks at it, what it is made of, and what
 * it is asked that makes no sense.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz_firmware.h"
#include "fuzz_ops.h"

#define CHILD_OPS	12

static void read_file(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char text[4096];
	int parts = 64;

	if (fd < 0)
		return;
	while (parts-- && read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
}

static void read_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (entry->d_type == DT_REG)
			read_file(dirfd(directory), entry->d_name);
	}
	closedir(directory);
}

static void look(struct fuzz_worker *worker)
{
	int node = worker->shared->node[fuzz_below(&worker->random, FUZZ_DEVICES)];
	char link[128], target[128], path[256];
	ssize_t length;

	snprintf(link, sizeof(link), "/sys/class/accel/accel%d/device", node);
	switch (fuzz_below(&worker->random, 3)) {
	case 0:
		read_directory(link);
		break;
	case 1:
		length = readlink(link, target, sizeof(target) - 1);
		if (length < 0)
			break;
		target[length] = '\0';
		snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s",
			 strrchr(target, '/') + 1);
		read_directory(path);
		break;
	default:
		snprintf(path, sizeof(path), "%d", fuzz_any_file(worker)->fd);
		length = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (length < 0)
			break;
		read_file(length, path);
		close(length);
		break;
	}
}

static uint32_t count_file_ops(void)
{
	uint32_t count = 0;

	while (fuzz_file_ops[count].name)
		count++;
	return count;
}

/* A child that uses what it has inherited, but no rings. */
static void fork_child(struct fuzz_worker *worker)
{
	const struct fuzz_op *op;
	int count = CHILD_OPS, i;
	pid_t child = fork();

	if (child) {
		fuzz_told(worker, FUZZ_FORK, child < 0 ? -errno : 0);
		if (child > 0)
			waitpid(child, NULL, 0);
		return;
	}
	/* Only what may be called between fork and exec; rings are not inherited. */
	worker->trace = NULL;
	for (i = 0; i < FUZZ_RINGS; i++)
		worker->ring[i].up = false;
	while (count--) {
		op = &fuzz_file_ops[fuzz_below(&worker->random, count_file_ops())];
		op->run(worker);
	}
	_exit(0);
}

/* Those that make file descriptors, which nobody would close. */
static bool makes_fd(uint32_t number)
{
	return number == 0x2d || number == 0xc1;
}

/*
 * For more handles than that, the DRM core asks for more memory than there can
 * be, of which the kernel warns. Wherever the count is in calls for syncobjs.
 */
static void limit_counts(uint32_t number, uint32_t *words)
{
	int i;

	if (number < 0xc3 || number > 0xcd)
		return;
	for (i = 2; i <= 6; i += 2)
		words[i] &= 0xffff;
}

static void raw_ioctl(struct fuzz_worker *worker)
{
	static const uint32_t first[] = { 0x00, 0x40, 0x48, 0xb0, 0xb8, 0xc0, 0xc8 };
	/* Not on the worker's own files, where it could bring in what is not its. */
	struct fuzz_file *file =
		&worker->process->file[fuzz_below(&worker->random, FUZZ_SHARED_FILES)];
	uint32_t number = first[fuzz_below(&worker->random, 7)] +
			  fuzz_below(&worker->random, 8);
	uint32_t size = fuzz_below(&worker->random, 40) * 4, words[64];
	uint32_t i;

	if (makes_fd(number))
		return;
	for (i = 0; i < 64; i++)
		words[i] = fuzz_one_in(&worker->random, 3) ?
			   (uint32_t)fuzz_odd_number(&worker->random, i) :
			   fuzz_below(&worker->random, 8);
	limit_counts(number, words);
	ioctl(file->fd, _IOC(_IOC_READ | _IOC_WRITE, 'd', number, size), words);
	fuzz_note(worker, "  raw %#x size %u: %d", number, size, errno);
}

/* Faults for a device that is about to be started. */
static void choose_faults(struct fuzz_worker *worker, char text[][64], const char **faults)
{
	static const char *const kinds[] = {
		"hang:at=%u", "hang:until=disable,at=%u", "hang:until=exit,at=%u",
		"crash:at=%u", "crash:on=admin,at=%u", "heartbeat:at=%u", "fatal:at=%u",
		"storm:value=3000,at=%u", "late:ms=200,at=%u",
		"late:on=command,ms=20,count=10,at=%u",
		"silent:at=%u", "refuse:at=%u",
		"completion:field=id,extra=1,count=0,permille=100,seed=%u",
		"completion:field=id,at=%u", "completion:field=queue,at=%u",
		"completion:field=epoch,add=-1,extra=1,count=0,permille=100,seed=%u",
		"completion:field=phase,at=%u",
		"completion:field=status,count=0,permille=50,seed=%u",
		"completion:field=detail,count=0,permille=300,seed=%u",
		"completion:field=duration,count=0,permille=300,seed=%u",
		"completion:field=ended,count=0,permille=300,seed=%u",
		"completion:queue=0,field=detail,count=0,permille=300,seed=%u",
		"duplicate:count=0,permille=200,seed=%u",
		"replay:count=0,permille=200,seed=%u", "replay:value=5,count=0,permille=100,seed=%u",
		"lost-completion:at=%u", "lost-interrupt:count=0,permille=20,seed=%u",
		"lost-interrupt:queue=0,at=%u", "armed:count=0,permille=300,seed=%u",
		"dma:at=%u", "dma:space=host-write,address=0x1800000000,at=%u",
		"identity:field=copy-queues,at=%u", "register:field=queue-max,at=%u",
		"crash:on=disable,at=%u", "stuck:on=disable,at=%u",
		"register:on=command,field=status,at=%u",
	};
	uint32_t count = fuzz_below(&worker->random, FUZZ_FAULTS_MAX + 1), i;

	for (i = 0; i < count; i++) {
		/* The texts are ours. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text[i], sizeof(text[i]),
			 kinds[fuzz_below(&worker->random, sizeof(kinds) / sizeof(kinds[0]))],
			 1 + (1u << fuzz_below(&worker->random, 10)));
#pragma GCC diagnostic pop
		faults[i] = text[i];
		fuzz_note(worker, "  --fault %s", text[i]);
	}
	faults[count] = NULL;
}

static void firmware_start(struct fuzz_worker *worker)
{
	const char *faults[FUZZ_FAULTS_MAX + 1];
	char text[FUZZ_FAULTS_MAX][64];
	pid_t process;
	int node;

	choose_faults(worker, text, faults);
	process = fuzz_firmware_start(faults, &node);
	fuzz_note(worker, "  firmware %s, node %d", process > 0 ? "runs" : "ended", node);
	fuzz_told(worker, FUZZ_FIRMWARE_START, node < 0 ? -ENODEV : 0);
	worker->shared->firmware[1] = process > 0 ? process : 0;
	worker->shared->node[1] = node;
}

/* As an administrator does; either device. */
static void reset_device(struct fuzz_worker *worker)
{
	int node = worker->shared->node[fuzz_below(&worker->random, FUZZ_DEVICES)];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/accel/accel%d/device/reset", node);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	fuzz_told(worker, FUZZ_RESET, write(fd, "1", 1) < 0 ? -errno : 0);
	close(fd);
}

/* Device 1 is started, stopped, killed: never device 0. */
static void firmware(struct fuzz_worker *worker)
{
	pid_t process = worker->shared->firmware[1];

	if (!worker->may_change_firmware)
		return;
	if (!process || waitpid(process, NULL, WNOHANG) == process) {
		firmware_start(worker);
		return;
	}
	switch (fuzz_below(&worker->random, 12)) {
	case 0:
		fuzz_note(worker, "  firmware is stopped");
		kill(process, SIGSTOP);
		usleep(fuzz_below(&worker->random, 1500) * 1000);
		kill(process, SIGCONT);
		break;
	case 1:
		fuzz_note(worker, "  firmware ends");
		kill(process, SIGTERM);
		break;
	case 2:
	case 3:
		fuzz_note(worker, "  firmware is killed");
		worker->shared->firmware[1] = 0;
		fuzz_firmware_kill(process);
		break;
	default:
		break;
	}
}

static void pause_a_little(struct fuzz_worker *worker)
{
	usleep(fuzz_below(&worker->random, 3000));
}

const struct fuzz_op fuzz_system_ops[] = {
	{ "look", 8, look },
	{ "fork", 2, fork_child },
	{ "raw", 12, raw_ioctl },
	{ "firmware", 6, firmware },
	{ "reset", 1, reset_device },
	{ "pause", 6, pause_a_little },
	{ 0 },
};
