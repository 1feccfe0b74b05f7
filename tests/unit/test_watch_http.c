/* test_watch_http.c - pages of a watcher whose daemon hangs. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/watch_http.h"
#include "tests/unit/free_port.h"

#define SCRAPES 8

static struct agent_instance instance;
static struct sockaddr_in address;
static struct watch_http *http;
static sem_t asked, answers; /* the daemon was asked; it answers so often */
static atomic_uint count;    /* of its answers */

static char *metrics(void *owner)
{
	char text[32];

	(void)owner;
	sem_post(&asked);
	sem_wait(&answers);
	snprintf(text, sizeof text, "answer %u\n", atomic_fetch_add(&count, 1) + 1);
	return strdup(text);
}

static void setup(void)
{
	const struct watch_http_settings settings = {
		.instance = &instance,
		.address = (const struct sockaddr *)&address,
		.metrics = metrics,
	};
	char text[256];

	setenv("HAMIRROR_CONFIG_DIR", "/nowhere", 1);
	setenv("HAMIRROR_STATE_DIR", "/nowhere", 1);
	agent_log_open("test", true);
	ck_assert_int_eq(agent_instance_parse("data@a", &instance, text, sizeof text), 0);
	address = (struct sockaddr_in){ .sin_family = AF_INET };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(free_port());
	sem_init(&asked, 0, 0);
	sem_init(&answers, 0, 0);
	atomic_store(&count, 0);
	http = watch_http_open(&settings);
	ck_assert_ptr_nonnull(http);
}

/* ---- a client ---------------------------------------------------------------- */

/* Ask for `url`; returns the connection. */
static int ask(const char *url)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[256];
	int length;

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	length = snprintf(
		text, sizeof text,
		"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", url);
	ck_assert_int_eq(send(fd, text, (size_t)length, 0), length);
	return fd;
}

/* The answer, at most so much of it; it is "" where the connection was closed without one. */
static const char *take(int fd)
{
	static char text[1 << 17];
	size_t length = 0;
	ssize_t n;

	while (length < sizeof text - 1 &&
	       (n = recv(fd, text + length, sizeof text - 1 - length, 0)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(fd);
	return text;
}

static bool is_answered(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static unsigned status_of(const char *url)
{
	unsigned status = 0;

	ck_assert_int_eq(sscanf(take(ask(url)), "HTTP/1.1 %u", &status), 1);
	return status;
}

static unsigned number_of(int fd)
{
	const char *text = strstr(take(fd), "\r\n\r\nanswer ");
	unsigned number = 0;

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(sscanf(text, "\r\n\r\nanswer %u", &number), 1);
	return number;
}

/* ---- the tests ---------------------------------------------------------------- */

START_TEST(a_daemon_that_hangs_holds_its_figures_alone)
{
	const int scrape = ask("/metrics");

	sem_wait(&asked);
	ck_assert_uint_eq(status_of("/"), 200);
	ck_assert_uint_eq(status_of("/config.js"), 200);
	ck_assert_uint_eq(status_of("/config/data@b"), 200);
	ck_assert_uint_eq(status_of("/perf/data@b"), 404);
	ck_assert_uint_eq(status_of("/log/data@b"), 404);
	ck_assert(!is_answered(scrape));
	sem_post(&answers);
	ck_assert_uint_eq(number_of(scrape), 1);
	watch_http_close(http);
}
END_TEST

/* They come while the daemon is asked: its answer is too old for them, the next one is for all
 * of them. Once two pages were answered behind them, the library has taken all. */
START_TEST(scrapes_share_the_next_answer)
{
	int first, scrape[SCRAPES];

	first = ask("/metrics");
	sem_wait(&asked);
	for (unsigned i = 0; i < SCRAPES; i++)
		scrape[i] = ask("/metrics");
	ck_assert_uint_eq(status_of("/"), 200);
	ck_assert_uint_eq(status_of("/"), 200);
	sem_post(&answers);
	ck_assert_uint_eq(number_of(first), 1);
	sem_post(&answers);
	for (unsigned i = 0; i < SCRAPES; i++)
		ck_assert_uint_eq(number_of(scrape[i]), 2);
	watch_http_close(http);
}
END_TEST

START_TEST(a_client_that_is_gone_takes_nothing_along)
{
	close(ask("/metrics"));
	sem_wait(&asked);
	close(ask("/metrics"));
	for (unsigned i = 0; i < 4; i++)
		sem_post(&answers);
	ck_assert_uint_ge(number_of(ask("/metrics")), 2);
	watch_http_close(http);
}
END_TEST

static void *close_it(void *owner)
{
	watch_http_close(owner);
	return NULL;
}

/* It does so once the daemon has answered, whoever waits still. */
START_TEST(the_watcher_ends_while_its_daemon_hangs)
{
	const int first = ask("/metrics");
	pthread_t closer;
	int second;

	sem_wait(&asked);
	second = ask("/metrics");
	ck_assert_uint_eq(status_of("/"), 200);
	ck_assert_int_eq(pthread_create(&closer, NULL, close_it, http), 0);
	for (unsigned i = 0; i < 2; i++)
		sem_post(&answers);
	pthread_join(closer, NULL);
	take(first);
	take(second);
	ck_assert_uint_le(atomic_load(&count), 2);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("watch_http");
	Suite *s = suite_create("agent");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_daemon_that_hangs_holds_its_figures_alone);
	tcase_add_test(tc, scrapes_share_the_next_answer);
	tcase_add_test(tc, a_client_that_is_gone_takes_nothing_along);
	tcase_add_test(tc, the_watcher_ends_while_its_daemon_hangs);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
