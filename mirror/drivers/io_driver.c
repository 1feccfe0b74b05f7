/* io_driver.c - see io_driver.h: the ring and the turn of the loop. */
#include "mirror/drivers/io_driver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock_driver.h"
#include "common/thread_driver.h"
#include "mirror/drivers/io_private_driver.h"
#include "mirror/front/ublk.h"
#include "mirror/line/wire.h"

#define NS_PER_S 1000000000ull

/* Entries that one turn can prepare before it must submit early. */
#define RING_ENTRY_COUNT 1024u

/* More than can be in flight (disk slots, links, clients), but for the tags of ublk
 * devices, which come on top: the completion queue never overflows. */
#define RING_COMPLETION_COUNT 8192u

/* Passes of one turn before prepared operations are submitted anyway. */
#define PASS_COUNT_MAX 16u

/* Spinning: with more of them waiting it does not begin; looks between two calls that let
 * others have the processor; and how long such a call takes at most if none wants it. */
#define SPIN_REQUESTS_MAX 2u
#define LOOKS_PER_YIELD 64u
#define KEPT_OFF_NS 50000u

static uint32_t completion_count(const struct config *config)
{
	const bool ublk = config->attach == CONFIG_ATTACH_AUTO ||
			  config->attach == CONFIG_ATTACH_UBLK;

	return RING_COMPLETION_COUNT +
	       (ublk ? config->site[0].disk_count * MIRROR_UBLK_DEPTH : 0);
}

/* Flags that spare wake-ups and inter-processor interrupts, as far as the kernel has
 * them. A disabled ring is enabled by the thread that will be its only issuer. */
static int ring_make(struct io_driver *d)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
			IORING_SETUP_R_DISABLED,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int rc = -EINVAL;

	for (size_t i = 0; i < sizeof flags / sizeof flags[0] && rc == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = completion_count(d->setup.config),
		};

		rc = io_uring_queue_init_params(RING_ENTRY_COUNT, &d->ring, &params);
		d->ring_disabled = (flags[i] & IORING_SETUP_R_DISABLED) != 0;
	}
	d->ring_made = rc == 0;
	return rc;
}

static void clients_task(struct io_task *t)
{
	struct io_driver *d = io_driver_container(t, struct io_driver, clients_task);
	struct mirror_event event = { .type = MIRROR_EVENT_CLIENTS,
				      .error = d->clients_error };

	io_driver_step(d, &event);
}

int io_driver_create(const struct io_driver_setup *setup, struct io_driver **driver)
{
	struct io_driver *d;
	int rc;

	/* The ring would not wait on it: the loop would spin. */
	if ((fcntl(setup->orders_eventfd, F_GETFL) & O_NONBLOCK) != 0)
		return -EINVAL;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return -ENOMEM;
	d->setup = *setup;
	d->clients_task.run = clients_task;
	io_spin_init(&d->spin, setup->config->spin_us);
	d->wake_fd = -1;
	rc = io_task_create(d);
	if (rc == 0)
		rc = ring_make(d);
	if (rc == 0)
		rc = disk_driver_create(d, &d->disks);
	if (rc == 0)
		rc = link_driver_create(d, &d->links);
	if (rc < 0) {
		io_driver_destroy(d);
		return rc;
	}
	*driver = d;
	return 0;
}

void io_driver_destroy(struct io_driver *d)
{
	if (d == NULL)
		return;
	assert(d->in_flight_count == d->parked_count);
	link_driver_destroy(d->links);
	disk_driver_destroy(d->disks);
	if (d->ring_made)
		io_uring_queue_exit(&d->ring);
	io_mail_destroy(d);
	io_task_destroy(d);
	free(d);
}

void io_driver_set_frontend(struct io_driver *d, struct io_frontend *f)
{
	d->frontend = f;
}

void io_driver_add_frontend(struct io_driver *d, struct io_frontend *f)
{
	f->next = d->others;
	d->others = f;
}

void io_driver_park(struct io_driver *d, int32_t change)
{
	d->parked_count += (uint64_t)(int64_t)change;
}

const struct io_driver_counters *io_driver_counters(const struct io_driver *d)
{
	return &d->counters;
}

uint32_t io_driver_socket_count(const struct io_driver *d)
{
	return d->setup.socket_count;
}

uint64_t io_driver_now_ns(const struct io_driver *d)
{
	return d->now_ns;
}

bool io_driver_stopping(const struct io_driver *d)
{
	return d->stopping;
}

const struct config *io_driver_config(const struct io_driver *d)
{
	return d->setup.config;
}

