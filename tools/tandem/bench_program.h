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

#endif /* TANDEM_BENCH_PROGRAM_H */
