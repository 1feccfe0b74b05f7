/* watch_throttle.c - see watch_throttle.h.
 *
 * What slows the daemon has an end of its own, three periods from now, and is said again in
 * each: if this process is killed, stopped or hangs, the daemon goes on at full speed. What
 * may take its time runs in a process of its own (watch_run.h).
 */
#include "agent/watch_throttle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "agent/config_throttles.h"
#include "agent/log.h"
#include "agent/throttle.h"
#include "agent/watch_ask.h"
#include "agent/watch_file.h"
#include "agent/watch_figures.h"
#include "agent/watch_process.h"
#include "agent/watch_run.h"
#include "common/clock_driver.h"

#define LEASE_PERIODS 3u
#define MAIL_SECONDS 60u
#define MODE_SECONDS 60u
#define TIME_BYTES 32
#define TEXT_BYTES 2048
#define VARIABLES_MAX 16u
#define VARIABLE_BYTES 128u

extern char **environ;

/* What the daemon was told last. */
struct pacing {
	uint32_t sleep_us, delay_us;
	uint64_t bytes_per_s;
};

struct watch_throttle {
	const struct agent_instance *instance;
	const char *path; /* of the file, as config_instance_load() takes it */
	struct watch_file file;
	const struct config *config; /* `own`, or what the watcher began with */
	struct config *own;          /* read since then, or NULL */
	const struct throttles *throttles;
	const char *host;
	bool (*left_out)[THROTTLE_ACTIONS_MAX]; /* was told; NULL: no memory */
	enum watch_part part;
	struct throttle_state state;
	struct throttle_figures figures; /* of this period */
	struct watch_counted counted;
	struct watch_question question;
	struct watch_runs runs;
	struct pacing told;
	json_t *status; /* of this period */
	char time[TIME_BYTES];
	int stop; /* an eventfd */
	pthread_t thread;
};

/* ---- actions --------------------------------------------------------------- */

static void console(const char *text)
{
	const int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	char line[TEXT_BYTES + 4];
	const int length = snprintf(line, sizeof line, "%s\r\n", text);
	const bool written = fd >= 0 && write(fd, line, (size_t)length) == length;

	if (!written)
		agent_log(LOG_CRIT, "for the console: %s", text);
	if (fd >= 0)
		close(fd);
}

static void run(struct watch_throttle *w, const struct throttle *t,
		const struct throttle_action *a, char *const argv[], char *const envp[],
		const char *input, uint32_t seconds)
{
	char name[96];
	int error;

	snprintf(name, sizeof name, "%s of throttle %s", throttle_verb_words[a->verb],
		 t->name);
	error = watch_run_begin(&w->runs, a, name, argv, envp, input, seconds);
	if (error == -EBUSY)
		agent_log(LOG_WARNING, "%s: not begun, since it still runs", name);
	else if (error == -EAGAIN)
		agent_log(LOG_WARNING, "%s: not begun, since %u commands run", name,
			  WATCH_RUNS_MAX);
	else if (error != 0)
		agent_log(LOG_WARNING, "%s: %s: %s", name, argv[0], strerror(-error));
}

static void mail(struct watch_throttle *w, const struct throttle *t,
		 const struct throttle_action *a, const char *text)
{
	char *argv[] = { (char[]){ "sendmail" }, (char[]){ "-i" }, (char[]){ "--" },
			 a->to, NULL };
	char message[TEXT_BYTES + 512];

	snprintf(message, sizeof message,
		 "To: %s\nSubject: hamirror %s on %s: %s\n\n%s\n", a->to,
		 w->config->mirror, w->host, t->name, text);
	run(w, t, a, argv, environ, message, MAIL_SECONDS);
}

static bool is_wanted(const struct watch_throttle *w, const struct throttle_action *a)
{
	const json_t *promise = json_object_get(w->status, "promise_wanted");
	const char *mode = json_string_value(json_object_get(promise, "mode"));
	const json_int_t records = json_integer_value(
		json_object_get(promise, "records"));
	const json_int_t ms = json_integer_value(json_object_get(promise, "ms"));

	return mode != NULL && strcmp(mode, config_mode_words[a->mode]) == 0 &&
	       ((a->records == 0 && a->ms == 0) ||
		(records == a->records && ms == a->ms));
}

