/* nbd_toy.h - a toy engine behind NBD connections, for tests: one disk in memory.
 *
 * Requests wait on `waiting` in the order in which they were handed over; the test
 * lets them happen, in any order, with or without an error. Bytes that connections
 * send are gathered in `out` of each. */
#ifndef TESTS_NBD_TOY_H
#define TESTS_NBD_TOY_H

#include "mirror/front/nbd_client.h"

#define TOY_DISK_BYTES (4u << 20)
#define TOY_CLIENTS_MAX 4u
#define TOY_WAITING_MAX 1024u
#define TOY_OUT_BYTES (8u << 20)

struct toy_client {
	struct mirror_nbd_client *nbd;
	uint8_t *out;
	size_t out_bytes, read_at;
};

struct toy {
	struct mirror_pool *pool;
	struct mirror_nbd_server server;
	uint8_t disk[TOY_DISK_BYTES];
	struct toy_client client[TOY_CLIENTS_MAX];
	struct mirror_request *waiting[TOY_WAITING_MAX];
	uint32_t waiting_count;
	bool takes, lease;
};

void toy_create(struct toy *t, uint64_t pool_bytes);

/* Ends all clients, answers the waiting requests, and checks that none was lost. */
void toy_destroy(struct toy *t);

/* Connect and negotiate the disk. */
struct toy_client *toy_connect(struct toy *t, bool structured);

/* Let all connections go on as far as they can without the engine. */
void toy_pump(struct toy *t);

/* Deliver bytes, pumping as they are taken. Returns how many were taken. */
size_t toy_deliver(struct toy *t, struct toy_client *c, const void *bytes, size_t count);

/* Send a command; its cookie is `cookie`. `data` follows if not NULL. */
void toy_command(struct toy *t, struct toy_client *c, uint16_t type, uint16_t flags,
		 uint64_t cookie, uint64_t offset, uint32_t length, const void *data);

/* The engine does request `index` of those that wait, and answers `error`. */
void toy_do(struct toy *t, uint32_t index, int error);

/* The engine does all waiting requests, and those that follow from them, oldest first. */
void toy_do_all(struct toy *t);

/* Let the connection send everything that it can. */
void toy_collect(struct toy *t, struct toy_client *c);

/* The next bytes that it sent are a simple reply with this error; data follows. */
void toy_expect_simple(struct toy *t, struct toy_client *c, uint64_t cookie,
		       uint32_t error);

/* Returns where they are. */
const uint8_t *toy_expect_bytes(struct toy *t, struct toy_client *c, size_t count);

/* Nothing has been sent except the expected bytes. */
void toy_expect_silence(struct toy *t, struct toy_client *c);

/* A connection without anything under way goes away. */
void toy_disconnect(struct toy *t, struct toy_client *c);

#endif
