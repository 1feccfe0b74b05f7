/* link_listen_driver.c - connections in.
 *
 * One is accepted at a time and the next only when it has found its place, so the
 * backlog of the kernel is the only queue. All places taken: the oldest that has
 * not said hello makes way; none such: the new one is closed.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mirror/drivers/link_private_driver.h"

#define NS_PER_MS 1000000ull
#define BACKLOG 16
#define REJECT_REPORT_MS 1000u

static void retry_later(struct link_listener *n)
{
	io_driver_timer_set(n->driver->io, &n->retry,
			    io_driver_now_ns(n->driver->io) +
				    LINK_LISTEN_RETRY_MS * NS_PER_MS);
}

/* Each new error once, and the recovery. */
static void report(struct link_listener *n, int error)
{
	struct io_driver *io = n->driver->io;
	char where[LINK_PEER_TEXT_MAX];

	if (error == n->reported_error)
		return;
	link_address_text((struct sockaddr *)&n->address, n->address_bytes, where,
			  sizeof where);
	switch (error) {
	case 0:
		io_driver_report(io, "listener", LINK_LISTEN_RULE_GOOD,
				 "listening on %s again", where);
		break;
	case -EADDRINUSE:
		io_driver_report(io, "listener", LINK_LISTEN_RULE_BAD,
				 "cannot listen on %s: the port is in use by another "
				 "process; free it or change `port`",
				 where);
		break;
	case -EADDRNOTAVAIL:
		io_driver_report(io, "listener", LINK_LISTEN_RULE_BAD,
				 "cannot listen on %s: this host does not have that "
				 "address",
				 where);
		break;
	default:
		io_driver_report(io, "listener", LINK_LISTEN_RULE_BAD,
				 "cannot listen on %s: %s", where, strerror(-error));
		break;
	}
	n->reported_error = error;
}

static void accept_arm(struct link_listener *n)
{
	if (n->accepting || n->fd < 0 || n->held_fd >= 0 ||
	    io_driver_stopping(n->driver->io))
		return;
	n->accepting = true;
	io_uring_prep_accept(io_driver_sqe(n->driver->io, &n->accept), n->fd, NULL, NULL,
			     SOCK_CLOEXEC);
}

/* ---- a place for each ---------------------------------------------------- */

static struct link *find_place(struct link_driver *d)
{
	for (uint32_t i = LINK_CONNECTED_COUNT; i < MIRROR_LINK_COUNT_MAX; i++)
		if (d->link[i].phase == LINK_PHASE_FREE)
			return &d->link[i];
	return NULL;
}

/* True when a place will be free soon. */
static bool make_place(struct link_driver *d)
{
	struct link *oldest = NULL;

	for (uint32_t i = LINK_CONNECTED_COUNT; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct link *l = &d->link[i];

		if (l->phase == LINK_PHASE_CLOSING)
			return true;
		if (l->phase == LINK_PHASE_GREETING &&
		    (oldest == NULL || l->accepted_ns < oldest->accepted_ns))
			oldest = l;
	}
	if (oldest != NULL)
		link_end(oldest, "made way for a newer connection before it said hello");
	return oldest != NULL;
}

static void settle_in(struct link_driver *d, struct link *l, int fd)
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof address;

	l->accepted = true;
	l->accepted_ns = io_driver_now_ns(d->io);
	snprintf(l->peer, sizeof l->peer, "(unknown)");
	if (getpeername(fd, (struct sockaddr *)&address, &bytes) == 0)
		link_address_text((struct sockaddr *)&address, bytes, l->peer,
				  sizeof l->peer);
	link_set_phase(l, LINK_PHASE_GREETING);
	if (link_adopt(l, fd) < 0) {
		link_end(l, "out of memory");
		return;
	}
	link_end_after(l, LINK_HELLO_TIMEOUT_MS);
	link_frame_receive(l);
}

void link_listen_place(struct link_driver *d)
{
	for (uint32_t i = 0; i < d->listener_count; i++) {
		struct link_listener *n = &d->listener[i];
		struct link *l = find_place(d);

		if (n->held_fd < 0 || l == NULL)
			continue;
		settle_in(d, l, n->held_fd);
		n->held_fd = -1;
		accept_arm(n);
	}
}

void link_listen_rejected(struct link_driver *d, const char *peer, const char *text)
{
	const uint64_t now_ns = io_driver_now_ns(d->io);
	char object[CONFIG_NAME_MAX];

	d->counters.rejected_count++;
	if (d->reject_report_ns != 0 &&
	    now_ns < d->reject_report_ns + REJECT_REPORT_MS * NS_PER_MS) {
		d->reject_silent_count++;
		return;
	}
	snprintf(object, sizeof object, "link %.50s", peer);
	if (d->reject_silent_count > 0)
		io_driver_report(d->io, object, "",
				 "connection refused: %s (and %llu more)", text,
				 (unsigned long long)d->reject_silent_count);
	else
		io_driver_report(d->io, object, "", "connection refused: %s", text);
	d->reject_report_ns = now_ns;
	d->reject_silent_count = 0;
}

static void accepted(struct link_listener *n, int fd)
{
	struct link_driver *d = n->driver;
	struct link *l = find_place(d);

	d->counters.accepted_count++;
	if (l != NULL) {
		settle_in(d, l, fd);
	} else if (make_place(d)) {
		n->held_fd = fd;
	} else {
		close(fd);
		link_listen_rejected(d, "(new)", "all places are taken by open links");
	}
}

