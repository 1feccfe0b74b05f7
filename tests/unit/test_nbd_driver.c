/* test_nbd_driver.c - the NBD front-end's sockets (nbd_driver.h), over a core whose
 * disks are memory (nbd_memory.h). */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "mirror/front/nbd_client.h"
#include "mirror/front/nbd_wire.h"
#include "tests/unit/free_port.h"
#include "tests/unit/nbd_memory.h"
#include "tests/unit/nbd_peer.h"

#define DISK_BYTES (1u << 20)
#define READ MIRROR_NBD_READ
#define WRITE MIRROR_NBD_WRITE

static struct nbd_memory memory;
static char folder[] = "/tmp/hamirror-nbd-XXXXXX";
static char path[64];
static struct sockaddr_in network;
static uint8_t data[DISK_BYTES];

static atomic_bool named_too_early; /* the I/O thread listens, too */

/* A socket that can be found can be connected to: it has no name before it listens. */
int listen(int fd, int backlog)
{
	socklen_t bytes = sizeof(int);
	int domain = 0;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes);
	if (domain == AF_UNIX && access(path, F_OK) == 0)
		named_too_early = true;
	return (int)syscall(SYS_listen, fd, backlog);
}

static void setup(void)
{
	memset(folder + sizeof folder - 7, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/nbd", folder);
	network = (struct sockaddr_in){ .sin_family = AF_INET };
	network.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	network.sin_port = htons(free_port());
	ck_assert_int_eq(nbd_memory_start(&memory, path, DISK_BYTES,
					  (struct sockaddr *)&network, sizeof network),
			 0);
	ck_assert(!named_too_early);
	for (uint32_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13 + i / 512 + 1);
}

static void teardown(void)
{
	nbd_memory_stop(&memory);
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* ---- a client -------------------------------------------------------------------- */

static int try_connect(void)
{
	return nbd_peer_connect(path, "");
}

/* Say which export; the answer is not read. */
static void ask_export(int fd)
{
	uint8_t in[4 + 16 + 2] = "\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0\2db";
	uint8_t greeting[18];

	nbd_peer_get(fd, greeting, sizeof greeting);
	nbd_peer_put(fd, in, sizeof in);
}

static int client_open(void)
{
	const int fd = try_connect();
	uint8_t answer[10];

	ck_assert_int_ge(fd, 0);
	ask_export(fd);
	nbd_peer_get(fd, answer, sizeof answer);
	ck_assert_uint_eq(mirror_nbd_get(answer, 8), DISK_BYTES);
	return fd;
}

static int network_connect(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&network, sizeof network), 0);
	ask_export(fd);
	return fd;
}

static size_t request(uint8_t *at, uint16_t type, uint64_t cookie, uint64_t offset,
		      uint32_t length)
{
	mirror_nbd_put(at, 0x25609513, 4);
	mirror_nbd_put(at + 4, 0, 2);
	mirror_nbd_put(at + 6, type, 2);
	mirror_nbd_put(at + 8, cookie, 8);
	mirror_nbd_put(at + 16, offset, 8);
	mirror_nbd_put(at + 24, length, 4);
	if (type != WRITE)
		return MIRROR_NBD_REQUEST_BYTES;
	memcpy(at + 28, data + offset, length);
	return MIRROR_NBD_REQUEST_BYTES + length;
}

static void ask(int fd, uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length)
{
	static uint8_t in[28 + DISK_BYTES];

	nbd_peer_put(fd, in, request(in, type, cookie, offset, length));
}

static void expect(int fd, uint64_t cookie, uint32_t error)
{
	uint8_t head[16];

	nbd_peer_get(fd, head, sizeof head);
	ck_assert_uint_eq(mirror_nbd_get(head, 4), 0x67446698u);
	ck_assert_uint_eq(mirror_nbd_get(head + 4, 4), error);
	ck_assert_uint_eq(mirror_nbd_get(head + 8, 8), cookie);
}

/* A whole turn of the loop has passed that began after this call. */
static void turn(void)
{
	const int fd = client_open();

	ask(fd, MIRROR_NBD_FLUSH, 1, 0, 0);
	expect(fd, 1, 0);
	close(fd);
}

/* ---- tests -------------------------------------------------------------------------- */

