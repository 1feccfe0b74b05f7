/* test_io_driver.c - the loop itself: mail, time, the lease, jobs, system calls. */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mirror/drivers/io_private_driver.h"
#include "tests/unit/driver_rig.h"
#include "tests/unit/free_port.h"

#define NS_PER_MS 1000000ull
#define REQUESTS_MAX 8u

/* A front-end with the same transcript as the core. */
struct counter_frontend {
	struct io_frontend frontend;
	bool open;
};

static struct rig rig;
static struct counter_frontend front;
static struct mirror_request request[REQUESTS_MAX];
static struct mirror_request_list to_answer;
static enum mirror_clients_action clients;
static uint64_t tick_at_ns;
static uint32_t flood_count;
static sem_t taken; /* posted at each ORDER_VIEW */

/* ---- the front-end ------------------------------------------------------- */

static void front_open(struct io_frontend *f)
{
	io_driver_container(f, struct counter_frontend, frontend)->open = true;
	io_driver_report(rig.driver, "", "", "open");
	io_driver_clients_done(rig.driver, 0);
}

static void front_close(struct io_frontend *f)
{
	io_driver_container(f, struct counter_frontend, frontend)->open = false;
	io_driver_report(rig.driver, "", "", "close");
	io_driver_clients_done(rig.driver, 0);
}

static void front_answer(struct io_frontend *f, struct mirror_request *r)
{
	(void)f;
	ck_assert_ptr_null(r->next);
	io_driver_report(rig.driver, "", "", "answer %zu: %d", (size_t)(r - request),
			 r->result);
}

static void front_flush(struct io_frontend *f)
{
	(void)f;
}

/* ---- the scripted core --------------------------------------------------- */

static bool script(struct rig *r, const struct mirror_event *e,
		   struct mirror_actions *out)
{
	if (e->type == MIRROR_EVENT_TICK && tick_at_ns != 0 && e->now_ns >= tick_at_ns) {
		rig_say(out, "tick");
		tick_at_ns = 0;
		return true;
	}
	out->wake_at_ns = tick_at_ns != 0 ? tick_at_ns : UINT64_MAX;
	if (e->type != MIRROR_EVENT_ORDER)
		return false;
	if (e->order->type == ORDER_REFRESH) {
		out->answer = to_answer;
		out->clients = clients;
		to_answer = (struct mirror_request_list){ 0 };
		clients = MIRROR_CLIENTS_KEEP;
	} else if (e->order->type == ORDER_LEASE) {
		r->engine.lease_until_ns = e->order->until_ns;
	} else if (e->order->type == ORDER_WAIT) {
		tick_at_ns = e->now_ns + e->order->wait_ms * NS_PER_MS;
		out->wake_at_ns = tick_at_ns;
	} else if (e->order->type == ORDER_VIEW) {
		for (uint32_t i = 0; i < 16 && flood_count > 0; i++, flood_count--)
			rig_say(out, "%u", flood_count);
		sem_post(&taken);
	} else if (e->order->type == ORDER_STATUS) {
		out->fact[0] = (struct fact){ .type = FACT_STATUS,
					      .order_id = e->order->id };
		out->fact_count = 1;
	} else {
		return false;
	}
	return true;
}

static void setup(void)
{
	rig_create(&rig, free_port());
	rig.script = script;
	front.frontend = (struct io_frontend){ .open = front_open,
					       .close = front_close,
					       .answer = front_answer,
					       .flush = front_flush };
	rig.frontend = &front.frontend;
	to_answer = (struct mirror_request_list){ 0 };
	clients = MIRROR_CLIENTS_KEEP;
	tick_at_ns = 0;
	sem_init(&taken, 0, 0);
}

static void teardown(void)
{
	rig_destroy(&rig);
}

static void answer(uint32_t i, int32_t result)
{
	request[i] = (struct mirror_request){ .result = result };
	if (to_answer.tail != NULL)
		to_answer.tail->next = &request[i];
	else
		to_answer.head = &request[i];
	to_answer.tail = &request[i];
}

static void act(void)
{
	rig_order_type(&rig, ORDER_REFRESH);
}

