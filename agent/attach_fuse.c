/* attach_fuse.c - a device by way of nbdfuse and a loop device, where the kernel has
 * no NBD client: for function, not for speed. See attach_helper.h.
 *
 * The loop device clears itself when nobody has it open, and the helper does as long
 * as it lives: so one that is killed leaves none, unless a file system is on it, which
 * goes first. Loop devices that stand are never looked through for leftovers: to ask
 * one for its name is to ask the server of its file, and another mirror's may be
 * frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/attach_helper.h"

#define LOOP_MAJOR 7
#define LOOP_TRIES 64  /* others take free ones at the same time */
#define READY_MS 10000 /* nbdfuse connects to a socket of this machine */
#define END_MS 3000
#define URI_BYTES (3 * PATH_MAX + 256)

/* One is deep enough for the loop device's requests; each takes a place (nbd_places.h). */
#define CONNECTIONS "1"

static bool is_there(void)
{
	return true; /* the last resort: a missing part is told by name */
}

/* ---- nbdfuse ------------------------------------------------------------------ */

static void pid_path(const struct attach_disk *d, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s.pid", d->folder);
}

/* Mounts pile up when a predecessor's was never taken away. */
static void unmount(const struct attach_disk *d)
{
	while (umount2(d->folder, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
}

static void make_uri(const struct attach_disk *d, char uri[URI_BYTES])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";
	int at = snprintf(uri, URI_BYTES, "nbd+unix:///%s?socket=", d->export);

	for (const char *c = d->socket; *c != '\0' && at < URI_BYTES - 4; c++)
		at += snprintf(uri + at, (size_t)(URI_BYTES - at),
			       strchr(plain, *c) != NULL ? "%c" : "%%%02X",
			       (unsigned char)*c);
}

static int wait_until_ready(struct attach_disk *d)
{
	char path[PATH_MAX];

	pid_path(d, path);
	for (int ms = 0; access(path, F_OK) < 0; ms += 10) {
		if (attach_process_has_ended(d))
			return -EIO; /* it has said why */
		if (ms >= READY_MS)
			return attach_helper_fail(d, ETIMEDOUT,
						  "nbdfuse does not get ready");
		if (attach_helper_pause(10))
			return -ECANCELED;
	}
	return 0;
}

static int mount_fuse(struct attach_disk *d)
{
	static char uri[URI_BYTES];
	char file[PATH_MAX], pid[PATH_MAX];
	char program[] = "nbdfuse", pid_option[] = "-P", count_option[] = "-C";
	char count[] = CONNECTIONS;
	char *argv[] = { program, count_option, count, pid_option, pid, file, uri, NULL };
	int rc;

	if (mkdir(d->folder, 0700) < 0 && errno != EEXIST)
		return attach_helper_fail(d, errno, "%s", d->folder);
	if (snprintf(file, sizeof file, "%s/nbd", d->folder) >= (int)sizeof file)
		return attach_helper_fail(d, ENAMETOOLONG, "%s", d->folder);
	pid_path(d, pid);
	unlink(pid);
	make_uri(d, uri);
	rc = attach_process_start(d, argv);
	return rc < 0 ? rc : wait_until_ready(d);
}

/* ---- loop ----------------------------------------------------------------------- */

static int loop_open(int number, char path[PATH_MAX])
{
	int fd;

	snprintf(path, PATH_MAX, "/dev/loop%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	/* Where no udev makes nodes. */
	if (fd < 0 && errno == ENOENT &&
	    mknod(path, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned int)number)) == 0)
		fd = open(path, O_RDWR | O_CLOEXEC);
	return fd;
}

static int loop_configure(struct attach_disk *d, int control_fd, int file_fd,
			  uint32_t sector_bytes)
{
	struct loop_config config = { .fd = (uint32_t)file_fd,
				      .block_size = sector_bytes };

	/* Direct: nothing of it is to be in the page cache twice. Partitions: it is a
	 * disk like any other. */
	config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR |
			       LO_FLAGS_PARTSCAN;
	snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", d->folder);
	for (int i = 0; i < LOOP_TRIES; i++) {
		const int number = ioctl(control_fd, LOOP_CTL_GET_FREE);

		if (number < 0)
			return attach_helper_fail(d, errno, "no loop device is free");
		d->device_fd = loop_open(number, d->device);
		if (d->device_fd < 0)
			return attach_helper_fail(d, errno, "%s", d->device);
		if (ioctl(d->device_fd, LOOP_CONFIGURE, &config) == 0)
			return 0;
		if (errno != EBUSY)
			return attach_helper_fail(d, errno, "%s", d->device);
		close(d->device_fd);
		d->device_fd = -1;
	}
	return attach_helper_fail(d, EBUSY, "no loop device stays free");
}

static int loop_attach(struct attach_disk *d, uint32_t sector_bytes)
{
	char path[PATH_MAX + 8];
	int file_fd, control_fd, rc;

	snprintf(path, sizeof path, "%s/nbd", d->folder);
	control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control_fd < 0)
		return attach_helper_fail(d, errno, "/dev/loop-control");
	file_fd = open(path, O_RDWR | O_CLOEXEC);
	if (file_fd < 0)
		rc = attach_helper_fail(d, errno, "%s", path);
	else
		rc = loop_configure(d, control_fd, file_fd, sector_bytes);
	if (file_fd >= 0)
		close(file_fd);
	close(control_fd);
	return rc;
}

/* ---- the method ------------------------------------------------------------------- */

static void clean(struct attach_disk *d)
{
	unmount(d);
}

static int fuse_connect(struct attach_disk *d)
{
	struct attach_export e;
	int rc = attach_export_ask(d, &e);

	if (rc == 0)
		rc = mount_fuse(d);
	return rc < 0 ? rc : loop_attach(d, e.sector_bytes);
}

static void fuse_disconnect(struct attach_disk *d, bool force)
{
	char path[PATH_MAX];

	/* When the server is dead, the calls below fail at once instead of waiting for it. */
	if (force)
		attach_process_end(d, 0);
	if (d->device_fd >= 0) {
		ioctl(d->device_fd, LOOP_CLR_FD);
		close(d->device_fd);
		d->device_fd = -1;
	}
	unmount(d);
	attach_process_end(d, END_MS);
	pid_path(d, path);
	unlink(path);
	rmdir(d->folder);
}

const struct attach_method attach_fuse = {
	.name = "fuse",
	.missing = "",
	.clean = clean,
	.is_there = is_there,
	.connect = fuse_connect,
	.disconnect = fuse_disconnect,
	.has_ended = attach_process_has_ended,
};
