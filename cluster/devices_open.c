/* devices_open.c - this node opens and closes its site's devices, as the view in effect says.
 *
 *   devices   view names us   told to close,     FACT_OPENED    FACT_CLOSED
 *             as host          and not serving
 *   closed    ORDER_OPEN       -                  -              -
 *   opening   -                after it opened    open, or       -
 *                                                   closed and
 *                                                   RELEASE
 *   open      -                ORDER_CLOSE        -              -
 *   closing   -                -                  -              closed, RELEASE
 *
 * Told to close by: another generation in effect than the one served here
 * (deposed), a device that failed, a site mate that is to be promoted while we
 * are idle, the view naming another opening, STOP.
 *
 * A device that failed is not trusted any more: all are closed, and opened anew after a
 * while, when a mate has had its turn. So is a site that was out of reach at the start.
 *
 * Every opening has an incarnation of its own, fixed by the view before it is used; a
 * released incarnation is never used again (D6).
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "cluster/commands.h"

#define AGAIN_NS (30000 * NS_PER_MS)       /* the mate is to be host first */
#define AGAIN_MAX_NS (1800000 * NS_PER_MS) /* twice as long each time, up to this */
#define WHOLE_NS (600000 * NS_PER_MS)      /* open for so long, they work again */

static bool devices_change_is_legal(enum devices_state from, enum devices_state to)
{
	switch (to) {
	case DEVICES_CLOSED:
		return from == DEVICES_OPENING || from == DEVICES_CLOSING;
	case DEVICES_OPENING:
		return from == DEVICES_CLOSED;
	case DEVICES_OPEN:
		return from == DEVICES_OPENING;
	case DEVICES_CLOSING:
		return from == DEVICES_OPEN;
	}
	return false;
}

static void set_devices(struct cluster_core *c, enum devices_state state)
{
	assert(devices_change_is_legal(c->role.devices, state));
	c->role.devices = state;
}

bool cluster_devices_are_open(const struct cluster_core *c)
{
	return c->role.devices == DEVICES_OPEN && !c->role.closing_wanted;
}

void cluster_devices_fresh_incarnation(struct cluster_core *c)
{
	c->role.incarnation_next = cluster_random(c);
}

/* The sites at which we may be placed. */
uint32_t cluster_devices_reach(const struct cluster_core *c)
{
	if (c->role.failed || c->role.barred || c->now_ns < c->role.open_at_ns)
		return 0;
	return c->self.reach;
}

int32_t cluster_devices_site(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);

	for (uint32_t s = 0; v != NULL && s < v->site_count; s++)
		if (v->site[s].host.node == (int32_t)c->self.node &&
		    v->site[s].host.incarnation == c->role.incarnation_next)
			return (int32_t)s;
	return VIEW_NONE;
}

/* D6: said to all, after all I/O is done and the devices are closed. */
static void release(struct cluster_core *c, uint32_t site, uint64_t incarnation)
{
	struct message *m = cluster_message(c, MESSAGE_RELEASE);

	m->release.site = site;
	m->release.incarnation = incarnation;
	c->role.released = incarnation;
	c->release_due = c->joined;
	cluster_devices_released(c, c->self.node, incarnation);
	cluster_send(c);
}

uint64_t cluster_open_retry_ns(int32_t error, uint32_t *failures)
{
	uint64_t wait_ns = OPEN_RETRY_NS;

	*failures = error == -EBUSY || error == -EAGAIN ? 0 : *failures + 1;
	if (*failures > OPEN_OFTEN)
		return AGAIN_NS;
	for (uint32_t i = 1; i < *failures && wait_ns < OPEN_RETRY_MAX_NS; i++)
		wait_ns *= 2;
	return wait_ns < OPEN_RETRY_MAX_NS ? wait_ns : OPEN_RETRY_MAX_NS;
}

