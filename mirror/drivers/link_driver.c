/* link_driver.c - see link_driver.h for the table of states. */
#include "mirror/drivers/link_driver.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fifo.h"
#include "mirror/drivers/link_private_driver.h"

#define NS_PER_MS 1000000ull

void link_set_phase(struct link *l, enum link_phase to)
{
	static const uint32_t legal[] = {
		[LINK_PHASE_FREE] = 1u << LINK_PHASE_RESOLVING |
				    1u << LINK_PHASE_CONNECTING |
				    1u << LINK_PHASE_GREETING | 1u << LINK_PHASE_CLOSING,
		[LINK_PHASE_RESOLVING] = 1u << LINK_PHASE_CONNECTING |
					 1u << LINK_PHASE_CLOSING,
		[LINK_PHASE_CONNECTING] = 1u << LINK_PHASE_OPEN |
					  1u << LINK_PHASE_CLOSING,
		[LINK_PHASE_GREETING] = 1u << LINK_PHASE_OPEN | 1u << LINK_PHASE_CLOSING,
		[LINK_PHASE_OPEN] = 1u << LINK_PHASE_CLOSING,
		[LINK_PHASE_CLOSING] = 1u << LINK_PHASE_FREE,
	};

	assert((legal[l->phase] & 1u << to) != 0);
	l->phase = to;
}

const struct link_driver_counters *link_driver_counters(const struct link_driver *d)
{
	return &d->counters;
}

/* ---- a connected socket -------------------------------------------------- */

static void set_option(int fd, int level, int option, uint32_t value)
{
	const int v = (int)value;

	/* Each is an improvement, none a necessity. */
	setsockopt(fd, level, option, &v, sizeof v);
}

/* A peer that is gone without a word is noticed within copy-timeout, whether we
 * have something to send (user timeout) or not (keepalive). */
