/* check_g3.c - G3, one production: no host answers once another was promoted; no host
 * begins to serve while another still holds a lease, and none gets a lease again once
 * another has begun; a generation is of one process. After a force two lineages may live.
 * D7: a lease runs from the moment when it was asked for, by the grants of a majority; and
 * no voter grants a lease after it has promised a proposal of another member.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

static bool has_lease(const struct sim *w, uint32_t node)
{
	return sim_node_serves(w, node) &&
	       sim_clock(w, node) < mirror_engine_lease_until_ns(w->node[node].engine);
}

static bool is_its_own(const struct sim *w, uint32_t node, uint32_t generation)
{
	const struct sim_generation *g = &w->generation[generation];

	return g->node == node && g->process == w->node[node].process;
}

/* A generation is of one process, of the first one that is told to serve in it. */
static void order(struct sim *w, uint32_t node, const struct order *o)
{
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;
	struct sim_generation *g;

	if (o->type != ORDER_SERVE)
		return;
	g = &w->generation[mine];
	if (g->process == 0) {
		g->node = node;
		g->process = w->node[node].process;
	}
	if (!is_its_own(w, node, mine))
		sim_violate(w, "G3",
			    "n%u (process %u) is told to serve in generation %llu, and "
			    "that is of n%u (process %u)",
			    node + 1, w->node[node].process,
			    (unsigned long long)g->ordinal, g->node + 1, g->process);
}

/* One serves from when its engine does and it holds a lease: an engine that comes round
 * in a host that was deposed meanwhile answers nobody. */
static void mirror(struct sim *w, uint32_t node)
{
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;

	if (!has_lease(w, node) || mine == w->newest)
		return;
	if (w->plan.alone) { /* check_alone.c */
		w->newest = mine;
		w->count.serves += !w->generation[mine].served;
		w->generation[mine].served = true;
		return;
	}
	if (w->generation[mine].served && !w->forced)
		sim_violate(w, "G3",
			    "n%u serves with a lease in generation %llu, and generation "
			    "%llu has begun",
			    node + 1, (unsigned long long)w->generation[mine].ordinal,
			    (unsigned long long)w->generation[w->newest].ordinal);
	if (w->generation[mine].served)
		return;
	w->newest = mine;
	w->generation[mine].served = true;
	w->generation[mine].served_ns = w->now_ns;
	w->count.serves++;
	for (uint32_t n = 0; n < w->node_count && !w->forced; n++)
		if (n != node && has_lease(w, n))
			sim_violate(w, "G3", "n%u serves while n%u has a lease", node + 1,
				    n + 1);
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;

	mirror(w, node);
	if (r->request.result != 0)
		return;
	if (!is_its_own(w, node, mine))
		sim_violate(w, "G3", "n%u answers in generation %llu, which is of n%u",
			    node + 1, (unsigned long long)w->generation[mine].ordinal,
			    w->generation[mine].node + 1);
	else if (!w->forced && !w->plan.alone && mine != w->newest)
		sim_violate(w, "G3",
			    "n%u answers in generation %llu, and generation %llu serves",
			    node + 1, (unsigned long long)w->generation[mine].ordinal,
			    (unsigned long long)w->generation[w->newest].ordinal);
}

/* ---- D7 ---------------------------------------------------------------------------- */

/* Its voters: bit per node. */
static uint32_t nodes_of(const struct view *v)
{
	uint32_t nodes = 0;

	for (uint32_t i = 0; v != NULL && i < v->voters.count; i++)
		nodes |= 1u << v->voters.voter[i].node;
	return nodes;
}

static void asked(struct sim *w, uint32_t node, const struct message *m)
{
	const uint64_t at = m->lease.counter % SIM_RENEWALS_MAX;

	w->node[node].renewal[at].generation = m->lease.generation;
	w->node[node].renewal[at].counter = m->lease.counter;
	w->node[node].renewal[at].sent_ns = sim_clock(w, node);
	w->node[node].renewal[at].granted = 0;
	w->node[node].renewal[at].counted = nodes_of(
		cluster_view_in_effect(w->node[node].core));
}

