/* format.c - see format.h. */
#include "mirror/log/format.h"

#include <assert.h>
#include <string.h>

#include "mirror/line/history.h"

struct bytes mirror_format_reader(const void *from, size_t length)
{
	/* One cursor type serves both ways; here nothing but bytes_get_*() is used. */
	union {
		const void *in;
		void *out;
	} at = { .in = from };

	return bytes_of(at.out, length);
}

void mirror_format_put_text(struct bytes *b, const char *text, size_t width)
{
	const size_t length = strlen(text);
	uint8_t *at = bytes_take(b, width);

	assert(length < width);
	if (at != NULL) {
		memset(at, 0, width);
		memcpy(at, text, length);
	}
}

void mirror_format_get_text(struct bytes *b, char *text, size_t width)
{
	size_t length;

	bytes_get_raw(b, text, width);
	length = strnlen(text, width);
	for (size_t i = length; i < width; i++)
		if (text[i] != 0)
			b->bad = true;
	if (length == width) {
		text[0] = 0;
		b->bad = true;
	}
}

void mirror_format_put_uuid(struct bytes *b, const struct uuid *id)
{
	bytes_put_raw(b, id->byte, sizeof id->byte);
}

void mirror_format_get_uuid(struct bytes *b, struct uuid *id)
{
	bytes_get_raw(b, id->byte, sizeof id->byte);
}

void mirror_format_put_history(struct bytes *b, const struct history *h)
{
	assert(h->count <= HISTORY_COUNT_MAX);

	bytes_put_u32(b, h->count);
	bytes_put_u32(b, h->dropped_count);
	for (uint32_t i = 0; i < h->count; i++) {
		const struct generation *g = &h->entry[i];

		bytes_put_u64(b, g->ordinal);
		mirror_format_put_uuid(b, &g->id);
		mirror_format_put_uuid(b, &g->parent);
		bytes_put_u64(b, g->cut);
		bytes_put_u32(b, g->reason);
		bytes_put_u32(b, g->site);
	}
}

void mirror_format_get_history(struct bytes *b, struct history *h)
{
	h->count = bytes_get_u32(b);
	h->dropped_count = bytes_get_u32(b);
	if (h->count > HISTORY_COUNT_MAX) {
		h->count = 0;
		b->bad = true;
		return;
	}
	for (uint32_t i = 0; i < h->count; i++) {
		struct generation *g = &h->entry[i];

		g->ordinal = bytes_get_u64(b);
		mirror_format_get_uuid(b, &g->id);
		mirror_format_get_uuid(b, &g->parent);
		g->cut = bytes_get_u64(b);
		g->reason = bytes_get_u32(b);
		g->site = bytes_get_u32(b);
	}
	if (mirror_history_check(h) < 0)
		b->bad = true;
}
