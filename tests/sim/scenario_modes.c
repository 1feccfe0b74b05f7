/* scenario_modes.c - near-sync: a copy takes over within the bound, and not after its host has
 * restarted (M4); a proposal binds answers before it is decided (M3). A demote in async brings
 * a copy all of it (M5). Bypass by command (M6).
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

/* ---- without a cluster -------------------- */

static bool has_confirmed(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return m->peer[1].logged == m->marks->last;
}

static bool is_not_told(struct sim_scene *s)
{
	return !sim_told(s);
}

/* Production has answered what the copy lacks, and no more than that, and dies. Only a force
 * promotes the copy, which then lacks that much. */
static void near_sync_pair(struct sim_scene *s)
{
	UNTIL(s, 1000, has_confirmed, "the copy has confirmed all");
	sim_stall(s->w, 0, 1, true);
	if (!sim_scene_writes(s, 0, 3))
		return;
	s->write = sim_scene_write(s, 0, 1);
	EXPECT(s, s->write != NULL, "one more is taken");
	WHILE(s, 300, is_not_told, "it waits for the copy");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	sim_scene_promote(s, 1);
	UNTIL(s, 20000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "it is refused");
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	UNTIL(s, 20000, sim_replied, "the force is answered");
	EXPECT(s, sim_serving(s->w) == 1, "the copy serves");
	sim_scene_clients(s, 200);
}

/* ---- a change of promise -------------------- */

static bool is_promised(struct sim_scene *s)
{
	const struct view *v = sim_scene_view(s, 0);

	return v != NULL && v->promise.mode == s->count;
}

static bool is_proposed(struct sim_scene *s)
{
	const struct round *r = &sim_scene_core(s, 0)->round;

	return r->state == ROUND_ACCEPT && r->next.promise.mode == CONFIG_SYNC;
}

static bool is_filed(struct sim_scene *s)
{
	const struct view *v = sim_scene_filed(s, 1);

	return v != NULL && v->promise.mode == CONFIG_SYNC;
}

/* Sync is proposed, and stored by the copy: nobody has heard of that yet. Then production is
 * asked for near-sync after all. A write waits for the copy until that is decided. */
static void stricter_undecided(struct sim_scene *s)
{
	sim_mode(s->w, 0, promise_make(CONFIG_SYNC, 0, 0));
	UNTIL(s, 1000, is_proposed, "sync is proposed");
	sim_hold(s->w, 1, SIM_HOLD_OUT);
	sim_hold(s->w, 2, SIM_HOLD_OUT);
	UNTIL(s, 300, is_filed, "the copy has accepted it");
	EXPECT(s, is_proposed(s), "it is undecided");
	sim_mode(s->w, 0, s->scenario->promise);
	sim_stall(s->w, 0, 1, true);
	s->write = sim_scene_write(s, 0, 1);
	EXPECT(s, s->write != NULL, "a write is taken");
	WHILE(s, 300, is_not_told, "it waits for the copy");
	sim_release_all(s->w);
	UNTIL(s, 5000, sim_told, "it is answered");
	s->count = CONFIG_NEAR_SYNC;
	UNTIL(s, 5000, is_promised, "near-sync is agreed");
}

/* ---- the end of production in async -------------------- */

static bool is_awaited(struct sim_scene *s)
{
	return !sim_replied(s);
}

static bool demote_behind(struct sim_scene *s)
{
	sim_mode(s->w, 0, promise_make(CONFIG_ASYNC, 0, 0));
	s->count = CONFIG_ASYNC;
	if (!sim_scene_until(s, 5000, is_promised, "async is agreed"))
		return false;
	sim_stall(s->w, 0, 1, true);
	if (!sim_scene_writes(s, 0, 5))
		return false;
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	return sim_scene_while(s, 300, is_awaited, "the demote waits for the copy");
}

static bool knows_end(struct sim_scene *s)
{
	const struct view *v = sim_scene_view(s, 1);

	return v->clean && sim_scene_core(s, 1)->role.marks.durable >= v->clean_end;
}

/* The copy was behind, gets all of it, and is named. */
static void async_drain(struct sim_scene *s)
{
	if (!demote_behind(s))
		return;
	sim_stall(s->w, 0, 1, false);
	UNTIL(s, 3000, sim_replied, "the demote is answered");
	EXPECT(s, strstr(s->w->reply[s->id].text, "promoted now: paris, lyon") != NULL,
	       "the copy is named");
	UNTIL(s, 100, knows_end, "it knows that it has all");
	sim_scene_takeover(s, 1);
}

