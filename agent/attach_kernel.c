/* attach_kernel.c - a device by way of the kernel's own NBD client: see
 * attach_helper.h.
 *
 * A child negotiates, hands its sockets to the kernel and stays in NBD_DO_IT as long
 * as the device stands; its death takes the device away. No time limit is set: an
 * answer may take as long as a frozen mirror does.
 *
 * Source: linux/nbd.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/attach_helper.h"

#define CONNECTIONS 2u /* enough for one disk */
#define DEVICES_MAX 1024
#define READY_MS 10000
#define END_MS 3000
#define CAN_MULTI_CONN (1u << 8)

static bool is_there(void)
{
	char program[] = "modprobe", quiet[] = "-q", module[] = "nbd";
	char *argv[] = { program, quiet, module, NULL };
	int fd;

	if (access("/sys/module/nbd", F_OK) < 0)
		attach_process_run(argv);
	fd = open("/dev/nbd0", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void clean(struct attach_disk *d)
{
	(void)d; /* the kernel takes the device away when its process ends */
}

/* ---- in the child -------------------------------------------------------------- */

/* The child's word: the number of the device, or -1 and why there is none. */
struct word {
	int32_t number;
	char text[ATTACH_TEXT_BYTES];
};

/* Is device `number` one of the kernel's? */
static bool kernel_has(int number)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/block/nbd%d", number);
	return access(path, F_OK) == 0;
}

/* A device that is free, and ours from the first socket on; -errno of device `*number`,
 * -ENODEV: all before it are in use. */
static int take_device(int socket_fd, int *number)
{
	char path[64];

	for (*number = 0; *number < DEVICES_MAX; (*number)++) {
		int fd, error;

		snprintf(path, sizeof path, "/sys/block/nbd%d/pid", *number);
		if (access(path, F_OK) == 0)
			continue;
		snprintf(path, sizeof path, "/dev/nbd%d", *number);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, NBD_SET_SOCK, socket_fd) == 0)
			return fd;
		error = errno;
		if (fd >= 0)
			close(fd);
		if (error == ENOENT && !kernel_has(*number))
			break;
		if (error != EBUSY) /* another took it meanwhile */
			return -error;
	}
	return -ENODEV;
}

/* Set `text`: why device `number` could not be had, and the remedy. Returns `error`. */
static int explain(struct attach_disk *d, int error, int number)
{
	if (error == -ENODEV)
		snprintf(d->text, sizeof d->text,
			 "the kernel's nbd client: all its %d devices are in use: load "
			 "module nbd with a larger nbds_max",
			 number);
	else
		attach_helper_fail(
			d, -error, "the kernel's nbd client: /dev/nbd%d%s", number,
			error == -ENOENT ?
				" has no node, though the kernel has the "
				"device: make it, or give it to this container" :
			error == -EACCES || error == -EPERM ?
				" may not be used: that takes CAP_SYS_ADMIN, and "
				"in a container leave to use the device" :
				"");
	return error;
}

static int add_sockets(struct attach_disk *d, int fd)
{
	struct attach_export e;

	for (uint32_t i = 1; i < CONNECTIONS; i++) {
		const int socket_fd = attach_export_open(d, &e);

		if (socket_fd < 0)
			return socket_fd;
		if (ioctl(fd, NBD_SET_SOCK, socket_fd) < 0)
			return attach_helper_fail(d, errno, "NBD_SET_SOCK");
	}
	return 0;
}

static int set_up(struct attach_disk *d, int fd, const struct attach_export *e)
{
	const unsigned long sectors = e->size_bytes / e->sector_bytes;
	const int rc = (e->flags & CAN_MULTI_CONN) != 0 ? add_sockets(d, fd) : 0;

	if (rc < 0)
		return rc;
	if (ioctl(fd, NBD_SET_BLKSIZE, (unsigned long)e->sector_bytes) < 0 ||
	    ioctl(fd, NBD_SET_SIZE_BLOCKS, sectors) < 0 ||
	    ioctl(fd, NBD_SET_FLAGS, (unsigned long)e->flags) < 0 ||
	    ioctl(fd, NBD_SET_TIMEOUT, 0ul) < 0)
		return attach_helper_fail(d, errno,
					  "the kernel's nbd client refuses sectors of %u "
					  "bytes, or the disk's size",
					  e->sector_bytes);
	return 0;
}

