/* test_link_news_driver.c - two I/O threads tell each other news over real TCP, beside the
 * frames of their cores. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/drivers/io_private_driver.h"
#include "mirror/engine/pool.h"
#include "mirror/line/wire_private.h"
#include "tests/unit/driver_rig.h"
#include "tests/unit/free_port.h"

#define ACCEPTED 8u /* the first number of an accepted link */
#define FRAMES_MAX 2000u
#define DATA_BYTES 16384u

/* What the hellos of one side say, and what its core sends at ORDER_REFRESH. */
struct side {
	uint32_t features;
	enum mirror_hello_purpose purpose;
	bool silent; /* it does not answer a hello */
	struct mirror_frame greeting, *frame;
	uint32_t frame_count;
	_Atomic uint32_t received_count, received_expected;
};

static struct rig a, b;
static struct side side_a, side_b;
static uint16_t port_a, port_b;
static const uint8_t data[DATA_BYTES];

/* ---- the scripted core --------------------------------------------------- */

static void push_frame(struct mirror_actions *out, struct mirror_frame *f, uint32_t link)
{
	f->link = link;
	f->next = NULL;
	if (out->send.tail != NULL)
		out->send.tail->next = f;
	else
		out->send.head = f;
	out->send.tail = f;
}

static void greet(const struct side *s, struct mirror_frame *f,
		  enum mirror_frame_type type)
{
	struct bytes body = mirror_wire_begin(f);

	bytes_put_u32(&body, 1 | 1u << 16); /* versions */
	bytes_put_u32(&body, s->features);
	bytes_put_u32(&body, s->purpose);
	bytes_put_u32(&body, 0); /* site */
	mirror_wire_finish(f, &body, type, NULL, 0);
}

static void receive(struct rig *r, const struct mirror_received *got,
		    struct mirror_actions *out)
{
	struct side *s = r->context;

	if (got->data != NULL)
		mirror_pool_put(r->engine.pool, got->data);
	if (got->type == MIRROR_FRAME_WELCOME)
		rig_say(out, "welcomed");
	if (got->type == MIRROR_FRAME_HELLO && s->silent)
		rig_say(out, "hello");
	if (got->type == MIRROR_FRAME_HELLO && !s->silent) {
		greet(s, &s->greeting, MIRROR_FRAME_WELCOME);
		push_frame(out, &s->greeting, got->link);
	}
	if (got->type == MIRROR_FRAME_RECORD &&
	    ++s->received_count == s->received_expected)
		rig_say(out, "received %u", s->received_count);
}

/* A device fails: the core tells it and closes the link. */
static void device_fails(struct mirror_actions *out)
{
	rig_say(out, "disk db failed");
	out->fact[0].type = FACT_DEVICE_FAILED;
	out->link_order_count = 1;
	out->link_order[0] = (struct mirror_link_order){
		.action = MIRROR_LINK_CLOSE,
		.text = "a device failed",
	};
}

static bool script(struct rig *r, const struct mirror_event *e,
		   struct mirror_actions *out)
{
	struct side *s = r->context;

	if (e->type == MIRROR_EVENT_LINK_UP && !e->link.accepted) {
		greet(s, &s->greeting, MIRROR_FRAME_HELLO);
		push_frame(out, &s->greeting, e->link.link);
	} else if (e->type == MIRROR_EVENT_LINK_UP) {
		return true;
	} else if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_REFRESH) {
		for (uint32_t i = 0; i < s->frame_count; i++)
			push_frame(out, &s->frame[i], 0);
	} else if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_DEPOSE) {
		device_fails(out);
	} else if (e->type == MIRROR_EVENT_RECEIVED) {
		receive(r, e->received, out);
	} else if (e->type == MIRROR_EVENT_SENT) {
		/* News are not the core's. */
		ck_assert(e->frame == &s->greeting ||
			  (e->frame >= s->frame && e->frame < s->frame + FRAMES_MAX));
	} else {
		return false;
	}
	return true;
}

/* ---- fixture ------------------------------------------------------------- */

static void setup_one(struct rig *r, struct side *s, uint16_t *port)
{
	*port = free_port();
	rig_create(r, *port);
	*s = (struct side){
		.features = MIRROR_WIRE_FEATURES | MIRROR_WIRE_FEATURE_NEWS,
		.purpose = MIRROR_HELLO_STREAM,
		.frame = calloc(FRAMES_MAX, sizeof *s->frame),
	};
	ck_assert_ptr_nonnull(s->frame);
	r->script = script;
	r->context = s;
}

static void setup(void)
{
	setup_one(&a, &side_a, &port_a);
	setup_one(&b, &side_b, &port_b);
}

static void teardown(void)
{
	rig_destroy(&a);
	rig_destroy(&b);
	free(side_a.frame);
	free(side_b.frame);
}

static void start(void)
{
	rig_start(&b);
	rig_turn(&b);
	rig_start(&a);
}

