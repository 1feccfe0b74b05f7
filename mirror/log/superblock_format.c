/* superblock_format.c - the bytes of one slot; see superblock.h, docs/formats.md. */
#include "mirror/log/superblock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc.h"
#include "mirror/log/format.h"
#include "mirror/log/map.h"
#include "mirror/log/record.h"

#define MAGIC 0x53424c524f52494dull /* "MIRORLBS" */
#define LENGTH_AT 16u
#define CRC_AT 20u

#define FEATURE_ASYNC (1u << 0) /* a generation of the history began by M4 in async */

#define FLAG_BLANK (1u << 0)
#define FLAG_CLEAN (1u << 1)
#define FLAG_HOLD (1u << 2)
#define FLAG_HANDED_OVER (1u << 3)
#define FLAGS_KNOWN (FLAG_BLANK | FLAG_CLEAN | FLAG_HOLD | FLAG_HANDED_OVER)

/* Far above any; they keep sums from wrapping. */
#define DISK_BYTES_MAX (1ull << 60)
#define POSITION_MAX (1ull << 62)
#define SEQUENCE_MAX (1ull << 62)

#define SITE_FLAG_DISCONNECTED (1u << 0)
#define SITE_FLAG_MAP_DUE (1u << 1)
#define SITE_FLAG_CURRENT (1u << 2)
#define SITE_FLAG_BYPASS (1u << 3)
#define SITE_FLAGS_KNOWN                                                                 \
	(SITE_FLAG_DISCONNECTED | SITE_FLAG_MAP_DUE | SITE_FLAG_CURRENT |                \
	 SITE_FLAG_BYPASS)

/* ---- fields have to agree: those that we write and those that we read ------- */

static bool blocks_within(uint64_t start, uint64_t length, uint64_t low, uint64_t high)
{
	return start % MIRROR_BLOCK_BYTES == 0 && length % MIRROR_BLOCK_BYTES == 0 &&
	       start >= low && start <= high && length <= high - start;
}

static bool layout_is_valid(const struct mirror_superblock *sb)
{
	for (uint32_t i = 0; i < sb->disks.count; i++) {
		const struct mirror_disk *d = &sb->disks.entry[i];

		if (d->name[0] == 0 || d->size_bytes == 0 ||
		    d->size_bytes % MIRROR_SECTOR_BYTES != 0 ||
		    d->size_bytes > DISK_BYTES_MAX)
			return false;
	}
	for (uint32_t i = 0; i < sb->site_count; i++) {
		const struct mirror_superblock_site *s = &sb->sites[i];

		if (s->name[0] == 0 || s->map_epoch == 0 ||
		    s->map_bytes != mirror_map_area_bytes(&sb->disks) ||
		    !blocks_within(s->map_start_bytes, s->map_bytes,
				   MIRROR_SUPERBLOCK_AREA_BYTES, sb->ring_start_bytes))
			return false;
	}
	return sb->disks.count > 0 && sb->log_bytes >= MIRROR_LOG_BYTES_MIN &&
	       sb->ring_bytes >= MIRROR_RING_BYTES_MIN &&
	       blocks_within(sb->ring_start_bytes, sb->ring_bytes,
			     MIRROR_SUPERBLOCK_AREA_BYTES, sb->log_bytes);
}

static bool sample_is_valid(const struct mirror_sample *s, const struct mirror_disk *d)
{
	return s->sequence > 0 && s->sequence <= SEQUENCE_MAX && s->length_bytes > 0 &&
	       s->length_bytes <= MIRROR_SAMPLE_BYTES_MAX &&
	       s->length_bytes % MIRROR_SECTOR_BYTES == 0 &&
	       s->offset_bytes % MIRROR_SECTOR_BYTES == 0 &&
	       s->offset_bytes <= d->size_bytes &&
	       s->length_bytes <= d->size_bytes - s->offset_bytes;
}

