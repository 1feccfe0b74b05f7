/* engine/outrun.c - async: clients wait for no copy, and for no refresh (M6, M7).
 *
 *   the copy                    is outrun when                        then
 *   takes the stream            the log is full, and a quarter of     bypass: its link ends, and
 *                                 it is kept for this copy              the map takes over
 *   is to be refreshed          the refresh cannot begin for          it is cut short at its
 *                                 START_NS                              hold, and the map stands
 *   is refreshed                clients wrote more than its hold      the same
 *                                 has room for, or as above
 *
 * The stream ends first: then the copy is like one that is away, and engine/free.c lets its map
 * take over. It links again, and its refresh waits for refresh-retry, twice as long each time
 * in a row, an hour at most. A copy that was level for as long as it last waited begins anew.
 * An operator's `refresh` begins one at once; with `--pace` clients wait for it, until it ends
 * or its link does. One that links while the log is still full of what it lacks is not sent
 * that, but refreshed: a link that ends at once would only disturb the map that takes over.
 *
 * A copy that some view counts, in effect or not, is waited for, and so is never outrun here:
 * it has to leave the current set first (D3).
 */
#include "mirror/engine/state.h"

#define FULL_PARTS 4u                 /* kept for one copy: a quarter of the log */
#define START_NS (10000 * NS_PER_MS)  /* for its map to stand, and the rest to fit */
#define RETRY_MS_MAX (3600ull * 1000) /* an hour */
#define DOUBLED_MAX 20u               /* more than enough for that */

bool mirror_outrun_may(const struct mirror_engine *m, uint32_t site)
{
	return m->open.requests.ack.promise.mode == CONFIG_ASYNC &&
	       !mirror_ack_waits_for(&m->open.requests.ack, site) &&
	       !m->open.peer[site].outrun.paced;
}

static uint64_t retry_ns(const struct mirror_engine *m, uint32_t count)
{
	const uint32_t doubled = count > DOUBLED_MAX ? DOUBLED_MAX : count;
	uint64_t ms = (uint64_t)m->config->refresh_retry_ms;

	if (count == 0)
		return 0;
	ms <<= doubled - 1;
	return (ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX) * NS_PER_MS;
}

bool mirror_outrun_allows(struct mirror_engine *m, uint32_t site)
{
	if (mirror_outrun_left_ms(m, site) == 0)
		return true;
	mirror_engine_wake(m, m->open.peer[site].outrun.again_ns);
	return false;
}

uint64_t mirror_outrun_left_ms(const struct mirror_engine *m, uint32_t site)
{
	const uint64_t again_ns = m->open.peer[site].outrun.again_ns;

	return mirror_outrun_may(m, site) && m->now_ns < again_ns ?
		       (again_ns - m->now_ns + NS_PER_MS - 1) / NS_PER_MS :
		       0;
}

static void count_one(struct mirror_engine *m, uint32_t site)
{
	struct engine_outrun *o = &m->open.peer[site].outrun;

	if (o->level_ns != 0 && m->now_ns >= o->level_ns + retry_ns(m, o->count))
		o->count = 0;
	o->count++;
	o->level_ns = 0;
	o->bypass = true;
	o->again_ns = m->now_ns + retry_ns(m, o->count);
}

void mirror_outrun_cut(struct mirror_engine *m, uint32_t site, const char *text)
{
	count_one(m, site);
	mirror_engine_event(m, mirror_engine_site_name(m, site), "outrun",
			    "%s: its refresh begins in %llu s, or by `hamirror refresh "
			    "%s %s`",
			    text,
			    (unsigned long long)mirror_outrun_left_ms(m, site) / 1000,
			    m->config->instance, mirror_engine_site_name(m, site));
	mirror_link_close(m, m->open.peer[site].link, text);
}

void mirror_outrun_begins(struct mirror_engine *m, uint32_t site, bool refresh)
{
	m->open.peer[site].outrun.bypass &= refresh;
}

void mirror_outrun_level(struct mirror_engine *m, uint32_t site)
{
	m->open.peer[site].outrun.level_ns = m->now_ns;
}

