# SPDX-License-Identifier: MIT
# Sources of the device. The core needs the kernels, libm and threads.

firmware-src := \
	firmware-sim/admin.c \
	firmware-sim/buffer.c \
	firmware-sim/command.c \
	firmware-sim/control.c \
	firmware-sim/copy_list.c \
	firmware-sim/device.c \
	firmware-sim/dma.c \
	firmware-sim/executor.c \
	firmware-sim/fault.c \
	firmware-sim/fault_spec.c \
	firmware-sim/forward.c \
	firmware-sim/forward_cost.c \
	firmware-sim/log.c \
	firmware-sim/model.c \
	firmware-sim/pool.c \
	firmware-sim/profiles.c \
	firmware-sim/program.c \
	firmware-sim/queue.c \
	firmware-sim/regions.c \
	firmware-sim/ring.c \
	firmware-sim/roofline.c

# The process around the core.
firmware-main-src := \
	firmware-sim/emu_bus.c \
	firmware-sim/fault_guard.c \
	firmware-sim/main.c \
	firmware-sim/options.c
