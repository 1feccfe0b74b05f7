/* demote.c - the end of production here, and the commands that wait.
 *
 *   command      while it serves           else
 *   DEMOTE       ORDER_DEMOTE, then a      a promotion under way is called off;
 *                  view that says so, then    then REPLY
 *                  REPLY
 *   PROMOTE      REPLY                      promote.c; called off when its time
 *                                             is over
 *   STOP         as DEMOTE, then close,     close, RELEASE, a view without our
 *                  RELEASE, REPLY             vote if another serves, REPLY
 *   CONNECT,     a view that says so,       refused: names the production host
 *   DISCONNECT     then REPLY
 *   CONNECT      refused: production keeps     undo.c
 *     --discard    what it has
 *   REFRESH      ORDER_REFRESH, then the    likewise
 *                  REPLY that FACT_REFRESH
 *                  says
 *
 * A view may be out of reach (no quorum): demote and stop end without it after a
 * time, since nothing is answered here any more; the members hear of it when they
 * can, and wait for this node's lease until then.
 */
#include <stdio.h>

#include "cluster/internal.h"

/* ---- the commands that wait ------------------------------------------------------ */

void cluster_command_end(struct cluster_core *c, struct command *w, int32_t exit_status,
			 const char *text)
{
	w->used = false;
	cluster_reply(c, w->id, exit_status, "%s", text);
}

/* A free place. If there is none, the place of the oldest command of the same kind: its
 * caller has asked again. */
static struct command *command_place(struct cluster_core *c,
				     enum cluster_command_type type)
{
	struct command *oldest = NULL;

	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *w = &c->command[i];

		if (!w->used)
			return w;
		if (w->type == type && (oldest == NULL || w->begun_ns < oldest->begun_ns))
			oldest = w;
	}
	if (oldest != NULL)
		cluster_command_end(c, oldest, 1, "asked again by a later command");
	return oldest;
}

struct command *cluster_command_add(struct cluster_core *c,
				    const struct cluster_command *command, uint32_t sites)
{
	struct command *w = command_place(c, command->type);

	if (w == NULL) {
		cluster_reply(c, command->id, 1,
			      "too many commands wait already: try again");
		return NULL;
	}
	*w = (struct command){
		.type = command->type,
		.id = command->id,
		.begun_ns = c->now_ns,
		.sites = sites,
		.wait_ms = command->wait_ms != 0 ? command->wait_ms :
						   c->config->frozen_timeout_ms,
		.used = true,
	};
	return w;
}

void cluster_command_refreshed(struct cluster_core *c, const struct fact *f)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *w = &c->command[i];

		if (w->used && w->type == CLUSTER_COMMAND_REFRESH &&
		    w->order_id == f->order_id)
			cluster_command_end(c, w, f->error == 0 ? 0 : 1, f->text);
	}
}

void cluster_command_reply_all(struct cluster_core *c, enum cluster_command_type type,
			       int32_t exit_status, const char *text)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++)
		if (c->command[i].used && c->command[i].type == type)
			cluster_command_end(c, &c->command[i], exit_status, text);
}

void cluster_command_give_up(struct cluster_core *c, uint64_t id)
{
	struct command *mine = NULL;
	bool others = false;
	char text[320];

	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *w = &c->command[i];

		if (!w->used || w->type != CLUSTER_COMMAND_PROMOTE)
			continue;
		if (w->id == id)
			mine = w;
		else
			others = true;
	}
	if (mine == NULL || c->promote.state == PROMOTE_START)
		return;
	if (others) {
		cluster_command_end(
			c, mine, 1,
			"not promoted in the time given; it goes on, since another "
			"command waits for it");
		return;
	}
	snprintf(text, sizeof text, "not promoted in the time given%s%s: called off",
		 c->promote.wait_text[0] != 0 ? ", " : "", c->promote.wait_text);
	cluster_tell(c, "mirror", c->config->mirror, "", "%s", text);
	cluster_promote_end(c, 1, text);
}

static bool is_waiting(const struct cluster_core *c, const struct command *w)
{
	return c->quorate && c->now_ns < w->begun_ns + DECIDE_NS;
}

