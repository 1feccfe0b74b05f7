/* test_nbd_places.c - places for NBD connections (nbd_places.h), the clients that get them,
 * and the refusals of those that get none (nbd_refusal.h). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/front/nbd_client.h"

#define MIB (1024ull * 1024)
#define S 1000000000ull

/* ---- division ------------------------------------------------------------------- */

static const struct {
	uint64_t pool_mib;
	uint32_t own, clients, piece;
	bool fits;
} divided[] = {
	{ 64, 0, 256, 16384, true },    { 64, 2, 256, 16384, true },
	{ 64, 80, 256, 8192, true },    { 64, 512, 170, 4096, true },
	{ 8, 0, 85, 4096, true },       { 8, 80, 5, 4096, true },
	{ 8, 81, 4, 4096, true },       { 8, 82, 1, 4096, false },
	{ 8, 512, 1, 4096, false },     { 1024, 512, 256, 32768, true },
	{ 65536, 0, 256, 32768, true },
};

START_TEST(a_pool_is_divided)
{
	for (size_t i = 0; i < sizeof divided / sizeof divided[0]; i++) {
		const uint64_t bytes = divided[i].pool_mib * MIB;
		struct mirror_nbd_places p;

		mirror_nbd_places_divide(bytes, divided[i].own, &p);
		ck_assert_int_eq(p.client_count >= MIRROR_NBD_CLIENTS_MIN,
				 divided[i].fits);
		ck_assert_uint_eq(p.client_count, divided[i].clients);
		ck_assert_uint_eq(p.piece_bytes, divided[i].piece);
		ck_assert_uint_le(((uint64_t)p.own_count + p.client_count) *
					  MIRROR_NBD_RESERVE_BYTES(p.piece_bytes),
				  bytes / 4);
		if (divided[i].fits)
			ck_assert_uint_eq(p.own_count, divided[i].own);
		ck_assert_int_eq(mirror_nbd_places_pool_bytes_min(divided[i].own) <=
					 bytes,
				 divided[i].fits);
	}
}
END_TEST

START_TEST(devices_need_places)
{
	static struct config config = { .attach = CONFIG_ATTACH_NONE };

	config.site[0].disk_count = 40;
	ck_assert_uint_eq(mirror_nbd_own_count(&config), 0);
	config.attach = CONFIG_ATTACH_FUSE;
	ck_assert_uint_eq(mirror_nbd_own_count(&config), 80);
}
END_TEST

/* ---- clients that get them ---------------------------------------------------------- */

static struct mirror_nbd_client *many[MIRROR_NBD_CLIENTS_MAX + 64];
static uint32_t many_count;

/* Connections until there are no more: how many of them have a place. */
static uint32_t connect_many(struct mirror_nbd_server *s, enum mirror_nbd_origin origin)
{
	uint32_t placed = 0;

	while ((many[many_count] = mirror_nbd_client_create(s, origin)) != NULL)
		placed += !many[many_count++]->refused;
	return placed;
}

static void end_many(uint32_t count)
{
	while (count-- > 0) {
		mirror_nbd_client_hang_up(many[--many_count]);
		ck_assert(mirror_nbd_client_end(many[many_count]));
	}
}

/* Other clients cannot take the places of our own front-end, nor it theirs. Refused clients
 * do not make anybody's memory grow. */
