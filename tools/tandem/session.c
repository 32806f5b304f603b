// SPDX-License-Identifier: MIT
/*
 * What a generation runs on: devices, a model on each, a connection.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "progress.h"
#include "session.h"

#define DEVICES_MAX	64

/*
 * Without a name: the first accelerator whose role fits, else the first that
 * does both, else one on threads of this process.
 */
static void choose_device(enum tandem_role role, char *name, size_t size)
{
	char names[DEVICES_MAX][64];
	int count = tandem_device_list(names, DEVICES_MAX);
	struct tandem_loop *loop;
	bool fits = false;

	snprintf(name, size, role == TANDEM_ROLE_PREFILL ? "inproc:trn2" : "inproc:wse3");
	if (count <= 0 || tandem_loop_create(&loop, NULL))
		return;
	for (int i = 0; i < count && i < DEVICES_MAX && !fits; i++) {
		struct tandem_device_info info;
		struct tandem_device *device;

		if (tandem_device_open(loop, names[i], &device, NULL))
			continue;
		if (!tandem_device_get_info(device, &info)) {
			fits = info.role == (uint32_t)role;
			if (fits || (info.role == TANDEM_ROLE_ANY && !strncmp(name, "inproc:", 7)))
				snprintf(name, size, "%.63s", names[i]);
		}
		tandem_device_close(device);
	}
	tandem_loop_destroy(loop);
}

/**
 * struct loading - a model on its way to a device
 * @progress: as it is shown
 * @what: how it is called
 */
struct loading {
	struct progress progress;
	char what[96];
};

static void show_loading(void *user, uint64_t done, uint64_t total)
{
	struct loading *loading = user;

	progress_show(&loading->progress, loading->what, done, total);
}

static int place_model(struct session *session, const struct session_options *options,
		       struct tandem_device *device, struct tandem_instance **instance,
		       struct tandem_error *error)
{
	struct tandem_instance_options instance_options = options->instance;
	struct loading loading = { 0 };
	struct tandem_device_info info;
	int ret;

	tandem_device_get_info(device, &info);
	snprintf(loading.what, sizeof(loading.what), "loading to %.24s", info.name);
	instance_options.on_load = show_loading;
	instance_options.user = &loading;
	ret = tandem_instance_create(session->loop, device, session->model, &instance_options,
				     instance, error);
	progress_clear(&loading.progress);
	return ret;
}

static int open_device(struct session *session, const struct session_options *options,
		       const char *wanted, enum tandem_role role, struct tandem_device **device,
		       struct tandem_device_info *info, struct tandem_instance **instance,
		       struct tandem_error *error)
{
	char name[64];
	int ret;

	if (!wanted) {
		choose_device(role, name, sizeof(name));
		wanted = name;
	}
	ret = tandem_device_open(session->loop, wanted, device, error);
	if (ret)
		return ret;
	ret = tandem_device_get_info(*device, info);
	if (ret)
		return failure(error, ret, "%s: %s", wanted, strerror(-ret));
	return place_model(session, options, *device, instance, error);
}

static int introduce(struct tandem_connection *from, struct tandem_connection *to,
		     struct tandem_error *error)
{
	unsigned char description[TANDEM_DESCRIPTION_MAX];
	int size = tandem_connection_describe(from, description, sizeof(description));

	if (size < 0)
		return failure(error, size, "connection: cannot be described: %s",
			       strerror(-size));
	return tandem_connection_connect(to, description, (size_t)size, error);
}

static int connect_pools(struct session *session, const struct session_options *options,
			 struct tandem_error *error)
{
	struct tandem_connection_options connection = options->connection;
	int ret;

	connection.grants = 1;
	ret = tandem_connection_open(session->loop, tandem_instance_kv_pool(session->prefill),
				     &connection, &session->push, error);
	if (!ret)
		ret = tandem_connection_open(session->loop,
					     tandem_instance_kv_pool(session->decode),
					     &connection, &session->receive, error);
	if (!ret)
		ret = introduce(session->push, session->receive, error);
	if (!ret)
		ret = introduce(session->receive, session->push, error);
	return ret;
}

static int open_store(struct session *session, const struct session_options *options,
		      struct tandem_error *error)
{
	struct tandem_kv_pool *pool = tandem_instance_kv_pool(session->decode);
	int ret;

	tandem_kv_pool_set_store_wait(pool, options->kv_store_wait_ms);
	ret = tandem_kv_file_open(session->loop, pool, options->kv_store,
				  options->kv_store_bytes, 0, &session->store, error);
	if (ret || !session->prefill)
		return ret;
	pool = tandem_instance_kv_pool(session->prefill);
	tandem_kv_pool_set_store_wait(pool, options->kv_store_wait_ms);
	return tandem_kv_file_add_pool(session->store, pool, error);
}

int session_open(struct session *session, const struct session_options *options,
		 struct tandem_error *error)
{
	int ret;

	memset(session, 0, sizeof(*session));
	ret = tandem_model_load(options->model, &session->model, error);
	if (!ret)
		ret = tandem_loop_create(&session->loop, error);
	if (!ret && options->split)
		ret = open_device(session, options, options->prefill, TANDEM_ROLE_PREFILL,
				  &session->prefill_device, &session->prefill_info,
				  &session->prefill, error);
	if (!ret)
		ret = open_device(session, options, options->decode, TANDEM_ROLE_DECODE,
				  &session->decode_device, &session->decode_info,
				  &session->decode, error);
	if (!ret && options->split)
		ret = connect_pools(session, options, error);
	if (!ret && options->kv_store)
		ret = open_store(session, options, error);
	if (ret)
		session_close(session);
	return ret;
}

int session_store(struct session *session, struct tandem_error *error)
{
	struct tandem_operation op = { 0 };
	int ret;

	if (!session->store)
		return 0;
	ret = tandem_kv_file_flush_start(session->store, &op);
	if (!ret)
		ret = tandem_loop_wait(session->loop, &op, -1);
	return ret < 0 ? failure(error, ret, "KV store: what is cached could not be kept: %s",
				 strerror(-ret)) : 0;
}

uint64_t session_store_late(const struct session *session)
{
	const struct tandem_instance *instances[] = { session->prefill, session->decode };
	uint64_t late = 0;

	for (int i = 0; i < 2; i++) {
		struct tandem_kv_pool_stats stats = { 0 };

		if (instances[i])
			tandem_kv_pool_get_stats(tandem_instance_kv_pool(instances[i]), &stats);
		late += stats.store_late;
	}
	return late;
}

void session_close(struct session *session)
{
	tandem_kv_file_close(session->store);
	tandem_connection_close(session->push);
	tandem_connection_close(session->receive);
	tandem_instance_destroy(session->prefill);
	tandem_instance_destroy(session->decode);
	tandem_device_close(session->prefill_device);
	tandem_device_close(session->decode_device);
	tandem_loop_destroy(session->loop);
	tandem_model_free(session->model);
	memset(session, 0, sizeof(*session));
}