/* Its line is slow for longer than demote-drain: it is not named, and not promoted. */
static void async_cut_off(struct sim_scene *s)
{
	if (!demote_behind(s))
		return;
	UNTIL(s, 5000, sim_replied, "the demote is answered");
	EXPECT(s,
	       strstr(s->w->reply[s->id].text, "promoted now: paris") != NULL &&
		       strstr(s->w->reply[s->id].text, "lyon") == NULL,
	       "the copy is not named");
	sim_scene_promote(s, 1);
	UNTIL(s, 8000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "the copy is not promoted");
	sim_release_all(s->w);
}

/* ---- bypass by command (M6) ------------------------------------------------------ */

#define EXTENT_SECTORS (MIRROR_EXTENT_BYTES / SIM_SECTOR)

static bool is_in_bypass(struct sim_scene *s)
{
	const struct view *v = sim_scene_view(s, 0);

	return (v->bypass & 2) != 0 && !v->site[1].current;
}

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, s->node)->site[1].current;
}

/* Of s->node, production. */
static bool takes_commands(struct sim_scene *s)
{
	return sim_scene_core(s, s->node)->role.serve == SERVE_SERVING;
}

static bool has_taken_over(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, s->node);

	return m->sb->sites[1].map_position >= s->sequence && !m->bypassing &&
	       mirror_ring_used_percent(m->ring) < m->config->bypass_at_percent;
}

/* Production goes on without the copy, which is then asked to take over. It is brought
 * level only when the bypass ends. */
static void bypass_promotion(struct sim_scene *s)
{
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_BYPASS_ON, false, 1);
	for (uint64_t i = 0; i < 4; i++) { /* under way while the view is decided */
		s->write = sim_scene_write(s, 0, i * EXTENT_SECTORS);
		EXPECT(s, s->write != NULL, "the write is taken");
	}
	UNTIL(s, 2000, is_in_bypass, "a view has the copy in bypass");
	UNTIL(s, 2000, sim_told, "writes go on without it");
	if (!sim_scene_writes(s, 0, 3))
		return;
	s->sequence = s->write->request.sequence;
	UNTIL(s, 4000, has_taken_over, "the map takes over, though the log has room");
	s->node = 1;
	EXPECT(s, sim_lacks(s), "the copy lacks the last record");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	UNTIL(s, 8000, sim_agree, "the others agree");
	sim_scene_promote(s, 1);
	UNTIL(s, 8000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "the copy is not promoted");
	sim_node_start(s->w, 0);
	if (!sim_scene_takeover(s, 0))
		return;
	EXPECT(s, is_in_bypass(s), "the bypass outlives its production");
	s->node = 0;
	UNTIL(s, 2000, takes_commands, "it takes commands");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_BYPASS_OFF, false, 1);
	UNTIL(s, 8000, is_current, "the copy is refreshed, and current again");
}

static bool proposes_bypass(struct sim_scene *s)
{
	const struct round *r = &sim_scene_core(s, 0)->round;

	return r->state == ROUND_ACCEPT && (r->next.bypass & 2) != 0;
}

static bool waits_yet(struct sim_scene *s)
{
	return !s->write->told && sim_scene_engine(s, 0)->sb->sites[1].map_position == 0;
}

/* Production is parted from the majority just when it proposes the bypass. The view is not
 * in effect: it answers nothing without the copy, and no map takes over. */
static void bypass_minority(struct sim_scene *s)
{
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_BYPASS_ON, false, 1);
	UNTIL(s, 1000, proposes_bypass, "a view with the copy in bypass is proposed");
	s->w->worst = true;
	sim_hold(s->w, 0, SIM_HOLD_QUORUM);
	sim_part(s->w, 1, true, true);
	s->w->worst = false;
	s->write = sim_scene_write(s, 0, 0);
	EXPECT(s, s->write != NULL, "a write is taken");
	WHILE(s, 500, waits_yet, "it is not answered, and no map takes over");
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, waits_yet(s), "nor when the copy is promoted");
	sim_release_all(s->w);
	sim_part(s->w, 0, true, true);
	sim_scene_clients(s, 200);
}

static bool third_is_current(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[2].current;
}

/* Another copy takes over, which has never heard the command. Its own map takes over for
 * the copy in bypass, and brings that level in the end. */
