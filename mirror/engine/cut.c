/* engine/cut.c - drop records beyond a cut, or above the hold of a refresh that was cut
 * short; and begin a log anew beyond a leap.
 *
 *   step        what is awaited                             next
 *   quiet       home, log, map and superblock writes        headers
 *   headers     descriptors of what is home beyond the cut  map
 *   map         their extents durable in the own map (D8)   superblock
 *   superblock  the restart durable                         none
 *
 * Records beyond a cut that were at home have changed blocks which the new history knows
 * otherwise. Their extents are set in the map of the own site, durably, before the log
 * forgets them; the refresh sends them again. Above a hold nothing went home (W6), so
 * nothing is set.
 */
#include "mirror/engine/state.h"

static bool is_quiet(const struct mirror_engine *m)
{
	return mirror_home_is_quiet(m) && m->open.log.parts == 0 &&
	       !m->open.log.flushing && m->open.free.flush_covers == 0 &&
	       m->open.bypass.step == BYPASS_NONE && !m->open.headers.reading &&
	       !m->open.writer.busy;
}

/* Keep records up to `keep`. `home`: dropped records may be at home. `adopt`: the history
 * from now on, or NULL to leave it. One cut at a time. */
void mirror_cut_start(struct mirror_engine *m, uint64_t keep, bool home,
		      const struct history *adopt)
{
	assert(m->open.cut.step == CUT_NONE && keep <= m->open.marks.last);
	MIRROR_SET(m, cut.step, CUT_QUIET);
	m->open.cut.keep = keep;
	m->open.cut.next = keep + 1;
	m->open.cut.home = home;
	m->open.cut.history = adopt != NULL ? *adopt : m->open.sb.history;
}

/* W6: a refresh was cut short. A blank copy starts over, from nothing. */
void mirror_cut_to_hold(struct mirror_engine *m, const char *text)
{
	if (m->open.cut.step != CUT_NONE)
		return;
	mirror_engine_event(m, "refresh", "drop-above-hold", "%s: back to sequence %llu",
			    text, (unsigned long long)m->open.sb.hold.sequence);
	mirror_cut_start(m, m->open.sb.hold.sequence, false, NULL);
}

/* Take a record out of every table. */
static void drop_record(struct mirror_engine *m, struct mirror_record *r)
{
	mirror_marks_unplaced(m, &r->header);
	mirror_record_forget(m, r);
}

void mirror_records_drop_unlogged(struct mirror_engine *m, uint64_t keep)
{
	if (keep < m->open.marks.next_to_log)
		keep = m->open.marks.next_to_log - 1;
	if (m->open.marks.last <= keep)
		return;
	while (m->open.marks.last > keep) {
		drop_record(m, mirror_engine_record(m, m->open.marks.last));
		mirror_marks_drop(m);
	}
	mirror_log_dropped(m, m->open.marks.last);
	mirror_marks_any_generation(m);
}

void mirror_record_forget(struct mirror_engine *m, struct mirror_record *r)
{
	if (r->indexed) {
		mirror_index_remove(&m->open.index[r->header.disk], r);
		r->indexed = false;
	}
	if (r->data != NULL) {
		mirror_buffer_unref(m, r->data);
		r->data = NULL;
	}
	r->next = NULL;
	r->part_count = 0;
	r->partly_home = false;
	mirror_record_set_state(r, MIRROR_RECORD_FREE);
}

static void drop_from_table(struct mirror_engine *m)
{
	mirror_home_reset(m);
	MIRROR_SET(m, home.reset_due, false);
	while (m->open.marks.last > m->open.cut.keep &&
	       m->open.marks.last > m->open.marks.home_flushed) {
		struct mirror_record *r = mirror_engine_record(m, m->open.marks.last);

		if (m->open.cut.home && r->header.length_bytes > 0)
			mirror_maps_set(m, m->open.site, r->header.disk,
					r->header.offset_bytes, r->header.length_bytes);
		if (m->open.cut.home)
			mirror_disks_dropped(m, &r->header);
		drop_record(m, r);
		mirror_marks_drop(m);
	}
	mirror_disks_cut(m, m->open.cut.keep);
	mirror_marks_cut(m);
	MIRROR_SET(m, cut.step, CUT_HEADERS);
}

