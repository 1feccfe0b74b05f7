/* engine/refresh.c - production's side of a stream: a copy that needs more than the log has.
 *
 *   phase     what is awaited                                     next
 *   none      (the log holds all that the copy misses: it flows)
 *   mapping   the copy's own map, and our map for it durable      asked
 *   asked     READY: its hold stands; or its refusal              copying; refused
 *   copying   every set extent read, stamped and sent             ending
 *   ending    END sent; the copy confirms all of it durable       none
 *   refused   consent (refresh --allow-inconsistent) or room, from      mapping
 *             time to time
 *
 * A refresh record is stamped like a write and flows in the same order. While its
 * extent is read, writes that overlap it wait; so it carries exactly the data of all records
 * below its sequence (W6). It carries them to the copy alone: the record in this log has no
 * data, since this disk has it, and so has any other copy with the records before. If the
 * link is lost, the copy goes back to its hold, and the next refresh reads again. Bits are
 * cleared only by the copy's confirmation (G5).
 */
#include <stdio.h>

#include "common/bytes.h"
#include "mirror/engine/state.h"

static void begin_catching_up(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	p->refresh.phase = REFRESH_NONE;
	p->refresh.chase_ns = 0;
	m->link[p->link].sending = true;
	mirror_peer_set(m, site, LINK_CATCHING_UP, "the log holds what it misses");
}

static bool needs_refresh(struct mirror_engine *m, uint32_t site,
			  const struct mirror_hello *h)
{
	const struct mirror_superblock_site *s = &m->open.sb.sites[site];
	const bool outrun = mirror_outrun_meets(m, site, h->marks.durable);

	if (h->blank || mirror_lost_untracked(m, site, h->next_sequence)) {
		mirror_store_map_all(m, site);
		mirror_superblock_want(m);
	}
	if (!outrun && mirror_had_all(m, site, h)) {
		if (s->map_position > 0 || s->map_state == MIRROR_MAP_ALL_DIRTY ||
		    mirror_map_count(m->open.map, site) > 0)
			mirror_maps_clear(m, site);
		return false;
	}
	if (s->map_state == MIRROR_MAP_ALL_DIRTY) {
		mirror_maps_set_all(m, site);
		return true;
	}
	return outrun || h->own_map_extents > 0 ||
	       mirror_map_count(m->open.map, site) > 0 ||
	       h->next_sequence < mirror_ring_oldest_sequence(m->open.ring);
}

/* Let the map cover everything already home, so that the copy's hold need not have room
 * for much of a full log (engine/free.c). */
void mirror_refresh_map(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	p->refresh.phase = REFRESH_MAPPING;
	p->refresh.mapping_ns = m->now_ns;
	p->refresh.map_to = mirror_pace_fits(m, site) ? 0 : m->open.marks.home_flushed;
}

/* A copy has welcomed us: from where, and how? */
void mirror_production_begins(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	const struct mirror_hello *h = &l->hello;
	struct engine_peer *p = &m->open.peer[l->site];
	const uint64_t oldest = mirror_ring_oldest_sequence(m->open.ring);
	const uint64_t logged = h->next_sequence - 1;
	const uint64_t durable = h->marks.durable < logged ? h->marks.durable : logged;
	bool refresh;

	if (h->next_sequence > m->open.marks.last + 1) {
		mirror_link_close(m, number, "it has records that we do not have");
		return;
	}
	refresh = needs_refresh(m, l->site, h);
	mirror_outrun_begins(m, l->site, refresh);
	p->incarnation = h->incarnation;
	p->held = false;
	p->refresh.refused_count = 0;
	p->marks = (struct site_marks){ logged, durable, h->marks.home };
	p->proven_durable = durable;
	mirror_ack_forget_site(&m->open.requests.ack, l->site);
	mirror_ack_set_site(&m->open.requests.ack, l->site, logged, durable);
	l->next_send = h->next_sequence > oldest ? h->next_sequence : oldest;
	l->progress_ns = m->now_ns;
	mirror_trust_begins(m, number);
	l->map_due = h->own_map_extents > 0;
	if (!refresh) {
		begin_catching_up(m, l->site);
		return;
	}
	mirror_refresh_map(m, l->site);
	mirror_peer_set(m, l->site, LINK_REFRESHING,
			"completing the map of what it misses");
}

static struct engine_refresh_data *oldest_unsent(struct engine_peer *p)
{
	return p->refresh.unsent_head == p->refresh.unsent_tail ?
		       NULL :
		       &p->refresh.unsent[p->refresh.unsent_head % REFRESH_UNSENT_MAX];
}

