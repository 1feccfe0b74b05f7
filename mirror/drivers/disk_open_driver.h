/* disk_open_driver.h - take a site's devices for ourselves alone, or say why not.
 *
 * Block devices are opened O_EXCL, files are locked with flock(2): the kernel
 * grants either only when the last process that had it is done with all its I/O.
 * So a site's disks may pass from host to host (D6). The calls block: from the I/O
 * thread they go through io_driver_offload().
 *
 * Source: docs/rules.md (D6); docs/sources.md (P4-10).
 */
#ifndef MIRROR_DRIVERS_DISK_OPEN_DRIVER_H
#define MIRROR_DRIVERS_DISK_OPEN_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/io.h"

#define DISK_LOG_BYTES_MIN (2u << 20) /* docs/rules.md, "Limits" */
#define DISK_BYTES_MIN 4096u          /* the smallest file system is larger */

/* One open device. */
struct disk_handle {
	int fd;          /* -1: closed */
	int buffered_fd; /* -1, or for transfers that do not suit O_DIRECT */
	bool is_file;
	uint32_t sector_bytes; /* direct transfers are multiples of this */
	uint64_t size_bytes;
	uint64_t device, inode; /* identity: st_rdev and 0, or st_dev and st_ino */
};

/* The writelog and the disks of one site. */
struct disk_set {
	struct disk_handle log;
	uint32_t disk_count;
	struct disk_handle disk[CONFIG_DISK_COUNT_MAX];
	atomic_uint at; /* being opened now: 0 the log, n disk n - 1 */
};

/* Open all devices of `site` for reading and writing, take them exclusively, and describe
 * them in `found` (error and text too). One whose holder ends, or cannot be seen, is waited for
 * up to five seconds. On error all are closed again, and found->text says
 * what would help. Returns found->error: 0, or
 *   -ENOENT        there is nothing of that name
 *   -EACCES -EPERM -EROFS   not permitted
 *   -EBUSY         mounted, swap, under a loop device or held by a process,
 *                  which the text names as far as it can be known
 *   -EISDIR        a directory
 *   -ENOTBLK       neither a block device nor a file
 *   -EINVAL        too small, or a size that is not a multiple of 512
 *   -ENOTUNIQ      two names lead to one device
 *   another -errno of open(2) or fstat(2) */
int disk_set_open(const struct config_site *site, struct disk_set *set,
		  struct mirror_devices *found);
void disk_set_close(struct disk_set *set);

/* Any thread, during disk_set_open(): names the device that has not answered. */
void disk_set_opening_text(const struct config_site *site, struct disk_set *set,
			   char *text, size_t text_bytes);

#endif
