// SPDX-License-Identifier: MIT
/* Surviving memory that does not answer. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fault_guard.h"

struct range {
	uintptr_t start;
	uintptr_t end;
};

/* Signal handlers are the process's: so is this. Constant once threads run. */
static struct range ranges[FW_FAULT_RANGES_MAX];
static size_t range_count;

/* Where the present thread goes on after a fault; NULL outside of the guard. */
static __thread sigjmp_buf *landing;

static bool expected(uintptr_t address)
{
	for (size_t i = 0; i < range_count; i++)
		if (address >= ranges[i].start && address < ranges[i].end)
			return true;
	return false;
}

/*
 * The fault is synchronous and its code holds no locks (see fw_guarded()), so
 * jumping out of the handler is sound.
 */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	(void)context;
	if (landing && expected((uintptr_t)info->si_addr))
		siglongjmp(*landing, 1);
	/* The instruction is tried again, and ends the process. */
	sigaction(signal, &action, NULL);
}

int fw_fault_guard_install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		/*
		 * NODEFER: the signal stays unblocked across the jump, so that
		 * no signal mask need be saved for each guarded access.
		 */
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL) || sigaction(SIGSEGV, &action, NULL))
		return -errno;
	return 0;
}

int fw_fault_guard_add(const void *start, size_t length)
{
	if (range_count == FW_FAULT_RANGES_MAX)
		return -ENOSPC;
	ranges[range_count++] = (struct range){
		.start = (uintptr_t)start,
		.end = (uintptr_t)start + length,
	};
	return 0;
}

int fw_fault_guard_run(void (*body)(void *argument), void *argument)
{
	sigjmp_buf *volatile outer = landing;
	sigjmp_buf here;

	if (sigsetjmp(here, 0)) {
		landing = outer;
		return -EFAULT;
	}
	landing = &here;
	body(argument);
	landing = outer;
	return 0;
}
