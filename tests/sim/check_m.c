/* check_m.c - the modes: M1, at each answer no copy that some view calls current lacks more
 * than that view's promise allows, and nothing is at home that it lacks; M4, the same for one
 * that is near in async, by what it has durable; M2, a flush is
 * such an answer; M3, only a serving production changes the promise, and proposes a
 * stricter one when every copy satisfies it for what was acknowledged; a view that is
 * undecided binds answers like the one in effect. check_g4.c judges promotions by it (M4). In
 * sync check_g1.c asks for more. M5, in every mode: the clean end of a production is marked
 * when each copy that follows has all of it durable, or the time for that is over; and each
 * that it names has. M6: a map takes over for no copy that a view in effect or undecided calls
 * current. M9, confirm: home: a write is answered when it is on production's disk and on that of
 * each copy that some view calls current, a read shows no write that is not, and such a promise
 * is proposed when all that was acknowledged is.
 */
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/check_m.h"
#include "tests/sim/sim.h"

/* ---- lacked records ------------------------------------------------------------------ */

struct sim_lacked sim_lacked(const struct sim *w, const uint64_t *limit, uint64_t from,
			     uint64_t to)
{
	struct sim_lacked l = { 0 };
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < w->generation_count; i++) {
		const struct sim_generation *g = &w->generation[i];
		const uint64_t last = limit[i] < to ? limit[i] : to;

		for (uint64_t s = (from > g->cut ? from : g->cut) + 1; s <= last; s++) {
			const uint64_t at = s - g->cut - 1;

			if (at >= g->room || !g->write[at].known)
				continue;
			l.count++;
			l.bytes += g->write[at].length_bytes;
			if (s >= oldest)
				continue;
			oldest = s;
			l.generation = i;
			l.stamped_ns = g->write[at].stamped_ns;
		}
	}
	return l;
}

bool sim_lacks_more(const struct sim_lacked *l, const struct promise *p, uint64_t at_ns)
{
	if (l->count == 0 || !promise_counts(p))
		return false;
	return l->count > p->records || l->bytes > p->bytes ||
	       (p->ms != PROMISE_UNBOUNDED && at_ns > l->stamped_ns &&
		at_ns - l->stamped_ns > p->ms * SIM_MS);
}

/* The host of a copy that view `v` calls current, as the incarnation that it counts. NULL:
 * it is not, or it is not there any more. */
static const struct mirror_view *counted(const struct sim *w, const struct view *v,
					 uint32_t site)
{
	const int32_t host = w->site[site].open_node;
	const struct mirror_view *m;

	if (!v->site[site].current || host < 0 || v->site[site].host.node != host)
		return NULL;
	m = sim_view(w, host);
	return m->state == ENGINE_IDLE && !m->failed && !m->cutting &&
			       m->incarnation == v->site[site].current_incarnation ?
		       m :
		       NULL;
}

/* The views that may be in effect, as node `n` knows them, and that are of the generation
 * which `node` serves. */
static const struct view *view_of(const struct sim *w, uint32_t node, uint32_t n)
{
	const struct view *mine = cluster_view_in_effect(w->node[node].core);
	const struct view *v = n == node          ? mine :
			       w->node[n].running ? cluster_view_newest(w->node[n].core) :
						    NULL;

	if (v == NULL || mine == NULL || v->ballot < mine->ballot ||
	    v->production_incarnation != sim_view(w, node)->incarnation)
		return NULL;
	return v;
}

/* ---- answers (M1, M2) ----------------------------------------------------------------- */

static void check_copy(struct sim *w, uint32_t node, const struct view *v, uint32_t site,
		       const struct sim_request *r, uint64_t sequence)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct mirror_view *m = counted(w, v, site);
	const bool flush = r->request.type == MIRROR_REQUEST_FLUSH || r->request.fua;
	uint64_t has;
	struct sim_lacked l;

	if (m == NULL)
		return;
	/* while answers satisfy sync, what it has logged is enough for this incarnation */
	has = v->promise.mode == CONFIG_ASYNC &&
			      sim_view(w, node)->ack->promise.mode != CONFIG_SYNC ?
		      m->marks->durable :
		      m->marks->logged;
	if (has >= sequence)
		return;
	sim_limits(w, (uint32_t)w->node[node].served_generation - 1, limit);
	l = sim_lacked(w, limit, has, sequence);
	/* a flush that needs no more than a write is judged as one */
	if (sim_lacks_more(&l, &v->promise,
			   l.generation == w->node[node].served_generation - 1 ?
				   r->decided_ns :
				   UINT64_MAX))
		sim_violate(
			w,
			v->ballot != cluster_view_in_effect(w->node[node].core)->ballot ?
				"M3" :
			v->promise.mode == CONFIG_ASYNC ? "M4" :
			flush                           ? "M2" :
							  "M1",
			"n%u answers with sequence %llu, and copy %u, current by view "
			"%llu, lacks %llu writes of %llu bytes, the oldest for %llu ms",
			node + 1, (unsigned long long)sequence, site,
			(unsigned long long)v->ballot, (unsigned long long)l.count,
			(unsigned long long)l.bytes,
			(unsigned long long)(r->decided_ns - l.stamped_ns) / 1000000);
}

