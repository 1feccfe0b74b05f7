/* generation.c - the view that opens a generation (D4, D5).
 *
 *   field          becomes
 *   generation     a new one: parent the chain's newest, cut where our log ends
 *                    after the roll-forward, and why
 *   production     this node, this opening of the devices
 *   current set    the current copies that were reached and have not restarted
 *   kept away      not our site any more, by disconnect or bypass
 *   required       not our site, nor that of the production before (M8, block.c)
 *   clean end      none
 *   lease holders  those that a production before has not waited out, and we
 *   by force       (D2) a new lineage of the voters that are here
 */
#include "cluster/block.h"
#include "cluster/generation.h"

/* The log of `s` follows the view's generation: a copy that no view counts, or production's
 * own site, where nothing serves. */
static bool follows(const struct cluster_core *c, const struct view *best, uint32_t s)
{
	return uuid_equal(&c->node[best->site[s].host.node].said.log_newest.id,
			  &cluster_view_generation(best)->id);
}

/* In sync a copy that is counted has all that was answered. So another one is asked by force
 * only, or where the mode lets answers wait for less (M4): it costs time if its line is down. */
bool cluster_generation_source(const struct cluster_core *c, const struct view *best,
			       uint32_t s, bool force)
{
	const struct view_host *h = &best->site[s].host;

	if (s == c->role.site || !cluster_join_is_host(c, s, h->node, h->incarnation))
		return false;
	if (best->site[s].current)
		return true;
	return (force || best->promise.mode != CONFIG_SYNC) && follows(c, best, s);
}

/* D5, M4: other sites may hold records that our log lacks. Where it ends the I/O side knows
 * when it has been judged: our marks may count what a refresh brought and the cut takes. */
void cluster_generation_sources(struct cluster_core *c, const struct view *best,
				struct order *o)
{
	o->clean_end = best->clean ? best->clean_end : 0;
	for (uint32_t s = 0; s < best->site_count && s < c->config->site_count; s++) {
		const struct view_host *h = &best->site[s].host;
		struct order_peer *peer = &o->source[o->source_count];

		c->promote.sources[s] = 0;
		if (!cluster_generation_source(c, best, s, o->force))
			continue;
		c->promote.sources[s] = h->incarnation;
		if (!best->site[s].current)
			o->spare |= 1u << s;
		/* in async no promotion needs one that the view counts */
		if (!best->site[s].current || best->promise.mode == CONFIG_ASYNC)
			o->sites |= 1u << s;
		peer->site = s;
		peer->port = c->config->node[h->node].port;
		peer->incarnation = h->incarnation;
		memcpy(peer->host, c->config->node[h->node].name, sizeof peer->host);
		memcpy(peer->address, c->config->node[h->node].address,
		       sizeof peer->address);
		o->source_count++;
	}
}

/* D8: the reason for which this generation begins. It says which records the cut may drop.
 * A log that reaches a clean end drops none. Without a majority the others may have gone on.
 * Then their writes are the loss that the operator accepted, even if this site knows its own
 * data to be whole. */
static uint32_t generation_reason_of(const struct cluster_core *c,
				     const struct view *best, uint64_t cut)
{
	if (c->promote.reason == PROMOTE_FORCED || c->promote.reason == PROMOTE_NOT ||
	    c->round.kind == ROUND_FORCE || c->promote.parted)
		return GENERATION_FORCED;
	if (best->clean && cut >= best->clean_end)
		return GENERATION_CLEAN;
	if (c->promote.reason != PROMOTE_CURRENT)
		return GENERATION_RESTARTED;
	return best->promise.mode == CONFIG_SYNC      ? GENERATION_CURRENT :
	       best->promise.mode == CONFIG_NEAR_SYNC ? GENERATION_NEAR_SYNC :
							GENERATION_ASYNC;
}

/* Where the view's chain goes on after `id`; HISTORY_COUNT_MAX + 1: it does not know it. */
static uint32_t entries_through(const struct history *h, const struct uuid *id)
{
	if (uuid_is_zero(id) || h->count == 0)
		return HISTORY_COUNT_MAX + 1;
	for (uint32_t i = 0; i < h->count; i++)
		if (uuid_equal(&h->entry[i].id, id))
			return i + 1;
	return uuid_equal(&h->entry[0].parent, id) ? 0 : HISTORY_COUNT_MAX + 1;
}

