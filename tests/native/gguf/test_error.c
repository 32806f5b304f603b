// SPDX-License-Identifier: MIT
/*
 * Messages of errors.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/error.h"

static void test_set(void **state)
{
	struct tandem_error error = { 0 };

	(void)state;
	errno = ENOTTY;
	assert_int_equal(tandem_error_set(&error, -EINVAL, "%s: is %d", "thing", 5), -EINVAL);
	assert_int_equal(error.code, -EINVAL);
	assert_string_equal(error.message, "thing: is 5");
	assert_int_equal(tandem_error_set(NULL, -ENOMEM, "unheard"), -ENOMEM);
	assert_int_equal(errno, ENOTTY);
}

static void test_printable(void **state)
{
	struct tandem_error error;

	(void)state;
	/* Control characters of ASCII and of U+0080 on, and what is not UTF-8. */
	tandem_error_set(&error, -EINVAL, "%s", "a\nb\tc\x1b[0m\x7f|\xc2\x9b|\x80|\xff|\xe2\x96|");
	assert_string_equal(error.message, "a?b?c?[0m?|?\?|?|?|?\?|");
	tandem_error_set(&error, -EINVAL, "%s", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\x89");
	assert_string_equal(error.message, "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\x89");
	tandem_error_set(&error, -EINVAL, "%s", "cut\xf0\x9f\x8e");
	assert_string_equal(error.message, "cut?\?\?");
}

/* A long message is cut, and never within a character. */
static void test_cut(void **state)
{
	static const char *const characters[] = { "x", "\xc3\xa9", "\xe2\x82\xac",
						  "\xf0\x9f\x8e\x89" };
	struct tandem_error error;
	char text[600];
	size_t shift, i;

	(void)state;
	for (i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		const size_t bytes = strlen(characters[i]);

		for (shift = 0; shift < 4; shift++) {
			const size_t room = TANDEM_ERROR_MESSAGE_SIZE - 1 - shift;
			size_t at;

			memset(text, '.', shift);
			for (at = shift; at + bytes < sizeof(text); at += bytes)
				memcpy(text + at, characters[i], bytes);
			text[at] = '\0';
			tandem_error_set(&error, -EINVAL, "%s", text);
			assert_int_equal(strlen(error.message), shift + room / bytes * bytes);
			assert_memory_equal(error.message, text, strlen(error.message));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
