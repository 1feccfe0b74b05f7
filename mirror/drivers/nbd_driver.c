/* nbd_driver.c - see nbd_driver.h: the front-end that the loop calls. */
#include "mirror/drivers/nbd_driver.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/drivers/nbd_private_driver.h"

/* Requests of one connection before the next one's turn. */
#define REQUESTS_PER_TURN 32u

/* ---- open and close ----------------------------------------------------------- */

static void set_exports(struct nbd_driver *d)
{
	const struct config *config = io_driver_config(d->io);
	struct mirror_nbd_exports *e = &d->server.exports;

	e->count = config->site[0].disk_count;
	for (uint32_t i = 0; i < e->count; i++) {
		const struct mirror_engine *engine = io_driver_engine(d->io);
		const uint64_t bytes = mirror_engine_disk_bytes(engine, i);
		const uint32_t sector = mirror_engine_disk_sector_bytes(engine, i);

		e->disk[i].name = config->site[0].disk[i].name;
		e->disk[i].sector_bytes = sector;
		e->disk[i].size_bytes = bytes - bytes % sector;
	}
}

static void open_sockets(struct nbd_driver *d)
{
	int rc;

	set_exports(d);
	d->state = NBD_DRIVER_OPEN;
	rc = nbd_listen_open(d);
	if (rc < 0)
		d->state = NBD_DRIVER_CLOSED;
	io_driver_clients_done(d->io, rc);
}

static void frontend_open(struct io_frontend *f)
{
	struct nbd_driver *d = io_driver_container(f, struct nbd_driver, frontend);

	switch (d->state) {
	case NBD_DRIVER_CLOSED:
		open_sockets(d);
		break;
	case NBD_DRIVER_CLOSING:
		d->open_wanted = true; /* its answer stands for that of the close too */
		break;
	case NBD_DRIVER_OPEN:
		io_driver_clients_done(d->io, 0);
		break;
	}
}

void nbd_driver_closed(struct nbd_driver *d)
{
	if (d->state != NBD_DRIVER_CLOSING || !nbd_listen_is_closed(d))
		return;
	for (struct nbd_connection *k = d->connections; k != NULL; k = k->next)
		if (k->state != NBD_CONNECTION_CLOSED)
			return;
	d->state = NBD_DRIVER_CLOSED;
	if (d->open_wanted)
		open_sockets(d);
	else
		io_driver_clients_done(d->io, 0);
	d->open_wanted = false;
}

static void frontend_close(struct io_frontend *f)
{
	struct nbd_driver *d = io_driver_container(f, struct nbd_driver, frontend);
	const bool lease = io_driver_may_answer(d->io);

	d->open_wanted = false;
	if (d->state == NBD_DRIVER_CLOSING)
		return;
	d->state = NBD_DRIVER_CLOSING;
	nbd_listen_close(d);
	for (struct nbd_connection *k = d->connections; k != NULL; k = k->next) {
		/* Replies that were acknowledged in time may still leave. */
		if (lease)
			nbd_connection_send(k, true);
		nbd_connection_close(k);
		/* The core knows: it asked for it. */
		k->tell_gone = false;
	}
	nbd_driver_closed(d);
}

/* ---- requests and answers -------------------------------------------------------- */

static void frontend_answer(struct io_frontend *f, struct mirror_request *request)
{
	(void)f;
	mirror_nbd_client_answer(request);
}

static void frontend_status(struct io_frontend *f, struct mirror_status *status)
{
	struct nbd_driver *d = io_driver_container(f, struct nbd_driver, frontend);
	const struct mirror_nbd_server *s = &d->server;
	const struct mirror_nbd_places *places = &s->places;
	const uint64_t place_count = (uint64_t)places->own_count + places->client_count;
	const struct mirror_status_queue queue[] = {
		{ "clients", s->count[MIRROR_NBD_LOCAL] + s->count[MIRROR_NBD_NETWORK],
		  places->client_count },
		{ "connections of the front-end", s->count[MIRROR_NBD_OWN],
		  places->own_count },
		{ "bytes held for clients", s->held_bytes,
		  s->share_bytes +
			  place_count * MIRROR_NBD_RESERVE_BYTES(places->piece_bytes) },
	};

	for (size_t i = 0; i < sizeof queue / sizeof queue[0]; i++)
		if (status->queue_count < MIRROR_STATUS_QUEUE_MAX)
			status->queue[status->queue_count++] = queue[i];
	nbd_refusal_status(d, status);
}

static void tell_gone(struct nbd_driver *d)
{
	for (struct nbd_connection *k = d->connections; k != NULL; k = k->next) {
		struct mirror_event event = { .type = MIRROR_EVENT_CLIENT_GONE,
					      .client = k->client };

		if (!k->tell_gone)
			continue;
		k->tell_gone = false;
		io_driver_step(d->io, &event);
	}
}

