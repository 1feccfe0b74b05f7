/* node.c - a process: both cores, and around them the work of the drivers and of agent/node.c.
 * Orders and facts go from one to the other through two queues that keep their order and take
 * their time; these stand for the two threads.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/alone.h"
#include "tests/sim/sim.h"

#define LEAVE_NS (10 * SIM_S)
#define GRACE_NS (5 * SIM_S)
#define BOOT_NS (10 * SIM_S) /* CLOCK_BOOTTIME begins anew, less than this ago */
#define LOCKED_ONE_IN 100u

/* ---- the members' core ------------------------------------------------------ */

static void send_order(struct sim *w, uint32_t node, const struct order *o)
{
	struct sim_node *n = &w->node[node];
	struct order *copy = malloc(sizeof *copy);
	const uint64_t due = sim_soon(w, w->plan.mail_us);

	assert(copy != NULL);
	*copy = *o;
	n->orders_due_ns = due > n->orders_due_ns ? due : n->orders_due_ns;
	sim_at(w, n->orders_due_ns, SIM_ORDER, node, 0, copy);
}

static void persist(struct sim *w, uint32_t node, const struct cluster_action *a)
{
	struct sim_node *n = &w->node[node];

	assert(!n->persisting);
	n->persisting = true;
	n->persist_counter = a->counter;
	n->persist_bytes = a->length;
	memcpy(n->persist, a->data, a->length);
	sim_at(w, sim_soon(w, w->plan.cpg_us), SIM_PERSISTED, node, 0, NULL);
}

static void reply(struct sim *w, uint32_t node, const struct cluster_action *a)
{
	assert(a->command_id < SIM_COMMANDS_MAX);
	sim_trace(w, "n%u reply %d: %s", node + 1, a->exit_status, a->text);
	if (sim_move_reply(w, node, a))
		return;
	w->reply[a->command_id].done = true;
	w->reply[a->command_id].exit_status = a->exit_status;
	memcpy(w->reply[a->command_id].text, a->text, sizeof a->text);
	if (a->command_id != 0 && a->command_id == w->node[node].leave_id)
		sim_at(w, sim_soon(w, w->plan.cpg_us), SIM_EXIT, node, SIM_EXIT_DONE,
		       NULL);
}

static void sent(struct sim *w, uint32_t node, const uint8_t *data, size_t length)
{
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->sent != NULL)
			sim_checkers[i]->sent(w, node, data, length);
	sim_multicast(w, node, data, length);
}

static void cluster_action(struct sim *w, uint32_t node, const struct cluster_action *a)
{
	switch (a->type) {
	case CLUSTER_ACTION_SEND:
		sent(w, node, a->data, a->length);
		break;
	case CLUSTER_ACTION_PERSIST:
		persist(w, node, a);
		break;
	case CLUSTER_ACTION_ORDER:
		send_order(w, node, &a->order);
		break;
	case CLUSTER_ACTION_REPLY:
		reply(w, node, a);
		break;
	case CLUSTER_ACTION_EVENT:
		sim_trace(w, "n%u %s [%s] %s", node + 1, a->object, a->rule, a->text);
		break;
	}
}

void sim_cluster_step(struct sim *w, uint32_t node, struct cluster_event *e)
{
	static struct cluster_actions out;
	struct sim_node *n = &w->node[node];

	e->now_ns = sim_clock(w, node);
	e->wall_ns = sim_wall(w, node);
	n->promised_before = n->core->voter.promised;
	cluster_step(n->core, e, &out);
	w->count.steps_cluster++;
	for (uint32_t i = 0; i < out.count; i++)
		cluster_action(w, node, &out.action[i]);
	if (out.wake_at_ns != n->cluster_wake_ns) {
		n->cluster_wake_ns = out.wake_at_ns;
		if (out.wake_at_ns != UINT64_MAX)
			sim_at(w, sim_time_of(w, node, out.wake_at_ns), SIM_CLUSTER_TICK,
			       node, out.wake_at_ns, NULL);
	}
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->cluster != NULL)
			sim_checkers[i]->cluster(w, node);
	sim_fault_watch(w, node);
}

/* ---- the engine ---------------------------------------------------------------- */

