/* engine/demote.c - ceasing to be production.
 *
 *   demoting    what is awaited                              next
 *   drain       every request answered, all of it durable    follow
 *               wherever it is waited for; or the deadline   fail what is frozen
 *   follow      all of it durable at every linked copy that  mark clean
 *               follows; or demote-drain is over
 *   mark        the clean mark durable here, told to copies  close clients
 *   close       the front-end's sockets are closed           idle, FACT_DEMOTED
 *
 * Where a copy is to follow as production (order.sites) and has not all of it in time,
 * nothing fails and nothing is marked: this site serves on.
 */
#include <stdio.h>

#include "mirror/engine/state.h"

#define TELL_NS (1000 * NS_PER_MS) /* the clean end leaves for the copies within */

void mirror_become_idle(struct mirror_engine *m)
{
	mirror_engine_set_state(m, ENGINE_IDLE);
	m->open.prepare.done = false;
	MIRROR_SET(m, prepare.step, PREPARE_NONE);
	MIRROR_SET(m, home.reset_due, true);
	for (uint32_t s = 0; s < m->config->site_count; s++)
		mirror_refresh_stop(m, s);
	mirror_refusal_review(m);
}

void mirror_demoted(struct mirror_engine *m)
{
	struct fact *f;

	mirror_become_idle(m);
	f = mirror_engine_fact(m, FACT_DEMOTED);
	f->order_id = m->open.demote.order_id;
	f->clean = m->open.demote.clean;
	f->level_sites = m->open.demote.clean ? m->open.demote.level : 0;
	f->age_ms = m->open.requests.answered_ns != 0 ?
			    (m->now_ns - m->open.requests.answered_ns) / NS_PER_MS :
			    UINT64_MAX;
	f->marks.logged = f->sequence = m->open.marks.last;
	f->marks.durable = m->open.marks.durable;
	memcpy(f->text, m->open.demote.text, sizeof f->text);
}

void mirror_depose(struct mirror_engine *m, const char *text)
{
	if (m->state == ENGINE_PREPARING)
		mirror_prepare_call_off(m, text);
	if (m->state < ENGINE_STARTING || m->state > ENGINE_DEMOTING)
		return;
	mirror_requests_fail(m, -ESHUTDOWN);
	mirror_reads_fail(m, -ESHUTDOWN);
	mirror_links_close_all(m, text);
	m->clients.wanted = false;
	if (m->state == ENGINE_DEMOTING) {
		struct fact *f = mirror_engine_fact(m, FACT_DEMOTED);

		f->order_id = m->open.demote.order_id;
		f->marks.logged = m->open.marks.logged;
	}
	mirror_become_idle(m);
	mirror_engine_set_data(m, DATA_OUTDATED, text);
	mirror_engine_event(m, "generation", "depose", "%s", text);
}

void mirror_demote_order(struct mirror_engine *m, const struct order *o)
{
	struct fact *f;

	if (m->state == ENGINE_SERVING || m->state == ENGINE_STARTING) {
		m->open.demote.promote = m->state == ENGINE_SERVING ? o->sites : 0;
		mirror_engine_set_state(m, ENGINE_DEMOTING);
		m->open.demote.order_id = o->id;
		m->open.demote.deadline_ns = m->now_ns + o->wait_ms * NS_PER_MS;
		m->open.demote.drain_until_ns = 0;
		m->open.demote.stamped = false;
		m->open.demote.clean = false;
		m->open.demote.closing = false;
		m->open.demote.text[0] = 0;
		return;
	}
	if (m->state == ENGINE_PREPARING)
		mirror_prepare_call_off(m, "the promotion was called off");
	f = mirror_engine_fact(m, FACT_DEMOTED);
	f->order_id = o->id;
	f->clean = mirror_is_clean(m);
	f->marks.logged = f->sequence = m->open.marks.last;
}

static bool reads_are_done(const struct mirror_engine *m)
{
	for (uint32_t i = 0; i < READS_MAX; i++)
		if (m->memory.reads[i].used && m->memory.reads[i].request != NULL)
			return false;
	return m->open.requests.reads_waiting.head == NULL &&
	       m->open.requests.answers_held.head == NULL &&
	       m->open.reading.refresh_count == 0;
}

static void close_clients(struct mirror_engine *m)
{
	m->open.demote.closing = true;
	m->clients.wanted = false;
	mirror_clients_pump(m);
	if (!m->clients.busy)
		mirror_demoted(m); /* they never were let in */
}

/* Drained and durable wherever it is waited for: the end is marked, and told to copies
 * that have it, so that they may be promoted without this site. */
static void mark_clean(struct mirror_engine *m)
{
	const struct generation *g = history_newest(&m->open.sb.history);

	m->open.demote.clean = true;
	m->open.demote.told = false;
	m->open.demote.heirs = mirror_heir(m);
	m->open.demote.level = m->config->cluster ? mirror_copies_level(m) :
						    m->open.demote.heirs;
	if (m->open.demote.deadline_ns < m->now_ns + TELL_NS)
		m->open.demote.deadline_ns = m->now_ns + TELL_NS;
	mirror_store_handed_over(m, !m->config->cluster && m->open.demote.heirs != 0);
	mirror_store_clean(m, &g->id, m->open.marks.last);
	m->open.demote.ticket = mirror_superblock_want(m);
}

