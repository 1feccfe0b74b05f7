/* check_async.c - async, and copies that clients outrun: M6, a map takes over for a linked copy
 * only when no view counts it, and then the log is not kept for it; M7, clients wait for no
 * refresh but one that an operator has them wait for, and one that they outran begins again
 * after refresh-retry, not before. M4, a copy comes near after ten seconds within half the bound.
 * (check_m.c: it is never beyond the bound.)
 */
#include "cluster/alone.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

#define SOON_NS (100 * SIM_MS)
#define NEAR_NS (10000 * SIM_MS)
#define FULL_PERCENT 80u /* setup.c: bypass-at */

/* A copy, as production saw it last; a generation begins with none. */
static struct seen {
	enum refresh_phase phase;
	uint32_t count;     /* outrun so often in a row ... */
	uint64_t outrun_ns; /* ... and then; 0: never, or forgiven */
	uint64_t full_ns;   /* the full log is kept for it since; 0: it is not */
	bool paced;         /* an operator has clients wait for its refresh */
	bool enters;        /* it is waited for, or about to be ... */
	uint64_t beyond_ns; /* ... and was beyond half the bound last */
} seen[SIM_NODES_MAX][SIM_SITES_MAX];

/* ---- M6 ------------------------------------------------------------------------------ */

/* Does a view that may be in effect, of the generation which `node` serves, count the copy?
 * Without a cluster production's core does. */
static bool is_counted(const struct sim *w, uint32_t node, uint32_t site)
{
	if (w->plan.alone)
		return (w->node[node].core->alone->waited >> site & 1) != 0;
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct view *v = w->node[n].running ?
					       cluster_view_newest(w->node[n].core) :
					       NULL;

		if (v != NULL && v->site[site].current &&
		    v->production_incarnation == sim_view(w, node)->incarnation &&
		    v->ballot >= cluster_view_in_effect(w->node[node].core)->ballot)
			return true;
	}
	return false;
}

/* Half of a full log holds what this copy has not confirmed, and nothing else needs it. */
static bool fills_log(const struct mirror_view *m, uint32_t site)
{
	const uint64_t map = m->sb->sites[site].map_position;
	const uint64_t proven = m->peer[site].proven_durable;
	struct mirror_ring_entry from, to;

	if (mirror_ring_used_percent(m->ring) < FULL_PERCENT ||
	    m->peer[site].link == MIRROR_LINK_NONE ||
	    !m->link[m->peer[site].link].streams_out ||
	    mirror_ring_find(m->ring, (proven > map ? proven : map) + 1, &from) != 0 ||
	    mirror_ring_find(m->ring, m->marks->home_flushed, &to) != 0)
		return false;
	return to.position > from.position &&
	       to.position - from.position > mirror_ring_bytes(m->ring) / 2;
}

static void check_bypass(struct sim *w, uint32_t node, uint32_t site)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct mirror_view_peer *p = &m->peer[site];
	const bool streams = p->phase == REFRESH_NONE || p->phase == REFRESH_ASKED;

	if (p->bypass && is_counted(w, node, site))
		sim_violate(w, "M6", "n%u has copy %u in bypass, and a view counts it",
			    node + 1, site);
	if (m->ack->promise.mode != CONFIG_ASYNC || p->answers_wait || !streams ||
	    seen[node][site].paced || !fills_log(m, site))
		seen[node][site].full_ns = 0;
	else if (seen[node][site].full_ns == 0)
		seen[node][site].full_ns = w->now_ns;
	else if (w->now_ns > seen[node][site].full_ns + SOON_NS)
		sim_violate(w, "M6",
			    "n%u keeps its full log for copy %u, which is only slow",
			    node + 1, site);
}

/* ---- M4 ------------------------------------------------------------------------------ */

/* Clients' bytes that the copy lacks, as production has counted them; UINT64_MAX: more than it
 * knows. */
