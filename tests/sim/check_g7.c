/* check_g7.c - G7, bounded: both cores' own invariants, bounds included, all the time;
 * every queue that the status shows is within the bound that it shows, and so is the queue
 * of one line. Every request is answered within ANSWER_NS while all run and are members
 * together, no device fails or is slow, and no fault has struck since. The lines between the
 * sites may do anything: a copy that confirms nothing is left out. If the lines work too, some
 * host serves within SERVE_NS.
 * A device that hangs is given up within device-timeout and NOTICE_NS.
 * Where a required copy is missing (M8), that does not count, for changes and for reads that
 * overlap one.
 * Without a cluster an answer may wait for an operator, if `why` names the command that
 * ends the wait: he gives it (operator.c), and the wait ends.
 * settle.c sees at the end of every run that all comes together again.
 */
#include <string.h>

#include "cluster/alone.h"
#include "cluster/internal.h"
#include "mirror/engine/status.h"
#include "mirror/engine/test_view.h"
#include "mirror/status.h"
#include "tests/sim/sim.h"

#define ONE_IN 64u
#define ANSWER_NS (10 * SIM_S)
#define SERVE_NS (10 * SIM_S) /* an operator takes twice that, at the pace of his world */
#define TOLD_NS (40 * SIM_S)  /* a wait for an operator, within his patience */
#define NOTICE_NS (3 * SIM_S)
#define BEFORE_MAX 2048u /* records of a link that comes level, and of other requests */

static void check_queues(struct sim *w, uint32_t node)
{
	static struct mirror_status status;
	const struct mirror_view *m = sim_view(w, node);

	mirror_status_fill(w->node[node].engine, &status);
	for (uint32_t i = 0; i < status.queue_count; i++) {
		const struct mirror_status_queue *q = &status.queue[i];

		if (q->count > q->count_max)
			sim_violate(w, "G7", "n%u: %llu %s, and the bound is %llu",
				    node + 1, (unsigned long long)q->count, q->name,
				    (unsigned long long)q->count_max);
	}
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (m->link[i].frame_count > LINK_FRAMES_MAX)
			sim_violate(w, "G7", "n%u: %u frames wait on one line", node + 1,
				    m->link[i].frame_count);
}

static void mirror(struct sim *w, uint32_t node)
{
	if (w->count.steps_mirror % ONE_IN != 0)
		return;
	mirror_engine_check(w->node[node].engine);
	check_queues(w, node);
}

static void cluster(struct sim *w, uint32_t node)
{
	if (w->count.steps_cluster % ONE_IN == 0)
		cluster_check(w->node[node].core);
}

/* ---- answers ------------------------------------------------------------------------- */

static bool device_works(const struct sim *w, const struct sim_device *d)
{
	return d->fail == 0 && d->slow_ns == 0 && d->held_ops == 0 && d->hung == 0 &&
	       d->stuck_until_ns <= w->now_ns;
}

static bool lines_work(const struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		if (w->node[n].line != w->node[0].line)
			return false;
		for (uint32_t to = 0; to < w->node_count; to++)
			if (w->stalled[n][to] || w->hole[n][to])
				return false;
	}
	return true;
}

/* Devices that could not be opened for minutes are left alone for a while. */
static bool leaves_devices_alone(const struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;
	const struct alone *a = c->alone;

	return (a != NULL ? a->open_failures : c->role.open_failures) > OPEN_OFTEN &&
	       sim_clock(w, node) < (a != NULL ? a->open_at_ns : c->role.open_at_ns);
}

/* Without members nobody but an operator leaves out a copy that is gone; in async no answer
 * waits for one. */
static bool lines_count(const struct sim *w)
{
	return w->plan.alone && w->plan.promise.mode != CONFIG_ASYNC;
}

static bool members_work(struct sim *w)
{
	if (lines_count(w) && !lines_work(w))
		return false;
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct sim_node *at = &w->node[n];

		if (!at->running || w->now_ns < at->frozen_until_ns || at->held != 0 ||
		    sim_node_failed(w, n) || leaves_devices_alone(w, n) ||
		    at->component != w->node[0].component)
			return false;
	}
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		for (uint32_t d = 0; d <= w->plan.disk_count; d++)
			if (w->site[s].tainted ||
			    !device_works(
				    w, sim_device(w, s, d == 0 ? MIRROR_IO_LOG : d - 1)))
				return false;
	return w->plan.alone ? !sim_pair_is_forked(w) : !w->forced;
}

