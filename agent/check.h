/* check.h - the checklist of a mirror: each part that it needs, as far as it can be asked.
 *
 * What cannot be asked is said so, and is never ok. Nothing is written to a device.
 */
#ifndef AGENT_CHECK_H
#define AGENT_CHECK_H

#include <stdint.h>
#include <jansson.h>

#include "agent/config.h"

struct agent_check {
	const struct agent_instance *instance;
	const struct config *config;
	uint32_t node;  /* this host in it */
	json_t *status; /* of the daemon; NULL: it gives none, since ... */
	const char *status_text;
	json_t *list; /* objects: "name", "result" (ok, do or unknown), "text" */
	uint32_t do_count, unknown_count;
};

enum agent_check_result { CHECK_OK, CHECK_DO, CHECK_UNKNOWN };

/* Add a line: with CHECK_DO the sentence says what to do. */
__attribute__((format(printf, 4, 5))) void agent_check_add(struct agent_check *c,
							   const char *name,
							   enum agent_check_result result,
							   const char *format, ...);

/* This host: file, daemon, devices, clock, space, watcher; then fencing and quorum. */
void agent_check_host(struct agent_check *c);
void agent_check_cluster(struct agent_check *c);
/* Every other host: port, version, file and sizes by a question over the line, and packets of
 * full size. */
void agent_check_peers(struct agent_check *c);

#endif
