// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "tandem_emu.h"
#include "tandem_hw.h"
#include "toy_device.h"

#define PAGE_BYTES	4096
/* What a command takes, as it says, when nobody cares. */
#define USUAL_NS	1000

/* One pair of rings as the device sees it. */
struct toy_ring {
	const struct tandem_hw_descriptor *sq;
	struct tandem_hw_completion *cq;
	uint32_t entries;
	uint32_t head;
	uint32_t posted;
	bool stuck;
};

struct toy {
	int fd;
	uint64_t dma_size;
	volatile uint8_t *registers;
	volatile uint8_t *memory;
	uint8_t *window_ro;
	uint8_t *window_rw;
	struct toy_ring ring[TOY_QUEUES + 1];
	struct toy_shared *shared;
	enum toy_defect defect;
};

static sigjmp_buf fault_return;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(fault_return, 1);
}

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "# toy device: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static volatile uint32_t *reg(struct toy *toy, uint32_t offset)
{
	return (volatile uint32_t *)(toy->registers + offset);
}

static uint64_t reg64(struct toy *toy, uint32_t offset)
{
	return *reg(toy, offset) | (uint64_t)*reg(toy, offset + 4) << 32;
}

static volatile struct tandem_hw_doorbell *doorbell(struct toy *toy, int queue)
{
	return (volatile struct tandem_hw_doorbell *)
		(toy->registers + TANDEM_HW_DOORBELL_BASE) + queue;
}

static void zero_doorbell(struct toy *toy, int queue)
{
	memset((void *)doorbell(toy, queue), 0,
	       sizeof(struct tandem_hw_doorbell));
}

static void *host(struct toy *toy, uint64_t address)
{
	return address < toy->dma_size ? toy->window_ro + address :
					 toy->window_rw + address -
					 toy->dma_size;
}

static void *map(struct toy *toy, uint64_t offset, uint64_t size, int prot)
{
	void *memory = mmap(NULL, size, prot, MAP_SHARED | MAP_NORESERVE,
			    toy->fd, offset);

	check(memory != MAP_FAILED, "mmap");
	return memory;
}

static void plug_in(struct toy *toy)
{
	struct tandem_emu_create create = {
		.version = TANDEM_EMU_VERSION,
		.queues = TOY_QUEUES,
		.memory_size = TOY_MEMORY,
	};

	toy->fd = open("/dev/tandem-emu", O_RDWR | O_CLOEXEC);
	check(toy->fd >= 0, "/dev/tandem-emu");
	check(!ioctl(toy->fd, TANDEM_EMU_IOC_CREATE, &create), "CREATE");
	toy->dma_size = create.dma_size;
	toy->registers = map(toy, TANDEM_EMU_MMAP_REGISTERS,
			     TANDEM_HW_BAR_BYTES, PROT_READ | PROT_WRITE);
	toy->memory = map(toy, TANDEM_EMU_MMAP_MEMORY, TOY_MEMORY,
			  PROT_READ | PROT_WRITE);
	toy->window_ro = map(toy, TANDEM_EMU_MMAP_DMA_RO, toy->dma_size,
			     PROT_READ);
	toy->window_rw = map(toy, TANDEM_EMU_MMAP_DMA_RW, toy->dma_size,
			     PROT_READ | PROT_WRITE);

	*reg(toy, TANDEM_REG_MAGIC) = TANDEM_HW_MAGIC +
				      (toy->defect == TOY_BAD_MAGIC);
	*reg(toy, TANDEM_REG_VERSION) =
		TANDEM_HW_VERSION(toy->defect == TOY_BAD_VERSION ? 99 :
				  TANDEM_HW_VERSION_MAJOR, 0);
	*reg(toy, TANDEM_REG_MEMORY_SIZE) =
		toy->defect == TOY_BAD_MEMORY_SIZE ? 4096 : TOY_MEMORY;
	*reg(toy, TANDEM_REG_QUEUE_MAX) = TOY_QUEUES;
	*reg(toy, TANDEM_REG_STATUS) = TANDEM_HW_STATE_READY;
	check(!ioctl(toy->fd, TANDEM_EMU_IOC_PLUG), "PLUG");
	toy->shared->slot = create.slot;
	toy->shared->plugged = true;
}

