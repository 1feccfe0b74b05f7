/* attach.c - see attach.h: the helpers, from hamirrord's side. */
#include "agent/attach.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <qb/qbloop.h>

#include "agent/config.h"
#include "agent/files.h"
#include "agent/protect.h"

#define LINE_BYTES 1024

/* After `force` a helper has only to close; then it and its server are killed. */
#define FORCE_NS 5000000000ull

enum attach_state {
	DISK_DETACHED,
	DISK_ATTACHING,
	DISK_ATTACHED,
	DISK_CHECKING,
	DISK_DETACHING,
};

struct disk {
	struct agent_attach *attach;
	uint32_t index;
	enum attach_state state;
	char device[64]; /* the link's target, once attached */
	bool free;       /* CHECKING: it may be taken away */
	pid_t pid;
	int pid_fd, talk_fd; /* -1: none */
	size_t line_bytes;
	char line[LINE_BYTES]; /* its next line, as far as it came */
};

enum work { WORK_NONE, WORK_START, WORK_STOP };

struct agent_attach {
	struct qb_loop *loop;
	const struct config *config;
	struct agent_attach_owner owner;
	char socket[PATH_MAX]; /* the front-end's own */
	char run[PATH_MAX], devices[PATH_MAX], words[PATH_MAX];
	enum work work;
	bool force;
	int error;    /* of the work under way, or 0 */
	bool judging; /* a job will look at the work */
	bool killing; /* the timer is set */
	qb_loop_timer_handle kill_timer;
	char text[LINE_BYTES]; /* why they are not there, or the failure */
	uint32_t disk_count;
	struct disk disk[CONFIG_DISK_COUNT_MAX];
	struct status_device device[CONFIG_DISK_COUNT_MAX];
};

static void judge_later(struct agent_attach *a);

/* ---- a helper ----------------------------------------------------------------------- */

static bool change_is_legal(enum attach_state from, enum attach_state to)
{
	switch (to) {
	case DISK_DETACHED:
		return from != DISK_DETACHED;
	case DISK_ATTACHING:
		return from == DISK_DETACHED;
	case DISK_ATTACHED:
		return from == DISK_ATTACHING || from == DISK_CHECKING;
	case DISK_CHECKING:
		return from == DISK_ATTACHED;
	case DISK_DETACHING:
		return from != DISK_DETACHED;
	}
	return false;
}

static void set_state(struct disk *d, enum attach_state state)
{
	assert(change_is_legal(d->state, state));
	d->state = state;
	if (state != DISK_ATTACHED && state != DISK_CHECKING)
		d->attach->device[d->index].path[0] = '\0';
}

static const char *name_of(const struct disk *d)
{
	return d->attach->config->site[0].disk[d->index].name;
}

static void tell(const struct disk *d, const char *command)
{
	/* A few bytes into an empty socket; that it has ended is seen otherwise. */
	send(d->talk_fd, command, strlen(command), MSG_NOSIGNAL);
}

static void force_one(const struct disk *d)
{
	tell(d, "force\n");
	d->attach->owner.fail(d->attach->owner.owner, d->index);
}

static void close_end(struct qb_loop *loop, int *fd)
{
	if (*fd < 0)
		return;
	qb_loop_poll_del(loop, *fd);
	close(*fd);
	*fd = -1;
}

static void close_ends(struct disk *d)
{
	close_end(d->attach->loop, &d->talk_fd);
	close_end(d->attach->loop, &d->pid_fd);
	d->line_bytes = 0;
}

/* The first failure is told, later ones are not. */
static void went_wrong(struct disk *d, int error, const char *text)
{
	struct agent_attach *a = d->attach;

	if (a->error != 0)
		return;
	a->error = error;
	snprintf(a->text, sizeof a->text, "disk %s: %.800s", name_of(d), text);
}

/* ---- lines of helpers ------------------------------------------------------------------ */

static void link_path(const struct disk *d, char path[PATH_MAX + 80])
{
	snprintf(path, PATH_MAX + 80, "%s/%s", d->attach->devices, name_of(d));
}

/* A helper that was killed leaves its link. */
static void remove_link(struct disk *d)
{
	char path[PATH_MAX + 80], target[sizeof d->device];
	ssize_t n;

	link_path(d, path);
	n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	if (strcmp(target, d->device) == 0)
		unlink(path);
}

