/* wire.h - the frames between two hosts of a mirror.
 *
 *   frame = header (32 bytes) body (<= 1024) data (<= 128 KiB)
 *
 *   frame           from        body                              data
 *   HELLO           connector   struct mirror_hello               history, disks
 *   WELCOME         acceptor    struct mirror_hello               history, disks
 *   REFUSE          either      code, sentence                    -
 *   RECORD          sender      struct mirror_header              the record's
 *   CONFIRM         copy        cumulative marks                  -
 *   MARKS           production  every site's durable mark         -
 *   MAP             either      part of a map                     bits
 *   REFRESH_BEGIN   production  extents, bytes, first sequence    -
 *   REFRESH_READY   copy        yes, or a sentence                -
 *   REFRESH_END     production  last sequence of the refresh      -
 *   DEMOTED         production  clean end                         -
 *   FLUSH           production  make records durable now          -
 *   HOME            production  bring records home at once        -
 *                   copy        home so far                       -
 *   ROLL_END        sender      last sequence sent                -
 *   NEWS            either      a line of its event log           -
 *
 * Header and body have CRCs of their own in the header. A record's data is checked by
 * the record header's CRC; other data by a CRC in the body.
 *
 * mirror_wire_X() encodes header and body into frame->head and sets head_bytes, data and
 * data_bytes; link, owner and next are the caller's. mirror_wire_decode_X() takes the body
 * and data of a struct mirror_received. Each returns 0, or -EPROTO: wrong length, or a field
 * that cannot be; or -EBADMSG: the data's CRC.
 *
 * Pure logic; safe on any bytes. Layout, offset by offset: docs/formats.md.
 * Source: docs/rules.md (D4, D5, D8); docs/sources.md (P0-10, P4-37 to P4-41).
 */
#ifndef MIRROR_LINE_WIRE_H
#define MIRROR_LINE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/fact.h"
#include "common/identity.h"
#include "mirror/disk_table.h"
#include "mirror/io.h"
#include "mirror/log/map.h"
#include "mirror/log/record.h"

#define MIRROR_WIRE_VERSION 1u
#define MIRROR_WIRE_FEATURE_FLUSH 1u /* of a hello: the site knows FLUSH frames */
#define MIRROR_WIRE_FEATURE_HOME 2u  /* ... and HOME frames (M9) */
#define MIRROR_WIRE_FEATURE_NEWS 4u  /* ... and NEWS frames: with `cluster: none` only */
#define MIRROR_WIRE_FEATURES (MIRROR_WIRE_FEATURE_FLUSH | MIRROR_WIRE_FEATURE_HOME)
#define MIRROR_WIRE_HEADER_BYTES 32u
#define MIRROR_WIRE_DATA_MAX (128u * 1024)

enum mirror_frame_type {
	MIRROR_FRAME_HELLO = 1,
	MIRROR_FRAME_WELCOME,
	MIRROR_FRAME_REFUSE,
	MIRROR_FRAME_RECORD,
	MIRROR_FRAME_CONFIRM,
	MIRROR_FRAME_MARKS,
	MIRROR_FRAME_MAP,
	MIRROR_FRAME_REFRESH_BEGIN,
	MIRROR_FRAME_REFRESH_READY,
	MIRROR_FRAME_REFRESH_END,
	MIRROR_FRAME_DEMOTED,
	MIRROR_FRAME_ROLL_END,
	MIRROR_FRAME_FLUSH, /* to a site with that feature only */
	MIRROR_FRAME_HOME,  /* likewise */
	MIRROR_FRAME_NEWS,  /* likewise; from driver to driver, unknown to the core */
};

/* ---- for the link driver ------------------------------------------------- */

struct mirror_wire_header {
	uint16_t version;
	uint16_t type;             /* enum mirror_frame_type */
	uint32_t body_bytes;
	uint32_t data_bytes;
	uint32_t body_crc;
};

