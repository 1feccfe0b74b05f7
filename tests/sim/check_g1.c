/* check_g1.c - G1, durability: an acknowledged write is logged at production and at every
 * current copy, and a flushed one is durable there, on the device too. Data that a read
 * shows is logged likewise. A flush that fails ends the use of its device. A read shows
 * whole sectors, and in each the newest write that was acknowledged before the read was
 * asked, or a later one. Copies are current by every view that may be in effect, undecided
 * ones of this production included. D5: the same holds for a read of recovered records;
 * W5: a read finds them while they are replayed.
 * check_g4.c sees, whenever a site serves, that nothing acknowledged is gone later.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/log/descriptor.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

#define STABLE_LOOK 32u /* so many records before a flush are looked at */

static bool is_flush(const struct mirror_request *q)
{
	return q->type == MIRROR_REQUEST_FLUSH || q->fua;
}

/* Records that are said to be durable, up to `sequence`, are on the log's stable storage. */
static void check_stable(struct sim *w, uint32_t node, uint64_t sequence)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct sim_site *site = &w->site[w->node[node].site];

	for (uint32_t i = 0; i < STABLE_LOOK && sequence > m->marks->home_flushed &&
			     !site->tainted && m->marks->durable >= sequence;
	     i++, sequence--) {
		const struct mirror_record *r = mirror_view_record(m, sequence);

		if (r->header.data_bytes > 0 &&
		    mirror_header_data_crc(&m->sb->mirror, &r->header,
					   site->log.stable + r->log_position) !=
			    r->header.crc) {
			sim_violate(w, "G1",
				    "site %u counts sequence %llu as durable, and it is "
				    "not on stable storage",
				    w->node[node].site, (unsigned long long)sequence);
			return;
		}
	}
}

/* The copy's host is the incarnation that was counted current: it has the record. */
static void check_copy(struct sim *w, uint32_t node, const struct view *v, uint32_t site,
		       uint64_t sequence, bool flush, const char *guarantee)
{
	const int32_t host = w->site[site].open_node;
	const struct mirror_view *m;

	if (!v->site[site].current || host < 0 || v->site[site].host.node != host ||
	    v->production_incarnation != sim_view(w, node)->incarnation)
		return;
	m = sim_view(w, host);
	if (m->state != ENGINE_IDLE || m->failed || m->cutting ||
	    m->incarnation != v->site[site].current_incarnation)
		return;
	if (v->promise.mode != CONFIG_SYNC)
		return; /* check_m.c */
	if (m->marks->logged < sequence)
		sim_violate(w, guarantee,
			    "n%u answers with sequence %llu, and copy %u, current by "
			    "view %llu, has logged up to %llu",
			    node + 1, (unsigned long long)sequence, site,
			    (unsigned long long)v->ballot,
			    (unsigned long long)m->marks->logged);
	else if (flush && m->marks->durable < sequence)
		sim_violate(w, "G1",
			    "n%u acknowledges flush %llu, and at copy %u, current by "
			    "view %llu, %llu is durable",
			    node + 1, (unsigned long long)sequence, site,
			    (unsigned long long)v->ballot,
			    (unsigned long long)m->marks->durable);
	else if (flush)
		check_stable(w, (uint32_t)host, sequence);
}

/* Every current copy, by the view in effect and by each that may be so already. */
static void check_copies(struct sim *w, uint32_t node, uint64_t sequence, bool flush,
			 const char *guarantee)
{
	const struct view *mine = cluster_view_in_effect(w->node[node].core);

	for (uint32_t n = 0; n < w->node_count && mine != NULL; n++) {
		const struct view *v = n == node ? mine :
				       w->node[n].running ?
						   cluster_view_newest(w->node[n].core) :
						   NULL;

		if (v == NULL || v->ballot < mine->ballot)
			continue;
		for (uint32_t s = 0; s < w->plan.site_count; s++)
			if (s != sim_view(w, node)->site)
				check_copy(w, node, v, s, sequence, flush, guarantee);
	}
}

