# SPDX-License-Identifier: MIT
# Sources of the tandem command.

tools-src := \
	tools/tandem/arguments.c \
	tools/tandem/attributes.c \
	tools/tandem/bench.c \
	tools/tandem/bench_accel.c \
	tools/tandem/bench_arguments.c \
	tools/tandem/bench_driver.c \
	tools/tandem/bench_file.c \
	tools/tandem/bench_model.c \
	tools/tandem/bench_peak.c \
	tools/tandem/bench_peer.c \
	tools/tandem/bench_program.c \
	tools/tandem/bench_serve.c \
	tools/tandem/bench_table.c \
	tools/tandem/bench_xfer.c \
	tools/tandem/bench_xfer_latency.c \
	tools/tandem/bench_xfer_pair.c \
	tools/tandem/bench_xfer_peer.c \
	tools/tandem/bench_xfer_stream.c \
	tools/tandem/failure.c \
	tools/tandem/main.c \
	tools/tandem/make_model.c \
	tools/tandem/list.c \
	tools/tandem/progress.c \
	tools/tandem/prompts.c \
	tools/tandem/reasons.c \
	tools/tandem/report.c \
	tools/tandem/run.c \
	tools/tandem/serve.c \
	tools/tandem/session.c \
	tools/tandem/tokenize.c \
	tools/tandem/transfers.c
