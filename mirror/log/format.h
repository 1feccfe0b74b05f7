/* format.h - fields that several formats share: names, uuids, histories. */
#ifndef MIRROR_LOG_FORMAT_H
#define MIRROR_LOG_FORMAT_H

#include <stddef.h>

#include "common/bytes.h"
#include "common/config.h"
#include "common/identity.h"

/* A cursor over bytes that are only read. */
struct bytes mirror_format_reader(const void *from, size_t length);

/* `width` bytes, the rest zero. The text with its final 0 must fit (asserted). */
void mirror_format_put_text(struct bytes *b, const char *text, size_t width);

/* Sets b->bad when the text does not end within `width` or anything but zeroes follows
 * its end. */
void mirror_format_get_text(struct bytes *b, char *text, size_t width);

void mirror_format_put_uuid(struct bytes *b, const struct uuid *id);
void mirror_format_get_uuid(struct bytes *b, struct uuid *id);

/* A history. Reading sets b->bad when mirror_history_check() refuses it. */
void mirror_format_put_history(struct bytes *b, const struct history *h);
void mirror_format_get_history(struct bytes *b, struct history *h);

#endif
