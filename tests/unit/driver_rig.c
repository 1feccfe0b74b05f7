/* driver_rig.c - see driver_rig.h. */
#include "tests/unit/driver_rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mirror/drivers/io_private_driver.h"
#include "mirror/engine/pool.h"
#include "tests/unit/patience.h"

/* ---- the core ------------------------------------------------------------ */

void rig_say(struct mirror_actions *out, const char *format, ...)
{
	struct fact *fact = &out->fact[out->fact_count++];
	va_list ap;

	ck_assert_uint_le(out->fact_count, MIRROR_FACTS_PER_STEP_MAX);
	*fact = (struct fact){ .type = FACT_EVENT };
	va_start(ap, format);
	vsnprintf(fact->text, sizeof fact->text, format, ap);
	va_end(ap);
}

static void take_order(const struct order *o, struct mirror_actions *out)
{
	struct mirror_link_order *l = &out->link_order[0];

	if (o->type == ORDER_OPEN) {
		out->open_devices = true;
		out->site = o->site;
	} else if (o->type == ORDER_CLOSE) {
		out->close_devices = true;
	} else if (o->type == ORDER_LINK || o->type == ORDER_UNLINK) {
		*l = (struct mirror_link_order){
			.action = o->type == ORDER_LINK ? MIRROR_LINK_CONNECT :
							  MIRROR_LINK_CLOSE,
			.link = o->site,
			.port = o->peer.port,
			.text = "the test ends it",
		};
		snprintf(l->address, sizeof l->address, "%s", o->peer.address);
		out->link_order_count = 1;
	}
}

static void take_event(const struct mirror_event *e, struct mirror_actions *out)
{
	switch (e->type) {
	case MIRROR_EVENT_ORDER:
		take_order(e->order, out);
		break;
	case MIRROR_EVENT_DEVICES:
		if (e->devices->error == 0)
			rig_say(out, "opened");
		else
			rig_say(out, "not opened: %d %.200s", e->devices->error,
				e->devices->text);
		break;
	case MIRROR_EVENT_DEVICES_CLOSED:
		rig_say(out, "closed");
		break;
	case MIRROR_EVENT_CLIENTS:
		rig_say(out, "clients %d", e->error);
		break;
	case MIRROR_EVENT_LINK_UP:
		rig_say(out, "up %u %s", e->link.link,
			e->link.accepted ? "accepted" : "connected");
		break;
	case MIRROR_EVENT_LINK_DOWN:
		rig_say(out, "down %u: %s", e->link.link, e->link.text);
		break;
	case MIRROR_EVENT_TICK:
	case MIRROR_EVENT_IO:
	case MIRROR_EVENT_REQUEST:
	case MIRROR_EVENT_CLIENT_GONE:
	case MIRROR_EVENT_RECEIVED:
	case MIRROR_EVENT_SENT:
		break;
	}
}

void mirror_step(struct mirror_engine *m, const struct mirror_event *event,
		 struct mirror_actions *out)
{
	memset(out, 0, offsetof(struct mirror_actions, fact));
	out->wake_at_ns = UINT64_MAX;
	if (m->rig->script == NULL || !m->rig->script(m->rig, event, out))
		take_event(event, out);
}

struct mirror_pool *mirror_engine_pool(struct mirror_engine *m)
{
	return m->pool;
}

bool mirror_engine_takes_requests(const struct mirror_engine *m)
{
	(void)m;
	return true;
}

