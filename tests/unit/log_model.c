/* log_model.c - see log_model.h. */
#include "tests/unit/log_model.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/log/descriptor.h"
#include "tests/unit/same.h"

static uint64_t hash(uint64_t a, uint64_t b)
{
	uint64_t x = (a * 0x9e3779b97f4a7c15) ^ (b + 0x7f4a7c15);

	x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9;
	return x ^ x >> 29;
}

static uint64_t block_number(const uint8_t *base, const uint8_t *at)
{
	return (uint64_t)(at - base) / MIRROR_BLOCK_BYTES;
}

static void written(struct log_model *m, const uint8_t *at, uint64_t bytes)
{
	const uint64_t first = block_number(m->device, at);

	for (uint64_t i = 0; i < bytes / MIRROR_BLOCK_BYTES; i++)
		m->dirty[first + i] = true;
}

void log_model_create(struct log_model *m, uint64_t log_bytes)
{
	char text[200];

	memset(m, 0, sizeof *m);
	m->bytes = log_bytes;
	m->device = calloc(1, log_bytes);
	m->stable = calloc(1, log_bytes);
	m->dirty = calloc(log_bytes / MIRROR_BLOCK_BYTES, sizeof *m->dirty);
	m->buffer = malloc(MIRROR_SCAN_BUFFER_BYTES_MIN);
	m->opened_at = calloc(MODEL_GENERATION_COUNT_MAX, sizeof *m->opened_at);
	m->bad_block = -1;
	m->generation = 1;
	m->data_blocks_max = 4;
	m->sb.mirror.byte[0] = 0x11;
	m->sb.lineage.byte[0] = 0x22;
	m->sb.site_id.byte[0] = 0x33;
	m->sb.log.byte[0] = 0x44;
	strcpy(m->sb.mirror_name, "data");
	m->sb.site_count = 2;
	strcpy(m->sb.sites[0].name, "paris");
	strcpy(m->sb.sites[1].name, "lyon");
	m->sb.disks.count = 1;
	strcpy(m->sb.disks.entry[0].name, "db");
	m->sb.disks.entry[0].size_bytes = MODEL_DISK_BYTES;
	m->sb.disks.entry[0].sector_bytes = 512;
	ck_assert_int_eq(mirror_superblock_layout(&m->sb, log_bytes, text, sizeof text),
			 0);
	m->sb.log_epoch = 1;
	m->sb.tail_sequence = 1;
	m->sb.tail_epoch = 1;
	m->ring = mirror_ring_create(m->sb.ring_start_bytes, m->sb.ring_bytes);
	log_model_superblock(m);
}

void log_model_destroy(struct log_model *m)
{
	mirror_ring_destroy(m->ring);
	free(m->device);
	free(m->stable);
	free(m->dirty);
	free(m->buffer);
	free(m->opened_at);
}

uint8_t *log_model_at(struct log_model *m, uint64_t position)
{
	return m->device + mirror_ring_device_offset(m->ring, position);
}

void log_model_damage(struct log_model *m, uint64_t position)
{
	const uint64_t offset = mirror_ring_device_offset(m->ring, position);

	m->device[offset] ^= 0x10;
	m->stable[offset] ^= 0x10;
}

/* ---- records ------------------------------------------------------------- */

static void fill(uint8_t *data, uint32_t data_bytes, uint64_t generation,
		 uint64_t sequence)
{
	const uint64_t word = hash(generation, sequence);

	for (uint32_t i = 0; i < data_bytes; i += 8) {
		const uint64_t value = word + i;

		memcpy(data + i, &value, sizeof value);
	}
}

void log_model_header(const struct log_model *m, uint64_t generation, uint64_t sequence,
		      struct mirror_header *h)
{
	uint8_t data[MIRROR_RECORD_DATA_MAX];
	const uint64_t random = hash(generation + 77, sequence);

