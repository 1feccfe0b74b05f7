/* disk_open_driver.c - see disk_open_driver.h. Why a device is busy is found out
 * by disk_holder_driver.c. */
#include "mirror/drivers/disk_open_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mirror/drivers/disk_holder_driver.h"
#include "mirror/drivers/disk_identity_driver.h"

#define SECTOR_BYTES 512u
#define LOG_BLOCK_BYTES 4096u
#define ENDING_PAUSE_MS 20 /* a killed process ends: looked at again, ... */
#define ENDING_PAUSE_COUNT 250

/* An open under way: the details for messages. */
struct opening {
	const char *name, *path;
	char *text;
	size_t text_bytes;
};

static int refuse(const struct opening *o, int error, const char *why)
{
	const int length = snprintf(o->text, o->text_bytes, "%s: %s: %s", o->name,
				    o->path, why);

	/* A cut sentence shows that it is one. */
	if (length >= (int)o->text_bytes)
		memcpy(o->text + o->text_bytes - 4, "...", 4);
	return error;
}

static int refuse_errno(const struct opening *o, int error)
{
	switch (error) {
	case -ENOENT:
		return refuse(o, error, "there is no such device or file");
	case -EACCES:
	case -EPERM:
		return refuse(o, error,
			      "not permitted: run as root or grant read and write");
	case -EROFS:
		return refuse(o, error, "read-only: make it writable (blockdev --setrw)");
	case -ENXIO:
	case -ENODEV:
		return refuse(o, error, "the device node has no device behind it");
	default:
		return refuse(o, error, strerror(-error));
	}
}

static int refuse_busy(const struct opening *o, const struct stat *st)
{
	char holder[200];

	disk_holder_find(st, holder, sizeof holder);
	return refuse(o, -EBUSY, holder);
}

static int check_kind(const struct opening *o, const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return refuse(o, -EISDIR, "is a directory, not a block device or file");
	if (!S_ISBLK(st->st_mode) && !S_ISREG(st->st_mode))
		return refuse(o, -ENOTBLK,
			      "is neither a block device nor a regular file");
	return 0;
}

/* The alignment that a file's O_DIRECT needs; 0: it has none, or does not say. */
static uint32_t file_direct_bytes(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) != 0)
		return stx.stx_dio_offset_align;
#endif
	(void)fd;
	return 0;
}

/* Block devices: the kernel's own claim. Files: a lock. Returns 0, -EBUSY or another -errno;
 * what is open then stays so. */
