/* engine_free.c - what is at home is flushed there, and the log given back.
 *
 * W2: a record is freed after its blocks are at home, flushed, here, and for
 * each other site that site's durable mark covers it or this log's map stands
 * for its extents. Maps take over only above `bypass-at`, for a site that is not
 * being served by a link; see bypass below. Freed room is used only after a
 * superblock whose tail lies beyond it is durable (ring.h).
 */
#include "mirror/internal.h"
#include "mirror/parts.h"

#define BYPASS_ROUND_MAX 256u /* descriptors read before a round is stored */
#define HINT_BYTES_MIN                                                                   \
	(1u << 20) /* logged, and then the superblock says what is home ... */
#define HINT_BYTES_MAX (16u << 20) /* ... so that a start has no more to check */
#define NEVER_WAIT_PERCENT 95u     /* above it a slow link is not waited for */

/* ---- disks --------------------------------------------------------------- */

static bool disk_flush_is_due(const struct mirror_engine *m)
{
	if (m->home_done == m->home_flushed)
		return false;
	return m->now_ns >= m->disks_dirty_since_ns + HOME_FLUSH_NS ||
	       m->home_done - m->home_flushed > RECORDS_MAX / 4 ||
	       m->home_wanted > m->home_flushed || mirror_ring_used_percent(m->ring) > 50;
}

static void disks_flushed(struct mirror_engine *m)
{
	while (m->home_flushed < m->disk_flush_covers) {
		struct mirror_record *r = mirror_engine_record(m, m->home_flushed + 1);

		mirror_lag_note(m, &r->header);
		mirror_disks_homed(m, r);
		mirror_record_set_state(r, MIRROR_RECORD_FREE);
		m->home_flushed++;
	}
	m->disk_flush_covers = 0;
}

static void flush_disks(struct mirror_engine *m)
{
	m->disk_flush_covers = m->home_done;
	m->disks_dirty_since_ns = 0;
	for (uint32_t i = 0; i < m->disk_count; i++) {
		struct mirror_io *io = &m->disk_flush_io[i];

		if (!m->disk_dirty[i])
			continue;
		m->disk_dirty[i] = false;
		*io = (struct mirror_io){
			.op = MIRROR_IO_FLUSH,
			.device = i,
			.purpose = IO_DISK_FLUSH,
		};
		mirror_engine_submit(m, io);
		m->disk_flushes_running++;
		m->counters.disk_flushes++;
	}
	if (m->disk_flushes_running == 0)
		disks_flushed(m);
}

void mirror_free_io(struct mirror_engine *m, struct mirror_io *io)
{
	m->disk_flushes_running--;
	if (io->result < 0)
		mirror_engine_fail(m, io->device, io->result, "flushing");
	if (m->disk_flushes_running == 0 && !m->failed)
		disks_flushed(m);
}

static void pump_disks(struct mirror_engine *m)
{
	while (m->home_done < m->last_sequence &&
	       mirror_engine_record(m, m->home_done + 1)->state == MIRROR_RECORD_HOME)
		m->home_done++;
	if (m->disk_flush_covers != 0 || m->home_done == m->home_flushed)
		return;
	if (m->disks_dirty_since_ns == 0)
		m->disks_dirty_since_ns = m->now_ns; /* flush marks only */
	if (disk_flush_is_due(m))
		flush_disks(m);
	else
		mirror_engine_wake(m, m->disks_dirty_since_ns + HOME_FLUSH_NS);
}

/* ---- the log ------------------------------------------------------------- */

/* All records up to here need not be kept for `site`. */
uint64_t mirror_free_covered(const struct mirror_engine *m, uint32_t site)
{
	const struct mirror_superblock_site *s = &m->sb.sites[site];
	const struct engine_peer *p = &m->peer[site];

	if (s->map_state == MIRROR_MAP_ALL_DIRTY)
		return UINT64_MAX;
	return p->proven_durable > s->map_position ? p->proven_durable : s->map_position;
}

/* Linked, and its stream has not begun, or waits for the operator's consent. */
static bool stands_still(const struct mirror_engine *m, uint32_t site)
{
	return m->peer[site].phase == REFRESH_MAPPING ||
	       m->peer[site].phase == REFRESH_REFUSED;
}

/* Does the log wait for this linked copy? As long as clients do, or as it takes what it
 * is sent; a link that is opened, greets or says nothing but that it is there does not
 * count. */
static bool is_waited_out(const struct mirror_engine *m, uint32_t site)
{
	return mirror_ack_waits_for(&m->ack, site) || mirror_trust_flows(m, site);
}

static uint64_t covered(struct mirror_engine *m)
{
	uint64_t all = m->home_flushed;

	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->site && mirror_free_covered(m, s) < all)
			all = mirror_free_covered(m, s);
	if (mirror_ring_used_percent(m->ring) > NEVER_WAIT_PERCENT)
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

/* What the next superblock says of the moment. Called as it is encoded. */
void mirror_superblock_hints(struct mirror_engine *m)
{
	struct mirror_superblock *sb = &m->sb;
	uint64_t position, sequence, epoch;

	mirror_ring_tail(m->ring, &position, &sequence, &epoch);
	mirror_superblock_set_tail(sb, position, sequence, epoch);
	m->sb_tail_position = position;
	sb->head_position = mirror_ring_head_position(m->ring);
	if (!sb->hold.active) {
		sb->durable = (struct mirror_mark){ m->last_generation, m->durable };
		sb->home = (struct mirror_mark){ m->last_generation, m->home_flushed };
		sb->next_sequence = m->durable + 1;
	}
	sb->last_time_ns = m->last_time_ns;
	for (uint32_t i = 0; i < m->disk_count; i++)
		sb->disks.entry[i].sequence = m->disk_sequence[i];
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		const bool away = s != m->site && m->peer[s].link == MIRROR_LINK_NONE;

		if (!away)
			sb->sites[s].since_ns = 0;
		else if (sb->sites[s].since_ns == 0)
			sb->sites[s].since_ns = m->wall_ns;
	}
}

