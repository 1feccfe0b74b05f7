/* pacemaker.c - a Pacemaker as a client of the members. It fences nodes that the part with
 * quorum has lost, late, not at the first attempt, or never. Then it promotes the node with
 * the best score when no node serves; sometimes before, sometimes though one does, sometimes
 * twice; and gives up.
 */
#include <string.h>

#include "cluster/internal.h"
#include "tests/sim/sim.h"

#define NOBODY UINT32_MAX
#define PERIOD_NS (20 * SIM_MS)
#define PROMOTE_LIMIT_NS (6000 * SIM_MS)
#define SETTLED_LIMIT_NS (30 * SIM_S)
#define IMPATIENT_MS 1500u
#define FENCING_FAILS_ONE_IN 4u
#define HASTY_ONE_IN 6u
#define MEDDLES_ONE_IN 1500u
#define COMMANDS_LIMIT (SIM_COMMANDS_MAX - 400)

/* The rest of the commands is for the end of the run, when all has to come together. */
static bool has_said_enough(const struct sim *w)
{
	return !w->settling && w->command_count > COMMANDS_LIMIT;
}

/* The part of the network with quorum, or NOBODY. */
static uint32_t quorate_part(const struct sim *w)
{
	for (uint32_t part = 0; part <= 2 * SIM_NODES_MAX; part++) {
		uint32_t votes = 0;

		for (uint32_t n = 0; n < w->node_count; n++)
			if (w->node[n].machine && w->node[n].component == part)
				votes++;
		/* Of two nodes each is quorate alone: the first one shoots. */
		if (votes >= w->votes_needed && votes > 0)
			return part;
	}
	return NOBODY;
}

/* Each fencer that runs notes a fencing by its own clock. */
static void note_fenced(struct sim *w, uint32_t node)
{
	struct sim_pacemaker *p = &w->pacemaker;

	p->fencing_count++;
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].machine && n != node && !p->stopped[n])
			p->history[n][node] = (struct sim_fencing){
				p->fencing_count, sim_wall(w, n),
				w->node[n].wall_offset_ns > (int64_t)SIM_S
			};
}

static void tell(struct sim *w, uint32_t node, uint32_t fenced, bool live, bool late)
{
	const uint64_t owed_ns = w->pacemaker.owed_ns[node][fenced];
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	e.fenced.node = w->config.node[fenced].name;
	e.fenced.wall_ns = w->pacemaker.history[node][fenced].wall_ns;
	e.fenced.live = live;
	e.fenced.late = late;
	/* docs/fault-model.md, the history of fencings: not covered */
	if (!live && !late && w->pacemaker.history[node][fenced].ahead &&
	    w->plan.fault_count > 0)
		w->node[node].misled |= 1u << fenced;
	/* A process that was stopped does not know when the notice came. */
	e.fenced.since_ns = owed_ns != 0 ? owed_ns : sim_clock(w, node);
	if (node != fenced && e.fenced.wall_ns != 0)
		sim_cluster_step(w, node, &e);
}

static bool hears(const struct sim *w, uint32_t node)
{
	return w->node[node].running && w->now_ns >= w->node[node].frozen_until_ns &&
	       !w->pacemaker.stopped[node];
}

/* The fencer is told by the others, with their stamps, the last node's of each fencing; and
 * the process that follows it hears of these late. */
static void sync_history(struct sim *w, uint32_t node)
{
	struct sim_pacemaker *p = &w->pacemaker;

	for (uint32_t f = 0; f < w->node_count; f++) {
		const uint32_t before = p->history[node][f].fencing;

		for (uint32_t n = w->node_count; n-- > 0;)
			if (n != node && w->node[n].machine && !p->stopped[n] &&
			    p->history[n][f].fencing > p->history[node][f].fencing)
				p->history[node][f] = p->history[n][f];
		if (p->history[node][f].fencing != before && hears(w, node) &&
		    p->asked_process[node] == w->node[node].process)
			tell(w, node, f, false, true);
	}
	p->sync_at_ns[node] = 0;
}

