/* check_d.c - the decision rules D1-D8, where they can be watched one by one:
 *   D1  views of one ballot are one view; none goes back; when a view takes effect, a
 *       majority of its voters has persisted it, and a majority of the older ones too if
 *       they changed; a view that a voter accepted before it lost its file still counts;
 *       members that hear each other and have a quorum come to know the same view in
 *       effect; a member that leaves in order, without a fault, has handed its vote back
 *   D2  or half of the voters, when none of these has restarted since all agreed, and all
 *       others have been reset since, or lost their file
 *   D4  a site that has prepared a promotion has its refusal on stable storage; a site
 *       with a refusal takes no record of an older generation; it forgets no refusal
 *       before its time
 *   D6  a node that a member takes for fenced has ended
 *   D8  the chain's parents are sound; a log's records are of the generation that its
 *       history names for them; records that were cut off are undone, or their extents
 *       are owed; no SplitBrain without a force
 * D3 and D5 have checkers of their own; D6 is watched by node.c, D7 by check_g3.c.
 */
#include <string.h>

#include "cluster/internal.h"
#include "common/crc.h"
#include "mirror/engine/test_view.h"
#include "mirror/line/history.h"
#include "tests/sim/sim.h"

static uint32_t hash(struct sim *w, const struct view *v)
{
	static uint8_t data[VIEW_BYTES_MAX + 64];
	static struct view copy;
	struct codec c = codec_writer(data, sizeof data);
	char text[64];

	copy = *v;
	cluster_view_codec(&c, &w->config, &copy, text, sizeof text);
	return common_crc32c(0, data, c.bytes.position);
}

/* ---- D1, D2: decisions ------------------------------------------------------------- */

static bool decode(const struct sim *w, uint32_t node, struct voter *voter)
{
	char text[128];

	return w->node[node].file_bytes > 0 &&
	       cluster_voter_decode(&w->config, node, w->node[node].file,
				    w->node[node].file_bytes, voter, text,
				    sizeof text) == 0;
}

/* This very view on its stable storage, or NULL; that file may be lost by now. */
static const struct sim_accepted *find_said(const struct sim *w, uint32_t node,
					    uint64_t epoch, uint64_t ballot)
{
	for (uint32_t i = 0; i < SIM_ACCEPTED_MAX; i++) {
		const struct sim_accepted *a = &w->node[node].accepted[i];

		if (a->epoch == epoch && a->ballot == ballot)
			return a;
	}
	return NULL;
}

static void note_said(struct sim *w, uint32_t node, uint64_t epoch, uint64_t ballot)
{
	struct sim_node *n = &w->node[node];

	if (find_said(w, node, epoch, ballot) != NULL)
		return;
	n->accepted[n->accepted_count++ % SIM_ACCEPTED_MAX] = (struct sim_accepted){
		.epoch = epoch, .ballot = ballot, .boot = n->boot, .process = n->process
	};
}

static bool had_epoch(const struct sim *w, uint32_t node, uint64_t epoch)
{
	for (uint32_t i = 0; i < SIM_ACCEPTED_MAX; i++)
		if (w->node[node].epoch[i] == epoch)
			return true;
	return false;
}

static void note_epoch(struct sim *w, uint32_t node, uint64_t epoch)
{
	struct sim_node *n = &w->node[node];

	if (!had_epoch(w, node, epoch))
		n->epoch[n->epoch_count++ % SIM_ACCEPTED_MAX] = epoch;
}

/* A voter that dies before it has its epoch on stable storage never votes under it. */
static void check_epochs(struct sim *w, uint32_t node, const struct view *v)
{
	for (uint32_t i = 0; i < v->voters.count; i++)
		if (!had_epoch(w, v->voters.voter[i].node, v->voters.voter[i].epoch))
			sim_violate(w, "D1",
				    "n%u accepts view %llu, with n%u as a voter under an "
				    "epoch that its file never had",
				    node + 1, (unsigned long long)v->ballot,
				    v->voters.voter[i].node + 1);
}

/* Look at the voter file each time that it is written or found. */
static void watch_file(struct sim *w, uint32_t node)
{
	static struct voter voter;
	struct sim_node *n = &w->node[node];

	if (n->persisted_count == n->persisted_seen)
		return;
	n->persisted_seen = n->persisted_count;
	if (!decode(w, node, &voter))
		return;
	note_epoch(w, node, voter.epoch);
	if (voter.has_in_effect)
		note_said(w, node, voter.epoch, voter.in_effect.ballot);
	if (voter.has_accepted) {
		note_said(w, node, voter.epoch, voter.accepted.ballot);
		check_epochs(w, node, &voter.accepted);
	}
}

