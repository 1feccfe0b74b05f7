/* control.c - see control.h.
 *
 * A client:
 *
 *   state     line arrives    reply          end of input    broken
 *   idle      asked           (impossible)   closed          closed
 *   asked     waits unread    idle           stays           closed
 *
 * "End of input" is the client's: it says no more, and still wants its answers
 * (`echo REQUEST | socat`). "Broken" is a hang-up or a bound that it broke.
 * A client is freed from the loop's own handler only (`serve`), never under the
 * feet of the owner that is just sending to it: a failed send marks it `broken`.
 */
#include "agent/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/paths.h"
#include "agent/words.h"

struct agent_client {
	struct agent_control *control;
	int fd;       /* -1: this place is free */
	bool asked;   /* a request is with the owner */
	bool streams; /* lines follow its reply, until it hangs up */
	bool ended;   /* its end of input was read */
	bool broken;
	size_t in_bytes;
	char in[AGENT_REQUEST_BYTES_MAX];
	char *out;
	size_t out_bytes, out_size;
};

struct agent_control {
	struct qb_loop *loop;
	struct agent_control_owner owner;
	int fd; /* listening; -1: closed */
	char path[PATH_MAX];
	struct agent_client client[AGENT_CLIENTS_MAX];
};

static int32_t serve(int32_t fd, int32_t revents, void *data);

/* ---- out -------------------------------------------------------------------- */

/* May its next request be taken? */
static bool listens(const struct agent_client *c)
{
	return !c->asked && !c->streams && !c->broken;
}

static void watch(struct agent_client *c)
{
	/* A line that came while the one before was under way is there already:
	 * there is room to write at once, so that wakes `serve` for it. */
	const bool line = listens(c) && memchr(c->in, '\n', c->in_bytes) != NULL;
	/* A hang-up is told unasked. */
	const int events = (listens(c) && !c->ended ? POLLIN : 0) |
			   (line || (c->out_bytes > 0 && !c->broken) ? POLLOUT : 0);

	qb_loop_poll_mod(c->control->loop, QB_LOOP_MED, c->fd, events, c, serve);
}

/* Nothing more is to come from it, or to go to it. */
static bool finished(const struct agent_client *c)
{
	return c->broken || (c->ended && listens(c) && c->out_bytes == 0 &&
			     memchr(c->in, '\n', c->in_bytes) == NULL);
}

/* After a change outside of `serve`, which shutdown makes the loop call. */
static void settle(struct agent_client *c)
{
	if (finished(c))
		shutdown(c->fd, SHUT_RDWR);
	watch(c);
}

