/* watch_config.h - the configuration page: the file of a mirror as it stands, and changes of
 * it, which go the way of `hamirror config set` (config_change.h).
 *
 * To be read, as JSON:
 *   file, text        its path, and what is in it; null: it cannot be read
 *   config            as `hamirror config show --json`; null: there are errors
 *   errors            each with line (0: of the whole file) and text
 *
 * A change is an object with
 *   was               the text that it is a change of: any other is refused
 * and one of
 *   text              the whole file
 *   key, value        of `hamirror config set`
 *   throttle, item    a throttle's place in the list, and an object of its keys; the place
 *                     behind the last one adds it, null takes it out
 * Its answer has
 *   exit, text        0: it is written. Else the file is as it was
 *   errors, warnings  as above; a warning refuses nothing
 *   needs             sentences: what has to be done for it to take effect
 *   copy              commands that bring the file to the nodes that have another one now
 */
#ifndef AGENT_WATCH_CONFIG_H
#define AGENT_WATCH_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/paths.h"

/* Whose watcher this is, and the file that it was told to read, or NULL. Both outlive it. */
struct watch_config {
	const struct agent_instance *own;
	const char *own_path;
	bool anybody; /* without a token: any user of this host may read the page */
};

/* A new reference; NULL: memory is short. */
json_t *watch_config_read(const struct watch_config *w,
			  const struct agent_instance *instance);

/* Likewise. It may take seconds: the devices of this node are looked at. From any thread. */
json_t *watch_config_change(const struct watch_config *w,
			    const struct agent_instance *instance, const json_t *request);

#endif
