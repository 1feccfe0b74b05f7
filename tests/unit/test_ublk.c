/* test_ublk.c - the kernel's requests to a ublk device, as requests of the engine. */
#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "mirror/front/ublk.h"

#if __has_include(<linux/ublk_cmd.h>)
#include <linux/ublk_cmd.h>
#define HAVE_HEADER 1
#else
#define HAVE_HEADER 0
#endif

#define DISK_BYTES (64ull << 20)
#define DISK_SECTORS (DISK_BYTES / 512)
#define GIB_SECTORS (1u << 21)

static const struct {
	uint32_t op_flags, sector_count;
	uint64_t start_sector;
	int rc;
	enum mirror_request_type type;
	uint64_t offset_bytes, length_bytes;
	bool fua, may_deallocate;
} asked[] = {
	/* valid requests */
	{ MIRROR_UBLK_READ, 1, 0, 0, MIRROR_REQUEST_READ, 0, 512, false, false },
	{ MIRROR_UBLK_READ, 256, 8, 0, MIRROR_REQUEST_READ, 4096, 131072, false, false },
	{ MIRROR_UBLK_WRITE, 8, DISK_SECTORS - 8, 0, MIRROR_REQUEST_WRITE,
	  DISK_BYTES - 4096, 4096, false, false },
	{ MIRROR_UBLK_WRITE | MIRROR_UBLK_FLAG_FUA, 1, 7, 0, MIRROR_REQUEST_WRITE, 3584,
	  512, true, false },
	{ MIRROR_UBLK_FLUSH, 0, 0, 0, MIRROR_REQUEST_FLUSH, 0, 0, false, false },
	{ MIRROR_UBLK_DISCARD, 16, 16, 0, MIRROR_REQUEST_ZERO, 8192, 8192, false, true },
	{ MIRROR_UBLK_WRITE_ZEROES, 16, 16, 0, MIRROR_REQUEST_ZERO, 8192, 8192, false,
	  true },
	{ MIRROR_UBLK_WRITE_ZEROES | MIRROR_UBLK_FLAG_NO_UNMAP | MIRROR_UBLK_FLAG_FUA, 16,
	  16, 0, MIRROR_REQUEST_ZERO, 8192, 8192, true, false },
	{ MIRROR_UBLK_DISCARD | MIRROR_UBLK_FLAG_NO_UNMAP, 1, 0, 0, MIRROR_REQUEST_ZERO,
	  0, 512, false, true },
	/* flags that say nothing here: how hard to try, that it is metadata, swap */
	{ MIRROR_UBLK_READ | 0x10f00, 1, 0, 0, MIRROR_REQUEST_READ, 0, 512, false,
	  false },
	/* requests that were not offered, or leave the disk */
	{ 4 /* write same */, 1, 0, -EOPNOTSUPP, 0, 0, 0, false, false },
	{ 0xff, 1, 0, -EOPNOTSUPP, 0, 0, 0, false, false },
	{ MIRROR_UBLK_READ, 257, 0, -EIO, 0, 0, 0, false, false },
	{ MIRROR_UBLK_WRITE, 257, 0, -EIO, 0, 0, 0, false, false },
	{ MIRROR_UBLK_WRITE, 0, 0, -EIO, 0, 0, 0, false, false },
	{ MIRROR_UBLK_WRITE, 8, DISK_SECTORS - 7, -EIO, 0, 0, 0, false, false },
	{ MIRROR_UBLK_WRITE, 1, DISK_SECTORS, -EIO, 0, 0, 0, false, false },
	{ MIRROR_UBLK_READ, 1, UINT64_MAX, -EIO, 0, 0, 0, false, false },
	{ MIRROR_UBLK_DISCARD, UINT32_MAX, 0, -EIO, 0, 0, 0, false, false },
};

