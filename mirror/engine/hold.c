/* engine/hold.c - the hold of a copy that is refreshed (W6): whether there is room for one,
 * and its end. engine/cut.c makes it durable, and drops the records above it.
 */
#include <stdio.h>

#include "mirror/engine/state.h"

static void send_ready(struct mirror_engine *m, int32_t error, const char *text)
{
	struct mirror_refresh_ready ready = {
		.error = error,
		.room_blocks = error == 0 ? m->open.leap.room_blocks : 0,
	};
	struct mirror_frame *f = mirror_frame_get(m, m->open.copy.stream_link);

	snprintf(ready.text, sizeof ready.text, "%s", text);
	if (f == NULL) {
		mirror_link_close(m, m->open.copy.stream_link, "no frame is free");
		return;
	}
	mirror_wire_refresh_ready(f, &ready);
	mirror_frame_send(m, f);
}

/* W6: is there room for all records above the hold? The rest of the room is for clients'
 * writes during the refresh (engine/pace.c). */
static bool hold_fits(struct mirror_engine *m, const struct mirror_refresh_begin *b,
		      char *text, size_t size)
{
	const uint64_t room = mirror_ring_bytes(m->open.ring) -
			      mirror_ring_used_bytes(m->open.ring);
	const uint64_t need = b->bytes + b->extents * MIRROR_BLOCK_BYTES +
			      mirror_log_kept_bytes(m);

	if (need <= room && b->extents <= RECORDS_MAX / 2) {
		m->open.leap.room_blocks = (uint32_t)((room - need) / MIRROR_BLOCK_BYTES);
		return true;
	}
	snprintf(text, size,
		 "to keep its last consistent image until the refresh ends its writelog "
		 "needs %llu MiB and has %llu MiB: enlarge it",
		 (unsigned long long)(need >> 20) + 1, (unsigned long long)(room >> 20));
	return false;
}

bool mirror_hold_begins(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_refresh_begin b;

	if (mirror_wire_decode_refresh_begin(r->body, r->body_bytes, &b) != 0 ||
	    b.first_sequence <= m->open.marks.last || m->open.leap.step != LEAP_NONE ||
	    m->open.sb.hold.active)
		return false;
	MIRROR_SET(m, copy.end, 0);
	mirror_leap_start(m, &b);
	return true;
}

bool mirror_hold_stands(const struct mirror_engine *m)
{
	return m->open.sb.hold.active ||
	       !mirror_superblock_has(m, m->open.copy.lift_ticket);
}

bool mirror_hold_may_begin(struct mirror_engine *m, const struct mirror_refresh_begin *b,
			   bool *hold)
{
	char text[FACT_TEXT_MAX];

	*hold = !m->open.sb.blank;
	if (*hold && !hold_fits(m, b, text, sizeof text)) {
		if ((b->flags & MIRROR_REFRESH_INCONSISTENT_OK) == 0) {
			mirror_engine_set_data(m, DATA_OUTDATED, text);
			if (m->open.copy.stream_link != MIRROR_LINK_NONE)
				send_ready(m, -ENOSPC, text);
			return false;
		}
		*hold = false;
	}
	if (!*hold)
		m->open.leap.room_blocks = MIRROR_REFRESH_ROOM_UNBOUND;
	mirror_engine_set_data(
		m, *hold ? DATA_OUTDATED : DATA_INCONSISTENT,
		*hold ? "being refreshed; it keeps its last consistent image until the end" :
			"being refreshed, without a hold");
	return true;
}

bool mirror_hold_ends(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_refresh_end end;

	if (mirror_wire_decode_refresh_end(r->body, r->body_bytes, &end) != 0 ||
	    !m->open.sb.hold.active || end.sequence > m->open.marks.last)
		return false;
	MIRROR_SET(m, copy.end, end.sequence > 0 ? end.sequence : 1);
	return true;
}

bool mirror_hold_lift_is_due(const struct mirror_engine *m)
{
	return m->open.copy.end != 0 && m->open.marks.durable >= m->open.copy.end &&
	       m->open.sb.hold.active && m->open.copy.stream_link != MIRROR_LINK_NONE;
}

/* The refresh has ended and all of it is durable here: from now on it counts. */
static void lift_hold(struct mirror_engine *m)
{
	const uint32_t production = m->link[m->open.copy.stream_link].site;

	if (m->open.log.parts > 0 || m->open.writer.busy ||
	    !mirror_maps_have(m, mirror_maps_want(m)))
		return;
	mirror_store_hold_ends(m);
	mirror_store_whole(m);
	mirror_store_next_epoch(m);
	mirror_ring_set_epoch(m->open.ring, m->open.sb.log_epoch);
	MIRROR_SET(m, copy.end, 0);
	if (mirror_map_count(m->open.map, m->open.site) > 0)
		mirror_maps_clear(m, m->open.site);
	/* The records that the log leapt over are in the maps of the other sites, see
	 * take_record(). */
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site && s != production)
			mirror_store_map_position(m, s,
						  m->open.leap.begin.first_sequence - 1);
	/* A blank copy may have given up records that production can still lose: its marks tell
	 * when it cannot (take_marks()). */
	if (m->open.sb.sites[production].map_state == MIRROR_MAP_ALL_DIRTY &&
	    m->open.peer[production].proven_durable + 1 >=
		    mirror_ring_oldest_sequence(m->open.ring))
		mirror_maps_clear(m, production);
	m->open.copy.lift_ticket = mirror_superblock_want(m);
	mirror_engine_set_data(m, DATA_CONSISTENT, "");
	mirror_engine_event(m, "refresh", "lift-hold",
			    "the refresh has ended and is durable");
}

void mirror_hold_lift(struct mirror_engine *m)
{
	if (mirror_hold_lift_is_due(m))
		lift_hold(m);
}

bool mirror_hold_is_full(const struct mirror_engine *m)
{
	const bool ends = m->open.copy.end != 0 &&
			  m->open.marks.next_to_log > m->open.copy.end;

	return m->open.sb.hold.active && !m->open.sb.blank &&
	       m->open.leap.step == LEAP_NONE && !ends &&
	       ((m->open.log.full && m->open.log.parts == 0 &&
		 m->open.marks.next_to_log <= m->open.marks.last) ||
		m->open.marks.last - m->open.marks.home_flushed > RECORDS_MAX - 64);
}

void mirror_hold_pump(struct mirror_engine *m)
{
	if (mirror_leap_pump(m) && m->open.copy.stream_link != MIRROR_LINK_NONE)
		send_ready(m, 0, "");
	if (m->state == ENGINE_IDLE && m->open.sb.hold.active &&
	    m->open.copy.stream_link == MIRROR_LINK_NONE &&
	    m->open.cut.step == CUT_NONE && m->open.leap.step == LEAP_NONE)
		mirror_cut_to_hold(m, "the refresh was cut short");
}
