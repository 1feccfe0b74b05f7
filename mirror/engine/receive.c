/* engine/receive.c - the copy's end of a stream, and of a roll-forward.
 *
 * Receive, check, append to the own log (docs/write-path.md, copy, step 1);
 * engine/confirm_send.c confirms. A record is refused unless it is the very
 * next one: same sequence as expected, of the generation that the history names for
 * it, group not older (docs/sources.md, paper 000, Fig. 6, 126), data intact.
 */
#include "mirror/engine/state.h"

void mirror_copy_stream_begins(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];

	MIRROR_SET(m, copy.stream_link, number);
	l->map_due = mirror_map_count(m->open.map, m->open.site) >
		     0; /* as our answer has said */
	l->map_cursor = 0;
	l->confirmed = (struct site_marks){ UINT64_MAX, UINT64_MAX, UINT64_MAX };
	mirror_proven_limit(m);
	m->open.peer[l->site].proven_durable = l->hello.marks.durable; /* of this one */
	mirror_peer_set(m, l->site, LINK_CONNECTED, "");
}

/* Records of a site beyond the lowest cut of any generation after its own (D8) are no
 * longer part of the history. A proof that it had them proves nothing for this
 * generation. */
void mirror_proven_limit(struct mirror_engine *m)
{
	const struct history *h = &m->open.sb.history;
	const struct generation *g = history_newest(h);
	uint64_t lowest = UINT64_MAX;

	for (uint32_t i = h->count;
	     i-- > 0 && !uuid_equal(&h->entry[i].id, &m->open.proven_generation);)
		if (h->entry[i].cut < lowest)
			lowest = h->entry[i].cut;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.peer[s].proven_durable > lowest)
			m->open.peer[s].proven_durable = lowest;
	if (g != NULL)
		m->open.proven_generation = g->id;
}

void mirror_copy_stream_lost(struct mirror_engine *m, const char *text)
{
	const uint32_t site = m->link[m->open.copy.stream_link].site;

	MIRROR_SET(m, copy.stream_link, MIRROR_LINK_NONE);
	m->open.copy.acknowledged = 0;
	m->open.copy.home_at_once = false;
	MIRROR_SET(m, home.reset_due, true);
	MIRROR_SET(m, copy.end, 0);
	mirror_records_drop_unlogged(m, 0);
	if (m->open.marks.last != m->open.copy.clean_sequence)
		m->open.copy.clean_due = m->open.copy.promote_due =
			false; /* the rest will not come */
	if (m->open.leap.step == LEAP_HOME) {
		MIRROR_SET(m, leap.step, LEAP_NONE);
		mirror_leap_forget(m);
	}
	if (site < m->config->site_count)
		mirror_peer_set(m, site, LINK_DOWN, text);
}

/* ---- received ------------------------------------------------------------ */

/* A refresh brings data here at once and out of order, and this log never held it as it
 * was written. Other copies may lack it: set their maps. */
static void map_refreshed(struct mirror_engine *m, const struct mirror_header *h,
			  uint32_t production)
{
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site && s != production)
			mirror_maps_set(m, s, h->disk, h->offset_bytes, h->length_bytes);
}

static bool take_record(struct mirror_engine *m, const struct mirror_received *rx)
{
	const struct history *chain = m->state == ENGINE_PREPARING ?
					      &m->open.prepare.order.history :
					      &m->open.sb.history;
	struct mirror_header h;
	struct mirror_record *r;

	if (mirror_wire_decode_record(rx->body, rx->body_bytes, rx->data, rx->data_bytes,
				      &m->open.sb.mirror, &m->open.sb.disks, &h) != 0 ||
	    h.sequence != m->open.marks.last + 1)
		return false;
	if (h.generation < m->open.marks.generation ||
	    (h.generation == m->open.marks.generation && h.group < m->open.marks.group) ||
	    !mirror_history_holds(chain, h.sequence, h.generation)) {
		mirror_engine_event(
			m, "gate", "older-group",
			"group %llu of generation %llu came after group %llu of generation %llu",
			(unsigned long long)h.group, (unsigned long long)h.generation,
			(unsigned long long)m->open.marks.group,
			(unsigned long long)m->open.marks.generation);
		return false;
	}
	if (m->open.marks.last - m->open.marks.home_flushed >= RECORDS_MAX)
		return false;
	r = &m->memory.records[h.sequence % RECORDS_MAX];
	r->header = h;
	mirror_record_admit(m, r, rx->data, MIRROR_RECORD_STAMPED);
	m->received_data = NULL;
	m->open.counters.records_received++;
	if (m->open.sb.hold.active && (h.flags & MIRROR_RECORD_REFRESH) != 0)
		map_refreshed(m, &h, m->link[rx->link].site);
	return true;
}