bool mirror_engine_takes_frames(const struct mirror_engine *m, uint32_t link)
{
	(void)link;
	return m->takes_frames;
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

/* ---- the other thread ---------------------------------------------------- */

void rig_create(struct rig *r, uint16_t port)
{
	*r = (struct rig){ .config = calloc(1, sizeof *r->config) };
	ck_assert_ptr_nonnull(r->config);
	snprintf(r->config->mirror, sizeof r->config->mirror, "data");
	r->config->copy_timeout_ms = 10000;
	r->config->site_count = r->config->node_count = 1;
	r->config->node[0].port = port;
	snprintf(r->config->node[0].address, sizeof r->config->node[0].address,
		 "127.0.0.1");
	r->engine.rig = r;
	r->engine.pool = mirror_pool_create(4u << 20);
	r->engine.takes_frames = true;
	r->engine.lease_until_ns = UINT64_MAX;
	common_queue_init(&r->orders, r->order_slot, RIG_QUEUE_COUNT);
	common_queue_init(&r->facts, r->fact_slot, RIG_QUEUE_COUNT);
	r->orders_eventfd = eventfd(0, EFD_CLOEXEC);
	r->facts_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_ptr_nonnull(r->engine.pool);
}

void rig_start(struct rig *r)
{
	const struct io_driver_setup setup = {
		.config = r->config,
		.engine = &r->engine,
		.orders = &r->orders,
		.orders_eventfd = r->orders_eventfd,
		.facts = &r->facts,
		.facts_eventfd = r->facts_eventfd,
	};

	ck_assert_int_eq(io_driver_create(&setup, &r->driver), 0);
	io_driver_set_frontend(r->driver, r->frontend);
	if (r->other != NULL)
		io_driver_add_frontend(r->driver, r->other);
	if (r->old_kernel) {
		io_uring_queue_exit(&r->driver->ring);
		ck_assert_int_eq(io_uring_queue_init(1024, &r->driver->ring, 0), 0);
		r->driver->ring_disabled = false;
	}
	if (r->stop_first)
		io_driver_stop(r->driver);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, io_driver_run, r->driver), 0);
	r->running = true;
}

void rig_stop(struct rig *r)
{
	if (!r->running)
		return;
	io_driver_stop(r->driver);
	pthread_join(r->thread, NULL);
	r->running = false;
}

const struct disk_driver *rig_disks(const struct rig *r)
{
	return r->driver->disks;
}

const struct link_driver *rig_links(const struct rig *r)
{
	return r->driver->links;
}

void rig_destroy(struct rig *r)
{
	struct fact *fact;
	struct order *order;

	rig_stop(r);
	io_driver_destroy(r->driver);
	while ((fact = common_queue_pop(&r->facts)) != NULL)
		free(fact);
	while ((order = common_queue_pop(&r->orders)) != NULL)
		free(order);
	close(r->orders_eventfd);
	close(r->facts_eventfd);
	mirror_pool_destroy(r->engine.pool);
	free(r->config);
	*r = (struct rig){ 0 };
}

void rig_order(struct rig *r, const struct order *order)
{
	struct order *copy = malloc(sizeof *copy);
	bool wake;

	ck_assert_ptr_nonnull(copy);
	*copy = *order;
	ck_assert_int_eq(common_queue_push(&r->orders, copy, &wake), 0);
	if (wake)
		ck_assert_int_eq(eventfd_write(r->orders_eventfd, 1), 0);
}

void rig_order_type(struct rig *r, enum order_type type)
{
	const struct order order = { .type = type };

	rig_order(r, &order);
}

struct fact *rig_fact(struct rig *r)
{
	struct pollfd poll_fd = { .fd = r->facts_eventfd, .events = POLLIN };
	struct fact *fact;
	eventfd_t value;

	while ((fact = common_queue_pop(&r->facts)) == NULL) {
		ck_assert_msg(poll(&poll_fd, 1, PATIENCE_MS) == 1,
			      "nothing happened any more");
		eventfd_read(r->facts_eventfd, &value);
	}
	return fact;
}

void rig_expect(struct rig *r, const char *format, ...)
{
	struct fact *fact = rig_fact(r);
	char expected[FACT_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(expected, sizeof expected, format, ap);
	va_end(ap);
	ck_assert_msg(strncmp(fact->text, expected, strlen(expected)) == 0,
		      "expected \"%s\", got \"%s\"", expected, fact->text);
	free(fact);
}

void rig_turn(struct rig *r)
{
	rig_order_type(r, ORDER_CLOSE);
	rig_expect(r, "closed");
}