static int claim(const char *path, struct disk_handle *h)
{
	if (h->fd < 0)
		h->fd = open(path,
			     O_RDWR | O_DIRECT | O_CLOEXEC | (h->is_file ? 0 : O_EXCL));
	if (h->fd < 0 && errno == EINVAL && h->is_file)
		h->fd = open(path, O_RDWR | O_CLOEXEC);
	if (h->fd < 0)
		return -errno;
	if (!h->is_file || flock(h->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

/* A process that was killed has its devices until its I/O has ended: they are waited for.
 * No loop device may stand on a file, since that would write past us. */
static int take(const struct opening *o, struct disk_handle *h, const struct stat *st)
{
	const struct timespec pause = { .tv_nsec = ENDING_PAUSE_MS * 1000000 };
	char holder[200];
	int error;

	h->is_file = S_ISREG(st->st_mode);
	error = claim(o->path, h);
	for (int i = 0;
	     error == -EBUSY && i < ENDING_PAUSE_COUNT && disk_holder_is_ending(st);
	     i++) {
		nanosleep(&pause, NULL);
		error = claim(o->path, h);
	}
	if (error != 0)
		return error == -EBUSY ? refuse_busy(o, st) : refuse_errno(o, error);
	if (h->is_file && disk_holder_find_loop(st, holder, sizeof holder))
		return refuse(o, -EBUSY, holder);
	return 0;
}

/* Size, sector size and identity of an open device. */
static int measure(const struct opening *o, struct disk_handle *h)
{
	struct stat st;
	int sector_bytes = SECTOR_BYTES;

	if (fstat(h->fd, &st) < 0)
		return refuse_errno(o, -errno);
	h->device = st.st_dev;
	h->inode = st.st_ino;
	h->size_bytes = (uint64_t)st.st_size;
	if (!h->is_file) {
		h->device = st.st_rdev;
		h->inode = 0;
		if (ioctl(h->fd, BLKGETSIZE64, &h->size_bytes) < 0 ||
		    ioctl(h->fd, BLKSSZGET, &sector_bytes) < 0)
			return refuse_errno(o, -errno);
	} else if (file_direct_bytes(h->fd) > SECTOR_BYTES) {
		sector_bytes = (int)file_direct_bytes(h->fd);
	}
	h->sector_bytes = (uint32_t)sector_bytes;
	return 0;
}

static int check_size(const struct opening *o, const struct disk_handle *h,
		      uint64_t bytes_min)
{
	char why[120];

	if (h->size_bytes < bytes_min) {
		snprintf(why, sizeof why,
			 "too small: %llu bytes, at least %llu are needed",
			 (unsigned long long)h->size_bytes,
			 (unsigned long long)bytes_min);
		return refuse(o, -EINVAL, why);
	}
	if (h->size_bytes % SECTOR_BYTES != 0) {
		snprintf(why, sizeof why, "its size, %llu bytes, is not a multiple of %u",
			 (unsigned long long)h->size_bytes, SECTOR_BYTES);
		return refuse(o, -EINVAL, why);
	}
	return 0;
}

/* Where O_DIRECT wants more than 512 bytes, smaller transfers go through the page cache of a
 * second descriptor, synchronously (disk_driver.c). */
static int open_buffered(const struct opening *o, struct disk_handle *h)
{
	char path[40];

	if (h->sector_bytes <= SECTOR_BYTES)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", h->fd);
	h->buffered_fd = open(path, O_RDWR | O_CLOEXEC);
	return h->buffered_fd < 0 ? refuse_errno(o, -errno) : 0;
}

/* Idempotent; a zeroed handle must be given fd = buffered_fd = -1 first. */
static void handle_close(struct disk_handle *handle)
{
	if (handle->buffered_fd >= 0)
		close(handle->buffered_fd);
	if (handle->fd >= 0)
		close(handle->fd);
	handle->fd = handle->buffered_fd = -1;
}

/* Open `path` for reading and writing and take it exclusively. On error nothing is open and
 * `text` says why, beginning with `name` and the path. Returns 0, or as disk_set_open(). */
static int handle_open(const char *name, const char *path, uint64_t bytes_min,
		       struct disk_handle *handle, char *text, size_t text_bytes)
{
	const struct opening o = { name, path, text, text_bytes };
	struct stat st;
	int rc;

	*handle = (struct disk_handle){ .fd = -1, .buffered_fd = -1 };
	/* Before the open, which has side effects on a tape or a pipe. */
	if (stat(path, &st) < 0)
		return refuse_errno(&o, -errno);
	rc = check_kind(&o, &st);
	if (rc == 0)
		rc = take(&o, handle, &st);
	if (rc == 0)
		rc = measure(&o, handle);
	if (rc == 0)
		rc = check_size(&o, handle, bytes_min);
	if (rc == 0)
		rc = open_buffered(&o, handle);
	if (rc < 0)
		handle_close(handle);
	return rc;
}

/* ---- a site ------------------------------------------------------------- */

static const char *entry_path(const struct config_site *site, uint32_t i)
{
	return i == 0 ? site->writelog : site->disk[i - 1].path;
}

static void entry_name(const struct config_site *site, uint32_t i, char *name,
		       size_t bytes)
{
	if (i == 0)
		snprintf(name, bytes, "writelog");
	else
		snprintf(name, bytes, "disk %s", site->disk[i - 1].name);
}

static struct disk_handle *entry_handle(struct disk_set *set, uint32_t i)
{
	return i == 0 ? &set->log : &set->disk[i - 1];
}

static bool same_device(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) || S_ISBLK(b->st_mode))
		return S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) &&
		       a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int refuse_same(const struct config_site *site, uint32_t i, uint32_t j,
		       struct mirror_devices *found)
{
	char name[CONFIG_NAME_MAX + 8], other[CONFIG_NAME_MAX + 8];
	char why[CONFIG_PATH_MAX + CONFIG_NAME_MAX + 60];
	const struct opening o = { name, entry_path(site, i), found->text,
				   sizeof found->text };

	entry_name(site, i, name, sizeof name);
	entry_name(site, j, other, sizeof other);
	snprintf(why, sizeof why, "is the same device as %s of %s; give each its own",
		 entry_path(site, j), other);
	return refuse(&o, -ENOTUNIQ, why);
}

/* Before any device is opened: of a device that is listed twice an open would only say
 * that it is busy. */
static int check_unique(const struct config_site *site, struct disk_set *set,
			struct mirror_devices *found)
{
	struct stat st[CONFIG_DISK_COUNT_MAX + 1];
	bool known[CONFIG_DISK_COUNT_MAX + 1];

	for (uint32_t i = 0; i <= site->disk_count; i++) {
		atomic_store(&set->at, i);
		known[i] = stat(entry_path(site, i), &st[i]) == 0;
		for (uint32_t j = 0; known[i] && j < i; j++)
			if (known[j] && same_device(&st[i], &st[j]))
				return refuse_same(site, i, j, found);
	}
	return 0;
}

int disk_set_open(const struct config_site *site, struct disk_set *set,
		  struct mirror_devices *found)
{
	char name[CONFIG_NAME_MAX + 8];

	*found = (struct mirror_devices){ 0 };
	set->disk_count = site->disk_count;
	for (uint32_t i = 0; i <= site->disk_count; i++)
		*entry_handle(set, i) = (struct disk_handle){ .fd = -1,
							      .buffered_fd = -1 };
	found->error = check_unique(site, set, found);
	for (uint32_t i = 0; i <= site->disk_count && found->error == 0; i++) {
		atomic_store(&set->at, i);
		entry_name(site, i, name, sizeof name);
		found->error = handle_open(name, entry_path(site, i),
					   i == 0 ? DISK_LOG_BYTES_MIN : DISK_BYTES_MIN,
					   entry_handle(set, i), found->text,
					   sizeof found->text);
	}
	if (found->error < 0) {
		disk_set_close(set);
		return found->error;
	}
	found->log_bytes = set->log.size_bytes - set->log.size_bytes % LOG_BLOCK_BYTES;
	for (uint32_t i = 0; i < set->disk_count; i++) {
		found->disk_bytes[i] = set->disk[i].size_bytes;
		found->disk_sector_bytes[i] = set->disk[i].sector_bytes;
		found->disk_is_file[i] = set->disk[i].is_file;
		disk_identity_find(set->disk[i].fd, found->disk_identity[i]);
	}
	return 0;
}

void disk_set_close(struct disk_set *set)
{
	for (uint32_t i = 0; i <= set->disk_count; i++)
		handle_close(entry_handle(set, i));
}

void disk_set_opening_text(const struct config_site *site, struct disk_set *set,
			   char *text, size_t text_bytes)
{
	const uint32_t at = atomic_load(&set->at);
	char name[CONFIG_NAME_MAX + 8];
	const struct opening o = { name, entry_path(site, at), text, text_bytes };

	entry_name(site, at, name, sizeof name);
	refuse(&o, -ETIMEDOUT,
	       "its open has not been answered: look at the device, and at the devices "
	       "below it");
}
