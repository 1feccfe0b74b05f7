/* check_g5.c - G5, no unproven clean, and W2: a record that a site's log no longer holds
 * and another site has not made durable has its extents in the map for that site, durably;
 * and no site believes more of another than is true. (The end of each run compares the
 * disks byte for byte, so that no clean extent differs.)
 */
#include <assert.h>

#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

/* The copy has this generation's history up to here for certain. */
static uint64_t held(const struct mirror_view *m)
{
	return m->sb->hold.active ? m->sb->hold.sequence : m->marks->durable;
}

static bool follows(const struct mirror_view *copy, const struct mirror_view *m)
{
	return copy->state >= ENGINE_IDLE && copy->state != ENGINE_CLOSING &&
	       !copy->failed && !copy->cutting && !copy->leaping &&
	       copy->sb->history.count > 0 && m->sb->history.count > 0 &&
	       !copy->sb->blank &&
	       uuid_equal(&history_newest(&copy->sb->history)->id,
			  &history_newest(&m->sb->history)->id);
}

/* Its own map says that it has nothing of this history, and asks for everything, even if
 * others believe that it has some (D8-unknown). */
static bool asks_for_all(const struct mirror_view *copy)
{
	return mirror_map_count(copy->map, copy->site) ==
	       mirror_map_extent_count(copy->map);
}

/* A write that the site does not have, beyond `held`, that the log has given up, up to
 * `freed`, and that does not stand in the map for that site. 0: none. */
static uint64_t unmarked(const struct sim *w, uint32_t generation, uint64_t held,
			 uint64_t freed, const struct mirror_map *map, uint32_t site)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];

	sim_limits(w, generation, limit);
	for (uint32_t g = 0; g < w->generation_count; g++) {
		const struct sim_generation *at = &w->generation[g];
		uint64_t s = held > at->cut ? held + 1 : at->cut + 1;

		for (; s <= freed && s <= limit[g] && s - at->cut - 1 < at->room; s++) {
			const struct sim_write *write = &at->write[s - at->cut - 1];

			if (write->known && write->length_bytes > 0 &&
			    !mirror_map_covers(map, site, write->disk,
					       write->offset_bytes, write->length_bytes))
				return s;
		}
	}
	return 0;
}

static void check_map(struct sim *w, uint32_t node, uint32_t generation, uint32_t site,
		      const struct mirror_view *copy)
{
	const struct mirror_view *m = sim_view(w, node);
	const uint64_t freed = mirror_ring_oldest_sequence(m->ring) - 1;
	uint64_t missing;

	if (m->sb->sites[site].map_state == MIRROR_MAP_ALL_DIRTY || freed <= held(copy))
		return;
	missing = unmarked(w, generation, held(copy), freed, m->map, site);
	if (missing > 0)
		sim_violate(w, m->state == ENGINE_SERVING ? "G5" : "W2",
			    "site %u has up to %llu, the log of site %u begins after "
			    "%llu, and nothing stands for sequence %llu",
			    site, (unsigned long long)held(copy), m->site,
			    (unsigned long long)freed, (unsigned long long)missing);
}

/* ---- durably ----------------------------------------------------------------------- */

/* A site's maps as a power cut would leave them. */
static struct mirror_map *stable_maps(const struct sim *w,
				      const struct mirror_superblock *sb)
{
	struct mirror_map *map = mirror_map_create(sb);

	assert(map != NULL);
	for (uint32_t s = 0; s < sb->site_count; s++)
		for (uint64_t i = 0; i < mirror_map_block_count(map); i++)
			mirror_map_load(map, s, i,
					w->site[sb->site].log.stable +
						mirror_map_block_offset(map, s, i));
	return map;
}

/* The site has the history that ends with `generation` up to here for certain, whether it is
 * open or not. UINT64_MAX: that cannot be said, or it asks for everything anyway. */
static uint64_t surely_held(const struct sim *w, uint32_t site, uint32_t generation)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct sim_site *s = &w->site[site];
	const struct mirror_view *copy = s->open_node >= 0 ? sim_view(w, s->open_node) :
							     NULL;

	if (s->tainted || s->consent || s->durable == 0 || s->durable_generation < 0 ||
	    (copy != NULL && (!sim_is_image(copy) || asks_for_all(copy))))
		return UINT64_MAX;
	sim_limits(w, generation, limit);
	if (limit[s->durable_generation] == 0)
		return UINT64_MAX;
	return s->durable < limit[s->durable_generation] ? s->durable :
							   limit[s->durable_generation];
}

/* Up to where this superblock has given up its records: nothing but the map stands for
 * them at `site`. */
