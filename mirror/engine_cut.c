/* engine_cut.c - drop what lies beyond a cut, or above the hold of a refresh
 * that was cut short; and begin a log anew beyond a leap.
 *
 *   step        what is awaited                             next
 *   quiet       home, log, map and superblock writes        headers
 *   headers     descriptors of what is home beyond the cut  map
 *   map         their extents durable in the own map (D8)   superblock
 *   superblock  the restart durable                         none
 *
 * What was at home beyond a cut has changed blocks that the new history knows
 * otherwise: their extents are marked in the map of the own site, durably, before
 * the log forgets them; the refresh sends them again. Above a hold nothing went
 * home (W6), so nothing is marked.
 */
#include "mirror/internal.h"
#include "mirror/parts.h"

static bool is_quiet(const struct mirror_engine *m)
{
	return mirror_home_is_quiet(m) && m->log_parts == 0 && !m->log_flushing &&
	       m->disk_flush_covers == 0 && m->bypass_step == BYPASS_NONE &&
	       !m->headers_reading && !m->sb_busy;
}

/* Keep what is up to `keep`. `home`: what goes may be at home. `adopt`: the
 * history from now on, or NULL to leave it. One cut at a time. */
void mirror_cut_start(struct mirror_engine *m, uint64_t keep, bool home,
		      const struct history *adopt)
{
	assert(m->cut_step == CUT_NONE && keep <= m->last_sequence);
	m->cut_step = CUT_QUIET;
	m->cut_keep = keep;
	m->cut_next = keep + 1;
	m->cut_home = home;
	m->cut_history = adopt != NULL ? *adopt : m->sb.history;
}

/* W6: a refresh was cut short. A blank copy starts over, from nothing. */
void mirror_cut_to_hold(struct mirror_engine *m, const char *text)
{
	if (m->cut_step != CUT_NONE)
		return;
	mirror_engine_event(m, "refresh", "drop-above-hold", "%s: back to sequence %llu",
			    text, (unsigned long long)m->sb.hold.sequence);
	mirror_cut_start(m, m->sb.hold.sequence, false, NULL);
}

/* Take a record out of every table. */
static void drop_record(struct mirror_engine *m, struct mirror_record *r)
{
	const struct mirror_header *h = &r->header;

	if (h->type != MIRROR_RECORD_FLUSH &&
	    m->disk_sequence[h->disk] >= h->disk_sequence)
		m->disk_sequence[h->disk] = h->disk_sequence - 1;
	mirror_record_forget(m, r);
}

/* What a link has brought, and no log write has begun for: it was never confirmed.
 * So a log without room cannot keep the next link waiting. */
void mirror_records_drop_unlogged(struct mirror_engine *m)
{
	if (m->last_sequence < m->next_to_log)
		return;
	while (m->last_sequence >= m->next_to_log) {
		drop_record(m, mirror_engine_record(m, m->last_sequence));
		m->last_sequence--;
	}
	m->last_generation = 0; /* the next record may be of any */
	m->last_group = 0;
}