static void set_options(struct link *l)
{
	const uint32_t timeout_ms = io_driver_config(l->driver->io)->copy_timeout_ms;
	const uint32_t probe_s = timeout_ms / 4000 > 0 ? timeout_ms / 4000 : 1;

	set_option(l->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(l->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(l->fd, IPPROTO_TCP, TCP_KEEPIDLE, probe_s);
	set_option(l->fd, IPPROTO_TCP, TCP_KEEPINTVL, probe_s);
	set_option(l->fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_option(l->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
}

int link_adopt(struct link *l, int fd)
{
	l->fd = fd;
	l->begin = l->end = 0;
	l->sent = l->received = (struct link_rate){ .from_ns = io_driver_now_ns(
							    l->driver->io) };
	set_options(l);
	l->buffer = malloc(LINK_BUFFER_BYTES);
	return l->buffer == NULL ? -ENOMEM : 0;
}

/* ---- the end of a link --------------------------------------------------- */

void link_finish_later(struct link *l)
{
	io_driver_defer(l->driver->io, &l->finish_task);
}

void link_end_after(struct link *l, uint32_t after_ms)
{
	io_driver_timer_set(l->driver->io, &l->timer,
			    io_driver_now_ns(l->driver->io) + after_ms * NS_PER_MS);
}

void link_end(struct link *l, const char *format, ...)
{
	va_list ap;

	if (l->phase == LINK_PHASE_CLOSING)
		return;
	if (!l->draining) {
		va_start(ap, format);
		vsnprintf(l->text, sizeof l->text, format, ap);
		va_end(ap);
	}
	link_set_phase(l, LINK_PHASE_CLOSING);
	io_driver_timer_set(l->driver->io, &l->timer, UINT64_MAX);
	link_connect_abandon(l);
	/* Submissions under way in the ring come back at once. */
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
	link_finish_later(l);
}

/* Everything is back from the ring: give the core its frames and DOWN. The number is
 * free before DOWN, since the core may use it again in that very step. */
static void finish_task(struct io_task *t)
{
	struct link *l = io_driver_container(t, struct link, finish_task);
	struct link_driver *d = l->driver;
	const bool tell = l->up || !l->accepted;
	const bool reject = l->accepted && !l->up;
	char text[sizeof l->text], peer[sizeof l->peer];
	struct mirror_event event;

	if (l->phase != LINK_PHASE_CLOSING || l->connecting || l->receiving || l->sending)
		return;
	link_connect_abandon(l);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	free(l->buffer);
	l->buffer = NULL;
	while (l->queue.head != NULL)
		link_frame_give_back(l, false);
	link_news_ended(l);
	memcpy(text, l->text, sizeof text);
	memcpy(peer, l->peer, sizeof peer);
	link_set_phase(l, LINK_PHASE_FREE);
	l->up = l->draining = l->paused = l->ended = l->broken = l->timed_out = false;
	l->fault[0] = '\0';
	if (tell) {
		event = (struct mirror_event){ .type = MIRROR_EVENT_LINK_DOWN };
		event.link.link = l->number;
		event.link.accepted = l->accepted;
		event.link.text = text;
		io_driver_step(d->io, &event);
	}
	if (reject)
		link_listen_rejected(d, peer, text);
	if (l->number >= LINK_CONNECTED_COUNT)
		link_listen_place(d);
}

static void timer_expired(struct io_timer *t)
{
	struct link *l = io_driver_container(t, struct link, timer);

	switch (l->phase) {
	case LINK_PHASE_CONNECTING:
		link_connect_expired(l);
		break;
	case LINK_PHASE_GREETING:
		link_end(l, "no complete hello within %u ms (%u bytes came)",
			 LINK_HELLO_TIMEOUT_MS, l->end);
		break;
	case LINK_PHASE_OPEN:
		/* Draining: the core's reason stands. Broken: its own. */
		link_end(l, "%s", l->fault);
		break;
	case LINK_PHASE_FREE:
	case LINK_PHASE_RESOLVING:
	case LINK_PHASE_CLOSING:
		break;
	}
}

/* ---- orders -------------------------------------------------------------- */

static void order_close(struct link *l, const struct mirror_link_order *order)
{
	/* It ended a moment ago: its DOWN is on the way. */
	if (l->phase == LINK_PHASE_FREE || l->phase == LINK_PHASE_CLOSING || l->draining)
		return;
	if (l->phase != LINK_PHASE_OPEN || l->queue.head == NULL) {
		link_end(l, "%s", order->text);
		return;
	}
	l->draining = true;
	snprintf(l->text, sizeof l->text, "%s", order->text);
	link_end_after(l, LINK_DRAIN_TIMEOUT_MS);
}

void link_driver_order(struct link_driver *d, const struct mirror_link_order *order)
{
	struct link *l = &d->link[order->link];

	assert(order->link < MIRROR_LINK_COUNT_MAX);
	switch (order->action) {
	case MIRROR_LINK_CONNECT:
		assert(order->link < LINK_CONNECTED_COUNT);
		assert(l->phase == LINK_PHASE_FREE);
		link_connect(l, order);
		break;
	case MIRROR_LINK_CLOSE:
		order_close(l, order);
		break;
	}
}

void link_driver_send(struct link_driver *d, struct mirror_frame_list *list)
{
	struct mirror_frame *next;

	for (struct mirror_frame *f = list->head; f != NULL; f = next) {
		struct link *l = &d->link[f->link];

		next = f->next;
		assert(f->link < MIRROR_LINK_COUNT_MAX && l->phase != LINK_PHASE_FREE);
		link_news_queued(l, f);
		fifo_push(&l->queue, f);
		d->counters.frames_queued_count++;
		if (l->phase == LINK_PHASE_CLOSING)
			link_finish_later(l);
	}
	*list = (struct mirror_frame_list){ 0 };
}

/* End of a pass: the frames that the core queued leave together; a frame that flow control
 * stopped is tried again. */
static void hook_run(struct io_hook *h)
{
	struct link_driver *d = io_driver_container(h, struct link_driver, hook);

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct link *l = &d->link[i];

		if (l->paused)
			link_frame_receive(l);
		if (l->queue.head != NULL && !l->sending)
			link_frame_send(l);
	}
}

/* ---- life ---------------------------------------------------------------- */

int link_driver_create(struct io_driver *io, struct link_driver **driver)
{
	struct link_driver *d = calloc(1, sizeof *d);

	if (d == NULL)
		return -ENOMEM;
	d->io = io;
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct link *l = &d->link[i];

		l->driver = d;
		l->number = i;
		l->fd = -1;
		l->timer.expired = timer_expired;
		l->finish_task.run = finish_task;
		link_frame_start(l);
	}
	link_news_create(d);
	d->hook.run = hook_run;
	io_driver_hook_add(io, &d->hook);
	*driver = d;
	return 0;
}

void link_driver_destroy(struct link_driver *d)
{
	for (uint32_t i = 0; d != NULL && i < MIRROR_LINK_COUNT_MAX; i++)
		assert(d->link[i].phase == LINK_PHASE_FREE);
	if (d != NULL)
		link_news_destroy(d);
	free(d);
}

void link_driver_start(struct link_driver *d)
{
	link_listen_start(d);
}

void link_driver_stop(struct link_driver *d)
{
	link_listen_stop(d);
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (d->link[i].phase != LINK_PHASE_FREE)
			link_end(&d->link[i], "the daemon stops");
}