/* Read MIRROR_WIRE_HEADER_BYTES at `from`. Returns 0, or
 *   -EPROTO            not hamirror, or no type that we know
 *   -EBADMSG           CRC
 *   -EPROTONOSUPPORT   intact, of a newer version or with a flag we do not know
 *   -EMSGSIZE          longer than MIRROR_FRAME_BODY_MAX or MIRROR_WIRE_DATA_MAX */
int mirror_wire_decode_header(const uint8_t *from, struct mirror_wire_header *h);

/* Returns 0, or -EBADMSG: `body` (h->body_bytes of it) was damaged on the way. */
int mirror_wire_check_body(const struct mirror_wire_header *h, const uint8_t *body);

/* "HELLO", ..., or "unknown". */
const char *mirror_wire_type_name(uint16_t type);

/* ---- hello --------------------------------------------------------------- */

enum mirror_hello_purpose {
	MIRROR_HELLO_STREAM = 1,   /* production to a copy: records follow */
	MIRROR_HELLO_PROBE,        /* only the answer is wanted */
	MIRROR_HELLO_ROLL,         /* D5: send me what you hold after next_sequence - 1 */
};

/* A side's state, in HELLO and WELCOME alike. */
struct mirror_hello {
	uint16_t version_min, version_max;
	uint32_t features;         /* that this side can do: MIRROR_WIRE_FEATURE_* */
	enum mirror_hello_purpose purpose;   /* WELCOME: as in the HELLO */
	uint8_t nonce[16];
	uint8_t authentication[32];   /* reserved, zero */
	struct uuid mirror, lineage, site_id, log;
	char mirror_name[CONFIG_NAME_MAX];
	char site_name[CONFIG_NAME_MAX];
	char host[CONFIG_NAME_MAX];
	uint32_t site;             /* index */
	uint64_t incarnation;
	struct uuid generation;    /* newest here, or the one being prepared (ROLL) */
	uint64_t generation_ordinal;
	uint64_t ballot;           /* of the view it stands on */
	uint64_t config_hash;
	struct site_marks marks;
	uint64_t oldest_sequence;  /* held in the log; next_sequence when none */
	uint64_t next_sequence;    /* WELCOME and ROLL: the first one needed */
	enum data_state data;
	bool serving;
	bool clean;                /* marked clean by a drained demote */
	bool blank;                /* never filled: needs everything, needs no hold */
	bool promoting;            /* its promotion is being prepared */
	bool put_out;              /* it has put the receiver out (`disconnect`) */
	uint64_t own_map_extents;  /* set in the map of its own site */
	uint32_t data_max_bytes;   /* limits: of one record, ... */
	uint32_t frames_max;       /* ... of frames sent and not confirmed; 0: none */
	uint64_t tracked_extents;  /* WELCOME: the receiver misses so many that the
				      sender's log does not hold; UINT64_MAX: the number
				      is not known */
	/* the data part */
	struct history history;
	struct mirror_disk_table disks;
	char agreed[CONFIG_AGREED_BYTES]; /* config->agreed; "": not told */
};

/* Encode the data part into `data` (MIRROR_WIRE_DATA_MAX). Returns its length. */
size_t mirror_wire_hello_data(const struct mirror_hello *hello, uint8_t *data);

/* `type` is HELLO or WELCOME; `data` comes from mirror_wire_hello_data(), and must last until
 * the frame is sent. */
void mirror_wire_hello(struct mirror_frame *frame, enum mirror_frame_type type,
		       const struct mirror_hello *hello, const uint8_t *data,
		       size_t data_bytes);

/* Body and data. The history passed mirror_history_check(). A longer body, of a later
 * minor format, is accepted: fields that we do not know are ignored. */
int mirror_wire_decode_hello(const uint8_t *body, uint32_t body_bytes,
			     const uint8_t *data, uint32_t data_bytes,
			     struct mirror_hello *hello);

