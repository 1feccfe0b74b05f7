/* scenario_forward.c - a roll-forward from copies that no view counts (M4, D5).
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define BOUND 8u             /* sectors */
#define THIN_US (30 * 1000u) /* of the line for each record */
#define SOON_MS 500u         /* a write in async */
#define FAST_MS 2200u /* a second for a source, one for the ring; a line is cut longer */

static bool is_async(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->promise.mode == CONFIG_ASYNC;
}

static bool has_it(struct sim_scene *s)
{
	return sim_view(s->w, s->node)->marks->logged >= s->sequence;
}

static bool all_follow(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	for (uint32_t site = 1; site < s->w->plan.site_count; site++)
		if (m->peer[site].state != LINK_CONNECTED ||
		    m->peer[site].proven_durable != m->marks->last)
			return false;
	return true;
}

/* Production writes in async; `with` gets that, and the copies of `without`, a bit per site, do
 * not. All that was answered ends with s->sequence. */
static bool write_for(struct sim_scene *s, uint64_t bytes, uint32_t with,
		      uint32_t without, uint32_t count)
{
	if (!is_async(s)) {
		sim_mode(s->w, 0, promise_async(bytes, 0));
		if (!sim_scene_until(s, 5000, is_async, "the mode is async") ||
		    !sim_scene_until(s, 5000, all_follow,
				     "all that was written is there"))
			return false;
	}
	for (uint32_t site = 1; site < s->w->plan.site_count; site++)
		if ((without >> site & 1) != 0)
			sim_stall(s->w, 0, site, true);
	for (uint32_t i = 0; i < count; i++) {
		s->write = sim_scene_write(s, 0, 512 + 137 * i % 512);
		if (!sim_scene_expect(s, s->write != NULL, "the write is taken") ||
		    !sim_scene_until(s, SOON_MS, sim_told, "it is answered soon"))
			return false;
	}
	s->sequence = s->write->request.sequence;
	s->node = with;
	return sim_scene_until(s, 2000, has_it, "one copy has all");
}

/* Production's site is lost; the copy that has less is to be promoted. */
static bool lose_production(struct sim_scene *s, uint32_t taker)
{
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	s->node = taker;
	return sim_scene_until(s, 5000, sim_agree, "the others agree") &&
	       sim_scene_expect(s, sim_lacks(s), "it lacks some");
}

static void force(struct sim_scene *s)
{
	s->id = sim_command(s->w, s->node, CLUSTER_COMMAND_PROMOTE, true, -1);
}

static bool ends_with_all(struct sim_scene *s)
{
	if (!sim_scene_until(s, 8000, sim_serves, "it serves") ||
	    !sim_scene_expect(s, !sim_lacks(s), "with all that the other had"))
		return false;
	return sim_scene_until(s, 2000, sim_replied, "the promotion is answered");
}

static bool says(struct sim_scene *s, const char *text)
{
	return strstr(s->w->reply[s->id].text, text) != NULL;
}

/* Async without a bound: no copy is counted. */
static void by_force(struct sim_scene *s)
{
	if (!write_for(s, 0, 2, 1u << 1, 20) || !lose_production(s, 1))
		return;
	force(s);
	if (!ends_with_all(s))
		return;
	EXPECT(s, says(s, "what paris wrote after record"), "the reply names the loss");
	sim_scene_clients(s, 200);
}

static bool third_is_away(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[2].current;
}

static bool both_are_near(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[1].current && !third_is_away(s) &&
	       all_follow(s);
}

static bool only_second_is_near(struct sim_scene *s)
{
	return third_is_away(s) && sim_scene_view(s, 0)->site[1].current;
}

static bool restart_third(struct sim_scene *s)
{
	sim_node_kill(s->w, 2);
	if (!sim_scene_until(s, 8000, third_is_away, "the third site is not near"))
		return false;
	sim_node_start(s->w, 2);
	return sim_scene_until(s, 8000, all_follow, "both follow");
}

/* A near copy and one that is ahead of it, and has restarted since it was near. That it is
 * near again may be decided first; then once more. */
static bool near_and_ahead(struct sim_scene *s)
{
	if (!write_for(s, BOUND * SIM_SECTOR, 1, 0, 1))
		return false;
	for (uint32_t tries = 0; tries < 20; tries++) {
		if (!restart_third(s) ||
		    !write_for(s, BOUND * SIM_SECTOR, 2, 1u << 1, BOUND))
			return false;
		if (only_second_is_near(s))
			return true;
		sim_stall(s->w, 0, 1, false);
		if (!sim_scene_until(s, 8000, both_are_near, "both are near"))
			return false;
	}
	return sim_scene_expect(s, false, "only the second site is near");
}

