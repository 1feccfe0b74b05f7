/* nbd_records.c - a client that notes, outside of all that may be lost, the writes that
 * were acknowledged to it, and looks for them again after every break.
 *
 *   nbd_records PROGRESS SEED URI...
 *
 * Several connections write numbered records at random places, overlapping, many in
 * flight at once, and read them back, through the first URI that answers. When a
 * connection breaks, all end; the next URI that answers is read through and judged,
 * then the writing goes on. PROGRESS is a file with one line of figures, written anew
 * all the time. TERM ends it: requests in flight are awaited for some seconds, then all
 * records are judged once more. It exits with 1, at once, when a promise is broken.
 *
 * The legal values of a sector. One clock counts events: every request has the moment of its
 * start, and, once it was answered, that of its end. The value of write v is right
 * where no write w, answered with success, began after v's end: v was over then. A
 * write that was never answered has no end, so it is right until something was read:
 * a value that was read was there (as if it had been written and answered), and any
 * other write that had begun before a break and was not there after it is gone.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libnbd.h>

#define SECTOR_BYTES 512u
#define WORDS (SECTOR_BYTES / 8)
#define SECTORS_MAX 256u /* of one request */
#define CONNECTIONS 4
#define DEPTH 8
#define WRITES_MAX (1u << 23)
#define NEVER UINT64_MAX
#define DRAIN_S 10
#define HOT_SECTORS 512u /* half of all goes here, to overlap */

struct write {
	uint64_t start;
	_Atomic uint64_t end;
	uint32_t first, count;
};

/* A sector's bound that must not be overtaken: a value is right when its end is later. */
struct sector {
	_Atomic uint64_t floor; /* latest start of an answered write */
	uint64_t seen;          /* value that the last judgement found, ... */
	uint64_t seen_at;       /* ... and when: an end of its own; 0: none yet */
};

struct request {
	bool busy, is_read, is_flush;
	int64_t cookie;
	uint64_t number, start;
	uint32_t first, count;
	uint64_t floor[SECTORS_MAX]; /* of a read: at its start */
	uint64_t data[SECTORS_MAX * WORDS];
};

struct connection {
	pthread_t thread;
	struct nbd_handle *nbd;
	struct request request[DEPTH];
	uint64_t random;
};

static struct write *writes;
static struct sector *sectors;
static uint32_t sector_count;
static uint64_t seed;
static _Atomic uint64_t now = 1;
static _Atomic uint64_t write_count = 1; /* 0 is "never written" */
static _Atomic uint64_t answered, flushed, read_count, failed;
static atomic_bool broken;
static atomic_int stopping;
static unsigned breaks;
static struct connection connections[CONNECTIONS];

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t random_below(struct connection *c, uint64_t limit)
{
	c->random = mix(c->random);
	return c->random % limit;
}

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void raise_to(_Atomic uint64_t *value, uint64_t to)
{
	uint64_t old = atomic_load(value);

	while (old < to && !atomic_compare_exchange_weak(value, &old, to))
		;
}

