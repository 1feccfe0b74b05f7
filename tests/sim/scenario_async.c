/* scenario_async.c - async: a copy behind a line that is slower than the clients (M4, M6, M7).
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define THIN_US (30 * 1000u) /* of the line for each record, so about 33 a second */
#define SOON_MS 500u         /* a write in async */

static const struct mirror_view_peer *copy(struct sim_scene *s)
{
	return &sim_scene_engine(s, 0)->peer[1];
}

static bool has_mode(struct sim_scene *s)
{
	return (int)sim_scene_view(s, 0)->promise.mode == (int)s->count;
}

static bool change(struct sim_scene *s, enum config_mode mode)
{
	s->count = mode;
	sim_mode(s->w, 0, promise_make(mode, 0, 0));
	return sim_scene_until(s, 5000, has_mode, "the mode is another one");
}

/* In one half of the disk: the other one may be read for a refresh. */
static bool ask_one(struct sim_scene *s, uint32_t half, uint64_t number)
{
	const uint64_t sectors = s->w->plan.disk_bytes / SIM_SECTOR / 2;

	s->write = sim_scene_write(s, 0, half * sectors + 137 * number % sectors);
	return sim_scene_expect(s, s->write != NULL, "the write is taken");
}

/* With its answer within a time that no copy has a part in. */
static bool write_one(struct sim_scene *s, uint32_t half, uint64_t number)
{
	return ask_one(s, half, number) &&
	       sim_scene_until(s, SOON_MS, sim_told, "it is answered soon");
}

/* Clients write until it is so, `count` writes at most. */
static bool write_until(struct sim_scene *s, uint32_t half, uint32_t count,
			sim_condition *is, const char *what)
{
	for (uint32_t i = 0; i < count && !is(s); i++)
		if (!write_one(s, half, i))
			return false;
	return sim_scene_expect(s, is(s), what);
}

static bool is_bypassed(struct sim_scene *s)
{
	return copy(s)->bypass;
}

static bool has_map(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->sb->sites[1].map_position > 0;
}

static bool has_image(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 1);

	return m->marks->home == m->marks->last && m->marks->durable == m->marks->last;
}

/* The line is slow, clients are fast: bypass. */
static bool bypass(struct sim_scene *s)
{
	if (!change(s, CONFIG_ASYNC))
		return false;
	s->w->plan.record_us = THIN_US;
	return write_until(s, 0, 2000, is_bypassed, "the copy is put into bypass") &&
	       sim_scene_until(s, 2000, has_map, "the map takes over");
}

/* ---- bypass -------------------- */

static bool has_lost_link(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->stream_link == MIRROR_LINK_NONE;
}

/* The log is full, the copy stays where it was; production dies, and only a force promotes
 * the copy. */
static void slow_copy(struct sim_scene *s)
{
	if (!bypass(s))
		return;
	UNTIL(s, 1000, has_lost_link, "its stream has ended");
	UNTIL(s, 5000, has_image, "what it has logged goes home");
	EXPECT(s, sim_image_check(s->w, 1, "G6"), "its image is one of a moment");
	EXPECT(s, !sim_scene_view(s, 0)->site[1].current, "no view counts it");
	sim_machine_reset(s->w, 0);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	EXPECT(s, sim_is_uninvited(s), "its score is withheld");
	sim_scene_promote(s, 1);
	UNTIL(s, 8000, sim_replied, "the promotion is answered");
	EXPECT(s,
	       s->w->reply[s->id].exit_status == 1 &&
		       strstr(s->w->reply[s->id].text, "in async no copy is current") !=
			       NULL,
	       "it is refused");
	sim_command(s->w, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	UNTIL(s, 8000, sim_serves, "a force takes over");
	sim_scene_clients(s, 200);
}

/* ---- outrun -------------------- */

static bool is_copying(struct sim_scene *s)
{
	return copy(s)->phase == REFRESH_COPYING;
}

static bool is_outrun_again(struct sim_scene *s)
{
	return copy(s)->outrun_count == s->id;
}

static bool is_level(struct sim_scene *s)
{
	return !copy(s)->bypass && copy(s)->phase == REFRESH_NONE &&
	       copy(s)->state == LINK_CONNECTED;
}

static bool stays_in_bypass(struct sim_scene *s)
{
	return copy(s)->bypass && copy(s)->phase <= REFRESH_MAPPING;
}

/* Each attempt is cut short at its hold, and the next one comes later; when the line keeps
 * up, one ends. */
static void outrun(struct sim_scene *s)
{
	if (!bypass(s))
		return;
	WHILE(s, 1500, stays_in_bypass, "the refresh waits");
	UNTIL(s, 4000, is_copying, "then it begins");
	for (s->id = 2; s->id < 4; s->id++) {
		if (!write_until(s, 0, 4000, is_outrun_again, "clients outrun it"))
			return;
		WHILE(s, 3500, stays_in_bypass, "the next one waits longer");
		if (s->id == 2)
			UNTIL(s, 4000, is_copying, "and begins");
	}
	s->w->plan.record_us = 0;
	UNTIL(s, 20000, is_level, "it ends when the line keeps up");
	sim_scene_clients(s, 200);
}

/* ---- by command -------------------- */

static bool is_paced(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->clients_wait;
}

static bool has_link(struct sim_scene *s)
{
	return copy(s)->phase == REFRESH_MAPPING;
}

static bool is_refreshed(struct sim_scene *s)
{
	return copy(s)->phase == REFRESH_NONE && !copy(s)->bypass &&
	       copy(s)->link != MIRROR_LINK_NONE;
}

/* Reads of production's disk do not end, and neither does the refresh. */
static void hold_reads(struct sim_scene *s)
{
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_READ);
}