/* How far site `s` has what is told now: in near-sync a copy lacks the last part of it. */
static uint64_t told_to(const struct sim *w, uint32_t node, uint32_t s, uint64_t sequence)
{
	const struct mirror_view_peer *p = &sim_view(w, node)->peer[s];

	if (s == w->node[node].site || w->plan.promise.mode == CONFIG_SYNC)
		return sequence;
	return sequence < p->logged ? sequence : p->logged;
}

/* The power cuts of a site when it had what is told now. A copy that is waited for may have
 * confirmed it, and gone down since: its word was on the line. */
static uint32_t power_cuts(const struct sim *w, uint32_t node, uint32_t s)
{
	return sim_view(w, node)->peer[s].waited ? w->site[s].opened_power_cuts :
						   w->site[s].power_cuts;
}

/* Production has it, and each copy that writes wait for at this moment. */
static void note_told(struct sim *w, uint32_t node, struct sim_generation *g,
		      uint64_t sequence)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const uint64_t told = told_to(w, node, s, sequence);

		if ((s == w->node[node].site || sim_view(w, node)->peer[s].waited) &&
		    told > g->told[s]) {
			g->told[s] = told;
			g->told_power_cuts[s] = power_cuts(w, node, s);
		}
	}
}

/* All that anyone was told of before it was asked is durable. */
static void check_flush(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const uint64_t sequence = r->floor_sequence;
	struct sim_generation *g = &w->generation[r->floor_generation];

	if (sim_view(w, node)->marks->durable < sequence)
		sim_violate(w, "G1",
			    "a flush after sequence %llu is acknowledged; durable %llu",
			    (unsigned long long)sequence,
			    (unsigned long long)sim_view(w, node)->marks->durable);
	else
		check_stable(w, node, sequence);
	check_copies(w, node, sequence, true, "G1");
	if (sequence > g->said_flushed)
		g->said_flushed = sequence;
	if (sequence > g->flushed && sequence > g->cut)
		g->flushed = sequence;
}

static void check_write(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct mirror_request *q = &r->request;
	const struct mirror_view *m = sim_view(w, node);
	struct sim_generation *g = &w->generation[r->generation];
	const uint64_t sequence = q->sequence;

	if (q->type == MIRROR_REQUEST_FLUSH) {
		check_flush(w, node, r);
		return;
	}
	if (m->marks->logged < sequence ||
	    (is_flush(q) && m->marks->durable < sequence) ||
	    (is_flush(q) && m->marks->durable < r->floor_sequence))
		sim_violate(w, "G1",
			    "sequence %llu is acknowledged; logged %llu, durable %llu",
			    (unsigned long long)q->sequence,
			    (unsigned long long)m->marks->logged,
			    (unsigned long long)m->marks->durable);
	else if (is_flush(q))
		check_stable(w, node, sequence);
	check_copies(w, node, sequence, is_flush(q), "G1");
	note_told(w, node, g, sequence);
	if (q->sequence > g->answered)
		g->answered = q->sequence;
	if (sequence > g->said)
		g->said = sequence;
	if (is_flush(q) && sequence > g->said_flushed)
		g->said_flushed = sequence;
	if (sequence > g->acknowledged && sequence > g->cut) {
		g->acknowledged = sequence;
		for (uint32_t s = 0; s < w->plan.site_count; s++)
			g->power_cuts[s] = power_cuts(w, node, s);
	}
	if (is_flush(q) && sequence > g->flushed && sequence > g->cut)
		g->flushed = sequence;
}

/* A client may have said the same twice: the read may have seen the first of them, not
 * older than `floor`. */