/* Did that site have all that was freed? Then its map need not stand for any of it. */
static bool had_freed(const struct mirror_engine *m, uint32_t site, uint64_t oldest)
{
	return m->open.peer[site].proven_durable + 1 >= oldest;
}

static bool map_has_freed(const struct mirror_engine *m, uint32_t site, uint64_t oldest)
{
	const struct mirror_superblock_site *s = &m->open.sb.sites[site];

	return s->map_state == MIRROR_MAP_VALID && s->map_position + 1 >= oldest;
}

/* Records that were freed from the log went into the maps of the sites that lacked them (W2).
 * One of these sites has made the cut, and lacked all beyond it. Which one is not known here,
 * and a map may begin later than a site's proof says: after a restart that is an old one. So
 * all these maps are taken. If one of them does not tell, a site has lost data that it was
 * proven to have, or no site was ever proven to have any: then nothing here is known to be
 * right. */
static void mark_freed(struct mirror_engine *m)
{
	const uint64_t oldest = mirror_ring_oldest_sequence(m->open.ring);
	bool all = true, told = false;

	m->open.cut.next = oldest;
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		const uint64_t proven = m->open.peer[s].proven_durable;

		if (s == m->open.site || had_freed(m, s, oldest))
			continue;
		all &= map_has_freed(m, s, oldest);
		told |= proven > 0 && proven <= m->open.cut.keep;
		mirror_maps_merge(m, m->open.site, s);
	}
	if (!all || !told)
		mirror_maps_set_all(m, m->open.site);
}

static void read_headers(struct mirror_engine *m)
{
	if (m->open.headers.reading)
		return;
	if (m->open.cut.home &&
	    m->open.cut.next < mirror_ring_oldest_sequence(m->open.ring))
		mark_freed(m);
	if (!m->open.cut.home || m->open.cut.next > m->open.marks.home_flushed) {
		m->open.cut.ticket = mirror_maps_want(m);
		MIRROR_SET(m, cut.step, CUT_MAP);
		return;
	}
	if (!mirror_headers_read(m, m->open.cut.next, HEADERS_CUT))
		m->open.cut.next++; /* a leap: nothing stands there */
}

void mirror_cut_headers(struct mirror_engine *m, const struct mirror_header *headers,
			uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mirror_header *h = &headers[i];

		if (h->sequence < m->open.cut.next)
			continue;
		m->open.cut.next = h->sequence + 1;
		if (h->length_bytes == 0)
			continue;
		mirror_maps_set(m, m->open.site, h->disk, h->offset_bytes,
				h->length_bytes);
		mirror_marks_unplaced(m, h);
	}
}

/* The marks are at `sequence`, where the log goes on. The state that follows them is set
 * alike. */
static void go_on(struct mirror_engine *m, uint64_t sequence)
{
	m->open.home.next = m->open.marks.home_flushed + 1;
	m->open.log.mark_written = m->open.log.mark_logged = 0;
	mirror_log_dropped(m, 0);
	m->open.home.read_wanted = 0;
	mirror_superblock_proves(m, sequence);
	mirror_store_maps_limit(m, sequence);
	assert(m->open.bypass.step == BYPASS_NONE); /* none began since all was quiet */
}

static void restart(struct mirror_engine *m)
{
	const uint64_t position = mirror_ring_truncate_after(m->open.ring,
							     m->open.cut.keep);

	if (mirror_store_restart(m, position, m->open.cut.keep) != 0) {
		mirror_engine_damage(m, "too many cuts are alive in this log; create it "
					"anew for a full refresh");
		return;
	}
	mirror_marks_restart(m, m->open.cut.keep);
	go_on(m, m->open.cut.keep);
	mirror_marks_any_generation(m);
	mirror_store_history(m, &m->open.cut.history);
	mirror_proven_limit(m);
	mirror_store_hold_ends(m);
	mirror_ring_set_epoch(m->open.ring, m->open.sb.log_epoch);
	m->open.cut.ticket = mirror_superblock_want(m);
	MIRROR_SET(m, cut.step, CUT_SUPERBLOCK);
}

