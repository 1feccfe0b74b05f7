/* io_private_driver.h - shared by the files of the I/O loop: io_driver.c (ring
 * and turn), io_task_driver.c (tasks, timers, jobs), io_mail_driver.c (orders in,
 * facts out). */
#ifndef MIRROR_DRIVERS_IO_PRIVATE_DRIVER_H
#define MIRROR_DRIVERS_IO_PRIVATE_DRIVER_H

#include <liburing.h>
#include <stdatomic.h>

#include "common/fact.h"
#include "mirror/drivers/disk_driver.h"
#include "mirror/drivers/io_driver.h"
#include "mirror/drivers/io_spin_driver.h"
#include "mirror/drivers/link_driver.h"

/* Facts that wait for room in the queue. Beyond it events and marks are dropped;
 * all others are kept, since the core says them once: they answer orders, or follow
 * changes that a stuck taker would have to order. */
#define IO_BACKLOG_COUNT_MAX 1024u

struct io_backlog_entry {
	struct fact *fact;
	struct io_backlog_entry *next;
};

struct io_driver {
	struct io_driver_setup setup;
	struct io_uring ring;
	bool ring_made, ring_disabled;
	uint64_t in_flight_count; /* entries taken whose last cqe is to come */
	uint64_t parked_count;    /* of these, that may never come */
	uint64_t now_ns, wall_ns; /* read once per turn */
	struct io_spin spin;
	uint64_t request_count; /* given to the core */
	uint64_t wake_at_ns;    /* the core's */
	bool io_first;          /* of a step of this pass */
	bool stopping;
	bool ending; /* nothing is left but our own reads */
	atomic_bool stop_asked;

	struct disk_driver *disks;
	struct link_driver *links;
	struct io_frontend *frontend, *others;
	bool clients_done; /* io_driver_clients_done() was called */
	int32_t clients_error;
	struct io_task clients_task;

	/* answers: `fresh` from this pass, `late` without a lease */
	struct mirror_request_list fresh, late;

	struct io_task *tasks, **tasks_end;
	struct io_timer *timers; /* soonest first */
	struct io_hook *hooks;

	/* jobs: other threads put finished ones on `jobs_done` and write wake_fd */
	int wake_fd;
	pthread_mutex_t jobs_mutex;
	struct io_job *jobs_done;
	uint32_t job_count; /* under way */
	uint64_t wake_value;
	struct io_completion wake_read;

	uint64_t orders_value;
	struct io_completion orders_read;
	uint64_t facts_value;
	struct io_completion facts_write;
	bool facts_writing, facts_wake;
	struct io_backlog_entry *backlog, **backlog_end;
	uint32_t backlog_count;
	struct io_timer backlog_timer;
	struct mirror_status *status; /* of the ORDER_STATUS being executed */

	struct io_driver_counters counters;
	struct mirror_actions out; /* of the step under way: too large for a stack */
	bool executing;
};

/* io_task_driver.c */
int io_task_create(struct io_driver *d);
void io_task_destroy(struct io_driver *d);
void io_task_start(struct io_driver *d);
/* Run all tasks that are queued, and those they queue; true: there were some. */
bool io_task_run(struct io_driver *d);
void io_task_expire(struct io_driver *d);
/* When the loop must wake for a timer; UINT64_MAX: never. */
uint64_t io_task_wake_ns(const struct io_driver *d);

/* io_mail_driver.c */
void io_mail_start(struct io_driver *d);
void io_mail_send(struct io_driver *d, const struct fact *fact);
/* End of a pass: push the facts that wait, wake the taker. */
void io_mail_flush(struct io_driver *d);
void io_mail_destroy(struct io_driver *d);

/* io_answer_driver.c */
void io_answer_offer(struct io_driver *d);
void io_answer_fail_late(struct io_driver *d);
void io_answer_close(struct io_driver *d);

#endif