static uint64_t lacked_bytes(const struct mirror_view *m, uint32_t site)
{
	const struct mirror_ack *a = m->ack;
	const uint64_t from = m->peer[site].proven_durable;

	if (from >= a->last)
		return 0;
	if (from + 1 < a->first || a->last - from >= a->record_count)
		return UINT64_MAX;
	return a->record[a->last % a->record_count].bytes -
	       (from < a->first ? 0 : a->record[from % a->record_count].bytes);
}

static void check_near(struct sim *w, uint32_t node, uint32_t site)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct promise *p = &m->ack->promise;
	struct seen *a = &seen[node][site];
	const bool enters = m->peer[site].candidate_from != 0;

	if (p->mode != CONFIG_ASYNC || !promise_counts(p) ||
	    lacked_bytes(m, site) > p->bytes / 2)
		a->beyond_ns = w->now_ns;
	/* its clock drifts a little */
	if (enters && !a->enters && w->now_ns < a->beyond_ns + NEAR_NS * 9 / 10 &&
	    p->mode == CONFIG_ASYNC)
		sim_violate(w, "M4",
			    "n%u lets copy %u enter, and %llu ms ago it was beyond half "
			    "the bound",
			    node + 1, site,
			    (unsigned long long)(w->now_ns - a->beyond_ns) / SIM_MS);
	a->enters = enters;
}

/* ---- M7 ------------------------------------------------------------------------------ */

static void check_refresh(struct sim *w, uint32_t node, uint32_t site)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct mirror_view_peer *p = &m->peer[site];
	struct seen *a = &seen[node][site];

	if (p->outrun_count > a->count && m->ack->promise.mode == CONFIG_ASYNC)
		a->outrun_ns = w->now_ns;
	a->count = p->outrun_count;
	if (p->phase == REFRESH_NONE || m->ack->promise.mode != CONFIG_ASYNC)
		a->paced &= p->phase != REFRESH_NONE;
	if (m->ack->promise.mode != CONFIG_ASYNC || p->answers_wait)
		a->outrun_ns = 0;
	/* its clock drifts a little */
	if (p->phase == REFRESH_ASKED && a->phase != REFRESH_ASKED && a->outrun_ns != 0 &&
	    w->now_ns < a->outrun_ns + w->config.refresh_retry_ms * SIM_MS * 9 / 10)
		sim_violate(w, "M7",
			    "n%u refreshes copy %u again %llu ms after clients outran it",
			    node + 1, site,
			    (unsigned long long)(w->now_ns - a->outrun_ns) / SIM_MS);
	a->phase = p->phase;
}

static bool is_async(const struct sim *w, uint32_t node)
{
	const struct view *v = cluster_view_in_effect(w->node[node].core);

	return sim_view(w, node)->ack->promise.mode == CONFIG_ASYNC &&
	       (w->plan.alone || (v != NULL && v->promise.mode == CONFIG_ASYNC));
}

static void check_waits(struct sim *w, uint32_t node)
{
	if (!sim_view(w, node)->clients_wait || !is_async(w, node))
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (seen[node][s].paced)
			return;
	sim_violate(w, "M7", "n%u has clients wait for a refresh in async", node + 1);
}

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);

	if (!sim_plan_is_async(&w->plan) || m->state != ENGINE_SERVING || m->ring == NULL)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		if (s == m->site)
			continue;
		check_refresh(w, node, s);
		check_bypass(w, node, s);
		check_near(w, node, s);
	}
	check_waits(w, node);
}

static void order(struct sim *w, uint32_t node, const struct order *o)
{
	if (o->type == ORDER_SERVE)
		for (uint32_t s = 0; s < SIM_SITES_MAX; s++)
			seen[node][s] = (struct seen){ 0 };
	for (uint32_t s = 0; s < w->plan.site_count && o->type == ORDER_REFRESH; s++) {
		if ((o->sites >> s & 1) == 0)
			continue;
		seen[node][s].outrun_ns = 0;
		seen[node][s].paced |= o->pace &&
				       sim_view(w, node)->peer[s].phase != REFRESH_NONE;
	}
}

const struct sim_checker sim_check_async = {
	.name = "async",
	.order = order,
	.mirror = mirror,
};
