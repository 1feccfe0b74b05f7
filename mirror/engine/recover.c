/* engine/recover.c - a copy alone brings home all that its log holds.
 *
 *   step     ends when                                      then
 *   settle   a refresh that was cut short is dropped        the end is known
 *   home     all up to the end is at home, and flushed      superblock
 *   store    the superblock that says so is durable         FACT_RECOVERED
 *
 * Without a link a copy brings nothing home (engine/home.c), because the history of the next
 * production says whether its tail stands. An operator who wants its disks as they are cannot
 * wait for that. Where the tail does not stand, the cut sends its extents again, as it does for
 * records that had gone home by a link (D8). The records stay in the log, so the others still
 * find them there. Of the last group the log may hold a part: its writes did not wait for each
 * other, so the disks are an image that a loss of power could have left (G2), and no write that
 * production has answered in sync is left out.
 *
 * Source: paper 004, the copy's recovery tool.
 */
#include "mirror/engine/state.h"

static void recovered(struct mirror_engine *m, int32_t error, const char *text)
{
	struct fact *f = mirror_engine_fact(m, FACT_RECOVERED);

	f->order_id = m->open.recover.order_id;
	f->error = error;
	f->marks = (struct site_marks){ m->open.marks.logged, m->open.marks.durable,
					m->open.marks.home_flushed };
	mirror_text(f->text, sizeof f->text, "%s", text);
	m->open.recover = (struct engine_recover){ 0 };
}

/* NULL: its disks can be an image of one moment. */
static const char *refusal(const struct mirror_engine *m)
{
	const struct generation *g = history_newest(&m->open.sb.history);

	if (m->state != ENGINE_IDLE)
		return "the devices of this site are not open, or it serves";
	if (m->open.copy.stream_link != MIRROR_LINK_NONE ||
	    m->open.greeting.link != MIRROR_LINK_NONE)
		return "production is linked to this copy, and brings it up to date";
	if (m->open.sb.blank)
		return "its first refresh has not ended, and its disks hold a mixture of "
		       "old and new (Inconsistent): connect it to production, or recover "
		       "another copy";
	if (mirror_map_count(m->open.map, m->open.site) > 0)
		return "part of this site's disks belongs to a history that was given up: "
		       "connect it to production, which mends it";
	if (g == NULL || (g->site == m->open.site && !mirror_is_clean(m)))
		return "this site was production, and its copies may lack what its log "
		       "holds: start it instead";
	return NULL;
}

void mirror_recover_order(struct mirror_engine *m, const struct order *o)
{
	const char *text = refusal(m);

	m->open.recover = (struct engine_recover){ .active = text == NULL,
						   .order_id = o->id };
	if (m->open.failed)
		recovered(m, -EIO, m->open.failed_text);
	else if (text != NULL)
		recovered(m, -ENODATA, text);
	else
		mirror_engine_changed(m);
}

uint64_t mirror_recover_limit(const struct mirror_engine *m)
{
	return m->open.recover.active ? m->open.recover.limit : 0;
}

static bool is_settled(const struct mirror_engine *m)
{
	return m->open.cut.step == CUT_NONE && m->open.leap.step == LEAP_NONE &&
	       !m->open.sb.hold.active && !m->open.home.reset_due;
}

void mirror_recover_pump(struct mirror_engine *m)
{
	struct engine_recover *r = &m->open.recover;

	if (!r->active)
		return;
	if (m->open.failed) {
		recovered(m, -EIO, m->open.failed_text);
		return;
	}
	if (!is_settled(m))
		return;
	/* A cut that was under way may have shown more. */
	if (r->limit == 0 && refusal(m) != NULL) {
		recovered(m, -ENODATA, refusal(m));
		return;
	}
	if (r->limit == 0) {
		MIRROR_SET(m, recover.limit, m->open.marks.last);
		if (r->limit > m->open.home.wanted)
			MIRROR_SET(m, home.wanted, r->limit);
	}
	if (m->open.marks.home_flushed < r->limit)
		return;
	if (r->ticket == 0)
		r->ticket = mirror_superblock_want(m);
	else if (mirror_superblock_has(m, r->ticket))
		recovered(m, 0, "");
}
