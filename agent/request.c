/* request.c - see request.h.
 *
 * A request that is not answered at once is in the table of pending ones:
 *
 *   waits for   ends by                       client hangs up   time is over
 *   promote     the node's reply              goes on, unasked  exit 1, called off
 *   command     the node's reply              goes on, unasked  exit 1, goes on
 *   switch      its end (switch.h)            called off, if    -
 *                                               that can be
 *   status      the node's status             dropped           (node's bound)
 *   stream      the client's hang-up          dropped           -
 */
#include "agent/request.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/config.h"
#include "agent/reply.h"
#include "agent/switch.h"
#include "agent/verb.h"
#include "common/clock_driver.h"

#define NS_PER_MS 1000000ull
#define PROMOTE_WAIT_MS 30000 /* docs/control.md; so is the next */
#define SWITCH_WAIT_MS 60000
/* After frozen writes were failed a demotion or stop has this long to end. */
#define GRACE_MS 15000
#define GRACE_DRAIN_MS 10000 /* of it; a longer demote-drain makes it longer */

#define PENDING_MAX (AGENT_CLIENTS_MAX + 1) /* one a client, and the signal's stop */

enum pending_kind {
	PENDING_FREE,
	PENDING_COMMAND,
	PENDING_SWITCH,
	PENDING_STATUS,
	PENDING_WHY,
	PENDING_EVENTS, /* status first, then the stream */
	PENDING_STREAM,
};

struct pending {
	struct agent_requests *requests;
	enum pending_kind kind;
	struct agent_client *client; /* NULL: gone, or there was none */
	struct agent_follower follower;
	enum cluster_command_type command;
	uint64_t id;
	bool now;          /* events: list the things that exist, then end */
	bool grace, timed; /* frozen writes were failed; `timer` runs */
	qb_loop_timer_handle timer;
};

struct agent_requests {
	struct agent_requests_setup setup;
	struct agent_node *node;
	struct agent_switch *move;
	uint64_t last_id;
	struct pending pending[PENDING_MAX];
};

/* ---- the table ---------------------------------------------------------------- */

static struct pending *pending_add(struct agent_requests *r, enum pending_kind kind,
				   struct agent_client *c)
{
	struct pending *p = NULL;

	for (size_t i = 0; i < PENDING_MAX && p == NULL; i++)
		if (r->pending[i].kind == PENDING_FREE)
			p = &r->pending[i];
	if (p != NULL)
		*p = (struct pending){
			.requests = r, .kind = kind, .client = c, .id = ++r->last_id
		};
	return p;
}

static void pending_end(struct pending *p)
{
	if (p->timed)
		qb_loop_timer_del(p->requests->setup.loop, p->timer);
	if (p->kind == PENDING_STREAM)
		agent_events_unfollow(p->requests->setup.events, &p->follower);
	*p = (struct pending){ .kind = PENDING_FREE };
}

static void busy(struct agent_client *c)
{
	agent_client_reply(c, NULL, 1, "too many requests are under way; try again");
}

__attribute__((format(printf, 3, 4))) static void answer(struct agent_client *c,
							 int exit_status,
							 const char *format, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	agent_client_reply(c, NULL, exit_status, text);
}

/* ---- commands ------------------------------------------------------------------ */

static void expired(void *data);

static void set_timer(struct pending *p, uint64_t ms)
{
	p->timed = qb_loop_timer_add(p->requests->setup.loop, QB_LOOP_MED, ms * NS_PER_MS,
				     p, expired, &p->timer) == 0;
}

static bool releases(enum cluster_command_type type)
{
	return type == CLUSTER_COMMAND_DEMOTE || type == CLUSTER_COMMAND_STOP;
}

static uint64_t grace_ms(const struct config *config)
{
	return config->demote_drain_ms > GRACE_DRAIN_MS ?
		       GRACE_MS - GRACE_DRAIN_MS + config->demote_drain_ms :
		       GRACE_MS;
}

static void expired(void *data)
{
	struct pending *p = data;
	struct agent_requests *r = p->requests;
	const bool stop = p->command == CLUSTER_COMMAND_STOP;
	const uint64_t id = p->id;
	char text[640];

	p->timed = false;
	if (p->command == CLUSTER_COMMAND_PROMOTE)
		agent_node_give_up(r->node, id);
	if (p->id != id)
		return; /* answered by that */
	if (releases(p->command) && !p->grace &&
	    !agent_node_hangs(r->node, text, sizeof text)) {
		p->grace = true;
		agent_node_order(r->node, &(struct order){ .type = ORDER_FAIL_FROZEN });
		set_timer(p, grace_ms(r->setup.config));
		return;
	}
	agent_reply_late(r->node, text, sizeof text);
	if (p->client != NULL)
		agent_client_reply(p->client, stop ? json_pack("{s:b}", "ends", 1) : NULL,
				   1, text);
	pending_end(p);
	if (stop)
		r->setup.stopped(r->setup.owner); /* ends without having released */
}

