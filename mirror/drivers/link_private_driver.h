/* link_private_driver.h - shared by the files of the link driver: link_driver.c
 * (phases, orders), link_connect_driver.c (names, connections out),
 * link_listen_driver.c (connections in), link_frame_driver.c (frames both ways),
 * link_news_driver.c (news both ways). */
#ifndef MIRROR_DRIVERS_LINK_PRIVATE_DRIVER_H
#define MIRROR_DRIVERS_LINK_PRIVATE_DRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "mirror/drivers/io_driver.h"
#include "mirror/drivers/link_driver.h"
#include "mirror/line/wire.h"

struct addrinfo;

/* The states of link_driver.h's table. */
enum link_phase {
	LINK_PHASE_FREE,
	LINK_PHASE_RESOLVING,
	LINK_PHASE_CONNECTING,
	LINK_PHASE_GREETING,
	LINK_PHASE_OPEN,
	LINK_PHASE_CLOSING,
};

#define LINK_CONNECTED_COUNT (MIRROR_LINK_COUNT_MAX / 2) /* numbers below: ours */
#define LINK_LISTENER_COUNT_MAX IO_SOCKET_COUNT_MAX      /* or addresses of one name */
#define LINK_PEER_TEXT_MAX 64                            /* "[address]:port" */

struct link_resolve;

/* Bytes of the window that runs, and of the one before. */
struct link_rate {
	uint64_t from_ns, bytes;
	uint64_t before_ns, before_bytes; /* its length */
};

enum link_news_stage { LINK_NEWS_STRANGE, LINK_NEWS_GREETING, LINK_NEWS_OPEN };

/* A link's part of link_news_driver.c. */
struct link_news {
	enum link_news_stage stage;
	uint32_t site; /* the peer's */
	uint32_t next; /* of the queue: the line that it is told next */
	bool sending;  /* `frame` is among the link's */
	bool last;     /* ... and no other follows */
	struct mirror_frame frame;
};

struct link {
	struct link_driver *driver;
	uint32_t number;
	enum link_phase phase;
	bool accepted;
	bool up;       /* the core was told, and is owed a DOWN */
	bool draining; /* the core closed it; the queue still leaves */
	int fd;
	struct link_rate sent, received;
	char peer[LINK_PEER_TEXT_MAX];
	char text[200];        /* why it ends */
	struct io_timer timer; /* connecting, greeting, draining: the deadline */
	struct io_task finish_task;
	uint64_t accepted_ns;

	/* connecting */
	struct link_resolve *resolve;
	struct addrinfo *addresses, *address; /* all; the one being tried */
	struct io_completion connect;
	bool connecting; /* under way in the ring; so for all three */
	bool timed_out;
	uint16_t port;

	/* in: unparsed bytes are buffer[begin..end) */
	struct io_completion recv;
	bool receiving;
	bool emptied; /* the last receive left nothing with the kernel */
	bool paused;  /* a complete frame waits for the core or the pool */
	bool ended;   /* no more bytes will come: `fault` says why */
	bool broken;  /* nothing can be sent any more: likewise */
	char fault[100];
	uint8_t *buffer;
	uint32_t begin, end;

	/* out */
	struct io_completion send;
	bool sending;
	struct mirror_frame_list queue;
	uint32_t head_sent_bytes; /* of the queue's first frame */
	struct msghdr message;
	struct iovec iov[LINK_SEND_IOV_MAX];

	struct link_news news;
};

struct link_listener {
	struct link_driver *driver;
	struct sockaddr_storage address;
	socklen_t address_bytes;
	int fd;
	int held_fd; /* accepted, waits for a place */
	bool accepting;
	int reported_error;
	struct io_completion accept;
	struct io_timer retry;
};

/* Lines to be told and heard, of all links. */
struct link_news_queue {
	atomic_bool open; /* some link is: for the thread that tells */
	pthread_mutex_t mutex;
	/* under it: */
	struct mirror_news line[LINK_NEWS_MAX]; /* a ring, up to `end` */
	uint32_t end;                           /* line numbers run freely and wrap */
	struct io_job job;
	bool posted;
	/* the I/O thread's: */
	struct io_task task;
	uint32_t told;        /* all before were told to some peer */
	uint32_t heard_count; /* beyond what came slowly */
	uint64_t heard_ns;    /* the count has fallen until then */
	uint32_t unheard_count;
};