static void trace_fact(struct sim *w, uint32_t node, const struct fact *f)
{
	static const char *const names[] = {
		"opened",  "closed",        "peer",        "prepared",  "serving",
		"demoted", "stored",        "refresh",     "recovered", "status",
		"link",    "copy-ready",    "copy-lost",   "promise",   "data",
		"marks",   "device-failed", "handed-over", "undo",      "device-hangs",
		"event",
	};

	static_assert(sizeof names / sizeof *names == FACT_EVENT + 1, "all of them");

	if (f->type != FACT_MARKS)
		sim_trace(w, "n%u   %s site %u error %d seq %llu %s %s %s", node + 1,
			  names[f->type], f->site, f->error,
			  (unsigned long long)f->sequence, f->object, f->rule, f->text);
}

static void take_fact(struct sim *w, uint32_t node, const struct fact *f)
{
	struct sim_node *n = &w->node[node];
	const uint64_t due = sim_soon(w, w->plan.mail_us);
	struct fact *copy;

	trace_fact(w, node, f);
	sim_move_fact(w, node, f);
	if (f->type == FACT_EVENT && strcmp(f->rule, "force") == 0)
		w->patched = true;
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->fact != NULL)
			sim_checkers[i]->fact(w, node, f);
	if (f->type == FACT_EVENT || f->type == FACT_STATUS)
		return;
	copy = malloc(sizeof *copy);
	assert(copy != NULL);
	*copy = *f;
	n->facts_due_ns = due > n->facts_due_ns ? due : n->facts_due_ns;
	sim_at(w, n->facts_due_ns, SIM_FACT, node, 0, copy);
}

static void take_devices(struct sim *w, uint32_t node, const struct mirror_actions *out)
{
	struct sim_node *n = &w->node[node];

	if (out->open_devices) {
		n->site = out->site;
		sim_at(w, sim_soon(w, 2000), SIM_DEVICES, node, 0, NULL);
	}
	if (out->close_devices)
		sim_at(w, sim_soon(w, 2000), SIM_CLOSED, node, 0, NULL);
	if (out->clients == MIRROR_CLIENTS_CLOSE)
		sim_clients_gone(w, node, false);
	if (out->clients != MIRROR_CLIENTS_KEEP)
		sim_at(w, sim_soon(w, 500), SIM_CLIENTS, node, out->clients, NULL);
}

static void take_io(struct sim *w, uint32_t node, struct mirror_actions *out)
{
	for (struct mirror_io *io = out->io.head, *next; io != NULL; io = next) {
		next = io->next;
		for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
			if (sim_checkers[i]->io != NULL)
				sim_checkers[i]->io(w, node, io);
		sim_io_submit(w, node, io);
	}
}

static void take_links(struct sim *w, uint32_t node, struct mirror_actions *out)
{
	while (out->send.head != NULL) {
		struct mirror_frame *f = out->send.head;

		out->send.head = f->next;
		f->next = NULL;
		sim_frame_send(w, node, f);
	}
	for (uint32_t i = 0; i < out->link_order_count; i++) {
		const struct mirror_link_order *o = &out->link_order[i];

		if (o->action == MIRROR_LINK_CONNECT)
			sim_connect(w, node, o);
		else
			sim_hang_up(w, node, o->link);
	}
}

static void take_actions(struct sim *w, uint32_t node, struct mirror_actions *out)
{
	struct sim_node *n = &w->node[node];

	while (out->answer.head != NULL) {
		struct mirror_request *q = out->answer.head;

		out->answer.head = q->next;
		sim_answer(w, node, q);
	}
	take_io(w, node, out);
	take_links(w, node, out);
	take_devices(w, node, out);
	for (uint32_t i = 0; i < out->fact_count; i++)
		take_fact(w, node, &out->fact[i]);
	if (n->late.head != NULL && !n->offer_due) {
		n->offer_due = true;
		sim_at(w, sim_soon(w, 20), SIM_OFFER, node, 0, NULL);
	}
	if (out->wake_at_ns != n->mirror_wake_ns) {
		n->mirror_wake_ns = out->wake_at_ns;
		if (out->wake_at_ns != UINT64_MAX)
			sim_at(w, sim_time_of(w, node, out->wake_at_ns), SIM_MIRROR_TICK,
			       node, out->wake_at_ns, NULL);
	}
}

