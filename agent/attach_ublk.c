/* attach_ublk.c - a device that hamirrord's I/O thread serves itself, by the kernel's
 * ublk (Linux 6.5): see attach_helper.h.
 *
 * The helper gives the control commands: each may block, START until every tag of the
 * queue has been fetched, STOP and START while a request waits for a frozen mirror. So a
 * child gives each, and can be left behind. hamirrord is told `serve NUMBER` between the
 * device's making and its start, and sees from the aborted tags that it was stopped.
 *
 * The kernel's user recovery is not used: when hamirrord dies the kernel fails the requests
 * under way and stops the device, and the helper deletes it. A device that is left because
 * the helper died too is found again by the `owner` in its information. A device that was
 * kept over a restart could show its users the data of another generation under their open
 * files, since another host may have been promoted meanwhile.
 *
 * Source: Linux, Documentation/block/ublk.rst.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/attach_helper.h"
#include "mirror/front/ublk.h"

#define CONTROL "/dev/ublk-control"
#define DEVICES "/sys/class/ublk-char"
#define QUICK_MS 10000 /* commands that wait for nobody's disk */
#define START_MS 30000 /* partitions are read */
#define STOP_MS 10000
#define END_MS 3000
#define PAUSE_MS 5

/* A child's work and its answer: shared with it. */
struct call {
	int32_t result;
	uint64_t features;
	struct mirror_ublk_info info;
	struct mirror_ublk_parameters parameters;
};

static struct call *call; /* mapped before the first command */

/* ---- one command -------------------------------------------------------------------- */

/* In the child. Returns the command's result, or -errno. */
static int32_t give(uint32_t op, const struct mirror_ublk_control *command)
{
	const int fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int rc;

	if (fd < 0)
		return -errno;
	rc = io_uring_queue_init_params(4, &ring, &params);
	if (rc < 0)
		return rc;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_rw(MIRROR_UBLK_URING_OP, sqe, fd, NULL, 0, 0);
	sqe->off = op;
	memcpy((char *)sqe + MIRROR_UBLK_COMMAND_AT, command, sizeof *command);
	rc = io_uring_submit(&ring);
	while (rc >= 0) {
		rc = io_uring_wait_cqe(&ring, &cqe);
		if (rc == 0)
			return cqe->res;
		if (rc == -EINTR)
			rc = 0;
	}
	return rc;
}

/* Returns the child, or -errno. */
static pid_t begin(const struct attach_disk *d, uint32_t op,
		   const struct mirror_ublk_control *command)
{
	const pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	/* Left behind it must hold nothing of the helper's. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	if (d->device_fd >= 0)
		close(d->device_fd);
	call->result = give(op, command);
	_exit(0);
}

/* Returns the command's result, or -ETIMEDOUT (it goes on), or with `heed` -ECANCELED
 * when hamirrord wants us to give up (it is killed). */
static int finish(pid_t pid, int patience_ms, bool heed)
{
	int status;

	for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms += PAUSE_MS) {
		if (ms >= patience_ms)
			return -ETIMEDOUT;
		if (!heed) {
			poll(NULL, 0, PAUSE_MS);
		} else if (attach_helper_pause(PAUSE_MS)) {
			kill(pid, SIGKILL);
			return -ECANCELED;
		}
	}
	return WIFEXITED(status) ? call->result : -EIO;
}

static int control(const struct attach_disk *d, uint32_t op, uint32_t device, void *at,
		   size_t bytes, int patience_ms)
{
	const struct mirror_ublk_control command = {
		.device = device,
		.queue = UINT16_MAX,
		.bytes = (uint16_t)bytes,
		.address = (uint64_t)(uintptr_t)at,
	};
	const pid_t pid = begin(d, op, &command);
	int rc = pid < 0 ? pid : finish(pid, patience_ms, false);

	if (rc == -ETIMEDOUT)
		kill(pid, SIGKILL);
	return rc;
}

/* ---- devices that are there -------------------------------------------------------------- */

static bool share(void)
{
	void *at = mmap(NULL, sizeof *call, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return false;
	call = at;
	return true;
}

static bool is_there(void)
{
	static const uint64_t needed = MIRROR_UBLK_FEATURE_IOCTL_ENCODE |
				       MIRROR_UBLK_FEATURE_USER_COPY;
	const struct attach_disk none = { .lock_fd = -1, .device_fd = -1 };
	char program[] = "modprobe", quiet[] = "-q", module[] = "ublk_drv";
	char *argv[] = { program, quiet, module, NULL };

	if (access(CONTROL, F_OK) < 0)
		attach_process_run(argv);
	if (access(CONTROL, R_OK | W_OK) < 0 || (call == NULL && !share()))
		return false;
	return control(&none, MIRROR_UBLK_GET_FEATURES, UINT32_MAX, &call->features,
		       sizeof call->features, QUICK_MS) == 0 &&
	       (call->features & needed) == needed;
}

/* Finds our device again: FNV-1a over the folder, which only this disk has. */
static uint64_t owner(const struct attach_disk *d)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *at = d->folder; *at != '\0'; at++)
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
	return hash;
}

/* The owner names the disk. But machines that share a kernel may give their disks the same
 * names. So its server must also be dead, or be our own parent, which has no other device
 * for this disk. */
static bool is_left(const struct attach_disk *d)
{
	const struct mirror_ublk_info *info = &call->info;

	if (info->owner != owner(d))
		return false;
	return info->pid <= 0 || info->pid == getppid() ||
	       (kill(info->pid, 0) < 0 && errno == ESRCH);
}