struct link_driver {
	struct io_driver *io;
	struct io_hook hook;
	struct link link[MIRROR_LINK_COUNT_MAX];
	struct link_listener listener[LINK_LISTENER_COUNT_MAX];
	uint32_t listener_count;
	struct link_resolve *resolve; /* of our own address */
	struct io_timer resolve_retry;
	bool resolve_reported;
	uint64_t reject_report_ns; /* rejections are reported once a second */
	uint64_t reject_silent_count;
	struct link_news_queue news;
	struct link_driver_counters counters;
};

/* ---- link_driver.c ------------------------------------------------------- */

void link_set_phase(struct link *l, enum link_phase to);

/* End it, for the reason given. Safe to call inside actions and more than once;
 * the core's events (SENT, DOWN) follow from a task. */
void link_end(struct link *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* End an open link in `after_ms` at the latest. */
void link_end_after(struct link *l, uint32_t after_ms);

/* An operation of a link in CLOSING came back. */
void link_finish_later(struct link *l);

/* Take over the connected socket `fd`: buffer and options. Returns 0 or -ENOMEM;
 * `fd` is the link's either way. */
int link_adopt(struct link *l, int fd);

/* ---- link_rate_driver.c --------------------------------------------------- */

/* So many more bytes. */
void link_rate_add(struct link_rate *r, uint64_t now_ns, uint32_t bytes);

/* Bytes a second. A window that is over counts alone: nothing has come since. */
uint64_t link_rate_of(const struct link_rate *r, uint64_t now_ns);

/* ---- link_connect_driver.c ----------------------------------------------- */

struct link_resolve {
	struct io_job job;
	struct link_driver *driver;
	/* Not called when `owner` was set to NULL. `list` is the callee's. */
	void (*done)(void *owner, int error, struct addrinfo *list);
	void *owner;
	char host[CONFIG_ADDRESS_MAX];
	uint16_t port;
	int error; /* of getaddrinfo(3): EAI_*, or 0 */
	struct addrinfo *list;
};

/* A number is looked up at once: 0 and `*list`. Else -EINPROGRESS and `*resolve`,
 * which is ours until `done` is called; or -errno. */
int link_resolve_start(struct link_driver *d, const char *host, uint16_t port,
		       void (*done)(void *owner, int error, struct addrinfo *list),
		       void *owner, struct link_resolve **resolve,
		       struct addrinfo **list);

/* Its `done` is not called any more, and nobody waits for the name: no stop does. */
void link_resolve_leave(struct link_driver *d, struct link_resolve *r);

void link_connect(struct link *l, const struct mirror_link_order *order);
void link_connect_expired(struct link *l);
void link_connect_abandon(struct link *l);

/* "address:port", numeric. */
void link_address_text(const struct sockaddr *address, socklen_t bytes, char *text,
		       size_t text_bytes);

/* ---- link_listen_driver.c ------------------------------------------------ */

void link_listen_start(struct link_driver *d);
void link_listen_stop(struct link_driver *d);

/* A place for an accepted connection is free. */
void link_listen_place(struct link_driver *d);

/* An accepted connection ended before the core knew it. */
void link_listen_rejected(struct link_driver *d, const char *peer, const char *text);

/* ---- link_frame_driver.c ------------------------------------------------- */

void link_frame_start(struct link *l);

/* Deliver complete frames, as many as the core takes; then read on. */
void link_frame_receive(struct link *l);

/* Send the queued bytes, if no others are on their way. */
void link_frame_send(struct link *l);

/* The first frame of the queue has left, or never will: its owner gets it back. */
void link_frame_give_back(struct link *l, bool left);

/* ---- link_news_driver.c ------------------------------------------------- */

void link_news_create(struct link_driver *d);
void link_news_destroy(struct link_driver *d);

/* A HELLO or WELCOME has come: does the peer want news? Other frames are of no interest. */
void link_news_hello(struct link *l, const struct mirror_wire_header *h,
		     const uint8_t *body);

/* The link is one of those that news are told on, if the hello said so. */
void link_news_open(struct link *l);

/* The core sends `f`: its WELCOME opens an accepted link. */
void link_news_queued(struct link *l, const struct mirror_frame *f);

/* The link's news frame is not in its queue any more. */
void link_news_gone(struct link *l, bool left);

/* A NEWS frame has come, intact. */
void link_news_take(struct link *l, const struct mirror_wire_header *h,
		    const uint8_t *body);

void link_news_ended(struct link *l);

#endif