static void attached(struct disk *d, const char *text)
{
	const struct agent_attach *a = d->attach;
	struct status_device *device = &d->attach->device[d->index];
	const size_t length = strcspn(text, " ");

	snprintf(d->device, sizeof d->device, "%.*s", (int)length, text);
	snprintf(device->front_end, sizeof device->front_end, "%s",
		 text[length] != '\0' ? text + length + 1 : "");
	set_state(d, DISK_ATTACHED);
	snprintf(device->path, sizeof device->path, "%.180s/%s", a->devices, name_of(d));
}

static void heard(struct disk *d, const char *line)
{
	const char *blank = strchr(line, ' ');
	const char *text = blank != NULL ? blank + 1 : "";

	if (strncmp(line, "attached ", 9) == 0 && d->state == DISK_ATTACHING) {
		attached(d, text);
	} else if (strncmp(line, "serve ", 6) == 0 && d->state == DISK_ATTACHING) {
		d->attach->owner.serve(d->attach->owner.owner, d->index,
				       (uint32_t)strtoul(text, NULL, 10));
	} else if (strcmp(line, "free") == 0 && d->state == DISK_CHECKING) {
		d->free = true;
	} else if (strncmp(line, "busy ", 5) == 0 && d->state == DISK_CHECKING) {
		went_wrong(d, -EBUSY, text);
		set_state(d, DISK_ATTACHED);
	} else if (strncmp(line, "failed ", 7) == 0) {
		went_wrong(d, -EIO, text);
		/* Data that could not be written back is lost, now or later. */
		if (d->state == DISK_DETACHING)
			force_one(d);
	}
	judge_later(d->attach);
}

/* Returns false when nothing more can be read, for the moment or for ever. */
static bool listen_to(struct disk *d)
{
	const ssize_t n = read(d->talk_fd, d->line + d->line_bytes,
			       sizeof d->line - d->line_bytes);
	char *end;

	if (n <= 0)
		return false;
	d->line_bytes += (size_t)n;
	while ((end = memchr(d->line, '\n', d->line_bytes)) != NULL) {
		const size_t length = (size_t)(end - d->line) + 1;

		*end = '\0';
		heard(d, d->line);
		d->line_bytes -= length;
		memmove(d->line, d->line + length, d->line_bytes);
	}
	if (d->line_bytes == sizeof d->line)
		d->line_bytes = 0; /* no line of ours is so long */
	return true;
}

static int32_t helper_speaks(int32_t fd, int32_t revents, void *data)
{
	struct disk *d = data;

	(void)fd;
	while (listen_to(d))
		;
	/* After the end of input poll reports again and again, so we stop listening. */
	return (revents & (POLLHUP | POLLERR)) != 0 ? -1 : 0;
}

static int32_t helper_ended(int32_t fd, int32_t revents, void *data)
{
	struct disk *d = data;
	struct agent_attach *a = d->attach;
	const enum attach_state before = d->state;
	char end[64] = "has ended", text[96];
	int status;

	(void)fd;
	(void)revents;
	while (listen_to(d)) /* its last words */
		;
	if (waitpid(d->pid, &status, 0) == d->pid)
		agent_process_end_format(status, end, sizeof end);
	close_ends(d);
	remove_link(d);
	set_state(d, DISK_DETACHED);
	snprintf(text, sizeof text, "its helper %s", end);
	if (before == DISK_ATTACHING || before == DISK_ATTACHED)
		went_wrong(d, -EIO, text);
	if (before == DISK_ATTACHED && a->work == WORK_NONE) {
		a->error = 0;
		a->owner.lost(a->owner.owner, a->text);
	}
	judge_later(a);
	return -1;
}

/* ---- starting one ------------------------------------------------------------------------- */

