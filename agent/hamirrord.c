/* hamirrord.c - the daemon: one process per mirror and node.
 *
 * Checks everything that can be checked before it detaches from the terminal, so that its
 * starter sees the error and the exit status:
 *
 *   0   stopped in order
 *   1   refused: the error does not pass by itself (configuration, another
 *       daemon, a damaged voter file); a supervisor does not start it again
 *   2   usage
 *   75  failed: corosync was lost or does not run, or something was short; a
 *       supervisor starts it again (EX_TEMPFAIL of sysexits.h)
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/attach.h"
#include "agent/config.h"
#include "agent/control.h"
#include "agent/events.h"
#include "agent/files.h"
#include "agent/last_run.h"
#include "agent/limits.h"
#include "agent/log.h"
#include "agent/news.h"
#include "agent/node.h"
#include "agent/notify.h"
#include "agent/paths.h"
#include "agent/presence.h"
#include "agent/protect.h"
#include "agent/request.h"
#include "agent/verb.h"
#include "common/clock_driver.h"
#include "mirror/status.h"

#define STATUS_QUEUES_MAX 8

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

/* Time to close the rest after the drain. A device that hangs here must not keep the
 * process. */
#define TEARDOWN_S 20

/* Devices that hang while they are opened: the starter need not hang with them. */
#define START_PATIENCE_NS (10 * 1000000000ull)

struct daemon {
	struct agent_instance instance;
	const char *config_path; /* NULL: the usual place */
	bool foreground;
	int ready_fd; /* the starter waits for a byte; -1: nobody does */
	int lock_fd;
	uint32_t socket_count; /* given by the service manager */
	struct config *config;
	uint32_t self;
	struct qb_loop *loop;
	struct agent_events *events;
	struct agent_requests *requests;
	struct agent_control *control;
	struct agent_node *node;
	struct agent_news *news;
	struct agent_presence presence;
	struct agent_protection protections[AGENT_PROTECTION_COUNT];
	struct agent_run run;
	int status; /* to exit with */
	bool ending;
};

/* Until the starter is let go it sees every error; the log has it in any case. */
__attribute__((format(printf, 2, 3))) static void complain(struct daemon *d,
							   const char *format, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (!d->foreground && d->ready_fd >= 0)
		fprintf(stderr, "hamirrord: %s\n", text);
	agent_log(LOG_ERR, "%s", text);
}

/* ---- command line ---------------------------------------------------------------- */

static void usage(FILE *to)
{
	fputs("usage: hamirrord NAME[@HOST] [--config FILE] [--foreground]\n"
	      "\n"
	      "Run the mirror NAME on this node, as its host HOST (the node's own name).\n"
	      "\n"
	      "  --config FILE   instead of /etc/hamirror/NAME.yaml\n"
	      "  --foreground    stay, and log to stderr\n"
	      "  --help          this text\n"
	      "  --version       the version\n"
	      "\n"
	      "See hamirrord(8) and hamirror(8).\n",
	      to);
}

