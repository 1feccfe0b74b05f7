/* property.h - for tests of many random steps: numbers from a seed, so that a
 * failure repeats, and a check that is cheap while it holds. (libcheck's own
 * tells its parent process about every one that it passes.) */
#ifndef TESTS_UNIT_PROPERTY_H
#define TESTS_UNIT_PROPERTY_H

#include <check.h>
#include <stdint.h>

#define expect(condition)                                             \
	do {                                                          \
		if (!(condition))                                     \
			ck_abort_msg("expected: %s", #condition);     \
	} while (0)

struct random {
	uint64_t state;   /* not 0 */
};

/* xorshift64* (S. Vigna, 2016). */
static inline uint64_t random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1d;
}

/* 0 .. count-1 */
static inline uint64_t random_below(struct random *r, uint64_t count)
{
	return (random_next(r) >> 16) % count;
}

#endif
