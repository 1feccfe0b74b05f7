/* reach.h - which sites' disks this node can reach (docs/sources.md, paper
 * 003, Fig. 4, 74).
 *
 * Paths prove nothing: both sites may well call their devices by the same name. A
 * site is reached when its writelog is there, says that it is that site's, and its
 * disks are there too. Nothing is held open.
 */
#ifndef AGENT_REACH_H
#define AGENT_REACH_H

#include "cluster/cluster.h"
#include "common/config.h"

/* Fill self->reach, and for self->node's own site self->disk_bytes. If that site is not
 * reached, self->reach_text names the missing thing and the way to make it, and
 * self->reach_later says whether it may come by itself. */
void agent_reach_fill(const struct config *config, struct cluster_self *self);

#endif
