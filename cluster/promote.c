/* promote.c - a promotion of this node (D4, D5, D7).
 *
 *   state     what is awaited                          then
 *   devices   our site's devices, ours and open (D6)   round
 *   round     a round of our own: promises; the site   lease
 *               refuses older links and rolls forward;
 *               the generation's view in effect
 *   lease     the lease granted by a majority, every    start
 *               older one released, fenced or waited out
 *   start     FACT_SERVING                              none: serving
 *
 * It ends refused when the site may not be promoted (not current, another serves, the I/O
 * side refuses) and when another generation takes effect. It waits for quorum, a fencing
 * or time, which may still come, and the status names the one awaited; the caller decides
 * how long. A lost race is run again under a greater ballot, with the refusal stored anew,
 * because it names the ballot (D4).
 */
#include <assert.h>
#include <stdio.h>

#include "cluster/commands.h"
#include "cluster/generation.h"

static bool state_change_is_legal(enum promote_state from, enum promote_state to)
{
	switch (to) {
	case PROMOTE_NONE:
		return true;
	case PROMOTE_DEVICES:
		return from == PROMOTE_NONE || from == PROMOTE_ROUND;
	case PROMOTE_ROUND:
		return from == PROMOTE_DEVICES;
	case PROMOTE_LEASE:
		return from == PROMOTE_ROUND;
	case PROMOTE_START:
		return from == PROMOTE_LEASE;
	}
	return false;
}

static void set_state(struct cluster_core *c, enum promote_state state)
{
	assert(state_change_is_legal(c->promote.state, state));
	c->promote.state = state;
}

/* ---- may it (D4) ------------------------------------------------------------------ */

/* As far as the marks tell, our log reaches the end of the chain's newest generation; the
 * cut that the I/O side finds is the proof. */
static bool reaches_clean_end(const struct cluster_core *c, const struct view *v)
{
	return v->clean && c->role.marks.durable >= v->clean_end;
}

/* A restarted process may have lost records that the one before had confirmed. */
bool cluster_promote_is_current(const struct view *v, uint32_t site, uint64_t incarnation)
{
	return site < v->site_count && v->site[site].current &&
	       (v->promise.mode == CONFIG_SYNC ||
		v->site[site].current_incarnation == incarnation);
}

enum promote_reason cluster_promote_reason(const struct cluster_core *c,
					   const struct view *v)
{
	const uint32_t site = cluster_own_site(c);

	if (v->production_site == (int32_t)site)
		return PROMOTE_SAME_SITE;
	if (v->clean && reaches_clean_end(c, v))
		return PROMOTE_CLEAN;
	if (cluster_promote_is_current(v, site, c->role.incarnation))
		return PROMOTE_CURRENT;
	return PROMOTE_NOT;
}

/* Its lease cannot have ended: it asked for a renewal a moment ago. A production that
 * hangs does not ask, and its lease is waited out as that of one that is gone (D7). */
static bool renews(const struct cluster_core *c, const struct view *v, int32_t node)
{
	return c->now_ns < c->node[node].renewed_ns +
				   (uint64_t)(v->lease_ms + v->drift_ms) * NS_PER_MS;
}

/* A member that answers clients as production of `v`, other than this one. */
static int32_t other_serves(const struct cluster_core *c, const struct view *v)
{
	const int32_t n = v->production_node;

	if (n < 0 || n == (int32_t)c->self.node || !c->node[n].member ||
	    (c->node[n].said.flags & ANNOUNCE_SERVING) == 0 || !renews(c, v, n) ||
	    !uuid_equal(&c->node[n].said.serving, &cluster_view_generation(v)->id))
		return VIEW_NONE;
	return n;
}