void mirror_cut_pump(struct mirror_engine *m)
{
	if (m->open.failed)
		return;
	if (m->open.cut.step == CUT_QUIET && is_quiet(m))
		drop_from_table(m);
	if (m->open.cut.step == CUT_HEADERS)
		read_headers(m);
	if (m->open.cut.step == CUT_MAP && mirror_maps_have(m, m->open.cut.ticket))
		restart(m);
	if (m->open.cut.step == CUT_SUPERBLOCK &&
	    mirror_superblock_has(m, m->open.cut.ticket)) {
		MIRROR_SET(m, cut.step, CUT_NONE);
		mirror_engine_set_data(m,
				       m->open.sb.blank ? DATA_INCONSISTENT :
				       mirror_map_count(m->open.map, m->open.site) > 0 ?
							  DATA_OUTDATED :
							  DATA_CONSISTENT,
				       "the writelog was cut back");
	}
}

/* ---- leap: the log goes on beyond records that it misses (W6) ------------ */

/* Begin a refresh: everything up to here goes home and is freed first, with the maps
 * standing for it where other sites lack it; then the hold and the leap to the stream's
 * first sequence become durable together. */
void mirror_leap_start(struct mirror_engine *m, const struct mirror_refresh_begin *b)
{
	assert(m->open.leap.step == LEAP_NONE && b->first_sequence > m->open.marks.last);
	MIRROR_SET(m, leap.step, LEAP_HOME);
	m->open.leap.begin = *b;
	m->open.home.wanted = m->open.marks.last;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		m->open.peer[s].refresh.map_to =
			m->open.marks.last; /* engine/free.c: bypass */
}

void mirror_leap_forget(struct mirror_engine *m)
{
	m->open.home.wanted = 0;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		m->open.peer[s].refresh.map_to = 0;
}

static bool leap_is_ready(struct mirror_engine *m)
{
	if (m->open.marks.home_flushed != m->open.marks.last || m->open.log.parts > 0 ||
	    m->open.log.flushing || m->open.bypass.step != BYPASS_NONE)
		return false;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site && mirror_free_covered(m, s) < m->open.marks.last)
			return false;
	if (m->open.free.freed_bytes > 0) {
		m->open.free.freed_bytes = 0;
		mirror_superblock_want(m);
	}
	return mirror_superblock_has(m, m->open.writer.wanted);
}

/* What our log leaps over is at home at production, or its map would not stand for it. */
static void take_leapt_over(struct mirror_engine *m, uint64_t last)
{
	struct engine_peer *p = &m->open.peer[m->link[m->open.copy.stream_link].site];

	if (p->proven_durable < last)
		p->proven_durable = last;
}

static void leap(struct mirror_engine *m)
{
	const uint64_t position = mirror_ring_head_position(m->open.ring);
	const uint64_t first = m->open.leap.begin.first_sequence;
	bool hold;

	mirror_leap_forget(m);
	if (!mirror_hold_may_begin(m, &m->open.leap.begin, &hold)) {
		MIRROR_SET(m, leap.step, LEAP_NONE);
		return;
	}
	mirror_store_hold(m, position, hold);
	if (first == m->open.marks.last + 1) {
		mirror_store_next_epoch(m);
	} else if (mirror_store_restart(m, position, first - 1) != 0) {
		mirror_engine_damage(m, "too many cuts are alive in this log");
		return;
	} else {
		mirror_ring_leap(m->open.ring, first);
		mirror_marks_leap(m, first - 1);
		take_leapt_over(m, first - 1);
		go_on(m, first - 1);
	}
	mirror_ring_set_epoch(m->open.ring, m->open.sb.log_epoch);
	m->open.leap.ticket = mirror_superblock_want(m);
	MIRROR_SET(m, leap.step, LEAP_SUPERBLOCK);
}

/* True when the hold stands and the stream may begin. */
bool mirror_leap_pump(struct mirror_engine *m)
{
	if (m->open.leap.step == LEAP_HOME && leap_is_ready(m))
		leap(m);
	if (m->open.leap.step == LEAP_SUPERBLOCK &&
	    mirror_superblock_has(m, m->open.leap.ticket)) {
		MIRROR_SET(m, leap.step, LEAP_NONE);
		return true;
	}
	return false;
}
