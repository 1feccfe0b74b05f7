/* perf_row.c - rows of the performance file: see perf.h. */
#include "agent/perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/json_path.h"

#define KB 1024.0
#define SECTOR_BYTES 512
#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"

const char *const perf_figure_names[PERF_FIGURE_COUNT] = {
	"total_kb_s", "data_kb_s",    "records_s", "waiting_records",
	"sectors",    "used_percent", "age_s",
};

const char *const perf_figure_titles[PERF_FIGURE_COUNT] = {
	"sent with headers, KB/s",     "sent data, KB/s",
	"records sent per second",     "records waiting",
	"log sectors in use",          "log in use, %",
	"oldest record in the log, s",
};

/* ---- from two statuses ------------------------------------------------------ */

/* The member at `path`, or NaN. */
static double number(const json_t *object, const char *path)
{
	const json_t *value = agent_json_find((json_t *)(uintptr_t)object, path);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

static double rate(const json_t *before, const json_t *now, const char *path,
		   double seconds)
{
	const double a = number(before, path), b = number(now, path);

	/* The devices were opened meanwhile: from 0. */
	return (b >= a ? b - a : b) / seconds;
}

/* Returns false where a figure is not known. */
static bool fill_row(struct perf_row *row, const json_t *before, const json_t *disk,
		     const json_t *status, double seconds)
{
	const double used = number(status, "log.used_bytes");
	const double figure[PERF_FIGURE_COUNT] = {
		rate(before, disk, "sent_bytes", seconds) / KB,
		rate(before, disk, "sent_data_bytes", seconds) / KB,
		rate(before, disk, "sent_records", seconds),
		number(disk, "waiting_records"),
		used / SECTOR_BYTES,
		100 * used / number(status, "log.bytes"),
		number(status, "log.oldest_ms") / 1000,
	};

	for (size_t i = 0; i < PERF_FIGURE_COUNT; i++)
		if (!isfinite(figure[i]))
			return false;
	memcpy(row->figure, figure, sizeof figure);
	return true;
}

void perf_row_put(const struct perf_row *row, FILE *out)
{
	const time_t time = (time_t)row->time_s;
	const double *f = row->figure;
	char text[32];
	struct tm tm;

	strftime(text, sizeof text, TIME_FORMAT, gmtime_r(&time, &tm));
	fprintf(out, "%s %s %.1f %.1f %.1f %.0f %.0f %.2f %.1f\n", text, row->disk, f[0],
		f[1], f[2], f[3], f[4], f[5], f[6]);
}

char *perf_rows(const json_t *before, const json_t *now, double seconds, uint64_t time_s)
{
	struct perf_row row = { .time_s = time_s };
	const json_t *disk;
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	json_array_foreach(json_object_get(now, "disks"), i, disk)
	{
		const char *name = json_string_value(json_object_get(disk, "name"));

		if (name == NULL || !agent_name_is_valid(name) || before == NULL ||
		    seconds <= 0)
			continue;
		strcpy(row.disk, name);
		if (fill_row(&row,
			     agent_json_named(json_object_get(before, "disks"), name),
			     disk, now, seconds))
			perf_row_put(&row, out);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- from a line -------------------------------------------------------------- */

/* UTC of the first `*end` - `text` characters. */
static bool read_time(const char *text, const char *format, const char **end,
		      uint64_t *time_s)
{
	struct tm tm = { .tm_mday = 1 };
	const char *rest = strptime(text, format, &tm);
	const time_t time = rest != NULL ? timegm(&tm) : -1;

	if (time < 0)
		return false;
	*end = rest;
	*time_s = (uint64_t)time;
	return true;
}

bool perf_row_parse(const char *line, struct perf_row *row)
{
	const char *at;
	char *end;
	size_t length;

	if (!read_time(line, TIME_FORMAT, &at, &row->time_s) || *at++ != ' ')
		return false;
	length = strcspn(at, " \n");
	if (length == 0 || length >= sizeof row->disk || at[length] != ' ')
		return false;
	memcpy(row->disk, at, length);
	row->disk[length] = '\0';
	if (!agent_name_is_valid(row->disk))
		return false;
	at += length;
	for (size_t i = 0; i < PERF_FIGURE_COUNT; i++) {
		if (*at != ' ' || at[1] < '0' || at[1] > '9')
			return false;
		row->figure[i] = strtod(at, &end);
		if (!isfinite(row->figure[i]))
			return false;
		at = end;
	}
	return *at == '\n';
}

static bool read_ago(const char *text, uint64_t now_s, uint64_t *time_s)
{
	static const char units[] = "smhd";
	static const uint32_t seconds[] = { 1, 60, 3600, 86400 };
	char *end;
	const unsigned long count = strtoul(text, &end, 10);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	uint64_t ago;

	if (text[0] < '0' || text[0] > '9' || unit == NULL || end[1] != '\0' ||
	    count > 1000000000)
		return false;
	ago = (uint64_t)count * seconds[unit - units];
	*time_s = ago < now_s ? now_s - ago : 0;
	return true;
}

bool perf_time_parse(const char *text, uint64_t now_s, uint64_t *time_s)
{
	static const char *const formats[] = { TIME_FORMAT, "%Y-%m-%dT%H:%M:%S",
					       "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M",
					       "%Y-%m-%d" };
	const char *end;

	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (read_time(text, formats[i], &end, time_s) && *end == '\0')
			return true;
	return read_ago(text, now_s, time_s);
}