/* -1: go on; else the exit status. */
static int arguments(struct daemon *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	char text[256];
	int option;

	while ((option = getopt_long(argc, argv, "c:fhV", options, NULL)) != -1)
		switch (option) {
		case 'c':
			d->config_path = optarg;
			break;
		case 'f':
			d->foreground = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("hamirrord " PACKAGE_VERSION);
			return 0;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	if (optind != argc - 1) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (agent_instance_parse(argv[optind], &d->instance, text, sizeof text) != 0) {
		fprintf(stderr, "hamirrord: %s\n", text);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- configuration ------------------------------------------------------------------- */

static bool load_config(struct daemon *d)
{
	struct config_errors *errors = calloc(1, sizeof *errors);
	bool good;

	d->config = calloc(1, sizeof *d->config);
	if (d->config == NULL || errors == NULL) {
		complain(d, "%s: no memory for the configuration", d->instance.name);
		free(errors);
		return false;
	}
	good = config_instance_load(&d->instance, d->config_path, d->config, &d->self,
				    errors) == 0;
	for (uint32_t i = 0; !good && i < errors->count; i++)
		complain(d, "%s", errors->entry[i].text);
	if (!good && errors->dropped_count > 0)
		complain(d, "and %u more errors", errors->dropped_count);
	free(errors);
	return good;
}

/* ---- the life of the process --------------------------------------------------------- */

static void end(void *owner)
{
	struct daemon *d = owner;

	d->ending = true;
	qb_loop_stop(d->loop);
}

static void failed(void *owner, const char *text)
{
	struct daemon *d = owner;

	complain(d, "%s: %s; this process ends", d->instance.name, text);
	agent_run_note(&d->run, text);
	d->status = EX_TEMPFAIL;
	end(d);
}

static int32_t signalled(int32_t number, void *data)
{
	struct daemon *d = data;

	agent_log(LOG_INFO, "%s: stopping (%s)", d->instance.name, strsignal(number));
	agent_requests_stop(d->requests);
	return 0;
}

static bool watch_signals(struct daemon *d)
{
	qb_loop_signal_handle handle;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	return qb_loop_signal_add(d->loop, QB_LOOP_HIGH, SIGTERM, d, signalled,
				  &handle) == 0 &&
	       qb_loop_signal_add(d->loop, QB_LOOP_HIGH, SIGINT, d, signalled, &handle) ==
		       0;
}

static bool open_requests(struct daemon *d)
{
	const struct agent_requests_setup setup = {
		.loop = d->loop,
		.config = d->config,
		.instance = &d->instance,
		.events = d->events,
		.stopped = end,
		.owner = d,
	};

	d->requests = agent_requests_open(&setup);
	return d->requests != NULL;
}

/* Let the starter go, and the terminal; in the foreground, tell systemd. */
static void be_ready(struct daemon *d)
{
	const int null = d->ready_fd < 0 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);

	d->run.stood = true;
	if (d->foreground)
		agent_notify("READY=1");
	if (d->ready_fd < 0)
		return;
	if (chdir("/") != 0)
		agent_log(LOG_WARNING, "chdir /: %s", strerror(errno));
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(d->ready_fd, "", 1) != 1)
		agent_log(LOG_WARNING, "the starter is gone: %s", strerror(errno));
	close(d->ready_fd);
	d->ready_fd = -1;
}

static void waited_enough(void *data)
{
	be_ready(data);
}

/* Without a cluster the process exists only for its devices, so its starter is told whether
 * they are there. Another process that holds them may still end. */
static void opened(void *owner, int error, const char *text)
{
	struct daemon *d = owner;

	if (d->config->cluster || error == 0 || error == -EBUSY || error == -EAGAIN) {
		be_ready(d);
		return;
	}
	complain(d, "%s: %s", d->instance.name, text);
	agent_run_note(&d->run, text);
	d->status = EXIT_REFUSED;
	end(d);
}

static void replied(void *owner, uint64_t id, int exit_status, const char *text)
{
	const struct daemon *d = owner;

	agent_requests_reply(d->requests, id, exit_status, text);
}

static void status_came(void *owner, const struct status_input *status)
{
	const struct daemon *d = owner;
	struct mirror_status_queue queue[STATUS_QUEUES_MAX];
	struct status_input all = *status;

	assert(all.queue_count < STATUS_QUEUES_MAX);
	memcpy(queue, status->queue, status->queue_count * sizeof queue[0]);
	queue[all.queue_count++] = (struct mirror_status_queue){
		.name = "control connections",
		.count = agent_control_client_count(d->control),
		.count_max = AGENT_CLIENTS_MAX,
	};
	all.queue = queue;
	agent_requests_status(d->requests, &all);
}

static int open_node(struct daemon *d, char *text, size_t text_size)
{
	const struct agent_node_setup setup = {
		.loop = d->loop,
		.config = d->config,
		.instance = &d->instance,
		.self = d->self,
		.events = d->events,
		.protections = d->protections,
		.last_run = &d->run.last,
		.socket_count = d->socket_count,
		.owner = { replied, status_came, opened, failed, d },
	};
	const int error = agent_node_open(&setup, &d->node, text, text_size);

	if (error == 0) {
		agent_requests_set_node(d->requests, d->node);
		agent_news_set_node(d->news, d->node);
	}
	return error;
}

/* May the same be tried again with better luck? */
static bool passes(int error)
{
	return error == -ECONNREFUSED || error == -ENOMEM || error == -EAGAIN ||
	       error == -EIO;
}

static void tell(const struct daemon *d, const char *object, const char *text)
{
	struct agent_event e = {
		.verb = "change", .object = object, .text = text, .rule = ""
	};

	e.wall_ns = common_clock_ns(CLOCK_REALTIME);
	agent_events_add(d->events, &e);
}

/* Something of the control socket. */
static void told(void *owner, const char *text)
{
	tell(owner, "control", text);
}

/* Once: the status has it for as long as we live. */
static void tell_protections(const struct daemon *d)
{
	char text[512];

	for (uint32_t i = 0; i < AGENT_PROTECTION_COUNT; i++) {
		if (!agent_protection_is_missing(&d->protections[i]))
			continue;
		agent_protection_format(&d->protections[i], i, text, sizeof text);
		tell(d, "memory", text);
	}
}

static void client_asks(void *owner, struct agent_client *c, json_t *request)
{
	const struct daemon *d = owner;

	agent_requests_request(d->requests, c, request);
}

static void client_gone(void *owner, struct agent_client *c)
{
	const struct daemon *d = owner;

	agent_requests_gone(d->requests, c);
}

static bool is_urgent(void *owner, const json_t *request)
{
	(void)owner;
	return agent_verb_is_urgent(request);
}

static int open_control(struct daemon *d, char *text, size_t text_size)
{
	const struct agent_control_owner owner = {
		.request = client_asks,
		.gone = client_gone,
		.is_urgent = is_urgent,
		.dropped = told,
		.owner = d,
	};
	char path[PATH_MAX];
	const int error = agent_path(&d->instance, AGENT_PATH_CONTROL, path);

	if (error != 0) {
		snprintf(text, text_size, "the control socket's name is too long");
		return error;
	}
	return agent_control_open(d->loop, path, &owner, &d->control, text, text_size);
}

static int keep_presence(struct daemon *d)
{
	d->presence = (struct agent_presence){
		.loop = d->loop,
		.instance = &d->instance,
		.lock_fd = &d->lock_fd,
		.control = d->control,
		.tell = told,
		.owner = d,
	};
	return agent_presence_keep(&d->presence);
}

static bool open_events(struct daemon *d)
{
	char path[PATH_MAX];

	d->events = agent_path(&d->instance, AGENT_PATH_LOG, path) != 0 ?
			    NULL :
			    agent_events_open(path);
	d->news = d->events != NULL ? agent_news_open(d->loop, d->events) : NULL;
	return d->news != NULL;
}

/* Ours alone, and where its files go. */
static int open_places(struct daemon *d, char *text, size_t text_size)
{
	static const enum agent_path directories[] = {
		AGENT_PATH_RUN,
		AGENT_PATH_STATE,
		AGENT_PATH_LOG,
	};
	int error = 0;

	for (size_t i = 0; i < sizeof directories / sizeof directories[0] && error == 0;
	     i++)
		error = agent_make_directory_for(&d->instance, directories[i], text,
						 text_size);
	return error == 0 ? agent_lock_take(&d->instance, &d->lock_fd, text, text_size) :
			    error;
}

/* 0, or the status to exit with. */
static int open_all(struct daemon *d)
{
	char text[1024];
	int error;

	if (!load_config(d))
		return EXIT_REFUSED;
	if (agent_limits_files_raise(d->config, text, sizeof text) != 0 ||
	    agent_sockets_check(d->socket_count, d->config->node[d->self].port, text,
				sizeof text) != 0) {
		complain(d, "%s: %s", d->instance.name, text);
		return EXIT_REFUSED;
	}
	if (open_places(d, text, sizeof text) != 0) {
		complain(d, "%s", text);
		return EXIT_REFUSED;
	}
	agent_run_begin(&d->instance, &d->run);
	agent_protect(d->protections);
	d->loop = qb_loop_create();
	if (d->loop == NULL || !watch_signals(d) || !open_events(d) ||
	    !open_requests(d)) {
		complain(d, "%s: no memory", d->instance.name);
		return EX_TEMPFAIL;
	}
	tell_protections(d);
	error = agent_pid_write(&d->instance, text, sizeof text);
	if (error == 0)
		error = open_node(d, text, sizeof text);
	if (error == 0)
		error = open_control(d, text, sizeof text);
	if (error == 0)
		error = keep_presence(d);
	if (error == 0)
		return 0;
	complain(d, "%s: %s", d->instance.name, text);
	return passes(error) ? EX_TEMPFAIL : EXIT_REFUSED;
}

/* Clients last: a client that waits for the end of its connection then knows that the
 * devices are free. */
static void close_all(struct daemon *d)
{
	alarm(TEARDOWN_S);
	agent_news_close(d->news);
	agent_node_close(d->node);
	if (d->lock_fd >= 0)
		agent_pid_remove(&d->instance);
	agent_control_close(d->control);
	agent_requests_close(d->requests);
	agent_events_close(d->events);
	if (d->loop != NULL)
		qb_loop_destroy(d->loop);
	config_free(d->config);
	agent_run_end(&d->instance, &d->run, d->status);
	/* The process whose pid the file names ends now. */
	if (d->lock_fd >= 0 && ftruncate(d->lock_fd, 0) != 0)
		agent_log(LOG_WARNING, "%s: lock: %s", d->instance.name, strerror(errno));
	agent_log_close();
}

/* ---- detach from the terminal ------------------------------------------------------- */

/* Wait for the daemon to stand or fall, and exit as it says. */
static void wait_for_daemon(pid_t pid, int ready_fd)
{
	char byte, end[64];
	int status;

	if (read(ready_fd, &byte, 1) == 1)
		_exit(0);
	if (waitpid(pid, &status, 0) != pid)
		_exit(EX_TEMPFAIL);
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	agent_process_end_format(status, end, sizeof end);
	fprintf(stderr, "hamirrord: the daemon %s before it stood\n", end);
	_exit(EX_TEMPFAIL);
}

static bool detach(struct daemon *d)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) != 0)
		return false;
	pid = fork();
	if (pid < 0)
		return false;
	if (pid > 0) {
		close(fd[1]);
		wait_for_daemon(pid, fd[0]);
	}
	close(fd[0]);
	d->ready_fd = fd[1];
	setsid();
	return true;
}

