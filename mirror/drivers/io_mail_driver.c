/* io_mail_driver.c - the two queues to the control thread: orders in, facts out.
 *
 * The order eventfd is read by the ring, so an order costs no system call of its
 * own; the fact eventfd is written by the ring, and only when the taker may be
 * asleep.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue.h"
#include "mirror/drivers/io_private_driver.h"
#include "mirror/line/wire.h"

/* The taker does not tell when it has made room. */
#define BACKLOG_RETRY_MS 10u

/* ---- orders ------------------------------------------------------------- */

static void status_queue(struct mirror_status *s, const char *name, uint64_t count,
			 uint64_t count_max)
{
	struct mirror_status_queue *q = &s->queue[s->queue_count];

	if (s->queue_count == MIRROR_STATUS_QUEUE_MAX)
		return;
	snprintf(q->name, sizeof q->name, "%s", name);
	q->count = count;
	q->count_max = count_max;
	s->queue_count++;
}

/* The core has just filled the status: add the figures that only the drivers know. */
static void status_complete(struct io_driver *d, struct mirror_status *s)
{
	const struct disk_driver_counters *disk = disk_driver_counters(d->disks);
	const struct link_driver_counters *link = link_driver_counters(d->links);

	s->io = (struct mirror_status_io){
		.enters = d->counters.enter_count,
		.wakeups = d->counters.wakeup_count,
		.submissions = d->counters.submission_count,
		.completions = d->counters.completion_count,
		.answers = d->counters.answer_count,
		.answers_late = d->counters.answer_late_count,
		.facts_dropped = d->counters.fact_dropped_count,
		.disk_operations = disk->operation_count,
		.link_sends = link->sendmsg_count,
		.link_receives = link->recv_count,
		.links_rejected = link->rejected_count,
	};
	for (uint32_t i = 0; i < s->site_count; i++)
		link_driver_figures(d->links, &s->sites[i]);
	status_queue(s, "disk operations", disk->in_flight_count, disk->slot_count);
	status_queue(s, "facts", d->backlog_count, IO_BACKLOG_COUNT_MAX);
	if (d->frontend != NULL && d->frontend->status != NULL)
		d->frontend->status(d->frontend, s);
	for (struct io_frontend *f = d->others; f != NULL; f = f->next)
		if (f->status != NULL)
			f->status(f, s);
}

static void order_take(struct io_driver *d, struct order *order)
{
	struct mirror_event event = { .type = MIRROR_EVENT_ORDER, .order = order };

	d->counters.order_count++;
	d->status = order->status;
	io_driver_step(d, &event);
	d->status = NULL;
	if (order->type == ORDER_FAIL_FROZEN)
		io_answer_fail_late(d);
	free(order);
}

static void orders_arm(struct io_driver *d)
{
	io_uring_prep_read(io_driver_sqe(d, &d->orders_read), d->setup.orders_eventfd,
			   &d->orders_value, sizeof d->orders_value, 0);
}

static void orders_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct io_driver *d = io_driver_container(c, struct io_driver, orders_read);
	struct order *order;

	(void)result;
	(void)flags;
	while (!d->stopping && (order = common_queue_pop(d->setup.orders)) != NULL)
		order_take(d, order);
	if (!d->stopping)
		orders_arm(d);
}

/* ---- facts -------------------------------------------------------------- */

static void facts_written(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct io_driver *d = io_driver_container(c, struct io_driver, facts_write);

	(void)result;
	(void)flags;
	d->facts_writing = false;
}

static void backlog_push(struct io_driver *d, struct fact *fact)
{
	const bool may_drop = fact->type == FACT_EVENT ||
			      (fact->type == FACT_MARKS && fact->history.count == 0);
	struct io_backlog_entry *e;

	if (d->backlog_count >= IO_BACKLOG_COUNT_MAX && may_drop) {
		d->counters.fact_dropped_count++;
		free(fact);
		return;
	}
	e = malloc(sizeof *e);
	assert(e != NULL);
	*e = (struct io_backlog_entry){ .fact = fact };
	*d->backlog_end = e;
	d->backlog_end = &e->next;
	d->backlog_count++;
}

static int push(struct io_driver *d, struct fact *fact)
{
	bool wake;
	int rc = common_queue_push(d->setup.facts, fact, &wake);

	d->facts_wake |= wake;
	return rc;
}

static void backlog_drain(struct io_driver *d)
{
	while (d->backlog != NULL) {
		struct io_backlog_entry *e = d->backlog;

		if (push(d, e->fact) < 0)
			return;
		d->backlog = e->next;
		if (d->backlog == NULL)
			d->backlog_end = &d->backlog;
		d->backlog_count--;
		free(e);
	}
}

void io_mail_send(struct io_driver *d, const struct fact *fact)
{
	struct fact *copy = malloc(sizeof *copy);

	assert(copy != NULL);
	*copy = *fact;
	d->counters.fact_count++;
	if (fact->type == FACT_STATUS && d->status != NULL)
		status_complete(d, d->status);
	backlog_drain(d);
	if (d->backlog != NULL || push(d, copy) < 0)
		backlog_push(d, copy);
}

void io_mail_flush(struct io_driver *d)
{
	static const uint64_t one = 1;

	backlog_drain(d);
	if (d->backlog != NULL)
		io_driver_timer_set(d, &d->backlog_timer,
				    d->now_ns + BACKLOG_RETRY_MS * 1000000ull);
	if (!d->facts_wake || d->facts_writing)
		return;
	d->facts_wake = false;
	d->facts_writing = true;
	d->counters.fact_wakeup_count++;
	io_uring_prep_write(io_driver_sqe(d, &d->facts_write), d->setup.facts_eventfd,
			    &one, sizeof one, 0);
}

void io_driver_report(struct io_driver *d, const char *object, const char *rule,
		      const char *format, ...)
{
	struct fact fact = { .type = FACT_EVENT };
	va_list ap;

	snprintf(fact.object, sizeof fact.object, "%s", object);
	snprintf(fact.rule, sizeof fact.rule, "%s", rule);
	va_start(ap, format);
	vsnprintf(fact.text, sizeof fact.text, format, ap);
	va_end(ap);
	io_mail_send(d, &fact);
}

void io_driver_hear(struct io_driver *d, uint32_t site, const struct mirror_news *news)
{
	struct fact fact = { .type = FACT_EVENT, .heard = true, .site = site };

	snprintf(fact.object, sizeof fact.object, "%s", news->object);
	snprintf(fact.rule, sizeof fact.rule, "%s", news->rule);
	snprintf(fact.text, sizeof fact.text, "%s", news->text);
	io_mail_send(d, &fact);
}

bool io_driver_tell(struct io_driver *d, const struct mirror_news *news)
{
	return link_driver_tell(d->links, news);
}

/* Nothing to do: the timer is there to make the loop turn. */
static void backlog_expired(struct io_timer *t)
{
	(void)t;
}

void io_mail_start(struct io_driver *d)
{
	d->backlog_timer.expired = backlog_expired;
	d->orders_read.done = orders_done;
	d->facts_write.done = facts_written;
	orders_arm(d);
}

void io_mail_destroy(struct io_driver *d)
{
	while (d->backlog != NULL) {
		struct io_backlog_entry *e = d->backlog;

		d->backlog = e->next;
		free(e->fact);
		free(e);
	}
}
