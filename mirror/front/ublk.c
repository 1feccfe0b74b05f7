/* ublk.c - see ublk.h. */
#include "mirror/front/ublk.h"

#include <errno.h>

#define SECTOR_SHIFT 9u
#define PHYSICAL_SHIFT 12u               /* a disk of today writes so much at once */
#define ZERO_MAX (1024ull * 1024 * 1024) /* longest zeroing (io.h) */

_Static_assert(sizeof(struct mirror_ublk_descriptor) == 24, "the kernel's");
_Static_assert(sizeof(struct mirror_ublk_command) == 16, "the kernel's");
_Static_assert(sizeof(struct mirror_ublk_control) == 32, "the kernel's");
_Static_assert(sizeof(struct mirror_ublk_info) == 64, "the kernel's");
_Static_assert(offsetof(struct mirror_ublk_parameters, discard_alignment) == 40,
	       "the kernel's");

void mirror_ublk_info_init(struct mirror_ublk_info *info, uint64_t owner, int32_t pid)
{
	*info = (struct mirror_ublk_info){
		.queue_count = 1,
		.depth = MIRROR_UBLK_DEPTH,
		.request_bytes_max = MIRROR_RECORD_DATA_MAX,
		.device = UINT32_MAX,
		.pid = pid,
		.features = MIRROR_UBLK_FEATURE_IOCTL_ENCODE |
			    MIRROR_UBLK_FEATURE_USER_COPY,
		.owner = owner,
	};
}

void mirror_ublk_parameters_init(struct mirror_ublk_parameters *p, uint64_t disk_bytes,
				 uint32_t sector_bytes)
{
	uint8_t shift = SECTOR_SHIFT;

	while (shift < PHYSICAL_SHIFT && 1u << shift < sector_bytes)
		shift++;
	*p = (struct mirror_ublk_parameters){
		.bytes = sizeof *p,
		.types = MIRROR_UBLK_PARAMETERS_BASIC | MIRROR_UBLK_PARAMETERS_DISCARD,
		.attributes = MIRROR_UBLK_VOLATILE_CACHE | MIRROR_UBLK_FUA,
		.logical_shift = shift,
		.physical_shift = PHYSICAL_SHIFT,
		.optimal_shift = PHYSICAL_SHIFT,
		.least_shift = PHYSICAL_SHIFT,
		.sectors_max = MIRROR_RECORD_DATA_MAX >> SECTOR_SHIFT,
		.disk_sectors = disk_bytes >> SECTOR_SHIFT,
		.discard_granularity = 1u << PHYSICAL_SHIFT,
		.discard_sectors_max = ZERO_MAX >> SECTOR_SHIFT,
		.zeroes_sectors_max = ZERO_MAX >> SECTOR_SHIFT,
		.discard_segments_max = 1,
	};
}

static int place(const struct mirror_ublk_descriptor *d, uint64_t disk_bytes,
		 uint64_t bytes_max, struct mirror_request *r)
{
	const uint64_t disk_sectors = disk_bytes >> SECTOR_SHIFT;

	if (d->sector_count == 0 || d->sector_count > bytes_max >> SECTOR_SHIFT ||
	    d->start_sector > disk_sectors ||
	    d->sector_count > disk_sectors - d->start_sector)
		return -EIO;
	r->offset_bytes = d->start_sector << SECTOR_SHIFT;
	r->length_bytes = (uint64_t)d->sector_count << SECTOR_SHIFT;
	return 0;
}

int mirror_ublk_translate(const struct mirror_ublk_descriptor *d, uint64_t disk_bytes,
			  struct mirror_request *r)
{
	const uint32_t op = d->op_flags & 0xff;

	r->offset_bytes = r->length_bytes = 0;
	r->fua = (d->op_flags & MIRROR_UBLK_FLAG_FUA) != 0;
	r->may_deallocate = false;
	switch (op) {
	case MIRROR_UBLK_READ:
		r->type = MIRROR_REQUEST_READ;
		r->fua = false;
		return place(d, disk_bytes, MIRROR_RECORD_DATA_MAX, r);
	case MIRROR_UBLK_WRITE:
		r->type = MIRROR_REQUEST_WRITE;
		return place(d, disk_bytes, MIRROR_RECORD_DATA_MAX, r);
	case MIRROR_UBLK_FLUSH:
		r->type = MIRROR_REQUEST_FLUSH;
		r->fua = false;
		return 0;
	case MIRROR_UBLK_DISCARD:
	case MIRROR_UBLK_WRITE_ZEROES:
		r->type = MIRROR_REQUEST_ZERO;
		/* Zeroes may be holes unless the kernel says otherwise. */
		r->may_deallocate = op == MIRROR_UBLK_DISCARD ||
				    (d->op_flags & MIRROR_UBLK_FLAG_NO_UNMAP) == 0;
		return place(d, disk_bytes, ZERO_MAX, r);
	default:
		return -EOPNOTSUPP;
	}
}

int32_t mirror_ublk_result(const struct mirror_request *r)
{
	/* A file system must not see an error that it takes for more than a disk's:
	 * -ESHUTDOWN and the like are between the engine and us. */
	if (r->result < 0)
		return r->result == -ENOSPC ? -ENOSPC : -EIO;
	if (r->type == MIRROR_REQUEST_READ || r->type == MIRROR_REQUEST_WRITE)
		return (int32_t)r->length_bytes;
	return 0;
}
