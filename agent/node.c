/* node.c - see node.h.
 *
 * Every event goes through step(), which never calls itself: a driver reports later, from
 * the loop, and an immediate effect of an action (a lost corosync) only sets `failed`.
 */
#include "agent/node.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <qb/qbloop.h>

#include "agent/config.h"
#include "agent/corosync_check.h"
#include "agent/device_failure.h"
#include "agent/device_nodes.h"
#include "agent/io_thread.h"
#include "agent/node_events.h"
#include "agent/protect.h"
#include "agent/reach.h"
#include "agent/self.h"
#include "agent/words.h"
#include "cluster/cpg_driver.h"
#include "cluster/fence_driver.h"
#include "cluster/quorum_driver.h"
#include "cluster/voter_file_driver.h"
#include "common/clock_driver.h"
#include "mirror/drivers/link_driver.h"

#define NS_PER_MS 1000000ull
#define STATUS_TIMEOUT_NS (2000 * NS_PER_MS)
#define QUEUE_COUNT 3 /* for the status: orders, facts, messages */

struct agent_node {
	struct agent_node_setup setup;
	struct cluster_core *core;
	struct cluster_cpg *cpg;
	struct cluster_quorum *quorum;
	struct cluster_fence *fence;
	struct agent_corosync corosync;
	struct cluster_voter_writer *voter;
	struct agent_io *io;
	struct agent_devices *devices;
	bool stepping, failed, tick_set, opened; /* opened: its owner was told */
	char listen_text[FACT_TEXT_MAX]; /* why the line is not listened on, or "" */
	uint64_t answered_ns;            /* the last write, by FACT_DEMOTED; 0: none */
	qb_loop_timer_handle tick;
	bool status_asked;     /* someone waits for owner.status */
	bool status_lent;      /* `mirror` is the I/O thread's */
	uint64_t status_event; /* the newest when it was lent */
	bool status_timed;
	qb_loop_timer_handle status_timer;
	struct mirror_status mirror;
	struct cluster_status members;
	struct cluster_actions actions;
};

static void fail(void *owner, const char *text)
{
	struct agent_node *n = owner;

	if (n->failed)
		return;
	n->failed = true;
	n->setup.owner.failed(n->setup.owner.owner, text);
}

/* ---- events -------------------------------------------------------------------- */

static void event_add(struct agent_node *n, const char *verb, const char *object,
		      const char *text, const char *rule)
{
	agent_events_add_now(n->setup.events, verb, object, text, rule);
}

static void site_event(struct agent_node *n, const char *kind, const char *key,
		       const char *word, const struct fact *fact)
{
	agent_site_event(n->setup.events, n->setup.config, kind, key, word, fact);
}

/* ---- actions --------------------------------------------------------------------- */

void agent_node_order(struct agent_node *n, const struct order *o)
{
	if (agent_io_order(n->io, o) != 0)
		fail(n,
		     "the I/O thread takes no more orders: a device or the system under "
		     "it hangs");
}

/* An order that ends the service takes the devices away, if they still stand. */
static void order_performed(struct agent_node *n, const struct order *o)
{
	if (o->type == ORDER_DEMOTE || o->type == ORDER_DEPOSE || o->type == ORDER_CLOSE)
		agent_devices_serve(n->devices, false);
	agent_node_order(n, o);
}

static void perform(struct agent_node *n, const struct cluster_action *a)
{
	switch (a->type) {
	case CLUSTER_ACTION_SEND:
		assert(n->cpg != NULL);
		cluster_cpg_send(n->cpg, a->data, a->length);
		break;
	case CLUSTER_ACTION_PERSIST:
		cluster_voter_write(n->voter, a->counter, a->data, a->length);
		break;
	case CLUSTER_ACTION_ORDER:
		order_performed(n, &a->order);
		break;
	case CLUSTER_ACTION_REPLY:
		agent_devices_reply(n->devices, a->command_id, a->exit_status, a->text);
		break;
	case CLUSTER_ACTION_EVENT:
		agent_core_event(n->setup.events, a);
		break;
	}
}