/* ---- on the disk (M9) ------------------------------------------------------------------- */

/* Every sector of the write holds it there, or a newer one. */
static void check_disk(struct sim *w, uint32_t node, uint32_t site,
		       const struct sim_request *r)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct mirror_request *q = &r->request;
	const struct sim_device *d = &w->site[site].disk[q->disk];

	if (w->patched || w->site[site].tainted || w->violation[0] != 0)
		return;
	sim_limits(w, r->generation, limit);
	for (uint64_t at = q->offset_bytes; at < q->offset_bytes + q->length_bytes;
	     at += SIM_SECTOR) {
		const struct sim_touch *t;
		uint64_t number;

		memcpy(&number, d->now + at, sizeof number);
		t = sim_shown_touch(sim_sector(w, q->disk, at / SIM_SECTOR), number,
				    limit);
		if (t != NULL && t->sequence >= q->sequence)
			continue;
		sim_violate(
			w, "M9",
			"n%u answers write %llu of sequence %llu, and disk %u of site "
			"%u holds %llu of sequence %llu in sector %llu",
			node + 1, (unsigned long long)r->number,
			(unsigned long long)q->sequence, q->disk, site,
			(unsigned long long)number,
			(unsigned long long)(t != NULL ? t->sequence : 0),
			(unsigned long long)at / SIM_SECTOR);
		return;
	}
}

static void check_read(struct sim *w, uint32_t node, const struct sim_request *r)
{
	uint64_t number;

	for (uint64_t at = 0; at < r->request.length_bytes; at += SIM_SECTOR) {
		memcpy(&number, r->request.data + at, sizeof number);
		if (number != 0 && sim_is_unanswered(w, node, number))
			sim_violate(w, "M9",
				    "n%u shows write %llu, which it has not answered",
				    node + 1, (unsigned long long)number);
	}
}

/* Without a cluster: the copy that this production streams to, and waits for. */
static bool pair_counts(const struct sim *w, const struct mirror_view *m, uint32_t site)
{
	const struct mirror_view_peer *p = &m->peer[site];
	const int32_t host = w->site[site].open_node;

	return p->waited && p->link != MIRROR_LINK_NONE && m->link[p->link].sends &&
	       host >= 0 && sim_view(w, (uint32_t)host)->state == ENGINE_IDLE &&
	       sim_view(w, (uint32_t)host)->incarnation ==
		       m->link[p->link].hello->incarnation;
}

static bool counts(const struct sim *w, uint32_t node, uint32_t site)
{
	if (w->plan.alone)
		return pair_counts(w, sim_view(w, node), site);
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct view *v = view_of(w, node, n);

		if (v != NULL && v->promise.home && counted(w, v, site) != NULL)
			return true;
	}
	return false;
}

static bool is_promised_home(const struct sim *w, uint32_t node)
{
	if (w->plan.alone)
		return w->plan.promise.home;
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct view *v = view_of(w, node, n);

		if (v != NULL && v->promise.home)
			return true;
	}
	return false;
}

static void check_home(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const uint32_t own = sim_view(w, node)->site;

	if (r->request.type == MIRROR_REQUEST_FLUSH || !is_promised_home(w, node))
		return;
	if (r->request.type == MIRROR_REQUEST_READ) {
		check_read(w, node, r);
		return;
	}
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (s == own || counts(w, node, s))
			check_disk(w, node, s, r);
}

