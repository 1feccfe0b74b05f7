/* watch_scrape.h - GET /metrics: a daemon that hangs keeps those waiting who ask for its
 * figures, and nobody else.
 *
 * A thread asks the daemon for all scrapes that wait at that moment. Those that come meanwhile
 * wait for its next answer: none gets one that is older than its own question, and a daemon
 * that hangs is waited for once, not by each in turn. They are as many as the library has
 * places for connections.
 */
#ifndef AGENT_WATCH_SCRAPE_H
#define AGENT_WATCH_SCRAPE_H

#include <microhttpd.h>

struct watch_scrapes;
struct watch_scrape;

/* `metrics` gives the body, to be freed, or NULL: no memory. It is called on the thread.
 * NULL: no memory, or no thread. */
struct watch_scrapes *watch_scrapes_open(char *(*metrics)(void *owner), void *owner);

/* Begin: the connection is suspended until the body is there. NULL: no memory, or the watcher
 * ends. */
struct watch_scrape *watch_scrape_begin(struct watch_scrapes *all,
					struct MHD_Connection *connection);

/* The body, once the connection goes on; it lasts as long as the scrape. NULL: likewise. */
const char *watch_scrape_text(struct watch_scrape *s);
/* NULL is fine. */
void watch_scrape_free(struct watch_scrape *s);

/* Resume every connection, after the answer that is waited for: to be called before the library
 * is stopped. */
void watch_scrapes_end(struct watch_scrapes *all);
/* ... and this after it. NULL is fine. */
void watch_scrapes_close(struct watch_scrapes *all);

#endif
