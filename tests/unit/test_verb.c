/* test_verb.c - what the requests `mode` and `throttle` ask for. (test_request.c: the rest.) */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "agent/verb.h"

static struct config config = { .lag_bytes = 64 << 20, .lag_ms = 3000 };

static const char *asked(const char *text, struct promise *p)
{
	char error[256];
	enum agent_verb verb;
	json_t *request = json_loads(text, 0, NULL);
	const char *wrong = "unknown";

	ck_assert_ptr_nonnull(request);
	if (agent_verb_parse(request, &verb, error, sizeof error) == 0)
		wrong = agent_verb_promise(request, &config, p);
	json_decref(request);
	return wrong;
}

START_TEST(async_has_the_bound_of_the_command_or_the_file)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		uint32_t ms;
	} says[] = {
		{ "", 64 << 20, 3000 },
		{ ",\"lag_bytes\":33554432", 32 << 20, 0 },
		{ ",\"lag_bytes\":33554432,\"lag_ms\":1000", 32 << 20, 1000 },
		{ ",\"lag_bytes\":0", 0, 0 },
	};
	const struct promise want = promise_async(says[_i].bytes, says[_i].ms);
	struct promise p = { 0 };
	char text[160];

	snprintf(text, sizeof text, "{\"command\":\"mode\",\"mode\":\"async\"%s}",
		 says[_i].text);
	ck_assert_ptr_null(asked(text, &p));
	ck_assert(promise_equal(&p, &want) && promise_is_sound(&p));
}
END_TEST

START_TEST(a_wrong_bound_is_refused)
{
	static const char *const texts[] = {
		"\"async\",\"lag_bytes\":1000",
		"\"async\",\"lag_ms\":2000",
		"\"async\",\"records\":5",
		"\"async\",\"lag_bytes\":-1",
		"\"sync\",\"lag_bytes\":33554432",
		"\"near-sync\",\"lag_ms\":2000",
		"\"async\",\"lag_bytes\":0,\"lag_ms\":2000",
		"\"async\",\"lag_bytes\":33554432,\"lag_ms\":10",
		"\"async\",\"confirm\":\"home\"",
		"\"near-sync\",\"confirm\":\"logged\"",
		"\"sync\",\"confirm\":\"disk\"",
	};
	struct promise p;
	char text[160];

	snprintf(text, sizeof text, "{\"command\":\"mode\",\"mode\":%s}", texts[_i]);
	ck_assert_ptr_nonnull(asked(text, &p));
}
END_TEST

/* In sync; without a word as in the file. */
START_TEST(sync_confirms_as_the_command_says_or_the_file)
{
	static const struct {
		const char *text;
		enum config_confirm file;
		bool home;
	} says[] = {
		{ "", CONFIG_CONFIRM_LOGGED, false },
		{ "", CONFIG_CONFIRM_HOME, true },
		{ ",\"confirm\":\"home\"", CONFIG_CONFIRM_LOGGED, true },
		{ ",\"confirm\":\"logged\"", CONFIG_CONFIRM_HOME, false },
	};
	struct promise p = { 0 };
	char text[160];

	config.confirm = says[_i].file;
	snprintf(text, sizeof text, "{\"command\":\"mode\",\"mode\":\"sync\"%s}",
		 says[_i].text);
	ck_assert_ptr_null(asked(text, &p));
	ck_assert(p.mode == CONFIG_SYNC && p.home == says[_i].home);
	ck_assert(promise_is_sound(&p));
}
END_TEST

static int parsed(const char *text, struct order *o)
{
	char error[256];
	enum agent_verb verb;
	json_t *request = json_loads(text, 0, NULL);
	const int result = agent_verb_parse(request, &verb, error, sizeof error);

	if (result == 0)
		*o = agent_verb_throttle(request, 5);
	json_decref(request);
	return result;
}

START_TEST(a_throttle_is_an_order_with_an_end)
{
	struct order o;

	ck_assert_int_eq(parsed("{\"command\":\"throttle\",\"sleep_us\":7,"
				"\"delay_us\":1000000,\"bytes_per_s\":65536,"
				"\"lease_ms\":30000}",
				&o),
			 0);
	ck_assert_int_eq(o.type, ORDER_THROTTLE);
	ck_assert_uint_eq(o.sleep_us, 7);
	ck_assert_uint_eq(o.delay_us, 1000000);
	ck_assert_uint_eq(o.bytes_per_s, 65536);
	ck_assert_uint_eq(o.until_ns, 30000000005);
	ck_assert_int_eq(parsed("{\"command\":\"throttle\"}", &o), 0);
	ck_assert_uint_eq(o.sleep_us + o.delay_us + o.bytes_per_s, 0);
	ck_assert_int_ne(parsed("{\"command\":\"throttle\",\"sleep_us\":1000001}", &o),
			 0);
	ck_assert_int_ne(parsed("{\"command\":\"throttle\",\"delay_us\":-1}", &o), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("verb");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, async_has_the_bound_of_the_command_or_the_file, 0, 4);
	tcase_add_loop_test(tc, sync_confirms_as_the_command_says_or_the_file, 0, 4);
	tcase_add_loop_test(tc, a_wrong_bound_is_refused, 0, 11);
	tcase_add_test(tc, a_throttle_is_an_order_with_an_end);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