static bool refused_here(const struct cluster_core *c, char *text, size_t size)
{
	if (c->config->node[c->self.node].site == VIEW_NONE) {
		snprintf(text, size, "this node is a witness: it has no disks");
		return true;
	}
	if (c->stopping) {
		snprintf(text, size, "this member is stopping");
		return true;
	}
	if (c->role.failed || c->role.barred) {
		snprintf(text, size, "the devices of %s are not open here: %s",
			 cluster_site_name(c, (int32_t)cluster_own_site(c)),
			 c->role.text);
		return true;
	}
	if ((c->self.reach >> cluster_own_site(c) & 1) == 0) {
		snprintf(text, size,
			 "this node does not reach the disks and the writelog of "
			 "%s%s%s",
			 cluster_site_name(c, (int32_t)cluster_own_site(c)),
			 c->self.reach_text[0] != 0 ? ": " : "", c->self.reach_text);
		return true;
	}
	return false;
}

/* The voters that would have to agree are not here. */
static bool nobody_decides(const struct cluster_core *c, bool force, char *text,
			   size_t size)
{
	bool named;
	size_t at;

	if (!c->quorate)
		snprintf(text, size,
			 "no quorum: this node may be cut off from the others");
	else if (cluster_view_newest(c) == NULL)
		snprintf(
			text, size,
			"no view: no member here knows the state of this mirror; "
			"start its first voter, the node on which the mirror was created");
	else if (!cluster_round_can_decide(c) && !force) {
		named = cluster_status_undecided(c, cluster_view_newest(c), text, size);
		at = strlen(text);
		if (!named)
			snprintf(text + at, size - at, "; --force overrides that");
	} else
		return false;
	return true;
}

static bool another_serves(const struct cluster_core *c, char *text, size_t size)
{
	const struct view *v = cluster_view_in_effect(c);
	const int32_t other = v != NULL ? other_serves(c, v) : VIEW_NONE;
	char instance[2 * CONFIG_NAME_MAX];

	if (other == VIEW_NONE)
		return false;
	cluster_instance_of(c, other, instance);
	snprintf(text, size,
		 "%s serves: `hamirror demote %s` there first (--force does not override "
		 "that)",
		 cluster_node_name(c, other), instance);
	return true;
}

void cluster_promote_command(struct cluster_core *c,
			     const struct cluster_command *command)
{
	const struct view *v = cluster_view_in_effect(c);
	char text[480];

	if (c->role.serve >= SERVE_SERVING) {
		if (c->role.serve == SERVE_SERVING)
			cluster_reply(c, command->id, 0, "this node is production");
		else
			cluster_reply(c, command->id, 1, "this node is being demoted");
		return;
	}
	if (refused_here(c, text, sizeof text) || another_serves(c, text, sizeof text) ||
	    (c->joined && c->now_ns >= c->ring_ns + SETTLE_NS &&
	     nobody_decides(c, command->force, text, sizeof text))) {
		cluster_reply(c, command->id, 1, "%s", text);
		return;
	}
	/* Before this ring's round the view may be an old one: the round will tell. */
	if (v != NULL && !c->confirm_due && !command->force &&
	    c->role.devices == DEVICES_OPEN &&
	    cluster_promote_reason(c, v) == PROMOTE_NOT) {
		cluster_promote_outdated(c, v, text, sizeof text);
		cluster_tell(c, "mirror", c->config->mirror, "D4-outdated", "%s", text);
		cluster_reply(c, command->id, 1, "%s", text);
		return;
	}
	if (!cluster_command_add(c, command, 0))
		return;
	/* A demote that has ended here and waits for its view only would come again. */
	if (c->promote.state == PROMOTE_NONE && c->role.serve == SERVE_NONE)
		cluster_command_reply_all(
			c, CLUSTER_COMMAND_DEMOTE, 0,
			"demoted here; a promotion was asked for since");
	c->promote.force |= command->force;
	if (c->promote.state == PROMOTE_NONE)
		set_state(c, PROMOTE_DEVICES);
}

/* ---- ends ---------------------------------------------------------------------------- */