/* The link is lost, and with it the refresh. */
static void drop_unsent(struct mirror_engine *m, struct engine_peer *p)
{
	struct engine_refresh_data *d;

	while ((d = oldest_unsent(p)) != NULL) {
		if (d->data != NULL)
			mirror_buffer_unref(m, d->data);
		p->refresh.unsent_head++;
	}
}

void mirror_refresh_stop(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	drop_unsent(m, p);
	p->refresh.phase = REFRESH_NONE;
	p->refresh.map_to = 0;
	p->refresh.starved = false;
	if (p->candidate_from != 0 && p->candidate_count == 0) {
		p->candidate_from = 0; /* nobody was told of it */
		mirror_requests_wait(m, site, false);
	}
}

/* ---- the phases ---------------------------------------------------------- */

/* The copy misses everything, and every bit is set and durable. From here on the map
 * stands for all records at home, and the log is kept for the rest as for any other copy
 * (G5). */
static void begin_full(struct mirror_engine *m, uint32_t site)
{
	mirror_store_map_filled(m, site);
	mirror_superblock_want(m);
	m->link[m->open.peer[site].link].next_send = m->open.marks.home_flushed + 1;
}

/* Are maps and superblock durable as they are? While clients write so much that this is
 * never so, they wait (engine/pace.c). */
static bool maps_stand(struct mirror_engine *m, struct engine_peer *p)
{
	if (mirror_maps_have(m, mirror_maps_want(m)) &&
	    mirror_superblock_has(m, m->open.writer.wanted) &&
	    m->open.bypass.step == BYPASS_NONE)
		return true;
	if (m->now_ns >= p->refresh.mapping_ns + MAPPING_NS)
		p->refresh.starved = true;
	else
		mirror_engine_wake(m, p->refresh.mapping_ns + MAPPING_NS);
	return false;
}

/* Clients wait, until more is at home and the map stands for it: nothing puts that off. */
static void clients_wait(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	p->refresh.starved = true;
	if (mirror_outrun_may(m, site))
		return; /* in async nobody waits */
	if (m->open.home.wanted < m->open.marks.last)
		m->open.home.wanted = m->open.marks.last;
}

static void ask(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];
	struct engine_link *l = &m->link[p->link];
	struct mirror_refresh_begin b = {
		.flags = MIRROR_REFRESH_BLANK_OK |
			 (p->refresh.inconsistent_ok ? MIRROR_REFRESH_INCONSISTENT_OK :
						       0),
	};
	struct mirror_frame *f;

	if (!mirror_outrun_allows(m, site)) {
		mirror_peer_set(
			m, site, LINK_REFRESHING,
			"in bypass: clients have outrun it, and its refresh waits");
		p->refresh.mapping_ns = m->now_ns;
		return;
	}
	if (l->map_due || !maps_stand(m, p))
		return;
	mirror_trust_behind(m, site);
	if (!mirror_trust_allows(m, site))
		return;
	if (m->open.sb.sites[site].map_state == MIRROR_MAP_ALL_DIRTY)
		begin_full(m, site);
	else if (mirror_free_covered(m, site) < p->refresh.map_to)
		return;
	else if (m->open.sb.sites[site].map_position >= l->next_send)
		l->next_send = m->open.sb.sites[site].map_position + 1;
	b.extents = mirror_map_count(m->open.map, site);
	b.first_sequence = l->next_send;
	p->refresh.starved = false;
	if (!mirror_pace_fits(m, site)) {
		clients_wait(m, site);
		p->refresh.map_to = m->open.marks.home_flushed;
		return;
	}
	f = mirror_frame_get(m, p->link);
	if (f == NULL)
		return;
	b.bytes = b.extents * MIRROR_EXTENT_BYTES +
		  mirror_pace_stream_bytes(m, l->next_send);
	mirror_pace_begin(m, site, b.extents);
	mirror_wire_refresh_begin(f, &b);
	mirror_frame_send(m, f);
	p->refresh.phase = REFRESH_ASKED;
	p->refresh.map_to = 0;
	p->refresh.map_cursor = 0;
	p->refresh.end = 0;
	p->refresh.done = 0;
	p->refresh.total = b.extents;
	l->progress_ns = m->now_ns;
	mirror_peer_set(m, site, LINK_REFRESHING, "waiting for its hold");
	mirror_engine_event(m, mirror_engine_site_name(m, site), "refresh",
			    "%llu extents of 64 KiB are sent through the ordered stream",
			    (unsigned long long)b.extents);
}

