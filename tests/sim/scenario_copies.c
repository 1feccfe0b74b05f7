/* scenario_copies.c - traces of a copy on its way into the current set (D3). */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define SECTOR 150u

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

/* Writes wait for it from a mark on, and it has not got the one before the mark. */
static bool is_one_short(struct sim_scene *s)
{
	const struct mirror_view_peer *p = &sim_scene_engine(s, 0)->peer[1];

	return p->candidate_from == s->sequence + 1 &&
	       p->proven_durable == s->sequence - 1 &&
	       sim_scene_engine(s, 1)->marks->logged == s->sequence - 1;
}

static bool is_in(struct sim_scene *s)
{
	return !is_out(s);
}

/* Level, and about to be waited for: production has held back since it was lost. */
static bool is_due(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);
	const struct mirror_view_peer *p = &m->peer[1];

	return p->state == LINK_CONNECTED && p->logged == m->marks->last &&
	       sim_clock(s->w, 0) + SIM_S / 4 > p->again_ns;
}

static bool lose(struct sim_scene *s)
{
	sim_stall(s->w, 1, 0, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	if (!sim_scene_expect(s, s->write != NULL, "a write is taken") ||
	    !sim_scene_until(s, 8000, sim_told, "it waits for the copy in vain"))
		return false;
	sim_stall(s->w, 1, 0, false);
	return sim_scene_expect(s, is_out(s), "which is not current any more");
}

static bool stays_out(struct sim_scene *s)
{
	return is_one_short(s) && is_out(s) && !s->write->told &&
	       sim_scene_core(s, 0)->round.state == ROUND_IDLE;
}

static void one_record_short(struct sim_scene *s)
{
	s->write = sim_scene_flush(s, 0);
	EXPECT(s, s->write != NULL, "a flush is taken");
	UNTIL(s, 1000, sim_told, "all is durable at the copy");
	if (!lose(s))
		return;
	UNTIL(s, 8000, is_in, "it is current again");
	if (!lose(s))
		return;
	UNTIL(s, 8000, is_due, "it is level, and not waited for yet");
	sim_hold_device(s->w, 1, MIRROR_IO_LOG,
			1u << MIRROR_IO_WRITE | 1u << MIRROR_IO_FLUSH);
	if (!sim_scene_writes(s, 0, 1))
		return;
	s->sequence = s->write->request.sequence;
	UNTIL(s, 1000, is_one_short, "the copy is one record short of the mark");
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "a write is taken");
	WHILE(s, 1000, stays_out, "it waits, and the copy is not proposed");
	if (s->w->seed % 2 == 0) {
		sim_hold_device(s->w, 1, MIRROR_IO_LOG, 0);
		UNTIL(s, 2000, sim_told, "the copy enters when it has all");
		return;
	}
	s->w->worst = true;
	sim_machine_reset(s->w, 0);
	sim_hold_device(s->w, 1, MIRROR_IO_LOG, 0);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	sim_scene_promote(s, 1);
	UNTIL(s, 8000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "the copy is not promoted");
}

static bool knows_all(struct sim_scene *s)
{
	return sim_scene_core(s, 1)->role.marks.durable >= s->sequence;
}

static bool is_put_out(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->disconnected == 1u << 1;
}

static bool is_over(struct sim_scene *s)
{
	return sim_scene_view(s, 1 - s->node)->production_node == VIEW_NONE;
}

static bool moves(struct sim_scene *s, uint32_t from)
{
	s->node = from;
	s->id = sim_command(s->w, from, CLUSTER_COMMAND_DEMOTE, false, -1);
	return sim_scene_until(s, 8000, sim_replied, "production is demoted") &&
	       sim_scene_until(s, 1000, is_over, "the others know it") &&
	       sim_scene_takeover(s, 1 - from);
}

static bool other_is_in(struct sim_scene *s)
{
	return sim_scene_view(s, s->node)->site[1 - s->node].current;
}

/* It was put out, is promoted all the same, since it lacks nothing, and production moves
 * back: it is a copy like any other. */
static void put_out_and_promoted(struct sim_scene *s)
{
	s->write = sim_scene_flush(s, 0);
	EXPECT(s, s->write != NULL, "a flush is taken");
	UNTIL(s, 1000, sim_told, "all is durable at the copy");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DISCONNECT, false, 1);
	UNTIL(s, 8000, sim_replied, "the copy is put out");
	EXPECT(s, is_put_out(s), "the view says so");
	s->sequence = sim_scene_engine(s, 0)->marks->last;
	UNTIL(s, 5000, knows_all, "the copy knows that it has all");
	if (!moves(s, 0) || !sim_scene_writes(s, 1, 3))
		return;
	UNTIL(s, 20000, other_is_in, "the old production is current");
	if (!moves(s, 1))
		return;
	UNTIL(s, 20000, other_is_in, "the site that was put out is current again");
}

const struct sim_scenario sim_scenarios_copies[] = {
	{ "one-record-short",
	  "a copy that joins the current set one record short",
	  { 1, 1 },
	  1,
	  10,
	  .play = one_record_short },
	{ "put-out-and-promoted",
	  "a site that was put out is promoted, and production moves back",
	  { 1, 1 },
	  1,
	  10,
	  .play = put_out_and_promoted },
	{ 0 },
};
