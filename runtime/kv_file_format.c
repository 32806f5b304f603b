// SPDX-License-Identifier: MIT
/*
 * What is in a store's file, in this machine's byte order:
 *
 *	header, then slots: description, block; description, block; …
 *
 * each beginning at a multiple of KV_FILE_ALIGNMENT. A description has checksums of
 * itself and of the block's bytes. So it does not matter in which order they come to
 * the disk, or that a process dies in between: what does not fit together is found
 * out, and counts as an empty slot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "error.h"
#include "kv_file.h"

#define MAGIC		"TandemKV"
#define VERSION		1u

/**
 * struct header - the start of the file
 * @checksum: of all that follows
 * @magic: %MAGIC
 * @version: %VERSION, of the format
 * @type: see &struct tandem_kv_layout, likewise the following
 * @layers: likewise
 * @kv_width: likewise
 * @block_tokens: likewise
 * @reserved: zero
 * @seed: of the hashes by which blocks are found
 * @model: what computes the content, see &struct tandem_kv_pool
 */
struct header {
	uint64_t checksum;
	char magic[8];
	uint32_t version;
	uint32_t type;
	uint32_t layers;
	uint32_t kv_width;
	uint32_t block_tokens;
	uint32_t reserved;
	uint64_t seed;
	struct tandem_kv_hash model;
};

/**
 * struct description - what is in a slot
 * @checksum: of all that follows, tokens included
 * @block_checksum: of the block's bytes
 * @hash: see &struct tandem_kv_content, likewise the following
 * @before: likewise
 * @salt: likewise
 * @tokens: as many as a block has
 */
struct description {
	uint64_t checksum;
	uint64_t block_checksum;
	struct tandem_kv_hash hash;
	struct tandem_kv_hash before;
	struct tandem_kv_salt salt;
	uint32_t tokens[];
};

static uint64_t align_up(uint64_t bytes)
{
	return (bytes + KV_FILE_ALIGNMENT - 1) / KV_FILE_ALIGNMENT * KV_FILE_ALIGNMENT;
}

/* Of a structure that begins with its checksum. */
static uint64_t checksum_of(const void *structure, size_t size)
{
	return XXH3_64bits((const char *)structure + sizeof(uint64_t), size - sizeof(uint64_t));
}

static size_t description_size(uint32_t block_tokens)
{
	return sizeof(struct description) + block_tokens * sizeof(uint32_t);
}

/* All of it, unless the file ends before. Return: bytes, or -errno. */
static ssize_t read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t ret = pread(fd, (char *)buffer + done, size - done,
				    (off_t)(offset + done));

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return -errno;
		if (!ret)
			break;
		done += (size_t)ret;
	}
	return (ssize_t)done;
}

static int write_header(const struct kv_file_format *format, const struct tandem_kv_hash *model,
			uint64_t *seed)
{
	char bytes[KV_FILE_ALIGNMENT] = { 0 };
	struct header header = {
		.version = VERSION,
		.type = format->layout.type,
		.layers = format->layout.layers,
		.kv_width = format->layout.kv_width,
		.block_tokens = format->layout.block_tokens,
		.model = *model,
	};
	ssize_t ret;

	memcpy(header.magic, MAGIC, sizeof(header.magic));
	if (getrandom(&header.seed, sizeof(header.seed), 0) != sizeof(header.seed))
		return -errno;
	header.checksum = checksum_of(&header, sizeof(header));
	memcpy(bytes, &header, sizeof(header));
	ret = pwrite(format->fd, bytes, sizeof(bytes), 0);
	if (ret != sizeof(bytes))
		return ret < 0 ? -errno : -ENOSPC;
	*seed = header.seed;
	return 0;
}

static int check_header(const struct kv_file_format *format, const struct header *header,
			const struct tandem_kv_hash *model, const char *path,
			struct tandem_error *error)
{
	const struct tandem_kv_layout *layout = &format->layout;

	if (memcmp(header->magic, MAGIC, sizeof(header->magic)))
		return tandem_error_set(error, -EINVAL,
					"%s: it is no KV store; give another file", path);
	if (header->checksum != checksum_of(header, sizeof(*header)))
		return tandem_error_set(error, -EBADMSG,
					"%s: its start is damaged; delete it", path);
	if (header->version != VERSION)
		return tandem_error_set(error, -EINVAL,
					"%s: its format is version %u, not %u; delete it, or give another file",
					path, header->version, VERSION);
	if (memcmp(&header->model, model, sizeof(*model)))
		return tandem_error_set(error, -EINVAL,
					"%s: it is of another model; give another file", path);
	if (header->type != layout->type || header->layers != layout->layers ||
	    header->kv_width != layout->kv_width || header->block_tokens != layout->block_tokens)
		return tandem_error_set(error, -EINVAL,
					"%s: its blocks are %u tokens of type %u, the pool's %u of type %u; give another file, or the same options as before",
					path, header->block_tokens, header->type,
					layout->block_tokens, layout->type);
	return 0;
}

