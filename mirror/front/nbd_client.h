/* nbd_client.h - one NBD connection: bytes in, requests for the engine out; answers
 * in, bytes out.
 *
 * Pure logic. nbd_driver.c moves the bytes; tests and fuzzers do it by hand. The
 * engine is not called from here: mirror_nbd_client_next() gives one request after
 * the other, and mirror_nbd_client_answer() takes them back.
 *
 * Bounds (G7). Commands, parts and the input buffer belong to the connection and are
 * allocated with it. Data is in buffers of the engine's pool:
 *
 *   writes   one part is being filled by the client at a time, at most two (short)
 *            ones wait in the line (front/nbd_queue.h); then no more input is taken
 *   reads    one piece is always allowed, and one more for a stream (see below) that
 *            has begun; then none before the pieces held have been sent
 *   scratch  one block, to read partly written sectors back
 *
 * A piece that is always allowed is short (`piece_bytes` of the places). For longer ones,
 * and more of them for reads, a connection may hold as much as is left of a share that
 * all connections have together.
 *
 * The pieces always allowed are MIRROR_NBD_RESERVE_BYTES per connection; with all
 * connections they stay below a quarter of the pool, the share is another quarter. Clients
 * cannot stop the other half from circulating: a client that does not read its replies, or
 * does not send its payload, keeps its buffers, but nobody waits for them.
 * Of the circulating part a last eighth of the pool is left to engine and links: they need
 * it to bring the writes of clients home, which frees their buffers.
 * Nothing here holds one buffer and waits for another that a client must free: input
 * is not taken until the part before is out of the connection's hands; a reread has
 * its scratch block from the beginning; a stream that has begun has a reserve of its
 * own, since replies that are complete must wait behind it.
 *
 * The reply to a read is a stream when its data has to follow one head, in however
 * many pieces it is read: simple replies, and chunks that must not be fragmented (DF).
 * It begins when the first piece is here. An error after that cannot be told any more;
 * the protocol then wants the connection dropped (`broken`).
 *
 *   part       next state, and when
 *   free       filling (write), rereading or lined (partial), ready (read, zero, flush)
 *   filling    lined or rereading or ready: the client has sent it all
 *   lined      rereading or ready: those before it in the line are gone
 *   rereading  ready: the old content is here; free: it could not be read
 *   ready      engine: handed over
 *   engine     answered (read); free (others)
 *   answered   free: sent to the client
 */
#ifndef MIRROR_FRONT_NBD_CLIENT_H
#define MIRROR_FRONT_NBD_CLIENT_H

#include <sys/uio.h>

#include "mirror/io.h"
#include "mirror/front/nbd_wire.h"
#include "mirror/front/nbd_piece.h"
#include "mirror/front/nbd_places.h"
#include "mirror/engine/pool.h"

#define MIRROR_NBD_COMMANDS_MAX 128u /* the deepest queue clients use */
#define MIRROR_NBD_PARTS_MAX 128u
#define MIRROR_NBD_INPUT_BYTES (256u * 1024) /* 32 writes of 4 KiB in one receive */
#define MIRROR_NBD_OUTPUT_BYTES 4096u        /* answers of the negotiation */
#define MIRROR_NBD_REFUSED_MAX 8u /* connections that are told why they get no place */

/* Payloads up to this long are received together with the bytes around them, and copied out
 * of the input buffer; longer ones are received where they belong. */
#define MIRROR_NBD_INLINE_MAX (32u * 1024)

/* After a long payload the next one is likely: take little more than its header. */
#define MIRROR_NBD_LOOKAHEAD_BYTES 4096u

struct mirror_nbd_client;
struct mirror_nbd_command;

/* Bytes for the client. One is part of each command and of each part. */
enum mirror_nbd_reply_kind {
	MIRROR_NBD_REPLY_NEGOTIATION,
	MIRROR_NBD_REPLY_COMMAND, /* the whole reply, or its last chunk */
	MIRROR_NBD_REPLY_STREAM,  /* a head whose data follows from the parts */
	MIRROR_NBD_REPLY_PART,    /* data of a read, with or without a head */
};

struct mirror_nbd_reply {
	enum mirror_nbd_reply_kind kind;
	bool lease; /* acknowledges or shows data (D7) */
	uint32_t head_bytes, data_bytes;
	const uint8_t *data;
	struct mirror_nbd_reply *next;
	uint8_t head[MIRROR_NBD_HEAD_MAX];
};

