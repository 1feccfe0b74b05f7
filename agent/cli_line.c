/* cli_line.c - see cli_line.h. */
#include "agent/cli_line.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/files.h"
#include "common/clock_driver.h"

#define LINE_BYTES_MAX (4u * 1024 * 1024)

/* A daemon whose socket was removed makes another within a second. */
#define SOCKET_WAIT_MS 3000
#define SOCKET_LOOK_MS 50

/* A stopped daemon takes neither connections nor requests. */
#define SEND_WAIT_S 10

static int connect_to(const char *path, bool waits)
{
	const struct timeval wait = { .tv_sec = SEND_WAIT_S };
	const int fd = socket(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);
	struct sockaddr_un address;
	int directory_fd, error;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	error = agent_socket_address(path, &address, &directory_fd);
	if (error == 0 &&
	    connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		error = -errno;
	if (directory_fd >= 0)
		close(directory_fd);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* Nobody listens there: no daemon, one that was killed, or one whose socket is gone. */
static bool is_deaf(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ECONNREFUSED;
}

/* Returns a descriptor, -ENOENT: no daemon runs; -EBUSY: process `*pid` is one, and is
 * not reached; or -errno. */
static int connect_patiently(const struct agent_instance *instance, const char *path,
			     bool waits, pid_t *pid)
{
	for (int ms = 0;; ms += SOCKET_LOOK_MS) {
		const int fd = connect_to(path, waits);
		int held;

		if (fd >= 0 || (!is_deaf(fd) && fd != -EAGAIN))
			return fd;
		held = agent_lock_holder(instance, pid);
		if (held <= 0)
			return held < 0 ? held : -ENOENT;
		if (!waits || fd == -EAGAIN || ms >= SOCKET_WAIT_MS)
			return -EBUSY;
		poll(NULL, 0, SOCKET_LOOK_MS);
	}
}

static void explain(const struct agent_instance *instance, const char *path, int error,
		    pid_t pid, char *text, size_t text_size)
{
	if (error == -ENOENT)
		snprintf(text, text_size,
			 "no daemon of %s runs on this node; `hamirror start %s` starts "
			 "it",
			 instance->name, instance->name);
	else if (error == -EBUSY)
		snprintf(
			text, text_size,
			"the daemon of %s runs, as process %ld, but takes no connection: "
			"it starts, it ends, or it hangs; `hamirror stop %s --kill 30` "
			"ends it",
			instance->name, (long)pid, instance->name);
	else
		snprintf(text, text_size, "%s cannot be used: %s%s", path,
			 strerror(-error),
			 error == -EACCES || error == -EPERM ? "; only root may" : "");
}

static int open_line(const struct agent_instance *instance, struct cli_line *line,
		     bool waits, char *text, size_t text_size)
{
	char path[PATH_MAX];
	struct ucred peer;
	socklen_t length = sizeof peer;
	pid_t pid = 0;
	int error;

	*line = (struct cli_line){ .fd = -1 };
	error = agent_path(instance, AGENT_PATH_CONTROL, path);
	if (error == 0)
		error = connect_patiently(instance, path, waits, &pid);
	if (error < 0) {
		explain(instance, path, error, pid, text, text_size);
		return error;
	}
	line->fd = error;
	if (getsockopt(line->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		line->pid = peer.pid;
	return 0;
}

int cli_line_open(const struct agent_instance *instance, struct cli_line *line,
		  char *text, size_t text_size)
{
	return open_line(instance, line, true, text, text_size);
}

int cli_line_try(const struct agent_instance *instance, struct cli_line *line, char *text,
		 size_t text_size)
{
	return open_line(instance, line, false, text, text_size);
}

int cli_line_send(struct cli_line *line, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t length, sent = 0;
	int error = 0;

	json_decref(request);
	if (text == NULL)
		return -ENOMEM;
	length = strlen(text);
	text[length++] = '\n'; /* in the place of the final 0 */
	while (sent < length && error == 0) {
		const ssize_t n = send(line->fd, text + sent, length - sent,
				       MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			error = -errno;
	}
	free(text);
	return error;
}

static int64_t now_ms(void)
{
	return (int64_t)common_clock_ms(CLOCK_BOOTTIME);
}

/* Take the first whole line out of the bytes read. Returns 0, or -EAGAIN. */
static int take_line(struct cli_line *line, json_t **object)
{
	const char *end = memchr(line->text, '\n', line->length);
	size_t used;

	if (end == NULL)
		return -EAGAIN;
	used = (size_t)(end - line->text) + 1;
	*object = json_loadb(line->text, used, 0, NULL);
	line->length -= used;
	memmove(line->text, line->text + used, line->length);
	if (json_is_object(*object))
		return 0;
	json_decref(*object);
	*object = NULL;
	return -EPROTO;
}

static int read_more(struct cli_line *line, int wait_ms)
{
	struct pollfd poll_fd = { .fd = line->fd, .events = POLLIN };
	ssize_t n;

	if (line->length == line->size) {
		const size_t size = line->size == 0 ? 65536 : 2 * line->size;
		char *text = size <= LINE_BYTES_MAX ? realloc(line->text, size) : NULL;

		if (text == NULL)
			return size <= LINE_BYTES_MAX ? -ENOMEM : -EPROTO;
		line->text = text;
		line->size = size;
	}
	n = poll(&poll_fd, 1, wait_ms);
	if (n == 0)
		return -ETIMEDOUT;
	if (n > 0)
		n = read(line->fd, line->text + line->length, line->size - line->length);
	if (n > 0)
		line->length += (size_t)n;
	else if (n < 0 && errno != EINTR)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return n == 0 ? -EPIPE : 0;
}

int cli_line_next(struct cli_line *line, int wait_ms, json_t **object)
{
	const int64_t until_ms = now_ms() + wait_ms;
	int error = line->length > 0 ? take_line(line, object) : -EAGAIN;

	while (error == -EAGAIN) {
		const int64_t left_ms = until_ms - now_ms();

		error = read_more(line, wait_ms < 0 ? -1 :
					left_ms > 0 ? (int)left_ms :
						      0);
		if (error == 0)
			error = take_line(line, object);
	}
	return error;
}

void cli_line_close(struct cli_line *line)
{
	if (line->fd >= 0)
		close(line->fd);
	free(line->text);
	*line = (struct cli_line){ .fd = -1 };
}
