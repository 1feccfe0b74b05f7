/* test_perf.c - the performance file: its rows, its two generations, and what a crash, a full
 * disk or a second writer leaves. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/perf.h"

static char folder[] = "/tmp/hamirror-perf-XXXXXX";
static struct agent_instance instance;
static struct perf_file file;

static void setup(void)
{
	char text[256];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	setenv("HAMIRROR_STATE_DIR", folder, 1);
	ck_assert_int_eq(agent_instance_parse("data@a", &instance, text, sizeof text), 0);
	ck_assert_int_eq(perf_file_init(&file, &instance, 1000), 0);
	ck_assert_str_eq(strrchr(file.path, '/'), "/data@a.prf");
}

static void teardown(void)
{
	perf_file_close(&file);
	unlink(file.path);
	unlink(file.old_path);
	rmdir(folder);
}

static char *rows_of(const char *before, const char *now, double seconds)
{
	json_t *a = before != NULL ? json_loads(before, 0, NULL) : NULL;
	json_t *b = now != NULL ? json_loads(now, 0, NULL) : NULL;
	char *text;

	ck_assert(now == NULL || b != NULL);
	text = perf_rows(a, b, seconds, 1772366400);
	ck_assert_ptr_nonnull(text);
	json_decref(a);
	json_decref(b);
	return text;
}

#define LOG "\"log\":{\"bytes\":1048576,\"used_bytes\":262144,\"oldest_ms\":2500}"

START_TEST(a_row_tells_seven_figures_of_a_period)
{
	char *text = rows_of("{\"disks\":[{\"name\":\"db\",\"sent_bytes\":1024,"
			     "\"sent_data_bytes\":1024,\"sent_records\":10}]}",
			     "{\"disks\":[{\"name\":\"db\",\"sent_bytes\":21504,"
			     "\"sent_data_bytes\":11264,\"sent_records\":40,"
			     "\"waiting_records\":7}]," LOG "}",
			     10);
	struct perf_row row;

	ck_assert_str_eq(text, "2026-03-01T12:00:00Z db 2.0 1.0 3.0 7 512 25.00 2.5\n");
	ck_assert(perf_row_parse(text, &row));
	ck_assert_uint_eq(row.time_s, 1772366400);
	ck_assert_str_eq(row.disk, "db");
	ck_assert(row.figure[0] == 2 && row.figure[6] == 2.5);
	free(text);
}
END_TEST

START_TEST(what_is_not_known_has_no_row)
{
	static const char now[] = "{\"disks\":[{\"name\":\"db\",\"sent_bytes\":2048,"
				  "\"sent_data_bytes\":1024,\"sent_records\":10,"
				  "\"waiting_records\":0}]," LOG "}";
	static const char closed[] = "{\"disks\":[{\"name\":\"db\",\"sent_bytes\":null}],"
				     "\"log\":null}";
	char *text = rows_of(closed, now, 10);

	/* opened within the period: counted from 0, as after a start of the daemon */
	ck_assert_str_eq(text, "2026-03-01T12:00:00Z db 0.2 0.1 1.0 0 512 25.00 2.5\n");
	free(text);
	text = rows_of("{\"disks\":[{\"name\":\"db\",\"sent_bytes\":99999,"
		       "\"sent_data_bytes\":0,\"sent_records\":0}]}",
		       now, 10);
	ck_assert_str_eq(text, "2026-03-01T12:00:00Z db 0.2 0.1 1.0 0 512 25.00 2.5\n");
	free(text);
	text = rows_of(NULL, now, 10);
	ck_assert_str_eq(text, "");
	free(text);
	text = rows_of(now, NULL, 10);
	ck_assert_str_eq(text, "");
	free(text);
	text = rows_of(now, closed, 10);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(a_line_that_is_no_row_is_refused)
{
	static const char *const lines[] = {
		"",
		"\n",
		"2026-03-01T12:00:00Z db 2.0 1.0 3.0 7 512 25.00 2.5",
		"2026-03-01T12:00:00Z db 2.0 1.0 3.0 7 512 25.00\n",
		"2026-03-01T12:00:00Z db 2.0 1.0 3.0 7 512 25.00 2.5 1\n",
		"2026-03-01T12:00:00Z db 2.0 1.0 3.0 7 512 25.00 nan\n",
		"2026-03-01T12:00:00Z <b> 2.0 1.0 3.0 7 512 25.00 2.5\n",
		"2026-03-01T12:00:00Z db 2.0 1.0 3.0 -7 512 25.00 2.5\n",
		"1772366400 db 2.0 1.0 3.0 7 512 25.00 2.5\n",
	};
	struct perf_row row;

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		ck_assert_msg(!perf_row_parse(lines[i], &row), "taken: %s", lines[i]);
}
END_TEST