__attribute__((format(printf, 1, 2), noreturn)) static void lost(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("nbd_records: LOST: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

/* ---- values of a sector -------------------------------------------------------- */

static void fill(uint64_t *word, uint64_t number, uint32_t sector)
{
	const uint64_t key = mix(seed ^ mix(number) ^ sector);

	word[0] = number;
	word[1] = sector;
	for (unsigned i = 2; i < WORDS; i++)
		word[i] = mix(key + i);
}

/* The number of the write whose value this is; 0 when it was never written. */
static uint64_t value_of(const uint64_t *word, uint32_t sector, const char *when)
{
	static const uint64_t none[WORDS];
	uint64_t expected[WORDS];
	const struct write *w = &writes[word[0] < WRITES_MAX ? word[0] : 0];

	if (memcmp(word, none, sizeof none) == 0)
		return 0;
	fill(expected, word[0], sector);
	if (memcmp(word, expected, sizeof expected) != 0 ||
	    word[0] >= atomic_load(&write_count) || sector < w->first ||
	    sector >= w->first + w->count)
		lost("%s: sector %u holds a value that was never written: %016llx %016llx",
		     when, sector, (unsigned long long)word[0],
		     (unsigned long long)word[1]);
	return word[0];
}

/* Is it right that `sector` holds write `number`, not older than `floor`? */
static void judge(uint64_t number, uint32_t sector, uint64_t floor, const char *when)
{
	const struct sector *s = &sectors[sector];
	const struct write *w = &writes[number];
	uint64_t end = number == 0 ? 0 : atomic_load(&w->end);

	if (s->seen_at != 0 && number == s->seen)
		end = s->seen_at;
	else if (s->seen_at != 0 && w->start < s->seen_at)
		end = 0; /* nothing was in flight then, and it was not there */
	if (end < floor || (s->seen_at != 0 && end == 0))
		lost("%s: sector %u holds write %llu (start %llu end %llu), but a write "
		     "that started at %llu was answered; before it held %llu at %llu",
		     when, sector, (unsigned long long)number,
		     (unsigned long long)w->start, (unsigned long long)end,
		     (unsigned long long)floor, (unsigned long long)s->seen,
		     (unsigned long long)s->seen_at);
}

/* Read everything and judge it; nothing is in flight. -1: the connection broke. */
static int judge_all(struct nbd_handle *nbd)
{
	static uint64_t data[SECTORS_MAX * WORDS];

	for (uint32_t first = 0; first < sector_count; first += SECTORS_MAX) {
		if (nbd_pread(nbd, data, sizeof data, (uint64_t)first * SECTOR_BYTES,
			      0) != 0)
			return -1;
		for (uint32_t i = 0; i < SECTORS_MAX; i++) {
			struct sector *s = &sectors[first + i];
			const uint64_t number = value_of(data + i * WORDS, first + i,
							 "after a break");

			judge(number, first + i, atomic_load(&s->floor), "after a break");
			s->seen = number;
			s->seen_at = atomic_fetch_add(&now, 1);
			raise_to(&s->floor, writes[number].start);
		}
	}
	return 0;
}

/* ---- requests --------------------------------------------------------------------- */

static void choose_place(struct connection *c, struct request *r)
{
	const bool hot = random_below(c, 2) == 0;
	const uint32_t range = hot ? HOT_SECTORS : sector_count;
	const uint32_t most = random_below(c, 8) == 0 ? SECTORS_MAX : 16;

	r->count = 1 + (uint32_t)random_below(c, most);
	r->first = (uint32_t)random_below(c, range - r->count + 1);
}

static void send_write(struct connection *c, struct request *r)
{
	const uint32_t flags = random_below(c, 16) == 0 ? LIBNBD_CMD_FLAG_FUA : 0;
	struct write *w;

	r->number = atomic_fetch_add(&write_count, 1);
	if (r->number >= WRITES_MAX) {
		atomic_store(&stopping, 1);
		return;
	}
	w = &writes[r->number];
	w->first = r->first;
	w->count = r->count;
	atomic_store(&w->end, NEVER);
	for (uint32_t i = 0; i < r->count; i++)
		fill(r->data + i * WORDS, r->number, r->first + i);
	w->start = atomic_fetch_add(&now, 1);
	r->cookie = nbd_aio_pwrite(c->nbd, r->data, r->count * SECTOR_BYTES,
				   (uint64_t)r->first * SECTOR_BYTES, NBD_NULL_COMPLETION,
				   flags);
}

static void send_read(struct connection *c, struct request *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		r->floor[i] = atomic_load(&sectors[r->first + i].floor);
	r->cookie = nbd_aio_pread(c->nbd, r->data, r->count * SECTOR_BYTES,
				  (uint64_t)r->first * SECTOR_BYTES, NBD_NULL_COMPLETION,
				  0);
}

static void send_request(struct connection *c, struct request *r)
{
	const uint64_t kind = random_below(c, 32);

	r->is_flush = kind == 0;
	r->is_read = kind > 0 && kind < 6;
	choose_place(c, r);
	if (r->is_flush)
		r->cookie = nbd_aio_flush(c->nbd, NBD_NULL_COMPLETION, 0);
	else if (r->is_read)
		send_read(c, r);
	else
		send_write(c, r);
	if (atomic_load(&stopping))
		return;
	r->busy = r->cookie >= 0;
	if (!r->busy)
		atomic_store(&broken, true);
}

static void answer_write(struct request *r)
{
	struct write *w = &writes[r->number];

	atomic_store(&w->end, atomic_fetch_add(&now, 1));
	for (uint32_t i = 0; i < r->count; i++)
		raise_to(&sectors[r->first + i].floor, w->start);
	atomic_fetch_add(&answered, 1);
}

/* A value that was read may be relied on from then on. */
static void answer_read(struct request *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		const uint64_t number = value_of(r->data + i * WORDS, r->first + i,
						 "a read");

		judge(number, r->first + i, r->floor[i], "a read");
		raise_to(&sectors[r->first + i].floor, writes[number].start);
	}
	atomic_fetch_add(&read_count, 1);
}

static void answer(struct request *r, int result)
{
	r->busy = false;
	if (result < 0)
		atomic_fetch_add(&failed, 1); /* it may be there, or not */
	else if (r->is_flush)
		atomic_fetch_add(&flushed, 1);
	else if (r->is_read)
		answer_read(r);
	else
		answer_write(r);
}

static void *connection_run(void *data)
{
	struct connection *c = data;
	uint64_t give_up_ms = 0;
	bool busy = true;

	while (!atomic_load(&broken) && (busy || !atomic_load(&stopping))) {
		busy = false;
		if (atomic_load(&stopping) && give_up_ms == 0)
			give_up_ms = clock_ms() + DRAIN_S * 1000;
		if (give_up_ms != 0 && clock_ms() > give_up_ms)
			lost("some requests are not answered at the end");
		for (int i = 0; i < DEPTH; i++) {
			struct request *r = &c->request[i];

			if (r->busy) {
				const int done = nbd_aio_command_completed(
					c->nbd, (uint64_t)r->cookie);

				if (done != 0)
					answer(r, done);
			}
			if (!r->busy && !atomic_load(&stopping))
				send_request(c, r);
			busy = busy || r->busy;
		}
		if (busy && (nbd_poll(c->nbd, 100) < 0 || nbd_aio_is_dead(c->nbd) == 1 ||
			     nbd_aio_is_closed(c->nbd) == 1))
			atomic_store(&broken, true);
	}
	return NULL;
}

/* ---- the whole ---------------------------------------------------------------------- */

static struct nbd_handle *connect_to(const char *uri)
{
	struct nbd_handle *nbd = nbd_create();

	if (nbd != NULL && nbd_connect_uri(nbd, uri) == 0)
		return nbd;
	nbd_close(nbd);
	return NULL;
}

static void create_tables(struct nbd_handle *nbd)
{
	if (sectors != NULL)
		return;
	sector_count = (uint32_t)((uint64_t)nbd_get_size(nbd) / SECTOR_BYTES);
	sectors = calloc(sector_count, sizeof *sectors);
	if (sectors == NULL || sector_count % SECTORS_MAX != 0 ||
	    sector_count < HOT_SECTORS) {
		fprintf(stderr, "nbd_records: no memory, or a disk of an odd size\n");
		_exit(2);
	}
}

/* Write through `uri` until it breaks or all ends. -1: it does not answer. */
static int session(const char *uri)
{
	int opened = 0;

	for (; opened < CONNECTIONS; opened++) {
		struct connection *c = &connections[opened];

		c->nbd = connect_to(uri);
		if (c->nbd == NULL)
			break;
		memset(c->request, 0, sizeof c->request);
	}
	if (opened == CONNECTIONS)
		create_tables(connections[0].nbd);
	if (opened == CONNECTIONS && judge_all(connections[0].nbd) == 0) {
		atomic_store(&broken, false);
		for (int i = 0; i < CONNECTIONS; i++)
			pthread_create(&connections[i].thread, NULL, connection_run,
				       &connections[i]);
		for (int i = 0; i < CONNECTIONS; i++)
			pthread_join(connections[i].thread, NULL);
		if (!atomic_load(&broken) && judge_all(connections[0].nbd) != 0)
			lost("the connection broke in the last judgement");
		breaks += atomic_load(&broken);
	}
	for (int i = 0; i < opened; i++)
		nbd_close(connections[i].nbd);
	return opened == CONNECTIONS ? 0 : -1;
}

static void *progress_run(void *path)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	char line[200];
	FILE *f = fopen(path, "we");

	while (f != NULL) {
		snprintf(line, sizeof line,
			 "acknowledged %llu flushes %llu reads %llu failed %llu "
			 "breaks %u",
			 (unsigned long long)atomic_load(&answered),
			 (unsigned long long)atomic_load(&flushed),
			 (unsigned long long)atomic_load(&read_count),
			 (unsigned long long)atomic_load(&failed), breaks);
		rewind(f);
		fprintf(f, "%-150s\n", line);
		fflush(f);
		if (atomic_load(&stopping) == 2)
			break;
		nanosleep(&pause, NULL);
	}
	if (f != NULL)
		fclose(f);
	return NULL;
}

static void stop(int signal)
{
	(void)signal;
	atomic_store(&stopping, 1);
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	pthread_t progress;
	uint64_t end_ms = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: nbd_records PROGRESS SEED URI...\n");
		return 2;
	}
	seed = strtoull(argv[2], NULL, 10);
	for (int i = 0; i < CONNECTIONS; i++)
		connections[i].random = mix(seed + (uint64_t)i);
	writes = calloc(WRITES_MAX, sizeof *writes);
	if (writes == NULL)
		return 2;
	signal(SIGTERM, stop);
	signal(SIGPIPE, SIG_IGN);
	pthread_create(&progress, NULL, progress_run, argv[1]);
	for (int i = 3; !atomic_load(&stopping) || atomic_load(&broken); i++) {
		if (i == argc)
			i = 3;
		if (session(argv[i]) != 0)
			nanosleep(&pause, NULL);
		if (atomic_load(&stopping) && end_ms == 0)
			end_ms = clock_ms() + DRAIN_S * 1000;
		if (end_ms != 0 && clock_ms() > end_ms)
			lost("nothing answers at the end");
	}
	atomic_store(&stopping, 2);
	pthread_join(progress, NULL);
	return 0;
}