static void post(struct toy *toy, int queue, struct tandem_hw_completion entry)
{
	struct toy_ring *ring = &toy->ring[queue];
	struct tandem_hw_completion *slot =
		&ring->cq[ring->posted % ring->entries];
	uint16_t phase = !(ring->posted & ring->entries);

	/* The driver has taken what was there, or was never told of it. */
	ring->posted++;
	entry.phase = slot->phase;
	*slot = entry;
	__atomic_store_n(&slot->phase, phase, __ATOMIC_RELEASE);
}

static void interrupt(struct toy *toy, int queue)
{
	check(!ioctl(toy->fd, TANDEM_EMU_IOC_INTERRUPT, queue), "INTERRUPT");
}

static void complete(struct toy *toy, int queue, uint16_t id, uint16_t status,
		     uint64_t duration_ns)
{
	struct tandem_hw_completion entry = {
		.command_id = id,
		.queue = queue,
		.status = status,
		.epoch = *reg(toy, TANDEM_REG_EPOCH),
		.duration_ns = duration_ns,
	};
	struct tandem_hw_completion wrong = entry;
	int i;

	switch (queue ? toy->shared->manner : TOY_GOOD) {
	case TOY_REPEAT:
		post(toy, queue, entry);
		break;
	case TOY_WRONG_ID:
		wrong.command_id = id + 1;
		post(toy, queue, wrong);
		wrong.command_id = id + TOY_ENTRIES;
		post(toy, queue, wrong);
		wrong.command_id = 0xffff;
		post(toy, queue, wrong);
		break;
	case TOY_WRONG_QUEUE:
		wrong.queue = queue + 1;
		post(toy, queue, wrong);
		break;
	case TOY_STALE:
		wrong.epoch--;
		post(toy, queue, wrong);
		break;
	case TOY_GARBAGE:
		/* Each interrupt makes room for more. */
		for (i = 0; i < TOY_GARBAGE_EACH; i++) {
			wrong.command_id = id + TOY_ENTRIES + i;
			post(toy, queue, wrong);
			if (i % (TOY_ENTRIES / 2) == 0)
				interrupt(toy, queue);
		}
		interrupt(toy, queue);
		return;
	case TOY_NONSENSE:
		entry.status = 0xffff;
		entry.detail = UINT32_MAX;
		entry.duration_ns = UINT64_MAX;
		break;
	default:
		break;
	}
	post(toy, queue, entry);
	interrupt(toy, queue);
}

/* Each number one way in which classes of memory are wrong. */
static void spoil_classes(struct tandem_hw_identity *identity, int number)
{
	struct tandem_hw_memory_class *class = identity->memory_class;
	const uint64_t half = TOY_MEMORY / 2;

	switch (number) {
	case 0:
		identity->memory_class_count = 0;
		break;
	case 1:
		identity->memory_class_count = TANDEM_HW_MEMORY_CLASSES_MAX + 1;
		break;
	case 2:
		identity->memory_class_count = UINT32_MAX;
		break;
	case 3:
		class[0].size = half;
		break;
	case 4:
		class[0].size = TOY_MEMORY + 4096;
		break;
	case 5:
		class[0].start = 4096;
		break;
	case 6:
		class[0].start = -4096ull;
		break;
	case 7:
		class[0].kind = TANDEM_HW_MEMORY_SRAM + 1;
		break;
	case 8:
		/* An empty one. */
		identity->memory_class_count = 2;
		break;
	case 9:
		/* Not of whole pages. */
		identity->memory_class_count = 2;
		class[0].size = half + 2048;
		class[1].start = half + 2048;
		class[1].size = half - 2048;
		break;
	case 10:
		/* The same half twice. */
		identity->memory_class_count = 2;
		class[0].size = half;
		class[1].size = half;
		break;
	case 11:
		/* One within the other; only the sum of their sizes is right. */
		identity->memory_class_count = 2;
		class[0].start = 4096;
		class[0].size = half + 4096;
		class[1].start = 8192;
		class[1].size = half - 4096;
		break;
	case 12:
		/* Sizes that only add up because their sum wraps. */
		identity->memory_class_count = 3;
		class[0].size = 1ull << 63;
		class[1].size = 1ull << 63;
		class[2].size = TOY_MEMORY;
		break;
	}
}

