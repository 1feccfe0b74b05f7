/* engine/rights.h - the sites that hold every record. */
#ifndef MIRROR_ENGINE_RIGHTS_H
#define MIRROR_ENGINE_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/line/wire.h"

struct mirror_engine;

bool mirror_lost_untracked(const struct mirror_engine *m, uint32_t site, uint64_t needed);
bool mirror_had_all(const struct mirror_engine *m, uint32_t site,
		    const struct mirror_hello *h);
bool mirror_is_clean(const struct mirror_engine *m);
void mirror_rights_hello(const struct mirror_engine *m, uint32_t number,
			 struct mirror_hello *h);
void mirror_rights_probe(struct mirror_engine *m);
/* Which sites the operator has put out (`cluster: none`). */
void mirror_rights_put_out(const struct mirror_engine *m, struct fact *f);
void mirror_roll_answered(struct mirror_engine *m, uint32_t number);
bool mirror_roll_welcomed(struct mirror_engine *m, uint32_t number);
bool mirror_roll_is_whole(const struct mirror_engine *m, uint32_t number,
			  uint64_t sequence);
void mirror_roll_failed(struct mirror_engine *m, uint32_t site, bool busy,
			const char *text);
bool mirror_promise_allows(const struct mirror_engine *m, uint32_t site);
bool mirror_promise_is_own(const struct mirror_engine *m);
bool mirror_promise_is_void(const struct mirror_engine *m);
/* Copies that are linked and sent all that they lack; those of them that have it, durable. */
uint32_t mirror_copies_following(const struct mirror_engine *m);
uint32_t mirror_copies_level(const struct mirror_engine *m);
uint32_t mirror_heir(const struct mirror_engine *m);

#endif
