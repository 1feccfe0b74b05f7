/* test_ublk_driver.c - the ublk front-end without a kernel that has ublk: the device is a
 * file in memory, submissions to the ring are kept, and the test plays the kernel's answers
 * and the engine. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/config.h"
#include "mirror/engine/pool.h"
#include "mirror/front/ublk.h"
#include "mirror/drivers/ublk_driver.h"

#define SENT_MAX 512u
#define DISK_BYTES (1ull << 20)

/* ---- its surroundings ----------------------------------------------------------------- */

struct io_driver {
	struct io_uring_sqe sqe[SENT_MAX];
	struct io_completion *completion[SENT_MAX];
	uint32_t sent_count;
	struct io_frontend *frontend;
	struct io_job *job;
	struct mirror_pool *pool;
	struct mirror_request *request[SENT_MAX];
	uint32_t request_count, gone_count;
	bool takes_requests;
};

static struct io_driver io;
static struct config config;
static int device_fd;

int open(const char *path, int flags, ...)
{
	va_list more;
	int mode;

	va_start(more, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;
	va_end(more);
	if (strcmp(path, "/dev/ublkc7") == 0)
		return dup(device_fd);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

struct io_uring_sqe *io_driver_sqe(struct io_driver *d, struct io_completion *c)
{
	ck_assert_uint_lt(d->sent_count, SENT_MAX);
	d->completion[d->sent_count] = c;
	return &d->sqe[d->sent_count++];
}

void io_driver_park(struct io_driver *d, int32_t change)
{
	(void)d;
	(void)change;
}

void io_driver_step(struct io_driver *d, struct mirror_event *event)
{
	if (event->type == MIRROR_EVENT_REQUEST)
		d->request[d->request_count++] = event->request;
	d->gone_count += event->type == MIRROR_EVENT_CLIENT_GONE;
}

void io_driver_post(struct io_driver *d, struct io_job *j)
{
	d->job = j;
}

void io_driver_add_frontend(struct io_driver *d, struct io_frontend *f)
{
	d->frontend = f;
}

bool io_driver_stopping(const struct io_driver *d)
{
	(void)d;
	return false;
}

const struct config *io_driver_config(const struct io_driver *d)
{
	(void)d;
	return &config;
}

void io_driver_report(struct io_driver *d, const char *object, const char *rule,
		      const char *format, ...)
{
	(void)d;
	(void)format;
	ck_abort_msg("%s: %s", object, rule);
}

struct mirror_engine *io_driver_engine(const struct io_driver *d)
{
	return (struct mirror_engine *)(uintptr_t)d;
}

struct mirror_pool *mirror_engine_pool(struct mirror_engine *m)
{
	return ((struct io_driver *)(void *)m)->pool;
}

bool mirror_engine_takes_requests(const struct mirror_engine *m)
{
	return ((const struct io_driver *)(const void *)m)->takes_requests;
}

uint64_t mirror_engine_disk_bytes(const struct mirror_engine *m, uint32_t disk)
{
	(void)m;
	(void)disk;
	return DISK_BYTES;
}

/* ---- the kernel -------------------------------------------------------------------------- */

static struct ublk_driver *create(void)
{
	struct ublk_driver *d;

	memset(&io, 0, sizeof io);
	io.pool = mirror_pool_create(8u << 20);
	device_fd = memfd_create("ublkc7", 0);
	ck_assert_int_ge(device_fd, 0);
	ck_assert_int_eq(ftruncate(device_fd, (off_t)mirror_ublk_data_offset(1000)), 0);
	ck_assert_int_eq(ublk_driver_create(&io, &d), 0);
	ublk_driver_serve(d, 0, 7);
	io.job->done(io.job);
	ck_assert_uint_eq(io.sent_count, MIRROR_UBLK_DEPTH); /* every tag is fetched */
	return d;
}

static void destroy(struct ublk_driver *d)
{
	ublk_driver_destroy(d);
	mirror_pool_destroy(io.pool);
	close(device_fd);
}

/* Complete the last submission of a tag. */
static void complete(uint16_t tag, int32_t result)
{
	struct io_completion *c = io.completion[tag];

	c->done(c, result, 0);
}

static void ask(uint16_t tag, enum mirror_ublk_op op)
{
	const struct mirror_ublk_descriptor descriptor = {
		.op_flags = op,
		.sector_count = op == MIRROR_UBLK_FLUSH ? 0 : 8,
	};

	ck_assert_int_eq(pwrite(device_fd, &descriptor, sizeof descriptor,
				tag * (off_t)sizeof descriptor),
			 sizeof descriptor);
	complete(tag, 0);
}

/* How often a tag was answered with that. */
static uint32_t answers(uint16_t tag, int32_t result)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < io.sent_count; i++) {
		struct mirror_ublk_command command;

		memcpy(&command, (const char *)&io.sqe[i] + MIRROR_UBLK_COMMAND_AT,
		       sizeof command);
		count += io.sqe[i].off == MIRROR_UBLK_COMMIT_AND_FETCH &&
			 command.tag == tag && command.result == result;
	}
	return count;
}

