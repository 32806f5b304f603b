// SPDX-License-Identifier: MIT
/*
 * Devices with two classes of memory, and with one.
 */
#include "devices.h"

const char default_test_devices[] = "inproc:trn2,mem=64M,sram=1M inproc:wse3,mem=64M";
