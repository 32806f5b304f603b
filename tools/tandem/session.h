/* SPDX-License-Identifier: MIT */
/*
 * What a generation runs on: devices, a model on each, a connection.
 */
#ifndef TANDEM_SESSION_H
#define TANDEM_SESSION_H

#include <stdbool.h>

#include <tandem/tandem.h>

/**
 * struct session_options - what to set up
 * @model: GGUF file
 * @prefill: device name, or NULL to choose
 * @decode: device name, or NULL to choose
 * @split: two devices and a connection; otherwise @decode's device alone
 * @connection: for a split session
 * @instance: how the model is placed
 * @kv_store: file for the KV of all pools; NULL for none
 * @kv_store_bytes: that it may have
 * @kv_store_wait_ms: see tandem_kv_pool_set_store_wait()
 */
struct session_options {
	const char *model;
	const char *prefill;
	const char *decode;
	bool split;
	struct tandem_connection_options connection;
	struct tandem_instance_options instance;
	const char *kv_store;
	uint64_t kv_store_bytes;
	unsigned int kv_store_wait_ms;
};

/**
 * struct session - devices with the model on them
 * @prefill: NULL when not split
 * @decode: the device for everything when not split
 * @store: behind the KV pools of both; or NULL
 *
 * Owned by whoever opened it; of one thread.
 */
struct session {
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_device *prefill_device;
	struct tandem_device *decode_device;
	struct tandem_instance *prefill;
	struct tandem_instance *decode;
	struct tandem_kv_file *store;
	struct tandem_connection *push;
	struct tandem_connection *receive;
	struct tandem_device_info prefill_info;
	struct tandem_device_info decode_info;
};

/* Return 0, or a negative errno with @error filled in and nothing left open. */
int session_open(struct session *session, const struct session_options *options,
		 struct tandem_error *error);
/* Have the store, if there is one, keep what is cached. Return: as session_open(). */
int session_store(struct session *session, struct tandem_error *error);
/* How often it did not answer in time. */
uint64_t session_store_late(const struct session *session);
void session_close(struct session *session);

#endif /* TANDEM_SESSION_H */
