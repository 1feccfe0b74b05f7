/* bound_begin.h - how bound.c begins: its files, memory and sockets, and NBD's greeting.
 * What fails ends the program. */
#ifndef HAMIRROR_TESTS_BENCH_BOUND_BEGIN_H
#define HAMIRROR_TESTS_BENCH_BOUND_BEGIN_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* As NBD has it; the line has the same. */
struct __attribute__((packed)) bound_request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t length;
};

struct __attribute__((packed)) bound_reply {
	uint32_t magic, error;
	uint64_t cookie;
};

enum { BOUND_READ, BOUND_WRITE, BOUND_DISCONNECT, BOUND_FLUSH };
#define BOUND_REQUEST_MAGIC 0x25609513u
#define BOUND_REPLY_MAGIC 0x67446698u
#define BOUND_FLAG_FUA 1u

/** End the program with errno. */
_Noreturn void bound_give_up(const char *what);

/** Of a clock that only goes on. */
uint64_t bound_now_ns(void);

/** A ring for one thread. */
void bound_ring(struct io_uring *ring);

/** An entry of it that is free. */
struct io_uring_sqe *bound_submission(struct io_uring *ring);

/** Has it a completion? It does not sleep. */
bool bound_has_completed(struct io_uring *ring);

/** For reads and writes past the cache; `bytes`: how long it is. */
int bound_open(const char *path, uint64_t *bytes);

/** Memory that is there. */
uint8_t *bound_pages(size_t bytes);

/** Returns a UNIX socket that listens. */
int bound_listen_at(const char *path);

/** Be the kernel's NBD device, of that size, without a greeting; returns the socket on which its
 * requests come. */
int bound_attach(const char *device, uint64_t bytes);

/** Returns one end of a TCP connection to or from `place`, a PORT of this machine or
 * ADDRESS:PORT; `ready` is printed before the one that accepts waits. */
int bound_connect(const char *place, bool accepts);

/** Send all of it, however long that takes; `iov` is used up. */
void bound_send(int fd, struct iovec *iov, uint32_t count);

/** NBD's fixed newstyle, for an export of that size. False: the client is gone. */
bool bound_greet(int fd, uint64_t bytes);

#endif
