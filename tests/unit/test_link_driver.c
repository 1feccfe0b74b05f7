/* test_link_driver.c - two I/O threads over real TCP. */
#include <arpa/inet.h>
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mirror/drivers/io_private_driver.h"
#include "mirror/drivers/link_private_driver.h"
#include "mirror/engine/pool.h"
#include "mirror/line/wire.h"
#include "mirror/line/wire_private.h"
#include "tests/unit/driver_rig.h"
#include "tests/unit/free_port.h"

#define KIB 1024u
#define FRAMES_MAX 4096u
#define ACCEPTED 8u /* the first number of an accepted link */
#define BUFFERS_KEPT_MAX 64u

/* The data that one side sends at ORDER_REFRESH, and the data that it receives. */
struct flow {
	struct mirror_frame *frame;
	_Atomic uint32_t frame_count;
	_Atomic uint32_t sent_count;
	_Atomic uint32_t received_count, received_expected;
	atomic_bool echo_refusal; /* answer the first frame with REFUSE and CLOSE */
	atomic_bool keep;         /* do not give buffers back ... */
	uint8_t *kept[BUFFERS_KEPT_MAX]; /* ... until ORDER_VIEW */
	uint32_t kept_count;
	atomic_bool
		io_first; /* at ORDER_REFRESH, where a device operation waits too ... */
	atomic_bool io_begun;     /* ... had it begun when a frame had left? */
	atomic_uint paused_count; /* of the driver, when ORDER_WAIT came */
	atomic_bool wrong;        /* something came out of order or damaged */
};

static struct rig a, b;
static struct flow flow_a, flow_b;
static uint16_t port_a, port_b;
static uint8_t pattern[MIRROR_WIRE_DATA_MAX + 256];

/* ---- the scripted core --------------------------------------------------- */

static void encode(struct mirror_frame *f, uint32_t link, enum mirror_frame_type type,
		   uint32_t sequence, uint32_t data_bytes)
{
	struct bytes body = mirror_wire_begin(f);

	bytes_put_u32(&body, sequence);
	mirror_wire_finish(f, &body, type,
			   data_bytes > 0 ? pattern + sequence % 256 : NULL, data_bytes);
	f->link = link;
	f->next = NULL;
}

static void push_frame(struct mirror_actions *out, struct mirror_frame *f)
{
	if (out->send.tail != NULL)
		out->send.tail->next = f;
	else
		out->send.head = f;
	out->send.tail = f;
}

static void give_back(struct rig *r, struct flow *flow)
{
	while (flow->kept_count > 0)
		mirror_pool_put(r->engine.pool, flow->kept[--flow->kept_count]);
}

static void take_data(struct rig *r, struct flow *flow, const struct mirror_received *got)
{
	struct bytes body = bytes_of((void *)(uintptr_t)got->body, got->body_bytes);
	const uint32_t sequence = bytes_get_u32(&body);

	if (sequence != flow->received_count ||
	    (got->data == NULL) != (got->data_bytes == 0))
		flow->wrong = true;
	if (got->data == NULL)
		return;
	if (memcmp(got->data, pattern + sequence % 256, got->data_bytes) != 0)
		flow->wrong = true;
	if (flow->keep && flow->kept_count < BUFFERS_KEPT_MAX)
		flow->kept[flow->kept_count++] = got->data;
	else
		mirror_pool_put(r->engine.pool, got->data);
}

static void receive(struct rig *r, struct flow *flow, const struct mirror_received *got,
		    struct mirror_actions *out)
{
	take_data(r, flow, got);
	if (got->type == MIRROR_FRAME_REFUSE)
		rig_say(out, "refused");
	if (++flow->received_count == flow->received_expected)
		rig_say(out, "received %u", flow->received_count);
	if (flow->echo_refusal) {
		encode(&flow->frame[0], got->link, MIRROR_FRAME_REFUSE, 0, 0);
		push_frame(out, &flow->frame[0]);
		out->link_order_count = 1;
		out->link_order[0] = (struct mirror_link_order){
			.action = MIRROR_LINK_CLOSE,
			.link = got->link,
			.text = "refused it",
		};
	}
}