/* `wait` in milliseconds, or the default. */
static uint64_t wait_ms(struct agent_requests *r, json_t *request,
			enum cluster_command_type type)
{
	const json_t *wait = json_object_get(request, "wait");

	if (wait != NULL)
		return (uint64_t)(json_number_value(wait) * 1000) + 1;
	return releases(type) ? r->setup.config->frozen_timeout_ms : PROMOTE_WAIT_MS;
}

/* The site that is named; -1: none is; -2: there is no such one, and the client knows. */
static int32_t site_of(struct agent_requests *r, struct agent_client *c, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "site"));
	const struct config *config = r->setup.config;

	if (name == NULL)
		return -1;
	for (uint32_t s = 0; s < config->site_count; s++)
		if (strcmp(config->site[s].name, name) == 0)
			return (int32_t)s;
	answer(c, 1, "mirror %s has no site %s", config->mirror, name);
	return -2;
}

static void command(struct agent_requests *r, struct agent_client *c, json_t *request,
		    enum cluster_command_type type)
{
	struct cluster_command cmd = {
		.type = type,
		.wait_ms = (uint32_t)wait_ms(r, request, type),
		.force = json_is_true(json_object_get(request, "force")),
		.inconsistent = json_is_true(
			json_object_get(request, "allow_inconsistent")),
		.pace = json_is_true(json_object_get(request, "pace")),
		.discard = json_is_true(json_object_get(request, "discard")),
	};
	const char *wrong = type == CLUSTER_COMMAND_MODE ?
				    agent_verb_promise(request, r->setup.config,
						       &cmd.promise) :
				    NULL;
	struct pending *p;

	if (wrong != NULL) {
		answer(c, 2, "%s", wrong);
		return;
	}
	cmd.site = site_of(r, c, request);
	if (cmd.site == -2)
		return;
	p = pending_add(r, PENDING_COMMAND, c);
	if (p == NULL) {
		busy(c);
		return;
	}
	p->command = type;
	cmd.id = p->id;
	set_timer(p, cmd.wait_ms);
	agent_switch_other(r->move, type);
	agent_node_command(r->node, &cmd);
}

static void bypass(struct agent_requests *r, struct agent_client *c, json_t *request)
{
	const json_t *on = json_object_get(request, "on");

	if (on == NULL)
		answer(c, 2, "bypass needs on or off");
	else
		command(r, c, request,
			json_is_true(on) ? CLUSTER_COMMAND_BYPASS_ON :
					   CLUSTER_COMMAND_BYPASS_OFF);
}

/* ---- switch ---------------------------------------------------------------------- */

static void move(struct agent_requests *r, struct agent_client *c, json_t *request)
{
	const json_t *wait = json_object_get(request, "wait");
	const char *part = json_string_value(json_object_get(request, "part"));
	const int32_t site = site_of(r, c, request);
	enum cluster_move_part which = part == NULL ? MOVE_WHOLE :
				       strcmp(part, "catch-up") == 0 ?
						      MOVE_ONLY_CATCH_UP :
						      MOVE_ONLY_FOLLOW;
	struct pending *p;

	if (site == -2)
		return;
	if (site < 0 || (which == MOVE_ONLY_FOLLOW && strcmp(part, "follow") != 0)) {
		answer(c, 2,
		       "switch needs the name of a site; a part is catch-up or follow");
		return;
	}
	if (agent_switch_id(r->move) != 0) {
		answer(c, 1, "another switch is under way");
		return;
	}
	p = pending_add(r, PENDING_SWITCH, c);
	if (p == NULL) {
		busy(c);
		return;
	}
	agent_switch_begin(r->move, r->node, p->id, (uint32_t)site,
			   wait == NULL ? SWITCH_WAIT_MS :
					  (uint32_t)(json_number_value(wait) * 1000),
			   which);
}

static void moved(void *requests, uint64_t id, int exit_status, int64_t stall_ms,
		  const char *text)
{
	struct agent_requests *r = requests;

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &r->pending[i];

		if (p->kind != PENDING_SWITCH || p->id != id)
			continue;
		if (p->client != NULL)
			agent_client_reply(p->client,
					   stall_ms < 0 ? NULL :
							  json_pack("{s:I}", "stall_ms",
								    (json_int_t)stall_ms),
					   exit_status, text);
		pending_end(p);
	}
}

