/* wire_private.h - shared by wire.c and wire_hello.c. */
#ifndef MIRROR_LINE_WIRE_PRIVATE_H
#define MIRROR_LINE_WIRE_PRIVATE_H

#include "mirror/log/format.h"
#include "mirror/line/wire.h"

/* A cursor over the frame's body, to be filled. */
struct bytes mirror_wire_begin(struct mirror_frame *frame);

/* The frame's body ends where `body` stands: write the header before it. */
void mirror_wire_finish(struct mirror_frame *frame, const struct bytes *body,
			enum mirror_frame_type type, const uint8_t *data,
			size_t data_bytes);

#endif
