/* pair_play.c - see pair_play.h. */
#include "tests/unit/pair_play.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct pair *pair_level(uint64_t seed, uint32_t site_count, uint64_t log_bytes)
{
	struct pair *p = pair_create(seed, site_count, log_bytes);

	p->verbose = getenv("PAIR_VERBOSE") != NULL;
	p->bare_check_every = 200;
	for (uint32_t i = 0; i < site_count; i++)
		pair_start(p, i);
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	return p;
}

void pair_link_all(struct pair *p, uint32_t production)
{
	for (uint32_t i = 0; i < p->site_count; i++)
		if (i != production)
			pair_link(p, production, i);
}

void pair_load(struct pair *p, uint32_t production, uint32_t steps)
{
	p->client_site = production;
	p->client_on = true;
	pair_run(p, steps);
}

static bool is_idle(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;
	uint32_t frames = 0;

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		frames += m->link[i].frame_count;
	return frames == 0 && m->open.watch.count == 0 &&
	       m->open.marks.home_flushed == m->open.marks.last;
}

void pair_settle(struct pair *p, uint32_t production)
{
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_run_until(p, 1600000, pair_is_level, production));
	for (uint32_t i = 0; i < p->site_count; i++)
		ck_assert(pair_run_until(p, 200000, pair_is_home, i));
	pair_expect_history(p, production);
	for (uint32_t i = 0; i < p->site_count; i++) {
		if (i != production)
			pair_expect_equal(p, production, i);
		ck_assert(pair_run_until(p, 50000, is_idle, i));
		pair_expect_idle(p, i);
	}
}

bool pair_wait_fact(struct pair *p, uint32_t site, enum fact_type type, uint32_t count,
		    uint32_t steps)
{
	for (; p->site[site].fact_count[type] < count; steps--) {
		if (steps == 0)
			return false;
		pair_run(p, 1);
	}
	return true;
}

bool pair_close(struct pair *p, uint32_t site)
{
	const struct order o = { .type = ORDER_CLOSE, .id = 77 };

	p->site[site].fact_count[FACT_CLOSED] = 0;
	pair_order(p, site, &o);
	return pair_wait_fact(p, site, FACT_CLOSED, 1, 100000) &&
	       p->site[site].last[FACT_CLOSED].order_id == 77 && !p->site[site].open;
}

bool pair_open(struct pair *p, uint32_t site)
{
	const struct order o = { .type = ORDER_OPEN,
				 .id = 78,
				 .site = site,
				 .incarnation = pair_random(p, UINT64_MAX) };
	const struct fact *f = &p->site[site].last[FACT_OPENED];

	p->site[site].fact_count[FACT_OPENED] = 0;
	p->site[site].waited = 0;
	pair_order(p, site, &o);
	return pair_wait_fact(p, site, FACT_OPENED, 1, 100000) && f->order_id == 78 &&
	       f->error == 0;
}

bool pair_demote(struct pair *p, uint32_t site, uint32_t wait_ms)
{
	const struct order o = { .type = ORDER_DEMOTE, .id = 79, .wait_ms = wait_ms };

	p->site[site].fact_count[FACT_DEMOTED] = 0;
	pair_order(p, site, &o);
	return pair_wait_fact(p, site, FACT_DEMOTED, 1, 400000) &&
	       p->site[site].last[FACT_DEMOTED].order_id == 79;
}

void pair_depose(struct pair *p, uint32_t site)
{
	const struct order o = { .type = ORDER_DEPOSE };

	pair_order(p, site, &o);
}

void pair_view(struct pair *p, uint32_t site)
{
	const struct order o = { .type = ORDER_VIEW,
				 .ballot = p->ballot << 8,
				 .history = p->history };

	pair_order(p, site, &o);
}

/* A generation has begun that this site does not know, and its log goes beyond the cut.
 * The records there are undone when the two meet (D8); until then they are no history. */
static bool is_unjudged(struct pair *p, const struct mirror_engine *m)
{
	const struct generation *newest = history_newest(&p->history);

	return mirror_history_find(&m->open.sb.history, &newest->id) == NULL &&
	       m->open.marks.last > newest->cut;
}

void pair_expect_image(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	if (m == NULL || m->open.map == NULL || m->state < ENGINE_IDLE ||
	    m->open.sb.blank || m->open.cut.step != CUT_NONE ||
	    m->open.leap.step != LEAP_NONE ||
	    mirror_map_count(m->open.map, m->open.site) > 0 || is_unjudged(p, m))
		return;
	pair_expect_history(p, site);
}
