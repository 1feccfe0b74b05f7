/* scout.h - does a device answer? Asked by a process that can be left behind. */
#ifndef AGENT_SCOUT_H
#define AGENT_SCOUT_H

#include <stddef.h>

#include "common/config.h"

/* Look at, open and read the beginning of the device or file at `path`, which messages call
 * `name`, in a process of its own: a device or a file system that hangs holds a process that
 * touches it for ever, and no signal ends that. For commands, which are one thread. Returns
 * 0 when it has answered, also with an error (the later open tells of it), or
 *   -ETIMEDOUT   not within seconds; `text` names it
 *   -errno       of pipe(2) or fork(2); `text` says so */
int agent_scout(const char *name, const char *path, char *text, size_t text_bytes);

/* ... of the writelog and each disk of `site`. */
int agent_scout_site(const struct config_site *site, char *text, size_t text_bytes);

#endif
