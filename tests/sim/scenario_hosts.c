/* scenario_hosts.c - traces of devices that pass on: who may have a site's open (D6). */
#include "cluster/internal.h"
#include "mirror/internal.h"
#include "tests/sim/scenario.h"

/* It leaves in order: its reply comes, what it said has arrived, its process ends. */
static bool stop(struct sim_scene *s, uint32_t node)
{
	s->id = sim_command(s->w, node, CLUSTER_COMMAND_STOP, false, -1);
	if (!sim_scene_until(s, 8000, sim_replied, "it has stopped"))
		return false;
	sim_run(s->w, s->w->now_ns + s->w->plan.cpg_us * SIM_US);
	sim_node_kill(s->w, node);
	return true;
}

static bool is_hosted(struct sim_scene *s)
{
	return s->w->site[s->site].open_node == (int32_t)s->node;
}

/* All leave, one after the other, and each takes its site over from the one before for a
 * moment. Three of the five come back, those that gave the disks back last do not: that
 * they did so must be known. The witness, last of all, has heard everything. */
static void all_leave(struct sim_scene *s)
{
	for (uint32_t n = 0; n < s->w->node_count; n++)
		if (!stop(s, n))
			return;
	sim_node_start(s->w, 0);
	sim_node_start(s->w, 2);
	sim_node_start(s->w, 4);
	s->node = 0;
	UNTIL(s, 5000, is_hosted, "the first site's disks are open again");
	s->node = 2;
	s->site = 1;
	UNTIL(s, 5000, is_hosted, "so are the second site's");
	sim_scene_promote(s, 0);
	UNTIL(s, 5000, sim_serves, "it serves");
}

/* Its host was fenced once, is back for long and has the disks when its mate starts, whose
 * clock is an hour behind: the fencing is still to come there. Then the host is cut off,
 * and nobody has fenced it this time. */
static void older_fencing(struct sim_scene *s)
{
	const uint32_t host = (uint32_t)s->w->site[1].open_node, mate = 5 - host;

	sim_machine_reset(s->w, mate);
	sim_fence(s->w, host);
	sim_node_start(s->w, host);
	s->node = host;
	s->site = 1;
	UNTIL(s, 8000, is_hosted, "it is back and has the disks again");
	s->w->node[mate].wall_offset_ns = -3600 * (int64_t)SIM_S;
	sim_node_start(s->w, mate);
	UNTIL(s, 5000, sim_agree, "its mate starts");
	WHILE(s, 11000, is_hosted, "it keeps the disks");
	sim_part(s->w, 1u << host, true, true);
	WHILE(s, 20000, is_hosted, "a host that is cut off keeps its disks");
}

const struct sim_scenario sim_scenarios_hosts[] = {
	{ "all-leave",
	  "all hosts leave at once, and those that had the disks last stay away",
	  { 2, 2 },
	  1,
	  20,
	  .play = all_leave },
	{ "older-fencing",
	  "a host was fenced once, and its mate's clock says that this is still to come",
	  { 2, 2 },
	  1,
	  20,
	  .play = older_fencing },
	{ 0 },
};
