/* engine/refresh.h - production's end of a stream: catching up, the refresh. */
#ifndef MIRROR_ENGINE_REFRESH_H
#define MIRROR_ENGINE_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/engine/bounds.h"
#include "mirror/io.h"
#include "mirror/log/record.h"

struct engine_link;
struct engine_read;
struct mirror_engine;
struct order;

enum refresh_phase {
	REFRESH_NONE,
	REFRESH_MAPPING, /* map being completed and written */
	REFRESH_ASKED,   /* BEGIN sent, READY awaited */
	REFRESH_COPYING,
	REFRESH_ENDING,  /* END sent, confirmation awaited */
	REFRESH_REFUSED, /* needs consent or room */
};

/* The data that a refresh record brings to the copy. */
struct engine_refresh_data {
	uint64_t sequence;
	uint8_t *data; /* a reference held; NULL: zeroes */
};

/* Of one copy. */
struct engine_refresh {
	uint64_t chase_ns, chase_behind, chase_logged,
		chase_count; /* CATCHING_UP: how it was then */
	enum refresh_phase phase;
	bool inconsistent_ok;
	uint64_t map_cursor, done, total;
	uint64_t mapping_ns;    /* MAPPING, ASKED: since */
	uint64_t map_to;        /* MAPPING: the map is to stand for all up to here */
	uint64_t end;           /* last refresh record */
	uint32_t refused_count; /* by this connection: see engine/pace.c */
	bool all_read;          /* COPYING: no extent is left to be read */
	bool starved;           /* ... or the next read cannot begin: clients wait */
	uint32_t outrun_count;  /* ASKED: so often in a row clients wrote too much */
	uint32_t reads;         /* under way */
	/* stamped and not yet sent, oldest first; counted since the open began */
	struct engine_refresh_data unsent[REFRESH_UNSENT_MAX];
	uint64_t unsent_head, unsent_tail;
};

void mirror_production_begins(struct mirror_engine *m, uint32_t number);
/* A confirmation of the copy at `site`, of all up to `durable`: it may be the end. */
void mirror_refresh_confirmed(struct mirror_engine *m, uint32_t site, uint64_t durable);
/* The copy's map, or its word that its hold stands. False: out of place or malformed. */
bool mirror_refresh_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_refresh_stop(struct mirror_engine *m, uint32_t site);
void mirror_refresh_order(struct mirror_engine *m, const struct order *o);
/* A refresh begins, or is asked for again, with the map of the extents that the copy misses. */
void mirror_refresh_map(struct mirror_engine *m, uint32_t site);
bool mirror_refresh_covers(const struct mirror_engine *m, uint32_t disk,
			   uint64_t offset_bytes, uint64_t length_bytes);
void mirror_refresh_read_done(struct mirror_engine *m, struct engine_read *rd,
			      int32_t result);
/* A record is about to be sent on link `l`. True: it refreshes the copy there, and `h` and
 * `data` become those to be sent. */
bool mirror_refresh_brings(struct mirror_engine *m, const struct engine_link *l,
			   struct mirror_header *h, uint8_t **data);
/* It is handed to the driver, which has its own reference to the data. */
void mirror_refresh_brought(struct mirror_engine *m, const struct engine_link *l);
/* `bytes` of a refresh are handed to the line. */
void mirror_refresh_sent(struct engine_link *l, uint64_t bytes);
void mirror_refresh_pump(struct mirror_engine *m);
bool mirror_refresh_ends(const struct mirror_engine *m, uint32_t site);

#endif
