/* scenario_leases.c - traces in which an old production could go on answering (D6, D7). */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define SECTOR 90u
#define LEASE_MS 1000u

/* Messages of that type from `from`, for that renewal (0: any), that wait at `node`. */
static uint32_t waiting(struct sim_scene *s, uint32_t node, enum message_type type,
			uint32_t from, uint64_t counter)
{
	static struct message m;
	const struct sim_item *i = s->w->node[node].inbox.head;
	uint32_t count = 0;
	char text[128];

	for (; i != NULL; i = i->next)
		if (i->type == SIM_ITEM_MESSAGE && i->nodeid == from + 1 &&
		    cluster_message_decode(&s->w->config, i->data, i->length, &m, text,
					   sizeof text) == 0 &&
		    m.type == type && (counter == 0 || m.lease.counter == counter))
			count++;
	return count;
}

/* A request to the old production must never be answered there from now on. */
static bool ask_old(struct sim_scene *s)
{
	s->write = sim_scene_write(s, 0, SECTOR);
	s->read = sim_scene_read(s, 0, SECTOR + 1);
	return sim_scene_expect(s, s->write != NULL && s->read != NULL,
				"the old production is asked");
}

static bool old_is_silent(struct sim_scene *s)
{
	return !s->write->told && !s->read->told;
}

static bool old_lease_is_over(struct sim_scene *s)
{
	return sim_clock(s->w, 0) >= mirror_engine_lease_until_ns(s->w->node[0].engine);
}

/* ---- a renewal in the queue of a stopped process -------------------- */

/* The other voters' answers to its newest renewal wait there; its own is not counted. */
static bool grant_waits(struct sim_scene *s)
{
	const uint64_t counter = sim_scene_core(s, 0)->lease.counter;

	return waiting(s, 0, MESSAGE_GRANT, 1, counter) > 0 &&
	       waiting(s, 0, MESSAGE_GRANT, 2, counter) > 0;
}

static void stale_renewal(struct sim_scene *s)
{
	sim_hold(s->w, 0, SIM_HOLD_INBOX);
	UNTIL(s, 1000, grant_waits, "answers to a renewal wait at production");
	sim_node_stop(s->w, 0, 4 * LEASE_MS * SIM_MS);
	sim_release(s->w, 0, SIM_HOLD_INBOX);
	sim_run(s->w, s->w->now_ns + 2 * LEASE_MS * SIM_MS);
	EXPECT(s, grant_waits(s), "they wait there all the time");
	sim_scene_promote(s, 1);
	UNTIL(s, 2 * LEASE_MS, sim_serves, "the copy serves");
	EXPECT(s, s->w->now_ns < s->w->node[0].frozen_until_ns, "the old one sleeps");
	if (!ask_old(s))
		return;
	WHILE(s, 4 * LEASE_MS, old_is_silent, "it answers nothing when it wakes");
	EXPECT(s, s->w->now_ns > s->w->node[0].frozen_until_ns, "it is awake");
}

/* ---- a cut-off production and its own renewal -------------------- */

/* It was handed a renewal that it had sent after its lease had ended, and granted it. */
static bool granted_itself(struct sim_scene *s)
{
	const struct lease *l = &sim_scene_core(s, 0)->lease;

	for (uint32_t i = 0; i < RENEWALS_MAX; i++)
		if (l->renewal[i].epoch[0] != 0 && l->renewal[i].epoch[1] == 0 &&
		    l->renewal[i].epoch[2] == 0 && l->renewal[i].sent_ns > s->sequence)
			return true;
	return false;
}

/* Alone in a ring, and the news that it has no quorum are late. */
static void own_renewal(struct sim_scene *s)
{
	sim_hold(s->w, 0, SIM_HOLD_QUORUM);
	sim_part(s->w, 1, true, true);
	s->sequence = mirror_engine_lease_until_ns(s->w->node[0].engine);
	if (!sim_scene_takeover(s, 1))
		return;
	UNTIL(s, LEASE_MS, granted_itself, "the old one grants itself a renewal");
	EXPECT(s, sim_scene_core(s, 0)->quorate && sim_node_serves(s->w, 0),
	       "it believes in its quorum");
	if (!ask_old(s))
		return;
	WHILE(s, LEASE_MS, old_is_silent, "it answers nothing");
	EXPECT(s, old_lease_is_over(s), "its lease is over");
}

/* ---- a heal in the middle of a takeover -------------------- */

static bool prepares(struct sim_scene *s)
{
	return sim_scene_core(s, 1)->round.state == ROUND_ENGINE &&
	       sim_scene_engine(s, 1)->state == ENGINE_PREPARING;
}

/* It asked for its lease again, and the others have heard that. */
static bool renewed_in_vain(struct sim_scene *s)
{
	return sim_scene_core(s, 1)->node[0].renewed_ns > s->sequence &&
	       sim_scene_core(s, 2)->node[0].renewed_ns > s->sequence;
}

/* The takeover has its promises, and takes so long that the older lease has ended, when
 * the old production comes back for a moment: a grant now would outlast the wait. (Its
 * voter file is slow, or it would run a round of its own at once.) */
