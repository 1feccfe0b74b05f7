/* alone_promote.c - a promotion without members: the peers are asked, our log is
 * read again, and then, per peer (the rule is in the event):
 *
 *   peer                          without force          with force
 *   serves                        refused                refused
 *   its log is of our generation  roll forward from it   roll forward from it
 *   its log is older              allowed                allowed
 *   its log is newer              refused: outdated      allowed, names the loss
 *   neither leads to the other    refused: SplitBrain    allowed, names the loss
 *   not reached, our log was      allowed                allowed
 *     ended clean
 *   not reached, put out here     allowed                allowed
 *   not reached, else             refused                allowed, names the loss
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "cluster/alone.h"

/* A daemon that was just started is still opening its devices. */
#define PROBE_PAUSE_NS (100 * NS_PER_MS)
#define PROBE_NS (5000 * NS_PER_MS)

static void probe(struct cluster_core *c)
{
	struct alone *a = c->alone;

	a->probed = 0;
	a->probe_at_ns = 0;
	for (uint32_t s = 0; s < c->config->site_count; s++) {
		struct order *o;

		if (s == a->site)
			continue;
		o = cluster_order(c, ORDER_PROBE);
		o->site = s;
		cluster_alone_peer_fill(c, s, &o->peer);
		a->probe_id[s] = o->id;
	}
}

static void refuse(struct cluster_core *c, const char *rule, const char *text)
{
	struct alone *a = c->alone;

	cluster_tell(c, "mirror", c->config->mirror, rule, "not promoted: %s", text);
	if (a->state != ALONE_OPEN)
		cluster_alone_set_state(a, ALONE_OPEN);
	cluster_alone_reply(c, 1, text);
}

void cluster_alone_peer(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	char text[200];

	if (a->state != ALONE_PROBING || f->site >= c->config->site_count ||
	    f->order_id != a->probe_id[f->site])
		return;
	if (f->error == -EAGAIN && c->now_ns < a->probe_until_ns) {
		a->probe_at_ns = c->now_ns + PROBE_PAUSE_NS;
		return;
	}
	a->peer[f->site] = *f;
	a->probed |= 1u << f->site;
	if (f->error == 0 && f->serving) {
		snprintf(text, sizeof text,
			 "%s serves: demote it there first (--force does not "
			 "override that)",
			 cluster_site_name(c, (int32_t)f->site));
		refuse(c, "alone-peer-serves", text);
	} else if (a->probed == cluster_alone_peers(c)) {
		cluster_alone_set_state(a, ALONE_REREADING);
		cluster_alone_close(c);
	}
}

void cluster_alone_probe_pump(struct cluster_core *c)
{
	struct alone *a = c->alone;

	if (a->state != ALONE_PROBING || a->probe_at_ns == 0)
		return;
	if (c->now_ns >= a->probe_at_ns)
		probe(c);
	else
		cluster_wake(c, a->probe_at_ns);
}

static enum alone_relation relation(const struct history *own, const struct history *peer)
{
	const struct generation *mine = history_newest(own),
				*theirs = history_newest(peer);

	if (theirs == NULL)
		return PEER_OLDER;
	if (mine == NULL)
		return PEER_NEWER;
	if (uuid_equal(&mine->id, &theirs->id))
		return PEER_SAME;
	if (cluster_view_history_find(own, &theirs->id) >= 0 ||
	    uuid_equal(&own->entry[0].parent, &theirs->id))
		return PEER_OLDER;
	if (cluster_view_history_find(peer, &mine->id) >= 0 ||
	    uuid_equal(&peer->entry[0].parent, &mine->id))
		return PEER_NEWER;
	return PEER_FORKED;
}

/* Why peer `s` forbids the promotion, in `text`; or true. A force names the loss. */
static bool peer_allows(struct cluster_core *c, uint32_t s, char *text, size_t size)
{
	struct alone *a = c->alone;
	const struct fact *f = &a->peer[s];
	const char *name = cluster_site_name(c, (int32_t)s);

	if (f->error != 0) {
		if (a->clean || (a->disconnected >> s & 1) != 0)
			return true;
		snprintf(text, size,
			 "%s cannot be reached (%.120s): it may hold more than this "
			 "site; how many groups and bytes cannot be known",
			 name, f->text);
		return false;
	}
	switch (relation(&a->history, &f->history)) {
	case PEER_SAME:
		a->sources |= 1u << s;
		return true;
	case PEER_OLDER:
		return true;
	case PEER_NEWER:
		snprintf(text, size,
			 "outdated: %s was promoted since (generation %llu, up to "
			 "record %llu); promote it there, or what it wrote since is lost",
			 name, (unsigned long long)history_newest(&f->history)->ordinal,
			 (unsigned long long)f->marks.logged);
		return false;
	case PEER_FORKED:
		break;
	}
	snprintf(text, size,
		 "SplitBrain: both this site and %s were promoted without the "
		 "other; one side's writes since then are lost",
		 name);
	return false;
}