static bool script(struct rig *r, const struct mirror_event *e,
		   struct mirror_actions *out)
{
	struct flow *flow = r->context;

	if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_REFRESH) {
		flow->sent_count = 0;
		for (uint32_t i = 0; i < flow->frame_count; i++)
			push_frame(out, &flow->frame[i]);
		io_uring_prep_nop(io_driver_sqe(r->driver, NULL));
		out->io_first = flow->io_first;
	} else if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_WAIT) {
		flow->paused_count = link_driver_counters(rig_links(r))->paused_count;
	} else if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_VIEW) {
		flow->keep = false;
		give_back(r, flow);
	} else if (e->type == MIRROR_EVENT_RECEIVED) {
		receive(r, flow, e->received, out);
	} else if (e->type == MIRROR_EVENT_SENT) {
		flow->io_begun = io_uring_sq_ready(&r->driver->ring) == 0;
		if (e->frame != &flow->frame[flow->sent_count])
			flow->wrong = true;
		if (++flow->sent_count == flow->frame_count)
			rig_say(out, "sent %u", flow->sent_count);
	} else {
		return false;
	}
	return true;
}

/* ---- fixture ------------------------------------------------------------- */

static void setup_one(struct rig *r, struct flow *flow, uint16_t *port)
{
	*port = free_port();
	rig_create(r, *port);
	*flow = (struct flow){ .frame = calloc(FRAMES_MAX, sizeof *flow->frame) };
	ck_assert_ptr_nonnull(flow->frame);
	r->script = script;
	r->context = flow;
}

static void setup(void)
{
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
	setup_one(&a, &flow_a, &port_a);
	setup_one(&b, &flow_b, &port_b);
}

static void teardown_one(struct rig *r, struct flow *flow)
{
	rig_stop(r);
	give_back(r, flow);
	ck_assert_uint_eq(mirror_pool_bytes_free(r->engine.pool),
			  mirror_pool_bytes_total(r->engine.pool));
	ck_assert(!flow->wrong);
	rig_destroy(r);
	free(flow->frame);
}

static void teardown(void)
{
	teardown_one(&a, &flow_a);
	teardown_one(&b, &flow_b);
}

static void order_link(struct rig *r, enum order_type type, uint32_t link,
		       const char *address, uint16_t port)
{
	struct order order = { .type = type, .site = link, .peer.port = port };

	snprintf(order.peer.address, sizeof order.peer.address, "%s", address);
	rig_order(r, &order);
}

static void send_all(struct rig *r)
{
	rig_order_type(r, ORDER_REFRESH);
}

/* A is connected to B on A's link 0 and B's first accepted one. */
static void greet(const char *address)
{
	rig_start(&b);
	rig_turn(&b);
	rig_start(&a);
	order_link(&a, ORDER_LINK, 0, address, port_b);
	rig_expect(&a, "up 0 connected");
	encode(&flow_a.frame[0], 0, MIRROR_FRAME_HELLO, 0, 0);
	flow_a.frame_count = 1;
	flow_b.received_expected = 1;
	send_all(&a);
	rig_expect(&a, "sent 1");
	rig_expect(&b, "up %u accepted", ACCEPTED);
	rig_expect(&b, "received 1");
	flow_a.frame_count = 0;
	flow_b.received_count = 0;
}

/* At 1 s a link is made. Its bytes are counted in windows of five seconds; each figure is of the
 * window that runs, and of the whole one before. */
START_TEST(bytes_a_second)
{
	const uint64_t s = 1000000000;
	struct link_rate r = { .from_ns = s };

	ck_assert_uint_eq(link_rate_of(&r, s), 0);
	link_rate_add(&r, s, 3000);
	ck_assert_uint_eq(link_rate_of(&r, 2 * s), 3000);
	ck_assert_uint_eq(link_rate_of(&r, 4 * s), 1000);
	/* 3000 in five seconds, and these at once */
	link_rate_add(&r, 6 * s, 5000);
	ck_assert_uint_eq(link_rate_of(&r, 6 * s), 1600);
	ck_assert_uint_eq(link_rate_of(&r, 10 * s), 8000 / 9);
	ck_assert_uint_eq(link_rate_of(&r, 26 * s), 250); /* silence since */
	link_rate_add(&r, 31 * s, 7000);
	ck_assert_uint_eq(link_rate_of(&r, 32 * s), 12000 / 26);
}
END_TEST

