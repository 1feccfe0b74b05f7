/* settle.c - G7, the end of every run: all is repaired, and then everything has to come
 * together in bounded time: one view, every site hosted and current, somebody serves,
 * every request answered, and all sites' disks are as the history says.
 */
#include <stdio.h>
#include <string.h>

#include "cluster/alone.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

#define TOGETHER_NS (120 * SIM_S)
#define CONSENT_NS (15 * SIM_S) /* then an operator consents to a refresh that asks */
#define QUIET_NS (60 * SIM_S)
#define HOME_NS (30 * SIM_S)
#define TAINTED_NS (30 * SIM_S)
#define FORK_NS (10 * SIM_S)

/* ---- repair ---------------------------------------------------------------------- */

void sim_repair(struct sim *w)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		for (uint32_t d = 0; d <= w->plan.disk_count; d++) {
			struct sim_device *at = sim_device(
				w, s, d == 0 ? MIRROR_IO_LOG : d - 1);

			at->fail = 0;
			sim_only_there(at, 0, 0);
			at->slow_ns = at->stuck_until_ns = 0;
			sim_device_hang(w, s, d == 0 ? MIRROR_IO_LOG : d - 1, 0);
			at->lose_writes = at->misdirect_writes = 0;
		}
	w->plan.record_us = 0;
	sim_part(w, 0, true, true);
}

static void repair_nodes(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		struct sim_node *at = &w->node[n];

		if (at->running && (sim_node_failed(w, n) || sim_node_stopping(w, n)) &&
		    w->now_ns >= at->frozen_until_ns)
			sim_node_kill(w, n);
		if (!at->running)
			sim_node_start(w, n);
	}
}

/* ---- together --------------------------------------------------------------------- */

static bool agrees(const struct sim *w, uint32_t node, const struct view *v)
{
	const struct cluster_core *c = w->node[node].core;

	return c->voter.has_in_effect && c->voter.in_effect.ballot == v->ballot &&
	       !c->confirm_due && c->round.state == ROUND_IDLE && !c->persisting &&
	       cluster_view_voters_epoch(&v->voters, node) == c->voter.epoch;
}

bool sim_is_together(struct sim *w)
{
	const int32_t serving = sim_serving(w);
	const struct view *v;

	if (w->plan.alone)
		return sim_pair_is_together(w);
	if (serving < 0)
		return false;
	v = cluster_view_in_effect(w->node[serving].core);
	if (v == NULL || v->production_node != serving)
		return false;
	for (uint32_t n = 0; n < w->node_count; n++)
		if (!w->node[n].running || w->now_ns < w->node[n].frozen_until_ns ||
		    !agrees(w, n, v))
			return false;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (w->site[s].open_node < 0 ||
		    v->site[s].host.node != w->site[s].open_node ||
		    ((int32_t)s != v->production_site && !v->site[s].current))
			return false;
	return true;
}

/* ---- a log that cannot be trusted --------------------------------------------------- */

static int32_t tainted_site(const struct sim *w)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (w->site[s].tainted)
			return (int32_t)s;
	return -1;
}

/* It is made anew, and begins as a copy that has nothing. */
static void make_anew(struct sim *w, uint32_t site)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		if (w->config.node[n].site != (int32_t)site)
			continue;
		if (w->node[n].running)
			sim_node_kill(w, n);
		sim_io_settle(w, n);
	}
	sim_setup_log_again(w, site);
	w->site[site].tainted = false;
	w->site[site].durable = w->site[site].refused_ballot = 0;
}

static uint64_t newest_ordinal(const struct sim *w, uint32_t node)
{
	return history_newest(&sim_view(w, node)->sb->history)->ordinal;
}

/* Without a cluster: both were promoted without the other, on an operator's word, or one was
 * for more generations than a history lists. He keeps the one that serves, else the one that
 * did last, and makes the other anew. */
static void resolve_fork(struct sim *w, uint64_t since_ns)
{
	int32_t keep = sim_serving(w);

	if (!w->plan.alone || w->now_ns < since_ns + FORK_NS || !sim_pair_is_forked(w))
		return;
	if (keep < 0)
		keep = newest_ordinal(w, 1) > newest_ordinal(w, 0);
	sim_trace(w, "OPERATOR keeps site %d, and makes the other anew", keep);
	make_anew(w, 1 - (uint32_t)keep);
}

static bool serves(struct sim *w)
{
	repair_nodes(w);
	return sim_serving(w) >= 0;
}

/* It is made anew, as an operator would, if another site serves. False: the site that
 * was hit is the one to go by, or none is; then nothing more can be said. */
static bool replace_tainted(struct sim *w)
{
	const int32_t site = tainted_site(w);

	if (site < 0)
		return true;
	if (!sim_run_until(w, TAINTED_NS, serves) ||
	    w->node[sim_serving(w)].site == (uint32_t)site)
		return false;
	make_anew(w, (uint32_t)site);
	return true;
}

/* A site that a force passed over keeps the writes that only it has until they are given up. */
static void give_up(struct sim *w)
{
	const struct cluster_command c = { .type = CLUSTER_COMMAND_CONNECT,
					   .site = -1,
					   .discard = true };

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running && w->node[n].core->role.undo_text[0] != 0)
			sim_operator(w, n, &c);
}

static void end_bypass(struct sim *w, uint32_t serving)
{
	const struct view *v = cluster_view_in_effect(w->node[serving].core);

	if (v != NULL && v->bypass != 0)
		sim_command(w, serving, CLUSTER_COMMAND_BYPASS_OFF, false, -1);
}

