/* disk_identity_driver.h - the identity of a device, as the system tells it. It stays when
 * the path, the kernel name or the order of discovery changes (docs/rules.md, "Disks have an
 * identity").
 *
 *   a volume         its uuid (device mapper, md)
 *   a disk           its WWID, else its serial number
 *   a partition      that of its disk, and where it begins; else its uuid
 *   a file           inode and time of creation: a copy of it has others
 *   a loop device    the inode of its file
 *
 * Only identity of the medium counts, never a path. An identity that cannot be known is "".
 */
#ifndef MIRROR_DRIVERS_DISK_IDENTITY_DRIVER_H
#define MIRROR_DRIVERS_DISK_IDENTITY_DRIVER_H

#include "mirror/io.h"

/* Of an open file or block device. Fills `identity` with zeroes to its end. */
void disk_identity_find(int fd, char identity[MIRROR_IDENTITY_BYTES]);

/* Of the block device MAJOR:MINOR as `sys` (/sys) and `udev` (/run/udev) describe it. */
void disk_identity_find_block(const char *sys, const char *udev, unsigned int major,
			      unsigned int minor, char identity[MIRROR_IDENTITY_BYTES]);

#endif
