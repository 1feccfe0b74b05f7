/* check_w.c - the write-ahead rules:
 *   W1  a home write starts after its record is durable in this log, by the marks and on
 *       the device, and a mark on the device proves it
 *   W2  records that count as home and flushed are on the disk's stable storage, as far as
 *       no newer record in the log goes over them
 *       (check_g5.c: and others have them, or a map stands for them)
 *   W3  a site that restarts has all that it had called durable, and claims no more than
 *       is durable
 *   W4  a mark follows within 10 ms when the log is idle, and damage before a mark is not
 *       taken for the end
 *   W6  no record above a hold goes home, and the hold is lifted when all of the refresh
 *       is durable
 * W5 is watched by check_g2.c after each restart and by check_g1.c while production
 * replays.
 */
#include <string.h>

#include "mirror/log/descriptor.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

/* The mark that a scan would know of if it found this record torn, or 0: none. */
static uint64_t proof(const struct mirror_view *m, const struct sim_site *s,
		      uint64_t sequence)
{
	static struct mirror_superblock sb;
	struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct mirror_descriptor d;
	struct mirror_ring_entry e;
	char text[256];

	if (mirror_ring_find(m->ring, sequence, &e) != 0)
		return 0;
	while (mirror_ring_next(m->ring, &e) == 0)
		if (mirror_descriptor_decode(s->log.stable + mirror_ring_device_offset(
								     m->ring, e.position),
					     &m->sb->log, NULL, &d, headers) == 0 &&
		    d.position == e.position && d.durable >= sequence)
			return d.durable;
	for (uint32_t slot = 0; slot < 2; slot++)
		if (mirror_superblock_decode(s->log.stable +
						     slot * MIRROR_SUPERBLOCK_BYTES,
					     &sb, text, sizeof text) == 0 &&
		    sb.durable.sequence >= sequence)
			return sb.durable.sequence;
	return 0;
}

static bool is_proven(const struct mirror_view *m, struct sim_site *s, uint64_t sequence)
{
	if (sequence > s->home_proven)
		s->home_proven = proof(m, s, sequence);
	return sequence <= s->home_proven;
}

static void check_homing(struct sim *w, uint32_t node, const struct mirror_io *io,
			 const struct mirror_record *r)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[w->node[node].site];

	if (r->header.sequence > m->marks->durable)
		sim_violate(w, "W1", "sequence %llu goes home, and %llu is durable",
			    (unsigned long long)r->header.sequence,
			    (unsigned long long)m->marks->durable);
	else if (io->op == MIRROR_IO_WRITE && !s->tainted &&
		 memcmp(s->log.stable + r->log_position, r->data, r->header.data_bytes) !=
			 0)
		sim_violate(w, "W1",
			    "sequence %llu goes home, and its record is not on "
			    "stable storage",
			    (unsigned long long)r->header.sequence);
	else if (!s->tainted && !m->sb->blank && !m->holds &&
		 !is_proven(m, s, r->header.sequence))
		sim_violate(w, "W1",
			    "sequence %llu goes home, and no mark on stable storage "
			    "proves its record",
			    (unsigned long long)r->header.sequence);
	if (m->sb->hold.active && !m->sb->blank && !s->consent &&
	    r->header.sequence > m->sb->hold.sequence)
		sim_violate(w, "W6", "sequence %llu goes home above the hold at %llu",
			    (unsigned long long)r->header.sequence,
			    (unsigned long long)m->sb->hold.sequence);
}

static void io(struct sim *w, uint32_t node, const struct mirror_io *io)
{
	const struct mirror_record *r;

	for (uint32_t i = 0; (r = mirror_view_homing(io, i)) != NULL; i++)
		check_homing(w, node, io, r);
}

/* ---- W2: flushed at home -------------------------------------------------------- */

/* A newer record that is durable in the log, and will go home, goes over the sector. */
static bool is_overwritten(const struct mirror_view *m, const struct mirror_header *h,
			   uint64_t at)
{
	for (uint64_t s = m->marks->home_flushed + 1; s <= m->marks->durable; s++) {
		const struct mirror_header *n = &mirror_view_record(m, s)->header;

		if (mirror_header_changes(n) && n->disk == h->disk &&
		    n->offset_bytes <= at && at < n->offset_bytes + n->length_bytes)
			return true;
	}
	return false;
}

