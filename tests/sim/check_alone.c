/* check_alone.c - the guarantees without a cluster, where two sites and an operator stand
 * for the majority:
 *   G1  an acknowledged write is logged at the copy that production calls current
 *   G3  two sites never serve at once, unless a force has parted them and one could not
 *       hear the other: no force overrides a site that answers that it serves; a site
 *       that has promised to follow the other has handed over, until a newer generation
 *       is here
 *   G4  a site that is told to serve has all that was acknowledged or shown, except
 *       writes that a force gave up
 *   G6  a site without an image is never called UpToDate, even by force
 *   D3  no copy is waited for that misses data which only a map names
 *   M1  in near-sync no answer leaves the copy that is waited for more behind than the bound
 *       allows, a flush (M2) neither; and nothing that it lacks is at home
 *       in async no write waits for the copy, and no flush
 *   M4  a force there loses no more than that, and nothing in sync; in async one that has not
 *       heard the other site says that the loss has no bound
 * D8 is check_d.c's and G7 check_g7.c's.
 */
#include <string.h>

#include "cluster/alone.h"
#include "mirror/engine/test_view.h"
#include "mirror/line/history.h"
#include "tests/sim/check_m.h"
#include "tests/sim/sim.h"

/* ---- heard -------------------------------------------------------------------------- */

/* The other site has answered the last question of this promotion. */
static void received(struct sim *w, uint32_t node, const struct mirror_received *r)
{
	const struct mirror_view *m = sim_view(w, node);

	if (w->plan.alone && r->link == m->probe_link)
		w->node[node].heard = true;
}

/* ---- records that a force gave up ----------------------------------------------------- */

/* Between the two, from where they part, lies a generation that was forced. */
static bool is_given_up(const struct sim *w, int32_t h, int32_t k)
{
	static bool of_k[SIM_GENERATIONS_MAX];

	memset(of_k, 0, sizeof of_k);
	for (int32_t g = k; g >= 0; g = w->generation[g].parent)
		of_k[g] = true;
	for (; h >= 0 && !of_k[h]; h = w->generation[h].parent)
		if (w->generation[h].forced)
			return true;
	for (; k >= 0 && k != h; k = w->generation[k].parent)
		if (w->generation[k].forced)
			return true;
	return false;
}

/* ---- G3 ------------------------------------------------------------------------------ */

static bool serves(const struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);

	return w->node[node].running && m->state >= ENGINE_STARTING &&
	       m->state <= ENGINE_DEMOTING;
}

static void check_one(struct sim *w, uint32_t node)
{
	const struct sim_node *me = &w->node[node], *other = &w->node[1 - node];

	if (serves(w, 1 - node) && !((me->lone || other->lone) &&
				     is_given_up(w, (int32_t)other->served_generation - 1,
						 (int32_t)me->served_generation - 1)))
		sim_violate(w, "G3",
			    "n%u is told to serve, n%u serves, and no force without "
			    "hearing the other has parted them",
			    node + 1, 2 - node);
}

/* Once it has promised the other site to ask it, it does not go on without asking. */
static void watch_hand_over(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[m->site];
	const struct generation *newest = history_newest(&m->sb->history);

	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING || newest == NULL ||
	    m->sb_wanted != m->sb_written || s->tainted)
		return;
	if (!m->sb->handed_over && uuid_equal(&s->handed_over, &newest->id))
		sim_violate(w, "G3",
			    "site %u forgets that it has handed over after generation "
			    "%llu",
			    m->site, (unsigned long long)newest->ordinal);
	if (!m->sb->handed_over && !uuid_is_zero(&m->sb->refusal.generation) &&
	    (m->sb->refusal.ballot & 0xff) != m->site &&
	    mirror_history_find(&m->sb->history, &m->sb->refusal.generation) == NULL)
		sim_violate(
			w, "G3",
			"site %u has promised to follow the other, and has not handed "
			"over",
			m->site);
	/* A cut takes the newer history, durably, before the mark goes: it is the older
	 * generation's still. */
	if (!m->sb->handed_over)
		s->handed_over = (struct uuid){ 0 };
	else if (uuid_is_zero(&s->handed_over))
		s->handed_over = newest->id;
}