START_TEST(a_time_is_a_moment_or_so_long_ago)
{
	uint64_t time_s;

	ck_assert(perf_time_parse("2026-03-01T12:00:00Z", 0, &time_s));
	ck_assert_uint_eq(time_s, 1772366400);
	ck_assert(perf_time_parse("2026-03-01T12:00", 0, &time_s));
	ck_assert_uint_eq(time_s, 1772366400);
	ck_assert(perf_time_parse("2026-03-01", 0, &time_s));
	ck_assert_uint_eq(time_s, 1772366400 - 12 * 3600);
	ck_assert(perf_time_parse("15m", 1000, &time_s));
	ck_assert_uint_eq(time_s, 100);
	ck_assert(perf_time_parse("7d", 1000, &time_s));
	ck_assert_uint_eq(time_s, 0);
	ck_assert(!perf_time_parse("", 1000, &time_s));
	ck_assert(!perf_time_parse("15", 1000, &time_s));
	ck_assert(!perf_time_parse("m", 1000, &time_s));
	ck_assert(!perf_time_parse("-1m", 1000, &time_s));
	ck_assert(!perf_time_parse("15mm", 1000, &time_s));
	ck_assert(!perf_time_parse("yesterday", 1000, &time_s));
	ck_assert(!perf_time_parse("2026-03-01T12:00:00Zx", 1000, &time_s));
}
END_TEST

/* ---- the files ---- */

static void row_at(uint64_t time_s, char *row)
{
	const time_t time = (time_t)time_s;
	struct tm tm;
	char text[32];

	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
	snprintf(row, PERF_ROW_BYTES_MAX, "%s db 2.0 1.0 3.0 7 512 25.00 2.5\n", text);
}

static void add(uint64_t time_s)
{
	char row[PERF_ROW_BYTES_MAX];

	row_at(time_s, row);
	ck_assert_int_eq(perf_file_add(&file, row), 0);
}

/* The times of all rows, which are one apart. */
static void expect(uint64_t first_s, uint64_t last_s)
{
	struct perf_table t;

	ck_assert_int_eq(perf_table_read(&t, file.path, 0, NULL), 0);
	ck_assert_uint_eq(t.count, last_s - first_s + 1);
	for (size_t i = 0; i < t.count; i++)
		ck_assert_uint_eq(t.row[i].time_s, first_s + i);
	perf_table_free(&t);
}

static off_t size_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

START_TEST(two_generations_none_beyond_the_limit)
{
	struct perf_table t;

	for (uint64_t i = 1; i <= 100; i++) {
		add(i);
		ck_assert_int_le(size_of(file.path), 1000);
		if (access(file.old_path, F_OK) == 0)
			ck_assert_int_le(size_of(file.old_path), 1000);
	}
	/* 52 bytes a row: 19 in a file */
	expect(77, 100);
	ck_assert_int_eq(perf_table_read(&t, file.path, 95, "db"), 0);
	ck_assert_uint_eq(t.count, 6);
	perf_table_free(&t);
	ck_assert_int_eq(perf_table_read(&t, file.path, 95, "other"), 0);
	ck_assert_uint_eq(t.count, 0);
	perf_table_free(&t);
}
END_TEST

START_TEST(the_end_of_both_generations)
{
	const struct {
		uint32_t bytes;
		size_t rows;
	} ends[] = { { 3 * 52, 3 },        { 5 * 52, 5 },   { 10 * 52, 10 },
		     { 10 * 52 + 51, 10 }, { 24 * 52, 24 }, { 1u << 20, 24 } };
	struct perf_table t;

	for (uint64_t i = 1; i <= 100; i++)
		add(i); /* 19 in the older file, 5 in the newer one */
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		ck_assert_int_eq(perf_table_read_end(&t, file.path, ends[i].bytes), 0);
		ck_assert_uint_eq(t.count, ends[i].rows);
		ck_assert_uint_eq(t.row[0].time_s, 101 - ends[i].rows);
		ck_assert_uint_eq(t.row[t.count - 1].time_s, 100);
		perf_table_free(&t);
	}
}
END_TEST

START_TEST(missing_rows_are_a_gap)
{
	struct perf_table t;

	add(100);
	add(110);
	add(121);
	add(500); /* the daemon was down */
	add(510);
	ck_assert_int_eq(perf_table_read(&t, file.path, 0, NULL), 0);
	ck_assert_uint_eq(perf_table_begin_s(&t, 0), 90);
	ck_assert_uint_eq(perf_table_begin_s(&t, 1), 100);
	ck_assert_uint_eq(perf_table_begin_s(&t, 2), 110);
	ck_assert_uint_eq(perf_table_begin_s(&t, 3), 490);
	ck_assert_uint_eq(perf_table_begin_s(&t, 4), 500);
	perf_table_free(&t);
}
END_TEST

/* What a drawing of all rows says. */
static char *drawn(void (*draw)(const struct perf_table *t, FILE *out))
{
	struct perf_table t;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(perf_table_read(&t, file.path, 0, NULL), 0);
	draw(&t, out);
	fclose(out);
	perf_table_free(&t);
	return text;
}

static void plot(const struct perf_table *t, FILE *out)
{
	perf_plot(t, 24, false, out);
}

static void plot_braille(const struct perf_table *t, FILE *out)
{
	perf_plot(t, 24, true, out);
}

static void svg(const struct perf_table *t, FILE *out)
{
	perf_svg(t, "data@a", out);
}

