/* scenario_alone.c - traces of pairs without a cluster, where two sites and an operator are
 * the majority. The checkers (check_alone.c) judge each site that is told to serve; the plays
 * bring the situation about, and say how a promotion has to be answered there.
 */
#include <string.h>

#include "cluster/alone.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define LOG_BYTES (2u << 20)
#define MANY 50u
#define THIN_US 30000u /* of the line for each record */
#define SOON_MS 500u   /* a write in async */
#define ASYNC                                                                            \
	{                                                                                \
		CONFIG_ASYNC, PROMISE_UNBOUNDED, PROMISE_UNBOUNDED,                      \
			PROMISE_UNBOUNDED_BYTES, false                                   \
	}

static struct alone *pair(struct sim_scene *s, uint32_t node)
{
	return sim_scene_core(s, node)->alone;
}

static uint64_t command(struct sim_scene *s, uint32_t node,
			enum cluster_command_type type, bool force)
{
	return sim_command(s->w, node, type, force,
			   type == CLUSTER_COMMAND_DEMOTE ? -1 : (int32_t)(1 - node));
}

static bool is_refused(struct sim_scene *s, uint64_t id)
{
	return s->w->reply[id].exit_status == 1;
}

static bool has_command_ended(struct sim_scene *s)
{
	return s->w->reply[s->id].done;
}

/* A command of its operator's, until it is answered. */
static bool does(struct sim_scene *s, uint32_t node, enum cluster_command_type type,
		 bool force)
{
	s->id = command(s, node, type, force);
	return sim_scene_expect(s, s->id != 0, "somebody is there to be told") &&
	       sim_scene_until(s, 30000, has_command_ended, "the command is answered");
}

static bool is_idle(struct sim_scene *s)
{
	return pair(s, s->node)->state == ALONE_OPEN;
}

/* ---- a site that answers is not absent -------------------- */

static bool both_have_ended(struct sim_scene *s)
{
	return s->w->reply[s->id].done && s->w->reply[s->count].done;
}

static bool both_are_clean(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->sb->clean.set &&
	       sim_scene_engine(s, 1)->sb->clean.set;
}

static void promoted_at_once(struct sim_scene *s)
{
	if (!does(s, 0, CLUSTER_COMMAND_DEMOTE, false))
		return;
	UNTIL(s, 2000, both_are_clean, "both know of the clean end");
	s->id = command(s, 0, CLUSTER_COMMAND_PROMOTE, false);
	sim_run(s->w, s->w->now_ns + s->w->seed * SIM_MS / 8);
	s->count = command(s, 1, CLUSTER_COMMAND_PROMOTE, false);
	UNTIL(s, 30000, both_have_ended, "both are answered");
	EXPECT(s, is_refused(s, s->id) != is_refused(s, s->count), "one of them serves");
}

static void forced_over_serving(struct sim_scene *s)
{
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, true))
		return;
	EXPECT(s, is_refused(s, s->id),
	       "a force does not override a production that serves");
}

/* A clean end lets one of them go on without the other, not each. */
static void clean_end_twice(struct sim_scene *s)
{
	if (!does(s, 0, CLUSTER_COMMAND_DEMOTE, false))
		return;
	UNTIL(s, 2000, both_are_clean, "both know of the clean end");
	sim_part(s->w, 1, false, true);
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, !is_refused(s, s->id), "the copy is promoted");
	if (!does(s, 0, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, is_refused(s, s->id), "a site that had handed over is not");
}

/* ---- by its records, not by the name of its generation -------------------- */

static bool is_mapped(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->sb->sites[1].map_position > 0;
}

/* The copy is put out and misses more than production's log holds. */
static bool fall_behind(struct sim_scene *s)
{
	if (!does(s, 0, CLUSTER_COMMAND_DISCONNECT, false))
		return false;
	while (!is_mapped(s))
		if (!sim_scene_writes(s, 0, MANY))
			return false;
	s->write = sim_scene_flush(s, 0);
	return sim_scene_expect(s, s->write != NULL, "a flush is taken") &&
	       sim_scene_until(s, 2000, sim_told, "it is answered");
}

static bool follows(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->stream_link != MIRROR_LINK_NONE;
}

