/* config_difference.c - see config_difference.h. */
#include "common/config_difference.h"

#include <stdio.h>
#include <string.h>

#define VALUE_BYTES 80 /* of a value or a whole line, as far as it is shown */

/* Where the value begins, if both lines have the same key; else 0. */
static size_t key_length(const char *a, const char *b)
{
	size_t key = 0;

	for (size_t i = 0; a[i] != '\0' && a[i] == b[i] && a[i] != '\n'; i++)
		if (i > 0 && a[i - 1] == ':' && a[i] == ' ')
			key = i + 1;
	return key;
}

static int shown(const char *line)
{
	int length = 0;

	while (length < VALUE_BYTES && line[length] != '\0' && line[length] != '\n')
		length++;
	return length;
}

void config_difference(const char *a, const char *theirs, const char *b, const char *own,
		       char *text, size_t size)
{
	size_t same = 0, line = 0, key;

	for (; theirs[same] == own[same] && own[same] != '\0'; same++)
		if (own[same] == '\n')
			line = same + 1;
	theirs += line;
	own += line;
	key = key_length(theirs, own);
	if (*theirs == '\0' && (*own == '\0' || line == 0)) /* cut off, or not told */
		snprintf(text, size, "%s differs from %s", a, b);
	else if (*theirs == '\0')
		snprintf(text, size, "%s lacks %.*s, which %s has", a, shown(own), own,
			 b);
	else if (*own == '\0')
		snprintf(text, size, "%s has %.*s, which %s lacks", a, shown(theirs),
			 theirs, b);
	else
		snprintf(text, size, "%s has %.*s%.*s, %s %.*s", a, (int)key, theirs,
			 shown(theirs + key), theirs + key, b, shown(own + key),
			 own + key);
	for (char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

void config_agreed_put(struct bytes *b, const char *agreed)
{
	const size_t length = strnlen(agreed, CONFIG_AGREED_BYTES - 1);

	bytes_put_u32(b, (uint32_t)length);
	bytes_put_raw(b, agreed, length);
}

void config_agreed_get(struct bytes *b, char agreed[CONFIG_AGREED_BYTES])
{
	const uint32_t length = bytes_get_u32(b);

	memset(agreed, 0, CONFIG_AGREED_BYTES);
	if (length >= CONFIG_AGREED_BYTES)
		b->bad = true;
	else
		bytes_get_raw(b, agreed, length);
}
