/* scenario_block.c - on-copy-loss: block (M8). A required copy goes away, and writes stand still,
 * through a demotion, a promotion of a mate and a takeover, until it is current again or an
 * operator puts it out. Reads go on, and what is held back goes home.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define HELD_SECTOR 40u
#define OTHER_SECTOR 80u

/* By the view that s->node knows, site s->site is required and not current. */
static bool is_missing(struct sim_scene *s)
{
	const struct view *v = sim_scene_view(s, s->node);

	return v != NULL && (cluster_view_missing(v) >> s->site & 1) != 0;
}

static bool is_held(struct sim_scene *s)
{
	return !s->write->told;
}

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, s->node)->site[s->site].current;
}

static bool is_home(struct sim_scene *s)
{
	return sim_scene_engine(s, s->node)->marks->home_flushed >= s->sequence;
}

static bool takes_commands(struct sim_scene *s)
{
	return sim_scene_core(s, s->node)->role.serve == SERVE_SERVING;
}

static bool has_failed(struct sim_scene *s)
{
	return !s->write->busy && s->write->request.result != 0;
}

static bool has_ended(struct sim_scene *s)
{
	return sim_scene_core(s, s->node)->role.serve == SERVE_NONE;
}

/* At s->node: a write is taken and held back; a read of its sector waits, another does not. */
static bool hold_write(struct sim_scene *s)
{
	struct sim_request *of_it;

	s->write = sim_scene_write(s, s->node, HELD_SECTOR);
	if (!sim_scene_expect(s, s->write != NULL, "a write is taken"))
		return false;
	s->sequence = s->write->request.sequence;
	if (!sim_scene_until(s, 8000, is_home, "it goes home and is flushed there") ||
	    !sim_scene_expect(s, is_held(s), "and is not answered"))
		return false;
	of_it = sim_scene_read(s, s->node, HELD_SECTOR);
	s->read = sim_scene_read(s, s->node, OTHER_SECTOR);
	return sim_scene_expect(s, of_it != NULL && s->read != NULL, "reads are taken") &&
	       sim_scene_until(s, 1000, sim_read_told, "reads go on") &&
	       sim_scene_while(s, 6000, is_held, "the write stands still") &&
	       sim_scene_expect(s, !of_it->told, "and so does a read of it");
}

/* The copy of site s->site, hosted by `node`, dies: a view says that it is missing. */
static bool lose(struct sim_scene *s, uint32_t node)
{
	sim_node_kill(s->w, node);
	return sim_scene_until(s, 8000, is_missing, "a view lacks the required copy") &&
	       hold_write(s);
}

/* It comes back, is level and current: then the write is answered. In half of the runs its
 * log was made anew, so that it needs a refresh, which does not wait for held writes. */
static void block_return(struct sim_scene *s)
{
	s->site = 1;
	if (!lose(s, 1))
		return;
	if (s->w->seed % 2 == 0) {
		sim_io_settle(s->w, 1);
		sim_setup_log_again(s->w, 1);
	}
	sim_node_start(s->w, 1);
	UNTIL(s, 20000, sim_told, "the write is answered");
	EXPECT(s, is_current(s), "with the copy current");
	EXPECT(s, sim_scene_engine(s, 1)->marks->logged >= s->sequence, "and it has it");
	sim_scene_clients(s, 200);
}

/* The operator puts it out, by disconnect or bypass. Let in again, it counts when current. */
static void block_put_out(struct sim_scene *s)
{
	const bool bypass = s->w->seed % 2 == 0;

	s->site = 1;
	if (!lose(s, 1))
		return;
	s->id = sim_command(
		s->w, 0, bypass ? CLUSTER_COMMAND_BYPASS_ON : CLUSTER_COMMAND_DISCONNECT,
		false, 1);
	UNTIL(s, 3000, sim_told, "the write is answered without the copy");
	sim_node_start(s->w, 1);
	if (!sim_scene_writes(s, 0, 5))
		return;
	s->id = sim_command(s->w, 0,
			    bypass ? CLUSTER_COMMAND_BYPASS_OFF : CLUSTER_COMMAND_CONNECT,
			    false, 1);
	if (!sim_scene_writes(s, 0, 5))
		return;
	UNTIL(s, 20000, is_current, "it is current again");
	lose(s, 1);
}

