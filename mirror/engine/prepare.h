/* engine/prepare.h - becoming production: prepared, then serving. */
#ifndef MIRROR_ENGINE_PREPARE_H
#define MIRROR_ENGINE_PREPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/fact.h"
#include "common/identity.h"
#include "common/order.h"

struct mirror_engine;

enum prepare_step {
	PREPARE_NONE,
	PREPARE_QUIET,
	PREPARE_CUT,
	PREPARE_REFUSE,
	PREPARE_ROLL,
	PREPARE_FLUSH,
};

struct engine_prepare {
	enum prepare_step step;
	bool done;
	struct order order;
	uint32_t reached, tried, level, busy;
	uint64_t roll_end;        /* of the source: it has said that it holds so much */
	uint64_t rolled;          /* all that the reached sources hold ends there */
	char text[FACT_TEXT_MAX]; /* why the last source was of no use */
	uint32_t roll_link;
	uint64_t ticket;
};

struct engine_serve {
	uint64_t order_id;
	uint64_t ticket, map_ticket;
	uint64_t view_ballot;
	struct history view_history;
};

void mirror_prepare_order(struct mirror_engine *m, const struct order *o);
void mirror_prepare_call_off(struct mirror_engine *m, const char *text);
void mirror_prepare_rolled(struct mirror_engine *m, uint32_t site, bool complete,
			   bool busy, const char *text);
void mirror_prepare_pump(struct mirror_engine *m);
void mirror_serve_order(struct mirror_engine *m, const struct order *o);
void mirror_serve_failed(struct mirror_engine *m, uint64_t order_id, int32_t error,
			 const char *text);
void mirror_wait_order(struct mirror_engine *m, const struct order *o);
void mirror_view_order(struct mirror_engine *m, const struct order *o);
/* D4: a refusal is lifted when a view of greater ballot that keeps an older generation
 * is in effect: the promotion that stored it has lost. Asked when such a view comes,
 * when a promotion ends (one under way keeps its refusal until then), and when a refusal
 * that a roll-forward asked for is stored: the view may have come before. */
void mirror_refusal_review(struct mirror_engine *m);

#endif