START_TEST(descriptors_become_requests)
{
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		const struct mirror_ublk_descriptor d = {
			.op_flags = asked[i].op_flags,
			.sector_count = asked[i].sector_count,
			.start_sector = asked[i].start_sector,
		};
		/* of the one before */
		struct mirror_request r = { .fua = true,
					    .may_deallocate = true,
					    .offset_bytes = 1,
					    .length_bytes = 1 };

		ck_assert_int_eq(mirror_ublk_translate(&d, DISK_BYTES, &r), asked[i].rc);
		if (asked[i].rc != 0)
			continue;
		ck_assert_int_eq(r.type, asked[i].type);
		ck_assert_uint_eq(r.offset_bytes, asked[i].offset_bytes);
		ck_assert_uint_eq(r.length_bytes, asked[i].length_bytes);
		ck_assert_int_eq(r.fua, asked[i].fua);
		ck_assert_int_eq(r.may_deallocate, asked[i].may_deallocate);
	}
}
END_TEST

/* io.h: a zeroing may be of 1 GiB, no longer. */
START_TEST(zeroing_is_as_long_as_the_engine_takes)
{
	struct mirror_ublk_descriptor d = { .op_flags = MIRROR_UBLK_WRITE_ZEROES,
					    .sector_count = GIB_SECTORS };
	struct mirror_request r;

	ck_assert_int_eq(mirror_ublk_translate(&d, 4ull << 30, &r), 0);
	ck_assert_uint_eq(r.length_bytes, 1ull << 30);
	d.sector_count++;
	ck_assert_int_eq(mirror_ublk_translate(&d, 4ull << 30, &r), -EIO);
}
END_TEST

START_TEST(answers_are_bytes_or_an_error_of_a_disk)
{
	struct mirror_request r = { .type = MIRROR_REQUEST_WRITE, .length_bytes = 4096 };

	ck_assert_int_eq(mirror_ublk_result(&r), 4096);
	r.type = MIRROR_REQUEST_READ;
	ck_assert_int_eq(mirror_ublk_result(&r), 4096);
	r.type = MIRROR_REQUEST_ZERO;
	ck_assert_int_eq(mirror_ublk_result(&r), 0);
	r.type = MIRROR_REQUEST_FLUSH;
	ck_assert_int_eq(mirror_ublk_result(&r), 0);
	r.result = -ESHUTDOWN;
	ck_assert_int_eq(mirror_ublk_result(&r), -EIO);
	r.result = -ENOSPC;
	ck_assert_int_eq(mirror_ublk_result(&r), -ENOSPC);
}
END_TEST

/* The device offers the requests that are translated above, and no others. */
START_TEST(parameters_offer_what_is_translated)
{
	struct mirror_ublk_parameters p;
	struct mirror_ublk_info info;

	mirror_ublk_parameters_init(&p, DISK_BYTES, 4096);
	ck_assert_uint_eq(p.logical_shift, 12);
	mirror_ublk_parameters_init(&p, DISK_BYTES, 512);
	ck_assert_uint_eq(p.disk_sectors, DISK_SECTORS);
	ck_assert_uint_eq(p.sectors_max, 256);
	ck_assert_uint_eq(p.zeroes_sectors_max, GIB_SECTORS);
	ck_assert_uint_eq(p.discard_sectors_max, GIB_SECTORS);
	ck_assert_uint_eq(p.logical_shift, 9);
	ck_assert_uint_eq(p.physical_shift, 12);
	ck_assert_uint_eq(p.attributes, MIRROR_UBLK_VOLATILE_CACHE | MIRROR_UBLK_FUA);
	mirror_ublk_info_init(&info, 77, 123);
	ck_assert_uint_eq(info.device, UINT32_MAX);
	ck_assert_uint_eq(info.owner, 77);
	ck_assert_int_eq(info.pid, 123);
	ck_assert_uint_eq(info.request_bytes_max, 131072);
}
END_TEST

START_TEST(data_of_tags_lies_apart)
{
	ck_assert_uint_eq(mirror_ublk_data_offset(0), 0x80000000u);
	ck_assert_uint_eq(mirror_ublk_data_offset(1), 0x82000000u);
	ck_assert_uint_eq(mirror_ublk_data_offset(127), 0x80000000u + (127ull << 25));
}
END_TEST