static void prepare(struct cluster_core *c)
{
	struct alone *a = c->alone;
	struct order *o = cluster_order(c, ORDER_PREPARE);
	const struct generation *newest = history_newest(&a->history);

	cluster_alone_set_state(a, ALONE_PREPARING);
	o->site = a->site;
	o->incarnation = a->incarnation;
	o->ballot = cluster_view_ballot_make((newest != NULL ? newest->ordinal : 0) + 1,
					     c->self.node);
	o->force = a->force;
	cluster_uuid_make(c, &o->generation);
	c->role.generation = o->generation;
	o->history = a->history;
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if ((a->sources >> s & 1) != 0)
			cluster_alone_peer_fill(c, s, &o->source[o->source_count++]);
	a->prepare_id = o->id;
}

void cluster_alone_judge(struct cluster_core *c)
{
	struct alone *a = c->alone;
	const struct generation *newest = history_newest(&a->history);
	char text[320];

	a->sources = 0;
	a->loss_text[0] = 0;
	a->reason = a->clean                                  ? GENERATION_CLEAN :
		    newest != NULL && newest->site == a->site ? GENERATION_RESTARTED :
								GENERATION_CURRENT;
	for (uint32_t s = 0; s < c->config->site_count; s++) {
		if (s == a->site || peer_allows(c, s, text, sizeof text))
			continue;
		if (!a->force) {
			snprintf(text + strlen(text), sizeof text - strlen(text),
				 "; `hamirror promote %s --force` goes on without it",
				 c->config->instance);
			refuse(c, "alone-peer", text);
			return;
		}
		a->reason = GENERATION_FORCED;
		snprintf(a->loss_text, sizeof a->loss_text, "; %.190s", text);
	}
	prepare(c);
}

void cluster_alone_prepared(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	const struct generation *newest = history_newest(&a->history);
	struct generation g = { .ordinal = 1, .cut = f->sequence, .site = a->site };
	struct order *o;

	if (a->state != ALONE_PREPARING || f->order_id != a->prepare_id)
		return;
	if (f->error != 0) {
		cluster_order(c, ORDER_DEPOSE);
		refuse(c, "alone-not-prepared", f->text);
		return;
	}
	if (newest != NULL) {
		g.ordinal = newest->ordinal + 1;
		g.parent = newest->id;
	}
	g.id = c->role.generation;
	g.reason = a->reason;
	cluster_view_history_append(&a->history, &g);
	a->waited = f->reached_sites & a->sources & ~a->disconnected;
	a->lost = 0;
	a->linked = 0;
	cluster_order(c, ORDER_LEASE)->until_ns = UINT64_MAX;
	o = cluster_order(c, ORDER_SERVE);
	o->ballot = cluster_view_ballot_make(g.ordinal, c->self.node);
	o->history = a->history;
	o->sites = a->waited;
	a->serve_id = o->id;
	cluster_alone_set_state(a, ALONE_STARTING);
}

void cluster_alone_serving(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	const struct generation *g = history_newest(&a->history);
	char text[320];

	if (a->state != ALONE_STARTING || f->order_id != a->serve_id)
		return;
	if (f->error != 0) {
		a->history.count--;
		refuse(c, "alone-not-serving", f->text);
		return;
	}
	a->clean = false;
	cluster_alone_set_state(a, ALONE_SERVING);
	cluster_alone_links(c);
	snprintf(
		text, sizeof text, "production of generation %llu, after sequence %llu%s",
		(unsigned long long)g->ordinal, (unsigned long long)g->cut, a->loss_text);
	cluster_tell(c, "mirror", c->config->mirror,
		     a->reason == GENERATION_FORCED ? "alone-forced" : "alone-serve",
		     "%s", text);
	cluster_alone_reply(c, 0, text);
}

void cluster_alone_call_off(struct cluster_core *c, const char *why)
{
	struct alone *a = c->alone;

	if (!a->busy || a->command.type != CLUSTER_COMMAND_PROMOTE)
		return;
	switch (a->state) {
	case ALONE_PREPARING:
		cluster_order(c, ORDER_DEPOSE);
		refuse(c, "alone-called-off", why);
		break;
	case ALONE_PROBING:
		refuse(c, "alone-called-off", why);
		break;
	case ALONE_REREADING:
		a->called_off = true;
		cluster_alone_reply(c, 1, why);
		break;
	case ALONE_CLOSED:
	case ALONE_OPENING: /* it waits for the devices */
		cluster_alone_reply(c, 1, why);
		break;
	case ALONE_OPEN:
	case ALONE_STARTING:
	case ALONE_SERVING:
	case ALONE_DEMOTING:
	case ALONE_CLOSING:
		break;
	}
}

void cluster_alone_promote(struct cluster_core *c, const struct cluster_command *command)
{
	struct alone *a = c->alone;

	if (a->state == ALONE_SERVING) {
		cluster_alone_reply(c, 0, "this node is production");
	} else if (a->failed || a->state != ALONE_OPEN) {
		cluster_alone_reply(c, 1,
				    a->text[0] != 0 ?
					    a->text :
					    "the devices of this site are not open yet");
	} else {
		a->force = command->force;
		a->probe_until_ns = c->now_ns + PROBE_NS;
		cluster_alone_set_state(a, ALONE_PROBING);
		probe(c);
	}
}
