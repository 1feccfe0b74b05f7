/* first.c - the first view, made by `hamirror create`: one voter, the creator. */
#include "cluster/internal.h"

#define LEASE_MS_MIN 1000u

static uint64_t epoch_of(const struct cluster_self *self)
{
	return self->incarnation != 0 ? self->incarnation : 1;
}

static void fill(const struct config *config, const struct cluster_self *self,
		 const struct uuid *mirror, const struct uuid *lineage,
		 const struct generation *first, struct view *v)
{
	v->ballot = cluster_view_ballot_make(1, self->node);
	v->proposer = self->incarnation;
	v->mirror = *mirror;
	v->lineage = *lineage;
	v->config_hash = config->hash;
	cluster_view_voters_set(&v->voters, self->node, epoch_of(self));
	v->site_count = config->site_count;
	for (uint32_t s = 0; s < config->site_count; s++)
		v->site[s].host.node = VIEW_NONE;
	v->production_site = (int32_t)first->site;
	v->production_node = VIEW_NONE;
	v->history.count = 1;
	v->history.entry[0] = *first;
	v->promise = v->wanted = promise_of_config(config);
	/* Without corosync its times are not known. The first round lets the lease grow to
	 * the length that they need (plan.c), before any promotion. */
	v->lease_ms = self->lease_ms != 0 ? self->lease_ms : LEASE_MS_MIN;
	v->drift_ms = self->drift_ms != 0 ? self->drift_ms : v->lease_ms / 10;
}

size_t cluster_first_voter(const struct config *config, const struct cluster_self *self,
			   const struct uuid *mirror, const struct uuid *lineage,
			   const struct generation *first, uint8_t *data)
{
	struct voter v = {
		.counter = 1,
		.mirror = *mirror,
		.node = self->node,
		.epoch = epoch_of(self),
		.has_accepted = true,
		.has_in_effect = true,
	};

	fill(config, self, mirror, lineage, first, &v.accepted);
	v.in_effect = v.accepted;
	v.promised = v.accepted.ballot;
	return cluster_voter_encode(config, &v, data);
}
