/* engine/trust.h - how long clients wait for a copy, and when again. */
#ifndef MIRROR_ENGINE_TRUST_H
#define MIRROR_ENGINE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

struct mirror_engine;

/* The confirmations that a copy owes: of records that it could have. */
struct engine_owed {
	uint64_t has;      /* the most that it has confirmed */
	uint64_t since_ns; /* it lacks something, and no more has come; 0: nothing */
};

struct engine_trust {
	struct engine_owed logged, durable, home;
	uint64_t home_incarnation; /* of the copy; `home` counts within one */
	uint32_t lost_count;       /* so often lost, less the losses made good */
	uint64_t again_ns;         /* clients do not wait for it before */
	bool behind_told;          /* COPY_LOST of one that is refreshed was sent */
	uint64_t good_ns;          /* waited for, and not lost, since; 0: it is not */
};

void mirror_trust_serve(struct mirror_engine *m, uint32_t site);
void mirror_trust_begins(struct mirror_engine *m, uint32_t number);
/* Its marks have changed; `refreshed`: by the end of a refresh. */
void mirror_trust_confirmed(struct mirror_engine *m, uint32_t site, bool refreshed);
/* It has told how far all is home (M9). */
void mirror_trust_homed(struct mirror_engine *m, uint32_t site);
/* Does the copy take the records that it is sent? Then the log is kept for it, and it may
 * be waited for. */
bool mirror_trust_flows(const struct mirror_engine *m, uint32_t site);
/* Clients do not wait for the copy before; 0: they may. They stand still for one that is
 * missing (M8), so nothing is gained by keeping it out. */
uint64_t mirror_trust_again_ns(const struct mirror_engine *m, uint32_t site);
/* May clients begin to wait for the copy, or for its refresh? */
bool mirror_trust_allows(struct mirror_engine *m, uint32_t site);
bool mirror_trust_may_enter(struct mirror_engine *m, uint32_t site);
/* Clients had to wait for a copy, and in vain. */
void mirror_trust_lost(struct mirror_engine *m, uint32_t site);
/* A copy that is waited for begins to be refreshed. */
void mirror_trust_behind(struct mirror_engine *m, uint32_t site);
void mirror_trust_forgive(struct mirror_engine *m, uint32_t site);
void mirror_trust_pump(struct mirror_engine *m);

#endif
