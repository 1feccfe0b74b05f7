/* io_thread.c - see io_thread.h. */
#include "agent/io_thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/last_words.h"
#include "common/queue.h"
#include "common/clock_driver.h"
#include "common/thread_driver.h"
#include "mirror/engine.h"
#include "mirror/drivers/io_driver.h"
#include "mirror/drivers/nbd_driver.h"
#include "mirror/engine/pool.h"
#include "mirror/drivers/ublk_driver.h"
#include "mirror/line/wire.h"

/* Locked in memory; the deepest path is the opening of a log, with a few
 * superblocks of 20 KiB at once. */
#define STACK_BYTES (512 * 1024)

struct agent_io {
	struct qb_loop *loop;
	struct agent_io_owner owner;
	struct mirror_engine *engine;
	struct io_driver *driver;
	struct nbd_driver *nbd;
	struct ublk_driver *ublk;
	pthread_t thread;
	bool running;
	bool watched;
	char hangs_text[FACT_TEXT_MAX]; /* a device does not answer; "": all do ... */
	uint64_t hangs_since_ns;        /* ... since (CLOCK_BOOTTIME) */
	int orders_fd, facts_fd;        /* eventfds; -1: not open */
	struct common_queue orders, facts;
	void *order_slot[AGENT_IO_ORDERS_MAX];
	void *fact_slot[AGENT_IO_FACTS_MAX];
};

static void note_hangs(struct agent_io *io, const struct fact *fact)
{
	if (fact->type == FACT_CLOSED)
		io->hangs_text[0] = '\0';
	if (fact->type != FACT_DEVICE_HANGS)
		return;
	snprintf(io->hangs_text, sizeof io->hangs_text, "%s",
		 fact->age_ms > 0 ? fact->text : "");
	io->hangs_since_ns = common_clock_ns(CLOCK_BOOTTIME) - fact->age_ms * 1000000;
}

bool agent_io_hangs(const struct agent_io *io, char *text, size_t text_size)
{
	if (io->hangs_text[0] == '\0')
		return false;
	snprintf(
		text, text_size,
		"%s for %llu s. It may still carry out earlier requests: no other host of "
		"this site may open it before it answers or this node is off",
		io->hangs_text,
		(unsigned long long)(common_clock_ns(CLOCK_BOOTTIME) -
				     io->hangs_since_ns) /
			1000000000);
	return true;
}

static int32_t facts_readable(int32_t fd, int32_t revents, void *data)
{
	struct agent_io *io = data;
	struct fact *fact;
	uint64_t count;

	(void)revents;
	/* Cleared before the queue is emptied (queue.h). Not readable: another
	 * call has emptied it already. */
	if (read(fd, &count, sizeof count) < 0)
		assert(errno == EAGAIN);
	while ((fact = common_queue_pop(&io->facts)) != NULL) {
		note_hangs(io, fact);
		io->owner.fact(io->owner.owner, fact);
		free(fact);
	}
	return 0;
}

int agent_io_order(struct agent_io *io, const struct order *order)
{
	struct order *copy = malloc(sizeof *copy);
	const uint64_t one = 1;
	bool wake;

	assert(copy != NULL);
	*copy = *order;
	if (common_queue_push(&io->orders, copy, &wake) != 0) {
		free(copy);
		return -ENOBUFS;
	}
	if (wake && write(io->orders_fd, &one, sizeof one) < 0)
		assert(errno == EAGAIN);
	return 0;
}

bool agent_io_tell(struct agent_io *io, const char *object, const char *text,
		   const char *rule)
{
	struct mirror_news news = { 0 };

	snprintf(news.object, sizeof news.object, "%s", object);
	snprintf(news.text, sizeof news.text, "%s", text);
	snprintf(news.rule, sizeof news.rule, "%s", rule);
	return io_driver_tell(io->driver, &news);
}

void agent_io_ublk_serve(struct agent_io *io, uint32_t disk, uint32_t number)
{
	ublk_driver_serve(io->ublk, disk, number);
}

void agent_io_ublk_fail(struct agent_io *io, uint32_t disk)
{
	ublk_driver_fail(io->ublk, disk);
}

int agent_io_populate(struct agent_io *io)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	struct iovec piece;
	int error = 0;

	for (uint32_t i = 0; mirror_engine_memory(io->engine, i, &piece); i++) {
		const uintptr_t from = (uintptr_t)piece.iov_base & ~(page - 1);
		const uintptr_t to = (uintptr_t)piece.iov_base + piece.iov_len;

		if (madvise((void *)from, to - from, MADV_POPULATE_WRITE) != 0)
			error = -errno;
	}
	return error;
}

void agent_io_queues_get(struct agent_io *io, struct mirror_status_queue *queue)
{
	queue[0] = (struct mirror_status_queue){
		.name = "orders",
		.count = common_queue_count(&io->orders),
		.count_max = AGENT_IO_ORDERS_MAX,
	};
	queue[1] = (struct mirror_status_queue){
		.name = "facts to the members' side",
		.count = common_queue_count(&io->facts),
		.count_max = AGENT_IO_FACTS_MAX,
	};
}

/* ---- open and close ---------------------------------------------------------- */

static int open_queues(struct agent_io *io)
{
	common_queue_init(&io->orders, io->order_slot, AGENT_IO_ORDERS_MAX);
	common_queue_init(&io->facts, io->fact_slot, AGENT_IO_FACTS_MAX);
	/* The ring reads the one by a blocking read of its own. */
	io->orders_fd = eventfd(0, EFD_CLOEXEC);
	io->facts_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->orders_fd < 0 || io->facts_fd < 0)
		return -errno;
	if (qb_loop_poll_add(io->loop, QB_LOOP_HIGH, io->facts_fd, POLLIN, io,
			     facts_readable) != 0)
		return -ENOMEM;
	io->watched = true;
	return 0;
}

