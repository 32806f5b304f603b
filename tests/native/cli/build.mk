# SPDX-License-Identifier: MIT
# The tandem command, on devices in the process.

native-scripts += tests/native/cli/test_cli.sh tests/native/cli/test_bench_xfer.sh \
	tests/native/cli/test_bench_file.sh tests/native/cli/test_bench_serve.sh \
	tests/native/cli/test_kv_store.sh tests/native/cli/test_tokenize.sh