START_TEST(a_client_writes_and_reads)
{
	const int fd = client_open();
	static uint8_t back[DISK_BYTES];

	ask(fd, WRITE, 1, 0, DISK_BYTES);
	expect(fd, 1, 0);
	ask(fd, READ, 2, 700, 600000);
	expect(fd, 2, 0);
	nbd_peer_get(fd, back, 600000);
	ck_assert_mem_eq(back, data + 700, 600000);
	ask(fd, MIRROR_NBD_DISC, 3, 0, 0);
	ck_assert(nbd_peer_has_ended(fd));
	close(fd);
}
END_TEST

START_TEST(the_socket_is_for_its_owner)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

/* Until the socket has its name in the folder as it is now. */
static void await_name(void)
{
	const int fd = inotify_init1(IN_CLOEXEC);
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	ck_assert_int_ge(inotify_add_watch(fd, folder, IN_MOVED_TO), 0);
	while (access(path, F_OK) < 0)
		ck_assert_int_gt(read(fd, event, sizeof event), 0);
	close(fd);
}

/* Others may remove its name, and the folder too: new clients find it again, and connected
 * ones notice nothing. */
START_TEST(a_removed_socket_is_made_again)
{
	const int fd = client_open();
	char own[80];

	snprintf(own, sizeof own, "%s.own", path);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(unlink(path), 0);
		if (i == 1) {
			ck_assert_int_eq(unlink(own), 0);
			ck_assert_int_eq(rmdir(folder), 0);
			ck_assert_int_eq(mkdir(folder, 0700), 0);
		}
		await_name();
		close(client_open());
	}
	ask(fd, WRITE, 1, 0, 4096);
	expect(fd, 1, 0);
	close(fd);
}
END_TEST

/* MIRROR_CLIENTS_CLOSE: everyone out at once, and in again after the next OPEN. */
START_TEST(closing_drops_everyone)
{
	const int idle = client_open(), busy = client_open();
	int fd;

	nbd_memory_order(&memory, ORDER_OPEN); /* freezes */
	ask(busy, WRITE, 1, 0, 4096);
	ck_assert(nbd_memory_await_waiting(&memory, 1));
	nbd_memory_order(&memory, ORDER_DEMOTE);
	ck_assert(nbd_memory_expect(&memory, "clients 0"));
	ck_assert(nbd_peer_has_ended(idle));
	ck_assert(nbd_peer_has_ended(busy));
	ck_assert_int_lt(try_connect(), 0);
	close(idle);
	close(busy);
	nbd_memory_order(&memory, ORDER_CLOSE);
	nbd_memory_order(&memory, ORDER_SERVE);
	ck_assert(nbd_memory_expect(&memory, "clients 0"));
	fd = client_open();
	ask(fd, WRITE, 2, 0, 4096);
	expect(fd, 2, 0);
	close(fd);
}
END_TEST

/* Opened again before all is closed: it waits for that, and one answer may stand for
 * both. */
START_TEST(it_can_be_opened_while_it_closes)
{
	for (int i = 0; i < 50; i++) {
		const int fd = client_open();

		nbd_memory_order(&memory, ORDER_DEMOTE);
		nbd_memory_order(&memory, ORDER_SERVE);
		ck_assert(nbd_peer_has_ended(fd));
		close(fd);
		ck_assert(nbd_memory_expect(&memory, "clients 0"));
		while (access(path, F_OK) < 0)
			ck_assert(nbd_memory_expect(&memory, "clients 0"));
	}
}
END_TEST

/* Answers that were acknowledged in time still leave. */
START_TEST(closing_tells_what_was_acknowledged)
{
	const int fd = client_open();

	nbd_memory_order(&memory, ORDER_OPEN);
	ask(fd, WRITE, 1, 0, 4096);
	ck_assert(nbd_memory_await_waiting(&memory, 1));
	nbd_memory_order(&memory, ORDER_DEPOSE);
	expect(fd, 1, 0);
	ck_assert(nbd_peer_has_ended(fd));
	close(fd);
}
END_TEST

/* A core that takes few requests takes them from all connections in turn. */
START_TEST(nobody_is_passed_over)
{
	const int a = client_open(), b = client_open();
	uint8_t in[100 * MIRROR_NBD_REQUEST_BYTES];
	size_t bytes = 0;

	for (uint64_t i = 0; i < 100; i++)
		bytes += request(in + bytes, MIRROR_NBD_FLUSH, i, 0, 0);
	turn(); /* both listen */
	nbd_memory_order(&memory, ORDER_OPEN);
	memory.engine.takes_count = 0;
	nbd_peer_put(a, in, bytes);
	nbd_peer_put(b, in, bytes);
	close(client_open()); /* they have arrived */
	for (uint32_t i = 1; i <= 2; i++) {
		memory.engine.takes_count = 32;
		nbd_memory_order(&memory, ORDER_VIEW);
		ck_assert(nbd_memory_await_waiting(&memory, 32 * i));
	}
	nbd_memory_order(&memory, ORDER_CLOSE);
	expect(a, 0, 0);
	expect(b, 0, 0);
	close(a);
	close(b);
}
END_TEST

