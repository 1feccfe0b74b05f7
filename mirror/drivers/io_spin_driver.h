/* io_spin_driver.h - wait a little before sleeping: the I/O thread looks for a completion
 * for some microseconds where one is known to be under way and usually comes that soon.
 * A wake-up between two processes costs about as much as a fast device needs for a write.
 *
 * It watches whether that pays. A thread that was kept from the processor while it looked,
 * or that looked in vain too often, sleeps at once for a while.
 *
 * Pure logic: the loop (io_driver.c) looks, and reads the clock.
 */
#ifndef MIRROR_DRIVERS_IO_SPIN_DRIVER_H
#define MIRROR_DRIVERS_IO_SPIN_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

struct io_spin {
	uint64_t limit_ns;     /* never longer; 0: off */
	bool always;           /* the operator's number: it counts as paying */
	uint64_t usual_ns;     /* how long such a wait took of late */
	uint32_t tried, paid;  /* looks, and those that needed no sleep */
	uint64_t off_until_ns; /* it does not pay now */
};

/* `limit_us` 0: never; CONFIG_SPIN_AUTO: while it pays; else always for so long. */
void io_spin_init(struct io_spin *s, uint32_t limit_us);

/* A wait begins. Returns how many nanoseconds to look before sleeping; 0: sleep. */
uint64_t io_spin_begin(const struct io_spin *s, uint64_t now_ns);

enum io_spin_outcome {
	IO_SPIN_SLEPT,    /* without having looked */
	IO_SPIN_FOUND,    /* no sleep was needed */
	IO_SPIN_IN_VAIN,  /* it slept after all */
	IO_SPIN_KEPT_OFF, /* ... since another thread took the processor */
};

/* A wait that began at `begun_ns` has ended at `now_ns`. */
void io_spin_end(struct io_spin *s, uint64_t now_ns, uint64_t begun_ns,
		 enum io_spin_outcome outcome);

#endif
