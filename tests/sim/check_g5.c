/* check_g5.c - G5, no unproven clean, and W2: what a site's log no longer holds and
 * another has not made durable stands in the map for that one, and durably so; and no
 * site believes more of another than is true. (That no extent is clean that differs, the end of
 * each run compares byte for byte.)
 */
#include "mirror/internal.h"
#include "mirror/parts.h"
#include "tests/sim/sim.h"

/* What the copy has for certain of this generation's history. */
static uint64_t held(const struct mirror_engine *m)
{
	return m->sb.hold.active ? m->sb.hold.sequence : m->durable;
}

static bool follows(const struct mirror_engine *copy, const struct mirror_engine *m)
{
	return copy->state >= ENGINE_IDLE && copy->state != ENGINE_CLOSING &&
	       !copy->failed && copy->cut_step == CUT_NONE &&
	       copy->leap_step == LEAP_NONE && copy->sb.history.count > 0 &&
	       m->sb.history.count > 0 && !copy->sb.blank &&
	       uuid_equal(&history_newest(&copy->sb.history)->id,
			  &history_newest(&m->sb.history)->id);
}

/* Its own map says that it has nothing of this history, and asks for everything
 * whatever is believed of it (D8-unknown). */
static bool asks_for_all(const struct mirror_engine *copy)
{
	return mirror_map_count(copy->map, copy->site) ==
	       mirror_map_extent_count(copy->map);
}

static void check_map(struct sim *w, uint32_t node, uint32_t generation, uint32_t site,
		      const struct mirror_engine *copy)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct mirror_engine *m = w->node[node].engine;
	const uint64_t freed = mirror_ring_oldest_sequence(m->ring) - 1;

	if (m->sb.sites[site].map_state == MIRROR_MAP_ALL_DIRTY || freed <= held(copy))
		return;
	sim_limits(w, generation, limit);
	for (uint32_t g = 0; g < w->generation_count; g++) {
		const struct sim_generation *at = &w->generation[g];
		uint64_t s = held(copy) > at->cut ? held(copy) + 1 : at->cut + 1;

		for (; s <= freed && s <= limit[g] && s - at->cut - 1 < at->room; s++) {
			const struct sim_write *write = &at->write[s - at->cut - 1];

			if (!write->known || write->length_bytes == 0 ||
			    mirror_map_covers(m->map, site, write->disk,
					      write->offset_bytes, write->length_bytes))
				continue;
			sim_violate(w, m->state == ENGINE_SERVING ? "G5" : "W2",
				    "site %u has up to %llu, the log of site %u begins "
				    "after %llu, and nothing stands for sequence %llu",
				    site, (unsigned long long)held(copy), m->site,
				    (unsigned long long)freed, (unsigned long long)s);
			return;
		}
	}
}

/* A map stands for what came before, never for what is still to come. */
static void check_positions(struct sim *w, const struct mirror_engine *m)
{
	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING || m->failed ||
	    m->cut_step != CUT_NONE || m->leap_step != LEAP_NONE)
		return;
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (m->sb.sites[s].map_position > m->last_sequence)
			sim_violate(w, "G5",
				    "at site %u the map of site %u stands for records up "
				    "to %llu, and the last one is %llu",
				    m->site, s,
				    (unsigned long long)m->sb.sites[s].map_position,
				    (unsigned long long)m->last_sequence);
}

static void look(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct mirror_engine *m = w->node[n].engine;

		if (w->node[n].open)
			check_positions(w, m);
		if (!w->node[n].open || w->forced || !sim_is_image(m) ||
		    m->sb.hold.active || sim_generation_of(w, m) < 0)
			continue;
		for (uint32_t s = 0; s < w->plan.site_count; s++) {
			const int32_t host = w->site[s].open_node;

			if (s == m->site || host < 0 || w->site[s].tainted ||
			    w->site[s].consent || !follows(w->node[host].engine, m) ||
			    asks_for_all(w->node[host].engine))
				continue;
			if (m->peer[s].proven_durable > held(w->node[host].engine))
				sim_violate(
					w, "G5",
					"site %u counts %llu as durable at site %u, and "
					"%llu is",
					m->site,
					(unsigned long long)m->peer[s].proven_durable, s,
					(unsigned long long)held(w->node[host].engine));
			check_map(w, n, (uint32_t)sim_generation_of(w, m), s,
				  w->node[host].engine);
		}
	}
}

const struct sim_checker sim_check_g5 = { .name = "G5", .look = look };
