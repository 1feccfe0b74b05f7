/* scenario_promotion.c - traces of restarts and takeovers: records are recovered, rolled
 * forward or cut off (D4, D5, D8).
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define SECTOR 70u

static const struct generation *newest(struct sim_scene *s, uint32_t node)
{
	return history_newest(&sim_scene_engine(s, node)->sb->history);
}

/* ---- a record that was recovered is read -------------------- */

static bool starts(struct sim_scene *s)
{
	return sim_scene_engine(s, s->node)->state == ENGINE_STARTING;
}

/* Nobody else has the record, and its production restarts with it: a client that read it now
 * would have seen data that the next takeover loses. */
static void recovered_read(struct sim_scene *s)
{
	if (!sim_scene_tail(s, 0, SECTOR))
		return;
	s->w->worst = true;
	sim_node_kill(s->w, 0);
	sim_stall(s->w, 0, 1, false);
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, sim_agree, "all agree");
	UNTIL(s, 5000, sim_is_open, "its devices are open again");
	sim_scene_promote(s, 0);
	UNTIL(s, 5000, starts, "it starts to serve");
	sim_stall(s->w, 0, 1, true);
	UNTIL(s, 1000, sim_serves, "it serves");
	EXPECT(s, sim_scene_view(s, 0)->site[1].current, "the copy is current still");
	EXPECT(s, newest(s, 0)->cut >= s->sequence, "the record was recovered");
	s->read = sim_scene_read(s, 0, SECTOR);
	EXPECT(s, s->read != NULL, "the read is taken");
	WHILE(s, 500, sim_read_not_told, "the read waits");
	EXPECT(s, sim_serves(s), "it serves all the time");
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	s->node = 1;
	EXPECT(s, sim_lacks(s), "the copy has not got the record");
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, newest(s, 1)->cut < s->sequence, "the record is cut off");
}

/* ---- sent, and not logged -------------------- */

static void sent_not_logged(struct sim_scene *s)
{
	sim_hold_device(s->w, 0, MIRROR_IO_LOG, 1u << MIRROR_IO_WRITE);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	s->node = 1;
	UNTIL(s, 1000, sim_durable, "the copy has it");
	EXPECT(s, sim_scene_engine(s, 0)->marks->logged < s->sequence && !s->write->told,
	       "production has not logged it");
	s->w->worst = true;
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "all agree");
	UNTIL(s, 5000, sim_is_open, "its devices are open again");
	EXPECT(s, sim_lacks(s), "its log lacks the record");
	sim_scene_promote(s, 0);
	UNTIL(s, 5000, sim_serves, "it serves");
	EXPECT(s, newest(s, 0)->cut >= s->sequence && sim_durable(s),
	       "the record was rolled forward from the copy");
}

/* ---- a tail that no one else has -------------------- */

static bool is_copy_again(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->stream_link != MIRROR_LINK_NONE;
}

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, s->node)->site[s->site].current;
}

/* Its last record lies beyond the first cut after its generation, and before the newest
 * one. */
static bool tail_is_between(struct sim_scene *s)
{
	const struct history *h = &sim_scene_engine(s, s->node)->sb->history;
	const struct mirror_view *old = sim_scene_engine(s, 0);

	return h->count >= 2 && h->entry[h->count - 2].cut < old->marks->last &&
	       history_newest(h)->cut > old->marks->last &&
	       uuid_equal(&h->entry[h->count - 2].parent, &newest(s, 0)->id);
}

/* The tail is gone when the old production is a copy again. */
static void meet_again(struct sim_scene *s)
{
	const struct history *h = &sim_scene_engine(s, s->node)->sb->history;

	EXPECT(s, tail_is_between(s), "the tail ends between two cuts");
	s->sequence = h->entry[h->count - 2].cut;
	sim_release_all(s->w);
	sim_part(s->w, 0, true, true);
	UNTIL(s, 10000, is_copy_again, "the old production is a copy");
	EXPECT(s,
	       mirror_map_count(sim_scene_engine(s, 0)->map, 0) > 0 ||
		       sim_scene_engine(s, 0)->marks->last <= s->sequence,
	       "its tail is undone, back to the lowest cut");
}

