/* events.c - see events.h. */
#include "agent/events.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/log.h"
#include "common/clock_driver.h"

struct agent_events {
	char *path; /* NULL: no file */
	int fd;     /* -1: not open */
	uint64_t newest;
	size_t file_bytes;
	struct agent_follower *followers;
};

/* ---- text ------------------------------------------------------------------ */

static size_t add(char *line, size_t at, const char *before, const char *text)
{
	int n;

	if (text[0] == '\0')
		return at;
	n = snprintf(line + at, AGENT_EVENT_LINE_MAX - at, "%s%s", before, text);
	at += n > 0 ? (size_t)n : 0;
	return at < AGENT_EVENT_LINE_MAX ? at : AGENT_EVENT_LINE_MAX - 1;
}

void agent_event_format(const struct agent_event *event, char *line)
{
	size_t at = 0;

	at = add(line, at, "", event->verb);
	at = add(line, at, " ", event->object);
	at = add(line, at, " ", event->text);
	at = add(line, at, " rule=", event->rule);
	for (size_t i = 0; i < at; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[at] = '\0';
}

void agent_event_time_format(uint64_t wall_ns, char *text)
{
	const time_t seconds = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	size_t at;

	gmtime_r(&seconds, &tm);
	at = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + at, 32 - at, ".%03uZ", (unsigned)(wall_ns / 1000000 % 1000));
}

/* ---- the file -------------------------------------------------------------- */

/* Its folder may have been removed too. */
static void folder_make(const char *path)
{
	char folder[512];
	const char *slash = strrchr(path, '/');

	if (slash != NULL && (size_t)(slash - path) < sizeof folder) {
		snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
		mkdir(folder, 0750);
	}
}

static void file_open(struct agent_events *e)
{
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
	struct stat st;

	if (e->path == NULL)
		return;
	e->fd = open(e->path, flags, 0640);
	if (e->fd < 0 && errno == ENOENT) {
		folder_make(e->path);
		e->fd = open(e->path, flags, 0640);
	}
	e->file_bytes = e->fd >= 0 && fstat(e->fd, &st) == 0 ? (size_t)st.st_size : 0;
	if (e->fd < 0)
		agent_log(LOG_WARNING, "the event log %s cannot be opened: %s", e->path,
			  strerror(errno));
}

static void file_turn(struct agent_events *e)
{
	char old[512];

	close(e->fd);
	snprintf(old, sizeof old, "%s.1", e->path);
	if (rename(e->path, old) != 0)
		unlink(e->path);
	file_open(e);
}

/* Was the file removed or moved away? Nobody would see further lines. */
static bool file_is_gone(const struct agent_events *e)
{
	struct stat ours, there;

	return e->fd < 0 || fstat(e->fd, &ours) != 0 || stat(e->path, &there) != 0 ||
	       ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

/* A line that cannot be written is in the system log all the same. */
static void file_add(struct agent_events *e, uint64_t wall_ns, const char *line)
{
	char text[AGENT_EVENT_LINE_MAX + 40], when[32];
	ssize_t n;
	int length;

	if (e->path != NULL && file_is_gone(e)) {
		if (e->fd >= 0)
			close(e->fd);
		file_open(e);
	}
	if (e->fd < 0)
		return;
	agent_event_time_format(wall_ns, when);
	length = snprintf(text, sizeof text, "%s %s\n", when, line);
	if (e->file_bytes + (size_t)length > AGENT_EVENTS_FILE_BYTES_MAX)
		file_turn(e);
	n = write(e->fd, text, (size_t)length);
	e->file_bytes += n > 0 ? (size_t)n : 0;
}

/* ---- the log ---------------------------------------------------------------- */

struct agent_events *agent_events_open(const char *path)
{
	struct agent_events *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->fd = -1;
	if (path != NULL) {
		e->path = strdup(path);
		file_open(e);
	}
	return e;
}

void agent_events_add(struct agent_events *e, const struct agent_event *event)
{
	struct agent_event numbered = *event;
	struct agent_follower *f, *next;
	char line[AGENT_EVENT_LINE_MAX];

	numbered.number = ++e->newest;
	agent_event_format(event, line);
	file_add(e, event->wall_ns, line);
	agent_log(LOG_INFO, "%s", line);
	for (f = e->followers; f != NULL; f = next) {
		next = f->next; /* it may unfollow itself */
		f->added(f, &numbered);
	}
}

void agent_events_add_now(struct agent_events *e, const char *verb, const char *object,
			  const char *text, const char *rule)
{
	const struct agent_event event = {
		.wall_ns = common_clock_ns(CLOCK_REALTIME),
		.verb = verb,
		.object = object,
		.text = text,
		.rule = rule,
	};

	agent_events_add(e, &event);
}

uint64_t agent_events_newest(const struct agent_events *e)
{
	return e->newest;
}

void agent_events_follow(struct agent_events *e, struct agent_follower *f)
{
	f->next = e->followers;
	e->followers = f;
}

void agent_events_unfollow(struct agent_events *e, struct agent_follower *f)
{
	for (struct agent_follower **at = &e->followers; *at != NULL; at = &(*at)->next)
		if (*at == f) {
			*at = f->next;
			f->next = NULL;
			return;
		}
}

void agent_events_close(struct agent_events *e)
{
	if (e == NULL)
		return;
	assert(e->followers == NULL);
	if (e->fd >= 0)
		close(e->fd);
	free(e->path);
	free(e);
}
