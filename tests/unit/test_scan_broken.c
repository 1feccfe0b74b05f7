/* test_scan_broken.c - a scan of any content ends, reads only the ring, and finds no more than
 * the ring can count: intact descriptors with any fields, under any superblock. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "mirror/log/descriptor.h"
#include "tests/unit/log_model.h"

static struct log_model m;
static struct random random_state;
static uint8_t slot[MIRROR_SUPERBLOCK_BYTES];
static struct mirror_superblock sb;

static void setup(void)
{
	log_model_create(&m, MODEL_LOG_BYTES);
}

static void teardown(void)
{
	log_model_destroy(&m);
}

static uint64_t below(uint64_t count)
{
	return random_below(&random_state, count);
}

static void seal(uint8_t *bytes, size_t length, size_t at)
{
	uint32_t crc;

	memset(bytes + at, 0, 4);
	crc = common_crc32c(0, bytes, length);
	for (int i = 0; i < 4; i++)
		bytes[at + (size_t)i] = (uint8_t)(crc >> 8 * i);
}

/* A log of a lap and a half, with cuts, a leap and more than one epoch. */
static void write_log(void)
{
	for (uint32_t i = 0; i < 4000; i++) {
		if (!log_model_append(&m, 1 + (uint32_t)below(60))) {
			log_model_free_to(&m, m.durable);
			log_model_superblock(&m);
		}
		if (below(4) == 0)
			log_model_flush(&m);
		if (below(40) == 0 && m.sb.restart_count < 4)
			log_model_restart(&m, m.logged - below(m.logged - m.home + 1) +
						      50 * below(2));
		if (mirror_ring_head_position(m.ring) > 3 * m.sb.ring_bytes / 2)
			break;
	}
	log_model_flush(&m);
	log_model_superblock(&m);
}

/* Some descriptors get other fields, or stand elsewhere, and are intact. */
static void break_descriptors(void)
{
	for (uint64_t position = 0; position < m.sb.ring_bytes; position += 4096) {
		uint8_t *at = log_model_at(&m, position);

		if (memcmp(at, "HMLD", 4) != 0 || below(20) != 0)
			continue;
		if (below(3) == 0)
			memcpy(at, log_model_at(&m, below(m.sb.ring_bytes / 4096) * 4096),
			       4096);
		for (uint64_t i = below(4); i-- > 0;)
			at[below(2) == 0 ? 40 + below(128) : below(400)] = (uint8_t)
				random_next(&random_state);
		seal(at, 4096, 16);
	}
}

static uint64_t some_position(void)
{
	return below(3 * m.sb.ring_bytes / 2 / 4096) * 4096;
}

/* The same for the superblock; false: it is refused. */
static bool break_superblock(void)
{
	char text[128];
	size_t length;

	memcpy(slot, m.device + mirror_superblock_slot_bytes(&m.sb), sizeof slot);
	length = slot[16] | (size_t)slot[17] << 8;
	for (uint64_t i = below(3); i-- > 0;)
		slot[below(2) == 0 ? 24 + below(length - 24) : 160 + below(160)] =
			(uint8_t)below(4);
	seal(slot, length, 20);
	if (mirror_superblock_decode(slot, &sb, text, sizeof text) != 0)
		return false;
	if (below(3) == 0)
		sb.tail_sequence = 0;
	if (below(3) == 0) {
		sb.hold.active = true;
		sb.hold.position = some_position();
		sb.hold.sequence = below(m.logged);
	}
	if (below(3) == 0) {
		uint64_t position = sb.tail_position;

		sb.restart_count = (uint32_t)below(4);
		for (uint32_t i = 0; i < sb.restart_count; i++) {
			position += 4096 * (1 + below(100));
			sb.restart[i] = (struct mirror_restart){
				position,
				below(m.logged + 100),
				sb.tail_epoch + i + 1,
			};
		}
		sb.log_epoch = sb.tail_epoch + 3 + below(10);
	}
	mirror_superblock_encode(&sb, slot);    /* it is one that can be */
	return sb.ring_bytes <= m.sb.ring_bytes &&
	       sb.ring_start_bytes == m.sb.ring_start_bytes;
}

static void found(struct mirror_ring *ring, bool first)
{
	const struct mirror_descriptor *d = &m.scan.descriptor;
	const struct mirror_scan_result *r = &m.scan.result;

	if (first)
		mirror_ring_reset(ring, r->tail_position, r->tail_sequence,
				  r->tail_epoch);
	expect(mirror_ring_append_entry(ring, d->epoch, d->first_sequence, d->count,
					d->position, d->total_bytes) == 0);
	for (uint32_t i = 0; i < d->count; i++)
		expect(m.scan.headers[i].sequence == d->first_sequence + i);
}

static void scan_it(void)
{
	struct mirror_ring *ring = mirror_ring_create(sb.ring_start_bytes, sb.ring_bytes);
	uint64_t steps = 0;
	bool first = true;

	mirror_scan_start(&m.scan, &sb, m.buffer, MIRROR_SCAN_BUFFER_BYTES_MIN,
			  below(2000));
	for (;; steps++) {
		const enum mirror_scan_step step = mirror_scan_step(&m.scan);
		const struct mirror_scan_result *r = &m.scan.result;

		expect(steps < 5000);
		if (step == MIRROR_SCAN_FOUND) {
			found(ring, first);
			first = false;
		} else if (step == MIRROR_SCAN_END) {
			if (first)
				mirror_ring_reset(ring, r->tail_position,
						  r->tail_sequence, r->tail_epoch);
			mirror_ring_leap(ring, r->last_sequence + 1);
			break;
		} else if (step == MIRROR_SCAN_DAMAGED) {
			expect(r->text[0] != 0);
			break;
		} else if (below(100) == 0) {
			mirror_scan_read_failed(&m.scan);
		} else {
			expect(m.scan.device_offset_bytes >= sb.ring_start_bytes);
			expect(m.scan.device_offset_bytes + m.scan.length_bytes <=
			       sb.ring_start_bytes + sb.ring_bytes);
			memcpy(m.scan.into, m.device + m.scan.device_offset_bytes,
			       m.scan.length_bytes);
		}
	}
	mirror_ring_destroy(ring);
}

START_TEST(no_content_leads_a_scan_astray)
{
	random_state.state = 77 + (uint64_t)_i;
	write_log();
	for (uint32_t i = 0; i < 20; i++) {
		break_descriptors();
		if (break_superblock())
			scan_it();
		memcpy(m.device, m.stable, m.bytes);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("broken");
	Suite *s = suite_create("scan");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, no_content_leads_a_scan_astray, 0, 30);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