#if HAVE_HEADER
#define SAME(ours, our_member, theirs, their_member)                                     \
	ck_assert_uint_eq(offsetof(struct ours, our_member),                             \
			  offsetof(struct theirs, their_member))

/* As far as the header here knows them. */
START_TEST(structures_are_the_kernels)
{
	ck_assert_uint_eq(sizeof(struct mirror_ublk_descriptor),
			  sizeof(struct ublksrv_io_desc));
	SAME(mirror_ublk_descriptor, sector_count, ublksrv_io_desc, nr_sectors);
	SAME(mirror_ublk_descriptor, start_sector, ublksrv_io_desc, start_sector);
	ck_assert_uint_eq(sizeof(struct mirror_ublk_command),
			  sizeof(struct ublksrv_io_cmd));
	SAME(mirror_ublk_command, tag, ublksrv_io_cmd, tag);
	SAME(mirror_ublk_command, result, ublksrv_io_cmd, result);
	ck_assert_uint_eq(sizeof(struct mirror_ublk_control),
			  sizeof(struct ublksrv_ctrl_cmd));
	SAME(mirror_ublk_control, bytes, ublksrv_ctrl_cmd, len);
	SAME(mirror_ublk_control, address, ublksrv_ctrl_cmd, addr);
	SAME(mirror_ublk_control, data, ublksrv_ctrl_cmd, data);
	ck_assert_uint_eq(sizeof(struct mirror_ublk_info),
			  sizeof(struct ublksrv_ctrl_dev_info));
	SAME(mirror_ublk_info, depth, ublksrv_ctrl_dev_info, queue_depth);
	SAME(mirror_ublk_info, request_bytes_max, ublksrv_ctrl_dev_info,
	     max_io_buf_bytes);
	SAME(mirror_ublk_info, device, ublksrv_ctrl_dev_info, dev_id);
	SAME(mirror_ublk_info, pid, ublksrv_ctrl_dev_info, ublksrv_pid);
	SAME(mirror_ublk_info, features, ublksrv_ctrl_dev_info, flags);
	SAME(mirror_ublk_info, owner, ublksrv_ctrl_dev_info, ublksrv_flags);
	SAME(mirror_ublk_parameters, attributes, ublk_params, basic.attrs);
	SAME(mirror_ublk_parameters, logical_shift, ublk_params, basic.logical_bs_shift);
	SAME(mirror_ublk_parameters, least_shift, ublk_params, basic.io_min_shift);
	SAME(mirror_ublk_parameters, sectors_max, ublk_params, basic.max_sectors);
	SAME(mirror_ublk_parameters, disk_sectors, ublk_params, basic.dev_sectors);
	SAME(mirror_ublk_parameters, discard_granularity, ublk_params,
	     discard.discard_granularity);
	SAME(mirror_ublk_parameters, discard_sectors_max, ublk_params,
	     discard.max_discard_sectors);
	SAME(mirror_ublk_parameters, zeroes_sectors_max, ublk_params,
	     discard.max_write_zeroes_sectors);
	SAME(mirror_ublk_parameters, discard_segments_max, ublk_params,
	     discard.max_discard_segments);
	ck_assert_uint_eq(MIRROR_UBLK_FLAG_FUA, UBLK_IO_F_FUA);
	ck_assert_uint_eq(MIRROR_UBLK_FLAG_NO_UNMAP, UBLK_IO_F_NOUNMAP);
}
END_TEST
#endif

int main(void)
{
	TCase *tc = tcase_create("ublk");
	Suite *s = suite_create("ublk");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, descriptors_become_requests);
	tcase_add_test(tc, zeroing_is_as_long_as_the_engine_takes);
	tcase_add_test(tc, answers_are_bytes_or_an_error_of_a_disk);
	tcase_add_test(tc, parameters_offer_what_is_translated);
	tcase_add_test(tc, data_of_tags_lies_apart);
#if HAVE_HEADER
	tcase_add_test(tc, structures_are_the_kernels);
#endif
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
