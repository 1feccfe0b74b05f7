/* test_throttle.c - throttles: the keys of the file, and the periods that follow. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/throttle.h"

#define HOUR 3600u

static const char base[] = "mirror: data\n"                                      /* 1 */
			   "mode: async\n"                                       /* 2 */
			   "cluster: none\n"                                     /* 3 */
			   "sites:\n"                                            /* 4 */
			   "  - {name: paris, hosts: [a], writelog: /tmp/a.l,\n" /* 5 */
			   "     disks: [{name: db, path: /tmp/a.d}]}\n"         /* 6 */
			   "  - {name: lyon, hosts: [b], writelog: /tmp/b.l,\n"  /* 7 */
			   "     disks: [{name: db, path: /tmp/b.d}]}\n";        /* 8 */

static char path[] = "/tmp/hamirror-test-throttle-XXXXXX";
static struct config *config;
static struct config_errors errors;
static struct throttle_state state;
static struct throttle_figures figures;
static char acted[256]; /* names of throttles that were acted on, each with a blank */

static void setup(void)
{
	const int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	config = calloc(1, sizeof *config);
	ck_assert_ptr_nonnull(config);
	memset(&state, 0, sizeof state);
	memset(&figures, 0, sizeof figures);
}

static void teardown(void)
{
	unlink(path);
	strcpy(path + sizeof path - 7, "XXXXXX");
	config_free(config);
}

static int load(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(base, file);
	fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
	throttles_free(config->throttles);
	return config_load(path, config, &errors);
}

static const struct throttles *loaded(const char *text)
{
	ck_assert_msg(load(text) == 0, "%s", errors.entry[0].text);
	ck_assert_ptr_nonnull(config->throttles);
	return config->throttles;
}

static void refused(const char *text, const char *words)
{
	ck_assert_int_eq(load(text), -EINVAL);
	ck_assert_msg(strstr(errors.entry[0].text, words) != NULL, "no \"%s\" in: %s",
		      words, errors.entry[0].text);
	ck_assert_ptr_null(config->throttles);
}

static void note(void *data, const struct throttle *t, const struct throttle_action *a)
{
	(void)data, (void)a;
	snprintf(acted + strlen(acted), sizeof acted - strlen(acted), "%s ", t->name);
}

/* What a period at `second` does while the figure of `test` is `value`. */
static const char *period_at(uint32_t second, uint32_t test, uint64_t value)
{
	acted[0] = '\0';
	figures.known[test] = true;
	figures.value[test] = value;
	throttle_period(config->throttles, &state, &figures, second, note, NULL);
	return acted;
}

/* ---- the file -------------------------------------------------------------- */

START_TEST(reads_all_of_a_throttle)
{
	const struct throttles *t = loaded(
		"throttle-period: 500\n"
		"throttles:\n"
		"  - {name: night, from: \"22:00\", to: \"06:30:15\", test: lag-bytes,\n"
		"     operator: \">=\", value: 2M, actions: [{exec: /bin/true},\n"
		"     {exec: \"a b\", seconds: 5}, {mail: \"%n\", to: ops@example.org},\n"
		"     {mode: near-sync, records: 7}, {delay-set: 1000000}]}\n"
		"  - {test: link, operator: falls, value: up, from: \"--\", to: \"--\",\n"
		"     actions: [{log: \"%t is %v\"}]}\n");

	ck_assert_uint_eq(t->period_ms, 500);
	ck_assert_uint_eq(t->count, 2);
	ck_assert_str_eq(t->throttle[0].name, "night");
	ck_assert_uint_eq(t->throttle[0].from_s, 22 * HOUR);
	ck_assert_uint_eq(t->throttle[0].to_s, 6 * HOUR + 30 * 60 + 15);
	ck_assert_uint_eq(t->throttle[0].value, 2 << 20);
	ck_assert_uint_eq(t->throttle[0].action_count, 5);
	ck_assert_uint_eq(t->throttle[0].action[0].seconds, THROTTLE_EXEC_SECONDS);
	ck_assert_uint_eq(t->throttle[0].action[1].seconds, 5);
	ck_assert_str_eq(t->throttle[0].action[2].to, "ops@example.org");
	ck_assert_uint_eq(t->throttle[0].action[3].records, 7);
	ck_assert_str_eq(t->throttle[1].name, "throttles[1]");
	ck_assert_uint_eq(t->throttle[1].from_s, THROTTLE_ALWAYS);
	ck_assert_uint_eq(t->throttle[1].value, 1);
}
END_TEST

