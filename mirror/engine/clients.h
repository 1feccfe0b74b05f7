/* engine/clients.h - letting clients in, and shutting them out. */
#ifndef MIRROR_ENGINE_CLIENTS_H
#define MIRROR_ENGINE_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

struct mirror_engine;

/* The front-end: one order under way at a time. It outlives an open. */
struct engine_clients {
	bool wanted, ordered, busy;
};

void mirror_clients_pump(struct mirror_engine *m);
/* The front-end answers: its sockets are open, or closed. */
void mirror_clients_done(struct mirror_engine *m, int32_t error);

#endif