/* Clients wait for the next one, or it comes later. */
static void refresh_outrun(struct mirror_engine *m, uint32_t number)
{
	static const char text[] =
		"more was written while it prepared its hold than that "
		"has room for: it is asked anew";

	if (mirror_outrun_may(m, m->link[number].site))
		mirror_outrun_cut(m, m->link[number].site, text);
	else
		mirror_link_close(m, number, text);
}

static bool take_ready(struct mirror_engine *m, uint32_t number,
		       const struct mirror_received *r)
{
	struct engine_peer *p = &m->open.peer[m->link[number].site];
	struct mirror_refresh_ready ready;
	char text[FACT_TEXT_MAX];

	if (mirror_wire_decode_refresh_ready(r->body, r->body_bytes, &ready) != 0 ||
	    p->refresh.phase != REFRESH_ASKED)
		return false;
	if (ready.error != 0) {
		p->refresh.phase = REFRESH_REFUSED;
		p->refresh.starved = false;
		p->refresh.refused_count++;
		p->retry_at_ns = m->now_ns + REFUSED_NS;
		mirror_text(
			text, sizeof text,
			"%s; or `hamirror refresh %s %s --allow-inconsistent` lets the "
			"image be inconsistent meanwhile",
			ready.text, m->config->instance,
			mirror_engine_site_name(m, m->link[number].site));
		mirror_peer_set(m, m->link[number].site, LINK_REFRESHING, text);
		return true;
	}
	if (!mirror_pace_ready(m, m->link[number].site, ready.room_blocks)) {
		refresh_outrun(m, number);
		return true;
	}
	p->refresh.phase = REFRESH_COPYING;
	p->held = true;
	m->link[number].sending = true;
	mirror_peer_set(m, m->link[number].site, LINK_REFRESHING, "being refreshed");
	return true;
}

/* True while a refresh reads an extent that the range touches: a write there would be
 * sent before the older data. */
bool mirror_refresh_covers(const struct mirror_engine *m, uint32_t disk,
			   uint64_t offset_bytes, uint64_t length_bytes)
{
	if (m->open.reading.refresh_count == 0)
		return false;
	for (uint32_t i = 0; i < READS_MAX; i++) {
		const struct engine_read *rd = &m->memory.reads[i];

		if (rd->used && rd->request == NULL && rd->disk == disk &&
		    offset_bytes < rd->offset_bytes + rd->length_bytes &&
		    rd->offset_bytes < offset_bytes + length_bytes)
			return true;
	}
	return false;
}

/* A refresh yields to the log (P4-71): above bypass-at the maps take over first. */
static bool has_room(const struct mirror_engine *m)
{
	return m->open.marks.last - m->open.marks.home_flushed < RECORDS_MAX / 2 &&
	       mirror_ring_used_percent(m->open.ring) < m->config->bypass_at_percent;
}

/* Of the pool it takes a part, but one buffer at any time. */
static bool has_buffers(const struct mirror_engine *m, const struct engine_peer *p)
{
	return p->refresh.reads == 0 ||
	       mirror_pool_bytes_free(m->buffers.pool) >
		       mirror_pool_bytes_total(m->buffers.pool) / 4;
}

/* Clients come first (engine/yield.h), unless they wait for the refresh themselves. And
 * what a line has no room for would be read from the log again. */
static bool may_read(struct mirror_engine *m, const struct engine_peer *p, uint64_t bytes)
{
	const struct engine_link *l = &m->link[p->link];
	uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT], again_ns = UINT64_MAX;

	if (p->refresh.reads + p->refresh.unsent_tail - p->refresh.unsent_head ==
	    REFRESH_UNSENT_MAX)
		return false;
	if (l->refresh_bytes > 0 && l->refresh_bytes + bytes > REFRESH_LINE_BYTES)
		return false;
	if (mirror_pace_waits(m))
		return m->open.yield.under_way_bytes < MIRROR_YIELD_BYTES_MAX;
	mirror_requests_oldest(m, oldest_ns);
	if (mirror_yield_allows(&m->open.yield, bytes, m->now_ns, oldest_ns, &again_ns))
		return true;
	mirror_engine_wake(m, again_ns);
	return false;
}

static void read_begins(struct mirror_engine *m, struct engine_peer *p, uint64_t bytes)
{
	p->refresh.starved = false;
	p->refresh.reads++;
	m->open.reading.refresh_count++;
	m->link[p->link].refresh_bytes += bytes;
	mirror_yield_begin(&m->open.yield, bytes, m->now_ns);
}

