/* cli_all.h - every mirror of this node, for the commands that take --all. */
#ifndef AGENT_CLI_ALL_H
#define AGENT_CLI_ALL_H

#include <stdbool.h>

#include "agent/cli.h"
#include "agent/cli_names.h"

/* cli_names_list() of no instance. NULL: there is none, or no memory, which is printed if it is
 * to be `told`. */
struct cli_names *cli_names_find(bool told);

/* Run `c`, which takes a NAME, for every mirror of this node, one after the other, and then
 * name those that failed. Returns CLI_DONE, CLI_REFUSED: some failed; or CLI_NONE. */
enum cli_exit cli_all_run(const struct cli_command *c, const struct cli_arguments *a);

#endif
