/* limits.h - the needs of a configuration: open files and memory, and how many clients it
 * leaves room for. `hamirror config check` shows them, and the daemon refuses to start if the
 * system does not meet them.
 */
#ifndef AGENT_LIMITS_H
#define AGENT_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

struct agent_limits {
	uint32_t connection_count;   /* of NBD, for the devices of the disks: reserved */
	uint32_t client_count;       /* of other NBD clients, at a time */
	uint32_t file_count;         /* open ones, at most */
	uint64_t memory_bytes_least; /* of `memory` */
};

/* Computed from the disks, `attach` and `memory`. */
void agent_limits_get(const struct config *config, struct agent_limits *limits);

/* Let this process open as many files as it may come to need; its helpers inherit that.
 * Returns 0, or -errno with a sentence in `text`: nothing was changed then. */
int agent_limits_files_raise(const struct config *config, char *text, size_t text_size);

/* Devices of the kernel that `attach` needs, where it bounds their number: "" or a
 * sentence in `text`. */
void agent_limits_devices_check(const struct config *config, char *text,
				size_t text_size);

#endif