bool cluster_generation_keeps(const struct view *v, const struct uuid *newest,
			      uint64_t last, uint64_t *keep)
{
	const struct history *h = &v->history;
	uint32_t i = entries_through(h, newest);

	if (i > h->count)
		return false;
	for (*keep = last; i < h->count; i++) {
		if (h->entry[i].cut >= *keep)
			continue;
		if (h->entry[i].reason == GENERATION_FORCED)
			return false;
		*keep = h->entry[i].cut;
	}
	return true;
}

bool cluster_generation_reaches_end(const struct view *v, const struct announce *host)
{
	uint64_t keep;

	return v->clean && host->data != DATA_INCONSISTENT &&
	       host->marks.durable >= v->clean_end &&
	       cluster_generation_keeps(v, &host->log_newest.id, host->marks.logged,
					&keep) &&
	       keep >= v->clean_end;
}

static void add_holder(struct view *v, int32_t node, uint64_t incarnation, uint64_t boot)
{
	for (uint32_t i = 0; i < v->holder_count; i++)
		if (v->holder[i].node == node && v->holder[i].incarnation == incarnation)
			return;
	if (v->holder_count == VIEW_HOLDER_COUNT_MAX) {
		v->holder_many = true;
		return;
	}
	v->holder[v->holder_count].node = node;
	v->holder[v->holder_count].incarnation = incarnation;
	v->holder[v->holder_count++].boot = boot;
}

/* The voters that are here go on in a lineage of their own. */
void cluster_generation_force(struct cluster_core *c, struct view *v)
{
	const struct view *best = &c->round.best;

	v->fork.lineage = best->lineage;
	v->fork.ballot = best->ballot;
	v->fork.generation = cluster_view_generation(best)->id;
	cluster_uuid_make(c, &v->lineage);
	v->voters.count = 0;
	for (uint32_t i = 0; i < best->voters.count; i++)
		if (c->round.epoch[best->voters.voter[i].node] ==
		    best->voters.voter[i].epoch)
			v->voters.voter[v->voters.count++] = best->voters.voter[i];
	if (cluster_view_voters_epoch(&v->voters, c->self.node) == 0)
		cluster_view_voters_set(&v->voters, c->self.node, c->voter.epoch);
}

/* D5: the view of the new generation, with the copies that were reached in it. */
void cluster_generation_fill(struct cluster_core *c, const struct fact *f)
{
	const struct view *best = &c->round.best;
	const struct generation *parent = cluster_view_generation(best);
	struct view *v = &c->round.next;
	struct generation g = {
		.ordinal = parent->ordinal + 1,
		.id = c->role.generation,
		.parent = parent->id,
		.cut = f->sequence,
		.reason = generation_reason_of(c, best, f->sequence),
		.site = c->role.site,
	};

	*v = *best;
	v->old.count = 0;
	cluster_plan_members(c, v);
	history_append(&v->history, &g);
	v->production_site = (int32_t)c->role.site;
	v->production_node = (int32_t)c->self.node;
	v->production_incarnation = c->role.incarnation;
	v->clean = false;
	v->clean_end = 0;
	/* What serves is no copy that is kept away, nor is it one once production is back. */
	v->disconnected &= ~(1u << c->role.site);
	v->bypass &= ~(1u << c->role.site);
	add_holder(v, (int32_t)c->self.node, c->role.incarnation, c->self.boot);
	for (uint32_t s = 0; s < v->site_count; s++) {
		struct view_site *site = &v->site[s];

		if (!site->current || (f->reached_sites >> s & 1) == 0 ||
		    site->current_incarnation != c->promote.sources[s]) {
			site->current = false;
			site->current_incarnation = 0;
			site->current_from = 0;
		}
	}
	cluster_block_takeover(c, best, v);
	if (c->round.kind == ROUND_FORCE)
		cluster_generation_force(c, v);
}
