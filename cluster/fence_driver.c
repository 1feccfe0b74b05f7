/* fence_driver.c - see fence_driver.h.
 *
 * The thread:
 *
 *   state       fencer answers           fencer is gone    asked to end
 *   away        connected, read history  try again later   end
 *   connected   pass notices on          away              disconnect, end
 *
 * A fencer that starts has no history; the others send it theirs seconds after a node
 * joins, each entry with the stamp of the fencer that sends it (Pacemaker 2.1.5,
 * daemons/fenced/fenced_history.c). So when the history has changed and the fencer is quiet
 * again, it is read once more: entries that no notice told of have come late.
 *
 * Each notice goes to the loop through a pipe, one notice per write: writes of
 * up to PIPE_BUF bytes are not torn.
 */
#include "cluster/fence_driver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <crm/stonith-ng.h>
#include <qb/qbloop.h>

#include "cluster/names.h"
#include "common/clock_driver.h"
#include "common/thread_driver.h"

#define RETRY_MS 3000
#define HISTORY_TIMEOUT_S 10
#define CLOSE_TIMEOUT_S 2
#define STACK_BYTES (512 * 1024) /* the library parses XML on it */
#define IDLE_MS 1000 /* how often it is noted that the fencer has nothing to tell */
#define CLIENT_NAME "hamirror"
#define PUSHED_MAX 8u
#define KNOWN_MAX 1024u /* the fencer keeps 500 */

struct notice {
	uint64_t wall_ns, since_ns;
	bool live, late;
	char node[CLUSTER_NAME_BYTES];
};
static_assert(sizeof(struct notice) <= PIPE_BUF, "a notice is written whole");

struct cluster_fence {
	struct qb_loop *loop;
	struct cluster_fence_owner owner;
	int notices[2]; /* from the thread to the loop */
	int end[2];     /* closing [1] asks the thread to end */
	pthread_t thread;
	bool running;
	atomic_bool connected;
	char pushed[PUSHED_MAX][CLUSTER_NAME_BYTES]; /* the fencer has just named them */
	uint32_t pushed_count;
	bool gone;                    /* the fencer has ended the connection */
	bool changed;                 /* the history, since it was read */
	bool quiet;                   /* the fencer had nothing to tell for a while */
	uint64_t idle_ns;             /* ... CLOCK_BOOTTIME: then */
	uint64_t known_ns[KNOWN_MAX]; /* stamps in the history as it was read last */
	uint32_t known_count;
};

/* The library hands its callbacks no context of ours, and the thread runs one
 * connection: this is that thread's. */
static _Thread_local struct cluster_fence *here;

static void tell(struct cluster_fence *f, const char *node, struct notice n)
{
	n.since_ns = f->idle_ns;
	snprintf(n.node, sizeof n.node, "%s", node);
	/* The pipe holds hundreds; the loop reads them at once. A notice that does not fit
	 * is in the fencer's history, which the next connect reads. */
	if (write(f->notices[1], &n, sizeof n) != (ssize_t)sizeof n)
		assert(errno == EAGAIN);
}

/* Only these two prove that the processes of the node have ended. */
static bool action_stops(const char *action)
{
	return action != NULL &&
	       (strcmp(action, "off") == 0 || strcmp(action, "reboot") == 0);
}

/* Its stamp, which has to be the same each time, is in the history, which is not asked
 * from within a callback. */
static void fenced(stonith_t *st, stonith_event_t *e)
{
	(void)st;
	if (e == NULL || e->result != 0 || e->target == NULL || !action_stops(e->action))
		return;
	if (here->pushed_count < PUSHED_MAX)
		snprintf(here->pushed[here->pushed_count++], CLUSTER_NAME_BYTES, "%s",
			 e->target);
}

static void changed(stonith_t *st, stonith_event_t *e)
{
	(void)st;
	(void)e;
	here->changed = true;
}