/* It is let in again; that goes on for as long as production's disk cannot be read. */
static bool let_in(struct sim_scene *s)
{
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_READ);
	return does(s, 0, CLUSTER_COMMAND_CONNECT, false) &&
	       sim_scene_until(s, 5000, follows, "the copy follows again");
}

static void behind_copy_promoted(struct sim_scene *s)
{
	if (!fall_behind(s) || !let_in(s))
		return;
	if (s->w->seed % 2 == 0) {
		sim_node_kill(s->w, 0);
		sim_node_start(s->w, 0);
		s->node = 0;
	} else if (!does(s, 0, CLUSTER_COMMAND_DEMOTE, false)) {
		return;
	}
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, is_refused(s, s->id), "the copy is not promoted");
}

/* ---- a step that is cut off is not done -------------------- */

static bool rolls(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->roll_link != MIRROR_LINK_NONE;
}

/* The log still holds the records that the copy misses; the line breaks while it takes them. */
static void roll_cut_off(struct sim_scene *s)
{
	if (!does(s, 0, CLUSTER_COMMAND_DISCONNECT, false) ||
	    !sim_scene_writes(s, 0, 3 * MANY))
		return;
	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, is_idle, "its devices are open again");
	s->id = command(s, 1, CLUSTER_COMMAND_PROMOTE, false);
	UNTIL(s, 8000, rolls, "the copy rolls forward");
	sim_run(s->w, s->w->now_ns + s->w->seed * SIM_MS / 8);
	sim_lines_reset(s->w);
	UNTIL(s, 30000, has_command_ended, "the promotion is answered");
}

/* ---- a force keeps a site's state -------------------- */

static bool is_inconsistent(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->sb->blank;
}

static void inconsistent_forced(struct sim_scene *s)
{
	if (!fall_behind(s) || !let_in(s))
		return;
	sim_node_kill(s->w, 0);
	sim_node_kill(s->w, 1);
	sim_io_settle(s->w, 1);
	sim_setup_log_again(s->w, 1);
	sim_node_start(s->w, 1);
	UNTIL(s, 5000, is_inconsistent, "the copy has no image");
	does(s, 1, CLUSTER_COMMAND_PROMOTE, true);
}

/* ---- no copy is waited for that needs a refresh -------------------- */

static bool is_opened(struct sim_scene *s)
{
	return pair(s, 0)->state == ALONE_OPEN;
}

static bool serves_again(struct sim_scene *s)
{
	return sim_node_serves(s->w, 0) && !pair(s, 0)->busy;
}

static void restarted_behind(struct sim_scene *s)
{
	if (!fall_behind(s) || !let_in(s))
		return;
	sim_node_kill(s->w, 0);
	sim_hold_device(s->w, 0, 0, 0); /* its disks are looked at when they are opened */
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, is_opened, "production is back");
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_READ);
	s->id = command(s, 0, CLUSTER_COMMAND_PROMOTE, false);
	UNTIL(s, 10000, serves_again, "production serves again");
	s->write = sim_scene_write(s, 0, 7);
	EXPECT(s, s->write != NULL, "a write is taken");
	UNTIL(s, 1000, sim_told, "it does not wait for the refresh");
}

/* ---- a promise is over when its promotion is -------------------- */

static bool has_promised(struct sim_scene *s)
{
	const struct uuid *opened = &sim_scene_core(s, 1)->role.generation;

	return !uuid_is_zero(opened) &&
	       uuid_equal(&sim_scene_engine(s, 0)->sb->refusal.generation, opened);
}

static bool is_level(struct sim_scene *s)
{
	return sim_pair_is_together(s->w);
}

/* n2 prepares, and dies or is told to stop; and then n1 is promoted, or n2 without being
 * able to ask n1. */
static void promise_outlived(struct sim_scene *s)
{
	const uint32_t next = s->w->seed % 2 == 0 ? 0 : 1;
	const struct cluster_command demote = { .type = CLUSTER_COMMAND_DEMOTE,
						.site = -1 };

	if (!does(s, 0, CLUSTER_COMMAND_DEMOTE, false))
		return;
	UNTIL(s, 2000, both_are_clean, "both know of the clean end");
	s->id = command(s, 1, CLUSTER_COMMAND_PROMOTE, false);
	UNTIL(s, 5000, has_promised, "n1 has stored the refusal");
	if (s->w->seed / 2 % 2 == 0) {
		sim_operator(s->w, 1, &demote);
	} else {
		sim_node_kill(s->w, 1);
		sim_node_start(s->w, 1);
	}
	if (next == 1)
		sim_part(s->w, 1, false, true);
	s->node = next;
	UNTIL(s, 5000, is_idle, "its devices are open");
	if (!does(s, next, CLUSTER_COMMAND_PROMOTE, false))
		return;
	if (is_refused(s, s->id) && !does(s, next, CLUSTER_COMMAND_PROMOTE, true))
		return;
	sim_part(s->w, 0, false, true);
	UNTIL(s, 12000, is_level, "and both are level");
}