static void bypass_outlives(struct sim_scene *s)
{
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_BYPASS_ON, false, 1);
	UNTIL(s, 2000, is_in_bypass, "a view has the copy in bypass");
	EXPECT(s, third_is_current(s), "the other copy is current still");
	if (!sim_scene_writes(s, 0, 20))
		return;
	s->sequence = s->write->request.sequence;
	UNTIL(s, 4000, has_taken_over, "production's map takes over");
	if (!sim_scene_writes(s, 0, 5)) /* its map does not stand for these yet */
		return;
	sim_machine_reset(s->w, 0);
	if (!sim_scene_takeover(s, 2))
		return;
	EXPECT(s, (sim_scene_view(s, 2)->bypass & 2) != 0, "the bypass stands");
	s->node = 2;
	UNTIL(s, 2000, takes_commands, "the new production takes commands");
	if (!sim_scene_writes(s, 2, 20))
		return;
	s->sequence = s->write->request.sequence;
	UNTIL(s, 4000, has_taken_over, "its own map takes over");
	s->id = sim_command(s->w, 2, CLUSTER_COMMAND_BYPASS_OFF, false, 1);
	UNTIL(s, 8000, is_current, "the copy is refreshed, and current again");
}

/* ---- an order is thought over -------------------- */

static bool is_proposed_weaker(struct sim_scene *s)
{
	const struct round *r = &sim_scene_core(s, 0)->round;

	return r->state == ROUND_ACCEPT && r->next.promise.mode == CONFIG_ASYNC;
}

static bool is_asked(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->role.mode.mode == CONFIG_NEAR_SYNC;
}

/* Async is proposed when production is asked for near-sync after all: answers have satisfied
 * that all the time, and it is agreed again. */
static void weaker_undecided(struct sim_scene *s)
{
	sim_mode(s->w, 0, promise_make(CONFIG_ASYNC, 0, 0));
	UNTIL(s, 1000, is_proposed_weaker, "async is proposed");
	sim_hold(s->w, 1, SIM_HOLD_OUT);
	sim_hold(s->w, 2, SIM_HOLD_OUT);
	sim_mode(s->w, 0, s->scenario->promise);
	UNTIL(s, 300, is_asked, "near-sync is asked for");
	EXPECT(s, is_proposed_weaker(s), "it is undecided");
	sim_release_all(s->w);
	s->count = CONFIG_ASYNC;
	UNTIL(s, 5000, is_promised, "async is agreed");
	s->count = CONFIG_NEAR_SYNC;
	UNTIL(s, 5000, is_promised, "near-sync is agreed again");
}

const struct sim_scenario sim_scenarios_modes[] = {
	{ "bypass-outlives",
	  "another copy takes over while one is in bypass",
	  { 1, 1, 1 },
	  0,
	  10,
	  .play = bypass_outlives },
	{ "bypass-promotion",
	  "a copy in bypass is asked to take over",
	  { 1, 1 },
	  1,
	  10,
	  .play = bypass_promotion },
	{ "bypass-minority",
	  "a bypass that is proposed and not decided",
	  { 1, 1 },
	  1,
	  10,
	  .play = bypass_minority },
	{ "near-sync-takeover",
	  "a current copy takes over that lacks as much as the bound",
	  { 1, 1 },
	  1,
	  10,
	  .play = near_sync_takeover,
	  .promise = { CONFIG_NEAR_SYNC, 3, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ "near-sync-restarted",
	  "a current copy that has restarted, and lost more than the bound",
	  { 1, 1 },
	  1,
	  10,
	  .play = near_sync_restarted,
	  .promise = { CONFIG_NEAR_SYNC, 3, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ "near-sync-pair",
	  "without a cluster, a copy is forced that lacks as much as the bound",
	  { 1, 1 },
	  0,
	  10,
	  .play = near_sync_pair,
	  .alone = true,
	  .promise = { CONFIG_NEAR_SYNC, 3, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ "stricter-undecided",
	  "a stricter promise is proposed, undecided, and not wanted any more",
	  { 1, 1 },
	  1,
	  10,
	  .play = stricter_undecided,
	  .promise = { CONFIG_NEAR_SYNC, 20, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ "weaker-undecided",
	  "a weaker promise is proposed, undecided, and not wanted any more",
	  { 1, 1 },
	  1,
	  10,
	  .play = weaker_undecided,
	  .promise = { CONFIG_NEAR_SYNC, 20, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ "async-drain",
	  "a demote in async brings a copy that was behind all of it",
	  { 1, 1 },
	  1,
	  10,
	  .play = async_drain,
	  .promise = { CONFIG_NEAR_SYNC, 20, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ "async-cut-off",
	  "a demote in async cannot bring a copy all of it in time",
	  { 1, 1 },
	  1,
	  10,
	  .play = async_cut_off,
	  .promise = { CONFIG_NEAR_SYNC, 20, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,
		       false } },
	{ 0 },
};
