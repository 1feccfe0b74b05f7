/* engine/recover.h - a copy alone brings home all that its log holds. */
#ifndef MIRROR_ENGINE_RECOVER_H
#define MIRROR_ENGINE_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/order.h"

struct mirror_engine;

struct engine_recover {
	bool active;
	uint64_t order_id;
	uint64_t limit;  /* the log's last record; 0: not known yet */
	uint64_t ticket; /* the superblock that says it is home; 0: not yet */
};

/* ORDER_RECOVER: FACT_RECOVERED answers. */
void mirror_recover_order(struct mirror_engine *m, const struct order *o);
/* While it is under way, records up to here go home without a link; 0: none. */
uint64_t mirror_recover_limit(const struct mirror_engine *m);
void mirror_recover_pump(struct mirror_engine *m);

#endif
