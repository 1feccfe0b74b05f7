/* control.c - see control.h.
 *
 * A client:
 *
 *   state     line arrives    reply          end of input    broken
 *   idle      asked           (impossible)   closed          closed
 *   asked     waits unread    idle           stays           closed
 *
 * An idle client is closed after AGENT_IDLE_MS, or when a new one needs its place.
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
#include <time.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/paths.h"
#include "agent/words.h"
#include "common/clock_driver.h"

struct agent_client {
	struct agent_control *control;
	int fd;       /* -1: this place is free */
	bool asked;   /* a request is with the owner */
	bool streams; /* lines follow its reply, until it hangs up */
	bool ended;   /* its end of input was read */
	bool broken;
	bool urgent;     /* its requests and streams take no place of the others */
	int64_t idle_ms; /* since when it has asked nothing */
	pid_t pid;
	char process[32]; /* its name */
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
	dev_t device; /* of the socket's name */
	ino_t inode;
	int64_t told_ms; /* a drop was told last */
	uint32_t untold; /* drops since */
	struct agent_client client[AGENT_CLIENTS_MAX];
};

/* A flood of drops is told as one. */
#define TOLD_MS 1000

static int32_t serve(int32_t fd, int32_t revents, void *data);

static int64_t now_ms(void)
{
	return (int64_t)common_clock_ms(CLOCK_BOOTTIME);
}

/* ---- out -------------------------------------------------------------------- */

/* May its next request be taken? */
static bool listens(const struct agent_client *c)
{
	return !c->asked && !c->streams && !c->broken;
}

static void watch(struct agent_client *c)
{
	/* A line that came during the request before is already in the buffer, so no input
	 * will wake `serve` for it. The socket can be written, so ask for that. */
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
	c->idle_ms = now_ms();
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

static void tell_dropped(struct agent_client *c, const char *why)
{
	struct agent_control *control = c->control;
	const int64_t now = now_ms();
	char text[256], more[48] = "";

	if (now - control->told_ms < TOLD_MS) {
		control->untold++;
		return;
	}
	if (control->untold > 0)
		snprintf(more, sizeof more, ", and %u more before it", control->untold);
	control->told_ms = now;
	control->untold = 0;
	snprintf(text, sizeof text, "connection of process %ld (%s)%s: %s", (long)c->pid,
		 c->process, more, why);
	control->owner.dropped(control->owner.owner, text);
}

/* Do requests and streams that are not urgent have all the places that they may? */
static bool is_full(const struct agent_control *control)
{
	uint32_t count = 0;

	for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++) {
		const struct agent_client *c = &control->client[i];

		count += c->fd >= 0 && (c->asked || c->streams) && !c->urgent;
	}
	return count > AGENT_CLIENTS_MAX - AGENT_CLIENTS_RESERVED;
}

/* Hand it to the owner, unless only reserved places are left. */
static void hand_over(struct agent_client *c, json_t *r)
{
	struct agent_control *control = c->control;

	c->urgent = control->owner.is_urgent(control->owner.owner, r);
	if (!c->urgent && is_full(control)) {
		agent_client_reply(c, NULL, 1,
				   "too many requests and readers of events are under "
				   "way; end some: `ss -xp` shows their processes");
		c->ended = true;
		tell_dropped(c, "refused, since the places that are left are the "
				"cluster's");
		return;
	}
	control->owner.request(control->owner.owner, c, r);
}

static void request(struct agent_client *c, const char *line, size_t length)
{
	json_error_t error;
	json_t *r = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	char text[JSON_ERROR_TEXT_LENGTH + 64];

	c->asked = true;
	if (json_is_object(r)) {
		hand_over(c, r);
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

/* The one that has been silent for longest; NULL: all are being served. */
static struct agent_client *most_idle(struct agent_control *control)
{
	struct agent_client *most = NULL;

	for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++) {
		struct agent_client *c = &control->client[i];

		if (c->fd >= 0 && listens(c) &&
		    (most == NULL || c->idle_ms < most->idle_ms))
			most = c;
	}
	return most;
}

static struct agent_client *free_place(struct agent_control *control)
{
	struct agent_client *c;

	for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++)
		if (control->client[i].fd < 0)
			return &control->client[i];
	c = most_idle(control);
	if (c == NULL)
		return NULL;
	tell_dropped(c, "closed, since it asked nothing and its place was needed");
	client_close(c);
	return c;
}

