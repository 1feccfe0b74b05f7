/* wire.c - see wire.h and docs/formats.md. Hellos are in wire_hello.c. */
#include "mirror/line/wire_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/crc.h"
#include "mirror/log/descriptor.h"

#define MAGIC 0x52494d48u /* "HMIR" */
#define HEADER_CRC_AT 28u
#define ERRNO_MAX 4095 /* of the kernel's error numbers */

#define CONFIRM_FLAG_HELD (1u << 0)
#define MAP_FLAG_LAST (1u << 0)
#define REFRESH_FLAGS_KNOWN (MIRROR_REFRESH_BLANK_OK | MIRROR_REFRESH_INCONSISTENT_OK)

/* ---- the header ---------------------------------------------------------- */

struct bytes mirror_wire_begin(struct mirror_frame *frame)
{
	return bytes_of(frame->head + MIRROR_WIRE_HEADER_BYTES, MIRROR_FRAME_BODY_MAX);
}

void mirror_wire_finish(struct mirror_frame *frame, const struct bytes *body,
			enum mirror_frame_type type, const uint8_t *data,
			size_t data_bytes)
{
	struct bytes b = bytes_of(frame->head, MIRROR_WIRE_HEADER_BYTES);

	assert(!body->bad && data_bytes <= MIRROR_WIRE_DATA_MAX);
	assert(data != NULL || data_bytes == 0);

	bytes_put_u32(&b, MAGIC);
	bytes_put_u16(&b, MIRROR_WIRE_VERSION);
	bytes_put_u16(&b, (uint16_t)type);
	bytes_put_u32(&b, 0); /* flags */
	bytes_put_u32(&b, (uint32_t)body->position);
	bytes_put_u32(&b, (uint32_t)data_bytes);
	bytes_put_u32(&b, 0);
	bytes_put_u32(&b, common_crc32c(0, body->data, body->position));
	bytes_put_u32(&b, common_crc32c(0, frame->head, HEADER_CRC_AT));
	assert(!b.bad && b.position == MIRROR_WIRE_HEADER_BYTES);
	frame->head_bytes = MIRROR_WIRE_HEADER_BYTES + (uint32_t)body->position;
	frame->data = data;
	frame->data_bytes = (uint32_t)data_bytes;
}

int mirror_wire_decode_header(const uint8_t *from, struct mirror_wire_header *h)
{
	struct bytes b = mirror_format_reader(from, MIRROR_WIRE_HEADER_BYTES);
	const uint32_t magic = bytes_get_u32(&b);
	uint32_t flags, reserved, crc;

	h->version = bytes_get_u16(&b);
	h->type = bytes_get_u16(&b);
	flags = bytes_get_u32(&b);
	h->body_bytes = bytes_get_u32(&b);
	h->data_bytes = bytes_get_u32(&b);
	reserved = bytes_get_u32(&b);
	h->body_crc = bytes_get_u32(&b);
	crc = bytes_get_u32(&b);
	if (magic != MAGIC)
		return -EPROTO;
	if (crc != common_crc32c(0, from, HEADER_CRC_AT))
		return -EBADMSG;
	if (h->version != MIRROR_WIRE_VERSION || flags != 0 || reserved != 0)
		return -EPROTONOSUPPORT;
	if (h->type < MIRROR_FRAME_HELLO || h->type > MIRROR_FRAME_NEWS)
		return -EPROTO;
	if (h->body_bytes > MIRROR_FRAME_BODY_MAX || h->data_bytes > MIRROR_WIRE_DATA_MAX)
		return -EMSGSIZE;
	return 0;
}

int mirror_wire_check_body(const struct mirror_wire_header *h, const uint8_t *body)
{
	return common_crc32c(0, body, h->body_bytes) == h->body_crc ? 0 : -EBADMSG;
}

