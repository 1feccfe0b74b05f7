/* watch_http.c - see watch_http.h. */
#include "agent/watch_http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "agent/log.h"
#include "agent/watch_action.h"
#include "agent/watch_metrics.h"
#include "agent/watch_page.h"
#include "agent/watch_scrape.h"

#define CONNECTIONS_MAX 32
#define CONNECTIONS_OF_ONE_MAX 16 /* address: others are left as many */
#define CONNECTION_S 10           /* a client that says nothing for so long is gone */

struct watch_http {
	struct MHD_Daemon *daemon;
	char *token;
	struct watch_config config;
	struct watch_page *page;
	struct watch_actions *actions;
	struct watch_scrapes *scrapes;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
			      const char *header, const char *value, char *body)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), body,
								 MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result = MHD_NO;

	if (r == NULL)
		return MHD_NO;
	if (MHD_add_response_header(r, header, value) == MHD_YES)
		result = MHD_queue_response(connection, status, r);
	MHD_destroy_response(r);
	return result;
}

/* All bytes are compared, whichever differ: the time tells nothing of the token. */
static bool is_token(const char *given, const char *token)
{
	const size_t length = strlen(token);
	unsigned char differ = strlen(given) != length;

	for (size_t i = 0; i < length && given[i] != '\0'; i++)
		differ |= (unsigned char)(given[i] ^ token[i]);
	return differ == 0;
}

static bool may_read(const struct watch_http *h, struct MHD_Connection *connection)
{
	static const char scheme[] = "Bearer ";
	const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							MHD_HTTP_HEADER_AUTHORIZATION);

	return h->token == NULL ||
	       (given != NULL && strncmp(given, scheme, sizeof scheme - 1) == 0 &&
		is_token(given + sizeof scheme - 1, h->token));
}

/* Without a token a page of another site could ask as this one, by a name of its own that it
 * lets stand for 127.0.0.1: only names that are nobody's are answered. */
static bool is_own_name(const struct watch_http *h, struct MHD_Connection *connection)
{
	static const char *const names[] = { "localhost", "127.", "[::1]" };
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_HOST);

	if (h->token != NULL || host == NULL)
		return true;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const size_t length = strlen(names[i]);

		if (strncmp(host, names[i], length) == 0 &&
		    host[length + strspn(host + length, "0123456789.:")] == '\0')
			return true;
	}
	return false;
}

static enum MHD_Result page(struct watch_http *h, struct MHD_Connection *connection,
			    const char *url)
{
	static char no_page[] = "there are / and /metrics\n";
	enum MHD_Result result;
	bool is_known;

	result = watch_page_answer(h->page, connection, url, &is_known);
	if (is_known)
		return result;
	return answer(connection, MHD_HTTP_NOT_FOUND, MHD_HTTP_HEADER_CONTENT_TYPE,
		      "text/plain", no_page);
}

/* ---- what a daemon is asked for ---- */

/* A request, from its head on until its answer is sent. */
struct request {
	char *body;
	size_t length, size;
	bool is_too_long;
	struct watch_action *action;
	struct watch_scrape *scrape;
};

static enum MHD_Result said(struct MHD_Connection *connection, unsigned int status,
			    const char *text)
{
	return answer(connection, status, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain",
		      (char *)(uintptr_t)text);
}

/* Called again when the figures are there. */
static enum MHD_Result metrics(struct watch_http *h, struct MHD_Connection *connection,
			       struct request *r)
{
	static const char none[] = "memory is short, or the watcher ends\n";
	const char *text;

	if (r->scrape == NULL) {
		r->scrape = watch_scrape_begin(h->scrapes, connection);
		return r->scrape != NULL ?
			       MHD_YES :
			       said(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, none);
	}
	text = watch_scrape_text(r->scrape);
	if (text == NULL)
		return said(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, none);
	return answer(connection, MHD_HTTP_OK, MHD_HTTP_HEADER_CONTENT_TYPE,
		      WATCH_METRICS_TYPE, (char *)(uintptr_t)text);
}

/* Called again when the answer is there. */
static enum MHD_Result action(struct watch_http *h, struct MHD_Connection *connection,
			      struct request *r)
{
	char text[256];

	if (r->action != NULL)
		return answer(connection, MHD_HTTP_OK, MHD_HTTP_HEADER_CONTENT_TYPE,
			      "application/json",
			      (char *)(uintptr_t)watch_action_answer(r->action));
	if (h->token == NULL)
		return said(connection, MHD_HTTP_FORBIDDEN,
			    "commands are taken with --token only\n");
	if (r->is_too_long)
		return said(connection, MHD_HTTP_BAD_REQUEST, "it is too long\n");
	r->action = watch_action_begin(h->actions, connection, r->body, r->length, text,
				       sizeof text);
	return r->action != NULL ? MHD_YES : said(connection, MHD_HTTP_BAD_REQUEST, text);
}

