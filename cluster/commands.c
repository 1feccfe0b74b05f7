/* commands.c - the commands of operators and Pacemaker that wait until they are done.
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
 *   DISCONNECT,    then REPLY
 *   BYPASS_ON,
 *   BYPASS_OFF
 *   CONNECT      refused: production keeps     undo.c
 *     --discard    its writes
 *   MODE         a view that says so,       refused: names the production host
 *                  then REPLY (M3)
 *   REFRESH      ORDER_REFRESH, then the    likewise
 *                  REPLY that FACT_REFRESH
 *                  says
 */
#include <stdio.h>

#include "cluster/commands.h"

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

bool cluster_command_is_waiting(const struct cluster_core *c, const struct command *w)
{
	return c->quorate && c->now_ns < w->begun_ns + DECIDE_NS;
}

bool cluster_command_waits_view(const struct cluster_core *c)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++)
		if (c->command[i].used && cluster_command_is_waiting(c, &c->command[i]) &&
		    (c->command[i].type == CLUSTER_COMMAND_DEMOTE ||
		     c->command[i].type == CLUSTER_COMMAND_STOP))
			return true;
	return false;
}

/* ---- copies by command ---------------------------------------------------------- */

static bool keeps_away(enum cluster_command_type type)
{
	return type == CLUSTER_COMMAND_DISCONNECT || type == CLUSTER_COMMAND_BYPASS_ON;
}

static bool is_bypass(enum cluster_command_type type)
{
	return type == CLUSTER_COMMAND_BYPASS_ON || type == CLUSTER_COMMAND_BYPASS_OFF;
}

static struct wish *wish_of(struct cluster_core *c, enum cluster_command_type type)
{
	return is_bypass(type) ? &c->bypass : &c->disconnect;
}

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

/* Let the next views say so. */
static void begin_wish(struct wish *wish, bool on, uint32_t sites)
{
	wish->on = on ? wish->on | sites : wish->on & ~sites;
	wish->off = on ? wish->off & ~sites : wish->off | sites;
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
		cluster_reply(c, command->id, 1,
			      "this node is production and keeps its writes: say this on "
			      "the host of the site that is to give up its own");
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
		o->pace = command->pace;
		w->order_id = o->id;
	} else {
		begin_wish(wish_of(c, command->type), keeps_away(command->type), sites);
	}
}

/* M3: the wish is part of the view, so that it outlives this production. */
void cluster_command_mode(struct cluster_core *c, const struct cluster_command *command)
{
	const int32_t serving = cluster_status_serving_node(c);
	struct command *w;

	if (c->role.serve != SERVE_SERVING || !promise_is_sound(&command->promise)) {
		cluster_reply(c, command->id, 1,
			      c->role.serve == SERVE_SERVING ?
				      "that is no mode%s" :
				      "only production's host does that: %s",
			      c->role.serve == SERVE_SERVING ? "" :
			      serving == VIEW_NONE ? "none serves at this moment" :
						     cluster_node_name(c, serving));
		return;
	}
	if (command->promise.mode == CONFIG_ASYNC &&
	    c->config->on_copy_loss == CONFIG_COPY_LOSS_BLOCK) {
		cluster_reply(c, command->id, 1,
			      "mode async does not go with on-copy-loss: block (M8)");
		return;
	}
	cluster_command_reply_all(c, CLUSTER_COMMAND_MODE, 1,
				  "another mode was asked for since");
	w = cluster_command_add(c, command, 0);
	if (w == NULL)
		return;
	w->promise = command->promise;
	c->role.mode = command->promise;
	c->role.mode_asked = true;
}

/* Another may bring a proposal of ours into effect later, also after production here. */
static void not_agreed(struct cluster_core *c, struct command *w)
{
	char text[200];

	if (c->role.undecided || c->role.serve != SERVE_SERVING)
		snprintf(
			text, sizeof text,
			"the members could not agree on it in time, and it may still take "
			"effect: see `hamirror status %s`",
			c->config->instance);
	else
		snprintf(
			text, sizeof text,
			"the members could not agree on it in time: nothing has changed");
	cluster_command_end(c, w, 1, text);
}