START_TEST(a_file_without_has_none)
{
	ck_assert_int_eq(load(""), 0);
	ck_assert_ptr_null(config->throttles);
}
END_TEST

#define ONE(rest) "throttles:\n  - {test: netkbps, operator: \">\", value: 1, " rest "}\n"
#define DO(action) ONE("actions: [" action "]")

START_TEST(names_line_and_key_of_each_mistake)
{
	refused(ONE("from: \"8\", to: \"9:00\", actions: [{log: x}]"),
		"10:52: throttles[0].from: is \"8\"");
	refused(ONE("from: \"08:00\", actions: [{log: x}]"), "one end of a window");
	refused(ONE("from: \"24:00\", to: \"00:00\", actions: [{log: x}]"),
		"begins where");
	refused(ONE("from: \"24:01\", to: \"00:00\", actions: [{log: x}]"), "24:01");
	refused(ONE("actions: []"), "throttles[0].actions: is an empty list");
	refused("throttles:\n  - {test: net, operator: rises, value: 1, actions: [{log: x}]}\n",
		"10:12: throttles[0].test: is \"net\"; expected netkbps");
	refused("throttles:\n  - {test: link, operator: rises, value: 1, actions: [{log: x}]}\n",
		"throttles[0].value: is \"1\"; expected up or down");
	refused("throttles:\n  - {test: pctwl, operator: =, value: 1, actions: [{log: x}]}\n",
		"throttles[0].operator: is \"=\"");
	refused("throttles:\n  - {operator: rises, value: 1, actions: [{log: x}]}\n",
		"throttles[0].test: is missing");
	refused(DO("{sleep-inc: 1000001}"), "throttles[0].actions[0].sleep-inc");
	refused(DO("{log: x, console: y}"), "throttles[0].actions[0]: names several");
	refused(DO("{seconds: 3}"), "throttles[0].actions[0]: names no action");
	refused(DO("{log: x, seconds: 3}"), "seconds without exec");
	refused(DO("{mail: x}"), "mail without to");
	refused(DO("{mail: x, to: -oQ}"), "actions[0].to: is \"-oQ\"");
	refused(DO("{mode: sync, records: 3}"), "a bound without mode near-sync");
	refused(DO("{exec: \"\"}"), "actions[0].exec: is empty");
	refused("throttle-period: 99\n", "9:18: throttle-period: is \"99\"");
	refused("bandwidth: {max: 1K}\n", "9:18: bandwidth.max: is \"1K\"");
	refused("bandwidth: {from: \"08:00\", to: \"09:00\"}\n",
		"bandwidth.max: is missing");
}
END_TEST

START_TEST(refuses_what_needs_a_log_that_grows)
{
	refused(DO("{extend: 1}"), "throttles[0].actions[0].extend: is not available");
	refused(DO("{free: 1}"), "throttles[0].actions[0].free: is not available");
}
END_TEST