void mirror_outrun_refreshed(struct mirror_engine *m, uint32_t site)
{
	m->open.peer[site].outrun.bypass = false;
	m->open.peer[site].outrun.paced = false;
}

void mirror_outrun_forgive(struct mirror_engine *m, uint32_t site, bool pace)
{
	struct engine_outrun *o = &m->open.peer[site].outrun;

	o->again_ns = 0;
	o->count = 0;
	o->paced |= pace && m->open.peer[site].refresh.phase != REFRESH_NONE;
}

void mirror_outrun_serve(struct mirror_engine *m, uint32_t site)
{
	m->open.peer[site].outrun = (struct engine_outrun){ 0 };
}

/* ---- is it outrun? --------------------------------------------------------- */

/* More than its hold has room for? Then the copy gives the refresh up itself. */
static bool has_no_room(const struct engine_peer *p)
{
	return p->pace.spent_bytes > p->pace.hold_bytes ||
	       p->pace.spent_records > p->pace.room_records;
}

void mirror_outrun_lost(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	if (p->refresh.phase >= REFRESH_COPYING && p->refresh.phase <= REFRESH_ENDING &&
	    p->held && m->now_ns >= p->outrun.again_ns && mirror_outrun_may(m, site) &&
	    has_no_room(p))
		count_one(m, site);
	p->outrun.level_ns = 0;
	p->outrun.paced = false;
}

/* The bytes of the log from `sequence` on that nothing else keeps. */
static uint64_t kept_bytes(const struct mirror_engine *m, uint64_t sequence)
{
	const uint64_t end = m->open.marks.home_flushed + 1;
	struct mirror_ring_entry from, to;

	if (sequence >= end || mirror_ring_find(m->open.ring, sequence, &from) != 0)
		return 0;
	return (mirror_ring_find(m->open.ring, end, &to) == 0 ?
			to.position :
			mirror_ring_head_position(m->open.ring)) -
	       from.position;
}

bool mirror_outrun_meets(const struct mirror_engine *m, uint32_t site, uint64_t durable)
{
	return mirror_outrun_may(m, site) && mirror_log_is_short(m) &&
	       m->open.sb.sites[site].map_state != MIRROR_MAP_ALL_DIRTY &&
	       kept_bytes(m, durable + 1) >= mirror_ring_bytes(m->open.ring) / FULL_PARTS;
}

/* The log is full, and would be much emptier without this copy. */
static bool fills_log(const struct mirror_engine *m, uint32_t site)
{
	const struct engine_peer *p = &m->open.peer[site];
	const bool held = p->held || p->refresh.phase == REFRESH_ASKED;

	return mirror_log_is_short(m) &&
	       kept_bytes(m, held ? m->link[p->link].next_send :
				    mirror_free_covered(m, site) + 1) >=
		       mirror_ring_bytes(m->open.ring) / FULL_PARTS;
}

static void look(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	switch (p->refresh.phase) {
	case REFRESH_NONE:
	case REFRESH_ENDING:
	case REFRESH_ASKED:
		if (fills_log(m, site))
			mirror_outrun_cut(m, site,
					  "the writelog is full of what it lacks: "
					  "bypass, its map takes over");
		break;
	case REFRESH_COPYING:
		if (fills_log(m, site) || (!p->refresh.all_read && has_no_room(p)))
			mirror_outrun_cut(m, site,
					  "clients write more than its refresh can take "
					  "in: it is cut short");
		break;
	case REFRESH_MAPPING:
		if (!mirror_outrun_allows(m, site))
			break;
		if (m->now_ns >= p->refresh.mapping_ns + START_NS)
			mirror_outrun_cut(m, site,
					  "clients write so much that its refresh does "
					  "not begin");
		else
			mirror_engine_wake(m, p->refresh.mapping_ns + START_NS);
		break;
	case REFRESH_REFUSED:
		break;
	}
}

void mirror_outrun_pump(struct mirror_engine *m)
{
	if (m->open.failed || m->state != ENGINE_SERVING)
		return;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.peer[s].link != MIRROR_LINK_NONE &&
		    m->link[m->open.peer[s].link].use == LINK_STREAM_OUT &&
		    mirror_outrun_may(m, s))
			look(m, s);
}
