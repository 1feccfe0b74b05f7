/* scenario_clients.c - traces in which a client is told too early, or is heard twice. */
#include "cluster/internal.h"
#include "mirror/internal.h"
#include "tests/sim/scenario.h"

#define SECTOR 40u

/* ---- a read of an unacknowledged write --------------------------------------------- */

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
	EXPECT(s, sim_scene_engine(s, 0)->durable >= s->sequence && !s->write->told,
	       "the write is durable at production and not acknowledged");
	sim_machine_reset(s->w, 0);
	sim_stall(s->w, 0, 1, false);
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, sim_scene_engine(s, 1)->last_sequence < s->sequence,
	       "the copy never had the write");
}

const struct sim_scenario sim_scenarios_clients[] = {
	{ "unacknowledged-read",
	  "a read of an unacknowledged write passed on",
	  { 1, 1 },
	  1,
	  4,
	  unacknowledged_read },
	{ 0 },
};
