/* nbd_refusal.c - see nbd_refusal.h. */
#include "mirror/front/nbd_refusal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* One mistyped name is no state of the mirror. */
#define RUN_THAT_LASTS 3u

const char *mirror_nbd_refusal_rule(enum mirror_nbd_refusal kind)
{
	static const char *const rule[] = {
		[MIRROR_NBD_REFUSED_NOT] = "",
		[MIRROR_NBD_REFUSED_FULL] = "clients-full",
		[MIRROR_NBD_REFUSED_MEMORY] = "clients-memory",
		[MIRROR_NBD_REFUSED_FILES] = "clients-files",
		[MIRROR_NBD_REFUSED_EXPORT] = "no-such-disk",
		[MIRROR_NBD_REFUSED_HANDSHAKE] = "bad-handshake",
		[MIRROR_NBD_REFUSED_REQUEST] = "bad-request",
		[MIRROR_NBD_REFUSED_CLOSING] = "clients-closing",
	};

	assert(kind < MIRROR_NBD_REFUSED_COUNT);
	return rule[kind];
}

void mirror_nbd_refusal_note(struct mirror_nbd_refusals *r, enum mirror_nbd_refusal kind,
			     const char *text, uint64_t now_ns)
{
	struct mirror_nbd_refusal_kind *k = &r->kind[kind];
	const bool soon = k->count > 0 &&
			  now_ns - k->last_ns < MIRROR_NBD_REFUSAL_TELL_NS;

	assert(kind > MIRROR_NBD_REFUSED_NOT && kind < MIRROR_NBD_REFUSED_COUNT);
	k->count++;
	k->untold++;
	k->run = soon ? k->run + 1 : 1;
	k->last_ns = now_ns;
	snprintf(k->text, sizeof k->text, "%s", text);
}

static uint64_t due_ns(const struct mirror_nbd_refusal_kind *k)
{
	if (k->untold == 0)
		return UINT64_MAX;
	return k->told_ns == 0 ? 0 : k->told_ns + MIRROR_NBD_REFUSAL_TELL_NS;
}

enum mirror_nbd_refusal mirror_nbd_refusal_tell(struct mirror_nbd_refusals *r,
						uint64_t now_ns, char text[FACT_TEXT_MAX])
{
	for (uint32_t i = 0; i < MIRROR_NBD_REFUSED_COUNT; i++) {
		struct mirror_nbd_refusal_kind *k = &r->kind[i];

		if (due_ns(k) > now_ns)
			continue;
		if (k->untold == 1)
			snprintf(text, FACT_TEXT_MAX, "a client was refused: %s",
				 k->text);
		else
			snprintf(text, FACT_TEXT_MAX,
				 "%" PRIu64 " clients were refused, the last one: %s",
				 k->untold, k->text);
		k->untold = 0;
		k->told_ns = now_ns;
		return i;
	}
	return MIRROR_NBD_REFUSED_NOT;
}

uint64_t mirror_nbd_refusal_wake_ns(const struct mirror_nbd_refusals *r)
{
	uint64_t wake_ns = UINT64_MAX;

	for (uint32_t i = 0; i < MIRROR_NBD_REFUSED_COUNT; i++)
		if (due_ns(&r->kind[i]) < wake_ns)
			wake_ns = due_ns(&r->kind[i]);
	return wake_ns;
}

uint64_t mirror_nbd_refusal_count(const struct mirror_nbd_refusals *r)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < MIRROR_NBD_REFUSED_COUNT; i++)
		count += r->kind[i].count;
	return count;
}

static bool lasts(const struct mirror_nbd_refusal_kind *k, enum mirror_nbd_refusal kind,
		  bool full, uint64_t now_ns)
{
	if (k->count == 0)
		return false;
	if (kind == MIRROR_NBD_REFUSED_FULL && full)
		return true;
	return k->run >= RUN_THAT_LASTS &&
	       now_ns - k->last_ns < MIRROR_NBD_REFUSAL_TELL_NS &&
	       kind != MIRROR_NBD_REFUSED_FULL && kind != MIRROR_NBD_REFUSED_CLOSING;
}

void mirror_nbd_refusal_why(const struct mirror_nbd_refusals *r, bool full,
			    uint64_t now_ns, char text[FACT_TEXT_MAX])
{
	text[0] = '\0';
	for (uint32_t i = 0; i < MIRROR_NBD_REFUSED_COUNT && text[0] == '\0'; i++) {
		const struct mirror_nbd_refusal_kind *k = &r->kind[i];

		if (lasts(k, i, full, now_ns))
			snprintf(text, FACT_TEXT_MAX,
				 "NBD clients are refused, %" PRIu64
				 " so far, the last one %" PRIu64 " s ago: %s",
				 k->count, (now_ns - k->last_ns) / 1000000000, k->text);
	}
}