/* P4-80: any number of throttles; sixteen actions, and no seventeenth. */
START_TEST(takes_a_thousand_of_sixteen_actions)
{
	const size_t size = 1000 * 600;
	char *text = malloc(size);
	FILE *out = fmemopen(text, size, "w");

	ck_assert(text != NULL && out != NULL);
	fputs("throttles:\n", out);
	for (int i = 0; i < 1000; i++) {
		fprintf(out, "  - {test: pctcpu, operator: \"<\", value: %d, actions: [",
			i);
		for (int a = 0; a < 16; a++)
			fprintf(out, "{sleep-inc: %d}%s", a, a < 15 ? ", " : "]}\n");
	}
	fflush(out);
	ck_assert_uint_eq(loaded(text)->count, 1000);
	ck_assert_uint_eq(config->throttles->throttle[999].action_count, 16);
	fseek(out, -3, SEEK_CUR);
	fputs(", {log: x}]}\n", out);
	fclose(out);
	refused(text, "1009:");
	ck_assert_ptr_nonnull(strstr(errors.entry[0].text,
				     "throttles[999].actions[16]: is one too many"));
	free(text);
}
END_TEST

START_TEST(what_is_shown_reads_into_the_same)
{
	static const char text[] =
		"bandwidth: {max: 1M, from: \"08:00\", to: \"17:00\"}\n"
		"throttle-period: 700\n"
		"throttles:\n"
		"  - {name: x, from: \"22:00\", to: \"06:00\", test: link, operator: \"!=\",\n"
		"     value: up, actions: [{mail: \"a\\n\\\"b\\\"\", to: o@e}, {sleep-dec: 9},\n"
		"     {mode: near-sync, ms: 4}, {exec: \"true\"}]}\n"
		"  - {test: pctwl, operator: rises, value: 85, actions: [{console: c}]}\n";
	json_t *first, *second;
	FILE *file;

	loaded(text);
	first = config_json(config);
	file = fopen(path, "w");
	config_print_yaml(config, file);
	fclose(file);
	throttles_free(config->throttles);
	ck_assert_msg(config_load(path, config, &errors) == 0, "%s",
		      errors.entry[0].text);
	second = config_json(config);
	ck_assert(json_equal(first, second));
	ck_assert_str_eq(config->throttles->throttle[0].action[0].text, "a\n\"b\"");
	json_decref(first);
	json_decref(second);
}
END_TEST

/* ---- windows --------------------------------------------------------------- */

static bool opens(const char *window, uint32_t second)
{
	char text[256];

	snprintf(text, sizeof text, ONE("%s, actions: [{log: x}]"), window);
	loaded(text);
	return period_at(second, THROTTLE_NETKBPS, 2)[0] != '\0';
}

START_TEST(a_window_lies_inside_a_day_or_across_midnight)
{
	static const char day[] = "from: \"08:00\", to: \"17:00\"";
	static const char night[] = "from: \"22:00\", to: \"06:00\"";

	ck_assert(!opens(day, 8 * HOUR - 1));
	ck_assert(opens(day, 8 * HOUR));
	ck_assert(opens(day, 17 * HOUR - 1));
	ck_assert(!opens(day, 17 * HOUR));
	ck_assert(!opens(night, 22 * HOUR - 1));
	ck_assert(opens(night, 22 * HOUR));
	ck_assert(opens(night, 0));
	ck_assert(opens(night, 6 * HOUR - 1));
	ck_assert(!opens(night, 6 * HOUR));
	ck_assert(opens("from: \"18:00\", to: \"24:00\"", 24 * HOUR - 1));
	ck_assert(!opens("from: \"18:00\", to: \"24:00\"", 0));
}
END_TEST

/* In spring the clock goes from 01:59:59 to 03:00:00; in autumn it shows 02:00 to 03:00
 * twice. Only what it shows counts. */
START_TEST(a_window_follows_the_clock_on_the_wall)
{
	static const char skipped[] = "from: \"02:15\", to: \"02:45\"";
	static const char across[] = "from: \"01:30\", to: \"03:30\"";
	uint32_t count = 0;

	for (uint32_t s = HOUR; s < 4 * HOUR; s += 60)
		if (s < 2 * HOUR || s >= 3 * HOUR)
			count += opens(skipped, s);
	ck_assert_uint_eq(count, 0);
	ck_assert(opens(across, 2 * HOUR - 1));
	ck_assert(opens(across, 3 * HOUR));
	for (uint32_t turn = 0; turn < 2; turn++)
		for (uint32_t s = 2 * HOUR; s < 3 * HOUR; s += 60)
			count += opens(skipped, s);
	ck_assert_uint_eq(count, 2 * 30);
}
END_TEST

