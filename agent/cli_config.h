/* cli_config.h - the file that a command about configurations names. */
#ifndef AGENT_CLI_CONFIG_H
#define AGENT_CLI_CONFIG_H

#include <limits.h>

#include "agent/cli.h"

/* FILE where it looks like one, else NAME's; a name that is none is an error, which is printed.
 * Returns 1 for a file, 0 for a name, which is `*instance` then, -1 for neither. */
int cli_config_file(const char *operand, char path[PATH_MAX],
		    struct agent_instance *instance);

#endif