bool mirror_refresh_brings(struct mirror_engine *m, const struct engine_link *l,
			   struct mirror_header *h, uint8_t **data)
{
	const struct engine_refresh_data *d;

	if (l->use != LINK_STREAM_OUT)
		return false;
	d = oldest_unsent(&m->open.peer[l->site]);
	if (d == NULL || d->sequence != h->sequence)
		return false;
	*data = d->data;
	h->type = MIRROR_RECORD_WRITE;
	h->data_bytes = (uint32_t)h->length_bytes;
	if (d->data == NULL) { /* holes stay holes */
		h->type = MIRROR_RECORD_ZERO;
		h->flags |= MIRROR_RECORD_MAY_DEALLOCATE;
		h->data_bytes = 0;
	}
	h->crc = mirror_header_data_crc(&m->open.sb.mirror, h, d->data);
	return true;
}

void mirror_refresh_brought(struct mirror_engine *m, const struct engine_link *l)
{
	struct engine_peer *p = &m->open.peer[l->site];
	struct engine_refresh_data *d = oldest_unsent(p);

	if (d->data != NULL)
		mirror_buffer_unref(m, d->data);
	p->refresh.unsent_head++;
}

void mirror_refresh_sent(struct engine_link *l, uint64_t bytes)
{
	/* A refresh record may be another copy's, or of an earlier link. */
	l->refresh_bytes -= bytes < l->refresh_bytes ? bytes : l->refresh_bytes;
}

/* Begin reading the next extents. False: clients have to wait until that is possible
 * (engine/pace.c). */
static bool copy_extents(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];
	struct mirror_map_run run;

	while (p->refresh.reads < REFRESH_READS_MAX && !p->refresh.all_read) {
		uint8_t *data;

		if (!mirror_map_next(m->open.map, site, p->refresh.map_cursor,
				     MIRROR_RECORD_DATA_MAX, &run)) {
			p->refresh.all_read =
				true; /* a write that sets a bit from now on is in the stream */
			return true;
		}
		if (!has_room(m))
			return p->refresh.reads > 0;
		if (!may_read(m, p, run.length_bytes))
			return true;
		data = has_buffers(m, p) ? mirror_pool_get(m->buffers.pool,
							   (uint32_t)run.length_bytes) :
					   NULL;
		if (data == NULL)
			return true; /* other reads may hold the buffers, and wait too */
		if (!mirror_read_refresh(m, site, p->link, run.disk, run.offset_bytes,
					 run.length_bytes, data)) {
			mirror_pool_put(m->buffers.pool, data);
			return p->refresh.reads > 0;
		}
		p->refresh.map_cursor = run.next_extent;
		read_begins(m, p, run.length_bytes);
	}
	return true;
}

/* True from the last refresh record on, until END is sent. */
bool mirror_refresh_ends(const struct mirror_engine *m, uint32_t site)
{
	const struct engine_peer *p = &m->open.peer[site];

	return p->refresh.phase == REFRESH_COPYING && p->refresh.all_read &&
	       p->refresh.reads == 0;
}

/* The record takes the place of the data in this log. Its disk has that, and older
 * records that are not at home yet; only the copy gets it (W6). */
static void stamp(struct mirror_engine *m, struct engine_peer *p,
		  const struct engine_read *rd, uint8_t *data)
{
	struct mirror_header h = {
		.type = MIRROR_RECORD_REFRESHED,
		.flags = MIRROR_RECORD_REFRESH,
		.disk = (uint16_t)rd->disk,
		.offset_bytes = rd->offset_bytes,
		.length_bytes = rd->length_bytes,
	};

	assert(p->refresh.unsent_tail - p->refresh.unsent_head < REFRESH_UNSENT_MAX);
	p->refresh.end = mirror_record_stamp(m, &h, NULL)->header.sequence;
	p->refresh.unsent[p->refresh.unsent_tail++ % REFRESH_UNSENT_MAX] =
		(struct engine_refresh_data){ p->refresh.end, data };
	if (data != NULL)
		mirror_buffer_ref(m, data);
	p->refresh.done += (rd->length_bytes + MIRROR_EXTENT_BYTES - 1) /
			   MIRROR_EXTENT_BYTES;
}

static void read_again(struct engine_peer *p)
{
	p->refresh.map_cursor = 0;
	p->refresh.all_read = false;
	p->refresh.done = 0;
}