START_TEST(places_are_of_two_kinds)
{
	struct mirror_pool *pool = mirror_pool_create(16 * MIB);
	static struct mirror_nbd_server s;

	mirror_nbd_server_init(&s, pool, "data", 10);
	ck_assert_uint_eq(connect_many(&s, MIRROR_NBD_LOCAL), s.places.client_count);
	ck_assert_uint_eq(many_count, s.places.client_count + MIRROR_NBD_REFUSED_MAX);
	ck_assert(mirror_nbd_server_is_full(&s, MIRROR_NBD_NETWORK));
	end_many(MIRROR_NBD_REFUSED_MAX);
	ck_assert(!mirror_nbd_server_is_full(&s, MIRROR_NBD_OWN));
	ck_assert_uint_eq(connect_many(&s, MIRROR_NBD_OWN), 10);
	ck_assert(mirror_nbd_server_is_full(&s, MIRROR_NBD_OWN));
	end_many(MIRROR_NBD_REFUSED_MAX + 10 + 1);
	ck_assert(!mirror_nbd_server_is_full(&s, MIRROR_NBD_LOCAL));
	connect_many(&s, MIRROR_NBD_OWN);
	ck_assert(!mirror_nbd_server_is_full(&s, MIRROR_NBD_LOCAL));
	end_many(many_count);
	ck_assert_uint_eq(mirror_pool_bytes_free(pool), 16 * MIB);
	mirror_pool_destroy(pool);
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------- */

static struct mirror_nbd_refusals refusals;
static char text[FACT_TEXT_MAX];

static void note(enum mirror_nbd_refusal kind, uint64_t at_s)
{
	mirror_nbd_refusal_note(&refusals, kind, "so it is", at_s * S);
}

static void expect_told(uint64_t at_s, enum mirror_nbd_refusal kind, const char *what)
{
	ck_assert_int_eq(mirror_nbd_refusal_tell(&refusals, at_s * S, text), kind);
	if (kind != MIRROR_NBD_REFUSED_NOT)
		ck_assert_str_eq(text, what);
}

START_TEST(the_first_is_told_at_once_and_the_rest_together)
{
	memset(&refusals, 0, sizeof refusals);
	ck_assert_uint_eq(mirror_nbd_refusal_wake_ns(&refusals), UINT64_MAX);
	note(MIRROR_NBD_REFUSED_FULL, 100);
	expect_told(100, MIRROR_NBD_REFUSED_FULL, "a client was refused: so it is");
	expect_told(100, MIRROR_NBD_REFUSED_NOT, NULL);
	for (uint64_t i = 0; i < 1000; i++) {
		note(MIRROR_NBD_REFUSED_FULL, 101 + i % 50);
		expect_told(101 + i % 50, MIRROR_NBD_REFUSED_NOT, NULL);
	}
	/* of another kind: also at once */
	note(MIRROR_NBD_REFUSED_EXPORT, 150);
	expect_told(150, MIRROR_NBD_REFUSED_EXPORT, "a client was refused: so it is");
	ck_assert_uint_eq(mirror_nbd_refusal_wake_ns(&refusals), 160 * S);
	expect_told(159, MIRROR_NBD_REFUSED_NOT, NULL);
	expect_told(160, MIRROR_NBD_REFUSED_FULL,
		    "1000 clients were refused, the last one: so it is");
	ck_assert_uint_eq(mirror_nbd_refusal_wake_ns(&refusals), UINT64_MAX);
	ck_assert_uint_eq(mirror_nbd_refusal_count(&refusals), 1002);
}
END_TEST

static bool why(bool full, uint64_t at_s)
{
	mirror_nbd_refusal_why(&refusals, full, at_s * S, text);
	return text[0] != '\0';
}

START_TEST(what_lasts_is_a_reason)
{
	memset(&refusals, 0, sizeof refusals);
	ck_assert(!why(true, 1)); /* nobody was refused */
	note(MIRROR_NBD_REFUSED_FULL, 10);
	ck_assert(why(true, 1000));
	ck_assert_str_eq(text, "NBD clients are refused, 1 so far, the last one 990 s "
			       "ago: so it is");
	ck_assert(!why(false, 11)); /* there is room again */
	note(MIRROR_NBD_REFUSED_EXPORT, 20);
	note(MIRROR_NBD_REFUSED_EXPORT, 21);
	ck_assert(!why(false, 21)); /* a slip */
	note(MIRROR_NBD_REFUSED_EXPORT, 22);
	ck_assert(why(false, 22));
	ck_assert(why(false, 81));
	ck_assert(!why(false, 82));
	note(MIRROR_NBD_REFUSED_EXPORT, 100); /* another run begins */
	ck_assert(!why(false, 100));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_places");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, a_pool_is_divided);
	tcase_add_test(tc, devices_need_places);
	tcase_add_test(tc, places_are_of_two_kinds);
	tcase_add_test(tc, the_first_is_told_at_once_and_the_rest_together);
	tcase_add_test(tc, what_lasts_is_a_reason);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