static void ticked(void *data);

static void set_tick(struct agent_node *n, uint64_t now_ns)
{
	const uint64_t at_ns = n->actions.wake_at_ns;

	if (n->tick_set)
		qb_loop_timer_del(n->setup.loop, n->tick);
	n->tick_set = false;
	if (at_ns == UINT64_MAX)
		return;
	n->tick_set = qb_loop_timer_add(n->setup.loop, QB_LOOP_HIGH,
					at_ns > now_ns ? at_ns - now_ns : 0, n, ticked,
					&n->tick) == 0;
	if (!n->tick_set)
		fail(n, "no memory for a timer");
}

static void step(void *owner, struct cluster_event *event)
{
	struct agent_node *n = owner;

	if (n->failed)
		return;
	assert(!n->stepping);
	n->stepping = true;
	event->now_ns = common_clock_ns(CLOCK_BOOTTIME);
	event->wall_ns = common_clock_ns(CLOCK_REALTIME);
	cluster_step(n->core, event, &n->actions);
	for (uint32_t i = 0; i < n->actions.count; i++)
		perform(n, &n->actions.action[i]);
	set_tick(n, event->now_ns);
	n->stepping = false;
}

static void count_votes(void *owner, const uint32_t *nodeid, size_t count)
{
	struct agent_node *n = owner;
	const char *text = agent_corosync_check_votes(&n->corosync, nodeid, count);

	if (text != NULL)
		event_add(n, "change", "quorum", text, "");
}

static void ticked(void *data)
{
	struct agent_node *n = data;
	struct cluster_event event = { .type = CLUSTER_EVENT_TICK };

	n->tick_set = false;
	step(n, &event);
}

static void fence_event(void *owner, struct cluster_event *event)
{
	struct agent_node *n = owner;
	const int32_t node = cluster_names_find(&n->corosync.names, n->setup.config,
						event->fenced.node);
	char object[CLUSTER_NAME_BYTES + 8];

	if (node >= 0)
		event->fenced.node = n->setup.config->node[node].name;
	snprintf(object, sizeof object, "member %s", event->fenced.node);
	if (event->fenced.live)
		event_add(n, "change", object, "fenced: Pacemaker confirmed it",
			  node < 0 ? "no-node-of-this-mirror" : "");
	if (node >= 0)
		step(n, event);
}

/* ---- status -------------------------------------------------------------------------- */

static void status_done(struct agent_node *n, const struct mirror_status *mirror)
{
	struct mirror_status_queue queue[QUEUE_COUNT];
	struct status_input in = {
		.config = n->setup.config,
		.instance = n->setup.instance->name,
		.node = n->setup.self,
		.wall_ns = common_clock_ns(CLOCK_REALTIME),
		.event = n->status_event,
		.cluster = &n->members,
		.mirror = mirror,
		.listen_text = n->listen_text,
		.corosync_text = n->corosync.text,
		.votes_text = n->corosync.votes_text,
		.fencer_connected = n->fence != NULL && cluster_fence_connected(n->fence),
		.queue_count = 2,
		.queue = queue,
		.devices = agent_devices_list(n->devices),
		.attach_text = agent_devices_text(n->devices),
		.protections = n->setup.protections,
		.last_run = n->setup.last_run,
	};

	if (n->status_timed)
		qb_loop_timer_del(n->setup.loop, n->status_timer);
	n->status_timed = false;
	if (!n->status_asked)
		return;
	cluster_voter_times_get(n->voter, &in.voter_write_last_us,
				&in.voter_write_max_us);
	n->status_asked = false;
	agent_node_members_get(n, &n->members);
	agent_io_queues_get(n->io, queue);
	if (n->cpg != NULL)
		queue[in.queue_count++] = (struct mirror_status_queue){
			.name = "bytes to the members",
			.count = cluster_cpg_queued_bytes(n->cpg),
			.count_max = cluster_cpg_queue_bytes_max(),
		};
	n->setup.owner.status(n->setup.owner.owner, &in);
}