bool cluster_command_waits_view(const struct cluster_core *c)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++)
		if (c->command[i].used && is_waiting(c, &c->command[i]) &&
		    (c->command[i].type == CLUSTER_COMMAND_DEMOTE ||
		     c->command[i].type == CLUSTER_COMMAND_STOP))
			return true;
	return false;
}

/* ---- demote --------------------------------------------------------------------------- */

void cluster_demote_command(struct cluster_core *c, const struct cluster_command *command)
{
	if (command->type == CLUSTER_COMMAND_STOP)
		c->stopping = true;
	if (c->promote.state != PROMOTE_NONE && c->promote.state != PROMOTE_START)
		cluster_promote_end(c, 1, "called off by a demote");
	cluster_command_add(c, command, 0);
}

/* Does a command wait for the end of production? `*wait_ms` gets the shortest wait. */
static bool is_asked(const struct cluster_core *c, uint32_t *wait_ms)
{
	bool asked = false;

	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		const struct command *w = &c->command[i];

		if (!w->used || (w->type != CLUSTER_COMMAND_DEMOTE &&
				 w->type != CLUSTER_COMMAND_STOP))
			continue;
		if (!asked || w->wait_ms < *wait_ms)
			*wait_ms = w->wait_ms;
		asked = true;
	}
	return asked;
}

void cluster_demote_fact(struct cluster_core *c, const struct fact *f)
{
	struct role *r = &c->role;

	if (r->serve != SERVE_DEMOTING || f->order_id != r->demote_id)
		return;
	r->demoted = true;
	r->demoted_clean = f->clean;
	r->demoted_waited = true;
	r->demoted_end = f->marks.logged;
	r->demoted_incarnation = r->incarnation;
	r->demoted_generation = r->generation;
	r->marks = f->marks;
	cluster_copies_reset(c);
	cluster_role_set_serve(c, SERVE_NONE);
	/* Commands wait for the view from now on, not from the drain. */
	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		c->command[i].begun_ns = c->now_ns;
		c->command[i].demoted = true;
	}
	snprintf(r->demoted_text, sizeof r->demoted_text, "%s", f->text);
	cluster_tell(c, "mirror", c->config->mirror,
		     f->clean ? "D4-demoted-clean" : "D4-demoted-unclean",
		     "%s is demoted%s%s%s; its log ends with sequence %llu",
		     cluster_node_name(c, (int32_t)c->self.node),
		     f->clean ? ", drained" : ", not drained: what was frozen has failed",
		     f->text[0] != 0 ? ": " : "", f->text,
		     (unsigned long long)f->marks.logged);
}

static void end_demote(struct cluster_core *c, struct command *w)
{
	const struct role *r = &c->role;
	char text[256];

	if (r->serve >= SERVE_STARTING || (r->demoted && is_waiting(c, w)))
		return;
	if (r->demoted)
		snprintf(text, sizeof text,
			 "demoted here; the members do not know it yet: %s",
			 c->quorate ? "no view was agreed in time" : "no quorum");
	else if (w->demoted)
		snprintf(text, sizeof text,
			 "demoted%s%s%.150s; its log ends with sequence %llu",
			 r->demoted_clean ? ", drained" :
					    ", not drained: what was frozen has failed",
			 r->demoted_text[0] != 0 ? ": " : "", r->demoted_text,
			 (unsigned long long)r->demoted_end);
	else
		snprintf(text, sizeof text, "this node is not production");
	cluster_command_end(c, w, 0, text);
}

static void end_stop(struct cluster_core *c, struct command *w)
{
	const struct role *r = &c->role;

	if (r->serve != SERVE_NONE || r->devices != DEVICES_CLOSED ||
	    (r->demoted && is_waiting(c, w)))
		return;
	/* Our own release comes back to us when it has reached the others. */
	if (c->release_due && is_waiting(c, w))
		return;
	/* The members that stay must first agree to do without our vote. */
	if (cluster_plan_awaits_leave(c) && is_waiting(c, w))
		return;
	/* The last member to leave is the only one that knows the others' releases. */
	if ((c->voter_dirty || c->persisting) && !c->persist_failed &&
	    c->now_ns < w->begun_ns + DECIDE_NS)
		return;
	cluster_command_end(c, w, 0, "released what was hosted here");
}

/* ---- copies by command --------------------------------------------------------------------- */

