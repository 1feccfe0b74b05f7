/* view.c - see view.h. */
#include "cluster/view.h"

#include <assert.h>
#include <stdio.h>

#define VIEW_VERSION 2u
/* Features: after the sites put out follow ... */
#define VIEW_BYPASS 1u   /* ... those in bypass ... */
#define VIEW_REQUIRED 2u /* ... and those required (M8) */
#define VIEW_BOUND 4u    /* the bound of async follows at the end */
#define VIEW_CONFIRM 8u  /* ... and whether sync answers when at home (M9) */
#define VIEW_FEATURES (VIEW_BYPASS | VIEW_REQUIRED | VIEW_BOUND | VIEW_CONFIRM)

/* A node or site that the configuration no longer lists. */
static const char no_name[CONFIG_NAME_MAX] = "";

uint32_t cluster_view_current_sites(const struct view *v)
{
	uint32_t sites = 0;

	for (uint32_t s = 0; s < v->site_count; s++)
		if (v->site[s].current)
			sites |= 1u << s;
	return sites;
}

uint64_t cluster_view_voters_epoch(const struct view_voters *voters, uint32_t node)
{
	for (uint32_t i = 0; i < voters->count; i++)
		if (voters->voter[i].node == node)
			return voters->voter[i].epoch;
	return 0;
}

uint32_t cluster_view_voters_answered(const struct view_voters *voters,
				      const uint64_t epoch[CONFIG_NODE_COUNT_MAX])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < voters->count; i++)
		if (epoch[voters->voter[i].node] == voters->voter[i].epoch)
			count++;
	return count;
}

void cluster_view_voters_set(struct view_voters *voters, uint32_t node, uint64_t epoch)
{
	uint32_t i = 0;

	assert(epoch != 0 && node < CONFIG_NODE_COUNT_MAX);
	while (i < voters->count && voters->voter[i].node != node)
		i++;
	if (i == voters->count)
		voters->count++;
	assert(voters->count <= CONFIG_NODE_COUNT_MAX);
	voters->voter[i].node = (uint8_t)node;
	voters->voter[i].epoch = epoch;
}

void cluster_view_voters_drop(struct view_voters *voters, uint32_t node)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < voters->count; i++)
		if (voters->voter[i].node != node)
			voters->voter[kept++] = voters->voter[i];
	voters->count = kept;
}

uint64_t cluster_view_voters_hash(const struct view_voters *voters)
{
	uint64_t sum = voters->count;

	for (uint32_t i = 0; i < voters->count; i++) {
		/* the finalizer of splitmix64 */
		uint64_t x = voters->voter[i].epoch +
			     (voters->voter[i].node + 1) * 0x9e3779b97f4a7c15u;

		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		sum += x ^ x >> 31;
	}
	return sum;
}

int32_t cluster_view_history_find(const struct history *h, const struct uuid *id)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (uuid_equal(&h->entry[i].id, id))
			return (int32_t)i;
	return -1;
}

/* ---- soundness ------------------------------------------------------------ */

static bool voters_are_sound(const struct view_voters *voters)
{
	uint32_t seen = 0;

	if (voters->count > CONFIG_NODE_COUNT_MAX)
		return false;
	for (uint32_t i = 0; i < voters->count; i++) {
		const uint8_t node = voters->voter[i].node;

		if (node >= CONFIG_NODE_COUNT_MAX || voters->voter[i].epoch == 0 ||
		    (seen >> node & 1) != 0)
			return false;
		seen |= 1u << node;
	}
	return true;
}

static bool history_is_sound(const struct history *h)
{
	if (h->count == 0 || h->count > HISTORY_COUNT_MAX)
		return false;
	for (uint32_t i = 0; i < h->count; i++) {
		const struct generation *g = &h->entry[i];

		if (uuid_is_zero(&g->id) || g->site >= CONFIG_SITE_COUNT_MAX ||
		    g->reason < GENERATION_CREATED || g->reason > GENERATION_ASYNC)
			return false;
		if (i > 0 && (!uuid_equal(&g->parent, &g[-1].id) ||
			      g->ordinal != g[-1].ordinal + 1))
			return false;
	}
	return true;
}

static bool is_node_or_none(int32_t node)
{
	return node >= VIEW_NONE && node < CONFIG_NODE_COUNT_MAX;
}

