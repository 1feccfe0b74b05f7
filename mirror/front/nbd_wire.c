/* nbd_wire.c - requests and replies of the transmission phase: see nbd_wire.h. */
#include "mirror/front/nbd_wire.h"

#include <errno.h>

#define REQUEST_MAGIC 0x25609513u
#define SIMPLE_REPLY_MAGIC 0x67446698u
#define CHUNK_MAGIC 0x668e33efu

#define CHUNK_DONE 1u
#define CHUNK_NONE 0u
#define CHUNK_OFFSET_DATA 1u
#define CHUNK_ERROR 0x8001u

#define CHUNK_HEAD_BYTES 20u

int mirror_nbd_request_decode(const uint8_t in[MIRROR_NBD_REQUEST_BYTES],
			      struct mirror_nbd_request *r)
{
	if (mirror_nbd_get(in, 4) != REQUEST_MAGIC)
		return -EPROTO;
	r->flags = (uint16_t)mirror_nbd_get(in + 4, 2);
	r->type = (uint16_t)mirror_nbd_get(in + 6, 2);
	r->cookie = mirror_nbd_get(in + 8, 8);
	r->offset_bytes = mirror_nbd_get(in + 16, 8);
	r->length_bytes = (uint32_t)mirror_nbd_get(in + 24, 4);
	return 0;
}

/* FUA is valid with every command once it was announced, as it always is. */
static uint16_t flags_allowed(const struct mirror_nbd_session *s, uint16_t type)
{
	if (type == MIRROR_NBD_WRITE_ZEROES)
		return MIRROR_NBD_FLAG_FUA | MIRROR_NBD_FLAG_NO_HOLE;
	if (type == MIRROR_NBD_READ && s->structured)
		return MIRROR_NBD_FLAG_FUA | MIRROR_NBD_FLAG_DF;
	return MIRROR_NBD_FLAG_FUA;
}

static bool leaves_disk(const struct mirror_nbd_request *r, uint64_t size_bytes)
{
	return r->offset_bytes > size_bytes ||
	       r->length_bytes > size_bytes - r->offset_bytes;
}

int mirror_nbd_request_check(const struct mirror_nbd_session *s,
			     const struct mirror_nbd_request *r, uint64_t size_bytes)
{
	if ((r->flags & ~flags_allowed(s, r->type)) != 0)
		return -EINVAL;
	switch (r->type) {
	case MIRROR_NBD_DISC:
	case MIRROR_NBD_FLUSH:
		return 0;
	case MIRROR_NBD_READ:
		if (r->length_bytes > MIRROR_NBD_PAYLOAD_MAX)
			return -EINVAL;
		return leaves_disk(r, size_bytes) ? -EINVAL : 0;
	case MIRROR_NBD_TRIM:
		return leaves_disk(r, size_bytes) ? -EINVAL : 0;
	case MIRROR_NBD_WRITE:
		if (r->length_bytes > MIRROR_NBD_PAYLOAD_MAX)
			return -EINVAL;
		return leaves_disk(r, size_bytes) ? -ENOSPC : 0;
	case MIRROR_NBD_WRITE_ZEROES:
		return leaves_disk(r, size_bytes) ? -ENOSPC : 0;
	default:
		return -EINVAL; /* the type is the client's, not ours */
	}
}

uint32_t mirror_nbd_error(int error)
{
	switch (-error) {
	case 0:
		return 0;
	case EPERM:
	case EROFS:
		return 1;
	case ENOMEM:
		return 12;
	case EINVAL:
		return 22;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return 28;
	case EOVERFLOW:
		return 75;
	case ESHUTDOWN:
		return 108;
	default:
		return 5; /* NBD_EIO; ENOTSUP is for fast zeroes only */
	}
}

uint32_t mirror_nbd_simple_encode(uint8_t *head, uint64_t cookie, int error)
{
	mirror_nbd_put(head, SIMPLE_REPLY_MAGIC, 4);
	mirror_nbd_put(head + 4, mirror_nbd_error(error), 4);
	mirror_nbd_put(head + 8, cookie, 8);
	return 16;
}

static void chunk_encode(uint8_t *head, uint64_t cookie, uint16_t type, bool done,
			 uint32_t length_bytes)
{
	mirror_nbd_put(head, CHUNK_MAGIC, 4);
	mirror_nbd_put(head + 4, done ? CHUNK_DONE : 0, 2);
	mirror_nbd_put(head + 6, type, 2);
	mirror_nbd_put(head + 8, cookie, 8);
	mirror_nbd_put(head + 16, length_bytes, 4);
}

uint32_t mirror_nbd_data_encode(uint8_t *head, uint64_t cookie, uint64_t offset_bytes,
				uint32_t length_bytes, bool done)
{
	chunk_encode(head, cookie, CHUNK_OFFSET_DATA, done, 8 + length_bytes);
	mirror_nbd_put(head + CHUNK_HEAD_BYTES, offset_bytes, 8);
	return CHUNK_HEAD_BYTES + 8;
}

uint32_t mirror_nbd_end_encode(uint8_t *head, uint64_t cookie, int error)
{
	if (error == 0) {
		chunk_encode(head, cookie, CHUNK_NONE, true, 0);
		return CHUNK_HEAD_BYTES;
	}
	chunk_encode(head, cookie, CHUNK_ERROR, true, 6);
	mirror_nbd_put(head + CHUNK_HEAD_BYTES, mirror_nbd_error(error), 4);
	mirror_nbd_put(head + CHUNK_HEAD_BYTES + 4, 0, 2); /* no message */
	return CHUNK_HEAD_BYTES + 6;
}
