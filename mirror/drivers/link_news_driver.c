/* link_news_driver.c - lines of the event logs, told over the line where there is no cluster
 * that tells them (P4-98). They are for people: the core hears nothing of them, and they wait
 * behind all that it sends.
 *
 *   a link is      told when                                 heard when
 *   strange        never                                     never: it ends
 *   to be greeted  its hello is of a stream, from a host that knows NEWS
 *   open           its welcome was queued, or was taken by the core
 *
 * One of them is under way on a link at a time, in a frame of the link's own, so no record waits
 * for more than one. LINK_NEWS_MAX are kept: the oldest give way, to a link that is slow and
 * where no link is open.
 */
#include <errno.h>
#include <stdio.h>

#include "common/fifo.h"
#include "mirror/drivers/link_private_driver.h"

#define HEARD_NS 250000000ull /* until another line may be heard */

static bool may_tell(const struct link *l)
{
	return l->news.stage == LINK_NEWS_OPEN && l->phase == LINK_PHASE_OPEN &&
	       !l->draining && !l->broken;
}

static void look_later(struct link_news_queue *q)
{
	io_driver_defer(io_driver_container(q, struct link_driver, news)->io, &q->task);
}

/* ---- to the peer ----------------------------------------------------------- */

bool link_driver_tell(struct link_driver *d, const struct mirror_news *news)
{
	struct link_news_queue *q = &d->news;

	if (!atomic_load(&q->open))
		return false;
	pthread_mutex_lock(&q->mutex);
	q->line[q->end++ % LINK_NEWS_MAX] = *news;
	if (!q->posted)
		io_driver_post(d->io, &q->job);
	q->posted = true;
	pthread_mutex_unlock(&q->mutex);
	return true;
}

static void come(struct io_job *j)
{
	struct link_news_queue *q = io_driver_container(j, struct link_news_queue, job);

	pthread_mutex_lock(&q->mutex);
	q->posted = false;
	pthread_mutex_unlock(&q->mutex);
	look_later(q);
}

static void queue_frame(struct link *l, const struct mirror_news *news)
{
	mirror_wire_news(&l->news.frame, news);
	l->news.frame.link = l->number;
	l->news.sending = true;
	fifo_push(&l->queue, &l->news.frame);
	l->driver->counters.frames_queued_count++;
}

/* The next line for `l`, if there is one. */
static void tell(struct link_news_queue *q, struct link *l)
{
	struct mirror_news news;
	bool found;

	pthread_mutex_lock(&q->mutex);
	if (q->end - l->news.next > LINK_NEWS_MAX) {
		l->driver->counters.news_dropped_count += q->end - l->news.next -
							  LINK_NEWS_MAX;
		l->news.next = q->end - LINK_NEWS_MAX;
	}
	found = l->news.next != q->end;
	if (found)
		news = q->line[l->news.next % LINK_NEWS_MAX];
	pthread_mutex_unlock(&q->mutex);
	if (found)
		queue_frame(l, &news);
}

static void look(struct io_task *t)
{
	struct link_driver *d = io_driver_container(t, struct link_driver, news.task);
	bool open = false;

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct link *l = &d->link[i];

		if (!may_tell(l))
			continue;
		open = true;
		if (!l->news.sending)
			tell(&d->news, l);
	}
	atomic_store(&d->news.open, open);
}

void link_news_gone(struct link *l, bool left)
{
	struct link_news_queue *q = &l->driver->news;

	l->news.sending = false;
	if (!left || l->news.last)
		return;
	l->news.next++;
	if (q->told - l->news.next > UINT32_MAX / 2)
		q->told = l->news.next;
	look_later(q);
}

void link_driver_tell_last(struct link_driver *d, const struct mirror_news *news)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct link *l = &d->link[i];

		if (!may_tell(l) || l->news.sending)
			continue;
		l->news.last = true;
		queue_frame(l, news);
	}
}

/* ---- from the peer --------------------------------------------------------- */

/* A line may be heard now. Others are counted, and the count is told with the next one. */
static bool may_hear(struct link_driver *d)
{
	struct link_news_queue *q = &d->news;
	const uint64_t now_ns = io_driver_now_ns(d->io);
	const uint64_t more = (now_ns - q->heard_ns) / HEARD_NS;

	q->heard_ns += more * HEARD_NS;
	q->heard_count = more >= q->heard_count ? 0 : q->heard_count - (uint32_t)more;
	if (q->heard_count >= LINK_NEWS_HEARD_MAX) {
		q->unheard_count++;
		d->counters.news_dropped_count++;
		return false;
	}
	q->heard_count++;
	if (q->unheard_count > 0)
		io_driver_report(d->io, "line", "news",
				 "%u lines of the other host's event log came too fast, "
				 "and are in its own log alone",
				 q->unheard_count);
	q->unheard_count = 0;
	return true;
}

void link_news_take(struct link *l, const struct mirror_wire_header *h,
		    const uint8_t *body)
{
	struct mirror_news news;

	if (l->news.stage != LINK_NEWS_OPEN || h->data_bytes > 0 ||
	    mirror_wire_decode_news(body, h->body_bytes, &news) != 0) {
		link_end(l, "protocol error: NEWS frame out of place or malformed");
		return;
	}
	if (may_hear(l->driver))
		io_driver_hear(l->driver->io, l->news.site, &news);
}

/* ---- which links ----------------------------------------------------------- */

void link_news_hello(struct link *l, const struct mirror_wire_header *h,
		     const uint8_t *body)
{
	const struct config *config = io_driver_config(l->driver->io);
	enum mirror_hello_purpose purpose;
	uint32_t features;

	if (config->cluster ||
	    (h->type != MIRROR_FRAME_HELLO && h->type != MIRROR_FRAME_WELCOME))
		return;
	if (mirror_wire_peek_hello(body, h->body_bytes, &features, &purpose,
				   &l->news.site) &&
	    purpose == MIRROR_HELLO_STREAM && l->news.site < config->site_count &&
	    (features & MIRROR_WIRE_FEATURE_NEWS) != 0)
		l->news.stage = LINK_NEWS_GREETING;
}

void link_news_open(struct link *l)
{
	struct link_news_queue *q = &l->driver->news;

	if (l->news.stage != LINK_NEWS_GREETING)
		return;
	l->news.stage = LINK_NEWS_OPEN;
	l->news.next = q->told;
	look_later(q);
}

void link_news_queued(struct link *l, const struct mirror_frame *f)
{
	struct mirror_wire_header h;

	if (l->news.stage == LINK_NEWS_GREETING &&
	    mirror_wire_decode_header(f->head, &h) == 0 && h.type == MIRROR_FRAME_WELCOME)
		link_news_open(l);
}

void link_news_ended(struct link *l)
{
	l->news.stage = LINK_NEWS_STRANGE;
	l->news.last = false;
	look_later(&l->driver->news);
}

/* ---- life -------------------------------------------------------------------- */

void link_news_create(struct link_driver *d)
{
	pthread_mutex_init(&d->news.mutex, NULL);
	d->news.job.done = come;
	d->news.task.run = look;
}

void link_news_destroy(struct link_driver *d)
{
	pthread_mutex_destroy(&d->news.mutex);
}