struct mirror_engine *io_driver_engine(const struct io_driver *d)
{
	return d->setup.engine;
}

uint32_t io_driver_self(const struct io_driver *d)
{
	return d->setup.self;
}

bool io_driver_may_answer(const struct io_driver *d)
{
	return common_clock_ns(CLOCK_BOOTTIME) <
	       mirror_engine_lease_until_ns(d->setup.engine);
}

void io_driver_clients_done(struct io_driver *d, int32_t error)
{
	d->clients_error = error;
	io_driver_defer(d, &d->clients_task);
}

struct io_uring_sqe *io_driver_sqe(struct io_driver *d, struct io_completion *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);

	while (sqe == NULL) {
		int rc = io_uring_submit(&d->ring);

		d->counters.enter_count++;
		if (rc < 0) {
			/* The kernel is short of memory for a moment. */
			assert(rc == -EAGAIN || rc == -EINTR || rc == -EBUSY);
			sched_yield();
		}
		sqe = io_uring_get_sqe(&d->ring);
	}
	io_uring_sqe_set_data(sqe, c);
	d->counters.submission_count++;
	d->in_flight_count++;
	return sqe;
}

void io_driver_poll_first(struct io_driver *d, struct io_uring_sqe *sqe)
{
	/* A kernel that made this ring (6.1) knows the flag (5.19). */
	if (!d->ring_disabled)
		return;
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	d->counters.poll_first_count++;
}

/* ---- actions ------------------------------------------------------------ */

static void execute_clients(struct io_driver *d, enum mirror_clients_action action)
{
	switch (action) {
	case MIRROR_CLIENTS_KEEP:
		break;
	case MIRROR_CLIENTS_OPEN:
		if (d->frontend != NULL)
			d->frontend->open(d->frontend);
		else
			io_driver_clients_done(d, -ENOSYS);
		break;
	case MIRROR_CLIENTS_CLOSE:
		io_answer_close(d);
		if (d->frontend == NULL)
			io_driver_clients_done(d, 0);
		break;
	}
}

static void execute_answers(struct io_driver *d, struct mirror_request_list *list)
{
	if (list->head == NULL)
		return;
	if (d->fresh.tail != NULL)
		d->fresh.tail->next = list->head;
	else
		d->fresh.head = list->head;
	d->fresh.tail = list->tail;
	*list = (struct mirror_request_list){ 0 };
}

/* A device has failed, and the core closes every link for it: the peers hear why. */
static void tell_failure(struct io_driver *d, const struct mirror_actions *out)
{
	struct mirror_news news = { .object = "devices" };

	for (uint32_t i = 0; i < out->fact_count; i++) {
		if (out->fact[i].type != FACT_DEVICE_FAILED)
			continue;
		snprintf(news.text, sizeof news.text, "%s", out->fact[i].text);
		link_driver_tell_last(d->links, &news);
	}
}

/* Frames before link orders: frames that the core sent before it closes a link must
 * leave. Answers before the clients' end: the same. */
static void execute(struct io_driver *d, struct mirror_actions *out)
{
	if (out->io.head != NULL)
		disk_driver_submit(d->disks, &out->io);
	d->io_first |= out->io_first && out->send.head != NULL;
	if (out->send.head != NULL)
		link_driver_send(d->links, &out->send);
	if (out->link_order_count > 0)
		tell_failure(d, out);
	for (uint32_t i = 0; i < out->link_order_count; i++)
		link_driver_order(d->links, &out->link_order[i]);
	execute_answers(d, &out->answer);
	if (out->open_devices)
		disk_driver_open(d->disks, out->site);
	if (out->close_devices)
		disk_driver_close(d->disks);
	execute_clients(d, out->clients);
	for (uint32_t i = 0; i < out->fact_count; i++)
		io_mail_send(d, &out->fact[i]);
	d->wake_at_ns = out->wake_at_ns;
}

/* Such events come many at a time: the core acts on them at the end of the pass. */
static bool is_frequent(enum mirror_event_type type)
{
	return type == MIRROR_EVENT_IO || type == MIRROR_EVENT_REQUEST ||
	       type == MIRROR_EVENT_RECEIVED || type == MIRROR_EVENT_SENT;
}

void io_driver_step(struct io_driver *d, struct mirror_event *event)
{
	assert(!d->executing);

	if (d->stopping)
		return;
	d->request_count += event->type == MIRROR_EVENT_REQUEST;
	event->more = is_frequent(event->type);
	event->now_ns = d->now_ns;
	event->wall_ns = d->wall_ns;
	d->counters.step_count++;
	mirror_step(d->setup.engine, event, &d->out);
	d->executing = true;
	execute(d, &d->out);
	d->executing = false;
}

