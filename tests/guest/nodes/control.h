/* SPDX-License-Identifier: MIT */
/*
 * How node 0 has node 1 do things: requests and replies over a TCP connection of their own,
 * on the ports that no test touches.
 */
#ifndef TEST_NODES_CONTROL_H
#define TEST_NODES_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "worker.h"

/* The link between the nodes; node 1 listens. Aborts where there is none within a minute. */
void control_connect(unsigned int node, const char *address);

/* Node 1: do what is asked, until node 0 leaves. Return: number of requests. */
unsigned int control_serve(void);

/*
 * Node 0: as the functions of worker.h and system(3), over there. A link that breaks
 * aborts.
 */
void remote_start(const struct worker_options *options, int again);
void remote_signal(int signal);
int remote_finish(void);
void remote_kill(void);
void remote_counts(struct worker_counts *counts);
void remote_slow(uint32_t milliseconds);
int remote_shell(const char *command);
/* Output of a command, its first line. */
void remote_output(const char *command, char *text, size_t size);
void remote_file(const char *name, const void *bytes, size_t size);
/* The same here. */
void local_output(const char *command, char *text, size_t size);

#endif /* TEST_NODES_CONTROL_H */