START_TEST(what_cannot_listen_says_so)
{
	nbd_memory_order(&memory, ORDER_DEMOTE);
	ck_assert(nbd_memory_expect(&memory, "clients 0"));
	ck_assert_int_eq(rmdir(folder), 0);
	nbd_memory_order(&memory, ORDER_SERVE);
	ck_assert(nbd_memory_expect(&memory, "clients -2"));
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	/* A socket that a killed predecessor left is in nobody's way. */
	ck_assert_int_eq(mknod(path, S_IFSOCK | 0600, 0), 0);
	nbd_memory_order(&memory, ORDER_SERVE);
	ck_assert(nbd_memory_expect(&memory, "clients 0"));
	close(client_open());
}
END_TEST

/* The loop ends while the core has requests, or none: nothing is lost or left. */
START_TEST(the_end_may_come_at_any_time)
{
	const int fd = client_open();

	nbd_memory_order(&memory, ORDER_OPEN);
	ask(fd, WRITE, 1, 0, 4096);
	ask(fd, READ, 2, 0, 300000);
	ask(fd, WRITE, 3, 8192 + 10, 20);
	ck_assert(nbd_memory_await_waiting(&memory, _i));
	nbd_memory_stop(&memory);
	ck_assert(nbd_peer_has_ended(fd));
	close(fd);
	unlink(path);
	ck_assert_int_eq(nbd_memory_start(&memory, path, DISK_BYTES, NULL, 0), 0);
}
END_TEST

/* docs/rules.md, "Clients that come back": a request that the core has not yet stamped is
 * dropped with its connection. */
START_TEST(the_core_hears_of_a_hang_up)
{
	const int fd = client_open();

	nbd_memory_order(&memory, ORDER_OPEN);
	ask(fd, WRITE, 1, 0, 4096);
	ck_assert(nbd_memory_await_waiting(&memory, 1));
	close(fd);
	ck_assert(nbd_memory_expect(&memory, "gone"));
	ck_assert(nbd_memory_await_waiting(&memory, 0));
	nbd_memory_order(&memory, ORDER_CLOSE);
	turn();
	ck_assert_uint_eq(memory.engine.disk[0][1], 0);
}
END_TEST

/* So are requests that were received but not yet handed over. */
START_TEST(requests_of_a_hung_up_connection_are_not_handed_over)
{
	const int fd = client_open();
	uint32_t count;

	turn();
	memory.engine.takes = false;
	ask(fd, WRITE, 1, 0, 4096);
	if (_i == 1) { /* in two steps */
		shutdown(fd, SHUT_WR);
		close(client_open());
	}
	close(client_open()); /* it has arrived by now */
	count = memory.engine.request_count;
	close(fd);
	close(client_open());
	memory.engine.takes = true;
	turn();
	ck_assert_uint_eq(memory.engine.request_count, count + 1);
	ck_assert_uint_eq(memory.engine.disk[0][1], 0);
}
END_TEST

/* A client that only announces the end of its requests has not hung up. */
START_TEST(a_half_closed_connection_is_answered)
{
	const int fd = client_open();

	nbd_memory_order(&memory, ORDER_OPEN);
	ask(fd, WRITE, 1, 0, 4096);
	ck_assert(nbd_memory_await_waiting(&memory, 1));
	shutdown(fd, SHUT_WR);
	ask(client_open(), WRITE, 1, 0, 4096);
	ck_assert(nbd_memory_await_waiting(&memory, 2));
	nbd_memory_order(&memory, ORDER_CLOSE);
	expect(fd, 1, 0);
	ck_assert(nbd_peer_has_ended(fd));
	close(fd);
}
END_TEST

/* A client asks for more than it has places for, and then is silent: the answers sent make
 * the room, and no completion tells us so. */
