/* accept.h - `hamirror accept`: the device at a disk's path counts as that disk from now on,
 * even if the writelog knew another. Runs in the command; the devices must be closed.
 *
 * Source: docs/rules.md, "Disks have an identity".
 */
#ifndef AGENT_ACCEPT_H
#define AGENT_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

struct accept_options {
	const struct config *config;
	uint32_t node;        /* this host: index in config->node */
	const char *disk;     /* its name */
	bool blank;           /* it holds nothing: the site is filled from another one */
};

/* Do it. Returns 0, and in `text` the old identity, the new one and the next step; or
 *   -EINVAL      this host has no site, or the site no such disk
 *   -EBUSY       the devices are open: the mirror runs here, or another process has them
 *   -EMEDIUMTYPE the writelog is of another mirror or site
 *   -errno       of the devices or the writelog
 * with a sentence in `text`; nothing was changed then. */
int agent_accept(const struct accept_options *o, char *text, size_t text_size);

#endif