void cluster_promote_end(struct cluster_core *c, int32_t exit_status, const char *text)
{
	struct role *r = &c->role;

	if (c->promote.state == PROMOTE_NONE)
		return;
	if (exit_status != 0 &&
	    (r->serve == SERVE_PREPARING || r->serve == SERVE_PREPARED)) {
		if (c->promote.state == PROMOTE_LEASE) {
			r->demoted = true;
			r->demoted_clean = r->demoted_waited = false;
			r->demoted_level = 0;
			r->demoted_incarnation = r->incarnation;
			r->demoted_generation = r->generation;
		}
		cluster_order(c, ORDER_DEPOSE);
		cluster_role_set_serve(c, SERVE_NONE);
	}
	if (exit_status != 0 && c->round.state != ROUND_IDLE &&
	    c->round.kind != ROUND_CONFIRM)
		cluster_round_give_up(c, 0);
	/* The voters' promises to us keep grants back until a view settles them. */
	c->confirm_own |= exit_status != 0 &&
			  c->voter.promised > c->voter.in_effect.ballot;
	set_state(c, PROMOTE_NONE);
	c->promote = (struct promote){ 0 };
	cluster_command_reply_all(c, CLUSTER_COMMAND_PROMOTE, exit_status, text);
}

static void refuse(struct cluster_core *c, const char *rule, const char *text)
{
	cluster_tell(c, "mirror", c->config->mirror, rule, "not promoted: %s", text);
	cluster_promote_end(c, 1, text);
}

void cluster_promote_objected(struct cluster_core *c, uint32_t node, uint64_t ballot)
{
	char text[200];

	if (c->promote.state != PROMOTE_ROUND || c->round.state == ROUND_IDLE ||
	    c->round.ballot != ballot)
		return;
	snprintf(text, sizeof text, "%s serves: demote it there first",
		 cluster_node_name(c, (int32_t)node));
	refuse(c, "D4-other-serves", text);
}

/* ---- the round ------------------------------------------------------------------------- */

void cluster_promote_promised(struct cluster_core *c)
{
	const struct view *best = &c->round.best;
	const struct view_host *h = &best->site[c->role.site].host;
	struct order *o;
	char text[480];

	if (!cluster_devices_are_open(c) || h->node != (int32_t)c->self.node ||
	    h->incarnation != c->role.incarnation) {
		cluster_round_give_up(c, RESEND_NS);
		return;
	}
	c->promote.reason = cluster_promote_reason(c, best);
	if (c->promote.reason == PROMOTE_NOT && !c->promote.force) {
		cluster_promote_outdated(c, best, text, sizeof text);
		refuse(c, "D4-outdated", text);
		return;
	}
	if (c->promote.reason == PROMOTE_NOT)
		c->promote.reason = PROMOTE_FORCED;
	cluster_role_set_serve(c, SERVE_PREPARING);
	cluster_uuid_make(c, &c->role.generation);
	o = cluster_order(c, ORDER_PREPARE);
	o->site = c->role.site;
	o->incarnation = c->role.incarnation;
	o->ballot = c->round.ballot;
	o->force = c->promote.force;
	o->generation = c->role.generation;
	o->history = best->history;
	cluster_generation_sources(c, best, o);
	c->role.prepare_id = o->id;
}

static void prepared(struct cluster_core *c, const struct fact *f)
{
	const struct view *best = &c->round.best;
	char text[480];

	if (c->role.serve != SERVE_PREPARING || f->order_id != c->role.prepare_id)
		return;
	cluster_role_set_serve(c, SERVE_PREPARED);
	if (c->promote.state != PROMOTE_ROUND || c->round.state != ROUND_ENGINE)
		return; /* the round was lost meanwhile: once more */
	if (f->error != 0) {
		refuse(c, "D5-not-prepared", f->text);
		return;
	}
	if (c->promote.reason == PROMOTE_CLEAN && f->sequence < best->clean_end) {
		if (cluster_promote_is_current(best, c->role.site, c->role.incarnation)) {
			c->promote.reason = PROMOTE_CURRENT;
		} else if (c->promote.force) {
			c->promote.reason = PROMOTE_FORCED;
		} else {
			cluster_promote_outdated(c, best, text, sizeof text);
			refuse(c, "D4-outdated", text);
			return;
		}
	}
	c->promote.reached_sites = f->reached_sites;
	cluster_generation_fill(c, f);
	cluster_promote_name_loss(c);
	/* D7: since the promises no voter has granted an older lease. */
	c->promote.wait_until_ns = c->round.promised_ns +
				   (uint64_t)(best->lease_ms + best->drift_ms) *
					   NS_PER_MS;
	cluster_round_prepared(c);
}

