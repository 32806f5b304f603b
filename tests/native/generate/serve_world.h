/* SPDX-License-Identifier: MIT */
/*
 * Two devices with a model, and clients of all lengths with what each of them gets
 * alone: what tests of serving begin with. There is one in a program.
 */
#ifndef TANDEM_TESTS_SERVE_WORLD_H
#define TANDEM_TESTS_SERVE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/tandem.h>

#define REQUESTS	64
#define PROMPT_MAX	100
#define TOKENS		12
#define LONG_PROMPT	(world.info.context - TOKENS)
#define BLOCK_TOKENS	16
#define ROWS_MAX	32

/**
 * struct client - who asks for something
 * @prompt: token ids
 * @alone: what comes when nobody is beside it, @alone_count tokens
 * @tokens: what has come, @count tokens
 * @place: the how many-th of all it was to get its first token
 * @cancel: whom to cancel when it gets token number @cancel_at
 */
struct client {
	uint32_t prompt[1024];
	uint32_t prompt_tokens;
	float temperature;
	uint32_t alone[TOKENS];
	uint32_t alone_count;
	uint32_t tokens[TOKENS];
	uint32_t count;
	uint32_t place;
	struct client *cancel;
	uint32_t cancel_at;
	struct tandem_operation op;
	struct tandem_request_result result;
};

/* What requests are served with; the devices and the model are there all the time. */
struct serve_world {
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_model_info info;
	struct tandem_device *device[2];
	struct tandem_instance *instance[2];
	struct tandem_connection *side[2];
	struct tandem_scheduler *scheduler;
	struct client client[REQUESTS];
	struct client big;
	uint32_t first_tokens;
};

extern struct serve_world world;

/* A device's pool, 0 that for prefill, 1 that for decode, and its blocks in use. */
struct tandem_kv_pool *pool_of(int i);
uint32_t used_of(int i);

struct tandem_request request_of(struct client *client, bool reuse);
void start(struct client *client, bool reuse, unsigned int timeout_ms);
void run_until_ended(struct client *client);
/* All of it came, and it is what comes alone. */
void check_served(struct client *client);
/* It ended with @result; what came before is the beginning of what comes alone. */
void check_ended(struct client *client, int result);
/* Find out what comes alone. */
void write_alone(struct client *client);

/* Serve over @transport, or aggregated without one. */
void open_scheduler(const char *transport, struct tandem_scheduler_options options);
void close_scheduler(void);
/* @check aggregated, and over each transport. */
void for_each_way(void (*check)(const char *transport));

/* Of cmocka, for a group of tests. */
int serve_setup(void **state);
int serve_teardown(void **state);

#endif