static void identify(struct toy *toy, uint64_t address)
{
	struct tandem_hw_identity *identity = host(toy, address);

	/* Not terminated, and of no use for a terminal. */
	memset(identity->profile, '\033', sizeof(identity->profile));
	memset(identity->firmware_version, 0xff,
	       sizeof(identity->firmware_version));
	identity->copy_queues = 1;
	identity->compute_queues = 1;
	identity->queue_entries_max = TOY_ENTRIES;
	if (toy->defect == TOY_BAD_IDENTITY)
		identity->queue_entries_max = 17;
	identity->memory_size = TOY_MEMORY;
	identity->memory_class_count = 1;
	identity->memory_class[0].size = TOY_MEMORY;
	if (toy->defect >= TOY_BAD_CLASSES)
		spoil_classes(identity, toy->defect - TOY_BAD_CLASSES);
}

static void admin_command(struct toy *toy,
			  const struct tandem_hw_descriptor *d)
{
	struct toy_ring *ring;

	if (toy->shared->manner == TOY_SILENT)
		return;
	switch (d->opcode) {
	case TANDEM_HW_OP_IDENTIFY:
		identify(toy, d->src_offset);
		break;
	case TANDEM_HW_OP_QUEUE_CREATE:
		ring = &toy->ring[d->argument];
		ring->sq = host(toy, d->src_offset);
		ring->cq = host(toy, d->dst_offset);
		ring->entries = d->length;
		zero_doorbell(toy, d->argument);
		break;
	case TANDEM_HW_OP_ABORT:
		if (toy->shared->manner == TOY_HANG_UNTIL_ABORT)
			complete(toy, d->argument, d->length,
				 TANDEM_HW_ABORTED, USUAL_NS);
		break;
	default:
		break;
	}
	complete(toy, 0, d->command_id, TANDEM_HW_OK, USUAL_NS);
}

/* The memory that a command names, or NULL where it may not. */
static void *resolve(struct toy *toy, uint32_t context, uint32_t index,
		     uint64_t offset, uint64_t length, uint32_t access)
{
	const struct tandem_hw_context *contexts =
		host(toy, reg64(toy, TANDEM_REG_CONTEXT_TABLE));
	const struct tandem_hw_region *region;

	if (!(contexts[context].flags & TANDEM_HW_CONTEXT_VALID) ||
	    index >= contexts[context].region_count)
		return NULL;
	region = host(toy, contexts[context].regions);
	region += index;
	access |= TANDEM_HW_REGION_VALID;
	if ((region->flags & access) != access || offset > region->length ||
	    length > region->length - offset)
		return NULL;
	if (region->flags & TANDEM_HW_REGION_HOST)
		return host(toy, region->address + offset);
	return (void *)(toy->memory + region->address + offset);
}

