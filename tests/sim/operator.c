/* operator.c - an operator runs a mirror without a cluster, and is the majority. He looks at
 * both sites, promotes one when none serves (and now and then both at once), moves production
 * over, puts a copy out that writes wait for and lets it in again, restarts a failed site; and
 * forces a site when the other one is away for too long, in runs where operators may. If a
 * refusal tells him a remedy, he does it.
 */
#include <string.h>

#include "cluster/alone.h"
#include "mirror/engine/test_view.h"
#include "mirror/line/history.h"
#include "tests/sim/sim.h"

#define PERIOD_NS (20 * SIM_MS)
#define PAUSE_NS (200 * SIM_MS) /* before he promotes one */
#define PATIENCE_MS 4000u
#define SETTLED_PATIENCE_MS 500u
#define COMMAND_LIMIT_NS (40 * SIM_S)
#define FORCE_AFTER_NS (3 * SIM_S) /* both have refused, or the other one is away */
#define SWITCH_ONE_IN 400u
#define MEDDLES_ONE_IN 1500u
#define BOTH_ONE_IN 8u
#define COMMANDS_LIMIT (SIM_COMMANDS_MAX - 400)

/* ---- the state of the pair -------------------------------------------------------- */

static bool is_there(const struct sim *w, uint32_t node)
{
	return w->node[node].running && w->now_ns >= w->node[node].frozen_until_ns;
}

bool sim_pair_is_whole(const struct sim *w)
{
	return is_there(w, 0) && is_there(w, 1) && w->node[0].line == w->node[1].line &&
	       !w->stalled[0][1] && !w->stalled[1][0];
}

static bool leads_to(const struct history *older, const struct history *newer)
{
	const struct generation *g = history_newest(older);

	return g == NULL || mirror_history_find(newer, &g->id) != NULL ||
	       uuid_equal(&newer->entry[0].parent, &g->id);
}

bool sim_pair_is_forked(const struct sim *w)
{
	const struct history *a, *b;

	if (!w->node[0].open || !w->node[1].open)
		return false;
	if (w->node[0].core->alone->state == ALONE_SERVING &&
	    w->node[1].core->alone->state == ALONE_SERVING)
		return true; /* one was forced while the other served out of reach */
	a = &sim_view(w, 0)->sb->history;
	b = &sim_view(w, 1)->sb->history;
	return a->count > 0 && b->count > 0 && !leads_to(a, b) && !leads_to(b, a);
}

/* Writes wait for the copy; in async, where they wait for none, it needs no refresh. */
static bool is_counted(const struct sim *w, uint32_t serving)
{
	const struct alone *a = w->node[serving].core->alone;
	const struct mirror_view_peer *p = &sim_view(w, serving)->peer[1 - serving];

	if (w->plan.promise.mode == CONFIG_ASYNC)
		return p->phase == REFRESH_NONE && !p->bypass;
	return a->waited == 1u << (1 - serving) && a->lost == 0;
}

bool sim_pair_is_together(const struct sim *w)
{
	const int32_t serving = sim_serving(w);
	const struct mirror_view *copy;
	const struct alone *a;

	if (serving < 0 || !is_there(w, 0) || !is_there(w, 1))
		return false;
	a = w->node[serving].core->alone;
	copy = sim_view(w, 1 - serving);
	return a->state == ALONE_SERVING && is_counted(w, (uint32_t)serving) &&
	       a->disconnected == 0 &&
	       w->node[1 - serving].core->alone->disconnected == 0 &&
	       a->link[1 - serving] == LINK_CONNECTED && copy->state == ENGINE_IDLE &&
	       copy->data >= DATA_CONSISTENT && !copy->sb->blank &&
	       !copy->sb->hold.active;
}

/* ---- his actions --------------------------------------------------------------------- */

static uint64_t patience(struct sim *w)
{
	return sim_random(w, w->settling ? SETTLED_PATIENCE_MS : PATIENCE_MS) * SIM_MS *
	       (1 + w->plan.slow);
}