/* ---- the turn ----------------------------------------------------------- */

/* Something has completed, or will have as soon as the kernel is asked. */
static bool has_completed(struct io_driver *d)
{
	const unsigned int flags = atomic_load_explicit(
		(_Atomic unsigned int *)d->ring.sq.kflags, memory_order_relaxed);

	if ((flags & IORING_SQ_TASKRUN) != 0) {
		io_uring_get_events(&d->ring);
		d->counters.enter_count++;
	}
	return io_uring_cq_ready(&d->ring) > 0;
}

/* Look for completions for `ns`. Others that want the processor get it, and if they keep
 * it, `kept_off` says so. */
static bool look(struct io_driver *d, uint64_t begun_ns, uint64_t ns, bool *kept_off)
{
	uint64_t now_ns = begun_ns;

	while (!*kept_off && now_ns - begun_ns < ns) {
		const uint64_t before_ns = now_ns;

		for (uint32_t i = 0; i < LOOKS_PER_YIELD; i++)
			if (has_completed(d))
				return true;
		sched_yield();
		now_ns = common_clock_ns(CLOCK_BOOTTIME);
		*kept_off = now_ns - before_ns > KEPT_OFF_NS;
	}
	return has_completed(d);
}

/* Look for a completion before a sleep. Returns the outcome. */
static enum io_spin_outcome spin(struct io_driver *d, uint64_t begun_ns, uint64_t wait_ns)
{
	const uint64_t ns = io_spin_begin(&d->spin, begun_ns);
	bool kept_off = false;

	if (ns == 0)
		return IO_SPIN_SLEPT;
	if (io_uring_sq_ready(&d->ring) > 0) {
		io_uring_submit(&d->ring);
		d->counters.enter_count++;
	}
	d->counters.spin_count++;
	if (look(d, begun_ns, ns < wait_ns ? ns : wait_ns, &kept_off)) {
		d->counters.spin_found_count++;
		return IO_SPIN_FOUND;
	}
	return kept_off ? IO_SPIN_KEPT_OFF : IO_SPIN_IN_VAIN;
}

/* Few requests wait for an answer here, or few records for their confirmation, and the work
 * that they wait for has begun. With many of them, a sleep brings several completions at
 * once. */
static bool is_awaited(const struct io_driver *d)
{
	const uint64_t count = d->request_count - d->counters.answer_count +
			       mirror_engine_unconfirmed(d->setup.engine);

	return d->spin.limit_ns > 0 && count > 0 && count <= SPIN_REQUESTS_MAX;
}

/* Submit all prepared operations and, with `may_wait`, wait for a completion or the next
 * deadline: one system call where the thread sleeps at once, and none when there is nothing to
 * submit and something has completed already. */
