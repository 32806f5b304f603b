#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Train the demo model from scratch on Debian 12 and check the result.
# Usage: build.sh --minutes N | --steps N  [other options of train.py]
#
# Run as root the first time: it installs the packages that are missing.

set -eu
cd "$(dirname "$0")"

# Debian's torch links against whichever BLAS is installed; the reference one
# is fifty times slower than OpenBLAS.
packages="python3-torch python3-numpy python3-sentencepiece libopenblas0-pthread sword-text-web"
missing=$(for package in $packages; do
	dpkg -s "$package" >/dev/null 2>&1 || echo "$package"
done)
if [ -n "$missing" ]; then
	# shellcheck disable=SC2086
	apt-get install -y --no-install-recommends $missing
fi

# Big tensors come and go every step: keep their memory instead of giving it
# back, and do not spin while waiting for the other thread on a busy machine.
export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592
export OMP_WAIT_POLICY=PASSIVE

/usr/bin/python3 train.py --work work --output work/tandem-demo.gguf "$@"
/usr/bin/python3 check.py work/tandem-demo.gguf --trained work
mv work/tandem-demo.gguf tandem-demo.gguf
echo "wrote $(pwd)/tandem-demo.gguf"
