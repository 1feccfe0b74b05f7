/* last_run.c - see last_run.h. */
#include "agent/last_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "agent/events.h"
#include "agent/files.h"
#include "agent/last_words.h"
#include "agent/log.h"
#include "common/clock_driver.h"

#define BOOT_BYTES 40
#define NS_PER_S 1000000000ull

/* ---- files ---------------------------------------------------------------------- */

static int record_path(const struct agent_instance *instance, const char *suffix,
		       char path[PATH_MAX])
{
	const int error = agent_path(instance, AGENT_PATH_STATE, path);
	const size_t at = strlen(path);

	if (error != 0)
		return error;
	return snprintf(path + at, PATH_MAX - at, "/run%s", suffix) <
			       (int)(PATH_MAX - at) ?
		       0 :
		       -ENAMETOOLONG;
}

/* After a power cut the record is the old one or this one, whole. */
static int write_record(const struct agent_instance *instance, const char *text)
{
	char path[PATH_MAX], fresh[PATH_MAX], folder[PATH_MAX];
	const size_t length = strlen(text);
	int error = record_path(instance, "", path), fd = -1, folder_fd;

	if (error == 0)
		error = record_path(instance, ".new", fresh);
	if (error == 0)
		error = agent_path(instance, AGENT_PATH_STATE, folder);
	if (error != 0)
		return error;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	errno = EIO;
	if (write(fd, text, length) != (ssize_t)length || fsync(fd) != 0 ||
	    rename(fresh, path) != 0)
		error = -errno;
	close(fd);
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (error == 0 && (folder_fd < 0 || fsync(folder_fd) != 0))
		error = -errno;
	if (folder_fd >= 0)
		close(folder_fd);
	return error;
}

static void read_boot(char boot[BOOT_BYTES])
{
	agent_text_read("/proc/sys/kernel/random/boot_id", boot, BOOT_BYTES);
	boot[strcspn(boot, "\n")] = '\0';
}

/* ---- how it ended ------------------------------------------------------------------ */

const char *agent_run_end_word(enum agent_run_end end)
{
	static const char *const words[] = {
		[AGENT_RUN_NONE] = "unknown",  [AGENT_RUN_ORDERLY] = "in order",
		[AGENT_RUN_FAILED] = "failed", [AGENT_RUN_DIED] = "died",
		[AGENT_RUN_KILLED] = "killed", [AGENT_RUN_MACHINE] = "machine",
	};

	return words[end];
}

/* The rest of the line that begins with `name` and a blank, or NULL. The line ends there. */
static char *value_of(char *text, const char *name)
{
	const size_t length = strlen(name);

	for (char *line = text, *end; line != NULL; line = end != NULL ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (strncmp(line, name, length) != 0 || line[length] != ' ')
			continue;
		line[length] = '\0';
		if (end != NULL)
			*end = '\0';
		return line + length + 1;
	}
	return NULL;
}

static uint64_t time_of(const char *seconds)
{
	return seconds == NULL ? 0 : (uint64_t)(strtod(seconds, NULL) * 1e9);
}

/* Its last words, if they are of this run. */
static bool has_words(const struct agent_instance *instance, const char *run,
		      struct agent_last_run *last)
{
	char text[1024], *of, *assertion, *died, *reason, when[32];

	if (agent_path(instance, AGENT_PATH_CRASH, last->path) != 0 ||
	    agent_text_read(last->path, text, sizeof text) != 0)
		goto none;
	/* From the end: each cuts the text behind it. */
	assertion = value_of(text, "assertion");
	died = value_of(text, "died");
	of = value_of(text, "run");
	reason = strstr(text, " died: ");
	if (of == NULL || strcmp(of, run) != 0 || reason == NULL)
		goto none;
	reason += strlen(" died: ");
	reason[strcspn(reason, "\n")] = '\0';
	last->end = AGENT_RUN_DIED;
	last->wall_ns = time_of(died);
	agent_event_time_format(last->wall_ns, when);
	snprintf(last->text, sizeof last->text,
		 "The last run of this daemon died at %s: %s%s; %.256s tells more", when,
		 assertion != NULL ? "an assertion failed: " : "",
		 assertion != NULL ? assertion : reason, last->path);
	return true;
none:
	last->path[0] = '\0';
	return false;
}

static void without_a_word(const char *run, struct agent_last_run *last)
{
	char boot[BOOT_BYTES], began[32];
	const char *its = strrchr(run, ' ');

	read_boot(boot);
	agent_event_time_format(strtoull(run, NULL, 10), began);
	last->end = its != NULL && strcmp(its + 1, boot) == 0 ? AGENT_RUN_KILLED :
								AGENT_RUN_MACHINE;
	snprintf(
		last->text, sizeof last->text,
		"The last run of this daemon, which began at %s, ended without a word: %s",
		began,
		last->end == AGENT_RUN_KILLED ?
			"it was killed (kill -9, a stop with --kill, or the kernel for "
			"want of memory), or its log folder took no words" :
			"the machine stopped or was reset, or the process was killed "
			"before that");
}

