/* switch.h - `hamirror switch`: cluster/move.h decides, this brings it the time, the node's
 * state and the replies, and carries its actions out. */
#ifndef AGENT_SWITCH_H
#define AGENT_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/node.h"
#include "cluster/move.h"

struct agent_switch;

struct agent_switch_owner {
	/* It ended. `stall_ms`: from the last write that was answered here until the new
	 * production was seen to serve; -1: there is none. */
	void (*ended)(void *owner, uint64_t id, int exit_status, int64_t stall_ms,
		      const char *text);
	void *owner;
};

/* NULL when memory is short. */
struct agent_switch *agent_switch_open(struct qb_loop *loop, const struct config *config,
				       const struct agent_switch_owner *owner);
void agent_switch_close(struct agent_switch *s);

/* Move production to `site`; the catch-up may take `wait_ms`. Commands get `id`. `ended`
 * follows, perhaps within the call. */
void agent_switch_begin(struct agent_switch *s, struct agent_node *node, uint64_t id,
			uint32_t site, uint32_t wait_ms, enum cluster_move_part part);
/* The node's reply to a command of ours. */
void agent_switch_reply(struct agent_switch *s, int exit_status, const char *text);
/* Another command is given to the node. */
void agent_switch_other(struct agent_switch *s, enum cluster_command_type type);
/* The client that asked for it has gone. True: it is called off. */
bool agent_switch_gone(struct agent_switch *s);
/* The one under way, or 0. */
uint64_t agent_switch_id(const struct agent_switch *s);

#endif