static bool promises_itself(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	if (s->w->reply[s->id].done)
		return true; /* it was late, and refused at once */
	return m->state == ENGINE_PREPARING && m->sb_wanted == m->sb_written &&
	       uuid_equal(&m->sb->refusal.generation, &m->prepare->generation);
}

/* n1 may go on without n2, which it put out; it promises n2, then begins a promotion of its
 * own, for which it has asked its log before that, and dies. */
static void promise_replaced(struct sim_scene *s)
{
	if (!does(s, 0, CLUSTER_COMMAND_DISCONNECT, false) ||
	    !does(s, 0, CLUSTER_COMMAND_DEMOTE, false))
		return;
	s->w->plan.mail_us = 2000;
	s->count = command(s, 1, CLUSTER_COMMAND_PROMOTE, false);
	sim_run(s->w, s->w->now_ns + s->w->seed * SIM_MS / 8);
	s->id = command(s, 0, CLUSTER_COMMAND_PROMOTE, false);
	UNTIL(s, 5000, promises_itself, "n1 is being promoted");
	sim_look(s->w);
	sim_node_kill(s->w, 0);
	sim_part(s->w, 1, false, true);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, is_idle, "its devices are open");
	does(s, 0, CLUSTER_COMMAND_PROMOTE, false);
	s->id = s->count;
	UNTIL(s, 30000, has_command_ended, "the promotion of n2 is answered");
}

/* ---- a cut takes the newer history before the marks go -------------------- */

static bool asks(struct sim_scene *s)
{
	return pair(s, 0)->undo_text[0] != 0;
}

static bool is_cut_back(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return !m->cutting && history_newest(&m->sb->history)->site == 1;
}

/* n2 is forced without records that only n1 has, after n1 has answered it. n1 gives them up,
 * and its machine dies when its log is cut back: the cut is durable, the end of the mark not
 * always. */
static void cut_after_promise(struct sim_scene *s)
{
	const struct cluster_command discard = { .type = CLUSTER_COMMAND_CONNECT,
						 .site = 1,
						 .discard = true };

	if (!fall_behind(s) || !does(s, 0, CLUSTER_COMMAND_DEMOTE, false) ||
	    !does(s, 1, CLUSTER_COMMAND_PROMOTE, true))
		return;
	EXPECT(s, !is_refused(s, s->id), "n2 is promoted by force");
	EXPECT(s, sim_scene_engine(s, 0)->sb->handed_over, "n1 has handed over");
	UNTIL(s, 5000, asks, "n1 asks before it undoes its tail");
	s->id = sim_operator(s->w, 0, &discard);
	UNTIL(s, 8000, has_command_ended, "the tail is given up");
	UNTIL(s, 5000, is_cut_back, "its log is cut back");
	sim_machine_reset(s->w, 0);
	sim_part(s->w, 1, false, true);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, is_idle, "its devices are open");
	if (!does(s, 0, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, is_refused(s, s->id), "n1 is not promoted without n2");
	sim_part(s->w, 0, false, true);
	UNTIL(s, 12000, is_level, "both are level");
}

static bool asks_other(struct sim_scene *s)
{
	return pair(s, 1)->undo_text[0] != 0;
}

static bool other_is_cutting(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->cutting;
}

/* n2 is forced while n1 serves out of its reach, and dies; n1 serves on. There is a way out
 * short of making n2 anew, also when the line is cut while n2's log is cut back. */
