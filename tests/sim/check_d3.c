/* check_d3.c - D3, into the current set and out of it: when a view that calls a copy
 * current is proposed, that copy has all before its mark durable. And production answers
 * no write unless it waits for every copy that some view may call current, in effect or
 * undecided. (check_g1.c sees that such a copy has all acknowledged writes.)
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

/* ---- in ---------------------------------------------------------------------------- */

/* The copy that the view counts is open, in this incarnation and in that history. */
static const struct mirror_view *counted(const struct sim *w, const struct view *v,
					 uint32_t site)
{
	const int32_t host = w->site[site].open_node;
	const struct generation *mine;
	const struct mirror_view *m;

	if (host < 0 || w->site[site].tainted || w->site[site].consent)
		return NULL;
	m = sim_view(w, host);
	mine = history_newest(&m->sb->history);
	if (m->state != ENGINE_IDLE || m->failed || m->cutting ||
	    m->incarnation != v->site[site].current_incarnation || mine == NULL ||
	    !uuid_equal(&mine->id, &cluster_view_generation(v)->id))
		return NULL;
	return m;
}

static void sent(struct sim *w, uint32_t node, const uint8_t *data, size_t length)
{
	static struct message m;
	const struct view *v = &m.propose.view;
	char text[256];

	if (cluster_message_decode(&w->config, data, length, &m, text, sizeof text) !=
		    0 ||
	    m.type != MESSAGE_PROPOSE || w->forced)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const struct mirror_view *copy = v->site[s].current ? counted(w, v, s) :
								      NULL;

		if (copy == NULL || copy->marks->durable + 1 >= v->site[s].current_from)
			continue;
		sim_violate(w, "D3",
			    "n%u proposes that site %u is current from %llu on, and it "
			    "has %llu durable",
			    node + 1, s, (unsigned long long)v->site[s].current_from,
			    (unsigned long long)copy->marks->durable);
	}
}

/* ---- waited for -------------------------------------------------------------------- */

static void check_waits(struct sim *w, uint32_t node, const struct view *v)
{
	const struct mirror_view *m = sim_view(w, node);

	if (v->production_incarnation != m->incarnation)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (s != m->site && v->site[s].current && !m->peer[s].answers_wait)
			sim_violate(w, "D3",
				    "n%u answers a write and does not wait for site %u, "
				    "current by view %llu",
				    node + 1, s, (unsigned long long)v->ballot);
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct view *mine = cluster_view_in_effect(w->node[node].core);

	if (r->request.result != 0 || r->request.type == MIRROR_REQUEST_READ ||
	    mine == NULL)
		return;
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct view *v = n == node ? mine :
				       w->node[n].running ?
						   cluster_view_newest(w->node[n].core) :
						   NULL;

		/* a force begins a lineage of its own, which binds no one in another */
		if (v != NULL && v->ballot >= mine->ballot &&
		    uuid_equal(&v->lineage, &mine->lineage))
			check_waits(w, node, v);
	}
}

const struct sim_checker sim_check_d3 = {
	.name = "D3",
	.sent = sent,
	.answered = answered,
};