static void change_mode(struct watch_throttle *w, const struct throttle *t,
			const struct throttle_action *a)
{
	char instance[sizeof w->instance->name], mode[16], records[16], ms[16];
	char records_option[] = "--records", ms_option[] = "--ms";
	char *argv[9] = { (char[]){ "hamirror" }, (char[]){ "mode" }, instance, mode };
	uint32_t count = 4;

	if (is_wanted(w, a))
		return;
	snprintf(instance, sizeof instance, "%s", w->instance->name);
	snprintf(mode, sizeof mode, "%s", config_mode_words[a->mode]);
	snprintf(records, sizeof records, "%" PRIu32, a->records);
	snprintf(ms, sizeof ms, "%" PRIu32, a->ms);
	if (a->records != 0) {
		argv[count++] = records_option;
		argv[count++] = records;
	}
	if (a->ms != 0) {
		argv[count++] = ms_option;
		argv[count++] = ms;
	}
	run(w, t, a, argv, environ, NULL, MODE_SECONDS);
}

/* HAMIRROR_NETKBPS and so on; one that is not known is empty. */
static void figure_variable(const struct throttle_figures *f, uint32_t test,
			    char text[VARIABLE_BYTES])
{
	char name[24], value[24] = "";

	snprintf(name, sizeof name, "%s", throttle_test_words[test]);
	for (char *c = name; *c != '\0'; c++)
		*c = *c == '-' ? '_' : (char)(*c - 'a' + 'A');
	if (f->known[test])
		throttle_value_text(test, f->value[test], value, sizeof value);
	snprintf(text, VARIABLE_BYTES, "HAMIRROR_%s=%s", name, value);
}

static const char *part_word(const struct watch_throttle *w)
{
	return w->state.at_copy ? "copy" : "production";
}

static uint32_t fill_variables(const struct watch_throttle *w, const struct throttle *t,
			       char text[VARIABLES_MAX][VARIABLE_BYTES])
{
	char value[24];
	uint32_t i = 0;

	throttle_value_text(t->test, w->figures.value[t->test], value, sizeof value);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_MIRROR=%s", w->config->mirror);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_HOST=%s", w->host);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_PART=%s", part_word(w));
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_THROTTLE=%s", t->name);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_TEST=%s",
		 throttle_test_words[t->test]);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_VALUE=%s", value);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_TIME=%s", w->time);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_SLEEP_US=%" PRIu32,
		 w->state.sleep_us);
	snprintf(text[i++], VARIABLE_BYTES, "HAMIRROR_DELAY_US=%" PRIu32,
		 w->state.delay_us);
	for (uint32_t test = 0; test < THROTTLE_TEST_COUNT; test++)
		figure_variable(&w->figures, test, text[i++]);
	return i;
}

/* Is there another value of it? A shell would take the last one. */
static bool is_among(const char *variable, char text[VARIABLES_MAX][VARIABLE_BYTES],
		     uint32_t count)
{
	const size_t length = strcspn(variable, "=");
	uint32_t i = 0;

	while (i < count &&
	       (strncmp(text[i], variable, length) != 0 || text[i][length] != '='))
		i++;
	return i < count;
}

static void execute(struct watch_throttle *w, const struct throttle *t,
		    const struct throttle_action *a)
{
	char *argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, a->text, NULL };
	char variables[VARIABLES_MAX][VARIABLE_BYTES];
	const uint32_t count = fill_variables(w, t, variables);
	size_t old = 0;
	char **envp;

	while (environ[old] != NULL)
		old++;
	envp = calloc(old + count + 1, sizeof *envp);
	if (envp == NULL) {
		agent_log(LOG_WARNING, "exec of throttle %s: no memory", t->name);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		envp[i] = variables[i];
	old = count;
	for (char **other = environ; *other != NULL; other++)
		if (!is_among(*other, variables, count))
			envp[old++] = *other;
	run(w, t, a, argv, envp, NULL, a->seconds);
	free(envp);
}

/* A copy slows nothing: what it takes in later production waits for, or keeps in its log. */
static void leave_out(struct watch_throttle *w, const struct throttle *t,
		      const struct throttle_action *a)
{
	bool *told = w->left_out == NULL ?
			     NULL :
			     &w->left_out[t - w->throttles->throttle][a - t->action];

	if (told == NULL || !*told)
		agent_log(LOG_WARNING,
			  "throttle %s: %s is left out, since this host is a copy: it is "
			  "for production alone",
			  t->name, throttle_verb_words[a->verb]);
	if (told != NULL)
		*told = true;
}

