/* test_nbd_refusal_driver.c - clients that get no place, or are none, on real sockets:
 * the messages to them and to the operator (nbd_driver.h, nbd_refusal.h). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mirror/front/nbd_wire.h"
#include "mirror/front/nbd_places.h"
#include "tests/unit/nbd_memory.h"
#include "tests/unit/nbd_peer.h"

#define DISK_BYTES (1u << 20)

static struct nbd_memory memory;
static char folder[] = "/tmp/hamirror-nbd-XXXXXX";
static char path[64];

static void setup(void)
{
	memset(folder + sizeof folder - 7, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/nbd", folder);
	ck_assert_int_eq(nbd_memory_start(&memory, path, DISK_BYTES, NULL, 0), 0);
}

static void teardown(void)
{
	nbd_memory_stop(&memory);
	ck_assert_int_eq(rmdir(folder), 0);
}

static bool get(int fd, void *to, size_t bytes)
{
	return recv(fd, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

/* Ask for "db" with the option that can be refused: the kind of the answer, or 0: the
 * connection ended without one. */
static uint32_t go(int fd, char *text)
{
	uint8_t in[4 + 16 + 8] = "\0\0\0\3IHAVEOPT\0\0\0\7\0\0\0\x8\0\0\0\2db";
	uint8_t greeting[18], head[20];
	uint32_t type = 3, bytes;

	if (!get(fd, greeting, sizeof greeting) ||
	    send(fd, in, sizeof in, MSG_NOSIGNAL) != (ssize_t)sizeof in)
		return 0;
	while (type == 3) {
		if (!get(fd, head, sizeof head))
			return 0;
		type = (uint32_t)mirror_nbd_get(head + 12, 4);
		bytes = (uint32_t)mirror_nbd_get(head + 16, 4);
		ck_assert_uint_lt(bytes, 256);
		if (bytes > 0 && !get(fd, text, bytes))
			return 0;
		text[bytes] = '\0';
	}
	return type;
}

static int client_open(const char *suffix)
{
	const int fd = nbd_peer_connect(path, suffix);
	char text[256];

	ck_assert_uint_eq(go(fd, text), 1);
	return fd;
}

/* A client that is refused is told so; and so is the operator. */
START_TEST(too_many_are_refused)
{
	const uint32_t most = nbd_driver_counters(memory.nbd)->client_count_max;
	char text[256];
	int fd[512];

	ck_assert_uint_lt(most + 16, sizeof fd / sizeof fd[0]);
	for (uint32_t i = 0; i < most; i++)
		fd[i] = client_open("");
	for (uint32_t i = most; i < most + 8; i++) {
		fd[i] = nbd_peer_connect(path, "");
		ck_assert_uint_eq(go(fd[i], text), 0x80000002u);
	}
	ck_assert_ptr_nonnull(strstr(text, "places for NBD clients are taken"));
	ck_assert(nbd_memory_expect(&memory, "a client was refused: all "));
	/* One more than can be told at a time ends the first of them. */
	fd[most + 8] = nbd_peer_connect(path, "");
	ck_assert(nbd_peer_has_ended(fd[most]));
	/* Our own front-end's place is free. */
	close(client_open(".own"));
	for (uint32_t i = most; i <= most + 8; i++)
		close(fd[i]);
	close(fd[0]);
	do { /* its place is free soon */
		fd[0] = nbd_peer_connect(path, "");
	} while (go(fd[0], text) != 1 && close(fd[0]) == 0);
	for (uint32_t i = 0; i < most; i++)
		close(fd[i]);
}
END_TEST

/* The process may open no more files: told, and taken when it may. (The accept that is
 * under way already has the limit of its time.) */
START_TEST(without_files_it_waits)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct rlimit before, none;
	uint8_t greeting[18];
	int fd[2];

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	for (int i = 0; i < 2; i++)
		fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 1; /* poll() wants one */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			connect(fd[i], (struct sockaddr *)&address, sizeof address), 0);
	ck_assert(nbd_memory_expect(&memory, "a client was refused: this process may "
					     "open no more files (RLIMIT_NOFILE)"));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 2; i++) {
		nbd_peer_get(fd[i], greeting, sizeof greeting);
		close(fd[i]);
	}
}
END_TEST

/* Our own front-end is not refused: if it comes too early it waits. */
START_TEST(the_front_end_waits_for_its_places)
{
	const uint32_t most = 2 * MIRROR_NBD_OWN_PER_DISK;
	char text[256];
	int fd[2 * MIRROR_NBD_OWN_PER_DISK + 1];

	for (uint32_t i = 0; i < most; i++) {
		fd[i] = nbd_peer_connect(path, ".own");
		ck_assert_uint_eq(go(fd[i], text), 1);
	}
	fd[most] = nbd_peer_connect(path, ".own");
	ck_assert(nbd_peer_is_silent(fd[most], 50));
	close(client_open("")); /* others come and go */
	ck_assert(nbd_peer_is_silent(fd[most], 0));
	close(fd[0]);
	ck_assert_uint_eq(go(fd[most], text), 1);
	for (uint32_t i = 1; i <= most; i++)
		close(fd[i]);
}
END_TEST

START_TEST(what_is_no_client_is_told_of)
{
	static const struct {
		const char *bytes, *event;
		size_t count;
	} odd[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "a client was refused: its handshake has",
		  18 },
		{ "\0\0\0\3GET / HTTP/1.1\r\n\r\n",
		  "a client was refused: it does not speak NBD", 22 },
		{ "\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0\3d\nb",
		  "a client was refused: it asks for a disk \"d?b\", and there is none "
		  "(process ",
		  23 },
	};

	const int fd = nbd_peer_connect(path, "");
	uint8_t greeting[18];

	nbd_peer_get(fd, greeting, sizeof greeting);
	nbd_peer_put(fd, odd[_i].bytes, odd[_i].count);
	ck_assert(nbd_memory_expect(&memory, odd[_i].event));
	ck_assert(nbd_peer_has_ended(fd));
	close(fd);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nbd_refusal_driver");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, too_many_are_refused);
	tcase_add_test(tc, without_files_it_waits);
	tcase_add_test(tc, the_front_end_waits_for_its_places);
	tcase_add_loop_test(tc, what_is_no_client_is_told_of, 0, 3);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