static void is_whole(struct cluster_core *c)
{
	c->role.whole = c->role.generation;
	c->role.whole_incarnation = c->role.incarnation;
}

void cluster_promote_in_effect(struct cluster_core *c)
{
	if (c->promote.state != PROMOTE_ROUND || c->role.serve != SERVE_PREPARED)
		return;
	set_state(c, PROMOTE_LEASE);
	/* Otherwise only the reply of a finished promotion will tell the loss. */
	if (c->promote.done_text[0] == 0)
		is_whole(c);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void wait_for(struct cluster_core *c, const char *text)
{
	snprintf(c->promote.wait_text, sizeof c->promote.wait_text, "%.239s", text);
}

/* What has to become of that host before a force may have our site's devices. */
static void mate_text(const struct cluster_core *c, int32_t node, char *text, size_t size)
{
	const bool listed = node < (int32_t)c->config->node_count;

	snprintf(
		text, size,
		"waiting for %s to be fenced or to join%s: it may have taken the devices "
		"of %s over",
		listed ? cluster_node_name(c, node) : "a host that the file lacks",
		listed ? "" : " (list it again)",
		cluster_site_name(c, (int32_t)cluster_own_site(c)));
}

static void devices_wait(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct view_host *h = v != NULL ? &v->site[cluster_own_site(c)].host : NULL;
	char text[240];

	if (cluster_devices_are_open(c) && c->role.serve == SERVE_NONE) {
		set_state(c, PROMOTE_ROUND);
	} else if (h != NULL && h->node != VIEW_NONE &&
		   h->node != (int32_t)c->self.node &&
		   cluster_devices_pass(c, h) == HOST_HELD) {
		snprintf(text, sizeof text,
			 "waiting for %s to release the devices of %s, to be "
			 "fenced or to restart",
			 cluster_node_name(c, h->node),
			 cluster_site_name(c, (int32_t)cluster_own_site(c)));
		wait_for(c, text);
	} else if (c->role.text[0] != 0) {
		wait_for(c, c->role.text);
	} else if (c->promote.force && !cluster_round_can_decide(c) &&
		   cluster_devices_mate_held(c, cluster_own_site(c)) != VIEW_NONE) {
		mate_text(c, cluster_devices_mate_held(c, cluster_own_site(c)), text,
			  sizeof text);
		wait_for(c, text);
	} else {
		wait_for(c, cluster_round_can_decide(c) ?
				    "waiting for the devices of this site" :
				    "waiting for a majority of the voters");
	}
}

static void round_wait(struct cluster_core *c)
{
	if (!cluster_devices_are_open(c) && c->round.state == ROUND_IDLE) {
		set_state(c, PROMOTE_DEVICES);
	} else if (!c->quorate) {
		wait_for(c, "waiting for quorum");
	} else if (c->round.state == ROUND_ENGINE) {
		wait_for(c, "fetching records that only other sites hold");
	} else {
		wait_for(c, cluster_round_can_decide(c) ?
				    "waiting for the voters" :
				    "waiting for a majority of the voters");
	}
}

/* D7: every holder of an older lease for certain answers nothing now, or the time of all
 * older leases is over. */
static bool older_leases_ended(struct cluster_core *c, const struct view *v)
{
	char text[200];

	if (c->now_ns >= c->promote.wait_until_ns)
		return true;
	for (uint32_t i = 0; i < v->holder_count; i++) {
		if (cluster_devices_holder_is_gone(c, v->holder[i].node,
						   v->holder[i].incarnation,
						   v->holder[i].boot))
			continue;
		snprintf(text, sizeof text,
			 "waiting for the lease of %s to end, or its fencing",
			 cluster_node_name(c, v->holder[i].node));
		wait_for(c, text);
		cluster_wake(c, c->promote.wait_until_ns);
		return false;
	}
	if (v->holder_many) {
		wait_for(c, "waiting for older leases to end");
		cluster_wake(c, c->promote.wait_until_ns);
	}
	return !v->holder_many;
}

static void lease_wait(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	struct order *o;

	if (!older_leases_ended(c, v))
		return;
	if (!cluster_lease_is_valid(c) || c->lease.told_ns != c->lease.until_ns) {
		wait_for(c, c->quorate ? "waiting for a majority to grant the lease" :
					 "waiting for quorum");
		return;
	}
	cluster_copies_reset(c);
	c->role.waited = cluster_view_current_sites(v);
	c->role.bypass = v->bypass;
	c->role.missing = cluster_view_missing(v);
	c->role.promised = v->promise;
	/* M3: so judges the view, and a mode that is thought over comes back to it. */
	c->role.promise_kept = true;
	o = cluster_order(c, ORDER_SERVE);
	o->promise = v->promise;
	o->ballot = v->ballot;
	o->history = v->history;
	o->sites = c->role.waited;
	o->bypass = c->role.bypass;
	o->missing = c->role.missing;
	c->role.serve_id = o->id;
	cluster_role_set_serve(c, SERVE_STARTING);
	set_state(c, PROMOTE_START);
	wait_for(c, "starting to serve");
}

static void serving(struct cluster_core *c, const struct fact *f)
{
	const struct view *v = cluster_view_in_effect(c);
	char text[480];

	if (c->role.serve != SERVE_STARTING || f->order_id != c->role.serve_id)
		return;
	if (f->error != 0) {
		c->role.demoted = true;
		c->role.demoted_clean = false;
		c->role.demoted_level = 0;
		c->role.demoted_waited = true;
		c->role.demoted_incarnation = c->role.incarnation;
		c->role.demoted_generation = c->role.generation;
		cluster_role_set_serve(c, SERVE_NONE);
		refuse(c, "D5-not-serving", f->text);
		return;
	}
	cluster_role_set_serve(c, SERVE_SERVING);
	is_whole(c);
	snprintf(text, sizeof text,
		 "production of generation %llu, after sequence %llu%s",
		 (unsigned long long)cluster_view_generation(v)->ordinal,
		 (unsigned long long)cluster_view_generation(v)->cut,
		 c->promote.done_text);
	cluster_tell(c, "mirror", c->config->mirror, "D5-serve", "%s serves: %s",
		     cluster_node_name(c, (int32_t)c->self.node), text);
	cluster_promote_end(c, 0, text);
}

void cluster_promote_fact(struct cluster_core *c, const struct fact *f)
{
	if (f->type == FACT_PREPARED)
		prepared(c, f);
	else
		serving(c, f);
}

/* Refuse a promotion whose condition will not come, or not soon. */
static void impossible_pump(struct cluster_core *c)
{
	char text[480];

	if (c->promote.state != PROMOTE_DEVICES && c->promote.state != PROMOTE_ROUND)
		return;
	if (c->round.state == ROUND_IDLE && another_serves(c, text, sizeof text))
		refuse(c, "D4-other-serves", text);
	else if (c->joined && c->now_ns >= c->ring_ns + DECIDE_NS &&
		 nobody_decides(c, c->promote.force, text, sizeof text))
		refuse(c, "D4-no-view", text);
}

void cluster_promote_pump(struct cluster_core *c)
{
	char text[256];

	impossible_pump(c);
	if (c->promote.state != PROMOTE_NONE && c->promote.state != PROMOTE_START &&
	    (c->role.failed || c->role.barred)) {
		memcpy(text, c->role.text, sizeof text);
		refuse(c, "D6-no-devices", text);
	}
	switch (c->promote.state) {
	case PROMOTE_NONE:
	case PROMOTE_START:
		break;
	case PROMOTE_DEVICES:
		devices_wait(c);
		break;
	case PROMOTE_ROUND:
		round_wait(c);
		break;
	case PROMOTE_LEASE:
		lease_wait(c);
		break;
	}
}
