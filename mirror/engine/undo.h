/* engine/undo.h - writes that are not undone without consent. */
#ifndef MIRROR_ENGINE_UNDO_H
#define MIRROR_ENGINE_UNDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/fact.h"
#include "mirror/line/wire.h"

struct mirror_engine;
struct mirror_judgement;

struct engine_undo {
	uint32_t allowed; /* bit per site */
	char text[FACT_TEXT_MAX];
};

/* A hello of before, without members: the site that sent it has begun our newest generation
 * since. There is nothing to ask the operator for. */
bool mirror_undo_overtaken(const struct mirror_engine *m, const struct mirror_hello *h);
bool mirror_undo_waits(struct mirror_engine *m, const struct mirror_hello *h, char *text,
		       size_t size);
bool mirror_undo_keeps(const struct mirror_engine *m, const struct mirror_judgement *j,
		       char *text, size_t size);
void mirror_undo_tell(struct mirror_engine *m, const struct mirror_judgement *j,
		      const struct history *theirs);
bool mirror_undo_takes(struct mirror_engine *m, const struct mirror_hello *h);
/* This site serves: its question to the operator is over, and consent is not kept for a later
 * loss. */
void mirror_undo_forget(struct mirror_engine *m);

#endif