static void note_promise(struct sim *w, uint32_t node, const struct sim_request *r)
{
	struct sim_generation *g = &w->generation[r->generation];
	const struct view *mine = cluster_view_in_effect(w->node[node].core);

	if (r->request.type == MIRROR_REQUEST_FLUSH || mine == NULL)
		return;
	if (r->request.sequence >= g->acknowledged)
		g->decided_ns = r->decided_ns;
	if (mine->promise.mode == CONFIG_SYNC &&
	    r->request.sequence > g->sync_acknowledged)
		g->sync_acknowledged = r->request.sequence;
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const bool flush = r->request.type == MIRROR_REQUEST_FLUSH;
	const uint64_t sequence = flush ? r->floor_sequence : r->request.sequence;

	if (r->request.result != 0 || w->node[node].served_generation == 0 ||
	    !(w->plan.modes || w->plan.promise.home))
		return;
	sim_note_all(w, node);
	check_home(w, node, r);
	if (!w->plan.modes || r->request.type == MIRROR_REQUEST_READ)
		return;
	note_promise(w, node, r);
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct view *v = view_of(w, node, n);

		for (uint32_t s = 0; v != NULL && s < w->plan.site_count; s++)
			if (s != sim_view(w, node)->site)
				check_copy(w, node, v, s, r, sequence);
	}
}

/* ---- home ------------------------------------------------------------------------------ */

/* What a copy lacks that may be promoted is not on production's disks: they would have
 * to be mended when it was. */
static void io(struct sim *w, uint32_t node, const struct mirror_io *op)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct view *v = view_of(w, node, node);
	const struct mirror_record *r;

	if (!w->plan.modes || v == NULL || m->state != ENGINE_SERVING)
		return;
	for (uint32_t i = 0; (r = mirror_view_homing(op, i)) != NULL; i++)
		for (uint32_t s = 0; s < w->plan.site_count; s++) {
			const struct mirror_view *copy = s != m->site ? counted(w, v, s) :
									NULL;

			if (copy != NULL && copy->marks->logged < r->header.sequence)
				sim_violate(w, "M1",
					    "n%u brings sequence %llu home, and copy %u "
					    "has logged up to %llu",
					    node + 1,
					    (unsigned long long)r->header.sequence, s,
					    (unsigned long long)copy->marks->logged);
		}
}

/* ---- changes (M3) ---------------------------------------------------------------------- */

static void check_stricter(struct sim *w, uint32_t node, const struct view *v)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct sim_generation *g;

	if (w->node[node].served_generation == 0)
		return;
	g = &w->generation[w->node[node].served_generation - 1];
	sim_limits(w, (uint32_t)w->node[node].served_generation - 1, limit);
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const struct mirror_view *m = counted(w, v, s);
		struct sim_lacked l;

		if (m == NULL || s == sim_view(w, node)->site)
			continue;
		l = sim_lacked(w, limit, m->marks->logged, g->acknowledged);
		if (l.count > v->promise.records || l.bytes > v->promise.bytes)
			sim_violate(w, "M3",
				    "n%u proposes a stricter promise, and copy %u lacks "
				    "%llu acknowledged writes",
				    node + 1, s, (unsigned long long)l.count);
		else if (v->promise.home && m->marks->home < g->acknowledged)
			sim_violate(
				w, "M9",
				"n%u proposes confirm: home, and at copy %u, current, "
				"%llu is at home of %llu that were acknowledged",
				node + 1, s, (unsigned long long)m->marks->home,
				(unsigned long long)g->acknowledged);
		else if (v->promise.mode == CONFIG_SYNC && m->marks->durable < g->flushed)
			sim_violate(w, "M3",
				    "n%u proposes sync, and at copy %u, current, %llu is "
				    "durable of %llu that were flushed",
				    node + 1, s, (unsigned long long)m->marks->durable,
				    (unsigned long long)g->flushed);
	}
}

/* A proposal is judged when it is made: one that is sent again may be older than the last
 * wish of the operator. */
static void sent(struct sim *w, uint32_t node, const uint8_t *data, size_t length)
{
	static struct message m;
	const struct cluster_core *c = w->node[node].core;
	const struct view *v = &m.propose.view, *mine = cluster_view_in_effect(c);
	char text[256];

	if (!w->plan.modes || mine == NULL || c->round.adopting ||
	    cluster_message_decode(&w->config, data, length, &m, text, sizeof text) !=
		    0 ||
	    m.type != MESSAGE_PROPOSE || w->forced ||
	    v->ballot == w->node[node].proposed_ballot)
		return;
	w->node[node].proposed_ballot = v->ballot;
	if (promise_equal(&v->promise, &mine->promise) &&
	    promise_equal(&v->wanted, &mine->wanted))
		return;
	if (c->role.serve != SERVE_SERVING || v->production_node != (int32_t)node)
		sim_violate(w, "M3", "n%u, which does not serve, changes the promise",
			    node + 1);
	else if (!promise_equal(&v->wanted, &mine->wanted) &&
		 !(c->role.mode_asked && promise_equal(&v->wanted, &c->role.mode)))
		sim_violate(w, "M3", "n%u wants a promise that nobody has asked for",
			    node + 1);
	else if (!promise_covers(&mine->promise, &v->promise))
		check_stricter(w, node, v);
}