	*h = (struct mirror_header){
		.type = MIRROR_RECORD_WRITE,
		.sequence = sequence,
		.disk_sequence = sequence,
		.generation = generation,
		.group = sequence / 3 + 1,
		.offset_bytes = random % 1024 * 4096,
		.length_bytes = 512 * (1 + random / 1024 % (8 * m->data_blocks_max)),
		.time_ns = sequence * 1000,
	};
	if (random >> 40 & 1) {
		h->data_bytes = (uint32_t)h->length_bytes;
	} else if (random >> 41 & 1) {
		h->type = MIRROR_RECORD_ZERO;
		h->flags = MIRROR_RECORD_MAY_DEALLOCATE;
	} else {
		h->type = MIRROR_RECORD_FLUSH;
		h->disk_sequence = h->offset_bytes = h->length_bytes = 0;
	}
	fill(data, h->data_bytes, generation, sequence);
	h->crc = mirror_header_data_crc(&m->sb.mirror, h, data);
}

static void begin(struct log_model *m, enum mirror_descriptor_type type,
		  uint64_t first_sequence, struct mirror_descriptor *d)
{
	*d = (struct mirror_descriptor){
		.type = type,
		.log = m->sb.log,
		.epoch = m->sb.log_epoch,
		.position = mirror_ring_head_position(m->ring),
		.previous_position = mirror_ring_previous_position(m->ring),
		.generation = m->generation,
		.first_sequence = first_sequence,
		.durable = m->durable,
		.home = m->home,
		.confirmed = { m->durable, m->home },
		.total_bytes = MIRROR_BLOCK_BYTES,
	};
}

static void put(struct log_model *m, const struct mirror_descriptor *d,
		const struct mirror_header *headers)
{
	uint8_t *at = log_model_at(m, d->position);

	mirror_descriptor_encode(d, headers, at);
	expect(mirror_ring_append_entry(m->ring, d->epoch, d->first_sequence, d->count,
					d->position, d->total_bytes) == 0);
	if (d->type == MIRROR_DESCRIPTOR_PAD) {
		written(m, at, MIRROR_BLOCK_BYTES);
		return;
	}
	written(m, at, d->total_bytes);
	at += MIRROR_BLOCK_BYTES;
	for (uint32_t i = 0; i < d->count; i++) {
		const uint64_t padded = mirror_data_padded_bytes(headers[i].data_bytes);

		memset(at, 0, padded);
		fill(at, headers[i].data_bytes, headers[i].generation,
		     headers[i].sequence);
		at += padded;
	}
}

static bool make_room(struct log_model *m, uint64_t bytes)
{
	struct mirror_descriptor d;
	uint64_t pad, position;

	if (mirror_ring_reserve(m->ring, bytes, &pad, &position) != 0)
		return false;
	if (pad > 0) {
		begin(m, MIRROR_DESCRIPTOR_PAD, m->logged + 1, &d);
		d.total_bytes = pad;
		put(m, &d, NULL);
	}
	expect(mirror_ring_head_position(m->ring) == position);
	return true;
}

bool log_model_append(struct log_model *m, uint32_t count)
{
	struct mirror_header headers[4 * MIRROR_DESCRIPTOR_RECORDS_MAX];
	uint64_t bytes = 0;

	expect(count <= sizeof headers / sizeof headers[0]);
	for (uint32_t i = 0; i < count; i++)
		log_model_header(m, m->generation, m->logged + 1 + i, &headers[i]);
	for (uint32_t i = 0; i < count; i += MIRROR_DESCRIPTOR_RECORDS_MAX)
		bytes += mirror_descriptor_total_bytes(
			&headers[i], count - i < MIRROR_DESCRIPTOR_RECORDS_MAX ?
					     count - i :
					     MIRROR_DESCRIPTOR_RECORDS_MAX);
	if (!make_room(m, bytes))
		return false;
	for (uint32_t i = 0; i < count; i += MIRROR_DESCRIPTOR_RECORDS_MAX) {
		struct mirror_descriptor d;

		begin(m, MIRROR_DESCRIPTOR_RECORDS, headers[i].sequence, &d);
		d.count = count - i < MIRROR_DESCRIPTOR_RECORDS_MAX ?
				  count - i :
				  MIRROR_DESCRIPTOR_RECORDS_MAX;
		d.total_bytes = mirror_descriptor_total_bytes(&headers[i], d.count);
		put(m, &d, &headers[i]);
	}
	m->logged += count;
	return true;
}

