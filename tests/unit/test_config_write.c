/* test_config_write.c - an item of a list in the text of a configuration. (test_cli_config.py:
 * single settings, and files.) */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config_write.h"

static char why[256];

/* Item `index` of `list` becomes `item`: `expected`, or NULL with `words` in the reason. */
static void becomes(const char *text, uint32_t index, const char *item,
		    const char *expected, const char *words)
{
	char *out = config_text_set_item(text, "list", index, item, why, sizeof why);

	if (expected != NULL) {
		ck_assert_ptr_nonnull(out);
		ck_assert_str_eq(out, expected);
	} else {
		ck_assert_ptr_null(out);
		ck_assert_ptr_nonnull(strstr(why, words));
	}
	free(out);
}

static const char three[] = "a: 1\n"
			    "list:   # all\n"
			    "  # first\n"
			    "  - x: 1\n"
			    "    y: 2   # why\n"
			    "  # second\n"
			    "\n"
			    "  - {x: 2,\n"
			    "     y: 3}\n"
			    "  - x: 3\n"
			    "# end\n"
			    "b: 2\n";

START_TEST(an_item_is_replaced)
{
	becomes(three, 1, "- x: 9\n  y: 8\n",
		"a: 1\nlist:   # all\n  # first\n  - x: 1\n    y: 2   # why\n  # second\n\n"
		"  - x: 9\n    y: 8\n  - x: 3\n# end\nb: 2\n",
		NULL);
	becomes("list:\n- x\n- y", 1, "- z\n", "list:\n- x\n- z\n", NULL);
}
END_TEST

START_TEST(an_item_is_added)
{
	becomes(three, 3, "- x: 4\n",
		"a: 1\nlist:   # all\n  # first\n  - x: 1\n    y: 2   # why\n  # second\n\n"
		"  - {x: 2,\n     y: 3}\n  - x: 3\n  - x: 4\n# end\nb: 2\n",
		NULL);
	becomes("list:\n- x", 1, "- y\n", "list:\n- x\n- y\n", NULL);
	becomes("a: 1", 0, "- y: 1\n  z: 2\n", "a: 1\nlist:\n  - y: 1\n    z: 2\n", NULL);
}
END_TEST

START_TEST(an_item_is_taken_out)
{
	becomes(three, 0, NULL,
		"a: 1\nlist:   # all\n  # first\n  # second\n\n"
		"  - {x: 2,\n     y: 3}\n  - x: 3\n# end\nb: 2\n",
		NULL);
	becomes("a: 1\nlist:\n  # one\n  - x: 1\n    y: 2\nb: 2\n", 0, NULL,
		"a: 1\nb: 2\n", NULL);
}
END_TEST

START_TEST(what_cannot_be_done_is_said)
{
	becomes(three, 4, "- x: 1\n", NULL, "no such item");
	becomes(three, 3, NULL, NULL, "no such item");
	becomes("a: 1\n", 0, NULL, NULL, "no such item");
	becomes("a: 1\n", 1, "- x: 1\n", NULL, "no such item");
	becomes("list: [{x: 1}]\n", 0, "- x: 1\n", NULL, "as a text");
	becomes("list:\n  [{x: 1}]\n", 0, "- x: 1\n", NULL, "as a text");
	becomes("list:\n", 0, "- x: 1\n", NULL, "as a text");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("items");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, an_item_is_replaced);
	tcase_add_test(tc, an_item_is_added);
	tcase_add_test(tc, an_item_is_taken_out);
	tcase_add_test(tc, what_cannot_be_done_is_said);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
