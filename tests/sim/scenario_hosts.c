/* scenario_hosts.c - traces of a site's devices that pass on from host to host (D6). */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

/* It leaves in order: its reply comes, its messages have arrived, its process ends. */
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

static uint32_t voter_count(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->voters.count;
}

static bool nobody_serves(struct sim_scene *s)
{
	return sim_serving(s->w) < 0;
}

static bool somebody_serves(struct sim_scene *s)
{
	return !nobody_serves(s);
}

/* D1: all but production leave in order, the copy last, and it writes on alone: each has
 * handed its vote back. Then it dies, and all that left come back: each knows a view in
 * which its vote counted, and together they still decide nothing. */
static void leave_in_order(struct sim_scene *s)
{
	static const uint32_t order[] = { 1, 3, 4, 2 };

	for (uint32_t i = 0; i < 4; i++) {
		if (!stop(s, order[i]))
			return;
		EXPECT(s, voter_count(s) == 4 - i, "its vote is handed back");
		if (!sim_scene_writes(s, 0, 3))
			return;
	}
	sim_node_kill(s->w, 0);
	for (uint32_t n = 1; n < s->w->node_count; n++)
		sim_node_start(s->w, n);
	sim_scene_promote(s, 1);
	sim_scene_promote(s, 2);
	WHILE(s, 8000, nobody_serves, "a member that left decides nothing");
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "they agree when it is back");
	sim_scene_promote(s, 0);
	UNTIL(s, 5000, somebody_serves, "and serve");
}

/* A planned stop of all: those without production are gone first, all at once. The service
 * that uses production's disks takes its time. It ends in order, and all come back. */
static void leave_at_once(struct sim_scene *s)
{
	uint64_t id[4];

	for (uint32_t n = 1; n < 5; n++)
		id[n - 1] = sim_command(s->w, n, CLUSTER_COMMAND_STOP, false, -1);
	for (uint32_t n = 1; n < 5; n++) {
		s->id = id[n - 1];
		UNTIL(s, 8000, sim_replied, "it has stopped");
	}
	sim_run(s->w, s->w->now_ns + s->w->plan.cpg_us * SIM_US);
	for (uint32_t n = 1; n < 5; n++)
		sim_node_kill(s->w, n);
	EXPECT(s, voter_count(s) == 1, "their votes are handed back");
	if (!sim_scene_writes(s, 0, 3) || !stop(s, 0))
		return;
	for (uint32_t n = 0; n < s->w->node_count; n++)
		sim_node_start(s->w, n);
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "they agree");
	sim_scene_promote(s, 0);
	UNTIL(s, 5000, sim_serves, "it serves");
}

/* While nothing serves, nobody hands its vote back: the nodes that come back first decide. */
static void leave_without_production(struct sim_scene *s)
{
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 8000, sim_replied, "it is demoted");
	for (uint32_t n = 5; n-- > 0;)
		if (!stop(s, n))
			return;
	for (uint32_t n = 2; n < 5; n++)
		sim_node_start(s->w, n);
	s->node = 2;
	s->site = 1;
	UNTIL(s, 5000, is_hosted, "three of five open the second site's disks");
	sim_scene_promote(s, 2);
	UNTIL(s, 5000, sim_serves, "which has all that was promised");
}

/* D2, by force: the one that stayed is lost for good. */
static void leave_and_lose(struct sim_scene *s)
{
	if (!stop(s, 1) || !stop(s, 3) || !stop(s, 4))
		return;
	s->w->forced = true;
	sim_node_kill(s->w, 0);
	sim_node_kill(s->w, 2);
	sim_fence(s->w, 0);
	sim_fence(s->w, 2);
	sim_node_start(s->w, 1);
	s->node = 1;
	sim_run(s->w, s->w->now_ns + 3 * SIM_S);
	s->id = sim_promote(s->w, 1, true);
	UNTIL(s, 15000, sim_serves, "a member that had handed its vote back is forced");
}

static bool is_alone(struct sim_scene *s)
{
	return sim_scene_view(s, s->node)->voters.count == 1;
}

/* D2: production of two leaves in order, so nothing serves and it keeps its vote; then it
 * is fenced. The other one breaks the tie, serves, and takes that vote back. From then on
 * it needs nobody, after a restart neither, and the one that left decides nothing alone. */