static bool is_async(const struct sim *w, uint32_t node)
{
	const struct view *v = cluster_view_in_effect(w->node[node].core);

	return v != NULL &&
	       (v->promise.mode == CONFIG_ASYNC || v->wanted.mode == CONFIG_ASYNC);
}

/* The operator does as `status` asks: in async a refresh waits for its time, or for him. */
static void help(struct sim *w, uint64_t since_ns)
{
	const int32_t serving = sim_serving(w);
	const bool consents = w->now_ns >= since_ns + CONSENT_NS;
	const struct cluster_command c = { .type = CLUSTER_COMMAND_REFRESH,
					   .site = -1,
					   .inconsistent = consents };

	if (serving < 0 || w->command_count + 10 > SIM_COMMANDS_MAX)
		return;
	if (!w->plan.alone) { /* there operator.c does */
		sim_command(w, (uint32_t)serving, CLUSTER_COMMAND_CONNECT, false, -1);
		end_bypass(w, (uint32_t)serving);
		give_up(w);
	}
	if (w->plan.modes && is_async(w, (uint32_t)serving))
		sim_mode(w, (uint32_t)serving, promise_make(CONFIG_SYNC, 0, 0));
	if (!consents && !(w->plan.alone && sim_plan_is_async(&w->plan)))
		return;
	for (uint32_t s = 0; consents && s < w->plan.site_count; s++)
		w->site[s].allowed = true; /* check_g6.c sees the copies that use it */
	sim_operator(w, (uint32_t)serving, &c);
}

static void describe(struct sim *w, char *text, size_t size)
{
	size_t used = 0;

	text[0] = 0;
	for (uint32_t n = 0; n < w->node_count && used < size; n++) {
		const struct sim_node *at = &w->node[n];
		const struct alone *a = at->running ? at->core->alone : NULL;
		const struct view *v = at->running ? cluster_view_in_effect(at->core) :
						     NULL;

		used += (size_t)snprintf(
			text + used, size - used,
			"; n%u%s round %d serve %d devices %d promote %d view %llu engine %d",
			n + 1, sim_serving(w) == (int32_t)n ? "*" : "",
			at->running ? (int)at->core->round.state : -1,
			at->running ? (int)at->core->role.serve : -1,
			at->running ? (int)at->core->role.devices : -1,
			at->running ? (int)at->core->promote.state : -1,
			v != NULL ? (unsigned long long)v->ballot : 0,
			at->running ? (int)at->view.state : -1);
		if (a != NULL && used < size)
			used += (size_t)snprintf(text + used, size - used,
						 " alone %d waited %x lost %x out %x "
						 "link %d data %d",
						 (int)a->state, a->waited, a->lost,
						 a->disconnected, (int)a->link[1 - n],
						 (int)at->view.data);
	}
}

/* Does a node still stop? It may count as together now, and soon does not. */
static bool someone_stops(const struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running && sim_node_stopping(w, n))
			return true;
	return false;
}

static void come_together(struct sim *w)
{
	const uint64_t since = w->now_ns;
	uint64_t helped = since;
	char text[300];

	while (w->violation[0] == 0 && (someone_stops(w) || !sim_is_together(w))) {
		if (w->now_ns > since + TOGETHER_NS) {
			if (w->forced && !w->plan.alone)
				return; /* two histories wait for `resolve` */
			describe(w, text, sizeof text);
			sim_violate(w, "G7", "not together%s", text);
			return;
		}
		repair_nodes(w);
		if (w->now_ns > helped + 2 * SIM_S) {
			helped = w->now_ns;
			help(w, since);
			resolve_fork(w, since);
		}
		sim_run(w, w->now_ns + 20 * SIM_MS);
	}
}

/* ---- quiet -------------------------------------------------------------------------- */

static bool is_home(struct sim *w)
{
	const struct mirror_view *p;
	const int32_t serving = sim_serving(w);

	if (serving < 0)
		return false;
	p = sim_view(w, serving);
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const int32_t n = w->site[s].open_node;
		const struct mirror_view *m = n < 0 ? NULL : sim_view(w, n);

		if (m == NULL || m->marks->last != p->marks->last ||
		    m->marks->home_flushed != m->marks->last)
			return false;
	}
	return true;
}

static void compare_disks(struct sim *w)
{
	for (uint32_t s = 1; s < w->plan.site_count; s++)
		for (uint32_t d = 0; d < w->plan.disk_count; d++)
			if (memcmp(w->site[0].disk[d].now, w->site[s].disk[d].now,
				   w->plan.disk_bytes) != 0)
				sim_violate(
					w, "G5",
					"all are level, and disk %u of site %u differs",
					d, s);
}

static bool is_quiet(struct sim *w)
{
	return sim_requests_idle(w);
}

void sim_settle(struct sim *w)
{
	w->settling = true;
	sim_trace(w, "all is repaired");
	sim_repair(w);
	if (!replace_tainted(w))
		return;
	/* Clients that are faster than the line outrun a copy for ever. */
	w->client_off = w->plan.alone && sim_plan_is_async(&w->plan);
	come_together(w);
	if (w->violation[0] != 0)
		return;
	w->client_off = true;
	if (!sim_run_until(w, QUIET_NS, is_quiet))
		sim_violate(w, "G7", "a request is not answered");
	if (w->forced && !w->plan.alone && !sim_is_together(w))
		return;
	come_together(w);
	if (!sim_run_until(w, HOME_NS, is_home))
		sim_violate(w, "G7", "not everything comes home");
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		w->site[s].consent = w->site[s].allowed = false; /* it is over */
	sim_look(w);
	compare_disks(w);
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->end != NULL)
			sim_checkers[i]->end(w);
}
