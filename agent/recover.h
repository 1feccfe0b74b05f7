/* recover.h - `hamirror recover`: the disks of a copy, alone, become all that its writelog
 * holds. Runs in the command; the daemon must be down.
 *
 * Source: paper 004, the copy's recovery tool; mirror/engine/recover.h.
 */
#ifndef AGENT_RECOVER_H
#define AGENT_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

struct recover_options {
	const struct config *config;
	uint32_t node;        /* this host: index in config->node */
	const char *instance; /* as the user has named it */
	bool force;           /* another host of the site has its devices open no more */
};

/* Do it. It may be cut off at any time and done again. Returns 0 with a sentence that says how
 * much came home, or
 *   -EINVAL      this host has no site
 *   -EBUSY       the mirror runs here, or another host of the site may have the devices open
 *   -ENODATA     the disks cannot be an image of one moment, or this site was production
 *   -EMEDIUMTYPE the writelog is of another mirror or site
 *   -errno       of the devices or the writelog
 * with a sentence in `text`. */
int agent_recover(const struct recover_options *o, char *text, size_t text_size);

#endif