struct mirror_nbd_replies {
	struct mirror_nbd_reply *head, *tail;
};

enum mirror_nbd_part_state {
	MIRROR_NBD_PART_FREE,
	MIRROR_NBD_PART_FILLING,
	MIRROR_NBD_PART_LINED,
	MIRROR_NBD_PART_REREADING,
	MIRROR_NBD_PART_READY,
	MIRROR_NBD_PART_ENGINE,
	MIRROR_NBD_PART_ANSWERED,
};

/* A piece of a command on its way through the engine. */
struct mirror_nbd_part {
	struct mirror_request request; /* .client: the connection; .cookie: the part */
	enum mirror_nbd_part_state state;
	bool with_engine; /* `request` is (ENGINE, or REREADING) */
	bool in_line;
	bool last; /* of a read: with it the reply is complete */
	struct mirror_nbd_command *command;
	struct mirror_nbd_piece piece;
	uint8_t *data;                /* pool buffer, while it is ours */
	uint32_t buffer_bytes;        /* size with which it was taken */
	uint32_t filled_bytes;        /* FILLING: of the client's bytes */
	struct mirror_nbd_part *next; /* of the free or the ready list */
	struct mirror_nbd_part *stream_next;
	struct mirror_nbd_part *line_before, *line_after;
	struct mirror_nbd_reply reply;
};

struct mirror_nbd_part_list {
	struct mirror_nbd_part *head, *tail;
};

struct mirror_nbd_command {
	struct mirror_nbd_request header;
	struct mirror_nbd_pieces pieces; /* those not yet in a part */
	bool issued;                     /* no further part will come */
	bool stream;                     /* a read whose data follows one head */
	bool stream_begun;               /* the head was queued */
	bool ended;                      /* its last part was queued */
	uint32_t part_count;             /* parts not yet answered */
	uint32_t held_count;             /* parts that hold a buffer for reading */
	int error;                       /* of the first part that failed */
	struct mirror_nbd_part_list stream_parts; /* in order, till they are to leave */
	struct mirror_nbd_command *next;          /* free list */
	struct mirror_nbd_reply reply;
};

/* Where a connection comes from. */
enum mirror_nbd_origin {
	MIRROR_NBD_LOCAL,   /* a client of this machine */
	MIRROR_NBD_NETWORK, /* one of another: an export is held by one (nbd_driver.h) */
	MIRROR_NBD_OWN,     /* our own front-end */
	MIRROR_NBD_ORIGIN_COUNT,
};

/* Shared by all connections. */
struct mirror_nbd_server {
	struct mirror_pool *pool;
	struct mirror_nbd_exports exports;
	uint64_t share_bytes; /* for all connections together, beyond the reserve */
	uint64_t held_bytes;  /* by all connections */
	struct mirror_nbd_places places;
	uint32_t count[MIRROR_NBD_ORIGIN_COUNT], refused_count; /* connections now */
	char full_text[MIRROR_NBD_REFUSED_TEXT_MAX];
	struct mirror_nbd_client *clients; /* all, those that wait to end too */
	struct mirror_nbd_part *line_first, *line_last; /* front/nbd_queue.h */
	bool line_moved; /* something that the line waits for ended */
};

struct mirror_nbd_client {
	struct mirror_nbd_server *server;
	struct mirror_nbd_client *next; /* of the server's */
	enum mirror_nbd_origin origin;
	bool refused; /* it has no place: it is told why, and gets no further */
	struct mirror_nbd_session session;
	bool gone;   /* hung up: nothing more is taken or sent */
	bool eof;    /* nothing more will arrive */
	bool broken; /* drop it: protocol error or lost stream */
	bool wants_input;
	uint32_t discard_bytes; /* payload of a refused write */
	uint8_t *input;
	uint32_t input_head, input_tail;
	bool long_payloads; /* the last write had one */
	uint8_t *scratch;   /* a block of the pool */
	bool scratch_used;
	struct mirror_nbd_command *current; /* not yet issued as a whole */
	struct mirror_nbd_part *filling;
	uint32_t lined_count;
	uint32_t command_count, part_count; /* not free */
	uint32_t engine_count;              /* requests that the engine has */
	uint64_t held_bytes; /* buffers, until they are sent or with the engine */
	uint64_t read_bytes; /* of these, for reads */
	struct mirror_nbd_part *parts_free;
	struct mirror_nbd_command *commands_free;
	struct mirror_nbd_part_list ready;
	/* output: `sending` was given to mirror_nbd_client_gather()'s caller */
	struct mirror_nbd_replies sending, urgent, replies;
	uint32_t sent_bytes;               /* of the first of `sending` */
	struct mirror_nbd_command *stream; /* the command whose data must follow now */
	struct mirror_nbd_reply negotiation;
	uint32_t output_bytes;
	bool output_queued;
	uint8_t output[MIRROR_NBD_OUTPUT_BYTES];
	struct mirror_nbd_command commands[MIRROR_NBD_COMMANDS_MAX];
	struct mirror_nbd_part parts[MIRROR_NBD_PARTS_MAX];
};