static void forget_history(struct sim *w, uint32_t node)
{
	struct sim_pacemaker *p = &w->pacemaker;

	memset(p->history[node], 0, sizeof p->history[node]);
	p->asked_process[node] = 0;
	p->sync_at_ns[node] = w->now_ns + w->plan.sync_ms * SIM_MS;
	if (w->plan.sync_ms == 0)
		sync_history(w, node);
}

void sim_pacemaker_boot(struct sim *w, uint32_t node)
{
	w->pacemaker.stopped[node] = false;
	forget_history(w, node);
}

void sim_pacemaker_stop(struct sim *w, uint32_t node, bool stop)
{
	w->pacemaker.stopped[node] = stop;
	if (!stop)
		forget_history(w, node);
}

/* A process that starts asks for earlier fencings; one that was stopped hears of them when it
 * goes on. */
static void tell_history(struct sim *w, uint32_t node)
{
	struct sim_pacemaker *p = &w->pacemaker;
	const bool starts = p->asked_process[node] != w->node[node].process;

	if (!hears(w, node))
		return;
	p->asked_process[node] = w->node[node].process;
	for (uint32_t n = 0; n < w->node_count; n++) {
		if (starts || p->owed_ns[node][n] != 0)
			tell(w, node, n, p->owed_ns[node][n] != 0 && !starts, false);
		p->owed_ns[node][n] = 0;
	}
}

static void tell_fenced(struct sim *w, uint32_t node)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		if (!w->node[n].running || n == node || w->pacemaker.stopped[n])
			continue;
		if (hears(w, n))
			tell(w, n, node, true, false);
		else if (w->pacemaker.owed_ns[n][node] == 0)
			w->pacemaker.owed_ns[n][node] = w->node[n].frozen_ns;
	}
}

void sim_fence(struct sim *w, uint32_t node)
{
	sim_trace(w, "n%u is fenced", node + 1);
	if (w->node[node].machine)
		sim_machine_reset(w, node);
	w->pacemaker.fenced[node] = true;
	note_fenced(w, node);
	tell_fenced(w, node);
}

static uint64_t fence_at(struct sim *w)
{
	return w->now_ns + w->plan.fence_ms * SIM_MS / 2 +
	       sim_random(w, w->plan.fence_ms + 1) * SIM_MS;
}

static bool is_fencing(const struct sim_pacemaker *p)
{
	for (uint32_t n = 0; n < SIM_NODES_MAX; n++)
		if (p->fence_at_ns[n] != 0)
			return true;
	return false;
}

static void fence(struct sim *w, uint32_t part)
{
	struct sim_pacemaker *p = &w->pacemaker;

	for (uint32_t n = 0; n < w->node_count; n++) {
		const bool outside = w->node[n].component != part || !w->node[n].machine;

		if (!outside || part == NOBODY || p->fenced[n]) {
			p->fence_at_ns[n] = 0;
			p->fenced[n] = p->fenced[n] && !w->node[n].machine;
		} else if (p->fence_at_ns[n] == 0) {
			p->fence_at_ns[n] = fence_at(w);
		} else if (w->now_ns >= p->fence_at_ns[n]) {
			if (w->settling || sim_random(w, FENCING_FAILS_ONE_IN) != 0) {
				sim_fence(w, n);
				continue;
			}
			sim_trace(w, "PACEMAKER: the fencing of n%u fails", n + 1);
			p->fence_at_ns[n] = fence_at(w);
		}
	}
}

static bool is_alive(const struct sim *w, uint32_t node, uint32_t part)
{
	return w->node[node].running && w->node[node].component == part &&
	       w->now_ns >= w->node[node].frozen_until_ns;
}

/* ... or will again, by a move that manages promotions itself. */
static bool someone_serves(const struct sim *w, uint32_t part)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (is_alive(w, n, part) &&
		    (sim_node_serves(w, n) || sim_move_manages(w, n)))
			return true;
	return false;
}

static uint64_t limit(const struct sim *w)
{
	return w->settling ? SETTLED_LIMIT_NS : PROMOTE_LIMIT_NS;
}