const char *mirror_wire_type_name(uint16_t type)
{
	switch ((enum mirror_frame_type)type) {
	case MIRROR_FRAME_HELLO:
		return "HELLO";
	case MIRROR_FRAME_WELCOME:
		return "WELCOME";
	case MIRROR_FRAME_REFUSE:
		return "REFUSE";
	case MIRROR_FRAME_RECORD:
		return "RECORD";
	case MIRROR_FRAME_CONFIRM:
		return "CONFIRM";
	case MIRROR_FRAME_MARKS:
		return "MARKS";
	case MIRROR_FRAME_MAP:
		return "MAP";
	case MIRROR_FRAME_REFRESH_BEGIN:
		return "REFRESH_BEGIN";
	case MIRROR_FRAME_REFRESH_READY:
		return "REFRESH_READY";
	case MIRROR_FRAME_REFRESH_END:
		return "REFRESH_END";
	case MIRROR_FRAME_DEMOTED:
		return "DEMOTED";
	case MIRROR_FRAME_ROLL_END:
		return "ROLL_END";
	case MIRROR_FRAME_FLUSH:
		return "FLUSH";
	case MIRROR_FRAME_HOME:
		return "HOME";
	case MIRROR_FRAME_NEWS:
		return "NEWS";
	}
	return "unknown";
}

/* Every field was there, and nothing more. */
static int ended(const struct bytes *b)
{
	return !b->bad && b->position == b->length ? 0 : -EPROTO;
}

/* Bodies that are one sequence. */
static void put_sequence(struct mirror_frame *frame, enum mirror_frame_type type,
			 uint64_t sequence)
{
	struct bytes b = mirror_wire_begin(frame);

	bytes_put_u64(&b, sequence);
	mirror_wire_finish(frame, &b, type, NULL, 0);
}

static int get_sequence(const uint8_t *body, uint32_t body_bytes, uint64_t *sequence)
{
	struct bytes b = mirror_format_reader(body, body_bytes);

	*sequence = bytes_get_u64(&b);
	return ended(&b);
}

/* ---- records and marks --------------------------------------------------- */

void mirror_wire_record(struct mirror_frame *frame, const struct mirror_header *h,
			const uint8_t *data)
{
	struct bytes b = mirror_wire_begin(frame);

	mirror_header_encode(h, bytes_take(&b, MIRROR_HEADER_BYTES));
	mirror_wire_finish(frame, &b, MIRROR_FRAME_RECORD, data, h->data_bytes);
}

int mirror_wire_decode_record(const uint8_t *body, uint32_t body_bytes,
			      const uint8_t *data, uint32_t data_bytes,
			      const struct uuid *mirror,
			      const struct mirror_disk_table *disks,
			      struct mirror_header *h)
{
	if (body_bytes != MIRROR_HEADER_BYTES ||
	    mirror_header_decode(body, disks, h) < 0 || h->data_bytes != data_bytes)
		return -EPROTO;
	return mirror_header_data_crc(mirror, h, data) == h->crc ? 0 : -EBADMSG;
}

static void put_site_marks(struct bytes *b, const struct site_marks *marks)
{
	bytes_put_u64(b, marks->logged);
	bytes_put_u64(b, marks->durable);
	bytes_put_u64(b, marks->home);
}

static void get_site_marks(struct bytes *b, struct site_marks *marks)
{
	marks->logged = bytes_get_u64(b);
	marks->durable = bytes_get_u64(b);
	marks->home = bytes_get_u64(b);
}

void mirror_wire_confirm(struct mirror_frame *frame, const struct mirror_confirm *confirm)
{
	struct bytes b = mirror_wire_begin(frame);

	put_site_marks(&b, &confirm->marks);
	bytes_put_u32(&b, confirm->held_count);
	bytes_put_u32(&b, confirm->held ? CONFIRM_FLAG_HELD : 0);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_CONFIRM, NULL, 0);
}

int mirror_wire_decode_confirm(const uint8_t *body, uint32_t body_bytes,
			       struct mirror_confirm *confirm)
{
	struct bytes b = mirror_format_reader(body, body_bytes);
	uint32_t flags;

	get_site_marks(&b, &confirm->marks);
	confirm->held_count = bytes_get_u32(&b);
	flags = bytes_get_u32(&b);
	confirm->held = (flags & CONFIRM_FLAG_HELD) != 0;
	if ((flags & ~CONFIRM_FLAG_HELD) != 0 ||
	    confirm->marks.durable > confirm->marks.logged)
		return -EPROTO;
	return ended(&b);
}

