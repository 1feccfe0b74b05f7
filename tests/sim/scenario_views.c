/* scenario_views.c - traces of votes: the view that counts, the nodes that decide (D1-D4). */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "mirror/line/history.h"
#include "tests/sim/scenario.h"

#define SECTOR 110u

static const struct round *round_of(struct sim_scene *s, uint32_t node)
{
	return &sim_scene_core(s, node)->round;
}

/* s->node has proposed a generation, and nobody has heard of it. */
static bool proposes(struct sim_scene *s)
{
	const struct round *r = round_of(s, s->node);

	return r->state == ROUND_ACCEPT && r->kind == ROUND_PROMOTE && !r->adopting;
}

static bool has_filed(struct sim_scene *s)
{
	const struct view *v = sim_scene_filed(s, s->node);

	return v != NULL && v->ballot == s->ballot;
}

/* A promotion of the node comes so far that its proposal stands in its own voter file
 * and nowhere else, and nobody else has heard of it; then its process ends. */
static bool file_alone_and_die(struct sim_scene *s, uint32_t node)
{
	sim_scene_promote(s, node);
	if (!sim_scene_until(s, 5000, proposes, "its generation is proposed"))
		return false;
	for (uint32_t n = 0; n < s->w->node_count; n++)
		if (n != node)
			sim_hold(s->w, n, SIM_HOLD_INBOX);
	s->ballot = round_of(s, node)->ballot;
	s->generation = cluster_view_generation(&round_of(s, node)->next)->id;
	if (!sim_scene_until(s, 1000, has_filed, "it has stored its own proposal"))
		return false;
	for (uint32_t n = 0; n < s->w->node_count; n++)
		if (n != node &&
		    !sim_scene_expect(s, sim_scene_filed(s, n)->ballot < s->ballot,
				      "nobody else has stored it"))
			return false;
	s->w->worst = true;
	sim_node_kill(s->w, node);
	sim_release_all(s->w);
	return true;
}

static bool in_chain(struct sim_scene *s, uint32_t node, const struct uuid *generation)
{
	return cluster_view_history_find(&sim_scene_view(s, node)->history, generation) >=
	       0;
}

/* ---- two undecided views (Raft's Figure 8) -------------------- */

static bool adopts(struct sim_scene *s)
{
	return round_of(s, s->node)->state == ROUND_ACCEPT &&
	       round_of(s, s->node)->adopting;
}

/* The older one is adopted under a greater ballot than the newer one has; that must
 * count, though the newer one comes back. */
static void two_undecided(struct sim_scene *s)
{
	struct uuid older, newer;
	uint64_t ballot;

	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, sim_agree, "all agree");
	UNTIL(s, 5000, sim_is_open, "its devices are open");
	if (!file_alone_and_die(s, 0))
		return;
	older = s->generation;
	if (!file_alone_and_die(s, 1)) /* at once, before any other view is decided */
		return;
	newer = s->generation;
	ballot = s->ballot;
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, adopts, "the older view is proposed again");
	EXPECT(s,
	       round_of(s, 0)->ballot > ballot &&
		       uuid_equal(&cluster_view_generation(&round_of(s, 0)->next)->id,
				  &older),
	       "under a greater ballot than the newer one has");
	UNTIL(s, 5000, sim_agree, "they agree");
	EXPECT(s, in_chain(s, 0, &older) && in_chain(s, 2, &older),
	       "the older view is in effect");
	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 1);
	EXPECT(s, uuid_equal(&cluster_view_generation(sim_scene_filed(s, 1))->id, &newer),
	       "the other one comes back with the newer view");
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "they agree");
	EXPECT(s, in_chain(s, 1, &older) && !in_chain(s, 1, &newer),
	       "the view in effect stays, and the newer one is dropped");
}

/* ---- a view that admits a copy, stored by that copy alone -------------------- */

static bool admits(struct sim_scene *s)
{
	const struct round *r = round_of(s, 0);

	return r->state == ROUND_ACCEPT && r->next.site[1].current &&
	       !sim_scene_view(s, 0)->site[1].current;
}

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

static bool is_in_nowhere(struct sim_scene *s)
{
	return !s->write->told && !sim_scene_view(s, 0)->site[1].current &&
	       !sim_scene_view(s, 2)->site[1].current;
}