static uint64_t completed_ns(const stonith_history_t *h)
{
	return (uint64_t)h->completed * 1000000000 + (uint64_t)h->completed_nsec;
}

static bool is_proof(const stonith_history_t *h)
{
	return h->state == st_done && h->target != NULL && action_stops(h->action);
}

static bool is_known(const struct cluster_fence *f, const stonith_history_t *h)
{
	for (uint32_t i = 0; i < f->known_count; i++)
		if (f->known_ns[i] == completed_ns(h))
			return true;
	return false;
}

/* The time of a pushed notice: that of a new entry in the history; else now, by the same
 * clock. */
static uint64_t stamp_of(const struct cluster_fence *f, const stonith_history_t *all,
			 const char *node)
{
	for (const stonith_history_t *h = all; h != NULL; h = h->next)
		if (is_proof(h) && strcasecmp(h->target, node) == 0 && !is_known(f, h))
			return completed_ns(h);
	return common_clock_ns(CLOCK_REALTIME);
}

static void know(struct cluster_fence *f, uint64_t wall_ns)
{
	if (f->known_count < KNOWN_MAX)
		f->known_ns[f->known_count++] = wall_ns;
}

/* A pushed notice is new, even if its stamp is old. More notices may be on their way, so
 * the other new entries of the history are left for later. */
static void tell_pushed(struct cluster_fence *f, const stonith_history_t *all)
{
	for (uint32_t i = 0; i < f->pushed_count; i++) {
		const uint64_t wall_ns = stamp_of(f, all, f->pushed[i]);

		tell(f, f->pushed[i],
		     (struct notice){ .wall_ns = wall_ns, .live = true });
		know(f, wall_ns);
	}
	f->pushed_count = 0;
}

/* The whole history at a connect; later its new entries. */
static void tell_history(struct cluster_fence *f, const stonith_history_t *all)
{
	const bool late = atomic_load(&f->connected);

	for (const stonith_history_t *h = all; h != NULL; h = h->next)
		if (is_proof(h) && !(late && is_known(f, h)))
			tell(f, h->target,
			     (struct notice){ .wall_ns = completed_ns(h), .late = late });
	f->known_count = 0;
	for (const stonith_history_t *h = all; h != NULL; h = h->next)
		know(f, completed_ns(h));
	f->changed = false;
}

/* Entries that were pushed are told in any case: the next connection would not know when they
 * came. */
static bool read_history(struct cluster_fence *f, stonith_t *st)
{
	stonith_history_t *all = NULL;
	const bool has = st->cmds->history(st, st_opt_sync_call, NULL, &all,
					   HISTORY_TIMEOUT_S) == 0;

	if (f->pushed_count > 0)
		tell_pushed(f, all);
	else if (has)
		tell_history(f, all);
	stonith_history_free(all);
	return has;
}

/* True when the thread is to end. `fd` < 0: wait for that alone, or `wait_ms`; else
 * until the fencer tells something. */