void sim_mirror_step(struct sim *w, uint32_t node, struct mirror_event *e)
{
	static struct mirror_actions out;

	e->more = sim_is_followed(w, e->type);
	e->now_ns = sim_clock(w, node);
	e->wall_ns = sim_wall(w, node);
	mirror_step(w->node[node].engine, e, &out);
	mirror_view_fill(w->node[node].engine, &w->node[node].view);
	sim_sum(w, node, &out);
	take_actions(w, node, &out);
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->mirror != NULL)
			sim_checkers[i]->mirror(w, node);
	sim_fault_watch(w, node);
}

/* ---- events of a process ----------------------------------------------------------- */

static void devices_open(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	struct sim_site *s = &w->site[n->site];
	static struct mirror_devices d;
	struct mirror_event e = { .type = MIRROR_EVENT_DEVICES, .devices = &d };

	memset(&d, 0, sizeof d);
	if (!w->settling && w->plan.fault_count > 0 &&
	    sim_random(w, LOCKED_ONE_IN) == 0) {
		d.error = sim_random(w, 2) == 0 ? -EBUSY : -ENOENT;
		snprintf(d.text, sizeof d.text, "disk-0 cannot be opened: %s",
			 strerror(-d.error));
		sim_trace(w, "n%u DEVICES: %s", node + 1, d.text);
		sim_mirror_step(w, node, &e);
		return;
	}
	d.log_bytes = s->log.bytes;
	for (uint32_t i = 0; i < w->plan.disk_count; i++) {
		d.disk_bytes[i] = s->disk[i].bytes;
		d.disk_sector_bytes[i] = SIM_SECTOR;
		memcpy(d.disk_identity[i], s->disk[i].identity, MIRROR_IDENTITY_BYTES);
	}
	if (s->open_node >= 0)
		sim_violate(w, "D6", "n%u opens site %u, which n%u has open", node + 1,
			    n->site, (uint32_t)s->open_node + 1);
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++)
		if (w->op[i].used && w->op[i].site == n->site && w->op[i].node != node)
			sim_violate(w, "D6",
				    "n%u opens site %u, and operations of n%u on its "
				    "devices have not ended",
				    node + 1, n->site, w->op[i].node + 1);
	s->open_node = (int32_t)node;
	s->opened_power_cuts = s->power_cuts;
	n->open = true;
	sim_mirror_step(w, node, &e);
}

static void devices_closed(struct sim *w, uint32_t node)
{
	struct mirror_event e = { .type = MIRROR_EVENT_DEVICES_CLOSED };

	assert(!sim_io_pending(w, node));
	if (w->node[node].open)
		w->site[w->node[node].site].open_node = -1;
	w->node[node].open = false;
	sim_mirror_step(w, node, &e);
}

void sim_node_order(struct sim *w, uint32_t node, const struct order *o)
{
	struct mirror_event e = { .type = MIRROR_EVENT_ORDER, .order = o };

	if (o->type == ORDER_SERVE)
		w->node[node].served_generation = sim_generation_add(w, &o->history) + 1;
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->order != NULL)
			sim_checkers[i]->order(w, node, o);
	if (o->type == ORDER_FAIL_FROZEN)
		sim_fail_late(w, node);
	sim_mirror_step(w, node, &e);
}

static void persisted(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	struct cluster_event e = { .type = CLUSTER_EVENT_PERSISTED };

	n->persisting = false;
	if (n->file_fails) {
		e.persisted.error = -ENOSPC;
	} else {
		memcpy(n->file, n->persist, n->persist_bytes);
		n->file_bytes = n->persist_bytes;
		n->persisted_count++;
	}
	e.persisted.counter = n->persist_counter;
	sim_cluster_step(w, node, &e);
}

static void clients_ready(struct sim *w, uint32_t node, bool open)
{
	struct mirror_event e = { .type = MIRROR_EVENT_CLIENTS };

	w->node[node].clients = open;
	sim_mirror_step(w, node, &e);
	sim_client_wake(w, node);
}

