# SPDX-License-Identifier: MIT
# The paged KV pool.

native-tests += tests/native/kv/test_kv_pool
