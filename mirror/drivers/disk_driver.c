/* disk_driver.c - see disk_driver.h.
 *
 *   state     open      job done         close     last operation done
 *   closed    opening   -                (closed)  -
 *   opening   -         open, or closed  -         -
 *   open      -         -                draining  -
 *   draining  -         -                -         closing
 *   closing   -         closed           -         -
 *
 * The end of the loop is a close. An open that is not answered in time has failed, and one
 * that the end of the loop finds under way is not waited for: its thread is left behind,
 * and closes what it may still open.
 * An operation may take several submissions: a short transfer is continued, and a
 * zeroing tries the ways below in turn.
 */
#include "mirror/drivers/disk_driver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fifo.h"
#include "mirror/drivers/disk_open_driver.h"
#include "mirror/drivers/io_driver.h"

/* More than the core has under way (its bounds in engine/bounds.h add up to less);
 * operations beyond it wait, in order. */
#define OPERATION_COUNT 768u

#define OPEN_LIMIT_MS 15000u

#define ZERO_BYTES (64u * 1024)
#define ZERO_IOV_COUNT 64u /* 4 MiB of zeroes with one submission */

/* Of one transfer, in a row, for want of memory: then it is an error. */
#define RETRY_COUNT_MAX 100u

enum disk_state { DISK_CLOSED, DISK_OPENING, DISK_OPEN, DISK_DRAINING, DISK_CLOSING };

/* How an extent is made to read as zeroes. */
enum zero_way {
	ZERO_BY_HOLE,  /* TRIM begins here */
	ZERO_BY_RANGE, /* ZERO begins here: keeps the space */
	ZERO_BY_WRITING,
};

struct disk_operation {
	struct io_completion completion;
	struct disk_driver *driver;
	struct mirror_io *io;
	uint64_t done_bytes;
	uint32_t iov_index;      /* READ, WRITE: first that is not done ... */
	uint64_t iov_done_bytes; /* ... and how much of it is */
	enum zero_way way;
	uint32_t retry_count;
	struct disk_operation *next; /* on the free list */
};

/* An open under way. Its thread's, once it was left behind. */
struct disk_opening {
	struct io_job job;
	struct disk_driver *driver;
	struct config_site site;
	struct disk_set set;
	struct mirror_devices found;
};

struct disk_driver {
	struct io_driver *io;
	enum disk_state state;
	struct disk_opening *opening;
	struct io_timer open_timer; /* it takes too long */
	struct io_task open_failed_task;
	struct disk_set set;
	struct mirror_devices found;
	struct io_job job;
	struct io_task job_task; /* when no thread could be had */
	struct io_task closed_task;
	struct disk_operation *operations, *free;
	struct mirror_io_list waiting;
	uint8_t *zeroes;
	struct iovec zero_iov[ZERO_IOV_COUNT];
	struct disk_driver_counters counters;
};

static void set_state(struct disk_driver *d, enum disk_state to)
{
	static const uint32_t legal[] = {
		[DISK_CLOSED] = 1u << DISK_OPENING,
		[DISK_OPENING] = 1u << DISK_OPEN | 1u << DISK_CLOSED,
		[DISK_OPEN] = 1u << DISK_DRAINING,
		[DISK_DRAINING] = 1u << DISK_CLOSING,
		[DISK_CLOSING] = 1u << DISK_CLOSED,
	};

	assert((legal[d->state] & 1u << to) != 0);
	d->state = to;
}

const struct disk_driver_counters *disk_driver_counters(const struct disk_driver *d)
{
	return &d->counters;
}

/* ---- open and close ----------------------------------------------------- */

static void job_task(struct io_task *t)
{
	struct disk_driver *d = io_driver_container(t, struct disk_driver, job_task);

	d->job.done(&d->job);
}

static void job_start(struct disk_driver *d, void (*work)(struct io_job *),
		      void (*done)(struct io_job *))
{
	d->job.work = work;
	d->job.done = done;
	if (io_driver_offload(d->io, &d->job) == 0)
		return;
	work(&d->job);
	io_driver_defer(d->io, &d->job_task);
}

static void close_work(struct io_job *j)
{
	struct disk_driver *d = io_driver_container(j, struct disk_driver, job);

	disk_set_close(&d->set);
}

static void closed_task(struct io_task *t)
{
	struct disk_driver *d = io_driver_container(t, struct disk_driver, closed_task);
	struct mirror_event event = { .type = MIRROR_EVENT_DEVICES_CLOSED };

	io_driver_step(d->io, &event);
}

static void close_done(struct io_job *j)
{
	struct disk_driver *d = io_driver_container(j, struct disk_driver, job);

	set_state(d, DISK_CLOSED);
	closed_task(&d->closed_task);
}

