// SPDX-License-Identifier: MIT
/*
 * GGUF files: opening, and finding and reading tensors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf_file.h"

int tandem_gguf_read_at(const struct tandem_gguf *file, void *buffer, size_t size,
			uint64_t offset, struct tandem_error *error)
{
	unsigned char *at = buffer;

	while (size) {
		ssize_t count = pread(file->fd, at, size, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return tandem_error_set(error, -errno, "%s: cannot read: %s", file->name,
						strerror(errno));
		if (count == 0)
			return tandem_error_set(error, -EBADMSG,
						"%s: has been shortened while it was in use; "
						"replace the file and start again", file->name);
		at += count;
		offset += (uint64_t)count;
		size -= (size_t)count;
	}
	return 0;
}

static int map_tensors(struct tandem_gguf *file, struct tandem_error *error)
{
	uint32_t i;

	if (!file->tensor_count)
		return 0;
	file->map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
	if (file->map == MAP_FAILED)
		return tandem_error_set(error, -errno, "%s: cannot map: %s", file->name,
					strerror(errno));
	for (i = 0; i < file->tensor_count; i++)
		file->tensors[i].data = (const char *)file->map + file->tensors[i].file_offset;
	return 0;
}

static int open_regular(struct tandem_gguf *file, const char *path, struct tandem_error *error)
{
	struct stat status;

	/* O_NONBLOCK: a FIFO is to be refused, not waited for. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0)
		return tandem_error_set(error, -errno, "%s: cannot open: %s", file->name,
					strerror(errno));
	if (fstat(file->fd, &status) < 0)
		return tandem_error_set(error, -errno, "%s: cannot get its size: %s", file->name,
					strerror(errno));
	if (!S_ISREG(status.st_mode))
		return tandem_error_set(error, -EINVAL,
					"%s: is not a regular file; name a GGUF file", file->name);
	file->size = (uint64_t)status.st_size;
	if (!file->size)
		return tandem_error_set(error, -EBADMSG, "%s: is empty; fetch it again",
					file->name);
	return 0;
}

static void set_name(struct tandem_gguf *file, const char *path)
{
	size_t length = strlen(path);

	if (length < sizeof(file->name)) {
		memcpy(file->name, path, length + 1);
		return;
	}
	memcpy(file->name, "...", 3);
	memcpy(file->name + 3, path + length - (sizeof(file->name) - 4),
	       sizeof(file->name) - 3);
}

int tandem_gguf_open(const char *path, struct tandem_gguf **result, struct tandem_error *error)
{
	struct tandem_gguf *file;
	int ret;

	file = calloc(1, sizeof(*file));
	if (!file)
		return tandem_error_set(error, -ENOMEM, "%s: no memory to open it", path);
	file->fd = -1;
	file->map = MAP_FAILED;
	set_name(file, path);

	ret = open_regular(file, path, error);
	if (ret)
		goto fail;
	ret = tandem_gguf_parse(file, error);
	if (ret)
		goto fail;
	ret = map_tensors(file, error);
	if (ret)
		goto fail;
	*result = file;
	return 0;

fail:
	tandem_gguf_close(file);
	return ret;
}

void tandem_gguf_close(struct tandem_gguf *file)
{
	if (!file)
		return;
	if (file->map != MAP_FAILED)
		munmap(file->map, file->size);
	free(file->by_name);
	free(file->tensors);
	free(file->keys);
	free(file->header);
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

const char *tandem_gguf_name(const struct tandem_gguf *file)
{
	return file->name;
}

const struct tandem_gguf_tensor *tandem_gguf_tensor(const struct tandem_gguf *file,
						    const char *name)
{
	uint32_t low = 0, high = file->tensor_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct tandem_gguf_tensor *tensor = &file->tensors[file->by_name[middle]];
		int order = strcmp(name, tensor->name);

		if (order == 0)
			return tensor;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

uint32_t tandem_gguf_tensor_count(const struct tandem_gguf *file)
{
	return file->tensor_count;
}

const struct tandem_gguf_tensor *tandem_gguf_tensor_at(const struct tandem_gguf *file,
						       uint32_t index)
{
	return index < file->tensor_count ? &file->tensors[index] : NULL;
}

int tandem_gguf_read(const struct tandem_gguf *file, const struct tandem_gguf_tensor *tensor,
		     uint64_t offset, void *buffer, size_t size, struct tandem_error *error)
{
	if (offset > tensor->bytes || size > tensor->bytes - offset)
		return tandem_error_set(error, -EINVAL,
					"%s: %zu bytes at %llu were asked of tensor '%s', which has %llu",
					file->name, size, (unsigned long long)offset, tensor->name,
					(unsigned long long)tensor->bytes);
	return tandem_gguf_read_at(file, buffer, size, tensor->file_offset + offset, error);
}