static void order_lease(uint64_t until_ns)
{
	const struct order order = { .type = ORDER_LEASE, .until_ns = until_ns };

	rig_order(&rig, &order);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the lease (D7) ------------------------------------------------------ */

START_TEST(answer_leaves_under_a_lease)
{
	rig_start(&rig);
	answer(0, 0);
	answer(1, -EIO);
	act();
	rig_expect(&rig, "answer 0: 0");
	rig_expect(&rig, "answer 1: %d", -EIO);
}
END_TEST

/* Without one, errors alone leave; a lease that comes brings the others, one that
 * has passed already does not. */
static void other_answer(struct io_frontend *f, struct mirror_request *r)
{
	(void)f;
	io_driver_report(rig.driver, "", "", "other %zu: %d", (size_t)(r - request),
			 r->result);
}

static void other_close(struct io_frontend *f)
{
	(void)f;
	io_driver_report(rig.driver, "", "", "other close");
}

/* Of two front-ends each gets its own answers; the one that is plugged in later is closed
 * with the first. */
START_TEST(answer_goes_to_whose_it_is)
{
	static struct io_frontend other = { .close = other_close,
					    .answer = other_answer,
					    .flush = front_flush };

	rig.other = &other;
	rig_start(&rig);
	rig.engine.lease_until_ns = UINT64_MAX;
	answer(0, 0);
	answer(1, 0);
	request[1].frontend = &other;
	clients = MIRROR_CLIENTS_CLOSE;
	rig_order_type(&rig, ORDER_REFRESH);
	rig_expect(&rig, "answer 0: 0");
	rig_expect(&rig, "other 1: 0");
	rig_expect(&rig, "close");
	rig_expect(&rig, "other close");
}
END_TEST

static void posted(struct io_job *j)
{
	(void)j;
	io_driver_report(rig.driver, "", "", "posted");
}

START_TEST(job_without_a_thread_comes_to_the_loop)
{
	struct io_job job = { .done = posted };

	rig_start(&rig);
	for (int i = 0; i < 3; i++) {
		io_driver_post(rig.driver, &job);
		rig_expect(&rig, "posted");
	}
}
END_TEST

START_TEST(answer_waits_for_a_lease)
{
	rig_start(&rig);
	order_lease(now_ns());
	answer(0, 0);
	answer(1, -ENOSPC);
	answer(2, 0);
	act();
	rig_expect(&rig, "answer 1: %d", -ENOSPC);
	order_lease(now_ns());
	rig_turn(&rig);
	order_lease(now_ns() + 60000 * NS_PER_MS);
	rig_expect(&rig, "answer 0: 0");
	rig_expect(&rig, "answer 2: 0");
	rig_stop(&rig);
	ck_assert_uint_eq(io_driver_counters(rig.driver)->answer_late_count, 2);
	ck_assert_uint_eq(io_driver_counters(rig.driver)->answer_waiting_count, 0);
}
END_TEST

/* G7: answers that wait for a lease can be failed. */
START_TEST(frozen_answers_fail_when_asked)
{
	rig_start(&rig);
	order_lease(0);
	answer(0, 0);
	act();
	rig_turn(&rig);
	rig_order_type(&rig, ORDER_FAIL_FROZEN);
	rig_expect(&rig, "answer 0: %d", -EIO);
}
END_TEST

/* Dropped clients get nothing: no answer that had no lease, and no error. */
START_TEST(late_answers_are_dropped_with_their_clients)
{
	rig_start(&rig);
	clients = MIRROR_CLIENTS_OPEN;
	act();
	rig_expect(&rig, "open");
	rig_expect(&rig, "clients 0");
	order_lease(0);
	answer(0, 0);
	act();
	rig_turn(&rig);
	answer(1, 0);
	answer(2, -EIO);
	clients = MIRROR_CLIENTS_CLOSE;
	act();
	rig_expect(&rig, "close");
	rig_expect(&rig, "answer 0: %d", -ESHUTDOWN);
	rig_expect(&rig, "answer 1: %d", -ESHUTDOWN);
	rig_expect(&rig, "answer 2: %d", -EIO);
	rig_expect(&rig, "clients 0");
}
END_TEST

/* Answers that were acknowledged in time leave before the clients are dropped. */
START_TEST(last_answers_precede_the_close)
{
	rig_start(&rig);
	answer(0, 0);
	answer(1, -EIO);
	clients = MIRROR_CLIENTS_CLOSE;
	act();
	rig_expect(&rig, "answer 0: 0");
	rig_expect(&rig, "close");
	rig_expect(&rig, "answer 1: %d", -EIO);
	rig_expect(&rig, "clients 0");
}
END_TEST

START_TEST(clients_are_answered_without_a_front_end)
{
	rig.frontend = NULL;
	rig_start(&rig);
	clients = MIRROR_CLIENTS_OPEN;
	act();
	rig_expect(&rig, "clients %d", -ENOSYS);
	clients = MIRROR_CLIENTS_CLOSE;
	act();
	rig_expect(&rig, "clients 0");
}
END_TEST

/* ---- time ---------------------------------------------------------------- */

START_TEST(core_is_woken_when_it_asked)
{
	const struct order order = { .type = ORDER_WAIT, .wait_ms = 200 };
	const uint64_t begin_ns = now_ns();
	uint64_t enters;

	rig_start(&rig);
	rig_turn(&rig);
	rig_order(&rig, &order);
	rig_expect(&rig, "tick");
	ck_assert_uint_ge(now_ns() - begin_ns, 200 * NS_PER_MS);
	rig_stop(&rig);
	/* An idle loop sleeps: start, two orders with two facts, one tick, stop. */
	enters = io_driver_counters(rig.driver)->enter_count;
	ck_assert_uint_le(enters, 24);
}
END_TEST

struct alarm {
	struct io_timer timer;
	uint32_t number;
};

static struct alarm alarm_of[4];

static void alarm_expired(struct io_timer *t)
{
	io_driver_report(rig.driver, "", "", "alarm %u",
			 io_driver_container(t, struct alarm, timer)->number);
}

static void set_alarms(struct io_frontend *f)
{
	static const uint64_t after_ms[] = { 30, 10, 20, 15 };
	const uint64_t now = io_driver_now_ns(rig.driver);

	(void)f;
	for (uint32_t i = 0; i < 4; i++) {
		alarm_of[i] = (struct alarm){ .timer.expired = alarm_expired,
					      .number = i };
		io_driver_timer_set(rig.driver, &alarm_of[i].timer,
				    now + after_ms[i] * NS_PER_MS);
	}
	io_driver_timer_set(rig.driver, &alarm_of[1].timer, now + 40 * NS_PER_MS);
	io_driver_timer_set(rig.driver, &alarm_of[3].timer, UINT64_MAX);
}

START_TEST(timers_expire_in_order_and_can_be_moved)
{
	front.frontend.open = set_alarms;
	rig_start(&rig);
	clients = MIRROR_CLIENTS_OPEN;
	act();
	rig_expect(&rig, "alarm 2");
	rig_expect(&rig, "alarm 0");
	rig_expect(&rig, "alarm 1");
}
END_TEST

/* ---- tasks and jobs ------------------------------------------------------ */

static struct io_job job;
static struct io_task task;
static pthread_t worker;
static int worker_pipe[2];
static bool job_is_done;

static void job_work(struct io_job *j)
{
	char byte;

	(void)j;
	worker = pthread_self();
	ck_assert_int_eq(read(worker_pipe[0], &byte, 1), 1);
	/* Give a loop that does not wait for us the time to end before us. */
	for (int i = 0; i < 1000; i++)
		sched_yield();
}

static void job_done(struct io_job *j)
{
	(void)j;
	ck_assert(!pthread_equal(worker, pthread_self()));
	job_is_done = true;
	io_driver_report(rig.driver, "", "", "job done");
}

static void task_run(struct io_task *t)
{
	(void)t;
	io_driver_report(rig.driver, "", "", "task");
}

static void start_job(struct io_frontend *f)
{
	(void)f;
	job = (struct io_job){ .work = job_work, .done = job_done };
	task.run = task_run;
	ck_assert_int_eq(io_driver_offload(rig.driver, &job), 0);
	io_driver_defer(rig.driver, &task);
	io_driver_defer(rig.driver, &task);
	io_driver_report(rig.driver, "", "", "put off");
}

START_TEST(job_runs_beside_the_loop)
{
	ck_assert_int_eq(pipe(worker_pipe), 0);
	front.frontend.open = start_job;
	rig_start(&rig);
	clients = MIRROR_CLIENTS_OPEN;
	act();
	rig_expect(&rig, "put off");
	rig_expect(&rig, "task");
	rig_turn(&rig);
	ck_assert_int_eq(write(worker_pipe[1], "x", 1), 1);
	rig_expect(&rig, "job done");
	rig_turn(&rig);
}
END_TEST

/* The loop's end closes the clients: only then may the job go on. */
static void release_job(struct io_frontend *f)
{
	(void)f;
	ck_assert_int_eq(write(worker_pipe[1], "x", 1), 1);
}

START_TEST(stop_waits_for_a_job)
{
	ck_assert_int_eq(pipe(worker_pipe), 0);
	front.frontend.open = start_job;
	front.frontend.close = release_job;
	rig_start(&rig);
	clients = MIRROR_CLIENTS_OPEN;
	act();
	rig_expect(&rig, "put off");
	rig_expect(&rig, "task");
	rig_stop(&rig);
	ck_assert(job_is_done);
}
END_TEST

static int left_pipe[2];

static void job_left(struct io_job *j)
{
	ck_assert_ptr_eq(j, &job);
	ck_assert_int_eq(write(left_pipe[1], "l", 1), 1);
}

static void leave_job(struct io_frontend *f)
{
	(void)f;
	job = (struct io_job){ .work = job_work, .done = job_done, .left = job_left };
	ck_assert_int_eq(io_driver_offload(rig.driver, &job), 0);
	ck_assert(io_driver_leave(rig.driver, &job));
	io_driver_report(rig.driver, "", "", "left");
}

/* Its work does not end before the loop does, which does not wait for it. */
START_TEST(job_that_was_left_keeps_nobody)
{
	char byte;

	ck_assert_int_eq(pipe(worker_pipe), 0);
	ck_assert_int_eq(pipe(left_pipe), 0);
	front.frontend.open = leave_job;
	rig_start(&rig);
	clients = MIRROR_CLIENTS_OPEN;
	act();
	rig_expect(&rig, "left");
	rig_stop(&rig);
	ck_assert_int_eq(write(worker_pipe[1], "x", 1), 1);
	ck_assert_int_eq(read(left_pipe[0], &byte, 1), 1);
	ck_assert(!job_is_done);
}
END_TEST

START_TEST(stop_may_come_before_the_start)
{
	rig.stop_first = true;
	rig_start(&rig);
	rig_stop(&rig);
	ck_assert_uint_eq(io_driver_counters(rig.driver)->step_count, 0);
}
END_TEST

START_TEST(driver_that_never_ran_can_be_destroyed)
{
	struct io_driver_setup setup_of = {
		.config = rig.config,
		.engine = &rig.engine,
		.orders_eventfd = rig.orders_eventfd,
	};
	struct io_driver *driver;

	ck_assert_int_eq(io_driver_create(&setup_of, &driver), 0);
	io_driver_destroy(driver);
	io_driver_destroy(NULL);
	setup_of.orders_eventfd = rig.facts_eventfd;
	ck_assert_int_eq(io_driver_create(&setup_of, &driver), -EINVAL);
}
END_TEST

/* ---- mail ---------------------------------------------------------------- */

/* The queue has room for 64: the other facts wait, in order. */
START_TEST(facts_are_kept_while_the_taker_is_slow)
{
	flood_count = 500;
	rig_start(&rig);
	for (int i = 0; i < 32; i++)
		rig_order_type(&rig, ORDER_VIEW);
	for (uint32_t i = 500; i > 0; i--)
		rig_expect(&rig, "%u", i);
	rig_turn(&rig);
}
END_TEST

/* G7: a taker that takes nothing costs bounded memory; answers are never lost. */
START_TEST(too_many_facts_are_dropped_and_counted)
{
	struct mirror_status status;
	const struct order order = { .type = ORDER_STATUS, .id = 7, .status = &status };
	struct fact *fact;
	uint32_t count = 0;
	bool answered;

	memset(&status, 0, sizeof status);
	flood_count = 64 + IO_BACKLOG_COUNT_MAX + 100;
	rig_start(&rig);
	/* The last one finds nothing to say: all before it was said by then. */
	for (uint32_t i = 0; i <= (64 + IO_BACKLOG_COUNT_MAX + 100 + 15) / 16; i++) {
		rig_order_type(&rig, ORDER_VIEW);
		ck_assert_int_eq(sem_wait(&taken), 0);
	}
	rig_order(&rig, &order);
	do {
		fact = rig_fact(&rig);
		answered = fact->type == FACT_STATUS;
		count++;
		if (answered)
			ck_assert_uint_eq(fact->order_id, 7);
		free(fact);
	} while (!answered);
	ck_assert_uint_eq(count, 64 + IO_BACKLOG_COUNT_MAX + 1);
	ck_assert_uint_eq(status.io.facts_dropped, 100);
	ck_assert_uint_gt(status.io.enters, 0);
	ck_assert_uint_ge(status.queue_count, 2);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("loop");
	Suite *s = suite_create("io_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, answer_leaves_under_a_lease);
	tcase_add_test(tc, answer_goes_to_whose_it_is);
	tcase_add_test(tc, job_without_a_thread_comes_to_the_loop);
	tcase_add_test(tc, answer_waits_for_a_lease);
	tcase_add_test(tc, frozen_answers_fail_when_asked);
	tcase_add_test(tc, late_answers_are_dropped_with_their_clients);
	tcase_add_test(tc, last_answers_precede_the_close);
	tcase_add_test(tc, clients_are_answered_without_a_front_end);
	tcase_add_test(tc, core_is_woken_when_it_asked);
	tcase_add_test(tc, timers_expire_in_order_and_can_be_moved);
	tcase_add_test(tc, job_runs_beside_the_loop);
	tcase_add_test(tc, stop_waits_for_a_job);
	tcase_add_test(tc, job_that_was_left_keeps_nobody);
	tcase_add_test(tc, stop_may_come_before_the_start);
	tcase_add_test(tc, driver_that_never_ran_can_be_destroyed);
	tcase_add_test(tc, facts_are_kept_while_the_taker_is_slow);
	tcase_add_test(tc, too_many_facts_are_dropped_and_counted);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