/* D6: only when nothing is under way are the devices let go. */
static void close_if_drained(struct disk_driver *d)
{
	if (d->state != DISK_DRAINING || d->counters.in_flight_count > 0 ||
	    d->counters.waiting_count > 0)
		return;
	set_state(d, DISK_CLOSING);
	job_start(d, close_work, close_done);
}

void disk_driver_close(struct disk_driver *d)
{
	if (d->state == DISK_CLOSED) {
		io_driver_defer(d->io, &d->closed_task);
		return;
	}
	set_state(d, DISK_DRAINING);
	close_if_drained(d);
}

static void open_work(struct io_job *j)
{
	struct disk_opening *o = io_driver_container(j, struct disk_opening, job);

	disk_set_open(&o->site, &o->set, &o->found);
}

static void opened(struct disk_driver *d)
{
	struct mirror_event event = { .type = MIRROR_EVENT_DEVICES,
				      .devices = &d->found };

	io_driver_timer_set(d->io, &d->open_timer, UINT64_MAX);
	set_state(d, d->found.error == 0 ? DISK_OPEN : DISK_CLOSED);
	io_driver_step(d->io, &event);
}

static void open_done(struct io_job *j)
{
	struct disk_opening *o = io_driver_container(j, struct disk_opening, job);
	struct disk_driver *d = o->driver;

	d->opening = NULL;
	d->set = o->set;
	d->found = o->found;
	free(o);
	if (io_driver_stopping(d->io) && d->found.error == 0) {
		set_state(d, DISK_OPEN);
		disk_driver_close(d);
		return;
	}
	opened(d);
}

/* On its own thread: nothing was asked of the devices and nothing will be. */
static void open_left(struct io_job *j)
{
	struct disk_opening *o = io_driver_container(j, struct disk_opening, job);

	if (o->found.error == 0)
		disk_set_close(&o->set);
	free(o);
}

static void open_expired(struct io_timer *t)
{
	struct disk_driver *d = io_driver_container(t, struct disk_driver, open_timer);

	d->found = (struct mirror_devices){ .error = -ETIMEDOUT };
	disk_set_opening_text(&d->opening->site, &d->opening->set, d->found.text,
			      sizeof d->found.text);
	if (!io_driver_leave(d->io, &d->opening->job))
		return; /* it has just ended */
	d->opening = NULL;
	opened(d);
}

static void open_failed_task(struct io_task *t)
{
	opened(io_driver_container(t, struct disk_driver, open_failed_task));
}

/* In the actions of a step: the failure of an operation that cannot begin is reported
 * after them. */
static void open_fails(struct disk_driver *d, int32_t error)
{
	d->found = (struct mirror_devices){ .error = error };
	snprintf(d->found.text, sizeof d->found.text, "the devices cannot be opened: %s",
		 error == -EAGAIN ?
			 "earlier opens of devices have not been answered yet" :
			 strerror(-error));
	io_driver_defer(d->io, &d->open_failed_task);
}

void disk_driver_open(struct disk_driver *d, uint32_t site)
{
	const struct config *config = io_driver_config(d->io);
	const uint32_t limit_ms = config->device_timeout_ms > 0 ?
					  config->device_timeout_ms :
					  OPEN_LIMIT_MS;
	struct disk_opening *o = calloc(1, sizeof *o);
	int rc = -ENOMEM;

	set_state(d, DISK_OPENING);
	if (o != NULL) {
		o->driver = d;
		o->site = config->site[site];
		o->job.work = open_work;
		o->job.done = open_done;
		o->job.left = open_left;
		rc = io_driver_offload(d->io, &o->job);
	}
	if (rc < 0) {
		free(o);
		open_fails(d, rc);
		return;
	}
	d->opening = o;
	io_driver_timer_set(d->io, &d->open_timer,
			    io_driver_now_ns(d->io) + limit_ms * 1000000ull);
}

void disk_driver_stop(struct disk_driver *d)
{
	if (d->state == DISK_OPEN)
		disk_driver_close(d);
	if (d->opening == NULL || !io_driver_leave(d->io, &d->opening->job))
		return;
	d->opening = NULL;
	io_driver_timer_set(d->io, &d->open_timer, UINT64_MAX);
	set_state(d, DISK_CLOSED);
}

int disk_driver_create(struct io_driver *io, struct disk_driver **driver)
{
	struct disk_driver *d = calloc(1, sizeof *d);

	if (d == NULL)
		return -ENOMEM;
	d->io = io;
	d->job_task.run = job_task;
	d->closed_task.run = closed_task;
	d->open_timer.expired = open_expired;
	d->open_failed_task.run = open_failed_task;
	d->operations = calloc(OPERATION_COUNT, sizeof *d->operations);
	d->zeroes = aligned_alloc(4096, ZERO_BYTES);
	if (d->operations == NULL || d->zeroes == NULL) {
		disk_driver_destroy(d);
		return -ENOMEM;
	}
	memset(d->zeroes, 0, ZERO_BYTES);
	for (uint32_t i = 0; i < ZERO_IOV_COUNT; i++)
		d->zero_iov[i] = (struct iovec){ d->zeroes, ZERO_BYTES };
	for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
		d->operations[i].driver = d;
		d->operations[i].next = d->free;
		d->free = &d->operations[i];
	}
	d->counters.slot_count = OPERATION_COUNT;
	*driver = d;
	return 0;
}

