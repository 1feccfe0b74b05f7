/* device_info.h - what the system says of a device or file: its numbers, size and kind. */
#ifndef AGENT_DEVICE_INFO_H
#define AGENT_DEVICE_INFO_H

#include <jansson.h>

/* An object with "name", "path", "reachable", "error" (a sentence, or null) and, where it is
 * reachable, "kind" (file, disk, partition, lvm, crypt, dm, md, loop), "device" (the path
 * without links), "major" and "minor" (of a file: those of its file system), "bytes",
 * "sectors" (of 512 bytes), "logical_block", "physical_block" (null of a file), "identity"
 * (docs/rules.md, "Disks have an identity"; null: none is known). A device that hangs is given
 * up after some seconds (scout.h). A new reference. */
json_t *agent_device_info(const char *name, const char *path);

#endif
