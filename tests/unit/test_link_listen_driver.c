/* test_link_listen_driver.c - strangers are refused, peers get places. */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crc.h"
#include "mirror/engine/pool.h"
#include "mirror/line/wire.h"
#include "mirror/line/wire_private.h"
#include "tests/unit/driver_rig.h"
#include "tests/unit/free_port.h"

#define ACCEPTED 8u /* the first number of an accepted link */

static struct rig rig;
static uint16_t port;

static bool script(struct rig *r, const struct mirror_event *e,
		   struct mirror_actions *out)
{
	if (e->type != MIRROR_EVENT_RECEIVED)
		return false;
	if (e->received->data != NULL)
		mirror_pool_put(r->engine.pool, e->received->data);
	rig_say(out, "received %s", mirror_wire_type_name(e->received->type));
	return true;
}

static void setup(void)
{
	port = free_port();
	rig_create(&rig, port);
	rig.script = script;
}

static void teardown(void)
{
	rig_destroy(&rig);
}

static void encode(struct mirror_frame *f, enum mirror_frame_type type,
		   uint32_t data_bytes)
{
	static const uint8_t data[512];
	struct bytes body = mirror_wire_begin(f);

	bytes_put_u32(&body, 0);
	mirror_wire_finish(f, &body, type, data_bytes > 0 ? data : NULL, data_bytes);
}

/* ---- strangers ----------------------------------------------------------- */

static int client_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void client_send(int fd, const void *bytes, size_t count)
{
	ck_assert_int_eq(send(fd, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
}

/* The other side closed it. */
static void client_expect_end(int fd)
{
	char byte;

	ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

/* Change a field of the header and give it a valid CRC again. */
static void damage(struct mirror_frame *f, uint32_t at, uint32_t value)
{
	struct bytes field = bytes_of(f->head + at, 4);
	struct bytes crc = bytes_of(f->head + 28, 4);

	bytes_put_u32(&field, value);
	bytes_put_u32(&crc, common_crc32c(0, f->head, 28));
}

/* P4-39, G8: none of these reaches the core; each is named. `value` is written over
 * the hello's field at `at`; then `bytes` of it are sent. */
struct stranger {
	const char *reason;
	const char *instead; /* sent in place of a frame */
	enum mirror_frame_type type;
	uint32_t at, value, bytes;
	bool closes; /* by itself, after that */
};

#define WHOLE UINT32_MAX
#define HELLO MIRROR_FRAME_HELLO

static const struct stranger stranger[] = {
	{ .reason = "the peer sent something that is not a frame of hamirror",
	  .instead = "GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n" },
	{ "the first frame is CONFIRM, not a hello", NULL, MIRROR_FRAME_CONFIRM,
	  .bytes = WHOLE },
	{ "a frame is longer than any may be", NULL, HELLO, 12, 1u << 30, WHOLE, false },
	{ "a frame is longer than any may be", NULL, HELLO, 16, MIRROR_WIRE_DATA_MAX + 1,
	  MIRROR_WIRE_HEADER_BYTES, false },
	{ "a frame was damaged on the way (CRC)", NULL, HELLO, 24, 12345, WHOLE, false },
	{ "the peer speaks a newer version of the protocol", NULL, HELLO, 8, 1, WHOLE,
	  false },
	{ "closed by the peer, in the middle of a frame", NULL, HELLO, .bytes = 35,
	  .closes = true },
	{ "closed by the peer", NULL, HELLO, .bytes = 0, .closes = true },
	{ "no complete hello within 5000 ms (10 bytes came)", NULL, HELLO, .bytes = 10 },
};

START_TEST(stranger_is_closed_with_a_reason)
{
	const struct stranger *s = &stranger[_i];
	struct mirror_frame f;
	int fd;

	rig_start(&rig);
	rig_turn(&rig);
	fd = client_open();
	if (s->instead != NULL) {
		client_send(fd, s->instead, strlen(s->instead));
	} else {
		encode(&f, s->type, 0);
		if (s->at != 0)
			damage(&f, s->at, s->value);
		client_send(fd, f.head, s->bytes == WHOLE ? f.head_bytes : s->bytes);
	}
	if (s->closes)
		close(fd);
	rig_expect(&rig, "connection refused: %s", s->reason);
	if (!s->closes)
		client_expect_end(fd);
}
END_TEST

/* A hello that comes in single bytes is a hello. */
START_TEST(slow_hello_is_a_hello)
{
	struct mirror_frame f;
	int fd;

	rig_start(&rig);
	rig_turn(&rig);
	encode(&f, MIRROR_FRAME_HELLO, 512);
	fd = client_open();
	for (uint32_t i = 0; i < f.head_bytes; i++)
		client_send(fd, f.head + i, 1);
	client_send(fd, f.data, 511);
	client_send(fd, f.data + 511, 1);
	rig_expect(&rig, "up %u accepted", ACCEPTED);
	rig_expect(&rig, "received HELLO");
	client_send(fd, "x", 1);
	close(fd);
	rig_expect(&rig, "down %u: closed by the peer, in the middle of a frame",
		   ACCEPTED);
}
END_TEST

/* Eight places: a silent connection makes way for a new one, the oldest first; a connection
 * that said hello stays. */
START_TEST(silent_connections_make_way)
{
	int silent[12], friend[8];
	struct mirror_frame f;

	rig_start(&rig);
	rig_turn(&rig);
	encode(&f, MIRROR_FRAME_HELLO, 0);
	for (int i = 0; i < 8; i++)
		silent[i] = client_open();
	for (int i = 0; i < 8; i++) {
		friend[i] = client_open();
		client_send(friend[i], f.head, f.head_bytes);
		client_expect_end(silent[i]);
		if (i == 0)
			rig_expect(&rig, "connection refused: made way for a newer");
		rig_expect(&rig, "up %u accepted", ACCEPTED + (uint32_t)i);
		rig_expect(&rig, "received HELLO");
	}
	/* Now all are taken by friends. */
	silent[8] = client_open();
	client_expect_end(silent[8]);
	close(friend[2]);
	rig_expect(&rig, "down %u: closed by the peer", ACCEPTED + 2);
	friend[2] = client_open();
	client_send(friend[2], f.head, f.head_bytes);
	rig_expect(&rig, "up %u accepted", ACCEPTED + 2);
	rig_expect(&rig, "received HELLO");
	rig_stop(&rig);
	for (int i = 0; i < 8; i++)
		client_expect_end(friend[i]);
	ck_assert_uint_eq(link_driver_counters(rig_links(&rig))->rejected_count, 9);
}
END_TEST

START_TEST(port_in_use_is_named_and_tried_again)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	rig_start(&rig);
	rig_expect(&rig, "cannot listen on 127.0.0.1:%u: the port is in use", port);
	close(fd);
	rig_expect(&rig, "listening on 127.0.0.1:%u again", port);
	close(client_open());
	rig_expect(&rig, "connection refused: closed by the peer");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("listen");
	Suite *s = suite_create("link_listen_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, stranger_is_closed_with_a_reason, 0,
			    (int)(sizeof stranger / sizeof stranger[0]));
	tcase_add_test(tc, slow_hello_is_a_hello);
	tcase_add_test(tc, silent_connections_make_way);
	tcase_add_test(tc, port_in_use_is_named_and_tried_again);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
