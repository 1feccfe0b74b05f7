/* pool.h - the memory of an engine's pool, which comes late, or not at all. */
#ifndef TESTS_SIM_POOL_H
#define TESTS_SIM_POOL_H

#include "mirror/io.h"

struct sim;
struct sim_event;

/* If the engine of `node` asks for memory, or gives some back: begin with that. */
void sim_pool_order(struct sim *w, uint32_t node, const struct mirror_pool_order *o);

/* SIM_POOL: that is done, or was refused. */
void sim_pool_event(struct sim *w, const struct sim_event *e);

#endif
