/* SPDX-License-Identifier: MIT */
/* Other programs, which figures are measured beside. */
#ifndef TANDEM_BENCH_PROGRAM_H
#define TANDEM_BENCH_PROGRAM_H

#include <stddef.h>

/**
 * bench_program_run() - run a program to its end
 * @argv: the first is looked for in PATH; ends with NULL
 * @output: filled in with what it prints, terminated; what is too much is dropped
 * @size: of @output, not zero
 *
 * Its standard error goes nowhere.
 *
 * Return: its exit status (127 if it is not there), or -1 if it was killed.
 */
int bench_program_run(char *const *argv, char *output, size_t size);

/**
 * bench_program_run_pair() - run two programs that talk to one another
 * @server: as @argv above; waits for the other one
 * @client: is tried again for some seconds while it fails and the server runs
 * @output: as above, of @client
 * @size: of @output, not zero
 * @cpu_seconds: filled in with the processor time of both
 *
 * Return: the exit status of @client, 127 if a program is not there, or -1. The
 * server has ended, too.
 */
int bench_program_run_pair(char *const *server, char *const *client, char *output, size_t size,
			   double *cpu_seconds);

/* A TCP port that is free on this machine; 0 if there is none. */
unsigned int bench_program_free_port(void);

#endif /* TANDEM_BENCH_PROGRAM_H */
