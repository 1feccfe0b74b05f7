/* mirroring.c - mirroring starts and stops: production's link to each copy.
 *
 * It starts when production serves and the site's host is here with its devices open, in
 * either order. All are told, once per generation, site and opening of the devices
 * (docs/sources.md, paper 003, Fig. 4: 86-96, Fig. 5: 112-122). It stops when either goes.
 */
#include <stdio.h>

#include "cluster/internal.h"

static void start(struct cluster_core *c, uint32_t site, const struct view_host *h)
{
	const struct config_node *node = &c->config->node[h->node];
	struct message *m = cluster_message(c, MESSAGE_START);
	struct order *o = cluster_order(c, ORDER_LINK);

	m->start.generation = c->role.generation;
	m->start.site = site;
	m->start.node = (uint32_t)h->node;
	m->start.incarnation = h->incarnation;
	cluster_send(c);
	o->site = site;
	o->peer.site = site;
	o->peer.port = node->port;
	o->peer.incarnation = h->incarnation;
	memcpy(o->peer.host, node->name, sizeof o->peer.host);
	memcpy(o->peer.address, node->address, sizeof o->peer.address);
}

void cluster_mirroring_pump(struct cluster_core *c, const struct view *v, uint32_t s)
{
	const struct view_host *h = &v->site[s].host;
	struct link_told *told = &c->role.link[s];
	const struct node *host = cluster_join_host_of(c, s);
	bool wanted = (cluster_view_out_sites(v) >> s & 1) == 0 && host != NULL &&
		      (host->said.flags & ANNOUNCE_SERVING) == 0;

	/* Without a lease we may have been cut off, and about to learn of another
	 * production: make no new link. */
	if (told->incarnation == 0 && !cluster_lease_is_valid(c))
		wanted = false;

	if (told->incarnation == (wanted ? h->incarnation : 0))
		return;
	if (told->incarnation != 0) {
		cluster_order(c, ORDER_UNLINK)->site = s;
		cluster_tell(c, "site", cluster_site_name(c, (int32_t)s), "",
			     "mirroring to %s stops", cluster_node_name(c, told->node));
		c->role.copy[s].ready = false;
		if (c->role.copy[s].lost_text[0] == 0)
			snprintf(c->role.copy[s].lost_text,
				 sizeof c->role.copy[s].lost_text,
				 "its host %.64s is gone",
				 cluster_node_name(c, told->node));
	}
	told->incarnation = wanted ? h->incarnation : 0;
	told->node = h->node;
	if (wanted)
		start(c, s, h);
}

void cluster_mirroring_told(struct cluster_core *c, const struct message *m)
{
	cluster_tell(c, "site", cluster_site_name(c, (int32_t)m->start.site), "",
		     "mirroring starts from %s to %s",
		     cluster_node_name(c, (int32_t)m->node),
		     cluster_node_name(c, (int32_t)m->start.node));
}
