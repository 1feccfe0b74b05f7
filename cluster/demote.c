/* demote.c - the end of production here, for a demote or a stop (commands.c).
 *
 * The view that says so may be out of reach (no quorum): demote and stop end without it
 * after a time, since nothing is answered here any more; the members hear of it when they
 * can, and wait for this node's lease until then.
 */
#include <stdio.h>

#include "cluster/commands.h"

void cluster_demote_command(struct cluster_core *c, const struct cluster_command *command)
{
	if (command->type == CLUSTER_COMMAND_STOP)
		c->stopping = true;
	if (c->promote.state != PROMOTE_NONE && c->promote.state != PROMOTE_START)
		cluster_promote_end(c, 1, "called off by a demote");
	cluster_command_add(c, command,
			    command->type == CLUSTER_COMMAND_DEMOTE ?
				    cluster_site_bit(c, command->site) :
				    0);
}

/* Does a command wait for the end of production? `*wait_ms` gets the shortest wait, and
 * `*sites` the one that is to follow. */
static bool is_asked(const struct cluster_core *c, uint32_t *wait_ms, uint32_t *sites)
{
	bool asked = false;

	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		const struct command *w = &c->command[i];

		if (!w->used || (w->type != CLUSTER_COMMAND_DEMOTE &&
				 w->type != CLUSTER_COMMAND_STOP))
			continue;
		if (!asked || w->wait_ms < *wait_ms)
			*wait_ms = w->wait_ms;
		*sites = asked && *sites != w->sites ? 0 : w->sites;
		asked = true;
	}
	return asked;
}

void cluster_demote_fact(struct cluster_core *c, const struct fact *f)
{
	struct role *r = &c->role;

	if (r->serve != SERVE_DEMOTING || f->order_id != r->demote_id)
		return;
	if (f->error != 0) {
		cluster_role_set_serve(c, SERVE_SERVING);
		cluster_tell(c, "mirror", c->config->mirror, "M5-serves-on",
			     "not demoted: %s", f->text);
		for (uint32_t i = 0; i < COMMANDS_MAX; i++)
			if (c->command[i].used && c->command[i].sites != 0 &&
			    c->command[i].type == CLUSTER_COMMAND_DEMOTE)
				cluster_command_end(c, &c->command[i], 1, f->text);
		return;
	}
	r->demoted = true;
	r->demoted_clean = f->clean;
	r->demoted_waited = true;
	r->demoted_end = f->marks.logged;
	r->demoted_level = f->level_sites;
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

void cluster_demote_end(struct cluster_core *c, struct command *w)
{
	const struct role *r = &c->role;
	char text[512], heirs[160];

	if (r->serve >= SERVE_STARTING ||
	    (r->demoted && cluster_command_is_waiting(c, w)))
		return;
	cluster_status_sites(c, cluster_status_heirs(c), heirs, sizeof heirs);
	if (r->demoted)
		snprintf(text, sizeof text,
			 "demoted here; the members do not know it yet: %s",
			 c->quorate ? "no view was agreed in time" : "no quorum");
	else if (w->demoted)
		snprintf(text, sizeof text,
			 "demoted%s%s%.150s; its log ends with sequence %llu; may be "
			 "promoted now: %s",
			 r->demoted_clean ? ", drained" :
					    ", not drained: what was frozen has failed",
			 r->demoted_text[0] != 0 ? ": " : "", r->demoted_text,
			 (unsigned long long)r->demoted_end, heirs);
	else
		snprintf(text, sizeof text, "this node is not production");
	cluster_command_end(c, w, 0, text);
}

void cluster_demote_stopped(struct cluster_core *c, struct command *w)
{
	const struct role *r = &c->role;

	if (r->serve != SERVE_NONE || r->devices != DEVICES_CLOSED ||
	    (r->demoted && cluster_command_is_waiting(c, w)))
		return;
	/* Our own release comes back to us when it has reached the others. */
	if (c->release_due && cluster_command_is_waiting(c, w))
		return;
	/* The members that stay must first agree to do without our vote. */
	if (cluster_plan_awaits_leave(c) && cluster_command_is_waiting(c, w))
		return;
	/* The last member to leave is the only one that knows the others' releases. */
	if ((c->voter_dirty || c->persisting) && !c->persist_failed &&
	    c->now_ns < w->begun_ns + DECIDE_NS)
		return;
	cluster_command_end(c, w, 0, "released what was hosted here");
}

void cluster_demote_pump(struct cluster_core *c)
{
	struct order *o;
	uint32_t wait_ms = 0, sites = 0;

	if (c->role.serve != SERVE_SERVING || !is_asked(c, &wait_ms, &sites))
		return;
	o = cluster_order(c, ORDER_DEMOTE);
	o->wait_ms = wait_ms;
	o->sites = sites;
	c->role.demote_id = o->id;
	cluster_role_set_serve(c, SERVE_DEMOTING);
}