/* A device that is set up, to go into service: its descriptor, or -errno. */
static int make_device(struct attach_disk *d, int *number)
{
	struct attach_export e;
	int fd, rc;
	const int socket_fd = attach_export_open(d, &e);

	*number = -1;
	if (socket_fd < 0)
		return socket_fd;
	fd = take_device(socket_fd, number);
	if (fd < 0)
		return explain(d, fd, *number);
	rc = set_up(d, fd, &e);
	return rc < 0 ? rc : fd;
}

/* Never returns. Tells the number of the device before it goes into service. */
static void serve(struct attach_disk *d, int tell_fd, pid_t parent)
{
	static struct word word;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	fd = make_device(d, &word.number);
	if (fd < 0) {
		word.number = -1;
		snprintf(word.text, sizeof word.text, "%s", d->text);
	}
	if (write(tell_fd, &word, sizeof word) != sizeof word || fd < 0)
		_exit(2);
	close(tell_fd);
	ioctl(fd, NBD_DO_IT);
	ioctl(fd, NBD_CLEAR_QUE);
	ioctl(fd, NBD_CLEAR_SOCK);
	_exit(0);
}

/* ---- the method ------------------------------------------------------------------ */

static int wait_for_number(struct attach_disk *d, int fd, int *number)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static struct word word;

	for (int ms = 0; poll(&p, 1, 0) == 0; ms += 10) {
		if (ms >= READY_MS)
			return attach_helper_fail(d, ETIMEDOUT,
						  "the kernel's nbd client");
		if (attach_helper_pause(10))
			return -ECANCELED;
	}
	if (read(fd, &word, sizeof word) != sizeof word)
		return attach_helper_fail(d, EIO, "the kernel's nbd client has ended");
	*number = word.number;
	if (word.number < 0)
		snprintf(d->text, sizeof d->text, "%s", word.text);
	return word.number < 0 ? -EIO : 0;
}

/* The device stands when the kernel shows the process that serves it. */
static int wait_until_ready(struct attach_disk *d, int number)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/block/nbd%d/pid", number);
	for (int ms = 0; access(path, F_OK) < 0; ms += 10) {
		if (attach_process_has_ended(d))
			return -EIO; /* it says how */
		if (ms >= READY_MS)
			return attach_helper_fail(d, ETIMEDOUT,
						  "the kernel's nbd client");
		if (attach_helper_pause(10))
			return -ECANCELED;
	}
	snprintf(d->device, sizeof d->device, "/dev/nbd%d", number);
	d->device_fd = open(d->device, O_RDWR | O_CLOEXEC);
	return d->device_fd < 0 ? attach_helper_fail(d, errno, "%s", d->device) : 0;
}

static int kernel_connect(struct attach_disk *d)
{
	const pid_t self = getpid();
	int pipe_fd[2], number = -1, rc;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return attach_helper_fail(d, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		/* The helper's ends of its pipes are not ours to keep open. */
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		close(pipe_fd[0]);
		serve(d, pipe_fd[1], self);
	}
	rc = pid < 0 ? attach_helper_fail(d, errno, "fork") :
		       attach_process_adopt(d, pid);
	close(pipe_fd[1]);
	if (rc == 0)
		rc = wait_for_number(d, pipe_fd[0], &number);
	close(pipe_fd[0]);
	return rc < 0 ? rc : wait_until_ready(d, number);
}

static void kernel_disconnect(struct attach_disk *d, bool force)
{
	if (d->device_fd >= 0 && !force)
		ioctl(d->device_fd, NBD_DISCONNECT);
	attach_process_end(d, force ? 0 : END_MS);
	if (d->device_fd >= 0)
		close(d->device_fd);
	d->device_fd = -1;
}

const struct attach_method attach_kernel = {
	.name = "nbd",
	.missing = "the kernel has no nbd client (module nbd)",
	.clean = clean,
	.is_there = is_there,
	.connect = kernel_connect,
	.disconnect = kernel_disconnect,
	.has_ended = attach_process_has_ended,
};
