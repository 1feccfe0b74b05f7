/* alone_copies.c - without members: the copies that writes wait for, and those that the
 * operator puts out or allows again. */
#include <stdio.h>

#include "cluster/alone.h"

static void wait_order(struct cluster_core *c)
{
	struct alone *a = c->alone;
	struct order *o = cluster_order(c, ORDER_WAIT);

	o->sites = a->waited;
	o->bypass = a->bypass;
	o->promise = promise_of_config(c->config);
	o->ballot = cluster_view_ballot_make(history_newest(&a->history)->ordinal,
					     c->self.node);
	o->ready_seen = a->ready_count;
}

/* Our log says durably that it lacks something: it is no site that could be promoted
 * without asking, so writes go on without it until it is level (COPY_READY). */
static void not_current(struct cluster_core *c, const struct fact *f, uint32_t bit)
{
	struct alone *a = c->alone;

	a->waited &= ~bit;
	a->lost &= ~bit;
	cluster_tell(c, "site", cluster_site_name(c, (int32_t)f->site), "alone-behind",
		     "writes no longer wait for it: %s", f->text);
	wait_order(c);
}

void cluster_alone_copy_changed(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	const uint32_t bit = f->site < c->config->site_count ? 1u << f->site : 0;
	const char *name = cluster_site_name(c, (int32_t)f->site);

	if (a->state != ALONE_SERVING || (cluster_alone_peers(c) & bit) == 0)
		return;
	if (f->type == FACT_COPY_LOST) {
		if ((a->waited & bit) == 0)
			return;
		if (f->behind) {
			not_current(c, f, bit);
			return;
		}
		a->lost |= bit;
		cluster_tell(c, "site", name, "alone-frozen",
			     "writes wait for it: %s; `hamirror disconnect %s %s` goes "
			     "on without it",
			     f->text, c->config->instance, name);
		return;
	}
	a->ready_count = f->ready_count;
	a->lost &= ~bit;
	if ((a->disconnected & bit) == 0 && (a->waited & bit) == 0) {
		a->waited |= bit;
		cluster_tell(c, "site", name, "alone-waited",
			     "writes wait for it from sequence "
			     "%llu on",
			     (unsigned long long)f->sequence);
	}
	wait_order(c);
}

/* If following the other site would undo writes, the operator must first consent. */
static bool may_connect(struct cluster_core *c, const struct cluster_command *command,
			uint32_t sites)
{
	struct alone *a = c->alone;
	char text[FACT_TEXT_MAX + 320];

	if (command->discard && a->state == ALONE_SERVING) {
		cluster_alone_reply(c, 1,
				    "this site is production and keeps its writes: say "
				    "this on the site that is to give up its own");
		return false;
	}
	/* Consent without a question would be taken for a later loss. */
	if (command->discard &&
	    (a->undo_text[0] == 0 || (sites >> a->undo_site & 1) == 0)) {
		snprintf(
			text, sizeof text,
			"no production asks this site to give anything up; one that does "
			"is named by `hamirror why %s`, with the records",
			c->config->instance);
		cluster_alone_reply(c, 1, text);
		return false;
	}
	if (command->discard || a->undo_text[0] == 0 || (sites >> a->undo_site & 1) == 0)
		return true;
	snprintf(text, sizeof text,
		 "%s: `hamirror connect %s %s --discard` gives them up", a->undo_text,
		 c->config->instance, cluster_site_name(c, (int32_t)a->undo_site));
	cluster_alone_reply(c, 1, text);
	return false;
}

/* A copy cannot put out the production that it follows: that is done there. */
static bool may_disconnect(struct cluster_core *c, uint32_t sites)
{
	const int32_t production = cluster_alone_production(c);
	char text[320], instance[2 * CONFIG_NAME_MAX];
	int32_t node;

	if (c->alone->state == ALONE_SERVING || production == VIEW_NONE ||
	    (sites >> production & 1) == 0)
		return true;
	node = cluster_alone_node(c, (uint32_t)production);
	cluster_instance_of(c, node, instance);
	snprintf(text, sizeof text,
		 "%s is production, and this site its copy: a copy is put out there, by "
		 "`hamirror disconnect %s %s` on %s",
		 cluster_site_name(c, production), instance,
		 cluster_site_name(c, (int32_t)c->alone->site),
		 cluster_node_name(c, node));
	cluster_alone_reply(c, 1, text);
	return false;
}

void cluster_alone_refuse_site(struct cluster_core *c)
{
	const uint32_t own = c->alone->site;
	char text[160];

	snprintf(text, sizeof text, "%s is this site itself: name the other one, %s",
		 cluster_site_name(c, (int32_t)own),
		 cluster_site_name(c, own == 0 ? 1 : 0));
	cluster_alone_reply(c, 1, text);
}

