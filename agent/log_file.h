/* log_file.h - a writelog read from the outside: its owner. */
#ifndef AGENT_LOG_FILE_H
#define AGENT_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "mirror/log/superblock.h"

struct agent_log_file {
	int fd; /* read only; -1: not open */
	uint64_t bytes;
	uint8_t *slots; /* both, as they are */
	uint32_t slot;  /* which of them is `sb` */
	struct mirror_superblock sb;
	struct mirror_superblock scratch;
	char note[256]; /* the fault of the other slot, or "" */
};

/* Open a device, or a file that stands for one, for reading. A pipe or a terminal is
 * refused, because an open or a read of it could wait for ever. Returns the descriptor,
 * -EISDIR, -ENOTBLK or -errno of open(2) and fstat(2). */
int agent_device_open(const char *path);

/* Open the log at `path` and read its superblock. `f` is large: allocate it, and
 * close it in every case. Returns 0, or
 *   -ENODATA           nothing of hamirror's is there
 *   -EBADMSG, -EPROTO  it is a log with no whole superblock
 *   -EPROTONOSUPPORT   of a newer version
 *   -errno             of agent_device_open() or read(2)
 * with a sentence in `text`; `slots` is then NULL if they could not be read. */
int agent_log_file_open(const char *path, struct agent_log_file *f, char *text,
			size_t text_size);

/* Idempotent. */
void agent_log_file_close(struct agent_log_file *f);

/* Read exactly `length` bytes. Returns 0, -errno, or -EIO at the end of the device. */
int agent_log_file_read(const struct agent_log_file *f, uint64_t offset, void *data,
			size_t length);

#endif