void mirror_wire_marks(struct mirror_frame *frame, const struct mirror_marks *marks)
{
	struct bytes b = mirror_wire_begin(frame);

	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		bytes_put_u64(&b, marks->durable[i]);
	bytes_put_u64(&b, marks->acknowledged);
	bytes_put_u64(&b, marks->sequence);
	bytes_put_u64(&b, marks->time_ns);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_MARKS, NULL, 0);
}

int mirror_wire_decode_marks(const uint8_t *body, uint32_t body_bytes,
			     struct mirror_marks *marks)
{
	struct bytes b = mirror_format_reader(body, body_bytes);

	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		marks->durable[i] = bytes_get_u64(&b);
	marks->acknowledged = bytes_get_u64(&b);
	marks->sequence = bytes_get_u64(&b);
	marks->time_ns = bytes_get_u64(&b);
	return ended(&b);
}

/* ---- refusal, ends ------------------------------------------------------- */

void mirror_wire_refuse(struct mirror_frame *frame, const struct mirror_refuse *refuse)
{
	struct bytes b = mirror_wire_begin(frame);

	bytes_put_u32(&b, refuse->code);
	bytes_put_u32(&b, 0);
	mirror_format_put_text(&b, refuse->text, sizeof refuse->text);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_REFUSE, NULL, 0);
}

int mirror_wire_decode_refuse(const uint8_t *body, uint32_t body_bytes,
			      struct mirror_refuse *refuse)
{
	struct bytes b = mirror_format_reader(body, body_bytes);
	const uint32_t code = bytes_get_u32(&b);
	const uint32_t reserved = bytes_get_u32(&b);

	mirror_format_get_text(&b, refuse->text, sizeof refuse->text);
	refuse->code = (enum mirror_refuse_code)code;
	if (code < MIRROR_REFUSE_OTHER_MIRROR || code > MIRROR_REFUSE_UNDO ||
	    reserved != 0)
		return -EPROTO;
	return ended(&b);
}

void mirror_wire_demoted(struct mirror_frame *frame, const struct mirror_demoted *demoted)
{
	struct bytes b = mirror_wire_begin(frame);

	mirror_format_put_uuid(&b, &demoted->generation);
	bytes_put_u64(&b, demoted->sequence);
	bytes_put_u32(&b, demoted->flags);
	bytes_put_u32(&b, 0);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_DEMOTED, NULL, 0);
}

int mirror_wire_decode_demoted(const uint8_t *body, uint32_t body_bytes,
			       struct mirror_demoted *demoted)
{
	struct bytes b = mirror_format_reader(body, body_bytes);

	mirror_format_get_uuid(&b, &demoted->generation);
	demoted->sequence = bytes_get_u64(&b);
	demoted->flags = bytes_get_u32(&b);
	bytes_get_u32(&b);
	return ended(&b);
}

void mirror_wire_roll_end(struct mirror_frame *frame, const struct mirror_roll_end *end)
{
	put_sequence(frame, MIRROR_FRAME_ROLL_END, end->sequence);
}

int mirror_wire_decode_roll_end(const uint8_t *body, uint32_t body_bytes,
				struct mirror_roll_end *end)
{
	return get_sequence(body, body_bytes, &end->sequence);
}

void mirror_wire_flush(struct mirror_frame *frame, const struct mirror_flush *flush)
{
	put_sequence(frame, MIRROR_FRAME_FLUSH, flush->sequence);
}

int mirror_wire_decode_flush(const uint8_t *body, uint32_t body_bytes,
			     struct mirror_flush *flush)
{
	return get_sequence(body, body_bytes, &flush->sequence);
}

void mirror_wire_home(struct mirror_frame *frame, const struct mirror_home_mark *home)
{
	put_sequence(frame, MIRROR_FRAME_HOME, home->sequence);
}

int mirror_wire_decode_home(const uint8_t *body, uint32_t body_bytes,
			    struct mirror_home_mark *home)
{
	return get_sequence(body, body_bytes, &home->sequence);
}

/* ---- refresh ------------------------------------------------------------- */