/* Each majority of the voters `a` has one of each majority of `b`. */
static bool majorities_meet(uint32_t a, uint32_t b)
{
	const int all_a = __builtin_popcount(a), all_b = __builtin_popcount(b),
		  both = __builtin_popcount(a & b);
	int from_a = all_a / 2 + 1 - (all_a - both),
	    from_b = all_b / 2 + 1 - (all_b - both);

	from_a = from_a > 0 ? from_a : 0;
	from_b = from_b > 0 ? from_b : 0;
	return from_a + from_b > both;
}

/* It grants a lease for which the voters `counted` count: each majority of them has to meet
 * each majority of the voters that this node knows. */
static void check_counted(struct sim *w, uint32_t node, uint32_t counted)
{
	const struct view *v = cluster_view_newest(w->node[node].core);

	if (v != NULL && !w->forced && !majorities_meet(counted, nodes_of(v)))
		sim_violate(w, "D7",
			    "n%u grants a lease that the voters %x count, and knows the "
			    "voters %x: majorities of them need share none",
			    node + 1, counted, nodes_of(v));
}

static void granted(struct sim *w, uint32_t node, const struct message *m)
{
	const struct cluster_core *c = w->node[node].core;
	const struct view *v = cluster_view_newest(c);
	const uint64_t at = m->lease.counter % SIM_RENEWALS_MAX;

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].renewal[at].counter == m->lease.counter &&
		    uuid_equal(&w->node[n].renewal[at].generation,
			       &m->lease.generation)) {
			w->node[n].renewal[at].granted |= 1u << node;
			check_counted(w, node, w->node[n].renewal[at].counted);
		}
	/* A promise of this very step came after the grant. */
	if (v != NULL && w->node[node].promised_before > v->ballot &&
	    (int32_t)cluster_view_ballot_node(w->node[node].promised_before) !=
		    v->production_node)
		sim_violate(w, "D7",
			    "n%u grants a lease, and has promised ballot %llu of another",
			    node + 1, (unsigned long long)w->node[node].promised_before);
}

static void sent(struct sim *w, uint32_t node, const uint8_t *data, size_t length)
{
	static struct message m;
	char text[256];

	if (cluster_message_decode(&w->config, data, length, &m, text, sizeof text) != 0)
		return;
	if (m.type == MESSAGE_RENEW)
		asked(w, node, &m);
	else if (m.type == MESSAGE_GRANT)
		granted(w, node, &m);
}

static bool is_granted(const struct sim *w, const struct view *v, uint32_t by)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < v->voters.count; i++)
		count += by >> v->voters.voter[i].node & 1;
	return 2 * count > v->voters.count ||
	       (2 * count == v->voters.count && w->plan.fencing);
}

static void cluster(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const uint64_t until = n->core->lease.until_ns, before = n->lease_seen_ns;
	const struct view *v = cluster_view_in_effect(n->core);

	n->lease_seen_ns = until;
	if (until <= before || v == NULL || w->forced)
		return;
	for (uint32_t i = 0; i < SIM_RENEWALS_MAX; i++)
		if (uuid_equal(&n->renewal[i].generation, &n->core->role.generation) &&
		    until <= n->renewal[i].sent_ns + v->lease_ms * SIM_MS &&
		    is_granted(w, v, n->renewal[i].granted))
			return;
	sim_violate(
		w, "D7",
		"the lease of n%u ends %lld ms from now: no majority granted it since "
		"it was asked for",
		node + 1, (long long)(until - sim_clock(w, node)) / 1000000);
}

const struct sim_checker sim_check_g3 = {
	.name = "G3",
	.order = order,
	.answered = answered,
	.mirror = mirror,
	.sent = sent,
	.cluster = cluster,
};