/* Is all that our map stands for, and all that this log gave up while it stood for
 * everything, proven to be durable at that site? */
static bool is_level_here(const struct mirror_engine *m, uint32_t site)
{
	const struct mirror_superblock_site *s = &m->open.sb.sites[site];
	const uint64_t proven = m->open.peer[site].proven_durable;

	return (s->map_state == MIRROR_MAP_ALL_DIRTY || s->map_position > 0) &&
	       proven > 0 && proven >= s->map_position &&
	       proven + 1 >= mirror_ring_oldest_sequence(m->open.ring) &&
	       !mirror_hold_stands(m);
}

static bool take_flush(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_flush flush;

	if (mirror_wire_decode_flush(r->body, r->body_bytes, &flush) != 0 ||
	    flush.sequence > m->open.marks.last)
		return false;
	mirror_log_want_durable(m, flush.sequence);
	return true;
}

static bool take_home(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_home_mark home;

	if (mirror_wire_decode_home(r->body, r->body_bytes, &home) != 0)
		return false;
	m->link[r->link].home_told = 0;
	MIRROR_SET(m, copy.home_at_once, home.sequence > 0);
	return true;
}

static bool take_marks(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_marks marks;
	bool together;

	if (mirror_wire_decode_marks(r->body, r->body_bytes, &marks) != 0)
		return false;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (marks.durable[s] > marks.sequence)
			return false;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site &&
		    marks.durable[s] > m->open.peer[s].proven_durable)
			m->open.peer[s].proven_durable = marks.durable[s];
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site && is_level_here(m, s))
			mirror_maps_clear(m, s);
	m->open.copy.acknowledged = marks.acknowledged;
	m->open.copy.behind = marks.sequence > m->open.marks.last ?
				      marks.sequence - m->open.marks.last :
				      0;
	/* While it catches up, groups that are durable in the log go home
	 * together: then disk and log together keep the order (step 2). */
	together = m->config->order == CONFIG_ORDER_LOG ||
		   m->open.copy.behind > COPY_TOGETHER;
	if (together != m->open.home.gate.together && !m->open.home.reset_due)
		mirror_gate_set_together(&m->open.home.gate, together,
					 &m->open.home.gate_issue);
	return true;
}

static bool take_demoted(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_demoted demoted;

	if (mirror_wire_decode_demoted(r->body, r->body_bytes, &demoted) != 0)
		return false;
	m->open.copy.clean_generation = demoted.generation;
	m->open.copy.clean_sequence = demoted.sequence;
	m->open.copy.clean_due = true;
	m->open.copy.promote_due = (demoted.flags & MIRROR_DEMOTED_PROMOTE) != 0;
	return true;
}

static bool take_roll_end(struct mirror_engine *m, const struct mirror_received *r)
{
	const uint32_t site = m->link[r->link].site;
	struct mirror_roll_end end;

	if (mirror_wire_decode_roll_end(r->body, r->body_bytes, &end) != 0 ||
	    !mirror_roll_is_whole(m, r->link, end.sequence))
		return false;
	mirror_prepare_rolled(m, site, true, false, "");
	mirror_link_close(m, r->link, "rolled forward");
	return true;
}

