// SPDX-License-Identifier: MIT
/* Cores. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device.h"
#include "pool.h"
#include "queue.h"

/*
 * Between two loops of a program lie microseconds, too few for a sleep and a
 * wake-up. So who waits spins a while first: some 50 µs.
 */
#define SPINS	2000

/**
 * struct fw_pool - cores, and the loop that they run
 * @queue: whose
 * @threads: that help the engine thread
 * @thread: these
 * @generation: counts loops; a change of it tells the helpers to begin
 * @busy: helpers that have not ended the present loop
 * @sleepers: threads that wait for one of the two and no longer spin: while there are
 *	none, a change of them needs no system call
 * @quit: helpers end
 * @next: first unit that nobody has taken
 * @failure: negative errno that ends the loop; 0 for none
 *
 * The rest describes the loop. It is written by the engine thread while @busy
 * is 0, and published by @generation.
 */
struct fw_pool {
	struct fw_queue *queue;
	uint32_t threads;
	pthread_t *thread;
	_Atomic uint32_t generation;
	_Atomic uint32_t busy;
	_Atomic uint32_t sleepers;
	atomic_bool quit;
	_Atomic uint64_t next;
	_Atomic int failure;

	uint64_t units;
	uint64_t grain;
	void (*body)(void *argument, uint64_t begin, uint64_t end);
	void *argument;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/*
 * Who waits for @word, which has just been changed. Either this sees the sleeper, or the
 * sleeper's kernel sees the change: both write before they read what the other writes,
 * with all changes of @word and @sleepers in one order.
 */
static void wake_all(struct fw_pool *pool, _Atomic uint32_t *word)
{
	if (atomic_load(&pool->sleepers))
		syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Wait while @word has @value; may return early. */
static void wait_while(struct fw_pool *pool, _Atomic uint32_t *word, uint32_t value)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(word, memory_order_acquire) != value)
			return;
		__builtin_ia32_pause();
	}
	atomic_fetch_add(&pool->sleepers, 1);
	futex_wait(word, value);
	atomic_fetch_sub(&pool->sleepers, 1);
}

static void share_body(void *argument)
{
	struct fw_pool *pool = argument;
	uint64_t begin, end;

	for (;;) {
		if (atomic_load_explicit(&pool->failure, memory_order_relaxed))
			return;
		if (fw_queue_aborted(pool->queue)) {
			atomic_store(&pool->failure, -ECANCELED);
			return;
		}
		begin = atomic_fetch_add_explicit(&pool->next, pool->grain,
						  memory_order_relaxed);
		if (begin >= pool->units)
			return;
		end = begin + pool->grain;
		if (end > pool->units)
			end = pool->units;
		pool->body(pool->argument, begin, end);
	}
}

/* This thread's share of the loop. */
static void share(struct fw_pool *pool)
{
	if (fw_guarded(pool->queue->fw, share_body, pool))
		atomic_store(&pool->failure, -EFAULT);
}

static void *helper_main(void *argument)
{
	struct fw_pool *pool = argument;
	uint32_t seen = 0;

	for (;;) {
		while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
			wait_while(pool, &pool->generation, seen);
		seen++;
		if (atomic_load(&pool->quit))
			return NULL;
		share(pool);
		if (atomic_fetch_sub(&pool->busy, 1) == 1)
			wake_all(pool, &pool->busy);
	}
}

static void begin_generation(struct fw_pool *pool)
{
	atomic_fetch_add(&pool->generation, 1);
	wake_all(pool, &pool->generation);
}

int fw_pool_run(struct fw_pool *pool, uint64_t units, uint64_t grain,
		void (*body)(void *argument, uint64_t begin, uint64_t end), void *argument)
{
	uint32_t busy;

	pool->units = units;
	pool->grain = grain ? grain : 1;
	pool->body = body;
	pool->argument = argument;
	atomic_store(&pool->next, 0);
	atomic_store(&pool->failure, 0);

	if (pool->threads && units > pool->grain) {
		atomic_store(&pool->busy, pool->threads);
		begin_generation(pool);
	}
	share(pool);
	while ((busy = atomic_load_explicit(&pool->busy, memory_order_acquire)))
		wait_while(pool, &pool->busy, busy);
	return atomic_load(&pool->failure);
}

uint32_t fw_pool_cores(const struct fw_pool *pool)
{
	return pool->threads + 1;
}

struct fw_pool *fw_pool_create(struct fw_queue *queue, uint32_t cores)
{
	struct fw_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->queue = queue;
	pool->thread = calloc(cores, sizeof(*pool->thread));
	if (!pool->thread)
		goto fail;
	for (; pool->threads + 1 < cores; pool->threads++)
		if (pthread_create(&pool->thread[pool->threads], NULL, helper_main, pool))
			goto fail;
	return pool;

fail:
	fw_pool_destroy(pool);
	return NULL;
}

void fw_pool_destroy(struct fw_pool *pool)
{
	if (!pool)
		return;
	atomic_store(&pool->quit, true);
	begin_generation(pool);
	for (uint32_t i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	free(pool->thread);
	free(pool);
}