static uint32_t sites_of(const struct cluster_core *c,
			 const struct cluster_command *command)
{
	const uint32_t all = ((1u << c->config->site_count) - 1) & ~(1u << c->role.site);

	if (command->site < 0)
		return all;
	if (command->site >= (int32_t)c->config->site_count)
		return 0;
	return all & 1u << command->site;
}

void cluster_command_site(struct cluster_core *c, const struct cluster_command *command)
{
	const uint32_t sites = sites_of(c, command);
	const int32_t serving = cluster_status_serving_node(c);
	struct command *w;
	struct order *o;

	if (command->type == CLUSTER_COMMAND_CONNECT && c->role.serve != SERVE_SERVING &&
	    (command->discard || c->role.undo_text[0] != 0)) {
		cluster_undo_command(c, command);
		return;
	}
	if (command->discard) {
		cluster_reply(
			c, command->id, 1,
			"this node is production and keeps what it has: say this on "
			"the host of the site that is to give up what it wrote");
		return;
	}
	if (c->role.serve != SERVE_SERVING) {
		cluster_reply(c, command->id, 1, "only production's host does that: %s",
			      serving == VIEW_NONE ? "none serves at this moment" :
						     cluster_node_name(c, serving));
		return;
	}
	if (sites == 0) {
		cluster_reply(c, command->id, 1, "%s is production's own site, no copy",
			      cluster_site_name(c, (int32_t)c->role.site));
		return;
	}
	w = cluster_command_add(c, command, sites);
	if (w == NULL)
		return;
	if (command->type == CLUSTER_COMMAND_REFRESH) {
		o = cluster_order(c, ORDER_REFRESH);
		o->sites = sites;
		o->inconsistent = command->inconsistent;
		w->order_id = o->id;
	} else if (command->type == CLUSTER_COMMAND_CONNECT) {
		c->connect_wanted |= sites;
		c->disconnect_wanted &= ~sites;
	} else {
		c->disconnect_wanted |= sites;
		c->connect_wanted &= ~sites;
	}
}

static void end_site(struct cluster_core *c, struct command *w)
{
	const struct view *v = cluster_vote_in_effect(c);
	const bool out = w->type == CLUSTER_COMMAND_DISCONNECT;
	uint32_t *wanted = out ? &c->disconnect_wanted : &c->connect_wanted;

	if ((v->disconnected & w->sites) == (out ? w->sites : 0)) {
		*wanted &= ~w->sites;
		cluster_command_end(
			c, w, 0,
			out ? "put out: writes go on without it and are tracked" :
			      "allowed again");
	} else if (c->role.serve != SERVE_SERVING || !is_waiting(c, w)) {
		*wanted &= ~w->sites;
		cluster_command_end(c, w, 1, "the members could not agree on it in time");
	}
}

static void end_order(struct cluster_core *c, struct command *w)
{
	if (c->now_ns >= w->begun_ns + DECIDE_NS)
		cluster_command_end(c, w, 1, "the I/O thread did not answer in time");
}

void cluster_demote_pump(struct cluster_core *c)
{
	struct order *o;
	uint32_t wait_ms = 0;

	if (c->role.serve == SERVE_SERVING && is_asked(c, &wait_ms)) {
		o = cluster_order(c, ORDER_DEMOTE);
		o->wait_ms = wait_ms;
		c->role.demote_id = o->id;
		cluster_role_set_serve(c, SERVE_DEMOTING);
	}
	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *w = &c->command[i];

		if (!w->used)
			continue;
		cluster_wake(c, w->begun_ns + DECIDE_NS > c->now_ns ?
					w->begun_ns + DECIDE_NS :
					c->now_ns + TICK_NS);
		switch (w->type) {
		case CLUSTER_COMMAND_DEMOTE:
			end_demote(c, w);
			break;
		case CLUSTER_COMMAND_STOP:
			end_stop(c, w);
			break;
		case CLUSTER_COMMAND_CONNECT:
		case CLUSTER_COMMAND_DISCONNECT:
			if (w->order_id != 0)
				end_order(c, w);
			else
				end_site(c, w);
			break;
		case CLUSTER_COMMAND_REFRESH:
			end_order(c, w);
			break;
		case CLUSTER_COMMAND_PROMOTE:
			break;
		}
	}
}
