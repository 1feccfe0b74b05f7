/* io_driver.h - the I/O thread: one io_uring, one loop, one mirror core.
 *
 * A turn of the loop: wait (one io_uring_enter, which also submits all that the
 * turn before prepared), run the handler of each completion, run tasks that
 * were put off, check the lease and hand answers to the front-end, let the
 * drivers gather their sends. Handlers turn completions into events;
 * io_driver_step() gives an event to the core and executes the actions at once,
 * which only prepares submissions.
 *
 * Everything here belongs to the I/O thread, except where "any thread" is said.
 *
 * The rules for a driver that plugs in (disk, link, nbd, ublk):
 * - io_driver_step() may be called from handlers, tasks, timers, turn hooks and
 *   `flush`, never from inside the execution of actions (`open`, `close`,
 *   `answer`, disk_driver_submit(), ...): put a task off instead.
 * - No blocking call. A call that must block goes to io_driver_offload().
 *
 * Source: docs/rules.md (D6, D7, "Shape"); docs/write-path.md ("What a write costs").
 */
#ifndef MIRROR_DRIVERS_IO_DRIVER_H
#define MIRROR_DRIVERS_IO_DRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/engine.h"
#include "mirror/io.h"

struct io_driver;
struct io_uring_sqe;
struct mirror_news;
struct common_queue;

/* ---- for the agent ------------------------------------------------------ */

#define IO_SOCKET_FIRST 3 /* as the service manager gives them */
#define IO_SOCKET_COUNT_MAX 4u

struct io_driver_setup {
	const struct config *config;  /* outlives the driver */
	struct mirror_engine *engine; /* likewise; the I/O thread's from run on */
	uint32_t self;                /* our node: index in config->node */
	struct common_queue *orders;  /* of malloc'ed struct order; we take them */
	int orders_eventfd; /* written after a push to `orders`; blocking: the ring waits */
	struct common_queue *facts; /* of malloc'ed struct fact; the taker frees */
	int facts_eventfd;          /* we write it when the taker may sleep */
	/* Listening sockets for the line, from IO_SOCKET_FIRST on; the driver closes them. 0: it
	 * makes its own. */
	uint32_t socket_count;
};

/* Counts of the loop since it began. All but `*_max` and `*_waiting_count`
 * only grow. */
struct io_driver_counters {
	uint64_t enter_count;  /* io_uring_enter: the only regular call */
	uint64_t wakeup_count; /* of these, returned with completions */
	uint64_t turn_count;
	uint64_t spin_count;       /* waits that began with looking ... */
	uint64_t spin_found_count; /* ... and needed no sleep */
	uint64_t submission_count;
	uint64_t poll_first_count; /* receives that wait before they try */
	uint64_t completion_count;
	uint64_t completion_per_turn_max;
	uint64_t step_count; /* events given to the core */
	uint64_t order_count;
	uint64_t fact_count;
	uint64_t fact_dropped_count; /* taker did not keep up: EVENT, MARKS */
	uint64_t fact_wakeup_count;  /* eventfd writes, batched in the ring */
	uint64_t answer_count;
	uint64_t answer_late_count;    /* kept back for want of a lease (D7) ... */
	uint64_t answer_waiting_count; /* ... and now; the clients bound it */
};

/* Make the driver with its ring, disk and link drivers. Nothing runs yet and no
 * device is open. The eventfds stay the caller's and outlive the driver.
 * Returns 0 and `*driver`, or -errno: -ENOMEM; -EINVAL: orders_eventfd is
 * EFD_NONBLOCK; io_uring_setup(2)'s (-ENOSYS, -EPERM: io_uring is disabled on this
 * system). */
int io_driver_create(const struct io_driver_setup *setup, struct io_driver **driver);

/* Thread body (pthread_create). Returns NULL after io_driver_stop(). */
void *io_driver_run(void *driver);

/* Any thread: make io_driver_run() return. It drops clients and links, waits for
 * device operations under way and closes the devices; the core hears nothing of
 * it (an orderly end is ORDER_CLOSE first). */
void io_driver_stop(struct io_driver *d);

/* After io_driver_run() has returned, or was never called. NULL is fine. */
void io_driver_destroy(struct io_driver *d);

/* Any thread: link_driver_tell(). */
bool io_driver_tell(struct io_driver *d, const struct mirror_news *news);

/* On the I/O thread, or any thread once it has ended. */
const struct io_driver_counters *io_driver_counters(const struct io_driver *d);

/* ---- the front-end ------------------------------------------------------ */

/* Set by the front-end (nbd_driver), so that the loop knows none by name. */
struct io_frontend {
	/* MIRROR_CLIENTS_OPEN: listen. Answer with io_driver_clients_done(),
	 * at once or later. */
	void (*open)(struct io_frontend *f);

	/* MIRROR_CLIENTS_CLOSE, or the loop's end: stop listening, drop every
	 * client. When all sockets are closed: io_driver_clients_done(d, 0).
	 * Requests still with the core come back through `answer`, as do those
	 * that were kept back for the lease (right after this call). */
	void (*close)(struct io_frontend *f);

	/* Take `request` back, with its result set. The lease was just checked:
	 * prepare the reply. If its connection is gone, only free it. */
	void (*answer)(struct io_frontend *f, struct mirror_request *request);

	/* End of each pass, after all `answer` calls, before submission: send
	 * gathered replies, go on reading clients if the core takes requests
	 * again (mirror_engine_takes_requests()). A reply that had to wait for
	 * an earlier send needs io_driver_may_answer() again. Not called any more
	 * once the loop ends: `close` was, and completions still come. */
	void (*flush)(struct io_frontend *f);