void disk_driver_destroy(struct disk_driver *d)
{
	if (d == NULL)
		return;
	assert(d->state == DISK_CLOSED);
	free(d->operations);
	free(d->zeroes);
	free(d);
}

/* ---- submission --------------------------------------------------------- */

static struct disk_handle *handle_of(struct disk_driver *d, const struct mirror_io *io)
{
	if (io->device == MIRROR_IO_LOG)
		return &d->set.log;
	assert(io->device < d->set.disk_count);
	return &d->set.disk[io->device];
}

/* Does `io` ask for less than O_DIRECT can do on this device? */
static bool is_unaligned(const struct disk_handle *h, const struct mirror_io *io)
{
	uint64_t bits = io->offset_bytes | io->length_bytes;

	if (h->buffered_fd < 0)
		return false;
	for (uint32_t i = 0; i < io->iov_count; i++)
		bits |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
	return bits % h->sector_bytes != 0;
}

/* Move the rest of `iov` from or to the device: whole vectors when at the start of
 * one, else the rest of that one alone, so that the core's vectors stay as they
 * are. Writes through the page cache are written through. */
static void submit_transfer(struct disk_operation *op, struct io_uring_sqe *sqe)
{
	const struct mirror_io *io = op->io;
	const struct disk_handle *h = handle_of(op->driver, io);
	const bool unaligned = is_unaligned(h, io);
	const int fd = unaligned ? h->buffered_fd : h->fd;
	const uint64_t offset = io->offset_bytes + op->done_bytes;
	const struct iovec *iov = &io->iov[op->iov_index];
	uint8_t *base = (uint8_t *)iov->iov_base + op->iov_done_bytes;
	const uint32_t rest = (uint32_t)(iov->iov_len - op->iov_done_bytes);
	const uint32_t count = io->iov_count - op->iov_index;
	const bool write = io->op == MIRROR_IO_WRITE;

	if (write && op->iov_done_bytes > 0)
		io_uring_prep_write(sqe, fd, base, rest, offset);
	else if (write)
		io_uring_prep_writev(sqe, fd, iov, count, offset);
	else if (op->iov_done_bytes > 0)
		io_uring_prep_read(sqe, fd, base, rest, offset);
	else
		io_uring_prep_readv(sqe, fd, iov, count, offset);
	if (write && unaligned)
		sqe->rw_flags = RWF_DSYNC;
}

static void submit_zeroes(struct disk_operation *op, struct io_uring_sqe *sqe)
{
	struct disk_driver *d = op->driver;
	const struct disk_handle *h = handle_of(d, op->io);
	const bool unaligned = is_unaligned(h, op->io);
	const int fd = unaligned ? h->buffered_fd : h->fd;
	const uint64_t rest = op->io->length_bytes - op->done_bytes;
	const uint64_t offset = op->io->offset_bytes + op->done_bytes;
	const uint64_t whole = rest / ZERO_BYTES;

	if (whole == 0)
		io_uring_prep_write(sqe, fd, d->zeroes, (uint32_t)rest, offset);
	else
		io_uring_prep_writev(sqe, fd, d->zero_iov,
				     whole < ZERO_IOV_COUNT ? (uint32_t)whole :
							      ZERO_IOV_COUNT,
				     offset);
	if (unaligned)
		sqe->rw_flags = RWF_DSYNC;
}

static void submit_zero(struct disk_operation *op, struct io_uring_sqe *sqe)
{
	const struct mirror_io *io = op->io;
	const int fd = handle_of(op->driver, io)->fd;

	switch (op->way) {
	case ZERO_BY_HOLE:
		io_uring_prep_fallocate(sqe, fd,
					FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)io->offset_bytes, (off_t)io->length_bytes);
		break;
	case ZERO_BY_RANGE:
		io_uring_prep_fallocate(sqe, fd,
					FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
					(off_t)io->offset_bytes, (off_t)io->length_bytes);
		break;
	case ZERO_BY_WRITING:
		submit_zeroes(op, sqe);
		break;
	}
}