static bool state_is_valid(const struct mirror_superblock *sb)
{
	uint64_t position = sb->tail_position, epoch = sb->tail_epoch;

	for (uint32_t i = 0; i < sb->restart_count; i++) {
		const struct mirror_restart *r = &sb->restart[i];

		if (r->position <= position || r->position > POSITION_MAX ||
		    r->position % MIRROR_BLOCK_BYTES != 0 || r->epoch <= epoch ||
		    r->sequence > SEQUENCE_MAX)
			return false;
		position = r->position;
		epoch = r->epoch;
	}
	return sb->log_epoch > 0 && sb->log_epoch <= UINT32_MAX &&
	       epoch <= sb->log_epoch && sb->tail_position % MIRROR_BLOCK_BYTES == 0 &&
	       sb->tail_position <= POSITION_MAX && sb->tail_sequence <= SEQUENCE_MAX &&
	       sb->head_position % MIRROR_BLOCK_BYTES == 0 &&
	       sb->head_position <= POSITION_MAX && sb->next_sequence <= SEQUENCE_MAX &&
	       sb->hold.position % MIRROR_BLOCK_BYTES == 0 &&
	       sb->hold.sequence <= SEQUENCE_MAX;
}

static bool superblock_is_valid(const struct mirror_superblock *sb)
{
	return sb->mirror_name[0] != 0 && !uuid_is_zero(&sb->mirror) &&
	       !uuid_is_zero(&sb->log) && layout_is_valid(sb) && state_is_valid(sb);
}

/* ---- encoding ------------------------------------------------------------ */

static void put_mark(struct bytes *b, const struct mirror_mark *mark)
{
	bytes_put_u64(b, mark->generation);
	bytes_put_u64(b, mark->sequence);
}

static void put_state(struct bytes *b, const struct mirror_superblock *sb)
{
	const uint32_t flags = (sb->blank ? FLAG_BLANK : 0) |
			       (sb->clean.set ? FLAG_CLEAN : 0) |
			       (sb->hold.active ? FLAG_HOLD : 0) |
			       (sb->handed_over ? FLAG_HANDED_OVER : 0);

	bytes_put_u32(b, flags);
	bytes_put_u32(b, sb->refresh.kind);
	bytes_put_u64(b, sb->log_bytes);
	bytes_put_u64(b, sb->ring_start_bytes);
	bytes_put_u64(b, sb->ring_bytes);
	bytes_put_u32(b, 0); /* extension chain: entries */
	bytes_put_u32(b, 0);
	bytes_put_u64(b, sb->log_epoch);
	bytes_put_u64(b, sb->incarnation);
	bytes_put_u64(b, sb->tail_position);
	bytes_put_u64(b, sb->tail_sequence);
	bytes_put_u64(b, sb->tail_epoch);
	bytes_put_u64(b, sb->head_position);
	put_mark(b, &sb->durable);
	put_mark(b, &sb->home);
	bytes_put_u64(b, sb->next_sequence);
	bytes_put_u64(b, sb->last_time_ns);
	mirror_format_put_uuid(b, &sb->refusal.generation);
	bytes_put_u64(b, sb->refusal.ballot);
	bytes_put_u64(b, sb->hold.generation);
	bytes_put_u64(b, sb->hold.sequence);
	bytes_put_u64(b, sb->hold.position);
	mirror_format_put_uuid(b, &sb->refresh.source);
	mirror_format_put_uuid(b, &sb->clean.generation);
	bytes_put_u64(b, sb->clean.sequence);
}

static void put_sites(struct bytes *b, const struct mirror_superblock *sb)
{
	bytes_put_u32(b, sb->site);
	bytes_put_u32(b, sb->site_count);
	for (uint32_t i = 0; i < sb->site_count; i++) {
		const struct mirror_superblock_site *s = &sb->sites[i];

		mirror_format_put_text(b, s->name, CONFIG_NAME_MAX);
		bytes_put_u64(b, s->map_start_bytes);
		bytes_put_u64(b, s->map_bytes);
		bytes_put_u64(b, s->map_epoch);
		bytes_put_u64(b, s->map_position);
		bytes_put_u64(b, s->since_ns);
		bytes_put_u32(b, s->map_state);
		bytes_put_u32(b, (s->disconnected ? SITE_FLAG_DISCONNECTED : 0) |
					 (s->map_due ? SITE_FLAG_MAP_DUE : 0) |
					 (s->current ? SITE_FLAG_CURRENT : 0) |
					 (s->bypass ? SITE_FLAG_BYPASS : 0));
	}
}

