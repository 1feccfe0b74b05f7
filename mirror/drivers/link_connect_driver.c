/* link_connect_driver.c - names to addresses, and connections out.
 *
 * Each address of a name is tried in turn; the last one's failure is the link's. */
#include <errno.h>
#include <liburing.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mirror/drivers/link_private_driver.h"

#define PORT_TEXT_BYTES 8

void link_address_text(const struct sockaddr *address, socklen_t bytes, char *text,
		       size_t text_bytes)
{
	char host[CONFIG_ADDRESS_MAX], port[PORT_TEXT_BYTES];

	if (getnameinfo(address, bytes, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, text_bytes, "(unknown)");
	else if (address->sa_family == AF_INET6)
		snprintf(text, text_bytes, "[%.50s]:%s", host, port);
	else
		snprintf(text, text_bytes, "%.50s:%s", host, port);
}

/* ---- names --------------------------------------------------------------- */

static int look_up(const char *host, uint16_t port, int flags, struct addrinfo **list)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = flags | AI_NUMERICSERV,
	};
	char service[PORT_TEXT_BYTES];

	snprintf(service, sizeof service, "%u", port);
	return getaddrinfo(host, service, &hints, list);
}

static void resolve_work(struct io_job *j)
{
	struct link_resolve *r = io_driver_container(j, struct link_resolve, job);

	r->error = look_up(r->host, r->port, 0, &r->list);
}

static void resolve_done(struct io_job *j)
{
	struct link_resolve *r = io_driver_container(j, struct link_resolve, job);

	if (r->owner != NULL)
		r->done(r->owner, r->error, r->list);
	else if (r->error == 0)
		freeaddrinfo(r->list);
	free(r);
}

/* On a thread of its own, long after: nobody waits for the name any more. */
static void resolve_left(struct io_job *j)
{
	struct link_resolve *r = io_driver_container(j, struct link_resolve, job);

	if (r->error == 0)
		freeaddrinfo(r->list);
	free(r);
}

void link_resolve_leave(struct link_driver *d, struct link_resolve *r)
{
	if (!io_driver_leave(d->io, &r->job))
		r->owner = NULL;
}

int link_resolve_start(struct link_driver *d, const char *host, uint16_t port,
		       void (*done)(void *owner, int error, struct addrinfo *list),
		       void *owner, struct link_resolve **resolve, struct addrinfo **list)
{
	struct link_resolve *r;
	int rc;

	if (look_up(host, port, AI_NUMERICHOST, list) == 0)
		return 0;
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return -ENOMEM;
	r->driver = d;
	r->done = done;
	r->owner = owner;
	r->port = port;
	r->job.work = resolve_work;
	r->job.done = resolve_done;
	r->job.left = resolve_left;
	snprintf(r->host, sizeof r->host, "%s", host);
	rc = io_driver_offload(d->io, &r->job);
	if (rc < 0) {
		free(r);
		return rc;
	}
	*resolve = r;
	return -EINPROGRESS;
}

/* ---- connections --------------------------------------------------------- */

static void try_address(struct link *l);

static void forget_addresses(struct link *l)
{
	if (l->addresses != NULL)
		freeaddrinfo(l->addresses);
	l->addresses = l->address = NULL;
}

static void failed(struct link *l, const char *why)
{
	char text[LINK_PEER_TEXT_MAX + 100];

	snprintf(text, sizeof text, "%s: %s", l->peer, why);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->address = l->address->ai_next;
	if (l->address != NULL)
		try_address(l);
	else
		link_end(l, "%s", text);
}

static void established(struct link *l)
{
	struct mirror_event event = { .type = MIRROR_EVENT_LINK_UP };
	const int fd = l->fd;

	forget_addresses(l);
	io_driver_timer_set(l->driver->io, &l->timer, UINT64_MAX);
	if (link_adopt(l, fd) < 0) {
		link_end(l, "%s: out of memory", l->peer);
		return;
	}
	link_set_phase(l, LINK_PHASE_OPEN);
	l->up = true;
	event.link.link = l->number;
	event.link.text = l->peer;
	io_driver_step(l->driver->io, &event);
	link_frame_receive(l);
}

static void connect_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct link *l = io_driver_container(c, struct link, connect);

	(void)flags;
	l->connecting = false;
	if (l->phase == LINK_PHASE_CLOSING)
		link_finish_later(l);
	else if (result == 0)
		established(l);
	else if (l->timed_out)
		failed(l, "no answer");
	else
		failed(l, strerror(-result));
}

/* May be called inside actions: nothing here gives the core an event. */
static void try_address(struct link *l)
{
	const struct addrinfo *a = l->address;
	struct io_driver *io = l->driver->io;

	l->timed_out = false;
	link_address_text(a->ai_addr, a->ai_addrlen, l->peer, sizeof l->peer);
	l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0) {
		failed(l, strerror(errno));
		return;
	}
	l->connecting = true;
	io_uring_prep_connect(io_driver_sqe(io, &l->connect), l->fd, a->ai_addr,
			      a->ai_addrlen);
	io_driver_timer_set(io, &l->timer,
			    io_driver_now_ns(io) + LINK_CONNECT_TIMEOUT_MS * 1000000ull);
}

static void resolved(void *owner, int error, struct addrinfo *list)
{
	struct link *l = owner;

	l->resolve = NULL;
	if (error != 0) {
		link_end(l, "%s: %s", l->peer, gai_strerror(error));
		return;
	}
	link_set_phase(l, LINK_PHASE_CONNECTING);
	l->addresses = l->address = list;
	try_address(l);
}

void link_connect(struct link *l, const struct mirror_link_order *order)
{
	struct addrinfo *list;
	int rc;

	l->accepted = false;
	l->connect.done = connect_done;
	snprintf(l->peer, sizeof l->peer, "%.50s:%u", order->address, order->port);
	link_set_phase(l, LINK_PHASE_RESOLVING);
	rc = link_resolve_start(l->driver, order->address, order->port, resolved, l,
				&l->resolve, &list);
	if (rc == 0)
		resolved(l, 0, list);
	else if (rc != -EINPROGRESS)
		link_end(l, "%s: %s", l->peer, strerror(-rc));
}

void link_connect_expired(struct link *l)
{
	l->timed_out = true;
	io_uring_prep_cancel(io_driver_sqe(l->driver->io, NULL), &l->connect, 0);
}

/* The link ends: stop a resolution or connect that is under way. The ring still reads the
 * address of a connect that it has not begun, so addresses are only forgotten when the connect
 * is back. */
void link_connect_abandon(struct link *l)
{
	if (l->resolve != NULL)
		link_resolve_leave(l->driver, l->resolve);
	l->resolve = NULL;
	if (l->connecting)
		io_uring_prep_cancel(io_driver_sqe(l->driver->io, NULL), &l->connect, 0);
	else
		forget_addresses(l);
}
