/* engine/free.c - flush records that are at home, and give their log back.
 *
 * W2: a record is freed after its blocks are at home, flushed, here, and for
 * each other site that site's durable mark covers it or this log's map stands
 * for its extents. Maps take over only above `bypass-at` or by command, for a site that is
 * not being served by a link; see bypass below. Freed room is used only after a
 * superblock whose tail lies beyond it is durable (ring.h).
 */
#include "mirror/engine/state.h"

#define BYPASS_ROUND_MAX 256u /* descriptors read before a round is stored */
#define HINT_BYTES_MIN                                                                   \
	(1u << 20) /* logged, and then the superblock's home mark is written ... */
#define HINT_BYTES_MAX (16u << 20)       /* ... so that a start has no more to check */
#define FLUSH_PARTS 16u                  /* of the log: so much home is worth a flush */
#define NEVER_WAIT_PERCENT 95u           /* above it a slow link is not waited for */
#define TELL_NS (60000 * NS_PER_MS)      /* an event of the same, again */
#define BY_COMMAND_NS (1000 * NS_PER_MS) /* rounds by command, while the log has room */

/* ---- disks --------------------------------------------------------------- */

/* No other site keeps the log. */
static bool flush_gives_room(const struct mirror_engine *m)
{
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site &&
		    mirror_free_covered(m, s) <= m->open.marks.home_flushed)
			return false;
	return true;
}

/* The log wants room. It may be half used for long by records that wait for another site, and
 * writes stand still beside a flush. */
static bool log_wants_flush(const struct mirror_engine *m)
{
	return m->open.log.full ||
	       (mirror_ring_used_percent(m->open.ring) > 50 &&
		(flush_gives_room(m) ||
		 m->open.free.home_bytes >=
			 mirror_ring_bytes(m->open.ring) / FLUSH_PARTS));
}

static bool disk_flush_is_due(const struct mirror_engine *m)
{
	if (m->open.marks.home == m->open.marks.home_flushed)
		return false;
	return m->now_ns >= m->open.free.dirty_since_ns + HOME_FLUSH_NS ||
	       m->open.marks.home - m->open.marks.home_flushed > RECORDS_MAX / 4 ||
	       m->open.home.wanted > m->open.marks.home_flushed || log_wants_flush(m);
}

static void disks_flushed(struct mirror_engine *m)
{
	while (m->open.marks.home_flushed < m->open.free.flush_covers) {
		struct mirror_record *r = mirror_engine_record(
			m, m->open.marks.home_flushed + 1);

		mirror_lag_note(m, &r->header);
		mirror_disks_homed(m, r);
		mirror_record_set_state(r, MIRROR_RECORD_FREE);
		mirror_marks_home_flushed(m);
	}
	m->open.free.flush_covers = 0;
}

static void flush_disks(struct mirror_engine *m)
{
	m->open.free.flush_covers = m->open.marks.home;
	m->open.free.dirty_since_ns = m->open.free.home_bytes = 0;
	for (uint32_t i = 0; i < m->open.disk_count; i++) {
		if (!m->open.free.disk_dirty[i])
			continue;
		m->open.free.disk_dirty[i] = false;
		mirror_engine_flush(m, &m->open.free.flush_io[i], i, IO_DISK_FLUSH);
		m->open.free.flushes_running++;
		m->open.counters.disk_flushes++;
	}
	if (m->open.free.flushes_running == 0)
		disks_flushed(m);
}

void mirror_free_io(struct mirror_engine *m, struct mirror_io *io)
{
	m->open.free.flushes_running--;
	if (io->result < 0)
		mirror_engine_fail(m, io->device, io->result, "flushing");
	if (m->open.free.flushes_running == 0 && !m->open.failed)
		disks_flushed(m);
}