static void admitted_alone(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	if (!sim_scene_writes(s, 0, 3))
		return;
	sim_node_start(s->w, 1);
	UNTIL(s, 8000, admits, "a view that admits it is proposed");
	s->ballot = round_of(s, 0)->ballot;
	sim_hold(s->w, 0, SIM_HOLD_PERSIST);
	sim_hold(s->w, 2, SIM_HOLD_PERSIST);
	s->node = 1;
	UNTIL(s, 1000, has_filed, "it stands in the copy's own voter file");
	EXPECT(s,
	       sim_scene_filed(s, 0)->ballot < s->ballot &&
		       sim_scene_filed(s, 2)->ballot < s->ballot,
	       "and in no other");
	sim_stall(s->w, 0, 1, true);
	sim_stall(s->w, 1, 0, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	WHILE(s, 4500, is_in_nowhere, "the write waits for the copy");
	EXPECT(s,
	       sim_serving(s->w) == 0 &&
		       (sim_scene_core(s, 0)->role.undecided_sites & 2) != 0,
	       "production has its lease, and counts the view as undecided");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, history_newest(&sim_scene_engine(s, 1)->sb->history)->cut < s->sequence,
	       "the copy is promoted without the write");
}

/* ---- a refusal whose proposal nobody stored -------------------- */

static bool is_refused(struct sim_scene *s)
{
	const struct uuid *g = &sim_scene_core(s, 1)->role.generation;

	return !uuid_is_zero(g) && round_of(s, 1)->state == ROUND_ENGINE &&
	       uuid_equal(&sim_scene_engine(s, 2)->sb->refusal.generation, g);
}

static bool is_lifted(struct sim_scene *s)
{
	return uuid_is_zero(&sim_scene_engine(s, 2)->sb->refusal.generation);
}

static bool third_is_current(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[2].current &&
	       sim_scene_engine(s, 2)->stream_link != MIRROR_LINK_NONE;
}

/* The third site promised a generation that is never proposed; then the old production
 * comes back, with its own (it had a lease still) or with a new one. */
static void orphan_refusal(struct sim_scene *s)
{
	const bool restarts = s->w->seed % 2 == 0;

	sim_part(s->w, 1, true, true);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, is_refused, "the third site refuses all but the new generation");
	s->ballot = round_of(s, 1)->ballot;
	s->w->worst = true;
	sim_machine_reset(s->w, 1);
	s->w->worst = false;
	EXPECT(s,
	       sim_scene_filed(s, 1)->ballot < s->ballot &&
		       sim_scene_filed(s, 2)->ballot < s->ballot && !is_lifted(s),
	       "nobody has stored a view of it");
	if (restarts) {
		sim_node_kill(s->w, 0);
		sim_node_start(s->w, 0);
	}
	sim_part(s->w, 0, true, true);
	if (restarts && !sim_scene_takeover(s, 0))
		return;
	s->node = 0;
	UNTIL(s, 8000, sim_serves, "the first site serves");
	UNTIL(s, 8000, is_lifted, "the refusal is lifted");
	UNTIL(s, 8000, third_is_current, "the third site is current again");
	EXPECT(s, sim_scene_view(s, 2)->ballot > s->ballot,
	       "by a view of greater ballot");
}

/* ---- a view of a minority -------------------- */

static bool puts_out(struct sim_scene *s)
{
	return round_of(s, 0)->state == ROUND_ACCEPT &&
	       (round_of(s, 0)->next.disconnected & 2) != 0;
}

static bool stays_undecided(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->ballot < s->ballot && !s->write->told;
}

static bool follows(struct sim_scene *s)
{
	return in_chain(s, 0, &s->generation);
}

/* Production and a witness are parted from the other three, just when a view that puts
 * the copy out is proposed. (They hear of the lost quorum late.) */
