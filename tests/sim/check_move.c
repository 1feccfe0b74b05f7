/* check_move.c - M5, a planned move by cluster/move.h: production is demoted for a copy whose
 * link says that it is level, and for no other; when the move says that it is done, a
 * generation of that site has served since it began; when it says that its own host serves,
 * that is so; once it has ended production here, it does not end without having asked for it
 * back, unless another command has demoted it since: then it does not ask. G7: it ends within
 * LIMIT_NS. That nothing acknowledged is lost G1 and G4 see.
 */
#include <string.h>

#include "cluster/alone.h"
#include "tests/sim/sim.h"

/* Wait, demote, follow, back; and a device that hangs as it starts to serve. */
#define LIMIT_NS (150 * SIM_S)

static bool is_level(const struct cluster_core *c, uint32_t site)
{
	return c->alone != NULL ? c->alone->link[site] == LINK_CONNECTED :
				  c->role.copy[site].link == LINK_CONNECTED;
}

/* ... or another command ends that, since. */
static bool is_production(const struct cluster_core *c)
{
	return c->alone != NULL ?
		       c->alone->state == ALONE_SERVING ||
			       c->alone->state == ALONE_DEMOTING :
		       c->role.serve == SERVE_SERVING || c->role.serve == SERVE_DEMOTING;
}

/* By a generation that the move can have led to. */
static bool has_served(const struct sim *w, const struct sim_move *m)
{
	for (uint32_t i = m->generation_count; i < w->generation_count; i++)
		if (w->generation[i].site == m->core.site && w->generation[i].served)
			return true;
	return false;
}

static void commands(struct sim *w, uint32_t node, const struct cluster_command *c)
{
	struct sim_move *m = &w->node[node].move;

	if (c->type == CLUSTER_COMMAND_PROMOTE) {
		if (m->away)
			sim_violate(w, "M5",
				    "n%u is to be production again, though another "
				    "command has demoted it since",
				    node + 1);
		m->back = true;
		return;
	}
	m->demotes = true;
	if (!is_level(w->node[node].core, m->core.site))
		sim_violate(w, "M5",
			    "n%u is demoted for site %u, whose link is not level",
			    node + 1, m->core.site);
}

static void ends(struct sim *w, uint32_t node, const struct cluster_move_event *e,
		 const struct cluster_move_action *a)
{
	const struct sim_move *m = &w->node[node].move;
	const bool refused = m->demotes && !m->demoted;
	const bool is_back = m->back && e->type == MOVE_EVENT_REPLY &&
			     e->reply.exit_status == 0;

	if (a->exit_status == 0 && m->demoted && !has_served(w, m))
		sim_violate(w, "M5",
			    "n%u has moved production to site %u, which has not "
			    "served since",
			    node + 1, m->core.site);
	if (a->exit_status != 0 && m->demoted && !m->back && !m->away)
		sim_violate(w, "M5",
			    "n%u has ended production, and did not ask for it back",
			    node + 1);
	if (a->exit_status != 0 && (refused || is_back) &&
	    !is_production(w->node[node].core))
		sim_violate(w, "M5", "n%u does not serve, and says that it does: %s",
			    node + 1, a->text);
}

static void moved(struct sim *w, uint32_t node, const struct cluster_move_event *e,
		  const struct cluster_move_action *a)
{
	struct sim_move *m = &w->node[node].move;

	if (e->type == MOVE_EVENT_BEGIN) {
		m->begun_ns = w->now_ns;
		m->generation_count = w->generation_count;
		m->demotes = m->demoted = m->back = m->away = false;
	} else if (e->type == MOVE_EVENT_DEMOTED) {
		m->away |= m->demotes;
	} else if (e->type == MOVE_EVENT_REPLY && !m->back) {
		m->demoted = e->reply.exit_status == 0;
	}
	if (a->type == MOVE_ACTION_COMMAND)
		commands(w, node, &a->command);
	else if (a->type == MOVE_ACTION_END)
		ends(w, node, e, a);
}

static void look(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct sim_node *at = &w->node[n];
		const uint64_t since = at->move.begun_ns > at->frozen_until_ns ?
					       at->move.begun_ns :
					       at->frozen_until_ns;

		if (at->running && at->move.core.state != MOVE_NONE &&
		    w->now_ns > since + LIMIT_NS)
			sim_violate(
				w, "G7",
				"the move of n%u to site %u is in state %d after %llu "
				"ms",
				n + 1, at->move.core.site, (int)at->move.core.state,
				(unsigned long long)((w->now_ns - since) / SIM_MS));
	}
}

const struct sim_checker sim_check_move = {
	.name = "move",
	.moved = moved,
	.look = look,
};
