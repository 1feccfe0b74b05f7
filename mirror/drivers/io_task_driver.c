/* io_task_driver.c - tasks put off, timers, hooks and jobs of the I/O loop. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mirror/drivers/io_private_driver.h"

/* Enough for getaddrinfo(3) and open(2); the default would be locked memory. */
#define JOB_STACK_BYTES (256u * 1024)

/* Threads whose work does not end: each keeps its stack. Of the process, since drivers
 * come and go before they do. */
#define JOBS_LEFT_MAX 8u
static atomic_uint jobs_left_count;

enum job_stage { JOB_RUNS, JOB_ENDED, JOB_LEFT };

/* Any thread: make the loop turn. An eventfd that is never at its limit cannot
 * refuse; EINTR cannot happen to a write that does not block. */
static void wake(struct io_driver *d)
{
	const uint64_t one = 1;
	ssize_t written = write(d->wake_fd, &one, sizeof one);

	assert(written == sizeof one);
}

static void jobs_collect(struct io_driver *d)
{
	struct io_job *j;

	pthread_mutex_lock(&d->jobs_mutex);
	j = d->jobs_done;
	d->jobs_done = NULL;
	pthread_mutex_unlock(&d->jobs_mutex);
	while (j != NULL) {
		struct io_job *next = j->next;

		if (!j->posted) {
			pthread_join(j->thread, NULL);
			d->job_count--;
		}
		j->done(j);
		j = next;
	}
}

static void wake_arm(struct io_driver *d)
{
	io_uring_prep_read(io_driver_sqe(d, &d->wake_read), d->wake_fd, &d->wake_value,
			   sizeof d->wake_value, 0);
}

static void wake_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct io_driver *d = io_driver_container(c, struct io_driver, wake_read);

	(void)result;
	(void)flags;
	jobs_collect(d);
	if (!d->ending)
		wake_arm(d);
}

int io_task_create(struct io_driver *d)
{
	d->tasks_end = &d->tasks;
	d->backlog_end = &d->backlog;
	d->wake_read.done = wake_done;
	pthread_mutex_init(&d->jobs_mutex, NULL);
	d->wake_fd = eventfd(0, EFD_CLOEXEC);
	return d->wake_fd < 0 ? -errno : 0;
}

void io_task_destroy(struct io_driver *d)
{
	assert(d->job_count == 0);
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	pthread_mutex_destroy(&d->jobs_mutex);
}

void io_task_start(struct io_driver *d)
{
	wake_arm(d);
}

void io_driver_stop(struct io_driver *d)
{
	atomic_store(&d->stop_asked, true);
	wake(d);
}

/* ---- tasks -------------------------------------------------------------- */

void io_driver_defer(struct io_driver *d, struct io_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*d->tasks_end = t;
	d->tasks_end = &t->next;
}

bool io_task_run(struct io_driver *d)
{
	const bool some = d->tasks != NULL;

	while (d->tasks != NULL) {
		struct io_task *t = d->tasks;

		d->tasks = t->next;
		if (d->tasks == NULL)
			d->tasks_end = &d->tasks;
		t->next = NULL;
		t->queued = false;
		t->run(t);
	}
	return some;
}

/* ---- timers ------------------------------------------------------------- */

static void timer_clear(struct io_driver *d, struct io_timer *t)
{
	struct io_timer **at = &d->timers;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->next = NULL;
	t->set = false;
}

void io_driver_timer_set(struct io_driver *d, struct io_timer *t, uint64_t at_ns)
{
	struct io_timer **at = &d->timers;

	if (t->set)
		timer_clear(d, t);
	if (at_ns == UINT64_MAX)
		return;
	while (*at != NULL && (*at)->at_ns <= at_ns)
		at = &(*at)->next;
	t->at_ns = at_ns;
	t->set = true;
	t->next = *at;
	*at = t;
}

void io_task_expire(struct io_driver *d)
{
	while (d->timers != NULL && d->timers->at_ns <= d->now_ns) {
		struct io_timer *t = d->timers;

		timer_clear(d, t);
		t->expired(t);
	}
}

uint64_t io_task_wake_ns(const struct io_driver *d)
{
	return d->timers != NULL ? d->timers->at_ns : UINT64_MAX;
}

void io_driver_hook_add(struct io_driver *d, struct io_hook *h)
{
	h->next = d->hooks;
	d->hooks = h;
}

/* ---- jobs --------------------------------------------------------------- */

static void job_push(struct io_driver *d, struct io_job *j)
{
	pthread_mutex_lock(&d->jobs_mutex);
	j->next = d->jobs_done;
	d->jobs_done = j;
	/* Under the lock, so that the loop, which joins a job's thread before it
	 * ends, finds the wake-up already written. */
	wake(d);
	pthread_mutex_unlock(&d->jobs_mutex);
}

static void *job_run(void *arg)
{
	struct io_job *j = arg;

	int stage = JOB_RUNS;

	j->work(j);
	if (atomic_compare_exchange_strong(&j->stage, &stage, JOB_ENDED)) {
		job_push(j->driver, j);
	} else {
		j->left(j);
		atomic_fetch_sub(&jobs_left_count, 1);
	}
	return NULL;
}

bool io_driver_leave(struct io_driver *d, struct io_job *j)
{
	const pthread_t thread = j->thread;
	int stage = JOB_RUNS;

	assert(j->left != NULL);
	atomic_fetch_add(&jobs_left_count, 1);
	if (!atomic_compare_exchange_strong(&j->stage, &stage, JOB_LEFT)) {
		atomic_fetch_sub(&jobs_left_count, 1);
		return false;
	}
	pthread_detach(thread);
	d->job_count--;
	return true;
}

void io_driver_post(struct io_driver *d, struct io_job *j)
{
	j->posted = true;
	job_push(d, j);
}

int io_driver_offload(struct io_driver *d, struct io_job *j)
{
	pthread_attr_t attr;
	int rc;

	if (j->left != NULL && atomic_load(&jobs_left_count) >= JOBS_LEFT_MAX)
		return -EAGAIN;
	rc = pthread_attr_init(&attr);
	if (rc != 0)
		return -rc;
	atomic_store(&j->stage, JOB_RUNS);
	pthread_attr_setstacksize(&attr, JOB_STACK_BYTES);
	j->driver = d;
	rc = pthread_create(&j->thread, &attr, job_run, j);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		d->job_count++;
	return -rc;
}
