/* voter_file_driver.c - see voter_file_driver.h.
 *
 * One job is with the thread, at most one waits:
 *
 *   state     write          thread done      close
 *   idle      -> busy        (impossible)     thread ends
 *   busy      -> waiting     report, idle     thread ends after it
 *   waiting   replace        report, busy     dropped; thread ends
 */
#include "cluster/voter_file_driver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "cluster/voter_format.h"
#include "common/clock_driver.h"
#include "common/thread_driver.h"

#define PATH_BYTES 512
#define STACK_BYTES (128 * 1024)

struct job {
	uint64_t counter;
	size_t length; /* 0: no job */
	uint8_t data[CLUSTER_VOTER_FILE_BYTES];
};

struct cluster_voter_writer {
	struct qb_loop *loop;
	struct cluster_voter_owner owner;
	char directory[PATH_BYTES];
	int done_fd; /* eventfd: the thread has reported */
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards all fields below */
	pthread_cond_t changed;
	bool end;
	uint32_t slot; /* to be overwritten next */
	struct job waiting;
	struct job busy;       /* the thread's alone while it writes */
	uint64_t done_counter; /* reported by the thread; 0: nothing new */
	int32_t done_error;
	uint64_t last_us, max_us;
};

static void slot_path(char *path, const char *directory, uint32_t slot)
{
	assert(slot < CLUSTER_VOTER_SLOT_COUNT);
	snprintf(path, PATH_BYTES, "%s/voter.%u", directory, slot);
}

/* Read a slot as it is into `data` (CLUSTER_VOTER_FILE_BYTES). Returns 0 and
 * `*length`; -ENOENT: never written; -errno of open(2) or read(2). */