START_TEST(rows_are_drawn)
{
	static const char *const rows[] = {
		"1970-01-01T00:00:10Z db 40 0 0 0 0 0 0\n",
		"1970-01-01T00:00:20Z db 20 0 0 0 0 0 0\n",
		"1970-01-01T00:00:30Z db 0 0 0 0 0 0 0\n",
		"1970-01-01T00:00:40Z db 10 0 0 0 0 0 0\n",
	};
	char *text;

	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(perf_file_add(&file, rows[i]), 0);
	text = drawn(plot);
	ck_assert_ptr_eq(strstr(text, "db, sent with headers, KB/s: at most 40, now 10\n"
				      "  |#####               \n"
				      "  |#####               \n"
				      "  |##########          \n"
				      "  |##########     #####\n"
				      "  01-01 00:00:00"),
			 text);
	free(text);
	text = drawn(plot_braille);
	ck_assert_ptr_nonnull(strstr(text, "\n  |⣿⣿⣿⣿⣿⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀\n"));
	free(text);
	text = drawn(svg);
	ck_assert_ptr_nonnull(
		strstr(text, "<text x=\"70\" y=\"24\" font-size=\"18\">data@a<"));
	/* the greatest value is at the top of the scale, which is 40 */
	ck_assert_ptr_nonnull(
		strstr(text, "70.0 86.0L306.7 136.0L543.3 186.0L780.0 161.0\""));
	free(text);
}
END_TEST

static void append(const char *bytes, size_t length)
{
	const int fd = open(file.path, O_WRONLY | O_APPEND);

	ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
	close(fd);
}

START_TEST(a_half_row_is_cut_off)
{
	static const char zeroes[700];

	add(1);
	append("2026-03-01T12:0", 15);
	expect(1, 1); /* a reader leaves it out */
	add(2);
	expect(1, 2);
	append(zeroes, sizeof zeroes); /* some file systems leave these after a crash */
	add(3);
	expect(1, 3);
	ck_assert_int_eq(size_of(file.path), 3 * 52);
}
END_TEST

START_TEST(a_removed_or_replaced_file_is_made_again)
{
	add(1);
	unlink(file.path);
	add(2);
	expect(2, 2);
	ck_assert_int_eq(rename(file.path, file.old_path), 0);
	add(3);
	expect(2, 3);
}
END_TEST

START_TEST(a_full_disk_leaves_whole_rows)
{
	const struct rlimit limit = { 60, RLIM_INFINITY },
			    none = { RLIM_INFINITY, RLIM_INFINITY };
	char row[PERF_ROW_BYTES_MAX];
	int error;

	signal(SIGXFSZ, SIG_IGN);
	add(1);
	row_at(2, row);
	setrlimit(RLIMIT_FSIZE, &limit);
	error = perf_file_add(&file, row);
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_int_eq(error, -ENOSPC);
	ck_assert_int_eq(size_of(file.path), 52);
	add(2);
	expect(1, 2);
}
END_TEST

START_TEST(one_alone_writes)
{
	struct perf_file other;
	char row[PERF_ROW_BYTES_MAX];

	row_at(2, row);
	add(1);
	ck_assert_int_eq(perf_file_init(&other, &instance, 1000), 0);
	ck_assert_int_eq(perf_file_add(&other, row), -EWOULDBLOCK);
	perf_file_close(&file);
	ck_assert_int_eq(perf_file_add(&other, row), 0);
	perf_file_close(&other);
	expect(1, 2);
}
END_TEST

START_TEST(what_cannot_be_written_is_an_error)
{
	struct perf_table t;
	char row[1200];

	memset(row, 'x', sizeof row - 1);
	row[sizeof row - 1] = '\0';
	ck_assert_int_eq(perf_file_add(&file, row), -EFBIG);
	unlink(file.path);
	ck_assert_int_eq(perf_table_read(&t, file.path, 0, NULL), -ENOENT);
	perf_table_free(&t);
	ck_assert_int_eq(mkdir(file.path, 0755), 0);
	ck_assert_int_eq(perf_file_add(&file, "x\n"), -EISDIR);
	rmdir(file.path);
	ck_assert_int_eq(symlink("/etc/passwd", file.path), 0);
	ck_assert_int_eq(perf_file_add(&file, "x\n"), -ELOOP);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("perf");
	Suite *s = suite_create("agent");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_row_tells_seven_figures_of_a_period);
	tcase_add_test(tc, what_is_not_known_has_no_row);
	tcase_add_test(tc, a_line_that_is_no_row_is_refused);
	tcase_add_test(tc, a_time_is_a_moment_or_so_long_ago);
	tcase_add_test(tc, two_generations_none_beyond_the_limit);
	tcase_add_test(tc, the_end_of_both_generations);
	tcase_add_test(tc, missing_rows_are_a_gap);
	tcase_add_test(tc, rows_are_drawn);
	tcase_add_test(tc, a_half_row_is_cut_off);
	tcase_add_test(tc, a_removed_or_replaced_file_is_made_again);
	tcase_add_test(tc, a_full_disk_leaves_whole_rows);
	tcase_add_test(tc, one_alone_writes);
	tcase_add_test(tc, what_cannot_be_written_is_an_error);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
