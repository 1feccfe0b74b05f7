/* random.h - xorshift64* (S. Vigna, 2016): the draws of a seed. */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <stdint.h>

struct sim_random {
	uint64_t state; /* not 0 */
};

static inline uint64_t sim_random_next(struct sim_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1d;
}

static inline uint64_t sim_random_below(struct sim_random *r, uint64_t count)
{
	return (sim_random_next(r) >> 16) % count;
}

#endif