static void old_tail_two_sites(struct sim_scene *s)
{
	if (!sim_scene_tail(s, 0, SECTOR))
		return;
	sim_part(s->w, 1, true, true);
	if (!sim_scene_takeover(s, 1) || !sim_scene_writes(s, 1, 5))
		return;
	sim_node_kill(s->w, 1);
	sim_node_start(s->w, 1);
	if (!sim_scene_takeover(s, 1))
		return;
	meet_again(s);
}

static void old_tail_three_sites(struct sim_scene *s)
{
	if (!sim_scene_tail(s, 0, SECTOR))
		return;
	sim_part(s->w, 1, true, true);
	if (!sim_scene_takeover(s, 1))
		return;
	s->site = 2;
	UNTIL(s, 5000, is_current, "the third site is current under the second");
	if (!sim_scene_writes(s, 1, 5))
		return;
	sim_machine_reset(s->w, 1);
	if (!sim_scene_takeover(s, 2))
		return;
	meet_again(s);
}

/* ---- cuts that fall -------------------- */

/* The record of the old production's tail lies before the first cut after its generation,
 * and beyond the next one. */
static bool cuts_fall(struct sim_scene *s)
{
	const struct history *h = &sim_scene_engine(s, 2)->sb->history;

	return h->count >= 2 && h->entry[h->count - 2].cut >= s->sequence &&
	       history_newest(h)->cut < s->sequence &&
	       uuid_equal(&h->entry[h->count - 2].parent, &newest(s, 0)->id);
}

/* The second site has the record and takes over with it; before the third one has got it
 * from there the second is gone, and the third takes over without it. */
static void falling_cuts(struct sim_scene *s)
{
	sim_stall(s->w, 0, 2, true);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	s->node = 1;
	UNTIL(s, 1000, sim_durable, "the second site has it");
	EXPECT(s, !s->write->told, "it is not acknowledged");
	sim_part(s->w, 1, true, true);
	UNTIL(s, 5000, sim_agree, "the others agree");
	UNTIL(s, 5000, sim_is_open, "the devices are open there");
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, starts, "the second site starts to serve");
	sim_stall(s->w, 1, 2, true);
	UNTIL(s, 5000, sim_serves, "it serves");
	s->node = 2;
	EXPECT(s, sim_scene_view(s, 1)->site[2].current && sim_lacks(s),
	       "the third site is current, and has not got the record");
	sim_machine_reset(s->w, 1);
	if (!sim_scene_takeover(s, 2) || !sim_scene_writes(s, 2, 3))
		return;
	EXPECT(s, cuts_fall(s), "the first cut keeps the record, the second does not");
	s->sequence = newest(s, 2)->cut;
	sim_release_all(s->w);
	sim_part(s->w, 0, true, true);
	UNTIL(s, 10000, is_copy_again, "the old production is a copy");
	EXPECT(s,
	       mirror_map_covers(sim_scene_engine(s, 0)->map, 0, 0, SECTOR * SIM_SECTOR,
				 SIM_SECTOR) ||
		       sim_scene_engine(s, 0)->marks->last <= s->sequence,
	       "its tail is undone, back to the lowest cut");
}

/* ---- a late record at a third site -------------------- */

static bool has_answered_roll(struct sim_scene *s)
{
	const struct uuid *g = &sim_scene_core(s, 1)->role.generation;

	return !uuid_is_zero(g) &&
	       uuid_equal(&sim_scene_engine(s, 2)->sb->refusal.generation, g);
}

static uint32_t parcels(const struct sim *w, uint32_t from, uint32_t to)
{
	uint32_t count = 0;

	for (const struct sim_connection *c = w->connections; c != NULL; c = c->next)
		for (uint32_t i = 0; i < 2; i++)
			if (c->end[i].node == to && c->end[1 - i].node == from &&
			    c->end[i].told_up && !c->end[i].told_down)
				for (const struct sim_parcel *p = c->end[i].head;
				     p != NULL; p = p->next)
					count++;
	return count;
}

/* The members are parted, the lines are not, and the deposed production has not heard of
 * it: it would hang up. The third site has answered the second
 * one's roll-forward when the record arrives. */