static void act(void *data, const struct throttle *t, const struct throttle_action *a)
{
	struct watch_throttle *w = data;
	char text[TEXT_BYTES];

	if (w->state.at_copy && throttle_slows(a)) {
		leave_out(w, t, a);
		return;
	}
	if (a->verb == THROTTLE_MODE) {
		change_mode(w, t, a);
		return;
	}
	if (a->verb == THROTTLE_EXEC) {
		execute(w, t, a);
		return;
	}
	throttle_text(t, a, &w->figures, w->config->mirror, w->host, w->time, text,
		      sizeof text);
	if (a->verb == THROTTLE_LOG)
		agent_log(LOG_WARNING, "%s", text);
	else if (a->verb == THROTTLE_CONSOLE)
		console(text);
	else if (a->verb == THROTTLE_MAIL)
		mail(w, t, a, text);
}

/* ---- a period -------------------------------------------------------------- */

static void pace(struct watch_throttle *w, uint64_t bytes_per_s)
{
	const struct pacing want = { w->state.sleep_us, w->state.delay_us, bytes_per_s };
	const uint32_t lease_ms = LEASE_PERIODS * w->throttles->period_ms +
				  WATCH_ANSWER_MS;
	const bool any = want.sleep_us != 0 || want.delay_us != 0 ||
			 want.bytes_per_s != 0;
	const bool was = w->told.sleep_us != 0 || w->told.delay_us != 0 ||
			 w->told.bytes_per_s != 0;
	json_t *reply;

	if (!any && !was)
		return;
	reply = watch_ask(&w->question,
			  json_pack("{s:s, s:I, s:I, s:I, s:I}", "command", "throttle",
				    "sleep_us", (json_int_t)want.sleep_us, "delay_us",
				    (json_int_t)want.delay_us, "bytes_per_s",
				    (json_int_t)want.bytes_per_s, "lease_ms",
				    (json_int_t)lease_ms),
			  NULL);
	/* Without an answer it may have taken it all the same, and then has to be told its end. */
	if (reply != NULL || any)
		w->told = want;
	json_decref(reply);
}

/* The second of the local day; `w->time` as text. */
static uint32_t look_at_clock(struct watch_throttle *w)
{
	const time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	strftime(w->time, sizeof w->time, "%Y-%m-%d %H:%M:%S", &local);
	return (uint32_t)((local.tm_hour * 60 + local.tm_min) * 60 + local.tm_sec) %
	       THROTTLE_DAY_S;
}

/* What was counted and told as another part is over. */
static void take_part(struct watch_throttle *w, enum watch_part part)
{
	if (w->part == part)
		return;
	w->part = part;
	w->counted = (struct watch_counted){ 0 };
	throttle_rest(&w->state, part == WATCH_AT_COPY);
	if (w->left_out != NULL)
		memset(w->left_out, 0, w->throttles->count * sizeof *w->left_out);
}

static void period(struct watch_throttle *w)
{
	const uint32_t second = look_at_clock(w);
	struct watch_process process;
	bool is_there;
	pid_t pid;

	w->status = watch_ask_status(&w->question, &pid);
	if (w->status == NULL)
		return;
	take_part(w, watch_part(w->status));
	if (w->part != WATCH_NO_PART) {
		is_there = pid > 0 && watch_process_read(pid, &process) == 0;
		watch_figures(w->status, is_there ? &process : NULL,
			      common_clock_ns(CLOCK_MONOTONIC), &w->counted, &w->figures);
		throttle_period(w->throttles, &w->state, &w->figures, second, act, w);
	}
	pace(w, w->part == WATCH_AT_PRODUCTION ?
			throttle_bandwidth(w->throttles, second) :
			0);
	json_decref(w->status);
	w->status = NULL;
}

/* ---- the file -------------------------------------------------------------- */

/* Throttles of this configuration from now on, with no sleep, no delay and no crossing. */
static void take_config(struct watch_throttle *w, const struct config *config)
{
	static const struct throttles none = { .period_ms = THROTTLE_PERIOD_MS,
					       .bandwidth_from_s = THROTTLE_ALWAYS,
					       .bandwidth_to_s = THROTTLE_ALWAYS };

	w->config = config;
	w->throttles = config->throttles != NULL ? config->throttles : &none;
	w->state = (struct throttle_state){ 0 };
	w->part = WATCH_NO_PART;
	free(w->left_out);
	w->left_out = calloc(w->throttles->count, sizeof *w->left_out);
}

