/* vector_samples.c - see vector_samples.h; tests/vectors/check says the same. */
#include "tests/unit/vector_samples.h"

#include <string.h>

struct uuid sample_uuid(uint8_t first)
{
	struct uuid id;

	for (uint32_t i = 0; i < sizeof id.byte; i++)
		id.byte[i] = (uint8_t)(first + i);
	return id;
}

void sample_headers(struct mirror_header h[3], uint8_t data[SAMPLE_DATA_BYTES])
{
	const struct uuid mirror = sample_uuid(0x10);

	for (uint32_t i = 0; i < SAMPLE_DATA_BYTES; i++)
		data[i] = (uint8_t)(i * 7);
	memset(h, 0, 3 * sizeof *h);
	for (uint32_t i = 0; i < 3; i++) {
		h[i].sequence = 1001 + i;
		h[i].generation = 3;
		h[i].time_ns = SAMPLE_TIME_NS + i;
	}
	h[0].type = MIRROR_RECORD_WRITE;
	h[0].flags = MIRROR_RECORD_FUA;
	h[0].disk = 2;
	h[0].disk_sequence = 501;
	h[0].group = 77;
	h[0].offset_bytes = 0x12345000;
	h[0].length_bytes = h[0].data_bytes = SAMPLE_DATA_BYTES;
	h[1].type = MIRROR_RECORD_ZERO;
	h[1].flags = MIRROR_RECORD_MAY_DEALLOCATE;
	h[1].disk_sequence = 502;
	h[1].group = 77;
	h[1].length_bytes = 1 << 30;
	h[2].type = MIRROR_RECORD_FLUSH;
	h[2].group = 78;
	for (uint32_t i = 0; i < 3; i++)
		h[i].crc = mirror_header_data_crc(&mirror, &h[i], data);
}

void sample_descriptor(enum mirror_descriptor_type type, struct mirror_descriptor *d)
{
	memset(d, 0, sizeof *d);
	d->type = type;
	d->log = sample_uuid(0x40);
	d->epoch = 5;
	d->position = 0x100000;
	d->previous_position = 0xfe000;
	d->generation = 3;
	d->first_sequence = 1004;
	d->durable = 1003;
	d->home = 900;
	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		d->confirmed[i] = 100 * (i + 1);
	d->total_bytes = type == MIRROR_DESCRIPTOR_PAD ? 0x9000 : MIRROR_BLOCK_BYTES;
	if (type == MIRROR_DESCRIPTOR_RECORDS) {
		d->count = 3;
		d->first_sequence = 1001;
		d->durable = 1000;
		d->total_bytes = 3 * MIRROR_BLOCK_BYTES;
	}
}

void sample_history(struct history *h)
{
	memset(h, 0, sizeof *h);
	h->count = 2;
	h->dropped_count = 3;
	h->entry[0] = (struct generation){
		.ordinal = 4,
		.id = sample_uuid(0x60),
		.parent = sample_uuid(0x70),
		.cut = 800,
		.reason = GENERATION_CURRENT,
		.site = 0,
	};
	h->entry[1] = (struct generation){
		.ordinal = 5,
		.id = sample_uuid(0x80),
		.parent = sample_uuid(0x60),
		.cut = 950,
		.reason = GENERATION_FORCED,
		.site = 1,
	};
}

static void sample_disks(struct mirror_disk_table *disks)
{
	disks->count = 2;
	strcpy(disks->entry[0].name, "db");
	disks->entry[0].size_bytes = 1 << 30;
	disks->entry[0].sector_bytes = 512;
	strcpy(disks->entry[1].name, "wal");
	disks->entry[1].size_bytes = 3 << 19;
	disks->entry[1].sector_bytes = 4096;
}

static void sample_sites(struct mirror_superblock *sb)
{
	sb->site = 1;
	sb->site_count = 2;
	sb->sites[0] = (struct mirror_superblock_site){
		.name = "paris",
		.map_start_bytes = 131072,
		.map_bytes = 4096,
		.map_epoch = 8,
		.map_position = 700,
		.since_ns = SAMPLE_TIME_NS - 5,
		.map_state = MIRROR_MAP_ALL_DIRTY,
		.disconnected = true,
		.current = true,
	};
	sb->sites[1] = (struct mirror_superblock_site){
		.name = "lyon",
		.map_start_bytes = 135168,
		.map_bytes = 4096,
		.map_epoch = 9,
	};
}