/* ---- frames -------------------------------------------------------------- */

/* A receive that found the socket empty lets the kernel wait for it. An old kernel would
 * refuse that (-EINVAL ends the link): there it is not asked. */
START_TEST(frames_arrive_whole_and_in_order)
{
	static const uint32_t data_bytes[] = {
		0, 512, 4096, 128 * KIB, 0, 64 * KIB + 512
	};
	struct link_driver_counters before;

	a.old_kernel = b.old_kernel = _i == 1;
	greet("127.0.0.1");
	flow_a.frame_count = flow_b.received_expected = 2000;
	for (uint32_t i = 0; i < flow_a.frame_count; i++)
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i, data_bytes[i % 6]);
	send_all(&a);
	rig_expect(&a, "sent 2000");
	rig_expect(&b, "received 2000");
	rig_stop(&a);
	rig_stop(&b);
	before = *link_driver_counters(rig_links(&a));
	ck_assert_uint_eq(before.frames_sent_count, 2001);
	/* Many frames leave with one call: at most 64 vectors each. */
	ck_assert_uint_lt(before.sendmsg_count, 2000 / 16);
	if (_i == 1)
		ck_assert_uint_eq(io_driver_counters(b.driver)->poll_first_count, 0);
	else if (b.driver->ring_disabled)
		ck_assert_uint_gt(io_driver_counters(b.driver)->poll_first_count, 0);
}
END_TEST

/* Devices begin after the frames of a pass, or before them if the core says so. */
START_TEST(devices_begin_first_when_asked)
{
	greet("127.0.0.1");
	flow_a.frame_count = 1;
	for (int i = 0; i < 4; i++) {
		flow_a.io_first = i % 2 == 1;
		flow_b.received_count = 0;
		encode(&flow_a.frame[0], 0, MIRROR_FRAME_RECORD, 0, 4 * KIB);
		send_all(&a);
		rig_expect(&a, "sent 1");
		rig_expect(&b, "received 1");
		ck_assert(flow_a.io_begun == flow_a.io_first);
	}
}
END_TEST

START_TEST(both_ways_at_once)
{
	greet("127.0.0.1");
	flow_a.frame_count = flow_b.received_expected = 1000;
	flow_b.frame_count = flow_a.received_expected = 1000;
	for (uint32_t i = 0; i < 1000; i++) {
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i, 8 * KIB);
		encode(&flow_b.frame[i], ACCEPTED, MIRROR_FRAME_RECORD, i, 8 * KIB);
	}
	send_all(&a);
	send_all(&b);
	for (int i = 0; i < 2; i++) {
		free(rig_fact(&a));
		free(rig_fact(&b));
	}
	rig_stop(&a);
	rig_stop(&b);
	ck_assert_uint_eq(flow_a.received_count, 1000);
	ck_assert_uint_eq(flow_b.received_count, 1000);
	ck_assert_uint_eq(flow_a.sent_count, 1000);
	ck_assert_uint_eq(flow_b.sent_count, 1000);
}
END_TEST

/* Flow control: a core that takes nothing is sent nothing, and loses nothing. */
START_TEST(paused_link_keeps_everything)
{
	greet("127.0.0.1");
	b.engine.takes_frames = false;
	flow_a.frame_count = flow_b.received_expected = 500;
	for (uint32_t i = 0; i < 500; i++)
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i, 32 * KIB);
	send_all(&a);
	/* A turn of B in which nothing may arrive. */
	rig_turn(&b);
	ck_assert_uint_eq(flow_b.received_count, 0);
	b.engine.takes_frames = true;
	rig_order_type(&b, ORDER_CLOSE);
	free(rig_fact(&b));
	free(rig_fact(&b));
	rig_expect(&a, "sent 500");
	ck_assert_uint_eq(flow_b.received_count, 500);
}
END_TEST

