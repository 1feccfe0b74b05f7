/* create.h - `hamirror create`: make this site's writelog, and for a new mirror
 * its identity and first view. Runs in the command, not in the daemon: no
 * daemon of the instance may run.
 *
 * Source: man/hamirror.8 (create); docs/rules.md (D1: the first view has one voter).
 */
#ifndef AGENT_CREATE_H
#define AGENT_CREATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

struct create_options {
	const struct config *config;
	uint32_t node;        /* this host: index in config->node */
	const char *instance; /* NAME or NAME@HOST: names the state directory */
	const char *copy_of;  /* host whose daemon tells the identity, or NULL */
	const char *identity; /* MIRROR:LINEAGE, two uuids, instead; or NULL */
};

/* Do it. On error nothing was changed that an earlier state needs.
 *
 * Returns 0, and in `text` the result and the next step; or
 *   -EEXIST     the log holds a mirror already, or the voter file stands
 *   -EBUSY      the log or the instance is in use
 *   -ENOSPC     the log is too small
 *   -ENOENT     a device or the file does not exist
 *   -EINVAL     this host has no site, or is not the one that creates
 *   -EHOSTDOWN  `copy_of` did not answer
 *   -errno      of a system call
 * with a sentence in `text` that names the thing and a remedy. */
int agent_create(const struct create_options *o, char *text, size_t text_size);

#endif
