/* cli_watch.h - `hamirror status --watch`: the status anew at each change. */
#ifndef AGENT_CLI_WATCH_H
#define AGENT_CLI_WATCH_H

#include "agent/cli.h"

/* Show the status of a->instance, or with no operand of every mirror of this node, until
 * SIGINT or SIGTERM (CLI_DONE), or until nobody reads it (CLI_REFUSED). On a terminal each
 * picture is drawn over the last one, and in the end the terminal is as it was; elsewhere they
 * follow each other, an empty line between; with --json an object per line. */
enum cli_exit cli_watch(const struct cli_arguments *a);

#endif
