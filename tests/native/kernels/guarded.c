// SPDX-License-Identifier: MIT
#include "check.h"
#include "guarded.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARY 0x5a

struct guarded guarded_alloc(size_t size, size_t shift)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* At least 64 bytes in front, so that an underrun meets a canary. */
	size_t usable = (size + shift + 64 + page - 1) / page * page;
	struct guarded g = { .size = size,
			     .shift = shift,
			     .map_size = usable + page };

	g.map = mmap(NULL, g.map_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g.map, MAP_FAILED);
	assert_int_equal(mprotect(g.map + usable, page, PROT_NONE), 0);
	memset(g.map, CANARY, usable);
	g.data = g.map + usable - shift - size;
	memset(g.data, 0xff, size);
	return g;
}

void guarded_seal(struct guarded *g)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	assert_int_equal(mprotect(g->map, g->map_size - page, PROT_READ), 0);
}

static void check_canary(const char *from, const char *to)
{
	for (; from < to; from++)
		if (*from != CANARY)
			fail_msg("a byte outside the buffer was written");
}

void guarded_free(struct guarded *g)
{
	char *data = g->data;

	check_canary(g->map, data);
	check_canary(data + g->size, data + g->size + g->shift);
	munmap(g->map, g->map_size);
}
