/* bound.c - the least that a mirror of hamirror's kind does for a client's request.
 *
 *   bound copy [ADDRESS:]PORT DISK LOG [KEY...]
 *   bound serve SOCKET [ADDRESS:]PORT DISK LOG [KEY...]
 *
 * `serve` speaks NBD on a UNIX socket, or is the kernel's NBD device /dev/SOCKET. A write goes
 * to its log, over TCP to `copy`, and to that one's log; it is answered when it is in both. A
 * flush is answered when both logs have been flushed. Reads come from DISK. There is no header,
 * no checksum, no order, no restart, and what is not written is not missed: a mirror cannot do
 * less, so no tuning of hamirror can make it much faster than this. What hamirror does for speed
 * is here too: all that waits goes in one log write and one message, sends leave before devices
 * begin, and a flush that is expected begins as soon as its write is logged. Keys:
 *
 *   home      each write also goes home, soon; without it DISK is only read
 *   durable   home, when the log has it durable; both are flushed now and then
 *   spin=US   so long a request that is alone is looked for before a sleep
 *
 * It prints `ready` when it can be spoken to; a signal ends it. */
#include <endian.h>
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "tests/bench/bound_begin.h"

#define MEMORY_BYTES (64u << 20)  /* of writes under way */
#define RECORDS_MAX 32768u        /* the same, counted */
#define STREAM_BYTES (256u << 10) /* of a socket, before they are understood */
#define BATCH_BYTES (512u << 10)  /* of a log write */
#define READS_MAX 128u
#define READ_BYTES (1u << 20)
#define HOMES_MAX 32u
#define UNFLUSHED_BYTES (6u << 20) /* of the log, at most, if it has to be durable ... */
#define DIRTY_BYTES (16u << 20)    /* ... and of the disk */
#define FLUSHES_MAX 256u
#define IOV_MAX_HERE 512u
#define EXPECTED_AFTER 4u /* writes in a row with a flush each */
#define LOOKS_PER_YIELD 64u

/* What a completion is of; its index stands above. */
enum kind { ACCEPT, STREAM, LOG_WRITE, LOG_FLUSH, HOME, DISK_FLUSH, READ };

/* A write, by its number; its data is in memory, and so in the log, at `position`. */
struct record {
	struct bound_request request;
	uint64_t position, cookie, offset;
	uint32_t length;
	bool fua, home;
};

/* Bytes from a socket; those of a write go to `target`. */
struct stream {
	int fd;
	bool receiving, emptied;
	uint8_t buffer[STREAM_BYTES];
	uint32_t begin, end;
	uint8_t *target;
	uint32_t rest;
	struct iovec iov[2];
	struct msghdr message;
};

/* What a site, or the other one, has. */
struct marks {
	uint64_t logged, durable;
};

static struct io_uring ring;
static struct stream requests;
static struct stream line; /* the copy's marks, at the one that serves */
static int listener = -1, disk_fd, log_fd;
static bool serving, homes, durable_first, disk_flushing;
static uint64_t spin_ns, log_bytes, disk_bytes;

static uint8_t *memory;
static struct record records[RECORDS_MAX];
static uint64_t placed, sent, begun, answered, homing, freed, head_position;
static struct marks here, there, told;
static uint64_t write_last, flush_covers, fua_wanted, homes_under_way;
static uint64_t unflushed_bytes, dirty_bytes;
static bool writing, flushing;

static struct {
	uint64_t cookie, target;
} flushes[FLUSHES_MAX];
static uint32_t flush_first, flush_count;
static uint32_t expected; /* so many writes in a row were followed by a flush */
static bool write_was_last;

static uint8_t *read_memory;
static struct bound_request reads[READS_MAX];
static uint32_t free_reads[READS_MAX], free_read_count;

static struct bound_reply replies[IOV_MAX_HERE];
static struct iovec out[IOV_MAX_HERE];
static uint32_t out_count, done_reads[READS_MAX], done_read_count;

static struct record *record(uint64_t number)
{
	return &records[number % RECORDS_MAX];
}

static uint8_t *data_of(const struct record *r)
{
	return memory + r->position % MEMORY_BYTES;
}

static struct io_uring_sqe *submission(enum kind kind, uint64_t index)
{
	struct io_uring_sqe *sqe = bound_submission(&ring);

	sqe->user_data = index << 8 | kind;
	return sqe;
}

/* ---- out to sockets ---------------------------------------------------------------- */

static void send_answers(void)
{
	if (out_count > 0)
		bound_send(requests.fd, out, out_count);
	out_count = 0;
	while (done_read_count > 0)
		free_reads[free_read_count++] = done_reads[--done_read_count];
}