static void minority_view(struct sim_scene *s)
{
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DISCONNECT, false, 1);
	UNTIL(s, 1000, puts_out, "a view without the copy is proposed");
	s->ballot = round_of(s, 0)->ballot;
	s->w->worst = true;
	sim_hold(s->w, 0, SIM_HOLD_QUORUM);
	sim_hold(s->w, 3, SIM_HOLD_QUORUM);
	sim_part(s->w, 1 | 1 << 3, true, true);
	s->w->worst = false;
	s->write = sim_scene_write(s, 0, SECTOR);
	s->node = 0;
	UNTIL(s, 2000, has_filed, "production has stored it");
	s->node = 3;
	UNTIL(s, 2000, has_filed, "so has the witness");
	EXPECT(s,
	       sim_scene_filed(s, 1)->ballot < s->ballot &&
		       sim_scene_filed(s, 2)->ballot < s->ballot &&
		       sim_scene_filed(s, 4)->ballot < s->ballot,
	       "the majority has not heard of it");
	WHILE(s, 500, stays_undecided, "it is not in effect");
	if (!sim_scene_takeover(s, 1))
		return;
	s->generation = *sim_scene_generation(s, 1);
	EXPECT(s, stays_undecided(s), "the minority's view is not in effect");
	sim_release_all(s->w);
	sim_part(s->w, 0, true, true);
	UNTIL(s, 5000, follows, "production follows the majority");
	UNTIL(s, 5000, sim_agree, "all agree");
	EXPECT(s, sim_scene_view(s, 0)->disconnected == 0,
	       "the view that the minority stored is dropped");
}

/* ---- a voter that loses its file -------------------- */

static bool is_put_out(struct sim_scene *s)
{
	return (sim_scene_view(s, s->node)->disconnected & 2) != 0;
}

static bool stays_behind(struct sim_scene *s)
{
	return sim_scene_view(s, 2) == NULL || sim_scene_view(s, 2)->ballot < s->ballot;
}

/* Two of three voters decide to go on without the copy. One of the two loses its file, the
 * other is down. A voter that does not remember and one that has never heard of the decision
 * are no majority. */
static void lost_acceptance(struct sim_scene *s)
{
	s->w->worst = true;
	sim_part(s->w, 1 << 2, true, true);
	s->w->worst = false;
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "two voters agree without the third");
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DISCONNECT, false, 1);
	UNTIL(s, 2000, is_put_out, "they put the copy out");
	s->node = 1;
	UNTIL(s, 2000, is_put_out, "both know so");
	s->ballot = sim_scene_view(s, 1)->ballot;
	EXPECT(s, stays_behind(s), "the third does not");
	sim_machine_reset(s->w, 0);
	sim_voter_file_lose(s->w, 1);
	sim_node_start(s->w, 1);
	sim_part(s->w, 0, true, true);
	WHILE(s, 5000, stays_behind, "the two that are left decide nothing");
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 8000, sim_agree, "all agree when the other is back");
	EXPECT(s, is_put_out(s), "on the decided view");
}

/* ---- the lowest member is the one that has missed a view -------------------- */

static bool has_noted_it(struct sim_scene *s)
{
	return !sim_scene_core(s, 4)->voter_dirty && !sim_scene_core(s, 4)->persisting;
}

static bool knows_newest(struct sim_scene *s)
{
	for (uint32_t n = 2; n < 5; n++)
		if (sim_scene_view(s, n) == NULL ||
		    sim_scene_view(s, n)->ballot != s->ballot)
			return false;
	return true;
}

/* Of five voters two come back, and a third without its file: no round can be, so only the
 * state tells of the view that the lowest of them has missed. */
