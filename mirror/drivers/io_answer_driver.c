/* io_answer_driver.c - D7 at the edge: no answer leaves without a lease.
 *
 * Answers are gathered over a pass and given to the front-end at its end, right
 * before they are submitted, after one look at the clock. An answer with an error
 * acknowledges nothing and shows nothing: it needs no lease.
 */
#include <errno.h>

#include "common/fifo.h"
#include "mirror/drivers/io_private_driver.h"

static void answer(struct io_driver *d, struct mirror_request *r)
{
	struct io_frontend *f = r->frontend != NULL ? r->frontend : d->frontend;

	d->counters.answer_count++;
	f->answer(f, r);
}

/* Hand over the answers that may leave; keep the rest as late. */
void io_answer_offer(struct io_driver *d)
{
	struct mirror_request *r;
	bool allowed;

	if (d->fresh.head == NULL && d->late.head == NULL)
		return;
	allowed = io_driver_may_answer(d);
	while (allowed && (r = fifo_pop(&d->late)) != NULL) {
		d->counters.answer_waiting_count--;
		answer(d, r);
	}
	while ((r = fifo_pop(&d->fresh)) != NULL) {
		if (allowed || r->result < 0) {
			answer(d, r);
		} else {
			d->counters.answer_late_count++;
			d->counters.answer_waiting_count++;
			fifo_push(&d->late, r);
		}
	}
}

/* ORDER_FAIL_FROZEN: an answer that waits here for a lease is as frozen as a request in
 * the core, which has let go of it. */
void io_answer_fail_late(struct io_driver *d)
{
	struct mirror_request *r;

	while ((r = fifo_pop(&d->late)) != NULL) {
		d->counters.answer_waiting_count--;
		r->result = -EIO;
		answer(d, r);
	}
}

/* The clients are dropped. Answers that were acknowledged in time still leave. An error
 * does not: a client that loses its connection can ask the next production; a client that
 * was told of an error cannot. */
void io_answer_close(struct io_driver *d)
{
	struct mirror_request_list rest = { 0 };
	struct mirror_request *r;
	const bool allowed = io_driver_may_answer(d);

	if (d->frontend == NULL)
		return;
	while ((r = fifo_pop(&d->late)) != NULL)
		fifo_push(&rest, r);
	while ((r = fifo_pop(&d->fresh)) != NULL) {
		if (allowed && r->result == 0)
			answer(d, r);
		else
			fifo_push(&rest, r);
	}
	d->counters.answer_waiting_count = 0;
	d->frontend->close(d->frontend);
	for (struct io_frontend *f = d->others; f != NULL; f = f->next)
		f->close(f);
	while ((r = fifo_pop(&rest)) != NULL) {
		if (r->result == 0)
			r->result = -ESHUTDOWN;
		answer(d, r);
	}
}
