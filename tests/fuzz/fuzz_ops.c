// SPDX-License-Identifier: MIT
#include "fuzz_ops.h"

static const struct fuzz_op *const tables[] = {
	fuzz_file_ops, fuzz_share_ops, fuzz_ring_ops, fuzz_system_ops,
};

#define TABLES	(sizeof(tables) / sizeof(tables[0]))

static unsigned int sum_of_weights(void)
{
	const struct fuzz_op *op;
	unsigned int sum = 0;
	size_t i;

	for (i = 0; i < TABLES; i++)
		for (op = tables[i]; op->name; op++)
			sum += op->weight;
	return sum;
}

void fuzz_step(struct fuzz_worker *worker)
{
	unsigned int chosen = fuzz_below(&worker->random, sum_of_weights());
	const struct fuzz_op *op;
	size_t i;

	fuzz_files_keep(worker);
	for (i = 0; i < TABLES; i++) {
		for (op = tables[i]; op->name; op++) {
			if (chosen < op->weight) {
				fuzz_note(worker, "%s", op->name);
				op->run(worker);
				return;
			}
			chosen -= op->weight;
		}
	}
}