void mirror_wire_map(struct mirror_frame *frame, const struct mirror_map_chunk *chunk,
		     const uint8_t *data, size_t data_bytes)
{
	struct bytes b = mirror_wire_begin(frame);

	bytes_put_u32(&b, chunk->disk);
	bytes_put_u32(&b, chunk->last ? MAP_FLAG_LAST : 0);
	bytes_put_u64(&b, chunk->first_extent);
	bytes_put_u32(&b, chunk->extent_count);
	bytes_put_u32(&b, common_crc32c(0, data, data_bytes));
	mirror_wire_finish(frame, &b, MIRROR_FRAME_MAP, data_bytes > 0 ? data : NULL,
			   data_bytes);
}

int mirror_wire_decode_map(const uint8_t *body, uint32_t body_bytes, const uint8_t *data,
			   uint32_t data_bytes, struct mirror_map_chunk *chunk)
{
	struct bytes b = mirror_format_reader(body, body_bytes);
	uint32_t flags, crc;

	chunk->disk = bytes_get_u32(&b);
	flags = bytes_get_u32(&b);
	chunk->last = (flags & MAP_FLAG_LAST) != 0;
	chunk->first_extent = bytes_get_u64(&b);
	chunk->extent_count = bytes_get_u32(&b);
	crc = bytes_get_u32(&b);
	if (ended(&b) < 0 || (flags & ~MAP_FLAG_LAST) != 0 ||
	    chunk->disk >= CONFIG_DISK_COUNT_MAX || chunk->first_extent % 8 != 0 ||
	    ((uint64_t)chunk->extent_count + 7) / 8 != data_bytes)
		return -EPROTO;
	return common_crc32c(0, data, data_bytes) == crc ? 0 : -EBADMSG;
}

void mirror_wire_refresh_begin(struct mirror_frame *frame,
			       const struct mirror_refresh_begin *begin)
{
	struct bytes b = mirror_wire_begin(frame);

	bytes_put_u64(&b, begin->extents);
	bytes_put_u64(&b, begin->bytes);
	bytes_put_u64(&b, begin->first_sequence);
	bytes_put_u32(&b, begin->flags);
	bytes_put_u32(&b, 0);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_REFRESH_BEGIN, NULL, 0);
}

int mirror_wire_decode_refresh_begin(const uint8_t *body, uint32_t body_bytes,
				     struct mirror_refresh_begin *begin)
{
	struct bytes b = mirror_format_reader(body, body_bytes);

	begin->extents = bytes_get_u64(&b);
	begin->bytes = bytes_get_u64(&b);
	begin->first_sequence = bytes_get_u64(&b);
	begin->flags = bytes_get_u32(&b);
	if (bytes_get_u32(&b) != 0 || (begin->flags & ~REFRESH_FLAGS_KNOWN) != 0 ||
	    begin->first_sequence == 0)
		return -EPROTO;
	return ended(&b);
}

void mirror_wire_refresh_ready(struct mirror_frame *frame,
			       const struct mirror_refresh_ready *ready)
{
	struct bytes b = mirror_wire_begin(frame);

	bytes_put_u32(&b, (uint32_t)-ready->error);
	bytes_put_u32(&b, ready->room_blocks);
	mirror_format_put_text(&b, ready->text, sizeof ready->text);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_REFRESH_READY, NULL, 0);
}

int mirror_wire_decode_refresh_ready(const uint8_t *body, uint32_t body_bytes,
				     struct mirror_refresh_ready *ready)
{
	struct bytes b = mirror_format_reader(body, body_bytes);
	const uint32_t error = bytes_get_u32(&b);

	ready->room_blocks = bytes_get_u32(&b);
	mirror_format_get_text(&b, ready->text, sizeof ready->text);
	if (error > ERRNO_MAX)
		return -EPROTO;
	ready->error = -(int32_t)error;
	return ended(&b);
}

void mirror_wire_refresh_end(struct mirror_frame *frame,
			     const struct mirror_refresh_end *end)
{
	put_sequence(frame, MIRROR_FRAME_REFRESH_END, end->sequence);
}

int mirror_wire_decode_refresh_end(const uint8_t *body, uint32_t body_bytes,
				   struct mirror_refresh_end *end)
{
	return get_sequence(body, body_bytes, &end->sequence);
}
