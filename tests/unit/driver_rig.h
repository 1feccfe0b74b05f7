/* driver_rig.h - a real I/O thread with its ring, devices and sockets, around a
 * scripted core: the facts that the core receives come out as a transcript.
 *
 * The rig stands in for mirror/engine/engine.c, so a program that uses it must not link
 * anything that needs the real one. */
#ifndef TESTS_UNIT_DRIVER_RIG_H
#define TESTS_UNIT_DRIVER_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/fact.h"
#include "common/order.h"
#include "common/queue.h"
#include "mirror/drivers/disk_driver.h"
#include "mirror/engine.h"
#include "mirror/drivers/io_driver.h"
#include "mirror/drivers/link_driver.h"

struct rig;

/* Takes an event before the rig does. True: it is dealt with. On the I/O thread. */
typedef bool rig_script(struct rig *r, const struct mirror_event *e,
			struct mirror_actions *out);

struct mirror_engine {
	struct rig *rig;
	struct mirror_pool *pool;
	_Atomic uint64_t lease_until_ns;
	atomic_bool takes_frames;
};

#define RIG_QUEUE_COUNT 64u

struct rig {
	struct config *config;
	struct mirror_engine engine;
	rig_script *script;
	void *context;                /* the script's */
	struct io_frontend *frontend; /* may be NULL; so may the next */
	struct io_frontend *other;
	struct common_queue orders, facts;
	void *order_slot[RIG_QUEUE_COUNT], *fact_slot[RIG_QUEUE_COUNT];
	int orders_eventfd, facts_eventfd;
	struct io_driver *driver;
	pthread_t thread;
	bool running;
	bool old_kernel; /* its ring has no flags */
	bool stop_first; /* io_driver_stop() before the thread begins */
};

/* A mirror of one site with one host, on this machine, listening on `port` of
 * 127.0.0.1; no disk yet. */
void rig_create(struct rig *r, uint16_t port);
void rig_start(struct rig *r);
void rig_stop(struct rig *r);
void rig_destroy(struct rig *r);

/* Orders that the rig carries out by itself:
 *   OPEN, CLOSE    devices of `site`
 *   LINK, UNLINK   link number `site` to `peer`, and its end */
void rig_order(struct rig *r, const struct order *order);
void rig_order_type(struct rig *r, enum order_type type);

/* The next fact, at the latest after ten seconds; the caller frees it. */
struct fact *rig_fact(struct rig *r);

/* The next fact's text begins with this. */
void rig_expect(struct rig *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Wait for a turn of the loop that began after this call: it listens by then. No
 * device may be open and no fact may be due. */
void rig_turn(struct rig *r);

/* After rig_stop(): for their counters. */
const struct disk_driver *rig_disks(const struct rig *r);
const struct link_driver *rig_links(const struct rig *r);

/* For scripts: add to the transcript. */
void rig_say(struct mirror_actions *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