/* Much has been logged since the superblock told what is home. It is written with the
 * tail too, but that stands while the log is kept for a site that is away. */
static bool hint_is_due(const struct mirror_engine *m)
{
	uint64_t bytes = mirror_ring_bytes(m->ring) / 64;

	if (bytes < HINT_BYTES_MIN)
		bytes = HINT_BYTES_MIN;
	if (bytes > HINT_BYTES_MAX)
		bytes = HINT_BYTES_MAX;
	return !m->sb_busy && m->home_flushed > m->sb.home.sequence &&
	       mirror_ring_head_position(m->ring) >= m->sb.head_position + bytes;
}

static void pump_ring(struct mirror_engine *m)
{
	uint64_t freed;

	if (m->sb.hold.active && !m->sb.blank)
		return;
	freed = mirror_ring_free_to(m->ring, covered(m));
	m->freed_bytes += freed;
	if (m->freed_bytes >= mirror_ring_bytes(m->ring) / 16 ||
	    (m->freed_bytes > 0 && mirror_ring_used_percent(m->ring) > 50 &&
	     !m->sb_busy) ||
	    hint_is_due(m)) {
		m->freed_bytes = 0;
		mirror_superblock_want(m);
	}
}

/* ---- bypass: maps take over ---------------------------------------------- */

static bool site_is_behind(const struct mirror_engine *m, uint32_t site)
{
	/* A linked copy is waited for while it is making progress, or until it
	 * is put out, unless it is held: what it takes in counts only at the end.
	 * A copy does not wait for production, whose marks come down a line that
	 * waits for this very log. */
	return site != m->site && mirror_free_covered(m, site) < m->home_flushed &&
	       (m->peer[site].link == MIRROR_LINK_NONE || m->peer[site].held ||
		stands_still(m, site) || !is_waited_out(m, site) ||
		m->state == ENGINE_IDLE);
}

static bool bypass_is_due(const struct mirror_engine *m)
{
	const bool full = mirror_ring_used_percent(m->ring) >=
				  m->config->bypass_at_percent ||
			  (m->log_full && m->next_to_log <= m->last_sequence);

	if ((m->sb.hold.active && !m->sb.blank) || m->cut_step != CUT_NONE)
		return false;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (site_is_behind(m, s) &&
		    (full || mirror_free_covered(m, s) < m->peer[s].map_to))
			return true;
	return false;
}

static void bypass_store(struct mirror_engine *m)
{
	m->bypass_step = BYPASS_MAP;
	m->bypass_ticket = mirror_maps_want(m);
}

/* Read the descriptor that holds bypass_next; engine_maps.c hands its headers to
 * mirror_bypass_headers(). */
static void bypass_read(struct mirror_engine *m)
{
	if (m->headers_reading)
		return;
	if (m->bypass_round == BYPASS_ROUND_MAX || m->bypass_next > m->home_flushed ||
	    !mirror_headers_read(m, m->bypass_next, HEADERS_BYPASS))
		bypass_store(m);
}

void mirror_bypass_headers(struct mirror_engine *m, const struct mirror_header *headers,
			   uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mirror_header *h = &headers[i];

		if (h->sequence < m->bypass_next || h->sequence > m->home_flushed)
			continue;
		m->bypass_next = h->sequence + 1;
		for (uint32_t s = 0; s < m->config->site_count; s++)
			if ((m->bypass_sites >> s & 1) != 0 && h->length_bytes > 0)
				mirror_maps_set(m, s, h->disk, h->offset_bytes,
						h->length_bytes);
	}
	m->bypass_round++;
}

static void bypass_begin(struct mirror_engine *m)
{
	m->bypass_step = BYPASS_HEADERS;
	m->bypass_next = mirror_ring_oldest_sequence(m->ring);
	m->bypass_round = 0;
	m->bypass_sites = 0;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (site_is_behind(m, s))
			m->bypass_sites |= 1u << s;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if ((m->bypass_sites >> s & 1) != 0 && m->sb.sites[s].map_position == 0)
			mirror_engine_event(
				m, mirror_engine_site_name(m, s), "bypass",
				"the log is %u%% full: the tracking map takes over",
				mirror_ring_used_percent(m->ring));
}

static void pump_bypass(struct mirror_engine *m)
{
	switch (m->bypass_step) {
	case BYPASS_NONE:
		if (bypass_is_due(m))
			bypass_begin(m);
		break;
	case BYPASS_HEADERS:
		bypass_read(m);
		break;
	case BYPASS_MAP:
		if (!mirror_maps_have(m, m->bypass_ticket))
			break;
		for (uint32_t s = 0; s < m->config->site_count; s++)
			if ((m->bypass_sites >> s & 1) != 0 &&
			    m->sb.sites[s].map_position < m->bypass_next - 1)
				m->sb.sites[s].map_position = m->bypass_next - 1;
		m->bypass_ticket = mirror_superblock_want(m);
		m->bypass_step = BYPASS_SUPERBLOCK;
		break;
	case BYPASS_SUPERBLOCK:
		if (mirror_superblock_has(m, m->bypass_ticket))
			m->bypass_step = BYPASS_NONE;
		break;
	}
}

void mirror_free_pump(struct mirror_engine *m)
{
	if (m->failed || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING ||
	    m->cut_step > CUT_QUIET || m->leap_step == LEAP_SUPERBLOCK)
		return;
	pump_disks(m);
	pump_ring(m);
	pump_bypass(m);
}
