/* attach_kernel.c - a device by way of the kernel's own NBD client: see
 * attach_helper.h.
 *
 * A child negotiates, hands its sockets to the kernel and stays in NBD_DO_IT as long
 * as the device stands; its death takes the device away. No time limit is set: an
 * answer may take as long as a frozen mirror does.
 *
 * Source: linux/nbd.h; proto.md of the NBD project, "fixed newstyle negotiation".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/attach_helper.h"
#include "agent/paths.h"

#define CONNECTIONS 2u /* enough for what one disk can do */
#define SECTOR_BYTES 512u
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
	(void)d; /* the kernel takes away what its process leaves */
}

/* ---- in the child -------------------------------------------------------------- */

static bool put(int fd, const void *from, size_t bytes)
{
	return send(fd, from, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool get(int fd, void *to, size_t bytes)
{
	return recv(fd, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static uint64_t big_endian(const uint8_t *at, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		value = value << 8 | at[i];
	return value;
}

static int connect_socket(const char *path)
{
	struct sockaddr_un address;
	int directory_fd, fd, rc;

	if (agent_socket_address(path, &address, &directory_fd) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address);
	if (directory_fd >= 0)
		close(directory_fd);
	if (rc == 0 || fd < 0)
		return fd;
	close(fd);
	return -1;
}

/* Ask for the export: returns the socket, ready for the kernel, or -1. */
static int negotiate(const struct attach_disk *d, uint64_t *size_bytes, uint16_t *flags)
{
	const uint32_t name_bytes = (uint32_t)strlen(d->export);
	uint8_t option[4 + 16 + CONFIG_NAME_MAX] = "\0\0\0\3IHAVEOPT\0\0\0\1";
	uint8_t greeting[18], answer[10];
	const int fd = connect_socket(d->socket);

	if (fd < 0)
		return -1;
	option[19] = (uint8_t)name_bytes;
	memcpy(option + 20, d->export, name_bytes);
	if (!get(fd, greeting, sizeof greeting) ||
	    memcmp(greeting, "NBDMAGICIHAVEOPT", 16) != 0 ||
	    !put(fd, option, 20 + name_bytes) || !get(fd, answer, sizeof answer)) {
		close(fd);
		return -1;
	}
	*size_bytes = big_endian(answer, 8);
	*flags = (uint16_t)big_endian(answer + 8, 2);
	return fd;
}

int attach_kernel_ask(const struct attach_disk *d, uint64_t *size_bytes)
{
	uint16_t flags;
	const int fd = negotiate(d, size_bytes, &flags);

	if (fd < 0)
		return -EIO;
	close(fd);
	return 0;
}

/* A device that is free, and ours from the first socket on; -1: there is none. */
static int take_device(int socket_fd, int *number)
{
	char path[64];

	for (*number = 0; *number < DEVICES_MAX; (*number)++) {
		int fd;

		snprintf(path, sizeof path, "/sys/block/nbd%d/pid", *number);
		if (access(path, F_OK) == 0)
			continue;
		snprintf(path, sizeof path, "/dev/nbd%d", *number);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -1;
		if (ioctl(fd, NBD_SET_SOCK, socket_fd) == 0)
			return fd;
		close(fd);
	}
	return -1;
}

static bool add_sockets(const struct attach_disk *d, int fd)
{
	uint64_t size_bytes;
	uint16_t flags;

	for (uint32_t i = 1; i < CONNECTIONS; i++) {
		const int socket_fd = negotiate(d, &size_bytes, &flags);

		if (socket_fd < 0 || ioctl(fd, NBD_SET_SOCK, socket_fd) < 0)
			return false;
	}
	return true;
}

/* Never returns. Tells the number of the device before it goes into service. */
static void serve(const struct attach_disk *d, int tell_fd, pid_t parent)
{
	uint64_t size_bytes;
	uint16_t flags;
	int number, fd, socket_fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	socket_fd = negotiate(d, &size_bytes, &flags);
	if (socket_fd < 0)
		_exit(2);
	fd = take_device(socket_fd, &number);
	if (fd < 0)
		_exit(3);
	if (((flags & CAN_MULTI_CONN) != 0 && !add_sockets(d, fd)) ||
	    ioctl(fd, NBD_SET_BLKSIZE, (unsigned long)SECTOR_BYTES) < 0 ||
	    ioctl(fd, NBD_SET_SIZE_BLOCKS, (unsigned long)(size_bytes / SECTOR_BYTES)) <
		    0 ||
	    ioctl(fd, NBD_SET_FLAGS, (unsigned long)flags) < 0 ||
	    ioctl(fd, NBD_SET_TIMEOUT, 0ul) < 0 ||
	    write(tell_fd, &number, sizeof number) != sizeof number)
		_exit(4);
	close(tell_fd);
	ioctl(fd, NBD_DO_IT);
	ioctl(fd, NBD_CLEAR_QUE);
	ioctl(fd, NBD_CLEAR_SOCK);
	_exit(0);
}

/* ---- the method ------------------------------------------------------------------ */

static int has_failed(struct attach_disk *d)
{
	return attach_helper_fail(d, EIO,
				  "the kernel's nbd client: no device is free "
				  "(nbds_max), or %s does not answer",
				  d->socket);
}

static int wait_for_number(struct attach_disk *d, int fd, int *number)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (int ms = 0; poll(&p, 1, 0) == 0; ms += 10) {
		if (ms >= READY_MS)
			return attach_helper_fail(d, ETIMEDOUT,
						  "the kernel's nbd client");
		if (attach_helper_pause(10))
			return -ECANCELED;
	}
	return read(fd, number, sizeof *number) == sizeof *number ? 0 : has_failed(d);
}

/* The device stands when the kernel shows the process that serves it. */
static int wait_until_ready(struct attach_disk *d, int number)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/block/nbd%d/pid", number);
	for (int ms = 0; access(path, F_OK) < 0; ms += 10) {
		if (attach_process_has_ended(d) || ms >= READY_MS)
			return has_failed(d);
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
	int pipe_fd[2], number, rc;
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
