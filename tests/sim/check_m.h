/* check_m.h - records that a copy lacks, for the checkers of modes and promotions. */
#ifndef TESTS_SIM_CHECK_M_H
#define TESTS_SIM_CHECK_M_H

#include "common/promise.h"
#include "tests/sim/sim.h"

/* Clients' writes that are lacked, their bytes, and the oldest of them. */
struct sim_lacked {
	uint64_t count, bytes, stamped_ns;
	uint32_t generation; /* of the oldest */
};

/* Those of (from, to] in the history of `limit` (sim_limits()). */
struct sim_lacked sim_lacked(const struct sim *w, const uint64_t *limit, uint64_t from,
			     uint64_t to);

/* Is that more than the promise allows at `at_ns`, of the clock that stamped it? */
bool sim_lacks_more(const struct sim_lacked *l, const struct promise *p, uint64_t at_ns);

#endif
