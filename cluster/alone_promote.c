/* alone_promote.c - a promotion without members.
 *
 *   step         what happens
 *   probing      every peer is asked, then our own log: is it worth beginning?
 *   preparing    from here on every other site hears that we are being promoted; those
 *                  of our generation are rolled forward from, which binds them
 *   confirming   all are asked once more: may we be promoted?
 *   starting     ORDER_SERVE
 *
 * When two sites are promoted at once, each says so before it asks. So at least one of
 * them hears of the other, however long the line delays. The site that is listed first in
 * the file goes on; the other yields, even with a force. A peer from which we rolled
 * forward has promised that durably (engine/rights.c), and asks us before it is promoted
 * itself.
 *
 * Per peer, when all are asked (the rule is in the event; "sole": by the marks of our
 * log no other site may be promoted without asking us, and we hold everything):
 *
 *   peer                           without force             with force
 *   serves                         refused                   refused
 *   is being promoted              the first in the file     likewise
 *   of our generation, and         allowed                   allowed
 *     rolled forward to its end
 *   of our generation, else        sole; else refused        allowed, names the loss
 *   its log is older               sole, or our site opened  allowed, names the loss
 *                                    the newest generation
 *   its log is newer               refused: outdated         allowed, names the loss
 *   neither leads to the other     refused: SplitBrain       allowed, names the loss
 *   answers, but is not open       sole; else refused        allowed, names the loss
 *   answers anything else          refused                   allowed, names the loss
 *   not reached                    sole; else refused        allowed, names the loss
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "cluster/alone.h"

/* A daemon that was just started is still opening its devices. */
#define PROBE_PAUSE_NS (100 * NS_PER_MS)
#define PROBE_SOON_NS (10 * NS_PER_MS) /* nobody is served meanwhile */
#define PROBE_NS (5000 * NS_PER_MS)

/* ---- asking ---------------------------------------------------------------- */

/* One after the other, and our own log last, so that its answer is the newest. */
static uint32_t next_asked(const struct cluster_core *c)
{
	const struct alone *a = c->alone;

	for (uint32_t s = 0; s < c->config->site_count; s++)
		if (s != a->site && (a->probed >> s & 1) == 0)
			return s;
	return a->site;
}

static void ask(struct cluster_core *c)
{
	struct alone *a = c->alone;
	struct order *o = cluster_order(c, ORDER_PROBE);

	a->probe_at_ns = 0;
	o->site = next_asked(c);
	cluster_alone_peer_fill(c, o->site, &o->peer);
	a->probe_id = o->id;
}

static void ask_all(struct cluster_core *c, enum alone_state state)
{
	struct alone *a = c->alone;

	cluster_alone_set_state(a, state);
	a->probed = 0;
	ask(c);
}

static void refuse(struct cluster_core *c, const char *rule, const char *text)
{
	struct alone *a = c->alone;

	if (a->state == ALONE_PREPARING || a->state == ALONE_CONFIRMING)
		cluster_order(c, ORDER_DEPOSE);
	cluster_tell(c, "mirror", c->config->mirror, rule, "not promoted: %s", text);
	if (a->state != ALONE_OPEN)
		cluster_alone_set_state(a, ALONE_OPEN);
	cluster_alone_reply(c, 1, text);
}

/* Another answer may come: that of a daemon that opens its devices, or that is being
 * promoted and has to yield, or of which only a part has arrived; or of a production that
 * has handed over to us, and lets its clients go. */
static bool may_answer_otherwise(const struct alone *a, const struct fact *f)
{
	return f->error == 0 ? f->promoting || (f->serving && a->command.handed_over) :
			       f->reached;
}

static void prepare(struct cluster_core *c);

void cluster_alone_probe_pump(struct cluster_core *c)
{
	struct alone *a = c->alone;

	if ((a->state != ALONE_PROBING && a->state != ALONE_CONFIRMING) ||
	    a->probe_at_ns == 0)
		return;
	if (c->now_ns < a->probe_at_ns)
		cluster_wake(c, a->probe_at_ns);
	else if (a->prepare_again)
		prepare(c);
	else
		ask(c);
}

/* ---- objections that a peer's log raises --------------------------------------- */

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

static bool is_own_generation(const struct alone *a)
{
	const struct generation *newest = history_newest(&a->history);

	return newest != NULL && newest->site == a->site;
}

/* By the marks of our log: no other site may be promoted without asking us, and we hold
 * everything. */
