/* nbd_listen_driver.c - where NBD clients connect: see nbd_driver.h. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mirror/drivers/nbd_private_driver.h"

#define BACKLOG 512 /* as many as a front-end may open at once */

/* Between attempts to accept when descriptors or memory are short. */
#define RETRY_NS 100000000ull

/* Between looks whether the names are still there. */
#define KEEP_NS 1000000000ull

static void accept_arm(struct nbd_listener *l)
{
	/* A client in the backlog is accepted when a place is free. */
	l->full = l->origin == MIRROR_NBD_OWN &&
		  mirror_nbd_server_is_full(&l->driver->server, l->origin);
	if (l->full)
		return;
	l->accepting = true;
	io_uring_prep_accept(io_driver_sqe(l->driver->io, &l->accept), l->fd, NULL, NULL,
			     SOCK_CLOEXEC);
}

static void accept_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct nbd_listener *l = io_driver_container(c, struct nbd_listener, accept);
	struct nbd_driver *d = l->driver;

	(void)flags;
	l->accepting = false;
	if (d->state != NBD_DRIVER_OPEN) {
		if (result >= 0) {
			nbd_refusal_note(d, MIRROR_NBD_REFUSED_CLOSING, 0,
					 "clients are not served any more");
			close(result);
		}
		close(l->fd);
		l->fd = -1;
		nbd_driver_closed(d);
		return;
	}
	if (result >= 0)
		nbd_connection_create(d, result, l->origin);
	if (result == -EMFILE || result == -ENFILE)
		nbd_refusal_note(
			d, MIRROR_NBD_REFUSED_FILES, 0,
			result == -EMFILE ?
				"this process may open no more files "
				"(RLIMIT_NOFILE)" :
				"the system may open no more files (fs.file-max)");
	if (result == -ENOMEM || result == -ENOBUFS)
		nbd_refusal_note(d, MIRROR_NBD_REFUSED_MEMORY, 0, "memory is short");
	if (result >= 0 || result == -ECONNABORTED || result == -EINTR)
		accept_arm(l);
	else
		io_driver_timer_set(d->io, &l->retry, io_driver_now_ns(d->io) + RETRY_NS);
}

static void retry_expired(struct io_timer *t)
{
	accept_arm(io_driver_container(t, struct nbd_listener, retry));
}

/* The socket gets its name once it listens, so that every client that finds the name can
 * connect. */
static void fresh_path(const char *path, char fresh[PATH_MAX + 8])
{
	snprintf(fresh, PATH_MAX + 8, "%s.new", path);
}

/* A unix socket's address may be shorter than its path: go through the directory. */
static int bind_path(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *name = strrchr(path, '/');
	char directory[PATH_MAX];
	int directory_fd, rc;

	if (name == NULL || strlen(name + 1) > 64)
		return -ENAMETOOLONG;
	snprintf(directory, sizeof directory, "%.*s", (int)(name - path), path);
	directory_fd = open(directory[0] != '\0' ? directory : "/",
			    O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
		 directory_fd, name + 1);
	/* Left by a predecessor that was killed: the instance's lock says so. */
	unlink(path);
	rc = bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
	close(directory_fd);
	/* Before it listens: nobody has connected yet. */
	if (rc == 0 && chmod(path, S_IRUSR | S_IWUSR) < 0)
		rc = -errno;
	return rc;
}

static int bind_network(struct nbd_driver *d, int fd)
{
	const int yes = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&d->network, d->network_bytes) < 0)
		return -errno;
	return 0;
}

/* Returns a socket that listens, or -errno. */
static int listen_at(struct nbd_driver *d, struct nbd_listener *l)
{
	const bool network = l->path == NULL;
	const int fd = socket(network ? d->network.ss_family : AF_UNIX,
			      SOCK_STREAM | SOCK_CLOEXEC, 0);
	char fresh[PATH_MAX + 8] = "";
	struct stat st = { 0 };
	int rc;

	if (fd < 0)
		return -errno;
	if (!network)
		fresh_path(l->path, fresh);
	rc = network ? bind_network(d, fd) : bind_path(fd, fresh);
	if (rc == 0 &&
	    (listen(fd, BACKLOG) < 0 ||
	     (!network && (lstat(fresh, &st) < 0 || rename(fresh, l->path) < 0))))
		rc = -errno;
	l->device = st.st_dev;
	l->inode = st.st_ino;
	if (rc == 0)
		return fd;
	if (!network)
		unlink(fresh);
	close(fd);
	return rc;
}

