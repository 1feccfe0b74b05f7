/* request.h - the requests of docs/control.md: from JSON to a command, and from the
 * command's result to the answer.
 */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "agent/control.h"
#include "agent/events.h"
#include "agent/node.h"

struct agent_requests;

struct agent_requests_setup {
	struct qb_loop *loop;
	const struct config *config;
	const struct agent_instance *instance;
	struct agent_events *events;
	/* `stop` was answered: the process is to end. */
	void (*stopped)(void *owner);
	void *owner;
};

/* All outlive it. NULL when memory is short. */
struct agent_requests *agent_requests_open(const struct agent_requests_setup *setup);

/* The node that carries out the commands; given after both are open. */
void agent_requests_set_node(struct agent_requests *r, struct agent_node *node);

/* For struct agent_control_owner. */
void agent_requests_request(void *requests, struct agent_client *c, json_t *request);
void agent_requests_gone(void *requests, struct agent_client *c);

/* For struct agent_node_owner. */
void agent_requests_reply(void *requests, uint64_t id, int exit_status, const char *text);
void agent_requests_status(void *requests, const struct status_input *status);

/* Stop without a client (a signal): `stopped` follows, within a bounded time. */
void agent_requests_stop(struct agent_requests *r);

/* Every client must be closed before. NULL is fine. */
void agent_requests_close(struct agent_requests *r);

#endif