static bool wait_for(struct cluster_fence *f, int fd, int wait_ms)
{
	struct pollfd p[2] = {
		{ .fd = f->end[0], .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	f->quiet = false;
	while (!f->quiet && poll(p, 2, fd < 0 ? wait_ms : IDLE_MS) == 0 && fd >= 0) {
		f->idle_ns = common_clock_ns(CLOCK_BOOTTIME);
		f->quiet = f->changed;
	}
	f->gone = (p[1].revents & ~POLLIN) != 0;
	return p[0].revents != 0;
}

/* All that the fencer has to tell. False: it is gone. Of a connection that has ended the
 * library is not asked: that of Pacemaker 2.1.5 tries to read from it for ever. */
static bool take(struct cluster_fence *f, stonith_t *st)
{
	if (f->gone || !stonith_dispatch(st))
		return false;
	return (f->pushed_count == 0 && !f->quiet) || read_history(f, st);
}

/* One connection, from connect to loss. True when the thread is to end. */
static bool follow(struct cluster_fence *f, stonith_t *st)
{
	bool end = false, known;
	int fd = -1;

	if (st->cmds->connect(st, CLIENT_NAME, &fd) != 0)
		return wait_for(f, -1, RETRY_MS);
	f->idle_ns = common_clock_ns(CLOCK_BOOTTIME);
	if (st->cmds->register_notification(st, T_STONITH_NOTIFY_FENCE, fenced) == 0 &&
	    st->cmds->register_notification(st, T_STONITH_NOTIFY_HISTORY, changed) == 0) {
		known = read_history(f, st);
		atomic_store(&f->connected, known);
		while (!end && known && st->state != stonith_disconnected) {
			end = wait_for(f, fd, -1);
			/* without its history nothing is known: from the start */
			if (!end && !take(f, st))
				break;
		}
		atomic_store(&f->connected, false);
	}
	st->cmds->remove_notification(st, T_STONITH_NOTIFY_FENCE);
	st->cmds->remove_notification(st, T_STONITH_NOTIFY_HISTORY);
	st->cmds->disconnect(st);
	return end || wait_for(f, -1, RETRY_MS);
}

static void *fence_thread(void *data)
{
	struct cluster_fence *f = data;
	bool end = false;

	here = f;
	while (!end) {
		stonith_t *st = stonith_api_new();

		end = st != NULL ? follow(f, st) : wait_for(f, -1, RETRY_MS);
		if (st != NULL)
			stonith_api_delete(st);
	}
	return NULL;
}

static int32_t notice_readable(int32_t fd, int32_t revents, void *data)
{
	struct cluster_fence *f = data;
	struct notice n;

	(void)revents;
	while (read(fd, &n, sizeof n) == (ssize_t)sizeof n) {
		struct cluster_event event = {
			.type = CLUSTER_EVENT_FENCED,
			.fenced = { .node = n.node,
				    .wall_ns = n.wall_ns,
				    .since_ns = n.since_ns,
				    .live = n.live,
				    .late = n.late },
		};

		f->owner.event(f->owner.owner, &event);
	}
	return 0;
}

int cluster_fence_open(struct qb_loop *loop, const struct cluster_fence_owner *owner,
		       struct cluster_fence **out)
{
	struct cluster_fence *f = calloc(1, sizeof *f);
	int error = 0;

	if (f == NULL)
		return -ENOMEM;
	f->owner = *owner;
	f->notices[0] = f->notices[1] = f->end[0] = f->end[1] = -1;
	if (pipe2(f->notices, O_CLOEXEC | O_NONBLOCK) != 0 ||
	    pipe2(f->end, O_CLOEXEC) != 0)
		error = -errno;
	if (error == 0)
		error = qb_loop_poll_add(loop, QB_LOOP_HIGH, f->notices[0], POLLIN, f,
					 notice_readable);
	if (error == 0) {
		f->loop = loop;
		error = common_thread_start(&f->thread, STACK_BYTES, fence_thread, f);
		f->running = error == 0;
	}
	if (error != 0) {
		cluster_fence_close(f);
		return error;
	}
	*out = f;
	return 0;
}

bool cluster_fence_connected(const struct cluster_fence *f)
{
	return atomic_load(&f->connected);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* False: the thread hangs in the fencer's library. */
static bool join_thread(struct cluster_fence *f)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += CLOSE_TIMEOUT_S;
	return pthread_timedjoin_np(f->thread, NULL, &t) == 0;
}

void cluster_fence_close(struct cluster_fence *f)
{
	if (f == NULL)
		return;
	close_fd(&f->end[1]);
	if (f->loop != NULL)
		qb_loop_poll_del(f->loop, f->notices[0]);
	if (f->running && !join_thread(f))
		return;
	close_fd(&f->end[0]);
	close_fd(&f->notices[0]);
	close_fd(&f->notices[1]);
	free(f);
}
