/* nbd_internal.h - shared by the nbd_*.c files, beyond nbd_client.h. */
#ifndef MIRROR_FRONT_NBD_INTERNAL_H
#define MIRROR_FRONT_NBD_INTERNAL_H

#include "mirror/front/nbd_client.h"

/* ---- nbd_part.c ---- */

/* Take a free part for the command's next piece, with a buffer if the piece has data.
 * NULL: none is free, or the connection holds enough; nothing has changed then. */
struct mirror_nbd_part *mirror_nbd_part_cut(struct mirror_nbd_client *c,
					    struct mirror_nbd_command *command);
void mirror_nbd_part_set_state(struct mirror_nbd_part *part,
			       enum mirror_nbd_part_state state);

/* Put it on the list of those for the engine: its own request, or (partial, state
 * REREADING) the read of the rest of its sectors. */
void mirror_nbd_part_ready(struct mirror_nbd_part *part);
void mirror_nbd_part_reread(struct mirror_nbd_part *part);

/* Take the next part off that list: the engine's request, or NULL. */
struct mirror_request *mirror_nbd_part_hand_over(struct mirror_nbd_client *c);

/* Free the part and its buffer. Not while the engine has it. */
void mirror_nbd_part_free(struct mirror_nbd_part *part);

/* ---- nbd_reply.c ---- */

/* A part of a stream was cut. */
void mirror_nbd_stream_push(struct mirror_nbd_command *command,
			    struct mirror_nbd_part *part);

/* One part of the command was answered or given up: queue the replies that are due now. */
void mirror_nbd_reply_part(struct mirror_nbd_part *part, int error);

/* The command will have no further part: queue its reply if none is under way. */
void mirror_nbd_reply_issued(struct mirror_nbd_client *c,
			     struct mirror_nbd_command *command);

/* Queue output[0..output_bytes) of the negotiation. */
void mirror_nbd_reply_negotiation(struct mirror_nbd_client *c);

/* ---- nbd_client.c ---- */
void mirror_nbd_command_free(struct mirror_nbd_client *c,
			     struct mirror_nbd_command *command);

static inline struct mirror_nbd_client *mirror_nbd_part_client(
	const struct mirror_nbd_part *p)
{
	return p->request.client;
}

#endif
