# SPDX-License-Identifier: MIT
# Sources of libtandem.

runtime-src := \
	runtime/error.c \
	runtime/gguf.c \
	runtime/gguf_parse.c \
	runtime/gguf_value.c \
	runtime/tokenizer.c \
	runtime/tokenizer_encode.c

# The event loop, devices, memory and queues.
runtime-src += \
	runtime/loop.c \
	runtime/loop_watch.c \
	runtime/operation.c