void mirror_refresh_read_done(struct mirror_engine *m, struct engine_read *rd,
			      int32_t result)
{
	struct engine_peer *p = &m->open.peer[rd->refresh_site];
	const bool stale = result != 0 || p->refresh.phase != REFRESH_COPYING ||
			   p->link != rd->refresh_link || m->state != ENGINE_SERVING;
	const bool zero = !stale && bytes_are_zero(rd->data, rd->length_bytes);

	p->refresh.reads--;
	m->open.reading.refresh_count--;
	mirror_yield_end(&m->open.yield, rd->length_bytes);
	if (stale || zero) {
		mirror_refresh_sent(&m->link[rd->refresh_link], rd->length_bytes);
		mirror_pool_put(m->buffers.pool, rd->data);
	}
	if (!stale)
		stamp(m, p, rd, zero ? NULL : rd->data);
	else if (m->state == ENGINE_DEMOTING)
		read_again(p); /* it may serve on (M5) */
}

static void end_copying(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];
	struct mirror_refresh_end end = { .sequence = p->refresh.end };
	struct mirror_frame *f;

	if (!mirror_refresh_ends(m, site) || m->link[p->link].next_send <= p->refresh.end)
		return;
	f = mirror_frame_get(m, p->link);
	if (f == NULL)
		return;
	mirror_wire_refresh_end(f, &end);
	mirror_frame_send(m, f);
	p->refresh.phase = REFRESH_ENDING;
}

static void refresh_pump(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	switch (p->refresh.phase) {
	case REFRESH_MAPPING:
		ask(m, site);
		break;
	case REFRESH_COPYING:
		p->refresh.starved = false;
		if (!copy_extents(m, site))
			clients_wait(m, site);
		end_copying(m, site);
		break;
	case REFRESH_REFUSED:
		if (m->now_ns >= p->retry_at_ns)
			mirror_refresh_map(m, site); /* the room that it needs changes */
		else
			mirror_engine_wake(m, p->retry_at_ns);
		break;
	case REFRESH_ASKED:
		mirror_pace_asked(m, site);
		break;
	case REFRESH_NONE:
	case REFRESH_ENDING:
		break;
	}
}

void mirror_refresh_pump(struct mirror_engine *m)
{
	if (m->open.failed || m->state != ENGINE_SERVING)
		return;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.peer[s].link != MIRROR_LINK_NONE &&
		    m->link[m->open.peer[s].link].use == LINK_STREAM_OUT)
			refresh_pump(m, s);
}

/* ---- the copy's part ----------------------------------------------------- */

void mirror_refresh_confirmed(struct mirror_engine *m, uint32_t site, uint64_t durable)
{
	struct engine_peer *p = &m->open.peer[site];

	/* From here on the log waits for it again; maps that took over while it was
	 * held stand until it has all of that too. */
	if (p->refresh.phase == REFRESH_ENDING && durable >= p->refresh.end)
		p->held = false;
	if (p->refresh.phase == REFRESH_ENDING && !p->held &&
	    durable >= m->open.sb.sites[site].map_position) {
		p->refresh.phase = REFRESH_NONE;
		p->refresh.inconsistent_ok = false;
		mirror_outrun_refreshed(m, site);
		mirror_maps_clear(m, site);
		mirror_engine_event(m, mirror_engine_site_name(m, site), "refreshed",
				    "all of the refresh is durable there");
		begin_catching_up(m, site);
		mirror_trust_confirmed(m, site, true);
	} else if (p->refresh.phase == REFRESH_NONE &&
		   m->open.sb.sites[site].map_position > 0 &&
		   m->open.sb.sites[site].map_position <= durable) {
		mirror_maps_clear(m, site);
	}
}

static bool take_map(struct mirror_engine *m, uint32_t number,
		     const struct mirror_received *r)
{
	struct engine_link *l = &m->link[number];
	struct mirror_map_chunk chunk;

	if (!l->map_due || m->open.peer[l->site].refresh.phase != REFRESH_MAPPING ||
	    mirror_wire_decode_map(r->body, r->body_bytes, r->data, r->data_bytes,
				   &chunk) != 0)
		return false;
	if (chunk.extent_count > 0 &&
	    mirror_maps_import(m, l->site, &chunk, r->data, r->data_bytes) != 0)
		return false;
	l->map_due = !chunk.last;
	return true;
}

bool mirror_refresh_received(struct mirror_engine *m, const struct mirror_received *r)
{
	if (r->type == MIRROR_FRAME_MAP)
		return take_map(m, r->link, r);
	return r->type == MIRROR_FRAME_REFRESH_READY && take_ready(m, r->link, r);
}
