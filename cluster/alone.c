/* alone.c - `cluster: none`: two systems mirror, and the operator is the majority.
 *
 *   state      event                    what happens                    next
 *   closed     time, not stopping       ORDER_OPEN                      opening
 *   opening    FACT_OPENED              ... or its error, said; while   open, closed
 *                                         they are held a PROMOTE waits
 *                                         for 5 s: a process that was
 *                                         killed ends its I/O first
 *   open       PROMOTE                  ORDER_PROBE of every peer,      probing
 *                                         and then of our own log
 *   probing    FACT_PEER, may answer    ORDER_PROBE again, for 5 s      probing
 *                otherwise soon
 *              FACT_PEER of ourselves   refused, or ORDER_PREPARE       preparing
 *   preparing  FACT_PREPARED            all are asked again             confirming
 *   confirming FACT_PEER of ourselves   refused; one was busy:          preparing
 *                                         ORDER_PREPARE again; else
 *                                         ORDER_LEASE for ever,         starting
 *                                         ORDER_SERVE
 *   starting   FACT_SERVING             ORDER_LINK to every peer        serving
 *   serving    COPY_READY               writes wait for it              serving
 *              COPY_LOST                they still do: frozen until     serving
 *                                         `disconnect` or its return
 *              DEMOTE, STOP             ORDER_DEMOTE                    demoting
 *   demoting   FACT_DEMOTED             REPLY; STOP: ORDER_CLOSE        open, closing
 *   promoting  DEMOTE, STOP, its time   called off: ORDER_DEPOSE, REPLY open
 *     but not    is over
 *     starting
 *   any open   CONNECT, DISCONNECT,     ORDER_MARK, FACT_STORED, then   the same
 *              BYPASS_ON, BYPASS_OFF      the links and the wait set
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "cluster/alone.h"

size_t cluster_alone_bytes(void)
{
	return sizeof(struct alone);
}

void cluster_alone_init(struct cluster_core *c)
{
	c->alone->site = (uint32_t)c->config->node[c->self.node].site;
	c->alone->state = ALONE_CLOSED;
}

static bool state_change_is_legal(enum alone_state from, enum alone_state to)
{
	switch (to) {
	case ALONE_CLOSED:
		return from == ALONE_OPENING || from == ALONE_CLOSING;
	case ALONE_OPENING:
		return from == ALONE_CLOSED;
	case ALONE_OPEN:
		return from != ALONE_CLOSED && from != ALONE_CLOSING;
	case ALONE_PROBING:
		return from == ALONE_OPEN;
	case ALONE_PREPARING:
		return from == ALONE_PROBING || from == ALONE_CONFIRMING;
	case ALONE_CONFIRMING:
		return from == ALONE_PREPARING;
	case ALONE_STARTING:
		return from == ALONE_CONFIRMING;
	case ALONE_SERVING:
		return from == ALONE_STARTING || from == ALONE_DEMOTING;
	case ALONE_DEMOTING:
		return from == ALONE_SERVING;
	case ALONE_CLOSING:
		return from == ALONE_OPEN;
	}
	return false;
}

void cluster_alone_set_state(struct alone *a, enum alone_state state)
{
	assert(state_change_is_legal(a->state, state));
	a->state = state;
}

static void begin(struct cluster_core *c);

void cluster_alone_reply(struct cluster_core *c, int32_t exit_status, const char *text)
{
	struct alone *a = c->alone;

	if (!a->busy)
		return;
	a->busy = a->has_next;
	cluster_reply(c, a->command.id, exit_status, "%s", text);
	if (!a->has_next)
		return;
	a->has_next = false;
	a->command = a->next;
	begin(c);
}

uint32_t cluster_alone_peers(const struct cluster_core *c)
{
	return ((1u << c->config->site_count) - 1) & ~(1u << c->alone->site);
}

/* The first host that is listed for a site, or VIEW_NONE. */
int32_t cluster_alone_node(const struct cluster_core *c, uint32_t site)
{
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (c->config->node[n].site == (int32_t)site)
			return (int32_t)n;
	return VIEW_NONE;
}

