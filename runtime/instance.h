/* SPDX-License-Identifier: MIT */
/*
 * What generation needs of an instance beyond <tandem/model.h>.
 */
#ifndef TANDEM_INSTANCE_H
#define TANDEM_INSTANCE_H

#include <tandem/model.h>

/* A number for the next transfer out of this instance's pool: 0 … 65535. */
uint32_t instance_next_transfer(struct tandem_instance *instance);

/* Entries that the tables of blocks of one program can have, all its sequences' together. */
uint32_t instance_blocks_max(const struct tandem_instance *instance);

#endif /* TANDEM_INSTANCE_H */
