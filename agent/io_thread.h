/* io_thread.h - the I/O thread as the control thread sees it: orders go in, facts come
 * out on libqb's loop. Owns the engine, its drivers and both queues.
 */
#ifndef AGENT_IO_THREAD_H
#define AGENT_IO_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/paths.h"
#include "common/config.h"
#include "common/fact.h"
#include "common/order.h"
#include "mirror/status.h"

#define AGENT_IO_ORDERS_MAX 256u /* powers of two: bounds of the two queues */
#define AGENT_IO_FACTS_MAX 256u

struct qb_loop;
struct agent_io;

struct agent_io_owner {
	/* Valid for the call; on the loop's thread. */
	void (*fact)(void *owner, const struct fact *fact);
	void *owner;
	uint32_t socket_count; /* that it has for the line: io_driver.h */
};

/* Make the engine and start its thread. No device is open yet. `config` and
 * `instance` outlive it. Returns 0 and `*io`, or -errno with a sentence:
 *   -ENOMEM   the write path's pool does not fit
 *   -ENOSYS, -EPERM  io_uring is missing or forbidden here
 *   -errno    of eventfd(2) or pthread_create(3) */
int agent_io_open(struct qb_loop *loop, const struct config *config,
		  const struct agent_instance *instance, uint32_t self,
		  const struct agent_io_owner *owner, struct agent_io **io, char *text,
		  size_t text_size);

/* Hand over a copy of `order`. Returns 0, or -ENOBUFS: the I/O thread has not taken
 * AGENT_IO_ORDERS_MAX orders: it hangs. */
int agent_io_order(struct agent_io *io, const struct order *order);

/* Tell a line of our event log over the line: io_driver_tell(). */
bool agent_io_tell(struct agent_io *io, const char *object, const char *text,
		   const char *rule);

/* Serve ublk device `number` as `disk`, or fail the device that is served as `disk`: see
 * ublk_driver.h. */
void agent_io_ublk_serve(struct agent_io *io, uint32_t disk, uint32_t number);
void agent_io_ublk_fail(struct agent_io *io, uint32_t disk);

/* Have the pool's pages and the engine's tables in memory before clients write through
 * them: a page that is only locked comes in at its first use (protect.c). Some tens of
 * milliseconds. Returns 0, or -errno of madvise(2): they come in one by one then; -EINVAL
 * before Linux 5.14. */
int agent_io_populate(struct agent_io *io);

/* Does a device of ours not answer? Then `text` names it, says for how long, and how that
 * affects a release. */
bool agent_io_hangs(const struct agent_io *io, char *text, size_t text_size);

/* The queues, for the status (G7). Fills `queue` (2 entries). */
void agent_io_queues_get(struct agent_io *io, struct mirror_status_queue *queue);

/* Ends the thread: drops clients and links, waits for device operations under way,
 * closes the devices. NULL is fine. */
void agent_io_close(struct agent_io *io);

#endif