static void pump_disks(struct mirror_engine *m)
{
	while (m->open.marks.home < m->open.marks.last &&
	       mirror_engine_record(m, m->open.marks.home + 1)->state ==
		       MIRROR_RECORD_HOME) {
		mirror_marks_home(m);
		m->open.free.home_bytes += mirror_data_padded_bytes(
			mirror_engine_record(m, m->open.marks.home)->header.data_bytes);
	}
	if (m->open.free.flush_covers != 0 ||
	    m->open.marks.home == m->open.marks.home_flushed)
		return;
	if (m->open.free.dirty_since_ns == 0)
		m->open.free.dirty_since_ns = m->now_ns; /* flush marks only */
	if (disk_flush_is_due(m))
		flush_disks(m);
	else
		mirror_engine_wake(m, m->open.free.dirty_since_ns + HOME_FLUSH_NS);
}

/* ---- the log ------------------------------------------------------------- */

/* All records up to here need not be kept for `site`. */
uint64_t mirror_free_covered(const struct mirror_engine *m, uint32_t site)
{
	const struct mirror_superblock_site *s = &m->open.sb.sites[site];
	const struct engine_peer *p = &m->open.peer[site];

	if (s->map_state == MIRROR_MAP_ALL_DIRTY)
		return UINT64_MAX;
	return p->proven_durable > s->map_position ? p->proven_durable : s->map_position;
}

/* Linked, and its stream has not begun, or waits for the operator's consent. */
static bool stands_still(const struct mirror_engine *m, uint32_t site)
{
	return m->open.peer[site].refresh.phase == REFRESH_MAPPING ||
	       m->open.peer[site].refresh.phase == REFRESH_REFUSED;
}

/* Does the log wait for this linked copy? It does while clients wait for the copy, or
 * while the copy takes the records that it is sent; in async until engine/outrun.c ends its
 * stream. A link that only opens, greets or sends heartbeats does not count. */
static bool is_waited_out(const struct mirror_engine *m, uint32_t site)
{
	return mirror_ack_waits_for(&m->open.requests.ack, site) ||
	       mirror_trust_flows(m, site);
}

static uint64_t covered(struct mirror_engine *m)
{
	uint64_t all = m->open.marks.home_flushed;

	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site && mirror_free_covered(m, s) < all)
			all = mirror_free_covered(m, s);
	if (mirror_ring_used_percent(m->open.ring) > NEVER_WAIT_PERCENT)
		return all;
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (((m->link[i].use == LINK_STREAM_OUT &&
		      !stands_still(m, m->link[i].site) &&
		      is_waited_out(m, m->link[i].site)) ||
		     m->link[i].use == LINK_ROLL_OUT) &&
		    m->link[i].next_send <= all)
			all = m->link[i].next_send - 1;
	return all;
}

/* Much has been logged since the superblock told how far records are home. It is written
 * with the tail too, but the tail does not move while the log is kept for a site that is
 * away. */
static bool hint_is_due(const struct mirror_engine *m)
{
	uint64_t bytes = mirror_ring_bytes(m->open.ring) / 64;

	if (bytes < HINT_BYTES_MIN)
		bytes = HINT_BYTES_MIN;
	if (bytes > HINT_BYTES_MAX)
		bytes = HINT_BYTES_MAX;
	return !m->open.writer.busy &&
	       m->open.marks.home_flushed > m->open.sb.home.sequence &&
	       mirror_ring_head_position(m->open.ring) >=
		       m->open.sb.head_position + bytes;
}

static void pump_ring(struct mirror_engine *m)
{
	uint64_t freed;

	if (m->open.sb.hold.active && !m->open.sb.blank)
		return;
	freed = mirror_ring_free_to(m->open.ring, covered(m));
	m->open.free.freed_bytes += freed;
	if (m->open.free.freed_bytes >= mirror_ring_bytes(m->open.ring) / 16 ||
	    (m->open.free.freed_bytes > 0 &&
	     mirror_ring_used_percent(m->open.ring) > 50 && !m->open.writer.busy) ||
	    hint_is_due(m)) {
		m->open.free.freed_bytes = 0;
		mirror_superblock_want(m);
	}
}