/* ---- the server ----------------------------------------------------------- */

/* Start without exports, with places for `own_count` connections of our own front-end.
 * `pool` outlives the server. */
void mirror_nbd_server_init(struct mirror_nbd_server *s, struct mirror_pool *pool,
			    const char *mirror, uint32_t own_count);

/* All places for this kind of connection are taken. */
bool mirror_nbd_server_is_full(const struct mirror_nbd_server *s,
			       enum mirror_nbd_origin origin);

/* ---- a connection --------------------------------------------------------- */

/* Make a connection's state. Everything that it will need is allocated here. When all
 * places are taken it is `refused`: it can only be told so. Returns NULL when too many
 * are being told, or memory is short. */
struct mirror_nbd_client *mirror_nbd_client_create(struct mirror_nbd_server *s,
						   enum mirror_nbd_origin origin);

/* The peer has hung up, or is to be dropped: requests that the engine does not have yet are
 * not given to it, and nothing is sent. Idempotent. */
void mirror_nbd_client_hang_up(struct mirror_nbd_client *c);

/* After a hang-up, once nobody uses the memory that mirror_nbd_client_receive() and
 * _gather() named: free it all, or as much as the engine does not have. Returns true
 * when `c` was destroyed; else call again after the next answer. */
bool mirror_nbd_client_end(struct mirror_nbd_client *c);

/* Likewise, when the engine has ended and will answer nothing any more. */
void mirror_nbd_client_abandon(struct mirror_nbd_client *c);

/* ---- input ---------------------------------------------------------------- */

/* Where the next bytes are to be received: returns how many of `iov` are set, 0 when
 * none are wanted now. *all: a receive may wait until everything is there. */
uint32_t mirror_nbd_client_receive(struct mirror_nbd_client *c, struct iovec iov[2],
				   bool *all);

/* That many bytes are there; 0: the stream has ended. */
void mirror_nbd_client_received(struct mirror_nbd_client *c, size_t bytes);

/* Go on with the bytes received: negotiate, take commands apart, until there is a
 * request for the engine. `takes`: the engine takes requests. Returns NULL when there
 * is nothing to do before bytes arrive, are sent, or an answer comes (any
 * connection's).
 *
 * The request returned must be given to the engine at once, before any other: the
 * order in which pieces of the same sector are handed over matters. */
struct mirror_request *mirror_nbd_client_next(struct mirror_nbd_client *c, bool takes);

/* The engine's answer to a request of any connection of this server, with `result`. */
void mirror_nbd_client_answer(struct mirror_request *request);

/* ---- output --------------------------------------------------------------- */

/* Gather the bytes that may be sent now: returns how many of `iov` are set. They stay as they
 * are until mirror_nbd_client_sent() has been called. Without a `lease`, replies that
 * acknowledge or show anything are left out. */
uint32_t mirror_nbd_client_gather(struct mirror_nbd_client *c, bool lease,
				  struct iovec *iov, uint32_t iov_max);

/* `bytes` of those gathered last have been sent; the rest is gathered again. */
void mirror_nbd_client_sent(struct mirror_nbd_client *c, size_t bytes);

/* Everything that was asked has been answered and sent, and no more can come: the
 * connection may be closed. Or it must be (`broken`). */
bool mirror_nbd_client_is_over(const struct mirror_nbd_client *c);

/* Abort if an invariant is broken. Walks everything: for tests. */
void mirror_nbd_client_check(const struct mirror_nbd_client *c);

#endif
