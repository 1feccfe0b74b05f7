/* ublk_driver.c - see ublk_driver.h. */
#include "mirror/drivers/ublk_driver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mirror/engine/pool.h"
#include "mirror/front/ublk.h"

enum device_state { DEVICE_OPEN, DEVICE_FAILING, DEVICE_CLOSED };

enum tag_state { TAG_FETCHING, TAG_WAITING, TAG_ENGINE, TAG_ENDED };

struct tag {
	struct device *device;
	struct tag *next; /* of those that wait */
	struct io_completion fetch;
	struct mirror_request request;
	enum tag_state state;
	uint16_t number;
	bool with_engine; /* `request` is, wanted or not */
	uint32_t read_bytes;
};

struct device {
	struct ublk_driver *driver;
	struct device *next;
	enum device_state state;
	uint32_t disk, number;
	uint64_t disk_bytes;
	int fd;
	const struct mirror_ublk_descriptor *descriptors;
	size_t descriptors_bytes;
	uint32_t ended_count, engine_count;
	struct tag *waiting, **waiting_end;
	struct tag tag[MIRROR_UBLK_DEPTH];
};

/* Another thread's wish for a disk. */
struct wish {
	bool serve, fail;
	uint32_t number;
};

struct ublk_driver {
	struct io_frontend frontend;
	struct io_driver *io;
	struct mirror_pool *pool;
	struct device *devices;
	uint32_t busy_count; /* tags that the kernel waits for */
	uint64_t read_bytes; /* buffers of reads that are with the engine */
	struct io_job job;
	pthread_mutex_t mutex; /* for the rest */
	bool posted;
	struct wish wish[CONFIG_DISK_COUNT_MAX];
};

/* ---- a tag ------------------------------------------------------------------------ */

static void set_tag_state(struct tag *t, enum tag_state state)
{
	static const uint8_t legal[] = {
		[TAG_FETCHING] = 1 << TAG_WAITING | 1 << TAG_ENDED | 1 << TAG_FETCHING,
		[TAG_WAITING] = 1 << TAG_ENGINE | 1 << TAG_FETCHING,
		[TAG_ENGINE] = 1 << TAG_FETCHING,
		[TAG_ENDED] = 0,
	};
	struct ublk_driver *d = t->device->driver;

	assert((legal[t->state] >> state & 1) != 0);
	d->busy_count -= t->state == TAG_WAITING || t->state == TAG_ENGINE;
	d->busy_count += state == TAG_WAITING || state == TAG_ENGINE;
	t->state = state;
}

static void submit(struct tag *t, uint32_t op, int32_t result)
{
	struct io_driver *io = t->device->driver->io;
	struct io_uring_sqe *sqe = io_driver_sqe(io, &t->fetch);
	const struct mirror_ublk_command command = { .tag = t->number, .result = result };

	io_uring_prep_rw(MIRROR_UBLK_URING_OP, sqe, t->device->fd, NULL, 0, 0);
	sqe->off = op;
	memcpy((char *)sqe + MIRROR_UBLK_COMMAND_AT, &command, sizeof command);
	io_driver_park(io, 1);
}

static void commit(struct tag *t, int32_t result)
{
	set_tag_state(t, TAG_FETCHING);
	submit(t, MIRROR_UBLK_COMMIT_AND_FETCH, result);
}

static void put_data(struct tag *t)
{
	struct ublk_driver *d = t->device->driver;

	if (t->request.data != NULL)
		mirror_pool_put(d->pool, t->request.data);
	t->request.data = NULL;
	d->read_bytes -= t->read_bytes;
	t->read_bytes = 0;
}

/* Between the kernel's pages and ours: no device is waited for. */
static bool copy(const struct tag *t, bool to_kernel)
{
	const struct mirror_request *r = &t->request;
	const off_t at = (off_t)mirror_ublk_data_offset(t->number);
	const ssize_t n = to_kernel ?
				  pwrite(t->device->fd, r->data, r->length_bytes, at) :
				  pread(t->device->fd, r->data, r->length_bytes, at);

	return n == (ssize_t)r->length_bytes;
}

/* ---- a device ---------------------------------------------------------------------- */

