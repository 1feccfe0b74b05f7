/* nbd_option.c - the negotiation: see nbd_wire.h.
 *
 *   phase         input                          next phase
 *   greeting      -                              flags (the greeting is written)
 *   flags         flags we know / others         options / ended
 *   options       EXPORT_NAME, GO of a disk      transmission
 *                 EXPORT_NAME of no disk, ABORT, no option at all   ended
 *                 LIST                           listing
 *                 longer than we take            skipping (EXPORT_NAME: ended)
 *                 any other                      options (answered or refused)
 *   skipping      the rest of it                 options (refused)
 *   listing       -                              options (last export was listed)
 *   transmission  DISC, or a stream out of step  ended (by nbd_client.c)
 */
#include "mirror/front/nbd_wire.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GREETING_MAGIC 0x4e42444d41474943ull /* "NBDMAGIC" */
#define OPTION_MAGIC 0x49484156454f5054ull   /* "IHAVEOPT" */
#define REPLY_MAGIC 0x0003e889045565a9ull
#define OPTION_HEAD_BYTES 16u

#define HANDSHAKE_FIXED_NEWSTYLE 1u
#define HANDSHAKE_NO_ZEROES 2u

enum option {
	OPTION_EXPORT_NAME = 1,
	OPTION_ABORT = 2,
	OPTION_LIST = 3,
	OPTION_INFO = 6,
	OPTION_GO = 7,
	OPTION_STRUCTURED_REPLY = 8,
};

#define REPLY_ACK 1u
#define REPLY_SERVER 2u
#define REPLY_INFO 3u
#define REPLY_ERROR_UNSUPPORTED 0x80000001u
#define REPLY_ERROR_POLICY 0x80000002u
#define REPLY_ERROR_INVALID 0x80000003u
#define REPLY_ERROR_UNKNOWN 0x80000006u
#define REPLY_ERROR_TOO_BIG 0x80000009u

#define INFO_EXPORT 0u
#define INFO_NAME 1u
#define INFO_DESCRIPTION 2u
#define INFO_BLOCK_SIZE 3u

#define DISK_HAS_FLAGS (1u << 0)
#define DISK_SEND_FLUSH (1u << 2)
#define DISK_SEND_FUA (1u << 3)
#define DISK_SEND_TRIM (1u << 5)
#define DISK_SEND_WRITE_ZEROES (1u << 6)
#define DISK_SEND_DF (1u << 7)
#define DISK_CAN_MULTI_CONN (1u << 8)

/* Where the answer to one call is gathered. */
struct answer {
	uint8_t *out;
	size_t size, bytes;
};

/* One option as it arrived. */
struct option_in {
	uint32_t option;
	const uint8_t *data;
	uint32_t bytes;
};

static bool phase_change_is_legal(enum mirror_nbd_phase from, enum mirror_nbd_phase to)
{
	switch (to) {
	case MIRROR_NBD_GREETING:
		return false;
	case MIRROR_NBD_FLAGS:
		return from == MIRROR_NBD_GREETING;
	case MIRROR_NBD_OPTIONS:
		return from == MIRROR_NBD_FLAGS || from == MIRROR_NBD_SKIPPING ||
		       from == MIRROR_NBD_LISTING;
	case MIRROR_NBD_SKIPPING:
	case MIRROR_NBD_LISTING:
	case MIRROR_NBD_TRANSMISSION:
		return from == MIRROR_NBD_OPTIONS;
	case MIRROR_NBD_ENDED:
		return true;
	}
	return false;
}

void mirror_nbd_set_phase(struct mirror_nbd_session *s, enum mirror_nbd_phase phase)
{
	assert(phase_change_is_legal(s->phase, phase));
	s->phase = phase;
}

static void put(struct answer *a, uint64_t value, size_t width)
{
	assert(width <= a->size - a->bytes);
	mirror_nbd_put(a->out + a->bytes, value, width);
	a->bytes += width;
}

static void put_text(struct answer *a, const char *text)
{
	const size_t length = strlen(text);

	assert(length <= a->size - a->bytes);
	memcpy(a->out + a->bytes, text, length);
	a->bytes += length;
}

static void reply(struct answer *a, uint32_t option, uint32_t type, size_t data_bytes)
{
	put(a, REPLY_MAGIC, 8);
	put(a, option, 4);
	put(a, type, 4);
	put(a, data_bytes, 4);
}

/* Errors may carry a sentence for the client's user. */
static void refuse(struct answer *a, uint32_t option, uint32_t type, const char *text)
{
	reply(a, option, type, strlen(text));
	put_text(a, text);
}

