/* scenario_near.c - async with `failover` (M4): copies that are near, leave and come near again.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define BOUND 8u             /* sectors */
#define THIN_US (30 * 1000u) /* of the line for each record, so about 33 a second */
#define SOON_MS 500u         /* a write in async, with a view on its way */
#define NEAR_MS 10000u       /* within half the bound */

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[1].current;
}

static bool is_away(struct sim_scene *s)
{
	return !is_current(s);
}

static bool is_async(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->promise.mode == CONFIG_ASYNC;
}

static bool is_not_told(struct sim_scene *s)
{
	return !sim_told(s);
}

static bool has_all(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return m->peer[1].proven_durable == m->marks->last;
}

/* From near-sync, where the copy is current: it is near at once. */
static bool begin(struct sim_scene *s, uint64_t bytes)
{
	if (!sim_scene_until(s, 1000, has_all, "the copy has confirmed all"))
		return false;
	sim_mode(s->w, 0, promise_async(bytes, 0));
	return sim_scene_until(s, 5000, is_async, "the mode is async") &&
	       sim_scene_expect(s, is_current(s), "the copy is near");
}

static bool write_one(struct sim_scene *s, uint64_t number)
{
	s->write = sim_scene_write(s, 0, 137 * number % 64);
	return sim_scene_expect(s, s->write != NULL, "the write is taken") &&
	       sim_scene_until(s, SOON_MS, sim_told, "it is answered soon");
}

static bool is_promoted(struct sim_scene *s)
{
	return sim_scene_score(s, 1) > 1000;
}

static bool take_over(struct sim_scene *s)
{
	return sim_scene_until(s, 5000, sim_agree, "the others agree") &&
	       sim_scene_expect(s, is_promoted(s),
				"its score lets Pacemaker promote it") &&
	       sim_scene_takeover(s, 1) &&
	       sim_scene_until(s, 5000, sim_replied, "the promotion is answered");
}

/* Production has answered as much as the bound that the copy lacks, and its site is lost. The
 * copy takes over without a force, and names the bound. */
static void takeover(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_stall(s->w, 0, 1, true);
	for (uint32_t i = 0; i < BOUND; i++)
		if (!write_one(s, i))
			return;
	s->sequence = s->write->request.sequence;
	EXPECT(s, is_current(s), "the copy is still near");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	s->node = 1;
	if (!take_over(s))
		return;
	EXPECT(s, sim_lacks(s), "it serves without the last record");
	EXPECT(s, strstr(s->w->reply[s->id].text, "at most 4096 bytes (async)") != NULL,
	       "the promotion names the bound");
	EXPECT(s,
	       cluster_view_generation(sim_scene_view(s, 1))->reason == GENERATION_ASYNC,
	       "and so does the generation");
	sim_scene_clients(s, 200);
}

static bool is_outdated(struct sim_scene *s)
{
	const char *text = s->w->reply[s->id].text;

	return s->w->reply[s->id].exit_status == 1 &&
	       (strstr(text, "is not near") != NULL ||
		strstr(text, "has restarted") != NULL);
}

/* The copy is asked for a promotion, and refuses. */
static bool refuses(struct sim_scene *s)
{
	s->node = 1;
	if (!sim_scene_until(s, 5000, sim_agree, "the others agree") ||
	    !sim_scene_expect(s, sim_is_uninvited(s), "its score is withheld"))
		return false;
	sim_scene_promote(s, 1);
	return sim_scene_until(s, 8000, sim_replied, "the promotion is answered") &&
	       sim_scene_expect(s, is_outdated(s), "it is refused");
}

/* One write more than the bound: the copy leaves, and the write is answered soon. Then it is
 * not promoted. */
static void crossing(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_stall(s->w, 0, 1, true);
	for (uint32_t i = 0; i <= BOUND; i++)
		if (!write_one(s, i))
			return;
	EXPECT(s, is_away(s), "the copy has left");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	if (refuses(s))
		sim_scene_clients(s, 200);
}

/* The line is cut for long, the members' network is not: the copy stays near while it lacks no
 * more than the bound, and leaves with the first write beyond it. */
static void cut_line(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_part(s->w, 1u << 1, false, true);
	for (uint32_t i = 0; i < BOUND; i++)
		if (!write_one(s, i))
			return;
	WHILE(s, 20000, is_current, "it stays near");
	if (!write_one(s, 0))
		return;
	EXPECT(s, is_away(s), "then it leaves");
	sim_part(s->w, 0, false, true);
	UNTIL(s, 2 * NEAR_MS, is_current, "it is near again once it has all");
	sim_scene_clients(s, 200);
}

/* A demote does not wait for a near copy that has no link, and ends cleanly. */
static void demoted_apart(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_part(s->w, 1u << 1, false, true);
	if (!write_one(s, 0))
		return;
	WHILE(s, 5000, is_current, "it stays near");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 3000, sim_replied, "the demote is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 0, "it is done");
	EXPECT(s, sim_scene_engine(s, 0)->sb->clean.set, "the end is clean");
}

static bool has_asked(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->role.copy[1].lost;
}

/* Production dies between the write beyond the bound and the view without the copy: the write
 * has no answer, and the copy may be promoted. */
static void between(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_stall(s->w, 0, 1, true);
	for (uint32_t i = 0; i < BOUND; i++)
		if (!write_one(s, i))
			return;
	sim_hold(s->w, 0, SIM_HOLD_OUT);
	s->write = sim_scene_write(s, 0, 1);
	EXPECT(s, s->write != NULL, "one more is taken");
	UNTIL(s, 100, has_asked, "the copy is asked to leave");
	WHILE(s, 100, is_not_told, "the write waits for the view");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	s->node = 1;
	if (take_over(s))
		sim_scene_clients(s, 200);
}

