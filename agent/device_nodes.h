/* device_nodes.h - when the disks stand as devices of this machine (attach.h), seen from
 * the commands: a promotion is answered once they do, and a demotion or a stop is
 * begun once they are gone, so that the data which they held back has been written.
 *
 *   state       serves        demote, stop   done            done: -EBUSY   no more
 *   none        starting      go on          -               -              -
 *   starting    -             dropping       standing        -              dropping
 *   standing    -             releasing      -               -              dropping
 *   releasing   -             waits too      none, go on     standing,      dropping
 *                                                            refused
 *   dropping    then starting waits          none, go on     -              -
 *
 * "Serves" and "no more" come from the facts of the I/O side and the orders to it.
 * Dropping is done by force: users of a device get I/O errors. A start that fails leaves
 * no device; the promotion that waits for it is answered with the reason, and the next
 * promotion tries again.
 */
#ifndef AGENT_DEVICE_NODES_H
#define AGENT_DEVICE_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/paths.h"
#include "agent/status.h"
#include "cluster/cluster.h"
#include "common/config.h"

struct qb_loop;
struct agent_devices;

struct agent_devices_owner {
	/* The command may be given to the members' core now. */
	void (*go)(void *owner, const struct cluster_command *command);
	/* The command has ended. */
	void (*reply)(void *owner, uint64_t id, int exit_status, const char *text);
	/* For the event log. */
	void (*tell)(void *owner, const char *verb, const char *text);
	/* For the I/O thread: see attach.h. */
	void (*serve)(void *owner, uint32_t disk, uint32_t number);
	void (*fail)(void *owner, uint32_t disk);
	void *owner;
};

/* `config` and `instance` outlive it. Returns 0 and `*devices`, or -errno. */
int agent_devices_open(struct qb_loop *loop, const struct config *config,
		       const struct agent_instance *instance,
		       const struct agent_devices_owner *owner,
		       struct agent_devices **devices);

/* Take a command from its client: `go` follows, at once or later, or a refusal. A stop with
 * `force` (a signal's) goes on even if the devices are in use. */
void agent_devices_command(struct agent_devices *d,
			   const struct cluster_command *command);

/* The core's reply to it: `reply` follows, at once or later. */
void agent_devices_reply(struct agent_devices *d, uint64_t id, int exit_status,
			 const char *text);

/* The I/O side serves clients, or is about not to. */
void agent_devices_serve(struct agent_devices *d, bool serves);

/* For the status: per disk, and why they do not stand, or "". */
const struct status_device *agent_devices_list(const struct agent_devices *d);
const char *agent_devices_text(const struct agent_devices *d);

/* NULL is fine. */
void agent_devices_close(struct agent_devices *d);

#endif
