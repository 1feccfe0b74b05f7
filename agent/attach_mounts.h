/* attach_mounts.h - file systems on devices that are gone.
 *
 * A device that is taken away by force, or whose hamirrord has died, leaves a file system
 * mounted that answers with errors only. The resource that mounted it should unmount it,
 * but may not find it: newer agents of ocf:heartbeat:Filesystem compare names of devices,
 * and the next device has another name. So the helper notes such mounts when it takes the
 * device away. They are detached at a point where, by the order of resources, nothing uses
 * them: at a demote or stop, and before the next device is there.
 *
 * The note is a file beside the helper's folder, FOLDER.mounts: a mount's number, the number
 * of its device and its place, as /proc/self/mountinfo has them. A mount that differs in one
 * of the three is another mount, and stays.
 */
#ifndef AGENT_ATTACH_MOUNTS_H
#define AGENT_ATTACH_MOUNTS_H

#include <stdint.h>

#include "agent/paths.h"

/* Note every mount of `device` (a path) and of its partitions. Call it while the device is
 * still held, so that no other device has its name. */
void attach_mounts_note(const char *folder, const char *device);

/* Detach the mounts noted for that folder, and forget them. Returns the number of mounts; the
 * last one's place is in `where`, "" for none. */
uint32_t attach_mounts_detach(const char *folder, char where[PATH_MAX]);

/* The same for all disks of an instance. */
uint32_t attach_mounts_detach_all(const struct agent_instance *instance,
				  char where[PATH_MAX]);

#endif