START_TEST(bandwidth_is_bound_in_its_window)
{
	const struct throttles *t = loaded(
		"bandwidth: {max: 1M, from: \"08:00\", to: \"17:00\"}\n");

	ck_assert_uint_eq(throttle_bandwidth(t, 8 * HOUR - 1), 0);
	ck_assert_uint_eq(throttle_bandwidth(t, 8 * HOUR), 1 << 20);
	ck_assert_uint_eq(throttle_bandwidth(t, 17 * HOUR), 0);
	t = loaded("bandwidth: {max: 64K}\n");
	ck_assert_uint_eq(throttle_bandwidth(t, 3), 64 << 10);
}
END_TEST

/* ---- operators ------------------------------------------------------------- */

static const char operators[] =
	"throttles:\n"
	"  - {name: gt, test: lag-ms, operator: \">\", value: 5, actions: [{log: x}]}\n"
	"  - {name: ge, test: lag-ms, operator: \">=\", value: 5, actions: [{log: x}]}\n"
	"  - {name: lt, test: lag-ms, operator: \"<\", value: 5, actions: [{log: x}]}\n"
	"  - {name: le, test: lag-ms, operator: \"<=\", value: 5, actions: [{log: x}]}\n"
	"  - {name: eq, test: lag-ms, operator: \"==\", value: 5, actions: [{log: x}]}\n"
	"  - {name: ne, test: lag-ms, operator: \"!=\", value: 5, actions: [{log: x}]}\n"
	"  - {name: up, test: lag-ms, operator: rises, value: 5, actions: [{log: x}]}\n"
	"  - {name: dn, test: lag-ms, operator: falls, value: 5, actions: [{log: x}]}\n";

START_TEST(relations_fire_each_period_and_crossings_once)
{
	loaded(operators);
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 6),
			 "gt ge ne "); /* no crossing yet */
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 5), "ge le eq ");
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 6), "gt ge ne up ");
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 7), "gt ge ne ");
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 4), "lt le ne dn ");
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 3), "lt le ne ");
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 9), "gt ge ne up ");
}
END_TEST

START_TEST(a_figure_that_is_not_known_fires_nothing)
{
	loaded(operators);
	period_at(0, THROTTLE_LAG_MS, 4);
	figures.known[THROTTLE_LAG_MS] = false;
	acted[0] = '\0';
	throttle_period(config->throttles, &state, &figures, 0, note, NULL);
	ck_assert_str_eq(acted, "");
	/* what was known before it counts for a crossing ... */
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 6), "gt ge ne up ");
	/* ... unless this node served no more meanwhile */
	throttle_rest(&state, false);
	ck_assert_str_eq(period_at(0, THROTTLE_LAG_MS, 4), "lt le ne ");
}
END_TEST

START_TEST(a_link_goes_down_and_up_once)
{
	loaded("throttles:\n"
	       "  - {name: cut, test: link, operator: falls, value: up, actions: [{log: x}]}\n"
	       "  - {name: heal, test: link, operator: rises, value: down,\n"
	       "     actions: [{log: x}]}\n");
	ck_assert_str_eq(period_at(0, THROTTLE_LINK, 1), "");
	ck_assert_str_eq(period_at(0, THROTTLE_LINK, 0), "cut ");
	ck_assert_str_eq(period_at(0, THROTTLE_LINK, 0), "");
	ck_assert_str_eq(period_at(0, THROTTLE_LINK, 1), "heal ");
	ck_assert_str_eq(period_at(0, THROTTLE_LINK, 1), "");
}
END_TEST

/* ---- sleep and delay ------------------------------------------------------- */