static void status_expired(void *data)
{
	struct agent_node *n = data;

	n->status_timed = false;
	status_done(n, NULL);
}

void agent_node_status(struct agent_node *n)
{
	const struct order o = { .type = ORDER_STATUS, .status = &n->mirror };

	n->status_asked = true;
	if (!n->status_timed)
		n->status_timed = qb_loop_timer_add(n->setup.loop, QB_LOOP_MED,
						    STATUS_TIMEOUT_NS, n, status_expired,
						    &n->status_timer) == 0;
	/* Lent already: the fact that is to come answers this one too, or the
	 * timer does. */
	if (n->status_lent)
		return;
	n->status_lent = true;
	n->status_event = agent_events_newest(n->setup.events);
	agent_node_order(n, &o);
}

const char *agent_node_votes_text(const struct agent_node *n)
{
	return n->corosync.votes_text;
}

void agent_node_members_get(const struct agent_node *n, struct cluster_status *status)
{
	cluster_status_get(n->core, common_clock_ns(CLOCK_BOOTTIME), status);
}

/* ---- facts ------------------------------------------------------------------------------ */

static void demoted(struct agent_node *n, const struct fact *fact)
{
	if (fact->error != 0)
		agent_devices_serve(n->devices, true); /* it serves on */
	n->answered_ns = 0;
	if (fact->age_ms != UINT64_MAX)
		n->answered_ns = common_clock_ns(CLOCK_BOOTTIME) -
				 fact->age_ms * NS_PER_MS;
}

static void fact_arrived(void *owner, const struct fact *fact)
{
	struct agent_node *n = owner;
	struct cluster_event event = { .type = CLUSTER_EVENT_FACT, .fact = fact };

	switch (fact->type) {
	case FACT_STATUS:
		n->status_lent = false;
		status_done(n, &n->mirror);
		return;
	case FACT_EVENT:
		if (fact->heard) {
			agent_heard_event(n->setup.events, n->setup.config, fact);
			return;
		}
		if (strcmp(fact->rule, LINK_LISTEN_RULE_BAD) == 0)
			snprintf(n->listen_text, sizeof n->listen_text, "%s", fact->text);
		else if (strcmp(fact->rule, LINK_LISTEN_RULE_GOOD) == 0)
			n->listen_text[0] = '\0';
		agent_engine_event(n->setup.events, n->setup.config, fact);
		return;
	case FACT_LINK:
		site_event(n, "link", "link", agent_link_text(fact->link), fact);
		break;
	case FACT_DATA:
		site_event(n, "site", "data", agent_data_text(fact->data), fact);
		break;
	case FACT_DEVICE_FAILED:
	case FACT_DEVICE_HANGS:
		event_add(n, "change", "devices", fact->text, fact->rule);
		break;
	case FACT_SERVING:
		if (fact->error == 0) {
			agent_devices_serve(n->devices, true);
			agent_protect_pool(n->setup.protections,
					   agent_io_populate(n->io));
		}
		break;
	case FACT_OPENED:
		if (!n->opened) {
			n->opened = true;
			n->setup.owner.opened(n->setup.owner.owner, fact->error,
					      fact->text);
		}
		break;
	case FACT_DEMOTED:
		demoted(n, fact);
		break;
	default: /* for the core alone */
		break;
	}
	step(n, &event);
	agent_device_failure_note(n->setup.instance, n->core, fact);
}

bool agent_node_tell(struct agent_node *n, const char *object, const char *text,
		     const char *rule)
{
	if (n->cpg == NULL)
		return agent_is_of_other_site(n->setup.config, n->setup.self, object) ||
		       agent_io_tell(n->io, object, text, rule);
	if (n->stepping || !cluster_news_may(n->core) ||
	    cluster_cpg_queued_bytes(n->cpg) > 0)
		return false;
	step(n, &(struct cluster_event){ .type = CLUSTER_EVENT_NEWS,
					 .news = { object, text, rule } });
	return true;
}

