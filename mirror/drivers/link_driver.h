/* link_driver.h - TCP connections between hosts: frames out, frames in.
 *
 *   state       connect   accept    resolved   connected  hello    end
 *   free        resolving greeting  -          -          -        -
 *   resolving   -         -         connecting -          -        closing
 *   connecting  -         -         -          open (UP)  -        closing
 *   greeting    -         -         -          -          open(UP) closing
 *   open        -         -         -          -          -        closing
 *   closing     -         -         -          -          -        free (DOWN)
 *
 * "end" is the core's CLOSE, a fault of the line, a violation of the protocol or
 * the end of the loop. The core's CLOSE lets queued frames leave first, for a
 * short while. An accepted connection is shown to the core (UP) only once its
 * first frame is complete, valid and a hello; until then it can be dropped
 * without a trace but an event, and it is, for a newer one, when all places are
 * taken. Every frame handed over comes back in MIRROR_EVENT_SENT.
 */
#ifndef MIRROR_DRIVERS_LINK_DRIVER_H
#define MIRROR_DRIVERS_LINK_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/io.h"

struct io_driver;
struct link_driver;
struct mirror_news;
struct mirror_status_site;

#define LINK_BUFFER_BYTES (256u * 1024) /* a largest frame, and as much again */
#define LINK_SEND_IOV_MAX 64u           /* of one sendmsg: 32 records */
#define LINK_HELLO_TIMEOUT_MS 5000u
#define LINK_CONNECT_TIMEOUT_MS 5000u
#define LINK_DRAIN_TIMEOUT_MS 200u /* after CLOSE, for queued frames */
#define LINK_LISTEN_RETRY_MS 1000u
#define LINK_RATE_MS 5000u /* over so long, and up to twice that, bytes are counted */
#define LINK_NEWS_MAX 16u  /* lines that wait to be told */
#define LINK_NEWS_HEARD_MAX 32u /* at once; then four a second */
/* Rules of the events that tell that the port is not listened on, and is again. */
#define LINK_LISTEN_RULE_BAD "listen-failed"
#define LINK_LISTEN_RULE_GOOD "listen-again"

struct link_driver_counters {
	uint64_t sendmsg_count;
	uint64_t recv_count;
	uint64_t frames_sent_count;
	uint64_t frames_received_count;
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t accepted_count;
	uint64_t rejected_count;      /* accepted, and closed before a hello */
	uint64_t paused_count;        /* the core or the pool could take no more */
	uint64_t frames_queued_count; /* now, on all links */
	uint64_t news_dropped_count;  /* told or heard faster than may be */
};

/* Returns 0, or -ENOMEM. */
int link_driver_create(struct io_driver *io, struct link_driver **driver);

/* Stopped, or never started. NULL is fine. */
void link_driver_destroy(struct link_driver *d);

/* Listen on our node's address and port, when it is a host. A port that is taken
 * is reported as an event and tried again. */
void link_driver_start(struct link_driver *d);

/* Execute a link order of the core. */
void link_driver_order(struct link_driver *d, const struct mirror_link_order *order);

/* Queue all frames of `list`, which is empty afterwards. They leave at the end of
 * the turn, many with one sendmsg. */
void link_driver_send(struct link_driver *d, struct mirror_frame_list *list);

/* Any thread: tell `news` to each peer that the line is open to, as soon as what the core
 * sends has left room; the next one hears it if none does. Never waits: of more than
 * LINK_NEWS_MAX the oldest are dropped. False: the line is open to no peer that knows news.
 * They are told only with `cluster: none`. */
bool link_driver_tell(struct link_driver *d, const struct mirror_news *news);

/* On the I/O thread: tell this at once, because the core is about to close the links. */
void link_driver_tell_last(struct link_driver *d, const struct mirror_news *news);

/* The loop ends: stop listening, close every link. */
void link_driver_stop(struct link_driver *d);

const struct link_driver_counters *link_driver_counters(const struct link_driver *d);

/* Fill in the figures of the link that `s` names by its place; none where it is not open. */
void link_driver_figures(const struct link_driver *d, struct mirror_status_site *s);

#endif