/* Which of these voters have accepted the view. Returns how many. */
static uint32_t find_persisted(const struct sim *w, const struct view_voters *set,
			       uint64_t ballot, bool has[CONFIG_NODE_COUNT_MAX])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		const uint32_t n = set->voter[i].node;
		const uint64_t epoch = set->voter[i].epoch;

		has[n] = n < w->node_count && find_said(w, n, epoch, ballot) != NULL;
		count += has[n];
	}
	return count;
}

/* All voters have accepted the view, each in the boot and process that wrote it down: one
 * of them may have ended by the time that another one hears of it. */
static void note_together(struct sim *w, const struct view *v)
{
	w->together.has = true;
	for (uint32_t i = 0; i < v->voters.count; i++) {
		const uint32_t n = v->voters.voter[i].node;
		const struct sim_accepted *a = find_said(w, n, v->voters.voter[i].epoch,
							 v->ballot);

		w->together.boot[n] = a->boot;
		w->together.process[n] = a->process;
	}
}

/* May half of the voters, those that have it, go on without the others? */
static bool may_break_tie(const struct sim *w, const struct view_voters *set,
			  const bool *has)
{
	if (!w->together.has || !w->plan.fencing)
		return false;
	for (uint32_t i = 0; i < set->count; i++) {
		const uint32_t n = set->voter[i].node;

		if (has[n]) {
			if (w->node[n].process != w->together.process[n])
				return false;
		} else if (w->node[n].boot == w->together.boot[n] &&
			   w->node[n].lost_file == 0 && !w->node[n].file_fails) {
			return false;
		}
	}
	return true;
}

/* By how many of these voters it was persisted. */
static void check_persisted(struct sim *w, uint32_t node, const struct view *v,
			    const struct view_voters *set, const char *whose)
{
	bool has[CONFIG_NODE_COUNT_MAX] = { 0 };
	const uint32_t count = find_persisted(w, set, v->ballot, has);

	if (w->forced)
		return;
	if (count * 2 == set->count && !may_break_tie(w, set, has))
		sim_violate(w, "D2",
			    "view %llu is in effect at n%u with half of %s voters, and "
			    "the others may have gone on",
			    (unsigned long long)v->ballot, node + 1, whose);
	else if (count * 2 < set->count)
		sim_violate(w, "D1",
			    "view %llu is in effect at n%u, and %u of %s %u voters have "
			    "it",
			    (unsigned long long)v->ballot, node + 1, count, whose,
			    set->count);
}

static void check_chain(struct sim *w, const struct view *v)
{
	for (uint32_t i = 1; i < v->history.count; i++)
		if (!uuid_equal(&v->history.entry[i].parent, &v->history.entry[i - 1].id))
			sim_violate(w, "D8", "the chain of view %llu is broken",
				    (unsigned long long)v->ballot);
}

/* The core says that all have just agreed: have they? */
static void watch_together(struct sim *w, uint32_t node, const struct view *v)
{
	const struct together *t = &w->node[node].core->together;
	const uint32_t sum = t->has ? common_crc32c(0, t, sizeof *t) : 0;
	bool has[CONFIG_NODE_COUNT_MAX] = { 0 };

	if (sum == w->node[node].together_sum)
		return;
	w->node[node].together_sum = sum;
	if (t->has && find_persisted(w, &v->voters, v->ballot, has) == v->voters.count)
		note_together(w, v);
}

static void check_view(struct sim *w, uint32_t node, const struct view *v)
{
	struct sim_node *n = &w->node[node];
	uint32_t sum;

	if (v->ballot == n->checked_ballot)
		return;
	if (v->ballot < n->checked_ballot)
		sim_violate(w, "D1", "the view of n%u went back", node + 1);
	n->checked_ballot = v->ballot;
	sum = hash(w, v);
	for (uint32_t i = 0; i < w->view_count; i++)
		if (w->view[i].ballot == v->ballot) {
			if (w->view[i].hash != sum && !w->forced)
				sim_violate(w, "D1",
					    "two views of ballot %llu are in effect",
					    (unsigned long long)v->ballot);
			return;
		}
	if (w->view_count < sizeof w->view / sizeof w->view[0]) {
		w->view[w->view_count].ballot = v->ballot;
		w->view[w->view_count++].hash = sum;
	}
	check_persisted(w, node, v, &v->voters, "its");
	if (v->old.count > 0)
		check_persisted(w, node, v, &v->old, "the older");
	check_chain(w, v);
}

/* A node that it takes for fenced has ended: by a reset, the fencing or an earlier one. */
static void check_fenced(struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;

	for (uint32_t n = 0; n < w->node_count; n++) {
		if (!w->node[n].machine || c->node[n].fenced_boot != w->node[n].boot)
			continue;
		if ((w->node[node].misled >> n & 1) != 0)
			w->beyond = true;
		else
			sim_violate(w, "D6", "n%u takes n%u for fenced, which lives",
				    node + 1, n + 1);
	}
}

