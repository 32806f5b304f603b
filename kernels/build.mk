# SPDX-License-Identifier: MIT
# Sources of the compute kernels. They need libm and nothing else.

kernels-src := \
	kernels/attention_scalar.c \
	kernels/elementwise_scalar.c \
	kernels/kv.c \
	kernels/matmul_scalar.c \
	kernels/reduce_scalar.c \
	kernels/rope.c \
	kernels/select.c
