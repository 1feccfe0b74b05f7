/* check_bare.c - G2 of the bare disks: with `order: strict` a copy's disks alone, even
 * with the log lost, hold its history up to some number of whole write groups and any
 * part of the next, through any crash of processes; with `order: flush` through a power
 * cut too.
 *
 * A sector's content says how many whole groups there may be: from the group before its
 * write's (a part of the next one) to the group before its next write's. The disks obey
 * the order when one number suits all sectors of all of them. Groups are counted by a key
 * that grows along the history: the generation's ordinal, then the group.
 */
#include <string.h>

#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

struct range {
	uint64_t from, to;
};

/* ---- the image ------------------------------------------------------------------- */

static uint64_t key(const struct sim *w, const struct sim_touch *t)
{
	return w->generation[t->generation].ordinal << 40 | t->group;
}

/* How many whole groups a sector allows that has the content of touch `t` (NULL: of none). */
static struct range allowed(const struct sim *w, const struct sim_sector *s,
			    const struct sim_touch *t, const uint64_t *limit)
{
	const struct sim_touch *next = sim_next_touch(s, t, limit);

	return (struct range){
		.from = t != NULL ? key(w, t) - 1 : 0,
		.to = next != NULL ? key(w, next) - 1 : UINT64_MAX,
	};
}

/* Zeroes, and data that a client has written twice, may be there in several ways. */
static bool is_ambiguous(const struct sim_sector *s, uint64_t value)
{
	return value == 0 || sim_says_twice(s, value);
}

/* The least number from `at` on that one of the sector's writes allows; UINT64_MAX: none. */
static uint64_t one_allows(const struct sim *w, const struct sim_sector *s,
			   uint64_t value, uint64_t at, const uint64_t *limit)
{
	const struct sim_touch *t = NULL;
	uint64_t least = UINT64_MAX;

	do {
		const struct range r = allowed(w, s, t, limit);

		if ((t == NULL ? 0 : t->number) == value && at <= r.to && r.from < least)
			least = at > r.from ? at : r.from;
		t = sim_next_touch(s, t, limit);
	} while (t != NULL);
	return least;
}

static uint64_t value_at(const struct sim *w, uint32_t site, uint32_t disk,
			 uint64_t sector)
{
	uint64_t value;

	memcpy(&value, w->site[site].disk[disk].now + sector * SIM_SECTOR, sizeof value);
	return value;
}

static void narrow(struct sim *w, uint32_t site, uint32_t disk, uint64_t sector,
		   const uint64_t *limit, struct range *all)
{
	const uint64_t value = value_at(w, site, disk, sector);
	const struct sim_sector *s = sim_sector(w, disk, sector);
	const struct sim_touch *t = sim_shown_touch(s, value, limit);
	struct range r;

	if (is_ambiguous(s, value))
		return;
	if (t == NULL) {
		sim_violate(w, "G2",
			    "disk %u of site %u alone, sector %llu: write %llu is no "
			    "part of its history",
			    disk, site, (unsigned long long)sector,
			    (unsigned long long)value);
		return;
	}
	r = allowed(w, s, t, limit);
	if (r.from > all->to || r.to < all->from)
		sim_violate(w, "G2",
			    "the disks of site %u alone: disk %u sector %llu (sequence "
			    "%llu) allows groups %llx to %llx, the others %llx to %llx",
			    site, disk, (unsigned long long)sector,
			    (unsigned long long)t->sequence, (unsigned long long)r.from,
			    (unsigned long long)r.to, (unsigned long long)all->from,
			    (unsigned long long)all->to);
	all->from = r.from > all->from ? r.from : all->from;
	all->to = r.to < all->to ? r.to : all->to;
}

/* The least number that suits all of these sectors too: raised until none objects. */
static void check_ambiguous(struct sim *w, uint32_t site, const uint64_t *limit,
			    const struct range *all)
{
	const uint64_t sectors = w->plan.disk_bytes / SIM_SECTOR;
	uint64_t at = all->from, before, value;

	do {
		before = at;
		for (uint64_t i = 0; i < w->plan.disk_count * sectors; i++) {
			value = value_at(w, site, (uint32_t)(i / sectors), i % sectors);
			if (at <= all->to && is_ambiguous(&w->sector[i], value))
				at = one_allows(w, &w->sector[i], value, at, limit);
		}
	} while (at != before && at <= all->to);
	if (at > all->to)
		sim_violate(w, "G2",
			    "the disks of site %u alone: no number of whole groups suits "
			    "their zeroes",
			    site);
}

static void check_image(struct sim *w, uint32_t site)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	struct range all = { 0, UINT64_MAX - 1 };

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running && w->node[n].clients)
			sim_note_all(w, n);
	sim_limits(w, (uint32_t)w->site[site].bare_generation, limit);
	for (uint32_t d = 0; d < w->plan.disk_count; d++)
		for (uint64_t i = 0; i < w->plan.disk_bytes / SIM_SECTOR; i++)
			if (w->violation[0] == 0)
				narrow(w, site, d, i, limit, &all);
	if (w->violation[0] == 0)
		check_ambiguous(w, site, limit, &all);
	w->count.images++;
}

/* ---- when ----------------------------------------------------------------------------- */

static bool is_in_order(const struct sim *w, const struct mirror_view *m)
{
	return m->state == ENGINE_IDLE && sim_is_image(m) && !m->sb->hold.active &&
	       mirror_map_count(m->map, m->site) == 0 &&
	       m->config->order != CONFIG_ORDER_LOG && m->behind <= COPY_TOGETHER &&
	       sim_generation_of(w, m) >= 0 && !w->patched;
}

/* The disks obey the order when all that was there as the order began is home. */
static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[w->node[node].site];

	if (!w->node[node].open || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING)
		return;
	if (!is_in_order(w, m) || s->tainted || s->consent) {
		s->bare = false;
		s->bare_from = m->marks->last;
		return;
	}
	s->bare_generation = sim_generation_of(w, m);
	if (s->bare_from == UINT64_MAX)
		s->bare_from = m->marks->last;
	if (!s->bare &&
	    (w->plan.order == CONFIG_ORDER_FLUSH ? m->marks->home_flushed :
						   m->marks->home) >= s->bare_from) {
		s->bare = true;
		s->bare_power_cuts = s->power_cuts;
	}
}

/* A restart replays: until that is home nothing is checked. But its log's records count. */
static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	struct sim_site *s = &w->site[w->node[node].site];

	if (f->type != FACT_OPENED || f->error != 0)
		return;
	s->bare = false;
	s->bare_from = UINT64_MAX;
}

static void look(struct sim *w)
{
	for (uint32_t i = 0; i < w->plan.site_count && w->violation[0] == 0; i++) {
		struct sim_site *s = &w->site[i];

		s->bare &= !w->patched && !s->tainted && !s->consent &&
			   (s->power_cuts == s->bare_power_cuts ||
			    w->plan.order == CONFIG_ORDER_FLUSH);
		if (s->bare)
			check_image(w, i);
	}
}

const struct sim_checker sim_check_bare = {
	.name = "G2",
	.mirror = mirror,
	.fact = fact,
	.look = look,
};