bool mirror_copy_received(struct mirror_engine *m, const struct mirror_received *r)
{
	const bool stream = m->link[r->link].use == LINK_STREAM_IN;

	switch ((enum mirror_frame_type)r->type) {
	case MIRROR_FRAME_RECORD:
		return take_record(m, r);
	case MIRROR_FRAME_MARKS:
		return stream && take_marks(m, r);
	case MIRROR_FRAME_REFRESH_BEGIN:
		return stream && mirror_hold_begins(m, r);
	case MIRROR_FRAME_REFRESH_END:
		return stream && mirror_hold_ends(m, r);
	case MIRROR_FRAME_DEMOTED:
		return stream && take_demoted(m, r);
	case MIRROR_FRAME_FLUSH:
		return stream && take_flush(m, r);
	case MIRROR_FRAME_HOME:
		return stream && take_home(m, r);
	case MIRROR_FRAME_ROLL_END:
		return !stream && take_roll_end(m, r);
	case MIRROR_FRAME_HELLO:
	case MIRROR_FRAME_WELCOME:
	case MIRROR_FRAME_REFUSE:
	case MIRROR_FRAME_CONFIRM:
	case MIRROR_FRAME_MAP:
	case MIRROR_FRAME_REFRESH_READY:
	case MIRROR_FRAME_NEWS:
		return false;
	}
	return false;
}

/* ---- a copy's own work ---------------------------------------------------- */

/* The extents whose home is unproven here: production adds them to its map. */
static void send_own_map(struct mirror_engine *m, struct engine_link *l)
{
	while (l->map_due) {
		struct mirror_map_chunk chunk;
		struct mirror_frame *f = mirror_frame_get(m, m->open.copy.stream_link);
		uint8_t *data = mirror_buffer_get(m, MIRROR_WIRE_DATA_MAX);
		size_t bytes;

		if (f == NULL || data == NULL) {
			if (f != NULL)
				mirror_frame_drop(m, f);
			if (data != NULL)
				mirror_buffer_put(m, data);
			return;
		}
		bytes = mirror_map_export(m->open.map, m->open.site, &l->map_cursor,
					  &chunk, data, MIRROR_WIRE_DATA_MAX);
		mirror_wire_map(f, &chunk, data, bytes);
		mirror_buffer_ref(m, data);
		f->owner = m;
		f->data = data;
		l->map_due = !chunk.last;
		mirror_frame_send(m, f);
	}
}

static void store_clean(struct mirror_engine *m)
{
	if (!m->open.copy.clean_due ||
	    m->open.marks.durable < m->open.copy.clean_sequence ||
	    m->open.marks.last != m->open.copy.clean_sequence)
		return;
	m->open.copy.clean_due = false;
	mirror_store_clean(m, &m->open.copy.clean_generation,
			   m->open.copy.clean_sequence);
	m->open.copy.clean_ticket = mirror_superblock_want(m);
	mirror_marks_tell(m); /* production names this site as one to promote (M5) */
	mirror_engine_event(m, "generation", "clean-end",
			    "production was demoted cleanly at sequence %llu",
			    (unsigned long long)m->open.copy.clean_sequence);
}

/* The clean mark is durable: this site has all, and nobody else goes on without asking
 * it (M5). */
static void tell_handed_over(struct mirror_engine *m)
{
	if (!m->open.copy.promote_due || m->open.copy.clean_due ||
	    !mirror_superblock_has(m, m->open.copy.clean_ticket))
		return;
	m->open.copy.promote_due = false;
	if (mirror_is_clean(m))
		mirror_engine_fact(m, FACT_HANDED_OVER);
}

void mirror_copy_pump(struct mirror_engine *m)
{
	struct engine_link *l;

	if (m->open.failed)
		return;
	store_clean(m);
	tell_handed_over(m);
	mirror_hold_pump(m);
	if (m->open.copy.stream_link == MIRROR_LINK_NONE)
		return;
	l = &m->link[m->open.copy.stream_link];
	if (mirror_hold_is_full(m)) {
		mirror_link_close(m, m->open.copy.stream_link,
				  "the writelog has no more room to hold the refresh");
		return;
	}
	send_own_map(m, l);
	mirror_confirm_send(m, l);
	mirror_confirm_home(m, l);
	mirror_hold_lift(m);
}
