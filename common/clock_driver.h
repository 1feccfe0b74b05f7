/* clock_driver.h - the clocks. For drivers: a core is told the time. */
#ifndef COMMON_CLOCK_DRIVER_H
#define COMMON_CLOCK_DRIVER_H

#include <stdint.h>
#include <time.h>

/* The reading of CLOCK_BOOTTIME, CLOCK_REALTIME or the like, which cannot fail, in
 * nanoseconds. */
static inline uint64_t common_clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ... in milliseconds. */
static inline uint64_t common_clock_ms(clockid_t clock)
{
	return common_clock_ns(clock) / 1000000;
}

#endif