/* Only from those who know the token: others get no memory. */
static void take_body(const struct watch_http *h, struct request *r, const char *upload,
		      size_t bytes)
{
	const size_t wanted = r->length + bytes;
	char *grown = r->body;

	if (h->token == NULL || r->is_too_long)
		return;
	if (wanted > r->size && wanted <= WATCH_ACTION_BYTES_MAX) {
		r->size = wanted * 2;
		grown = realloc(r->body, r->size);
	}
	r->is_too_long = grown == NULL || wanted > WATCH_ACTION_BYTES_MAX;
	if (r->is_too_long)
		return;
	r->body = grown;
	memcpy(r->body + r->length, upload, bytes);
	r->length = wanted;
}

static void forget(void *owner, struct MHD_Connection *connection, void **state,
		   enum MHD_RequestTerminationCode why)
{
	struct request *r = *state;

	(void)owner;
	(void)connection;
	(void)why;
	if (r != NULL) {
		watch_action_free(r->action);
		watch_scrape_free(r->scrape);
		free(r->body);
	}
	free(r);
	*state = NULL;
}

static enum MHD_Result take(void *owner, struct MHD_Connection *connection,
			    const char *url, const char *method, const char *version,
			    const char *upload, size_t *upload_bytes, void **state)
{
	static char no_method[] =
		"another method is answered here: see the header Allow\n";
	static char no_token[] =
		"the header `Authorization: Bearer TOKEN` is missing, or "
		"another token is asked for\n";
	struct watch_http *h = owner;
	const bool is_action = strcmp(url, "/action") == 0;

	(void)version;
	if (!watch_page_is_public(url) && !may_read(h, connection))
		return answer(connection, MHD_HTTP_UNAUTHORIZED,
			      MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer", no_token);
	if (*state == NULL) { /* the header; the body follows, if there is one */
		*state = calloc(1, sizeof(struct request));
		return *state != NULL ? MHD_YES : MHD_NO;
	}
	if (*upload_bytes > 0) {
		take_body(h, *state, upload, *upload_bytes);
		*upload_bytes = 0;
		return MHD_YES;
	}
	if (is_action && strcmp(method, MHD_HTTP_METHOD_POST) == 0)
		return action(h, connection, *state);
	if (is_action || strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      MHD_HTTP_HEADER_ALLOW,
			      is_action ? MHD_HTTP_METHOD_POST : MHD_HTTP_METHOD_GET,
			      no_method);
	if (!is_own_name(h, connection))
		return said(connection, MHD_HTTP_FORBIDDEN,
			    "ask for localhost or 127.0.0.1\n");
	return strcmp(url, "/metrics") == 0 ? metrics(h, connection, *state) :
					      page(h, connection, url);
}

/* What the library complains of, while it begins and later. */
__attribute__((format(printf, 2, 0))) static void complain(void *owner,
							   const char *format, va_list ap)
{
	char text[256];

	(void)owner;
	vsnprintf(text, sizeof text, format, ap);
	text[strcspn(text, "\n")] = '\0';
	agent_log(LOG_WARNING, "%s", text);
}

static struct MHD_Daemon *listen_on(struct watch_http *h,
				    const struct watch_http_settings *s)
{
	const unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG |
				   MHD_ALLOW_SUSPEND_RESUME |
				   (s->address->sa_family == AF_INET6 ? MHD_USE_IPv6 :
									0) |
				   (s->certificate != NULL ? MHD_USE_TLS : 0);
	const struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)s->certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)s->key },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	return MHD_start_daemon(
		flags, 0, NULL, NULL, take, h, MHD_OPTION_EXTERNAL_LOGGER, complain, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_SOCK_ADDR,
		s->address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_OF_ONE_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_S, MHD_OPTION_ARRAY,
		s->certificate != NULL ? tls : none, MHD_OPTION_END);
}

struct watch_http *watch_http_open(const struct watch_http_settings *settings)
{
	struct watch_http *h = calloc(1, sizeof *h);

	if (h == NULL)
		return NULL;
	h->token = settings->token != NULL ? strdup(settings->token) : NULL;
	h->config = (struct watch_config){ .own = settings->instance,
					   .own_path = settings->config_path,
					   .anybody = settings->token == NULL };
	h->page = watch_page_open(&h->config);
	h->actions = watch_actions_open(&h->config);
	h->scrapes = watch_scrapes_open(settings->metrics, settings->owner);
	errno = ENOMEM;
	if (h->page != NULL && h->actions != NULL && h->scrapes != NULL &&
	    (settings->token == NULL || h->token != NULL)) {
		errno = EINVAL; /* the library has logged the reason, if it is its own */
		h->daemon = listen_on(h, settings);
	}
	if (h->daemon != NULL)
		return h;
	watch_http_close(h);
	return NULL;
}

void watch_http_close(struct watch_http *h)
{
	const int error = errno;

	if (h == NULL)
		return;
	if (h->page != NULL)
		watch_page_end(h->page);
	if (h->actions != NULL)
		watch_actions_end(h->actions);
	if (h->scrapes != NULL)
		watch_scrapes_end(h->scrapes);
	if (h->daemon != NULL)
		MHD_stop_daemon(h->daemon);
	watch_page_close(h->page);
	watch_actions_close(h->actions);
	watch_scrapes_close(h->scrapes);
	free(h->token);
	errno = error;
	free(h);
}
