/* watch_page.c - see watch_page.h. */
#include "agent/watch_page.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/cli_feed.h"
#include "agent/cli_names.h"
#include "agent/files.h"
#include "agent/perf.h"
#include "agent/watch_page_state.h"
#include "agent/watch_page_text.h"
#include "common/clock_driver.h"

#define CLIENTS_MAX 8 /* the library's other places are for metrics */
#define INTERVAL_S 1
#define SOONEST_MS 200    /* between two messages, and more ... */
#define BYTES_PER_MS 2000 /* ... of a long one: a message has all mirrors */
#define NAMES_MS 10000    /* mirrors come and go more seldom */
#define PIECE_BYTES 16384
#define PERF_BYTES (2u << 20) /* of the performance file: some 20000 rows */
#define LOG_BYTES 16384       /* of the events before the page came */

static const struct {
	const char *url, *type, *text;
} files[] = {
	{ "/", "text/html; charset=utf-8", watch_page_html },
	{ "/page.css", "text/css; charset=utf-8", watch_page_css },
	{ "/page.js", "text/javascript; charset=utf-8", watch_page_js },
	{ "/charts.js", "text/javascript; charset=utf-8", watch_page_charts_js },
	{ "/config.js", "text/javascript; charset=utf-8", watch_page_config_js },
};
#define FILE_COUNT (sizeof files / sizeof files[0])

/* Nothing but these files is loaded, nothing is run that stands in a page, and no other page
 * may show this one in a frame. */
#define POLICY                                                                           \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "  \
	"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* The states of a moment, as one event; whole, or what is new since the message before. Each
 * client has its own one until it is sent. */
struct message {
	uint32_t users;
	size_t length;
	char *text;
};

struct client {
	struct watch_page *page;
	struct MHD_Connection *connection;
	struct message *message; /* being sent, or NULL */
	size_t sent;
	uint64_t number; /* of the message that it has had last; 0: none */
	bool is_suspended;
	struct client *next;
};

struct watch_page {
	const struct watch_config *config;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	int wake_fd;
	bool ends;
	struct client *clients;
	uint32_t client_count;
	struct message *newest;
	struct message *whole; /* of the same moment; NULL: nobody lacked it */
	uint64_t number;       /* of the newest message */
};

/* ---- messages ------------------------------------------------------------------- */

static void message_drop(struct message *m)
{
	if (m == NULL || --m->users > 0)
		return;
	free(m->text);
	free(m);
}

/* Returns NULL when memory is short. */
static struct message *message_make(const struct cli_feed *feed,
				    const struct watch_page_told *told)
{
	static const char format[] = "data: %s\n\n";
	struct message *m = calloc(1, sizeof *m);
	json_t *list = watch_page_state(feed, told);
	char *json = json_dumps(list, JSON_COMPACT);
	const size_t size = json != NULL ? strlen(json) + sizeof format : 0;

	json_decref(list);
	if (m != NULL && json != NULL)
		m->text = malloc(size);
	if (m == NULL || m->text == NULL) {
		free(json);
		free(m);
		return NULL;
	}
	m->users = 1;
	m->length = (size_t)snprintf(m->text, size, format, json);
	free(json);
	return m;
}

/* With the lock. */
static void resume_all(struct watch_page *p)
{
	for (struct client *c = p->clients; c != NULL; c = c->next)
		if (c->is_suspended) {
			c->is_suspended = false;
			MHD_resume_connection(c->connection);
		}
}

/* Is there a client that has not had the newest message? */
static bool is_one_behind(struct watch_page *p)
{
	bool behind = false;

	pthread_mutex_lock(&p->lock);
	for (const struct client *c = p->clients; c != NULL; c = c->next)
		behind |= c->number != p->number;
	pthread_mutex_unlock(&p->lock);
	return behind;
}

/* `told` is brought up to date. Returns how long the next one waits, in milliseconds. */
static int publish(struct watch_page *p, const struct cli_feed *feed,
		   struct watch_page_told *told)
{
	struct message *newest = message_make(feed, told), *whole = NULL;
	int wait_ms = SOONEST_MS;

