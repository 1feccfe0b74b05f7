/* nbd_connection_driver.c - the bytes of one NBD connection: see nbd_driver.h. */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "mirror/drivers/nbd_private_driver.h"

/* One send leaves so much with the kernel at most. The rest goes on by itself. */
#define SEND_BUFFER_BYTES (1024 * 1024)

/* How long a network peer may be silent to probes before its connection, and with it
 * its hold on the export, is over. */
#define NETWORK_TIMEOUT_MS 30000
#define NETWORK_PROBE_S 10

static bool is_quiet(const struct nbd_connection *k)
{
	return !k->receiving && !k->sending && !k->watching;
}

/* Nothing uses the descriptor or the memory any more. */
static void close_if_quiet(struct nbd_connection *k)
{
	if (k->state != NBD_CONNECTION_CLOSING || !is_quiet(k))
		return;
	close(k->fd);
	k->fd = -1;
	k->state = NBD_CONNECTION_CLOSED;
	nbd_driver_closed(k->driver);
}

void nbd_connection_close(struct nbd_connection *k)
{
	if (k->state != NBD_CONNECTION_OPEN)
		return;
	k->state = NBD_CONNECTION_CLOSING;
	k->tell_gone = k->client->engine_count > 0;
	mirror_nbd_client_hang_up(k->client);
	/* Submissions come back with an error or an end. */
	shutdown(k->fd, SHUT_RDWR);
	close_if_quiet(k);
}

bool nbd_connection_reap(struct nbd_connection *k)
{
	if (k->state != NBD_CONNECTION_CLOSED || !mirror_nbd_client_end(k->client))
		return false;
	free(k);
	return true;
}

/* ---- hang-up --------------------------------------------------------------- */

static void watch(struct nbd_connection *k)
{
	k->watching = true;
	io_uring_prep_poll_add(io_driver_sqe(k->driver->io, &k->watch), k->fd, POLLRDHUP);
}

static void watch_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct nbd_connection *k = io_driver_container(c, struct nbd_connection, watch);

	(void)flags;
	k->watching = false;
	if (k->state == NBD_CONNECTION_OPEN) {
		/* A unix socket tells the end of one direction from a hang-up. */
		if (result > 0 && (result & (POLLHUP | POLLERR)) == 0 && !k->network)
			k->half_closed = true;
		else
			nbd_connection_close(k);
	}
	close_if_quiet(k);
}

bool nbd_connection_is_gone(struct nbd_connection *k)
{
	struct pollfd p = { .fd = k->fd };

	if (k->state == NBD_CONNECTION_OPEN && k->half_closed && poll(&p, 1, 0) > 0)
		nbd_connection_close(k);
	return k->state != NBD_CONNECTION_OPEN;
}

/* ---- receive ---------------------------------------------------------------- */

static void receive_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct nbd_connection *k = io_driver_container(c, struct nbd_connection, receive);

	k->receiving = false;
	k->emptied = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
	if (k->state == NBD_CONNECTION_OPEN) {
		if (result >= 0)
			mirror_nbd_client_received(k->client, (size_t)result);
		else if (result != -EINTR && result != -EAGAIN)
			nbd_connection_close(k);
	}
	close_if_quiet(k);
}

void nbd_connection_receive(struct nbd_connection *k)
{
	struct io_uring_sqe *sqe;
	bool all = false;
	uint32_t count;

	if (k->receiving || k->state != NBD_CONNECTION_OPEN)
		return;
	count = mirror_nbd_client_receive(k->client, k->receive_iov, &all);
	if (count == 0)
		return;
	k->receiving = true;
	k->receive_message = (struct msghdr){ .msg_iov = k->receive_iov,
					      .msg_iovlen = count };
	k->driver->counters.receive_count++;
	sqe = io_driver_sqe(k->driver->io, &k->receive);
	io_uring_prep_recvmsg(sqe, k->fd, &k->receive_message, all ? MSG_WAITALL : 0);
	if (k->emptied)
		io_driver_poll_first(k->driver->io, sqe);
}

/* ---- send ---------------------------------------------------------------------- */

/* `result` of a send: bytes, or -errno. */
static void take_sent(struct nbd_connection *k, int32_t result)
{
	if (k->state != NBD_CONNECTION_OPEN)
		return;
	if (result >= 0)
		mirror_nbd_client_sent(k->client, (size_t)result);
	else if (result != -EINTR && result != -EAGAIN)
		nbd_connection_close(k);
}

