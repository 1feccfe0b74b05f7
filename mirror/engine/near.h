/* engine/near.h - near copies: counted by a view in async, within a bound (M4). */
#ifndef MIRROR_ENGINE_NEAR_H
#define MIRROR_ENGINE_NEAR_H

#include <stdbool.h>
#include <stdint.h>

struct mirror_engine;

/* Of one copy. */
struct engine_near {
	bool leaves;       /* the members were told that it has to leave */
	uint64_t since_ns; /* within half the bound since; 0: it is not */
};

/* What is durable at each copy, for the bound. */
void mirror_near_prove(struct mirror_engine *m);
/* Within half the bound for ten seconds? */
bool mirror_near_may_enter(struct mirror_engine *m, uint32_t site);
/* The mode asks for more than async now: a copy that lacks too much leaves and enters anew. */
void mirror_near_promised(struct mirror_engine *m);
/* Under the lease: a copy that keeps back the next answer leaves. */
void mirror_near_pump(struct mirror_engine *m);

#endif
