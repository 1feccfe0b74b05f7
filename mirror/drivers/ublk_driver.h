/* ublk_driver.h - the ublk front-end: requests of the kernel's block devices into the
 * core, on the I/O thread's own ring.
 *
 * The device itself is made, started and removed by its helper process
 * (agent/attach_ublk.c), since those commands block. Here it is only served: the
 * character device is opened, every tag is fetched, and each fetch that completes is a
 * request. A commit gives the answer and fetches the tag's next request, so that a turn
 * costs no system call of its own but the copying of data (ublk.h).
 *
 *   device     serve     fail, clients closed   last tag aborted   core done
 *   -          open      -                      -                  -
 *   open       refused   failing                closed             -
 *   failing    refused   -                      closed             -
 *   closed     open      -                      -                  freed
 *
 * failing: the host may not answer any more, or the device is to go without waiting.
 * The kernel's requests, old and new, are answered with an error at once; an answer that the
 * core still gives is for nobody. A device is never served again once
 * it failed: a new one is made. closed: the kernel has stopped it; the core may still
 * have requests that point to it.
 *
 *   tag        request comes    handed over   answered              aborted
 *   fetching   waiting          -             -                     ended
 *   waiting    -                engine        fetching (an error)   -
 *   engine     -                -             fetching              -
 *
 * A client that comes back (docs/rules.md) does not exist: the device ends with this
 * process, the kernel fails the requests under way, and a new device begins with none. A
 * request without a stamp is never seen; one with a stamp is like any write cut off by a
 * crash.
 */
#ifndef MIRROR_DRIVERS_UBLK_DRIVER_H
#define MIRROR_DRIVERS_UBLK_DRIVER_H

#include <stdint.h>

#include "mirror/drivers/io_driver.h"

struct ublk_driver;

/* Make the front-end and plug it in (io_driver_add_frontend()). Returns 0 and
 * `*driver`, or -ENOMEM. */
int ublk_driver_create(struct io_driver *io, struct ublk_driver **driver);

/* After io_driver_destroy(): the ring points to memory that is freed here. The engine's pool
 * still exists. NULL is fine. */
void ublk_driver_destroy(struct ublk_driver *d);

/* Any thread, until the I/O thread has ended: serve /dev/ublkcNUMBER as `disk`. A failure is
 * reported as an event, and the device is not served: the process that starts it waits in
 * vain. */
void ublk_driver_serve(struct ublk_driver *d, uint32_t disk, uint32_t number);

/* Likewise: fail the device that is served as `disk`, so that the kernel can remove it
 * without waiting for the mirror. */
void ublk_driver_fail(struct ublk_driver *d, uint32_t disk);

#endif