static bool are_same(const struct throttles *a, const struct throttles *b)
{
	json_t *one = config_throttles_json(a), *other = config_throttles_json(b);
	const bool same = json_equal(one, other) == 1;

	json_decref(one);
	json_decref(other);
	return same;
}

static void read_again(struct watch_throttle *w)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	uint32_t node;
	int error = -ENOMEM;

	if (config != NULL && errors != NULL)
		error = config_instance_load(w->instance, w->path, config, &node, errors);
	if (error != 0) {
		agent_log(LOG_WARNING, "throttles stay as they were: %s",
			  errors != NULL && errors->count > 0 ? errors->entry[0].text :
								strerror(-error));
	} else if (!are_same(config->throttles, w->config->throttles)) {
		take_config(w, config);
		config_free(w->own);
		w->own = config;
		config = NULL;
		agent_log(LOG_NOTICE, "%s has changed: it has %u throttles now",
			  w->file.path, w->throttles->count);
	}
	free(errors);
	config_free(config);
}

/* Until something is to be done; false: to end. */
static bool wait_for_work(struct watch_throttle *w, uint64_t period_ns)
{
	struct pollfd fds[2 + WATCH_RUNS_MAX] = { { .fd = w->stop, .events = POLLIN },
						  { .fd = w->file.fd,
						    .events = POLLIN } };
	const int run_ms = watch_runs_look(&w->runs);
	const int period_ms = (int)((period_ns + 999999) / 1000000);
	const nfds_t count = 2 + watch_runs_poll(&w->runs, fds + 2);

	poll(fds, count, run_ms >= 0 && run_ms < period_ms ? run_ms : period_ms);
	return (fds[0].revents & POLLIN) == 0;
}

/* Does each period ask the daemon? */
static bool has_work(const struct watch_throttle *w)
{
	return w->throttles->count > 0 || w->throttles->bandwidth != 0 ||
	       w->told.sleep_us != 0 || w->told.delay_us != 0 || w->told.bytes_per_s != 0;
}

static void *work(void *data)
{
	struct watch_throttle *w = data;
	uint64_t wait_ns;

	/* Where a daemon answers late the next period is due at once; all else has its turn. */
	do {
		if (watch_file_look(&w->file))
			read_again(w);
		wait_ns = throttle_wait_ns(w->throttles, &w->state,
					   common_clock_ns(CLOCK_MONOTONIC));
		if (wait_ns == 0 && has_work(w))
			period(w);
	} while (wait_for_work(w, wait_ns));
	throttle_rest(&w->state, false);
	pace(w, 0);
	watch_runs_end(&w->runs);
	watch_question_close(&w->question);
	return NULL;
}

/* ---- its life -------------------------------------------------------------- */

static void destroy(struct watch_throttle *w)
{
	if (w->stop >= 0)
		close(w->stop);
	watch_file_close(&w->file);
	config_free(w->own);
	free(w->left_out);
	free(w);
}

int watch_throttle_open(const struct agent_instance *instance, const char *path,
			const struct config *config, const char *host,
			struct watch_throttle **opened)
{
	struct watch_throttle *w = calloc(1, sizeof *w);
	char usual[PATH_MAX];
	int error;

	*opened = NULL;
	if (w == NULL)
		return -ENOMEM;
	agent_path(instance, AGENT_PATH_CONFIG, usual); /* it was read from there */
	watch_file_open(&w->file, path != NULL ? path : usual);
	watch_question_init(&w->question, instance);
	w->instance = instance;
	w->path = path;
	w->host = host;
	take_config(w, config);
	w->stop = eventfd(0, EFD_CLOEXEC);
	error = w->stop < 0 ? -errno : 0;
	if (error == 0)
		error = -pthread_create(&w->thread, NULL, work, w);
	if (error == 0)
		*opened = w;
	else
		destroy(w);
	return error;
}

void watch_throttle_close(struct watch_throttle *w)
{
	const uint64_t one = 1;

	if (w == NULL)
		return;
	if (write(w->stop, &one, sizeof one) == (ssize_t)sizeof one)
		pthread_join(w->thread, NULL);
	destroy(w);
}
