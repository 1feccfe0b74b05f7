/* node_events.h - facts of the I/O side and actions of the core as lines of the event log. */
#ifndef AGENT_NODE_EVENTS_H
#define AGENT_NODE_EVENTS_H

#include "agent/events.h"
#include "cluster/cluster.h"
#include "common/config.h"
#include "common/fact.h"

/* "KIND SITE KEY:WORD TEXT", of a fact about its site. */
void agent_site_event(struct agent_events *events, const struct config *config,
		      const char *kind, const char *key, const char *word,
		      const struct fact *fact);

/* A FACT_EVENT. The engine calls a site by its name alone. */
void agent_engine_event(struct agent_events *events, const struct config *config,
			const struct fact *fact);

/* A line of the log of another host, without a cluster: as those that members tell. */
void agent_heard_event(struct agent_events *events, const struct config *config,
		       const struct fact *fact);

/* Is `object` the link to another site than that of node `self`, or such a site? Without a
 * cluster its host knows by itself, and the link may be down for long. */
bool agent_is_of_other_site(const struct config *config, uint32_t self,
			    const char *object);

/* A CLUSTER_ACTION_EVENT: every member's core has it, or has told it to us. Without a cluster
 * it is the outcome of a command here, or the other host sees it at the line. */
void agent_core_event(struct agent_events *events, const struct cluster_action *a);

#endif