	/* Add its queues to the status (G7). May be NULL. */
	void (*status)(struct io_frontend *f, struct mirror_status *status);

	struct io_frontend *next; /* the driver's */
};

/* Before io_driver_run(). Without one, MIRROR_CLIENTS_OPEN is answered with
 * -ENOSYS and _CLOSE with 0. */
void io_driver_set_frontend(struct io_driver *d, struct io_frontend *f);

/* Likewise: one more, whose requests name it in `frontend`. It is not opened, and is not
 * waited for when it closes: from `close` on it hands no request over. */
void io_driver_add_frontend(struct io_driver *d, struct io_frontend *f);

/* Report MIRROR_EVENT_CLIENTS: sockets are open or closed (0), or -errno. May be
 * called from `open` and `close`: the event is delivered after the actions. */
void io_driver_clients_done(struct io_driver *d, int32_t error);

/* D7: true while an answer that acknowledges or shows data may be submitted.
 * Reads CLOCK_BOOTTIME. Answers with an error need no lease. */
bool io_driver_may_answer(const struct io_driver *d);

/* ---- for drivers that plug in ------------------------------------------- */

/* One submission. Embed it, set `done`; it must stay valid until called back
 * (without IORING_CQE_F_MORE in `flags`, the last time). `result` and `flags`
 * are the cqe's. */
struct io_completion {
	void (*done)(struct io_completion *c, int32_t result, uint32_t flags);
};

/* The structure that `member` at `pointer` is part of. */
#define io_driver_container(pointer, type, member)                                       \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Get a submission entry for `c` (NULL: the result does not matter). Prepare it
 * with io_uring_prep_*() before the next call to anything here. Never NULL: a
 * full queue is submitted first. The entry's user_data is set here, which
 * io_uring_prep_*() leave alone since liburing 2.2. */
struct io_uring_sqe *io_driver_sqe(struct io_driver *d, struct io_completion *c);

/* After io_uring_prep_recv*(): the socket is empty as far as we know, so the kernel is to
 * wait for it first, instead of trying in vain. Where it has data, it is taken at once. */
void io_driver_poll_first(struct io_driver *d, struct io_uring_sqe *sqe);

/* Give an event to the core and execute its actions. Sets the times in it. */
void io_driver_step(struct io_driver *d, struct mirror_event *event);

/* Put work off to the end of this pass of the turn. A task that is queued is not
 * queued again. */
struct io_task {
	void (*run)(struct io_task *t);
	struct io_task *next;
	bool queued;
};
void io_driver_defer(struct io_driver *d, struct io_task *t);

/* Call `expired` once at `at_ns` (CLOCK_BOOTTIME) or soon after. Setting a set
 * timer moves it; UINT64_MAX clears it. */
struct io_timer {
	void (*expired)(struct io_timer *t);
	uint64_t at_ns;
	struct io_timer *next;
	bool set;
};
void io_driver_timer_set(struct io_driver *d, struct io_timer *t, uint64_t at_ns);

/* CLOCK_BOOTTIME, read once per turn: good for timers, not for the lease. */
uint64_t io_driver_now_ns(const struct io_driver *d);
uint32_t io_driver_socket_count(const struct io_driver *d);

/* A hook that runs at the end of every pass, before answers: to gather sends, or
 * to resume what flow control had paused. Registered for the driver's life. */
struct io_hook {
	void (*run)(struct io_hook *h);
	struct io_hook *next;
};
void io_driver_hook_add(struct io_driver *d, struct io_hook *h);

/* Run `work` on a thread of its own, then `done` on the I/O thread. For the
 * control path: opening devices, resolving names. Returns 0 or -errno of
 * pthread_create(3); then neither is called. */
struct io_job {
	void (*work)(struct io_job *j); /* touches only its own job */
	void (*done)(struct io_job *j);
	void (*left)(struct io_job *j); /* see io_driver_leave(); NULL: it never is */
	/* the driver's: */
	struct io_driver *driver;
	struct io_job *next;
	bool posted; /* it has no thread */
	atomic_int stage;
	pthread_t thread;
};
int io_driver_offload(struct io_driver *d, struct io_job *j);

/* Stop waiting for a job whose work may never end, because a dead name server or a device
 * does not answer. True: `done` will not be called; the job and all that it points to
 * belong to its thread, and `left` is called there when the work ends, if ever (the
 * driver may be gone by then). False: it has ended, and `done` is about to be called.
 * Only so many are left behind at a time: beyond that, io_driver_offload() of a job that
 * has `left` returns -EAGAIN. */
bool io_driver_leave(struct io_driver *d, struct io_job *j);

/* Any thread: run `done` on the I/O thread. Not again before it runs. After the loop's
 * end nothing runs. */
void io_driver_post(struct io_driver *d, struct io_job *j);

/* So many more (or fewer) submissions are parked: they come back when the kernel has
 * something, or when the ring goes. The loop's end does not wait for them, so the memory that
 * they point to must outlive the ring: free it after io_driver_destroy(). */
void io_driver_park(struct io_driver *d, int32_t change);

/* Give a FACT_EVENT of our own to the agent: something happened to `object`
 * ("link 10.0.0.3:41234", "disk db") that the core is not told. */
void io_driver_report(struct io_driver *d, const char *object, const char *rule,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ... something that the host of `site` has told. */
void io_driver_hear(struct io_driver *d, uint32_t site, const struct mirror_news *news);

/* The loop is ending: an operation that came back is not started again. */
bool io_driver_stopping(const struct io_driver *d);

const struct config *io_driver_config(const struct io_driver *d);
struct mirror_engine *io_driver_engine(const struct io_driver *d);
uint32_t io_driver_self(const struct io_driver *d);

#endif
