/* watch_page.h - the web page of a watcher: all mirrors of the node as they are.
 *
 *   GET /, /page.css, /page.js,  the page; it holds nothing of the mirrors
 *     /charts.js, /config.js
 *   GET /events                  their states, as server-sent events: one at once, then one
 *                                for each change, at most five a second, and one a second;
 *                                of hundreds of mirrors about one a second
 *   GET /perf/INSTANCE           the newest 2 MiB of the performance file, oldest first
 *   GET /log/INSTANCE            the last lines of its log of events
 *   GET /config/INSTANCE         its configuration (watch_config.h)
 *   POST /action                 a command (watch_action.h)
 *
 * A thread asks the daemons while somebody looks, and only then. A reader that is slow misses
 * states, never the newest one.
 *
 * Source: WHATWG, HTML, "Server-sent events" (the format; the page reads it by fetch(), which
 * can send a token); W3C, "Content Security Policy Level 3".
 */
#ifndef AGENT_WATCH_PAGE_H
#define AGENT_WATCH_PAGE_H

#include <stdbool.h>
#include <microhttpd.h>

#include "agent/watch_config.h"

struct watch_page;

/* Its own instance is shown wherever its configuration is. `config` outlives it. NULL: no
 * memory, or no thread. */
struct watch_page *watch_page_open(const struct watch_config *config);

/* Is there a file of the page at `url`, which is no secret? */
bool watch_page_is_public(const char *url);

/* Answer a GET, of a client that may read. Returns as the library's handler does;
 * `*is_known` false: there is nothing at `url`, and no answer was given. */
enum MHD_Result watch_page_answer(struct watch_page *p, struct MHD_Connection *connection,
				  const char *url, bool *is_known);

/* End every stream: to be called before the library is stopped. */
void watch_page_end(struct watch_page *p);
/* ... and this after it. NULL is fine. */
void watch_page_close(struct watch_page *p);

#endif
