/* engine/receive.h - the copy's end of a stream. */
#ifndef MIRROR_ENGINE_RECEIVE_H
#define MIRROR_ENGINE_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/identity.h"
#include "mirror/io.h"

struct mirror_engine;

struct engine_copy {
	uint32_t stream_link; /* the STREAM_IN, or NONE */
	uint64_t end;         /* refresh: level when durable to here */
	uint64_t
		lift_ticket; /* ... and the hold lifted in the superblock: appends go on */
	uint64_t behind;     /* records that production is ahead */
	uint64_t acknowledged; /* by production, as this stream has told */
	bool home_at_once;     /* clients wait for homes (M9): likewise */
	bool clean_due;
	struct uuid clean_generation;
	uint64_t clean_sequence;
	bool promote_due; /* ... after which this site is to be promoted */
	uint64_t clean_ticket;
};

void mirror_copy_stream_begins(struct mirror_engine *m, uint32_t number);
void mirror_copy_stream_lost(struct mirror_engine *m, const char *text);
bool mirror_copy_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_copy_pump(struct mirror_engine *m);
void mirror_proven_limit(struct mirror_engine *m);

#endif