static void identify(struct agent_client *c)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;
	char path[48];
	FILE *f;

	snprintf(c->process, sizeof c->process, "?");
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return;
	c->pid = peer.pid;
	snprintf(path, sizeof path, "/proc/%ld/comm", (long)peer.pid);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(c->process, sizeof c->process, f) == NULL)
		snprintf(c->process, sizeof c->process, "?");
	c->process[strcspn(c->process, "\n")] = '\0';
	fclose(f);
}

static void refuse(struct agent_control *control, int fd)
{
	static const char full[] =
		"{\"exit\": 1, \"text\": \"too many requests are under way\"}\n";
	struct agent_client c = { .control = control, .fd = fd };

	if (send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0; /* it learns by the hang-up */
	identify(&c);
	tell_dropped(&c, "refused, since every place is taken");
	close(fd);
}

static int32_t acceptable(int32_t fd, int32_t revents, void *data)
{
	struct agent_control *control = data;
	const int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct agent_client *c;

	(void)revents;
	if (client < 0)
		return 0;
	c = free_place(control);
	if (c == NULL) {
		refuse(control, client);
		return 0;
	}
	*c = (struct agent_client){ .control = control,
				    .fd = client,
				    .idle_ms = now_ms() };
	identify(c);
	if (qb_loop_poll_add(control->loop, QB_LOOP_MED, client, POLLIN | POLLRDHUP, c,
			     serve) != 0) {
		close(client);
		c->fd = -1;
	}
	return 0;
}

/* A bound, listening socket at control->path, or -errno. It gets its name last, so that
 * every client that finds the name can connect. A killed predecessor may have left the
 * name. */
static int listen_at(struct agent_control *control)
{
	char fresh[PATH_MAX + 8];
	struct sockaddr_un address;
	int directory = -1, error;
	struct stat st;
	mode_t before;

	snprintf(fresh, sizeof fresh, "%s.new", control->path);
	error = agent_socket_address(fresh, &address, &directory);
	if (error != 0)
		return error;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(fresh);
	before = umask(0177);
	if (control->fd < 0 ||
	    bind(control->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(control->fd, AGENT_CLIENTS_MAX) != 0 ||
	    rename(fresh, control->path) != 0 || lstat(control->path, &st) != 0)
		error = -errno;
	umask(before);
	if (directory >= 0)
		close(directory);
	control->device = error == 0 ? st.st_dev : 0;
	control->inode = error == 0 ? st.st_ino : 0;
	return error;
}

static int listen_on_loop(struct agent_control *control)
{
	int error = listen_at(control);

	if (error == 0)
		error = qb_loop_poll_add(control->loop, QB_LOOP_MED, control->fd, POLLIN,
					 control, acceptable);
	if (error != 0 && control->fd >= 0) {
		close(control->fd);
		control->fd = -1;
	}
	return error;
}

static void close_silent(struct agent_control *control)
{
	const int64_t before_ms = now_ms() - AGENT_IDLE_MS;

	for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++) {
		struct agent_client *c = &control->client[i];

		if (c->fd < 0 || !listens(c) || c->idle_ms > before_ms)
			continue;
		tell_dropped(c, "closed, since it asked nothing for a minute");
		client_close(c);
	}
}

int agent_control_check(struct agent_control *control)
{
	struct stat st;
	int error;

	close_silent(control);
	if (control->fd >= 0 && lstat(control->path, &st) == 0 &&
	    st.st_dev == control->device && st.st_ino == control->inode)
		return 0;
	if (control->fd >= 0) {
		qb_loop_poll_del(control->loop, control->fd);
		close(control->fd);
		control->fd = -1;
	}
	error = listen_on_loop(control);
	return error == 0 ? 1 : error;
}

int agent_control_open(struct qb_loop *loop, const char *path,
		       const struct agent_control_owner *owner,
		       struct agent_control **out, char *text, size_t text_size)
{
	struct agent_control *control = calloc(1, sizeof *control);
	int error = -ENOMEM;

	if (control != NULL) {
		control->loop = loop;
		control->fd = -1;
		control->owner = *owner;
		for (size_t i = 0; i < AGENT_CLIENTS_MAX; i++)
			control->client[i].fd = -1;
		snprintf(control->path, sizeof control->path, "%s", path);
		error = listen_on_loop(control);
	}
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