/* For the operator: this client gets nothing, and why. */
__attribute__((format(printf, 3, 4))) static void note(struct mirror_nbd_session *s,
						       enum mirror_nbd_refusal kind,
						       const char *format, ...)
{
	va_list ap;

	s->refused = kind;
	va_start(ap, format);
	vsnprintf(s->refused_text, sizeof s->refused_text, format, ap);
	va_end(ap);
}

#define NAME_SHOWN_MAX 40u

/* The name comes from outside: it may be anything. */
static void note_unknown(struct mirror_nbd_session *s, const uint8_t *name, size_t length)
{
	char shown[NAME_SHOWN_MAX + 4];
	size_t at = 0;

	for (; at < length && at < NAME_SHOWN_MAX; at++)
		shown[at] = name[at] > ' ' && name[at] < 0x7f ? (char)name[at] : '?';
	snprintf(shown + at, sizeof shown - at, "%s", at < length ? "..." : "");
	note(s, MIRROR_NBD_REFUSED_EXPORT, "it asks for a disk \"%s\", and there is none",
	     shown);
}

static uint16_t disk_flags(const struct mirror_nbd_session *s)
{
	uint16_t flags = DISK_HAS_FLAGS | DISK_SEND_FLUSH | DISK_SEND_FUA |
			 DISK_SEND_TRIM | DISK_SEND_WRITE_ZEROES;

	if (s->structured)
		flags |= DISK_SEND_DF;
	/* A flush covers all writes answered on any connection. But over a network the
	 * old connection of a client that comes back may still deliver (docs/rules.md). */
	if (!s->network)
		flags |= DISK_CAN_MULTI_CONN;
	return flags;
}

/* The export of this name: its index, or exports->count. */
static uint32_t find_disk(const struct mirror_nbd_exports *exports, const uint8_t *name,
			  size_t length)
{
	uint32_t i = 0;

	if (length == 0)
		return 0; /* the default export; count may be 0 too */
	while (i < exports->count && (strlen(exports->disk[i].name) != length ||
				      memcmp(exports->disk[i].name, name, length) != 0))
		i++;
	return i;
}

/* Take the export for this connection. False: it must wait for it. */
static bool take_disk(struct mirror_nbd_session *s, struct mirror_nbd_exports *exports,
		      uint32_t disk)
{
	struct mirror_nbd_export *e = &exports->disk[disk];

	s->waiting = s->network && e->holder != NULL && e->holder != s->owner;
	if (s->waiting)
		return false;
	if (s->network)
		e->holder = s->owner;
	s->disk = disk;
	mirror_nbd_set_phase(s, MIRROR_NBD_TRANSMISSION);
	return true;
}

void mirror_nbd_release(const struct mirror_nbd_session *s,
			struct mirror_nbd_exports *exports)
{
	for (uint32_t i = 0; s->network && i < exports->count; i++)
		if (exports->disk[i].holder == s->owner)
			exports->disk[i].holder = NULL;
}

/* ---- options -------------------------------------------------------------- */

static bool export_name(struct mirror_nbd_session *s, struct mirror_nbd_exports *exports,
			const struct option_in *in, struct answer *a)
{
	const uint32_t disk = find_disk(exports, in->data, in->bytes);

	if (disk >= exports->count)
		note_unknown(s, in->data, in->bytes);
	if (disk >= exports->count || s->full != NULL) {
		/* This option has no answer that says no. */
		mirror_nbd_set_phase(s, MIRROR_NBD_ENDED);
		return true;
	}
	if (!take_disk(s, exports, disk))
		return false;
	put(a, exports->disk[disk].size_bytes, 8);
	put(a, disk_flags(s), 2);
	if (!s->no_zeroes) {
		memset(a->out + a->bytes, 0, 124);
		a->bytes += 124;
	}
	return true;
}

static void info_text(struct answer *a, uint32_t option, uint32_t info, const char *text)
{
	reply(a, option, REPLY_INFO, 2 + strlen(text));
	put(a, info, 2);
	put_text(a, text);
}