	if (newest == NULL)
		return wait_ms;
	for (size_t i = 0; i < feed->count; i++)
		told[i] = (struct watch_page_told){ feed->mirror[i].state_count,
						    feed->mirror[i].event_next };
	if (is_one_behind(p))
		whole = message_make(feed, NULL);
	wait_ms += (int)((whole != NULL ? whole : newest)->length / BYTES_PER_MS);
	pthread_mutex_lock(&p->lock);
	message_drop(p->newest);
	message_drop(p->whole);
	p->newest = newest;
	p->whole = whole;
	p->number++;
	resume_all(p);
	pthread_mutex_unlock(&p->lock);
	return wait_ms;
}

/* ---- the thread that asks ---------------------------------------------------------- */

static bool is_wanted(struct watch_page *p, bool *ends)
{
	bool wanted;

	pthread_mutex_lock(&p->lock);
	wanted = p->client_count > 0 && !p->ends;
	*ends = p->ends;
	pthread_mutex_unlock(&p->lock);
	return wanted;
}

static void wait_for_client(const struct watch_page *p, int wait_ms)
{
	struct pollfd wake = { .fd = p->wake_fd, .events = POLLIN };

	poll(&wake, 1, wait_ms);
}

/* While somebody looks, and until the mirrors of the node are looked for again. */
static void follow(struct watch_page *p, struct cli_feed *feed,
		   struct watch_page_told *told, uint64_t until_ms)
{
	uint64_t woken;
	bool ends, news;

	while (is_wanted(p, &ends) && common_clock_ms(CLOCK_BOOTTIME) < until_ms) {
		news = cli_feed_turn(feed, p->wake_fd);
		/* A new client: it gets what there is. */
		if (read(p->wake_fd, &woken, sizeof woken) == sizeof woken || news)
			wait_for_client(
				p, publish(p, feed, told)); /* so does news meanwhile */
	}
}

static bool is_same(const struct cli_names *a, const struct cli_names *b)
{
	if (a == NULL || b == NULL || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->name[i], b->name[i]) != 0)
			return false;
	return true;
}

/* Begin to ask the mirrors of `names`, of whom nothing is told yet. */
static void ask_these(struct cli_feed *feed, const struct cli_names *names,
		      struct watch_page_told **told)
{
	cli_feed_close(feed);
	free(*told);
	*told = calloc(names->count + 1, sizeof **told);
	if (*told == NULL || !cli_feed_open(feed, names, INTERVAL_S))
		*feed = (struct cli_feed){ 0 };
}

static void *run(void *owner)
{
	struct watch_page *p = owner;
	struct cli_names *names = NULL, *now;
	struct cli_feed feed = { 0 };
	struct watch_page_told *told = NULL;
	bool ends = false;

	while (!ends) {
		if (!is_wanted(p, &ends)) {
			cli_feed_close(&feed);
			feed = (struct cli_feed){ 0 };
			free(names);
			names = NULL;
			if (!ends)
				wait_for_client(p, -1);
			if (!is_wanted(p, &ends))
				continue;
		}
		now = cli_names_list(p->config->own);
		if (now != NULL && !is_same(names, now))
			ask_these(&feed, now, &told);
		free(names);
		names = now;
		follow(p, &feed, told, common_clock_ms(CLOCK_BOOTTIME) + NAMES_MS);
	}
	cli_feed_close(&feed);
	free(told);
	free(names);
	return NULL;
}

/* ---- the stream to a client ----------------------------------------------------------- */

/* With the lock: the message that is next for it, if there is one. One that has missed a message
 * waits for a whole one, which is made with the next. */
static struct message *next_message(const struct watch_page *p, const struct client *c)
{
	if (c->number == p->number)
		return NULL;
	return c->number != 0 && c->number + 1 == p->number ? p->newest : p->whole;
}

