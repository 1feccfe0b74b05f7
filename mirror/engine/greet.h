/* engine/greet.h - the hello that is being judged. */
#ifndef MIRROR_ENGINE_GREET_H
#define MIRROR_ENGINE_GREET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/fact.h"
#include "mirror/io.h"

struct mirror_engine;

enum greeting_step {
	GREETING_NONE,
	GREETING_QUIET,
	GREETING_STORE,
	GREETING_ANSWER,
};

struct engine_greeting {
	uint32_t link; /* the hello being judged, or NONE */
	enum greeting_step step;
	uint64_t ticket, map_ticket;
	char refused_text[FACT_TEXT_MAX]; /* the last refusal of a hello that was told */
	char unlike_text[FACT_TEXT_MAX];  /* of the last hello: another file, mirror or
					     version; or "" */
};

bool mirror_greeting_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_greeting_lost(struct mirror_engine *m);
void mirror_greetings_pump(struct mirror_engine *m);

#endif