void log_model_append_all(struct log_model *m, uint32_t count, uint32_t per_batch)
{
	for (uint32_t i = 0; i < count; i += per_batch)
		expect(log_model_append(m, per_batch));
}

bool log_model_mark(struct log_model *m)
{
	struct mirror_descriptor d;

	if (!make_room(m, MIRROR_BLOCK_BYTES))
		return false;
	begin(m, MIRROR_DESCRIPTOR_MARK, m->logged + 1, &d);
	put(m, &d, NULL);
	return true;
}

void log_model_flush(struct log_model *m)
{
	for (uint64_t i = 0; i < m->bytes / MIRROR_BLOCK_BYTES; i++) {
		if (m->dirty[i])
			memcpy(m->stable + i * MIRROR_BLOCK_BYTES,
			       m->device + i * MIRROR_BLOCK_BYTES, MIRROR_BLOCK_BYTES);
		m->dirty[i] = false;
	}
	m->durable = m->logged;
}

void log_model_free_to(struct log_model *m, uint64_t sequence)
{
	expect(sequence <= m->durable);
	m->home = sequence;
	mirror_ring_free_to(m->ring, sequence);
}

/* ---- state --------------------------------------------------------------- */

static void put_superblock(struct log_model *m)
{
	uint64_t length;
	uint8_t *at;

	m->sb.write_counter++;
	at = m->device + mirror_superblock_slot_bytes(&m->sb);
	length = mirror_superblock_encode(&m->sb, at);
	written(m, at, length);
	log_model_flush(m);
}

void log_model_superblock(struct log_model *m)
{
	uint64_t position, sequence, epoch;

	mirror_ring_tail(m->ring, &position, &sequence, &epoch);
	mirror_superblock_set_tail(&m->sb, position, sequence, epoch);
	m->sb.head_position = mirror_ring_head_position(m->ring);
	m->sb.durable = (struct mirror_mark){ m->generation, m->durable };
	m->sb.home = (struct mirror_mark){ m->generation, m->home };
	m->sb.next_sequence = m->logged + 1;
	put_superblock(m);
	mirror_ring_release(m->ring, position);
}

void log_model_restart(struct log_model *m, uint64_t sequence)
{
	uint64_t position;

	log_model_flush(m);
	if (sequence < m->logged)
		position = mirror_ring_truncate_after(m->ring, sequence);
	else
		position = mirror_ring_head_position(m->ring);
	m->logged = m->durable = sequence;
	m->generation++;
	m->opened_at[m->generation] = sequence;
	while (m->opened_at[m->generation - 1] > sequence)
		m->opened_at[--m->generation] = sequence;
	expect(mirror_superblock_restart(&m->sb, position, sequence) == 0);
	mirror_ring_leap(m->ring, sequence + 1);
	mirror_ring_set_epoch(m->ring, m->sb.log_epoch);
	put_superblock(m);
}

void log_model_crash(struct log_model *m, struct random *random)
{
	for (uint64_t i = 0; i < m->bytes / MIRROR_BLOCK_BYTES; i++) {
		uint8_t *device = m->device + i * MIRROR_BLOCK_BYTES;
		uint8_t *stable = m->stable + i * MIRROR_BLOCK_BYTES;

		if (m->dirty[i] && random_below(random, 2) == 0)
			memcpy(stable, device, MIRROR_BLOCK_BYTES);
		else if (m->dirty[i])
			memcpy(device, stable, MIRROR_BLOCK_BYTES);
		m->dirty[i] = false;
	}
}

/* ---- scanning ------------------------------------------------------------ */

static void serve_read(struct log_model *m)
{
	const uint64_t first = m->scan.device_offset_bytes / MIRROR_BLOCK_BYTES;
	const uint64_t end = first + m->scan.length_bytes / MIRROR_BLOCK_BYTES;

	expect(m->scan.device_offset_bytes + m->scan.length_bytes <= m->bytes);
	expect(m->scan.length_bytes <= MIRROR_SCAN_BUFFER_BYTES_MIN);
	if (m->bad_block >= 0 && (uint64_t)m->bad_block >= first &&
	    (uint64_t)m->bad_block < end)
		mirror_scan_read_failed(&m->scan);
	else
		memcpy(m->scan.into, m->device + m->scan.device_offset_bytes,
		       m->scan.length_bytes);
}

