/* switch.c - see switch.h. */
#include "agent/switch.h"

#include <stdlib.h>
#include <time.h>
#include <qb/qbloop.h>

#include "common/clock_driver.h"

struct agent_switch {
	struct qb_loop *loop;
	struct agent_switch_owner owner;
	struct agent_node *node;
	struct cluster_move move;
	struct cluster_status status;
	bool timed;
	qb_loop_timer_handle timer;
};

static void due(void *data);

static void stop_looking(struct agent_switch *s)
{
	if (s->timed)
		qb_loop_timer_del(s->loop, s->timer);
	s->timed = false;
}

static void look_at(struct agent_switch *s, uint64_t at_ns, uint64_t now_ns)
{
	stop_looking(s);
	if (at_ns != 0)
		s->timed = qb_loop_timer_add(s->loop, QB_LOOP_HIGH,
					     at_ns > now_ns ? at_ns - now_ns : 0, s, due,
					     &s->timer) == 0;
}

/* Commands and the end may lead to the next event before they return: they come last. */
static void step(struct agent_switch *s, struct cluster_move_event *e)
{
	struct cluster_move_action a;
	char text[512];

	e->now_ns = common_clock_ns(CLOCK_BOOTTIME);
	e->near = agent_node_switch_check(
		s->node, e->type == MOVE_EVENT_BEGIN ? e->begin.site : s->move.site, text,
		sizeof text);
	e->near_text = text;
	agent_node_members_get(s->node, &s->status);
	e->status = &s->status;
	e->answered_ns = agent_node_answered_ns(s->node);
	cluster_move_step(&s->move, e, &a);
	switch (a.type) {
	case MOVE_ACTION_LOOK:
		look_at(s, a.look_at_ns, e->now_ns);
		break;
	case MOVE_ACTION_COMMAND:
		look_at(s, a.look_at_ns, e->now_ns);
		agent_node_command(s->node, &a.command);
		break;
	case MOVE_ACTION_GIVE_UP:
		agent_node_give_up(s->node, s->move.id);
		break;
	case MOVE_ACTION_END:
		stop_looking(s);
		s->owner.ended(s->owner.owner, s->move.id, a.exit_status, a.stall_ms,
			       a.text);
		break;
	case MOVE_ACTION_CALLED_OFF:
		stop_looking(s);
		break;
	case MOVE_ACTION_NONE:
		break;
	}
}

static void due(void *data)
{
	struct agent_switch *s = data;
	struct cluster_move_event e = { .type = MOVE_EVENT_LOOK };

	s->timed = false;
	step(s, &e);
}

/* ---- from outside ------------------------------------------------------------------ */

void agent_switch_begin(struct agent_switch *s, struct agent_node *node, uint64_t id,
			uint32_t site, uint32_t wait_ms, enum cluster_move_part part)
{
	struct cluster_move_event e = { .type = MOVE_EVENT_BEGIN,
					.begin = { id, site, wait_ms, part } };

	s->node = node;
	step(s, &e);
}

void agent_switch_reply(struct agent_switch *s, int exit_status, const char *text)
{
	struct cluster_move_event e = { .type = MOVE_EVENT_REPLY,
					.reply = { exit_status, text } };

	step(s, &e);
}

void agent_switch_other(struct agent_switch *s, enum cluster_command_type type)
{
	struct cluster_move_event e = { .type = MOVE_EVENT_DEMOTED };

	if (agent_switch_id(s) != 0 &&
	    (type == CLUSTER_COMMAND_DEMOTE || type == CLUSTER_COMMAND_STOP))
		step(s, &e);
}

bool agent_switch_gone(struct agent_switch *s)
{
	struct cluster_move_event e = { .type = MOVE_EVENT_GONE };

	step(s, &e);
	return agent_switch_id(s) == 0;
}

uint64_t agent_switch_id(const struct agent_switch *s)
{
	return s->move.state != MOVE_NONE ? s->move.id : 0;
}

struct agent_switch *agent_switch_open(struct qb_loop *loop, const struct config *config,
				       const struct agent_switch_owner *owner)
{
	struct agent_switch *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->owner = *owner;
	cluster_move_init(&s->move, config);
	return s;
}

void agent_switch_close(struct agent_switch *s)
{
	if (s != NULL)
		stop_looking(s);
	free(s);
}
