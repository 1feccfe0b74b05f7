/* front/nbd_queue.h - the order of writes around sectors that are written in part.
 *
 * A client may write a few bytes of a sector; disk and log have whole ones. So the
 * old content is read, the new bytes are laid over it, and the sector is written. In
 * between, nothing else may be written there, or it would be undone: not by another
 * partial write, and not by a whole one either. The old content itself must not miss
 * a write that the engine has but has not yet put in its order.
 *
 * The line is a list of parts in order of arrival: partial ones, from when the client
 * has sent them until their write is handed to the engine, and whole ones that must
 * wait for these. It is bounded by the connections' parts and empty almost always.
 *
 *   a part may leave the line   when nobody before it overlaps it, one of the two
 *                               being partial
 *   a partial one, moreover     when no write that overlaps it is with the engine or
 *                               ready for it, and its connection's scratch is free
 *
 * First come, first served: nobody starves, and nobody waits in a circle. Parts that the
 * engine has come back without anybody's help, and a connection takes no more input
 * while it has a part that waits here.
 */
#ifndef MIRROR_FRONT_NBD_QUEUE_H
#define MIRROR_FRONT_NBD_QUEUE_H

#include "mirror/front/nbd_client.h"

/* A write or zeroing is complete: hand it over if nothing is in its way, else put it
 * into the line. */
void mirror_nbd_queue_enter(struct mirror_nbd_part *part);

/* Take a part out: its write is handed over, or it is given up. */
void mirror_nbd_queue_leave(struct mirror_nbd_part *part);

/* Issue the pieces whose way is free now. */
void mirror_nbd_queue_settle(struct mirror_nbd_server *s);

#endif