static void leave_and_be_fenced(struct sim_scene *s)
{
	if (!stop(s, 0))
		return;
	EXPECT(s, sim_scene_view(s, 1)->voters.count == 2, "it keeps its vote");
	sim_fence(s->w, 0);
	if (!sim_scene_takeover(s, 1))
		return;
	UNTIL(s, 5000, is_alone, "its vote is taken back");
	if (!sim_scene_writes(s, 1, 3))
		return;
	sim_node_kill(s->w, 1);
	sim_node_start(s->w, 0);
	sim_scene_promote(s, 0);
	WHILE(s, 8000, nobody_serves, "the node that left decides nothing");
	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 1);
	s->node = 1;
	UNTIL(s, 5000, sim_is_open, "the one that stayed opens its disks alone");
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, sim_serves, "and serves");
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, sim_agree, "the node that left comes back, and follows");
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

/* The host was fenced once, but is back for long and has the disks when its mate starts. By
 * the mate's clock the fencing is just now: later than all that it hears of the host. Then
 * the host is cut off, and nobody has fenced it this time. */
static void older_fencing(struct sim_scene *s)
{
	const uint32_t host = (uint32_t)s->w->site[1].open_node, mate = 5 - host;
	const uint64_t fenced_ns = s->w->now_ns;

	sim_machine_reset(s->w, mate);
	sim_fence(s->w, host);
	sim_node_start(s->w, host);
	s->node = host;
	s->site = 1;
	UNTIL(s, 8000, is_hosted, "it is back and has the disks again");
	s->w->node[mate].wall_offset_ns = (int64_t)(fenced_ns - s->w->now_ns) -
					  500 * (int64_t)SIM_MS;
	sim_node_start(s->w, mate);
	UNTIL(s, 5000, sim_agree, "its mate starts");
	WHILE(s, 1000, is_hosted, "it keeps the disks");
	sim_part(s->w, 1u << host, true, true);
	WHILE(s, 20000, is_hosted, "a host that is cut off keeps its disks");
}

static bool is_given_up(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->role.failed;
}

static bool copy_is_best(struct sim_scene *s)
{
	return sim_scene_score(s, 0) == INT32_MIN &&
	       sim_scene_score(s, 2) > sim_scene_score(s, 1) &&
	       sim_scene_score(s, 2) > sim_scene_score(s, 3);
}

static bool is_released(struct sim_scene *s)
{
	return s->w->site[0].open_node != 0 && !sim_io_pending(s->w, 0);
}

/* A device of production answers nothing any more, and may still carry out its requests at any
 * time: it is given up, and the copy takes over at once; its site mate, which must not open the
 * disks, is no choice. They pass on when the device answers. */
static void device_hangs(struct sim_scene *s, uint32_t device)
{
	struct sim_request *asked;

	s->w->config.device_timeout_ms = 8000;
	sim_device_hang(s->w, 0, device, 1u << 0);
	s->write = asked = sim_scene_write(s, 0, 7);
	EXPECT(s, s->write != NULL, "a write is taken");
	UNTIL(s, 12000, is_given_up, "production gives its device up");
	UNTIL(s, 1000, sim_told, "the client is told");
	UNTIL(s, 3000, copy_is_best, "the copy is the one to promote");
	s->node = 0;
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 2000, sim_replied, "it is demoted, and does not wait for the device");
	if (!sim_scene_takeover(s, 2))
		return;
	EXPECT(s, s->w->site[0].open_node == 0, "its disks are still its own");
	sim_device_hang(s->w, 0, device, 0);
	UNTIL(s, 3000, is_released, "they are released when the device answers");
}

static void log_hangs(struct sim_scene *s)
{
	device_hangs(s, MIRROR_IO_LOG);
}

static void disk_hangs(struct sim_scene *s)
{
	device_hangs(s, 0);
}

/* Its host is fenced while the process of its mate is stopped, comes back, has the disks
 * again and is cut off: all of that the mate hears when it wakes, and then of the fencing,
 * as if it had just been. */
static void late_notice(struct sim_scene *s)
{
	const uint32_t host = (uint32_t)s->w->site[1].open_node, mate = 5 - host;

	sim_node_stop(s->w, mate, 20 * SIM_S);
	sim_fence(s->w, host);
	sim_node_start(s->w, host);
	s->node = host;
	s->site = 1;
	UNTIL(s, 12000, is_hosted, "it is back and has the disks again");
	sim_part(s->w, 1u << host, true, true);
	WHILE(s, 40000, is_hosted, "a host that is cut off keeps its disks");
}