static bool set_patience(struct daemon *d)
{
	qb_loop_timer_handle timer;

	return qb_loop_timer_add(d->loop, QB_LOOP_LOW, START_PATIENCE_NS, d,
				 waited_enough, &timer) == 0;
}

int main(int argc, char **argv)
{
	static struct daemon d = { .ready_fd = -1, .lock_fd = -1 };
	int exit_now;

	if (argc > 1 && strcmp(argv[1], AGENT_ATTACH_HELPER) == 0)
		return agent_attach_helper(argc, argv);
	d.socket_count = agent_sockets_given();
	agent_process_begin(d.socket_count);
	exit_now = arguments(&d, argc, argv);
	if (exit_now >= 0)
		return exit_now;
	if (!d.foreground && !detach(&d)) {
		fprintf(stderr, "hamirrord: cannot detach: %s\n", strerror(errno));
		return EX_TEMPFAIL;
	}
	agent_log_open("hamirrord", d.foreground);
	d.status = open_all(&d);
	if (d.status == 0 && d.config->cluster)
		be_ready(&d);
	else if (d.status == 0 && !set_patience(&d))
		d.status = EX_TEMPFAIL;
	if (d.status == 0) {
		agent_log(LOG_INFO, "%s: started", d.instance.name);
		if (!d.ending)
			qb_loop_run(d.loop);
		agent_log(LOG_INFO, "%s: ended", d.instance.name);
	}
	close_all(&d);
	return d.status;
}