/* Copies that writes do not wait for get all of it too, in the time given. */
static bool is_followed(struct mirror_engine *m)
{
	struct engine_demote *d = &m->open.demote;

	if (d->drain_until_ns == 0)
		d->drain_until_ns = m->now_ns + m->config->demote_drain_ms * NS_PER_MS;
	if (m->now_ns >= d->drain_until_ns ||
	    mirror_copies_level(m) == mirror_copies_following(m))
		return true;
	mirror_engine_wake(m, d->drain_until_ns);
	return false;
}

/* The mark is durable here first: it says that another may be promoted. A copy that does
 * not take the news in time has all of it, but does not know that. */
static void tell_heirs(struct mirror_engine *m)
{
	struct engine_demote *d = &m->open.demote;

	if (!d->told)
		mirror_links_send_demoted(m, d->heirs, d->promote & d->level);
	d->told = true;
	if (mirror_links_sent_all(m)) {
		close_clients(m);
	} else if (m->now_ns >= d->deadline_ns) {
		d->level = m->config->cluster ? d->level : 0;
		close_clients(m);
	}
}

/* The time is over, or no more can be drained. */
static void end_unclean(struct mirror_engine *m)
{
	if (m->open.failed)
		mirror_text(m->open.demote.text, sizeof m->open.demote.text, "%s",
			    m->open.failed_text);
	else
		mirror_watch_text(m, m->open.demote.text, sizeof m->open.demote.text);
	mirror_requests_fail(m, -EIO);
	mirror_reads_fail(m, -EIO);
	mirror_engine_event(m, "generation", "demote-unclean",
			    "not drained%s: what was frozen has failed%s%s",
			    m->open.failed ? "" : " in time",
			    m->open.demote.text[0] != 0 ? ": " : "", m->open.demote.text);
	m->open.demote.clean = false;
	close_clients(m);
}

/* Something is frozen still, or the clean mark does not come to the log. */
static bool is_overdue(const struct mirror_engine *m)
{
	const struct engine_demote *d = &m->open.demote;

	if (d->clean)
		return !d->told && m->now_ns >= d->deadline_ns;
	return d->drain_until_ns == 0 && m->now_ns >= d->deadline_ns;
}

/* Everywhere that is waited for. In async this log alone is: is_followed() sees to the copies
 * that have a link, and one that has none is not waited for. */
static uint64_t durable_to(const struct mirror_engine *m)
{
	if (m->open.requests.ack.promise.mode == CONFIG_ASYNC)
		return m->open.marks.durable;
	return mirror_ack_everywhere(&m->open.requests.ack)->durable;
}

/* A flush record makes all before it durable, and itself. A copy that is to follow has to
 * confirm one in any case: that shows that it is alive. */
static bool flush_is_due(const struct mirror_engine *m)
{
	const struct engine_marks *marks = &m->open.marks;

	if (m->open.demote.promote != 0)
		return !m->open.demote.stamped;
	return durable_to(m) < marks->last &&
	       (m->memory.records[marks->last % RECORDS_MAX].header.type !=
			MIRROR_RECORD_FLUSH ||
		marks->last == marks->home_flushed);
}

static void serve_on(struct mirror_engine *m)
{
	struct fact *f;

	mirror_engine_set_state(m, ENGINE_SERVING);
	f = mirror_engine_fact(m, FACT_DEMOTED);
	f->order_id = m->open.demote.order_id;
	f->error = -ETIMEDOUT;
	mirror_watch_text(m, f->text, sizeof f->text);
	if (f->text[0] == 0)
		snprintf(f->text, sizeof f->text, "%s",
			 mirror_requests_answers_changes(m) ?
				 "the copy that is to follow has not confirmed all in "
				 "time" :
				 "writes stand still until each required copy is current "
				 "(on-copy-loss: block)");
}

void mirror_demote_pump(struct mirror_engine *m)
{
	/* FUA: the log ends with the mark, and it is to be durable itself, at once. */
	struct mirror_header flush = { .type = MIRROR_RECORD_FLUSH,
				       .flags = MIRROR_RECORD_FUA };

	mirror_mark_pump(m);
	if (m->state != ENGINE_DEMOTING || m->open.demote.closing)
		return;
	if (!m->open.failed && m->open.demote.promote != 0 && !m->open.demote.clean &&
	    is_overdue(m)) {
		serve_on(m);
		return;
	}
	if (m->open.failed || is_overdue(m)) {
		end_unclean(m);
		return;
	}
	if (m->now_ns < m->open.demote.deadline_ns) /* it drains on after that */
		mirror_engine_wake(m, m->open.demote.deadline_ns);
	if (m->open.demote.clean) {
		if (mirror_superblock_has(m, m->open.demote.ticket))
			tell_heirs(m);
		return;
	}
	if (m->open.requests.pending_count > 0 || m->open.requests.waiting.head != NULL ||
	    m->open.throttle.delayed.head != NULL || !reads_are_done(m))
		return;
	if (flush_is_due(m)) {
		m->open.demote.stamped = true;
		mirror_record_stamp(m, &flush, NULL);
	} else if (durable_to(m) >= m->open.marks.last && is_followed(m)) {
		if ((m->open.demote.promote & ~mirror_copies_level(m)) != 0)
			serve_on(m);
		else
			mark_clean(m);
	}
}