void sample_superblock(struct mirror_superblock *sb)
{
	const struct mirror_sample first = { 870, 1 << 20, 4096, 0xdeadbeef };
	const struct mirror_sample second = { 899, 512 * 7, 1536, 0x12345678 };

	memset(sb, 0, sizeof *sb);
	sb->write_counter = 42;
	sb->mirror = sample_uuid(0x10);
	sb->lineage = sample_uuid(0x20);
	sb->site_id = sample_uuid(0x30);
	sb->log = sample_uuid(0x40);
	strcpy(sb->mirror_name, "data");
	sample_sites(sb);
	sample_disks(&sb->disks);
	sb->disks.entry[0].sequence = 502;
	sb->disks.entry[1].sequence = 17;
	sb->log_bytes = 16 << 20;
	sb->ring_start_bytes = 139264;
	sb->ring_bytes = 16637952;
	sb->log_epoch = 5;
	sb->incarnation = 0x1122334455667788;
	sb->tail_position = 0x8000;
	sb->tail_sequence = 901;
	sb->tail_epoch = 2;
	sb->head_position = 0x20000;
	sb->durable = (struct mirror_mark){ 3, 1000 };
	sb->home = (struct mirror_mark){ 3, 900 };
	sb->next_sequence = 1004;
	sb->last_time_ns = SAMPLE_TIME_NS;
	sb->refusal.generation = sample_uuid(0x80);
	sb->refusal.ballot = 0x1701;
	sb->hold.active = true;
	sb->hold.generation = 3;
	sb->hold.sequence = 990;
	sb->hold.position = 0x1f000;
	sb->refresh.kind = MIRROR_REFRESH_HELD;
	sb->refresh.source = sample_uuid(0x90);
	sb->clean.set = true;
	sb->clean.generation = sample_uuid(0x80);
	sb->clean.sequence = 995;
	sb->handed_over = true;
	sb->blank = true;
	sb->restart_count = 1;
	sb->restart[0] = (struct mirror_restart){ 0x1e000, 980, 4 };
	sample_history(&sb->history);
	strcpy(sb->evidence.identity[0], "wwid:naa.5000c500a1b2c3d4");
	sb->evidence.disk_count = 2;
	*mirror_evidence_slot(&sb->evidence, 0, 0) = first;
	*mirror_evidence_slot(&sb->evidence, 0, 5) = second;
}

void sample_hello(struct mirror_hello *hello)
{
	memset(hello, 0, sizeof *hello);
	hello->version_min = 1;
	hello->version_max = 2;
	hello->features = 0x80000001;
	hello->purpose = MIRROR_HELLO_ROLL;
	hello->site = 1;
	for (uint32_t i = 0; i < sizeof hello->nonce; i++)
		hello->nonce[i] = (uint8_t)(0xa0 + i);
	hello->mirror = sample_uuid(0x10);
	hello->lineage = sample_uuid(0x20);
	hello->site_id = sample_uuid(0x30);
	hello->log = sample_uuid(0x40);
	strcpy(hello->mirror_name, "data");
	strcpy(hello->site_name, "lyon");
	strcpy(hello->host, "n3");
	hello->incarnation = 0x1122334455667788;
	hello->generation = sample_uuid(0x80);
	hello->generation_ordinal = 5;
	hello->ballot = 0x1701;
	hello->config_hash = 0xfedcba9876543210;
	hello->marks = (struct site_marks){ 1003, 1000, 900 };
	hello->oldest_sequence = 901;
	hello->next_sequence = 1004;
	hello->data = DATA_CONSISTENT;
	hello->clean = hello->blank = true;
	hello->promoting = hello->put_out = true;
	hello->own_map_extents = 33;
	hello->tracked_extents = 34;
	hello->data_max_bytes = MIRROR_RECORD_DATA_MAX;
	hello->frames_max = 192;
	sample_history(&hello->history);
	sample_disks(&hello->disks);
	strcpy(hello->agreed, "mode: sync\n");
}