/* `hamirror why` tells the operator a remedy. */
static bool names_a_command(const struct sim *w, uint32_t node)
{
	static struct cluster_status status;
	bool named;

	cluster_status_get(w->node[node].core, sim_clock(w, node), &status);
	named = strstr(status.text, "hamirror ") != NULL;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		named |= strstr(status.sites[s].text, "hamirror ") != NULL;
	return named;
}

/* Over a thin line the records before it need their time. */
static uint64_t answer_within(const struct sim *w, uint32_t node)
{
	return (w->plan.alone && names_a_command(w, node) ? TOLD_NS : ANSWER_NS) +
	       BEFORE_MAX * w->plan.record_us * SIM_US;
}

static void check_answers(struct sim *w, uint32_t node)
{
	const uint64_t missing_ns = sim_block_seen_ns(w, node);

	for (uint32_t i = 0; i < SIM_REQUESTS_MAX; i++) {
		const struct sim_request *r = &w->node[node].request[i];
		uint64_t since = r->asked_ns > w->calm_since_ns ? r->asked_ns :
								  w->calm_since_ns;

		if (since < missing_ns && sim_block_holds(w, node, r))
			since = missing_ns;
		if (r->busy && w->now_ns > since + ANSWER_NS &&
		    w->now_ns > since + answer_within(w, node))
			sim_violate(
				w, "G7",
				"n%u has not answered request type %d for %llu ms, and "
				"nothing but the lines is wrong",
				node + 1, (int)r->request.type,
				(unsigned long long)((w->now_ns - since) / SIM_MS));
	}
}

/* Nobody promotes, or the request is from before. */
static bool is_excused(const struct sim *w)
{
	const struct sim_person *person = &w->person;

	if (w->command_count + 400 > SIM_COMMANDS_MAX)
		return true;
	for (uint32_t n = 0; n < w->node_count; n++)
		if (sim_move_manages(w, n) && w->node[n].move.begun_ns < w->calm_since_ns)
			return true;
	if (w->plan.alone)
		return person->off || w->forced ||
		       (person->id != 0 && person->since_ns < w->calm_since_ns);
	return w->pacemaker.off || (w->pacemaker.promote_id != 0 &&
				    w->pacemaker.promote_since_ns < w->calm_since_ns);
}

/* Pacemaker, or the operator, is there to promote one; a command that was given while
 * something was wrong may still take its time. */
static void check_served(struct sim *w)
{
	const uint64_t since = w->served_seen_ns > w->calm_since_ns ? w->served_seen_ns :
								      w->calm_since_ns;

	if (sim_serving(w) >= 0 || is_excused(w))
		w->served_seen_ns = w->now_ns;
	else if (w->now_ns >
		 since + (w->plan.alone ? 2 * SERVE_NS * (1 + w->plan.slow) : SERVE_NS))
		sim_violate(w, "G7", "nobody serves for %llu ms, and nothing is wrong",
			    (unsigned long long)((w->now_ns - since) / SIM_MS));
}

static void watch_answers(struct sim *w)
{
	if (!members_work(w) || w->count.crashes != w->crashes_seen ||
	    w->last_fault_ns > w->calm_since_ns) {
		w->calm_since_ns = w->now_ns;
		w->crashes_seen = w->count.crashes;
		return;
	}
	for (uint32_t n = 0; n < w->node_count; n++)
		check_answers(w, n);
	if (lines_work(w))
		check_served(w);
	else
		w->served_seen_ns = w->now_ns;
}

/* A device that does not answer is given up. */
static void check_hangs(struct sim *w)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++) {
		const struct sim_op *o = &w->op[i];
		const struct sim_node *n = &w->node[o->node];
		const uint64_t since = o->begun_ns > n->frozen_until_ns ?
					       o->begun_ns :
					       n->frozen_until_ns;

		if (o->used && o->io != NULL && w->config.device_timeout_ms > 0 &&
		    !n->view.failed &&
		    w->now_ns > since + w->config.device_timeout_ms * SIM_MS + NOTICE_NS)
			sim_violate(
				w, "G7",
				"a device of site %u has not answered n%u for %llu ms, "
				"and it was not given up",
				o->site + 1, o->node + 1,
				(unsigned long long)((w->now_ns - since) / SIM_MS));
	}
}

static void look(struct sim *w)
{
	watch_answers(w);
	check_hangs(w);

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running) {
			mirror_engine_check(w->node[n].engine);
			check_queues(w, n);
			cluster_check(w->node[n].core);
		}
}

const struct sim_checker sim_check_g7 = {
	.name = "G7",
	.mirror = mirror,
	.cluster = cluster,
	.look = look,
};