static void with_an_end(char *ended, struct agent_last_run *last)
{
	char *at, when[32];
	long status;

	last->wall_ns = strtoull(ended, &at, 10);
	status = strtol(at, &at, 10);
	at += *at == ' ';
	agent_event_time_format(last->wall_ns, when);
	last->end = status == 0 ? AGENT_RUN_ORDERLY : AGENT_RUN_FAILED;
	if (status == 0)
		snprintf(last->text, sizeof last->text,
			 "The last run of this daemon ended in order at %s", when);
	else
		snprintf(
			last->text, sizeof last->text,
			"The last run of this daemon failed at %s, with exit status %ld: "
			"%s",
			when, status, at);
}

static void judge(const struct agent_instance *instance, const char *record,
		  struct agent_last_run *last)
{
	char text[AGENT_RUN_RECORD_BYTES], *ended, *run;

	snprintf(text, sizeof text, "%s", record);
	ended = value_of(text, "ended");
	run = value_of(text, "run");
	if (run == NULL)
		snprintf(
			last->text, sizeof last->text,
			"How the last run of this daemon ended is not known: its record is "
			"damaged");
	else if (ended != NULL)
		with_an_end(ended, last);
	else if (!has_words(instance, run, last))
		without_a_word(run, last);
}

void agent_last_run_read(const struct agent_instance *instance,
			 struct agent_last_run *last)
{
	char path[PATH_MAX], record[AGENT_RUN_RECORD_BYTES];
	int error = record_path(instance, "", path);

	*last = (struct agent_last_run){ .end = AGENT_RUN_NONE };
	if (error == 0)
		error = agent_text_read(path, record, sizeof record);
	if (error == 0)
		judge(instance, record, last);
	else if (error != -ENOENT)
		snprintf(last->text, sizeof last->text,
			 "How the last run of this daemon ended is not known: %.256s: %s",
			 path, strerror(-error));
}

/* ---- a run --------------------------------------------------------------------------- */

static int record_begin(const struct agent_instance *instance, struct agent_run *run)
{
	char path[PATH_MAX], boot[BOOT_BYTES], record[AGENT_RUN_LINE_BYTES + 8];
	const int error = record_path(instance, "", path);

	if (error != 0)
		return error;
	read_boot(boot);
	snprintf(run->line, sizeof run->line, "%" PRIu64 " %ld %s",
		 common_clock_ns(CLOCK_REALTIME), (long)getpid(), boot);
	agent_text_read(path, run->before, sizeof run->before);
	snprintf(record, sizeof record, "run %s\n", run->line);
	return write_record(instance, record);
}

void agent_run_begin(const struct agent_instance *instance, struct agent_run *run)
{
	char who[3 * CONFIG_NAME_MAX], path[PATH_MAX];
	int error;

	*run = (struct agent_run){ .recorded = false };
	agent_last_run_read(instance, &run->last);
	error = record_begin(instance, run);
	run->recorded = error == 0;
	if (error != 0)
		agent_log(LOG_WARNING,
			  "%s: the next run will not know how this one ended: its record "
			  "cannot be written: %s",
			  instance->name, strerror(-error));
	if (agent_path(instance, AGENT_PATH_CRASH, path) != 0)
		path[0] = '\0';
	snprintf(who, sizeof who, "hamirrord " PACKAGE_VERSION " %s", instance->name);
	agent_last_words_open(who, run->line, path);
}

void agent_run_note(struct agent_run *run, const char *why)
{
	snprintf(run->why, sizeof run->why, "%s", why);
	for (char *at = strchr(run->why, '\n'); at != NULL; at = strchr(at, '\n'))
		*at = ' ';
}

static void undo(const struct agent_instance *instance, const struct agent_run *run)
{
	char path[PATH_MAX];

	if (run->before[0] != '\0')
		write_record(instance, run->before);
	else if (record_path(instance, "", path) == 0)
		unlink(path);
}

void agent_run_end(const struct agent_instance *instance, const struct agent_run *run,
		   int status)
{
	char record[AGENT_RUN_RECORD_BYTES];

	if (!run->recorded)
		return;
	if (!run->stood) {
		undo(instance, run);
		return;
	}
	snprintf(record, sizeof record, "run %s\nended %" PRIu64 " %d %s\n", run->line,
		 common_clock_ns(CLOCK_REALTIME), status, run->why);
	write_record(instance, record);
}
