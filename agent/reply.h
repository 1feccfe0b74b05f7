/* reply.h - answers of the control socket that hold more than a sentence (docs/control.md). */
#ifndef AGENT_REPLY_H
#define AGENT_REPLY_H

#include <jansson.h>

#include "agent/control.h"
#include "agent/node.h"
#include "agent/status.h"

/* `why` and `status`: answered to the client. */
void agent_reply_why(struct agent_client *c, const struct status_input *status);
void agent_reply_status(struct agent_client *c, const struct status_input *status);

/* After a demotion: the sites that may be promoted now. The caller's. */
json_t *agent_reply_demoted(const struct agent_node *node, const struct config *config);

/* The sentence for a command that has run out of time: the cause that it still waits for. */
void agent_reply_late(const struct agent_node *node, char *text, size_t size);
/* A line of `events`, to a struct agent_client. */
void agent_reply_event(void *client, const struct agent_event *event);

#endif