/* Buffered bytes are taken while the next recv is already under way: its bytes must
 * arrive at the place given to it. */
START_TEST(resumed_link_keeps_everything)
{
	greet("127.0.0.1");
	b.engine.takes_frames = false;
	flow_a.frame_count = 1;
	flow_b.received_expected = 101;
	encode(&flow_a.frame[0], 0, MIRROR_FRAME_RECORD, 0, 4 * KIB);
	send_all(&a);
	rig_expect(&a, "sent 1");
	while (flow_b.paused_count == 0) {
		rig_order_type(&b, ORDER_WAIT);
		rig_turn(&b);
	}
	b.engine.takes_frames = true;
	while (flow_b.received_count == 0)
		rig_turn(&b);
	flow_a.frame_count = 100;
	for (uint32_t i = 0; i < 100; i++)
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i + 1, 4 * KIB);
	send_all(&a);
	rig_expect(&a, "sent 100");
	rig_expect(&b, "received 101");
}
END_TEST

/* G7: an empty pool is a pause, too: 4 MiB of pool, 8 MiB on the way. */
START_TEST(empty_pool_pauses_the_link)
{
	greet("127.0.0.1");
	flow_b.keep = true;
	flow_a.frame_count = flow_b.received_expected = BUFFERS_KEPT_MAX;
	for (uint32_t i = 0; i < BUFFERS_KEPT_MAX; i++)
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i, 128 * KIB);
	send_all(&a);
	while (flow_b.received_count < 32) {
		rig_turn(&b);
	}
	ck_assert_uint_eq(flow_b.received_count, 32);
	rig_order_type(&b, ORDER_VIEW);
	rig_expect(&b, "received %u", BUFFERS_KEPT_MAX);
	rig_expect(&a, "sent %u", BUFFERS_KEPT_MAX);
}
END_TEST

/* ---- the end of links ---------------------------------------------------- */

START_TEST(core_closes_and_connects_again)
{
	greet("127.0.0.1");
	order_link(&a, ORDER_UNLINK, 0, "", 0);
	rig_expect(&a, "down 0: the test ends it");
	rig_expect(&b, "down %u: closed by the peer", ACCEPTED);
	order_link(&a, ORDER_LINK, 0, "127.0.0.1", port_b);
	rig_expect(&a, "up 0 connected");
	order_link(&a, ORDER_UNLINK, 0, "", 0);
	rig_expect(&a, "down 0: the test ends it");
}
END_TEST

/* A refusal is of no use when it does not reach the other side. */
START_TEST(what_was_sent_before_the_close_still_leaves)
{
	greet("127.0.0.1");
	flow_b.echo_refusal = true;
	flow_b.frame_count = 1;
	flow_a.frame_count = 1;
	encode(&flow_a.frame[0], 0, MIRROR_FRAME_CONFIRM, 0, 0);
	send_all(&a);
	rig_expect(&a, "sent 1");
	rig_expect(&a, "refused");
	rig_expect(&b, "received 1");
	rig_expect(&b, "sent 1");
	rig_expect(&b, "down %u: refused it", ACCEPTED);
	rig_expect(&a, "down 0: closed by the peer");
}
END_TEST

/* Nor is one that a reset overtakes, because the other side was still sending. */
START_TEST(refusal_arrives_against_the_stream)
{
	greet("127.0.0.1");
	flow_b.echo_refusal = true;
	flow_b.frame_count = 1;
	flow_a.frame_count = 2000;
	for (uint32_t i = 0; i < 2000; i++)
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i, 32 * KIB);
	send_all(&a);
	rig_expect(&a, "refused");
	rig_expect(&a, "sent 2000");
	rig_expect(&a, "down 0: ");
	rig_expect(&b, "received 1");
	rig_expect(&b, "sent 1");
	rig_expect(&b, "down %u: refused it", ACCEPTED);
}
END_TEST

