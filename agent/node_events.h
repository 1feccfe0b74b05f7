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

/* A CLUSTER_ACTION_EVENT: every member's core has it, or has told it to us. */
void agent_core_event(struct agent_events *events, const struct cluster_action *a);

#endif