/* ---- demotes (M5) ---------------------------------------------------------------------- */

static bool is_following(const struct mirror_view *m, uint32_t site)
{
	const struct mirror_view_peer *p = &m->peer[site];

	return p->link != MIRROR_LINK_NONE && m->link[p->link].sends &&
	       (p->phase == REFRESH_NONE || p->phase == REFRESH_ENDING);
}

/* Has this step marked the end of the generation that is served? */
static bool is_marked(const struct sim_node *n, const struct mirror_view *m)
{
	return !n->drained && m->sb->clean.set &&
	       uuid_equal(&m->sb->clean.generation, &history_newest(&m->sb->history)->id);
}

static void demotes(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const struct mirror_view *m = sim_view(w, node);

	if (m->state != ENGINE_DEMOTING) {
		n->demoting_since_ns = 0;
		n->drained = false;
		return;
	}
	if (n->demoting_since_ns == 0)
		n->demoting_since_ns = sim_clock(w, node);
	if (!is_marked(n, m))
		return;
	n->drained = true;
	if (sim_clock(w, node) >=
	    n->demoting_since_ns + w->config.demote_drain_ms * SIM_MS)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (s != m->site && is_following(m, s) &&
		    m->peer[s].proven_durable < m->marks->last)
			sim_violate(w, "M5",
				    "n%u ends with sequence %llu, and copy %u, which "
				    "follows, has %llu durable",
				    node + 1, (unsigned long long)m->marks->last, s,
				    (unsigned long long)m->peer[s].proven_durable);
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	if (f->type != FACT_DEMOTED || !f->clean)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const int32_t host = w->site[s].open_node;

		if ((f->level_sites >> s & 1) == 0 || host < 0 || w->site[s].tainted ||
		    sim_view(w, (uint32_t)host)->state < ENGINE_IDLE ||
		    sim_view(w, (uint32_t)host)->marks->durable >= f->marks.logged)
			continue;
		sim_violate(
			w, "M5",
			"n%u is demoted at sequence %llu, and names copy %u, which "
			"has %llu durable",
			node + 1, (unsigned long long)f->marks.logged, s,
			(unsigned long long)sim_view(w, (uint32_t)host)->marks->durable);
	}
}

/* ---- bypass (M6) ----------------------------------------------------------------------- */

static void bypasses(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct cluster_core *c = w->node[node].core;
	const struct view *v;
	uint32_t began, current;

	if (w->plan.alone || m->state != ENGINE_SERVING) {
		w->node[node].bypass_sites = m->bypass_sites;
		return;
	}
	began = m->bypass_sites & ~w->node[node].bypass_sites;
	w->node[node].bypass_sites = m->bypass_sites;
	v = cluster_view_in_effect(c);
	current = cluster_view_current_sites(v) | c->role.undecided_sites;
	if ((began & current) != 0)
		sim_violate(w, "M6",
			    "at n%u the map takes over for copies %x, and %x are current "
			    "by the view in effect or an undecided one",
			    node + 1, began, current);
}

static void mirror(struct sim *w, uint32_t node)
{
	demotes(w, node);
	bypasses(w, node);
}

static void cluster(struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;
	const struct view *v = w->plan.alone ? NULL : cluster_view_in_effect(c);

	if (v != NULL && c->role.serve == SERVE_SERVING &&
	    (c->role.bypass & (~v->bypass | cluster_copies_waited(c))) != 0)
		sim_violate(w, "M6",
			    "n%u tells its engine that %x are in bypass; by the view in "
			    "effect %x are, and it waits for %x",
			    node + 1, c->role.bypass, v->bypass,
			    cluster_copies_waited(c));
}

const struct sim_checker sim_check_m = {
	.name = "M",
	.fact = fact,
	.mirror = mirror,
	.io = io,
	.sent = sent,
	.answered = answered,
	.cluster = cluster,
};
