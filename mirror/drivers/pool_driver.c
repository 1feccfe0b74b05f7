/* pool_driver.c - see pool_driver.h. */
#include "mirror/drivers/pool_driver.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/thread_driver.h"
#include "mirror/engine/pool.h"

#define STACK_BYTES (64u * 1024)

struct pool_driver {
	struct io_driver *io;
	pthread_t thread;
	sem_t asked;                    /* an order is there, or `ends` */
	struct mirror_pool_order order; /* the thread's from `asked` to `done` */
	int32_t error;
	struct io_job done;
	atomic_bool ends;
};

int pool_driver_populate(void *at, uint64_t bytes)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t from = (uintptr_t)at & ~(page - 1);
	const uintptr_t end = (uintptr_t)at + bytes;

	/* A kernel without them, or without one that is free, takes small ones. */
	madvise((void *)from, end - from, MADV_HUGEPAGE);
	return madvise((void *)from, end - from, MADV_POPULATE_WRITE) == 0 ? 0 : -errno;
}

static int give_back(const struct mirror_pool_order *o)
{
	return madvise(o->at, o->bytes, MADV_DONTNEED_LOCKED) == 0 ? 0 : -errno;
}

/* Piece by piece: the kernel holds the process's lock of its address space meanwhile, and
 * whatever else maps memory waits for that. */
static int bring(struct pool_driver *d)
{
	const struct mirror_pool_order *o = &d->order;
	uint64_t count;
	int error = 0;

	for (uint64_t at = 0; at < o->bytes && error == 0; at += count) {
		count = o->bytes - at < MIRROR_POOL_STEP_BYTES ? o->bytes - at :
								 MIRROR_POOL_STEP_BYTES;
		error = atomic_load(&d->ends) ? -ECANCELED :
						pool_driver_populate(o->at + at, count);
	}
	if (error != 0)
		give_back(o);
	return error;
}

static void *run(void *data)
{
	struct pool_driver *d = data;

	for (;;) {
		while (sem_wait(&d->asked) != 0)
			;
		if (atomic_load(&d->ends))
			return NULL;
		d->error = d->order.action == MIRROR_POOL_GROW ? bring(d) :
								 give_back(&d->order);
		io_driver_post(d->io, &d->done);
	}
}

static void done(struct io_job *j)
{
	struct pool_driver *d = io_driver_container(j, struct pool_driver, done);
	struct mirror_event event = { .type = MIRROR_EVENT_POOL, .error = d->error };

	io_driver_step(d->io, &event);
}

int pool_driver_create(struct io_driver *io, struct pool_driver **driver)
{
	struct pool_driver *d = calloc(1, sizeof *d);
	int error;

	if (d == NULL)
		return -ENOMEM;
	d->io = io;
	d->done.done = done;
	sem_init(&d->asked, 0, 0);
	error = common_thread_start(&d->thread, STACK_BYTES, run, d);
	if (error != 0) {
		sem_destroy(&d->asked);
		free(d);
		return error;
	}
	*driver = d;
	return 0;
}

void pool_driver_destroy(struct pool_driver *d)
{
	if (d == NULL)
		return;
	atomic_store(&d->ends, true);
	sem_post(&d->asked);
	pthread_join(d->thread, NULL);
	sem_destroy(&d->asked);
	free(d);
}

void pool_driver_order(struct pool_driver *d, const struct mirror_pool_order *order)
{
	d->order = *order;
	sem_post(&d->asked);
}