static void info(const struct mirror_nbd_session *s,
		 const struct mirror_nbd_exports *exports, uint32_t disk,
		 const struct option_in *in, uint32_t name_bytes, struct answer *a)
{
	const struct mirror_nbd_export *e = &exports->disk[disk];
	const uint8_t *asked = in->data + 6 + name_bytes;
	bool name = false, description = false;
	char text[2 * CONFIG_NAME_MAX + 32];

	for (; asked < in->data + in->bytes; asked += 2) {
		name = name || mirror_nbd_get(asked, 2) == INFO_NAME;
		description = description || mirror_nbd_get(asked, 2) == INFO_DESCRIPTION;
	}
	reply(a, in->option, REPLY_INFO, 12);
	put(a, INFO_EXPORT, 2);
	put(a, e->size_bytes, 8);
	put(a, disk_flags(s), 2);
	reply(a, in->option, REPLY_INFO, 14);
	put(a, INFO_BLOCK_SIZE, 2);
	/* Any offset is good with sectors of 512 bytes; larger ones are named, so that a
	 * file system on this disk fits the devices under it. */
	put(a, e->sector_bytes > MIRROR_SECTOR_BYTES ? e->sector_bytes : 1, 4);
	put(a,
	    e->sector_bytes > MIRROR_BLOCK_BYTES ? e->sector_bytes : MIRROR_BLOCK_BYTES,
	    4);
	put(a, MIRROR_NBD_PAYLOAD_MAX, 4);
	if (name)
		info_text(a, in->option, INFO_NAME, e->name);
	if (description) {
		snprintf(text, sizeof text, "disk %s of mirror %s", e->name,
			 exports->mirror);
		info_text(a, in->option, INFO_DESCRIPTION, text);
	}
	reply(a, in->option, REPLY_ACK, 0);
}

/* INFO and GO. The data: length of the name, the name, how many informations are
 * asked for, these. */
static bool info_or_go(struct mirror_nbd_session *s, struct mirror_nbd_exports *exports,
		       const struct option_in *in, struct answer *a)
{
	uint32_t name_bytes, disk;

	if (in->bytes < 6 || mirror_nbd_get(in->data, 4) > in->bytes - 6)
		goto invalid;
	name_bytes = (uint32_t)mirror_nbd_get(in->data, 4);
	if (in->bytes !=
	    6 + name_bytes + 2 * mirror_nbd_get(in->data + 4 + name_bytes, 2))
		goto invalid;
	disk = find_disk(exports, in->data + 4, name_bytes);
	if (disk >= exports->count) {
		note_unknown(s, in->data + 4, name_bytes);
		refuse(a, in->option, REPLY_ERROR_UNKNOWN,
		       "this mirror has no such disk");
		return true;
	}
	if (in->option == OPTION_GO && s->full != NULL) {
		refuse(a, in->option, REPLY_ERROR_POLICY, s->full);
		return true;
	}
	if (in->option == OPTION_GO && !take_disk(s, exports, disk))
		return false;
	info(s, exports, disk, in, name_bytes, a);
	return true;
invalid:
	note(s, MIRROR_NBD_REFUSED_HANDSHAKE, "the lengths in its option do not fit");
	refuse(a, in->option, REPLY_ERROR_INVALID, "the lengths do not fit");
	return true;
}

/* Carry out one option. False: it is to be offered again later. */
static bool option(struct mirror_nbd_session *s, struct mirror_nbd_exports *exports,
		   const struct option_in *in, struct answer *a)
{
	switch (in->option) {
	case OPTION_EXPORT_NAME:
		return export_name(s, exports, in, a);
	case OPTION_ABORT:
		reply(a, in->option, REPLY_ACK, 0);
		mirror_nbd_set_phase(s, MIRROR_NBD_ENDED);
		return true;
	case OPTION_LIST:
		if (in->bytes > 0) {
			refuse(a, in->option, REPLY_ERROR_INVALID,
			       "no data was expected");
			return true;
		}
		s->listed_count = 0;
		mirror_nbd_set_phase(s, MIRROR_NBD_LISTING);
		return true;
	case OPTION_INFO:
	case OPTION_GO:
		return info_or_go(s, exports, in, a);
	case OPTION_STRUCTURED_REPLY:
		if (in->bytes > 0) {
			refuse(a, in->option, REPLY_ERROR_INVALID,
			       "no data was expected");
			return true;
		}
		s->structured = true;
		reply(a, in->option, REPLY_ACK, 0);
		return true;
	default: /* the number is the client's */
		reply(a, in->option, REPLY_ERROR_UNSUPPORTED, 0);
		return true;
	}
}

/* ---- phases --------------------------------------------------------------- */

static void greet(struct mirror_nbd_session *s, struct answer *a)
{
	put(a, GREETING_MAGIC, 8);
	put(a, OPTION_MAGIC, 8);
	put(a, HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES, 2);
	mirror_nbd_set_phase(s, MIRROR_NBD_FLAGS);
}

