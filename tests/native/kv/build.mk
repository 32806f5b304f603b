# SPDX-License-Identifier: MIT
# The paged KV pool.

kv-tests := $(addprefix tests/native/kv/,test_kv_cache test_kv_file \
	test_kv_random test_kv_sequence test_kv_store)
$(foreach test,$(kv-tests),$(eval $(test)-src := $(test).c tests/native/kv/fixture.c))

native-tests += tests/native/kv/test_kv_pool $(kv-tests)
