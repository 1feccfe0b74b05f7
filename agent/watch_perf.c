/* watch_perf.c - see watch_perf.h. */
#include "agent/watch_perf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "agent/log.h"

#define NS_PER_S 1000000000ull

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int watch_perf_open(struct watch_perf *p, struct watch_question *question,
		    uint64_t bytes_max)
{
	*p = (struct watch_perf){ .question = question };
	return perf_file_init(&p->file, &question->instance, bytes_max);
}

static const char *reason(int error)
{
	if (error == -EWOULDBLOCK)
		return "another watcher writes it";
	if (error == -EFBIG)
		return "the rows of one period are larger than its limit";
	return strerror(-error);
}

static void say(struct watch_perf *p, int error)
{
	if (error == p->said)
		return;
	p->said = error;
	if (error == 0)
		agent_log(LOG_INFO, "%s is written again", p->file.path);
	else
		agent_log(LOG_WARNING, "no figures are written to %s: %s", p->file.path,
			  reason(error));
}

void watch_perf_period(struct watch_perf *p)
{
	json_t *now = watch_ask_status(p->question, NULL);
	const uint64_t ns = now_ns();
	char *rows = perf_rows(p->before, now, (double)(ns - p->before_ns) / 1e9,
			       (uint64_t)time(NULL));

	if (rows == NULL)
		say(p, -ENOMEM);
	else if (rows[0] != '\0')
		say(p, perf_file_add(&p->file, rows));
	free(rows);
	json_decref(p->before);
	p->before = now;
	p->before_ns = ns;
}

void watch_perf_close(struct watch_perf *p)
{
	json_decref(p->before);
	p->before = NULL;
	perf_file_close(&p->file);
}