/* ---- replies ---------------------------------------------------------------------- */

void agent_requests_reply(void *requests, uint64_t id, int exit_status, const char *text)
{
	struct agent_requests *r = requests;
	char all[1024];
	bool stopped;

	if (id == agent_switch_id(r->move)) {
		agent_switch_reply(r->move, exit_status, text);
		return;
	}
	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &r->pending[i];

		if (p->kind != PENDING_COMMAND || p->id != id)
			continue;
		/* A signal ends the process also where a request would be refused. */
		stopped = p->command == CLUSTER_COMMAND_STOP &&
			  (exit_status == 0 || p->client == NULL);
		snprintf(all, sizeof all, "%s", text);
		/* A daemon is seldom stopped alone: its node may be next. */
		if (stopped && agent_node_votes_text(r->node)[0] != '\0')
			snprintf(all, sizeof all, "%s. %s", text,
				 agent_node_votes_text(r->node));
		if (p->client != NULL)
			agent_client_reply(
				p->client,
				p->command == CLUSTER_COMMAND_DEMOTE && exit_status == 0 ?
					agent_reply_demoted(r->node, r->setup.config) :
					NULL,
				exit_status, all);
		pending_end(p);
		if (stopped)
			r->setup.stopped(r->setup.owner);
		return;
	}
}

void agent_requests_stop(struct agent_requests *r)
{
	struct cluster_command cmd = {
		.type = CLUSTER_COMMAND_STOP,
		.site = -1,
		.force = true, /* even if devices are in use: device_nodes.h */
	};
	struct pending *p = pending_add(r, PENDING_COMMAND, NULL);

	if (p == NULL) {
		r->setup.stopped(r->setup.owner);
		return;
	}
	p->command = cmd.type;
	cmd.id = p->id;
	set_timer(p, r->setup.config->frozen_timeout_ms);
	agent_node_command(r->node, &cmd);
}

/* ---- events --------------------------------------------------------------------- */

static void added(struct agent_follower *f, const struct agent_event *event)
{
	struct pending *p = (struct pending *)((char *)f -
					       offsetof(struct pending, follower));

	agent_reply_event(p->client, event);
}

/* First all that exists, then the changes from that very moment on. */
static void begin_events(struct pending *p, const struct status_input *status)
{
	struct agent_client *c = p->client;

	agent_client_stream(c, true);
	agent_client_reply(c, NULL, 0, NULL);
	agent_status_exists(status, agent_reply_event, c);
	if (p->now) {
		agent_client_stream(c, false);
		pending_end(p);
		return;
	}
	p->kind = PENDING_STREAM;
	p->follower.added = added;
	agent_events_follow(p->requests->setup.events, &p->follower);
}

/* ---- status ---------------------------------------------------------------------- */

void agent_requests_status(void *requests, const struct status_input *status)
{
	struct agent_requests *r = requests;

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &r->pending[i];

		switch (p->kind) {
		case PENDING_STATUS:
			agent_reply_status(p->client, status);
			pending_end(p);
			break;
		case PENDING_WHY:
			agent_reply_why(p->client, status);
			pending_end(p);
			break;
		case PENDING_EVENTS:
			begin_events(p, status);
			break;
		case PENDING_FREE:
		case PENDING_COMMAND:
		case PENDING_SWITCH:
		case PENDING_STREAM:
			break;
		}
	}
}

static void with_status(struct agent_requests *r, struct agent_client *c, json_t *request,
			enum pending_kind kind)
{
	struct pending *p = pending_add(r, kind, c);

	if (p == NULL) {
		busy(c);
		return;
	}
	p->now = json_is_true(json_object_get(request, "now"));
	agent_node_status(r->node);
}

/* ---- requests that are answered at once ------------------------------------------ */

static void ping(struct agent_requests *r, struct agent_client *c)
{
	json_t *reply = json_object();

	json_object_set_new(reply, "instance", json_string(r->setup.instance->name));
	json_object_set_new(reply, "pid", json_integer(getpid()));
	json_object_set_new(reply, "version", json_string(PACKAGE_VERSION));
	agent_client_reply(c, reply, 0, NULL);
}

static void score(struct agent_requests *r, struct agent_client *c)
{
	struct cluster_status *s = calloc(1, sizeof *s);
	json_t *reply;

	if (s == NULL) {
		agent_client_reply(c, NULL, 1, "no memory");
		return;
	}
	agent_node_members_get(r->node, s);
	if (!r->setup.config->cluster) {
		answer(c, 1,
		       "there are no scores without a cluster: an operator promotes");
	} else if (s->promotion_score == INT32_MIN) {
		answer(c, 1, "this node may not be promoted%s%s",
		       s->text[0] != '\0' ? ": " : "", s->text);
	} else {
		reply = json_object();
		json_object_set_new(reply, "score", json_integer(s->promotion_score));
		agent_client_reply(c, reply, 0, NULL);
	}
	free(s);
}

