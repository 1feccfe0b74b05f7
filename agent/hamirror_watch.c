/* hamirror_watch.c - a mirror's watcher on one node: its figures, over HTTP and in a file, and
 * its throttles.
 *
 * A process of its own: whatever becomes of it, the daemon serves on. It asks the daemon over
 * the control socket: when it is asked itself, so that no answer is an old one, and once a
 * period for the performance file and for the throttles.
 *
 *   0   stopped by a signal
 *   1   refused: the configuration, an address that is taken, a file that cannot be read
 *   2   usage
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/files.h"
#include "agent/log.h"
#include "agent/notify.h"
#include "agent/watch_ask.h"
#include "agent/watch_http.h"
#include "agent/watch_metrics.h"
#include "agent/watch_perf.h"
#include "agent/watch_process.h"
#include "agent/watch_throttle.h"

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

#define FILE_BYTES_MAX 65536
#define PERIOD_S_MAX 86400
#define PATH_MORE ":/usr/sbin:/usr/lib"

/* Of the line's port, where no other is named: two mirrors of a node have two. */
#define PORT_BEYOND 1000

struct watch {
	struct agent_instance instance;
	const char *config_path; /* NULL: the usual place */
	const char *listen;      /* ADDRESS:PORT, or NULL */
	const char *certificate_path, *key_path, *token_path;
	char certificate[FILE_BYTES_MAX], key[FILE_BYTES_MAX], token[256];
	struct config *config;
	uint32_t self;
	struct addrinfo *address;
	struct watch_question question;
	struct watch_perf perf;
	uint32_t period_s;
	uint64_t perf_bytes;
};

__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...)
{
	va_list ap;

	fputs("hamirror-watch: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_REFUSED;
}

static void usage(FILE *out)
{
	fputs("usage: hamirror-watch NAME[@HOST] [OPTION...]\n"
	      "\n"
	      "Tell the figures of a mirror on this node, at http://ADDRESS:PORT/metrics.\n"
	      "\n"
	      "  --listen ADDRESS:PORT  by default 127.0.0.1, and the port of the line and\n"
	      "                         1000; beyond loopback only with the next three\n"
	      "  --certificate FILE     of TLS, PEM\n"
	      "  --key FILE             its key, PEM\n"
	      "  --token FILE           whoever asks has to know the token in FILE\n"
	      "  --period SECONDS       between two rows of the performance file, by\n"
	      "                         default 10; 0: no file\n"
	      "  --perf-size SIZE       limit of that file, by default 64K\n"
	      "  --config FILE          instead of /etc/hamirror/NAME.yaml\n"
	      "  --help, --version\n"
	      "\n"
	      "See hamirror-watch(8).\n",
	      out);
}

/* ---- arguments ------------------------------------------------------------------------ */

static bool take_period(struct watch *w, const char *text)
{
	char *end;
	const unsigned long seconds = strtoul(text, &end, 10);

	w->period_s = (uint32_t)seconds;
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && seconds <= PERIOD_S_MAX)
		return true;
	refuse("--period %s: seconds are expected, from 1 to %d; 0: no performance file",
	       text, PERIOD_S_MAX);
	return false;
}

static bool take_size(struct watch *w, const char *text)
{
	if (config_size_of(text, PERF_FILE_BYTES_MAX, &w->perf_bytes) &&
	    w->perf_bytes >= PERF_FILE_BYTES_MIN)
		return true;
	refuse("--perf-size %s: bytes are expected, or with K, M or G, from 64K to 1G",
	       text);
	return false;
}