static void set_state(struct device *v, enum device_state state)
{
	assert(state > v->state);
	v->state = state;
}

static void report(const struct device *v, const char *what, int error)
{
	char object[CONFIG_NAME_MAX + 8];

	snprintf(object, sizeof object, "disk %s",
		 io_driver_config(v->driver->io)->site[0].disk[v->disk].name);
	io_driver_report(v->driver->io, object, "ublk", "/dev/ublkc%u: %s: %s", v->number,
			 what, strerror(error));
}

/* The kernel has taken every tag back. */
static void close_device(struct device *v)
{
	set_state(v, DEVICE_CLOSED);
	munmap((void *)(uintptr_t)v->descriptors, v->descriptors_bytes);
	close(v->fd);
	v->descriptors = NULL;
	v->fd = -1;
}

static void end_tag(struct tag *t, int32_t result)
{
	struct device *v = t->device;

	set_tag_state(t, TAG_ENDED);
	if (result != MIRROR_UBLK_ABORT && v->ended_count == 0)
		report(v, "a request cannot be fetched", -result);
	v->ended_count++;
	if (v->ended_count == MIRROR_UBLK_DEPTH)
		close_device(v);
}

/* A request has come, or none will. */
static void fetched(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct tag *t = io_driver_container(c, struct tag, fetch);
	struct device *v = t->device;
	int rc;

	(void)flags;
	io_driver_park(v->driver->io, -1);
	if (result != 0) {
		end_tag(t, result);
		return;
	}
	set_tag_state(t, TAG_WAITING);
	if (v->state == DEVICE_FAILING || io_driver_stopping(v->driver->io)) {
		commit(t, -EIO);
		return;
	}
	rc = mirror_ublk_translate(&v->descriptors[t->number], v->disk_bytes,
				   &t->request);
	if (rc < 0) {
		commit(t, rc);
		return;
	}
	t->next = NULL;
	*v->waiting_end = t;
	v->waiting_end = &t->next;
}

/* All requests that the kernel waits for are answered now; those fetched later, then. */
static void fail_device(struct device *v)
{
	if (v->state != DEVICE_OPEN)
		return;
	set_state(v, DEVICE_FAILING);
	v->waiting = NULL;
	v->waiting_end = &v->waiting;
	for (uint32_t i = 0; i < MIRROR_UBLK_DEPTH; i++)
		if (v->tag[i].state == TAG_WAITING || v->tag[i].state == TAG_ENGINE)
			commit(&v->tag[i], -EIO);
}

static bool reap(struct device *v)
{
	if (v->state != DEVICE_CLOSED || v->engine_count > 0)
		return false;
	free(v);
	return true;
}

/* ---- beginning to serve ---------------------------------------------------------------- */

static int open_device(struct device *v)
{
	char path[32];
	void *at;

	snprintf(path, sizeof path, "/dev/ublkc%u", v->number);
	v->fd = open(path, O_RDWR | O_CLOEXEC);
	if (v->fd < 0)
		return -errno;
	v->descriptors_bytes = MIRROR_UBLK_DEPTH * sizeof *v->descriptors;
	v->descriptors_bytes += (size_t)sysconf(_SC_PAGESIZE) - 1;
	v->descriptors_bytes &= ~((size_t)sysconf(_SC_PAGESIZE) - 1);
	at = mmap(NULL, v->descriptors_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, v->fd,
		  0);
	if (at == MAP_FAILED) {
		const int error = errno;

		close(v->fd);
		return -error;
	}
	v->descriptors = at;
	return 0;
}

static struct device *create_device(struct ublk_driver *d, uint32_t disk, uint32_t number)
{
	struct device *v = calloc(1, sizeof *v);

	if (v == NULL)
		return NULL;
	v->driver = d;
	v->disk = disk;
	v->number = number;
	v->disk_bytes = mirror_engine_disk_bytes(io_driver_engine(d->io), disk);
	v->waiting_end = &v->waiting;
	for (uint32_t i = 0; i < MIRROR_UBLK_DEPTH; i++) {
		v->tag[i] = (struct tag){ .device = v, .number = (uint16_t)i };
		v->tag[i].fetch.done = fetched;
		v->tag[i].request = (struct mirror_request){
			.disk = disk,
			.client = v,
			.cookie = &v->tag[i],
			.frontend = &d->frontend,
		};
	}
	return v;
}