/* A view is judged by the agreement before it: one with fewer voters is itself an agreement
 * of all of these, which tells nothing of the voters that it left out. */
static void cluster(struct sim *w, uint32_t node)
{
	const struct view *v = cluster_view_in_effect(w->node[node].core);

	watch_file(w, node);
	check_fenced(w, node);
	if (v == NULL)
		return;
	check_view(w, node, v);
	watch_together(w, node, v);
}

/* ---- D1: nodes that hear each other agree -------------------------------------------- */

#define AGREE_NS (5 * SIM_S)

/* No round of its own, no change of its ring nor of its view. */
static void watch_quiet(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const struct view *v = n->running ? cluster_view_in_effect(n->core) : NULL;
	const uint64_t ballot = v != NULL ? v->ballot : 0;

	if (!n->running || n->ring != n->ring_seen || ballot != n->ballot_seen ||
	    w->now_ns < n->frozen_until_ns || n->held != 0 || n->core->stopping ||
	    n->core->round.state != ROUND_IDLE || n->core->persisting)
		n->quiet_since_ns = w->now_ns;
	n->ring_seen = n->ring;
	n->ballot_seen = ballot;
}

static bool is_quorate(const struct sim *w, uint32_t node)
{
	uint32_t votes = 0;

	for (uint32_t n = 0; n < w->node_count; n++)
		votes += w->node[n].running && w->node[n].ring == w->node[node].ring;
	return votes >= w->votes_needed;
}

/* Members of one ring, with quorum. */
static void check_agree(struct sim *w, uint32_t a, uint32_t b)
{
	const struct view *of_a = cluster_view_in_effect(w->node[a].core);
	const struct view *of_b = cluster_view_in_effect(w->node[b].core);

	if (of_a == NULL && of_b == NULL)
		return;
	if (of_a == NULL || of_b == NULL || of_a->ballot != of_b->ballot)
		sim_violate(w, "D1",
			    "n%u and n%u hear each other, without a round for %llu ms, "
			    "and know views %llu and %llu in effect",
			    a + 1, b + 1, (unsigned long long)(AGREE_NS / SIM_MS),
			    of_a != NULL ? (unsigned long long)of_a->ballot : 0,
			    of_b != NULL ? (unsigned long long)of_b->ballot : 0);
}

static void watch_agree(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		watch_quiet(w, n);
	for (uint32_t a = 0; a < w->node_count && !w->forced; a++)
		for (uint32_t b = a + 1; b < w->node_count; b++)
			if (w->node[a].running && w->node[b].running &&
			    w->node[a].ring == w->node[b].ring && is_quorate(w, a) &&
			    w->now_ns > w->node[a].quiet_since_ns + AGREE_NS &&
			    w->now_ns > w->node[b].quiet_since_ns + AGREE_NS)
				check_agree(w, a, b);
}

/* ---- D8: records of a log -------------------------------------------------------- */

/* The generation that holds a sequence in the history that ends with `g`; NULL: before
 * all that is known. */
static const struct sim_generation *holder(const struct sim *w, int32_t g,
					   uint64_t sequence)
{
	while (g >= 0 && w->generation[g].cut >= sequence)
		g = w->generation[g].parent;
	return g < 0 ? NULL : &w->generation[g];
}

static void check_log(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const int32_t g = sim_generation_of(w, m);

	for (uint64_t s = m->marks->home_flushed + 1; g >= 0 && s <= m->marks->last;
	     s++) {
		const struct mirror_record *r = mirror_view_record(m, s);
		const struct sim_generation *of = holder(w, g, s);

		if (of == NULL || r->header.generation == of->ordinal)
			continue;
		sim_violate(w, "D8",
			    "site %u holds sequence %llu of generation %llu, and by its "
			    "history it is of %llu",
			    m->site, (unsigned long long)s,
			    (unsigned long long)r->header.generation,
			    (unsigned long long)of->ordinal);
		return;
	}
}

static void look(struct sim *w)
{
	watch_agree(w);
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].open && sim_is_image(sim_view(w, n)) &&
		    sim_view(w, n)->state != ENGINE_PREPARING &&
		    !sim_view(w, n)->greeting && !w->site[w->node[n].site].tainted)
			check_log(w, n);
}

/* ---- D4: the refusal --------------------------------------------------------------- */

/* Records that were cut off and had gone home are owed: the own map stands for them. */
static void watch_cut(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const bool cut = w->node[node].open && m->cutting;

	if (w->node[node].cut && !cut)
		sim_image_check(w, node, "D8");
	w->node[node].cut = cut;
}

/* Without views: the promotion was this site's own, and has come to nothing; or the site
 * that was promised has come with another generation. */
