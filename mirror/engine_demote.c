/* engine_demote.c - letting clients in, and ceasing to be production.
 *
 *   demoting    what is awaited                              next
 *   drain       every request answered, all of it durable    mark clean
 *               wherever it is waited for; or the deadline   fail what is frozen
 *   mark        the clean mark durable here, told to copies  close clients
 *   close       the front-end's sockets are closed           idle, FACT_DEMOTED
 */
#include <stdio.h>

#include "mirror/internal.h"
#include "mirror/parts.h"

static void serve_pump(struct mirror_engine *m)
{
	if (m->state == ENGINE_STARTING && m->serve_ticket != 0 &&
	    mirror_superblock_has(m, m->serve_ticket) &&
	    mirror_maps_have(m, m->serve_map_ticket)) {
		m->serve_ticket = 0;
		if (mirror_map_count(m->map, m->site) > 0)
			mirror_maps_clear(m, m->site);
		m->clients_wanted = true;
	}
}

/* One order at a time: an answer is then known to be that of the last one. */
void mirror_clients_pump(struct mirror_engine *m)
{
	if (m->clients_busy || m->clients_wanted == m->clients_ordered)
		return;
	m->clients_busy = true;
	m->clients_ordered = m->clients_wanted;
	m->out->clients = m->clients_wanted ? MIRROR_CLIENTS_OPEN : MIRROR_CLIENTS_CLOSE;
}

static void demoted(struct mirror_engine *m)
{
	struct fact *f;

	mirror_become_idle(m);
	f = mirror_engine_fact(m, FACT_DEMOTED);
	f->order_id = m->demote_order_id;
	f->clean = m->demote_clean;
	f->level_sites = m->demote_clean ? m->demote_heirs : 0;
	f->marks.logged = f->sequence = m->last_sequence;
	f->marks.durable = m->durable;
	memcpy(f->text, m->demote_text, sizeof f->text);
}

/* The front-end answers `clients`: its sockets are open, or closed. */
void mirror_clients_done(struct mirror_engine *m, int32_t error)
{
	const bool opened = m->clients_ordered;
	struct fact *f;

	m->clients_busy = false;
	if (opened && error != 0)
		m->clients_ordered = m->clients_wanted = false;
	if (m->state == ENGINE_STARTING && opened) {
		if (error != 0) {
			mirror_serve_failed(m, m->serve_order_id, error,
					    "the clients' socket could not be opened");
			mirror_become_idle(m);
			return;
		}
		mirror_engine_set_state(m, ENGINE_SERVING);
		f = mirror_engine_fact(m, FACT_SERVING);
		f->order_id = m->serve_order_id;
	} else if (m->state == ENGINE_DEMOTING && m->demote_closing &&
		   !m->clients_ordered) {
		demoted(m);
	}
}

/* ---- demote, depose ------------------------------------------------------ */

/* Not production any more: what is not home stays in the log until a link says
 * by D8 whether it stands. */
void mirror_become_idle(struct mirror_engine *m)
{
	mirror_engine_set_state(m, ENGINE_IDLE);
	m->prepared = false;
	m->prepare_step = PREPARE_NONE;
	m->home_reset_due = true;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		mirror_refresh_stop(m, s);
	mirror_refusal_review(m);
}

void mirror_depose(struct mirror_engine *m, const char *text)
{
	if (m->state == ENGINE_PREPARING) {
		mirror_links_close_all(m, text);
		mirror_become_idle(m);
	}
	if (m->state < ENGINE_STARTING || m->state > ENGINE_DEMOTING)
		return;
	mirror_requests_fail(m, -ESHUTDOWN);
	mirror_reads_fail(m, -ESHUTDOWN);
	mirror_links_close_all(m, text);
	m->clients_wanted = false;
	if (m->state == ENGINE_DEMOTING) {
		struct fact *f = mirror_engine_fact(m, FACT_DEMOTED);

		f->order_id = m->demote_order_id;
		f->marks.logged = m->logged;
	}
	mirror_become_idle(m);
	mirror_engine_set_data(m, DATA_OUTDATED, text);
	mirror_engine_event(m, "generation", "depose", "%s", text);
}