/* It takes over, without a force, with all that the other one has. */
static void by_takeover(struct sim_scene *s)
{
	if (!near_and_ahead(s) || !lose_production(s, 1))
		return;
	sim_scene_promote(s, 1);
	if (ends_with_all(s))
		sim_scene_clients(s, 200);
}

/* The line to the one that is ahead is cut, the members' network is not: nobody waits for it
 * for long. */
static void by_takeover_alone(struct sim_scene *s)
{
	if (!near_and_ahead(s))
		return;
	sim_part(s->w, 1u << 2, false, true);
	if (!lose_production(s, 1))
		return;
	sim_scene_promote(s, 1);
	UNTIL(s, FAST_MS, sim_serves, "it serves soon");
	EXPECT(s, sim_lacks(s), "with what it has itself");
	sim_part(s->w, 0, false, true);
	sim_scene_clients(s, 200);
}

/* The other one is near itself, and stays so with a line that is cut. */
static void by_takeover_of_near(struct sim_scene *s)
{
	if (!write_for(s, BOUND * SIM_SECTOR, 1, 0, 1))
		return;
	UNTIL(s, 20000, both_are_near, "both are near");
	if (!write_for(s, BOUND * SIM_SECTOR, 2, 1u << 1, BOUND / 2))
		return;
	sim_part(s->w, 1u << 2, false, true);
	if (!lose_production(s, 1))
		return;
	sim_scene_promote(s, 1);
	UNTIL(s, FAST_MS, sim_serves, "it serves soon");
	sim_part(s->w, 0, false, true);
	sim_scene_clients(s, 200);
}

static bool is_halfway(struct sim_scene *s)
{
	return sim_view(s->w, s->node)->marks->logged >= s->count;
}

/* The source dies in the middle: a part of its records is one of the history too. */
static void dead_source(struct sim_scene *s)
{
	if (!write_for(s, 0, 2, 1u << 1, 40) || !lose_production(s, 1))
		return;
	s->count = sim_scene_engine(s, 1)->marks->logged + 5;
	s->w->plan.record_us = THIN_US;
	force(s);
	UNTIL(s, 5000, is_halfway, "it has got some of the records");
	sim_machine_reset(s->w, 2);
	s->w->plan.record_us = 0;
	UNTIL(s, 20000, sim_serves, "it serves");
	EXPECT(s, is_halfway(s) && sim_lacks(s), "with what has come");
	sim_scene_clients(s, 200);
}

/* Two copies with different ends, asked in either order. */
static void two_ends(struct sim_scene *s)
{
	const uint32_t more = 2 + s->w->seed % 2, less = 5 - more;

	if (!write_for(s, 0, less, 1u << 1, 10) ||
	    !write_for(s, 0, more, 1u << less, 10) || !lose_production(s, 1))
		return;
	force(s);
	if (ends_with_all(s))
		sim_scene_clients(s, 200);
}

/* Production's process ended, and its site is here again: its log has all. */
static void from_production(struct sim_scene *s)
{
	if (!write_for(s, 0, 0, 1u << 1, 20))
		return;
	sim_node_kill(s->w, 0);
	sim_release_all(s->w);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "all agree");
	UNTIL(s, 5000, sim_is_open, "the devices are open there");
	s->node = 1;
	EXPECT(s, sim_lacks(s), "the copy lacks some");
	force(s);
	if (!ends_with_all(s))
		return;
	EXPECT(s, says(s, "all that the log of paris holds is kept"),
	       "the reply says that");
	sim_scene_clients(s, 200);
}

static bool is_bypassed(struct sim_scene *s)
{
	return (sim_scene_view(s, 0)->bypass >> 2 & 1) != 0;
}

/* In bypass by command: what it has is whole up to there, and it stays in bypass. */
static void from_bypass(struct sim_scene *s)
{
	if (!write_for(s, 0, 2, 1u << 1, 20))
		return;
	sim_command(s->w, 0, CLUSTER_COMMAND_BYPASS_ON, false, 2);
	UNTIL(s, 5000, is_bypassed, "the third site is in bypass");
	if (!lose_production(s, 1))
		return;
	force(s);
	if (!ends_with_all(s))
		return;
	EXPECT(s, (sim_scene_view(s, 1)->bypass >> 2 & 1) != 0, "it is still in bypass");
	sim_scene_clients(s, 200);
	sim_command(s->w, 1, CLUSTER_COMMAND_BYPASS_OFF, false, 2);
}