static void forced_and_died(struct sim_scene *s)
{
	const struct cluster_command discard = { .type = CLUSTER_COMMAND_CONNECT,
						 .site = 0,
						 .discard = true };

	sim_part(s->w, 1, false, true);
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, true))
		return;
	EXPECT(s, !is_refused(s, s->id), "n2 is promoted by force");
	if (s->w->seed % 2 == 0 && !sim_scene_writes(s, 1, 4))
		return;
	sim_node_kill(s->w, 1);
	sim_part(s->w, 0, false, true);
	sim_node_start(s->w, 1);
	UNTIL(s, 5000, asks_other, "n2 asks before it gives up its promotion");
	s->id = sim_operator(s->w, 1, &discard);
	UNTIL(s, 8000, has_command_ended, "it is given up");
	if (s->w->seed % 4 == 0) {
		UNTIL(s, 5000, other_is_cutting, "its log is cut back");
		sim_hold_device(s->w, 1, MIRROR_IO_LOG, 1u << MIRROR_IO_WRITE);
		sim_part(s->w, 1, false, true);
		sim_run(s->w, s->w->now_ns + 3 * SIM_S);
		sim_hold_device(s->w, 1, MIRROR_IO_LOG, 0);
		sim_part(s->w, 0, false, true);
	}
	UNTIL(s, 12000, is_level, "both are level");
}

/* ---- a copy that is back is not gone -------------------- */

static bool is_lost(struct sim_scene *s)
{
	return pair(s, 0)->lost != 0;
}

static bool is_back(struct sim_scene *s)
{
	return pair(s, 0)->link[1] == LINK_CONNECTED;
}

static void copy_back(struct sim_scene *s)
{
	sim_part(s->w, 1, false, true);
	s->write = sim_scene_write(s, 0, 7);
	EXPECT(s, s->write != NULL, "a write is taken");
	UNTIL(s, 40000, is_lost, "writes wait for the copy that is gone");
	sim_part(s->w, 0, false, true);
	UNTIL(s, 20000, is_back, "it is back");
	UNTIL(s, 2000, sim_told, "the write is answered");
	UNTIL(s, 1000, is_level, "and nothing is said to be missing");
}

/* It is put out while it is gone: how long a write may take then, G7 says. */
static void copy_put_out(struct sim_scene *s)
{
	sim_part(s->w, 1, false, true);
	s->write = sim_scene_write(s, 0, 7);
	EXPECT(s, s->write != NULL, "a write is taken");
	UNTIL(s, 40000, is_lost, "writes wait for the copy that is gone");
	if (!does(s, 0, CLUSTER_COMMAND_DISCONNECT, false))
		return;
	sim_part(s->w, 0, false, true);
	sim_run(s->w, s->w->now_ns + 60 * SIM_S);
	EXPECT(s, s->write->told, "the write is answered without the copy");
}

/* ---- async: nobody waits for a copy, and nothing is lost unsaid -------------------- */

static bool is_outrun(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->peer[1].bypass;
}

/* The line is slow, clients are fast, and none of them waits: bypass. */
static bool outrun(struct sim_scene *s)
{
	const uint64_t sectors = s->w->plan.disk_bytes / SIM_SECTOR;

	s->w->plan.record_us = THIN_US;
	for (uint32_t i = 0; i < 2000 && !is_outrun(s); i++) {
		s->write = sim_scene_write(s, 0, 137 * i % sectors);
		if (!sim_scene_expect(s, s->write != NULL, "the write is taken") ||
		    !sim_scene_until(s, SOON_MS, sim_told, "it is answered soon"))
			return false;
	}
	return sim_scene_expect(s, is_outrun(s), "the copy is outrun") &&
	       sim_scene_until(s, 2000, is_mapped, "the map takes over");
}

static bool names_no_bound(struct sim_scene *s)
{
	return strstr(s->w->reply[s->id].text, "without a bound") != NULL;
}

/* Production dies far ahead. Only a force promotes the copy, and says so; the old production
 * asks before it is undone. */
static void async_pair(struct sim_scene *s)
{
	const struct cluster_command discard = { .type = CLUSTER_COMMAND_CONNECT,
						 .site = 1,
						 .discard = true };

	if (!outrun(s))
		return;
	sim_machine_reset(s->w, 0);
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, is_refused(s, s->id) && names_no_bound(s), "the copy is not promoted");
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, true))
		return;
	EXPECT(s, !is_refused(s, s->id) && names_no_bound(s), "it is, by force");
	s->w->plan.record_us = 0;
	sim_node_start(s->w, 0);
	UNTIL(s, 10000, asks, "the other asks before it undoes its tail");
	s->id = sim_operator(s->w, 0, &discard);
	UNTIL(s, 8000, has_command_ended, "the tail is given up");
	UNTIL(s, 20000, is_level, "both are level");
	sim_scene_clients(s, 200);
}

