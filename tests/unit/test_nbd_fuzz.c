/* test_nbd_fuzz.c - NBD connections fed with bytes that no client sends: streams that are
 * cut, mixed up and garbage, in pieces of any size, over a toy engine that answers at any
 * time and in any order. Nothing may break, leak or leave its bounds: the toy looks
 * over every connection after each step, and its pool must be whole at the end. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/nbd_toy.h"
#include "tests/unit/property.h"

#define STEPS 600u
#define STREAM_BYTES (256u * 1024)

static struct toy t;
static struct random seed;
static uint8_t stream[STREAM_BYTES];
static uint32_t stream_bytes;

static uint32_t below(uint32_t count)
{
	return (uint32_t)random_below(&seed, count);
}

static void add(const void *from, uint32_t bytes)
{
	memcpy(stream + stream_bytes, from, bytes);
	stream_bytes += bytes;
}

static void add_number(uint64_t value, size_t width)
{
	mirror_nbd_put(stream + stream_bytes, value, width);
	stream_bytes += (uint32_t)width;
}

/* Mostly the meant number, now and then the edge of it or anything. */
static uint64_t number(uint64_t meant)
{
	switch (below(24)) {
	case 0:
		return random_next(&seed);
	case 1:
		return UINT64_MAX - below(3);
	case 2:
		return meant + 1;
	default:
		return meant;
	}
}

static void add_option(void)
{
	static const uint32_t options[] = { 1, 2, 3, 5, 6, 7, 7, 7, 8, 9, 10, 99 };
	const uint32_t option = options[below(12)];
	const uint32_t name = below(3), asked = below(4);
	const bool go = option == 6 || option == 7;

	add("IHAVEOPT", 8);
	add_number(number(option), 4);
	add_number(number(go ? 6 + name + 2 * asked : name), 4);
	if (go)
		add_number(number(name), 4);
	add("dbx", name);
	if (!go)
		return;
	add_number(number(asked), 2);
	for (uint32_t i = 0; i < asked; i++)
		add_number(below(5), 2);
}

static void add_request(void)
{
	const uint16_t type = (uint16_t)below(8);
	const uint32_t length = below(8) == 0 ? below(100000) : below(9000);

	add_number(below(100) == 0 ? random_next(&seed) : 0x25609513, 4);
	add_number(below(6) == 0 ? below(32) : 0, 2);
	add_number(type, 2);
	add_number(random_next(&seed), 8);
	add_number(number(below(4) == 0 ? below(TOY_DISK_BYTES) : below(16) * 512), 8);
	add_number(below(50) == 0 ? random_next(&seed) : length, 4);
	if (type == MIRROR_NBD_WRITE && below(20) > 0) {
		memset(stream + stream_bytes, (int)below(256), length);
		stream_bytes += length;
	}
}

/* The next bytes of the client, in one go or cut off anywhere. */
static void make_stream(const struct mirror_nbd_client *c)
{
	const bool options = c->session.phase < MIRROR_NBD_TRANSMISSION;

	stream_bytes = 0;
	if (c->session.phase == MIRROR_NBD_FLAGS)
		add_number(below(10) == 0 ? random_next(&seed) : 3, 4);
	for (uint32_t i = 0; i < 1 + below(4) && stream_bytes < STREAM_BYTES / 4; i++)
		if (options)
			add_option();
		else
			add_request();
	if (below(40) == 0)
		stream_bytes = below(stream_bytes + 1);
	if (below(60) == 0)
		stream[below(stream_bytes + 1)] ^= (uint8_t)(1u << below(8));
}

static void one_sends(struct toy_client *c)
{
	uint32_t at = 0;

	make_stream(c->nbd);
	while (at < stream_bytes) {
		const uint32_t part = 1 + below(stream_bytes - at);

		if (toy_deliver(&t, c, stream + at, part) < part)
			return; /* it takes no more: so be it */
		at += part;
	}
	if (below(200) == 0 && c->nbd->wants_input)
		mirror_nbd_client_received(c->nbd, 0);
}

static void one_receives(struct toy_client *c)
{
	struct iovec iov[8];
	const bool lease = below(4) > 0;
	const uint32_t count = mirror_nbd_client_gather(c->nbd, lease, iov, 8);
	size_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	if (count > 0)
		mirror_nbd_client_sent(c->nbd,
				       below(3) > 0 ? bytes : below((uint32_t)bytes));
	toy_pump(&t);
}

static void one_goes(struct toy_client *c)
{
	mirror_nbd_client_hang_up(c->nbd);
	if (mirror_nbd_client_end(c->nbd))
		c->nbd = NULL;
}

/* A connection in its place: a new one, or one that is deep in its work at once. */
static void one_comes(struct toy_client *c)
{
	if (below(2) == 0) {
		toy_connect(&t, below(2) == 0);
		return;
	}
	c->nbd = mirror_nbd_client_create(&t.server, below(2) == 0 ? MIRROR_NBD_NETWORK :
								     MIRROR_NBD_LOCAL);
	expect(c->nbd != NULL);
	toy_pump(&t);
}

static void step(struct toy_client *c)
{
	if (c->nbd == NULL)
		one_comes(c);
	else if (c->nbd->gone || below(100) == 0 || mirror_nbd_client_is_over(c->nbd))
		one_goes(c);
	else if (below(2) == 0)
		one_sends(c);
	else
		one_receives(c);
	t.takes = below(8) > 0;
	for (uint32_t i = below(4); i > 0 && t.waiting_count > 0; i--)
		toy_do(&t, below(t.waiting_count), below(30) == 0 ? -EIO : 0);
}

START_TEST(no_stream_breaks_it)
{
	seed.state = (uint64_t)_i + 1;
	toy_create(&t, 4 << 20);
	for (uint32_t i = 0; i < STEPS; i++)
		step(&t.client[below(TOY_CLIENTS_MAX)]);
	t.takes = true;
	toy_destroy(&t);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nbd_fuzz");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, no_stream_breaks_it, 0, 60);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
