/* journal.c - the truth: every generation that was told to serve, every write that was
 * stamped in one, and so the disks after any history.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

/* ---- generations -------------------------------------------------------------- */

int32_t sim_generation_find(const struct sim *w, const struct uuid *id)
{
	for (uint32_t g = 0; g < w->generation_count; g++)
		if (uuid_equal(&w->generation[g].id, id))
			return (int32_t)g;
	return -1;
}

int32_t sim_generation_of(const struct sim *w, const struct mirror_view *m)
{
	const struct generation *g = history_newest(&m->sb->history);

	return g == NULL ? -1 : sim_generation_find(w, &g->id);
}

uint32_t sim_generation_add(struct sim *w, const struct history *h)
{
	int32_t at = -1;

	for (uint32_t i = 0; i < h->count; i++) {
		const struct generation *g = &h->entry[i];

		at = sim_generation_find(w, &g->id);
		if (at >= 0)
			continue;
		assert(w->generation_count < SIM_GENERATIONS_MAX);
		at = (int32_t)w->generation_count;
		w->generation[at] = (struct sim_generation){
			.id = g->id,
			.parent = sim_generation_find(w, &g->parent),
			.cut = g->cut,
			.ordinal = g->ordinal,
			.reason = g->reason,
			.site = g->site,
			.last = g->cut,
		};
		w->generation_count++;
	}
	return (uint32_t)at;
}

void sim_limits(const struct sim *w, uint32_t generation, uint64_t *limit)
{
	uint64_t upto = UINT64_MAX;

	memset(limit, 0, w->generation_count * sizeof *limit);
	for (int32_t g = (int32_t)generation; g >= 0; g = w->generation[g].parent) {
		limit[g] = upto;
		if (w->generation[g].cut < upto)
			upto = w->generation[g].cut;
	}
}

/* ---- writes -------------------------------------------------------------------- */

struct sim_sector *sim_sector(const struct sim *w, uint32_t disk, uint64_t sector)
{
	return &w->sector[disk * (w->plan.disk_bytes / SIM_SECTOR) + sector];
}

/* They are kept in the order of their sequences: in any history a sequence is one write,
 * so the touch that is looked for is a step or two from the newest.
 */
static void touch(struct sim_sector *s, struct sim_touch t, bool repeated)
{
	uint32_t at;

	if (s->count == s->room) {
		s->room = s->room * 2 + 8;
		s->touch = realloc(s->touch, s->room * sizeof *s->touch);
		assert(s->touch != NULL);
	}
	for (uint32_t i = 0; i < s->count && repeated; i++)
		if (s->touch[i].number == t.number)
			s->touch[i].twice = t.twice = true;
	for (at = s->count; at > 0 && s->touch[at - 1].sequence > t.sequence; at--)
		s->touch[at] = s->touch[at - 1];
	s->touch[at] = t;
	s->count++;
}

static struct sim_write *write_at(struct sim_generation *g, uint64_t sequence)
{
	const uint64_t at = sequence - g->cut - 1;

	if (at >= g->room) {
		const uint64_t room = at * 2 + 256;

		g->write = realloc(g->write, room * sizeof *g->write);
		assert(g->write != NULL);
		memset(g->write + g->room, 0, (room - g->room) * sizeof *g->write);
		g->room = room;
	}
	return &g->write[at];
}

/* The request may have been stamped by now. */
void sim_note(struct sim *w, uint32_t node, struct sim_request *r)
{
	const struct mirror_request *q = &r->request;
	const struct mirror_view *m = sim_view(w, node);
	const struct mirror_header *h;
	struct sim_generation *g;
	struct sim_write *write;

	if (r->noted || q->sequence == 0 || q->type == MIRROR_REQUEST_READ)
		return;
	r->noted = true;
	assert(w->node[node].served_generation > 0);
	r->generation = (uint32_t)w->node[node].served_generation - 1;
	g = &w->generation[r->generation];
	h = &m->records[q->sequence % RECORDS_MAX].header;
	assert(h->sequence == q->sequence && q->sequence > g->cut);
	write = write_at(g, q->sequence);
	if (write->known && write->number != r->number)
		sim_violate(w, "D5", "two writes are (generation %llu, sequence %llu)",
			    (unsigned long long)g->ordinal,
			    (unsigned long long)q->sequence);
	*write = (struct sim_write){
		.number = q->type == MIRROR_REQUEST_WRITE ? r->number : 0,
		.group = h->group,
		.disk = q->disk,
		.offset_bytes = q->offset_bytes,
		.length_bytes = q->length_bytes,
		.known = true,
		.stamped_ns =
			m->ack->record[q->sequence % m->ack->record_count].stamped_ns,
	};
	if (q->sequence > g->last)
		g->last = q->sequence;
	for (uint64_t i = 0; i < q->length_bytes; i += SIM_SECTOR)
		touch(sim_sector(w, q->disk, (q->offset_bytes + i) / SIM_SECTOR),
		      (struct sim_touch){ .generation = r->generation,
					  .sequence = q->sequence,
					  .number = write->number,
					  .group = h->group },
		      r->again || r->gone);
}

void sim_note_all(struct sim *w, uint32_t node)
{
	for (uint32_t i = 0; i < SIM_REQUESTS_MAX; i++)
		if (w->node[node].request[i].busy)
			sim_note(w, node, &w->node[node].request[i]);
}

static bool is_of(const struct sim_touch *t, const uint64_t *limit)
{
	return t->sequence <= limit[t->generation];
}