static void serve(struct ublk_driver *d, uint32_t disk, uint32_t number)
{
	struct device *v = create_device(d, disk, number);
	int rc;

	if (v == NULL)
		return;
	/* 0 bytes: not serving any more. */
	rc = v->disk_bytes == 0 ? -ESHUTDOWN : open_device(v);
	if (rc < 0) {
		report(v, "it cannot be served", -rc);
		free(v);
		return;
	}
	v->next = d->devices;
	d->devices = v;
	for (uint32_t i = 0; i < MIRROR_UBLK_DEPTH; i++)
		submit(&v->tag[i], MIRROR_UBLK_FETCH, 0);
}

static void fail_disk(struct ublk_driver *d, uint32_t disk)
{
	for (struct device *v = d->devices; v != NULL; v = v->next) {
		struct mirror_event event = { .type = MIRROR_EVENT_CLIENT_GONE,
					      .client = v };

		if (v->disk != disk || v->state != DEVICE_OPEN)
			continue;
		fail_device(v);
		io_driver_step(d->io, &event);
	}
}

static struct wish take_wish(struct ublk_driver *d, uint32_t disk)
{
	struct wish wish;

	pthread_mutex_lock(&d->mutex);
	wish = d->wish[disk];
	d->wish[disk] = (struct wish){ 0 };
	pthread_mutex_unlock(&d->mutex);
	return wish;
}

static void wishes_come(struct io_job *j)
{
	struct ublk_driver *d = io_driver_container(j, struct ublk_driver, job);

	pthread_mutex_lock(&d->mutex);
	d->posted = false;
	pthread_mutex_unlock(&d->mutex);
	if (io_driver_stopping(d->io))
		return;
	for (uint32_t i = 0; i < CONFIG_DISK_COUNT_MAX; i++) {
		const struct wish wish = take_wish(d, i);

		/* A disk to be served was asked for after the one to fail. */
		if (wish.fail)
			fail_disk(d, i);
		if (wish.serve)
			serve(d, i, wish.number);
	}
}

/* With the mutex held. */
static void post(struct ublk_driver *d)
{
	if (!d->posted)
		io_driver_post(d->io, &d->job);
	d->posted = true;
}

void ublk_driver_serve(struct ublk_driver *d, uint32_t disk, uint32_t number)
{
	pthread_mutex_lock(&d->mutex);
	d->wish[disk].serve = true;
	d->wish[disk].number = number;
	post(d);
	pthread_mutex_unlock(&d->mutex);
}

void ublk_driver_fail(struct ublk_driver *d, uint32_t disk)
{
	pthread_mutex_lock(&d->mutex);
	d->wish[disk] = (struct wish){ .fail = true };
	post(d);
	pthread_mutex_unlock(&d->mutex);
}

/* ---- requests and answers ------------------------------------------------------------ */

/* From the pool but for its last eighth, which is the engine's and the links'. A read
 * beyond the share waits, unless it would be the only one. */
static bool get_data(struct tag *t)
{
	struct ublk_driver *d = t->device->driver;
	struct mirror_request *r = &t->request;
	const uint64_t total = mirror_pool_bytes_total(d->pool);
	const uint32_t bytes = (uint32_t)r->length_bytes;

	if (mirror_pool_bytes_free(d->pool) < total / 8 + MIRROR_POOL_BUFFER_MAX)
		return false;
	if (r->type == MIRROR_REQUEST_READ && d->read_bytes > 0 &&
	    d->read_bytes + bytes > mirror_ublk_read_share_bytes(total))
		return false;
	r->data = mirror_pool_get(d->pool, bytes);
	if (r->data != NULL && r->type == MIRROR_REQUEST_READ) {
		t->read_bytes = mirror_pool_buffer_bytes(d->pool, r->data);
		d->read_bytes += t->read_bytes;
	}
	return r->data != NULL;
}

