/* wire_news.c - NEWS frames, whose texts other hosts wrote and people read; see wire.h and
 * docs/formats.md. */
#include "mirror/line/wire_private.h"

#include <errno.h>

/* How many bytes at `text` are one character of UTF-8 (RFC 3629) that can be shown; 0: none. */
static size_t character_bytes(const uint8_t *text)
{
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	const uint8_t first = text[0];
	const size_t bytes = first < 0x80           ? 1 :
			     (first & 0xe0) == 0xc0 ? 2 :
			     (first & 0xf0) == 0xe0 ? 3 :
			     (first & 0xf8) == 0xf0 ? 4 :
						      0;
	uint32_t value = bytes > 1 ? first & (0x7fu >> bytes) : first;

	/* The 0 that ends the text is no continuation. */
	for (size_t i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (text[i] & 0x3f);
	}
	if (bytes == 0 || value < least[bytes] || value > 0x10ffff ||
	    (value >= 0xd800 && value < 0xe000))
		return 0;
	return bytes;
}

static void get_clean_text(struct bytes *b, char *text, size_t width)
{
	uint8_t *to = (uint8_t *)text, *from = to;

	mirror_format_get_text(b, text, width);
	while (*from != 0) {
		const size_t bytes = character_bytes(from);

		if (bytes < 2) {
			*to++ = bytes == 0                    ? '?' :
				*from < 0x20 || *from == 0x7f ? ' ' :
								*from;
			from++;
			continue;
		}
		for (size_t i = 0; i < bytes; i++)
			*to++ = *from++;
	}
	*to = 0;
}

void mirror_wire_news(struct mirror_frame *frame, const struct mirror_news *news)
{
	struct bytes b = mirror_wire_begin(frame);

	mirror_format_put_text(&b, news->object, sizeof news->object);
	mirror_format_put_text(&b, news->rule, sizeof news->rule);
	mirror_format_put_text(&b, news->text, sizeof news->text);
	mirror_wire_finish(frame, &b, MIRROR_FRAME_NEWS, NULL, 0);
}

int mirror_wire_decode_news(const uint8_t *body, uint32_t body_bytes,
			    struct mirror_news *news)
{
	struct bytes b = mirror_format_reader(body, body_bytes);

	if (body_bytes != sizeof *news)
		return -EPROTO;
	get_clean_text(&b, news->object, sizeof news->object);
	get_clean_text(&b, news->rule, sizeof news->rule);
	get_clean_text(&b, news->text, sizeof news->text);
	return b.bad || news->object[0] == '\0' ? -EPROTO : 0;
}
