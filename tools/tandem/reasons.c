// SPDX-License-Identifier: MIT
/* Why a connection that chose its transport by itself has chosen it. */
#include "reasons.h"

void reasons_print(FILE *file, const struct tandem_connection *connection)
{
	const char *reason;

	for (int i = 0; i < TANDEM_TRANSPORT_AUTO; i++) {
		reason = tandem_connection_transport_reason(connection, i);
		if (reason)
			fprintf(file, "    %s\n", reason);
	}
}

json_t *reasons_object(const struct tandem_connection *connection)
{
	json_t *object = NULL;
	const char *reason;

	for (int i = 0; connection && i < TANDEM_TRANSPORT_AUTO; i++) {
		reason = tandem_connection_transport_reason(connection, i);
		if (!reason)
			continue;
		if (!object)
			object = json_object();
		json_object_set_new(object, tandem_transport_name(i), json_string(reason));
	}
	return object ? object : json_null();
}