/* Every frame comes back, also those that never left. */
START_TEST(frames_come_back_when_the_peer_dies)
{
	greet("127.0.0.1");
	b.engine.takes_frames = false;
	flow_a.frame_count = 2000;
	for (uint32_t i = 0; i < 2000; i++)
		encode(&flow_a.frame[i], 0, MIRROR_FRAME_RECORD, i, 32 * KIB);
	send_all(&a);
	rig_turn(&b);
	rig_stop(&b);
	rig_expect(&a, "sent 2000");
	rig_expect(&a, "down 0: ");
}
END_TEST

START_TEST(nobody_listens)
{
	rig_start(&a);
	order_link(&a, ORDER_LINK, 3, "127.0.0.1", port_b);
	rig_expect(&a, "down 3: 127.0.0.1:%u: Connection refused", port_b);
	order_link(&a, ORDER_LINK, 3, "no such host", port_b);
	rig_expect(&a, "down 3: no such host:%u: ", port_b);
}
END_TEST

START_TEST(names_are_resolved)
{
	greet("localhost");
}
END_TEST

static int resolver_pipe[2];

/* The resolver, except that one name is never answered. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **list)
{
	static int (*resolve)(const char *, const char *, const struct addrinfo *,
			      struct addrinfo **);
	char byte;

	if (node != NULL && strcmp(node, "no-answer.example") == 0 &&
	    (hints->ai_flags & AI_NUMERICHOST) == 0)
		return read(resolver_pipe[0], &byte, 1) == 1 ? EAI_AGAIN : EAI_FAIL;
	*(void **)&resolve = dlsym(RTLD_NEXT, "getaddrinfo");
	return resolve(node, service, hints, list);
}

/* A name server that does not answer keeps no stop waiting. */
START_TEST(stop_does_not_wait_for_a_name)
{
	ck_assert_int_eq(pipe(resolver_pipe), 0);
	rig_start(&a);
	order_link(&a, ORDER_LINK, 3, "no-answer.example", 1);
	rig_turn(&a);
	rig_stop(&a);
	ck_assert_int_eq(write(resolver_pipe[1], "x", 1), 1);
}
END_TEST

START_TEST(ipv6)
{
	snprintf(b.config->node[0].address, CONFIG_ADDRESS_MAX, "::1");
	greet("::1");
}
END_TEST

/* A socket that listens with a full backlog answers no SYN. */
static int deaf_listener(uint16_t *port, int filler[4])
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, bytes), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	*port = ntohs(address.sin_port);
	for (int i = 0; i < 4; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(filler[i], (struct sockaddr *)&address, bytes) < 0)
			ck_assert_int_eq(errno, EINPROGRESS);
	}
	return fd;
}

START_TEST(unanswered_connect_ends)
{
	int filler[4], fd;
	uint16_t port;

	fd = deaf_listener(&port, filler);
	rig_start(&a);
	order_link(&a, ORDER_LINK, 0, "127.0.0.1", port);
	order_link(&a, ORDER_LINK, 1, "127.0.0.1", port);
	order_link(&a, ORDER_UNLINK, 1, "", 0);
	rig_expect(&a, "down 1: the test ends it");
	rig_expect(&a, "down 0: 127.0.0.1:%u: no answer", port);
	for (int i = 0; i < 4; i++)
		close(filler[i]);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("links");
	Suite *s = suite_create("link_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, frames_arrive_whole_and_in_order, 0, 2);
	tcase_add_test(tc, bytes_a_second);
	tcase_add_test(tc, devices_begin_first_when_asked);
	tcase_add_test(tc, both_ways_at_once);
	tcase_add_test(tc, paused_link_keeps_everything);
	tcase_add_test(tc, resumed_link_keeps_everything);
	tcase_add_test(tc, empty_pool_pauses_the_link);
	tcase_add_test(tc, core_closes_and_connects_again);
	tcase_add_test(tc, what_was_sent_before_the_close_still_leaves);
	tcase_add_test(tc, refusal_arrives_against_the_stream);
	tcase_add_test(tc, frames_come_back_when_the_peer_dies);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, names_are_resolved);
	tcase_add_test(tc, stop_does_not_wait_for_a_name);
	tcase_add_test(tc, ipv6);
	tcase_add_test(tc, unanswered_connect_ends);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
