/* check_block.c - M8, on-copy-loss: block. A write or flush that is answered is at every required
 * copy, within the promise of the view, whether that copy is there or not: so it was
 * answered while the copy was current. A read shows no write that is still held back. The
 * members' side tells its engine of every required copy that is not current. Nothing is
 * required where the configuration says continue, nor production itself.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/check_m.h"
#include "tests/sim/sim.h"

/* The furthest that the log of the site has ever come in that generation. */
static void note_logged(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_block *b = &w->block;
	int32_t generation;

	if (!w->plan.block || m->state != ENGINE_IDLE || m->cutting)
		return;
	generation = sim_generation_of(w, m);
	if (generation < 0)
		return;
	if (b->generation[m->site] != generation)
		b->logged[m->site] = 0;
	b->generation[m->site] = generation;
	if (m->marks->logged > b->logged[m->site])
		b->logged[m->site] = m->marks->logged;
}

static void check_copy(struct sim *w, uint32_t node, const struct view *v, uint32_t site,
		       uint64_t sequence)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct sim_block *b = &w->block;
	uint64_t has = b->logged[site];
	struct sim_lacked l;

	sim_limits(w, (uint32_t)w->node[node].served_generation - 1, limit);
	if (has > limit[b->generation[site]])
		has = limit[b->generation[site]];
	l = sim_lacked(w, limit, has, sequence);
	if (sim_lacks_more(&l, &v->promise, 0))
		sim_violate(w, "M8",
			    "n%u answers with sequence %llu, and required copy %u has "
			    "never had more than %llu",
			    node + 1, (unsigned long long)sequence, site,
			    (unsigned long long)has);
}

/* The content of a write that the core has not answered. One with FUA is shown as soon as it is
 * logged, though its answer waits for a flush. */
bool sim_is_unanswered(const struct sim *w, uint32_t node, uint64_t number)
{
	for (uint32_t i = 0; i < SIM_REQUESTS_MAX; i++) {
		const struct sim_request *r = &w->node[node].request[i];

		if (r->busy && !r->again && !r->request.fua && r->decided_ns == 0 &&
		    r->number == number && r->request.type == MIRROR_REQUEST_WRITE)
			return true;
	}
	return false;
}

static void check_read(struct sim *w, uint32_t node, const struct sim_request *r)
{
	uint64_t number;

	for (uint64_t at = 0; at < r->request.length_bytes; at += SIM_SECTOR) {
		memcpy(&number, r->request.data + at, sizeof number);
		if (number != 0 && sim_is_unanswered(w, node, number))
			sim_violate(w, "M8",
				    "n%u shows write %llu, which it has not answered",
				    node + 1, (unsigned long long)number);
	}
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct view *v = cluster_view_in_effect(w->node[node].core);
	const bool flush = r->request.type == MIRROR_REQUEST_FLUSH;

	if (!w->plan.block || r->request.result != 0 || v == NULL ||
	    w->node[node].served_generation == 0 || w->forced ||
	    v->production_incarnation != sim_view(w, node)->incarnation)
		return;
	if (r->request.type == MIRROR_REQUEST_READ) {
		check_read(w, node, r);
		return;
	}
	sim_note_all(w, node);
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if ((v->required >> s & 1) != 0)
			check_copy(w, node, v, s,
				   flush ? r->floor_sequence : r->request.sequence);
}

static void cluster(struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;
	const struct view *v = w->plan.alone ? NULL : cluster_view_in_effect(c);

	if (v == NULL)
		return;
	if (v->required != 0 &&
	    (!w->plan.block || (v->required >> v->production_site & 1) != 0))
		sim_violate(w, "M8", "view %llu requires copies %x, and production is %d",
			    (unsigned long long)v->ballot, v->required,
			    v->production_site);
	if (c->role.serve == SERVE_SERVING &&
	    uuid_equal(&cluster_view_generation(v)->id, &c->role.generation) &&
	    (cluster_view_missing(v) & ~c->role.missing) != 0)
		sim_violate(
			w, "M8",
			"n%u tells its engine that %x are missing; by view %llu %x are",
			node + 1, c->role.missing, (unsigned long long)v->ballot,
			cluster_view_missing(v));
}

uint64_t sim_block_seen_ns(struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;
	const struct view *v;

	if (!w->plan.block || !w->node[node].running)
		return 0;
	v = cluster_view_in_effect(c);
	if (v != NULL && (cluster_view_missing(v) | c->role.undecided_missing) != 0)
		w->block.seen_ns[node] = w->now_ns;
	return w->block.seen_ns[node];
}

bool sim_block_holds(const struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct mirror_request *q = &r->request;

	if (q->type != MIRROR_REQUEST_READ)
		return true;
	for (uint32_t i = 0; i < SIM_REQUESTS_MAX; i++) {
		const struct mirror_request *o = &w->node[node].request[i].request;

		if (w->node[node].request[i].busy && o->type != MIRROR_REQUEST_READ &&
		    o->disk == q->disk &&
		    o->offset_bytes < q->offset_bytes + q->length_bytes &&
		    q->offset_bytes < o->offset_bytes + o->length_bytes)
			return true;
	}
	return false;
}

const struct sim_checker sim_check_block = {
	.name = "M8",
	.mirror = note_logged,
	.answered = answered,
	.cluster = cluster,
};