static void remove_left(const struct attach_disk *d, uint32_t device)
{
	/* To delete stops it too, but keeps every other device from being made
	 * meanwhile. */
	control(d, MIRROR_UBLK_STOP, device, NULL, 0, END_MS);
	control(d, MIRROR_UBLK_DELETE, device, NULL, 0, END_MS);
}

static void clean(struct attach_disk *d)
{
	DIR *folder = opendir(DEVICES);
	const struct dirent *entry;
	uint32_t device;

	if (folder != NULL && call == NULL && !share()) {
		closedir(folder);
		return;
	}
	while (folder != NULL && (entry = readdir(folder)) != NULL)
		if (sscanf(entry->d_name, "ublkc%u", &device) == 1 &&
		    control(d, MIRROR_UBLK_GET_INFO, device, &call->info,
			    sizeof call->info, QUICK_MS) == 0 &&
		    is_left(d))
			remove_left(d, device);
	if (folder != NULL)
		closedir(folder);
}

/* ---- making it ------------------------------------------------------------------------------ */

static int make(struct attach_disk *d)
{
	struct attach_export e;
	int rc = attach_export_ask(d, &e);

	if (rc < 0)
		return rc;
	mirror_ublk_info_init(&call->info, owner(d), getpid());
	rc = control(d, MIRROR_UBLK_ADD, UINT32_MAX, &call->info, sizeof call->info,
		     QUICK_MS);
	if (rc < 0)
		return attach_helper_fail(d, -rc, "the kernel makes no ublk device%s",
					  rc == -EACCES ?
						  " (ublks_max of module ublk_drv "
						  "limits their number)" :
						  "");
	d->made = true;
	d->number = call->info.device;
	mirror_ublk_parameters_init(&call->parameters, e.size_bytes, e.sector_bytes);
	rc = control(d, MIRROR_UBLK_SET_PARAMETERS, d->number, &call->parameters,
		     sizeof call->parameters, QUICK_MS);
	return rc < 0 ? attach_helper_fail(d, -rc, "ublk device %u", d->number) : 0;
}

static int start(struct attach_disk *d)
{
	const struct mirror_ublk_control command = {
		.device = d->number,
		.queue = UINT16_MAX,
		.data = (uint64_t)getppid(),
	};
	char number[16];
	pid_t pid;
	int rc;

	snprintf(number, sizeof number, "%u", d->number);
	attach_helper_say("serve", number);
	pid = begin(d, MIRROR_UBLK_START, &command);
	rc = pid < 0 ? pid : finish(pid, START_MS, true);
	if (rc == -ETIMEDOUT)
		kill(pid, SIGKILL);
	if (rc == -ECANCELED)
		return rc;
	return rc < 0 ? attach_helper_fail(d, -rc, "ublk device %u does not start",
					   d->number) :
			0;
}

/* Somebody else may take it away: then its node goes. */
static int watch(struct attach_disk *d)
{
	snprintf(d->device, sizeof d->device, "/dev/ublkb%u", d->number);
	d->device_fd = open(d->device, O_RDWR | O_CLOEXEC);
	if (d->device_fd < 0)
		return attach_helper_fail(d, errno, "%s", d->device);
	d->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (d->watch_fd < 0 ||
	    inotify_add_watch(d->watch_fd, d->device, IN_ATTRIB | IN_DELETE_SELF) < 0)
		return attach_helper_fail(d, errno, "%s cannot be watched", d->device);
	return 0;
}

static int ublk_connect(struct attach_disk *d)
{
	int rc = make(d);

	if (rc == 0)
		rc = start(d);
	return rc < 0 ? rc : watch(d);
}

static bool ublk_has_ended(struct attach_disk *d)
{
	char events[512];

	while (read(d->watch_fd, events, sizeof events) > 0)
		;
	if (access(d->device, F_OK) == 0)
		return false;
	snprintf(d->text, sizeof d->text, "%.200s was taken away", d->device);
	return true;
}

/* Waits until everything that is under way was answered; by force hamirrord answers it
 * with errors. */
static void stop(const struct attach_disk *d, bool force)
{
	const struct mirror_ublk_control command = { .device = d->number,
						     .queue = UINT16_MAX };
	const pid_t pid = begin(d, MIRROR_UBLK_STOP, &command);

	if (pid < 0 || finish(pid, force ? END_MS : STOP_MS, false) != -ETIMEDOUT)
		return;
	attach_helper_say("failed", "it is written to while it is taken away");
	if (force || finish(pid, END_MS, false) == -ETIMEDOUT)
		kill(pid, SIGKILL);
}

static void ublk_disconnect(struct attach_disk *d, bool force)
{
	if (d->watch_fd >= 0)
		close(d->watch_fd);
	d->watch_fd = -1;
	if (d->made)
		stop(d, force);
	if (d->device_fd >= 0)
		close(d->device_fd);
	d->device_fd = -1;
	/* Ends when the last user has closed it; it is out of sight at once. */
	if (d->made)
		control(d, MIRROR_UBLK_DELETE, d->number, NULL, 0, END_MS);
	d->made = false;
}

const struct attach_method attach_ublk = {
	.name = "ublk",
	.missing = "the kernel has no ublk (module ublk_drv of Linux 6.5 or later)",
	.clean = clean,
	.is_there = is_there,
	.connect = ublk_connect,
	.disconnect = ublk_disconnect,
	.has_ended = ublk_has_ended,
};
