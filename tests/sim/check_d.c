/* check_d.c - the decision rules D1-D8, where they can be watched one by one:
 *   D1  views of one ballot are one view; none goes back; each was persisted by a
 *       majority when it takes effect
 *   D2  or by half of the voters, when none of these has restarted since all agreed, and
 *       all others have been reset since, or lost their file
 *   D4  who has prepared a promotion has its refusal on stable storage; a site with a
 *       refusal takes nothing from an older generation; it forgets none before its time
 *   D8  the chain's parents are sound; what a log holds is of the generation that its
 *       history names for it; what was cut off is undone, or its extents are owed; no
 *       SplitBrain without a force
 * D3 and D5 have checkers of their own; D6 is watched by node.c, D7 by check_g3.c.
 */
#include <string.h>

#include "cluster/internal.h"
#include "common/crc.h"
#include "mirror/internal.h"
#include "mirror/parts.h"
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

/* ---- D1, D2: who has decided ------------------------------------------------------- */

/* The epoch under which each voter has the view, or a later one, on stable storage. */
static void find_persisted(struct sim *w, const struct view *v, uint64_t *epoch)
{
	static struct voter voter;
	char text[128];

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].file_bytes > 0 &&
		    cluster_voter_decode(&w->config, n, w->node[n].file,
					 w->node[n].file_bytes, &voter, text,
					 sizeof text) == 0 &&
		    ((voter.has_accepted && voter.accepted.ballot >= v->ballot) ||
		     (voter.has_in_effect && voter.in_effect.ballot >= v->ballot)))
			epoch[n] = voter.epoch;
}

/* All of them agree, in these boots and processes. */
static void note_together(struct sim *w)
{
	w->together.has = true;
	for (uint32_t n = 0; n < w->node_count; n++) {
		w->together.boot[n] = w->node[n].boot;
		w->together.process[n] = w->node[n].process;
	}
}

/* May half of the voters, those with an epoch here, go on without the others? */
static bool may_break_tie(const struct sim *w, const struct view *v,
			  const uint64_t *epoch)
{
	if (!w->together.has || !w->plan.fencing)
		return false;
	for (uint32_t i = 0; i < v->voters.count; i++) {
		const uint32_t n = v->voters.voter[i].node;

		if (epoch[n] == v->voters.voter[i].epoch) {
			if (w->node[n].process != w->together.process[n])
				return false;
		} else if (w->node[n].boot == w->together.boot[n] &&
			   w->node[n].lost_file == 0) {
			return false;
		}
	}
	return true;
}

/* By how many of its voters it was persisted. */
static void check_persisted(struct sim *w, uint32_t node, const struct view *v)
{
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };
	uint32_t count;

	if (w->forced || w->voter_file_lost)
		return; /* one of them may have forgotten it */
	find_persisted(w, v, epoch);
	count = cluster_view_voters_answered(&v->voters, epoch);
	if (count * 2 == v->voters.count && !may_break_tie(w, v, epoch))
		sim_violate(w, "D2",
			    "view %llu is in effect at n%u with half of its voters, and "
			    "the others may have gone on",
			    (unsigned long long)v->ballot, node + 1);
	else if (count * 2 < v->voters.count)
		sim_violate(w, "D1",
			    "view %llu is in effect at n%u, and %u of %u voters have it",
			    (unsigned long long)v->ballot, node + 1, count,
			    v->voters.count);
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
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };

	if (sum == w->node[node].together_sum)
		return;
	w->node[node].together_sum = sum;
	find_persisted(w, v, epoch);
	if (t->has && cluster_view_voters_answered(&v->voters, epoch) == v->voters.count)
		note_together(w);
}

static void cluster(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const struct view *v = cluster_vote_in_effect(n->core);
	uint32_t sum;

	if (v != NULL)
		watch_together(w, node, v);
	if (v == NULL || v->ballot == n->checked_ballot)
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
	check_persisted(w, node, v);
	check_chain(w, v);
}

/* ---- D8: what a log holds -------------------------------------------------------- */

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
	struct mirror_engine *m = w->node[node].engine;
	const int32_t g = sim_generation_of(w, m);

	for (uint64_t s = m->home_flushed + 1; g >= 0 && s <= m->last_sequence; s++) {
		const struct mirror_record *r = mirror_engine_record(m, s);
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
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].open && sim_is_image(w->node[n].engine) &&
		    w->node[n].engine->state != ENGINE_PREPARING &&
		    w->node[n].engine->greeting_step == GREETING_NONE &&
		    !w->site[w->node[n].site].tainted)
			check_log(w, n);
}

/* ---- D4: the refusal --------------------------------------------------------------- */

/* What was cut off and had gone home is owed: the own map stands for it. */
static void watch_cut(struct sim *w, uint32_t node)
{
	const struct mirror_engine *m = w->node[node].engine;
	const bool cut = w->node[node].open && m->cut_step != CUT_NONE;

	if (w->node[node].cut && !cut)
		sim_image_check(w, node, "D8");
	w->node[node].cut = cut;
}

/* A refusal stands until its generation is here, or one of a later view. */
static void watch_refusal(struct sim *w, uint32_t node)
{
	const struct mirror_engine *m = w->node[node].engine;
	struct sim_site *s = &w->site[m->site];

	if (!w->node[node].open || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING)
		return;
	if (!uuid_is_zero(&m->sb.refusal.generation)) {
		if (m->sb.refusal.ballot > s->refused_ballot &&
		    m->sb_wanted == m->sb_written) {
			s->refused = m->sb.refusal.generation;
			s->refused_ballot = m->sb.refusal.ballot;
		}
		return;
	}
	if (s->refused_ballot != 0 && !s->tainted &&
	    m->view_ballot <= s->refused_ballot &&
	    mirror_history_find(&m->sb.history, &s->refused) == NULL)
		sim_violate(w, "D4",
			    "site %u forgets the refusal of ballot %llu, and the newest "
			    "view it was told of is %llu",
			    m->site, (unsigned long long)s->refused_ballot,
			    (unsigned long long)m->view_ballot);
	s->refused_ballot = 0;
}

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_engine *m = w->node[node].engine;
	const struct engine_link *l;

	watch_cut(w, node);
	watch_refusal(w, node);

	if (!w->node[node].open || m->stream_link == MIRROR_LINK_NONE ||
	    uuid_is_zero(&m->sb.refusal.generation))
		return;
	l = &m->link[m->stream_link];
	if (mirror_history_find(&l->hello.history, &m->sb.refusal.generation) == NULL)
		sim_violate(w, "D4",
			    "site %u has promised to refuse what is older than its new "
			    "generation, and takes a stream of generation %llu",
			    m->site, (unsigned long long)l->hello.generation_ordinal);
}

static void check_refusal(struct sim *w, uint32_t node)
{
	static struct mirror_superblock scratch, sb;
	const struct mirror_engine *m = w->node[node].engine;
	const struct sim_site *s = &w->site[m->site];
	char text[256];
	uint32_t slot;

	if (s->tainted)
		return;
	if (mirror_superblock_choose(s->log.stable,
				     s->log.stable + MIRROR_SUPERBLOCK_BYTES, &scratch,
				     &sb, &slot, text, sizeof text) != 0 ||
	    !uuid_equal(&sb.refusal.generation, &m->prepare.generation))
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

const struct sim_checker sim_check_d = {
	.name = "D",
	.cluster = cluster,
	.fact = fact,
	.mirror = mirror,
	.look = look,
};
