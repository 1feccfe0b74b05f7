/* test_crc.c - the vectors of RFC 3720 appendix B.4, and continuation. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"

START_TEST(gives_the_values_of_the_rfc)
{
	uint8_t block[32];

	memset(block, 0, sizeof block);
	ck_assert_uint_eq(common_crc32c(0, block, sizeof block), 0x8a9136aa);
	memset(block, 0xff, sizeof block);
	ck_assert_uint_eq(common_crc32c(0, block, sizeof block), 0x62a8ab43);
	for (unsigned i = 0; i < sizeof block; i++)
		block[i] = (uint8_t)i;
	ck_assert_uint_eq(common_crc32c(0, block, sizeof block), 0x46dd794e);
	ck_assert_uint_eq(common_crc32c(0, "123456789", 9), 0xe3069283);
}
END_TEST

/* Every way to cut a text in two gives the CRC of the whole. */
START_TEST(continues_from_a_seed)
{
	static const char text[] = "groups restart at one in each generation";
	const uint32_t whole = common_crc32c(0, text, sizeof text);

	for (size_t cut = 0; cut <= sizeof text; cut++) {
		const uint32_t first = common_crc32c(0, text, cut);

		ck_assert_uint_eq(common_crc32c(first, text + cut, sizeof text - cut),
				  whole);
	}
}
END_TEST

START_TEST(of_nothing_is_the_seed)
{
	ck_assert_uint_eq(common_crc32c(0, NULL, 0), 0);
	ck_assert_uint_eq(common_crc32c(77, NULL, 0), 77);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("crc");
	Suite *s = suite_create("common");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, gives_the_values_of_the_rfc);
	tcase_add_test(tc, continues_from_a_seed);
	tcase_add_test(tc, of_nothing_is_the_seed);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