static void heal_in_takeover(struct sim_scene *s)
{
	sim_part(s->w, 1, true, true);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	sim_hold_device(s->w, 1, MIRROR_IO_LOG,
			1u << MIRROR_IO_WRITE | 1u << MIRROR_IO_FLUSH);
	sim_scene_promote(s, 1);
	UNTIL(s, 1000, prepares, "the takeover has its promises");
	UNTIL(s, 2 * LEASE_MS, old_lease_is_over, "the old lease is over");
	if (!ask_old(s))
		return;
	sim_run(s->w, s->w->now_ns + 100 * SIM_MS);
	s->sequence = sim_clock(s->w, 1);
	sim_hold(s->w, 0, SIM_HOLD_PERSIST);
	sim_part(s->w, 0, true, true);
	UNTIL(s, LEASE_MS, renewed_in_vain, "the old one asks for its lease again");
	EXPECT(s, prepares(s), "the takeover goes on");
	sim_run(s->w, s->w->now_ns + 20 * SIM_MS);
	sim_part(s->w, 1, true, true);
	sim_hold_device(s->w, 1, MIRROR_IO_LOG, 0);
	EXPECT(s, old_is_silent(s), "it got none");
	UNTIL(s, 8000, sim_serves, "the copy serves");
	WHILE(s, LEASE_MS, old_is_silent, "the old one answers nothing");
}

/* ---- a paused host of a shared disk -------------------- */

static bool mate_waits(struct sim_scene *s)
{
	return s->w->site[0].open_node == 0 && !s->w->node[1].open;
}

static bool is_on_its_way(struct sim_scene *s)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++) {
		const struct sim_op *op = &s->w->op[i];

		if (op->used && op->node == 0 && op->device == 0 &&
		    op->op == MIRROR_IO_WRITE)
			return true;
	}
	return false;
}

/* Its site mate is to take over, and may not: nobody knows that it has ended. It wakes
 * with a write on its way to the disk. */
static void paused_host(struct sim_scene *s)
{
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_WRITE);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	UNTIL(s, 1000, sim_told, "it is acknowledged");
	UNTIL(s, 1000, is_on_its_way, "it is on its way home");
	sim_node_stop(s->w, 0, 6000 * SIM_MS);
	sim_away(s->w, 0, true);
	sim_at(s->w, s->w->node[0].frozen_until_ns, SIM_AWAY, 0, 0, NULL);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	sim_scene_promote(s, 1);
	WHILE(s, 4000, mate_waits, "the mate does not open the disks");
	if (s->w->seed % 2 == 0) { /* told that it has ended, it may */
		sim_fence(s->w, 0);
		sim_hold_device(s->w, 0, 0, 0);
		sim_scene_promote(s, 1);
		UNTIL(s, 5000, sim_serves, "the mate serves after a fencing");
		return;
	}
	s->node = 0;
	sim_run(s->w, s->w->node[0].frozen_until_ns);
	sim_hold_device(s->w, 0, 0, 0);
	WHILE(s, 500, mate_waits, "the paused one wakes, alone at its disks");
}

/* ---- a production that has missed two changes of the voters -------------------- */

/* The other host of a site has seen the vote of s->node handed back. */
static bool is_no_voter(struct sim_scene *s)
{
	return cluster_view_voters_epoch(&sim_scene_view(s, 1)->voters, s->node) == 0;
}

static bool is_granted(struct sim_scene *s)
{
	const uint64_t counter = sim_scene_core(s, 0)->lease.counter;

	return waiting(s, 0, MESSAGE_GRANT, 1, counter) > 0;
}

static bool asks_again(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->lease.counter > s->count;
}

/* Two witnesses leave in order while production hears nothing, and the other host sees to
 * it. Production counts seven voters still: four of these need none of three that are a
 * majority now. */
static void two_views_behind(struct sim_scene *s)
{
	sim_hold(s->w, 0, SIM_HOLD_INBOX);
	UNTIL(s, 1000, is_granted, "production renews its lease, and is granted it");
	for (s->node = 3; s->node <= 4; s->node++) {
		sim_node_leave(s->w, s->node);
		UNTIL(s, 20000, is_no_voter, "its vote is handed back");
	}
	EXPECT(s, sim_scene_view(s, 0)->voters.count == 7,
	       "production has not heard of it");
	s->count = sim_scene_core(s, 0)->lease.counter;
	UNTIL(s, 1000, asks_again, "it renews its lease still");
	sim_run(s->w, s->w->now_ns + 20 * SIM_MS);
	EXPECT(s, !is_granted(s), "and is not granted it");
	s->node = 0;
	sim_release(s->w, 0, SIM_HOLD_INBOX);
	UNTIL(s, 5000, sim_serves, "once it has heard of them it is");
}

const struct sim_scenario sim_scenarios_leases[] = {
	{ "stale-renewal",
	  "a renewal that sat in the queue of a stopped process",
	  { 1, 1 },
	  1,
	  20,
	  .play = stale_renewal },
	{ "own-renewal",
	  "a cut-off production that is handed its own renewal",
	  { 1, 1 },
	  1,
	  20,
	  .play = own_renewal },
	{ "heal-in-takeover",
	  "a heal in the middle of a takeover, before the deposed one has heard of it",
	  { 1, 1 },
	  1,
	  20,
	  .play = heal_in_takeover },
	{ "paused-host",
	  "a paused host of a shared disk that wakes",
	  { 2, 1 },
	  1,
	  20,
	  .play = paused_host },
	{ "two-views-behind",
	  "a production that has missed two changes of the voters renews its lease",
	  { 1, 1 },
	  5,
	  10,
	  .play = two_views_behind },
	{ 0 },
};
