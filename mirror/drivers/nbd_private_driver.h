/* nbd_private_driver.h - shared by the nbd_*_driver.c files.
 *
 *   connection   peer hangs up, broken, over, close   nothing under way   core done
 *   open         closing                              -                   -
 *   closing      -                                    closed              -
 *   closed       -                                    -                   freed
 *
 * closing: shut down; submissions come back. closed: the descriptor is gone,
 * but the core still has requests that point to the connection. */
#ifndef MIRROR_DRIVERS_NBD_PRIVATE_DRIVER_H
#define MIRROR_DRIVERS_NBD_PRIVATE_DRIVER_H

#include <limits.h>
#include <sys/types.h>

#include "mirror/front/nbd_client.h"
#include "mirror/drivers/nbd_driver.h"

#define NBD_SEND_IOV_MAX 128u /* 64 replies with data in one send */
#define NBD_LISTENERS_MAX 3u

enum nbd_connection_state {
	NBD_CONNECTION_OPEN,
	NBD_CONNECTION_CLOSING,
	NBD_CONNECTION_CLOSED,
};

struct nbd_connection {
	struct nbd_driver *driver;
	struct nbd_connection *next;
	struct mirror_nbd_client *client;
	enum nbd_connection_state state;
	int fd;
	pid_t pid; /* of a local peer; 0: not known */
	bool network;
	bool half_closed; /* unix: the peer will send no more */
	bool tell_gone;   /* the core is to drop its unstamped requests */
	bool receiving, sending, watching;
	bool emptied; /* the last receive left nothing with the kernel */
	struct io_completion receive, send, watch;
	struct msghdr receive_message, send_message;
	struct iovec receive_iov[2], send_iov[NBD_SEND_IOV_MAX];
};

struct nbd_listener {
	struct nbd_driver *driver;
	int fd; /* -1: not open */
	enum mirror_nbd_origin origin;
	const char *path; /* NULL: network */
	dev_t device;     /* of the socket that has this name */
	ino_t inode;
	bool accepting;
	bool full; /* our own front-end's: it accepts when a place is free */
	struct io_completion accept;
	struct io_timer retry; /* after an error */
};

enum nbd_driver_state { NBD_DRIVER_CLOSED, NBD_DRIVER_OPEN, NBD_DRIVER_CLOSING };

struct nbd_driver {
	struct io_frontend frontend;
	struct io_driver *io;
	enum nbd_driver_state state;
	bool open_wanted; /* asked for while closing */
	struct mirror_nbd_server server;
	struct nbd_listener listener[NBD_LISTENERS_MAX];
	struct nbd_connection *connections;
	struct nbd_connection *turn; /* served first next time */
	struct io_task again;        /* another pass, after sends */
	struct nbd_driver_counters counters;
	struct mirror_nbd_refusals refusals;
	struct io_timer tell; /* for refusals that were not told at once */
	struct io_timer keep; /* for names of sockets that were removed */
	char path[PATH_MAX], own_path[PATH_MAX];
	struct sockaddr_storage network;
	socklen_t network_bytes; /* 0: no TCP */
};

/* ---- nbd_connection_driver.c ---- */

/* A connection was accepted; `fd` passes to it. All places taken: it is told so. */
void nbd_connection_create(struct nbd_driver *d, int fd, enum mirror_nbd_origin origin);

/* Drop it. Idempotent. */
void nbd_connection_close(struct nbd_connection *k);

/* Free it if that can be. True: it is gone. */
bool nbd_connection_reap(struct nbd_connection *k);

/* The peer has hung up, or there is nothing more to take. */
bool nbd_connection_is_gone(struct nbd_connection *k);

/* Submit a receive, if none is under way. */
void nbd_connection_receive(struct nbd_connection *k);
/* True: some of it has left already, which no completion will tell. */
bool nbd_connection_send(struct nbd_connection *k, bool lease);

/* ---- nbd_listen_driver.c ---- */

/* Returns 0 or -errno; on error nothing is open. */
int nbd_listen_open(struct nbd_driver *d);
void nbd_listen_close(struct nbd_driver *d);
bool nbd_listen_is_closed(const struct nbd_driver *d);

/* A connection is gone: perhaps our own front-end waits for its place. */
void nbd_listen_resume(struct nbd_driver *d);

/* ---- nbd_refusal_driver.c ---- */

void nbd_refusal_init(struct nbd_driver *d);

/* A client was refused: report it, now or later. `pid`: see struct nbd_connection. */
void nbd_refusal_note(struct nbd_driver *d, enum mirror_nbd_refusal kind, pid_t pid,
		      const char *text);

/* Did the negotiation refuse this one? */
void nbd_refusal_review(struct nbd_connection *k);

/* All places are taken: of the connections that are told so, the oldest makes room for the
 * next one. */
void nbd_refusal_make_room(struct nbd_driver *d);

void nbd_refusal_status(struct nbd_driver *d, struct mirror_status *status);

/* ---- nbd_driver.c ---- */

/* A descriptor was closed: perhaps it was the last one. */
void nbd_driver_closed(struct nbd_driver *d);

#endif
