// SPDX-License-Identifier: MIT
/* llama-bench. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_peer.h"
#include "bench_program.h"

#define OUTPUT_BYTES	65536

bool bench_peer_open(struct bench_peer *peer, const char *root, const char *model)
{
	char *const link[] = { "cp", "-lL", (char *)model, peer->copy, NULL };
	char *const copy[] = { "cp", "-L", (char *)model, peer->copy, NULL };
	char path[4096], output[256];

	peer->root = root;
	snprintf(path, sizeof(path), "%s/usr/bin/llama-bench", root);
	if (access(path, X_OK) || geteuid())
		return false;
	snprintf(peer->model, sizeof(peer->model), "/tmp/tandem-bench-%d.gguf", (int)getpid());
	snprintf(peer->copy, sizeof(peer->copy), "%s%s", root, peer->model);
	if (!bench_program_run(link, output, sizeof(output)) ||
	    !bench_program_run(copy, output, sizeof(output)))
		return true;
	unlink(peer->copy);
	return false;
}

void bench_peer_close(struct bench_peer *peer)
{
	unlink(peer->copy);
}

double bench_peer_rate(const struct bench_peer *peer, unsigned int threads, unsigned int prompt,
		       unsigned int batch, unsigned int tokens)
{
	static const char key[] = "\"avg_ts\": ";
	char thread_text[16], prompt_text[16], batch_text[16], token_text[16];
	char *argv[] = {
		"chroot", (char *)peer->root, "llama-bench", "-m", (char *)peer->model,
		"-o", "json", "-r", "1", "-t", thread_text, "-p", prompt_text,
		"-n", token_text, "-ub", batch_text, NULL,
	};
	char *output = malloc(OUTPUT_BYTES), *found;
	double rate = 0;

	if (!output)
		return 0;
	snprintf(thread_text, sizeof(thread_text), "%u", threads);
	snprintf(prompt_text, sizeof(prompt_text), "%u", prompt);
	snprintf(token_text, sizeof(token_text), "%u", tokens);
	snprintf(batch_text, sizeof(batch_text), "%u", batch ? batch : 512);
	if (!bench_program_run(argv, output, OUTPUT_BYTES)) {
		found = strstr(output, key);
		if (found)
			rate = strtod(found + sizeof(key) - 1, NULL);
	}
	free(output);
	return rate;
}