static uint16_t carry_out(struct toy *toy, const struct tandem_hw_descriptor *d)
{
	uint32_t *to, pattern = d->argument;
	uint64_t i;
	void *from;

	if (d->opcode != TANDEM_HW_OP_COPY && d->opcode != TANDEM_HW_OP_FILL)
		return TANDEM_HW_OK;
	to = resolve(toy, d->context, d->dst_region, d->dst_offset, d->length,
		     TANDEM_HW_REGION_WRITE);
	if (!to)
		return TANDEM_HW_REGION_FAULT;
	if (d->opcode == TANDEM_HW_OP_COPY) {
		from = resolve(toy, d->context, d->src_region, d->src_offset,
			       d->length, TANDEM_HW_REGION_READ);
		if (!from)
			return TANDEM_HW_REGION_FAULT;
		memcpy(to, from, d->length);
	} else {
		for (i = 0; i < d->length / 4; i++)
			to[i] = pattern;
	}
	return TANDEM_HW_OK;
}

/* Lets the time pass that a command takes: how much that is. */
static uint64_t pass_time(const struct toy *toy,
			  const struct tandem_hw_descriptor *d)
{
	uint64_t pages = d->length < PAGE_BYTES ? 1 : d->length / PAGE_BYTES;

	if (!toy->shared->page_us)
		return USUAL_NS;
	usleep(toy->shared->page_us * pages);
	return toy->shared->page_us * pages * 1000;
}

static void note(struct toy_shared *shared, uint32_t argument)
{
	if (shared->taken < TOY_ORDER_MAX)
		shared->order[shared->taken] = argument;
	__atomic_store_n(&shared->taken, shared->taken + 1, __ATOMIC_RELEASE);
}

static void command(struct toy *toy, int queue,
		    const struct tandem_hw_descriptor *d)
{
	uint16_t status;

	note(toy->shared, d->argument);
	switch (toy->shared->manner) {
	case TOY_HANG:
	case TOY_HANG_UNTIL_ABORT:
		return;
	case TOY_POISONED:
		toy->ring[queue].stuck = d->opcode == TANDEM_HW_OP_FILL &&
					 (uint32_t)d->argument == TOY_POISON;
		if (toy->ring[queue].stuck)
			return;
		break;
	default:
		break;
	}
	status = carry_out(toy, d);
	complete(toy, queue, d->command_id, status, pass_time(toy, d));
}

/* Has a queue taken up all that it may? */
static bool is_sated(const struct toy_shared *shared)
{
	return shared->limit && shared->taken >= shared->limit;
}

static void serve(struct toy *toy, int queue)
{
	struct toy_ring *ring = &toy->ring[queue];
	struct tandem_hw_descriptor d;
	uint32_t tail;

	if (!ring->entries || (queue && toy->shared->manner == TOY_HOLD))
		return;
	tail = __atomic_load_n(&doorbell(toy, queue)->sq_tail,
			       __ATOMIC_ACQUIRE);
	while (ring->head != tail && !ring->stuck &&
	       !(queue && is_sated(toy->shared))) {
		d = ring->sq[ring->head++ % ring->entries];
		if (!queue)
			admin_command(toy, &d);
		else
			command(toy, queue, &d);
	}
}

static void look_at_control(struct toy *toy)
{
	uint32_t *status = (uint32_t *)reg(toy, TANDEM_REG_STATUS);
	bool enable = *reg(toy, TANDEM_REG_CONTROL) & TANDEM_CONTROL_ENABLE;

	if (toy->defect == TOY_NO_HANDSHAKE)
		return;
	if (enable && *status == TANDEM_HW_STATE_READY) {
		toy->ring[0] = (struct toy_ring) {
			.sq = host(toy, reg64(toy, TANDEM_REG_ADMIN_SQ)),
			.cq = host(toy, reg64(toy, TANDEM_REG_ADMIN_CQ)),
			.entries = *reg(toy, TANDEM_REG_ADMIN_ENTRIES),
		};
		zero_doorbell(toy, 0);
		*status = TANDEM_HW_STATE_RUNNING;
	} else if (!enable && *status != TANDEM_HW_STATE_READY) {
		memset(toy->ring, 0, sizeof(toy->ring));
		zero_doorbell(toy, 0);
		if (toy->shared->heals)
			toy->shared->manner = TOY_GOOD;
		*status = TANDEM_HW_STATE_READY;
	} else {
		return;
	}
	interrupt(toy, 0);
}