const struct sim_touch *sim_newest_touch(const struct sim *w, uint32_t disk,
					 uint64_t sector, const uint64_t *limit,
					 uint64_t last)
{
	const struct sim_sector *s = sim_sector(w, disk, sector);

	for (uint32_t i = s->count; i-- > 0;)
		if (s->touch[i].sequence <= last && is_of(&s->touch[i], limit))
			return &s->touch[i];
	return NULL;
}

const struct sim_touch *sim_shown_touch(const struct sim_sector *s, uint64_t number,
					const uint64_t *limit)
{
	for (uint32_t i = s->count; i-- > 0;)
		if (s->touch[i].number == number && is_of(&s->touch[i], limit))
			return &s->touch[i];
	return NULL;
}

const struct sim_touch *sim_next_touch(const struct sim_sector *s,
				       const struct sim_touch *t, const uint64_t *limit)
{
	for (uint32_t i = t != NULL ? (uint32_t)(t - s->touch) + 1 : 0; i < s->count; i++)
		if (is_of(&s->touch[i], limit) &&
		    (t == NULL || s->touch[i].sequence > t->sequence))
			return &s->touch[i];
	return NULL;
}

bool sim_says_twice(const struct sim_sector *s, uint64_t number)
{
	for (uint32_t i = s->count; i-- > 0;)
		if (s->touch[i].number == number)
			return s->touch[i].twice;
	return false;
}

/* ---- content of a site ------------------------------------------------------------ */

/* Records above the hold of a refresh do not count yet (W6). */
static uint64_t last_held(const struct mirror_view *m)
{
	return m->sb->hold.active ? m->sb->hold.sequence : m->marks->logged;
}

bool sim_is_image(const struct mirror_view *m)
{
	return m->state != ENGINE_CLOSED && m->state != ENGINE_OPENING &&
	       m->state != ENGINE_CLOSING && !m->failed && m->map != NULL &&
	       !m->sb->blank && !m->cutting && !m->leaping && m->sb->history.count > 0 &&
	       /* rolled forward from a generation that it will be told of later */
	       m->marks->generation <= history_newest(&m->sb->history)->ordinal;
}

/* The disk's content, with the log laid over it, read straight from the engine's tables. */
static uint8_t *actual(struct sim *w, uint32_t node, uint32_t disk)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct sim_site *site = &w->site[w->node[node].site];
	uint8_t *image = malloc(w->plan.disk_bytes);

	assert(image != NULL);
	memcpy(image, site->disk[disk].now, w->plan.disk_bytes);
	for (uint64_t s = m->marks->home_flushed + 1; s <= last_held(m); s++) {
		const struct mirror_record *r = mirror_view_record(m, s);

		/* One that is home already is laid over too, as a restart would: an
		 * older one below it may be home in part. */
		if (r->header.type == MIRROR_RECORD_FLUSH || r->header.disk != disk)
			continue;
		if (r->header.type == MIRROR_RECORD_ZERO)
			memset(image + r->header.offset_bytes, 0, r->header.length_bytes);
		else
			memcpy(image + r->header.offset_bytes,
			       r->data != NULL ? r->data :
						 site->log.now + r->log_position,
			       r->header.data_bytes);
	}
	return image;
}

/* An extent that the site itself knows it has to be sent again. */
static bool is_owed(const struct mirror_view *m, uint32_t disk, uint64_t offset)
{
	return mirror_map_covers(m->map, m->site, disk, offset, SIM_SECTOR);
}

static void compare(struct sim *w, uint32_t node, uint32_t disk, const uint64_t *limit,
		    const char *guarantee)
{
	const struct mirror_view *m = sim_view(w, node);
	uint8_t *image = actual(w, node, disk);

	for (uint64_t i = 0; i < w->plan.disk_bytes; i += SIM_SECTOR) {
		const struct sim_touch *t = sim_newest_touch(w, disk, i / SIM_SECTOR,
							     limit, last_held(m));
		const uint64_t want = t != NULL ? t->number : 0;
		uint64_t have;

		memcpy(&have, image + i, sizeof have);
		if (have == want && memcmp(image + i, image + i + 8, SIM_SECTOR - 8) == 0)
			continue;
		if (is_owed(m, disk, i))
			continue;
		sim_violate(
			w, guarantee,
			"site %s at sequence %llu: disk %u sector %llu holds write "
			"%llu, and its history says %llu (sequence %llu); home %llu%s",
			w->config.site[m->site].name, (unsigned long long)last_held(m),
			disk, (unsigned long long)i / SIM_SECTOR,
			(unsigned long long)have, (unsigned long long)want,
			(unsigned long long)(t != NULL ? t->sequence : 0),
			(unsigned long long)m->marks->home_flushed,
			m->sb->hold.active ? ", held" : "");
		break;
	}
	free(image);
}

bool sim_image_check(struct sim *w, uint32_t node, const char *guarantee)
{
	const struct sim_node *n = &w->node[node];
	const struct mirror_view *m = &n->view;
	static uint64_t limit[SIM_GENERATIONS_MAX];
	int32_t g;

	if (w->patched || !n->running || !n->open || !sim_is_image(m) ||
	    w->site[n->site].tainted || w->site[n->site].consent)
		return false;
	g = sim_generation_of(w, m);
	if (g < 0)
		return false; /* it is being told of one that nobody served yet */
	for (uint32_t i = 0; i < w->node_count; i++)
		if (w->node[i].running && w->node[i].clients)
			sim_note_all(w, i);
	sim_limits(w, (uint32_t)g, limit);
	for (uint32_t d = 0; d < w->plan.disk_count && w->violation[0] == 0; d++)
		compare(w, node, d, limit, guarantee);
	w->count.images++;
	return true;
}