void mirror_demote_order(struct mirror_engine *m, const struct order *o)
{
	struct fact *f;

	if (m->state == ENGINE_SERVING || m->state == ENGINE_STARTING) {
		mirror_engine_set_state(m, ENGINE_DEMOTING);
		m->demote_order_id = o->id;
		m->demote_deadline_ns = m->now_ns + o->wait_ms * NS_PER_MS;
		m->demote_clean = false;
		m->demote_closing = false;
		m->demote_text[0] = 0;
		return;
	}
	if (m->state == ENGINE_PREPARING) {
		mirror_links_close_all(m, "the promotion was called off");
		mirror_become_idle(m);
	}
	f = mirror_engine_fact(m, FACT_DEMOTED);
	f->order_id = o->id;
	f->clean = mirror_is_clean(m);
	f->marks.logged = f->sequence = m->last_sequence;
}

static bool reads_are_done(const struct mirror_engine *m)
{
	for (uint32_t i = 0; i < READS_MAX; i++)
		if (m->reads[i].used && m->reads[i].request != NULL)
			return false;
	return m->reads_waiting.head == NULL && m->answers_held.head == NULL &&
	       m->refresh_read_count == 0;
}

static void close_clients(struct mirror_engine *m)
{
	m->demote_closing = true;
	m->clients_wanted = false;
	mirror_clients_pump(m);
	if (!m->clients_busy)
		demoted(m); /* they never were let in */
}

/* Drained and durable wherever it is waited for: the end is marked, and told to copies
 * that have it, so that they may be promoted without this site. */
static void mark_clean(struct mirror_engine *m)
{
	const struct generation *g = history_newest(&m->sb.history);

	m->demote_clean = true;
	m->demote_told = false;
	m->demote_heirs = mirror_heir(m);
	m->sb.handed_over = !m->config->cluster && m->demote_heirs != 0;
	m->sb.clean.set = true;
	m->sb.clean.generation = g->id;
	m->sb.clean.sequence = m->last_sequence;
	m->prepare_ticket = mirror_superblock_want(m);
}

/* The mark is durable here first: it says that another may be promoted. */
static void tell_heirs(struct mirror_engine *m)
{
	if (m->demote_told)
		return;
	m->demote_told = true;
	mirror_links_send_demoted(m, m->demote_heirs, &m->sb.clean.generation,
				  m->sb.clean.sequence);
}

/* Out of time, or nothing can be drained any more. */
static void end_unclean(struct mirror_engine *m)
{
	if (m->failed)
		mirror_text(m->demote_text, sizeof m->demote_text, "%s", m->failed_text);
	else
		mirror_watch_text(m, m->demote_text, sizeof m->demote_text);
	mirror_requests_fail(m, -EIO);
	mirror_reads_fail(m, -EIO);
	mirror_engine_event(m, "generation", "demote-unclean",
			    "not drained%s: what was frozen has failed%s%s",
			    m->failed ? "" : " in time",
			    m->demote_text[0] != 0 ? ": " : "", m->demote_text);
	m->demote_clean = false;
	close_clients(m);
}

void mirror_demote_pump(struct mirror_engine *m)
{
	/* FUA: the log ends with the mark, and it is to be durable itself, at once. */
	struct mirror_header flush = { .type = MIRROR_RECORD_FLUSH,
				       .flags = MIRROR_RECORD_FUA };

	serve_pump(m);
	mirror_clients_pump(m);
	mirror_mark_pump(m);
	if (m->state != ENGINE_DEMOTING || m->demote_closing)
		return;
	if (m->now_ns >= m->demote_deadline_ns || m->failed) {
		end_unclean(m);
		return;
	}
	mirror_engine_wake(m, m->demote_deadline_ns);
	if (m->demote_clean) {
		if (!mirror_superblock_has(m, m->prepare_ticket))
			return;
		tell_heirs(m);
		if (mirror_links_sent_all(m))
			close_clients(m);
		return;
	}
	if (m->pending_count > 0 || m->requests_waiting.head != NULL ||
	    !reads_are_done(m))
		return;
	if (mirror_ack_flushed(&m->ack) >= m->last_sequence)
		mark_clean(m);
	else if (m->records[m->last_sequence % RECORDS_MAX].header.type !=
			 MIRROR_RECORD_FLUSH ||
		 m->last_sequence == m->home_flushed)
		mirror_record_stamp(m, &flush, NULL);
}