static void put_tables(struct bytes *b, const struct mirror_superblock *sb)
{
	bytes_put_u32(b, sb->disks.count);
	bytes_put_u32(b, sb->restart_count);
	for (uint32_t i = 0; i < sb->disks.count; i++) {
		bytes_put_u32(b, i);
		bytes_put_u32(b, sb->disks.entry[i].sector_bytes);
		mirror_format_put_text(b, sb->disks.entry[i].name, CONFIG_NAME_MAX);
		bytes_put_u64(b, sb->disks.entry[i].size_bytes);
		bytes_put_u64(b, sb->disks.entry[i].sequence);
	}
	for (uint32_t i = 0; i < sb->restart_count; i++) {
		bytes_put_u64(b, sb->restart[i].position);
		bytes_put_u64(b, sb->restart[i].sequence);
		bytes_put_u64(b, sb->restart[i].epoch);
	}
	mirror_format_put_history(b, &sb->history);
}

static void put_evidence(struct bytes *b, const struct mirror_superblock *sb)
{
	const struct mirror_evidence *e = &sb->evidence;

	for (uint32_t i = 0; i < sb->disks.count; i++) {
		mirror_format_put_text(b, e->identity[i], MIRROR_IDENTITY_BYTES);
		bytes_put_u32(b, mirror_evidence_count(e, i));
		bytes_put_u32(b, 0);
		for (uint32_t k = 0; k < mirror_evidence_slots(e); k++) {
			const struct mirror_sample *s = mirror_evidence_sample(e, i, k);

			if (s->sequence == 0)
				continue;
			bytes_put_u64(b, s->sequence);
			bytes_put_u64(b, s->offset_bytes);
			bytes_put_u32(b, s->length_bytes);
			bytes_put_u32(b, s->crc);
		}
	}
}

/* A reason of the history that version 1 did not have. */
static uint32_t features_of(const struct mirror_superblock *sb)
{
	for (uint32_t i = 0; i < sb->history.count; i++)
		if (sb->history.entry[i].reason == GENERATION_ASYNC)
			return FEATURE_ASYNC;
	return 0;
}

size_t mirror_superblock_encode(const struct mirror_superblock *sb, uint8_t *buffer)
{
	struct bytes b = bytes_of(buffer, MIRROR_SUPERBLOCK_BYTES);
	size_t length;

	assert(superblock_is_valid(sb));

	memset(buffer, 0, MIRROR_SUPERBLOCK_BYTES);
	bytes_put_u64(&b, MAGIC);
	bytes_put_u16(&b, MIRROR_SUPERBLOCK_VERSION);
	bytes_put_u16(&b, 0);
	bytes_put_u32(&b, features_of(sb));
	bytes_put_u32(&b, 0); /* length, below */
	bytes_put_u32(&b, 0); /* CRC, below */
	bytes_put_u64(&b, sb->write_counter);
	mirror_format_put_uuid(&b, &sb->mirror);
	mirror_format_put_uuid(&b, &sb->lineage);
	mirror_format_put_uuid(&b, &sb->site_id);
	mirror_format_put_uuid(&b, &sb->log);
	mirror_format_put_text(&b, sb->mirror_name, CONFIG_NAME_MAX);
	put_state(&b, sb);
	put_sites(&b, sb);
	put_tables(&b, sb);
	put_evidence(&b, sb);
	assert(!b.bad);

	length = b.position;
	b.position = LENGTH_AT;
	bytes_put_u32(&b, (uint32_t)length);
	bytes_put_u32(&b, common_crc32c_without(buffer, length, CRC_AT));
	return (length + MIRROR_BLOCK_BYTES - 1) / MIRROR_BLOCK_BYTES *
	       MIRROR_BLOCK_BYTES;
}

/* ---- decoding ------------------------------------------------------------ */

