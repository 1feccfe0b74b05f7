/* wire_hello.c - HELLO and WELCOME; see wire.h and docs/formats.md. */
#include "mirror/line/wire_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/config_difference.h"
#include "common/crc.h"

#define HELLO_BODY_BYTES 448u
#define FLAG_SERVING (1u << 0)
#define FLAG_CLEAN (1u << 1)
#define FLAG_BLANK (1u << 2)
#define FLAG_PROMOTING (1u << 3)
#define FLAG_PUT_OUT (1u << 4)
#define FLAGS_KNOWN                                                                      \
	(FLAG_SERVING | FLAG_CLEAN | FLAG_BLANK | FLAG_PROMOTING | FLAG_PUT_OUT)

/* ---- the data part: history, disks, settings ---------------------------------- */

size_t mirror_wire_hello_data(const struct mirror_hello *hello, uint8_t *data)
{
	struct bytes b = bytes_of(data, MIRROR_WIRE_DATA_MAX);

	assert(hello->disks.count <= CONFIG_DISK_COUNT_MAX);

	mirror_format_put_history(&b, &hello->history);
	bytes_put_u32(&b, hello->disks.count);
	bytes_put_u32(&b, 0);
	for (uint32_t i = 0; i < hello->disks.count; i++) {
		const struct mirror_disk *d = &hello->disks.entry[i];

		mirror_format_put_text(&b, d->name, sizeof d->name);
		bytes_put_u64(&b, d->size_bytes);
		bytes_put_u32(&b, d->sector_bytes);
		bytes_put_u32(&b, 0);
	}
	config_agreed_put(&b, hello->agreed);
	assert(!b.bad);
	return b.position;
}

static int get_data(const uint8_t *data, uint32_t data_bytes, struct mirror_hello *hello)
{
	struct bytes b = mirror_format_reader(data, data_bytes);

	mirror_format_get_history(&b, &hello->history);
	hello->disks.count = bytes_get_u32(&b);
	if (bytes_get_u32(&b) != 0 || hello->disks.count > CONFIG_DISK_COUNT_MAX) {
		hello->disks.count = 0;
		return -EPROTO;
	}
	for (uint32_t i = 0; i < hello->disks.count; i++) {
		struct mirror_disk *d = &hello->disks.entry[i];

		mirror_format_get_text(&b, d->name, sizeof d->name);
		d->size_bytes = bytes_get_u64(&b);
		d->sector_bytes = bytes_get_u32(&b);
		d->sequence = 0;
		if (bytes_get_u32(&b) != 0)
			return -EPROTO;
	}
	if (!b.bad && b.position < b.length)
		config_agreed_get(&b, hello->agreed);
	return b.bad ? -EPROTO : 0;
}

/* ---- the body ------------------------------------------------------------ */

static void put_identity(struct bytes *b, const struct mirror_hello *hello)
{
	bytes_put_u16(b, hello->version_min);
	bytes_put_u16(b, hello->version_max);
	bytes_put_u32(b, hello->features);
	bytes_put_u32(b, hello->purpose);
	bytes_put_u32(b, hello->site);
	bytes_put_raw(b, hello->nonce, sizeof hello->nonce);
	bytes_put_raw(b, hello->authentication, sizeof hello->authentication);
	mirror_format_put_uuid(b, &hello->mirror);
	mirror_format_put_uuid(b, &hello->lineage);
	mirror_format_put_uuid(b, &hello->site_id);
	mirror_format_put_uuid(b, &hello->log);
	mirror_format_put_text(b, hello->mirror_name, sizeof hello->mirror_name);
	mirror_format_put_text(b, hello->site_name, sizeof hello->site_name);
	mirror_format_put_text(b, hello->host, sizeof hello->host);
}

static void put_state(struct bytes *b, const struct mirror_hello *hello)
{
	bytes_put_u64(b, hello->incarnation);
	mirror_format_put_uuid(b, &hello->generation);
	bytes_put_u64(b, hello->generation_ordinal);
	bytes_put_u64(b, hello->ballot);
	bytes_put_u64(b, hello->config_hash);
	bytes_put_u64(b, hello->marks.logged);
	bytes_put_u64(b, hello->marks.durable);
	bytes_put_u64(b, hello->marks.home);
	bytes_put_u64(b, hello->oldest_sequence);
	bytes_put_u64(b, hello->next_sequence);
	bytes_put_u32(b, hello->data);
	bytes_put_u32(b, (hello->serving ? FLAG_SERVING : 0) |
				 (hello->clean ? FLAG_CLEAN : 0) |
				 (hello->blank ? FLAG_BLANK : 0) |
				 (hello->promoting ? FLAG_PROMOTING : 0) |
				 (hello->put_out ? FLAG_PUT_OUT : 0));
	bytes_put_u64(b, hello->own_map_extents);
	bytes_put_u32(b, hello->data_max_bytes);
	bytes_put_u32(b, hello->frames_max);
}

void mirror_wire_hello(struct mirror_frame *frame, enum mirror_frame_type type,
		       const struct mirror_hello *hello, const uint8_t *data,
		       size_t data_bytes)
{
	struct bytes b = mirror_wire_begin(frame);

	assert(type == MIRROR_FRAME_HELLO || type == MIRROR_FRAME_WELCOME);

	put_identity(&b, hello);
	put_state(&b, hello);
	bytes_put_u32(&b, common_crc32c(0, data, data_bytes));
	bytes_put_u32(&b, 0);
	bytes_put_u64(&b, hello->tracked_extents);
	assert(b.position == HELLO_BODY_BYTES);
	mirror_wire_finish(frame, &b, type, data, data_bytes);
}