static void late_record(struct sim_scene *s)
{
	if (!sim_scene_tail(s, 0, SECTOR))
		return;
	sim_hold(s->w, 0, SIM_HOLD_INBOX);
	sim_part(s->w, 1, true, false);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	UNTIL(s, 1000, sim_is_open, "the second site is open");
	EXPECT(s, parcels(s->w, 0, 2) > 0, "the record is on its way to the third site");
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, has_answered_roll, "the third site answers a roll-forward");
	s->node = 2;
	EXPECT(s, sim_lacks(s), "the record has not arrived there");
	sim_stall(s->w, 0, 2, false);
	WHILE(s, 100, sim_lacks, "the third site takes nothing of the deposed one in");
	s->node = 1;
	UNTIL(s, 5000, sim_serves, "the second site serves");
	s->site = 2;
	UNTIL(s, 5000, is_current, "and the third one is current");
}

/* ---- a copy that lost its cache -------------------- */

/* Counted current, the copy logged acknowledged records, and lost them: the power of its site
 * failed before a flush, at the moment when production's host died. */
static bool lose_cache(struct sim_scene *s)
{
	sim_hold_device(s->w, 1, MIRROR_IO_LOG, 1u << MIRROR_IO_FLUSH);
	s->write = sim_scene_write(s, 0, SECTOR);
	if (!sim_scene_expect(s, s->write != NULL, "the write is taken") ||
	    !sim_scene_until(s, 1000, sim_told, "it is acknowledged"))
		return false;
	s->sequence = s->write->request.sequence;
	s->node = 1;
	if (!sim_scene_expect(s, !sim_lacks(s) && !sim_durable(s),
			      "the copy has it in its cache"))
		return false;
	s->w->worst = true;
	sim_site_power(s->w, 1);
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	sim_node_start(s->w, 1);
	return sim_scene_until(s, 5000, sim_agree, "the others agree") &&
	       sim_scene_until(s, 5000, sim_is_open, "the copy is open again") &&
	       sim_scene_expect(s, sim_lacks(s), "it has lost the record") &&
	       sim_scene_expect(s, sim_scene_view(s, 1)->site[1].current,
				"the view calls it current, as it was before");
}

static void lost_cache_two_sites(struct sim_scene *s)
{
	if (!lose_cache(s))
		return;
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, sim_serves, "it serves");
	UNTIL(s, 1000, sim_replied, "the promotion is answered");
	EXPECT(s, strstr(s->w->reply[s->id].text, "only what was flushed") != NULL,
	       "the promotion says that only flushed data is promised");
}

/* The third site has all: whichever of the two takes over gets the records from the other, and
 * the site that lost them is not current before it has them again. */
static void lost_cache_three_sites(struct sim_scene *s)
{
	const uint32_t taker = 1 + s->w->seed % 2;

	if (!lose_cache(s))
		return;
	sim_scene_promote(s, taker);
	UNTIL(s, 5000, starts, "one of them starts");
	EXPECT(s, !sim_scene_view(s, taker)->site[1].current,
	       "the site that restarted is not current");
	EXPECT(s, sim_durable(s), "it has the record");
	UNTIL(s, 5000, sim_replied, "the promotion is answered");
	EXPECT(s,
	       strstr(s->w->reply[s->id].text, "only what was flushed") == NULL ||
		       taker == 2,
	       "nothing is lost");
}

/* ---- an end that was not clean -------------------- */

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

static bool is_over(struct sim_scene *s)
{
	return sim_scene_view(s, 2)->production_node == VIEW_NONE;
}

/* It is demoted though its device hangs: acknowledged writes are in a cache. Then the cache
 * loses power. The view names no production any more: its process could have restarted. */
static void unclean_end(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	sim_hold_device(s->w, 0, MIRROR_IO_LOG, 1u << MIRROR_IO_FLUSH);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	UNTIL(s, 1000, sim_told, "it is acknowledged");
	s->sequence = s->write->request.sequence;
	s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 60000, sim_replied, "production is demoted");
	UNTIL(s, 1000, is_over, "the others know it");
	EXPECT(s, !sim_scene_view(s, 2)->clean, "it did not end cleanly");
	s->w->worst = true;
	sim_site_power(s->w, 0);
	sim_release_all(s->w);
	sim_node_start(s->w, 0);
	if (!sim_scene_takeover(s, 0))
		return;
	UNTIL(s, 5000, sim_replied, "the promotion is answered");
	EXPECT(s, sim_lacks(s), "it has lost the record");
	EXPECT(s, strstr(s->w->reply[s->id].text, "only what was flushed") != NULL,
	       "the promotion says that only flushed data is promised");
}

/* ---- a copy that is behind -------------------- */

