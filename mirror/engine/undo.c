/* engine/undo.c - writes that following a production would undo here, and the operator's
 * consent.
 *
 * After a force, writes that this site made on its own may have been acknowledged, and
 * the forced production does not have them. To follow that production undoes them. So its
 * stream is refused, and the refusal names the loss, until the operator accepts it
 * (`connect --discard`). The consent counts for one stream.
 */
#include <stdio.h>

#include "mirror/engine/state.h"

#define TIME_TEXT_BYTES 32u

/* CLOCK_REALTIME as people read it, in UTC. The months begin with March: a leap day is
 * then the last day of a year. */
static void time_text(uint64_t ns, char text[TIME_TEXT_BYTES])
{
	const uint64_t seconds = ns / 1000000000ull, days = seconds / 86400 + 719468;
	const uint64_t era = days / 146097, of_era = days % 146097;
	const uint64_t year = (of_era - of_era / 1460 + of_era / 36524 -
			       of_era / 146096) /
			      365;
	const uint64_t day = of_era - (365 * year + year / 4 - year / 100);
	const uint64_t month = (5 * day + 2) / 153;
	const uint64_t number = month < 10 ? month + 3 : month - 9;

	snprintf(text, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ",
		 (unsigned)(year + era * 400 + (number <= 2)), (unsigned)number,
		 (unsigned)(day - (153 * month + 2) / 5 + 1),
		 (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
		 (unsigned)(seconds % 60));
}

/* "records 65 to 129 (at least 4 KiB, the newest of 2026-...)" */
static void undo_text(const struct mirror_engine *m, uint64_t keep, char *text,
		      size_t size)
{
	uint64_t at = keep > m->open.marks.home_flushed ? keep :
							  m->open.marks.home_flushed,
		 bytes = 0;
	char first[TIME_TEXT_BYTES] = "", last[TIME_TEXT_BYTES] = "", much[40];

	if (keep >= m->open.marks.home_flushed)
		time_text(m->memory.records[(keep + 1) % RECORDS_MAX].header.time_ns,
			  first);
	if (m->open.marks.time_ns != 0)
		time_text(m->open.marks.time_ns, last);
	while (at++ < m->open.marks.last)
		bytes += m->memory.records[at % RECORDS_MAX].header.length_bytes;
	if (bytes == 0 && keep < m->open.marks.home_flushed)
		mirror_text(much, sizeof much, "of a size that is not known");
	else
		mirror_text(much, sizeof much, "%s%llu KiB",
			    keep < m->open.marks.home_flushed ? "at least " : "",
			    (unsigned long long)(bytes + 1023) / 1024);
	mirror_text(text, size, "records %llu to %llu (%s%s%s%s%s)",
		    (unsigned long long)keep + 1, (unsigned long long)m->open.marks.last,
		    much, first[0] != 0 ? ", from " : "", first,
		    last[0] == 0  ? "" :
		    first[0] != 0 ? " to " :
				    ", the newest of ",
		    last);
}

/* Would following that history undo acknowledged writes? Where it no longer lists the
 * generations of this site, nobody can tell. */
static bool undoes(const struct mirror_engine *m, const struct mirror_judgement *j)
{
	switch (j->verdict) {
	case MIRROR_VERDICT_FORKED:
		return true;
	case MIRROR_VERDICT_CONTINUES:
		return j->forced;
	case MIRROR_VERDICT_UNKNOWN:
		return m->open.sb.history.count > 0 && m->open.marks.last > 0 &&
		       !m->open.sb.blank;
	case MIRROR_VERDICT_AHEAD:
		return !m->config->cluster; /* it serves, and this site was promoted */
	}
	return false;
}

bool mirror_undo_overtaken(const struct mirror_engine *m, const struct mirror_hello *h)
{
	const struct generation *g = history_newest(&m->open.sb.history);
	struct mirror_judgement j;

	if (m->config->cluster || g == NULL || h->purpose != MIRROR_HELLO_STREAM)
		return false;
	mirror_history_judge(&m->open.sb.history, m->open.marks.last, &h->history, &j);
	return j.verdict == MIRROR_VERDICT_AHEAD && g->site == h->site;
}

static void tell(struct mirror_engine *m, uint32_t site, const char *text)
{
	struct fact *f;

	if (strcmp(m->open.undo.text, text) == 0)
		return;
	snprintf(m->open.undo.text, sizeof m->open.undo.text, "%s", text);
	f = mirror_engine_fact(m, FACT_UNDO);
	f->site = site;
	snprintf(f->text, sizeof f->text, "%s", text);
}

/* A production has sent hello `h`. True: to follow it needs the operator's consent;
 * `text` names the loss, and the members' side is told. */
bool mirror_undo_waits(struct mirror_engine *m, const struct mirror_hello *h, char *text,
		       size_t size)
{
	struct mirror_judgement j;
	char what[120];

	if (h->purpose != MIRROR_HELLO_STREAM)
		return false;
	mirror_history_judge(&m->open.sb.history, m->open.marks.last, &h->history, &j);
	if (!undoes(m, &j)) {
		tell(m, h->site, "");
		return false;
	}
	if ((m->open.undo.allowed >> h->site & 1) != 0)
		return false;
	undo_text(m, j.keep_sequence, what, sizeof what);
	if (j.verdict == MIRROR_VERDICT_UNKNOWN)
		mirror_text(
			text, size,
			"%s of site %s may hold writes that %s lacks: more than %u promotions "
			"lie between them, so nobody can tell",
			what, mirror_engine_site_name(m, m->open.site),
			mirror_engine_site_name(m, h->site), HISTORY_COUNT_MAX);
	else
		mirror_text(text, size,
			    "%s%s of site %s would be undone by following %s, which %s",
			    j.verdict == MIRROR_VERDICT_CONTINUES ? "" : "SplitBrain: ",
			    j.keep_sequence < m->open.marks.last ? what : "a promotion",
			    mirror_engine_site_name(m, m->open.site),
			    mirror_engine_site_name(m, h->site),
			    j.verdict == MIRROR_VERDICT_AHEAD ?
				    "serves on without them" :
				    "was promoted without them");
	tell(m, h->site, text);
	return true;
}

/* A promotion of this site, not by force, by a chain that so judges our log: true, it
 * would undo something, and `text` names that. */
bool mirror_undo_keeps(const struct mirror_engine *m, const struct mirror_judgement *j,
		       char *text, size_t size)
{
	char what[120];

	if (j->verdict == MIRROR_VERDICT_UNKNOWN || !undoes(m, j) ||
	    m->open.prepare.order.force)
		return false;
	undo_text(m, j->keep_sequence, what, sizeof what);
	mirror_text(
		text, size,
		"%s of site %s are not part of the history that it would go on with, "
		"which a force began without them: promote another site, and give them "
		"up here",
		what, mirror_engine_site_name(m, m->open.site));
	return true;
}

/* Records are cut off without a question. Within the bound of near-sync or async clients may
 * have been answered (M4). */
void mirror_undo_tell(struct mirror_engine *m, const struct mirror_judgement *j,
		      const struct history *theirs)
{
	bool within = false;

	for (uint32_t i = 0; i < theirs->count; i++)
		within |= (theirs->entry[i].reason == GENERATION_NEAR_SYNC ||
			   theirs->entry[i].reason == GENERATION_ASYNC) &&
			  theirs->entry[i].cut == j->keep_sequence;
	mirror_engine_event(m, "writelog", within ? "M4-undone" : j->rule,
			    "records %llu to %llu %s and are undone",
			    (unsigned long long)j->keep_sequence + 1,
			    (unsigned long long)m->open.marks.last,
			    within ? "were lost when a copy took over within the bound "
				     "of the mode," :
				     "were never part of production's history");
}

/* Has the operator agreed to undo the writes of this site that the sender of `h` lacks? True
 * once. */
bool mirror_undo_takes(struct mirror_engine *m, const struct mirror_hello *h)
{
	if ((m->open.undo.allowed >> h->site & 1) == 0)
		return false;
	m->open.undo.allowed &= ~(1u << h->site);
	tell(m, h->site, "");
	return true;
}

void mirror_undo_forget(struct mirror_engine *m)
{
	m->open.undo.allowed = 0;
	tell(m, m->open.site, "");
}