static void tick(struct sim *w, const struct sim_event *e)
{
	struct sim_node *n = &w->node[e->node];
	struct cluster_event c = { .type = CLUSTER_EVENT_TICK };
	struct mirror_event m = { .type = MIRROR_EVENT_TICK };

	if (e->type == SIM_CLUSTER_TICK && n->cluster_wake_ns == e->number) {
		n->cluster_wake_ns = 0;
		sim_cluster_step(w, e->node, &c);
	} else if (e->type == SIM_MIRROR_TICK && n->mirror_wake_ns == e->number) {
		n->mirror_wake_ns = 0;
		sim_mirror_step(w, e->node, &m);
	}
}

static void gives_up(struct sim *w, uint32_t node, uint64_t id)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_GIVE_UP, .command_id = id };

	if (!w->reply[id].done)
		sim_cluster_step(w, node, &e);
}

/* As agent/request.c ends a stop. */
static void leaves(struct sim *w, uint32_t node, enum sim_exit exit)
{
	const struct order frozen = { .type = ORDER_FAIL_FROZEN };

	if (exit == SIM_EXIT_FROZEN) {
		sim_node_order(w, node, &frozen);
		sim_at(w, w->now_ns + GRACE_NS, SIM_EXIT, node, SIM_EXIT_LATE, NULL);
		return;
	}
	sim_trace(w, "n%u leaves%s", node + 1,
		  exit == SIM_EXIT_LATE ? ", and has not released" : "");
	sim_node_kill(w, node);
}

void sim_node_event(struct sim *w, const struct sim_event *e)
{
	struct cluster_event c = { .type = CLUSTER_EVENT_FACT, .fact = e->data };
	struct mirror_event m = { .type = MIRROR_EVENT_SENT, .frame = e->data };

	switch (e->type) {
	case SIM_CLUSTER_TICK:
	case SIM_MIRROR_TICK:
		tick(w, e);
		break;
	case SIM_INBOX:
		sim_inbox(w, e->node);
		break;
	case SIM_SEND:
		sim_order_out(w, e->node);
		break;
	case SIM_ORDER:
		sim_node_order(w, e->node, e->data);
		break;
	case SIM_FACT:
		sim_cluster_step(w, e->node, &c);
		break;
	case SIM_PERSISTED:
		persisted(w, e->node);
		break;
	case SIM_DEVICES:
		devices_open(w, e->node);
		break;
	case SIM_CLOSED:
		devices_closed(w, e->node);
		break;
	case SIM_CLIENTS:
		clients_ready(w, e->node, e->number == MIRROR_CLIENTS_OPEN);
		break;
	case SIM_SENT:
		sim_mirror_step(w, e->node, &m);
		break;
	case SIM_OFFER:
		sim_offer(w, e->node);
		break;
	case SIM_SUBMIT:
		sim_submit(w, e->node);
		break;
	case SIM_GIVE_UP:
		gives_up(w, e->node, e->number);
		break;
	case SIM_MOVE_DUE:
		sim_move_due(w, e->node, e->number);
		break;
	case SIM_EXIT:
		leaves(w, e->node, (enum sim_exit)e->number);
		break;
	default:
		abort();
	}
}

/* ---- processes and machines ---------------------------------------------------------- */

void sim_node_start(struct sim *w, uint32_t node)
{
	const struct mirror_seed seed = { .random = { sim_random(w, UINT64_MAX),
						      sim_random(w, UINT64_MAX), node,
						      w->seed } };
	struct sim_node *n = &w->node[node];
	char text[256];

	assert(!n->running);
	if (sim_io_hangs(w, node)) {
		sim_trace(w, "n%u does not start: a device holds its operations",
			  node + 1);
		return;
	}
	sim_io_settle(w, node); /* its lock was held until all that had ended */
	if (!n->machine)
		sim_pacemaker_boot(w, node);
	n->machine = n->running = true;
	n->process++;
	n->pid = 100 * (node + 1) + n->process;
	sim_setup_self(w, node);
	n->core = cluster_create(&w->config, &n->self, n->file_bytes > 0 ? n->file : NULL,
				 n->file_bytes, text, sizeof text);
	n->engine = mirror_engine_create(&w->config, &seed);
	assert(n->core != NULL && n->engine != NULL);
	mirror_view_fill(n->engine, &n->view);
	n->inbox.due_ns = n->out.due_ns = n->orders_due_ns = n->facts_due_ns = 0;
	n->list_count = 0;
	n->ring = n->delivered = 0;
	n->quorate_told = false;
	n->frozen_until_ns = 0;
	n->persisted_count++; /* it reads its file */
	n->checked_ballot = n->served_generation = n->leave_id = n->prepare_seen = 0;
	n->together_sum = 0;
	n->move = (struct sim_move){ .core.config = &w->config };
	n->open = n->clients = n->submit_due = n->offer_due = false;
	n->cluster_wake_ns = n->mirror_wake_ns = 0;
	sim_trace(w, "n%u starts as process %u", node + 1, n->pid);
	sim_reform(w);
	sim_at(w, w->now_ns, SIM_CLUSTER_TICK, node, 0, NULL);
}