/* The copy is back, and has not got the writes that were acknowledged without it, when
 * production dies, or ends cleanly. */
static void behind_copy(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	if (!sim_scene_writes(s, 0, 1))
		return;
	s->sequence = s->write->request.sequence;
	sim_part(s->w, 1, false, true);
	sim_node_start(s->w, 1);
	s->node = 1;
	UNTIL(s, 8000, sim_agree, "it is a member again");
	UNTIL(s, 5000, sim_is_open, "its devices are open");
	EXPECT(s, sim_lacks(s), "it lacks the write");
	if (s->w->seed % 2 == 0) {
		s->id = sim_command(s->w, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
		UNTIL(s, 8000, sim_replied, "production is demoted");
		UNTIL(s, 1000, is_over, "the others know it");
		EXPECT(s, sim_scene_view(s, 2)->clean, "it ended cleanly");
	}
	sim_machine_reset(s->w, 0);
	UNTIL(s, 5000, sim_agree, "the others agree");
	sim_scene_promote(s, 1);
	UNTIL(s, 20000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "the copy is not promoted");
}

/* ---- a tail that is longer than the clean end -------------------- */

/* More records than the clean end counts, and not the ones that it counts. They hold no
 * data, so that nothing but their number is in the way when they are cut off. */
static void tail_past_end(struct sim_scene *s)
{
	struct mirror_event tick = { .type = MIRROR_EVENT_TICK };

	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	UNTIL(s, 1000, sim_told, "it is acknowledged");
	sim_stall(s->w, 0, 1, true);
	sim_stall(s->w, 1, 0, true);
	for (uint32_t i = 0; i < 8; i++)
		s->sequence = mirror_view_stamp_mark(s->w->node[0].engine);
	sim_mirror_step(s->w, 0, &tick);
	s->node = 0;
	UNTIL(s, 1000, sim_durable, "their records are durable here");
	s->w->worst = true;
	sim_machine_reset(s->w, 0);
	sim_release_all(s->w);
	if (!sim_scene_takeover(s, 1) || !sim_scene_writes(s, 1, 1))
		return;
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_DEMOTE, false, -1);
	UNTIL(s, 8000, sim_replied, "the new production is demoted");
	UNTIL(s, 1000, is_over, "the others know it");
	EXPECT(s,
	       sim_scene_view(s, 2)->clean &&
		       sim_scene_view(s, 2)->clean_end < s->sequence,
	       "it ended cleanly, before the tail ends");
	sim_machine_reset(s->w, 1);
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, sim_agree, "the others agree");
	UNTIL(s, 5000, sim_is_open, "the devices of the old production are open");
	EXPECT(s, sim_durable(s), "it has its tail");
	WHILE(s, 500, sim_is_uninvited, "it has no promotion score");
	sim_scene_promote(s, 0);
	UNTIL(s, 20000, sim_replied, "the promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "it is not promoted");
}

/* ---- a promotion that another one overtakes -------------------- */

static bool has_promises(struct sim_scene *s)
{
	return sim_scene_core(s, 0)->round.state == ROUND_ENGINE;
}

static bool follows(struct sim_scene *s)
{
	return uuid_equal(&newest(s, 0)->id, sim_scene_generation(s, 1)) &&
	       is_copy_again(s);
}

/* The first site has its promises, and hangs before its log is told to prepare. Meanwhile
 * the second one is promoted, and greets it. When the order comes, the log is part of a
 * newer generation than the order: nobody has written apart. */
static void overtaken(struct sim_scene *s)
{
	sim_node_kill(s->w, 0);
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, sim_agree, "all agree");
	UNTIL(s, 5000, sim_is_open, "its devices are open again");
	sim_hold(s->w, 0, SIM_HOLD_ORDERS);
	sim_scene_promote(s, 0);
	UNTIL(s, 5000, has_promises, "its promotion has its promises");
	s->count = s->id;
	sim_hold(s->w, 0, SIM_HOLD_INBOX);
	sim_hold(s->w, 0, SIM_HOLD_OUT);
	sim_scene_promote(s, 1);
	UNTIL(s, 20000, sim_serves, "the second site serves");
	UNTIL(s, 5000, follows, "the first one follows it");
	sim_release(s->w, 0, SIM_HOLD_ORDERS);
	s->id = s->count;
	UNTIL(s, 1000, sim_replied, "the first promotion is answered");
	EXPECT(s, s->w->reply[s->id].exit_status == 1, "it is refused");
	sim_release_all(s->w);
	UNTIL(s, 5000, follows, "it is a copy again");
}