static void tell(struct sim *w, uint32_t node, enum cluster_command_type type)
{
	struct sim_person *p = &w->person;

	p->id = sim_command(w, node, type, false,
			    type == CLUSTER_COMMAND_DEMOTE && sim_random(w, 2) == 0 ?
				    -1 :
				    (int32_t)(1 - node));
	p->node = node;
	p->process = w->node[node].process;
	p->since_ns = p->told_ns = w->now_ns;
}

/* By one command; or he demotes, and promotes the other. */
static void move(struct sim *w, uint32_t serving)
{
	struct sim_person *p = &w->person;

	sim_trace(w, "OPERATOR moves production to site %u", 1 - serving);
	if (sim_random(w, 2) == 0) {
		tell(w, serving, CLUSTER_COMMAND_DEMOTE);
		p->wanted = (int32_t)(1 - serving);
		return;
	}
	p->id = sim_move_begin(w, serving, 1 - serving,
			       (uint32_t)sim_random(w, PATIENCE_MS), 0);
	p->node = serving;
	p->process = w->node[serving].process;
	p->since_ns = p->told_ns = w->now_ns;
}

static void promote(struct sim *w, uint32_t node, bool force)
{
	struct sim_person *p = &w->person;

	sim_trace(w, "OPERATOR promotes n%u%s", node + 1, force ? " by force" : "");
	p->id = sim_promote(w, node, force);
	p->node = node;
	p->process = w->node[node].process;
	p->since_ns = p->told_ns = w->now_ns;
}

/* His command has ended, or the process that was asked has. */
static bool has_ended(struct sim *w)
{
	struct sim_person *p = &w->person;
	const struct sim_reply *r = &w->reply[p->id];
	const bool gone = p->process != w->node[p->node].process ||
			  !w->node[p->node].running;

	if (p->id == 0)
		return true;
	if (!r->done && !gone && w->now_ns < p->since_ns + COMMAND_LIMIT_NS)
		return false;
	if (r->done && r->exit_status != 0)
		p->refused |= 1u << p->node;
	p->id = 0;
	p->wanted = -1;
	return true;
}

/* Writes stand still: he waits a while, and does as `why` says. */
static bool tend_frozen(struct sim *w, uint32_t serving)
{
	struct sim_person *p = &w->person;

	if (w->node[serving].core->alone->lost == 0) {
		p->frozen_since_ns = 0;
		return false;
	}
	if (p->frozen_since_ns == 0) {
		p->frozen_since_ns = w->now_ns;
		p->patience_ns = patience(w);
	}
	if (w->now_ns < p->frozen_since_ns + p->patience_ns ||
	    (w->settling && sim_pair_is_whole(w)))
		return false;
	sim_trace(w, "OPERATOR puts site %u out", 1 - serving);
	tell(w, serving, CLUSTER_COMMAND_DISCONNECT);
	p->frozen_since_ns = 0;
	return true;
}

/* A site is put out, and could come back. */
static bool tend_apart(struct sim *w, uint32_t node)
{
	struct sim_person *p = &w->person;

	if (w->node[node].core->alone->disconnected == 0 || !sim_pair_is_whole(w))
		return false;
	if (p->apart_since_ns == 0) {
		p->apart_since_ns = w->now_ns;
		p->patience_ns = patience(w);
	}
	if (w->now_ns < p->apart_since_ns + p->patience_ns)
		return false;
	sim_trace(w, "OPERATOR lets site %u in again at n%u", 1 - node, node + 1);
	tell(w, node,
	     w->node[node].core->alone->bypass != 0 ? CLUSTER_COMMAND_BYPASS_OFF :
						      CLUSTER_COMMAND_CONNECT);
	p->apart_since_ns = 0;
	return true;
}

