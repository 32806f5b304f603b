/* SPDX-License-Identifier: MIT */
/*
 * How long the modelled part would have taken: an estimate.
 */
#ifndef TANDEM_FIRMWARE_ROOFLINE_H
#define TANDEM_FIRMWARE_ROOFLINE_H

#include <stdint.h>

#include "profiles.h"

/**
 * fw_roofline_ns() - the roofline estimate
 * @profile: the part
 * @flops: floating point operations, a multiplication and an addition being two
 * @bytes: bytes moved to and from device memory
 *
 * The longer of the two times that arithmetic and memory need at their peaks
 * (Williams, Waterman and Patterson, "Roofline", 2009). A lower bound: no part
 * reaches both peaks.
 *
 * Return: nanoseconds, at least 1; 0 when the profile has no figures or there
 * is nothing to do.
 */
uint64_t fw_roofline_ns(const struct tandem_fw_profile *profile, double flops, double bytes);

#endif /* TANDEM_FIRMWARE_ROOFLINE_H */