static int spawn(struct disk *d, int fd)
{
	struct agent_attach *a = d->attach;
	char helper[] = AGENT_ATTACH_HELPER, program[] = "hamirrord";
	char export[CONFIG_NAME_MAX], folder[PATH_MAX + 80], link[PATH_MAX + 80];
	char front_end[8], words[PATH_MAX + 80];
	char *argv[] = { program, helper,    a->socket, export, folder,
			 link,    front_end, words,     NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t set;
	int error;

	snprintf(front_end, sizeof front_end, "%s",
		 config_attach_words[a->config->attach]);
	snprintf(export, sizeof export, "%s", name_of(d));
	snprintf(folder, sizeof folder, "%s/%s.fuse", a->run, export);
	link_path(d, link);
	snprintf(words, sizeof words, "%s.%s", a->words, export);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&attr, &set);
	error = posix_spawn(&d->pid, "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -error;
}

static int watch(struct disk *d)
{
	struct qb_loop *loop = d->attach->loop;

	d->pid_fd = (int)syscall(SYS_pidfd_open, d->pid, 0);
	if (d->pid_fd < 0 || fcntl(d->talk_fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (qb_loop_poll_add(loop, QB_LOOP_MED, d->pid_fd, POLLIN, d, helper_ended) !=
		    0 ||
	    qb_loop_poll_add(loop, QB_LOOP_MED, d->talk_fd, POLLIN, d, helper_speaks) !=
		    0)
		return -ENOMEM;
	return 0;
}

static int start_helper(struct disk *d)
{
	int fd[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	rc = spawn(d, fd[1]);
	close(fd[1]);
	d->talk_fd = fd[0];
	if (rc == 0) {
		rc = watch(d);
		if (rc < 0) {
			kill(d->pid, SIGKILL);
			waitpid(d->pid, NULL, 0);
		}
	}
	if (rc < 0)
		close_ends(d);
	else
		set_state(d, DISK_ATTACHING);
	return rc;
}

/* ---- the work under way ------------------------------------------------------------------- */

static uint32_t count_in(const struct agent_attach *a, enum attach_state state)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < a->disk_count; i++)
		count += a->disk[i].state == state;
	return count;
}

static void kill_all(void *data)
{
	struct agent_attach *a = data;

	a->killing = false;
	for (uint32_t i = 0; i < a->disk_count; i++)
		if (a->disk[i].state != DISK_DETACHED)
			kill(-a->disk[i].pid, SIGKILL); /* its server too */
}

static void force_all(struct agent_attach *a)
{
	a->force = true;
	for (uint32_t i = 0; i < a->disk_count; i++) {
		struct disk *d = &a->disk[i];

		if (d->state == DISK_DETACHED)
			continue;
		force_one(d);
		set_state(d, DISK_DETACHING);
	}
	if (!a->killing)
		a->killing = qb_loop_timer_add(a->loop, QB_LOOP_MED, FORCE_NS, a,
					       kill_all, &a->kill_timer) == 0;
}

static void finish(struct agent_attach *a)
{
	const int error = a->error;
	char text[LINE_BYTES];

	a->work = WORK_NONE;
	a->force = false;
	a->error = 0;
	if (a->killing)
		qb_loop_timer_del(a->loop, a->kill_timer);
	a->killing = false;
	snprintf(text, sizeof text, "%s", a->text);
	if (error == 0)
		a->text[0] = '\0';
	a->owner.done(a->owner.owner, error, text);
}

static void judge_start(struct agent_attach *a)
{
	if (a->error != 0 && !a->force)
		force_all(a); /* all or none */
	if (count_in(a, DISK_ATTACHING) > 0 || count_in(a, DISK_DETACHING) > 0)
		return;
	finish(a);
}

/* All were asked; one that is in use keeps all. */
static void judge_check(struct agent_attach *a)
{
	for (uint32_t i = 0; i < a->disk_count; i++)
		if (a->disk[i].state == DISK_CHECKING && !a->disk[i].free)
			return;
	for (uint32_t i = 0; i < a->disk_count; i++) {
		struct disk *d = &a->disk[i];

		if (d->state != DISK_CHECKING)
			continue;
		if (a->error == 0)
			tell(d, "detach\n");
		set_state(d, a->error == 0 ? DISK_DETACHING : DISK_ATTACHED);
	}
}

static void judge_stop(struct agent_attach *a)
{
	if (count_in(a, DISK_CHECKING) > 0)
		judge_check(a);
	if (count_in(a, DISK_CHECKING) > 0 || count_in(a, DISK_DETACHING) > 0)
		return;
	finish(a);
}

static void judge(void *data)
{
	struct agent_attach *a = data;

	a->judging = false;
	switch (a->work) {
	case WORK_NONE:
		break;
	case WORK_START:
		judge_start(a);
		break;
	case WORK_STOP:
		judge_stop(a);
		break;
	}
}

static void judge_later(struct agent_attach *a)
{
	if (!a->judging)
		a->judging = qb_loop_job_add(a->loop, QB_LOOP_MED, a, judge) == 0;
}

/* ---- for the bridge ------------------------------------------------------------------------- */

int agent_attach_open(struct qb_loop *loop, const struct config *config,
		      const struct agent_instance *instance,
		      const struct agent_attach_owner *owner,
		      struct agent_attach **attach)
{
	struct agent_attach *a = calloc(1, sizeof *a);
	char clients[PATH_MAX];
	int rc;

	if (a == NULL)
		return -ENOMEM;
	a->loop = loop;
	a->config = config;
	a->owner = *owner;
	rc = agent_path(instance, AGENT_PATH_NBD_OWN, a->socket);
	if (rc == 0)
		rc = agent_path(instance, AGENT_PATH_NBD, clients);
	if (rc == 0)
		rc = agent_path(instance, AGENT_PATH_RUN, a->run);
	if (rc == 0)
		rc = agent_path(instance, AGENT_PATH_DEVICES, a->devices);
	if (rc == 0)
		rc = agent_path(instance, AGENT_PATH_CRASH, a->words);
	if (rc < 0) {
		free(a);
		return rc;
	}
	a->disk_count = config->attach == CONFIG_ATTACH_NONE ? 0 :
							       config->site[0].disk_count;
	for (uint32_t i = 0; i < config->site[0].disk_count; i++) {
		a->disk[i] = (struct disk){ .attach = a, .index = i };
		a->disk[i].pid_fd = a->disk[i].talk_fd = -1;
		snprintf(a->device[i].socket, sizeof a->device[i].socket, "%.255s",
			 clients);
	}
	*attach = a;
	return 0;
}

/* With devices the kernel may free memory by writing to us: it must promise not to have us
 * wait for that. Returns 0, or -errno with a text. */
static int check_protection(struct agent_attach *a)
{
	const struct agent_protection_words *w = agent_protection_words(
		AGENT_PROTECT_IO_FLUSHER);
	const int rc = agent_protect_io_flusher();

	if (rc == 0 || a->config->unprotected == CONFIG_UNPROTECTED_ALLOWED)
		return 0;
	snprintf(
		a->text, sizeof a->text,
		"%s is refused (%s), and when memory is short %s. It needs %s: leave it in "
		"CapabilityBoundingSet of the unit, give it to the container, or write "
		"`unprotected: allowed`",
		w->name, strerror(-rc), w->danger, w->need);
	return rc;
}

void agent_attach_start(struct agent_attach *a)
{
	assert(a->work == WORK_NONE);
	a->work = WORK_START;
	a->error = a->disk_count > 0 ? check_protection(a) : 0;
	for (uint32_t i = 0; i < a->disk_count && a->error == 0; i++) {
		struct disk *d = &a->disk[i];
		const int rc = d->state == DISK_DETACHED ? start_helper(d) : 0;

		if (rc < 0)
			went_wrong(d, rc, strerror(-rc));
	}
	judge_later(a);
}

void agent_attach_stop(struct agent_attach *a, bool force)
{
	assert(a->work == WORK_NONE || force);
	a->work = WORK_STOP;
	a->error = 0;
	if (force) {
		force_all(a);
		judge_later(a);
		return;
	}
	for (uint32_t i = 0; i < a->disk_count; i++) {
		struct disk *d = &a->disk[i];

		if (d->state != DISK_ATTACHED)
			continue;
		d->free = false;
		set_state(d, DISK_CHECKING);
		tell(d, "check\n");
	}
	judge_later(a);
}

bool agent_attach_is_active(const struct agent_attach *a)
{
	return count_in(a, DISK_DETACHED) < a->disk_count;
}

const struct status_device *agent_attach_devices(const struct agent_attach *a)
{
	return a->device;
}

const char *agent_attach_text(const struct agent_attach *a)
{
	return a->text;
}

void agent_attach_close(struct agent_attach *a)
{
	if (a == NULL)
		return;
	/* The end of its input makes a helper go, and init takes it from there. */
	for (uint32_t i = 0; i < a->disk_count; i++)
		close_ends(&a->disk[i]);
	if (a->killing)
		qb_loop_timer_del(a->loop, a->kill_timer);
	if (a->judging)
		qb_loop_job_del(a->loop, QB_LOOP_MED, a, judge);
	free(a);
}
