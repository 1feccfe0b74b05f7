/* status_needs.c - what each host needs to serve its site, and whether it has it (paper 000,
 * Fig. 1). */
#include <stdio.h>

#include "agent/status.h"
#include "agent/words.h"

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

static void add(json_t *list, const char *kind, const char *name, const char *place,
		enum answer answer)
{
	json_t *o = json_pack("{s:s}", "kind", kind);

	json_object_set_new(o, "name", agent_text_json(name));
	json_object_set_new(o, "place", agent_text_json(place));
	json_object_set_new(o, "reachable",
			    answer == ANSWER_UNKNOWN ?
				    json_null() :
				    json_boolean(answer == ANSWER_YES));
	json_array_append_new(list, o);
}

/* As the links tell: this node listens, or a link to or from the other one stands. */
static enum answer is_addressed(const struct status_input *in, uint32_t node)
{
	const struct cluster_status *c = in->cluster;
	const int32_t site = in->config->node[node].site;

	if (node == in->node)
		return in->listen_text == NULL || in->listen_text[0] == '\0';
	if (c->sites[site].role != CLUSTER_SITE_COPY ||
	    c->sites[site].host != (int32_t)node || !c->serving_here)
		return ANSWER_UNKNOWN;
	switch (c->sites[site].link) {
	case LINK_DOWN:
	case LINK_CONNECTING:
		return ANSWER_NO;
	case LINK_CATCHING_UP:
	case LINK_REFRESHING:
	case LINK_CONNECTED:
		return ANSWER_YES;
	}
	return ANSWER_UNKNOWN;
}

json_t *agent_status_needs(const struct status_input *in, uint32_t node)
{
	const struct cluster_status_node *c = &in->cluster->nodes[node];
	const struct config_node *n = &in->config->node[node];
	const struct config_site *site;
	json_t *list = json_array();
	enum answer devices;
	char place[CONFIG_ADDRESS_MAX + 8];

	if (n->site < 0)
		return list;
	site = &in->config->site[n->site];
	devices = !c->member                     ? ANSWER_UNKNOWN :
		  (c->reach >> n->site & 1) != 0 ? ANSWER_YES :
						   ANSWER_NO;
	add(list, "log", "writelog", site->writelog, devices);
	for (uint32_t d = 0; d < site->disk_count; d++)
		add(list, "disk", site->disk[d].name, site->disk[d].path, devices);
	snprintf(place, sizeof place, "%s:%u", n->address, n->port);
	add(list, "address", n->name, place, is_addressed(in, node));
	return list;
}