/* The sector is on stable storage with this record's content, or a later one's. */
static bool is_stable(const struct sim *w, const struct sim_device *d,
		      const struct mirror_header *h, uint64_t at, const uint64_t *limit)
{
	const struct sim_touch *t;
	uint64_t number;

	memcpy(&number, d->stable + at, sizeof number);
	t = sim_shown_touch(sim_sector(w, h->disk, at / SIM_SECTOR), number, limit);
	return t != NULL && t->sequence >= h->sequence;
}

/* A sector that a record wrote which was undone since is owed: the own map stands for it (D8). */
static void check_flushed(struct sim *w, uint32_t node, uint64_t from)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct mirror_view *m = sim_view(w, node);
	const int32_t g = sim_generation_of(w, m);

	if (g < 0)
		return;
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running && w->node[n].clients)
			sim_note_all(w, n);
	sim_limits(w, (uint32_t)g, limit);
	for (uint64_t s = from + 1; s <= m->marks->home_flushed; s++) {
		const struct mirror_header *h = &m->records[s % RECORDS_MAX].header;

		if (h->sequence != s || h->type == MIRROR_RECORD_FLUSH ||
		    (h->flags & MIRROR_RECORD_REFRESH) != 0)
			continue;
		for (uint64_t at = 0; at < h->length_bytes; at += SIM_SECTOR)
			if (!is_stable(w, &w->site[m->site].disk[h->disk], h,
				       h->offset_bytes + at, limit) &&
			    !is_overwritten(m, h, h->offset_bytes + at) &&
			    !mirror_map_covers(m->map, m->site, h->disk,
					       h->offset_bytes + at, SIM_SECTOR)) {
				sim_violate(w, "W2",
					    "site %u counts sequence %llu as home and "
					    "flushed, and it is not on stable storage",
					    m->site, (unsigned long long)s);
				return;
			}
	}
}

static void watch_home(struct sim *w, uint32_t node, struct sim_site *s)
{
	const struct mirror_view *m = sim_view(w, node);

	if (s->home_checked < m->marks->home_flushed && !m->leaping && !m->cutting &&
	    !s->tainted && !s->consent)
		check_flushed(w, node, s->home_checked);
	s->home_checked = m->marks->home_flushed;
}

/* ---- W4: a mark when idle -------------------------------------------------------- */

/* Nothing else will carry the durable mark, and nothing keeps a write of it back. */
static bool mark_is_due(const struct mirror_view *m)
{
	return m->mark_written < m->marks->durable &&
	       m->marks->durable == m->marks->logged &&
	       m->marks->next_to_log > m->marks->last && m->log_parts == 0 &&
	       !m->failed && !m->cutting && !m->leaping &&
	       (!m->sb->hold.active || m->sb->blank) && !m->lift_is_due &&
	       m->epoch_stands &&
	       mirror_ring_room_bytes(m->ring) > 2 * MIRROR_BLOCK_BYTES;
}

static void watch_mark(struct sim *w, uint32_t node, struct sim_site *s)
{
	const struct sim_node *n = &w->node[node];

	if (!mark_is_due(&n->view)) {
		s->mark_since_ns = 0;
		return;
	}
	if (s->mark_since_ns == 0 || s->mark_since_ns < n->frozen_until_ns)
		s->mark_since_ns = w->now_ns;
	if (w->now_ns > s->mark_since_ns + MARK_IDLE_NS)
		sim_violate(w, "W4",
			    "the log of site %u is idle for 10 ms: %llu is durable, and "
			    "its last mark says %llu",
			    n->site, (unsigned long long)n->view.marks->durable,
			    (unsigned long long)n->view.mark_written);
}

static void look(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct mirror_view *m = sim_view(w, n);

		if (w->node[n].open && m->state >= ENGINE_IDLE &&
		    m->state != ENGINE_CLOSING && w->now_ns >= w->node[n].frozen_until_ns)
			watch_mark(w, n, &w->site[w->node[n].site]);
	}
}

/* Records that the device said it had written and has not: from here on a mark stands
 * behind them. */
static void watch_lost(struct sim *w, const struct mirror_view *m, struct sim_site *s)
{
	if (s->lost_bytes == 0 || m->sb->hold.active || m->cutting || m->leaping)
		return;
	for (uint64_t q = m->marks->home_flushed + 1; q <= m->mark_logged; q++) {
		const struct mirror_record *r = &m->records[q % RECORDS_MAX];

		if (r->header.sequence != q || r->header.data_bytes == 0 ||
		    r->log_position < s->lost_offset ||
		    r->log_position >= s->lost_offset + s->lost_bytes)
			continue;
		s->marked = m->mark_logged;
		s->marked_generation = sim_generation_of(w, m);
		s->marked_power_cuts = s->power_cuts;
		s->lost_bytes = 0;
		return;
	}
}