/* A third site takes over from production, and still waits for the copy; neither for itself
 * nor for the site that production was on. */
static void block_takeover(struct sim_scene *s)
{
	s->site = 1;
	if (!lose(s, 1))
		return;
	sim_machine_reset(s->w, 0);
	if (!sim_scene_takeover(s, 2))
		return;
	EXPECT(s, sim_scene_view(s, 2)->required == 2, "the lost copy alone is required");
	UNTIL(s, 2000, takes_commands, "it takes commands");
	if (!hold_write(s))
		return;
	s->id = sim_command(s->w, 2, CLUSTER_COMMAND_DISCONNECT, false, 1);
	UNTIL(s, 3000, sim_told, "the write is answered without the copy");
	sim_node_start(s->w, 0);
	s->site = 0;
	UNTIL(s, 20000, is_current, "the former production is a current copy");
	lose(s, 0);
}

/* A mate of production's host is promoted without the copy. Then that host is demoted: the
 * held write fails, and nothing stands still for ever. */
static void block_mate(struct sim_scene *s)
{
	s->site = 1;
	if (!lose(s, 2))
		return;
	sim_fence(s->w, 0);
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, is_missing(s), "the copy is required and missing");
	UNTIL(s, 2000, takes_commands, "it takes commands");
	if (!hold_write(s))
		return;
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 12000, has_ended, "it is demoted");
	UNTIL(s, 1000, has_failed, "the write failed");
	sim_scene_promote(s, 1);
	UNTIL(s, 8000, sim_serves, "it serves again");
	UNTIL(s, 2000, takes_commands, "it takes commands");
	hold_write(s);
}

static bool is_proposed(struct sim_scene *s)
{
	const struct round *r = &sim_scene_core(s, 0)->round;

	return r->state == ROUND_ACCEPT && cluster_view_missing(&r->next) != 0;
}

static bool is_told_missing(struct sim_scene *s)
{
	return (sim_scene_engine(s, 0)->missing & 2) != 0;
}

static bool is_told_all(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->missing == 0;
}

/* A view without the copy is proposed, and the others do not answer yet: it may be decided, so
 * nothing is answered from then on, though by the view in effect the copy is current. */
static void block_undecided(struct sim_scene *s)
{
	s->site = 1;
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_proposed, "a view without the copy is proposed");
	sim_hold(s->w, 2, SIM_HOLD_OUT);
	UNTIL(s, 1000, is_told_missing, "nothing is answered any more");
	EXPECT(s, is_current(s), "the copy is current by the view in effect");
	sim_release_all(s->w);
	sim_node_start(s->w, 1);
	UNTIL(s, 20000, is_current, "it is current again");
	UNTIL(s, 8000, is_told_all, "production answers");
	sim_scene_clients(s, 200);
}

const struct sim_scenario sim_scenarios_block[] = {
	{ "block-return",
	  "a required copy is lost, and comes back",
	  { 1, 1 },
	  1,
	  10,
	  .play = block_return,
	  .block = true },
	{ "block-put-out",
	  "a required copy is lost, and put out by an operator",
	  { 1, 1 },
	  1,
	  10,
	  .play = block_put_out,
	  .block = true },
	{ "block-takeover",
	  "a third site takes over while a required copy is missing",
	  { 1, 1, 1 },
	  2,
	  10,
	  .play = block_takeover,
	  .block = true },
	{ "block-mate",
	  "production's mate is promoted, and demoted, while a required copy is missing",
	  { 2, 1 },
	  2,
	  10,
	  .play = block_mate,
	  .block = true },
	{ "block-undecided",
	  "a view without a required copy is proposed, and not decided yet",
	  { 1, 1 },
	  1,
	  10,
	  .play = block_undecided,
	  .block = true },
	{ 0 },
};
