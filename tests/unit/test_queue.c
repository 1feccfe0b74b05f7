/* test_queue.c - the queue between the two threads, alone and with two threads
 * (the ThreadSanitizer build runs it as well). */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/queue.h"
#include "tests/unit/patience.h"

#define SLOTS 4u
#define ITEMS 200000u

static struct common_queue queue;
static void *slots[SLOTS];
static char item[8];

static void setup(void)
{
	common_queue_init(&queue, slots, SLOTS);
}

START_TEST(gives_back_in_order_until_it_is_empty)
{
	bool wake;

	ck_assert_ptr_null(common_queue_pop(&queue));
	ck_assert_int_eq(common_queue_push(&queue, &item[0], &wake), 0);
	ck_assert_int_eq(common_queue_push(&queue, &item[1], &wake), 0);
	ck_assert_uint_eq(common_queue_count(&queue), 2);
	ck_assert_ptr_eq(common_queue_pop(&queue), &item[0]);
	ck_assert_ptr_eq(common_queue_pop(&queue), &item[1]);
	ck_assert_ptr_null(common_queue_pop(&queue));
}
END_TEST

/* Only the item that ends an emptiness needs a wake-up. */
START_TEST(asks_for_a_wake_up_only_when_it_was_empty)
{
	bool wake;

	common_queue_push(&queue, &item[0], &wake);
	ck_assert(wake);
	common_queue_push(&queue, &item[1], &wake);
	ck_assert(!wake);
	common_queue_pop(&queue);
	common_queue_push(&queue, &item[2], &wake);
	ck_assert(!wake);
	common_queue_pop(&queue);
	common_queue_pop(&queue);
	common_queue_push(&queue, &item[3], &wake);
	ck_assert(wake);
}
END_TEST

START_TEST(refuses_when_full_and_recovers)
{
	bool wake;

	for (unsigned i = 0; i < SLOTS; i++)
		ck_assert_int_eq(common_queue_push(&queue, &item[i], &wake), 0);
	wake = true;
	ck_assert_int_eq(common_queue_push(&queue, &item[4], &wake), -ENOBUFS);
	ck_assert(!wake);
	ck_assert_uint_eq(common_queue_count(&queue), SLOTS);
	ck_assert_ptr_eq(common_queue_pop(&queue), &item[0]);
	ck_assert_int_eq(common_queue_push(&queue, &item[4], &wake), 0);
	for (unsigned i = 1; i <= SLOTS; i++)
		ck_assert_ptr_eq(common_queue_pop(&queue), &item[i]);
}
END_TEST

/* The indices run freely: nothing happens when they wrap. */
START_TEST(survives_the_wrap_of_its_counters)
{
	bool wake;

	atomic_store(&queue.pushed_count, UINT32_MAX - 1);
	atomic_store(&queue.popped_count, UINT32_MAX - 1);
	for (unsigned i = 0; i < SLOTS; i++)
		ck_assert_int_eq(common_queue_push(&queue, &item[i], &wake), 0);
	ck_assert_int_eq(common_queue_push(&queue, &item[4], &wake), -ENOBUFS);
	ck_assert_uint_eq(common_queue_count(&queue), SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		ck_assert_ptr_eq(common_queue_pop(&queue), &item[i]);
	ck_assert_ptr_null(common_queue_pop(&queue));
}
END_TEST

struct pair {
	struct common_queue *queue;
	int wake_fd;
	uint32_t *number; /* ITEMS of them: their content crosses threads too */
};

static void *produce(void *argument)
{
	const struct pair *p = argument;

	for (uint32_t i = 0; i < ITEMS;) {
		bool wake;

		p->number[i] = i;
		if (common_queue_push(p->queue, &p->number[i], &wake) != 0)
			continue;
		if (wake)
			ck_assert_int_eq(eventfd_write(p->wake_fd, 1), 0);
		i++;
	}
	return NULL;
}

/* The consumer sleeps whenever it finds nothing, so a lost wake-up would leave
 * it asleep for good: poll gives up after a time that no machine needs. */
START_TEST(two_threads_lose_no_item_and_no_wake_up)
{
	struct pair p = { .queue = &queue, .wake_fd = eventfd(0, EFD_NONBLOCK) };
	pthread_t thread;

	p.number = calloc(ITEMS, sizeof *p.number);
	ck_assert_ptr_nonnull(p.number);
	ck_assert_int_ge(p.wake_fd, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, produce, &p), 0);
	for (uint32_t i = 0; i < ITEMS;) {
		struct pollfd poll_fd = { .fd = p.wake_fd, .events = POLLIN };
		const uint32_t *number = common_queue_pop(&queue);
		eventfd_t count;

		if (number != NULL) {
			ck_assert_uint_eq(*number, i);
			i++;
			continue;
		}
		ck_assert_int_eq(poll(&poll_fd, 1, PATIENCE_MS), 1);
		ck_assert_int_eq(eventfd_read(p.wake_fd, &count), 0);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_ptr_null(common_queue_pop(&queue));
	free(p.number);
	close(p.wake_fd);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("queue");
	Suite *s = suite_create("common");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, gives_back_in_order_until_it_is_empty);
	tcase_add_test(tc, asks_for_a_wake_up_only_when_it_was_empty);
	tcase_add_test(tc, refuses_when_full_and_recovers);
	tcase_add_test(tc, survives_the_wrap_of_its_counters);
	tcase_add_test(tc, two_threads_lose_no_item_and_no_wake_up);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
