/* attach_mounts.h - file systems on devices that are gone.
 *
 * A device that is taken away by force, or whose hamirrord has died, leaves a file system
 * mounted that answers nothing but errors. Who mounted it is to unmount it, but may not
 * find it any more: newer agents of ocf:heartbeat:Filesystem compare names of devices, and
 * the next device has another one. So the helper notes such mounts when it takes the device
 * away, and they are detached when nothing uses them any more by the order of things: at a
 * demote or stop, and before the next device stands.
 *
 * The note is a file beside the helper's folder, FOLDER.mounts: a mount's number, its
 * device's and its place, as /proc/self/mountinfo has them. A mount that has not all three
 * any more is another one, and stays.
 */
#ifndef AGENT_ATTACH_MOUNTS_H
#define AGENT_ATTACH_MOUNTS_H

#include <stdint.h>

#include "agent/paths.h"

/* Note all that `device` (a path) and its partitions are mounted on. While the device is
 * still held, so that its name is no other's. */
void attach_mounts_note(const char *folder, const char *device);

/* Detach what was noted for that folder, and forget it. Returns the number of mounts; the
 * last one's place is in `where`, "" for none. */
uint32_t attach_mounts_detach(const char *folder, char where[PATH_MAX]);

/* The same for all disks of an instance. */
uint32_t attach_mounts_detach_all(const struct agent_instance *instance,
				  char where[PATH_MAX]);

#endif
