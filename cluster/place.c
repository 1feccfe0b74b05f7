/* place.c - a member that announces itself: refused by name, or placed in the subgroup of each
 * site that it reaches (docs/sources.md, paper 003, Fig. 4: 74, 76).
 */
#include <errno.h>
#include <stdio.h>

#include "cluster/internal.h"
#include "common/config_difference.h"

#define TEXT_BYTES 240

static int32_t node_by_name(const struct cluster_core *c, const char *name)
{
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (strcmp(c->config->node[n].name, name) == 0)
			return (int32_t)n;
	return VIEW_NONE;
}

static bool node_has_other_peer(const struct cluster_core *c, int32_t node,
				const struct peer *but)
{
	for (uint32_t i = 0; i < c->peer_count; i++)
		if (&c->peer[i] != but && c->peer[i].node == node && !c->peer[i].refused)
			return true;
	return false;
}

/* A force parts the members into lineages (D2). One side may follow the other as
 * long as nothing was decided on it after they parted. */
static bool lineage_fits(const struct view *v, const struct announce *a)
{
	return a->ballot == 0 || uuid_equal(&a->lineage, &v->lineage) ||
	       (uuid_equal(&a->lineage, &v->fork.lineage) &&
		a->ballot <= v->fork.ballot) ||
	       (uuid_equal(&v->lineage, &a->fork_lineage) && v->ballot <= a->fork_ballot);
}

static const char other_lineage[] =
	"SplitBrain: its members were parted from ours by a force";

/* Why the sender may take no part, or NULL. `text` has room for a sentence. */
static const char *refusal(const struct cluster_core *c, const struct peer *p,
			   int32_t node, const struct message *m, int error,
			   char text[TEXT_BYTES])
{
	if (node == VIEW_NONE)
		return "it is not a node of this configuration";
	if (error == -ESTALE) {
		config_difference("its file", m->agreed, "the one here",
				  c->config->agreed, text, TEXT_BYTES);
		return text;
	}
	if ((int32_t)m->node != node)
		return "its configuration numbers the nodes in another way";
	if (!uuid_is_zero(&m->mirror) && !uuid_is_zero(&c->voter.mirror) &&
	    !uuid_equal(&m->mirror, &c->voter.mirror))
		return "it belongs to another mirror of this name";
	if (node_has_other_peer(c, node, p))
		return "another process takes part for that node already";
	if (cluster_view_in_effect(c) != NULL &&
	    !lineage_fits(cluster_view_in_effect(c), &m->announce))
		return other_lineage;
	return NULL;
}

static void refuse(struct cluster_core *c, struct peer *p, int32_t node, const char *name,
		   uint64_t boot, const char *why)
{
	if (!p->refused)
		cluster_tell(c, "member", name, "refused", "refused: %s", why);
	if (p->node != VIEW_NONE && !p->refused)
		cluster_member_set(c, &c->node[p->node], false);
	p->refused = true;
	p->node = node;
	if (node != VIEW_NONE && why == other_lineage) {
		c->node[node].parted_boot = boot;
		c->node[node].unsaid = false; /* it agrees to nothing here */
	}
	if (node != VIEW_NONE && !node_has_other_peer(c, node, p)) {
		c->node[node].refused = true;
		snprintf(c->node[node].text, sizeof c->node[node].text, "refused: %s",
			 why);
	}
	snprintf(c->refused_text, sizeof c->refused_text,
		 "%.32s and this node refuse each "
		 "other: %.230s",
		 name, why);
}

/* Placing: the member is in the subgroup of each site that it reaches. */
static void place(struct cluster_core *c, int32_t node, uint32_t nodeid,
		  const struct message *m)
{
	struct node *n = &c->node[node];
	const bool joins = !n->member;

	n->known = true;
	n->nodeid = nodeid;
	n->unsaid = false;
	n->said = m->announce;
	n->incarnation = m->incarnation;
	n->refused = false;
	n->parted_boot = 0;
	snprintf(n->text, sizeof n->text, "%s", m->announce.text);
	cluster_fence_heard(c, (uint32_t)node);
	cluster_devices_released(c, (uint32_t)node, m->announce.released);
	cluster_round_seen(c, m->announce.promised);
	cluster_round_seen(c, m->announce.ballot);
	if (!joins)
		return;
	cluster_member_set(c, n, true);
	/* The node lives: the fencing that was told was not of this boot. */
	if (n->fenced_boot == m->announce.boot) {
		n->fenced_boot = c->voter.fenced[node].boot = 0;
		c->voter_dirty = true;
	}
	c->disks_due = true;
	cluster_tell(c, "member", cluster_node_name(c, node), "", "joined%s%s",
		     m->announce.reach == 0 && c->config->node[node].site != VIEW_NONE ?
			     "; it reaches no site's disks: " :
			     "",
		     m->announce.reach == 0 ? m->announce.text : "");
}

void cluster_place_announce(struct cluster_core *c, uint32_t nodeid, uint32_t pid,
			    const struct message *m, int error)
{
	struct peer *p = cluster_peer_find(c, nodeid, pid);
	const int32_t node = node_by_name(c, m->announce.name);
	const struct view *v = cluster_view_in_effect(c);
	char text[TEXT_BYTES];
	const char *why;

	if (p == NULL)
		return;
	why = refusal(c, p, node, m, error, text);
	if (why != NULL) {
		refuse(c, p, node, m->announce.name, m->announce.boot, why);
		return;
	}
	p->node = node;
	p->refused = false;
	place(c, node, nodeid, m);
	/* It was there when a view was told, and has missed it. */
	if (v != NULL && m->announce.ballot < v->ballot && c->state_ring != c->ring)
		c->state_due = true;
}
