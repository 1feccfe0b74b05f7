/* engine/rights.c - the site that has all promised data, and the site that may be
 * promoted without asking another.
 *
 * A site's log and the maps of the others tell its data, never the generation that it has
 * followed: a copy follows a generation before it has any of it.
 *
 * With members a view says which site is current. Without (`cluster: none`) the logs
 * say it, durably, before anything relies on it:
 *
 *   mark          set when                               cleared when
 *   clean         production was demoted and drained;    it serves, or follows a
 *                   at the copy that was level: when       production
 *                   production says so
 *   handed over   before such a copy is told, and        it serves, or follows a
 *                   before a roll-forward is answered:     production
 *                   the other may be promoted now
 *   current       writes wait for that copy              `disconnect`
 *
 * Where following takes a cut, production's history is durable with the cut, and the marks
 * go with the next superblock. Between the two this site has no right: `clean` names an
 * older generation, and the newest is not its own.
 *
 * So of two sites at most one may be promoted without the other: production where the
 * operator put the other out, or the site that has the clean end, unless it has handed
 * over since (cluster/alone_promote.c).
 */
#include <stdio.h>

#include "mirror/engine/state.h"

/* The log has given records up that the copy needs, and nothing tells their extents: it has
 * lost what it once said it had, or its map does not stand for all of them. */
bool mirror_lost_untracked(const struct mirror_engine *m, uint32_t site, uint64_t needed)
{
	const uint64_t oldest = mirror_ring_oldest_sequence(m->open.ring);

	return needed < oldest && (needed <= m->open.peer[site].proven_durable ||
				   mirror_free_covered(m, site) + 1 < oldest);
}

/* Not blank, nothing of its own unproven, and durable beyond all records that the map
 * stands for: it had all of these, even if the map says that it misses some. */
bool mirror_had_all(const struct mirror_engine *m, uint32_t site,
		    const struct mirror_hello *h)
{
	const struct mirror_superblock_site *s = &m->open.sb.sites[site];

	return !h->blank && h->own_map_extents == 0 && !s->map_due &&
	       h->marks.durable >= s->map_position &&
	       h->next_sequence > s->map_position &&
	       h->next_sequence >= mirror_ring_oldest_sequence(m->open.ring);
}

/* How many extents of `site`, which says `h` of itself, cannot be sent from this log:
 * UINT64_MAX when that is not known. */
static uint64_t missed_extents(const struct mirror_engine *m, uint32_t site,
			       const struct mirror_hello *h)
{
	const uint64_t tracked = mirror_map_count(m->open.map, site) + h->own_map_extents;

	if (h->blank || mirror_lost_untracked(m, site, h->next_sequence))
		return UINT64_MAX;
	if (mirror_had_all(m, site, h))
		return 0;
	if (m->open.sb.sites[site].map_state == MIRROR_MAP_ALL_DIRTY)
		return UINT64_MAX;
	if (tracked == 0 && h->next_sequence < mirror_ring_oldest_sequence(m->open.ring))
		return UINT64_MAX;
	return tracked;
}

bool mirror_is_clean(const struct mirror_engine *m)
{
	const struct generation *g = history_newest(&m->open.sb.history);

	return m->open.sb.clean.set && g != NULL &&
	       uuid_equal(&g->id, &m->open.sb.clean.generation) &&
	       m->open.marks.last == m->open.sb.clean.sequence;
}

/* Our part of a hello to the site at the other end of a link. */
void mirror_rights_hello(const struct mirror_engine *m, uint32_t number,
			 struct mirror_hello *h)
{
	const struct engine_link *l = &m->link[number];

	h->promoting = m->state == ENGINE_PREPARING;
	h->clean = mirror_is_clean(m);
	if (!m->config->cluster && h->ballot < m->open.sb.refusal.ballot)
		h->ballot = m->open.sb.refusal.ballot;
	if (l->site >= m->config->site_count || l->site == m->open.site)
		return;
	h->put_out = m->open.sb.sites[l->site].disconnected;
	if (l->accepted && m->open.map != NULL)
		h->tracked_extents = missed_extents(m, l->site, &l->hello);
}

void mirror_rights_put_out(const struct mirror_engine *m, struct fact *f)
{
	for (uint32_t s = 0; s < m->open.sb.site_count; s++) {
		if (m->open.sb.sites[s].disconnected)
			f->disconnected |= 1ull << s;
		if (m->open.sb.sites[s].bypass)
			f->bypass |= 1ull << s;
	}
}

/* ORDER_PROBE of our own site: as our hello would say. */
void mirror_rights_probe(struct mirror_engine *m)
{
	struct fact *f = mirror_engine_fact(m, FACT_PEER);

	f->order_id = m->open.probe.order_id;
	f->site = m->open.site;
	f->error = m->open.failed ? -EIO : 0;
	snprintf(f->text, sizeof f->text, "%s", m->open.failed_text);
	f->reached = true;
	f->incarnation = m->open.incarnation;
	f->clean = mirror_is_clean(m);
	f->handed_over = m->open.sb.handed_over;
	f->data = m->open.data;
	f->marks = (struct site_marks){ m->open.marks.last, m->open.marks.durable,
					m->open.marks.home_flushed };
	f->lineage = m->open.sb.lineage;
	f->history = m->open.sb.history;
	f->ballot = m->open.serve.view_ballot > m->open.sb.refusal.ballot ?
			    m->open.serve.view_ballot :
			    m->open.sb.refusal.ballot;
	mirror_rights_put_out(m, f);
}

