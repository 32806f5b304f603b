/* SPDX-License-Identifier: MIT */
/*
 * Data for tests that is not part of the repository.
 */
#ifndef TANDEM_TESTS_SHARED_DATA_H
#define TANDEM_TESTS_SHARED_DATA_H

#include <stddef.h>

/**
 * shared_data_path() - find a file of the shared data
 * @name: its path below the shared directory, such as "data/README.md"
 * @path: where to put its full name
 * @size: of @path
 *
 * Looks in the directory that TANDEM_SHARED names, else in ../shared; tests
 * run in the repository's top directory.
 *
 * Return: @path, or NULL if the file cannot be read. The reason for skipping
 * has then been printed, as tests/run-suite wants it: call skip().
 */
const char *shared_data_path(const char *name, char *path, size_t size);

/**
 * shared_model_path() - find a small model of the llama architecture
 * @path: where to put its full name
 * @size: of @path
 *
 * That of the shared data, or else the demo's, which is always there.
 */
void shared_model_path(char *path, size_t size);

#endif /* TANDEM_TESTS_SHARED_DATA_H */