/* The fields before the others, of a body that no one has judged yet. False: it has none. */
bool mirror_wire_peek_hello(const uint8_t *body, uint32_t body_bytes, uint32_t *features,
			    enum mirror_hello_purpose *purpose, uint32_t *site);

/* Do the disks fit? Same number and names in the same order; at the copy each at least
 * as large as production's; sectors at the copy no larger than production's. Returns
 * 0, or -EMEDIUMTYPE and the first difference, naming the disk, in `text` (P4-41). */
int mirror_hello_check_disks(const struct mirror_disk_table *production,
			     const struct mirror_disk_table *copy, char *text,
			     size_t text_bytes);

/* ---- the others ---------------------------------------------------------- */

enum mirror_refuse_code {
	MIRROR_REFUSE_OTHER_MIRROR = 1,
	MIRROR_REFUSE_OTHER_VERSION,
	MIRROR_REFUSE_OTHER_CONFIG,
	MIRROR_REFUSE_OTHER_LINEAGE,
	MIRROR_REFUSE_DISKS_DIFFER,
	MIRROR_REFUSE_GENERATION, /* D4: only another generation is accepted */
	MIRROR_REFUSE_SPLIT_BRAIN,
	MIRROR_REFUSE_NOT_COPY, /* it is production itself, or has no disks open */
	MIRROR_REFUSE_BUSY,
	MIRROR_REFUSE_DAMAGED,
	MIRROR_REFUSE_UNKNOWN_PEER,
	MIRROR_REFUSE_DISCONNECTED, /* put out by the operator */
	MIRROR_REFUSE_UNDO,         /* it would undo writes: the operator has to consent */
};

struct mirror_refuse {
	enum mirror_refuse_code code;
	char text[FACT_TEXT_MAX];
};

struct mirror_confirm {
	struct site_marks marks;
	uint32_t held_count;           /* records held back at the gate */
	bool held;                     /* W6: a refresh holds, nothing goes home */
};

struct mirror_marks {
	uint64_t durable[CONFIG_SITE_COUNT_MAX];
	uint64_t acknowledged;
	uint64_t sequence;             /* newest stamped */
	uint64_t time_ns;              /* CLOCK_REALTIME at production */
};

#define MIRROR_REFRESH_BLANK_OK (1u << 0) /* the copy may do without a hold if blank */
#define MIRROR_REFRESH_INCONSISTENT_OK (1u << 1) /* the operator allowed it */

struct mirror_refresh_begin {
	uint64_t extents;              /* to be sent, an estimate of the room needed */
	uint64_t bytes;
	uint64_t first_sequence;       /* of the first RECORD that follows */
	uint32_t flags;
};

#define MIRROR_REFRESH_ROOM_UNBOUND UINT32_MAX /* no hold: records go home at once */

struct mirror_refresh_ready {
	int32_t error;                 /* 0: begin; else -errno, and why */
	uint32_t room_blocks;          /* of the log, beyond the bytes announced */
	char text[FACT_TEXT_MAX];
};

struct mirror_refresh_end {
	uint64_t sequence;             /* level once all up to here is durable */
};

/* A client waits for all up to `sequence`, which was sent before, to be durable. */
struct mirror_flush {
	uint64_t sequence;
};

/* From production: bring home at once all up to `sequence`, and say so; 0: no longer. From a
 * copy: its disks have taken all up to `sequence`. */
struct mirror_home_mark {
	uint64_t sequence;
};

#define MIRROR_DEMOTED_PROMOTE 1u /* this site is to be promoted now */

struct mirror_demoted {
	struct uuid generation;
	uint64_t sequence;             /* nothing was stamped beyond it */
	uint32_t flags;
};

struct mirror_roll_end {
	uint64_t sequence;             /* last one sent, or next_sequence - 1 */
};

/* A line of the sender's event log, for people: agent/news.h. */
struct mirror_news {
	char object[CONFIG_NAME_MAX];
	char rule[CONFIG_NAME_MAX];
	char text[FACT_TEXT_MAX];
};

