/* hold.h - a scenario holds things back until it lets go. */
#ifndef TESTS_SIM_HOLD_H
#define TESTS_SIM_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_device;
struct sim_event;

enum sim_hold {
	SIM_HOLD_PERSIST, /* the voter file: a write under way does not end */
	SIM_HOLD_INBOX,   /* messages of the members' service are not handed over to it */
	SIM_HOLD_OUT,     /* its multicasts get no place in the ring's order */
	SIM_HOLD_QUORUM,  /* news of the quorum are late, the rest is not */
	SIM_HOLD_ORDERS,  /* its I/O thread has not read the members' orders */
};

void sim_hold(struct sim *w, uint32_t node, enum sim_hold what);
void sim_release(struct sim *w, uint32_t node, enum sim_hold what);
/* True: the event has to wait, and comes again. */
bool sim_is_held(struct sim *w, const struct sim_event *e);
/* No frame or close of `from` arrives at `to`; or none from a record on. */
void sim_stall(struct sim *w, uint32_t from, uint32_t to, bool stalled);
void sim_hole(struct sim *w, uint32_t from, uint32_t to, bool hole);
/* Operations of these kinds (1 << op) on a device do not end; 0: all do. */
void sim_hold_device(struct sim *w, uint32_t site, uint32_t device, uint32_t ops);
/* A device's faults, fail or held_ops, strike only there. */
void sim_only_there(struct sim_device *d, uint64_t offset, uint64_t bytes);
void sim_release_all(struct sim *w);

#endif