static void probe(struct toy *toy)
{
	uint64_t address = toy->shared->probe;

	if (!address)
		return;
	toy->shared->probe_faulted = true;
	if (!sigsetjmp(fault_return, 1)) {
		toy->shared->probe_value = toy->memory[address - 1];
		toy->shared->probe_faulted = false;
	}
	toy->shared->probe = 0;
}

static void be_device(struct toy_shared *shared, enum toy_defect defect)
{
	static struct toy toy;
	int queue;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	toy.shared = shared;
	toy.defect = defect;
	signal(SIGBUS, on_fault);
	plug_in(&toy);
	for (;;) {
		if (shared->manner == TOY_FATAL || shared->fatal_once)
			*reg(&toy, TANDEM_REG_STATUS) = TANDEM_HW_STATE_FATAL;
		shared->fatal_once = false;
		if (shared->manner != TOY_STILL)
			++*reg(&toy, TANDEM_REG_HEARTBEAT);
		look_at_control(&toy);
		probe(&toy);
		/* The driver takes memory away from a device it gave up. */
		if (sigsetjmp(fault_return, 1))
			pause();
		for (queue = 0; queue <= TOY_QUEUES; queue++)
			serve(&toy, queue);
		usleep(1000);
	}
}

void toy_start(struct toy_device *toy, enum toy_defect defect)
{
	int tries;

	toy->shared = mmap(NULL, sizeof(*toy->shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(toy->shared, MAP_FAILED);
	toy->pid = fork();
	assert_true(toy->pid >= 0);
	if (!toy->pid)
		be_device(toy->shared, defect);
	for (tries = 0; !toy->shared->plugged && tries < 1000; tries++)
		usleep(10000);
	assert_true(toy->shared->plugged);
}

void toy_kill(struct toy_device *toy)
{
	if (!toy->pid)
		return;
	kill(toy->pid, SIGKILL);
	waitpid(toy->pid, NULL, 0);
	toy->pid = 0;
}

void toy_wait_for_commands(const struct toy_device *toy, uint32_t count)
{
	int tries;

	for (tries = 0; toy->shared->taken < count && tries < 3000; tries++)
		usleep(10000);
	assert_true(toy->shared->taken >= count);
}

bool toy_probe(struct toy_device *toy, uint64_t address, uint8_t *value)
{
	int tries;

	toy->shared->probe = address + 1;
	for (tries = 0; toy->shared->probe && tries < 1000; tries++)
		usleep(10000);
	assert_int_equal(toy->shared->probe, 0);
	*value = toy->shared->probe_value;
	return !toy->shared->probe_faulted;
}

static void bus_path(const struct toy_device *toy, char *path, size_t size,
		     const char *below)
{
	snprintf(path, size, "/sys/bus/tandem_emu/devices/tandem-emu%u%s",
		 toy->shared->slot, below);
}

bool toy_on_bus(const struct toy_device *toy)
{
	char path[128];

	bus_path(toy, path, sizeof(path), "");
	return !access(path, F_OK);
}

bool toy_find_node(const struct toy_device *toy, char *path, size_t size,
		   int seconds)
{
	char directory[128];
	struct dirent *entry;
	DIR *nodes;
	int tries, fd;

	bus_path(toy, directory, sizeof(directory), "/accel");
	for (tries = 0; tries < seconds * 50; tries++) {
		usleep(20000);
		nodes = opendir(directory);
		while (nodes && (entry = readdir(nodes))) {
			snprintf(path, size, "/dev/accel/%s", entry->d_name);
			if (strncmp(entry->d_name, "accel", 5))
				continue;
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd < 0)
				continue;
			close(fd);
			closedir(nodes);
			return true;
		}
		if (nodes)
			closedir(nodes);
	}
	return false;
}