/* ---- G4 ------------------------------------------------------------------------------ */

/* Power took it from each site that had it; and the other one, if it had, was asked. */
static bool lost_power(const struct sim *w, const struct sim_generation *g, uint32_t node,
		       uint64_t limit)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (g->told[s] > limit &&
		    (w->site[s].power_cuts == g->told_power_cuts[s] ||
		     (s != w->node[node].site && w->node[node].lone)))
			return false;
	return true;
}

static void check_generation(struct sim *w, uint32_t node, uint32_t of, uint64_t limit)
{
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;
	struct sim_generation *g = &w->generation[of];
	const uint64_t most = g->acknowledged > g->seen ? g->acknowledged : g->seen;

	if (most <= limit || is_given_up(w, (int32_t)of, (int32_t)mine))
		return;
	if (g->flushed > limit || !lost_power(w, g, node, limit))
		sim_violate(
			w, "G4",
			"n%u serves with %llu of generation %llu: %llu was "
			"acknowledged, %llu shown, %llu flushed, and no force named it",
			node + 1, (unsigned long long)limit,
			(unsigned long long)g->ordinal,
			(unsigned long long)g->acknowledged, (unsigned long long)g->seen,
			(unsigned long long)g->flushed);
	g->acknowledged = g->acknowledged < limit ? g->acknowledged : limit;
	g->seen = g->seen < limit ? g->seen : limit;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		g->told[s] = g->told[s] < limit ? g->told[s] : limit;
}

/* ---- M4 ------------------------------------------------------------------------------ */

/* The last sequence of one history that the other has too. */
static uint64_t common(const struct sim *w, const uint64_t *a, const uint64_t *b)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < w->generation_count; i++) {
		const uint64_t both = a[i] < b[i] ? a[i] : b[i];

		last = both > last ? both : last;
	}
	return last;
}

/* A force at a copy that the newest answer had counted. */
static void check_force(struct sim *w, uint32_t node, uint32_t of, const uint64_t *limit)
{
	static uint64_t all[SIM_GENERATIONS_MAX];
	const struct sim_generation *g = &w->generation[of];
	const struct sim_site *site = &w->site[w->node[node].site];
	struct sim_lacked l;

	if (!g->counted || g->site == w->node[node].site || site->consent ||
	    g->counted_power_cuts != site->power_cuts)
		return;
	sim_limits(w, of, all);
	l = sim_lacked(w, all, common(w, all, limit), g->acknowledged);
	if (sim_lacks_more(&l, &w->plan.promise,
			   l.generation == of ? g->decided_ns : UINT64_MAX))
		sim_violate(w, "M4",
			    "n%u, forced, lacks %llu writes of those up to %llu that "
			    "generation %llu acknowledged while they waited for it",
			    node + 1, (unsigned long long)l.count,
			    (unsigned long long)g->acknowledged,
			    (unsigned long long)g->ordinal);
}

/* The loss is named, as far as it is known. */
static void check_said(struct sim *w, uint32_t node)
{
	const char *text = w->node[node].core->alone->loss_text;

	if (text[0] == 0 || (w->plan.promise.mode == CONFIG_ASYNC && w->node[node].lone &&
			     strstr(text, "without a bound") == NULL))
		sim_violate(w, "M4",
			    "n%u is forced, and the answer is silent on the loss%s",
			    node + 1, text);
}

/* ---- D3 ------------------------------------------------------------------------------ */

