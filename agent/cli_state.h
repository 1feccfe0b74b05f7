/* cli_state.h - what the command knows of a mirror by itself, beside its daemon's answer. */
#ifndef AGENT_CLI_STATE_H
#define AGENT_CLI_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <jansson.h>

#include "agent/config.h"

/* The status of a mirror whose daemon does not run here, as far as it can be known. `looks`:
 * read the writelog, to know whether it was made; a device that hangs holds that up for good.
 * A new reference. */
json_t *cli_state_offline(const struct agent_instance *instance,
			  const struct config *config, uint32_t node, bool looks);

/* A configuration file as it was read last; all 0: not yet. */
struct cli_state_file {
	struct stat stat;
	bool is_readable;
	uint32_t crc, settings_crc;
};

/* Add to the list "why" of a daemon's `answer` when the file is no longer as the daemon has
 * read it. The command looks, not the daemon: its control thread waits for no file system.
 * `before`: the file is read only if it is another one since then; NULL: it is read. */
void cli_state_compare_file(const struct agent_instance *instance, json_t *answer,
			    struct cli_state_file *before);

/* The status of a running daemon. A new reference; NULL: none came, and `text` says why. */
json_t *cli_state_ask(const struct agent_instance *instance, char *text,
		      size_t text_size);

#endif