/* A copy that is being refreshed drops all above its hold when it is asked, and then has
 * nothing to give. */
static void from_held(struct sim_scene *s)
{
	if (!write_for(s, 0, 2, 0, 1) || !sim_scene_refresh(s) ||
	    !write_for(s, 0, 1, 1u << 2, 5))
		return;
	EXPECT(s, sim_scene_engine(s, 1)->holds, "the copy is held");
	if (!lose_production(s, 2))
		return;
	force(s);
	UNTIL(s, 8000, sim_serves, "it serves");
	EXPECT(s, sim_lacks(s), "with what it has itself");
	sim_scene_clients(s, 200);
}

static bool is_held(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->holds;
}

static bool has_told_all(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->role.marks.durable >= s->sequence;
}

static bool is_clean(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->clean;
}

/* It is refreshed, for a tail that was undone, and what it has told counts all above its hold.
 * The clean end cuts that off, but where the refresh has ended first, and it is forced before
 * it can have told so. */
static void after_refresh(struct sim_scene *s)
{
	if (!sim_scene_tail(s, 0, 512))
		return;
	sim_node_kill(s->w, 0);
	if (!sim_scene_takeover(s, 1))
		return;
	sim_release_all(s->w);
	sim_hold_device(s->w, 1, 0, 1u << MIRROR_IO_READ);
	sim_node_start(s->w, 0);
	UNTIL(s, 8000, is_held, "the old production is being refreshed");
	if (!sim_scene_writes(s, 1, 5))
		return;
	s->sequence = sim_scene_engine(s, 1)->marks->last;
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_DEMOTE, false, -1);
	sim_release_all(s->w);
	UNTIL(s, 8000, is_clean, "production ends cleanly");
	s->node = 0;
	EXPECT(s, has_told_all(s), "it has told that it has all, and no less since");
	force(s);
	if (ends_with_all(s))
		sim_scene_clients(s, 200);
}

#define ANY                                                                              \
	{                                                                                \
		CONFIG_NEAR_SYNC, 30000, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,     \
			false                                                            \
	}

const struct sim_scenario sim_scenarios_forward[] = {
	{ "forward-force",
	  "async: a force takes what a copy has that is ahead, and not counted",
	  { 1, 1, 1 },
	  1,
	  10,
	  .play = by_force,
	  .promise = ANY },
	{ "forward-takeover",
	  "async with a bound: so does a near copy that takes over",
	  { 1, 1, 1 },
	  1,
	  10,
	  .play = by_takeover,
	  .promise = ANY },
	{ "forward-cut-line",
	  "... and does not wait long when the line to the other one is cut",
	  { 1, 1, 1 },
	  1,
	  10,
	  .play = by_takeover_alone,
	  .promise = ANY },
	{ "forward-cut-near",
	  "... nor when that one is near",
	  { 1, 1, 1 },
	  1,
	  10,
	  .play = by_takeover_of_near,
	  .promise = ANY },
	{ "forward-dead-source",
	  "async: a copy that no view counts dies while its records are taken",
	  { 1, 1, 1 },
	  2,
	  6,
	  .play = dead_source,
	  .promise = ANY },
	{ "forward-two-ends",
	  "async: two copies are ahead, not equally far",
	  { 1, 1, 1, 1 },
	  1,
	  6,
	  .play = two_ends,
	  .promise = ANY },
	{ "forward-production",
	  "async: a force elsewhere, while production's site is idle",
	  { 1, 1, 1 },
	  1,
	  6,
	  .play = from_production,
	  .promise = ANY },
	{ "forward-bypass",
	  "async: a force takes what a copy in bypass has",
	  { 1, 1, 1 },
	  1,
	  6,
	  .play = from_bypass,
	  .promise = ANY },
	{ "forward-held",
	  "async: a force while a copy that is ahead is refreshed",
	  { 1, 1, 1 },
	  1,
	  6,
	  .play = from_held,
	  .promise = ANY },
	{ "forward-after-refresh",
	  "a force at once after a clean end that cuts a refresh short",
	  { 1, 1 },
	  1,
	  10,
	  .play = after_refresh },
	{ 0 },
};