static bool may_forget(const struct sim *w, const struct mirror_view *m,
		       const struct sim_site *s)
{
	const uint32_t promised = (uint32_t)(s->refused_ballot & 0xff);
	const struct generation *g = history_newest(&m->sb->history);

	if (!w->plan.alone)
		return m->view_ballot > s->refused_ballot;
	return promised == m->site || (g != NULL && g->site == promised);
}

/* A refusal stands until its generation is here, or one of a later view. Without views
 * the refusal of this site's own promotion takes its place under any ballot: the mark of
 * having handed over binds the site to the other one (check_alone.c). A promotion that is
 * called off at once may never have written its own. */
static void watch_refusal(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[m->site];

	if (!w->node[node].open || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING)
		return;
	if (!uuid_is_zero(&m->sb->refusal.generation)) {
		const bool own = w->plan.alone &&
				 (m->sb->refusal.ballot & 0xff) == m->site;
		const bool newer = w->plan.alone ||
				   m->sb->refusal.ballot > s->refused_ballot;

		if (own || (newer && m->sb_wanted == m->sb_written)) {
			s->refused = m->sb->refusal.generation;
			s->refused_ballot = m->sb->refusal.ballot;
		}
		return;
	}
	if (s->refused_ballot != 0 && !s->tainted && !may_forget(w, m, s) &&
	    mirror_history_find(&m->sb->history, &s->refused) == NULL)
		sim_violate(w, "D4",
			    "site %u forgets the refusal of ballot %llu, and the newest "
			    "view it was told of is %llu",
			    m->site, (unsigned long long)s->refused_ballot,
			    (unsigned long long)m->view_ballot);
	s->refused_ballot = 0;
}

/* All voters of it run and hear each other: any view could be agreed. */
static bool all_vote(const struct sim *w, uint32_t node, const struct view *v)
{
	for (uint32_t i = 0; i < v->voters.count; i++) {
		const struct sim_node *n = &w->node[v->voters.voter[i].node];

		if (!n->running || n->held != 0 || w->now_ns < n->frozen_until_ns ||
		    n->component != w->node[node].component)
			return false;
	}
	return true;
}

static bool stop_is_answered(const struct cluster_core *c)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++)
		if (c->command[i].used)
			return false;
	return c->stopping;
}

/* A run with faults may have kept it from that before. */
static void check_leave(struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;
	const struct view *v = cluster_view_in_effect(c);

	if (w->plan.fault_count > 0 || v == NULL || !stop_is_answered(c) ||
	    v->voters.count == 1 || sim_serving(w) < 0 ||
	    v->production_node != sim_serving(w) || v->production_node == (int32_t)node ||
	    cluster_view_voters_epoch(&v->voters, node) != c->voter.epoch ||
	    !all_vote(w, node, v))
		return;
	sim_violate(w, "D1",
		    "n%u has left in order, and its vote still counts: %u voters",
		    node + 1, v->voters.count);
}

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct mirror_view_link *l;

	watch_cut(w, node);
	watch_refusal(w, node);

	if (!w->node[node].open || m->stream_link == MIRROR_LINK_NONE ||
	    uuid_is_zero(&m->sb->refusal.generation))
		return;
	l = &m->link[m->stream_link];
	if (w->plan.alone && l->site == (m->sb->refusal.ballot & 0xff))
		return; /* it is the one that was promised */
	if (mirror_history_find(&l->hello->history, &m->sb->refusal.generation) == NULL)
		sim_violate(w, "D4",
			    "site %u has promised to refuse records older than its new "
			    "generation, and takes a stream of generation %llu",
			    m->site, (unsigned long long)l->hello->generation_ordinal);
}

static void check_refusal(struct sim *w, uint32_t node)
{
	static struct mirror_superblock scratch, sb;
	const struct mirror_view *m = sim_view(w, node);
	const struct sim_site *s = &w->site[m->site];
	char text[256];
	uint32_t slot;

	if (s->tainted)
		return;
	if (mirror_superblock_choose(s->log.stable,
				     s->log.stable + MIRROR_SUPERBLOCK_BYTES, &scratch,
				     &sb, &slot, text, sizeof text) != 0 ||
	    !uuid_equal(&sb.refusal.generation, &m->prepare->generation))
		sim_violate(w, "D4",
			    "site %u has prepared a promotion, and its refusal is not on "
			    "stable storage",
			    m->site);
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	if (f->type == FACT_PREPARED && f->error == 0)
		check_refusal(w, node);
	if (!w->forced &&
	    (strstr(f->text, "SplitBrain") != NULL || strstr(f->rule, "split") != NULL))
		sim_violate(w, "D8", "without a force: %s", f->text);
}

static void decide(struct sim *w, uint32_t node)
{
	cluster(w, node);
	check_leave(w, node);
}

const struct sim_checker sim_check_d = {
	.name = "D",
	.cluster = decide,
	.fact = fact,
	.mirror = mirror,
	.look = look,
};
