/* engine/maps.h - tracking maps written, and headers read back. */
#ifndef MIRROR_ENGINE_MAPS_H
#define MIRROR_ENGINE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/io.h"

struct mirror_descriptor;
struct mirror_engine;
struct mirror_map_chunk;

struct engine_maps {
	struct mirror_io io;
	struct iovec iov;
	bool writing, flush_needed;
	uint64_t changes, covers, durable;
	uint64_t epoch_ticket;
};

enum headers_user { HEADERS_BYPASS, HEADERS_CUT };

struct engine_headers {
	struct mirror_io io;
	struct iovec iov;
	bool reading;
	enum headers_user user;
	uint64_t sequence, position; /* asked for, and of its descriptor */
};

uint64_t mirror_maps_want(struct mirror_engine *m);
bool mirror_maps_have(const struct mirror_engine *m, uint64_t ticket);
void mirror_maps_set(struct mirror_engine *m, uint32_t site, uint32_t disk,
		     uint64_t offset_bytes, uint64_t length_bytes);
void mirror_maps_set_all(struct mirror_engine *m, uint32_t site);
void mirror_maps_merge(struct mirror_engine *m, uint32_t site, uint32_t from);
/* A block of a map, as it stands on the log device; one that is damaged (or `data` is
 * NULL) is all dirty, and written anew. */
void mirror_maps_load(struct mirror_engine *m, uint32_t site, uint64_t block,
		      const uint8_t *data);
int mirror_maps_import(struct mirror_engine *m, uint32_t site,
		       const struct mirror_map_chunk *chunk, const uint8_t *data,
		       size_t data_bytes);
void mirror_maps_clear(struct mirror_engine *m, uint32_t site);
void mirror_maps_pump(struct mirror_engine *m);
void mirror_maps_io(struct mirror_engine *m, struct mirror_io *io);
bool mirror_headers_read(struct mirror_engine *m, uint64_t sequence,
			 enum headers_user user);
bool mirror_headers_stand(const struct mirror_engine *m, uint64_t sequence,
			  uint64_t position, struct mirror_descriptor *d);
void mirror_headers_io(struct mirror_engine *m, struct mirror_io *io);

#endif