static void older_state(struct sim_scene *s)
{
	sim_node_kill(s->w, 2);
	sim_machine_reset(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	UNTIL(s, 5000, sim_agree, "those that are left agree");
	UNTIL(s, 1000, has_noted_it, "and have noted that it is in effect");
	s->ballot = sim_scene_view(s, 4)->ballot;
	for (uint32_t n = 0; n < 5; n++)
		sim_machine_reset(s->w, n);
	sim_voter_file_lose(s->w, 3);
	sim_node_start(s->w, 2);
	sim_node_start(s->w, 3);
	sim_run(s->w, s->w->now_ns + 1000 * SIM_MS);
	EXPECT(s, sim_scene_view(s, 2)->ballot < s->ballot, "the lowest has missed that");
	sim_node_start(s->w, 4);
	UNTIL(s, 8000, knows_newest, "the other one tells all of it");
}

static bool is_together(struct sim_scene *s)
{
	return sim_is_together(s->w);
}

/* ---- a survivor that restarts -------------------- */

static bool serves_nowhere(struct sim_scene *s)
{
	return !s->w->node[0].clients && !s->w->node[1].clients;
}

/* A promotion is refused: nobody knows whether the other half has decided something. */
static bool is_refused_alone(struct sim_scene *s, uint32_t node)
{
	s->node = node;
	if (!sim_scene_while(s, 1000, serves_nowhere, "nobody serves"))
		return false;
	sim_scene_promote(s, node);
	return sim_scene_until(s, 8000, sim_replied, "the promotion is answered") &&
	       sim_scene_expect(s, s->w->reply[s->id].exit_status == 1,
				"it is refused") &&
	       sim_scene_while(s, 2000, serves_nowhere, "nobody serves");
}

/* Of two hosts one fences the other and goes on alone. It restarts: it no longer knows that
 * the other had decided nothing. Then the other comes back, alone, and learns that the survivor
 * was fenced: it does not know the decisions that it has missed. */
static void fenced_survivor(struct sim_scene *s)
{
	sim_fence(s->w, 1);
	UNTIL(s, 5000, is_out, "the survivor decides alone");
	if (!sim_scene_writes(s, 0, 5))
		return;
	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 0);
	if (!is_refused_alone(s, 0))
		return;
	sim_machine_reset(s->w, 0);
	sim_node_start(s->w, 1);
	sim_run(s->w, s->w->now_ns + 500 * SIM_MS);
	sim_fence(s->w, 0);
	EXPECT(s, sim_scene_core(s, 1)->node[0].fenced_boot != 0,
	       "the other one knows that the survivor was fenced");
	is_refused_alone(s, 1);
}

static bool says_no_epoch(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->node[1].said.epoch == 0;
}

static bool breaks_ties(struct sim_scene *s)
{
	return sim_scene_core(s, 1)->together.has;
}

/* Of two, the copy's node cannot write its voter file: production goes on without that vote,
 * and the other one does nothing alone when production is fenced. */
static void voter_file_full(struct sim_scene *s)
{
	s->w->node[1].file_fails = true;
	s->w->node[1].core->voter_dirty = true; /* any write: a sign of life */
	UNTIL(s, 2000, says_no_epoch, "it says so");
	EXPECT(s, !breaks_ties(s), "and breaks no tie");
	s->w->node[1].file_fails = false;
	UNTIL(s, 5000, breaks_ties, "until all have agreed again");
	s->w->node[1].file_fails = true;
	sim_part(s->w, 1u << 1, false, true);
	UNTIL(s, 12000, is_out, "production decides without it");
	if (!sim_scene_writes(s, 0, 5))
		return;
	sim_fence(s->w, 0);
	sim_run(s->w, s->w->now_ns + 500 * SIM_MS);
	EXPECT(s, sim_scene_core(s, 1)->node[0].fenced_boot != 0, "that is known there");
	s->w->node[1].file_fails = false;
	is_refused_alone(s, 1);
}

/* The other one is gone for good, as far as the operator knows: the survivor, which has
 * restarted, is forced, and has all. */
static void forced_survivor(struct sim_scene *s)
{
	sim_fence(s->w, 1);
	UNTIL(s, 5000, is_out, "the survivor decides alone");
	if (!sim_scene_writes(s, 0, 5))
		return;
	sim_machine_reset(s->w, 0);
	sim_node_start(s->w, 0);
	if (!is_refused_alone(s, 0))
		return;
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_PROMOTE, true, -1);
	UNTIL(s, 8000, sim_replied, "the promotion by force is answered");
	EXPECT(s, sim_serves(s), "it serves");
	EXPECT(s, strstr(s->w->reply[s->id].text, "without a majority") != NULL,
	       "and says so");
	if (!sim_scene_writes(s, 0, 5))
		return;
	sim_node_start(s->w, 1);
	UNTIL(s, 8000, is_together, "the other one comes back, and follows");
}

/* ---- two generations with the same ordinal -------------------- */

static bool streams_newest(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 1);

	return m->stream_link != MIRROR_LINK_NONE &&
	       uuid_equal(&history_newest(&m->sb->history)->id,
			  sim_scene_generation(s, 2));
}

/* The first one is stored by its proposer alone, with the refusal of all others. */
static void same_ordinal(struct sim_scene *s)
{
	const struct generation *g;

	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 0);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "all agree");
	if (!file_alone_and_die(s, 1) || !sim_scene_takeover(s, 2) ||
	    !sim_scene_writes(s, 2, 5))
		return;
	g = cluster_view_generation(sim_scene_view(s, 2));
	sim_node_start(s->w, 1);
	EXPECT(s,
	       !uuid_equal(&g->id, &s->generation) &&
		       g->ordinal ==
			       cluster_view_generation(sim_scene_filed(s, 1))->ordinal,
	       "two generations have the same ordinal");
	UNTIL(s, 8000, streams_newest, "the first one's site follows the other");
	EXPECT(s, uuid_is_zero(&sim_scene_engine(s, 1)->sb->refusal.generation),
	       "its refusal is lifted");
}

