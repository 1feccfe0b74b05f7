/* check_d.c - the decision rules D1-D8, where they can be watched one by one: views of
 * one ballot are one view; none goes back; each was persisted by a majority when it takes
 * effect (D1); the chain's cuts and parents are sound (D5, D8); no SplitBrain without a
 * force. D3 is watched by check_g1.c, D4 and D5 by check_g4.c and journal.c, D6 by
 * node.c and disk.c, D7 by check_g3.c.
 */
#include <string.h>

#include "cluster/internal.h"
#include "common/crc.h"
#include "mirror/internal.h"
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

/* How many of its voters have it, or a later one, on stable storage. */
static void check_persisted(struct sim *w, uint32_t node, const struct view *v)
{
	static struct voter voter;
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };
	char text[128];

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].file_bytes > 0 &&
		    cluster_voter_decode(&w->config, n, w->node[n].file,
					 w->node[n].file_bytes, &voter, text,
					 sizeof text) == 0 &&
		    ((voter.has_accepted && voter.accepted.ballot >= v->ballot) ||
		     (voter.has_in_effect && voter.in_effect.ballot >= v->ballot)))
			epoch[n] = voter.epoch;
	if (w->forced || w->plan.fencing)
		return; /* then half of the voters may do (D2) */
	if (cluster_view_voters_answered(&v->voters, epoch) * 2 <= v->voters.count)
		sim_violate(w, "D1",
			    "view %llu is in effect at n%u, and %u of %u voters have it",
			    (unsigned long long)v->ballot, node + 1,
			    cluster_view_voters_answered(&v->voters, epoch),
			    v->voters.count);
}

static void check_chain(struct sim *w, const struct view *v)
{
	for (uint32_t i = 1; i < v->history.count; i++)
		if (!uuid_equal(&v->history.entry[i].parent, &v->history.entry[i - 1].id))
			sim_violate(w, "D8", "the chain of view %llu is broken",
				    (unsigned long long)v->ballot);
}

static void cluster(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const struct view *v = cluster_vote_in_effect(n->core);
	uint32_t sum;

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

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	(void)node;
	if (!w->forced &&
	    (strstr(f->text, "SplitBrain") != NULL || strstr(f->rule, "split") != NULL))
		sim_violate(w, "D8", "without a force: %s", f->text);
}

const struct sim_checker sim_check_d = {
	.name = "D",
	.cluster = cluster,
	.fact = fact,
};
