/* pool_driver.h - the pages of the pool: brought into memory and given back, by a thread that
 * waits for nothing else.
 *
 * Where memory is short the kernel may keep the thread waiting, for as long as it is short. The
 * thread is there from the beginning, since to start one needs memory too.
 */
#ifndef MIRROR_DRIVERS_POOL_DRIVER_H
#define MIRROR_DRIVERS_POOL_DRIVER_H

#include <stdint.h>

#include "mirror/drivers/io_driver.h"

struct pool_driver;

/* Start the thread. Returns 0 and `*driver`, or -errno of pthread_create(3). */
int pool_driver_create(struct io_driver *io, struct pool_driver **driver);

/* Cut an order short that is under way, and wait for the thread. NULL is fine. */
void pool_driver_destroy(struct pool_driver *d);

/* Begin with this one; the core is told when it is done (MIRROR_EVENT_POOL). None is under way.
 * GROW needs Linux 5.14, SHRINK 5.18: before, both fail. */
void pool_driver_order(struct pool_driver *d, const struct mirror_pool_order *order);

/* Bring these pages into memory, huge ones where there are any: for a caller that may wait. For
 * each operation the kernel looks at the pages of its buffer one by one, and at a huge one once.
 * Returns 0 or -errno of madvise(2). */
int pool_driver_populate(void *at, uint64_t bytes);

#endif
