/* pair_play.h - steps that several tests of a pair of engines share. */
#ifndef TESTS_UNIT_PAIR_PLAY_H
#define TESTS_UNIT_PAIR_PLAY_H

#include "tests/unit/pair.h"

/* A mirror whose site 0 serves, with every copy filled and level. `log_bytes` of each. */
struct pair *pair_level(uint64_t seed, uint32_t site_count, uint64_t log_bytes);

/* Link `production` to every other site. */
void pair_link_all(struct pair *p, uint32_t production);

/* Run the client on `production` for so many steps. */
void pair_load(struct pair *p, uint32_t production, uint32_t steps);

/* The client ends, everything comes home, all sites are level; then all hold the
 * same, and none keeps a buffer or a frame. */
void pair_settle(struct pair *p, uint32_t production);

/* ORDER_CLOSE, until it is said that it is; ORDER_OPEN of the same process. */
bool pair_close(struct pair *p, uint32_t site);
bool pair_open(struct pair *p, uint32_t site);

/* ORDER_DEMOTE, until FACT_DEMOTED; ORDER_DEPOSE; ORDER_VIEW of the chain as it is. */
bool pair_demote(struct pair *p, uint32_t site, uint32_t wait_ms);
void pair_depose(struct pair *p, uint32_t site);
void pair_view(struct pair *p, uint32_t site);

/* G6: a copy that is not blank holds, home and log up to its hold together, exactly
 * the history up to there. Nothing is expected of a tail that is yet to be judged. */
void pair_expect_image(struct pair *p, uint32_t site);

/* True once `count` facts of the type have come since the start of the process. */
bool pair_wait_fact(struct pair *p, uint32_t site, enum fact_type type, uint32_t count,
		    uint32_t steps);

#endif
