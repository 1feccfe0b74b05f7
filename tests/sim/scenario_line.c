/* scenario_line.c - traces of the lines: frames that wait there, or come late (G7, G8). */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define SECTOR 190u

/* ---- a record of another time -------------------- */

/* It was delivered once, and again in the place of the one that has its number now. */
static bool is_offered(struct sim_scene *s)
{
	for (uint32_t i = 0; i < SIM_STALE_MAX; i++)
		if (s->w->stale[i].parcel != NULL && s->w->stale[i].generation != 0 &&
		    s->w->stale[i].sequence == 0)
			return true;
	return false;
}

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, s->node)->site[s->site].current;
}

/* The third site got a record that nobody else has, another takes over, and the next record
 * has the same number. */
static void stale_record(struct sim_scene *s)
{
	s->w->plan.stale_one_in = UINT32_MAX;
	sim_stall(s->w, 0, 1, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	s->node = 2;
	UNTIL(s, 1000, sim_durable, "the third site has it");
	EXPECT(s, !s->write->told, "it is not acknowledged");
	s->w->worst = true;
	sim_machine_reset(s->w, 0);
	sim_part(s->w, 1 << 2, true, true);
	sim_release_all(s->w);
	if (!sim_scene_takeover(s, 1))
		return;
	s->write = sim_scene_write(s, 1, SECTOR + 1);
	EXPECT(s, s->write != NULL && s->write->request.sequence == s->sequence,
	       "another write gets its number");
	UNTIL(s, 1000, sim_told, "and is acknowledged");
	sim_part(s->w, 0, true, true);
	UNTIL(s, 8000, is_offered, "the older record comes to the third site again");
	s->site = 2;
	s->node = 1;
	UNTIL(s, 8000, is_current, "which waits for the right one, and is current then");
}

/* ---- a line that nothing leaves by -------------------- */

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

static const struct mirror_view_link *line(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return m->peer[1].link != MIRROR_LINK_NONE ? &m->link[m->peer[1].link] : NULL;
}

static bool begins(struct sim_scene *s)
{
	return line(s) != NULL && line(s)->streams_out;
}

static bool is_full(struct sim_scene *s)
{
	return begins(s) && line(s)->frame_count >= LINK_FRAMES_MAX;
}

/* There is much more to send than may wait on the line; clients do not wait for it. */
static void stalled_line(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_WRITE); /* all stays in memory */
	if (!sim_scene_writes(s, 0, 800))
		return;
	sim_node_start(s->w, 1);
	UNTIL(s, 8000, begins, "the stream to the copy begins");
	sim_stall(s->w, 0, 1, true);
	UNTIL(s, 1000, is_full, "as much waits on the line as may");
	EXPECT(s, line(s)->next_send < s->write->request.sequence, "that is not all");
	sim_look(s->w);
	WHILE(s, 1000, is_full, "it stays so");
	sim_look(s->w);
	if (!sim_scene_writes(s, 0, 20))
		return;
	sim_release_all(s->w);
	s->site = 1;
	s->node = 0;
	UNTIL(s, 8000, is_current, "the copy comes level when the line works");
}

/* ---- a line that takes small frames only -------------------- */

static bool stays_out(struct sim_scene *s)
{
	return is_out(s) && !sim_scene_engine(s, 0)->peer[1].answers_wait;
}

/* It connects, is greeted, sends heartbeats, and confirms nothing, again and again: it
 * leaves once, and nothing waits for it before it has confirmed the records that stood
 * still. */
static void small_frames_only(struct sim_scene *s)
{
	uint64_t from = s->w->now_ns;

	s->site = 1;
	sim_hole(s->w, 0, 1, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	UNTIL(s, 12000, sim_told, "it is answered without the copy");
	EXPECT(s, s->w->now_ns < from + 4 * SIM_S, "soon after copy-timeout");
	UNTIL(s, 100, is_out, "which is not current any more");
	WHILE(s, 12000, stays_out, "it stays out, and nothing waits for it");
	sim_hole(s->w, 0, 1, false);
	UNTIL(s, 8000, is_current, "it is current when the line works");
}

/* ---- a copy that is out, and a full log -------------------- */

static bool greets(struct sim_scene *s)
{
	return line(s) != NULL && line(s)->greets;
}

/* It is stopped: its system takes every connection, and none is greeted. The log runs
 * full again and again, and its map takes over each time, linked or not. */
static void stopped_and_full(struct sim_scene *s)
{
	sim_node_stop(s->w, 1, 3600 * SIM_S);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	UNTIL(s, 8000, greets, "it is connected to again");
	for (uint32_t i = 0; i < 1200; i++) {
		s->write = sim_scene_write(s, 0, SECTOR);
		EXPECT(s, s->write != NULL, "a write is taken");
		UNTIL(s, 700, sim_told, "it does not wait for a copy that is out");
	}
	sim_node_kill(s->w, 1);
}

/* ---- a line that stalls again and again -------------------- */

/* A little longer than copy-timeout each time: how long the write then waits. */
static bool flap(struct sim_scene *s, uint64_t *frozen_ns)
{
	const uint64_t from = s->w->now_ns;

	sim_stall(s->w, 1, 0, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	if (!sim_scene_expect(s, s->write != NULL, "the write is taken") ||
	    !sim_scene_until(s, 6000, sim_told, "it is answered without the copy"))
		return false;
	*frozen_ns += s->w->now_ns - from;
	sim_stall(s->w, 1, 0, false);
	return true;
}

/* Production lets the copy in and waits for it in vain each time, but less and less often. */
static void flapping(struct sim_scene *s)
{
	const uint64_t begin = s->w->now_ns;
	uint64_t frozen = 0, last;

	s->site = 1;
	for (uint32_t i = 0; i < 6; i++) {
		if (!flap(s, &frozen))
			return;
		last = s->w->now_ns;
		UNTIL(s, 60000, is_current, "it is current again");
		EXPECT(s, i != 0 || s->w->now_ns < last + 3 * SIM_S, "soon at first");
	}
	EXPECT(s, s->w->now_ns > last + 40 * SIM_S, "late at last");
	EXPECT(s, (s->w->now_ns - begin) / 4 > frozen, "most of the time nothing waits");
	WHILE(s, 3000 * 32, is_current, "it behaves");
	EXPECT(s, sim_scene_engine(s, 0)->peer[1].lost_count < 6, "and makes good");
}

const struct sim_scenario sim_scenarios_line[] = {
	{ "stale-record",
	  "a record of a generation that was given up, in the place of a newer one",
	  { 1, 1, 1 },
	  2,
	  10,
	  .play = stale_record },
	{ "stalled-line",
	  "a line that takes nothing, with more to send than may wait",
	  { 1, 1 },
	  1,
	  5,
	  .play = stalled_line,
	  .log_bytes = 12u << 20 },
	{ "small-frames-only",
	  "a line on which large frames vanish and small ones pass",
	  { 1, 1 },
	  1,
	  10,
	  .play = small_frames_only },
	{ "stopped-and-full",
	  "a log that runs full while a copy that is out is connected to",
	  { 1, 1 },
	  1,
	  5,
	  .play = stopped_and_full },
	{ "flapping",
	  "a line that stalls again and again for a little longer than copy-timeout",
	  { 1, 1 },
	  1,
	  5,
	  .play = flapping },
	{ 0 },
};