static int slot_read(const char *directory, uint32_t slot, uint8_t *data, size_t *length)
{
	char path[PATH_BYTES];
	ssize_t n = 1;
	size_t at = 0;
	int fd;

	slot_path(path, directory, slot);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	while (n > 0 && at < CLUSTER_VOTER_FILE_BYTES) {
		n = pread(fd, data + at, CLUSTER_VOTER_FILE_BYTES - at, (off_t)at);
		at += n > 0 ? (size_t)n : 0;
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	*length = at;
	return (int)n;
}

int cluster_voter_newest_read(const char *directory, uint8_t *data, size_t *length,
			      uint32_t *next_slot, char *text, size_t text_size)
{
	uint8_t *slot[CLUSTER_VOTER_SLOT_COUNT] = { data,
						    malloc(CLUSTER_VOTER_FILE_BYTES) };
	size_t bytes[CLUSTER_VOTER_SLOT_COUNT] = { 0 };
	uint32_t missing_count = 0;
	int newest, error = slot[1] == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; i < CLUSTER_VOTER_SLOT_COUNT && error == 0; i++) {
		error = slot_read(directory, i, slot[i], &bytes[i]);
		if (error == -ENOENT) {
			missing_count++;
			error = 0;
		}
	}
	if (error != 0) {
		snprintf(text, text_size, "the voter file in %s cannot be read: %s",
			 directory, strerror(-error));
		goto out;
	}
	newest = cluster_voter_newest(slot[0], bytes[0], slot[1], bytes[1]);
	*length = newest < 0 ? 0 : bytes[newest];
	*next_slot = newest == 0 ? 1 : 0;
	if (newest == 1)
		memcpy(data, slot[1], bytes[1]);
	if (newest < 0 && missing_count == 0) {
		snprintf(text, text_size,
			 "the voter file in %s is damaged: neither voter.0 nor "
			 "voter.1 is whole; remove both, and this node is admitted anew",
			 directory);
		error = -EBADMSG;
	}
out:
	free(slot[1]);
	return error;
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
	size_t at = 0;

	while (at < length) {
		const ssize_t n = pwrite(fd, data + at, length - at, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static int sync_directory(const char *directory)
{
	const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		error = -errno;
	close(fd);
	return error;
}

int cluster_voter_slot_write(const char *directory, uint32_t slot, const uint8_t *data,
			     size_t length)
{
	char path[PATH_BYTES];
	bool is_new;
	int fd, error;

	slot_path(path, directory, slot);
	is_new = access(path, F_OK) != 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	error = write_all(fd, data, length);
	if (close(fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && is_new)
		error = sync_directory(directory);
	return error;
}

static uint64_t now_us(void)
{
	return common_clock_ns(CLOCK_BOOTTIME) / 1000;
}

/* Write the job in `busy`, with the lock released. */
static void write_busy(struct cluster_voter_writer *w)
{
	const uint32_t slot = w->slot;
	const uint64_t one = 1, begin_us = now_us();
	int error;

	pthread_mutex_unlock(&w->lock);
	error = cluster_voter_slot_write(w->directory, slot, w->busy.data,
					 w->busy.length);
	pthread_mutex_lock(&w->lock);
	/* A slot whose write failed may hold anything: it stays the one to be
	 * overwritten, and the other is still whole. */
	if (error == 0)
		w->slot = (slot + 1) % CLUSTER_VOTER_SLOT_COUNT;
	w->last_us = now_us() - begin_us;
	w->max_us = w->last_us > w->max_us ? w->last_us : w->max_us;
	w->done_counter = w->busy.counter;
	w->done_error = error;
	w->busy.length = 0;
	if (write(w->done_fd, &one, sizeof one) != (ssize_t)sizeof one)
		assert(errno == EAGAIN);
}

static void *writer_thread(void *data)
{
	struct cluster_voter_writer *w = data;

	pthread_mutex_lock(&w->lock);
	while (!w->end) {
		/* One report at a time: the next write begins when the last one
		 * was taken, so that no failure is covered by a success. */
		if (w->waiting.length == 0 || w->done_counter != 0) {
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		w->busy.counter = w->waiting.counter;
		w->busy.length = w->waiting.length;
		memcpy(w->busy.data, w->waiting.data, w->waiting.length);
		w->waiting.length = 0;
		write_busy(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static int32_t done_readable(int32_t fd, int32_t revents, void *data)
{
	struct cluster_voter_writer *w = data;
	struct cluster_event event = { .type = CLUSTER_EVENT_PERSISTED };
	uint64_t count;

	(void)revents;
	if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
		return 0;
	pthread_mutex_lock(&w->lock);
	event.persisted.counter = w->done_counter;
	event.persisted.error = w->done_error;
	w->done_counter = 0;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (event.persisted.counter != 0)
		w->owner.event(w->owner.owner, &event);
	return 0;
}

int cluster_voter_open(struct qb_loop *loop, const char *directory, uint32_t next_slot,
		       const struct cluster_voter_owner *owner,
		       struct cluster_voter_writer **out)
{
	struct cluster_voter_writer *w = calloc(1, sizeof *w);
	int error = 0;

	assert(next_slot < CLUSTER_VOTER_SLOT_COUNT);
	if (w == NULL)
		return -ENOMEM;
	w->owner = *owner;
	w->slot = next_slot;
	snprintf(w->directory, sizeof w->directory, "%s", directory);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->done_fd < 0)
		error = -errno;
	if (error == 0)
		error = qb_loop_poll_add(loop, QB_LOOP_HIGH, w->done_fd, POLLIN, w,
					 done_readable);
	if (error == 0) {
		w->loop = loop;
		error = common_thread_start(&w->thread, STACK_BYTES, writer_thread, w);
		w->running = error == 0;
	}
	if (error != 0) {
		cluster_voter_close(w);
		return error;
	}
	*out = w;
	return 0;
}

void cluster_voter_write(struct cluster_voter_writer *w, uint64_t counter,
			 const uint8_t *data, size_t length)
{
	assert(counter > 0 && length > 0 && length <= CLUSTER_VOTER_FILE_BYTES);
	pthread_mutex_lock(&w->lock);
	w->waiting.counter = counter;
	w->waiting.length = length;
	memcpy(w->waiting.data, data, length);
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void cluster_voter_times_get(struct cluster_voter_writer *w, uint64_t *last_us,
			     uint64_t *max_us)
{
	pthread_mutex_lock(&w->lock);
	*last_us = w->last_us;
	*max_us = w->max_us;
	pthread_mutex_unlock(&w->lock);
}

void cluster_voter_close(struct cluster_voter_writer *w)
{
	if (w == NULL)
		return;
	if (w->running) {
		pthread_mutex_lock(&w->lock);
		w->end = true;
		pthread_cond_signal(&w->changed);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	if (w->loop != NULL)
		qb_loop_poll_del(w->loop, w->done_fd);
	if (w->done_fd >= 0)
		close(w->done_fd);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