static void send_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct nbd_connection *k = io_driver_container(c, struct nbd_connection, send);

	(void)flags;
	k->sending = false;
	take_sent(k, result);
	close_if_quiet(k);
}

/* Returns the bytes of the message. */
static size_t gather(struct nbd_connection *k, bool lease)
{
	const uint32_t count = mirror_nbd_client_gather(k->client, lease, k->send_iov,
							NBD_SEND_IOV_MAX);
	size_t bytes = 0;

	k->send_message = (struct msghdr){ .msg_iov = k->send_iov, .msg_iovlen = count };
	for (uint32_t i = 0; i < count; i++)
		bytes += k->send_iov[i].iov_len;
	return bytes;
}

/* By a call of its own: the client goes on before our devices begin, and no turn of the loop
 * is spent on the completion. The ring gets the bytes that the socket has no room for. */
bool nbd_connection_send(struct nbd_connection *k, bool lease)
{
	size_t bytes;
	ssize_t sent;

	if (k->sending || k->state != NBD_CONNECTION_OPEN ||
	    (bytes = gather(k, lease)) == 0)
		return false;
	k->driver->counters.send_count++;
	sent = sendmsg(k->fd, &k->send_message, MSG_NOSIGNAL | MSG_DONTWAIT);
	take_sent(k, sent >= 0 ? (int32_t)sent : -errno);
	if (sent == (ssize_t)bytes || k->state != NBD_CONNECTION_OPEN ||
	    gather(k, lease) == 0)
		return sent > 0;
	k->sending = true;
	io_uring_prep_sendmsg(io_driver_sqe(k->driver->io, &k->send), k->fd,
			      &k->send_message, MSG_NOSIGNAL | MSG_WAITALL);
	return sent > 0;
}

/* ---- the beginning --------------------------------------------------------------- */

static void set_network_options(int fd)
{
	const int yes = 1, probe_s = NETWORK_PROBE_S, timeout_ms = NETWORK_TIMEOUT_MS;

	/* They make it quick to answer and quick to notice a dead peer; without them it
	 * works too. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &probe_s, sizeof probe_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof probe_s);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

/* Its process, for people: by number, since its name may change at any time. */
static pid_t peer_pid(int fd)
{
	struct ucred peer;
	socklen_t bytes = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 ? peer.pid : 0;
}

static struct mirror_nbd_client *take_place(struct nbd_driver *d,
					    enum mirror_nbd_origin origin, pid_t pid)
{
	const bool full = mirror_nbd_server_is_full(&d->server, origin);
	struct mirror_nbd_client *client;

	/* Our own front-end is accepted only while there is a place. */
	assert(!full || origin != MIRROR_NBD_OWN);
	if (full) {
		nbd_refusal_note(d, MIRROR_NBD_REFUSED_FULL, pid, d->server.full_text);
		nbd_refusal_make_room(d);
	}
	client = mirror_nbd_client_create(&d->server, origin);
	if (client == NULL && !full)
		nbd_refusal_note(d, MIRROR_NBD_REFUSED_MEMORY, pid,
				 "memory, or the pool of `memory`, is used up");
	return client;
}

void nbd_connection_create(struct nbd_driver *d, int fd, enum mirror_nbd_origin origin)
{
	const bool network = origin == MIRROR_NBD_NETWORK;
	const pid_t pid = network ? 0 : peer_pid(fd);
	struct mirror_nbd_client *client = take_place(d, origin, pid);
	struct nbd_connection *k = client != NULL ? calloc(1, sizeof *k) : NULL;
	const int send_bytes = SEND_BUFFER_BYTES;

	if (k == NULL) {
		if (client != NULL) {
			nbd_refusal_note(d, MIRROR_NBD_REFUSED_MEMORY, pid,
					 "memory is short");
			mirror_nbd_client_hang_up(client);
			mirror_nbd_client_end(client);
		}
		close(fd);
		return;
	}
	k->pid = pid;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
	if (network)
		set_network_options(fd);
	k->driver = d;
	k->client = client;
	k->fd = fd;
	k->network = network;
	k->receive.done = receive_done;
	k->send.done = send_done;
	k->watch.done = watch_done;
	k->next = d->connections;
	d->connections = k;
	d->counters.accepted_count++;
	d->counters.connection_count++;
	watch(k);
}