static void connect_a(void)
{
	struct order order = { .type = ORDER_LINK, .peer.port = port_b };

	strcpy(order.peer.address, "127.0.0.1");
	rig_order(&a, &order);
}

/* A's link 0 leads to B, and both have greeted. */
static void join(void)
{
	connect_a();
	rig_expect(&a, "welcomed");
	rig_turn(&a);
	rig_turn(&b);
}

static bool tell(struct rig *r, const char *text)
{
	struct mirror_news news = { .object = "devices", .rule = "hang" };

	strcpy(news.text, text);
	return io_driver_tell(r->driver, &news);
}

static void expect_heard(struct rig *r, const char *text)
{
	struct fact *f = rig_fact(r);

	ck_assert_int_eq(f->type, FACT_EVENT);
	ck_assert(f->heard);
	ck_assert_uint_eq(f->site, 0);
	ck_assert_str_eq(f->object, "devices");
	ck_assert_str_eq(f->rule, "hang");
	ck_assert_str_eq(f->text, text);
	free(f);
}

/* The next fact that is not of news. */
static void expect_beside_news(struct rig *r, const char *text)
{
	struct fact *f = rig_fact(r);

	while (f->heard || strcmp(f->rule, "news") == 0) {
		free(f);
		f = rig_fact(r);
	}
	ck_assert_msg(strncmp(f->text, text, strlen(text)) == 0, "not '%s': %s", text,
		      f->text);
	free(f);
}

static void records(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct bytes body = mirror_wire_begin(&side_a.frame[i]);

		bytes_put_u32(&body, i);
		mirror_wire_finish(&side_a.frame[i], &body, MIRROR_FRAME_RECORD, data,
				   sizeof data);
	}
	side_a.frame_count = count;
	side_b.received_expected = count;
}

/* ---- told ---------------------------------------------------------------- */

START_TEST(each_hears_the_other)
{
	char text[8];

	start();
	join();
	ck_assert(tell(&a, "of a"));
	expect_heard(&b, "of a");
	/* The core of A takes nothing now: this is not for it. */
	a.engine.takes_frames = false;
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof text, "%d of b", i);
		ck_assert(tell(&b, text));
	}
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof text, "%d of b", i);
		expect_heard(&a, text);
	}
}
END_TEST

/* Nobody is told who does not know the frame, who only asks, or who has a cluster for that. */
START_TEST(others_are_told_nothing)
{
	if (_i == 0)
		side_b.features = MIRROR_WIRE_FEATURES;
	if (_i == 1)
		side_a.purpose = side_b.purpose = MIRROR_HELLO_PROBE;
	if (_i == 2)
		a.config->cluster = b.config->cluster = true;
	start();
	ck_assert(!tell(&a, "x"));
	join();
	ck_assert(!tell(&a, "x"));
	/* A does know the frame. */
	ck_assert(tell(&b, "x") == (_i == 0));
}
END_TEST

START_TEST(nothing_is_told_before_the_welcome)
{
	side_b.silent = true;
	start();
	connect_a();
	rig_expect(&b, "hello");
	rig_turn(&a);
	rig_turn(&b);
	ck_assert(!tell(&a, "x"));
	ck_assert(!tell(&b, "x"));
}
END_TEST

/* It waits behind the records; the link ends before it has left. */
START_TEST(what_has_not_left_is_told_on_the_next_link)
{
	struct order end = { .type = ORDER_UNLINK };
	uint32_t heard = 0;
	bool down = false;
	struct fact *f;

	start();
	join();
	b.engine.takes_frames = false;
	records(FRAMES_MAX);
	rig_order_type(&a, ORDER_REFRESH);
	rig_turn(&a);
	ck_assert(tell(&a, "late"));
	rig_turn(&a);
	rig_order(&a, &end);
	rig_expect(&a, "down 0: the test ends it");
	b.engine.takes_frames = true;
	connect_a();
	rig_expect(&a, "welcomed");
	do { /* B may hear it before it has read the first link to its end */
		f = rig_fact(&b);
		heard += f->heard;
		ck_assert_str_eq(f->heard ? f->text : "late", "late");
		down |= strncmp(f->text, "down ", 5) == 0;
		free(f);
	} while (heard == 0 || !down);
	ck_assert_uint_eq(heard, 1);
}
END_TEST

/* The core closes the link in the step in which its device fails. */
START_TEST(a_failure_is_told_before_the_link_ends)
{
	struct fact *f;

	start();
	join();
	rig_order_type(&a, ORDER_DEPOSE);
	f = rig_fact(&b);
	ck_assert(f->heard);
	ck_assert_str_eq(f->object, "devices");
	ck_assert_str_eq(f->text, "disk db failed");
	free(f);
	rig_expect(&b, "down %u: closed by the peer", ACCEPTED);
	rig_expect(&a, "disk db failed");
	rig_expect(&a, "down 0: a device failed");
}
END_TEST

