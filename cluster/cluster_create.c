/* cluster_create.c - making and unmaking a core: the only place that allocates. */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/internal.h"

struct cluster_core *cluster_create(const struct config *config,
				    const struct cluster_self *self, const uint8_t *voter,
				    size_t voter_bytes, char *text, size_t text_size)
{
	struct cluster_core *c = calloc(1, sizeof *c);

	if (c == NULL) {
		snprintf(text, text_size, "no memory for the members' core");
		return NULL;
	}
	c->config = config;
	c->self = *self;
	snprintf(c->role.text, sizeof c->role.text, "%s", self->reach_text);
	cluster_devices_fresh_incarnation(c);
	if (!config->cluster) {
		c->alone = calloc(1, cluster_alone_bytes());
		if (c->alone == NULL) {
			snprintf(text, text_size, "no memory for the members' core");
			cluster_destroy(c);
			return NULL;
		}
		cluster_alone_init(c);
		return c;
	}
	if (voter != NULL) {
		if (cluster_voter_decode(config, self->node, voter, voter_bytes,
					 &c->voter, text, text_size) != 0) {
			cluster_destroy(c);
			return NULL;
		}
		c->persisted_counter = c->voter.counter;
		c->persisted_epoch = c->voter.epoch;
		c->role.released = c->voter.released[self->node][0];
		cluster_fence_init(c);
	} else {
		c->voter.node = self->node;
		c->voter.epoch = cluster_random(c);
	}
	return c;
}

void cluster_destroy(struct cluster_core *c)
{
	if (c == NULL)
		return;
	free(c->alone);
	free(c);
}