static uint64_t given_up(const struct mirror_superblock *sb, uint32_t site)
{
	const uint64_t position = sb->sites[site].map_position;
	const uint64_t tail = sb->tail_sequence > 0 ? sb->tail_sequence - 1 : 0;

	if (sb->sites[site].map_state == MIRROR_MAP_ALL_DIRTY)
		return 0;
	return position > tail ? position : tail;
}

/* Records that the stable superblock gives up are in the stable maps. */
static void check_stable(struct sim *w, const struct mirror_view *m)
{
	static struct mirror_superblock scratch, sb;
	const uint8_t *log = w->site[m->site].log.stable;
	struct mirror_map *map = NULL;
	char text[256];
	uint32_t slot;
	int32_t g;

	if (mirror_superblock_choose(log, log + MIRROR_SUPERBLOCK_BYTES, &scratch, &sb,
				     &slot, text, sizeof text) != 0 ||
	    sb.hold.active || sb.blank || sb.history.count == 0)
		return;
	g = sim_generation_find(w, &history_newest(&sb.history)->id);
	for (uint32_t s = 0; s < w->plan.site_count && g >= 0; s++) {
		const uint64_t freed = given_up(&sb, s);
		const uint64_t have = surely_held(w, s, (uint32_t)g);
		uint64_t missing;

		if (s == m->site || freed <= have)
			continue;
		if (map == NULL)
			map = stable_maps(w, &sb);
		missing = unmarked(w, (uint32_t)g, have, freed, map, s);
		if (missing > 0)
			sim_violate(w, "G5",
				    "site %u has up to %llu, the superblock of site %u "
				    "on stable storage gives up all up to %llu, and its "
				    "map there does not name sequence %llu",
				    s, (unsigned long long)have, m->site,
				    (unsigned long long)freed,
				    (unsigned long long)missing);
	}
	if (map != NULL)
		mirror_map_destroy(map);
}

/* Each time that a superblock is durable. */
static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);

	if (!w->node[node].open || m->sb_written == w->node[node].sb_seen)
		return;
	w->node[node].sb_seen = m->sb_written;
	if (!w->forced && !w->site[m->site].tainted && sim_is_image(m))
		check_stable(w, m);
}

/* ---- in memory --------------------------------------------------------------------- */

/* A map stands for records that came before, never for records still to come. */
static void check_positions(struct sim *w, const struct mirror_view *m)
{
	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING || m->failed ||
	    m->cutting || m->leaping)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (m->sb->sites[s].map_position > m->marks->last)
			sim_violate(w, "G5",
				    "at site %u the map of site %u stands for records up "
				    "to %llu, and the last one is %llu",
				    m->site, s,
				    (unsigned long long)m->sb->sites[s].map_position,
				    (unsigned long long)m->marks->last);
}

/* What this site knows of another one says that it lacks nothing that the log has given up. */
static void check_beginning(struct sim *w, const struct mirror_view *m)
{
	const uint64_t freed = mirror_ring_oldest_sequence(m->ring) - 1;

	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const struct mirror_superblock_site *site = &m->sb->sites[s];

		if (s != m->site && site->map_state != MIRROR_MAP_ALL_DIRTY &&
		    site->map_position < freed && m->peer[s].proven_durable < freed)
			sim_violate(
				w, "G5",
				"the log of site %u begins after %llu; site %u is known to "
				"have up to %llu, and its map stands for up to %llu",
				m->site, (unsigned long long)freed, s,
				(unsigned long long)m->peer[s].proven_durable,
				(unsigned long long)site->map_position);
	}
}

static void look(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct mirror_view *m = sim_view(w, n);

		if (w->node[n].open)
			check_positions(w, m);
		if (!w->node[n].open || w->forced || !sim_is_image(m) ||
		    m->sb->hold.active || sim_generation_of(w, m) < 0)
			continue;
		check_beginning(w, m);
		for (uint32_t s = 0; s < w->plan.site_count; s++) {
			const int32_t host = w->site[s].open_node;

			if (s == m->site || host < 0 || w->site[s].tainted ||
			    w->site[s].consent || !follows(sim_view(w, host), m) ||
			    asks_for_all(sim_view(w, host)))
				continue;
			if (m->peer[s].proven_durable > held(sim_view(w, host)))
				sim_violate(
					w, "G5",
					"site %u counts %llu as durable at site %u, and "
					"%llu is",
					m->site,
					(unsigned long long)m->peer[s].proven_durable, s,
					(unsigned long long)held(sim_view(w, host)));
			check_map(w, n, (uint32_t)sim_generation_of(w, m), s,
				  sim_view(w, host));
		}
	}
}

const struct sim_checker sim_check_g5 = {
	.name = "G5",
	.mirror = mirror,
	.look = look,
};