/* Get a request ready for the engine. False: not now. */
static bool prepare(struct tag *t)
{
	const enum mirror_request_type type = t->request.type;

	assert(!t->with_engine && t->request.data == NULL);
	if (type != MIRROR_REQUEST_READ && type != MIRROR_REQUEST_WRITE)
		return true;
	return get_data(t);
}

static void hand_over(struct tag *t)
{
	struct device *v = t->device;
	struct mirror_event event = { .type = MIRROR_EVENT_REQUEST,
				      .request = &t->request };

	if (t->request.type == MIRROR_REQUEST_WRITE && !copy(t, false)) {
		put_data(t);
		commit(t, -EIO);
		return;
	}
	t->request.result = 0;
	t->with_engine = true;
	v->engine_count++;
	set_tag_state(t, TAG_ENGINE);
	io_driver_step(v->driver->io, &event);
}

static void serve_device(struct device *v)
{
	struct mirror_engine *engine = io_driver_engine(v->driver->io);
	struct tag *t;

	while (v->state == DEVICE_OPEN && (t = v->waiting) != NULL &&
	       mirror_engine_takes_requests(engine) && prepare(t)) {
		v->waiting = t->next;
		if (v->waiting == NULL)
			v->waiting_end = &v->waiting;
		hand_over(t);
	}
}

static void frontend_flush(struct io_frontend *f)
{
	struct ublk_driver *d = io_driver_container(f, struct ublk_driver, frontend);
	struct device **at = &d->devices;

	while (*at != NULL) {
		struct device *v = *at, *next = v->next;

		serve_device(v);
		if (reap(v))
			*at = next;
		else
			at = &v->next;
	}
}

static void frontend_answer(struct io_frontend *f, struct mirror_request *request)
{
	struct tag *t = request->cookie;
	int32_t result = mirror_ublk_result(request);

	(void)f;
	assert(t->with_engine && t->device->engine_count > 0);
	t->with_engine = false;
	t->device->engine_count--;
	/* While the device fails the kernel has its answer, and perhaps asks again. */
	if (t->state == TAG_ENGINE) {
		if (result > 0 && request->type == MIRROR_REQUEST_READ && !copy(t, true))
			result = -EIO;
		commit(t, result);
	}
	put_data(t);
}

/* Requests that were acknowledged in time were answered just before. */
static void frontend_close(struct io_frontend *f)
{
	struct ublk_driver *d = io_driver_container(f, struct ublk_driver, frontend);

	for (struct device *v = d->devices; v != NULL; v = v->next)
		fail_device(v);
}

static void frontend_status(struct io_frontend *f, struct mirror_status *status)
{
	const struct ublk_driver *d = io_driver_container(f, struct ublk_driver,
							  frontend);
	uint32_t count = 0;

	for (const struct device *v = d->devices; v != NULL; v = v->next)
		count++;
	if (count > 0 && status->queue_count < MIRROR_STATUS_QUEUE_MAX)
		status->queue[status->queue_count++] = (struct mirror_status_queue){
			"requests of devices", d->busy_count, count * MIRROR_UBLK_DEPTH
		};
}

/* ---- life ----------------------------------------------------------------------------- */

int ublk_driver_create(struct io_driver *io, struct ublk_driver **driver)
{
	struct ublk_driver *d = calloc(1, sizeof *d);

	if (d == NULL)
		return -ENOMEM;
	d->io = io;
	d->pool = mirror_engine_pool(io_driver_engine(io));
	d->job.done = wishes_come;
	pthread_mutex_init(&d->mutex, NULL);
	d->frontend = (struct io_frontend){
		.close = frontend_close,
		.answer = frontend_answer,
		.flush = frontend_flush,
		.status = frontend_status,
	};
	io_driver_add_frontend(io, &d->frontend);
	*driver = d;
	return 0;
}

void ublk_driver_destroy(struct ublk_driver *d)
{
	struct device *v;

	if (d == NULL)
		return;
	while ((v = d->devices) != NULL) {
		d->devices = v->next;
		if (v->state != DEVICE_CLOSED) {
			munmap((void *)(uintptr_t)v->descriptors, v->descriptors_bytes);
			close(v->fd);
		}
		free(v);
	}
	pthread_mutex_destroy(&d->mutex);
	free(d);
}