START_TEST(more_than_its_places_are_answered)
{
	enum { COUNT = 3 * MIRROR_NBD_COMMANDS_MAX };
	static uint8_t in[COUNT * 28];
	const int fd = client_open();
	size_t bytes = 0;

	for (uint64_t i = 0; i < COUNT; i++)
		bytes += request(in + bytes, MIRROR_NBD_FLUSH, i, 0, 0);
	nbd_peer_put(fd, in, bytes);
	for (uint64_t i = 0; i < COUNT; i++)
		expect(fd, i, 0);
	close(fd);
}
END_TEST

/* D7: nothing that acknowledges leaves without a lease, errors do. */
START_TEST(answers_wait_for_the_lease)
{
	const int fd = client_open();

	memory.engine.lease_until_ns = 0;
	ask(fd, WRITE, 1, 0, 4096);
	ask(fd, WRITE, 2, DISK_BYTES, 0);
	ask(fd, 77, 3, 0, 0);
	expect(fd, 3, 22);
	ck_assert(nbd_peer_is_silent(fd, 50));
	memory.engine.lease_until_ns = UINT64_MAX;
	nbd_memory_order(&memory, ORDER_VIEW);
	for (uint64_t sum = 0, i = 0; i < 2; i++) {
		uint8_t head[16];

		nbd_peer_get(fd, head, sizeof head);
		ck_assert_uint_eq(mirror_nbd_get(head + 4, 4), 0);
		sum += mirror_nbd_get(head + 8, 8);
		ck_assert(i == 0 || sum == 3);
	}
	close(fd);
}
END_TEST

/* The same over TCP: the next one waits until the old connection is closed and the
 * core has answered all of it. */
START_TEST(a_network_client_waits_for_the_one_before)
{
	const int old = network_connect();
	uint8_t answer[10];
	int new;

	nbd_peer_get(old, answer, sizeof answer);
	ck_assert_uint_eq(mirror_nbd_get(answer + 8, 2) & 0x100, 0); /* no multi-conn */
	nbd_memory_order(&memory, ORDER_OPEN);
	ask(old, WRITE, 1, 0, 4096);
	ck_assert(nbd_memory_await_waiting(&memory, 1));
	new = network_connect();
	ck_assert(nbd_peer_is_silent(new, 50));
	memory.engine.takes = false;
	close(old);
	ck_assert(nbd_memory_expect(&memory, "gone"));
	nbd_peer_get(new, answer, sizeof answer);
	close(new);
}
END_TEST

/* The I/O thread's own count, while it runs: a little old does not matter. */
__attribute__((noinline, no_sanitize("thread"))) static uint64_t enters(
	const struct io_driver_counters *io)
{
	return *(const volatile uint64_t *)&io->enter_count;
}

/* The cost of a wake-up is shared: 32 writes come in few receives, go in few sends. */
START_TEST(system_calls_are_few)
{
	const struct io_driver_counters *io = io_driver_counters(memory.io);
	static uint8_t in[32 * (28 + 4096)];
	const int fd = client_open();
	uint64_t before;
	size_t bytes = 0;

	for (uint32_t i = 0; i < 32; i++)
		bytes += request(in + bytes, WRITE, i, i * 4096, 4096);
	before = enters(io);
	for (uint32_t round = 0; round < 100; round++) {
		nbd_peer_put(fd, in, bytes);
		for (uint64_t i = 0; i < 32; i++)
			expect(fd, i, 0);
	}
	ck_assert_uint_lt(enters(io) - before, 3200 / 2);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nbd_driver");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_client_writes_and_reads);
	tcase_add_test(tc, the_socket_is_for_its_owner);
	tcase_add_test(tc, a_removed_socket_is_made_again);
	tcase_add_test(tc, closing_drops_everyone);
	tcase_add_test(tc, it_can_be_opened_while_it_closes);
	tcase_add_test(tc, closing_tells_what_was_acknowledged);
	tcase_add_test(tc, nobody_is_passed_over);
	tcase_add_test(tc, what_cannot_listen_says_so);
	tcase_add_loop_test(tc, the_end_may_come_at_any_time, 5, 6);
	tcase_add_test(tc, the_core_hears_of_a_hang_up);
	tcase_add_loop_test(tc, requests_of_a_hung_up_connection_are_not_handed_over, 0,
			    2);
	tcase_add_test(tc, a_half_closed_connection_is_answered);
	tcase_add_test(tc, more_than_its_places_are_answered);
	tcase_add_test(tc, answers_wait_for_the_lease);
	tcase_add_test(tc, a_network_client_waits_for_the_one_before);
	tcase_add_test(tc, system_calls_are_few);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