void cluster_alone_peer_fill(const struct cluster_core *c, uint32_t site,
			     struct order_peer *to)
{
	const int32_t n = cluster_alone_node(c, site);

	to->site = site;
	if (n == VIEW_NONE)
		return;
	to->port = c->config->node[n].port;
	memcpy(to->host, c->config->node[n].name, sizeof to->host);
	memcpy(to->address, c->config->node[n].address, sizeof to->address);
}

/* ---- opening ---- */

static void open_order(struct cluster_core *c)
{
	struct alone *a = c->alone;
	struct order *o = cluster_order(c, ORDER_OPEN);

	a->incarnation = cluster_random(c);
	o->site = a->site;
	o->incarnation = a->incarnation;
	a->open_id = o->id;
}

static void close_order(struct cluster_core *c)
{
	struct order *o = cluster_order(c, ORDER_CLOSE);

	o->site = c->alone->site;
	c->alone->close_id = o->id;
}

/* A promotion that waits for devices that another process still has. */
static bool waits_for_held(const struct cluster_core *c)
{
	const struct alone *a = c->alone;

	return a->held && a->busy && a->command.type == CLUSTER_COMMAND_PROMOTE &&
	       !a->has_next && c->now_ns < a->held_until_ns;
}

static void opened_badly(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	a->held = f->error == -EBUSY || f->error == -EAGAIN;
	if (strcmp(a->text, f->text) != 0)
		cluster_tell(c, "site", cluster_site_name(c, (int32_t)a->site), "",
			     "could not be opened: %s", f->text);
	snprintf(a->text, sizeof a->text, "%s", f->text);
	a->open_at_ns = c->now_ns +
			(waits_for_held(c) ?
				 OPEN_HELD_NS :
				 cluster_open_retry_ns(f->error, &a->open_failures));
	a->data = DATA_DISKLESS;
	cluster_alone_set_state(a, ALONE_CLOSED);
	if (!waits_for_held(c))
		cluster_alone_reply(c, 1, a->text);
}

static void opened(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	if (f->order_id != a->open_id || a->state != ALONE_OPENING)
		return;
	if (f->error != 0) {
		opened_badly(c, f);
		return;
	}
	a->held = false;
	a->open_failures = 0;
	a->clean = f->clean;
	a->mirror = f->mirror;
	a->lineage = f->lineage;
	a->history = f->history;
	a->marks = f->marks;
	a->data = f->data;
	a->disconnected = (uint32_t)f->disconnected;
	a->bypass = (uint32_t)f->bypass;
	a->text[0] = 0;
	cluster_alone_set_state(a, ALONE_OPEN);
	cluster_tell(c, "site", cluster_site_name(c, (int32_t)a->site), "",
		     "is open here");
	if (a->busy)
		begin(c); /* it came while the devices were being opened */
}

static void closed(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	if (f->order_id != a->close_id)
		return;
	cluster_alone_set_state(a, ALONE_CLOSED);
	a->data = DATA_DISKLESS;
}

void cluster_alone_links(struct cluster_core *c)
{
	struct alone *a = c->alone;
	const uint32_t wanted = a->state == ALONE_SERVING ?
					cluster_alone_peers(c) & ~a->disconnected :
					0;

	for (uint32_t s = 0; s < c->config->site_count; s++) {
		const bool want = (wanted >> s & 1) != 0;
		struct order *o;

		/* Not two bits compared: gcc 12 -O2 then looks at one of them only. */
		if (((a->linked ^ wanted) >> s & 1) == 0)
			continue;
		o = cluster_order(c, want ? ORDER_LINK : ORDER_UNLINK);
		o->site = s;
		if (want)
			cluster_alone_peer_fill(c, s, &o->peer);
		cluster_tell(c, "site", cluster_site_name(c, (int32_t)s), "",
			     want ? "mirroring starts" : "mirroring stops");
	}
	a->linked = wanted;
}