/* ---- bypass: maps take over ---------------------------------------------- */

void mirror_bypass_order(struct mirror_engine *m, uint32_t sites)
{
	if ((sites & ~m->open.bypass.by_command) != 0)
		m->open.bypass.again_ns = 0;
	m->open.bypass.by_command = sites;
}

static bool site_is_behind(const struct mirror_engine *m, uint32_t site)
{
	/* The log waits for a linked copy while it makes progress, or until it is put
	 * out, unless a refresh holds it: its records count only at the end. A copy does
	 * not wait for production, whose marks come down a line that waits for this very
	 * log. While clients wait for a copy, it may be promoted without a force (M6). */
	return site != m->open.site &&
	       mirror_free_covered(m, site) < m->open.marks.home_flushed &&
	       (m->state == ENGINE_IDLE ||
		(!m->open.peer[site].waited &&
		 (m->open.peer[site].link == MIRROR_LINK_NONE ||
		  m->open.peer[site].held || stands_still(m, site) ||
		  !is_waited_out(m, site))));
}

bool mirror_log_is_short(const struct mirror_engine *m)
{
	return mirror_ring_used_percent(m->open.ring) >= m->config->bypass_at_percent ||
	       (m->open.log.full && m->open.marks.next_to_log <= m->open.marks.last);
}

/* By command, and its stream has ended. */
static bool is_bypassed(const struct mirror_engine *m, uint32_t site)
{
	return (m->open.bypass.by_command >> site & 1) != 0 &&
	       m->state == ENGINE_SERVING && m->open.peer[site].link == MIRROR_LINK_NONE;
}

/* Bit per site for which a map is to take over now. */
static uint32_t bypass_due(struct mirror_engine *m)
{
	const bool full = mirror_log_is_short(m);
	uint32_t sites = 0;

	if ((m->open.sb.hold.active && !m->open.sb.blank) || m->open.cut.step != CUT_NONE)
		return 0;
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		if (!site_is_behind(m, s))
			continue;
		if (full || mirror_free_covered(m, s) < m->open.peer[s].refresh.map_to)
			sites |= 1u << s;
		else if (is_bypassed(m, s) && m->now_ns >= m->open.bypass.again_ns)
			sites |= 1u << s;
		else if (is_bypassed(m, s))
			mirror_engine_wake(m, m->open.bypass.again_ns);
	}
	return sites;
}

static void bypass_store(struct mirror_engine *m)
{
	MIRROR_SET(m, bypass.step, BYPASS_MAP);
	m->open.bypass.ticket = mirror_maps_want(m);
}

/* Read the descriptor that holds bypass.next; engine/maps.c hands its headers to
 * mirror_bypass_headers(). */
static void bypass_read(struct mirror_engine *m)
{
	if (m->open.headers.reading)
		return;
	if (m->open.bypass.round == BYPASS_ROUND_MAX ||
	    m->open.bypass.next > m->open.marks.home_flushed ||
	    !mirror_headers_read(m, m->open.bypass.next, HEADERS_BYPASS))
		bypass_store(m);
}

void mirror_bypass_headers(struct mirror_engine *m, const struct mirror_header *headers,
			   uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mirror_header *h = &headers[i];

		if (h->sequence < m->open.bypass.next ||
		    h->sequence > m->open.marks.home_flushed)
			continue;
		m->open.bypass.next = h->sequence + 1;
		for (uint32_t s = 0; s < m->config->site_count; s++)
			if ((m->open.bypass.sites >> s & 1) != 0 && h->length_bytes > 0)
				mirror_maps_set(m, s, h->disk, h->offset_bytes,
						h->length_bytes);
	}
	m->open.bypass.round++;
}

/* A record that this copy misses is damaged in the log, and at home here: nobody needed it
 * whole when the log was opened. The copy gets the whole content of the disks. */