void mirror_record_forget(struct mirror_engine *m, struct mirror_record *r)
{
	if (r->indexed) {
		mirror_index_remove(&m->index[r->header.disk], r);
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
	m->home_reset_due = false;
	while (m->last_sequence > m->cut_keep && m->last_sequence > m->home_flushed) {
		struct mirror_record *r = mirror_engine_record(m, m->last_sequence);

		if (m->cut_home && r->header.length_bytes > 0)
			mirror_maps_set(m, m->site, r->header.disk,
					r->header.offset_bytes, r->header.length_bytes);
		if (m->cut_home)
			mirror_evidence_touch(&m->sb.evidence, &r->header);
		drop_record(m, r);
		m->last_sequence--;
	}
	mirror_evidence_cut(&m->sb.evidence, m->cut_keep);
	m->next_to_log = m->last_sequence + 1;
	if (m->logged > m->last_sequence)
		m->logged = m->last_sequence;
	if (m->durable > m->last_sequence)
		m->durable = m->last_sequence;
	if (m->home_done > m->last_sequence)
		m->home_done = m->last_sequence;
	m->cut_step = CUT_HEADERS;
}

/* Does the map of `site` know every extent that was freed beyond the cut? It does
 * when it has stood for all that was freed since the site's proven mark, and that is
 * no later than the cut. */
static bool map_knows_freed(const struct mirror_engine *m, uint32_t site, uint64_t oldest)
{
	const struct mirror_superblock_site *s = &m->sb.sites[site];

	return s->map_state == MIRROR_MAP_VALID && s->map_position + 1 >= oldest &&
	       m->peer[site].proven_durable > 0 &&
	       m->peer[site].proven_durable <= m->cut_keep;
}

/* What was freed from the log went into the maps of the sites that lacked it: one
 * of them knows. Else a site has lost what it was proven to have, or none was ever
 * proven to have anything: nothing here is known to be right. */
static void mark_freed(struct mirror_engine *m)
{
	const uint64_t oldest = mirror_ring_oldest_sequence(m->ring);

	m->cut_next = oldest;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->site && map_knows_freed(m, s, oldest)) {
			mirror_maps_merge(m, m->site, s);
			return;
		}
	mirror_maps_set_all(m, m->site);
}

static void read_headers(struct mirror_engine *m)
{
	if (m->headers_reading)
		return;
	if (m->cut_home && m->cut_next < mirror_ring_oldest_sequence(m->ring))
		mark_freed(m);
	if (!m->cut_home || m->cut_next > m->home_flushed) {
		m->cut_ticket = mirror_maps_want(m);
		m->cut_step = CUT_MAP;
		return;
	}
	if (!mirror_headers_read(m, m->cut_next, HEADERS_CUT))
		m->cut_next++; /* a leap: nothing stands there */
}

void mirror_cut_headers(struct mirror_engine *m, const struct mirror_header *headers,
			uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mirror_header *h = &headers[i];

		if (h->sequence < m->cut_next)
			continue;
		m->cut_next = h->sequence + 1;
		if (h->length_bytes == 0)
			continue;
		mirror_maps_set(m, m->site, h->disk, h->offset_bytes, h->length_bytes);
		if (m->disk_sequence[h->disk] >= h->disk_sequence)
			m->disk_sequence[h->disk] = h->disk_sequence - 1;
	}
}

static void set_sequence(struct mirror_engine *m, uint64_t sequence)
{
	m->last_sequence = sequence;
	m->next_to_log = sequence + 1;
	m->logged = sequence;
	m->durable = m->durable < sequence ? m->durable : sequence;
	m->home_flushed = m->home_flushed < sequence ? m->home_flushed : sequence;
	m->home_done = m->home_flushed;
	m->home_next = m->home_flushed + 1;
	m->mark_written = m->mark_logged = 0;
	m->proven = m->proven < sequence ? m->proven : sequence;
	m->sb_proves = m->sb_proves < sequence ? m->sb_proves : sequence;
	mirror_maps_limit(m, sequence);
	assert(m->bypass_step == BYPASS_NONE); /* none began since all was quiet */
}

static void restart(struct mirror_engine *m)
{
	const uint64_t position = mirror_ring_truncate_after(m->ring, m->cut_keep);

	if (mirror_superblock_restart(&m->sb, position, m->cut_keep) != 0) {
		mirror_engine_damage(m, "too many cuts are alive in this log; create it "
					"anew for a full refresh");
		return;
	}
	set_sequence(m, m->cut_keep);
	m->last_generation = 0; /* the next record may be of any */
	m->last_group = 0;
	m->sb.history = m->cut_history;
	mirror_proven_limit(m);
	m->sb.hold.active = false;
	m->sb.refresh.kind = MIRROR_REFRESH_NONE;
	mirror_ring_set_epoch(m->ring, m->sb.log_epoch);
	m->cut_ticket = mirror_superblock_want(m);
	m->cut_step = CUT_SUPERBLOCK;
}

