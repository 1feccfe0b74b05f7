/* scenario_move.c - planned moves by one command (M5, cluster/move.h): under load; of a copy
 * that does not come level; where the demote is refused; where the other host is lost in the
 * middle; where the client that asked goes.
 */
#include <string.h>

#include "cluster/internal.h"
#include "tests/sim/scenario.h"

static bool begin(struct sim_scene *s, uint32_t wait_ms)
{
	s->id = sim_move_begin(s->w, 0, 1, wait_ms, 0);
	return sim_scene_expect(s, s->id != 0, "the move is taken");
}

static bool says(const struct sim_scene *s, int32_t exit_status, const char *text)
{
	const struct sim_reply *r = &s->w->reply[s->id];

	return r->exit_status == exit_status && strstr(r->text, text) != NULL;
}

static bool still_serves(struct sim_scene *s)
{
	return sim_serving(s->w) == 0;
}

static bool still_waits(struct sim_scene *s)
{
	return still_serves(s) && !sim_replied(s);
}

static bool has_demoted(struct sim_scene *s)
{
	return s->w->node[0].move.core.state == MOVE_FOLLOW;
}

/* Clients write all the time. */
static void under_load(struct sim_scene *s)
{
	s->w->client_off = false;
	sim_client_wake(s->w, 0);
	sim_run(s->w, s->w->now_ns + 30 * SIM_MS);
	if (!begin(s, 5000))
		return;
	UNTIL(s, 12000, sim_replied, "the move ends");
	EXPECT(s, says(s, 0, "lyon is production"), "it is done");
	EXPECT(s, sim_serving(s->w) == 1, "the copy serves");
	sim_scene_clients(s, 100);
}

/* A refresh takes longer than the move may wait. */
static void not_level(struct sim_scene *s)
{
	if (!sim_scene_refresh(s) || !begin(s, 500))
		return;
	WHILE(s, 400, still_waits, "it waits, and production serves");
	UNTIL(s, 500, sim_replied, "the move ends");
	EXPECT(s, says(s, 1, "nothing has changed"), "it is refused");
	EXPECT(s, still_serves(s), "production serves on");
}

/* The client that asked for it goes meanwhile. */
static void client_goes(struct sim_scene *s)
{
	if (!sim_scene_refresh(s))
		return;
	s->id = sim_move_begin(s->w, 0, 1, 60000, 200 * SIM_MS);
	WHILE(s, 150, still_waits, "it waits, and production serves");
	UNTIL(s, 100, sim_replied, "the move ends");
	EXPECT(s, says(s, 1, "called off"), "it is called off");
	sim_release_all(s->w);
	WHILE(s, 2000, still_serves, "production serves on");
}

/* The link counts as level, and then the copy confirms nothing more. */
static void demote_refused(struct sim_scene *s)
{
	sim_stall(s->w, 0, 1, true);
	s->write = sim_scene_write(s, 0, 1);
	EXPECT(s, s->write != NULL, "a write is taken");
	if (!begin(s, 5000))
		return;
	UNTIL(s, 10000, sim_replied, "the move ends");
	EXPECT(s, says(s, 1, "this host serves on"), "its demote is refused");
	UNTIL(s, 1000, still_serves, "production serves");
	sim_release_all(s->w);
	UNTIL(s, 10000, sim_told, "the write is answered");
}

/* The other host is lost when it has all, before it serves. */
static bool lose_heir(struct sim_scene *s)
{
	if (!begin(s, 5000) ||
	    !sim_scene_until(s, 5000, has_demoted, "production is demoted"))
		return false;
	sim_machine_reset(s->w, 1);
	return sim_scene_until(s, 60000, sim_replied, "the move ends");
}

static void goes_back(struct sim_scene *s)
{
	if (!lose_heir(s))
		return;
	EXPECT(s, says(s, 1, "this host serves again"), "it has gone back");
	EXPECT(s, still_serves(s), "it serves again");
	sim_scene_clients(s, 100);
}

static bool is_away(struct sim_scene *s)
{
	return !sim_node_serves(s->w, 0);
}

/* The same, and meanwhile this host is demoted by another command: it stays so. */
static void demoted_meanwhile(struct sim_scene *s)
{
	uint64_t id;

	if (!begin(s, 5000))
		return;
	UNTIL(s, 5000, has_demoted, "production is demoted");
	sim_machine_reset(s->w, 1);
	id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	EXPECT(s, s->w->reply[id].done && s->w->reply[id].exit_status == 0,
	       "another demote is answered as done");
	UNTIL(s, 60000, sim_replied, "the move ends");
	EXPECT(s, says(s, 1, "was demoted meanwhile"), "it says that nobody serves");
	WHILE(s, 2000, is_away, "this host stays demoted");
}

/* Without a cluster the other one may serve by now: this host must not, and says so. */
static void stays_demoted(struct sim_scene *s)
{
	if (!lose_heir(s))
		return;
	EXPECT(s, says(s, 1, "not production any more"), "it says that nobody serves");
	EXPECT(s, sim_serving(s->w) < 0, "nobody does");
	sim_node_start(s->w, 1);
}

const struct sim_scenario sim_scenarios_move[] = {
	{ "move-under-load",
	  "production moves to a copy while clients write",
	  { 1, 1 },
	  1,
	  10,
	  .play = under_load },
	{ "move-pair",
	  "the same without a cluster",
	  { 1, 1 },
	  0,
	  10,
	  .play = under_load,
	  .alone = true },
	{ "move-not-level",
	  "a move to a copy that is refreshed for longer than it may wait",
	  { 1, 1 },
	  1,
	  10,
	  .play = not_level },
	{ "move-called-off",
	  "the client goes that asked for a move which still waits",
	  { 1, 1 },
	  1,
	  10,
	  .play = client_goes },
	{ "move-demote-refused",
	  "a move to a copy that confirms nothing more",
	  { 1, 1 },
	  1,
	  10,
	  .play = demote_refused },
	{ "move-back",
	  "the other host is lost before it serves",
	  { 1, 1 },
	  1,
	  10,
	  .play = goes_back },
	{ "move-demoted-meanwhile",
	  "the same, and another command demotes the host that would serve again",
	  { 1, 1 },
	  1,
	  10,
	  .play = demoted_meanwhile },
	{ "move-back-pair",
	  "the same without a cluster",
	  { 1, 1 },
	  0,
	  10,
	  .play = stays_demoted,
	  .alone = true },
	{ 0 },
};