/* ---- commands ----------------------------------------------------------------------------- */

void agent_node_command(struct agent_node *n, const struct cluster_command *command)
{
	agent_devices_command(n->devices, command);
}

void agent_node_give_up(struct agent_node *n, uint64_t id)
{
	step(n,
	     &(struct cluster_event){ .type = CLUSTER_EVENT_GIVE_UP, .command_id = id });
}

static void command_goes(void *owner, const struct cluster_command *command)
{
	step(owner, &(struct cluster_event){ .type = CLUSTER_EVENT_COMMAND,
					     .command = command });
}

static void command_ended(void *owner, uint64_t id, int exit_status, const char *text)
{
	const struct agent_node *n = owner;

	n->setup.owner.reply(n->setup.owner.owner, id, exit_status, text);
}

static void devices_changed(void *owner, const char *verb, const char *text)
{
	event_add(owner, verb, "devices", text, "");
}

int agent_node_fenced(struct agent_node *n, const char *name)
{
	struct cluster_event event = {
		.type = CLUSTER_EVENT_FENCED,
		.fenced = { .wall_ns = UINT64_MAX },
	};
	const int32_t node = cluster_names_find(&n->corosync.names, n->setup.config,
						name);
	char object[CONFIG_NAME_MAX + 8];

	if (node < 0)
		return -ENOENT;
	event.fenced.node = n->setup.config->node[node].name;
	snprintf(object, sizeof object, "member %s", event.fenced.node);
	event_add(n, "change", object, "fenced: told by a command", "");
	step(n, &event);
	return 0;
}

int agent_node_switch_check(const struct agent_node *n, uint32_t site, char *text,
			    size_t text_size)
{
	return cluster_switch_check(n->core, site, text, text_size);
}

uint64_t agent_node_answered_ns(const struct agent_node *n)
{
	return n->answered_ns;
}

bool agent_node_hangs(const struct agent_node *n, char *text, size_t text_size)
{
	return agent_io_hangs(n->io, text, text_size);
}

/* ---- open and close -------------------------------------------------------------------------- */

static int open_core(struct agent_node *n, const struct cluster_self *self, char *text,
		     size_t text_size)
{
	const struct config *config = n->setup.config;
	char directory[PATH_MAX];
	uint8_t *newest = malloc(CLUSTER_VOTER_FILE_BYTES);
	size_t length;
	uint32_t next_slot;
	int error = agent_path(n->setup.instance, AGENT_PATH_STATE, directory);

	if (newest == NULL || error != 0) {
		snprintf(text, text_size, "no memory for the voter file");
		error = -ENOMEM;
		goto out;
	}
	error = cluster_voter_newest_read(directory, newest, &length, &next_slot, text,
					  text_size);
	if (error != 0)
		goto out;
	n->core = cluster_create(config, self, length > 0 ? newest : NULL, length, text,
				 text_size);
	if (n->core == NULL) {
		error = -EBADMSG;
		goto out;
	}
	error = cluster_voter_open(n->setup.loop, directory, next_slot,
				   &(struct cluster_voter_owner){ step, n }, &n->voter);
	if (error != 0)
		snprintf(text, text_size, "the voter file cannot be written: %s",
			 strerror(-error));
out:
	free(newest);
	return error;
}

