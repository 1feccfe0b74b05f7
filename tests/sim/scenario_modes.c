/* scenario_modes.c - near-sync: a copy takes over within the bound, and not after its host has
 * restarted (M4).
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

static bool has_logged(struct sim_scene *s)
{
	return sim_scene_engine(s, s->node)->marks->logged >= s->sequence;
}

/* Production has answered records that the copy lacks, and dies. The copy takes over and names
 * the possible loss, and production's own log gives them up when it is back. */
static void near_sync_takeover(struct sim_scene *s)
{
	sim_stall(s->w, 0, 1, true);
	if (!sim_scene_writes(s, 0, 3))
		return;
	s->sequence = s->write->request.sequence;
	s->node = 1;
	EXPECT(s, !has_logged(s), "the copy lacks the last record");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	if (!sim_scene_takeover(s, 1))
		return;
	UNTIL(s, 5000, sim_replied, "the promotion is answered");
	EXPECT(s,
	       strstr(s->w->reply[s->id].text, "at most 3 records (near-sync)") != NULL,
	       "the promotion names the bound");
	EXPECT(s, !has_logged(s), "it serves without the last record");
	sim_scene_clients(s, 200);
}

/* The copy's host has lost its cache with power, and with it more than the bound. */
static void near_sync_restarted(struct sim_scene *s)
{
	sim_hold_device(s->w, 1, MIRROR_IO_LOG, 1u << MIRROR_IO_FLUSH);
	if (!sim_scene_writes(s, 0, 9))
		return;
	s->sequence = s->write->request.sequence;
	s->node = 1;
	UNTIL(s, 1000, has_logged, "the copy has all in its cache");
	s->w->worst = true;
	sim_site_power(s->w, 1);
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	sim_node_start(s->w, 1);
	UNTIL(s, 5000, sim_agree, "the others agree");
	UNTIL(s, 5000, sim_is_open, "the copy is open again");
	EXPECT(s, sim_lacks(s), "it has lost the records");
	EXPECT(s, sim_scene_view(s, 1)->site[1].current, "the view calls it current");
	sim_scene_promote(s, 1);
	UNTIL(s, 8000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "the copy is not promoted");
}

const struct sim_scenario sim_scenarios_modes[] = {
	{ "near-sync-takeover",
	  "a current copy takes over that lacks as much as the bound",
	  { 1, 1 },
	  1,
	  10,
	  .play = near_sync_takeover,
	  .promise = { CONFIG_NEAR_SYNC, 3, PROMISE_UNBOUNDED } },
	{ "near-sync-restarted",
	  "a current copy that has restarted, and lost more than the bound",
	  { 1, 1 },
	  1,
	  10,
	  .play = near_sync_restarted,
	  .promise = { CONFIG_NEAR_SYNC, 3, PROMISE_UNBOUNDED } },
	{ 0 },
};