static void submit_and_wait(struct io_driver *d, bool may_wait)
{
	const uint64_t timer_ns = io_task_wake_ns(d);
	const uint64_t wake_ns = timer_ns < d->wake_at_ns ? timer_ns : d->wake_at_ns;
	const uint64_t now_ns = common_clock_ns(CLOCK_BOOTTIME);
	const uint64_t wait_ns = wake_ns > now_ns && may_wait ? wake_ns - now_ns : 0;
	struct __kernel_timespec ts = { .tv_sec = (int64_t)(wait_ns / NS_PER_S),
					.tv_nsec = (int64_t)(wait_ns % NS_PER_S) };
	const bool forever = may_wait && wake_ns == UINT64_MAX;
	const bool awaited = may_wait && is_awaited(d);
	enum io_spin_outcome outcome = IO_SPIN_SLEPT;
	struct io_uring_cqe *cqe;
	int rc;

	if (io_uring_sq_ready(&d->ring) == 0 && io_uring_cq_ready(&d->ring) > 0)
		return;
	if (awaited)
		outcome = spin(d, now_ns, wait_ns);
	if (outcome == IO_SPIN_FOUND) {
		io_spin_end(&d->spin, common_clock_ns(CLOCK_BOOTTIME), now_ns, outcome);
		return;
	}
	rc = io_uring_submit_and_wait_timeout(&d->ring, &cqe, 1, forever ? NULL : &ts,
					      NULL);
	d->counters.enter_count++;
	if (io_uring_cq_ready(&d->ring) > 0)
		d->counters.wakeup_count++;
	if (awaited)
		io_spin_end(&d->spin, common_clock_ns(CLOCK_BOOTTIME), now_ns, outcome);
	assert(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
}

static void complete(struct io_driver *d)
{
	struct io_uring_cqe *cqe;
	uint64_t count = 0;

	while (count < RING_COMPLETION_COUNT && io_uring_peek_cqe(&d->ring, &cqe) == 0) {
		struct io_completion *c = io_uring_cqe_get_data(cqe);
		const int32_t result = cqe->res;
		const uint32_t flags = cqe->flags;

		io_uring_cqe_seen(&d->ring, cqe);
		count++;
		if ((flags & IORING_CQE_F_MORE) == 0)
			d->in_flight_count--;
		if (c != NULL)
			c->done(c, result, flags);
	}
	d->counters.completion_count += count;
	if (count > d->counters.completion_per_turn_max)
		d->counters.completion_per_turn_max = count;
}

/* Devices begin before the hooks send frames. */
static void begin_devices(struct io_driver *d)
{
	if (!d->io_first)
		return;
	d->io_first = false;
	io_uring_submit(&d->ring);
	d->counters.enter_count++;
}

/* Let every part act on the changes that the completions made, until nothing changes. The core
 * acts once on all that a pass has brought: requests that arrive together are one log write,
 * and their records one message. Returns false when there may be more to do. */
static bool settle(struct io_driver *d)
{
	for (uint32_t pass = 0; pass < PASS_COUNT_MAX; pass++) {
		struct mirror_event tick = { .type = MIRROR_EVENT_TICK };
		const uint64_t steps = d->counters.step_count;
		bool busy = io_task_run(d);

		begin_devices(d);
		for (struct io_hook *h = d->hooks; h != NULL; h = h->next)
			h->run(h);
		io_answer_offer(d);
		if (d->frontend != NULL && !d->stopping)
			d->frontend->flush(d->frontend);
		for (struct io_frontend *f = d->others; f != NULL && !d->stopping;
		     f = f->next)
			f->flush(f);
		if (d->wake_at_ns <= d->now_ns)
			io_driver_step(d, &tick);
		io_mail_flush(d);
		if (!busy && steps == d->counters.step_count && d->tasks == NULL)
			return true;
	}
	return false;
}

static bool turn(struct io_driver *d, bool may_wait)
{
	submit_and_wait(d, may_wait);
	d->counters.turn_count++;
	d->now_ns = common_clock_ns(CLOCK_BOOTTIME);
	d->wall_ns = common_clock_ns(CLOCK_REALTIME);
	complete(d);
	io_task_expire(d);
	return settle(d);
}

static void begin(struct io_driver *d)
{
	common_signals_block(NULL);
	if (d->ring_disabled) {
		/* io_uring_enable_rings(3), which liburing 2.3 forgets to export. */
		long rc = syscall(SYS_io_uring_register, d->ring.ring_fd,
				  IORING_REGISTER_ENABLE_RINGS, NULL, 0);

		assert(rc == 0);
	}
	/* Spares a look at the table of descriptors at each enter. A kernel that cannot
	 * (before 5.18) goes on without. */
	io_uring_register_ring_fd(&d->ring);
	d->now_ns = common_clock_ns(CLOCK_BOOTTIME);
	d->wall_ns = common_clock_ns(CLOCK_REALTIME);
	io_task_start(d);
	io_mail_start(d);
	link_driver_start(d->links);
}

/* Everything that is under way must come back before its memory may go: the
 * kernel still writes to it. */
static void end(struct io_driver *d)
{
	bool settled;

	io_answer_close(d);
	d->stopping = true;
	d->wake_at_ns = UINT64_MAX;
	link_driver_stop(d->links);
	disk_driver_stop(d->disks);
	io_uring_prep_cancel(io_driver_sqe(d, NULL), &d->orders_read, 0);
	settled = settle(d);
	while (d->in_flight_count > d->parked_count + 1 || d->job_count > 0 ||
	       d->tasks != NULL)
		settled = turn(d, settled);
	/* Only the read that jobs wake us through is left. */
	d->ending = true;
	io_uring_prep_cancel(io_driver_sqe(d, NULL), &d->wake_read, 0);
	while (d->in_flight_count > d->parked_count)
		turn(d, true);
	/* It is this thread's alone; the ring outlives it. */
	io_uring_unregister_ring_fd(&d->ring);
}

void *io_driver_run(void *driver)
{
	struct io_driver *d = driver;
	bool settled = true;

	begin(d);
	while (!atomic_load(&d->stop_asked))
		settled = turn(d, settled);
	end(d);
	return NULL;
}
