/* codec.h - one description of a format serves both ways: a field is put when
 * `writing`, and taken else. So encoder and decoder cannot differ.
 *
 * Values that are taken are bounded here (texts end, flags are 0 or 1); ranges are the
 * format's own affair. After the last field `bytes.bad` says whether all was well.
 */
#ifndef CLUSTER_CODEC_H
#define CLUSTER_CODEC_H

#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/identity.h"

struct codec {
	struct bytes bytes;
	bool writing;
};

static inline struct codec codec_writer(uint8_t *data, size_t length)
{
	return (struct codec){ .bytes = bytes_of(data, length), .writing = true };
}

/* Nothing is written through a reader. */
static inline struct codec codec_reader(const uint8_t *data, size_t length)
{
	return (struct codec){ .bytes = bytes_of((uint8_t *)(uintptr_t)data, length) };
}

static inline void codec_u8(struct codec *c, uint8_t *v)
{
	if (c->writing)
		bytes_put_u8(&c->bytes, *v);
	else
		*v = bytes_get_u8(&c->bytes);
}

static inline void codec_u16(struct codec *c, uint16_t *v)
{
	if (c->writing)
		bytes_put_u16(&c->bytes, *v);
	else
		*v = bytes_get_u16(&c->bytes);
}

static inline void codec_u32(struct codec *c, uint32_t *v)
{
	if (c->writing)
		bytes_put_u32(&c->bytes, *v);
	else
		*v = bytes_get_u32(&c->bytes);
}

static inline void codec_i32(struct codec *c, int32_t *v)
{
	uint32_t u = (uint32_t)*v;

	codec_u32(c, &u);
	*v = (int32_t)u;
}

static inline void codec_u64(struct codec *c, uint64_t *v)
{
	if (c->writing)
		bytes_put_u64(&c->bytes, *v);
	else
		*v = bytes_get_u64(&c->bytes);
}

static inline void codec_bool(struct codec *c, bool *v)
{
	uint8_t u = *v ? 1 : 0;

	codec_u8(c, &u);
	if (u > 1)
		c->bytes.bad = true;
	*v = u == 1;
}

static inline void codec_uuid(struct codec *c, struct uuid *v)
{
	if (c->writing)
		bytes_put_raw(&c->bytes, v->byte, sizeof v->byte);
	else
		bytes_get_raw(&c->bytes, v->byte, sizeof v->byte);
}

/* A text of less than `size` bytes, at most 255: its length, then the bytes. */
static inline void codec_text(struct codec *c, char *text, size_t size)
{
	uint8_t length = 0;

	if (c->writing)
		length = (uint8_t)strnlen(text, size - 1 < 255 ? size - 1 : 255);
	codec_u8(c, &length);
	if (c->writing) {
		bytes_put_raw(&c->bytes, text, length);
		return;
	}
	memset(text, 0, size);
	if (length >= size)
		c->bytes.bad = true;
	else
		bytes_get_raw(&c->bytes, text, length);
}

#endif
