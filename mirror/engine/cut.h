/* engine/cut.h - truncation to a cut (D5, D8) or to a hold (W6), and the leap. */
#ifndef MIRROR_ENGINE_CUT_H
#define MIRROR_ENGINE_CUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/identity.h"
#include "mirror/log/record.h"
#include "mirror/line/wire.h"

struct mirror_engine;

enum cut_step { CUT_NONE, CUT_QUIET, CUT_HEADERS, CUT_MAP, CUT_SUPERBLOCK };

struct engine_cut {
	enum cut_step step;
	uint64_t keep, next, ticket;
	struct history history;
	bool home; /* records that are cut may be at home: own map */
};

enum leap_step { LEAP_NONE, LEAP_HOME, LEAP_SUPERBLOCK };

struct engine_leap {
	enum leap_step step;
	struct mirror_refresh_begin begin;
	uint32_t room_blocks; /* beyond the bytes announced */
	uint64_t ticket;
};

void mirror_cut_start(struct mirror_engine *m, uint64_t keep, bool home,
		      const struct history *adopt);
void mirror_cut_to_hold(struct mirror_engine *m, const char *text);
void mirror_cut_headers(struct mirror_engine *m, const struct mirror_header *headers,
			uint32_t count);
void mirror_cut_pump(struct mirror_engine *m);
/* Drop records beyond `keep` that a link has brought and for which no log write has begun:
 * they were never confirmed. So a log without room cannot keep the next link waiting. */
void mirror_records_drop_unlogged(struct mirror_engine *m, uint64_t keep);
void mirror_record_forget(struct mirror_engine *m, struct mirror_record *r);
void mirror_leap_start(struct mirror_engine *m, const struct mirror_refresh_begin *b);
void mirror_leap_forget(struct mirror_engine *m);
bool mirror_leap_pump(struct mirror_engine *m);

#endif
