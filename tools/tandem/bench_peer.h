/* SPDX-License-Identifier: MIT */
/* llama.cpp's llama-bench, in a root directory of its own. */
#ifndef TANDEM_BENCH_PEER_H
#define TANDEM_BENCH_PEER_H

#include <stdbool.h>

/**
 * struct bench_peer - llama-bench and the model it is to run
 * @root: directory to chroot(8) into
 * @model: path of a copy of the model's file in there, seen from there
 * @copy: the same, seen from here
 */
struct bench_peer {
	const char *root;
	char model[64];
	char copy[4096];
};

/* Put the model where the peer can read it. Return: whether there is a peer. */
bool bench_peer_open(struct bench_peer *peer, const char *root, const char *model);
void bench_peer_close(struct bench_peer *peer);

/**
 * bench_peer_rate() - tokens a second
 * @peer: the peer
 * @threads: to use
 * @prompt: tokens of a prompt; 0 for decode
 * @batch: prompt tokens that go through the layers together; 0 for its default
 * @tokens: tokens to make; 0 for prefill
 *
 * Return: tokens a second; 0 when it failed.
 */
double bench_peer_rate(const struct bench_peer *peer, unsigned int threads, unsigned int prompt,
		       unsigned int batch, unsigned int tokens);

#endif /* TANDEM_BENCH_PEER_H */