static int open_locked(const char *path, struct tandem_error *error)
{
	struct stat status;
	int ret;
	/* A FIFO would have this wait for whom there may not be. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd < 0 || fstat(fd, &status) < 0) {
		ret = -errno;
		tandem_error_set(error, ret, "%s: cannot open it: %s", path, strerror(-ret));
	} else if (!S_ISREG(status.st_mode)) {
		ret = tandem_error_set(error, -EINVAL, "%s: it is no ordinary file", path);
	} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		tandem_error_set(error, ret, "%s: %s", path,
				 ret == -EBUSY ? "it is in use; give each process a file of its own" :
						 strerror(-ret));
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

int kv_file_format_open(struct kv_file_format *format, const char *path,
			const struct tandem_kv_layout *layout, const struct tandem_kv_hash *model,
			uint64_t *seed, struct tandem_error *error)
{
	struct header header = { 0 };
	ssize_t ret;

	format->layout = *layout;
	format->description_bytes = align_up(description_size(layout->block_tokens));
	format->slot_bytes = format->description_bytes +
			     align_up(layout->layers * tandem_kv_block_bytes(layout));
	format->fd = open_locked(path, error);
	if (format->fd < 0)
		return format->fd;
	ret = read_at(format->fd, &header, sizeof(header), 0);
	if (ret > 0) {
		ret = check_header(format, &header, model, path, error);
		*seed = header.seed;
	} else {
		if (!ret)
			ret = write_header(format, model, seed);
		if (ret < 0)
			tandem_error_set(error, (int)ret, "%s: %s", path, strerror((int)-ret));
	}
	if (ret < 0) {
		close(format->fd);
		format->fd = -1;
		return (int)ret;
	}
	return 0;
}

uint64_t kv_file_description_at(const struct kv_file_format *format, uint32_t number)
{
	return KV_FILE_ALIGNMENT + number * format->slot_bytes;
}

uint64_t kv_file_block_at(const struct kv_file_format *format, uint32_t number)
{
	return kv_file_description_at(format, number) + format->description_bytes;
}

uint64_t kv_file_slots_in(const struct kv_file_format *format, uint64_t bytes)
{
	return bytes < KV_FILE_ALIGNMENT ? 0 : (bytes - KV_FILE_ALIGNMENT) / format->slot_bytes;
}

int kv_file_read_slots(const struct kv_file_format *format, struct kv_slots *slots)
{
	const size_t size = description_size(format->layout.block_tokens);
	struct description *found = malloc(size);
	ssize_t ret = found ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < slots->count && ret >= 0; i++) {
		struct kv_slot *slot = &slots->slots[i];

		ret = read_at(format->fd, found, size, kv_file_description_at(format, i));
		if (ret < (ssize_t)size)
			break;
		if (found->checksum == checksum_of(found, size)) {
			const struct tandem_kv_content content = {
				.hash = found->hash,
				.before = found->before,
				.salt = &found->salt,
				.tokens = found->tokens,
				.count = format->layout.block_tokens,
			};

			/* What has been written twice is of use once. */
			if (kv_slots_find(slots, &content))
				continue;
			kv_slots_hold(slots, slot);
			kv_slots_insert(slots, slot, &content);
			slot->checksum = found->block_checksum;
			slot->complete = true;
			kv_slots_drop(slots, slot);
		}
	}
	free(found);
	return ret < 0 ? (int)ret : 0;
}

void kv_file_describe(const struct kv_file_format *format, const struct kv_slots *slots,
		      const struct kv_slot *slot, void *to)
{
	const uint32_t block_tokens = format->layout.block_tokens;
	const size_t size = description_size(block_tokens);
	struct description *description = to;

	memset(to, 0, format->description_bytes);
	description->block_checksum = slot->checksum;
	description->hash = slot->hash;
	description->before = slot->before;
	description->salt = slot->salt;
	memcpy(description->tokens, kv_slots_tokens(slots, slot),
	       block_tokens * sizeof(*description->tokens));
	description->checksum = checksum_of(description, size);
}
