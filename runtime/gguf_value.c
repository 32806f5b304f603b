// SPDX-License-Identifier: MIT
/*
 * Metadata values of GGUF files.
 */
#include <errno.h>
#include <math.h>

#include "gguf_file.h"

size_t tandem_gguf_scalar_bytes(uint32_t type)
{
	switch (type) {
	case TANDEM_GGUF_UINT8:
	case TANDEM_GGUF_INT8:
	case TANDEM_GGUF_BOOL:
		return 1;
	case TANDEM_GGUF_UINT16:
	case TANDEM_GGUF_INT16:
		return 2;
	case TANDEM_GGUF_UINT32:
	case TANDEM_GGUF_INT32:
	case TANDEM_GGUF_FLOAT32:
		return 4;
	case TANDEM_GGUF_UINT64:
	case TANDEM_GGUF_INT64:
	case TANDEM_GGUF_FLOAT64:
		return 8;
	default:
		return 0;
	}
}

static const struct tandem_gguf_key *find_key(const struct tandem_gguf *file, const char *name)
{
	size_t length = strlen(name);
	uint32_t low = 0, high = file->key_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct tandem_gguf_key *key = &file->keys[middle];
		int order = tandem_gguf_compare_names(name, length, file->header + key->name_offset,
					  key->name_length);

		if (order == 0)
			return key;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool tandem_gguf_has(const struct tandem_gguf *file, const char *key)
{
	return find_key(file, key) != NULL;
}

uint32_t tandem_gguf_key_count(const struct tandem_gguf *file)
{
	return file->key_count;
}

struct tandem_gguf_string tandem_gguf_key_at(const struct tandem_gguf *file, uint32_t index)
{
	const struct tandem_gguf_key *key = &file->keys[index];

	return (struct tandem_gguf_string){
		.data = (const char *)file->header + key->name_offset,
		.length = key->name_length,
	};
}

static const struct tandem_gguf_key *find_or_say(const struct tandem_gguf *file, const char *name,
						 struct tandem_error *error)
{
	const struct tandem_gguf_key *key = find_key(file, name);

	if (!key)
		tandem_error_set(error, -ENOENT,
				 "%s: key '%s' is missing; convert the model again", file->name,
				 name);
	return key;
}

static const unsigned char *value_of(const struct tandem_gguf *file,
				     const struct tandem_gguf_key *key)
{
	return file->header + key->value_offset;
}

static const char *type_text(uint32_t type)
{
	static const char *const texts[] = {
		[TANDEM_GGUF_UINT8] = "an integer",
		[TANDEM_GGUF_INT8] = "an integer",
		[TANDEM_GGUF_UINT16] = "an integer",
		[TANDEM_GGUF_INT16] = "an integer",
		[TANDEM_GGUF_UINT32] = "an integer",
		[TANDEM_GGUF_INT32] = "an integer",
		[TANDEM_GGUF_FLOAT32] = "a floating-point number",
		[TANDEM_GGUF_BOOL] = "a bool",
		[TANDEM_GGUF_STRING] = "a string",
		[TANDEM_GGUF_ARRAY] = "an array",
		[TANDEM_GGUF_UINT64] = "an integer",
		[TANDEM_GGUF_INT64] = "an integer",
		[TANDEM_GGUF_FLOAT64] = "a floating-point number",
	};

	/* Parsing has refused other types. */
	return texts[type];
}

static int wrong_type(const struct tandem_gguf *file, const char *name, uint32_t type,
		      const char *wanted, struct tandem_error *error)
{
	return tandem_error_set(error, -EINVAL, "%s: key '%s' is %s, not %s", file->name, name,
				type_text(type), wanted);
}

/* @value: wide enough for each 64-bit type, signed or not */
static bool load_integer(uint32_t type, const unsigned char *at, __int128 *value)
{
	switch (type) {
	case TANDEM_GGUF_UINT8:
		*value = at[0];
		return true;
	case TANDEM_GGUF_INT8:
		*value = (int8_t)at[0];
		return true;
	case TANDEM_GGUF_UINT16:
		*value = tandem_gguf_load_u16(at);
		return true;
	case TANDEM_GGUF_INT16:
		*value = (int16_t)tandem_gguf_load_u16(at);
		return true;
	case TANDEM_GGUF_UINT32:
		*value = tandem_gguf_load_u32(at);
		return true;
	case TANDEM_GGUF_INT32:
		*value = (int32_t)tandem_gguf_load_u32(at);
		return true;
	case TANDEM_GGUF_UINT64:
		*value = tandem_gguf_load_u64(at);
		return true;
	case TANDEM_GGUF_INT64:
		*value = (int64_t)tandem_gguf_load_u64(at);
		return true;
	default:
		return false;
	}
}

static int get_unsigned(const struct tandem_gguf *file, const char *name, uint64_t most,
			uint64_t *value, struct tandem_error *error)
{
	const struct tandem_gguf_key *key = find_or_say(file, name, error);
	__int128 integer;

	if (!key)
		return -ENOENT;
	if (!load_integer(key->type, value_of(file, key), &integer))
		return wrong_type(file, name, key->type, "an integer", error);
	if (integer < 0)
		return tandem_error_set(error, -EINVAL,
					"%s: key '%s' is %lld; it cannot be negative", file->name,
					name, (long long)integer);
	if (integer > most)
		return tandem_error_set(error, -EINVAL,
					"%s: key '%s' is %llu; it can be at most %llu", file->name,
					name, (unsigned long long)integer,
					(unsigned long long)most);
	*value = (uint64_t)integer;
	return 0;
}

int tandem_gguf_u64(const struct tandem_gguf *file, const char *key, uint64_t *value,
		    struct tandem_error *error)
{
	return get_unsigned(file, key, UINT64_MAX, value, error);
}

int tandem_gguf_u32(const struct tandem_gguf *file, const char *key, uint32_t *value,
		    struct tandem_error *error)
{
	uint64_t wide;
	int ret = get_unsigned(file, key, UINT32_MAX, &wide, error);

	if (!ret)
		*value = (uint32_t)wide;
	return ret;
}

static bool load_f32(uint32_t type, const unsigned char *at, float *value)
{
	uint32_t bits;
	uint64_t wide_bits;
	double wide;

	switch (type) {
	case TANDEM_GGUF_FLOAT32:
		bits = tandem_gguf_load_u32(at);
		memcpy(value, &bits, sizeof(*value));
		return true;
	case TANDEM_GGUF_FLOAT64:
		wide_bits = tandem_gguf_load_u64(at);
		memcpy(&wide, &wide_bits, sizeof(wide));
		*value = (float)wide;
		return true;
	default:
		return false;
	}
}

int tandem_gguf_f32(const struct tandem_gguf *file, const char *key, float *value,
		    struct tandem_error *error)
{
	const struct tandem_gguf_key *found = find_or_say(file, key, error);
	float number;

	if (!found)
		return -ENOENT;
	if (!load_f32(found->type, value_of(file, found), &number))
		return wrong_type(file, key, found->type, "a floating-point number", error);
	if (!isfinite(number))
		return tandem_error_set(error, -EINVAL,
					"%s: key '%s' is %s; it must be finite", file->name, key,
					isnan(number) ? "not a number" : "infinite");
	*value = number;
	return 0;
}

int tandem_gguf_bool(const struct tandem_gguf *file, const char *key, bool *value,
		     struct tandem_error *error)
{
	const struct tandem_gguf_key *found = find_or_say(file, key, error);

	if (!found)
		return -ENOENT;
	if (found->type != TANDEM_GGUF_BOOL)
		return wrong_type(file, key, found->type, "a bool", error);
	*value = *value_of(file, found) != 0;
	return 0;
}

int tandem_gguf_string(const struct tandem_gguf *file, const char *key,
		       struct tandem_gguf_string *value, struct tandem_error *error)
{
	const struct tandem_gguf_key *found = find_or_say(file, key, error);

	if (!found)
		return -ENOENT;
	if (found->type != TANDEM_GGUF_STRING)
		return wrong_type(file, key, found->type, "a string", error);
	value->data = (const char *)value_of(file, found) + 8;
	value->length = found->value_bytes - 8;
	return 0;
}

int tandem_gguf_array(const struct tandem_gguf *file, const char *key,
		      struct tandem_gguf_array *value, struct tandem_error *error)
{
	const struct tandem_gguf_key *found = find_or_say(file, key, error);

	if (!found)
		return -ENOENT;
	if (found->type != TANDEM_GGUF_ARRAY)
		return wrong_type(file, key, found->type, "an array", error);
	value->type = tandem_gguf_load_u32(value_of(file, found));
	value->count = tandem_gguf_load_u64(value_of(file, found) + 4);
	value->elements = value_of(file, found) + 12;
	value->bytes = found->value_bytes - 12;
	return 0;
}

int tandem_gguf_u32_or(const struct tandem_gguf *file, const char *key, uint32_t fallback,
		       uint32_t *value, struct tandem_error *error)
{
	if (tandem_gguf_has(file, key))
		return tandem_gguf_u32(file, key, value, error);
	*value = fallback;
	return 0;
}

int tandem_gguf_u64_or(const struct tandem_gguf *file, const char *key, uint64_t fallback,
		       uint64_t *value, struct tandem_error *error)
{
	if (tandem_gguf_has(file, key))
		return tandem_gguf_u64(file, key, value, error);
	*value = fallback;
	return 0;
}

int tandem_gguf_f32_or(const struct tandem_gguf *file, const char *key, float fallback,
		       float *value, struct tandem_error *error)
{
	if (tandem_gguf_has(file, key))
		return tandem_gguf_f32(file, key, value, error);
	*value = fallback;
	return 0;
}

int tandem_gguf_bool_or(const struct tandem_gguf *file, const char *key, bool fallback,
			bool *value, struct tandem_error *error)
{
	if (tandem_gguf_has(file, key))
		return tandem_gguf_bool(file, key, value, error);
	*value = fallback;
	return 0;
}

bool tandem_gguf_string_is(struct tandem_gguf_string string, const char *text)
{
	return string.length == strlen(text) && !memcmp(string.data, text, string.length);
}

int tandem_gguf_array_i64(const struct tandem_gguf_array *array, uint64_t index, int64_t *value)
{
	__int128 integer;

	if (index >= array->count)
		return -ERANGE;
	/* Strings and arrays have no size here, and are refused with the rest. */
	if (!load_integer(array->type,
			  array->elements + index * tandem_gguf_scalar_bytes(array->type),
			  &integer))
		return -EINVAL;
	if (integer > INT64_MAX)
		return -EINVAL;
	*value = (int64_t)integer;
	return 0;
}

int tandem_gguf_array_f32(const struct tandem_gguf_array *array, uint64_t index, float *value)
{
	if (index >= array->count)
		return -ERANGE;
	if (!load_f32(array->type,
		      array->elements + index * tandem_gguf_scalar_bytes(array->type), value))
		return -EINVAL;
	return 0;
}

bool tandem_gguf_array_next_string(const struct tandem_gguf_array *array, size_t *position,
				   struct tandem_gguf_string *value)
{
	if (array->type != TANDEM_GGUF_STRING || *position >= array->bytes)
		return false;
	/* Parsing has checked that lengths and strings fill the array exactly. */
	value->length = tandem_gguf_load_u64(array->elements + *position);
	value->data = (const char *)array->elements + *position + 8;
	*position += 8 + value->length;
	return true;
}
