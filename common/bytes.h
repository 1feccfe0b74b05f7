/* bytes.h - little-endian fields of fixed width, for every format on disk and
 * on the wire. A cursor never runs past its end: `bad` is set instead, so that
 * a decoder checks once, after the last field. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	uint8_t *data;
	size_t length;     /* bytes at `data` */
	size_t position;   /* next byte, <= length */
	bool bad;          /* an access would have run past the end */
};

static inline struct bytes bytes_of(void *data, size_t length)
{
	return (struct bytes){ .data = data, .length = length };
}

static inline uint8_t *bytes_take(struct bytes *b, size_t count)
{
	uint8_t *at = b->data + b->position;

	if (b->bad || count > b->length - b->position) {
		b->bad = true;
		return NULL;
	}
	b->position += count;
	return at;
}

static inline void bytes_put(struct bytes *b, uint64_t value, size_t width)
{
	uint8_t *at = bytes_take(b, width);

	for (size_t i = 0; at != NULL && i < width; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t bytes_get(struct bytes *b, size_t width)
{
	const uint8_t *at = bytes_take(b, width);
	uint64_t value = 0;

	for (size_t i = 0; at != NULL && i < width; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

/* clang-format off */
static inline void bytes_put_u8(struct bytes *b, uint8_t v) { bytes_put(b, v, 1); }
static inline void bytes_put_u16(struct bytes *b, uint16_t v) { bytes_put(b, v, 2); }
static inline void bytes_put_u32(struct bytes *b, uint32_t v) { bytes_put(b, v, 4); }
static inline void bytes_put_u64(struct bytes *b, uint64_t v) { bytes_put(b, v, 8); }
static inline uint8_t bytes_get_u8(struct bytes *b) { return (uint8_t)bytes_get(b, 1); }
static inline uint16_t bytes_get_u16(struct bytes *b) { return (uint16_t)bytes_get(b, 2); }
static inline uint32_t bytes_get_u32(struct bytes *b) { return (uint32_t)bytes_get(b, 4); }
static inline uint64_t bytes_get_u64(struct bytes *b) { return bytes_get(b, 8); }
/* clang-format on */

/* Copy `count` bytes in or out as they are (names, uuids). */
static inline void bytes_put_raw(struct bytes *b, const void *from, size_t count)
{
	uint8_t *at = bytes_take(b, count);

	if (at != NULL)
		memcpy(at, from, count);
}

static inline void bytes_get_raw(struct bytes *b, void *to, size_t count)
{
	const uint8_t *at = bytes_take(b, count);

	if (at != NULL)
		memcpy(to, at, count);
	else
		memset(to, 0, count);
}

/* Only zeros? At least one byte. */
static inline bool bytes_are_zero(const uint8_t *data, size_t length)
{
	return data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

#endif