void mirror_free_damaged(struct mirror_engine *m, uint32_t site)
{
	mirror_store_map_all(m, site);
	mirror_superblock_want(m);
	mirror_engine_event(m, mirror_engine_site_name(m, site), "damaged-for-copy",
			    "a record that it misses is damaged in this log, and at home "
			    "here: it is refreshed in full");
}

/* The log no longer tells where records lie that a map takes over. */
void mirror_bypass_damaged(struct mirror_engine *m)
{
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if ((m->open.bypass.sites >> s & 1) != 0)
			mirror_free_damaged(m, s);
	m->open.bypass.next = m->open.marks.home_flushed + 1;
}

/* From the first record on that one of the maps does not stand for. */
static uint64_t bypass_first(const struct mirror_engine *m, uint32_t sites)
{
	const uint64_t oldest = mirror_ring_oldest_sequence(m->open.ring);
	uint64_t first = UINT64_MAX;

	for (uint32_t s = 0; s < m->config->site_count; s++)
		if ((sites >> s & 1) != 0 && m->open.sb.sites[s].map_position < first)
			first = m->open.sb.sites[s].map_position + 1;
	return first > oldest ? first : oldest;
}

/* A copy may follow for a moment, again and again: once a minute is enough. */
static void tell_bypass(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	if (p->bypass_told_ns != 0 && m->now_ns < p->bypass_told_ns + TELL_NS)
		return;
	p->bypass_told_ns = m->now_ns;
	if (is_bypassed(m, site))
		mirror_engine_event(m, mirror_engine_site_name(m, site), "bypass",
				    "by command: the tracking map takes over");
	else
		mirror_engine_event(m, mirror_engine_site_name(m, site), "bypass",
				    "the log is %u%% full: the tracking map takes over",
				    mirror_ring_used_percent(m->open.ring));
}

static void bypass_begin(struct mirror_engine *m, uint32_t sites)
{
	MIRROR_SET(m, bypass.step, BYPASS_HEADERS);
	m->open.bypass.next = bypass_first(m, sites);
	m->open.bypass.round = 0;
	m->open.bypass.sites = sites;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if ((sites >> s & 1) != 0 && m->open.sb.sites[s].map_position == 0)
			tell_bypass(m, s);
}

static void bypass_end(struct mirror_engine *m)
{
	MIRROR_SET(m, bypass.step, BYPASS_NONE);
	/* one that was full is followed by another at once */
	if (m->open.bypass.round < BYPASS_ROUND_MAX)
		m->open.bypass.again_ns = m->now_ns + BY_COMMAND_NS;
}

static void pump_bypass(struct mirror_engine *m)
{
	uint32_t due;

	switch (m->open.bypass.step) {
	case BYPASS_NONE:
		due = bypass_due(m);
		if (due != 0)
			bypass_begin(m, due);
		break;
	case BYPASS_HEADERS:
		bypass_read(m);
		break;
	case BYPASS_MAP:
		if (!mirror_maps_have(m, m->open.bypass.ticket))
			break;
		for (uint32_t s = 0; s < m->config->site_count; s++)
			if ((m->open.bypass.sites >> s & 1) != 0)
				mirror_store_map_position(m, s, m->open.bypass.next - 1);
		m->open.bypass.ticket = mirror_superblock_want(m);
		MIRROR_SET(m, bypass.step, BYPASS_SUPERBLOCK);
		break;
	case BYPASS_SUPERBLOCK:
		if (mirror_superblock_has(m, m->open.bypass.ticket))
			bypass_end(m);
		break;
	}
}

void mirror_free_pump(struct mirror_engine *m)
{
	if (m->open.failed || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING ||
	    m->open.cut.step > CUT_QUIET || m->open.leap.step == LEAP_SUPERBLOCK)
		return;
	pump_disks(m);
	pump_ring(m);
	pump_bypass(m);
}
