/* engine/pace.h - how much clients may write while a copy is refreshed. */
#ifndef MIRROR_ENGINE_PACE_H
#define MIRROR_ENGINE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/log/record.h"

struct mirror_engine;

/* Of one refresh: clients may write, have written. */
struct engine_pace {
	uint64_t room_bytes, spent_bytes;
	uint64_t hold_bytes; /* the copy has room for so much, whatever this log has */
	uint64_t room_records, spent_records;
};

uint64_t mirror_pace_stream_bytes(const struct mirror_engine *m, uint64_t sequence);
bool mirror_pace_fits(const struct mirror_engine *m, uint32_t site);
void mirror_pace_begin(struct mirror_engine *m, uint32_t site, uint64_t extents);
void mirror_pace_asked(struct mirror_engine *m, uint32_t site);
bool mirror_pace_ready(struct mirror_engine *m, uint32_t site, uint32_t room_blocks);
void mirror_pace_spend(struct mirror_engine *m, const struct mirror_header *h);
bool mirror_pace_waits(const struct mirror_engine *m);

#endif
