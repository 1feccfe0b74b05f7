/* pair_order.c - G2 of the bare disk: a copy's disks, without its log, hold
 * production's history up to some number of whole groups and any part of the next.
 *
 * For each sector we keep every write of it, oldest first, with its group. The sector's
 * content then bounds the number of whole groups: from the group before its write's (a part
 * of the next one) to the one before its next write's. The disks obey the order when one
 * number suits all sectors of all of them.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pair_private.h"

#define SECTOR 512u
#define SECTORS (PAIR_DISKS * (PAIR_DISK_BYTES / SECTOR))
#define ZEROES_MAX SECTORS

struct touch {
	uint64_t sequence, number;
	uint64_t group; /* counted from 1, over generations */
};

struct sector {
	struct touch *touch;
	uint32_t count, room;
};

struct pair_order {
	struct sector sector[SECTORS];
	uint64_t taken_to; /* sequence */
	uint64_t group_count, last_generation, last_group;
};

void pair_order_make(struct pair *p)
{
	p->order = calloc(1, sizeof *p->order);
}

void pair_order_free(struct pair *p)
{
	for (uint32_t i = 0; i < SECTORS; i++)
		free(p->order->sector[i].touch);
	free(p->order);
}

static struct sector *sector_at(struct pair *p, uint32_t disk, uint64_t number)
{
	return &p->order->sector[disk * (PAIR_DISK_BYTES / SECTOR) + number];
}

static void touch(struct sector *s, const struct touch *t)
{
	if (s->count == s->room) {
		s->room = s->room * 2 + 8;
		s->touch = realloc(s->touch, s->room * sizeof *s->touch);
	}
	s->touch[s->count++] = *t;
}

static void take_write(struct pair *p, uint64_t sequence, const struct pair_write *w)
{
	struct pair_order *o = p->order;

	if (w->group == 0)
		return; /* stamped by the engine: a refresh, a flush mark */
	if (w->generation != o->last_generation || w->group != o->last_group)
		o->group_count++;
	o->last_generation = w->generation;
	o->last_group = w->group;
	for (uint64_t at = 0; at < w->length_bytes; at += SECTOR)
		touch(sector_at(p, w->disk, (w->offset_bytes + at) / SECTOR),
		      &(struct touch){ sequence, w->number, o->group_count });
}

void pair_order_update(struct pair *p)
{
	struct pair_order *o = p->order;

	pair_note_all(p);
	while (o->taken_to < p->journal_last) {
		o->taken_to++;
		take_write(p, o->taken_to, &p->journal[o->taken_to]);
	}
}

void pair_order_cut(struct pair *p, uint64_t cut)
{
	for (uint32_t i = 0; i < SECTORS; i++) {
		struct sector *s = &p->order->sector[i];

		while (s->count > 0 && s->touch[s->count - 1].sequence > cut)
			s->count--;
	}
	if (p->order->taken_to > cut)
		p->order->taken_to = cut;
}

uint64_t pair_order_find(struct pair *p, uint32_t disk, uint64_t sector, uint64_t number,
			 uint64_t before)
{
	const struct sector *s = sector_at(p, disk, sector);

	for (uint32_t i = s->count; i-- > 0;)
		if (s->touch[i].sequence <= before &&
		    (number == UINT64_MAX || s->touch[i].number == number))
			return s->touch[i].sequence;
	return number == 0 || number == UINT64_MAX ? 0 : UINT64_MAX;
}

/* ---- the check ----------------------------------------------------------- */

/* How many whole groups the touch `i` of a sector allows; -1: as it was made. */
static void allowed(const struct sector *s, int64_t i, uint64_t group_count,
		    uint64_t *from, uint64_t *to)
{
	*from = i < 0 ? 0 : s->touch[i].group - 1;
	*to = i + 1 < s->count ? s->touch[i + 1].group - 1 : group_count;
}

static bool zero_allows(const struct sector *s, uint64_t group_count, uint64_t groups)
{
	uint64_t from, to;

	for (int64_t i = -1; i < s->count; i++) {
		if (i >= 0 && s->touch[i].number != 0)
			continue;
		allowed(s, i, group_count, &from, &to);
		if (groups >= from && groups <= to)
			return true;
	}
	return false;
}