static void answer(uint64_t cookie, uint8_t *data, uint32_t length)
{
	struct bound_reply *r;

	if (out_count + 2 > IOV_MAX_HERE)
		send_answers();
	r = &replies[out_count];
	*r = (struct bound_reply){ htobe32(BOUND_REPLY_MAGIC), 0, cookie };
	out[out_count++] = (struct iovec){ r, sizeof *r };
	if (length > 0)
		out[out_count++] = (struct iovec){ data, length };
}

/* To the copy: all that came since the last message. */
static void send_records(void)
{
	struct iovec iov[IOV_MAX_HERE];
	uint32_t count = 0;

	while (sent < placed) {
		struct record *r = record(++sent);

		if (r->fua)
			r->request.flags = htobe16(BOUND_FLAG_FUA);
		iov[count++] = (struct iovec){ &r->request, sizeof r->request };
		iov[count++] = (struct iovec){ data_of(r), r->length };
		if (count + 2 > IOV_MAX_HERE || sent == placed) {
			bound_send(line.fd, iov, count);
			count = 0;
		}
	}
}

/* ---- requests ---------------------------------------------------------------------- */

/* A place for a write, or NULL while there is none. */
static uint8_t *place(const struct bound_request *q, uint32_t length)
{
	struct record *r = record(placed + 1);
	const uint64_t tail = freed < placed ? record(freed + 1)->position :
					       head_position;
	uint64_t position = head_position;

	if (position % MEMORY_BYTES + length > MEMORY_BYTES)
		position += MEMORY_BYTES - position % MEMORY_BYTES;
	if (position + length - tail > MEMORY_BYTES || placed + 1 - freed >= RECORDS_MAX)
		return NULL;
	*r = (struct record){
		.request = *q,
		.position = position,
		.cookie = q->cookie,
		.offset = be64toh(q->offset),
		.length = length,
		.fua = serving ? expected >= EXPECTED_AFTER :
				 (be16toh(q->flags) & BOUND_FLAG_FUA) != 0,
	};
	return data_of(r);
}

static void write_is_whole(void)
{
	placed++;
	head_position = record(placed)->position + record(placed)->length;
	if (write_was_last)
		expected = 0;
	write_was_last = true;
}

static bool begin_read(const struct bound_request *q, uint32_t length)
{
	struct io_uring_sqe *sqe;
	uint32_t slot;

	if (free_read_count == 0)
		return false;
	slot = free_reads[--free_read_count];
	reads[slot] = *q;
	sqe = submission(READ, slot);
	io_uring_prep_read(sqe, disk_fd, read_memory + (size_t)slot * READ_BYTES, length,
			   be64toh(q->offset));
	return true;
}

static bool begin_flush(const struct bound_request *q)
{
	struct bound_request to_copy = *q;
	struct iovec iov = { &to_copy, sizeof to_copy };

	if (flush_count == FLUSHES_MAX)
		return false;
	flushes[(flush_first + flush_count) % FLUSHES_MAX].cookie = q->cookie;
	flushes[(flush_first + flush_count++) % FLUSHES_MAX].target = placed;
	expected += write_was_last;
	write_was_last = false;
	if (serving && (placed == 0 || !record(placed)->fua)) {
		send_records();
		bound_send(line.fd, &iov, 1);
	}
	return true;
}

/* The request at the front of the buffer. False: there is no room for it now. */
static bool begin_request(struct stream *s, const struct bound_request *q)
{
	const uint32_t length = be32toh(q->length);

	if (be32toh(q->magic) != BOUND_REQUEST_MAGIC) {
		errno = EPROTO;
		bound_give_up("a request");
	}
	switch (be16toh(q->type)) {
	case BOUND_READ:
		return begin_read(q, length);
	case BOUND_WRITE:
		s->target = place(q, length);
		s->rest = s->target != NULL ? length : 0;
		return s->target != NULL;
	case BOUND_FLUSH:
		return begin_flush(q);
	default:
		return true; /* the end follows */
	}
}

/* Take all requests that have come. False: one of them has no room now. */
static bool take_requests(struct stream *s)
{
	struct bound_request q;

	for (;;) {
		const uint32_t count = s->end - s->begin;
		const uint32_t part = MIN(count, s->rest);

		if (s->target != NULL) {
			memcpy(s->target, s->buffer + s->begin, part);
			s->target += part;
			s->begin += part;
			s->rest -= part;
			if (s->rest > 0)
				return true;
			s->target = NULL;
			write_is_whole();
		} else if (count < sizeof q) {
			return true;
		} else {
			memcpy(&q, s->buffer + s->begin, sizeof q);
			if (!begin_request(s, &q))
				return false;
			s->begin += (uint32_t)sizeof q;
		}
	}
}

static void take_marks(struct stream *s)
{
	for (; s->end - s->begin >= sizeof there; s->begin += (uint32_t)sizeof there)
		memcpy(&there, s->buffer + s->begin, sizeof there);
}

