/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of `tandem`.
 */
#ifndef TANDEM_COMMANDS_H
#define TANDEM_COMMANDS_H

/*
 * Each gets its own arguments, argv[0] being "tandem NAME" for messages, and
 * returns the program's exit status: 0, or 1 after saying why on standard
 * error.
 */
int command_run(int argc, char **argv);
int command_list(int argc, char **argv);
int command_make_model(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_tokenize(int argc, char **argv);

#endif /* TANDEM_COMMANDS_H */
