/* scenario_forced.c - traces of a force, and of sites that come back from before it: nothing
 * that was acknowledged goes unasked (D8).
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

static bool asks(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->undo_text[0] != 0;
}

static bool keeps(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->marks->last >= s->sequence;
}

static bool is_copy_again(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->stream_link != MIRROR_LINK_NONE;
}

static bool is_together(struct sim_scene *s)
{
	return sim_is_together(s->w);
}

static bool is_over(struct sim_scene *s)
{
	return sim_scene_view(s, 2)->production_node == VIEW_NONE;
}

/* Production goes on without its copy, with so many flushed writes, and dies; the copy is
 * promoted by force, and has a few writes of its own. False: it failed. */
static bool force_past(struct sim_scene *s, uint32_t writes)
{
	sim_node_kill(s->w, 1);
	if (!sim_scene_until(s, 8000, is_out, "the copy is not current any more") ||
	    !sim_scene_writes(s, 0, writes))
		return false;
	s->sequence = s->write->request.sequence;
	s->write = sim_scene_flush(s, 0);
	if (!sim_scene_expect(s, s->write != NULL, "a flush is taken") ||
	    !sim_scene_until(s, 1000, sim_told, "all is acknowledged, without the copy"))
		return false;
	sim_machine_reset(s->w, 0);
	sim_node_start(s->w, 1);
	s->node = 1;
	if (!sim_scene_until(s, 5000, sim_agree, "the nodes that are there agree") ||
	    !sim_scene_until(s, 5000, sim_is_open, "the devices are open there"))
		return false;
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	return sim_scene_until(s, 20000, sim_serves, "the copy is promoted by force") &&
	       sim_scene_expect(s,
				cluster_view_generation(sim_scene_view(s, 1))->cut <
					s->sequence,
				"it lacks writes acknowledged without it") &&
	       sim_scene_writes(s, 1, 1);
}

static void forced_tail(struct sim_scene *s)
{
	if (!force_past(s, 5))
		return;
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 10000, asks,
	      "the site that was forced past asks before it undoes its tail");
	WHILE(s, 3000, keeps, "it keeps its tail");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_CONNECT, false, -1);
	UNTIL(s, 8000, sim_replied, "the command is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "connect alone is refused");
	EXPECT(s, strstr(s->w->reply[s->id].text, "--discard") != NULL,
	       "the answer names the option that gives it up");
	WHILE(s, 3000, keeps, "it keeps its tail");
	if (!sim_scene_give_up(s, 0))
		return;
	UNTIL(s, 10000, is_copy_again, "it is a copy");
	UNTIL(s, 20000, is_together, "all comes together");
}

/* The same, but so many promotions later that no history lists its generation. */
static void forced_long_ago(struct sim_scene *s)
{
	if (!force_past(s, 5))
		return;
	for (uint32_t i = 0; i <= HISTORY_COUNT_MAX; i++) {
		sim_node_kill(s->w, 1);
		sim_node_start(s->w, 1);
		if (!sim_scene_takeover(s, 1))
			return;
	}
	EXPECT(s, sim_scene_engine(s, 1)->sb->history.dropped_count > 2,
	       "the force is not listed any more");
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 10000, asks,
	      "the site that was forced past asks before it undoes its tail");
	WHILE(s, 3000, keeps, "it keeps its tail");
	if (!sim_scene_give_up(s, 0))
		return;
	UNTIL(s, 10000, is_copy_again, "it is a copy");
	UNTIL(s, 20000, is_together, "all comes together");
}

/* The forced generation ends cleanly, with fewer records than the tail has, and its site is
 * gone: the site that was passed over is to be promoted, and not by force. */
static void forced_tail_promoted(struct sim_scene *s)
{
	if (!force_past(s, 30))
		return;
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 8000, sim_replied, "the forced production is demoted");
	UNTIL(s, 1000, is_over, "the others know it");
	EXPECT(s,
	       sim_scene_view(s, 2)->clean &&
		       sim_scene_view(s, 2)->clean_end < s->sequence,
	       "it ended cleanly, before the tail ends");
	sim_machine_reset(s->w, 1);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "the nodes that are there agree");
	UNTIL(s, 5000, sim_is_open, "its devices are open");
	WHILE(s, 500, sim_is_uninvited, "it has no promotion score");
	sim_scene_promote(s, 0);
	UNTIL(s, 20000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "it is not promoted");
	EXPECT(s, keeps(s), "it keeps its tail");
}

/* It asks, and is then promoted by force itself: that answers the question, so that no
 * consent is left for a later loss. */
static void forced_over_question(struct sim_scene *s)
{
	const struct cluster_command discard = { .type = CLUSTER_COMMAND_CONNECT,
						 .site = -1,
						 .discard = true };

	if (!force_past(s, 5))
		return;
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 10000, asks,
	      "the site that was forced past asks before it undoes its tail");
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 8000, sim_replied, "the forced production is demoted");
	UNTIL(s, 1000, is_over, "the others know it");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_PROMOTE, true, -1);
	UNTIL(s, 20000, sim_serves, "it is promoted by force");
	EXPECT(s, !asks(s), "a production asks nothing");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 8000, sim_replied, "it is demoted");
	s->id = sim_operator(s->w, 0, &discard);
	UNTIL(s, 8000, sim_replied, "the command is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "nothing waits to be given up");
}

const struct sim_scenario sim_scenarios_forced[] = {
	{ "forced-tail",
	  "a site that was forced past comes back with acknowledged writes that no other has",
	  { 1, 1 },
	  1,
	  10,
	  .play = forced_tail },
	{ "forced-long-ago",
	  "the same, so many promotions later that no history lists its generation",
	  { 1, 1 },
	  1,
	  10,
	  .play = forced_long_ago },
	{ "forced-tail-promoted",
	  "the same, and it is to be promoted after the forced one ended cleanly",
	  { 1, 1 },
	  1,
	  10,
	  .play = forced_tail_promoted },
	{ "forced-over-question",
	  "the same, and it is promoted by force while it asks",
	  { 1, 1 },
	  1,
	  10,
	  .play = forced_over_question },
	{ 0 },
};
