/* engine/pace.c - how much clients may write while a copy is refreshed (G7).
 *
 * A held copy keeps everything above its hold in its log until the refresh ends (W6). So
 * clients' writes meanwhile have a bound: the room that the copy's log has besides the
 * refresh (REFRESH_READY), and the room that keeps this log below bypass-at. Half of it
 * is theirs at once, the other half as the refresh gets on; then they wait for it. They
 * also wait, without a known bound, while a refresh cannot begin its next read: as long
 * as they write, it would find no room, or too much that is not home. When all extents
 * are read nothing waits any longer: later records need no hold. In async clients wait only
 * for a refresh that an operator has them wait for; else one that they outrun is cut short
 * (engine/outrun.c).
 *
 *   phase     clients
 *   mapping   wait while the log holds too much for the copy's hold, until that is at
 *             home and the map stands for it
 *   asked     counted; more than READY has room for: asked anew, when it comes, and
 *             then they wait for it, for a time
 *   copying   wait beyond their share, or while the next read cannot begin
 */
#include "mirror/engine/state.h"

#define RECORDS_SPARE 1024u /* of RECORDS_MAX, at the copy: marks, flushes, the end */
#define UNBOUND UINT64_MAX

/* The most that a record takes of a log: a descriptor of its own, and its data. */
static uint64_t log_bytes(const struct mirror_header *h)
{
	return MIRROR_BLOCK_BYTES + mirror_data_padded_bytes(h->data_bytes);
}

/* The most that this log's records from `sequence` on take in the copy's log: each in a
 * descriptor of its own. */
uint64_t mirror_pace_stream_bytes(const struct mirror_engine *m, uint64_t sequence)
{
	struct mirror_ring_entry entry;

	if (mirror_ring_find(m->open.ring, sequence, &entry) != 0)
		return 0;
	return mirror_ring_head_position(m->open.ring) - entry.position +
	       (m->open.marks.last + 1 - sequence) * MIRROR_BLOCK_BYTES;
}

/* Do the records that the log holds for the copy fit above its hold? A quarter of the
 * log; much less after one refusal. If it is refused again, clients' writes are not the
 * cause. */
bool mirror_pace_fits(const struct mirror_engine *m, uint32_t site)
{
	const struct engine_peer *p = &m->open.peer[site];
	const uint64_t from = m->link[p->link].next_send;
	const uint32_t part = p->refresh.refused_count == 1 ? 16 : 4;

	return mirror_pace_stream_bytes(m, from) <=
		       mirror_ring_bytes(m->open.ring) / part &&
	       m->open.marks.last + 1 - from <= RECORDS_MAX / part;
}

/* A hold is asked for. */
void mirror_pace_begin(struct mirror_engine *m, uint32_t site, uint64_t extents)
{
	struct engine_peer *p = &m->open.peer[site];
	const uint64_t logged = m->open.marks.last + 1 - m->link[p->link].next_send;

	p->pace.room_records = RECORDS_MAX - RECORDS_SPARE - logged;
	p->pace.room_records -= extents < p->pace.room_records ? extents :
								 p->pace.room_records;
	p->pace.room_bytes = p->pace.hold_bytes = 0;
	p->pace.spent_bytes = 0;
	p->pace.spent_records = 0;
	p->refresh.all_read = false;
	p->refresh.starved = p->refresh.outrun_count > 0;
	p->refresh.mapping_ns = m->now_ns;
}

/* It prepares its hold, which clients wait for when they outran it before; the longer,
 * the more often, but not for ever. */
void mirror_pace_asked(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];
	const uint32_t times = p->refresh.outrun_count < 3 ? p->refresh.outrun_count : 3;
	const uint64_t until_ns = p->refresh.mapping_ns + (MAPPING_NS << times);

	if (m->now_ns >= until_ns)
		p->refresh.starved = false;
	else if (p->refresh.starved)
		mirror_engine_wake(m, until_ns);
}

/* The copy is ready. False: clients have written more meanwhile than it can take in. */
bool mirror_pace_ready(struct mirror_engine *m, uint32_t site, uint32_t room_blocks)
{
	struct engine_peer *p = &m->open.peer[site];
	const uint64_t percent = mirror_ring_used_percent(m->open.ring);
	const uint64_t extents = p->refresh.total *
				 (MIRROR_EXTENT_BYTES + MIRROR_BLOCK_BYTES);
	uint64_t own = 0;

	p->refresh.starved = false;
	p->pace.room_bytes = (uint64_t)room_blocks * MIRROR_BLOCK_BYTES;
	if (room_blocks == MIRROR_REFRESH_ROOM_UNBOUND)
		p->pace.room_bytes = p->pace.room_records = UNBOUND;
	p->pace.hold_bytes = p->pace.room_bytes;
	p->refresh.outrun_count++;
	if (p->pace.spent_bytes > p->pace.room_bytes ||
	    p->pace.spent_records > p->pace.room_records)
		return false;
	p->refresh.outrun_count = 0;
	/* All of it in this log too, if that can be (P4-71): then no map takes over. */
	if (percent < m->config->bypass_at_percent)
		own = (m->config->bypass_at_percent - percent) *
		      (mirror_ring_bytes(m->open.ring) / 100);
	if (own > extents && own - extents < p->pace.room_bytes - p->pace.spent_bytes)
		p->pace.room_bytes = p->pace.spent_bytes + (own - extents);
	return true;
}

void mirror_pace_spend(struct mirror_engine *m, const struct mirror_header *h)
{
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		struct engine_peer *p = &m->open.peer[s];

		if (p->refresh.phase != REFRESH_ASKED &&
		    p->refresh.phase != REFRESH_COPYING)
			continue;
		p->pace.spent_bytes += log_bytes(h);
		p->pace.spent_records++;
	}
}

/* Is half of `room` spent, and of the other half the share of the refresh that is done? */
static bool is_ahead(const struct engine_peer *p, uint64_t spent, uint64_t room)
{
	const uint64_t total = p->refresh.total > 0 ? p->refresh.total : 1;
	const uint64_t done = p->refresh.done < total ? p->refresh.done : total;

	return room != UNBOUND && spent >= room / 2 + room / 512 * (done * 256 / total);
}

/* Do clients' writes have to wait for a refresh? */
bool mirror_pace_waits(const struct mirror_engine *m)
{
	if (m->state != ENGINE_SERVING)
		return false;
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		const struct engine_peer *p = &m->open.peer[s];

		if (mirror_outrun_may(m, s))
			continue;
		if (p->refresh.starved)
			return true;
		if (p->refresh.phase == REFRESH_COPYING && !p->refresh.all_read &&
		    (is_ahead(p, p->pace.spent_bytes, p->pace.room_bytes) ||
		     is_ahead(p, p->pace.spent_records, p->pace.room_records)))
			return true;
	}
	return false;
}