static void check_level(struct sim *w, uint32_t node, uint32_t site)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct mirror_view *copy = sim_view(w, 1 - node);

	if (!w->node[1 - node].open || copy->state < ENGINE_IDLE || copy->failed)
		return;
	/* A map here may still name extents that the copy, which has every record that it
	 * stands for, got long ago. */
	if (copy->sb->blank || copy->sb->hold.active || m->sb->sites[site].map_due ||
	    mirror_map_count(copy->map, site) > 0 ||
	    (copy->marks->logged < m->marks->last &&
	     (m->sb->sites[site].map_state == MIRROR_MAP_ALL_DIRTY ||
	      (mirror_map_count(m->map, site) > 0 &&
	       copy->marks->durable < m->sb->sites[site].map_position) ||
	      copy->marks->logged + 1 < mirror_ring_oldest_sequence(m->ring))))
		sim_violate(w, "D3",
			    "n%u begins with writes that wait for site %u, and that one "
			    "needs a refresh",
			    node + 1, site);
}

/* ---- a production begins --------------------------------------------------------------- */

static void begins(struct sim *w, uint32_t node, const struct order *o)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;
	struct sim_generation *g = &w->generation[mine];

	g->forced = g->reason == GENERATION_FORCED;
	w->node[node].lone = !w->node[node].heard;
	if (g->forced)
		check_said(w, node);
	w->forced |= g->forced;
	if (g->forced)
		sim_trace(w, "n%u begins generation %llu by force%s", node + 1,
			  (unsigned long long)g->ordinal,
			  w->node[node].lone ? ", without hearing the other" : "");
	check_one(w, node);
	sim_limits(w, mine, limit);
	for (uint32_t i = 0; g->forced && i < mine; i++)
		check_force(w, node, i, limit);
	for (uint32_t i = 0; i < w->generation_count; i++)
		check_generation(w, node, i, limit[i]);
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if ((o->sites >> s & 1) != 0)
			check_level(w, node, s);
}

static void order(struct sim *w, uint32_t node, const struct order *o)
{
	if (!w->plan.alone)
		return;
	if (o->type == ORDER_PROBE && o->site != w->node[node].site)
		w->node[node].heard = false;
	else if (o->type == ORDER_SERVE)
		begins(w, node, o);
}

/* ---- G1, M1, M2 ----------------------------------------------------------------------- */

/* The copy that production waits for, if it is the one that was linked last, in this opening
 * of its devices. */
static const struct mirror_view *counted_copy(const struct sim *w, uint32_t node)
{
	const uint32_t site = 1 - node;
	const struct mirror_view *copy = sim_view(w, site);

	if ((w->node[node].core->alone->waited >> site & 1) == 0 || !w->node[site].open ||
	    copy->state != ENGINE_IDLE || copy->failed || copy->cutting ||
	    copy->incarnation != w->node[node].linked)
		return NULL;
	return copy;
}

static void watch_link(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const uint32_t link = m->peer[1 - node].link;

	if (m->state < ENGINE_STARTING || m->state > ENGINE_DEMOTING)
		w->node[node].linked = 0;
	else if (link != MIRROR_LINK_NONE && m->link[link].streams_out)
		w->node[node].linked = m->link[link].hello->incarnation;
}

static void check_copy(struct sim *w, uint32_t node, const struct sim_request *r,
		       const struct mirror_view *copy, uint64_t sequence)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;
	const bool flush = r->request.type == MIRROR_REQUEST_FLUSH || r->request.fua;
	struct sim_lacked l;

	sim_limits(w, mine, limit);
	l = sim_lacked(w, limit, copy->marks->logged, sequence);
	if (sim_lacks_more(&l, &w->plan.promise,
			   l.generation == mine ? r->decided_ns : UINT64_MAX))
		sim_violate(w, flush ? "M2" : "M1",
			    "n%u answers with sequence %llu, and the copy that it waits "
			    "for lacks %llu writes, the oldest for %llu ms",
			    node + 1, (unsigned long long)sequence,
			    (unsigned long long)l.count,
			    (unsigned long long)(r->decided_ns - l.stamped_ns) / 1000000);
}

