/* history.c - see history.h.
 *
 *   our newest is      their newest is     else, a common     no common
 *   in their chain     in our chain        entry exists       entry
 *   CONTINUES          AHEAD               FORKED             below
 *
 * Without a common entry: a chain that still lists its beginning is complete, so if both
 * are, or if ours cannot be the part that theirs has dropped, they are strangers:
 * FORKED. Else ours may be the part that theirs dropped: UNKNOWN, a full refresh. An ancestor
 * that was dropped has an ordinal below the oldest listed one; the ordinal is used here
 * only to refuse, never to recognise.
 */
#include "mirror/line/history.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/config.h"

static int index_of(const struct history *h, const struct uuid *id)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (uuid_equal(&h->entry[i].id, id))
			return (int)i;
	return -1;
}

const struct generation *mirror_history_find(const struct history *h,
					     const struct uuid *id)
{
	const int i = index_of(h, id);

	return i < 0 ? NULL : &h->entry[i];
}

bool mirror_history_is_ancestor(const struct history *h, const struct uuid *id)
{
	if (h->count == 0 || uuid_is_zero(id))
		return false;
	return index_of(h, id) >= 0 || uuid_equal(&h->entry[0].parent, id);
}

bool mirror_history_holds(const struct history *h, uint64_t sequence, uint64_t ordinal)
{
	for (uint32_t i = h->count; i-- > 0;)
		if (h->entry[i].cut < sequence)
			return h->entry[i].ordinal == ordinal;
	return h->count == 0 || ordinal < h->entry[0].ordinal;
}

static bool first_is_valid(const struct history *h)
{
	const struct generation *first = &h->entry[0];

	if (first->ordinal != (uint64_t)h->dropped_count + 1)
		return false;
	if (h->dropped_count == 0)
		return uuid_is_zero(&first->parent) &&
		       first->reason == GENERATION_CREATED;
	return !uuid_is_zero(&first->parent) && first->reason != GENERATION_CREATED;
}

int mirror_history_check(const struct history *h)
{
	if (h->count == 0)
		return h->dropped_count == 0 ? 0 : -EPROTO;
	if (h->count > HISTORY_COUNT_MAX || !first_is_valid(h))
		return -EPROTO;
	for (uint32_t i = 0; i < h->count; i++) {
		const struct generation *g = &h->entry[i];

		if (uuid_is_zero(&g->id) || index_of(h, &g->id) != (int)i ||
		    uuid_equal(&g->id, &h->entry[0].parent))
			return -EPROTO;
		if (g->reason < GENERATION_CREATED || g->reason > GENERATION_ASYNC ||
		    g->site >= CONFIG_SITE_COUNT_MAX || g->cut == UINT64_MAX)
			return -EPROTO;
		if (i > 0 && (!uuid_equal(&g->parent, &h->entry[i - 1].id) ||
			      g->ordinal != h->entry[i - 1].ordinal + 1 ||
			      g->reason == GENERATION_CREATED))
			return -EPROTO;
	}
	return 0;
}

/* Of the entries from `from` on, was a force the first that cut records up to `last`? An
 * earlier entry with another reason cut only records that were never acknowledged. */
static bool forced_first(const struct history *h, uint32_t from, uint64_t last)
{
	for (uint32_t i = from; i < h->count; i++) {
		if (h->entry[i].cut >= last)
			continue;
		if (h->entry[i].reason == GENERATION_FORCED)
			return true;
		last = h->entry[i].cut;
	}
	return false;
}

/* Lower *keep to the lowest cut of the entries from `from` on. */
static void apply_cuts(const struct history *h, uint32_t from, uint64_t *keep)
{
	for (uint32_t i = from; i < h->count; i++)
		if (h->entry[i].cut < *keep)
			*keep = h->entry[i].cut;
}

/* Number of entries of `h` up to and including `id`, which is its ancestor: 0 stands
 * for the parent of the oldest entry. */
static uint32_t entries_through(const struct history *h, const struct uuid *id)
{
	const int i = index_of(h, id);

	return i < 0 ? 0 : (uint32_t)i + 1;
}

/* The newest generation that is in both chains. */
static bool common_ancestor(const struct history *own, const struct history *theirs,
			    struct uuid *id)
{
	for (uint32_t i = own->count; i-- > 0;)
		if (mirror_history_is_ancestor(theirs, &own->entry[i].id)) {
			*id = own->entry[i].id;
			return true;
		}
	if (own->count > 0 && mirror_history_is_ancestor(theirs, &own->entry[0].parent)) {
		*id = own->entry[0].parent;
		return true;
	}
	return false;
}

/* May our newest be one that their chain has dropped? */
static bool may_be_dropped(const struct history *own, const struct history *theirs)
{
	return own->count == 0 ||
	       (theirs->dropped_count > 0 &&
		history_newest(own)->ordinal < theirs->entry[0].ordinal);
}

void mirror_history_judge(const struct history *own, uint64_t own_last_sequence,
			  const struct history *theirs, struct mirror_judgement *out)
{
	uint32_t after;

	*out = (struct mirror_judgement){ 0 };
	out->has_ancestor = common_ancestor(own, theirs, &out->ancestor);
	if (out->has_ancestor) {
		out->keep_sequence = own_last_sequence;
		after = entries_through(theirs, &out->ancestor);
		out->forced = forced_first(theirs, after, own_last_sequence);
		apply_cuts(theirs, after, &out->keep_sequence);
		apply_cuts(own, entries_through(own, &out->ancestor),
			   &out->keep_sequence);
	}
	out->dropped_count = own_last_sequence - out->keep_sequence;

	if (out->has_ancestor && uuid_equal(&history_newest(own)->id, &out->ancestor)) {
		out->verdict = MIRROR_VERDICT_CONTINUES;
		out->rule = "D8-continues";
	} else if (out->has_ancestor &&
		   uuid_equal(&history_newest(theirs)->id, &out->ancestor)) {
		out->verdict = MIRROR_VERDICT_AHEAD;
		out->rule = "D8-ahead";
	} else if (out->has_ancestor || !may_be_dropped(own, theirs)) {
		out->verdict = MIRROR_VERDICT_FORKED;
		out->rule = "D8-split-brain";
	} else {
		out->verdict = MIRROR_VERDICT_UNKNOWN;
		out->rule = "D8-unknown";
	}
}