/* A copy that is waited for enters nothing when it is back: the link alone says so. */
static void link_changed(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	if (f->site >= c->config->site_count)
		return;
	a->link[f->site] = f->link;
	if (f->link >= LINK_CATCHING_UP && a->state == ALONE_OPEN)
		a->heirs = 0; /* it is production now */
	if (f->link < LINK_CATCHING_UP || (a->lost >> f->site & 1) == 0)
		return;
	a->lost &= ~(1u << f->site);
	cluster_tell(c, "site", cluster_site_name(c, (int32_t)f->site), "alone-waited",
		     "is back, and gets the writes that it missed; new ones wait for it");
}

/* ---- the end ---- */

static void demote_order(struct cluster_core *c, uint32_t wait_ms, uint32_t sites)
{
	struct alone *a = c->alone;
	struct order *o = cluster_order(c, ORDER_DEMOTE);

	o->wait_ms = wait_ms != 0 ? wait_ms : c->config->frozen_timeout_ms;
	o->sites = sites;
	a->demote_id = o->id;
	cluster_alone_set_state(a, ALONE_DEMOTING);
}

static void demoted(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	char text[320 + FACT_TEXT_MAX], heirs[200], names[100];

	if (a->state != ALONE_DEMOTING || f->order_id != a->demote_id)
		return;
	if (f->error != 0) {
		cluster_alone_set_state(a, ALONE_SERVING);
		cluster_tell(c, "mirror", c->config->mirror, "M5-serves-on",
			     "not demoted: %s", f->text);
		cluster_alone_reply(c, 1, f->text);
		return;
	}
	cluster_alone_set_state(a, ALONE_OPEN);
	a->clean = f->clean;
	a->marks = f->marks;
	a->waited = a->lost = 0;
	cluster_alone_links(c);
	memset(a->link, 0, sizeof a->link); /* those of a production have ended */
	a->heirs = f->clean ? f->level_sites : 0;
	cluster_status_sites(c, a->heirs | 1u << a->site, names, sizeof names);
	snprintf(heirs, sizeof heirs, "%s; may be promoted now: %s",
		 f->clean && a->heirs == 0 ? ": no other site has all of it, and none is "
					     "promoted without this one" :
					     "",
		 names);
	snprintf(text, sizeof text,
		 "demoted%s%s%s; the end of generation %llu is at %llu%s",
		 f->clean ? "" : ", not drained: what was frozen has failed",
		 f->text[0] != 0 ? ": " : "", f->text,
		 (unsigned long long)history_newest(&a->history)->ordinal,
		 (unsigned long long)f->marks.logged, heirs);
	cluster_tell(c, "mirror", c->config->mirror,
		     f->clean ? "alone-demoted-clean" : "alone-demoted-unclean", "%s",
		     text);
	cluster_alone_reply(c, 0, text);
}

/* ---- events ---- */

static void take_command(struct cluster_core *c, const struct cluster_command *command);

/* M5: the operator has moved production to this site. */
static void handed_over(struct cluster_core *c)
{
	const struct cluster_command promote = { .type = CLUSTER_COMMAND_PROMOTE,
						 .site = VIEW_NONE,
						 .handed_over = true };

	cluster_tell(c, "mirror", c->config->mirror, "M5-handed-over",
		     "production was demoted cleanly and wants this site to be promoted");
	take_command(c, &promote);
}

static void device_failed(struct alone *a, const struct fact *f)
{
	a->failed = true;
	a->data = DATA_DISKLESS;
	snprintf(a->text, sizeof a->text, "%s", f->text);
}

static void note_marks(struct alone *a, const struct fact *f)
{
	a->marks = f->marks;
	if (f->history.count > 0)
		a->history = f->history;
}

