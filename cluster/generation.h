/* generation.h - the parts of a promotion: the view that it proposes, and what it may lose. */
#ifndef CLUSTER_GENERATION_H
#define CLUSTER_GENERATION_H

#include "cluster/internal.h"

static inline uint32_t cluster_own_site(const struct cluster_core *c)
{
	return (uint32_t)c->config->node[c->self.node].site;
}

/* ---- generation.c ---- */

/* May site `s` have records that our log lacks, and be asked for them? */
bool cluster_generation_source(const struct cluster_core *c, const struct view *best,
			       uint32_t s, bool force);
void cluster_generation_sources(struct cluster_core *c, const struct view *best,
				struct order *o);
/* D8, as the engine will judge it (mirror/line/history.c): does a log whose newest generation is
 * `newest`, and which ends with `last`, go on with the view's chain, and to which sequence
 * is it kept? False: it is not promoted unforced, since the chain does not know its
 * generation, or a force gave up some of it. */
bool cluster_generation_keeps(const struct view *v, const struct uuid *newest,
			      uint64_t last, uint64_t *keep);
/* Does the host's log hold all up to the clean end, after the cut that its engine would make?
 * Its last sequence alone does not tell: it counts records that a later generation has cut
 * off, and would invite a promotion that the engine refuses. */
bool cluster_generation_reaches_end(const struct view *v, const struct announce *host);
/* Fill `round.next` from FACT_PREPARED. */
void cluster_generation_fill(struct cluster_core *c, const struct fact *f);
/* D2, by force: `v` is of a lineage of those that are here. */
void cluster_generation_force(struct cluster_core *c, struct view *v);

/* ---- promote_text.c ---- */

/* This site may not be promoted by `v`: why, and what a force would lose. */
void cluster_promote_outdated(const struct cluster_core *c, const struct view *v,
			      char *text, size_t size);
/* The promotion under way: what it may lose, for its reply. */
void cluster_promote_name_loss(struct cluster_core *c);

#endif