void mirror_cut_pump(struct mirror_engine *m)
{
	if (m->failed)
		return;
	if (m->cut_step == CUT_QUIET && is_quiet(m))
		drop_from_table(m);
	if (m->cut_step == CUT_HEADERS)
		read_headers(m);
	if (m->cut_step == CUT_MAP && mirror_maps_have(m, m->cut_ticket))
		restart(m);
	if (m->cut_step == CUT_SUPERBLOCK && mirror_superblock_has(m, m->cut_ticket)) {
		m->cut_step = CUT_NONE;
		mirror_engine_set_data(m,
				       m->sb.blank ? DATA_INCONSISTENT :
				       mirror_map_count(m->map, m->site) > 0 ?
						     DATA_OUTDATED :
						     DATA_CONSISTENT,
				       "the writelog was cut back");
	}
}

/* ---- leap: the log goes on beyond what it misses (W6) -------------------- */

/* Begin a refresh: everything up to here goes home and is freed first, with the maps
 * standing for it where other sites lack it; then the hold and the leap to the stream's
 * first sequence become durable together. */
void mirror_leap_start(struct mirror_engine *m, const struct mirror_refresh_begin *b)
{
	assert(m->leap_step == LEAP_NONE && b->first_sequence > m->last_sequence);
	m->leap_step = LEAP_HOME;
	m->leap_begin = *b;
	m->home_wanted = m->last_sequence;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		m->peer[s].map_to = m->last_sequence; /* engine_free.c: bypass */
}

void mirror_leap_forget(struct mirror_engine *m)
{
	m->home_wanted = 0;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		m->peer[s].map_to = 0;
}

static bool leap_is_ready(struct mirror_engine *m)
{
	if (m->home_flushed != m->last_sequence || m->log_parts > 0 || m->log_flushing ||
	    m->bypass_step != BYPASS_NONE)
		return false;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->site && mirror_free_covered(m, s) < m->last_sequence)
			return false;
	if (m->freed_bytes > 0) {
		m->freed_bytes = 0;
		mirror_superblock_want(m);
	}
	return mirror_superblock_has(m, m->sb_wanted);
}

static void leap(struct mirror_engine *m)
{
	const uint64_t position = mirror_ring_head_position(m->ring);
	const uint64_t first = m->leap_begin.first_sequence;
	bool hold;

	mirror_leap_forget(m);
	if (!mirror_copy_may_begin(m, &m->leap_begin, &hold)) {
		m->leap_step = LEAP_NONE;
		return;
	}
	m->sb.hold.active = true;
	m->sb.hold.generation = m->last_generation;
	m->sb.hold.sequence = m->last_sequence;
	m->sb.hold.position = position;
	m->sb.refresh.kind = hold ? MIRROR_REFRESH_HELD : MIRROR_REFRESH_BLANK;
	if (!hold) {
		m->sb.blank = true;
		mirror_evidence_forget_samples(&m->sb.evidence);
	}
	m->sb.refresh.source = history_newest(&m->sb.history)->id;
	m->sb.log_epoch++;
	if (first > m->last_sequence + 1) {
		m->sb.log_epoch--;
		if (mirror_superblock_restart(&m->sb, position, first - 1) != 0) {
			mirror_engine_damage(m, "too many cuts are alive in this log");
			return;
		}
		mirror_ring_leap(m->ring, first);
		m->home_flushed = first - 1;
		m->durable = first - 1;
		set_sequence(m, first - 1);
	}
	mirror_ring_set_epoch(m->ring, m->sb.log_epoch);
	m->leap_ticket = mirror_superblock_want(m);
	m->leap_step = LEAP_SUPERBLOCK;
}

/* True when the hold stands and the stream may begin. */
bool mirror_leap_pump(struct mirror_engine *m)
{
	if (m->leap_step == LEAP_HOME && leap_is_ready(m))
		leap(m);
	if (m->leap_step == LEAP_SUPERBLOCK && mirror_superblock_has(m, m->leap_ticket)) {
		m->leap_step = LEAP_NONE;
		return true;
	}
	return false;
}
