# SPDX-License-Identifier: MIT
# Generation end to end; the same program serves in the guest.

generate-test := tests/native/generate/test_generate
$(generate-test)-src := $(generate-test).c tests/native/support/shared_data.c
native-tests += $(generate-test)
guest-tests  += $(generate-test)

batch-test := tests/native/generate/test_batch
$(batch-test)-src := $(batch-test).c tests/native/support/shared_data.c
native-tests += $(batch-test)

reuse-test := tests/native/generate/test_reuse
$(reuse-test)-src := $(reuse-test).c tests/native/support/shared_data.c
native-tests += $(reuse-test)

architecture-test := tests/native/generate/test_architecture
$(architecture-test)-src := $(architecture-test).c \
	tests/native/firmware/tiny_model.c tests/native/support/gguf_writer.c
native-tests += $(architecture-test)

serve-world-src := tests/native/generate/serve_world.c tests/native/support/shared_data.c

serve-test := tests/native/generate/test_serve
$(serve-test)-src := $(serve-test).c $(serve-world-src)
$(serve-test)-libs := -Wl,--wrap=tandem_step_start
native-tests += $(serve-test)
thread-tests += $(serve-test)

serve-store-test := tests/native/generate/test_serve_store
$(serve-store-test)-src := $(serve-store-test).c $(serve-world-src)
native-tests += $(serve-store-test)
thread-tests += $(serve-store-test)