static void get_identity(struct bytes *b, struct mirror_hello *hello)
{
	uint32_t purpose;

	hello->version_min = bytes_get_u16(b);
	hello->version_max = bytes_get_u16(b);
	hello->features = bytes_get_u32(b);
	purpose = bytes_get_u32(b);
	hello->purpose = (enum mirror_hello_purpose)purpose;
	hello->site = bytes_get_u32(b);
	bytes_get_raw(b, hello->nonce, sizeof hello->nonce);
	bytes_get_raw(b, hello->authentication, sizeof hello->authentication);
	mirror_format_get_uuid(b, &hello->mirror);
	mirror_format_get_uuid(b, &hello->lineage);
	mirror_format_get_uuid(b, &hello->site_id);
	mirror_format_get_uuid(b, &hello->log);
	mirror_format_get_text(b, hello->mirror_name, sizeof hello->mirror_name);
	mirror_format_get_text(b, hello->site_name, sizeof hello->site_name);
	mirror_format_get_text(b, hello->host, sizeof hello->host);
	if (hello->version_min == 0 || hello->version_min > hello->version_max ||
	    purpose < MIRROR_HELLO_STREAM || purpose > MIRROR_HELLO_ROLL ||
	    hello->site >= CONFIG_SITE_COUNT_MAX)
		b->bad = true;
}

static void get_state(struct bytes *b, struct mirror_hello *hello)
{
	uint32_t data, flags;

	hello->incarnation = bytes_get_u64(b);
	mirror_format_get_uuid(b, &hello->generation);
	hello->generation_ordinal = bytes_get_u64(b);
	hello->ballot = bytes_get_u64(b);
	hello->config_hash = bytes_get_u64(b);
	hello->marks.logged = bytes_get_u64(b);
	hello->marks.durable = bytes_get_u64(b);
	hello->marks.home = bytes_get_u64(b);
	hello->oldest_sequence = bytes_get_u64(b);
	hello->next_sequence = bytes_get_u64(b);
	data = bytes_get_u32(b);
	hello->data = (enum data_state)data;
	flags = bytes_get_u32(b);
	hello->serving = (flags & FLAG_SERVING) != 0;
	hello->clean = (flags & FLAG_CLEAN) != 0;
	hello->blank = (flags & FLAG_BLANK) != 0;
	hello->promoting = (flags & FLAG_PROMOTING) != 0;
	hello->put_out = (flags & FLAG_PUT_OUT) != 0;
	hello->own_map_extents = bytes_get_u64(b);
	hello->data_max_bytes = bytes_get_u32(b);
	hello->frames_max = bytes_get_u32(b);
	if (data > DATA_UP_TO_DATE || (flags & ~FLAGS_KNOWN) != 0 ||
	    hello->marks.durable > hello->marks.logged)
		b->bad = true;
}

int mirror_wire_decode_hello(const uint8_t *body, uint32_t body_bytes,
			     const uint8_t *data, uint32_t data_bytes,
			     struct mirror_hello *hello)
{
	struct bytes b = mirror_format_reader(body, body_bytes);
	uint32_t crc;

	memset(hello, 0, sizeof *hello);
	get_identity(&b, hello);
	get_state(&b, hello);
	crc = bytes_get_u32(&b);
	if (bytes_get_u32(&b) != 0)
		return -EPROTO;
	hello->tracked_extents = bytes_get_u64(&b);
	if (b.bad)
		return -EPROTO;
	if (crc != common_crc32c(0, data, data_bytes))
		return -EBADMSG;
	return get_data(data, data_bytes, hello);
}

bool mirror_wire_peek_hello(const uint8_t *body, uint32_t body_bytes, uint32_t *features,
			    enum mirror_hello_purpose *purpose, uint32_t *site)
{
	struct bytes b = mirror_format_reader(body, body_bytes);

	bytes_get_u16(&b); /* versions */
	bytes_get_u16(&b);
	*features = bytes_get_u32(&b);
	*purpose = (enum mirror_hello_purpose)bytes_get_u32(&b);
	*site = bytes_get_u32(&b);
	return !b.bad;
}

/* ---- do the disks fit ---------------------------------------------------- */

int mirror_hello_check_disks(const struct mirror_disk_table *production,
			     const struct mirror_disk_table *copy, char *text,
			     size_t text_bytes)
{
	if (production->count != copy->count) {
		snprintf(text, text_bytes,
			 "production has %" PRIu32 " disks, the copy has %" PRIu32,
			 production->count, copy->count);
		return -EMEDIUMTYPE;
	}
	for (uint32_t i = 0; i < production->count; i++) {
		const struct mirror_disk *p = &production->entry[i], *c = &copy->entry[i];

		if (strcmp(p->name, c->name) != 0)
			snprintf(text, text_bytes,
				 "disk %" PRIu32 " is '%s' at production and '%s' at the "
				 "copy",
				 i, p->name, c->name);
		else if (c->size_bytes < p->size_bytes)
			snprintf(text, text_bytes,
				 "disk '%s' has %" PRIu64 " bytes at production and only "
				 "%" PRIu64 " at the copy: use a device at least as "
				 "large there",
				 p->name, p->size_bytes, c->size_bytes);
		else if (c->sector_bytes > p->sector_bytes)
			snprintf(text, text_bytes,
				 "disk '%s' has sectors of %" PRIu32
				 " bytes at production "
				 "and larger ones, %" PRIu32 ", at the copy",
				 p->name, p->sector_bytes, c->sector_bytes);
		else
			continue;
		return -EMEDIUMTYPE;
	}
	return 0;
}
