/* log_file.c - see log_file.h. */
#include "agent/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int agent_log_file_read(const struct agent_log_file *f, uint64_t offset, void *data,
			size_t length)
{
	size_t at = 0;

	while (at < length) {
		const ssize_t n = pread(f->fd, (char *)data + at, length - at,
					(off_t)(offset + at));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int agent_device_open(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		error = -errno;
	else if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		error = S_ISDIR(st.st_mode) ? -EISDIR : -ENOTBLK;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* Such an error in words. */
static const char *device_error(int error)
{
	return error == -ENOTBLK ? "it is neither a block device nor a regular file" :
				   strerror(-error);
}

static int open_and_read(const char *path, struct agent_log_file *f)
{
	off_t end;

	f->fd = agent_device_open(path);
	if (f->fd < 0)
		return f->fd;
	end = lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	f->bytes = (uint64_t)end;
	if (f->bytes < MIRROR_SUPERBLOCK_AREA_BYTES)
		return -ENODATA;
	f->slots = malloc(MIRROR_SUPERBLOCK_AREA_BYTES);
	if (f->slots == NULL)
		return -ENOMEM;
	return agent_log_file_read(f, 0, f->slots, MIRROR_SUPERBLOCK_AREA_BYTES);
}

int agent_log_file_open(const char *path, struct agent_log_file *f, char *text,
			size_t text_size)
{
	int error;

	*f = (struct agent_log_file){ .fd = -1 };
	error = open_and_read(path, f);
	if (error == -ENODATA) {
		snprintf(text, text_size,
			 "%s is no writelog: it is smaller than a superblock", path);
		return error;
	}
	if (error != 0) {
		snprintf(text, text_size, "writelog %s cannot be read: %s", path,
			 device_error(error));
		return error;
	}
	error = mirror_superblock_choose(f->slots, f->slots + MIRROR_SUPERBLOCK_BYTES,
					 &f->scratch, &f->sb, &f->slot, f->note,
					 sizeof f->note);
	if (error != 0)
		snprintf(text, text_size, "writelog %s: %s", path, f->note);
	return error;
}

void agent_log_file_close(struct agent_log_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	free(f->slots);
	f->slots = NULL;
}
