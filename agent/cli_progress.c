/* cli_progress.c - see cli_progress.h. */
#include "agent/cli_progress.h"
#include "agent/json_path.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#define BAR_WIDTH 24
#define RATE_MS 4000 /* a rate is that of so long, up to twice */

struct row {
	const char *what, *of;
	double left, total; /* total 0: not known, so there is no bar */
	double rate;        /* a second; 0: not known */
	bool is_bytes;      /* else records */
};

static double number_at(json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

void cli_bytes_format(double bytes, char *text, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, size, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes,
		 units[unit]);
}

/* CLOCK_REALTIME in ms of a time of a status; 0: not known. */
static uint64_t time_ms(const char *text)
{
	struct tm tm = { 0 };

	return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) != NULL ?
		       (uint64_t)timegm(&tm) * 1000 :
		       0;
}

/* The rate of the last seconds; remembers `left`. */
static double seen_rate(struct cli_progress_seen *seen, double left, uint64_t now_ms)
{
	double rate = 0;

	if (seen == NULL)
		return 0;
	if (seen->ms[0] != 0 && left > seen->left[0])
		*seen = (struct cli_progress_seen){ 0 }; /* it has begun anew */
	if (seen->ms[0] != 0 && now_ms >= seen->ms[0] + 500)
		rate = (seen->left[0] - left) * 1000 / (double)(now_ms - seen->ms[0]);
	if (seen->ms[0] == 0) {
		seen->left[0] = seen->left[1] = left;
		seen->ms[0] = seen->ms[1] = now_ms;
	} else if (now_ms >= seen->ms[1] + RATE_MS) {
		seen->left[0] = seen->left[1];
		seen->ms[0] = seen->ms[1];
		seen->left[1] = left;
		seen->ms[1] = now_ms;
	}
	return rate;
}

static void format_left(double seconds, char *text, size_t size)
{
	if (seconds < 90)
		snprintf(text, size, "%.0f s", seconds < 1 ? 1 : seconds);
	else if (seconds < 90 * 60)
		snprintf(text, size, "%.0f min", seconds / 60);
	else if (seconds < 1e7)
		snprintf(text, size, "%.0f h", seconds / 3600);
	else
		snprintf(text, size, "months");
}

static void format_amount(const struct row *row, double amount, char *text, size_t size)
{
	if (row->is_bytes)
		cli_bytes_format(amount, text, size);
	else
		snprintf(text, size, "%.0f records", amount);
}

/* refresh of lyon    [######..................]  25.0%  1.0 of 4.0 GiB, 10 MiB/s, 5 min left */
static void print_row(const struct row *row, FILE *out)
{
	const double done = row->total - row->left;
	char name[96], text[32], all[32];

	snprintf(name, sizeof name, "%s %s", row->what, row->of);
	fprintf(out, "%-24s ", name);
	format_amount(row, row->total > 0 ? done : row->left, text, sizeof text);
	if (row->total > 0) {
		const int full = (int)(BAR_WIDTH * done / row->total);

		format_amount(row, row->total, all, sizeof all);
		fputc('[', out);
		for (int i = 0; i < BAR_WIDTH; i++)
			fputc(i < full ? '#' : '.', out);
		fprintf(out, "] %5.1f%%  %s of %s", 100 * done / row->total, text, all);
	} else {
		fprintf(out, "%s left", text);
	}
	if (row->rate > 0) {
		format_amount(row, row->rate, text, sizeof text);
		format_left(row->left / row->rate, all, sizeof all);
		fprintf(out, ", %s/s, about %s", text, all);
	}
	fputc('\n', out);
}

/* A copy that is refreshed, or gets what it missed from the log. */
static bool site_row(json_t *site, uint64_t now_ms, struct cli_progress_seen *seen,
		     struct row *row)
{
	json_t *refresh = json_object_get(site, "refresh");
	const double total = number_at(refresh, "total_bytes");
	const uint64_t since_ms = time_ms(agent_json_text(site, "since", ""));

	*row = (struct row){ .of = agent_json_text(site, "name", ""), .is_bytes = true };
	if (total > 0 && !json_is_true(json_object_get(refresh, "refused"))) {
		row->what = "refresh of";
		row->total = total;
		row->left = total - number_at(refresh, "done_bytes");
		row->rate = seen_rate(seen, row->left, now_ms);
		if (row->rate <= 0 && since_ms != 0 && now_ms > since_ms + 1000)
			row->rate = (total - row->left) * 1000 /
				    (double)(now_ms - since_ms);
		return true;
	}
	if (strcmp(agent_json_text(site, "link", ""), "catching-up") != 0 ||
	    !json_is_integer(json_object_get(site, "lag_bytes")))
		return false;
	row->what = "catch-up of";
	row->left = number_at(site, "lag_bytes");
	row->rate = seen_rate(seen, row->left, now_ms);
	return true;
}

/* While this host is promoted: the records that other sites have, and this one not yet. */
static bool roll_row(json_t *status, uint64_t now_ms, struct cli_progress_seen *seen,
		     struct row *row)
{
	const double own = number_at(json_object_get(status, "log"), "logged");
	double most = own;
	json_t *site;
	size_t i;

	json_array_foreach(json_object_get(status, "sites"), i, site)
	{
		const double logged = number_at(json_object_get(site, "marks"), "logged");

		if (logged > most)
			most = logged;
	}
	*row = (struct row){ .what = "roll-forward of",
			     .of = agent_json_text(status, "site", "") };
	row->left = most - own;
	if (!json_is_true(json_object_get(status, "promoting")) || row->left <= 0 ||
	    own <= 0)
		return false;
	row->rate = seen_rate(seen, row->left, now_ms);
	return true;
}

void cli_progress_print(struct cli_progress *progress, json_t *status, uint64_t now_ms,
			FILE *out)
{
	struct cli_progress_seen *seen = progress != NULL ? progress->seen : NULL;
	bool any = false;
	struct row row;
	json_t *site;
	size_t i;

	json_array_foreach(json_object_get(status, "sites"), i, site)
	{
		if (i >= CONFIG_SITE_COUNT_MAX)
			break;
		if (!site_row(site, now_ms, seen != NULL ? &seen[i] : NULL, &row)) {
			if (seen != NULL)
				seen[i] = (struct cli_progress_seen){ 0 };
			continue;
		}
		fputs(any ? "" : "\n", out);
		print_row(&row, out);
		any = true;
	}
	if (roll_row(status, now_ms, seen != NULL ? &seen[CONFIG_SITE_COUNT_MAX] : NULL,
		     &row)) {
		fputs(any ? "" : "\n", out);
		print_row(&row, out);
	}
}
