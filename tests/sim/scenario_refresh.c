/* scenario_refresh.c - traces of a copy that is brought level (W6). */
#include "mirror/internal.h"
#include "tests/sim/scenario.h"

static bool is_dropped(struct sim_scene *s)
{
	const struct mirror_engine *m = sim_scene_engine(s, 1);

	return s->w->node[1].open && m->state == ENGINE_IDLE && !m->sb.hold.active &&
	       m->cut_step == CUT_NONE && m->last_sequence == s->count;
}

/* The stream went on beside the refresh, and is logged above the hold. Then the line is
 * cut, or the copy's power, and no link comes again yet. */
static void cut_short(struct sim_scene *s)
{
	const bool power = s->w->seed % 2 == 0;

	if (!sim_scene_refresh(s))
		return;
	s->write = sim_scene_write(s, 0, s->w->plan.disk_bytes / SIM_SECTOR - 1);
	EXPECT(s, s->write != NULL && s->write->request.sequence != 0,
	       "a write has its number beside the refresh");
	s->sequence = s->write->request.sequence;
	s->node = 1;
	UNTIL(s, 2000, sim_durable, "the copy has it, above its hold");
	UNTIL(s, 1000, sim_told, "it is acknowledged without the copy");
	s->count = sim_scene_engine(s, 1)->sb.hold.sequence;
	EXPECT(s,
	       sim_scene_engine(s, 1)->sb.hold.active && s->count < s->sequence &&
		       sim_scene_engine(s, 0)->peer[1].phase == REFRESH_COPYING,
	       "the refresh goes on");
	sim_part(s->w, 1, false, true);
	if (power)
		sim_site_power(s->w, 1);
	sim_lines_reset(s->w);
	if (power)
		sim_node_start(s->w, 1);
	UNTIL(s, 8000, is_dropped, "all above the hold is dropped");
	EXPECT(s, sim_image_check(s->w, 1, "W6"), "the copy is what it was");
	sim_part(s->w, 0, true, true);
}

const struct sim_scenario sim_scenarios_refresh[] = {
	{ "refresh-cut-short",
	  "a refresh cut short after the stream went on",
	  { 1, 1 },
	  1,
	  10,
	  cut_short },
	{ 0 },
};
