/* node.h - the only bridge between the two cores.
 *
 * Steps the members' core with the events of cpg, quorum, the fencer, the voter file, the
 * I/O thread and the operator, and carries out its actions: messages, the voter file,
 * orders to the I/O thread, answers, events. It decides only the order of three things:
 * devices are attached once production serves; a promotion is answered only then; and
 * devices are detached before a demotion or a stop begins, so that the data that they hold
 * back is written.
 *
 * Source: docs/rules.md ("Shape"); docs/join.md.
 */
#ifndef AGENT_NODE_H
#define AGENT_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/events.h"
#include "agent/paths.h"
#include "agent/status.h"
#include "cluster/cluster.h"
#include "common/config.h"
#include "common/order.h"

struct qb_loop;
struct agent_last_run;
struct agent_node;
struct agent_protection;

struct agent_node_owner {
	/* Command `id` ended; CLI's exit status. May give further commands. */
	void (*reply)(void *owner, uint64_t id, int exit_status, const char *text);
	/* Answers agent_node_status(), all that were asked since the last one. */
	void (*status)(void *owner, const struct status_input *status);
	/* The site's devices were opened, or could not be (-errno, and the reason):
	 * the first time that this was tried. */
	void (*opened)(void *owner, int error, const char *text);
	/* This process cannot go on: corosync is lost, or the I/O thread hangs. */
	void (*failed)(void *owner, const char *text);
	void *owner;
};

struct agent_node_setup {
	struct qb_loop *loop;
	const struct config *config; /* these outlive the node */
	const struct agent_instance *instance;
	uint32_t self; /* index in config->node */
	struct agent_events *events;
	struct agent_protection *protections;  /* the pool's is filled when we serve */
	const struct agent_last_run *last_run; /* for the status */
	uint32_t socket_count;                 /* io_driver.h: that listen already */
	struct agent_node_owner owner;
};

/* Read the voter file, start the I/O thread, connect to corosync and begin to join.
 * Returns 0 and `*node`, or -errno and a sentence:
 *   -EBADMSG       the voter file is damaged or another mirror's
 *   -ECONNREFUSED  corosync does not run
 *   else           as the parts' (io_thread.h, cpg_driver.h, quorum_driver.h) */
int agent_node_open(const struct agent_node_setup *setup, struct agent_node **node,
		    char *text, size_t text_size);

/* Begin a command; `reply` follows, now or later, exactly once. */
void agent_node_command(struct agent_node *n, const struct cluster_command *command);

/* The time of command `id` is over. A promotion is called off where it still can be:
 * `reply` then comes within the call. */
void agent_node_give_up(struct agent_node *n, uint64_t id);

/* A fencing of the node `name` was confirmed, by Pacemaker or by the operator.
 * Returns 0, or -ENOENT: no such node in the configuration. */
int agent_node_fenced(struct agent_node *n, const char *name);

/* Tell the other hosts this line of our event log, in which it is one of ours (news.h). False:
 * not now, for Corosync takes no messages, or the group is not joined yet; without a cluster,
 * the line is not up, or the host there cannot be told. Not within a callback of the node's. */
bool agent_node_tell(struct agent_node *n, const char *object, const char *text,
		     const char *rule);

/* Ask for the status; answered within two seconds, if need be without the I/O
 * thread's part. */
void agent_node_status(struct agent_node *n);

/* Hand a copy of `o` to the I/O thread, beside the orders of the members' core:
 * ORDER_FAIL_FROZEN, so that a detach or demotion can end, or ORDER_THROTTLE. */
void agent_node_order(struct agent_node *n, const struct order *o);

/* Does a device of ours not answer? Then `text` names it, says for how long,
 * and how that affects a release. */
bool agent_node_hangs(const struct agent_node *n, char *text, size_t text_size);

/* The members' part alone, at once. */
void agent_node_members_get(const struct agent_node *n, struct cluster_status *status);

/* May production be moved to `site` now: cluster_switch_check(). */
int agent_node_switch_check(const struct agent_node *n, uint32_t site, char *text,
			    size_t text_size);

/* When the production that ended here last has answered its last write or flush
 * (CLOCK_BOOTTIME); 0: none did. */
uint64_t agent_node_answered_ns(const struct agent_node *n);

/* The sentence of cluster_quorum_judge(), or "". */
const char *agent_node_votes_text(const struct agent_node *n);

/* Ends the I/O thread and leaves the group. NULL is fine. */
void agent_node_close(struct agent_node *n);

#endif
