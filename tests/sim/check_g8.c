/* check_g8.c - G8, no guessing: the records that an open finds in a log and counts are
 * whole, and are those of its history. A log that rotted, lost a write or has a misdirected
 * one is refused or holds no wrong record. Of two whole superblocks the newer one counts.
 * No disk is taken for another, nor for a disk that it is not (docs/rules.md). (line.c sees
 * that a record of another time is refused on the line.)
 */
#include <errno.h>
#include <string.h>

#include "mirror/log/descriptor.h"
#include "mirror/engine/test_view.h"
#include "mirror/line/history.h"
#include "tests/sim/sim.h"

/* ---- records ------------------------------------------------------------------------- */

/* The client's write with that sequence, in the history that ends with `g`. */
static const struct sim_write *written(const struct sim *w, int32_t g, uint64_t sequence)
{
	const struct sim_generation *of;

	while (g >= 0 && w->generation[g].cut >= sequence)
		g = w->generation[g].parent;
	if (g < 0)
		return NULL;
	of = &w->generation[g];
	return sequence - of->cut - 1 < of->room &&
			       of->write[sequence - of->cut - 1].known ?
		       &of->write[sequence - of->cut - 1] :
		       NULL;
}

static const char *what_is_wrong(const struct sim *w, const struct mirror_view *m,
				 const struct mirror_record *r)
{
	const struct mirror_header *h = &r->header;
	const uint8_t *data = w->site[m->site].log.now + r->log_position;
	const struct sim_write *write;
	uint64_t number = 0;

	if (h->data_bytes > 0 &&
	    mirror_header_data_crc(&m->sb->mirror, h, data) != h->crc)
		return "is torn";
	if ((h->flags & MIRROR_RECORD_REFRESH) != 0)
		return NULL;
	if (!mirror_history_holds(&m->sb->history, h->sequence, h->generation))
		return "is of a generation that its history does not name for it";
	write = written(w, sim_generation_of(w, m), h->sequence);
	if (h->data_bytes > 0)
		memcpy(&number, data, sizeof number);
	if (write != NULL &&
	    (write->number != number || write->offset_bytes != h->offset_bytes ||
	     write->length_bytes != h->length_bytes || write->group != h->group))
		return "differs from the record written under that number";
	return NULL;
}

static void check_found(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);

	for (uint64_t s = m->marks->home_flushed + 1; s <= m->marks->last; s++) {
		const char *wrong = what_is_wrong(w, m, mirror_view_record(m, s));

		if (wrong == NULL)
			continue;
		sim_violate(w, "G8", "site %u opens with sequence %llu, which %s",
			    m->site, (unsigned long long)s, wrong);
		return;
	}
}

/* ---- disks ---------------------------------------------------------------------------- */

/* Which of a site's disks is not where it should be; disk_count: none. */
static uint32_t displaced(const struct sim *w, uint32_t site)
{
	uint32_t i = 0;

	while (i < w->plan.disk_count && w->site[site].disk[i].is_disk == i + 1)
		i++;
	return i;
}

static void check_disks(struct sim *w, uint32_t node, const struct fact *f)
{
	const uint32_t site = w->node[node].site;
	const uint32_t wrong = displaced(w, site);

	if (f->error == 0 && wrong < w->plan.disk_count)
		sim_violate(w, "G8",
			    "site %u opens, and the device in the place of disk %u is "
			    "another",
			    site, wrong);
	if (f->error == -EMEDIUMTYPE && wrong == w->plan.disk_count)
		sim_violate(w, "G8", "site %u does not know its own disks again: %s",
			    site, f->text);
}

/* ---- an open -------------------------------------------------------------------------- */

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	struct sim_site *s = &w->site[w->node[node].site];

	if (f->type == FACT_OPENED)
		check_disks(w, node, f);
	if (f->type != FACT_OPENED || f->error != 0)
		return;
	if (sim_is_image(sim_view(w, node)))
		check_found(w, node);
	if (!s->tainted)
		return;
	s->tainted = false; /* it was taken for good: then it has to be */
	sim_image_check(w, node, "G8");
	s->tainted = true;
}

/* ---- superblocks --------------------------------------------------------------------- */

/* The first superblock that an open writes is newer than both that are there. */
static void io(struct sim *w, uint32_t node, const struct mirror_io *io)
{
	static struct mirror_superblock there;
	const struct mirror_view *m = sim_view(w, node);
	const struct sim_site *s = &w->site[w->node[node].site];
	char text[256];

	if (!mirror_view_is_superblock(io) || m->state != ENGINE_OPENING || s->tainted ||
	    mirror_superblock_decode(s->log.now + io->offset_bytes, &there, text,
				     sizeof text) != 0)
		return;
	if (there.write_counter >= m->sb->write_counter)
		sim_violate(w, "G8",
			    "site %u writes superblock %llu over one that is as new: it "
			    "has gone by an older one",
			    m->site, (unsigned long long)m->sb->write_counter);
}

const struct sim_checker sim_check_g8 = { .name = "G8", .fact = fact, .io = io };
