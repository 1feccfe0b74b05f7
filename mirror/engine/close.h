/* engine/close.h - closing a site: see engine/close.c. */
#ifndef MIRROR_ENGINE_CLOSE_H
#define MIRROR_ENGINE_CLOSE_H

#include <stdbool.h>
#include <stdint.h>

struct mirror_engine;
struct order;

struct engine_closing {
	uint64_t order_id;
	bool asked; /* the driver is closing the devices */
};

void mirror_close_order(struct mirror_engine *m, const struct order *o);
void mirror_close_pump(struct mirror_engine *m);
void mirror_closed(struct mirror_engine *m);

#endif