static void submit(struct disk_operation *op)
{
	struct io_uring_sqe *sqe = io_driver_sqe(op->driver->io, &op->completion);

	op->driver->counters.submission_count++;
	switch (op->io->op) {
	case MIRROR_IO_READ:
	case MIRROR_IO_WRITE:
		submit_transfer(op, sqe);
		break;
	case MIRROR_IO_ZERO:
	case MIRROR_IO_TRIM:
		submit_zero(op, sqe);
		break;
	case MIRROR_IO_FLUSH:
		io_uring_prep_fsync(sqe, handle_of(op->driver, op->io)->fd,
				    IORING_FSYNC_DATASYNC);
		break;
	}
}

/* ---- completion --------------------------------------------------------- */

/* Count `bytes` as transferred. Returns true when the operation is complete. */
static bool advance(struct disk_operation *op, uint64_t bytes)
{
	const struct mirror_io *io = op->io;

	op->done_bytes += bytes;
	op->iov_done_bytes += bytes;
	while (op->iov_index < io->iov_count &&
	       op->iov_done_bytes >= io->iov[op->iov_index].iov_len) {
		op->iov_done_bytes -= io->iov[op->iov_index].iov_len;
		op->iov_index++;
	}
	return op->done_bytes >= io->length_bytes;
}

enum outcome { OUTCOME_DONE, OUTCOME_AGAIN };

static enum outcome judge_transfer(struct disk_operation *op, int32_t *result)
{
	if ((*result == -EAGAIN || *result == -EINTR) &&
	    op->retry_count < RETRY_COUNT_MAX) {
		op->retry_count++;
		return OUTCOME_AGAIN;
	}
	if (*result < 0)
		return OUTCOME_DONE;
	op->retry_count = 0;
	if (*result == 0 || *result % 512 != 0) {
		/* Beyond the end, or a part that cannot be continued. */
		*result = -EIO;
		return OUTCOME_DONE;
	}
	if (!advance(op, (uint64_t)*result)) {
		op->driver->counters.short_count += op->io->op <= MIRROR_IO_WRITE;
		return OUTCOME_AGAIN;
	}
	*result = 0;
	return OUTCOME_DONE;
}

static enum outcome judge_zero(struct disk_operation *op, int32_t *result)
{
	if (op->way == ZERO_BY_WRITING)
		return judge_transfer(op, result);
	if (*result != -EOPNOTSUPP && *result != -EINVAL && *result != -ENODEV &&
	    *result != -ENOSYS)
		return OUTCOME_DONE;
	op->way++;
	op->driver->counters.zero_written_count += op->way == ZERO_BY_WRITING;
	return OUTCOME_AGAIN;
}

static enum outcome judge(struct disk_operation *op, int32_t *result)
{
	switch (op->io->op) {
	case MIRROR_IO_READ:
	case MIRROR_IO_WRITE:
		return judge_transfer(op, result);
	case MIRROR_IO_ZERO:
	case MIRROR_IO_TRIM:
		return judge_zero(op, result);
	case MIRROR_IO_FLUSH:
		return OUTCOME_DONE; /* G1: an error is never tried again */
	}
	assert(false);
	return OUTCOME_DONE;
}

static void start(struct disk_driver *d, struct mirror_io *io);

static void operation_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct disk_operation *op = io_driver_container(c, struct disk_operation,
							completion);
	struct disk_driver *d = op->driver;
	struct mirror_event event = { .type = MIRROR_EVENT_IO, .io = op->io };

	(void)flags;
	if (judge(op, &result) == OUTCOME_AGAIN) {
		submit(op);
		return;
	}
	op->io->result = result < 0 ? result : 0;
	op->next = d->free;
	d->free = op;
	d->counters.in_flight_count--;
	d->counters.operation_count++;
	d->counters.error_count += result < 0;
	if (d->waiting.head != NULL) {
		d->counters.waiting_count--;
		start(d, fifo_pop(&d->waiting));
	}
	io_driver_step(d->io, &event);
	close_if_drained(d);
}

static void start(struct disk_driver *d, struct mirror_io *io)
{
	struct disk_operation *op = d->free;

	d->free = op->next;
	*op = (struct disk_operation){
		.completion.done = operation_done,
		.driver = d,
		.io = io,
		.way = io->op == MIRROR_IO_TRIM ? ZERO_BY_HOLE : ZERO_BY_RANGE,
	};
	io->next = NULL;
	d->counters.in_flight_count++;
	submit(op);
}

static void wait_for_slot(struct disk_driver *d, struct mirror_io *io)
{
	fifo_push(&d->waiting, io);
	d->counters.waiting_count++;
}

void disk_driver_submit(struct disk_driver *d, struct mirror_io_list *list)
{
	struct mirror_io *next;

	assert(d->state == DISK_OPEN);
	for (struct mirror_io *io = list->head; io != NULL; io = next) {
		next = io->next;
		if (d->free != NULL)
			start(d, io);
		else
			wait_for_slot(d, io);
	}
	*list = (struct mirror_io_list){ 0 };
}
