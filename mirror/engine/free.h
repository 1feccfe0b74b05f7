/* engine/free.h - disks flushed, the log given back, and the maps that take over. */
#ifndef MIRROR_ENGINE_FREE_H
#define MIRROR_ENGINE_FREE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"
#include "mirror/log/record.h"

struct mirror_engine;

struct engine_free {
	uint64_t dirty_since_ns;
	bool disk_dirty[CONFIG_DISK_COUNT_MAX];
	uint32_t flushes_running;
	uint64_t flush_covers;
	struct mirror_io flush_io[CONFIG_DISK_COUNT_MAX];
	uint64_t home_bytes; /* of records at home since the last flush */
	uint64_t freed_bytes;
};

enum bypass_step { BYPASS_NONE, BYPASS_HEADERS, BYPASS_MAP, BYPASS_SUPERBLOCK };

struct engine_bypass {
	enum bypass_step step;
	uint64_t next, ticket;
	uint32_t sites; /* bit per site that the round stands for, from its begin */
	uint32_t round;
	uint32_t
		by_command; /* M6: bit per site for which it takes over in any case ... */
	uint64_t again_ns;  /* ... not before, since a round costs writes and a flush */
};

/* Its room ends: maps take over, or it takes no more records. */
bool mirror_log_is_short(const struct mirror_engine *m);
void mirror_free_pump(struct mirror_engine *m);
uint64_t mirror_free_covered(const struct mirror_engine *m, uint32_t site);
void mirror_free_io(struct mirror_engine *m, struct mirror_io *io);
/* ORDER_SERVE, ORDER_WAIT: the view in effect says so of these sites, and no stream goes to
 * them any more. */
void mirror_bypass_order(struct mirror_engine *m, uint32_t sites);
void mirror_bypass_headers(struct mirror_engine *m, const struct mirror_header *headers,
			   uint32_t count);
void mirror_free_damaged(struct mirror_engine *m, uint32_t site);
void mirror_bypass_damaged(struct mirror_engine *m);

#endif