uint64_t sim_promote(struct sim *w, uint32_t node, bool force)
{
	const uint64_t id = sim_command(w, node, CLUSTER_COMMAND_PROMOTE, force, -1);
	uint64_t patience = limit(w);

	if (id == 0 || w->reply[id].done)
		return id;
	if (!w->settling && sim_random(w, 4) == 0)
		patience = sim_random(w, IMPATIENT_MS) * SIM_MS;
	sim_at(w, w->now_ns + patience, SIM_GIVE_UP, node, id, NULL);
	return id;
}

static void promote_best(struct sim *w, uint32_t part)
{
	static struct cluster_status status;
	struct sim_pacemaker *p = &w->pacemaker;
	int32_t best = INT32_MIN;

	for (uint32_t n = 0; n < w->node_count; n++) {
		if (!is_alive(w, n, part))
			continue;
		cluster_status_get(w->node[n].core, sim_clock(w, n), &status);
		if (status.promotion_score > best) {
			best = status.promotion_score;
			p->promote_node = n;
		}
	}
	if (best == INT32_MIN || has_said_enough(w))
		return;
	sim_trace(w, "PACEMAKER promotes%s", is_fencing(p) ? " before a fencing" : "");
	p->promote_id = sim_promote(w, p->promote_node, false);
	p->promote_since_ns = w->now_ns;
	p->promote_process = w->node[p->promote_node].process;
	if (sim_random(w, 16) == 0) /* and again, before an answer */
		sim_promote(w, p->promote_node, false);
}

/* It takes another one for the better one, though somebody serves. */
static void meddle(struct sim *w, uint32_t part)
{
	const uint32_t node = (uint32_t)sim_random(w, w->node_count);

	if (w->settling || has_said_enough(w) ||
	    sim_random(w, MEDDLES_ONE_IN * (1 + w->plan.slow)) != 0 ||
	    !is_alive(w, node, part))
		return;
	sim_trace(w, "PACEMAKER promotes n%u, though somebody serves", node + 1);
	sim_promote(w, node, false);
}

static void promote(struct sim *w, uint32_t part)
{
	struct sim_pacemaker *p = &w->pacemaker;

	if (p->promote_id != 0 &&
	    (w->reply[p->promote_id].done || !is_alive(w, p->promote_node, part) ||
	     p->promote_process != w->node[p->promote_node].process ||
	     w->now_ns > p->promote_since_ns + limit(w))) {
		p->promote_id = 0;
		p->idle_since_ns = w->now_ns;
	}
	if (someone_serves(w, part)) {
		p->idle_since_ns = w->now_ns;
		p->hasty = sim_random(w, HASTY_ONE_IN) == 0;
		meddle(w, part);
	} else if (p->promote_id == 0 && part != NOBODY && (p->hasty || !is_fencing(p)) &&
		   w->now_ns > p->idle_since_ns + 200 * SIM_MS) {
		promote_best(w, part);
	}
}

/* A monitor finds a device failed: production is demoted, so that another becomes it; and
 * the resource is stopped, and started later. Where the device hangs, the stop fails; a node
 * that is not fenced then is left alone. */
static void recover(struct sim *w, uint32_t part)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct cluster_core *c = w->node[n].core;

		if (!is_alive(w, n, part) || !c->role.failed || sim_random(w, 50) != 0)
			continue;
		if (c->role.serve == SERVE_SERVING &&
		    (sim_io_hangs(w, n) || sim_random(w, 2) == 0))
			sim_command(w, n, CLUSTER_COMMAND_DEMOTE, false, -1);
		else if (!sim_io_hangs(w, n))
			sim_node_kill(w, n);
		else if (w->plan.fencing)
			sim_fence(w, n);
	}
}

void sim_pacemaker(struct sim *w)
{
	const uint32_t part = quorate_part(w);

	for (uint32_t n = 0; n < w->node_count; n++) {
		if (w->node[n].machine && w->now_ns >= w->node[n].frozen_until_ns &&
		    w->pacemaker.sync_at_ns[n] != 0 &&
		    w->now_ns >= w->pacemaker.sync_at_ns[n])
			sync_history(w, n);
		tell_history(w, n);
	}
	if (!w->pacemaker.off) {
		if (w->plan.fencing)
			fence(w, part);
		recover(w, part);
		promote(w, part);
	}
	sim_at(w, w->now_ns + PERIOD_NS, SIM_PACEMAKER, 0, 0, NULL);
}