static void accept_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct link_listener *n = io_driver_container(c, struct link_listener, accept);

	(void)flags;
	n->accepting = false;
	if (io_driver_stopping(n->driver->io)) {
		if (result >= 0)
			close(result);
		close(n->fd);
		n->fd = -1;
		return;
	}
	if (result >= 0) {
		report(n, 0);
		accepted(n, result);
	}
	if (result >= 0 || result == -ECONNABORTED || result == -EINTR) {
		accept_arm(n);
	} else {
		report(n, result);
		retry_later(n);
	}
}

/* ---- listening ----------------------------------------------------------- */

/* Returns the socket, or -errno. */
static int make_socket(const struct link_listener *n)
{
	const int one = 1;
	int fd = socket(n->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&n->address, n->address_bytes) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static void listen_now(struct link_listener *n)
{
	if (n->fd < 0) {
		const int fd = make_socket(n);

		report(n, fd < 0 ? fd : 0);
		if (fd < 0) {
			retry_later(n);
			return;
		}
		n->fd = fd;
	}
	accept_arm(n);
}

static void retry_expired(struct io_timer *t)
{
	listen_now(io_driver_container(t, struct link_listener, retry));
}

/* `fd` listens there already; -1: none does. */
static void add_listener(struct link_driver *d, const struct sockaddr *address,
			 socklen_t bytes, int fd)
{
	struct link_listener *n = &d->listener[d->listener_count];

	if (d->listener_count == LINK_LISTENER_COUNT_MAX || bytes > sizeof n->address)
		return;
	d->listener_count++;
	n->driver = d;
	n->fd = fd;
	n->held_fd = -1;
	n->accept.done = accept_done;
	n->retry.expired = retry_expired;
	memcpy(&n->address, address, bytes);
	n->address_bytes = bytes;
	listen_now(n);
}

static bool is_loopback(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (address->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Debian's installer maps a host's own name to 127.0.1.1, where no peer could
 * reach us: a name with nothing but loopback addresses means all addresses. A
 * loopback address that is given as such means itself. */
static bool is_trap(const struct config_node *self, const struct addrinfo *list)
{
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		if (!is_loopback(a->ai_addr))
			return false;
	return strncmp(self->address, "localhost", strlen("localhost")) != 0;
}

static void listen_everywhere(struct link_driver *d, const struct config_node *self)
{
	const struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_port = htons(self->port),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};

	io_driver_report(d->io, "listener", "",
			 "%s leads to loopback addresses only: listening on all IPv4 "
			 "addresses; give one under `addresses` to choose",
			 self->address);
	add_listener(d, (const struct sockaddr *)&any, sizeof any, -1);
}

static void resolved(void *owner, int error, struct addrinfo *list)
{
	struct link_driver *d = owner;
	const struct config_node *self =
		&io_driver_config(d->io)->node[io_driver_self(d->io)];
	const bool numeric = d->resolve == NULL;

	d->resolve = NULL;
	if (error != 0) {
		if (!d->resolve_reported)
			io_driver_report(d->io, "listener", "",
					 "our own address, %s, is not known: %s",
					 self->address, gai_strerror(error));
		d->resolve_reported = true;
		io_driver_timer_set(d->io, &d->resolve_retry,
				    io_driver_now_ns(d->io) +
					    LINK_LISTEN_RETRY_MS * NS_PER_MS);
		return;
	}
	if (!numeric && is_trap(self, list)) {
		listen_everywhere(d, self);
	} else {
		for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
			add_listener(d, a->ai_addr, a->ai_addrlen, -1);
	}
	freeaddrinfo(list);
}

static void resolve_expired(struct io_timer *t)
{
	link_listen_start(io_driver_container(t, struct link_driver, resolve_retry));
}

static void listen_as_given(struct link_driver *d)
{
	struct sockaddr_storage address;

	for (uint32_t i = 0; i < io_driver_socket_count(d->io); i++) {
		const int fd = IO_SOCKET_FIRST + (int)i;
		socklen_t bytes = sizeof address;

		if (getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
			add_listener(d, (const struct sockaddr *)&address, bytes, fd);
	}
}

void link_listen_start(struct link_driver *d)
{
	const struct config_node *self =
		&io_driver_config(d->io)->node[io_driver_self(d->io)];
	struct addrinfo *list = NULL;
	int rc;

	if (io_driver_socket_count(d->io) > 0) {
		listen_as_given(d);
		return;
	}
	d->resolve_retry.expired = resolve_expired;
	/* A witness has no disks and so no links. */
	if (self->site < 0)
		return;
	rc = link_resolve_start(d, self->address, self->port, resolved, d, &d->resolve,
				&list);
	if (rc == 0)
		resolved(d, 0, list);
	else if (rc != -EINPROGRESS)
		resolved(d, EAI_MEMORY, NULL);
}

void link_listen_stop(struct link_driver *d)
{
	io_driver_timer_set(d->io, &d->resolve_retry, UINT64_MAX);
	if (d->resolve != NULL)
		link_resolve_leave(d, d->resolve);
	d->resolve = NULL;
	for (uint32_t i = 0; i < d->listener_count; i++) {
		struct link_listener *n = &d->listener[i];

		io_driver_timer_set(d->io, &n->retry, UINT64_MAX);
		if (n->held_fd >= 0)
			close(n->held_fd);
		n->held_fd = -1;
		if (n->accepting) {
			io_uring_prep_cancel(io_driver_sqe(d->io, NULL), &n->accept, 0);
		} else if (n->fd >= 0) {
			close(n->fd);
			n->fd = -1;
		}
	}
}