START_TEST(sleep_and_delay_stay_within_their_bounds)
{
	loaded("throttles:\n"
	       "  - {test: pctwl, operator: \">\", value: 80,\n"
	       "     actions: [{sleep-inc: 700000}, {delay-inc: 600000}]}\n"
	       "  - {test: pctwl, operator: \"<\", value: 20,\n"
	       "     actions: [{sleep-dec: 900000}, {delay-dec: 1000000}]}\n"
	       "  - {test: pctwl, operator: \"==\", value: 50,\n"
	       "     actions: [{sleep-set: 5}, {delay-set: 6}]}\n");
	ck_assert_str_eq(period_at(0, THROTTLE_PCTWL, 81), "");
	ck_assert_uint_eq(state.sleep_us, 700000);
	ck_assert_uint_eq(state.delay_us, 600000);
	period_at(0, THROTTLE_PCTWL, 81);
	ck_assert_uint_eq(state.sleep_us, THROTTLE_US_MAX);
	ck_assert_uint_eq(state.delay_us, THROTTLE_US_MAX);
	period_at(0, THROTTLE_PCTWL, 1);
	ck_assert_uint_eq(state.sleep_us, 100000);
	ck_assert_uint_eq(state.delay_us, 0);
	period_at(0, THROTTLE_PCTWL, 1);
	ck_assert_uint_eq(state.sleep_us, 0);
	period_at(0, THROTTLE_PCTWL, 50);
	ck_assert_uint_eq(state.sleep_us, 5);
	ck_assert_uint_eq(state.delay_us, 6);
}
END_TEST

START_TEST(at_a_copy_nothing_is_slowed)
{
	loaded("throttles:\n"
	       "  - {name: slow, test: pctwl, operator: \">\", value: 80,\n"
	       "     actions: [{sleep-inc: 7}, {delay-set: 6}, {mode: async}]}\n"
	       "  - {name: tell, test: pctwl, operator: rises, value: 80,\n"
	       "     actions: [{log: x}]}\n");
	throttle_rest(&state, true);
	ck_assert_str_eq(period_at(0, THROTTLE_PCTWL, 80), "");
	ck_assert_str_eq(period_at(0, THROTTLE_PCTWL, 81), "slow slow slow tell ");
	ck_assert_uint_eq(state.sleep_us, 0);
	ck_assert_uint_eq(state.delay_us, 0);
	/* it serves from now on */
	throttle_rest(&state, false);
	ck_assert_str_eq(period_at(0, THROTTLE_PCTWL, 81), "slow ");
	ck_assert_uint_eq(state.sleep_us, 7);
	ck_assert_uint_eq(state.delay_us, 6);
	/* a copy again */
	throttle_rest(&state, true);
	ck_assert_uint_eq(state.sleep_us, 0);
}
END_TEST

/* KiB a second of a sender that has entries of `bytes` and a line of `line_kbps`. */
static uint64_t rate(uint64_t bytes, uint64_t line_kbps)
{
	const uint64_t ns = state.sleep_us * 1000ull +
			    bytes * 1000000000 / 1024 / line_kbps;

	return bytes * 1000000000 / 1024 / ns;
}

static void load_example(void)
{
	char text[8192], name[512];
	const char *srcdir = getenv("srcdir");
	size_t length;
	FILE *file;

	snprintf(name, sizeof name, "%s/agent/throttles.yaml",
		 srcdir != NULL ? srcdir : ".");
	file = fopen(name, "r");
	ck_assert_msg(file != NULL, "%s: %s", name, strerror(errno));
	length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = '\0';
	loaded(text);
}

/* Paper 004, Fig. 10: under load of any usual entry it settles between 200 and 300 KiB a
 * second and stays there; idle again, the sleep ends at 0. */
