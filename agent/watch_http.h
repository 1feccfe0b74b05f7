/* watch_http.h - pages of a watcher over HTTP, by libmicrohttpd. */
#ifndef AGENT_WATCH_HTTP_H
#define AGENT_WATCH_HTTP_H

#include <sys/socket.h>

#include "agent/paths.h"

struct watch_http;

struct watch_http_settings {
	/* Whose watcher this is; it outlives the pages, and so does the next */
	const struct agent_instance *instance;
	const char *config_path; /* the file that it has read; NULL: the usual one */
	const struct sockaddr *address; /* to listen on */
	const char *certificate, *key;  /* PEM; NULL, both: no TLS */
	const char *token; /* of the header `Authorization: Bearer`; NULL: none */
	/* The body of GET /metrics, to be freed; NULL: no memory. One call at a time, on a
	 * thread of its own. */
	char *(*metrics)(void *owner);
	void *owner;
};

/* Listen, and answer from now on; `settings` may go. NULL: errno and the log tell why. */
struct watch_http *watch_http_open(const struct watch_http_settings *settings);
void watch_http_close(struct watch_http *h);

#endif
