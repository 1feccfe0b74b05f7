/* site_disks.c - the disks of a site, as its host sees them, go to its other nodes.
 */
#include <stdio.h>

#include "cluster/internal.h"

void cluster_site_disks_pump(struct cluster_core *c)
{
	const struct config_site *site = &c->config->site[c->role.site];
	struct message *m;

	if (!c->disks_due || c->role.devices != DEVICES_OPEN)
		return;
	c->disks_due = false;
	m = cluster_message(c, MESSAGE_DISKS);
	m->disks.site = c->role.site;
	m->disks.log = c->role.log;
	m->disks.count = site->disk_count;
	for (uint32_t i = 0; i < site->disk_count; i++) {
		memcpy(m->disks.disk[i].name, site->disk[i].name, CONFIG_NAME_MAX);
		m->disks.disk[i].bytes = c->role.disk_bytes[i];
	}
	cluster_send(c);
}

/* P3-15: a node that sees other disks than its site's host would not serve the same data.
 * Only the sizes of our own site's disks are known. */
void cluster_site_disks_take(struct cluster_core *c, const struct message *m)
{
	const struct message_disks *d = &m->disks;
	bool differs = false;

	if (m->node == c->self.node || (c->self.reach >> d->site & 1) == 0 ||
	    c->config->node[c->self.node].site != (int32_t)d->site ||
	    c->role.devices != DEVICES_CLOSED)
		return;
	for (uint32_t i = 0; i < d->count; i++) {
		if (d->disk[i].bytes == 0 || c->self.disk_bytes[i] == 0 ||
		    d->disk[i].bytes == c->self.disk_bytes[i])
			continue;
		differs = true;
		snprintf(c->role.text, sizeof c->role.text,
			 "disk %s has %llu bytes here and %llu on %s, the host: use "
			 "the same device, then restart hamirror here",
			 d->disk[i].name, (unsigned long long)c->self.disk_bytes[i],
			 (unsigned long long)d->disk[i].bytes,
			 cluster_node_name(c, (int32_t)m->node));
	}
	if (differs && !c->role.barred)
		cluster_tell(c, "site", cluster_site_name(c, (int32_t)d->site),
			     "disks-differ", "%s", c->role.text);
	if (!differs && c->role.barred)
		c->role.text[0] = 0;
	c->role.barred = differs;
}