static void end_mode(struct cluster_core *c, struct command *w)
{
	const struct view *v = cluster_view_in_effect(c);
	const bool wanted = promise_equal(&v->wanted, &w->promise);
	char text[200], promise[PROMISE_TEXT_BYTES];

	promise_text(&w->promise, promise);
	if (wanted && promise_equal(&v->promise, &w->promise) && !c->role.undecided) {
		snprintf(text, sizeof text, "the mode is %s", promise);
		cluster_command_end(c, w, 0, text);
	} else if (c->role.serve == SERVE_SERVING && cluster_command_is_waiting(c, w)) {
		return;
	} else if (wanted) {
		snprintf(text, sizeof text,
			 "the mode will be %s, once every current copy has what was "
			 "answered before: see `hamirror status %s`",
			 promise, c->config->instance);
		cluster_command_end(c, w, 0, text);
	} else {
		c->role.mode_asked = false;
		not_agreed(c, w);
	}
}

/* The view says so, or it is given up. */
static void end_wish(struct wish *wish, bool on, uint32_t sites)
{
	*(on ? &wish->on : &wish->off) &= ~sites;
}

/* The other command that keeps one of these sites away after this one; "": none does. */
static const char *still_away(const struct view *v, const struct command *w)
{
	if (w->type == CLUSTER_COMMAND_BYPASS_OFF && (v->disconnected & w->sites) != 0)
		return "; it stays put out by a disconnect";
	if (w->type == CLUSTER_COMMAND_CONNECT && (v->bypass & w->sites) != 0)
		return "; it stays in bypass";
	return "";
}

static void end_site(struct cluster_core *c, struct command *w)
{
	static const char *const done[] = {
		[CLUSTER_COMMAND_CONNECT] = "allowed again",
		[CLUSTER_COMMAND_DISCONNECT] =
			"put out: writes go on without it and are tracked",
		[CLUSTER_COMMAND_BYPASS_ON] =
			"in bypass: writes go on without it, and the tracking map stands "
			"for them instead of the writelog",
		[CLUSTER_COMMAND_BYPASS_OFF] =
			"out of bypass: it is refreshed by what the map stands for",
	};
	const struct view *v = cluster_view_in_effect(c);
	const uint32_t are = is_bypass(w->type) ? v->bypass : v->disconnected;
	const bool on = keeps_away(w->type);
	char text[200];

	/* A proposal of ours that says what was asked before may still take effect. */
	if ((are & w->sites) == (on ? w->sites : 0) && !c->role.undecided) {
		end_wish(wish_of(c, w->type), on, w->sites);
		snprintf(text, sizeof text, "%s%s", done[w->type], still_away(v, w));
		cluster_command_end(c, w, 0, text);
	} else if (c->role.serve != SERVE_SERVING || !cluster_command_is_waiting(c, w)) {
		end_wish(wish_of(c, w->type), on, w->sites);
		not_agreed(c, w);
	}
}

static void end_order(struct cluster_core *c, struct command *w)
{
	if (c->now_ns >= w->begun_ns + DECIDE_NS)
		cluster_command_end(c, w, 1, "the I/O thread did not answer in time");
}

void cluster_command_pump(struct cluster_core *c)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *w = &c->command[i];

		if (!w->used)
			continue;
		cluster_wake(c, w->begun_ns + DECIDE_NS > c->now_ns ?
					w->begun_ns + DECIDE_NS :
					c->now_ns + TICK_NS);
		switch (w->type) {
		case CLUSTER_COMMAND_DEMOTE:
			cluster_demote_end(c, w);
			break;
		case CLUSTER_COMMAND_STOP:
			cluster_demote_stopped(c, w);
			break;
		case CLUSTER_COMMAND_CONNECT:
		case CLUSTER_COMMAND_DISCONNECT:
		case CLUSTER_COMMAND_BYPASS_ON:
		case CLUSTER_COMMAND_BYPASS_OFF:
			if (w->order_id != 0)
				end_order(c, w);
			else
				end_site(c, w);
			break;
		case CLUSTER_COMMAND_REFRESH:
			end_order(c, w);
			break;
		case CLUSTER_COMMAND_MODE:
			end_mode(c, w);
			break;
		case CLUSTER_COMMAND_PROMOTE:
			break;
		}
	}
}