START_TEST(the_worked_example_settles)
{
	static const uint64_t entries[] = { 4096 + 128, 8192, 16384, 65536, 131072 };
	uint64_t kbps = 0;

	load_example();
	for (size_t e = 0; e < sizeof entries / sizeof entries[0]; e++) {
		throttle_rest(&state, false);
		period_at(0, THROTTLE_NETKBPS, 0);
		for (int i = 0; i < 120; i++) {
			kbps = rate(entries[e], 100000);
			period_at(0, THROTTLE_NETKBPS, kbps);
			ck_assert_msg(i < 100 || (kbps >= 200 && kbps <= 300),
				      "entries of %u: %u KiB/s", (unsigned)entries[e],
				      (unsigned)kbps);
		}
		ck_assert_uint_gt(state.sleep_us, 0);
		for (int i = 0; i < 60; i++)
			period_at(0, THROTTLE_NETKBPS, 0);
		ck_assert_uint_eq(state.sleep_us, 0);
	}
}
END_TEST

/* ---- time and text --------------------------------------------------------- */

START_TEST(periods_keep_their_pace_and_are_not_made_up_for)
{
	const struct throttles *t = loaded("throttle-period: 1000\n");
	const uint64_t second = 1000000000;

	ck_assert_uint_eq(throttle_wait_ns(t, &state, 100 * second), 0);
	ck_assert_uint_eq(throttle_wait_ns(t, &state, 100 * second + 5), second - 5);
	ck_assert_uint_eq(throttle_wait_ns(t, &state, 101 * second + 9),
			  0); /* 9 ns late */
	ck_assert_uint_eq(throttle_wait_ns(t, &state, 101 * second + 9), second - 9);
	ck_assert_uint_eq(throttle_wait_ns(t, &state, 150 * second), 0); /* it slept */
	ck_assert_uint_eq(throttle_wait_ns(t, &state, 150 * second), second);
}
END_TEST

START_TEST(a_text_has_its_marks_filled_in)
{
	const struct throttles *t = loaded(
		"throttles:\n  - {name: far, test: lag-bytes, operator: rises, value: 1K,\n"
		"     actions: [{log: \"%m@%h %n: %t is %v at %T, 100%% %x\"}]}\n");
	char text[128], small[9];

	figures.value[THROTTLE_LAG_BYTES] = 4096;
	throttle_text(&t->throttle[0], &t->throttle[0].action[0], &figures, "data", "a",
		      "noon", text, sizeof text);
	ck_assert_str_eq(text, "data@a far: lag-bytes is 4096 at noon, 100% %x");
	throttle_text(&t->throttle[0], &t->throttle[0].action[0], &figures, "data", "a",
		      "noon", small, sizeof small);
	ck_assert_str_eq(small, "data@a f");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("agent");
	TCase *tc = tcase_create("throttle");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_all_of_a_throttle);
	tcase_add_test(tc, a_file_without_has_none);
	tcase_add_test(tc, names_line_and_key_of_each_mistake);
	tcase_add_test(tc, refuses_what_needs_a_log_that_grows);
	tcase_add_test(tc, takes_a_thousand_of_sixteen_actions);
	tcase_add_test(tc, what_is_shown_reads_into_the_same);
	tcase_add_test(tc, a_window_lies_inside_a_day_or_across_midnight);
	tcase_add_test(tc, a_window_follows_the_clock_on_the_wall);
	tcase_add_test(tc, bandwidth_is_bound_in_its_window);
	tcase_add_test(tc, relations_fire_each_period_and_crossings_once);
	tcase_add_test(tc, a_figure_that_is_not_known_fires_nothing);
	tcase_add_test(tc, a_link_goes_down_and_up_once);
	tcase_add_test(tc, sleep_and_delay_stay_within_their_bounds);
	tcase_add_test(tc, at_a_copy_nothing_is_slowed);
	tcase_add_test(tc, the_worked_example_settles);
	tcase_add_test(tc, periods_keep_their_pace_and_are_not_made_up_for);
	tcase_add_test(tc, a_text_has_its_marks_filled_in);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
