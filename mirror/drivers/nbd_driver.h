/* nbd_driver.h - the NBD front-end: sockets on the I/O thread's loop, connections
 * (nbd_client.h) behind them, requests into the core.
 *
 * One unix socket has every disk of the mirror as an export; another one is for our own
 * front-end, whose places nobody else can take (nbd_places.h); a TCP one may be added.
 * They exist while the core wants clients. A client that gets no place is told so in the
 * negotiation, and every refusal is reported (nbd_refusal.h). Our own front-end is not
 * refused: it is accepted when a place is free. All that a connection does in a turn costs
 * no system call of its own: one receive takes all bytes that have arrived, one send gathers
 * all replies that may leave, and both are submitted with everything else.
 *
 * A client that comes back (docs/rules.md): before requests of a connection are handed to
 * the core, it is known whether it has hung up. A poll is always armed on it, and a
 * client cannot come back without at least one turn between (it connects, it waits
 * for our greeting), in which that poll completes, so all completions of a turn are
 * handled before any request is taken. A unix socket of which only one direction was
 * closed is asked again each time. Over TCP the end of the old connection may arrive
 * later than the new one: there an export belongs to one connection, and the next
 * one waits until that is closed and the core has answered all its requests.
 */
#ifndef MIRROR_DRIVERS_NBD_DRIVER_H
#define MIRROR_DRIVERS_NBD_DRIVER_H

#include <stdint.h>
#include <sys/socket.h>

#include "mirror/drivers/io_driver.h"

struct nbd_driver;

struct nbd_driver_setup {
	const char *path;               /* of the unix socket; may be long */
	const char *own_path;           /* of the front-end's own, or NULL */
	const struct sockaddr *network; /* TCP address to listen on too, or NULL */
	socklen_t network_bytes;
};

struct nbd_driver_counters {
	uint64_t accepted_count;
	uint64_t request_count; /* handed to the core */
	uint64_t receive_count; /* submissions; so is the next */
	uint64_t send_count;
	uint32_t connection_count; /* now */
	uint32_t client_count_max; /* places of others than our own front-end */
};

/* Make the front-end and plug it in (io_driver_set_frontend()). Nothing listens yet.
 * Returns 0 and `*driver`, or -ENOMEM, or -ENAMETOOLONG for the path. */
int nbd_driver_create(struct io_driver *io, const struct nbd_driver_setup *setup,
		      struct nbd_driver **driver);

/* After io_driver_run() has returned, or was never called, and before the engine is
 * destroyed. NULL is fine. */
void nbd_driver_destroy(struct nbd_driver *d);

/* On the I/O thread, or any thread once it has ended. */
const struct nbd_driver_counters *nbd_driver_counters(const struct nbd_driver *d);

#endif