/* The library asks for the next bytes. */
static ssize_t read_stream(void *owner, uint64_t position, char *to, size_t max)
{
	struct client *c = owner;
	struct watch_page *p = c->page;
	ssize_t n = 0;

	(void)position;
	pthread_mutex_lock(&p->lock);
	if (c->message == NULL && (c->message = next_message(p, c)) != NULL) {
		c->message->users++;
		c->number = p->number;
		c->sent = 0;
	}
	if (p->ends) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (c->message == NULL) {
		c->is_suspended = true;
		MHD_suspend_connection(c->connection);
	} else {
		n = (ssize_t)(c->message->length - c->sent < max ?
				      c->message->length - c->sent :
				      max);
		memcpy(to, c->message->text + c->sent, (size_t)n);
		c->sent += (size_t)n;
	}
	if (c->message != NULL && c->sent == c->message->length) {
		message_drop(c->message);
		c->message = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

static void free_stream(void *owner)
{
	struct client *c = owner;
	struct watch_page *p = c->page;

	pthread_mutex_lock(&p->lock);
	for (struct client **at = &p->clients; *at != NULL; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			p->client_count--;
			break;
		}
	message_drop(c->message);
	pthread_mutex_unlock(&p->lock);
	free(c);
}

/* A place for one more. Returns NULL: there is none. */
static struct client *new_client(struct watch_page *p, struct MHD_Connection *connection)
{
	struct client *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	pthread_mutex_lock(&p->lock);
	if (p->client_count == CLIENTS_MAX) {
		pthread_mutex_unlock(&p->lock);
		free(c);
		return NULL;
	}
	c->page = p;
	c->connection = connection;
	message_drop(p->whole); /* what was before is old */
	p->whole = NULL;
	c->next = p->clients;
	p->clients = c;
	p->client_count++;
	pthread_mutex_unlock(&p->lock);
	return c;
}

/* ---- answers ------------------------------------------------------------------------ */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned int status,
			     struct MHD_Response *r, const char *type)
{
	static const char *const headers[][2] = {
		{ "Content-Security-Policy", POLICY },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cache-Control", "no-store" },
	};
	enum MHD_Result result = MHD_NO;

	if (r == NULL)
		return MHD_NO;
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		MHD_add_response_header(r, headers[i][0], headers[i][1]);
	if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES)
		result = MHD_queue_response(connection, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned int status,
			   const char *text)
{
	return queue(connection, status,
		     MHD_create_response_from_buffer(strlen(text),
						     (void *)(uintptr_t)text,
						     MHD_RESPMEM_MUST_COPY),
		     "text/plain");
}

static enum MHD_Result stream(struct watch_page *p, struct MHD_Connection *connection)
{
	struct client *c = new_client(p, connection);
	struct MHD_Response *r;
	const uint64_t one = 1;

	if (c == NULL)
		return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "8 pages are open already: close one\n");
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, read_stream,
					      c, free_stream);
	if (r == NULL) {
		free_stream(c);
		return MHD_NO;
	}
	if (write(p->wake_fd, &one, sizeof one) < 0)
		errno = 0; /* it is full: the thread is woken all the same */
	return queue(connection, MHD_HTTP_OK, r, "text/event-stream");
}

/* The newest rows of both generations. */
static enum MHD_Result perf(struct MHD_Connection *connection, const char *name)
{
	struct agent_instance instance;
	char path[PATH_MAX], text[256];
	struct perf_table t;
	char *body = NULL;
	size_t size;
	FILE *out;
	int error;

	if (agent_instance_parse(name, &instance, text, sizeof text) != 0 ||
	    agent_path(&instance, AGENT_PATH_PERF, path) != 0)
		return say(connection, MHD_HTTP_NOT_FOUND, "no mirror has that name\n");
	error = perf_table_read_end(&t, path, PERF_BYTES);
	out = error == 0 ? open_memstream(&body, &size) : NULL;
	for (size_t i = 0; out != NULL && i < t.count; i++)
		perf_row_put(&t.row[i], out);
	perf_table_free(&t);
	if (out == NULL || fclose(out) != 0)
		return say(connection,
			   error == -ENOENT ? MHD_HTTP_NOT_FOUND :
					      MHD_HTTP_INTERNAL_SERVER_ERROR,
			   "there are no figures yet\n");
	return queue(connection, MHD_HTTP_OK,
		     MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE),
		     "text/plain");
}

