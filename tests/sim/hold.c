/* hold.c - a scenario holds things back until it lets go: the voter file of a node, messages
 * from and to its members' service, orders to its engine, one direction of the lines between
 * two nodes, operations of a device. An event that is held comes again a little later, until
 * it may pass.
 */
#include "tests/sim/sim.h"

#define AGAIN_NS (SIM_MS / 4)

void sim_hold(struct sim *w, uint32_t node, enum sim_hold what)
{
	w->node[node].held |= 1u << what;
}

void sim_release(struct sim *w, uint32_t node, enum sim_hold what)
{
	w->node[node].held &= ~(1u << what);
}

/* Only news of the quorum are there to be handed over. */
static bool only_quorum(const struct sim *w, uint32_t node)
{
	const struct sim_item *i = w->node[node].inbox.head;

	while (i != NULL && i->type == SIM_ITEM_QUORUM)
		i = i->next;
	return i == NULL || i->due_ns > w->now_ns;
}

static bool is_held(const struct sim *w, const struct sim_event *e)
{
	const uint32_t held = w->node[e->node].held;

	if (e->type == SIM_PERSISTED)
		return (held >> SIM_HOLD_PERSIST & 1) != 0;
	if (e->type == SIM_ORDER)
		return (held >> SIM_HOLD_ORDERS & 1) != 0;
	if (e->type == SIM_SEND)
		return (held >> SIM_HOLD_OUT & 1) != 0;
	if (e->type != SIM_INBOX)
		return false;
	return (held >> SIM_HOLD_INBOX & 1) != 0 ||
	       ((held >> SIM_HOLD_QUORUM & 1) != 0 && only_quorum(w, e->node));
}

bool sim_is_held(struct sim *w, const struct sim_event *e)
{
	if (!is_held(w, e))
		return false;
	sim_at(w, w->now_ns + AGAIN_NS, e->type, e->node, e->number, e->data);
	return true;
}

void sim_stall(struct sim *w, uint32_t from, uint32_t to, bool stalled)
{
	w->stalled[from][to] = stalled;
}

void sim_hole(struct sim *w, uint32_t from, uint32_t to, bool hole)
{
	w->hole[from][to] = hole;
}

void sim_hold_device(struct sim *w, uint32_t site, uint32_t device, uint32_t ops)
{
	sim_device(w, site, device)->held_ops = ops;
}

void sim_only_there(struct sim_device *d, uint64_t offset, uint64_t bytes)
{
	d->only_from = offset;
	d->only_to = offset + bytes;
}

void sim_release_all(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		w->node[n].held = 0;
		for (uint32_t to = 0; to < w->node_count; to++)
			w->stalled[n][to] = w->hole[n][to] = false;
	}
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		for (uint32_t d = 0; d <= w->plan.disk_count; d++) {
			const uint32_t device = d == 0 ? MIRROR_IO_LOG : d - 1;

			sim_hold_device(w, s, device, 0);
			sim_only_there(sim_device(w, s, device), 0, 0);
		}
	w->worst = false;
}