/* ---- W3: claims after a restart ---------------------------------------------------- */

/* ---- W6: the hold ends ------------------------------------------------------------ */

/* It is cut off, or all of the refresh is there, and durable. */
static void watch_hold(struct sim *w, const struct mirror_view *m, struct sim_site *s)
{
	if (m->sb->hold.active) {
		s->held = true;
		return;
	}
	if (s->held && !m->cutting &&
	    (!s->refresh_ended || m->marks->durable < s->refresh_end))
		sim_violate(w, "W6",
			    "site %u lifts its hold with %llu durable, and the refresh "
			    "ends with %llu",
			    m->site, (unsigned long long)m->marks->durable,
			    (unsigned long long)s->refresh_end);
	s->held = s->refresh_ended = false;
}

static void received(struct sim *w, uint32_t node, const struct mirror_received *r)
{
	struct sim_site *s = &w->site[w->node[node].site];
	struct mirror_refresh_end end;

	if (r->type == MIRROR_FRAME_REFRESH_BEGIN)
		s->refresh_ended = false;
	if (r->type != MIRROR_FRAME_REFRESH_END ||
	    mirror_wire_decode_refresh_end(r->body, r->body_bytes, &end) != 0)
		return;
	s->refresh_ended = true;
	s->refresh_end = end.sequence;
}

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[w->node[node].site];

	if (m->state == ENGINE_OPENING || m->cutting)
		s->home_proven = 0;
	if (!w->node[node].open || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING) {
		if (s->open_node < 0 || s->open_node == (int32_t)node)
			s->held = s->refresh_ended = false;
		return;
	}
	watch_hold(w, m, s);
	watch_home(w, node, s);
	watch_mark(w, node, s);
	watch_lost(w, m, s);
	s->durable_generation = sim_generation_of(w, m);
	/* Lifted: not before the superblock that says so is durable (W6). */
	s->durable = m->holds && m->sb->hold.sequence < m->marks->durable ?
			     m->sb->hold.sequence :
			     m->marks->durable;
	if (m->cutting || m->leaping || m->sb->blank)
		s->durable = 0;
}

/* The records that it found count as durable: then they have to be. */
static void check_claim(struct sim *w, uint32_t node, const struct sim_site *site)
{
	const struct mirror_view *m = sim_view(w, node);

	for (uint64_t s = m->marks->home_flushed + 1; s <= m->marks->durable; s++) {
		const struct mirror_record *r = mirror_view_record(m, s);

		if (r->header.data_bytes > 0 &&
		    mirror_header_data_crc(&m->sb->mirror, &r->header,
					   site->log.stable + r->log_position) !=
			    r->header.crc) {
			sim_violate(w, "W3",
				    "site %u opens with %llu durable, and sequence %llu "
				    "is not on stable storage",
				    m->site, (unsigned long long)m->marks->durable,
				    (unsigned long long)s);
			return;
		}
	}
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	struct sim_site *s = &w->site[w->node[node].site];

	if (f->type != FACT_OPENED || f->error != 0)
		return;
	s->mark_since_ns = 0;
	if (s->tainted && s->marked > f->marks.durable &&
	    s->marked_power_cuts == s->power_cuts &&
	    sim_generation_of(w, sim_view(w, node)) == s->marked_generation)
		sim_violate(w, "W4",
			    "the log of site %u was damaged before a mark of %llu, and "
			    "opens with %llu",
			    w->node[node].site, (unsigned long long)s->marked,
			    (unsigned long long)f->marks.durable);
	if (s->tainted)
		return;
	s->home_checked = sim_view(w, node)->marks->home_flushed;
	check_claim(w, node, s);
	if (s->durable == 0 ||
	    sim_generation_of(w, sim_view(w, node)) != s->durable_generation)
		return;
	if (f->marks.durable < s->durable)
		sim_violate(w, "W3", "site %u had %llu durable, and opens with %llu",
			    w->node[node].site, (unsigned long long)s->durable,
			    (unsigned long long)f->marks.durable);
}

const struct sim_checker sim_check_w = {
	.name = "W",
	.io = io,
	.mirror = mirror,
	.received = received,
	.fact = fact,
	.look = look,
};
