// SPDX-License-Identifier: MIT
/*
 * Data for tests that is not part of the repository.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared_data.h"

const char *shared_data_path(const char *name, char *path, size_t size)
{
	const char *directory = getenv("TANDEM_SHARED");

	snprintf(path, size, "%s/%s", directory ? directory : "../shared", name);
	if (access(path, R_OK) == 0)
		return path;
	printf("# skip: %s is not there (TANDEM_SHARED can name another directory)\n", path);
	fflush(stdout);
	return NULL;
}

void shared_model_path(char *path, size_t size)
{
	if (!shared_data_path("data/models/stories260K.gguf", path, size))
		snprintf(path, size, "tools/demo-model/tandem-demo.gguf");
}
