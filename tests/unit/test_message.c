/* test_message.c - members' messages survive the way, and nothing else is believed. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "tests/unit/solo.h"

static struct config config;
static struct message message, back;
static uint8_t data[CLUSTER_MESSAGE_MAX], again[CLUSTER_MESSAGE_MAX];
static char text[160];

static void setup(void)
{
	solo_config(&config);
	memset(&message, 0, sizeof message);
	message.node = 3;
	message.incarnation = 0x1122334455667788;
	message.config_hash = config.hash;
	message.mirror.byte[0] = 9;
}

/* Fill the body of a type with bytes that it can hold. */
static void fill(enum message_type type)
{
	message.type = type;
	switch (type) {
	case MESSAGE_ANNOUNCE:
		strcpy(message.announce.name, "n4");
		message.announce.flags = ANNOUNCE_OPEN | ANNOUNCE_WANTS;
		message.announce.site = 1;
		message.announce.incarnation_open = 5;
		message.announce.log_newest.cut = 6;
		message.announce.marks.durable = 7;
		message.announce.data = DATA_CONSISTENT;
		message.announce.link[1] = LINK_CONNECTED;
		strcpy(message.announce.text, "a disk failed");
		strcpy(message.agreed, "mode: sync\n");
		break;
	case MESSAGE_STATE:
		message.state.has_view = true;
		solo_view(&config, 3, &message.state.view);
		message.state.released[2][3] = 8;
		message.state.fenced_boot[4] = 9;
		break;
	case MESSAGE_DISKS:
		message.disks.site = 1;
		message.disks.count = CONFIG_DISK_COUNT_MAX;
		strcpy(message.disks.disk[CONFIG_DISK_COUNT_MAX - 1].name, "wal");
		message.disks.disk[CONFIG_DISK_COUNT_MAX - 1].bytes = 1ull << 40;
		break;
	case MESSAGE_PROMISE:
		message.promise.ballot = 77;
		message.promise.has_accepted = message.promise.has_in_effect = true;
		solo_view(&config, 3, &message.promise.accepted);
		solo_view(&config, 2, &message.promise.in_effect);
		break;
	case MESSAGE_PROPOSE:
		solo_view(&config, 3, &message.propose.view);
		break;
	case MESSAGE_START:
	case MESSAGE_PREPARE:
	case MESSAGE_ACCEPTED:
	case MESSAGE_REFUSE:
	case MESSAGE_COMMIT:
	case MESSAGE_OBJECT:
	case MESSAGE_RENEW:
	case MESSAGE_GRANT:
	case MESSAGE_RELEASE:
	case MESSAGE_FENCED:
		/* Bytes 1.. of a body of small fixed fields: any value will do. */
		memset((uint8_t *)&message.start, 1, sizeof message.start);
		message.start.site = message.start.node = 1;
		break;
	case MESSAGE_NEWS:
		strcpy(message.news.object, "devices");
		memset(message.news.text, 'x', sizeof message.news.text - 1);
		strcpy(message.news.rule, "hang");
		break;
	case MESSAGE_TYPE_END:
		break;
	}
}

START_TEST(every_type_survives_the_way)
{
	const enum message_type type = (enum message_type)_i;
	size_t length;

	fill(type);
	if (type == MESSAGE_FENCED)
		message.fenced.node = 2;
	length = cluster_message_encode(&config, &message, data);
	ck_assert_int_eq(
		cluster_message_decode(&config, data, length, &back, text, sizeof text),
		0);
	ck_assert_uint_eq(back.type, type);
	ck_assert_uint_eq(back.node, 3);
	ck_assert_uint_eq(back.incarnation, message.incarnation);
	ck_assert_uint_eq(cluster_message_encode(&config, &back, again), length);
	ck_assert_mem_eq(data, again, length);
}
END_TEST

START_TEST(a_damaged_byte_anywhere_is_noticed)
{
	size_t length;

	fill(MESSAGE_ANNOUNCE);
	length = cluster_message_encode(&config, &message, data);
	for (size_t i = 0; i < length; i++) {
		data[i] ^= 0x10;
		if (cluster_message_decode(&config, data, length, &back, text,
					   sizeof text) == 0)
			ck_abort_msg("byte %zu may be anything", i);
		data[i] ^= 0x10;
	}
	for (size_t cut = 0; cut < length; cut++)
		if (cluster_message_decode(&config, data, cut, &back, text,
					   sizeof text) != -EBADMSG)
			ck_abort_msg("whole after %zu bytes", cut);
}
END_TEST

/* A well-formed message with one field changed, its checksum made right again. */
static int decode_changed(size_t at, uint8_t value)
{
	const size_t length = cluster_message_encode(&config, &message, data);
	struct bytes crc = bytes_of(data + 16, 4);

	data[at] = value;
	bytes_put_u32(&crc,
		      common_crc32c(common_crc32c(0, data, 16), data + 20, length - 20));
	return cluster_message_decode(&config, data, length, &back, text, sizeof text);
}

START_TEST(a_newer_version_is_refused_by_name)
{
	fill(MESSAGE_COMMIT);
	ck_assert_int_eq(decode_changed(4, 5), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(text, "version"));
	ck_assert_int_eq(decode_changed(8, 1), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(what_no_member_can_say_is_refused)
{
	fill(MESSAGE_COMMIT);
	ck_assert_int_eq(decode_changed(6, MESSAGE_TYPE_END), -EBADMSG);
	ck_assert_int_eq(decode_changed(20, CONFIG_NODE_COUNT_MAX), -EBADMSG);
	fill(MESSAGE_FENCED);
	message.fenced.node = 0;
	ck_assert_int_eq(decode_changed(20 + 36, 200), -EBADMSG);
}
END_TEST

/* Of another configuration's announcement only the sender may be read. */
START_TEST(another_configuration_is_told_apart)
{
	size_t length;

	fill(MESSAGE_ANNOUNCE);
	message.config_hash++;
	length = cluster_message_encode(&config, &message, data);
	ck_assert_int_eq(
		cluster_message_decode(&config, data, length, &back, text, sizeof text),
		-ESTALE);
	ck_assert_str_eq(back.announce.name, "n4");
	ck_assert_str_eq(back.agreed, "mode: sync\n");
	fill(MESSAGE_PROPOSE);
	length = cluster_message_encode(&config, &message, data);
	ck_assert_int_eq(
		cluster_message_decode(&config, data, length, &back, text, sizeof text),
		-ESTALE);
	ck_assert_uint_eq(back.propose.view.ballot, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("message");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, every_type_survives_the_way, MESSAGE_ANNOUNCE,
			    MESSAGE_TYPE_END);
	tcase_add_test(tc, a_damaged_byte_anywhere_is_noticed);
	tcase_add_test(tc, a_newer_version_is_refused_by_name);
	tcase_add_test(tc, what_no_member_can_say_is_refused);
	tcase_add_test(tc, another_configuration_is_told_apart);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