/* The end of the log of events, from the beginning of a line. */
static enum MHD_Result log_end(struct MHD_Connection *connection, const char *name)
{
	struct agent_instance instance;
	char path[PATH_MAX], text[LOG_BYTES] = "";
	FILE *file = NULL;
	size_t n;

	if (agent_instance_parse(name, &instance, text, sizeof text) == 0 &&
	    agent_path(&instance, AGENT_PATH_LOG, path) == 0)
		file = fopen(path, "re");
	if (file == NULL)
		return say(connection, MHD_HTTP_NOT_FOUND, "there are no events\n");
	text[0] = '\0';
	if (fseek(file, 1 - (long)sizeof text, SEEK_END) == 0)
		fgets(text, sizeof text, file); /* the rest of a line */
	else
		rewind(file);
	n = fread(text, 1, sizeof text - 1, file);
	text[n] = '\0';
	fclose(file);
	return say(connection, MHD_HTTP_OK, text);
}

static enum MHD_Result config(const struct watch_page *p,
			      struct MHD_Connection *connection, const char *name)
{
	struct agent_instance instance;
	json_t *json = NULL;
	char text[256], *body;

	if (agent_instance_parse(name, &instance, text, sizeof text) != 0)
		return say(connection, MHD_HTTP_NOT_FOUND, "no mirror has that name\n");
	json = watch_config_read(p->config, &instance);
	body = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (body == NULL)
		return say(connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
			   "memory is short\n");
	return queue(connection, MHD_HTTP_OK,
		     MHD_create_response_from_buffer(strlen(body), body,
						     MHD_RESPMEM_MUST_FREE),
		     "application/json");
}

bool watch_page_is_public(const char *url)
{
	for (size_t i = 0; i < FILE_COUNT; i++)
		if (strcmp(url, files[i].url) == 0)
			return true;
	return false;
}

enum MHD_Result watch_page_answer(struct watch_page *p, struct MHD_Connection *connection,
				  const char *url, bool *is_known)
{
	static const char perf_url[] = "/perf/", log_url[] = "/log/",
			  config_url[] = "/config/";

	*is_known = true;
	for (size_t i = 0; i < FILE_COUNT; i++)
		if (strcmp(url, files[i].url) == 0)
			return queue(connection, MHD_HTTP_OK,
				     MHD_create_response_from_buffer(
					     strlen(files[i].text),
					     (void *)(uintptr_t)files[i].text,
					     MHD_RESPMEM_PERSISTENT),
				     files[i].type);
	if (strcmp(url, "/events") == 0)
		return stream(p, connection);
	if (strncmp(url, perf_url, sizeof perf_url - 1) == 0)
		return perf(connection, url + sizeof perf_url - 1);
	if (strncmp(url, log_url, sizeof log_url - 1) == 0)
		return log_end(connection, url + sizeof log_url - 1);
	if (strncmp(url, config_url, sizeof config_url - 1) == 0)
		return config(p, connection, url + sizeof config_url - 1);
	*is_known = false;
	return MHD_NO;
}

/* ---- the life ------------------------------------------------------------------------- */

struct watch_page *watch_page_open(const struct watch_config *config)
{
	struct watch_page *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->config = config;
	pthread_mutex_init(&p->lock, NULL);
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake_fd >= 0 && pthread_create(&p->thread, NULL, run, p) == 0)
		return p;
	if (p->wake_fd >= 0)
		close(p->wake_fd);
	free(p);
	return NULL;
}

void watch_page_end(struct watch_page *p)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	p->ends = true;
	resume_all(p);
	pthread_mutex_unlock(&p->lock);
	if (write(p->wake_fd, &one, sizeof one) < 0)
		errno = 0; /* as above */
}

void watch_page_close(struct watch_page *p)
{
	if (p == NULL)
		return;
	pthread_join(p->thread, NULL);
	close(p->wake_fd);
	message_drop(p->newest);
	message_drop(p->whole);
	free(p);
}