/* The host was fenced once while its mate was down; both are back. Only then another fencer,
 * whose clock is ahead, tells the mate's of that fencing. The host is cut off, nobody has
 * fenced it this time, and the mate's process starts anew. */
static void late_entry(struct sim_scene *s)
{
	const uint32_t host = (uint32_t)s->w->site[1].open_node, mate = 5 - host;

	s->w->plan.sync_ms = 5000;
	s->w->node[4].wall_offset_ns = 30 * (int64_t)SIM_S;
	sim_machine_reset(s->w, mate);
	sim_fence(s->w, host);
	sim_node_start(s->w, host);
	s->node = host;
	s->site = 1;
	UNTIL(s, 8000, is_hosted, "it is back and has the disks again");
	sim_node_start(s->w, mate);
	UNTIL(s, 4000, sim_agree, "its mate starts");
	WHILE(s, 6000, is_hosted, "it keeps the disks");
	sim_part(s->w, 1u << host, true, true);
	WHILE(s, 30000, is_hosted, "a host that is cut off keeps its disks");
	sim_node_kill(s->w, mate);
	sim_node_start(s->w, mate);
	WHILE(s, 20000, is_hosted, "when its mate starts, too");
}

/* As before, but the mate's Pacemaker is stopped for maintenance until the host is cut off.
 * The entry's stamp is later than the host's start, by a clock that is ahead by less than
 * the time that the host has been here since. */
static void older_entry(struct sim_scene *s)
{
	const uint32_t host = (uint32_t)s->w->site[1].open_node, mate = 5 - host;

	s->w->node[4].wall_offset_ns = 30 * (int64_t)SIM_S;
	sim_pacemaker_stop(s->w, mate, true);
	sim_fence(s->w, host);
	sim_node_start(s->w, host);
	s->node = host;
	s->site = 1;
	UNTIL(s, 8000, is_hosted, "it is back and has the disks again");
	WHILE(s, 60000, is_hosted, "it keeps the disks");
	sim_part(s->w, 1u << host, true, true);
	WHILE(s, 5000, is_hosted, "a host that is cut off keeps its disks");
	sim_pacemaker_stop(s->w, mate, false);
	WHILE(s, 20000, is_hosted, "when its mate hears of the older fencing, too");
}

const struct sim_scenario sim_scenarios_hosts[] = {
	{ "log-hangs",
	  "production's writelog answers nothing any more",
	  { 2, 2 },
	  1,
	  20,
	  .play = log_hangs },
	{ "disk-hangs",
	  "a disk of production answers nothing any more",
	  { 2, 2 },
	  1,
	  20,
	  .play = disk_hangs },
	{ "all-leave",
	  "all hosts leave at once, and those that had the disks last stay away",
	  { 2, 2 },
	  1,
	  20,
	  .play = all_leave },
	{ "older-fencing",
	  "a host was fenced once, and by its mate's clock that is just now",
	  { 2, 2 },
	  1,
	  20,
	  .play = older_fencing },
	{ "leave-in-order",
	  "all but production leave in order; it dies, and those that left come back",
	  { 2, 2 },
	  1,
	  20,
	  .play = leave_in_order },
	{ "leave-at-once",
	  "all leave in order at the same time, production last",
	  { 2, 2 },
	  1,
	  20,
	  .play = leave_at_once },
	{ "leave-without-production",
	  "all leave in order when nothing serves, and three of five come back",
	  { 2, 2 },
	  1,
	  20,
	  .play = leave_without_production },
	{ "leave-and-lose",
	  "three leave in order, those that stayed are lost, and one is forced",
	  { 2, 2 },
	  1,
	  20,
	  .play = leave_and_lose },
	{ "leave-and-be-fenced",
	  "production of two leaves in order and is fenced; the other one goes on alone",
	  { 1, 1 },
	  0,
	  20,
	  .play = leave_and_be_fenced },
	{ "late-notice",
	  "a stopped process hears late that a host was fenced which is back since",
	  { 2, 2 },
	  1,
	  20,
	  .play = late_notice },
	{ "late-entry",
	  "a host was fenced once, and its mate's fencer is told when it is back",
	  { 2, 2 },
	  1,
	  20,
	  .play = late_entry },
	{ "older-entry",
	  "a host was fenced once, and its mate's fencer is started after it is cut off",
	  { 2, 2 },
	  1,
	  20,
	  .play = older_entry },
	{ 0 },
};
