/* engine/outrun.h - copies that clients outrun in async, where no client waits for one. */
#ifndef MIRROR_ENGINE_OUTRUN_H
#define MIRROR_ENGINE_OUTRUN_H

#include <stdbool.h>
#include <stdint.h>

struct mirror_engine;

/* Of one copy. */
struct engine_outrun {
	bool bypass;       /* put there as too slow, until a link brings it level again */
	bool paced;        /* by command clients wait for its refresh */
	uint32_t count;    /* outrun so often in a row */
	uint64_t again_ns; /* its refresh does not begin before */
	uint64_t level_ns; /* it has been level since; 0: it is not */
};

/* May clients write on, however far the copy falls behind? */
bool mirror_outrun_may(const struct mirror_engine *m, uint32_t site);
/* May its refresh begin now? */
bool mirror_outrun_allows(struct mirror_engine *m, uint32_t site);
/* Clients have outrun it: its stream ends, and its refresh begins after refresh-retry. */
void mirror_outrun_cut(struct mirror_engine *m, uint32_t site, const char *text);
/* It links, and has `durable`: is the log full of what it lacks? */
bool mirror_outrun_meets(const struct mirror_engine *m, uint32_t site, uint64_t durable);
/* The stream begins, with a refresh or without. */
void mirror_outrun_begins(struct mirror_engine *m, uint32_t site, bool refresh);
/* Each record reaches it as it is stamped. */
void mirror_outrun_level(struct mirror_engine *m, uint32_t site);
/* Its refresh has ended, and it has all of it. */
void mirror_outrun_refreshed(struct mirror_engine *m, uint32_t site);
/* Its link is lost; its refresh is not stopped yet. */
void mirror_outrun_lost(struct mirror_engine *m, uint32_t site);
/* An operator's `refresh`: at once; `pace`: and clients wait for it. */
void mirror_outrun_forgive(struct mirror_engine *m, uint32_t site, bool pace);
/* A new generation. */
void mirror_outrun_serve(struct mirror_engine *m, uint32_t site);
/* Until its refresh may begin; 0: it may, or there is none to begin. */
uint64_t mirror_outrun_left_ms(const struct mirror_engine *m, uint32_t site);
void mirror_outrun_pump(struct mirror_engine *m);

#endif
