// SPDX-License-Identifier: MIT
/* Which classes of memory a device says it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver.h"
#include "firmware-sim/profiles.h"

#define MIB	(1ull << 20)

/* What a device with that configuration answers. */
static struct tandem_hw_identity identity_of(const struct tandem_fw_config *config)
{
	static struct driver driver;
	struct tandem_hw_identity *identity, copy;
	struct tandem_hw_descriptor identify = { .opcode = TANDEM_HW_OP_IDENTIFY };

	driver_open(&driver, config);
	identify.src_offset = driver_host(&driver, sizeof(*identity), true, &identity);
	driver_enable(&driver);
	assert_int_equal(driver_run(&driver, 0, &identify).status, TANDEM_HW_OK);
	assert_int_equal(driver_read64(&driver, TANDEM_REG_MEMORY_SIZE), identity->memory_size);
	copy = *identity;
	driver_close(&driver);
	return copy;
}

static void each_profile_has_its_kind(void **state)
{
	static const struct {
		const char *profile;
		uint32_t kind;
	} kinds[] = {
		{ "trn2", TANDEM_HW_MEMORY_HBM },
		{ "trn3", TANDEM_HW_MEMORY_HBM },
		{ "wse3", TANDEM_HW_MEMORY_SRAM },
		{ "h100", TANDEM_HW_MEMORY_HBM },
		{ "host", TANDEM_HW_MEMORY_DRAM },
	};
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);

	(void)state;
	assert_null(tandem_fw_profile_at(count));
	for (size_t i = 0; i < count; i++) {
		const struct tandem_fw_profile *profile = tandem_fw_profile_find(kinds[i].profile);
		struct tandem_fw_config config = driver_config;
		struct tandem_hw_identity identity;

		config.profile = kinds[i].profile;
		identity = identity_of(&config);
		assert_int_equal(identity.memory_class_count, 1);
		assert_int_equal(identity.pad, 0);
		assert_int_equal(identity.memory_class[0].kind, kinds[i].kind);
		assert_int_equal(identity.memory_class[0].start, 0);
		assert_int_equal(identity.memory_class[0].size, config.memory_size);
		assert_int_equal(identity.memory_class[0].bandwidth, profile->memory_bandwidth);
		assert_int_equal(identity.memory_class[0].reserved, 0);
	}
}

static void sram_is_a_class_of_its_own(void **state)
{
	static const struct tandem_hw_memory_class none;
	struct tandem_fw_config config = driver_config;
	struct tandem_hw_identity identity;

	(void)state;
	config.memory_size = 3 * MIB;
	config.sram_size = MIB;
	identity = identity_of(&config);
	assert_int_equal(identity.memory_size, 4 * MIB);
	assert_int_equal(identity.memory_class_count, 2);
	assert_int_equal(identity.memory_class[0].kind, TANDEM_HW_MEMORY_HBM);
	assert_int_equal(identity.memory_class[0].start, 0);
	assert_int_equal(identity.memory_class[0].size, 3 * MIB);
	assert_int_equal(identity.memory_class[1].kind, TANDEM_HW_MEMORY_SRAM);
	assert_int_equal(identity.memory_class[1].start, 3 * MIB);
	assert_int_equal(identity.memory_class[1].size, MIB);
	/* No figure of it is known. */
	assert_int_equal(identity.memory_class[1].bandwidth, 0);
	for (size_t i = 2; i < TANDEM_HW_MEMORY_CLASSES_MAX; i++)
		assert_memory_equal(&identity.memory_class[i], &none, sizeof(none));
}

static void bad_sram_is_refused(void **state)
{
	struct tandem_fw_config bad[] = { driver_config, driver_config, driver_config };
	struct tandem_fw_bus bus = { 0 };
	char error[TANDEM_FW_ERROR_BYTES];
	struct tandem_fw *fw;

	(void)state;
	bad[0].sram_size = 4097;
	bad[1].sram_size = -4096ull;
	bad[2].profile = "wse3";
	bad[2].sram_size = MIB;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		assert_int_equal(tandem_fw_create(&bad[i], &bus, &fw, error), -22);
		assert_non_null(strstr(error, "SRAM"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_profile_has_its_kind),
		cmocka_unit_test(sram_is_a_class_of_its_own),
		cmocka_unit_test(bad_sram_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