static void check_copy_sync(struct sim *w, uint32_t node, const struct sim_request *r,
			    const struct mirror_view *copy, uint64_t sequence)
{
	const bool flush = r->request.type == MIRROR_REQUEST_FLUSH || r->request.fua;

	if (copy->marks->logged < sequence || (flush && copy->marks->durable < sequence))
		sim_violate(w, "G1",
			    "n%u acknowledges sequence %llu, and its current copy has "
			    "%llu logged, %llu durable",
			    node + 1, (unsigned long long)sequence,
			    (unsigned long long)copy->marks->logged,
			    (unsigned long long)copy->marks->durable);
}

static void note_answer(struct sim *w, uint32_t node, const struct sim_request *r)
{
	struct sim_generation *g = &w->generation[r->generation];

	if (r->request.type == MIRROR_REQUEST_FLUSH ||
	    r->request.sequence < g->acknowledged)
		return;
	g->decided_ns = r->decided_ns;
	g->counted = (w->node[node].core->alone->waited >> (1 - node) & 1) != 0;
	g->counted_power_cuts = w->site[1 - node].power_cuts;
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct mirror_request *q = &r->request;
	const uint64_t sequence = q->type == MIRROR_REQUEST_FLUSH ? r->floor_sequence :
								    q->sequence;
	const struct mirror_view *copy;

	if (!w->plan.alone || q->result != 0 || q->type == MIRROR_REQUEST_READ ||
	    w->node[node].served_generation == 0)
		return;
	sim_note_all(w, node);
	note_answer(w, node, r);
	copy = counted_copy(w, node);
	if (copy == NULL)
		return;
	if (w->plan.promise.mode == CONFIG_SYNC)
		check_copy_sync(w, node, r, copy, sequence);
	else if (copy->marks->logged < sequence)
		check_copy(w, node, r, copy, sequence);
}

/* What the copy lacks is not on production's disks. */
static void io(struct sim *w, uint32_t node, const struct mirror_io *op)
{
	const struct mirror_view *copy = w->plan.alone && w->node[node].running ?
						 counted_copy(w, node) :
						 NULL;
	const struct mirror_record *r;

	if (copy == NULL || sim_view(w, node)->state != ENGINE_SERVING)
		return;
	for (uint32_t i = 0; (r = mirror_view_homing(op, i)) != NULL; i++)
		if (copy->marks->logged < r->header.sequence)
			sim_violate(w, "M1",
				    "n%u brings sequence %llu home, and the copy that "
				    "it waits for has logged up to %llu",
				    node + 1, (unsigned long long)r->header.sequence,
				    (unsigned long long)copy->marks->logged);
}

/* In async a client waits for this log alone. */
static void check_async(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct mirror_view_peer *p = &m->peer[1 - node];

	if (w->plan.promise.mode != CONFIG_ASYNC || m->state != ENGINE_SERVING)
		return;
	if (m->ack->promise.mode != CONFIG_ASYNC || p->waited || p->answers_wait ||
	    mirror_ack_acknowledged(m->ack) < m->ack->own.logged ||
	    mirror_ack_flushed(m->ack) < m->ack->own.durable)
		sim_violate(
			w, "M1",
			"n%u is async, has logged up to %llu, durable %llu, and answers "
			"up to %llu, flushes up to %llu",
			node + 1, (unsigned long long)m->ack->own.logged,
			(unsigned long long)m->ack->own.durable,
			(unsigned long long)mirror_ack_acknowledged(m->ack),
			(unsigned long long)mirror_ack_flushed(m->ack));
}

/* ---- G3 and G6 -------------------------------------------------------------------------- */

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);

	if (w->plan.alone && w->node[node].open) {
		watch_hand_over(w, node);
		watch_link(w, node);
		check_async(w, node);
	}
	if (w->node[node].open && m->state > ENGINE_OPENING && m->sb->blank &&
	    m->data == DATA_UP_TO_DATE)
		sim_violate(w, "G6", "site %u has no image, and calls itself UpToDate",
			    m->site);
}

const struct sim_checker sim_check_alone = {
	.name = "alone",
	.received = received,
	.order = order,
	.io = io,
	.answered = answered,
	.mirror = mirror,
};