/* Quorum before cpg: the first configuration change then finds it known. */
static int open_corosync(struct agent_node *n, struct cluster_self *self, char *text,
			 size_t text_size)
{
	struct qb_loop *loop = n->setup.loop;
	uint32_t token_ms, consensus_ms;
	int error = cluster_totem_times_get(&token_ms, &consensus_ms, text, text_size);

	if (error == 0)
		error = cluster_cpg_open(loop, n->setup.config->mirror,
					 &(struct cluster_cpg_owner){ step, fail, n },
					 &n->cpg, text, text_size);
	if (error != 0)
		return error;
	self->nodeid = cluster_cpg_nodeid(n->cpg);
	error = agent_corosync_check_name(&n->corosync, n->setup.config, n->setup.self,
					  self->nodeid, text, text_size);
	if (error != 0)
		return error;
	if (self->lease_ms == 0)
		self->lease_ms = cluster_lease_default_ms(token_ms, consensus_ms);
	agent_corosync_check_lease(&n->corosync, self->lease_ms, token_ms, consensus_ms);
	error = cluster_quorum_votes_get(&n->corosync.votes, text, text_size);
	if (error != 0)
		return error;
	error = cluster_quorum_open(
		loop, &(struct cluster_quorum_owner){ step, count_votes, fail, n },
		&n->quorum, text, text_size);
	if (error != 0)
		return error;
	error = cluster_fence_open(loop, &(struct cluster_fence_owner){ fence_event, n },
				   &n->fence);
	if (error != 0)
		snprintf(text, text_size, "fencings cannot be followed: %s",
			 strerror(-error));
	return error;
}

static void serve_disk(void *owner, uint32_t disk, uint32_t number)
{
	struct agent_node *n = owner;

	agent_io_ublk_serve(n->io, disk, number);
}

static void fail_disk(void *owner, uint32_t disk)
{
	struct agent_node *n = owner;

	agent_io_ublk_fail(n->io, disk);
}

static int open_devices(struct agent_node *n, char *text, size_t text_size)
{
	const struct agent_devices_owner owner = { command_goes,    command_ended,
						   devices_changed, serve_disk,
						   fail_disk,       n };
	const int error = agent_devices_open(n->setup.loop, n->setup.config,
					     n->setup.instance, &owner, &n->devices);

	if (error != 0)
		snprintf(text, text_size, "devices cannot be attached: %s",
			 strerror(-error));
	return error;
}

static int open_all(struct agent_node *n, char *text, size_t text_size)
{
	const struct agent_node_setup *s = &n->setup;
	struct cluster_self self = { .node = s->self, .lease_ms = s->config->lease_ms };
	int error = agent_self_fill(&self, text, text_size);

	agent_device_failure_read(s->instance, &self);
	agent_reach_fill(s->config, &self);
	if (error == 0 && s->config->cluster)
		error = open_corosync(n, &self, text, text_size);
	if (error == 0) {
		self.drift_ms = cluster_drift_default_ms(self.lease_ms);
		error = open_core(n, &self, text, text_size);
	}
	if (error == 0)
		error = agent_io_open(
			s->loop, s->config, s->instance, s->self,
			&(struct agent_io_owner){ fact_arrived, n, s->socket_count },
			&n->io, text, text_size);
	if (error == 0)
		error = open_devices(n, text, text_size);
	return error;
}

int agent_node_open(const struct agent_node_setup *setup, struct agent_node **out,
		    char *text, size_t text_size)
{
	struct agent_node *n = calloc(1, sizeof *n);
	int error;

	if (n == NULL) {
		snprintf(text, text_size, "no memory for the members' side");
		return -ENOMEM;
	}
	n->setup = *setup;
	error = open_all(n, text, text_size);
	if (error != 0) {
		agent_node_close(n);
		return error;
	}
	ticked(n);
	*out = n;
	return 0;
}

void agent_node_close(struct agent_node *n)
{
	if (n == NULL)
		return;
	n->failed = true; /* nothing is stepped any more */
	if (n->tick_set)
		qb_loop_timer_del(n->setup.loop, n->tick);
	if (n->status_timed)
		qb_loop_timer_del(n->setup.loop, n->status_timer);
	agent_devices_close(n->devices);
	agent_io_close(n->io);
	cluster_voter_close(n->voter);
	cluster_cpg_close(n->cpg);
	cluster_quorum_close(n->quorum);
	cluster_fence_close(n->fence);
	cluster_destroy(n->core);
	free(n);
}