/* ---- a source that dies -------------------- */

static bool is_asked(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 1);

	return m->state == ENGINE_PREPARING &&
	       uuid_equal(&sim_scene_engine(s, 2)->sb->refusal.generation,
			  &m->prepare->generation);
}

static bool waits_for_log(struct sim_scene *s)
{
	const struct engine_marks *marks = sim_scene_engine(s, 1)->marks;

	return marks->last >= s->sequence && marks->logged < s->sequence;
}

/* A copy lacks the last records, and is promoted. One source has brought them, and they
 * wait for the log, when the next source dies. */
static void dead_source(struct sim_scene *s)
{
	sim_hold_device(s->w, 1, MIRROR_IO_LOG, 1u << MIRROR_IO_WRITE);
	for (uint32_t i = 0; i < 4; i++) {
		s->write = sim_scene_write(s, 0, SECTOR + i);
		EXPECT(s, s->write != NULL, "the write is taken");
	}
	s->sequence = s->write->request.sequence;
	for (s->node = 2; s->node < 4; s->node++)
		UNTIL(s, 1000, sim_durable, "the other copies have it");
	sim_node_kill(s->w, 0);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the others agree");
	sim_release_all(s->w);
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, is_asked, "the first source is asked");
	sim_hold_device(s->w, 1, MIRROR_IO_LOG, 1u << MIRROR_IO_WRITE);
	UNTIL(s, 1000, waits_for_log, "it has sent all");
	sim_node_kill(s->w, 3);
	WHILE(s, 300, is_asked, "it goes on");
	sim_release_all(s->w);
	UNTIL(s, 5000, sim_serves, "it serves");
	EXPECT(s, newest(s, 1)->cut >= s->sequence, "nothing of it was dropped");
}

const struct sim_scenario sim_scenarios_promotion[] = {
	{ "recovered-read",
	  "an unacknowledged record recovered, read, and then lost by the next takeover",
	  { 1, 1 },
	  1,
	  20,
	  .play = recovered_read },
	{ "sent-not-logged",
	  "production killed between sending and logging, then restarted",
	  { 1, 1 },
	  1,
	  20,
	  .play = sent_not_logged },
	{ "old-tail-two-sites",
	  "an old production with a tail that no one else has",
	  { 1, 1 },
	  1,
	  20,
	  .play = old_tail_two_sites },
	{ "old-tail-three-sites",
	  "the same, and two other sites took over since",
	  { 1, 1, 1 },
	  2,
	  20,
	  .play = old_tail_three_sites },
	{ "falling-cuts",
	  "an old tail that the first takeover keeps and the next one lacks",
	  { 1, 1, 1 },
	  2,
	  20,
	  .play = falling_cuts },
	{ "late-record",
	  "a record of a deposed production that reaches a third site over a link "
	  "still open",
	  { 1, 1, 1 },
	  0,
	  20,
	  .play = late_record },
	{ "lost-cache-two-sites",
	  "a current copy that lost its cache since it was counted current",
	  { 1, 1 },
	  1,
	  20,
	  .play = lost_cache_two_sites },
	{ "lost-cache-three-sites",
	  "the same, and a third site has all",
	  { 1, 1, 1 },
	  0,
	  20,
	  .play = lost_cache_three_sites },
	{ "unclean-end",
	  "a demote that could not flush, and a power cut",
	  { 1, 1 },
	  1,
	  20,
	  .play = unclean_end },
	{ "behind-copy",
	  "a copy that is back, but behind, when production dies or ends cleanly",
	  { 1, 1 },
	  1,
	  10,
	  .play = behind_copy },
	{ "tail-past-clean-end",
	  "an old tail that is longer than the generation that ended cleanly after it",
	  { 1, 1 },
	  1,
	  10,
	  .play = tail_past_end },
	{ "overtaken",
	  "a promotion whose order comes when its site already follows a later one",
	  { 1, 1 },
	  1,
	  20,
	  .play = overtaken },
	{ "dead-source",
	  "a source of a promotion that dies while another one's records wait for the log",
	  { 1, 1, 1, 1 },
	  3,
	  20,
	  .play = dead_source },
	{ 0 },
};