static void end_process(struct sim *w, uint32_t node, bool silently)
{
	struct sim_node *n = &w->node[node];

	if (!n->running)
		return;
	/* A write that was under way may have been done. */
	if (n->persisting && (n->held >> SIM_HOLD_PERSIST & 1) == 0 &&
	    sim_random(w, 2) == 0 && !w->worst) {
		memcpy(n->file, n->persist, n->persist_bytes);
		n->file_bytes = n->persist_bytes;
	}
	n->persisting = false;
	sim_clients_gone(w, node, true);
	sim_lines_drop(w, node, silently);
	sim_io_orphan(w, node, silently);
	if (n->open)
		w->site[n->site].open_node = -1;
	n->open = false;
	n->running = false;
	cluster_destroy(n->core);
	mirror_engine_destroy(n->engine);
	n->core = NULL;
	n->engine = NULL;
	sim_queue_empty(&n->inbox);
	sim_queue_empty(&n->out);
	w->count.crashes++;
}

void sim_node_kill(struct sim *w, uint32_t node)
{
	sim_trace(w, "n%u: its process is killed", node + 1);
	end_process(w, node, false);
	sim_reform(w);
}

void sim_node_leave(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const uint64_t id = sim_command(w, node, CLUSTER_COMMAND_STOP, false, -1);

	if (id == 0 || n->leave_id != 0)
		return;
	n->leave_id = id;
	if (w->reply[id].done)
		sim_at(w, sim_soon(w, w->plan.cpg_us), SIM_EXIT, node, SIM_EXIT_DONE,
		       NULL);
	else
		sim_at(w, w->now_ns + LEAVE_NS, SIM_EXIT, node, SIM_EXIT_FROZEN, NULL);
}

void sim_machine_reset(struct sim *w, uint32_t node)
{
	sim_trace(w, "n%u: its machine goes down", node + 1);
	end_process(w, node, true);
	sim_io_orphan(w, node, true); /* operations of a process killed before */
	w->node[node].boot += 100;
	w->node[node].offset_ns -= (int64_t)(sim_clock(w, node) - sim_random(w, BOOT_NS));
	w->node[node].machine = false;
	w->node[node].away = false;
	sim_reform(w);
}

void sim_site_power(struct sim *w, uint32_t site)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->config.node[n].site == (int32_t)site)
			sim_machine_reset(w, n);
	sim_power_cut(w, site);
	sim_trace(w, "site %u: its power is cut", site);
}

/* SIGSTOP of the process. */
void sim_node_stop(struct sim *w, uint32_t node, uint64_t ns)
{
	struct sim_node *n = &w->node[node];

	if (!n->running || w->now_ns < n->frozen_until_ns)
		return;
	n->frozen_until_ns = w->now_ns + ns;
	n->frozen_ns = sim_clock(w, node);
	sim_trace(w, "n%u is stopped for %llu ms", node + 1,
		  (unsigned long long)(ns / SIM_MS));
}

/* ---- production ------------------------------------------------------------------- */

bool sim_node_serves(const struct sim *w, uint32_t node)
{
	const struct sim_node *n = &w->node[node];

	return n->running && n->clients && !n->view.failed &&
	       (n->view.state == ENGINE_SERVING || n->view.state == ENGINE_DEMOTING);
}

bool sim_node_failed(const struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;

	return c->alone != NULL ? c->alone->failed : c->role.failed;
}

bool sim_node_stopping(const struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;

	return c->alone != NULL ? c->alone->stopping : c->stopping;
}

int32_t sim_serving(const struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (sim_node_serves(w, n) &&
		    sim_clock(w, n) < mirror_engine_lease_until_ns(w->node[n].engine))
			return (int32_t)n;
	return -1;
}
