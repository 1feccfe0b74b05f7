/* score.c - the promotion score of this node, for Pacemaker.
 *
 *   this node                                               score
 *   no quorum, no view, not promotable                      none (removed)
 *   serves                                                  10000
 *   hosts production's site, or may: its devices are free   9900 and down,
 *                                                             by backup order
 *   ... but for another's idle, open devices, or those of   8000 and down
 *     one that was lost within the last minute: Pacemaker
 *     fences it before it promotes
 *   hosts a copy that is current as it is, or all of a      4000 and down; 9900 and
 *     clean demote's log                                      down, if the file has an order
 *   mate of such a host                                     900 and down; of a clean
 *                                                             demote's only, if the mode
 *                                                             is not sync
 *   hosts a current copy that has restarted                 1000, in sync only
 *   production's site, its devices still held elsewhere, or 10
 *     by a member to which one of them does not answer
 *
 * Never -INFINITY: that makes Pacemaker stop and restart in cycles.
 */
#include "cluster/generation.h"

#define SCORE_NONE INT32_MIN
#define SCORE_SERVES 10000
#define SCORE_SAME_SITE 9900
#define SCORE_SAME_SITE_MATE 8000
#define SCORE_CURRENT 4000
#define SCORE_RESTARTED 1000
#define SCORE_MATE 900
#define SCORE_HELD 10
/* A fencing takes seconds; a promotion waits for it. A fencing that has not come for so
 * long fails or is not configured: another site is better then. */
#define FENCING_EXPECTED_NS (60 * 1000 * NS_PER_MS)

static bool is_before(const struct config *config, uint32_t a, uint32_t b)
{
	/* 0 is not in the order: behind all that are */
	const uint32_t place_a = config->node[a].backup_place - 1,
		       place_b = config->node[b].backup_place - 1;

	return place_a != place_b ? place_a < place_b : a < b;
}

uint32_t cluster_backup_place(const struct config *config, uint32_t node)
{
	uint32_t place = 0;

	for (uint32_t n = 0; n < config->node_count; n++)
		if (config->node[n].site >= 0 && is_before(config, n, node))
			place++;
	return place;
}

/* The score at production's site, by whether this node may get its devices. */
static int32_t score_same_site(const struct cluster_core *c, const struct view_host *h,
			       int32_t place)
{
	const struct node *n;

	if (h->node == VIEW_NONE || h->node == (int32_t)c->self.node ||
	    cluster_devices_pass(c, h) == HOST_FREE)
		return SCORE_SAME_SITE - 100 * place;
	n = &c->node[h->node];
	/* Held by a member that gives them up when asked, or by a node that is fenced soon. */
	if (n->member ? cluster_devices_pass(c, h) == HOST_HELD &&
				(n->said.flags & ANNOUNCE_HANGS) == 0 :
			c->now_ns - n->since_ns < FENCING_EXPECTED_NS)
		return SCORE_SAME_SITE_MATE - 100 * place;
	return SCORE_HELD;
}

int32_t cluster_score_of(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	const int32_t site = c->config->node[c->self.node].site;
	const int32_t place = (int32_t)cluster_backup_place(c->config, c->self.node);
	const struct view_site *s;
	const struct node *host;
	bool current, clean;

	if (c->role.failed || c->role.barred || c->stopping || v == NULL ||
	    site == VIEW_NONE || !c->quorate || !cluster_round_can_decide(c) ||
	    (cluster_devices_reach(c) >> site & 1) == 0 || site >= (int32_t)v->site_count)
		return SCORE_NONE;
	if (c->role.serve == SERVE_SERVING)
		return SCORE_SERVES;
	s = &v->site[site];
	if (v->production_site == site)
		return score_same_site(c, &s->host, place);
	host = cluster_join_host_of(c, (uint32_t)site);
	current = cluster_promote_is_current(v, (uint32_t)site, s->host.incarnation);
	clean = host != NULL && cluster_generation_reaches_end(v, &host->said);
	if (host == NULL || (!current && !clean))
		return SCORE_NONE;
	/* To open the devices is another incarnation, which only sync promotes. */
	if (s->host.node != (int32_t)c->self.node)
		return clean || v->promise.mode == CONFIG_SYNC ? SCORE_MATE - 10 * place :
								 SCORE_NONE;
	if (s->current && s->current_incarnation != s->host.incarnation && !v->clean)
		return SCORE_RESTARTED;
	return (c->config->backup_ordered ? SCORE_SAME_SITE : SCORE_CURRENT) -
	       100 * place;
}
