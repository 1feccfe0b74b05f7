/* engine/link.h - links, and the other sites as this one knows them. */
#ifndef MIRROR_ENGINE_LINK_H
#define MIRROR_ENGINE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/order.h"
#include "mirror/engine/near.h"
#include "mirror/engine/outrun.h"
#include "mirror/engine/pace.h"
#include "mirror/engine/refresh.h"
#include "mirror/engine/trust.h"
#include "mirror/io.h"
#include "mirror/line/wire.h"

struct mirror_engine;

enum link_use {
	LINK_FREE,
	LINK_OPENING,    /* CONNECT ordered */
	LINK_GREETING,   /* hello sent (connector) or awaited (acceptor) */
	LINK_STREAM_OUT, /* production -> copy */
	LINK_STREAM_IN,
	LINK_ROLL_IN, /* we roll forward from it */
	LINK_ROLL_OUT,
	LINK_ENDING, /* close ordered, DOWN awaited */
};

/* It outlives an open: the driver owns the numbers. */
struct engine_link {
	enum link_use use;
	uint32_t site;    /* of the peer, once known */
	uint32_t purpose; /* hello's, connector side */
	bool accepted;
	uint64_t last_heard_ns, last_sent_ns;
	uint64_t next_send; /* STREAM_OUT, ROLL_OUT: next sequence */
	uint64_t send_end;  /* ROLL_OUT: last sequence; else UINT64_MAX */
	bool roll_end_sent;
	bool sending; /* STREAM_OUT: records may flow */
	bool hello_due, welcome_due;
	bool closing; /* close once all that is queued has left */
	char closing_text[160];
	bool map_due; /* own map: to be sent, or awaited */
	uint64_t map_cursor;
	uint64_t progress_ns; /* when it last confirmed something new */
	uint64_t began_at;    /* STREAM_OUT: the last sequence when it began */
	uint64_t flush_sent;  /* the last that it was asked to make durable */
	bool home_asked;      /* STREAM_OUT: it brings records home at once (M9) */
	struct mirror_marks marks_sent;
	uint64_t marks_sent_ns;
	uint64_t send_at_ns;  /* by a throttle's sleep no record leaves before */
	uint32_t frame_count; /* queued with the driver */
	uint64_t byte_count;
	uint64_t refresh_bytes; /* of its refresh, read and not yet handed to the line */
	struct mirror_io read_io; /* catch-up */
	struct iovec read_iov;
	uint8_t *read_buffer;
	uint32_t read_pin_count; /* frames that point into read_buffer */
	bool reading, read_ready;
	uint64_t read_from; /* position in the log */
	uint32_t read_bytes, read_position;
	struct mirror_hello hello; /* the peer's */
	/* STREAM_IN, confirmations */
	struct site_marks confirmed;
	bool confirmed_held;
	uint64_t home_told; /* M9: the last home mark sent */
};

/* Another site, as this one knows it. */
struct engine_peer {
	bool wanted; /* ORDER_LINK stands */
	struct order_peer address;
	uint32_t link; /* or MIRROR_LINK_NONE */
	uint64_t retry_at_ns;
	enum link_state state;
	char text[FACT_TEXT_MAX];
	uint64_t since_wall_ns;
	bool waited;              /* D3: in a view in effect or undecided */
				  /* (acknowledged.h: these and the candidates) */
	uint64_t candidate_from;  /* mark s while it is to enter, else 0 */
	uint64_t candidate_count; /* fact.ready_count when named, else 0 */
	bool lost_told;           /* COPY_LOST sent for this absence */
	uint64_t lost_at_ns;      /* ... not before */
	uint64_t incarnation;     /* of its host, by hello */
	struct site_marks marks;  /* by the link; W2 counts `proven` */
	uint64_t proven_durable;
	uint64_t sent[CONFIG_DISK_COUNT_MAX]; /* by disk_sequence: the last one sent */
	struct {
		uint64_t generation, group, time_ns; /* generation 0: not known */
		uint64_t stamped_ns;
	} missed;  /* its first unconfirmed record, once that has left memory */
	bool held; /* it is in a refresh: nothing goes home there */
	struct engine_trust trust;
	struct engine_refresh refresh;
	struct engine_pace pace;
	struct engine_outrun outrun;
	struct engine_near near;
	uint64_t bypass_told_ns; /* that the map takes over; 0: never */
};

/* ORDER_PROBE: a hello and its answer, over a link of its own. */
struct engine_probe {
	uint32_t link, site;
	uint64_t order_id;
};

struct mirror_frame *mirror_frame_get(struct mirror_engine *m, uint32_t link);
void mirror_frame_drop(struct mirror_engine *m, struct mirror_frame *f);
void mirror_frame_send(struct mirror_engine *m, struct mirror_frame *f);
void mirror_frame_sent(struct mirror_engine *m, struct mirror_frame *f);
uint32_t mirror_link_connect(struct mirror_engine *m, const struct order_peer *peer,
			     enum mirror_hello_purpose purpose);
void mirror_link_close(struct mirror_engine *m, uint32_t number, const char *text);
void mirror_links_close_all(struct mirror_engine *m, const char *text);
bool mirror_links_are_gone(const struct mirror_engine *m);
void mirror_peer_set(struct mirror_engine *m, uint32_t site, enum link_state state,
		     const char *text);
void mirror_link_up(struct mirror_engine *m, uint32_t number, bool accepted);
void mirror_link_down(struct mirror_engine *m, uint32_t number, const char *text);
void mirror_link_order(struct mirror_engine *m, const struct order *o);
void mirror_probe_order(struct mirror_engine *m, const struct order *o);
void mirror_probe_done(struct mirror_engine *m, const struct mirror_hello *hello,
		       int32_t error, const char *text);
void mirror_link_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_links_pump(struct mirror_engine *m);

#endif