static void flush(struct agent_client *c)
{
	size_t at = 0;

	while (at < c->out_bytes && !c->broken) {
		const ssize_t n = send(c->fd, c->out + at, c->out_bytes - at,
				       MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			c->broken = true;
		else
			at += (size_t)n;
	}
	memmove(c->out, c->out + at, c->out_bytes - at);
	c->out_bytes -= at;
}

static int append(const char *text, size_t length, void *data)
{
	struct agent_client *c = data;

	if (length > AGENT_UNREAD_BYTES_MAX - c->out_bytes)
		return -1;
	if (c->out_bytes + length > c->out_size) {
		const size_t size = (c->out_bytes + length) * 2;
		char *out = realloc(c->out, size);

		if (out == NULL)
			return -1;
		c->out = out;
		c->out_size = size;
	}
	memcpy(c->out + c->out_bytes, text, length);
	c->out_bytes += length;
	return 0;
}

void agent_client_send(struct agent_client *c, json_t *line)
{
	if (!c->broken &&
	    (line == NULL || json_dump_callback(line, append, c, JSON_COMPACT) != 0 ||
	     append("\n", 1, c) != 0))
		c->broken = true;
	json_decref(line);
	flush(c);
	settle(c);
}

void agent_client_reply(struct agent_client *c, json_t *reply, int exit_status,
			const char *text)
{
	json_t *line = reply != NULL ? reply : json_object();

	assert(c->asked);
	json_object_set_new(line, "exit", json_integer(exit_status));
	if (text != NULL)
		json_object_set_new(line, "text", agent_text_json(text));
	c->asked = false;
	agent_client_send(c, line);
}

/* ---- in --------------------------------------------------------------------- */

static void client_close(struct agent_client *c)
{
	if (c->fd < 0)
		return;
	qb_loop_poll_del(c->control->loop, c->fd);
	close(c->fd);
	c->fd = -1;
	c->control->owner.gone(c->control->owner.owner, c);
	free(c->out);
	c->out = NULL;
}

static void request(struct agent_client *c, const char *line, size_t length)
{
	json_error_t error;
	json_t *r = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	char text[JSON_ERROR_TEXT_LENGTH + 64];

	c->asked = true;
	if (json_is_object(r)) {
		c->control->owner.request(c->control->owner.owner, c, r);
	} else {
		snprintf(text, sizeof text, "a request is one JSON object on a line: %s",
			 r == NULL ? error.text : "this is none");
		agent_client_reply(c, NULL, 2, text);
	}
	json_decref(r);
}

/* Hand over the lines that are whole, one at a time. */
static void requests(struct agent_client *c)
{
	while (listens(c)) {
		char *end = memchr(c->in, '\n', c->in_bytes);
		const size_t length = end == NULL ? 0 : (size_t)(end - c->in) + 1;

		if (end == NULL) {
			c->broken = c->in_bytes == sizeof c->in;
			return;
		}
		request(c, c->in, length - 1);
		c->in_bytes -= length;
		memmove(c->in, c->in + length, c->in_bytes);
	}
}

static void receive(struct agent_client *c)
{
	const ssize_t n = recv(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes,
			       MSG_DONTWAIT);

	if (n > 0)
		c->in_bytes += (size_t)n;
	else if (n == 0)
		c->ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		c->broken = true;
}

static int32_t serve(int32_t fd, int32_t revents, void *data)
{
	struct agent_client *c = data;

	(void)fd;
	if ((revents & POLLOUT) != 0)
		flush(c);
	if ((revents & POLLIN) != 0 && listens(c) && !c->ended)
		receive(c);
	if ((revents & (POLLHUP | POLLERR)) != 0)
		c->broken = true;
	requests(c);
	if (finished(c)) {
		client_close(c);
		return -1;
	}
	watch(c);
	return 0;
}

/* ---- listening ---------------------------------------------------------------- */

static int32_t acceptable(int32_t fd, int32_t revents, void *data)
{
	struct agent_control *control = data;
	struct agent_client *c = NULL;
	const int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (client < 0)
		return 0;
	for (size_t i = 0; i < AGENT_CLIENTS_MAX && c == NULL; i++)
		if (control->client[i].fd < 0)
			c = &control->client[i];
	if (c == NULL) {
		static const char full[] =
			"{\"exit\": 1, \"text\": \"too many connections to the daemon\"}\n";

		if (send(client, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			errno = 0; /* it learns by the hang-up */
		close(client);
		return 0;
	}
	*c = (struct agent_client){ .control = control, .fd = client };
	if (qb_loop_poll_add(control->loop, QB_LOOP_MED, client, POLLIN | POLLRDHUP, c,
			     serve) != 0) {
		close(client);
		c->fd = -1;
	}
	return 0;
}

/* A bound, listening socket at control->path, or -errno. */
static int listen_at(struct agent_control *control)
{
	struct sockaddr_un address;
	int directory = -1, error;
	mode_t before;

	error = agent_socket_address(control->path, &address, &directory);
	if (error != 0)
		return error;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(control->path);
	before = umask(0177);
	if (control->fd < 0 ||
	    bind(control->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(control->fd, AGENT_CLIENTS_MAX) != 0)
		error = -errno;
	umask(before);
	if (directory >= 0)
		close(directory);
	return error;
}

int agent_control_open(struct qb_loop *loop, const char *path,
		       const struct agent_control_owner *owner,
		       struct agent_control **out, char *text, size_t text_size)
{
	struct agent_control *control = calloc(1, sizeof *control);
	int error = -ENOMEM;

	if (control != NULL) {
		control->loop = loop;
		control->owner = *owner;
		for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++)
			control->client[i].fd = -1;
		snprintf(control->path, sizeof control->path, "%s", path);
		error = listen_at(control);
	}
	if (error == 0)
		error = qb_loop_poll_add(loop, QB_LOOP_MED, control->fd, POLLIN, control,
					 acceptable);
	if (error != 0) {
		snprintf(text, text_size, "the control socket %s cannot be made: %s",
			 path, strerror(-error));
		agent_control_close(control);
		return error;
	}
	*out = control;
	return 0;
}

void agent_client_stream(struct agent_client *c, bool on)
{
	c->streams = on;
	settle(c);
}

uint32_t agent_control_client_count(const struct agent_control *control)
{
	uint32_t count = 0;

	for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++)
		count += control->client[i].fd >= 0;
	return count;
}

void agent_control_close(struct agent_control *control)
{
	if (control == NULL)
		return;
	if (control->fd >= 0) {
		qb_loop_poll_del(control->loop, control->fd);
		close(control->fd);
		unlink(control->path);
	}
	for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++)
		client_close(&control->client[i]);
	free(control);
}