static bool is_sole(const struct alone *a, uint32_t peer)
{
	return !a->handed_over &&
	       (a->clean || (is_own_generation(a) && (a->disconnected >> peer & 1) != 0));
}

/* The peer is of our generation, and we have not rolled forward from it. */
static void lacking_text(const struct cluster_core *c, uint32_t s, char *text,
			 size_t size)
{
	const struct alone *a = c->alone;
	const struct fact *f = &a->peer[s];
	const char *name = cluster_site_name(c, (int32_t)s);
	char missed[100] = "";

	if (f->tracked_extents == UINT64_MAX)
		snprintf(missed, sizeof missed, "; how much cannot be known");
	else if (f->tracked_extents > 0)
		snprintf(missed, sizeof missed, "; %s tracks %llu KiB for it", name,
			 (unsigned long long)f->tracked_extents * 64);
	if (f->marks.logged > a->marks.logged || f->tracked_extents > 0)
		snprintf(
			text, size,
			"%s holds up to record %llu, this site up to %llu, and lacks data "
			"that %s can send by a refresh only%s; promote %s and wait until "
			"this site is level",
			name, (unsigned long long)f->marks.logged,
			(unsigned long long)a->marks.logged, name, missed, name);
	else
		snprintf(text, size, "the records of %s could not be fetched: %s", name,
			 a->prepare_text[0] != 0 ? a->prepare_text : "it was not asked");
}

/* In async production answers however far its copy is behind. */
static const char *bound_text(const struct cluster_core *c)
{
	return c->config->mode == CONFIG_ASYNC ? ", in async without a bound" : "";
}

static void error_text(const struct cluster_core *c, uint32_t s, char *text, size_t size)
{
	const struct fact *f = &c->alone->peer[s];

	snprintf(text, size,
		 "%s %s (%.120s): it may hold more than this site%s; how many groups and "
		 "bytes cannot be known",
		 cluster_site_name(c, (int32_t)s),
		 f->reached ? "answers, and does not say what it holds" :
			      "cannot be reached",
		 f->text, bound_text(c));
}

static void older_text(const struct cluster_core *c, uint32_t s, char *text, size_t size)
{
	const struct generation *newest = history_newest(&c->alone->history);

	snprintf(text, size,
		 "%s does not have generation %llu, which %s opened: it cannot be known "
		 "which of its writes are not here%s",
		 cluster_site_name(c, (int32_t)s), (unsigned long long)newest->ordinal,
		 cluster_site_name(c, (int32_t)newest->site), bound_text(c));
}

/* A whole history lists its newest generations only: then the cause may be an older one. */
static void forked_text(const struct cluster_core *c, uint32_t s, char *text, size_t size)
{
	const struct history *mine = &c->alone->history,
			     *peer = &c->alone->peer[s].history;
	const char *name = cluster_site_name(c, (int32_t)s);
	bool both = mine->count < HISTORY_COUNT_MAX && peer->count < HISTORY_COUNT_MAX;

	for (uint32_t i = 0; i < mine->count; i++)
		both |= cluster_view_history_find(peer, &mine->entry[i].id) >= 0;
	if (both)
		snprintf(text, size,
			 "SplitBrain: both this site and %s were promoted without the "
			 "other; one side's writes since then are lost",
			 name);
	else
		snprintf(
			text, size,
			"SplitBrain: this site and %s know no generation in common, since "
			"one of them was promoted %d times or more without the other; the "
			"newest here is generation %llu, and there %llu; one side's writes "
			"are lost",
			name, HISTORY_COUNT_MAX,
			(unsigned long long)history_newest(mine)->ordinal,
			(unsigned long long)history_newest(peer)->ordinal);
}