static void get_mark(struct bytes *b, struct mirror_mark *mark)
{
	mark->generation = bytes_get_u64(b);
	mark->sequence = bytes_get_u64(b);
}

static void get_state(struct bytes *b, struct mirror_superblock *sb)
{
	const uint32_t flags = bytes_get_u32(b);
	const uint32_t kind = bytes_get_u32(b);
	uint64_t chain;

	sb->blank = (flags & FLAG_BLANK) != 0;
	sb->clean.set = (flags & FLAG_CLEAN) != 0;
	sb->hold.active = (flags & FLAG_HOLD) != 0;
	sb->handed_over = (flags & FLAG_HANDED_OVER) != 0;
	sb->refresh.kind = (enum mirror_refresh_kind)kind;
	sb->log_bytes = bytes_get_u64(b);
	sb->ring_start_bytes = bytes_get_u64(b);
	sb->ring_bytes = bytes_get_u64(b);
	chain = bytes_get_u64(b);
	sb->log_epoch = bytes_get_u64(b);
	sb->incarnation = bytes_get_u64(b);
	sb->tail_position = bytes_get_u64(b);
	sb->tail_sequence = bytes_get_u64(b);
	sb->tail_epoch = bytes_get_u64(b);
	sb->head_position = bytes_get_u64(b);
	get_mark(b, &sb->durable);
	get_mark(b, &sb->home);
	sb->next_sequence = bytes_get_u64(b);
	sb->last_time_ns = bytes_get_u64(b);
	mirror_format_get_uuid(b, &sb->refusal.generation);
	sb->refusal.ballot = bytes_get_u64(b);
	sb->hold.generation = bytes_get_u64(b);
	sb->hold.sequence = bytes_get_u64(b);
	sb->hold.position = bytes_get_u64(b);
	mirror_format_get_uuid(b, &sb->refresh.source);
	mirror_format_get_uuid(b, &sb->clean.generation);
	sb->clean.sequence = bytes_get_u64(b);
	if ((flags & ~FLAGS_KNOWN) != 0 || kind > MIRROR_REFRESH_BLANK || chain != 0)
		b->bad = true;
}

static void get_sites(struct bytes *b, struct mirror_superblock *sb)
{
	sb->site = bytes_get_u32(b);
	sb->site_count = bytes_get_u32(b);
	if (sb->site_count > CONFIG_SITE_COUNT_MAX || sb->site >= sb->site_count) {
		b->bad = true;
		return;
	}
	for (uint32_t i = 0; i < sb->site_count; i++) {
		struct mirror_superblock_site *s = &sb->sites[i];
		uint32_t state, flags;

		mirror_format_get_text(b, s->name, CONFIG_NAME_MAX);
		s->map_start_bytes = bytes_get_u64(b);
		s->map_bytes = bytes_get_u64(b);
		s->map_epoch = bytes_get_u64(b);
		s->map_position = bytes_get_u64(b);
		s->since_ns = bytes_get_u64(b);
		state = bytes_get_u32(b);
		flags = bytes_get_u32(b);
		s->map_state = (enum mirror_map_state)state;
		s->disconnected = (flags & SITE_FLAG_DISCONNECTED) != 0;
		s->map_due = (flags & SITE_FLAG_MAP_DUE) != 0;
		s->current = (flags & SITE_FLAG_CURRENT) != 0;
		s->bypass = (flags & SITE_FLAG_BYPASS) != 0;
		if (state > MIRROR_MAP_ALL_DIRTY || (flags & ~SITE_FLAGS_KNOWN) != 0 ||
		    (s->bypass && !s->disconnected))
			b->bad = true;
	}
}