/* ---- a flood ------------------------------------------------------------- */

/* As many lines as can be told, and two thousand records: these come all and in time. */
START_TEST(a_flood_does_not_stop_the_line)
{
	struct link_driver_counters sent, heard;

	start();
	join();
	records(FRAMES_MAX);
	for (int i = 0; i < 200; i++)
		tell(&a, "a flood");
	rig_order_type(&a, ORDER_REFRESH);
	for (int i = 0; i < 20000; i++)
		tell(&a, "a flood");
	expect_beside_news(&b, "received 2000");
	rig_stop(&a);
	rig_stop(&b);
	sent = *link_driver_counters(rig_links(&a));
	heard = *link_driver_counters(rig_links(&b));
	ck_assert_uint_gt(sent.news_dropped_count, 0);
	ck_assert_uint_eq(sent.frames_queued_count, 0);
	ck_assert_uint_le(heard.frames_received_count, sent.frames_sent_count);
}
END_TEST

/* A peer that does not keep to it is heard thirty-two times, and its records all. */
START_TEST(a_flood_from_the_peer_is_not_heard)
{
	const struct mirror_news news = { "devices", "hang", "a flood" };
	const struct link_driver *d;

	start();
	join();
	records(FRAMES_MAX);
	for (uint32_t i = 1; i < FRAMES_MAX; i += 2)
		mirror_wire_news(&side_a.frame[i], &news);
	side_b.received_expected = FRAMES_MAX / 2;
	rig_order_type(&a, ORDER_REFRESH);
	for (uint32_t i = 0; i < LINK_NEWS_HEARD_MAX; i++)
		expect_heard(&b, "a flood");
	expect_beside_news(&b, "received 1000");
	rig_stop(&a);
	rig_stop(&b);
	d = rig_links(&b);
	ck_assert_uint_gt(link_driver_counters(d)->news_dropped_count, 0);
}
END_TEST

/* ---- refused and cleaned --------------------------------------------------- */

/* Of a wrong length, with data, without an object, a text without an end, damaged. */
START_TEST(a_malformed_one_ends_the_link)
{
	const struct mirror_news news = { "devices", "", "text" };
	struct mirror_frame *f = side_a.frame;
	struct bytes body;

	start();
	join();
	mirror_wire_news(f, &news);
	body = mirror_wire_begin(f);
	body.position = sizeof news - (_i == 0);
	if (_i == 2)
		body.data[0] = 0;
	if (_i == 3)
		memset(body.data + sizeof news - sizeof news.text, 'x', sizeof news.text);
	mirror_wire_finish(f, &body, MIRROR_FRAME_NEWS, data, _i == 1 ? 512 : 0);
	if (_i == 4)
		body.data[0] ^= 1;
	side_a.frame_count = 1;
	rig_order_type(&a, ORDER_REFRESH);
	rig_expect(&b, "down %u: %s", ACCEPTED,
		   _i == 4 ? "a frame was damaged" : "protocol error: NEWS");
}
END_TEST

START_TEST(one_out_of_place_ends_the_link)
{
	const struct mirror_news news = { "devices", "", "text" };

	side_a.features = MIRROR_WIRE_FEATURES;
	start();
	join();
	mirror_wire_news(side_a.frame, &news);
	side_a.frame_count = 1;
	rig_order_type(&a, ORDER_REFRESH);
	rig_expect(&b, "down %u: protocol error: NEWS", ACCEPTED);
}
END_TEST

START_TEST(what_cannot_be_shown_is_cleaned)
{
	start();
	join();
	ck_assert(tell(&a, "\x1b[31m\nred \x7f"));
	expect_heard(&b, " [31m red  ");
	ck_assert(tell(&a, "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80"));
	expect_heard(&b, "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80");
	/* C1, overlong, a surrogate, too large, a lone continuation, cut short */
	ck_assert(tell(
		&a,
		"\xc2\x9b, \xc0\xaf, \xed\xa0\x80, \xf4\x90\x80\x80, \x80, \xe2\x82"));
	expect_heard(&b, "??, ??, ???, ????, ?, ??");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("news");
	Suite *s = suite_create("link_news_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_hears_the_other);
	tcase_add_loop_test(tc, others_are_told_nothing, 0, 3);
	tcase_add_test(tc, nothing_is_told_before_the_welcome);
	tcase_add_test(tc, what_has_not_left_is_told_on_the_next_link);
	tcase_add_test(tc, a_failure_is_told_before_the_link_ends);
	tcase_add_test(tc, a_flood_does_not_stop_the_line);
	tcase_add_test(tc, a_flood_from_the_peer_is_not_heard);
	tcase_add_loop_test(tc, a_malformed_one_ends_the_link, 0, 5);
	tcase_add_test(tc, one_out_of_place_ends_the_link);
	tcase_add_test(tc, what_cannot_be_shown_is_cleaned);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
