/* test_watch_metrics.c - the figures of a status as Prometheus reads them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "agent/watch_metrics.h"

static struct config config;

static void setup(void)
{
	memset(&config, 0, sizeof config);
	strcpy(config.mirror, "data");
	config.site_count = 2;
	strcpy(config.site[0].name, "paris");
	strcpy(config.site[1].name, "lyon");
	config.site[0].disk_count = 1;
	strcpy(config.site[0].disk[0].name, "db");
	config.node_count = 2;
	strcpy(config.node[0].name, "n1");
	strcpy(config.node[1].name, "n2");
}

static char *metrics_of(const char *json)
{
	json_t *status = json != NULL ? json_loads(json, 0, NULL) : NULL;
	char *text;

	ck_assert(json == NULL || status != NULL);
	text = watch_metrics(&config, "n1", status, NULL);
	ck_assert_ptr_nonnull(text);
	json_decref(status);
	return text;
}

static void has(const char *text, const char *line)
{
	if (strstr(text, line) == NULL)
		ck_abort_msg("no '%s' in: %s", line, text);
}

START_TEST(a_status_is_told)
{
	char *text = metrics_of(
		"{\"serving\":true,\"frozen\":false,\"mode\":\"near-sync\",\"score\":null,"
		"\"device_failed\":\"disk db\",\"why\":[\"one\",\"two\"],"
		"\"lease_left_ms\":1500,\"counters\":{\"writes\":12345678901},"
		"\"log\":{\"bytes\":4096,\"oldest_ms\":1500},"
		"\"sites\":[{\"name\":\"lyon\",\"role\":\"copy\",\"data\":\"Outdated\","
		"\"current\":false,\"lag_ms\":250,\"members\":[\"n2\"],"
		"\"refresh\":{\"done_bytes\":65536}}],"
		"\"nodes\":[{\"name\":\"n2\",\"member\":true}],"
		"\"disks\":[{\"name\":\"db\",\"bytes\":1048576,\"device\":null,"
		"\"sent_bytes\":700,\"waiting_records\":4}],"
		"\"queues\":[{\"name\":\"orders\",\"count\":3,\"count_max\":256}]}");

	has(text, "hamirror_up{mirror=\"data\",host=\"n1\"} 1\n");
	has(text, "hamirror_serving{mirror=\"data\",host=\"n1\"} 1\n");
	has(text, "hamirror_frozen{mirror=\"data\",host=\"n1\"} 0\n");
	has(text, "hamirror_faults{mirror=\"data\",host=\"n1\"} 2\n");
	has(text, "hamirror_device_failed{mirror=\"data\",host=\"n1\"} 1\n");
	has(text, "hamirror_promotion_score{mirror=\"data\",host=\"n1\"} NaN\n");
	has(text, "hamirror_lease_left_seconds{mirror=\"data\",host=\"n1\"} 1.5\n");
	has(text, "# TYPE hamirror_writes_total counter\n"
		  "hamirror_writes_total{mirror=\"data\",host=\"n1\"} 12345678901\n");
	has(text, "hamirror_log_size_bytes{mirror=\"data\",host=\"n1\"} 4096\n");
	has(text, "hamirror_mode{mirror=\"data\",host=\"n1\",mode=\"near-sync\"} 1\n");
	has(text, "hamirror_mode{mirror=\"data\",host=\"n1\",mode=\"sync\"} 0\n");
	has(text, "hamirror_site_data{mirror=\"data\",host=\"n1\",site=\"lyon\","
		  "data=\"Outdated\"} 1\n");
	has(text,
	    "hamirror_site_lag_seconds{mirror=\"data\",host=\"n1\",site=\"lyon\"} 0.25\n");
	has(text, "hamirror_site_members{mirror=\"data\",host=\"n1\",site=\"lyon\"} 1\n");
	has(text,
	    "hamirror_site_refreshing{mirror=\"data\",host=\"n1\",site=\"lyon\"} 1\n");
	has(text,
	    "hamirror_site_current{mirror=\"data\",host=\"n1\",site=\"paris\"} NaN\n");
	has(text, "hamirror_node_member{mirror=\"data\",host=\"n1\",node=\"n2\"} 1\n");
	has(text, "hamirror_log_oldest_seconds{mirror=\"data\",host=\"n1\"} 1.5\n");
	has(text, "hamirror_disk_sent_bytes_total{mirror=\"data\",host=\"n1\","
		  "disk=\"db\"} 700\n");
	has(text, "hamirror_disk_waiting_records{mirror=\"data\",host=\"n1\","
		  "disk=\"db\"} 4\n");
	has(text, "hamirror_disk_attached{mirror=\"data\",host=\"n1\",disk=\"db\"} 0\n");
	has(text,
	    "hamirror_queue_entries{mirror=\"data\",host=\"n1\",queue=\"orders\"} 3\n");
	free(text);
}
END_TEST

/* Cut each line before its value. */
static void drop_values(char *text)
{
	char *out = text, *line = text, *end;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		const char *from = line;

		*end = '\0';
		if (line[0] != '#')
			*strrchr(line, ' ') = '\0';
		while (*from != '\0')
			*out++ = *from++;
		*out++ = '\n';
	}
	*out = '\0';
}

/* No series comes and goes; a member of another type is a value that is not known. */
START_TEST(series_are_the_same_without_a_status)
{
	char *with = metrics_of(
		     "{\"serving\":\"yes\",\"sites\":7,\"nodes\":[3],\"log\":[]}"),
	     *without = metrics_of(NULL);

	has(without, "hamirror_up{mirror=\"data\",host=\"n1\"} 0\n");
	has(without, "hamirror_serving{mirror=\"data\",host=\"n1\"} NaN\n");
	has(with, "hamirror_serving{mirror=\"data\",host=\"n1\"} NaN\n");
	drop_values(with);
	drop_values(without);
	ck_assert_str_eq(with, without);
	free(with);
	free(without);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("watch_metrics");
	Suite *s = suite_create("agent");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_status_is_told);
	tcase_add_test(tc, series_are_the_same_without_a_status);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