/* Returns the status to exit with, or -1: go on. */
static int take_options(struct watch *w, int argc, char **argv)
{
	static const struct option options[] = {
		{ "certificate", required_argument, NULL, 'C' },
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "key", required_argument, NULL, 'k' },
		{ "listen", required_argument, NULL, 'l' },
		{ "period", required_argument, NULL, 'p' },
		{ "perf-size", required_argument, NULL, 's' },
		{ "token", required_argument, NULL, 't' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char **const text[] = {
		['C'] = &w->certificate_path, ['c'] = &w->config_path,
		['k'] = &w->key_path,         ['l'] = &w->listen,
		['t'] = &w->token_path,
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("hamirror-watch " PACKAGE_VERSION);
			return 0;
		case '?':
			usage(stderr);
			return EXIT_USAGE;
		case 'p':
			if (!take_period(w, optarg))
				return EXIT_USAGE;
			break;
		case 's':
			if (!take_size(w, optarg))
				return EXIT_USAGE;
			break;
		default:
			*text[option] = optarg;
			break;
		}
	return -1;
}

static int arguments(struct watch *w, int argc, char **argv)
{
	char text[256];
	const int status = take_options(w, argc, argv);

	if (status >= 0)
		return status;
	if (optind != argc - 1) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (agent_instance_parse(argv[optind], &w->instance, text, sizeof text) != 0) {
		refuse("%s", text);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- what it begins with -------------------------------------------------------------- */

/* Split "ADDRESS:PORT", "[ADDRESS]:PORT" of IPv6. */
static bool split(const char *text, char *address, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon != NULL ? (size_t)(colon - text) : 0;

	if (length > 1 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length == 0 || length >= size || colon[1] == '\0')
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	*port = colon + 1;
	return true;
}

static bool is_loopback(const struct sockaddr *a)
{
	static const uint8_t six[16] = { [15] = 1 };

	if (a->sa_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
			      six, sizeof six) == 0;
	return a->sa_family == AF_INET &&
	       ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >>
			       24 ==
		       127;
}

static int find_address(struct watch *w)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST |
						    AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	const uint32_t default_port = w->config->node[w->self].port + PORT_BEYOND;
	char address[256] = "127.0.0.1", number[16];
	const char *port = number;
	int error;

	snprintf(number, sizeof number, "%" PRIu32, default_port);
	if (w->listen == NULL && default_port > UINT16_MAX)
		return refuse("port %" PRIu32 " does not exist: name one by --listen "
			      "127.0.0.1:PORT",
			      default_port);
	if (w->listen != NULL && !split(w->listen, address, sizeof address, &port))
		return refuse("--listen %s: ADDRESS:PORT is expected, of IPv6 "
			      "[ADDRESS]:PORT",
			      w->listen);
	error = getaddrinfo(address, port, &hints, &w->address);
	if (error != 0)
		return refuse("--listen %s: %s", w->listen != NULL ? w->listen : port,
			      gai_strerror(error));
	if (!is_loopback(w->address->ai_addr) &&
	    (w->certificate_path == NULL || w->token_path == NULL))
		return refuse("--listen %s: beyond loopback --certificate, --key and "
			      "--token are needed",
			      w->listen);
	return 0;
}

static int read_file(const char *option, const char *path, char *text, size_t size)
{
	const int error = agent_text_read(path, text, size);

	if (error != 0)
		return refuse("--%s %s: %s", option, path, strerror(-error));
	if (strlen(text) == size - 1)
		return refuse("--%s %s: it is longer than %zu bytes", option, path,
			      size - 2);
	if (strcspn(text, "\r\n") == 0)
		return refuse("--%s %s: it is empty", option, path);
	return 0;
}

static int read_files(struct watch *w)
{
	int status = 0;

	if ((w->certificate_path == NULL) != (w->key_path == NULL))
		return refuse("--certificate and --key go together");
	if (w->certificate_path != NULL)
		status = read_file("certificate", w->certificate_path, w->certificate,
				   sizeof w->certificate);
	if (status == 0 && w->key_path != NULL)
		status = read_file("key", w->key_path, w->key, sizeof w->key);
	if (status == 0 && w->token_path != NULL)
		status = read_file("token", w->token_path, w->token, sizeof w->token);
	w->token[strcspn(w->token, "\r\n")] = '\0';
	return status;
}

/* ---- the figures ---------------------------------------------------------------------- */

static char *metrics(void *owner)
{
	struct watch *w = owner;
	struct watch_process process;
	pid_t pid;
	json_t *status = watch_ask_status(&w->question, &pid);
	const bool is_there = pid > 0 && watch_process_read(pid, &process) == 0;
	char *text = watch_metrics(w->config, w->config->node[w->self].name, status,
				   is_there ? &process : NULL);

	json_decref(status);
	return text;
}

/* ---- the life of the process ---------------------------------------------------------- */

/* Has one of the signals come before so many seconds were over? By a clock that nobody sets. */
static bool ends_within(const sigset_t *end, uint32_t seconds)
{
	struct timespec now, until, left = { .tv_sec = seconds };

	clock_gettime(CLOCK_BOOTTIME, &until);
	until.tv_sec += seconds;
	while (left.tv_sec >= 0 && sigtimedwait(end, NULL, &left) < 0) {
		if (errno == EAGAIN)
			return false;
		clock_gettime(CLOCK_BOOTTIME, &now);
		left.tv_sec = until.tv_sec - now.tv_sec - (until.tv_nsec < now.tv_nsec);
		left.tv_nsec = until.tv_nsec - now.tv_nsec +
			       (until.tv_nsec < now.tv_nsec ? 1000000000 : 0);
	}
	return left.tv_sec >= 0;
}

static void wait_for_end(struct watch *w, const sigset_t *end)
{
	int number;

	if (w->period_s == 0)
		while (sigwait(end, &number) != 0)
			;
	else
		do
			watch_perf_period(&w->perf);
		while (!ends_within(end, w->period_s));
}

static int serve(struct watch *w, const sigset_t *end)
{
	const struct watch_http_settings settings = {
		.instance = &w->instance,
		.config_path = w->config_path,
		.address = w->address->ai_addr,
		.certificate = w->certificate_path != NULL ? w->certificate : NULL,
		.key = w->key_path != NULL ? w->key : NULL,
		.token = w->token_path != NULL ? w->token : NULL,
		.metrics = metrics,
		.owner = w,
	};
	struct watch_throttle *throttle = NULL;
	char address[128], port[16];
	/* The port is this watcher's claim to the mirror: a second one does nothing. */
	struct watch_http *h = watch_http_open(&settings);
	int error = errno;

	getnameinfo(w->address->ai_addr, w->address->ai_addrlen, address, sizeof address,
		    port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
	if (h == NULL)
		return refuse("cannot listen on %s, port %s: %s", address, port,
			      strerror(error));
	error = watch_throttle_open(&w->instance, w->config_path, w->config,
				    w->config->node[w->self].name, &throttle);
	if (error != 0) {
		watch_http_close(h);
		return refuse("throttles: %s", strerror(-error));
	}
	agent_log(LOG_INFO, "%s: its figures are at %s, port %s, /metrics",
		  w->instance.name, address, port);
	agent_notify("READY=1");
	wait_for_end(w, end);
	watch_throttle_close(throttle);
	watch_http_close(h);
	watch_perf_close(&w->perf);
	watch_question_close(&w->question);
	return 0;
}

/* Where sendmail and hamirror are, for throttles of one that was started with little.
 * Before threads begin: they may read the environment. */
static void lengthen_path(void)
{
	const char *path = getenv("PATH");
	char text[8192];

	if (path != NULL && strstr(path, PATH_MORE) != NULL)
		return;
	snprintf(text, sizeof text, "%s" PATH_MORE,
		 path != NULL ? path : "/usr/bin:/bin");
	setenv("PATH", text, 1);
}

int main(int argc, char **argv)
{
	static struct watch w = { .period_s = WATCH_PERIOD_S,
				  .perf_bytes = PERF_FILE_BYTES };
	sigset_t end;
	int status;

	agent_process_begin(0);
	status = arguments(&w, argc, argv);
	if (status >= 0)
		return status;
	agent_log_open("hamirror-watch", true);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* begun on a terminal, it outlives that */
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	lengthen_path();
	watch_question_init(&w.question, &w.instance);
	status = config_instance_read(&w.instance, w.config_path,
				      "hamirror-watch: ", &w.config, &w.self) == 0 ?
			 find_address(&w) :
			 EXIT_REFUSED;
	if (status == 0)
		status = read_files(&w);
	if (status == 0 && watch_perf_open(&w.perf, &w.question, w.perf_bytes) != 0)
		status = refuse("the path of the performance file is too long");
	if (status == 0)
		status = serve(&w, &end);
	if (w.address != NULL)
		freeaddrinfo(w.address);
	config_free(w.config);
	agent_log_close();
	return status;
}
