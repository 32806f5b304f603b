/* SPDX-License-Identifier: MIT */
/*
 * The benchmarks of `tandem bench`. Each is called as the commands are, see
 * commands.h, argv[0] being "tandem bench NAME".
 */
#ifndef TANDEM_BENCH_H
#define TANDEM_BENCH_H

int bench_driver(int argc, char **argv);
int bench_file(int argc, char **argv);
int bench_model(int argc, char **argv);
int bench_serve(int argc, char **argv);
int bench_xfer(int argc, char **argv);

#endif /* TANDEM_BENCH_H */
