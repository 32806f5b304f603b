/* SPDX-License-Identifier: MIT */
/*
 * A device of a test's own: a tandem-fw process that it may stop and kill.
 */
#ifndef TEST_FIRMWARE_H
#define TEST_FIRMWARE_H

#include <stdbool.h>
#include <sys/types.h>

struct firmware {
	pid_t pid;
	/* Path of the accel node that has come with it. */
	char node[64];
};

/* Returns when the node is there. Ends the test if that takes long. */
void firmware_start(struct firmware *firmware);
/* With the options of tandem-fw, up to NULL, in place of the usual ones. */
void firmware_start_with(struct firmware *firmware, const char *const *options);
/*
 * The same for one that does wrong, as tandem-fw --fault takes it; NULL after
 * the last. False when the device does not start, or its process ends.
 */
bool firmware_start_faulty(struct firmware *firmware,
			   const char *const *faults);
/* Starts the process and does not wait for anything. */
pid_t firmware_spawn(void);
/* Ends the process, if it has not ended, and waits for it. */
void firmware_kill(struct firmware *firmware);
/* Has the node gone? Waits some time for it. */
int firmware_wait_for_unplug(const struct firmware *firmware);

#endif /* TEST_FIRMWARE_H */
