# SPDX-License-Identifier: MIT
# Tests of the compute kernels; all share check.c and guarded.c.

kernels-tests := \
	tests/native/kernels/test_attention \
	tests/native/kernels/test_elementwise \
	tests/native/kernels/test_kv \
	tests/native/kernels/test_matmul \
	tests/native/kernels/test_quantised \
	tests/native/kernels/test_reduce \
	tests/native/kernels/test_sampling \
	tests/native/kernels/test_types

native-tests += $(kernels-tests)

$(foreach test,$(kernels-tests),$(eval $(test)-src := $(test).c \
	tests/native/kernels/check.c tests/native/kernels/guarded.c))
