/* cli_complete.h - what may stand at a place of the command line, for the shells.
 *
 * The shells' scripts ask the command itself, `hamirror --complete`, and know nothing of it;
 * so they cannot be older than it.
 */
#ifndef AGENT_CLI_COMPLETE_H
#define AGENT_CLI_COMPLETE_H

#include <stddef.h>

#include "agent/cli.h"

/* Print a line for each word that may stand in the place of the last of `words`, which is begun
 * or "", of a command line without its first word. `command_at` finds the commands in their
 * order, NULL behind the last; `option_name` gives "--name" of an option and whether it takes
 * an argument. */
void cli_complete(int count, char **words,
		  const struct cli_command *(*command_at)(size_t index),
		  const char *(*option_name)(enum cli_option option, bool *has_argument));

#endif