static bool keeps_own(struct sim_scene *s)
{
	return s->w->node[0].open && s->w->node[1].open &&
	       sim_scene_engine(s, 0)->marks->last >= s->sequence &&
	       sim_scene_engine(s, 1)->marks->last >= s->count &&
	       sim_scene_engine(s, 0)->stream_link == MIRROR_LINK_NONE &&
	       sim_scene_engine(s, 1)->stream_link == MIRROR_LINK_NONE;
}

static bool force(struct sim_scene *s, uint32_t node)
{
	s->node = node;
	sim_run(s->w, s->w->now_ns + 300 * SIM_MS);
	s->id = sim_command(s->w, node, CLUSTER_COMMAND_PROMOTE, true, -1);
	return sim_scene_until(s, 8000, sim_serves, "it serves by force") &&
	       sim_scene_writes(s, node, 5);
}

/* Both halves are forced, and each opens the generation that comes next. */
static void same_ordinal_forced(struct sim_scene *s)
{
	const struct history *a, *b;
	struct mirror_judgement j;

	sim_part(s->w, 1, true, true);
	if (!force(s, 1))
		return;
	s->node = 0;
	sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 8000, sim_is_open, "the other one is production no more");
	if (!force(s, 0))
		return;
	a = &sim_scene_engine(s, 0)->sb->history;
	b = &sim_scene_engine(s, 1)->sb->history;
	EXPECT(s, history_newest(a)->ordinal == history_newest(b)->ordinal,
	       "two generations have the same ordinal");
	s->sequence = sim_scene_engine(s, 0)->marks->last;
	s->count = sim_scene_engine(s, 1)->marks->last;
	sim_part(s->w, 0, true, true);
	WHILE(s, 5000, keeps_own, "each side keeps its own");
	mirror_history_judge(a, s->sequence, b, &j);
	EXPECT(s, j.verdict == MIRROR_VERDICT_FORKED, "it is a SplitBrain");
}

const struct sim_scenario sim_scenarios_views[] = {
	{ "two-undecided",
	  "two undecided views persisted one after the other by voters that crash",
	  { 1, 1 },
	  1,
	  20,
	  .play = two_undecided },
	{ "admitted-alone",
	  "a view that admits a copy, persisted by that copy alone",
	  { 1, 1 },
	  1,
	  20,
	  .play = admitted_alone },
	{ "orphan-refusal",
	  "a refusal stored by a copy whose proposal nobody persisted",
	  { 1, 1, 1 },
	  0,
	  20,
	  .play = orphan_refusal },
	{ "minority-view",
	  "a minority that persists a view of its own and heals",
	  { 1, 1 },
	  3,
	  20,
	  .play = minority_view },
	{ "lost-acceptance",
	  "a voter that loses its file while the other one that has accepted is down",
	  { 1, 1 },
	  1,
	  10,
	  .play = lost_acceptance },
	{ "older-state",
	  "the lowest member has missed a view, and too few voters are back for a round",
	  { 1, 1 },
	  3,
	  10,
	  .play = older_state },
	{ "fenced-survivor",
	  "a fenced survivor that restarts and forgets",
	  { 1, 1 },
	  0,
	  20,
	  .play = fenced_survivor },
	{ "forced-survivor",
	  "the same, and by force it goes on",
	  { 1, 1 },
	  0,
	  10,
	  .play = forced_survivor },
	{ "voter-file-full",
	  "the voter file of one of two cannot be written any more",
	  { 1, 1 },
	  0,
	  10,
	  .play = voter_file_full },
	{ "same-ordinal",
	  "two generations opened with the same ordinal",
	  { 1, 1, 1 },
	  0,
	  20,
	  .play = same_ordinal },
	{ "same-ordinal-forced",
	  "the same, and both were served, by force",
	  { 1, 1 },
	  0,
	  3,
	  .play = same_ordinal_forced },
	{ 0 },
};
