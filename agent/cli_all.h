/* cli_all.h - every mirror of this node, for the commands that take --all. */
#ifndef AGENT_CLI_ALL_H
#define AGENT_CLI_ALL_H

#include <stddef.h>

#include "agent/cli.h"

#define CLI_NAMES_MAX 1024

struct cli_names {
	size_t count;
	char name[CLI_NAMES_MAX][2 * CONFIG_NAME_MAX]; /* NAME or NAME@HOST, in order */
};

/* Mirrors with a configuration, and running NAME@HOST instances; but not the plain name of
 * a mirror of which an instance runs here. The caller frees them. NULL: there is none, or no
 * memory, which is printed. */
struct cli_names *cli_names_find(void);

/* Run `c`, which takes a NAME, for every mirror of this node, one after the other, and then
 * name those that failed. Returns CLI_DONE, CLI_REFUSED: some failed; or CLI_NONE. */
enum cli_exit cli_all_run(const struct cli_command *c, const struct cli_arguments *a);

#endif
