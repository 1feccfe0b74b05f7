/* scenario_clients.c - traces in which a client is told too early, or is heard twice. */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define SECTOR 40u

/* ---- a read of an unacknowledged write -------------------- */

/* D5's wait, in the simple case: the copy cannot have the write, so nobody may see it;
 * for the copy is promoted next. */
static void unacknowledged_read(struct sim_scene *s)
{
	sim_stall(s->w, 0, 1, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	s->read = sim_scene_read(s, 0, SECTOR);
	WHILE(s, 300, sim_read_not_told, "the read waits");
	EXPECT(s,
	       sim_scene_engine(s, 0)->marks->durable >= s->sequence && !s->write->told,
	       "the write is durable at production and not acknowledged");
	sim_machine_reset(s->w, 0);
	sim_stall(s->w, 0, 1, false);
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, sim_scene_engine(s, 1)->marks->last < s->sequence,
	       "the copy never had the write");
}

/* ---- a request that was sent twice -------------------- */

/* Where a refresh is reading: a write there waits, without a number. */
static bool is_read_by_refresh(struct sim_scene *s)
{
	uint64_t offset;

	if (!mirror_view_refresh_read(s->w->node[0].engine, &offset))
		return false;
	s->sequence = offset / SIM_SECTOR;
	return true;
}

static void sent_twice(struct sim_scene *s)
{
	struct sim_request *first;
	uint64_t newest;

	if (!sim_scene_refresh(s))
		return;
	UNTIL(s, 1000, is_read_by_refresh, "a refresh reads an extent");
	first = sim_scene_write(s, 0, s->sequence);
	EXPECT(s, first != NULL && first->request.sequence == 0,
	       "the write has no number yet");
	s->write = sim_ask_again(s->w, 0, first);
	EXPECT(s, s->write != NULL && s->write != first,
	       "it is sent again on another connection");
	sim_release_all(s->w);
	UNTIL(s, 5000, sim_told, "the repeated one is answered");
	s->write = sim_scene_write(s, 0, s->sequence);
	EXPECT(s, s->write != NULL, "the next write is taken");
	newest = s->write->number;
	UNTIL(s, 5000, sim_told, "it is answered");
	sim_run(s->w, s->w->now_ns + 200 * SIM_MS);
	s->read = sim_scene_read(s, 0, s->sequence);
	EXPECT(s, s->read != NULL, "a read is taken");
	UNTIL(s, 5000, sim_read_told, "it is answered");
	EXPECT(s, s->read->shown == newest,
	       "a write that was sent twice is not written late");
}

/* ---- flushes at once, and requests that are not done -------------------- */

/* Without being asked, the copy would flush its log 20 ms after a burst. */
static void flush_at_once(struct sim_scene *s)
{
	for (uint32_t i = 0; i < 5; i++) {
		s->write = sim_scene_write(s, 0, i);
		EXPECT(s, s->write != NULL, "a write is taken");
		UNTIL(s, 1000, sim_told, "it is answered");
		s->write = sim_scene_flush(s, 0);
		EXPECT(s, s->write != NULL, "a flush is taken");
		UNTIL(s, 15, sim_told, "it is answered at once");
	}
}

/* A block that is written again before it went home goes home once. */
static void overwritten(struct sim_scene *s)
{
	const struct mirror_status *c = mirror_engine_counters(s->w->node[0].engine);
	uint64_t before;

	sim_run(s->w, s->w->now_ns + 500 * SIM_MS);
	before = c->records_overwritten;
	for (uint32_t i = 0; i < 2; i++) {
		s->write = sim_scene_write(s, 0, 0);
		EXPECT(s, s->write != NULL, "a write is taken");
		UNTIL(s, 1000, sim_told, "it is answered");
	}
	sim_run(s->w, s->w->now_ns + 500 * SIM_MS);
	EXPECT(s, c->records_overwritten == before + 1, "the first of them is left out");
}

const struct sim_scenario sim_scenarios_clients[] = {
	{ "unacknowledged-read",
	  "a read of an unacknowledged write passed on",
	  { 1, 1 },
	  1,
	  4,
	  .play = unacknowledged_read },
	{ "sent-twice",
	  "a request that a timed-out client sent twice",
	  { 1, 1 },
	  1,
	  10,
	  .play = sent_twice },
	{ "flush-at-once",
	  "a flush that has to be asked for at the copy",
	  { 1, 1 },
	  1,
	  10,
	  .play = flush_at_once },
	{ "overwritten",
	  "a block that is written twice before it goes home",
	  { 1, 1 },
	  1,
	  10,
	  .play = overwritten },
	{ 0 },
};