/* The copy is put out while it is outrun, let in again, and level when the line keeps up. Then
 * a clean end makes it one that may be promoted alone; a demote that leaves it behind, not. */
static void async_pair_demoted(struct sim_scene *s)
{
	const bool level = s->w->seed % 2 == 0;

	if (!outrun(s) || !does(s, 0, CLUSTER_COMMAND_DISCONNECT, false) ||
	    !sim_scene_writes(s, 0, MANY) || !does(s, 0, CLUSTER_COMMAND_CONNECT, false))
		return;
	if (level) {
		s->w->plan.record_us = 0;
		UNTIL(s, 20000, is_level, "its refresh begins by itself, and ends");
	}
	if (!does(s, 0, CLUSTER_COMMAND_DEMOTE, false))
		return;
	if (level)
		UNTIL(s, 2000, both_are_clean, "both know of the clean end");
	if (!level && !does(s, 1, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, level || is_refused(s, s->id), "what is behind is not promoted");
	sim_part(s->w, 1, false, true);
	if (!does(s, 1, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, is_refused(s, s->id) != level, "alone only what is level is promoted");
	if (!does(s, 0, CLUSTER_COMMAND_PROMOTE, false))
		return;
	EXPECT(s, is_refused(s, s->id) == level, "one of them is");
}

#define PAIR { 1, 1 }, 0

const struct sim_scenario sim_scenarios_alone[] = {
	{ "promoted-at-once",
	  "both sites are promoted at the same time, and hear each other", PAIR, 16,
	  .play = promoted_at_once, .alone = true },
	{ "forced-over-serving", "a copy is promoted by force while production serves",
	  PAIR, 2, .play = forced_over_serving, .alone = true },
	{ "clean-end-twice",
	  "after a clean end each site is promoted without being able to ask the other",
	  PAIR, 4, .play = clean_end_twice, .alone = true },
	{ "behind-promoted",
	  "a copy of the same generation that needs a refresh is promoted", PAIR, 4,
	  .play = behind_copy_promoted, .log_bytes = LOG_BYTES, .alone = true },
	{ "roll-cut-off",
	  "the line breaks while a copy takes production's records beyond its own", PAIR,
	  16, .play = roll_cut_off, .alone = true },
	{ "blank-forced",
	  "a site without an image is forced, and must not be called UpToDate", PAIR, 2,
	  .play = inconsistent_forced, .log_bytes = LOG_BYTES, .alone = true },
	{ "restarted-behind",
	  "production starts anew while its copy is being refreshed: no write waits for that",
	  PAIR, 4, .play = restarted_behind, .log_bytes = LOG_BYTES, .alone = true },
	{ "promise-outlived",
	  "a promotion dies that the other site had promised to follow", PAIR, 8,
	  .play = promise_outlived, .alone = true },
	{ "promise-replaced",
	  "a site that has promised the other begins a promotion of its own, and dies",
	  PAIR, 24, .play = promise_replaced, .alone = true },
	{ "cut-after-promise",
	  "a site hands over to a forced one, gives up its tail, and dies when that is cut",
	  PAIR, 8, .play = cut_after_promise, .log_bytes = LOG_BYTES, .alone = true },
	{ "forced-and-died",
	  "a site is forced while the other serves, and dies; its promotion is given up",
	  PAIR, 8, .play = forced_and_died, .alone = true },
	{ "copy-back", "writes wait for a copy that is gone, and go on when it is back",
	  PAIR, 4, .play = copy_back, .alone = true },
	{ "copy-put-out", "writes wait for a copy that is gone, and it is put out", PAIR,
	  2, .play = copy_put_out, .alone = true },
	{ "async-pair",
	  "async: the log is full of what a slow copy lacks, and the copy is forced",
	  PAIR, 6, .play = async_pair, .log_bytes = LOG_BYTES, .alone = true,
	  .promise = ASYNC },
	{ "async-pair-demoted",
	  "async: production is demoted with a copy that was outrun, level or not", PAIR,
	  8, .play = async_pair_demoted, .log_bytes = LOG_BYTES, .alone = true,
	  .promise = ASYNC },
	{ 0 },
};