static void opened_badly(struct cluster_core *c, const struct fact *f)
{
	set_devices(c, DEVICES_CLOSED);
	c->role.open_at_ns = c->now_ns +
			     cluster_open_retry_ns(f->error, &c->role.open_failures);
	c->role.hangs = 0;
	c->role.data = DATA_DISKLESS;
	if (strcmp(c->role.text, f->text) != 0)
		cluster_tell(c, "site", cluster_site_name(c, (int32_t)c->role.site), "",
			     "could not be opened here: %s", f->text);
	snprintf(c->role.text, sizeof c->role.text, "%s", f->text);
	release(c, c->role.site, c->role.incarnation);
}

static void opened(struct cluster_core *c, const struct fact *f)
{
	const struct view *v = cluster_view_in_effect(c);
	struct role *r = &c->role;

	if (r->devices != DEVICES_OPENING || f->order_id != r->open_id)
		return;
	if (f->error != 0) {
		opened_badly(c, f);
		return;
	}
	set_devices(c, DEVICES_OPEN);
	r->open_failures = 0;
	r->opened_ns = c->now_ns;
	r->text[0] = 0;
	r->log = f->log;
	r->log_lineage = f->lineage;
	memset(&r->log_newest, 0, sizeof r->log_newest);
	if (f->history.count > 0)
		r->log_newest = *history_newest(&f->history);
	r->marks = f->marks;
	r->data = f->data;
	memcpy(r->disk_bytes, f->disk_bytes, sizeof r->disk_bytes);
	r->view_told = 0;
	c->disks_due = true;
	if (!uuid_is_zero(&f->mirror) && !uuid_equal(&f->mirror, &v->mirror)) {
		snprintf(r->text, sizeof r->text,
			 "the writelog belongs to another mirror");
		r->failed = r->foreign = true;
	}
	cluster_tell(c, "site", cluster_site_name(c, (int32_t)r->site), "",
		     "%s hosts it%s%s", cluster_node_name(c, (int32_t)c->self.node),
		     r->failed ? "; but " : "", r->text);
}

/* How long after so many failures in a row are devices left alone? */
static uint64_t again_ns(uint32_t failures)
{
	uint64_t wait_ns = AGAIN_NS;

	for (uint32_t i = 1; i < failures && wait_ns < AGAIN_MAX_NS; i++)
		wait_ns *= 2;
	return wait_ns < AGAIN_MAX_NS ? wait_ns : AGAIN_MAX_NS;
}

uint32_t cluster_device_failures(const struct cluster_core *c)
{
	return c->role.failures;
}

/* A device failed in an earlier process: this one waits for the rest of that time. */
static void failed_before(struct cluster_core *c)
{
	struct role *r = &c->role;
	const uint64_t until_ns = c->self.failed_ns + again_ns(c->self.failures);

	r->failures = c->self.failures;
	c->self.failures = 0;
	if (c->now_ns >= until_ns)
		return;
	r->failed = true;
	r->open_at_ns = until_ns;
	snprintf(r->text, sizeof r->text, "%s", c->self.failed_text);
}

/* A device failed, or was away at the start: when it is time the site may be opened here, so
 * that storage comes back without an operator. */
static void open_again(struct cluster_core *c)
{
	struct role *r = &c->role;

	if (c->self.reach_later) {
		c->self.reach_later = false;
		c->self.reach |= cluster_site_bit(c, c->config->node[c->self.node].site);
		r->failed = true;
		r->open_at_ns = c->now_ns + AGAIN_NS;
	}
	if (c->self.failures != 0)
		failed_before(c);
	if (r->failed && !r->foreign && r->devices == DEVICES_CLOSED &&
	    c->now_ns >= r->open_at_ns)
		r->failed = false;
}

static void closed(struct cluster_core *c, const struct fact *f)
{
	if (c->role.devices != DEVICES_CLOSING || f->order_id != c->role.close_id)
		return;
	set_devices(c, DEVICES_CLOSED);
	c->role.closing_wanted = false;
	c->role.hangs = 0;
	c->role.undo_text[0] = 0;
	c->role.data = DATA_DISKLESS;
	if (c->role.failed && !c->role.foreign)
		c->role.open_at_ns = c->now_ns + again_ns(c->role.failures);
	release(c, c->role.site, c->role.incarnation);
	cluster_tell(c, "site", cluster_site_name(c, (int32_t)c->role.site),
		     "D6-released", "%s released it",
		     cluster_node_name(c, (int32_t)c->self.node));
}