static const struct sim_touch *first_shown(const struct sim_sector *s, uint64_t number,
					   const uint64_t *limit, uint64_t floor)
{
	const struct sim_touch *first = NULL;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct sim_touch *t = &s->touch[i];

		if (t->number == number && t->sequence >= floor &&
		    t->sequence <= limit[t->generation] &&
		    (first == NULL || t->sequence < first->sequence))
			first = t;
	}
	return first;
}

/* It was found by the open, and is not home yet. */
static bool is_replayed(const struct sim *w, uint32_t node, const struct sim_touch *t)
{
	const struct mirror_view *m = sim_view(w, node);

	return t->sequence <= history_newest(&m->sb->history)->cut &&
	       t->sequence > m->marks->home_flushed;
}

static void check_sector(struct sim *w, uint32_t node, const struct sim_request *r,
			 uint64_t at, const uint64_t *limit)
{
	const struct mirror_request *q = &r->request;
	const uint64_t sector = (q->offset_bytes + at) / SIM_SECTOR;
	const struct sim_touch *floor, *t;
	uint64_t number;

	memcpy(&number, q->data + at, sizeof number);
	if (memcmp(q->data + at, q->data + at + 8, SIM_SECTOR - 8) != 0) {
		sim_violate(w, "G8", "a read shows a mixed sector");
		return;
	}
	t = sim_shown_touch(sim_sector(w, q->disk, sector), number, limit);
	floor = sim_newest_touch(w, q->disk, sector, limit, r->floor_sequence);
	if (t == NULL && number != 0)
		sim_violate(w, "G2",
			    "a read shows write %llu, which is no part of the "
			    "history",
			    (unsigned long long)number);
	else if (floor != NULL && (t == NULL || t->sequence < floor->sequence))
		sim_violate(w, is_replayed(w, node, floor) ? "W5" : "G1",
			    "a read of disk %u sector %llu shows sequence %llu, and %llu "
			    "was acknowledged before",
			    q->disk, (unsigned long long)sector,
			    (unsigned long long)(t != NULL ? t->sequence : 0),
			    (unsigned long long)floor->sequence);
	if (t == NULL || number == 0 || w->violation[0] != 0)
		return;
	if (t->twice)
		t = first_shown(sim_sector(w, q->disk, sector), number, limit,
				floor != NULL ? floor->sequence : 0);
	if (t->sequence > w->generation[t->generation].seen)
		w->generation[t->generation].seen = t->sequence;
	note_told(w, node, &w->generation[t->generation], t->sequence);
	check_copies(w, node, t->sequence, false,
		     t->generation != w->node[node].served_generation - 1 ? "D5" : "G1");
}

static void check_read(struct sim *w, uint32_t node, const struct sim_request *r)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];

	w->count.reads++;
	if (w->patched || w->site[w->node[node].site].tainted ||
	    w->site[w->node[node].site].consent)
		return;
	sim_note_all(w, node);
	sim_limits(w, (uint32_t)w->node[node].served_generation - 1, limit);
	for (uint64_t at = 0; at < r->request.length_bytes; at += SIM_SECTOR)
		check_sector(w, node, r, at, limit);
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	if (r->request.result != 0)
		return;
	if (r->request.type == MIRROR_REQUEST_READ)
		check_read(w, node, r);
	else
		check_write(w, node, r);
}

/* A flush that failed is never tried until it succeeds: the data that it was to make stable
 * is lost. */
static void io_ended(struct sim *w, uint32_t node, const struct sim_op *op,
		     int32_t result)
{
	const struct mirror_view *m = sim_view(w, node);

	if (op->op == MIRROR_IO_FLUSH && result < 0 && !m->failed &&
	    m->state != ENGINE_CLOSING && m->state != ENGINE_CLOSED)
		sim_violate(w, "G1", "a flush of site %u failed, and n%u goes on with it",
			    op->site, node + 1);
}

const struct sim_checker sim_check_g1 = {
	.name = "G1",
	.answered = answered,
	.io_ended = io_ended,
};
