/* SPDX-License-Identifier: MIT */
/* Why a connection that chose its transport by itself has chosen it. */
#ifndef TANDEM_REASONS_H
#define TANDEM_REASONS_H

#include <stdio.h>

#include <jansson.h>
#include <tandem/tandem.h>

/* A line of each transport; none where one was named, or without a connection. */
void reasons_print(FILE *file, const struct tandem_connection *connection);

/* By name of the transport; null where one was named, or without a connection. */
json_t *reasons_object(const struct tandem_connection *connection);

#endif /* TANDEM_REASONS_H */
