# SPDX-License-Identifier: MIT
# Sources of the compute kernels. They need libm and nothing else.

kernels-avx2-src := \
	kernels/attention_avx2.c \
	kernels/elementwise_avx2.c \
	kernels/matmul_avx2.c \
	kernels/quantised_avx2.c \
	kernels/reduce_avx2.c

kernels-avx512-src := \
	kernels/attention_avx512.c \
	kernels/matmul_avx512.c

kernels-vnni-src := \
	kernels/quantised_vnni.c \
	kernels/quantised_vnni_direct.c

kernels-bf16-src := \
	kernels/matmul_bf16.c

kernels-scalar-src := \
	kernels/attention_scalar.c \
	kernels/elementwise_scalar.c \
	kernels/kv.c \
	kernels/matmul_scalar.c \
	kernels/quantised_scalar.c \
	kernels/reduce_scalar.c \
	kernels/rope.c \
	kernels/sampling.c \
	kernels/select.c

kernels-src := $(kernels-scalar-src) $(kernels-avx2-src) \
	$(kernels-avx512-src) $(kernels-vnni-src) $(kernels-bf16-src)

avx512-flags := -ffp-contract=off -mavx2 -mfma -mf16c \
	-mavx512f -mavx512bw -mavx512dq -mavx512vl

# Results must not hang on which products the compiler happens to fuse.
$(foreach src,$(kernels-scalar-src),$(eval cflags-$(src) := -ffp-contract=off))
$(foreach src,$(kernels-avx2-src),$(eval \
	cflags-$(src) := -ffp-contract=off -mavx2 -mfma -mf16c))
$(foreach src,$(kernels-avx512-src),$(eval cflags-$(src) := $(avx512-flags)))
$(foreach src,$(kernels-vnni-src),$(eval \
	cflags-$(src) := $(avx512-flags) -mavx512vnni))
$(foreach src,$(kernels-bf16-src),$(eval \
	cflags-$(src) := $(avx512-flags) -mavx512bf16))

# With sixteen rows at a time, induction variables that GCC makes up for their
# addresses do not fit the registers; without, one row takes an eighth less time.
cflags-kernels/quantised_vnni_direct.c += -fno-ivopts
