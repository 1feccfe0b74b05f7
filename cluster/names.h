/* names.h - which node of the configuration Corosync and Pacemaker mean.
 *
 * The configuration, `uname -n` and Corosync's nodelist may spell a node in different
 * ways; Pacemaker calls it as the nodelist does, and compares without case. A fencing
 * of a node that nobody recognizes would be lost, one that is taken for another node's
 * would cost data: a spelling counts where it can mean one node only.
 *
 * Source: Pacemaker's lib/cluster/membership.c and corosync.c; corosync.conf(5), nodelist.
 */
#ifndef CLUSTER_NAMES_H
#define CLUSTER_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

#define CLUSTER_NAMES_MAX 128u
#define CLUSTER_NAME_BYTES 256u

/* Corosync's nodelist; a node without a name is not in it. */
struct cluster_names {
	uint32_t count;
	struct {
		uint32_t nodeid;
		char name[CLUSTER_NAME_BYTES];
	} entry[CLUSTER_NAMES_MAX];
};

/* The node of `config` that Pacemaker calls `name`: the node of this name, in any case;
 * else the node with the same name up to the first dot, where the nodelist and the
 * configuration have one such node each. -1: none. */
int32_t cluster_names_find(const struct cluster_names *names, const struct config *config,
			   const char *name);

/* The name of Corosync's node `nodeid`, NULL: it has none. */
const char *cluster_names_of(const struct cluster_names *names, uint32_t nodeid);

#endif