static int listener_open(struct nbd_driver *d, struct nbd_listener *l,
			 enum mirror_nbd_origin origin, const char *path)
{
	int rc;

	*l = (struct nbd_listener){ .driver = d, .origin = origin, .path = path };
	l->accept.done = accept_done;
	l->retry.expired = retry_expired;
	rc = listen_at(d, l);
	l->fd = rc < 0 ? -1 : rc;
	return rc < 0 ? rc : 0;
}

/* ---- a name that goes away --------------------------------------------------------- */

static bool name_is_gone(const struct nbd_listener *l)
{
	struct stat st;

	return l->fd >= 0 && l->path != NULL &&
	       (lstat(l->path, &st) < 0 || st.st_dev != l->device ||
		st.st_ino != l->inode);
}

/* Others may delete files of the run folder, and no client finds a socket without its name.
 * Clients that are connected stay. If the folder is gone too, we try again next time. */
static void name_again(struct nbd_listener *l)
{
	const int fd = listen_at(l->driver, l);

	if (fd < 0)
		return;
	dup3(fd, l->fd, O_CLOEXEC);
	close(fd);
	if (l->accepting) /* at the old one; it is armed again by its completion */
		io_uring_prep_cancel(io_driver_sqe(l->driver->io, NULL), &l->accept, 0);
}

static void keep_expired(struct io_timer *t)
{
	struct nbd_driver *d = io_driver_container(t, struct nbd_driver, keep);

	for (uint32_t i = 0; i < NBD_LISTENERS_MAX; i++)
		if (name_is_gone(&d->listener[i]))
			name_again(&d->listener[i]);
	io_driver_timer_set(d->io, t, io_driver_now_ns(d->io) + KEEP_NS);
}

int nbd_listen_open(struct nbd_driver *d)
{
	int rc = 0;

	if (d->own_path[0] != '\0')
		rc = listener_open(d, &d->listener[0], MIRROR_NBD_OWN, d->own_path);
	if (rc == 0)
		rc = listener_open(d, &d->listener[1], MIRROR_NBD_LOCAL, d->path);
	if (rc == 0 && d->network_bytes > 0)
		rc = listener_open(d, &d->listener[2], MIRROR_NBD_NETWORK, NULL);
	if (rc < 0) {
		nbd_listen_close(d);
		return rc;
	}
	for (uint32_t i = 0; i < NBD_LISTENERS_MAX; i++)
		if (d->listener[i].fd >= 0)
			accept_arm(&d->listener[i]);
	d->keep.expired = keep_expired;
	io_driver_timer_set(d->io, &d->keep, io_driver_now_ns(d->io) + KEEP_NS);
	return 0;
}

void nbd_listen_close(struct nbd_driver *d)
{
	io_driver_timer_set(d->io, &d->keep, UINT64_MAX);
	for (uint32_t i = 0; i < NBD_LISTENERS_MAX; i++) {
		struct nbd_listener *l = &d->listener[i];

		if (l->fd >= 0 && l->path != NULL)
			unlink(l->path);
		if (l->accepting) {
			io_uring_prep_cancel(io_driver_sqe(d->io, NULL), &l->accept, 0);
		} else if (l->fd >= 0) {
			io_driver_timer_set(d->io, &l->retry, UINT64_MAX);
			close(l->fd);
			l->fd = -1;
		}
	}
}

bool nbd_listen_is_closed(const struct nbd_driver *d)
{
	for (uint32_t i = 0; i < NBD_LISTENERS_MAX; i++)
		if (d->listener[i].fd >= 0)
			return false;
	return true;
}

void nbd_listen_resume(struct nbd_driver *d)
{
	for (uint32_t i = 0; i < NBD_LISTENERS_MAX; i++)
		if (d->state == NBD_DRIVER_OPEN && d->listener[i].full)
			accept_arm(&d->listener[i]);
}
