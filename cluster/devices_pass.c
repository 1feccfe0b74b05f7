/* devices_pass.c - whether a site's devices may pass to another host.
 *
 * D6: a site's devices pass on after
 *
 *   the host's opening is, as far as is known   they pass to
 *   still said by its process                   nobody
 *   released by its process                     anyone of the site
 *   its node fenced, in the boot that opened    anyone
 *   its node here again in another boot         anyone
 *   its node here, same boot, another process   that node: the kernel lets it
 *                                                 open only closed devices
 *   its node gone                               nobody
 */
#include "cluster/internal.h"

bool cluster_devices_are_released(const struct cluster_core *c, int32_t node,
				  uint64_t incarnation)
{
	for (uint32_t i = 0; i < RELEASED_COUNT_MAX; i++)
		if (c->voter.released[node][i] == incarnation)
			return true;
	return false;
}

/* A view that this voter knows names that opening: it is not forgotten. */
static bool is_named(const struct cluster_core *c, uint32_t node, uint64_t incarnation)
{
	const struct view *views[] = { cluster_view_in_effect(c),
				       cluster_view_newest(c) };

	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t s = 0; views[i] != NULL && s < views[i]->site_count; s++)
			if (views[i]->site[s].host.node == (int32_t)node &&
			    views[i]->site[s].host.incarnation == incarnation)
				return true;
	return false;
}

void cluster_devices_released(struct cluster_core *c, uint32_t node, uint64_t incarnation)
{
	uint64_t *released = c->voter.released[node];
	uint32_t last = RELEASED_COUNT_MAX - 1;

	if (incarnation == 0 ||
	    cluster_devices_are_released(c, (int32_t)node, incarnation))
		return;
	while (last > 0 && is_named(c, node, released[last]))
		last--;
	memmove(&released[1], &released[0], last * sizeof released[0]);
	released[0] = incarnation;
	c->voter_dirty = true;
}

enum devices_pass cluster_devices_pass(const struct cluster_core *c,
				       const struct view_host *host)
{
	const struct node *n;

	if (host->node == VIEW_NONE)
		return HOST_FREE;
	n = &c->node[host->node];
	if (cluster_devices_are_released(c, host->node, host->incarnation))
		return HOST_FREE;
	if (!n->member)
		return n->fenced_boot != 0 && n->fenced_boot == host->boot ? HOST_FREE :
									     HOST_HELD;
	if (n->said.boot != host->boot)
		return HOST_FREE;
	if (n->said.incarnation_open == host->incarnation ||
	    n->said.incarnation_next == host->incarnation)
		return HOST_HELD;
	return HOST_RESTARTED;
}

int32_t cluster_devices_mate_held(const struct cluster_core *c, uint32_t site)
{
	const struct view *v = cluster_view_in_effect(c);

	/* Those of before too: to be taken out of the file closes nothing. */
	for (uint32_t i = 0; v != NULL && i < CONFIG_NODE_COUNT_MAX; i++) {
		const struct node *n = &c->node[i];
		const uint64_t boot = n->known ? n->said.boot : v->member[i].boot;
		const bool of_site = i < c->config->node_count &&
				     c->config->node[i].site == (int32_t)site;

		if (i == c->self.node ||
		    (!of_site && (v->site[site].reach >> i & 1) == 0))
			continue;
		/* One that is here may know more, and is about to say it. */
		if (n->member ?
			    n->said.site == (int32_t)site || n->said.ballot > v->ballot :
			    boot != 0 && n->fenced_boot != boot)
			return (int32_t)i;
	}
	return VIEW_NONE;
}

bool cluster_devices_parted_mate(const struct cluster_core *c, uint32_t site)
{
	const struct view *v = cluster_view_in_effect(c);

	for (uint32_t i = 0; v != NULL && i < c->config->node_count; i++)
		if ((c->config->node[i].site == (int32_t)site ||
		     (v->site[site].reach >> i & 1) != 0) &&
		    c->node[i].parted_boot != 0)
			return true;
	return false;
}

/* A process that has the devices of its node open, exclusively, is the proof that
 * an older one of that node has ended (D6). */
bool cluster_devices_holder_is_gone(const struct cluster_core *c, int32_t node,
				    uint64_t incarnation, uint64_t boot)
{
	const struct node *n = &c->node[node];

	if (node == (int32_t)c->self.node)
		return cluster_devices_are_open(c);
	if (cluster_devices_are_released(c, node, incarnation))
		return true;
	if (!n->member)
		return n->fenced_boot != 0 && n->fenced_boot == boot;
	return n->said.boot != boot || ((n->said.flags & ANNOUNCE_OPEN) != 0 &&
					n->said.incarnation_open != incarnation);
}
