/* nbd_memory.c - see nbd_memory.h. */
#include "tests/unit/nbd_memory.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fifo.h"
#include "mirror/engine/pool.h"
#include "tests/unit/patience.h"

#define POOL_BYTES (64u << 20)

/* ---- the core ------------------------------------------------------------------ */

static void carry_out(struct mirror_engine *m, struct mirror_request *r)
{
	uint8_t *at = m->disk[r->disk] + r->offset_bytes;

	switch (r->type) {
	case MIRROR_REQUEST_READ:
		memcpy(r->data, at, r->length_bytes);
		break;
	case MIRROR_REQUEST_WRITE:
		memcpy(at, r->data, r->length_bytes);
		mirror_pool_put(m->pool, r->data);
		r->data = NULL;
		break;
	case MIRROR_REQUEST_ZERO:
		memset(at, 0, r->length_bytes);
		break;
	case MIRROR_REQUEST_FLUSH:
		break;
	}
}

static void wake(struct mirror_engine *m)
{
	syscall(SYS_futex, &m->waiting_count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool nbd_memory_await_waiting(struct nbd_memory *m, uint32_t count)
{
	const struct timespec patience = { .tv_sec = PATIENCE_MS / 1000 };
	uint32_t now;

	while ((now = atomic_load(&m->engine.waiting_count)) != count)
		if (syscall(SYS_futex, &m->engine.waiting_count, FUTEX_WAIT, now,
			    &patience, NULL, 0) < 0 &&
		    errno == ETIMEDOUT)
			return false;
	return true;
}

static void answer_waiting(struct mirror_engine *m, struct mirror_actions *out,
			   const void *client, int32_t result)
{
	struct mirror_request_list keep = { 0 };
	struct mirror_request *r;

	while ((r = fifo_pop(&m->waiting)) != NULL) {
		if (client != NULL && r->client != client) {
			fifo_push(&keep, r);
			continue;
		}
		if (result == 0)
			carry_out(m, r);
		r->result = result;
		m->done_count++;
		m->waiting_count--;
		fifo_push(&out->answer, r);
	}
	m->waiting = keep;
	wake(m);
}

/* Answered requests have been carried out before: loading the count that was raised
 * after them lets ThreadSanitizer know. */
const uint8_t *nbd_memory_disk(struct nbd_memory *m, uint32_t disk)
{
	return atomic_load(&m->engine.done_count) > 0 ? m->engine.disk[disk] : NULL;
}

static void say(struct mirror_actions *out, const char *text, int32_t error)
{
	struct fact *fact = &out->fact[out->fact_count++];

	*fact = (struct fact){ .type = FACT_EVENT };
	snprintf(fact->text, sizeof fact->text, "%s %d", text, error);
}

static void take_order(struct mirror_engine *m, enum order_type type,
		       struct mirror_actions *out)
{
	if (type == ORDER_SERVE)
		out->clients = MIRROR_CLIENTS_OPEN;
	if (type == ORDER_DEMOTE || type == ORDER_DEPOSE)
		out->clients = MIRROR_CLIENTS_CLOSE;
	if (type == ORDER_OPEN || type == ORDER_CLOSE)
		m->frozen = type == ORDER_OPEN;
	if (type == ORDER_FAIL_FROZEN || type == ORDER_DEMOTE)
		answer_waiting(m, out, NULL, -EIO);
	if (type == ORDER_DEPOSE)
		answer_waiting(m, out, NULL, 0);
}

void mirror_step(struct mirror_engine *m, const struct mirror_event *event,
		 struct mirror_actions *out)
{
	memset(out, 0, offsetof(struct mirror_actions, fact));
	if (event->type == MIRROR_EVENT_ORDER) {
		take_order(m, event->order->type, out);
	} else if (event->type == MIRROR_EVENT_REQUEST) {
		fifo_push(&m->waiting, event->request);
		m->waiting_count++;
		m->request_count++;
		if (m->takes_count != UINT32_MAX)
			m->takes_count--;
		wake(m);
	} else if (event->type == MIRROR_EVENT_CLIENT_GONE) {
		answer_waiting(m, out, event->client, -ECONNABORTED);
		say(out, "gone", 0);
	} else if (event->type == MIRROR_EVENT_CLIENTS) {
		say(out, "clients", event->error);
	}
	/* Answers come a turn later, together: as after one log write. */
	if (event->type == MIRROR_EVENT_TICK && !m->frozen)
		answer_waiting(m, out, NULL, 0);
	out->wake_at_ns = !m->frozen && m->waiting.head != NULL ? 0 : UINT64_MAX;
}

struct mirror_pool *mirror_engine_pool(struct mirror_engine *m)
{
	return m->pool;
}

bool mirror_engine_takes_requests(const struct mirror_engine *m)
{
	return m->takes && m->takes_count > 0;
}

bool mirror_engine_takes_frames(const struct mirror_engine *m, uint32_t link)
{
	(void)m;
	(void)link;
	return true;
}

uint64_t mirror_engine_unconfirmed(const struct mirror_engine *m)
{
	(void)m;
	return 0;
}

uint64_t mirror_engine_lease_until_ns(const struct mirror_engine *m)
{
	return m->lease_until_ns;
}

uint64_t mirror_engine_disk_bytes(const struct mirror_engine *m, uint32_t disk)
{
	(void)disk;
	return m->disk_bytes;
}

uint32_t mirror_engine_disk_sector_bytes(const struct mirror_engine *m, uint32_t disk)
{
	(void)m;
	return disk == 0 ? 512 : 4096;
}

/* ---- the other thread ------------------------------------------------------------- */

static int make_engine(struct nbd_memory *m, uint64_t disk_bytes)
{
	struct config *c = calloc(1, sizeof *c);

	m->config = c;
	m->engine.pool = mirror_pool_create(POOL_BYTES);
	m->engine.disk_bytes = disk_bytes;
	m->engine.lease_until_ns = UINT64_MAX;
	m->engine.takes = true;
	m->engine.takes_count = UINT32_MAX;
	for (uint32_t i = 0; i < NBD_MEMORY_DISKS; i++)
		m->engine.disk[i] = calloc(1, disk_bytes);
	if (c == NULL || m->engine.pool == NULL || m->engine.disk[0] == NULL ||
	    m->engine.disk[1] == NULL)
		return -ENOMEM;
	snprintf(c->mirror, sizeof c->mirror, "data");
	c->copy_timeout_ms = 10000;
	c->node_count = 1; /* the line listens on any port */
	snprintf(c->node[0].address, CONFIG_ADDRESS_MAX, "127.0.0.1");
	c->site_count = 1;
	c->site[0].disk_count = NBD_MEMORY_DISKS;
	snprintf(c->site[0].disk[0].name, CONFIG_NAME_MAX, "db");
	snprintf(c->site[0].disk[1].name, CONFIG_NAME_MAX, "wal");
	return 0;
}

int nbd_memory_start(struct nbd_memory *m, const char *path, uint64_t disk_bytes,
		     const struct sockaddr *network, socklen_t network_bytes)
{
	char own_path[PATH_MAX];
	const struct nbd_driver_setup nbd = { path, own_path, network, network_bytes };
	struct io_driver_setup setup = { .engine = &m->engine };
	int rc;

	memset(m, 0, sizeof *m);
	snprintf(own_path, sizeof own_path, "%s.own", path);
	common_queue_init(&m->orders, m->order_slot, NBD_MEMORY_QUEUE);
	common_queue_init(&m->facts, m->fact_slot, NBD_MEMORY_QUEUE);
	m->orders_eventfd = eventfd(0, EFD_CLOEXEC);
	m->facts_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = make_engine(m, disk_bytes);
	setup.config = m->config;
	setup.orders = &m->orders;
	setup.orders_eventfd = m->orders_eventfd;
	setup.facts = &m->facts;
	setup.facts_eventfd = m->facts_eventfd;
	if (rc == 0)
		rc = io_driver_create(&setup, &m->io);
	if (rc == 0)
		rc = nbd_driver_create(m->io, &nbd, &m->nbd);
	if (rc == 0)
		rc = -pthread_create(&m->thread, NULL, io_driver_run, m->io);
	if (rc < 0)
		return rc;
	nbd_memory_order(m, ORDER_SERVE);
	return nbd_memory_expect(m, "clients 0") ? 0 : -EIO;
}

void nbd_memory_stop(struct nbd_memory *m)
{
	struct order *order;
	struct fact *fact;

	io_driver_stop(m->io);
	pthread_join(m->thread, NULL);
	nbd_driver_destroy(m->nbd);
	io_driver_destroy(m->io);
	while ((fact = common_queue_pop(&m->facts)) != NULL)
		free(fact);
	while ((order = common_queue_pop(&m->orders)) != NULL)
		free(order);
	close(m->orders_eventfd);
	close(m->facts_eventfd);
	mirror_pool_destroy(m->engine.pool);
	for (uint32_t i = 0; i < NBD_MEMORY_DISKS; i++)
		free(m->engine.disk[i]);
	free(m->config);
}

void nbd_memory_order(struct nbd_memory *m, enum order_type type)
{
	struct order *order = calloc(1, sizeof *order);
	bool wake = false;

	if (order == NULL)
		abort();
	order->type = type;
	if (common_queue_push(&m->orders, order, &wake) < 0)
		abort();
	if (wake && eventfd_write(m->orders_eventfd, 1) < 0)
		abort();
}

bool nbd_memory_expect(struct nbd_memory *m, const char *text)
{
	struct pollfd p = { .fd = m->facts_eventfd, .events = POLLIN };
	struct fact *fact;
	eventfd_t value;
	bool same;

	while ((fact = common_queue_pop(&m->facts)) == NULL) {
		if (poll(&p, 1, PATIENCE_MS) != 1)
			return false;
		eventfd_read(m->facts_eventfd, &value);
	}
	same = strncmp(fact->text, text, strlen(text)) == 0;
	free(fact);
	return same;
}