static int open_driver(struct agent_io *io, const struct config *config, uint32_t self,
		       uint32_t socket_count)
{
	struct io_driver_setup setup = {
		.config = config,
		.self = self,
		.orders = &io->orders,
		.orders_eventfd = io->orders_fd,
		.facts = &io->facts,
		.facts_eventfd = io->facts_fd,
		.socket_count = socket_count,
	};
	struct mirror_seed seed;

	if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		return -EIO;
	io->engine = mirror_engine_create(config, &seed);
	if (io->engine == NULL)
		return -ENOMEM;
	setup.engine = io->engine;
	return io_driver_create(&setup, &io->driver);
}

static int open_front_end(struct agent_io *io, const struct agent_instance *instance)
{
	char path[PATH_MAX], own_path[PATH_MAX];
	const struct nbd_driver_setup setup = { .path = path, .own_path = own_path };
	int error = agent_path(instance, AGENT_PATH_NBD, path);

	if (error == 0)
		error = agent_path(instance, AGENT_PATH_NBD_OWN, own_path);
	if (error == 0)
		error = nbd_driver_create(io->driver, &setup, &io->nbd);
	return error != 0 ? error : ublk_driver_create(io->driver, &io->ublk);
}

/* For its last words. They belong to the I/O thread, which may still count when
 * another thread dies: they are good enough for that. */
static void count_on(struct agent_io *io)
{
	const struct mirror_status *m = mirror_engine_counters(io->engine);
	const struct io_driver_counters *i = io_driver_counters(io->driver);
	const struct nbd_driver_counters *n = nbd_driver_counters(io->nbd);
	const struct {
		const char *name;
		const uint64_t *value;
	} counter[] = {
		{ "writes", &m->writes },
		{ "reads", &m->reads },
		{ "flushes", &m->flushes },
		{ "write_bytes", &m->write_bytes },
		{ "read_bytes", &m->read_bytes },
		{ "groups", &m->groups },
		{ "log_writes", &m->log_writes },
		{ "log_flushes", &m->log_flushes },
		{ "disk_flushes", &m->disk_flushes },
		{ "records_sent", &m->records_sent },
		{ "records_received", &m->records_received },
		{ "records_homed", &m->records_homed },
		{ "records_overwritten", &m->records_overwritten },
		{ "home_writes", &m->home_writes },
		{ "io_enters", &i->enter_count },
		{ "io_spins", &i->spin_count },
		{ "io_spins_found", &i->spin_found_count },
		{ "io_turns", &i->turn_count },
		{ "io_submissions", &i->submission_count },
		{ "io_completions", &i->completion_count },
		{ "io_steps", &i->step_count },
		{ "io_orders", &i->order_count },
		{ "io_facts", &i->fact_count },
		{ "io_answers", &i->answer_count },
		{ "io_answers_late", &i->answer_late_count },
		{ "nbd_accepted", &n->accepted_count },
		{ "nbd_requests", &n->request_count },
	};

	for (size_t c = 0; c < sizeof counter / sizeof counter[0]; c++)
		agent_last_words_count(counter[c].name, counter[c].value);
}

static const char *hint(int error)
{
	if (error == -ENOMEM)
		return "; a smaller `memory` in the configuration needs less";
	if (error == -ENOSYS || error == -EPERM)
		return "; io_uring is needed (Linux 5.11, kernel.io_uring_disabled=0)";
	return "";
}

int agent_io_open(struct qb_loop *loop, const struct config *config,
		  const struct agent_instance *instance, uint32_t self,
		  const struct agent_io_owner *owner, struct agent_io **out, char *text,
		  size_t text_size)
{
	struct agent_io *io = calloc(1, sizeof *io);
	int error = -ENOMEM;

	if (io != NULL) {
		io->loop = loop;
		io->owner = *owner;
		io->orders_fd = io->facts_fd = -1;
		error = open_queues(io);
	}
	if (error == 0)
		error = open_driver(io, config, self, owner->socket_count);
	if (error == 0)
		error = open_front_end(io, instance);
	if (error == 0)
		error = common_thread_start(&io->thread, STACK_BYTES, io_driver_run,
					    io->driver);
	io->running = error == 0;
	if (error != 0) {
		snprintf(text, text_size, "the I/O thread cannot be started: %s%s",
			 strerror(-error), hint(error));
		agent_io_close(io);
		return error;
	}
	count_on(io);
	*out = io;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void free_queued(struct common_queue *q)
{
	void *item;

	while ((item = common_queue_pop(q)) != NULL)
		free(item);
}

void agent_io_close(struct agent_io *io)
{
	if (io == NULL)
		return;
	agent_last_words_forget();
	if (io->running) {
		io_driver_stop(io->driver);
		pthread_join(io->thread, NULL);
	}
	nbd_driver_destroy(io->nbd);
	io_driver_destroy(io->driver);
	ublk_driver_destroy(io->ublk);
	mirror_engine_destroy(io->engine);
	if (io->watched) {
		free_queued(&io->orders);
		free_queued(&io->facts);
		qb_loop_poll_del(io->loop, io->facts_fd);
	}
	close_fd(&io->orders_fd);
	close_fd(&io->facts_fd);
	free(io);
}