static void reap(struct nbd_driver *d)
{
	struct nbd_connection **at = &d->connections;

	while (*at != NULL) {
		struct nbd_connection *k = *at, *next = k->next;

		if (k->tell_gone || !nbd_connection_reap(k)) {
			at = &k->next;
			continue;
		}
		if (d->turn == k)
			d->turn = NULL;
		d->counters.connection_count--;
		*at = next;
	}
	nbd_listen_resume(d);
}

/* Hand over the requests of one connection, up to its share of a turn. */
static bool serve(struct nbd_driver *d, struct nbd_connection *k)
{
	struct mirror_engine *engine = io_driver_engine(d->io);
	struct mirror_event event = { .type = MIRROR_EVENT_REQUEST };
	uint32_t count = 0;

	if (nbd_connection_is_gone(k))
		return false;
	while (count < REQUESTS_PER_TURN &&
	       (event.request = mirror_nbd_client_next(
			k->client, mirror_engine_takes_requests(engine))) != NULL) {
		d->counters.request_count++;
		count++;
		io_driver_step(d->io, &event);
	}
	return count > 0;
}

/* Serve all connections in turn, and begin behind the connection that was last in the pass
 * before. So an engine that takes few requests takes them from all. */
static bool serve_all(struct nbd_driver *d)
{
	struct nbd_connection *k = d->turn != NULL ? d->turn : d->connections;
	const struct nbd_connection *first = k;
	bool served = false;

	if (k == NULL)
		return false;
	do {
		struct nbd_connection *next = k->next != NULL ? k->next : d->connections;

		if (serve(d, k)) {
			served = true;
			d->turn = next;
		}
		k = next;
	} while (k != first);
	return served;
}

static void again(struct io_task *t)
{
	(void)t;
}

static void frontend_flush(struct io_frontend *f)
{
	struct nbd_driver *d = io_driver_container(f, struct nbd_driver, frontend);
	bool lease, sent = false;

	tell_gone(d);
	reap(d);
	/* New requests may be answered at once, and more may come: the loop comes here
	 * again, and then all replies that may leave do so together. */
	if (d->connections == NULL || serve_all(d))
		return;
	lease = io_driver_may_answer(d->io);
	for (struct nbd_connection *k = d->connections; k != NULL; k = k->next) {
		if (k->state != NBD_CONNECTION_OPEN)
			continue;
		nbd_refusal_review(k);
		sent = nbd_connection_send(k, lease) || sent;
		nbd_connection_receive(k);
		if (mirror_nbd_client_is_over(k->client))
			nbd_connection_close(k);
	}
	/* No completion follows: not of the replies sent here, which make room for more
	 * requests, and not of a connection that ended here with nothing under way. */
	if (sent)
		io_driver_defer(d->io, &d->again);
	tell_gone(d);
	reap(d);
}

/* ---- life -------------------------------------------------------------------------- */

int nbd_driver_create(struct io_driver *io, const struct nbd_driver_setup *setup,
		      struct nbd_driver **driver)
{
	struct nbd_driver *d;

	if (strlen(setup->path) >= sizeof d->path ||
	    (setup->own_path != NULL && strlen(setup->own_path) >= sizeof d->own_path))
		return -ENAMETOOLONG;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return -ENOMEM;
	d->io = io;
	d->again.run = again;
	d->frontend = (struct io_frontend){
		.open = frontend_open,
		.close = frontend_close,
		.answer = frontend_answer,
		.flush = frontend_flush,
		.status = frontend_status,
	};
	snprintf(d->path, sizeof d->path, "%s", setup->path);
	if (setup->own_path != NULL)
		snprintf(d->own_path, sizeof d->own_path, "%s", setup->own_path);
	nbd_refusal_init(d);
	for (uint32_t i = 0; i < NBD_LISTENERS_MAX; i++)
		d->listener[i].fd = -1;
	if (setup->network != NULL) {
		memcpy(&d->network, setup->network, setup->network_bytes);
		d->network_bytes = setup->network_bytes;
	}
	mirror_nbd_server_init(
		&d->server, mirror_engine_pool(io_driver_engine(io)),
		io_driver_config(io)->mirror,
		setup->own_path != NULL ? mirror_nbd_own_count(io_driver_config(io)) : 0);
	d->counters.client_count_max = d->server.places.client_count;
	io_driver_set_frontend(io, &d->frontend);
	*driver = d;
	return 0;
}

void nbd_driver_destroy(struct nbd_driver *d)
{
	struct nbd_connection *k;

	if (d == NULL)
		return;
	while ((k = d->connections) != NULL) {
		assert(k->state == NBD_CONNECTION_CLOSED);
		d->connections = k->next;
		mirror_nbd_client_abandon(k->client);
		free(k);
	}
	free(d);
}

const struct nbd_driver_counters *nbd_driver_counters(const struct nbd_driver *d)
{
	return &d->counters;
}