/* Clients wait for the refresh, and for nothing after it. */
static void paced(struct sim_scene *s)
{
	const struct cluster_command c = { .type = CLUSTER_COMMAND_REFRESH,
					   .site = -1,
					   .pace = true };

	if (!bypass(s))
		return;
	UNTIL(s, 1500, has_link, "it is linked again");
	WHILE(s, 500, stays_in_bypass, "the refresh waits");
	hold_reads(s);
	s->id = sim_operator(s->w, 0, &c);
	UNTIL(s, 2000, sim_replied, "the command is answered");
	UNTIL(s, 2000, is_copying, "the refresh begins");
	for (uint32_t i = 0; i < 1000 && !is_paced(s); i++) {
		if (!ask_one(s, 1, i))
			return;
		if (!is_paced(s))
			UNTIL(s, SOON_MS, sim_told, "it is answered soon");
	}
	WHILE(s, 500, is_paced, "then clients wait for it");
	s->w->plan.record_us = 0;
	sim_release_all(s->w);
	UNTIL(s, 60000, is_refreshed, "it ends");
	UNTIL(s, SOON_MS, sim_told, "clients go on");
	s->w->plan.record_us = THIN_US;
	if (!write_until(s, 0, 2000, is_bypassed, "the copy is put into bypass again"))
		return;
	hold_reads(s);
	UNTIL(s, 5000, is_copying, "its refresh begins by itself");
	s->id = 2;
	if (!write_until(s, 1, 2000, is_outrun_again, "and nobody waits for it"))
		return;
	sim_release_all(s->w);
	sim_scene_clients(s, 200);
}

/* ---- changes of the mode -------------------- */

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[1].current;
}

/* In bypass for long when the mode becomes sync: its refresh begins at once, and it is
 * current when it has ended. */
static void to_sync(struct sim_scene *s)
{
	if (!bypass(s))
		return;
	for (s->id = 2; s->id < 5; s->id++) {
		UNTIL(s, 20000, is_copying, "its refresh begins");
		if (!write_until(s, 0, 4000, is_outrun_again, "clients outrun it"))
			return;
	}
	if (!change(s, CONFIG_SYNC))
		return;
	EXPECT(s, !is_current(s), "the copy is left out");
	s->w->plan.record_us = 0;
	UNTIL(s, 8000, is_current, "it has entered again, long before its time");
	sim_scene_clients(s, 200);
}

static bool stays_current(struct sim_scene *s)
{
	return is_current(s) && !copy(s)->bypass;
}

/* In near-sync the log may fill up too, before the bound is reached: but a copy that is current
 * is waited for. */
static void near_sync_full(struct sim_scene *s)
{
	s->w->plan.record_us = THIN_US;
	for (uint32_t i = 0; i < 500; i++) {
		if (!ask_one(s, 0, i))
			return;
		UNTIL(s, 20000, sim_told, "it is answered");
		EXPECT(s, stays_current(s), "the copy stays current");
	}
	s->w->plan.record_us = 0;
	sim_scene_clients(s, 200);
}

#define ANY                                                                              \
	{                                                                                \
		CONFIG_NEAR_SYNC, 30000, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED_BYTES,     \
			false                                                            \
	}

const struct sim_scenario sim_scenarios_async[] = {
	{ "slow-copy",
	  "async: the log is full of what a slow copy lacks: bypass, then a takeover by force",
	  { 1, 1 },
	  1,
	  6,
	  .play = slow_copy,
	  .promise = ANY },
	{ "refresh-outrun",
	  "async: a refresh that clients outrun is cut short, and begins again later",
	  { 1, 1 },
	  1,
	  4,
	  .play = outrun,
	  .promise = ANY },
	{ "refresh-paced",
	  "async: clients wait for a refresh by command, and for that one only",
	  { 1, 1 },
	  1,
	  4,
	  .play = paced,
	  .disk_bytes = 4u << 20,
	  .log_bytes = 6u << 20,
	  .promise = ANY },
	{ "bypass-to-sync",
	  "from async to sync while a copy is in bypass for long",
	  { 1, 1 },
	  1,
	  4,
	  .play = to_sync,
	  .promise = ANY },
	{ "near-sync-full",
	  "near-sync: the log is full before the bound is reached",
	  { 1, 1 },
	  1,
	  4,
	  .play = near_sync_full,
	  .promise = ANY },
	{ 0 },
};
