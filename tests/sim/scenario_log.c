/* scenario_log.c - traces of the writelog and of what goes home from it (W1, W4, D8). */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/internal.h"
#include "tests/sim/scenario.h"

#define SECTOR 170u

/* ---- a home write that outlives its record -------------------- */

static bool goes_home(struct sim_scene *s)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++)
		if (s->w->op[i].used && s->w->op[i].node == 2 &&
		    s->w->op[i].device == 0 && s->w->op[i].op == MIRROR_IO_WRITE &&
		    s->w->op[i].offset == SECTOR * SIM_SECTOR)
			return true;
	return false;
}

static bool is_all_home(struct sim_scene *s)
{
	const struct mirror_engine *m = sim_scene_engine(s, 2);

	return m->home_flushed == sim_scene_engine(s, 0)->last_sequence;
}

static bool is_judged(struct sim_scene *s)
{
	return sim_scene_engine(s, 2)->greeting_link != MIRROR_LINK_NONE;
}

static bool keeps_record(struct sim_scene *s)
{
	return goes_home(s) && sim_scene_engine(s, 2)->last_sequence >= s->sequence;
}

static bool is_cut(struct sim_scene *s)
{
	return sim_scene_engine(s, 2)->stream_link != MIRROR_LINK_NONE;
}

/* A copy is bringing home what production never acknowledged, when another takes over
 * without it. The write is under way still when the new history undoes the record. */
static void home_outlives(struct sim_scene *s)
{
	UNTIL(s, 3000, is_all_home, "all is home at the third site");
	sim_stall(s->w, 0, 1, true);
	sim_hold_device(s->w, 2, 0, 1u << MIRROR_IO_WRITE);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	UNTIL(s, 1000, goes_home, "it goes home at the third site");
	EXPECT(s, !s->write->told, "it is not acknowledged");
	sim_machine_reset(s->w, 0);
	sim_part(s->w, 1 << 2, true, true);
	sim_stall(s->w, 0, 1, false);
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, sim_scene_engine(s, 1)->last_sequence < s->sequence,
	       "another takes over without it");
	s->write = sim_scene_write(s, 1, SECTOR + 1);
	EXPECT(s, s->write != NULL, "another write is taken");
	UNTIL(s, 1000, sim_told, "and acknowledged");
	sim_part(s->w, 0, true, true);
	UNTIL(s, 5000, is_judged, "the third site hears of the new history");
	WHILE(s, 500, keeps_record, "it waits for the write");
	sim_hold_device(s->w, 2, 0, 0);
	UNTIL(s, 5000, is_cut, "the record is undone");
	EXPECT(s,
	       mirror_map_covers(sim_scene_engine(s, 2)->map, 2, 0, SECTOR * SIM_SECTOR,
				 SIM_SECTOR),
	       "its extent is marked to be sent again");
}

/* ---- damage in the middle of a log -------------------- */

static bool is_marked(struct sim_scene *s)
{
	const struct mirror_engine *m = sim_scene_engine(s, 0);

	return m->mark_written >= s->sequence && m->log_parts == 0;
}

static bool is_refused(struct sim_scene *s)
{
	const struct role *r = &sim_scene_core(s, 0)->role;

	return r->devices == DEVICES_CLOSED && r->text[0] != 0;
}

static bool stays_closed(struct sim_scene *s)
{
	return s->w->site[0].open_node < 0 ||
	       sim_scene_engine(s, 0)->state != ENGINE_IDLE;
}

/* Bits flip in a descriptor, or in the data of a record; others that were durable follow
 * it. */
static void damage(struct sim_scene *s)
{
	struct sim_device *log = &s->w->site[0].log;
	const struct mirror_engine *m = sim_scene_engine(s, 0);
	uint64_t at;

	if (!sim_scene_writes(s, 0, 9))
		return;
	s->node = 0;
	s->sequence = m->last_sequence;
	UNTIL(s, 1000, is_marked, "all is durable, and marked so (W4)");
	EXPECT(s, m->home_flushed + 6 < m->last_sequence, "it is not home");
	at = m->records[(m->last_sequence - 5) % RECORDS_MAX].log_position;
	if (s->w->seed % 2 == 0)
		at -= MIRROR_BLOCK_BYTES;
	sim_node_kill(s->w, 0);
	log->now[at + 40] ^= 4;
	memcpy(log->stable + at, log->now + at, SIM_SECTOR);
	s->w->site[0].tainted = s->w->site[0].rotten = true;
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, is_refused, "its site cannot be opened");
	EXPECT(s, strstr(sim_scene_core(s, 0)->role.text, "damage") != NULL,
	       "because its log is damaged");
	WHILE(s, 2000, stays_closed, "it stays closed");
	sim_scene_takeover(s, 1);
}

const struct sim_scenario sim_scenarios_log[] = {
	{ "home-outlives-record",
	  "a home write that outlives its log record",
	  { 1, 1, 1 },
	  2,
	  10,
	  home_outlives },
	{ "damage-in-log", "damage in the middle of a log", { 1, 1 }, 1, 10, damage },
	{ 0 },
};