static void fenced(struct agent_requests *r, struct agent_client *c, json_t *request)
{
	const char *node = json_string_value(json_object_get(request, "node"));

	if (node == NULL)
		answer(c, 2, "fenced needs the name of a node");
	else if (!r->setup.config->cluster)
		answer(c, 1, "without a cluster nobody is fenced: nothing waits for it");
	else if (agent_node_fenced(r->node, node) != 0)
		answer(c, 1, "mirror %s has no node %s", r->setup.config->mirror, node);
	else
		answer(c, 0, "%s is taken as fenced from now on", node);
}

static void throttle(struct agent_requests *r, struct agent_client *c, json_t *request)
{
	const struct order o = agent_verb_throttle(request,
						   common_clock_ns(CLOCK_BOOTTIME));

	agent_node_order(r->node, &o);
	agent_client_reply(c, NULL, 0, NULL);
}

/* ---- requests --------------------------------------------------------------------- */

static void dispatch(struct agent_requests *r, struct agent_client *c, json_t *request,
		     enum agent_verb v)
{
	switch (v) {
	case AGENT_VERB_PING:
		ping(r, c);
		break;
	case AGENT_VERB_STATUS:
		with_status(r, c, request, PENDING_STATUS);
		break;
	case AGENT_VERB_WHY:
		with_status(r, c, request, PENDING_WHY);
		break;
	case AGENT_VERB_EVENTS:
		with_status(r, c, request, PENDING_EVENTS);
		break;
	case AGENT_VERB_SCORE:
		score(r, c);
		break;
	case AGENT_VERB_PROMOTE:
		command(r, c, request, CLUSTER_COMMAND_PROMOTE);
		break;
	case AGENT_VERB_DEMOTE:
		command(r, c, request, CLUSTER_COMMAND_DEMOTE);
		break;
	case AGENT_VERB_CONNECT:
		command(r, c, request, CLUSTER_COMMAND_CONNECT);
		break;
	case AGENT_VERB_DISCONNECT:
		command(r, c, request, CLUSTER_COMMAND_DISCONNECT);
		break;
	case AGENT_VERB_BYPASS:
		bypass(r, c, request);
		break;
	case AGENT_VERB_REFRESH:
		command(r, c, request, CLUSTER_COMMAND_REFRESH);
		break;
	case AGENT_VERB_MODE:
		command(r, c, request, CLUSTER_COMMAND_MODE);
		break;
	case AGENT_VERB_FENCED:
		fenced(r, c, request);
		break;
	case AGENT_VERB_STOP:
		command(r, c, request, CLUSTER_COMMAND_STOP);
		break;
	case AGENT_VERB_SWITCH:
		move(r, c, request);
		break;
	case AGENT_VERB_THROTTLE:
		throttle(r, c, request);
		break;
	case AGENT_VERB_COUNT:
		assert(false);
	}
}

void agent_requests_request(void *requests, struct agent_client *c, json_t *request)
{
	enum agent_verb v;
	char text[256];

	if (agent_verb_parse(request, &v, text, sizeof text) != 0)
		answer(c, 2, "%s", text);
	else
		dispatch(requests, c, request, v);
}

void agent_requests_gone(void *requests, struct agent_client *c)
{
	struct agent_requests *r = requests;

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &r->pending[i];

		if (p->kind == PENDING_FREE || p->client != c)
			continue;
		if (p->kind == PENDING_COMMAND ||
		    (p->kind == PENDING_SWITCH && !agent_switch_gone(r->move)))
			p->client = NULL;
		else
			pending_end(p);
	}
}

/* ---- open and close ------------------------------------------------------------------ */

struct agent_requests *agent_requests_open(const struct agent_requests_setup *setup)
{
	struct agent_requests *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->setup = *setup;
	r->move = agent_switch_open(setup->loop, setup->config,
				    &(struct agent_switch_owner){ moved, r });
	if (r->move != NULL)
		return r;
	free(r);
	return NULL;
}

void agent_requests_set_node(struct agent_requests *r, struct agent_node *node)
{
	r->node = node;
}

void agent_requests_close(struct agent_requests *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (r->pending[i].kind != PENDING_FREE)
			pending_end(&r->pending[i]);
	agent_switch_close(r->move);
	free(r);
}
