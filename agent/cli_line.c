/* cli_line.c - see cli_line.h. */
#include "agent/cli_line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX (4u * 1024 * 1024)

static int connect_to(const char *path)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int directory_fd, error;

	if (fd < 0)
		return -errno;
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

int cli_line_open(const struct agent_instance *instance, struct cli_line *line,
		  char *text, size_t text_size)
{
	char path[PATH_MAX];
	struct ucred peer;
	socklen_t length = sizeof peer;
	int error;

	*line = (struct cli_line){ .fd = -1 };
	error = agent_path(instance, AGENT_PATH_CONTROL, path);
	if (error == 0)
		line->fd = connect_to(path);
	if (error == 0 && line->fd < 0)
		error = line->fd;
	if (error == -ECONNREFUSED || error == -ENOTDIR)
		error = -ENOENT; /* what a killed daemon left */
	if (error == -ENOENT)
		snprintf(text, text_size,
			 "no daemon of %s runs on this node; `hamirror start %s` starts "
			 "it",
			 instance->name, instance->name);
	else if (error != 0)
		snprintf(text, text_size, "%s cannot be used: %s%s", path,
			 strerror(-error),
			 error == -EACCES || error == -EPERM ? "; only root may" : "");
	if (error != 0) {
		line->fd = -1;
		return error;
	}
	if (getsockopt(line->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		line->pid = peer.pid;
	return 0;
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
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Take the first whole line out of what was read. Returns 0, or -EAGAIN. */
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