bool cluster_view_is_sound(const struct view *v)
{
	if (v->ballot == 0 ||
	    cluster_view_ballot_node(v->ballot) >= CONFIG_NODE_COUNT_MAX ||
	    v->voters.count == 0 || !voters_are_sound(&v->voters) ||
	    !voters_are_sound(&v->old) || !history_is_sound(&v->history))
		return false;
	if (v->site_count == 0 || v->site_count > CONFIG_SITE_COUNT_MAX ||
	    v->production_site < 0 || v->production_site >= (int32_t)v->site_count ||
	    !is_node_or_none(v->production_node) || !promise_is_sound(&v->promise) ||
	    !promise_is_sound(&v->wanted) || v->holder_count > VIEW_HOLDER_COUNT_MAX ||
	    v->lease_ms == 0)
		return false;
	for (uint32_t s = 0; s < v->site_count; s++)
		if (!is_node_or_none(v->site[s].host.node) ||
		    (v->site[s].current && !promise_counts(&v->promise)))
			return false;
	for (uint32_t i = 0; i < v->holder_count; i++)
		if (v->holder[i].node < 0 || v->holder[i].node >= CONFIG_NODE_COUNT_MAX)
			return false;
	return true;
}

bool cluster_view_forget(struct view *v, uint32_t node)
{
	bool knew = v->member[node].boot != 0;

	memset(&v->member[node], 0, sizeof v->member[node]);
	for (uint32_t s = 0; s < v->site_count; s++) {
		knew |= (v->site[s].reach >> node & 1) != 0;
		v->site[s].reach &= ~(1u << node);
	}
	return knew;
}

/* ---- encoding ------------------------------------------------------------- */

static void voters_codec(struct codec *c, struct view_voters *voters)
{
	codec_u32(c, &voters->count);
	if (voters->count > CONFIG_NODE_COUNT_MAX) {
		voters->count = 0;
		c->bytes.bad = true;
	}
	for (uint32_t i = 0; i < voters->count; i++) {
		codec_u8(c, &voters->voter[i].node);
		codec_u64(c, &voters->voter[i].epoch);
	}
}

static void history_codec(struct codec *c, struct history *h)
{
	codec_u32(c, &h->count);
	codec_u32(c, &h->dropped_count);
	if (h->count > HISTORY_COUNT_MAX) {
		h->count = 0;
		c->bytes.bad = true;
	}
	for (uint32_t i = 0; i < h->count; i++) {
		struct generation *g = &h->entry[i];

		codec_u64(c, &g->ordinal);
		codec_uuid(c, &g->id);
		codec_uuid(c, &g->parent);
		codec_u64(c, &g->cut);
		codec_u32(c, &g->reason);
		codec_u32(c, &g->site);
	}
}

/* A name that differs makes the view another configuration's. One is missing where the view
 * was written while the file did not list this place. */
static bool name_codec(struct codec *c, const char *configured, char *text,
		       size_t text_size)
{
	char name[CONFIG_NAME_MAX] = "";

	if (c->writing)
		memcpy(name, configured, sizeof name);
	codec_text(c, name, sizeof name);
	if (configured[0] == 0 || c->bytes.bad || name[0] == 0 ||
	    strcmp(name, configured) == 0)
		return true;
	snprintf(text, text_size,
		 "the view has %s where the configuration lists %s: sites, hosts and "
		 "witnesses keep their places in the file",
		 name, configured);
	return false;
}

static bool sites_codec(struct codec *c, const struct config *config, struct view *v,
			char *text, size_t text_size)
{
	bool same = true;

	codec_u32(c, &v->site_count);
	if (v->site_count > CONFIG_SITE_COUNT_MAX) {
		v->site_count = 0;
		c->bytes.bad = true;
	}
	for (uint32_t i = 0; i < v->site_count; i++) {
		struct view_site *s = &v->site[i];

		same &= name_codec(
			c, i < config->site_count ? config->site[i].name : no_name, text,
			text_size);
		codec_i32(c, &s->host.node);
		codec_u64(c, &s->host.incarnation);
		codec_u64(c, &s->host.boot);
		codec_u32(c, &s->reach);
		codec_bool(c, &s->current);
		codec_u64(c, &s->current_incarnation);
		codec_u64(c, &s->current_from);
	}
	return same;
}

/* Last seen incarnations of the nodes that the configuration had, or that may still have
 * disks open (D6). */