struct range {
	uint64_t from, to;
	const struct sector *zero[ZEROES_MAX];
	uint32_t zero_count;
};

static void narrow(struct pair *p, uint32_t site, uint32_t disk, uint64_t number,
		   struct range *r)
{
	const uint8_t *at = p->site[site].disk[disk].now + number * SECTOR;
	const struct sector *s = sector_at(p, disk, number);
	uint64_t value, from, to;
	int64_t i;

	memcpy(&value, at, 8);
	if (memcmp(at, at + 8, SECTOR - 8) != 0)
		ck_abort_msg("G2: a mixed sector on site %u", site);
	if (value == 0) {
		if (s->count > 0)
			r->zero[r->zero_count++] = s;
		return;
	}
	for (i = s->count - 1; i >= 0 && s->touch[i].number != value; i--)
		;
	if (i < 0)
		ck_abort_msg("G2: site %u disk %u sector %llu holds write %llu, which is "
			     "no part of the history",
			     site, disk, (unsigned long long)number,
			     (unsigned long long)value);
	allowed(s, i, p->order->group_count, &from, &to);
	if (from > r->to || to < r->from)
		ck_abort_msg(
			"G2: site %u disk %u sector %llu (write %llu, sequence %llu) "
			"allows %llu to %llu groups, the others %llu to %llu",
			site, disk, (unsigned long long)number, (unsigned long long)value,
			(unsigned long long)s->touch[i].sequence,
			(unsigned long long)from, (unsigned long long)to,
			(unsigned long long)r->from, (unsigned long long)r->to);
	r->from = from > r->from ? from : r->from;
	r->to = to < r->to ? to : r->to;
}

void pair_expect_bare_image(struct pair *p, uint32_t site)
{
	struct range r = { 0 };
	uint32_t i = 0;

	pair_order_update(p);
	r.to = p->order->group_count;
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		for (uint64_t s = 0; s < p->span_bytes / SECTOR; s++)
			narrow(p, site, d, s, &r);
	for (uint64_t groups = r.from; groups <= r.to; groups++) {
		for (i = 0; i < r.zero_count; i++)
			if (!zero_allows(r.zero[i], p->order->group_count, groups))
				break;
		if (i == r.zero_count)
			break;
	}
	if (i < r.zero_count)
		ck_abort_msg("G2: no number of whole groups of site %u suits its zeroes",
			     site);
	p->bare_checks++;
}

/* ---- when nothing is expected -------------------------------------------- */

static bool is_in_order(struct pair *p, struct mirror_engine *m)
{
	const struct generation *own = history_newest(&m->open.sb.history);

	/* Its records beyond the cut of a generation that it does not know yet are no
	 * longer a part of the history. */
	if (own == NULL || !uuid_equal(&own->id, &history_newest(&p->history)->id))
		return false;
	return m->state == ENGINE_IDLE && !m->open.sb.hold.active && !m->open.sb.blank &&
	       m->open.cut.step == CUT_NONE && m->open.leap.step == LEAP_NONE &&
	       mirror_map_count(m->open.map, m->open.site) == 0 &&
	       m->config->order != CONFIG_ORDER_LOG &&
	       m->open.copy.behind <= COPY_TOGETHER;
}

void pair_order_started(struct pair *p, uint32_t site)
{
	p->site[site].bare = false;
	p->site[site].bare_from = UINT64_MAX;
}

/* `bare` comes back when all that is there now has come home in order. */
void pair_order_watch(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];
	struct mirror_engine *m = s->engine;

	if (m->state == ENGINE_CLOSED || m->state == ENGINE_OPENING ||
	    m->open.map == NULL) {
		pair_order_started(p, site);
	} else if (!is_in_order(p, m)) {
		s->bare = false;
		s->bare_from = m->open.marks.last;
	} else {
		if (s->bare_from == UINT64_MAX)
			s->bare_from = m->open.marks.last;
		s->bare |= m->open.marks.home >= s->bare_from;
	}
}

bool pair_is_bare(struct pair *p, uint32_t site)
{
	return p->site[site].up && p->site[site].bare;
}

void pair_expect_bare(struct pair *p, uint32_t site)
{
	if (pair_is_bare(p, site))
		pair_expect_bare_image(p, site);
}
