/* check_g1.c - G1, durability: what is acknowledged is logged at production and at every
 * current copy, and what is flushed is durable there; a read shows whole sectors, and in
 * each the newest write that was acknowledged before it was asked, or a later one.
 * That nothing acknowledged is gone later, check_g4.c sees whenever somebody serves.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/internal.h"
#include "tests/sim/sim.h"

static bool is_flush(const struct mirror_request *q)
{
	return q->type == MIRROR_REQUEST_FLUSH || q->fua;
}

/* The copy's host is the incarnation that was counted current: it has the record. */
static void check_copy(struct sim *w, uint32_t node, const struct mirror_request *q,
		       uint32_t site)
{
	const struct view *v = cluster_vote_in_effect(w->node[node].core);
	const int32_t host = w->site[site].open_node;
	const struct mirror_engine *m;

	if (v == NULL || !v->site[site].current || host < 0 ||
	    v->site[site].host.node != host ||
	    v->production_incarnation != w->node[node].engine->incarnation)
		return;
	m = w->node[host].engine;
	if (m->state != ENGINE_IDLE || m->failed || m->cut_step != CUT_NONE ||
	    m->incarnation != v->site[site].current_incarnation)
		return;
	if (m->logged < q->sequence)
		sim_violate(w, "G1",
			    "n%u acknowledges sequence %llu, and the current copy %u has "
			    "logged up to %llu",
			    node + 1, (unsigned long long)q->sequence, site,
			    (unsigned long long)m->logged);
	else if (is_flush(q) && m->durable < q->sequence)
		sim_violate(
			w, "G1",
			"n%u acknowledges flush %llu, and at the current copy %u %llu "
			"is durable",
			node + 1, (unsigned long long)q->sequence, site,
			(unsigned long long)m->durable);
}

static void check_write(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct mirror_request *q = &r->request;
	const struct mirror_engine *m = w->node[node].engine;
	struct sim_generation *g = &w->generation[r->generation];

	if (!r->noted)
		return; /* nothing was before it: an empty flush */
	if (m->logged < q->sequence || (is_flush(q) && m->durable < q->sequence))
		sim_violate(w, "G1",
			    "sequence %llu is acknowledged; logged %llu, durable %llu",
			    (unsigned long long)q->sequence,
			    (unsigned long long)m->logged,
			    (unsigned long long)m->durable);
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (s != m->site)
			check_copy(w, node, q, s);
	if (q->sequence > g->acknowledged) {
		g->acknowledged = q->sequence;
		for (uint32_t s = 0; s < w->plan.site_count; s++)
			g->power_cuts[s] = w->site[s].power_cuts;
	}
	if (is_flush(q) && q->sequence > g->flushed)
		g->flushed = q->sequence;
}

/* The newest write of the sector that left `number` there: a client may have said the
 * same twice. NULL: none. */
static const struct sim_touch *shown(const struct sim_sector *s, uint64_t number,
				     const uint64_t *limit)
{
	const struct sim_touch *newest = NULL;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct sim_touch *t = &s->touch[i];

		if (t->number == number && t->sequence <= limit[t->generation] &&
		    (newest == NULL || t->sequence > newest->sequence))
			newest = t;
	}
	return newest;
}

static void check_sector(struct sim *w, const struct sim_request *r, uint64_t at,
			 const uint64_t *limit)
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
	t = shown(sim_sector(w, q->disk, sector), number, limit);
	floor = sim_newest_touch(w, q->disk, sector, limit, r->floor_sequence);
	if (t == NULL && number != 0)
		sim_violate(w, "G2",
			    "a read shows write %llu, which is no part of the "
			    "history",
			    (unsigned long long)number);
	else if (floor != NULL && (t == NULL || t->sequence < floor->sequence))
		sim_violate(w, "G1",
			    "a read of disk %u sector %llu shows sequence %llu, and %llu "
			    "was acknowledged before",
			    q->disk, (unsigned long long)sector,
			    (unsigned long long)(t != NULL ? t->sequence : 0),
			    (unsigned long long)floor->sequence);
	if (t != NULL && number != 0 && t->sequence > w->generation[t->generation].seen)
		w->generation[t->generation].seen = t->sequence;
}

static void check_read(struct sim *w, uint32_t node, const struct sim_request *r)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];

	w->count.reads++;
	if (w->site[w->node[node].site].tainted || w->site[w->node[node].site].consent)
		return;
	sim_note_all(w, node);
	sim_limits(w, (uint32_t)w->node[node].served_generation - 1, limit);
	for (uint64_t at = 0; at < r->request.length_bytes; at += SIM_SECTOR)
		check_sector(w, r, at, limit);
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

const struct sim_checker sim_check_g1 = { .name = "G1", .answered = answered };
