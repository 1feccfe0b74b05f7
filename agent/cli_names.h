/* cli_names.h - the mirrors of this node. */
#ifndef AGENT_CLI_NAMES_H
#define AGENT_CLI_NAMES_H

#include <stddef.h>

#include "agent/paths.h"

#define CLI_NAMES_MAX 1024

struct cli_names {
	size_t count;
	char name[CLI_NAMES_MAX][2 * CONFIG_NAME_MAX]; /* NAME or NAME@HOST, in order */
};

/* Mirrors with a configuration, running NAME@HOST instances, and `own` unless it is NULL; but
 * not the plain name of a mirror of which an instance runs here. The caller frees them. NULL:
 * no memory. */
struct cli_names *cli_names_list(const struct agent_instance *own);

#endif