static bool members_codec(struct codec *c, const struct config *config, struct view *v,
			  char *text, size_t text_size)
{
	uint32_t count = CONFIG_NODE_COUNT_MAX;
	bool same = true;

	while (count > config->node_count && v->member[count - 1].boot == 0)
		count--;
	codec_u32(c, &count);
	if (count > CONFIG_NODE_COUNT_MAX) {
		count = 0;
		c->bytes.bad = true;
	}
	for (uint32_t i = 0; i < count; i++) {
		same &= name_codec(
			c, i < config->node_count ? config->node[i].name : no_name, text,
			text_size);
		codec_u64(c, &v->member[i].incarnation);
		codec_u64(c, &v->member[i].boot);
	}
	return same;
}

static void holders_codec(struct codec *c, struct view *v)
{
	codec_bool(c, &v->holder_many);
	codec_u32(c, &v->holder_count);
	if (v->holder_count > VIEW_HOLDER_COUNT_MAX) {
		v->holder_count = 0;
		c->bytes.bad = true;
	}
	for (uint32_t i = 0; i < v->holder_count; i++) {
		codec_i32(c, &v->holder[i].node);
		codec_u64(c, &v->holder[i].incarnation);
		codec_u64(c, &v->holder[i].boot);
	}
}

static void promise_codec(struct codec *c, struct promise *p)
{
	codec_u32(c, &p->mode);
	codec_u32(c, &p->records);
	codec_u32(c, &p->ms);
}

/* Its bytes; none in a view of before. */
static void bound_codec(struct codec *c, uint32_t features, struct promise *p)
{
	if ((features & VIEW_BOUND) != 0)
		codec_u64(c, &p->bytes);
	else
		p->bytes = p->mode == CONFIG_SYNC ? 0 : PROMISE_UNBOUNDED_BYTES;
}

static void confirm_codec(struct codec *c, uint32_t features, struct promise *p)
{
	if ((features & VIEW_CONFIRM) != 0)
		codec_bool(c, &p->home);
}

bool cluster_view_codec(struct codec *c, const struct config *config, struct view *v,
			char *text, size_t text_size)
{
	const size_t begin = c->bytes.position;
	uint16_t version = VIEW_VERSION;
	uint32_t features = VIEW_FEATURES;
	bool same;

	if (!c->writing)
		memset(v, 0, sizeof *v);
	codec_u16(c, &version);
	codec_u32(c, &features);
	if (version != VIEW_VERSION || (features & ~VIEW_FEATURES) != 0)
		c->bytes.bad = true;
	codec_u64(c, &v->ballot);
	codec_u64(c, &v->proposer);
	codec_uuid(c, &v->mirror);
	codec_uuid(c, &v->lineage);
	codec_uuid(c, &v->fork.lineage);
	codec_u64(c, &v->fork.ballot);
	codec_uuid(c, &v->fork.generation);
	codec_u64(c, &v->config_hash);
	voters_codec(c, &v->voters);
	voters_codec(c, &v->old);
	same = members_codec(c, config, v, text, text_size);
	same &= sites_codec(c, config, v, text, text_size);
	codec_i32(c, &v->production_site);
	codec_i32(c, &v->production_node);
	codec_u64(c, &v->production_incarnation);
	history_codec(c, &v->history);
	promise_codec(c, &v->promise);
	promise_codec(c, &v->wanted);
	codec_u32(c, &v->sync_copies);
	codec_u32(c, &v->disconnected);
	if ((features & VIEW_BYPASS) != 0)
		codec_u32(c, &v->bypass);
	if ((features & VIEW_REQUIRED) != 0)
		codec_u32(c, &v->required);
	codec_bool(c, &v->clean);
	codec_u64(c, &v->clean_end);
	codec_u32(c, &v->lease_ms);
	codec_u32(c, &v->drift_ms);
	holders_codec(c, v);
	bound_codec(c, features, &v->promise);
	bound_codec(c, features, &v->wanted);
	confirm_codec(c, features, &v->promise);
	confirm_codec(c, features, &v->wanted);
	if (c->writing)
		assert(!c->bytes.bad && c->bytes.position - begin <= VIEW_BYTES_MAX);
	else if (!c->bytes.bad && !cluster_view_is_sound(v))
		c->bytes.bad = true;
	return same;
}