static void device_failed(struct cluster_core *c, const struct fact *f)
{
	c->role.failures = c->now_ns < c->role.opened_ns + WHOLE_NS ?
				   c->role.failures + 1 :
				   1;
	c->role.failed = true;
	c->role.data = DATA_DISKLESS;
	snprintf(c->role.text, sizeof c->role.text, "%s", f->text);
	if (f->error == -ETIMEDOUT)
		c->role.hangs = ANNOUNCE_HANGS;
}

void cluster_devices_fact(struct cluster_core *c, const struct fact *f)
{
	if (f->type == FACT_OPENED)
		opened(c, f);
	else if (f->type == FACT_CLOSED)
		closed(c, f);
	else if (f->type == FACT_DEVICE_FAILED)
		device_failed(c, f);
	else if (f->type == FACT_DEVICE_HANGS)
		c->role.hangs = f->age_ms != 0 ? ANNOUNCE_HANGS : 0;
}

/* A site mate that is to be promoted gets the devices when we are idle. */
static bool is_wanted_by_mate(const struct cluster_core *c)
{
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		const struct node *o = &c->node[n];

		if (n != c->self.node && o->member && o->said.site == VIEW_NONE &&
		    (o->said.flags & ANNOUNCE_WANTS) != 0 &&
		    c->config->node[n].site == (int32_t)c->role.site &&
		    (o->said.reach >> c->role.site & 1) != 0)
			return c->promote.state == PROMOTE_NONE;
	}
	return false;
}

static bool is_named(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct view_host *h = &v->site[c->role.site].host;

	return h->node == (int32_t)c->self.node && h->incarnation == c->role.incarnation;
}

/* Give back the next opening, which a view has named or may yet name: it is not used, and
 * never will be. */
static void renounce(struct cluster_core *c, uint32_t site)
{
	release(c, site, c->role.incarnation_next);
	if (c->stopping)
		c->role.incarnation_next = 0;
	else
		cluster_devices_fresh_incarnation(c);
}

static void open_devices(struct cluster_core *c, uint32_t site)
{
	struct role *r = &c->role;
	struct order *o;

	if (c->stopping || cluster_devices_reach(c) == 0) {
		renounce(c, site);
		return;
	}
	r->site = site;
	r->incarnation = r->incarnation_next;
	r->closing_wanted = false;
	cluster_devices_fresh_incarnation(c);
	o = cluster_order(c, ORDER_OPEN);
	o->site = site;
	o->incarnation = r->incarnation;
	r->open_id = o->id;
	set_devices(c, DEVICES_OPENING);
}

void cluster_devices_pump(struct cluster_core *c)
{
	struct role *r = &c->role;
	const int32_t site = cluster_devices_site(c);
	struct order *o;

	open_again(c);
	if (c->now_ns < r->open_at_ns)
		cluster_wake(c, r->open_at_ns);
	if (r->devices == DEVICES_CLOSED && site != VIEW_NONE)
		open_devices(c, (uint32_t)site);
	/* An undecided view may name the node that leaves, and others may adopt it later. Once
	 * this message comes back, so have all earlier releases: a witness waits for it. */
	else if (r->devices == DEVICES_CLOSED && c->stopping && c->joined &&
		 r->incarnation_next != 0)
		renounce(c, r->site);
	if (r->devices != DEVICES_OPEN || r->serve != SERVE_NONE)
		return;
	if (r->failed || c->stopping || !is_named(c) || is_wanted_by_mate(c))
		r->closing_wanted = true;
	/* Until the members have heard of a demote, closing would look like a crash. */
	if (!r->closing_wanted ||
	    (r->demoted && c->stopping && cluster_command_waits_view(c)))
		return;
	o = cluster_order(c, ORDER_CLOSE);
	o->site = r->site;
	r->close_id = o->id;
	set_devices(c, DEVICES_CLOSING);
}