static void receive(struct stream *s)
{
	struct io_uring_sqe *sqe;

	if (s->fd < 0 || s->receiving)
		return;
	memmove(s->buffer, s->buffer + s->begin, s->end - s->begin);
	s->end -= s->begin;
	s->begin = 0;
	s->iov[0] = (struct iovec){ s->target, s->rest };
	s->iov[1] = (struct iovec){ s->buffer + s->end, STREAM_BYTES - s->end };
	s->message = (struct msghdr){ .msg_iov = s->iov + (s->rest == 0),
				      .msg_iovlen = s->rest == 0 ? 1 : 2 };
	s->receiving = true;
	sqe = submission(STREAM, s == &line);
	io_uring_prep_recvmsg(sqe, s->fd, &s->message, 0);
	if (s->emptied)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void wait_for_client(void)
{
	struct io_uring_sqe *sqe = submission(ACCEPT, 0);

	io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
}

static void received(struct stream *s, int32_t bytes, uint32_t flags)
{
	const uint32_t direct = bytes > 0 ? MIN((uint32_t)bytes, s->rest) : 0;

	s->receiving = false;
	s->emptied = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
	if (bytes <= 0) {
		if (!serving || s == &line)
			exit(0);
		close(s->fd);
		s->fd = -1;
		s->begin = s->end = s->rest = 0;
		s->target = NULL;
		wait_for_client();
		return;
	}
	s->target += direct;
	s->rest -= direct;
	s->end += (uint32_t)bytes - direct;
}

/* ---- devices ----------------------------------------------------------------------- */

/* All that waits, as far as it lies together, in one write. */
static void write_log(void)
{
	const uint64_t first = begun + 1;
	struct io_uring_sqe *sqe;
	uint64_t bytes = 0;

	if (writing || begun == placed)
		return;
	while (begun < placed && bytes < BATCH_BYTES &&
	       record(begun + 1)->position == record(first)->position + bytes &&
	       (bytes == 0 || record(begun + 1)->position % MEMORY_BYTES != 0))
		bytes += record(++begun)->length;
	writing = true;
	write_last = begun;
	sqe = submission(LOG_WRITE, 0);
	io_uring_prep_write(sqe, log_fd, data_of(record(first)), (uint32_t)bytes,
			    record(first)->position % log_bytes);
}

static void log_written(void)
{
	writing = false;
	for (uint64_t n = here.logged + 1; n <= write_last; n++) {
		unflushed_bytes += record(n)->length;
		if (record(n)->fua)
			fua_wanted = n;
	}
	here.logged = write_last;
}

static void flush_log(void)
{
	bool wanted = fua_wanted > here.durable ||
		      (durable_first && unflushed_bytes >= UNFLUSHED_BYTES);
	struct io_uring_sqe *sqe;

	for (uint32_t i = 0; i < flush_count && !wanted; i++) {
		const uint64_t target = flushes[(flush_first + i) % FLUSHES_MAX].target;

		wanted = target > here.durable && target <= here.logged;
	}
	if (!wanted || flushing)
		return;
	flushing = true;
	flush_covers = here.logged;
	unflushed_bytes = 0;
	sqe = submission(LOG_FLUSH, 0);
	io_uring_prep_fsync(sqe, log_fd, IORING_FSYNC_DATASYNC);
}

static void flush_disk(void)
{
	if (!durable_first || disk_flushing || dirty_bytes < DIRTY_BYTES)
		return;
	disk_flushing = true;
	dirty_bytes = 0;
	io_uring_prep_fsync(submission(DISK_FLUSH, 0), disk_fd, IORING_FSYNC_DATASYNC);
}

static void go_home(void)
{
	const uint64_t logged = serving ? answered : here.logged;
	const uint64_t last = durable_first ? MIN(logged, here.durable) : logged;

	if (!homes)
		homing = last;
	while (homing < last && homes_under_way < HOMES_MAX) {
		const struct record *r = record(++homing);
		struct io_uring_sqe *sqe = submission(HOME, homing);

		io_uring_prep_write(sqe, disk_fd, data_of(r), r->length, r->offset);
		homes_under_way++;
	}
	while (freed < homing && (!homes || record(freed + 1)->home))
		freed++;
}

/* ---- answers ----------------------------------------------------------------------- */

static void answer_client(void)
{
	const uint64_t logged = MIN(here.logged, there.logged);
	const uint64_t durable = MIN(here.durable, there.durable);

	while (answered < logged)
		answer(record(++answered)->cookie, NULL, 0);
	while (flush_count > 0 && flushes[flush_first].target <= durable) {
		answer(flushes[flush_first].cookie, NULL, 0);
		flush_first = (flush_first + 1) % FLUSHES_MAX;
		flush_count--;
	}
	send_answers();
}

static void tell_marks(void)
{
	struct iovec iov = { &here, sizeof here };

	while (flush_count > 0 && flushes[flush_first].target <= here.durable) {
		flush_first = (flush_first + 1) % FLUSHES_MAX;
		flush_count--;
	}
	if (told.logged == here.logged && told.durable == here.durable)
		return;
	bound_send(requests.fd, &iov, 1);
	told = here;
}

/* ---- the beginning ----------------------------------------------------------------- */

static void client_came(int fd)
{
	if (fd < 0 || !bound_greet(fd, disk_bytes)) {
		close(fd);
		wait_for_client();
		return;
	}
	requests.fd = fd;
}

static void begin(const char *const argv[])
{
	const char *const *files = argv + (serving ? 4 : 3);

	bound_ring(&ring);
	disk_fd = bound_open(files[0], &disk_bytes);
	log_fd = bound_open(files[1], &log_bytes);
	log_bytes -= log_bytes % MEMORY_BYTES;
	memory = bound_pages(MEMORY_BYTES);
	line.fd = bound_connect(argv[serving ? 3 : 2], !serving);
	if (!serving) {
		requests.fd = line.fd;
		return;
	}
	requests.fd = -1;
	read_memory = bound_pages((size_t)READS_MAX * READ_BYTES);
	while (free_read_count < READS_MAX) {
		free_reads[free_read_count] = free_read_count;
		free_read_count++;
	}
	if (strncmp(argv[2], "/dev/", 5) == 0) {
		requests.fd = bound_attach(argv[2], disk_bytes);
	} else {
		listener = bound_listen_at(argv[2]);
		wait_for_client();
	}
	printf("ready\n");
	fflush(stdout);
}

/* ---- the loop ---------------------------------------------------------------------- */

static void complete(const struct io_uring_cqe *cqe)
{
	const uint64_t index = cqe->user_data >> 8;
	const enum kind kind = cqe->user_data & 0xff;

	if (cqe->res < 0 && kind > STREAM) {
		errno = -cqe->res;
		bound_give_up("a device");
	}
	switch (kind) {
	case ACCEPT:
		client_came(cqe->res);
		break;
	case STREAM:
		received(index == 0 ? &requests : &line, cqe->res, cqe->flags);
		break;
	case LOG_WRITE:
		log_written();
		break;
	case LOG_FLUSH:
		flushing = false;
		here.durable = flush_covers;
		break;
	case HOME:
		record(index)->home = true;
		dirty_bytes += record(index)->length;
		homes_under_way--;
		break;
	case DISK_FLUSH:
		disk_flushing = false;
		break;
	case READ:
		answer(reads[index].cookie, read_memory + index * READ_BYTES,
		       be32toh(reads[index].length));
		done_reads[done_read_count++] = (uint32_t)index;
		break;
	}
}

/* Look for a completion before a sleep, where one write or two are under way. */
static bool spin(void)
{
	const uint64_t under_way = placed - (serving ? answered : here.logged);
	const uint64_t end_ns = bound_now_ns() + spin_ns;

	if (spin_ns == 0 || under_way == 0 || under_way > 2)
		return false;
	io_uring_submit(&ring);
	do {
		for (uint32_t i = 0; i < LOOKS_PER_YIELD; i++)
			if (bound_has_completed(&ring))
				return true;
		sched_yield();
	} while (bound_now_ns() < end_ns);
	return false;
}

static void turn(void)
{
	struct io_uring_cqe *cqe;
	bool room;

	if (!spin())
		io_uring_submit_and_wait(&ring, 1);
	while (io_uring_peek_cqe(&ring, &cqe) == 0) {
		complete(cqe);
		io_uring_cqe_seen(&ring, cqe);
	}
	go_home();
	room = take_requests(&requests);
	if (serving) {
		take_marks(&line);
		send_records();
		answer_client();
		receive(&line);
	} else {
		tell_marks();
	}
	if (room)
		receive(&requests);
	write_log();
	flush_log();
	flush_disk();
	go_home();
}

int main(int argc, char *argv[])
{
	serving = argc >= 6 && strcmp(argv[1], "serve") == 0;
	if (!serving && (argc < 5 || strcmp(argv[1], "copy") != 0)) {
		fprintf(stderr, "usage: bound copy PORT DISK LOG [KEY...]\n"
				"       bound serve SOCKET PORT DISK LOG [KEY...]\n");
		return 2;
	}
	for (int i = serving ? 6 : 5; i < argc; i++) {
		durable_first |= strcmp(argv[i], "durable") == 0;
		homes |= durable_first || strcmp(argv[i], "home") == 0;
		if (strncmp(argv[i], "spin=", 5) == 0)
			spin_ns = strtoull(argv[i] + 5, NULL, 10) * 1000;
	}
	begin((const char *const *)argv);
	receive(&requests);
	for (;;)
		turn();
}
