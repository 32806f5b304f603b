# SPDX-License-Identifier: MIT
# Generation end to end; the same program serves in the guest.

native-tests += tests/native/generate/test_generate
guest-tests  += tests/native/generate/test_generate
