/* engine/throttle.c - see engine/throttle.h. */
#include "mirror/engine/state.h"

/* A step comes late now and then. So much time that was not used is made up for. */
#define CREDIT_NS (5 * NS_PER_MS)
#define NS_PER_US 1000ull
#define NS_PER_S 1000000000ull

static uint64_t wait_max_ns(const struct mirror_engine *m)
{
	return m->config->copy_timeout_ms * NS_PER_MS / 4;
}

static uint32_t bounded(const struct mirror_engine *m, uint32_t us)
{
	const uint64_t max_us = wait_max_ns(m) / NS_PER_US;

	if (us > CONFIG_THROTTLE_US_MAX)
		us = CONFIG_THROTTLE_US_MAX;
	return us > max_us ? (uint32_t)max_us : us;
}

void mirror_throttle_order(struct mirror_engine *m, const struct order *o)
{
	struct engine_throttle *t = &m->open.throttle;
	const bool any = o->sleep_us != 0 || o->delay_us != 0 || o->bytes_per_s != 0;

	t->sleep_us = bounded(m, o->sleep_us);
	t->delay_us = bounded(m, o->delay_us);
	t->bytes_per_s = o->bytes_per_s;
	t->until_ns = any ? o->until_ns : 0;
	mirror_engine_changed(m);
}

void mirror_throttle_pump(struct mirror_engine *m)
{
	struct engine_throttle *t = &m->open.throttle;

	if (t->until_ns == 0)
		return;
	if (m->now_ns < t->until_ns) {
		mirror_engine_wake(m, t->until_ns);
		return;
	}
	t->sleep_us = t->delay_us = 0;
	t->bytes_per_s = 0;
	t->until_ns = 0;
	mirror_engine_event(m, "throttle", "",
			    "ended: hamirror-watch, which set it, has not been heard");
	mirror_engine_changed(m);
}

/* ---- the line -------------------------------------------------------------- */

static bool is_slowed(const struct mirror_engine *m, uint32_t link)
{
	const struct engine_throttle *t = &m->open.throttle;

	return (t->sleep_us != 0 || t->bytes_per_s != 0) && m->state == ENGINE_SERVING &&
	       m->link[link].use == LINK_STREAM_OUT;
}

bool mirror_throttle_sends(struct mirror_engine *m, uint32_t link)
{
	const struct engine_throttle *t = &m->open.throttle;
	uint64_t at_ns;

	if (!is_slowed(m, link))
		return true;
	at_ns = t->sleep_us != 0 ? m->link[link].send_at_ns : 0;
	if (t->bytes_per_s != 0 && t->line_ns > at_ns)
		at_ns = t->line_ns;
	if (m->now_ns >= at_ns)
		return true;
	mirror_engine_wake(m, at_ns);
	return false;
}

/* The next one leaves `wait_ns` after this one was due, at most `max_ns`. */
static void put_off(const struct mirror_engine *m, uint64_t *at_ns, uint64_t wait_ns,
		    uint64_t max_ns)
{
	if (*at_ns + CREDIT_NS < m->now_ns)
		*at_ns = m->now_ns - CREDIT_NS;
	*at_ns += wait_ns < max_ns ? wait_ns : max_ns;
}

/* They take turns on the line, and each is to have its turn in time. */
static uint32_t streams(const struct mirror_engine *m)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		count += m->link[i].use == LINK_STREAM_OUT;
	return count;
}

void mirror_throttle_sent(struct mirror_engine *m, uint32_t link, uint64_t bytes)
{
	struct engine_throttle *t = &m->open.throttle;

	if (!is_slowed(m, link))
		return;
	put_off(m, &m->link[link].send_at_ns, t->sleep_us * NS_PER_US, wait_max_ns(m));
	if (t->bytes_per_s == 0)
		return;
	put_off(m, &t->line_ns, bytes * NS_PER_S / t->bytes_per_s,
		wait_max_ns(m) / streams(m));
	t->turn = (link + 1) % MIRROR_LINK_COUNT_MAX;
}

/* ---- clients --------------------------------------------------------------- */

bool mirror_throttle_delays(const struct mirror_engine *m, const struct mirror_request *q)
{
	const struct engine_throttle *t = &m->open.throttle;

	return (t->delay_us != 0 || t->delayed.head != NULL) &&
	       (q->type == MIRROR_REQUEST_WRITE || q->type == MIRROR_REQUEST_ZERO);
}

bool mirror_throttle_is_over(struct mirror_engine *m)
{
	const struct engine_throttle *t = &m->open.throttle;
	const uint64_t at_ns = t->delayed.head->came_ns + t->delay_us * NS_PER_US;

	if (m->state != ENGINE_SERVING || m->now_ns >= at_ns)
		return true;
	mirror_engine_wake(m, at_ns);
	return false;
}

/* ---- status ---------------------------------------------------------------- */

void mirror_throttle_status(const struct mirror_engine *m, struct mirror_status *s)
{
	const struct engine_throttle *t = &m->open.throttle;

	if (m->now_ns >= t->until_ns)
		return;
	s->throttle_sleep_us = t->sleep_us;
	s->throttle_delay_us = t->delay_us;
	s->throttle_bytes_per_s = t->bytes_per_s;
	s->throttle_left_ms = (t->until_ns - m->now_ns) / NS_PER_MS + 1;
}