/* The line is slower than the clients: the copy leaves once, clients never wait longer than for
 * a view, and it is near again ten seconds after it has come within half the bound. */
static void slow_line(struct sim_scene *s)
{
	uint64_t since_ns;

	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	s->w->plan.record_us = THIN_US;
	for (uint32_t i = 0; i < 200; i++)
		if (!write_one(s, i))
			return;
	EXPECT(s, is_away(s), "the copy has left");
	s->w->plan.record_us = 0;
	UNTIL(s, 8000, has_all, "it has all again");
	since_ns = s->w->now_ns;
	WHILE(s, NEAR_MS * 9 / 10, is_away, "it is not near yet");
	for (uint32_t i = 0; is_away(s) && s->w->now_ns < since_ns + 12000 * SIM_MS; i++)
		if (!write_one(s, i) ||
		    !sim_scene_until(s, 1000, has_all, "it has that soon"))
			return;
	EXPECT(s, is_current(s), "it is near again");
	sim_machine_reset(s->w, 0);
	s->node = 1;
	if (take_over(s))
		sim_scene_clients(s, 200);
}

/* The copy's host has restarted since it was counted. */
static void restarted(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_hold(s->w, 0, SIM_HOLD_OUT); /* no view follows the restart */
	sim_site_power(s->w, 1);
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	sim_node_start(s->w, 1);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	UNTIL(s, 5000, sim_is_open, "the copy is open again");
	EXPECT(s, sim_scene_view(s, 1)->site[1].current, "the view calls it near");
	if (refuses(s))
		sim_scene_clients(s, 200);
}

static bool is_bypassed(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->peer[1].bypass;
}

/* The log is full before the bound is reached: the copy leaves, and then the map takes over. */
static void full_log(struct sim_scene *s)
{
	if (!begin(s, 1ull << 30))
		return;
	s->w->plan.record_us = THIN_US;
	for (uint32_t i = 0; i < 2000 && !is_bypassed(s); i++)
		if (!write_one(s, i))
			return;
	EXPECT(s, is_bypassed(s) && is_away(s), "the copy is in bypass, and not near");
	s->w->plan.record_us = 0;
	sim_scene_clients(s, 200);
}

static bool is_unbounded(struct sim_scene *s)
{
	return is_async(s) && !promise_counts(&sim_scene_view(s, 0)->promise);
}

static bool is_sync(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->promise.mode == CONFIG_SYNC;
}

/* The policy ends with a command, and with it the copy; from async to sync it enters as any
 * copy that was away. */
static void changes(struct sim_scene *s)
{
	if (!begin(s, BOUND * SIM_SECTOR))
		return;
	sim_mode(s->w, 0, promise_async(0, 0));
	UNTIL(s, 2000, is_unbounded, "the mode is async without a bound");
	EXPECT(s, is_away(s), "no copy is near");
	sim_mode(s->w, 0, promise_async(BOUND * SIM_SECTOR, 0));
	UNTIL(s, 2000, is_async, "there is a bound again");
	UNTIL(s, NEAR_MS + 2000, is_current, "the copy is near again");
	sim_stall(s->w, 0, 1, true);
	for (uint32_t i = 0; i < BOUND; i++)
		if (!write_one(s, i))
			return;
	sim_mode(s->w, 0, promise_make(CONFIG_SYNC, 0, 0));
	UNTIL(s, 1000, is_away, "the copy lacks something, and leaves");
	UNTIL(s, 1000, is_sync, "the mode is sync");
	sim_release_all(s->w);
	UNTIL(s, 8000, is_current, "the copy is current");
	sim_scene_clients(s, 200);
}

#define ANY                                                                              \
	{                                                                                \
		CONFIG_NEAR_SYNC, 30000, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,     \
			false                                                            \
	}

const struct sim_scenario sim_scenarios_near[] = {
	{ "near-takeover",
	  "async with a bound: production's site is lost while the copy lacks as much",
	  { 1, 1 },
	  1,
	  10,
	  .play = takeover,
	  .promise = ANY },
	{ "near-crossing",
	  "async with a bound: a write goes beyond it, and the copy is not promoted",
	  { 1, 1 },
	  1,
	  10,
	  .play = crossing,
	  .promise = ANY },
	{ "near-between",
	  "async with a bound: production dies before the view without the copy",
	  { 1, 1 },
	  1,
	  10,
	  .play = between,
	  .promise = ANY },
	{ "near-cut-line",
	  "async with a bound: the line is cut while the copy is within it",
	  { 1, 1 },
	  1,
	  6,
	  .play = cut_line,
	  .promise = ANY },
	{ "near-demoted-apart",
	  "async with a bound: production is demoted while the line is cut",
	  { 1, 1 },
	  1,
	  4,
	  .play = demoted_apart,
	  .promise = ANY },
	{ "near-slow-line",
	  "async with a bound: a line that is too slow for a while",
	  { 1, 1 },
	  1,
	  6,
	  .play = slow_line,
	  .promise = ANY },
	{ "near-restarted",
	  "async with a bound: the copy has restarted since it was near",
	  { 1, 1 },
	  1,
	  10,
	  .play = restarted,
	  .promise = ANY },
	{ "near-full",
	  "async with a bound: the log is full before it is reached",
	  { 1, 1 },
	  1,
	  4,
	  .play = full_log,
	  .promise = ANY },
	{ "near-changes",
	  "async with a bound: without it, with it again, and sync",
	  { 1, 1 },
	  1,
	  6,
	  .play = changes,
	  .promise = ANY },
	{ 0 },
};