static uint64_t generation_of(const struct log_model *m, uint64_t sequence)
{
	uint64_t generation = m->generation;

	while (generation > 1 && m->opened_at[generation] >= sequence)
		generation--;
	return generation;
}

static void take_found(struct log_model *m)
{
	const struct mirror_descriptor *d = &m->scan.descriptor;

	if (m->found_count == 0)
		m->found_first = d->first_sequence;
	for (uint32_t i = 0; i < d->count; i++) {
		const struct mirror_header *h = &m->scan.headers[i];
		uint8_t data[MIRROR_RECORD_DATA_MAX];
		struct mirror_header wanted;

		expect(h->generation == generation_of(m, h->sequence));
		log_model_header(m, h->generation, h->sequence, &wanted);
		expect(same_header(&wanted, h));
		fill(data, h->data_bytes, h->generation, h->sequence);
		/* Data at home was not read: under an old hint its place may hold a
		 * torn write by now. */
		expect(h->data_bytes == 0 || h->sequence <= m->scan.home_sequence ||
		       memcmp(log_model_at(m, m->scan.data_position[i]), data,
			      h->data_bytes) == 0);
		m->found_last = h->sequence;
		m->found_count++;
	}
	expect(mirror_ring_append_entry(m->ring, d->epoch, d->first_sequence, d->count,
					d->position, d->total_bytes) == 0);
}

enum mirror_scan_step log_model_scan(struct log_model *m, uint64_t proven_sequence)
{
	static struct mirror_superblock scratch;
	char text[256];
	uint32_t slot;

	expect(mirror_superblock_choose(m->device, m->device + MIRROR_SUPERBLOCK_BYTES,
					&scratch, &m->sb, &slot, text, sizeof text) == 0);
	return log_model_scan_with(m, &m->sb, proven_sequence);
}

enum mirror_scan_step log_model_scan_with(struct log_model *m,
					  const struct mirror_superblock *sb,
					  uint64_t proven_sequence)
{
	enum mirror_scan_step step;
	bool found = false;

	m->found_first = m->found_last = m->found_count = 0;
	mirror_scan_start(&m->scan, sb, m->buffer, MIRROR_SCAN_BUFFER_BYTES_MIN,
			  proven_sequence);
	for (;;) {
		step = mirror_scan_step(&m->scan);
		if (step == MIRROR_SCAN_END || step == MIRROR_SCAN_DAMAGED)
			break;
		if (step == MIRROR_SCAN_READ) {
			serve_read(m);
			continue;
		}
		if (!found)
			mirror_ring_reset(m->ring, m->scan.result.tail_position,
					  m->scan.result.tail_sequence,
					  m->scan.result.tail_epoch);
		found = true;
		take_found(m);
	}
	if (!found && m->scan.result.tail_sequence > 0)
		mirror_ring_reset(m->ring, m->scan.result.tail_position,
				  m->scan.result.tail_sequence,
				  m->scan.result.tail_epoch);
	return step;
}

enum mirror_scan_step log_model_open(struct log_model *m)
{
	const enum mirror_scan_step step = log_model_scan(m, 0);
	const struct mirror_scan_result *r = &m->scan.result;

	if (step == MIRROR_SCAN_DAMAGED)
		return step;
	m->logged = m->durable = r->last_sequence;
	m->home = r->home;
	m->generation++;
	expect(m->generation < MODEL_GENERATION_COUNT_MAX);
	m->opened_at[m->generation] = m->logged;
	mirror_ring_leap(m->ring, r->last_sequence + 1);
	expect(mirror_ring_head_position(m->ring) == r->head_position);
	m->sb.log_epoch++;
	mirror_ring_set_epoch(m->ring, m->sb.log_epoch);
	log_model_superblock(m);
	if (!log_model_mark(m)) {
		expect(mirror_superblock_restart(&m->sb, r->head_position, m->logged) ==
		       0);
		mirror_ring_set_epoch(m->ring, m->sb.log_epoch);
		put_superblock(m);
	}
	log_model_flush(m);
	return step;
}