/* ---- roll-forward ---------------------------------------------------------- */

/* Will the copy have all that we have, if writes wait for it from the start? It holds all
 * already; or it was current, so it lacks only records that were never acknowledged, and
 * the log has these. */
static bool is_level(const struct mirror_engine *m, uint32_t site,
		     const struct mirror_hello *h)
{
	return !h->put_out && !m->open.sb.sites[site].disconnected &&
	       missed_extents(m, site, h) == 0 &&
	       (h->next_sequence > m->open.marks.last || m->open.sb.sites[site].current);
}

/* We are a source. A site whose log ours cannot follow is sent nothing: it was told so,
 * and ends the link. */
void mirror_roll_answered(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];

	if (!m->config->cluster && missed_extents(m, l->site, &l->hello) > 0)
		l->send_end = l->next_send - 1;
}

/* A source has welcomed us. False: its log does not hold all the records that it has and
 * we lack. */
bool mirror_roll_welcomed(struct mirror_engine *m, uint32_t number)
{
	const struct engine_link *l = &m->link[number];
	const struct mirror_hello *h = &l->hello;
	static const char refresh[] =
		"its log does not hold all that this site lacks: that takes a refresh";

	if (is_level(m, l->site, h))
		m->open.prepare.level |= 1u << l->site;
	m->open.prepare.roll_end = h->next_sequence - 1;
	if (m->config->cluster || h->tracked_extents == 0)
		return true;
	mirror_prepare_rolled(m, l->site, false, false, refresh);
	mirror_link_close(m, number, refresh);
	return false;
}

/* Is this the end that was promised: all of a log of our generation. (Of an older one
 * only a part may stand: D8.) */
bool mirror_roll_is_whole(const struct mirror_engine *m, uint32_t number,
			  uint64_t sequence)
{
	const struct history *theirs = &m->link[number].hello.history;
	const struct generation *a = history_newest(theirs),
				*b = history_newest(&m->open.prepare.order.history);

	if (sequence != m->open.marks.last)
		return false;
	return a == NULL || b == NULL || !uuid_equal(&a->id, &b->id) ||
	       sequence >= m->open.prepare.roll_end;
}

/* Not refused for good: it is busy, or the line broke. */
void mirror_roll_failed(struct mirror_engine *m, uint32_t site, bool busy,
			const char *text)
{
	if (busy)
		m->open.prepare.busy |= 1u << site;
	mirror_text(m->open.prepare.text, sizeof m->open.prepare.text, "%s: %s",
		    mirror_engine_site_name(m, site), text);
}

/* ---- refusals, without members ------------------------------------------------ */

/* The site to whose promotion the refusal belongs: a ballot names its node. */
static uint32_t promised_site(const struct mirror_engine *m)
{
	const uint64_t node = m->open.sb.refusal.ballot & 0xff;

	return node < m->config->node_count ? (uint32_t)m->config->node[node].site :
					      UINT32_MAX;
}

/* There are no views to lift the refusal. The site that we have promised to follow may
 * come with another generation than the promised one, which then never existed. */
bool mirror_promise_allows(const struct mirror_engine *m, uint32_t site)
{
	return !m->config->cluster && promised_site(m) == site;
}

/* The refusal is that of a promotion of this very site. */
bool mirror_promise_is_own(const struct mirror_engine *m)
{
	return !m->config->cluster && promised_site(m) == m->open.site;
}

/* ... which has come to nothing. */
bool mirror_promise_is_void(const struct mirror_engine *m)
{
	return mirror_promise_is_own(m) &&
	       mirror_history_find(&m->open.sb.history, &m->open.sb.refusal.generation) ==
		       NULL;
}

/* ---- demote ---------------------------------------------------------------- */

/* Linked, and its stream brings it all that it lacks. A refresh goes on only while
 * production serves; at its end the stream alone is awaited. */
static bool is_following(const struct mirror_engine *m, uint32_t site)
{
	const struct engine_peer *p = &m->open.peer[site];

	return p->link != MIRROR_LINK_NONE && m->link[p->link].use == LINK_STREAM_OUT &&
	       m->link[p->link].sending &&
	       (p->refresh.phase == REFRESH_NONE || p->refresh.phase == REFRESH_ENDING);
}

uint32_t mirror_copies_following(const struct mirror_engine *m)
{
	uint32_t sites = 0;

	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site && is_following(m, s))
			sites |= 1u << s;
	return sites;
}

uint32_t mirror_copies_level(const struct mirror_engine *m)
{
	uint32_t sites = mirror_copies_following(m);

	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.peer[s].refresh.phase != REFRESH_NONE ||
		    m->open.peer[s].proven_durable < m->open.marks.last)
			sites &= ~(1u << s);
	return sites;
}

/* The copy that is told of the clean end, as a bit: without members one that has all of
 * it durable, and after that this site does not go on without asking it. */
uint32_t mirror_heir(const struct mirror_engine *m)
{
	const uint32_t level = mirror_copies_level(m);

	return m->config->cluster ? UINT32_MAX : level & -level;
}