/* A site asks before it gives up writes that the serving site lacks. */
static bool tend_undo(struct sim *w, uint32_t node)
{
	struct sim_person *p = &w->person;
	const struct alone *a = w->node[node].core->alone;
	const struct cluster_command c = { .type = CLUSTER_COMMAND_CONNECT,
					   .site = (int32_t)(1 - node),
					   .discard = true };

	if (a->undo_text[0] == 0 || !sim_pair_is_whole(w))
		return false;
	if (w->now_ns < p->told_ns + patience(w))
		return false;
	sim_trace(w, "OPERATOR gives up at n%u: %s", node + 1, a->undo_text);
	p->id = sim_operator(w, node, &c);
	p->node = node;
	p->process = w->node[node].process;
	p->since_ns = p->told_ns = w->now_ns;
	return true;
}

static void tend(struct sim *w, uint32_t serving)
{
	struct sim_person *p = &w->person;
	const uint32_t other = 1 - serving;

	p->idle_since_ns = w->now_ns;
	p->refused = 0;
	if (tend_frozen(w, serving) || tend_apart(w, serving) ||
	    (is_there(w, other) && (tend_apart(w, other) || tend_undo(w, other))) ||
	    w->settling)
		return;
	if (w->now_ns < p->told_ns + SIM_S * (1 + w->plan.slow))
		return;
	if (sim_random(w, SWITCH_ONE_IN) == 0)
		move(w, serving);
	else if (sim_random(w, MEDDLES_ONE_IN) == 0 && is_there(w, other))
		promote(w, other, false);
}

/* The site whose turn it is: the one that was wanted, the last one that served, or the other
 * when that refuses or is away. */
static uint32_t choose(struct sim *w)
{
	struct sim_person *p = &w->person;
	uint32_t node = w->generation[w->newest].site;

	if (p->wanted >= 0)
		node = (uint32_t)p->wanted;
	else if (!w->settling && sim_random(w, 4) == 0)
		node = (uint32_t)sim_random(w, 2);
	if (!is_there(w, node) || (p->refused >> node & 1) != 0)
		node = 1 - node;
	return node;
}

/* Nobody serves, and each site that is there has refused to, for a while. */
static bool may_force(struct sim *w)
{
	const struct sim_person *p = &w->person;

	for (uint32_t n = 0; n < 2; n++)
		if (is_there(w, n) && (p->refused >> n & 1) == 0)
			return false;
	return (w->plan.force || (w->settling && w->forced)) &&
	       w->now_ns > p->idle_since_ns + FORCE_AFTER_NS * (1 + w->plan.slow);
}

static void promote_one(struct sim *w)
{
	struct sim_person *p = &w->person;
	const uint32_t node = choose(w);

	if (w->now_ns < p->idle_since_ns + PAUSE_NS || !is_there(w, node))
		return;
	if (p->refused != 0 && w->now_ns < p->told_ns + SIM_S * (1 + w->plan.slow))
		return;
	promote(w, node, may_force(w));
	if (!w->settling && is_there(w, 1 - node) && sim_random(w, BOTH_ONE_IN) == 0)
		sim_promote(w, 1 - node, false);
	if (p->refused == 3)
		p->refused = 0;
}

/* Start a process anew whose device has failed. */
static void recover(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (is_there(w, n) && sim_node_failed(w, n) && sim_random(w, 50) == 0)
			sim_node_kill(w, n);
}

void sim_operate(struct sim *w)
{
	struct sim_person *p = &w->person;
	const int32_t serving = sim_serving(w);

	if (!p->off && (w->settling || w->command_count < COMMANDS_LIMIT)) {
		recover(w);
		if (!has_ended(w))
			;
		else if (serving < 0)
			promote_one(w);
		else if (is_there(w, (uint32_t)serving))
			tend(w, (uint32_t)serving);
	}
	sim_at(w, w->now_ns + PERIOD_NS, SIM_PACEMAKER, 0, 0, NULL);
}