static size_t take_flags(struct mirror_nbd_session *s, const uint8_t *in, size_t in_bytes)
{
	uint64_t flags;

	if (in_bytes < 4)
		return 0;
	flags = mirror_nbd_get(in, 4);
	s->no_zeroes = (flags & HANDSHAKE_NO_ZEROES) != 0;
	if ((flags & ~(uint64_t)(HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES)) != 0) {
		note(s, MIRROR_NBD_REFUSED_HANDSHAKE,
		     "its handshake has flags that NBD does not know");
		mirror_nbd_set_phase(s, MIRROR_NBD_ENDED);
	} else {
		mirror_nbd_set_phase(s, MIRROR_NBD_OPTIONS);
	}
	return 4;
}

static size_t take_option(struct mirror_nbd_session *s,
			  struct mirror_nbd_exports *exports, const uint8_t *in,
			  size_t in_bytes, struct answer *a)
{
	struct option_in o;

	if (in_bytes < OPTION_HEAD_BYTES)
		return 0;
	if (mirror_nbd_get(in, 8) != OPTION_MAGIC) {
		note(s, MIRROR_NBD_REFUSED_HANDSHAKE,
		     "it does not speak NBD (the newstyle negotiation)");
		mirror_nbd_set_phase(s, MIRROR_NBD_ENDED);
		return OPTION_HEAD_BYTES;
	}
	o.option = (uint32_t)mirror_nbd_get(in + 8, 4);
	o.bytes = (uint32_t)mirror_nbd_get(in + 12, 4);
	o.data = in + OPTION_HEAD_BYTES;
	if (o.bytes > MIRROR_NBD_OPTION_MAX) {
		note(s, MIRROR_NBD_REFUSED_HANDSHAKE,
		     "an option of its negotiation has %u bytes", o.bytes);
		s->option = o.option;
		s->skip_bytes = o.bytes;
		mirror_nbd_set_phase(s, o.option == OPTION_EXPORT_NAME ?
						MIRROR_NBD_ENDED :
						MIRROR_NBD_SKIPPING);
		return OPTION_HEAD_BYTES;
	}
	if (in_bytes - OPTION_HEAD_BYTES < o.bytes || !option(s, exports, &o, a))
		return 0;
	return OPTION_HEAD_BYTES + o.bytes;
}

static size_t skip(struct mirror_nbd_session *s, size_t in_bytes, struct answer *a)
{
	const size_t used = in_bytes < s->skip_bytes ? in_bytes : s->skip_bytes;

	s->skip_bytes -= (uint32_t)used;
	if (s->skip_bytes == 0) {
		refuse(a, s->option, REPLY_ERROR_TOO_BIG,
		       "the option's data is too long");
		mirror_nbd_set_phase(s, MIRROR_NBD_OPTIONS);
	}
	return used;
}

/* As many exports as there is room for; the rest in the next call. */
static void list(struct mirror_nbd_session *s, const struct mirror_nbd_exports *exports,
		 struct answer *a)
{
	while (s->listed_count < exports->count) {
		const char *name = exports->disk[s->listed_count].name;

		/* 44: this reply's and the last one's fixed parts. */
		if (a->size - a->bytes < 44 + strlen(name))
			return;
		reply(a, OPTION_LIST, REPLY_SERVER, 4 + strlen(name));
		put(a, strlen(name), 4);
		put_text(a, name);
		s->listed_count++;
	}
	reply(a, OPTION_LIST, REPLY_ACK, 0);
	mirror_nbd_set_phase(s, MIRROR_NBD_OPTIONS);
}

size_t mirror_nbd_negotiate(struct mirror_nbd_session *s,
			    struct mirror_nbd_exports *exports, const uint8_t *in,
			    size_t in_bytes, uint8_t *out, size_t out_size,
			    size_t *out_bytes)
{
	struct answer a = { .out = out, .size = out_size };
	size_t used = 0;

	s->waiting = false;
	if (out_size < MIRROR_NBD_ANSWER_MAX)
		return 0;
	switch (s->phase) {
	case MIRROR_NBD_GREETING:
		greet(s, &a);
		break;
	case MIRROR_NBD_FLAGS:
		used = take_flags(s, in, in_bytes);
		break;
	case MIRROR_NBD_OPTIONS:
		used = take_option(s, exports, in, in_bytes, &a);
		break;
	case MIRROR_NBD_SKIPPING:
		used = skip(s, in_bytes, &a);
		break;
	case MIRROR_NBD_LISTING:
		list(s, exports, &a);
		break;
	case MIRROR_NBD_TRANSMISSION:
	case MIRROR_NBD_ENDED:
		break;
	}
	*out_bytes += a.bytes;
	return used;
}
