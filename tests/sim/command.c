/* command.c - commands to a process: of an operator, and of a planned move that he has begun,
 * around whose core the work of agent/switch.c is played. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cluster/internal.h"
#include "tests/sim/sim.h"

static bool listens(const struct sim *w, uint32_t node)
{
	return w->command_count + 1 < SIM_COMMANDS_MAX && w->node[node].running &&
	       w->now_ns >= w->node[node].frozen_until_ns;
}

static void command(struct sim *w, uint32_t node, struct cluster_command *c)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = c };

	sim_trace(w, "n%u command %d%s", node + 1, c->type, c->force ? " --force" : "");
	sim_cluster_step(w, node, &e);
}

/* ---- a planned move ------------------------------------------------------------------ */

static void look_at(struct sim *w, uint32_t node, uint64_t at_ns)
{
	w->node[node].move.look_at_ns = at_ns;
	if (at_ns != 0)
		sim_at(w, sim_time_of(w, node, at_ns), SIM_MOVE_DUE, node, at_ns, NULL);
}

static void ended(struct sim *w, uint32_t node, int32_t exit_status, const char *text)
{
	struct sim_move *m = &w->node[node].move;
	struct sim_reply *r = &w->reply[m->core.id];

	m->look_at_ns = 0;
	r->done = true;
	r->exit_status = exit_status;
	snprintf(r->text, sizeof r->text, "%s", text);
	sim_trace(w, "n%u MOVE ends %d: %s", node + 1, exit_status, text);
}

static void act(struct sim *w, uint32_t node, struct cluster_move_action *a)
{
	struct cluster_event give_up = { .type = CLUSTER_EVENT_GIVE_UP,
					 .command_id = w->node[node].move.core.id };

	switch (a->type) {
	case MOVE_ACTION_LOOK:
		look_at(w, node, a->look_at_ns);
		break;
	case MOVE_ACTION_COMMAND:
		look_at(w, node, a->look_at_ns);
		command(w, node, &a->command);
		break;
	case MOVE_ACTION_GIVE_UP:
		sim_cluster_step(w, node, &give_up);
		break;
	case MOVE_ACTION_END:
		ended(w, node, a->exit_status, a->text);
		break;
	case MOVE_ACTION_CALLED_OFF:
		ended(w, node, 1, "called off");
		break;
	case MOVE_ACTION_NONE:
		break;
	}
}

static void step(struct sim *w, uint32_t node, struct cluster_move_event *e)
{
	static struct cluster_status status;
	struct cluster_move_action a;
	struct sim_node *n = &w->node[node];
	char text[512];

	e->now_ns = sim_clock(w, node);
	e->near = cluster_switch_check(
		n->core, e->type == MOVE_EVENT_BEGIN ? e->begin.site : n->move.core.site,
		text, sizeof text);
	e->near_text = text;
	cluster_status_get(n->core, e->now_ns, &status);
	e->status = &status;
	e->answered_ns = n->move.answered_ns;
	cluster_move_step(&n->move.core, e, &a);
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->moved != NULL)
			sim_checkers[i]->moved(w, node, e, &a);
	act(w, node, &a);
}

uint64_t sim_move_begin(struct sim *w, uint32_t node, uint32_t site, uint32_t wait_ms,
			uint64_t gone_ns)
{
	struct cluster_move_event e = { .type = MOVE_EVENT_BEGIN,
					.begin = { 0, site, wait_ms, MOVE_WHOLE } };

	if (!listens(w, node) || w->node[node].move.core.state != MOVE_NONE)
		return 0;
	e.begin.id = ++w->command_count;
	sim_trace(w, "n%u MOVE to site %u, within %u ms", node + 1, site, wait_ms);
	if (gone_ns != 0)
		sim_at(w, w->now_ns + gone_ns, SIM_MOVE_DUE, node, SIM_DUE_GONE, NULL);
	step(w, node, &e);
	return e.begin.id;
}

static void move_demoted(struct sim *w, uint32_t node)
{
	struct cluster_move_event e = { .type = MOVE_EVENT_DEMOTED };

	if (w->node[node].move.core.state != MOVE_NONE)
		step(w, node, &e);
}

void sim_move_due(struct sim *w, uint32_t node, uint64_t number)
{
	struct sim_move *m = &w->node[node].move;
	struct cluster_move_event e = { .type = MOVE_EVENT_LOOK };

	if (m->core.state == MOVE_NONE)
		return;
	if (number == SIM_DUE_GONE) {
		e.type = MOVE_EVENT_GONE;
	} else if (number == SIM_DUE_REPLY) {
		e.type = MOVE_EVENT_REPLY;
		e.reply.exit_status = m->exit_status;
		e.reply.text = m->text;
	} else if (number != m->look_at_ns) {
		return;
	}
	step(w, node, &e);
}

/* It is told once the core has ended its step. */
bool sim_move_reply(struct sim *w, uint32_t node, const struct cluster_action *a)
{
	struct sim_move *m = &w->node[node].move;

	if (m->core.state == MOVE_NONE || a->command_id != m->core.id)
		return false;
	m->exit_status = a->exit_status;
	memcpy(m->text, a->text, sizeof m->text);
	sim_at(w, w->now_ns, SIM_MOVE_DUE, node, SIM_DUE_REPLY, NULL);
	return true;
}

void sim_move_fact(struct sim *w, uint32_t node, const struct fact *f)
{
	if (f->type == FACT_DEMOTED)
		w->node[node].move.answered_ns = f->age_ms == UINT64_MAX ?
							 0 :
							 sim_clock(w, node) -
								 f->age_ms * SIM_MS;
}

bool sim_move_manages(const struct sim *w, uint32_t node)
{
	const struct sim_move *m = &w->node[node].move;

	return m->manages && m->core.state >= MOVE_DEMOTE;
}

/* ---- from outside ---------------------------------------------------------------------- */

uint64_t sim_operator(struct sim *w, uint32_t node, const struct cluster_command *asked)
{
	struct cluster_command c = *asked;

	if (!listens(w, node))
		return 0;
	c.id = ++w->command_count;
	if (c.type == CLUSTER_COMMAND_DEMOTE || c.type == CLUSTER_COMMAND_STOP)
		move_demoted(w, node);
	command(w, node, &c);
	return c.id;
}

uint64_t sim_command(struct sim *w, uint32_t node, enum cluster_command_type type,
		     bool force, int32_t site)
{
	const struct cluster_command c = { .type = type, .site = site, .force = force };

	return sim_operator(w, node, &c);
}

void sim_mode(struct sim *w, uint32_t node, struct promise promise)
{
	const struct cluster_command c = { .type = CLUSTER_COMMAND_MODE,
					   .promise = promise };

	sim_operator(w, node, &c);
}
