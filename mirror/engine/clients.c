/* engine/clients.c - letting clients in, and shutting them out: the front-end's sockets. */
#include "mirror/engine/state.h"

/* The generation and its maps are durable. */
static void let_in(struct mirror_engine *m)
{
	if (m->state == ENGINE_STARTING && m->open.serve.ticket != 0 &&
	    mirror_superblock_has(m, m->open.serve.ticket) &&
	    mirror_maps_have(m, m->open.serve.map_ticket)) {
		m->open.serve.ticket = 0;
		if (mirror_map_count(m->open.map, m->open.site) > 0)
			mirror_maps_clear(m, m->open.site);
		m->clients.wanted = true;
	}
}

/* One order at a time: an answer is then known to be that of the last one. */
static void order(struct mirror_engine *m)
{
	if (m->clients.busy || m->clients.wanted == m->clients.ordered)
		return;
	m->clients.busy = true;
	m->clients.ordered = m->clients.wanted;
	m->out->clients = m->clients.wanted ? MIRROR_CLIENTS_OPEN : MIRROR_CLIENTS_CLOSE;
}

void mirror_clients_pump(struct mirror_engine *m)
{
	let_in(m);
	order(m);
}

void mirror_clients_done(struct mirror_engine *m, int32_t error)
{
	const bool opened = m->clients.ordered;
	struct fact *f;

	m->clients.busy = false;
	if (opened && error != 0)
		m->clients.ordered = m->clients.wanted = false;
	if (m->state == ENGINE_STARTING && opened) {
		if (error != 0) {
			mirror_serve_failed(m, m->open.serve.order_id, error,
					    "the clients' socket could not be opened");
			mirror_become_idle(m);
			return;
		}
		mirror_engine_set_state(m, ENGINE_SERVING);
		mirror_yield_init(&m->open.yield);
		mirror_undo_forget(m);
		f = mirror_engine_fact(m, FACT_SERVING);
		f->order_id = m->open.serve.order_id;
	} else if (m->state == ENGINE_DEMOTING && m->open.demote.closing &&
		   !m->clients.ordered) {
		mirror_demoted(m);
	}
}
