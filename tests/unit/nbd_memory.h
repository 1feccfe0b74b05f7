/* nbd_memory.h - an I/O thread with its ring and the NBD front-end, around a toy core
 * whose disks are memory: for tests of the front-end and for real clients.
 *
 * It stands in for mirror/engine/engine.c, so a program that uses it must not link anything
 * that needs the real one. */
#ifndef TESTS_UNIT_NBD_MEMORY_H
#define TESTS_UNIT_NBD_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/queue.h"
#include "mirror/engine.h"
#include "mirror/drivers/io_driver.h"
#include "mirror/drivers/nbd_driver.h"

#define NBD_MEMORY_DISKS 2u
#define NBD_MEMORY_QUEUE 64u

struct mirror_engine {
	struct mirror_pool *pool;
	uint64_t disk_bytes;
	uint8_t *disk[NBD_MEMORY_DISKS];
	bool frozen;  /* requests wait */
	bool pending; /* answer at the next tick: as if written */
	struct mirror_request_list waiting;
	_Atomic uint64_t lease_until_ns;
	atomic_bool takes;
	_Atomic uint32_t takes_count; /* ... so many more; UINT32_MAX: any */
	_Atomic uint32_t waiting_count, request_count; /* waiting: a futex */
	_Atomic uint32_t done_count; /* raised after each request is carried out */
};

struct nbd_memory {
	struct mirror_engine engine;
	struct config *config;
	struct common_queue orders, facts;
	void *order_slot[NBD_MEMORY_QUEUE], *fact_slot[NBD_MEMORY_QUEUE];
	int orders_eventfd, facts_eventfd;
	struct io_driver *io;
	struct nbd_driver *nbd;
	pthread_t thread;
};

/* Start it, listening at `path` (and `network`, may be NULL), with disks "db" and
 * "wal" of this size, in sectors of 512 and of 4096 bytes; for a front-end of our own at
 * `path`.own. The disks are open to clients when it returns 0; else -errno. */
int nbd_memory_start(struct nbd_memory *m, const char *path, uint64_t disk_bytes,
		     const struct sockaddr *network, socklen_t network_bytes);
void nbd_memory_stop(struct nbd_memory *m);

/* The content of a disk as of the last request that was answered. */
const uint8_t *nbd_memory_disk(struct nbd_memory *m, uint32_t disk);

/* Wait until the core holds so many requests. False: it does not within PATIENCE_MS. */
bool nbd_memory_await_waiting(struct nbd_memory *m, uint32_t count);

/* To the core: SERVE and DEMOTE open and close the clients, DEPOSE answers the requests that
 * wait and closes the clients at once, OPEN freezes, CLOSE thaws, FAIL_FROZEN fails frozen ones,
 * VIEW only makes a turn. */
void nbd_memory_order(struct nbd_memory *m, enum order_type type);

/* Wait for the next thing that the core was told, "clients 0" or "gone", at the latest
 * for ten seconds. False: it was something else. */
bool nbd_memory_expect(struct nbd_memory *m, const char *text);

#endif