void mirror_wire_refuse(struct mirror_frame *frame, const struct mirror_refuse *refuse);
int mirror_wire_decode_refuse(const uint8_t *body, uint32_t body_bytes,
			      struct mirror_refuse *refuse);

/* `data`: h->data_bytes of it, NULL when that is 0. It must last until sent. The CRC in
 * `h` is sent as it is. */
void mirror_wire_record(struct mirror_frame *frame, const struct mirror_header *h,
			const uint8_t *data);
/* Also checks that data_bytes is the header's, and the data's CRC (-EBADMSG: foreign
 * mirror or place, or damaged). `disks` as in mirror_header_decode(). */
int mirror_wire_decode_record(const uint8_t *body, uint32_t body_bytes,
			      const uint8_t *data, uint32_t data_bytes,
			      const struct uuid *mirror,
			      const struct mirror_disk_table *disks,
			      struct mirror_header *h);

void mirror_wire_confirm(struct mirror_frame *frame,
			 const struct mirror_confirm *confirm);
int mirror_wire_decode_confirm(const uint8_t *body, uint32_t body_bytes,
			       struct mirror_confirm *confirm);

void mirror_wire_marks(struct mirror_frame *frame, const struct mirror_marks *marks);
int mirror_wire_decode_marks(const uint8_t *body, uint32_t body_bytes,
			     struct mirror_marks *marks);

/* `data`, `data_bytes`: from mirror_map_export(). They must last until sent. */
void mirror_wire_map(struct mirror_frame *frame, const struct mirror_map_chunk *chunk,
		     const uint8_t *data, size_t data_bytes);
int mirror_wire_decode_map(const uint8_t *body, uint32_t body_bytes, const uint8_t *data,
			   uint32_t data_bytes, struct mirror_map_chunk *chunk);

void mirror_wire_refresh_begin(struct mirror_frame *frame,
			       const struct mirror_refresh_begin *begin);
int mirror_wire_decode_refresh_begin(const uint8_t *body, uint32_t body_bytes,
				     struct mirror_refresh_begin *begin);

void mirror_wire_refresh_ready(struct mirror_frame *frame,
			       const struct mirror_refresh_ready *ready);
int mirror_wire_decode_refresh_ready(const uint8_t *body, uint32_t body_bytes,
				     struct mirror_refresh_ready *ready);

void mirror_wire_refresh_end(struct mirror_frame *frame,
			     const struct mirror_refresh_end *end);
int mirror_wire_decode_refresh_end(const uint8_t *body, uint32_t body_bytes,
				   struct mirror_refresh_end *end);

void mirror_wire_demoted(struct mirror_frame *frame,
			 const struct mirror_demoted *demoted);
int mirror_wire_decode_demoted(const uint8_t *body, uint32_t body_bytes,
			       struct mirror_demoted *demoted);

void mirror_wire_flush(struct mirror_frame *frame, const struct mirror_flush *flush);
int mirror_wire_decode_flush(const uint8_t *body, uint32_t body_bytes,
			     struct mirror_flush *flush);

void mirror_wire_home(struct mirror_frame *frame, const struct mirror_home_mark *home);
int mirror_wire_decode_home(const uint8_t *body, uint32_t body_bytes,
			    struct mirror_home_mark *home);

void mirror_wire_news(struct mirror_frame *frame, const struct mirror_news *news);
/* Control characters come out as blanks, and what is not UTF-8 as question marks. */
int mirror_wire_decode_news(const uint8_t *body, uint32_t body_bytes,
			    struct mirror_news *news);

void mirror_wire_roll_end(struct mirror_frame *frame, const struct mirror_roll_end *end);
int mirror_wire_decode_roll_end(const uint8_t *body, uint32_t body_bytes,
				struct mirror_roll_end *end);

#endif