static void get_tables(struct bytes *b, struct mirror_superblock *sb)
{
	sb->disks.count = bytes_get_u32(b);
	sb->restart_count = bytes_get_u32(b);
	if (sb->disks.count > CONFIG_DISK_COUNT_MAX ||
	    sb->restart_count > MIRROR_RESTART_COUNT_MAX) {
		b->bad = true;
		return;
	}
	for (uint32_t i = 0; i < sb->disks.count; i++) {
		if (bytes_get_u32(b) != i)
			b->bad = true;
		sb->disks.entry[i].sector_bytes = bytes_get_u32(b);
		mirror_format_get_text(b, sb->disks.entry[i].name, CONFIG_NAME_MAX);
		sb->disks.entry[i].size_bytes = bytes_get_u64(b);
		sb->disks.entry[i].sequence = bytes_get_u64(b);
	}
	for (uint32_t i = 0; i < sb->restart_count; i++) {
		sb->restart[i].position = bytes_get_u64(b);
		sb->restart[i].sequence = bytes_get_u64(b);
		sb->restart[i].epoch = bytes_get_u64(b);
	}
	mirror_format_get_history(b, &sb->history);
}

static void get_evidence(struct bytes *b, struct mirror_superblock *sb)
{
	struct mirror_evidence *e = &sb->evidence;

	e->disk_count = sb->disks.count;
	for (uint32_t i = 0; i < sb->disks.count && !b->bad; i++) {
		uint32_t count;

		mirror_format_get_text(b, e->identity[i], MIRROR_IDENTITY_BYTES);
		count = bytes_get_u32(b);
		if (bytes_get_u32(b) != 0 || count > mirror_evidence_slots(e)) {
			b->bad = true;
			return;
		}
		for (uint32_t k = 0; k < count; k++) {
			struct mirror_sample *s = mirror_evidence_slot(e, i, k);

			s->sequence = bytes_get_u64(b);
			s->offset_bytes = bytes_get_u64(b);
			s->length_bytes = bytes_get_u32(b);
			s->crc = bytes_get_u32(b);
			if (!sample_is_valid(s, &sb->disks.entry[i]))
				b->bad = true;
		}
	}
}

static int refuse(int error, char *text, size_t text_bytes, const char *reason)
{
	snprintf(text, text_bytes, "%s", reason);
	return error;
}

int mirror_superblock_decode(const uint8_t *buffer, struct mirror_superblock *sb,
			     char *text, size_t text_bytes)
{
	struct bytes b = mirror_format_reader(buffer, MIRROR_SUPERBLOCK_BYTES);
	const uint64_t magic = bytes_get_u64(&b);
	const uint16_t version = bytes_get_u16(&b);
	const uint16_t reserved = bytes_get_u16(&b);
	const uint32_t features = bytes_get_u32(&b);
	const uint32_t length = bytes_get_u32(&b);
	const uint32_t crc = bytes_get_u32(&b);

	memset(sb, 0, sizeof *sb);
	if (magic != MAGIC)
		return refuse(-ENODATA, text, text_bytes, "not a hamirror log");
	if (length <= CRC_AT + 4 || length > MIRROR_SUPERBLOCK_BYTES)
		return refuse(-EBADMSG, text, text_bytes,
			      "torn: its length is impossible");
	if (crc != common_crc32c_without(buffer, length, CRC_AT))
		return refuse(-EBADMSG, text, text_bytes, "torn: its checksum is wrong");
	if (version != MIRROR_SUPERBLOCK_VERSION || reserved != 0)
		return refuse(-EPROTONOSUPPORT, text, text_bytes,
			      "written by a newer version of hamirror");
	if ((features & ~FEATURE_ASYNC) != 0)
		return refuse(-EPROTONOSUPPORT, text, text_bytes,
			      "uses a feature that this version of hamirror lacks");

	b.length = length;
	sb->write_counter = bytes_get_u64(&b);
	mirror_format_get_uuid(&b, &sb->mirror);
	mirror_format_get_uuid(&b, &sb->lineage);
	mirror_format_get_uuid(&b, &sb->site_id);
	mirror_format_get_uuid(&b, &sb->log);
	mirror_format_get_text(&b, sb->mirror_name, CONFIG_NAME_MAX);
	get_state(&b, sb);
	get_sites(&b, sb);
	get_tables(&b, sb);
	get_evidence(&b, sb);
	if (b.bad || b.position != length || !superblock_is_valid(sb))
		return refuse(-EPROTO, text, text_bytes,
			      "intact, but its fields contradict each other");
	text[0] = 0;
	return 0;
}
