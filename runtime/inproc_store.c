// SPDX-License-Identifier: MIT
/*
 * The memory of an inproc device: one reservation of addresses, of which
 * ranges are handed out first fit.
 *
 * A range that another process may be let reach has a file of its own (a memfd)
 * mapped over its addresses. The file goes with the range and is never another
 * one's: who still has it mapped or pinned keeps the old pages, whatever becomes of
 * the addresses. It is sealed, so that nobody but this mapping writes to it, and it
 * cannot be shortened, which would have readers end with SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inproc.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)	((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size)	((void)(address), (void)(size))
#endif

/**
 * struct inproc_store - device memory
 * @lock: protects @ranges and all reference counts, since views of a
 *	range can be freed on the thread of another device's loop
 * @ranges: in order of address
 * @base: address in this process of device address 0
 * @size: bytes
 * @freed_start: no range below was ever freed
 * @freed_end: nor any from here on; what lies between may be poisoned
 * @references: the device, and each range
 */
struct inproc_store {
	pthread_mutex_t lock;
	TAILQ_HEAD(inproc_ranges, inproc_range) ranges;
	uint8_t *base;
	uint64_t size;
	uint64_t freed_start;
	uint64_t freed_end;
	unsigned int references;
};

struct inproc_store *inproc_store_create(uint64_t size)
{
	struct inproc_store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (store->base == MAP_FAILED) {
		free(store);
		return NULL;
	}
	pthread_mutex_init(&store->lock, NULL);
	TAILQ_INIT(&store->ranges);
	store->size = size;
	store->freed_start = size;
	store->references = 1;
	return store;
}

/* Called with the lock held, which is let go of. */
static void inproc_store_put_locked(struct inproc_store *store)
{
	bool last = !--store->references;

	pthread_mutex_unlock(&store->lock);
	if (!last)
		return;
	/* Not all of it: an eighth of the machine's memory would be written. */
	if (store->freed_start < store->freed_end)
		ASAN_UNPOISON_MEMORY_REGION(store->base + store->freed_start,
					    store->freed_end - store->freed_start);
	munmap(store->base, store->size);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

void inproc_store_put(struct inproc_store *store)
{
	pthread_mutex_lock(&store->lock);
	inproc_store_put_locked(store);
}

void *inproc_store_base(struct inproc_store *store)
{
	return store->base;
}

uint64_t inproc_store_size(struct inproc_store *store)
{
	return store->size;
}

uint64_t inproc_store_used(struct inproc_store *store, uint64_t start, uint64_t end)
{
	struct inproc_range *range;
	uint64_t used = 0;

	pthread_mutex_lock(&store->lock);
	TAILQ_FOREACH(range, &store->ranges, entry)
		if (range->address >= start && range->address < end)
			used += range->size;
	pthread_mutex_unlock(&store->lock);
	return used;
}

/* Fresh private pages over the addresses. Return: 0 or -errno. */
static int range_clear(struct inproc_range *range)
{
	void *at = inproc_range_pointer(range);

	if (range->fd < 0) {
		madvise(at, range->size, MADV_DONTNEED);
		return 0;
	}
	if (mmap(at, range->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -errno;
	close(range->fd);
	range->fd = -1;
	return 0;
}

/* A file of its own over the addresses. Return: 0 or -errno. */
static int range_set_file(struct inproc_range *range)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
	int fd = memfd_create("tandem-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int code;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, range->size) < 0 ||
	    mmap(inproc_range_pointer(range), range->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		goto failed;
	range->fd = fd;
	/* The mapping that is there stays writable. */
	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;

failed:
	code = -errno;
	close(fd);
	return code;
}

int inproc_range_alloc(struct inproc_store *store, uint64_t start, uint64_t end, uint64_t size,
		       bool shareable, struct inproc_range **range)
{
	struct inproc_range *new;
	struct inproc_range *next;
	uint64_t address = start;
	int ret;

	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	pthread_mutex_lock(&store->lock);
	TAILQ_FOREACH(next, &store->ranges, entry) {
		if (next->address < address)
			continue;
		if (next->address >= end || next->address - address >= size)
			break;
		address = next->address + next->size;
	}
	if (address > end || end - address < size) {
		pthread_mutex_unlock(&store->lock);
		free(new);
		return -ENOSPC;
	}
	new->store = store;
	new->address = address;
	new->size = size;
	new->references = 1;
	new->fd = -1;
	if (next)
		TAILQ_INSERT_BEFORE(next, new, entry);
	else
		TAILQ_INSERT_TAIL(&store->ranges, new, entry);
	store->references++;
	pthread_mutex_unlock(&store->lock);

	ASAN_UNPOISON_MEMORY_REGION(store->base + address, size);
	if (shareable) {
		ret = range_set_file(new);
		if (ret < 0) {
			inproc_range_put(new);
			return ret;
		}
	}
	*range = new;
	return 0;
}

void inproc_range_get(struct inproc_range *range)
{
	pthread_mutex_lock(&range->store->lock);
	range->references++;
	pthread_mutex_unlock(&range->store->lock);
}

void inproc_range_put(struct inproc_range *range)
{
	struct inproc_store *store = range->store;

	pthread_mutex_lock(&store->lock);
	if (--range->references) {
		pthread_mutex_unlock(&store->lock);
		return;
	}
	/*
	 * Before the range can be handed out again. Whoever has its pages pinned
	 * keeps the old ones, the next owner finds new ones, which read as zeros.
	 * Where there is no memory for that, nobody gets these addresses any more.
	 */
	if (range_clear(range) < 0) {
		pthread_mutex_unlock(&store->lock);
		return;
	}
	ASAN_POISON_MEMORY_REGION(store->base + range->address, range->size);
	if (range->address < store->freed_start)
		store->freed_start = range->address;
	if (range->address + range->size > store->freed_end)
		store->freed_end = range->address + range->size;
	TAILQ_REMOVE(&store->ranges, range, entry);
	free(range);
	inproc_store_put_locked(store);
}

void *inproc_range_pointer(struct inproc_range *range)
{
	return range->store->base + range->address;
}