/* Does peer `s` allow it? Else why not, in `text`. `rolled`: rolled forward from. */
static bool peer_allows(struct cluster_core *c, uint32_t s, bool rolled, char *text,
			size_t size)
{
	struct alone *a = c->alone;
	const struct fact *f = &a->peer[s];
	const char *name = cluster_site_name(c, (int32_t)s);

	if (rolled)
		return true;
	if (f->error != 0) {
		error_text(c, s, text, size);
		return is_sole(a, s) && (!f->reached || f->error == -EAGAIN);
	}
	switch (relation(&a->history, &f->history)) {
	case PEER_SAME:
		lacking_text(c, s, text, size);
		return is_sole(a, s);
	case PEER_OLDER:
		if (is_sole(a, s) || is_own_generation(a) || a->history.count == 0)
			return true;
		older_text(c, s, text, size);
		return false;
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
	forked_text(c, s, text, size);
	return false;
}

/* True: all allow it, or it is forced and the loss is named. `rolled`: bit per site. */
static bool all_allow(struct cluster_core *c, uint32_t rolled)
{
	struct alone *a = c->alone;
	char text[480];

	a->forced = false;
	a->loss_text[0] = 0;
	for (uint32_t s = 0; s < c->config->site_count; s++) {
		if (s == a->site ||
		    peer_allows(c, s, (rolled >> s & 1) != 0, text, sizeof text))
			continue;
		if (!a->force) {
			snprintf(text + strlen(text), sizeof text - strlen(text),
				 "; %s`hamirror promote %s --force` goes on without it",
				 a->peer[s].error != 0 && !a->peer[s].reached ?
					 "start it there, or " :
					 "",
				 c->config->instance);
			refuse(c, "alone-peer", text);
			return false;
		}
		a->forced = true;
		snprintf(a->loss_text, sizeof a->loss_text, "; %.290s", text);
	}
	return true;
}

/* ---- preparing ----------------------------------------------------------------- */

static void prepare(struct cluster_core *c)
{
	struct alone *a = c->alone;
	struct order *o = cluster_order(c, ORDER_PREPARE);
	const struct generation *newest = history_newest(&a->history);
	uint64_t number = newest != NULL ? newest->ordinal : 0;

	if (a->state != ALONE_PREPARING)
		cluster_alone_set_state(a, ALONE_PREPARING);
	a->probe_at_ns = 0;
	a->prepare_again = false;
	if (number < cluster_view_ballot_number(a->ballot))
		number = cluster_view_ballot_number(a->ballot);
	a->ballot = cluster_view_ballot_make(number + 1, c->self.node);
	o->site = a->site;
	o->incarnation = a->incarnation;
	o->ballot = a->ballot;
	o->force = a->force;
	cluster_uuid_make(c, &o->generation);
	c->role.generation = o->generation;
	o->history = a->history;
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if ((a->sources >> s & 1) != 0)
			cluster_alone_peer_fill(c, s, &o->source[o->source_count++]);
	a->prepare_id = o->id;
}

/* All were asked for the first time. */
static void begin(struct cluster_core *c)
{
	struct alone *a = c->alone;
	uint32_t expected = 0;

	a->sources = 0;
	for (uint32_t s = 0; s < c->config->site_count; s++) {
		const struct fact *f = &a->peer[s];

		if (s == a->site || f->error != 0 ||
		    relation(&a->history, &f->history) != PEER_SAME)
			continue;
		a->sources |= 1u << s;
		if (f->tracked_extents == 0)
			expected |= 1u << s;
	}
	if (!all_allow(c, expected))
		return;
	a->probe_until_ns = c->now_ns + PROBE_NS;
	prepare(c);
}

void cluster_alone_prepared(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	if (a->state != ALONE_PREPARING || f->order_id != a->prepare_id)
		return;
	if (f->error != 0) {
		refuse(c, "alone-not-prepared", f->text);
		return;
	}
	a->cut = f->sequence;
	a->rolled = f->reached_sites & a->sources;
	a->level = f->level_sites & a->sources;
	a->busy_sites = f->busy_sites & a->sources;
	snprintf(a->prepare_text, sizeof a->prepare_text, "%s", f->text);
	ask_all(c, ALONE_CONFIRMING);
}

/* ---- starting -------------------------------------------------------------------- */

static uint32_t reason_of(const struct cluster_core *c)
{
	const struct alone *a = c->alone;

	if (a->forced)
		return GENERATION_FORCED;
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if ((a->rolled >> s & 1) != 0 && a->peer[s].clean)
			return GENERATION_CLEAN;
	if (a->clean)
		return GENERATION_CLEAN;
	return is_own_generation(a) || a->history.count == 0 ? GENERATION_RESTARTED :
							       GENERATION_CURRENT;
}

/* All were asked again, while they heard that we are being promoted. */
static void judge(struct cluster_core *c)
{
	struct alone *a = c->alone;
	const struct generation *newest = history_newest(&a->history);
	struct generation g = { .ordinal = 1, .cut = a->cut, .site = a->site };
	struct order *o;

	if ((a->busy_sites & ~a->rolled) != 0 && c->now_ns < a->probe_until_ns) {
		a->prepare_again = true; /* one that has yielded by now */
		a->probe_at_ns = c->now_ns + PROBE_PAUSE_NS;
		return;
	}
	if (!all_allow(c, a->rolled))
		return;
	if (newest != NULL) {
		g.ordinal = newest->ordinal + 1;
		g.parent = newest->id;
	}
	g.id = c->role.generation;
	g.reason = a->reason = reason_of(c);
	a->opened = g;
	a->waited = c->config->mode == CONFIG_ASYNC ? 0 : a->level & ~a->disconnected;
	a->lost = 0;
	a->linked = 0;
	cluster_order(c, ORDER_LEASE)->until_ns = UINT64_MAX;
	o = cluster_order(c, ORDER_SERVE);
	o->ballot = a->ballot;
	o->history = a->history;
	history_append(&o->history, &g);
	o->sites = a->waited;
	o->bypass = a->bypass;
	o->promise = promise_of_config(c->config);
	a->serve_id = o->id;
	cluster_alone_set_state(a, ALONE_STARTING);
}

static void own_log(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;

	if (f->error != 0) {
		refuse(c, "alone-not-open", f->text);
		return;
	}
	a->history = f->history;
	a->marks = f->marks;
	a->clean = f->clean;
	a->handed_over = f->handed_over;
	a->disconnected = (uint32_t)f->disconnected;
	a->bypass = (uint32_t)f->bypass;
	if (f->ballot > a->ballot)
		a->ballot = f->ballot;
	if (a->state == ALONE_PROBING)
		begin(c);
	else
		judge(c);
}

void cluster_alone_peer(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	char text[320], instance[2 * CONFIG_NAME_MAX];

	if ((a->state != ALONE_PROBING && a->state != ALONE_CONFIRMING) ||
	    f->site >= c->config->site_count || f->order_id != a->probe_id)
		return;
	if (f->site == a->site) {
		own_log(c, f);
		return;
	}
	if (f->error == 0 && f->serving &&
	    (!a->command.handed_over || c->now_ns >= a->probe_until_ns)) {
		cluster_instance_of(c, cluster_alone_node(c, f->site), instance);
		snprintf(text, sizeof text,
			 "%s serves: `hamirror demote %s` there first (--force does not "
			 "override that)",
			 cluster_site_name(c, (int32_t)f->site), instance);
		refuse(c, "alone-peer-serves", text);
		return;
	}
	if (f->error == 0 && f->promoting && f->site < a->site) {
		snprintf(text, sizeof text,
			 "%s is being promoted at this moment, and is listed first: this "
			 "site yields (--force does not override that)",
			 cluster_site_name(c, (int32_t)f->site));
		refuse(c, "alone-yields", text);
		return;
	}
	if (may_answer_otherwise(a, f) && c->now_ns < a->probe_until_ns) {
		a->probe_at_ns = c->now_ns +
				 (f->serving ? PROBE_SOON_NS : PROBE_PAUSE_NS);
		return;
	}
	a->peer[f->site] = *f;
	a->probed |= 1u << f->site;
	if (f->ballot > a->ballot)
		a->ballot = f->ballot;
	ask(c);
}

void cluster_alone_serving(struct cluster_core *c, const struct fact *f)
{
	struct alone *a = c->alone;
	const struct generation *newest = history_newest(&a->history);
	char text[480];

	if (a->state != ALONE_STARTING || f->order_id != a->serve_id)
		return;
	if (f->error != 0) {
		a->waited = 0;
		refuse(c, "alone-not-serving", f->text);
		return;
	}
	/* FACT_MARKS may have told it before. */
	if (newest == NULL || !uuid_equal(&newest->id, &a->opened.id))
		history_append(&a->history, &a->opened);
	a->clean = false;
	a->heirs = 0;
	cluster_alone_set_state(a, ALONE_SERVING);
	cluster_alone_links(c);
	snprintf(text, sizeof text,
		 "production of generation %llu, after sequence %llu%s",
		 (unsigned long long)a->opened.ordinal, (unsigned long long)a->opened.cut,
		 a->loss_text);
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
	case ALONE_PROBING:
	case ALONE_PREPARING:
	case ALONE_CONFIRMING:
		refuse(c, "alone-called-off", why);
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
		a->prepare_again = false;
		a->prepare_text[0] = 0;
		ask_all(c, ALONE_PROBING);
	}
}