uint32_t cluster_alone_sites(const struct cluster_core *c,
			     const struct cluster_command *command)
{
	return command->site < 0 ? cluster_alone_peers(c) :
	       command->site < (int32_t)c->config->site_count ?
				   cluster_alone_peers(c) & 1u << command->site :
				   0;
}

/* Which sites will be put out, and which of these be in bypass: that puts out too, and its
 * end allows the link again. */
static void fill_marks(struct alone *a, enum cluster_command_type type, uint32_t sites)
{
	const bool bypass = type == CLUSTER_COMMAND_BYPASS_ON;
	const bool out = type == CLUSTER_COMMAND_DISCONNECT || bypass;

	a->mark_sites = out ? a->disconnected | sites : a->disconnected & ~sites;
	a->mark_bypass = bypass ? a->bypass | sites : a->bypass & a->mark_sites;
}

/* Its map takes over at production only, and `connect` is not the way out of bypass, but
 * where this site gives up its own writes for the production that the other one is. */
static bool may_bypass(struct cluster_core *c, const struct cluster_command *command,
		       uint32_t sites)
{
	struct alone *a = c->alone;
	char text[200];

	if (command->type == CLUSTER_COMMAND_BYPASS_ON && a->state != ALONE_SERVING) {
		cluster_alone_reply(c, 1,
				    "this site is not production, and only production "
				    "puts a copy into bypass");
		return false;
	}
	if (command->type != CLUSTER_COMMAND_CONNECT || command->discard ||
	    (a->bypass & sites) == 0)
		return true;
	snprintf(text, sizeof text, "in bypass: `hamirror bypass %s off` ends it",
		 c->config->instance);
	cluster_alone_reply(c, 1, text);
	return false;
}

void cluster_alone_mark(struct cluster_core *c, const struct cluster_command *command)
{
	struct alone *a = c->alone;
	const uint32_t sites = cluster_alone_sites(c, command);
	struct order *o;

	if (sites == 0) {
		cluster_alone_refuse_site(c);
		return;
	}
	if (!may_bypass(c, command, sites))
		return;
	if (command->type == CLUSTER_COMMAND_CONNECT ||
			    command->type == CLUSTER_COMMAND_BYPASS_OFF ?
		    !may_connect(c, command, sites) :
		    !may_disconnect(c, sites))
		return;
	fill_marks(a, command->type, sites);
	o = cluster_order(c, ORDER_MARK);
	o->sites = a->mark_sites;
	o->bypass = a->mark_bypass;
	o->discard = command->discard ? sites : 0;
	a->mark_id = o->id;
}

static const char *stored_text(const struct alone *a)
{
	switch (a->command.type) {
	case CLUSTER_COMMAND_CONNECT:
		return "allowed again";
	case CLUSTER_COMMAND_BYPASS_ON:
		return "in bypass: writes go on without it, and the tracking map stands "
		       "for them instead of the writelog";
	case CLUSTER_COMMAND_BYPASS_OFF:
		return "out of bypass: it is refreshed by what the map stands for";
	case CLUSTER_COMMAND_DISCONNECT:
	case CLUSTER_COMMAND_PROMOTE:
	case CLUSTER_COMMAND_DEMOTE:
	case CLUSTER_COMMAND_STOP:
	case CLUSTER_COMMAND_REFRESH:
	case CLUSTER_COMMAND_MODE:
		break;
	}
	return a->state == ALONE_SERVING ?
		       "put out: writes go on without it and are tracked" :
		       "put out: no link from it is taken here; where this site was "
		       "production, it may be promoted without it";
}

void cluster_alone_stored(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	char text[FACT_TEXT_MAX + 64];
	bool changed;

	if (!a->busy || f->order_id != a->mark_id)
		return;
	if (f->error != 0) {
		cluster_alone_reply(c, 1, f->text);
		return;
	}
	changed = a->bypass != a->mark_bypass;
	a->disconnected = a->mark_sites;
	a->bypass = a->mark_bypass;
	cluster_alone_links(c); /* M6: the stream ends first */
	if (a->state == ALONE_SERVING && (a->waited & a->disconnected) != 0) {
		a->waited &= ~a->disconnected;
		a->lost &= ~a->disconnected;
		cluster_tell(c, "mirror", c->config->mirror, "alone-disconnect",
			     "writes go on without the copy that was put out");
		changed = true;
	}
	if (a->state == ALONE_SERVING && changed)
		wait_order(c);
	if (a->command.discard && a->undo_text[0] != 0)
		snprintf(text, sizeof text, "allowed again; given up: %s", a->undo_text);
	else
		snprintf(text, sizeof text, "%s", stored_text(a));
	cluster_alone_reply(c, 0, text);
}