static void note_undo(struct alone *a, const struct fact *f)
{
	a->undo_site = f->site;
	memcpy(a->undo_text, f->text, sizeof a->undo_text);
}

static void take_fact(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	switch (f->type) {
	case FACT_OPENED:
		opened(c, f);
		break;
	case FACT_CLOSED:
		closed(c, f);
		break;
	case FACT_PEER:
		cluster_alone_peer(c, f);
		break;
	case FACT_PREPARED:
		cluster_alone_prepared(c, f);
		break;
	case FACT_SERVING:
		cluster_alone_serving(c, f);
		break;
	case FACT_DEMOTED:
		demoted(c, f);
		break;
	case FACT_STORED:
		cluster_alone_stored(c, f);
		break;
	case FACT_REFRESH:
		if (a->busy && f->order_id == a->mark_id)
			cluster_alone_reply(c, f->error == 0 ? 0 : 1, f->text);
		break;
	case FACT_LINK:
		link_changed(c, f);
		break;
	case FACT_COPY_READY:
	case FACT_COPY_LOST:
		cluster_alone_copy_changed(c, f);
		break;
	case FACT_UNDO:
		note_undo(a, f);
		break;
	case FACT_HANDED_OVER:
		handed_over(c);
		break;
	case FACT_DATA:
		a->data = f->data;
		break;
	case FACT_MARKS:
		note_marks(a, f);
		break;
	case FACT_DEVICE_FAILED:
		device_failed(a, f);
		break;
	case FACT_DEVICE_HANGS:
	case FACT_PROMISE:
	case FACT_RECOVERED:
	case FACT_STATUS:
	case FACT_EVENT:
		break;
	}
}

static void refresh(struct cluster_core *c, const struct cluster_command *command)
{
	struct alone *a = c->alone;
	const uint32_t sites = cluster_alone_sites(c, command);
	struct order *o;

	if (a->state != ALONE_SERVING) {
		cluster_alone_reply(c, 1,
				    "this site is not production, and only production "
				    "refreshes a copy");
		return;
	}
	if (sites == 0) {
		cluster_alone_refuse_site(c);
		return;
	}
	o = cluster_order(c, ORDER_REFRESH);
	o->sites = sites;
	o->inconsistent = command->inconsistent;
	o->pace = command->pace;
	a->mark_id = o->id;
}

/* Begin the command that was taken. */
static void begin(struct cluster_core *c)
{
	struct alone *a = c->alone;

	switch (a->command.type) {
	case CLUSTER_COMMAND_PROMOTE:
		cluster_alone_promote(c, &a->command);
		break;
	case CLUSTER_COMMAND_DEMOTE:
		if (a->state == ALONE_SERVING)
			demote_order(c, a->command.wait_ms,
				     cluster_site_bit(c, a->command.site));
		else
			cluster_alone_reply(c, 0, "this node is not production");
		break;
	case CLUSTER_COMMAND_CONNECT:
	case CLUSTER_COMMAND_DISCONNECT:
	case CLUSTER_COMMAND_BYPASS_ON:
	case CLUSTER_COMMAND_BYPASS_OFF:
		if (a->state == ALONE_OPEN || a->state == ALONE_SERVING)
			cluster_alone_mark(c, &a->command);
		else
			cluster_alone_reply(
				c, 1,
				a->text[0] != 0 ?
					a->text :
					"the devices of this site are not open");
		break;
	case CLUSTER_COMMAND_REFRESH:
		refresh(c, &a->command);
		break;
	case CLUSTER_COMMAND_MODE:
		cluster_alone_reply(
			c, 1,
			"without a cluster the mode is what the files of both "
			"sites say: change it in both, and restart both");
		break;
	case CLUSTER_COMMAND_STOP:
		break;
	}
}

/* The process has just started, or another process is about to let go of our devices:
 * our state is not known yet. */