/* ---- tests ------------------------------------------------------------------------------- */

/* Requests in the engine, requests that wait for it, and requests that come while the device
 * fails: the kernel gets one answer to each, or it could not remove the device. */
START_TEST(failing_answers_what_the_kernel_waits_for)
{
	struct ublk_driver *d = create();

	io.takes_requests = true;
	ask(0, MIRROR_UBLK_WRITE);
	ask(1, MIRROR_UBLK_FLUSH);
	io.frontend->flush(io.frontend);
	ck_assert_uint_eq(io.request_count, 2);
	io.takes_requests = false;
	ask(2, MIRROR_UBLK_READ);
	io.frontend->flush(io.frontend);
	ck_assert_uint_eq(io.sent_count, MIRROR_UBLK_DEPTH);

	ublk_driver_fail(d, 0);
	io.job->done(io.job);
	ck_assert_uint_eq(io.gone_count, 1);
	ask(3, MIRROR_UBLK_WRITE);
	io.takes_requests = true;
	io.frontend->flush(io.frontend);
	ck_assert_uint_eq(io.request_count, 2);
	for (uint16_t tag = 0; tag < 4; tag++)
		ck_assert_uint_eq(answers(tag, -EIO), 1);
	ck_assert_uint_eq(io.sent_count, MIRROR_UBLK_DEPTH + 4);

	/* The engine answers later, and nobody waits for it. */
	for (uint32_t i = 0; i < 2; i++)
		io.frontend->answer(io.frontend, io.request[i]);
	ck_assert_uint_eq(io.sent_count, MIRROR_UBLK_DEPTH + 4);
	for (uint16_t tag = 0; tag < MIRROR_UBLK_DEPTH; tag++)
		complete(tag, MIRROR_UBLK_ABORT);
	io.frontend->flush(io.frontend);
	ck_assert_uint_eq(mirror_pool_bytes_free(io.pool),
			  mirror_pool_bytes_total(io.pool));
	destroy(d);
}
END_TEST

/* An answer goes to the kernel, once, with the bytes that were moved. */
START_TEST(answers_go_to_the_kernel)
{
	struct ublk_driver *d = create();

	io.takes_requests = true;
	ask(5, MIRROR_UBLK_READ);
	ask(6, MIRROR_UBLK_FLUSH);
	io.frontend->flush(io.frontend);
	ck_assert_uint_eq(io.request_count, 2);
	memset(io.request[0]->data, 0x5a, io.request[0]->length_bytes);
	for (uint32_t i = 0; i < 2; i++)
		io.frontend->answer(io.frontend, io.request[i]);
	ck_assert_uint_eq(answers(5, 8 * 512), 1);
	ck_assert_uint_eq(answers(6, 0), 1);
	destroy(d);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ublk_driver");
	Suite *s = suite_create("ublk");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, failing_answers_what_the_kernel_waits_for);
	tcase_add_test(tc, answers_go_to_the_kernel);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
