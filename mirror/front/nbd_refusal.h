/* nbd_refusal.h - clients that were refused: which of them the operator is told of, and
 * when.
 *
 * A client that cannot connect tries again, perhaps a thousand times a second, and the
 * log of events is bounded. So the first refusal of each kind is told at once, and those
 * that follow once a minute, with their number.
 *
 * Pure logic. nbd_refusal_driver.c tells; an event's rule is the kind's name.
 */
#ifndef MIRROR_FRONT_NBD_REFUSAL_H
#define MIRROR_FRONT_NBD_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/fact.h"

/* At least so long between two events of one kind; and so long after the last refusal
 * `why` still speaks of it. */
#define MIRROR_NBD_REFUSAL_TELL_NS (60 * 1000000000ull)

enum mirror_nbd_refusal {
	MIRROR_NBD_REFUSED_NOT,
	MIRROR_NBD_REFUSED_FULL, /* all places are taken */
	MIRROR_NBD_REFUSED_MEMORY,
	MIRROR_NBD_REFUSED_FILES, /* the process may open no more files */
	MIRROR_NBD_REFUSED_EXPORT,
	MIRROR_NBD_REFUSED_HANDSHAKE,
	MIRROR_NBD_REFUSED_REQUEST, /* later: something came that was no request */
	MIRROR_NBD_REFUSED_CLOSING, /* it came when clients are served no more */
	MIRROR_NBD_REFUSED_COUNT,
};

struct mirror_nbd_refusals {
	struct mirror_nbd_refusal_kind {
		uint64_t count;   /* in all */
		uint64_t untold;  /* since the last event */
		uint64_t run;     /* in a row, each soon after the one before */
		uint64_t told_ns; /* CLOCK_BOOTTIME; 0: never */
		uint64_t last_ns;
		char text[FACT_TEXT_MAX / 2]; /* of the last one */
	} kind[MIRROR_NBD_REFUSED_COUNT];
};

/* The rule that refused, as events name it. */
const char *mirror_nbd_refusal_rule(enum mirror_nbd_refusal kind);

/* A client was refused; `text` names the reason and a remedy. `now_ns` is not 0. */
void mirror_nbd_refusal_note(struct mirror_nbd_refusals *r, enum mirror_nbd_refusal kind,
			     const char *text, uint64_t now_ns);

/* The next kind that is to be told of now, with its sentence in `text`; or
 * MIRROR_NBD_REFUSED_NOT. It counts as told. */
enum mirror_nbd_refusal mirror_nbd_refusal_tell(struct mirror_nbd_refusals *r,
						uint64_t now_ns,
						char text[FACT_TEXT_MAX]);

/* When to ask that again, or UINT64_MAX. */
uint64_t mirror_nbd_refusal_wake_ns(const struct mirror_nbd_refusals *r);

/* How many in all. */
uint64_t mirror_nbd_refusal_count(const struct mirror_nbd_refusals *r);

/* A sentence for `why` when refusals last, or "". `full`: all places for clients are
 * taken now; any other cause counts as lasting after several refusals. */
void mirror_nbd_refusal_why(const struct mirror_nbd_refusals *r, bool full,
			    uint64_t now_ns, char text[FACT_TEXT_MAX]);

#endif