static bool is_opening(const struct cluster_core *c)
{
	const struct alone *a = c->alone;

	return (a->text[0] == 0 || waits_for_held(c)) &&
	       (a->state == ALONE_OPENING || a->state == ALONE_CLOSED);
}

static void take_command(struct cluster_core *c, const struct cluster_command *command)
{
	struct alone *a = c->alone;

	if (command->type == CLUSTER_COMMAND_STOP) {
		a->stopping = a->has_stop = true;
		a->stop_id = command->id;
		cluster_alone_call_off(c, "called off by a stop");
		return;
	}
	if (a->busy && !a->has_next && a->command.type == CLUSTER_COMMAND_PROMOTE &&
	    command->type == CLUSTER_COMMAND_DEMOTE) {
		a->has_next = true;
		a->next = *command;
		cluster_alone_call_off(c, "called off by a demote");
		return;
	}
	if (a->busy || a->stopping) {
		cluster_reply(c, command->id, 1,
			      a->stopping ?
				      "this member is stopping" :
				      "another command is under way here: try again "
				      "when it has ended");
		return;
	}
	a->busy = true;
	a->command = *command;
	a->held_until_ns = c->now_ns + HELD_WAIT_NS;
	if (!is_opening(c)) {
		begin(c);
	} else if (waits_for_held(c) && a->state == ALONE_CLOSED &&
		   a->open_at_ns > c->now_ns + OPEN_HELD_NS) {
		a->open_at_ns = c->now_ns + OPEN_HELD_NS;
	}
}

static void give_up(struct cluster_core *c, uint64_t id)
{
	const struct alone *a = c->alone;
	char text[320];

	if (!a->busy || a->command.id != id)
		return;
	snprintf(
		text, sizeof text,
		"not promoted in the time given, waiting for the devices%s%s: called off",
		a->text[0] != 0 ? ": " : "", a->text);
	cluster_alone_call_off(
		c, a->state == ALONE_PROBING ?
			   "not promoted in the time given, asking the other site: "
			   "called off" :
		   a->state == ALONE_OPENING || a->state == ALONE_CLOSED ?
			   text :
			   "not promoted in the time given, preparing the writelog: "
			   "called off");
}

static void pump(struct cluster_core *c)
{
	struct alone *a = c->alone;

	if (a->state == ALONE_CLOSED && !a->stopping) {
		if (c->now_ns >= a->open_at_ns) {
			cluster_alone_set_state(a, ALONE_OPENING);
			open_order(c);
		} else {
			cluster_wake(c, a->open_at_ns);
		}
	}
	cluster_alone_probe_pump(c);
	if (!a->stopping)
		return;
	if (a->state == ALONE_SERVING && !a->busy) {
		demote_order(c, 0, 0);
	} else if (a->state == ALONE_OPEN) {
		cluster_alone_reply(c, 1, "this member is stopping");
		cluster_alone_set_state(a, ALONE_CLOSING);
		close_order(c);
	} else if (a->state == ALONE_CLOSED && a->has_stop) {
		a->has_stop = false;
		cluster_reply(c, a->stop_id, 0, "released what was hosted here");
	}
}

void cluster_alone_step(struct cluster_core *c, const struct cluster_event *e)
{
	if (e->type == CLUSTER_EVENT_FACT)
		take_fact(c, e->fact);
	else if (e->type == CLUSTER_EVENT_COMMAND)
		take_command(c, e->command);
	else if (e->type == CLUSTER_EVENT_GIVE_UP)
		give_up(c, e->command_id);
	pump(c);
}

void cluster_alone_check(const struct cluster_core *c)
{
	const struct alone *a = c->alone;

	assert((a->lost & ~a->waited) == 0);
	assert((a->waited & a->disconnected) == 0);
	assert((a->bypass & ~a->disconnected) == 0);
	assert(a->waited == 0 || a->state >= ALONE_STARTING);
}
