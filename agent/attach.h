/* attach.h - the disks of a serving mirror as block devices of this machine:
 * /dev/hamirror/MIRROR/DISK.
 *
 * Each disk has a helper process, this program run again (agent_attach_helper()),
 * which may block where the control thread may not: it connects the device, keeps the
 * link, and takes everything away again when it is told to or when we are gone,
 * however we went. How it connects is `attach` of the configuration; with `auto` by the
 * kernel's ublk, which the I/O thread serves, else the kernel's nbd client (without a
 * time limit), else nbdfuse and a loop device with direct I/O.
 *
 * A device is never opened or looked at by this process: that could wait for our own
 * answers.
 *
 *   state      start       stop              helper says        helper ends
 *   detached   attaching   -                 -                  -
 *   attaching  -           detaching         attached / failed  detached, failed
 *   attached   -           checking          -                  detached, lost
 *   checking   -           detaching (force) detaching / busy   detached
 *   detaching  -           (force: killed)   -                  detached
 *
 * Source: docs/write-path.md, "The device, and its end".
 */
#ifndef AGENT_ATTACH_H
#define AGENT_ATTACH_H

#include <stdbool.h>

#include "agent/paths.h"
#include "agent/status.h"
#include "common/config.h"

struct qb_loop;
struct agent_attach;

struct agent_attach_owner {
	/* A start or stop has ended: 0, or -errno and a sentence. Exactly once for
	 * each, from the loop, never from within the call. */
	void (*done)(void *owner, int error, const char *text);
	/* A device that stood has gone by itself: its users have I/O errors. */
	void (*lost)(void *owner, const char *text);
	/* The I/O thread is to serve /dev/ublkcNUMBER as `disk`; or to fail its requests of
	 * `disk`, if any, so that the device can be taken away at once. */
	void (*serve)(void *owner, uint32_t disk, uint32_t number);
	void (*fail)(void *owner, uint32_t disk);
	void *owner;
};

/* `config` and `instance` outlive it. With `attach: none` start and stop do nothing
 * and succeed. Returns 0 and `*attach`, or -ENOMEM or -ENAMETOOLONG. */
int agent_attach_open(struct qb_loop *loop, const struct config *config,
		      const struct agent_instance *instance,
		      const struct agent_attach_owner *owner,
		      struct agent_attach **attach);

/* Make a device for each disk; the mirror's NBD socket is open. First remove devices that a
 * killed predecessor left. On error none is left. Not while another start or stop is under
 * way.
 *   -EIO   a helper failed: the text names a package or a thing to look at */
void agent_attach_start(struct agent_attach *a);

/* Take them away. Without `force` only if none is in use: first the data that they hold
 * back is written, which needs the mirror to answer.
 *   -EBUSY  the text names the device and where it is mounted; all still stand
 * With `force` devices in use go too, and nothing is awaited: users get I/O errors. May be
 * called during a start or a stop, whose `done` then never comes. */
void agent_attach_stop(struct agent_attach *a, bool force);

/* Some device stands, or is on its way or away. */
bool agent_attach_is_active(const struct agent_attach *a);

/* Per disk, for the status. */
const struct status_device *agent_attach_devices(const struct agent_attach *a);

/* Why no devices stand, or "". */
const char *agent_attach_text(const struct agent_attach *a);

/* Ends: helpers that are left take their devices away by force, by themselves. NULL is
 * fine. */
void agent_attach_close(struct agent_attach *a);

/* The helper's main(), when the first argument is AGENT_ATTACH_HELPER. Returns the
 * exit status. */
#define AGENT_ATTACH_HELPER "--attach-disk"
int agent_attach_helper(int argc, char **argv);

#endif
