/* engine/disks.h - are the disks those that were there (evidence.h)? Each is compared on
 * its own. Only this part changes the superblock's evidence. */
#ifndef MIRROR_ENGINE_DISKS_H
#define MIRROR_ENGINE_DISKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/io.h"
#include "mirror/log/record.h"

struct mirror_engine;

struct engine_disk {
	struct mirror_io io;
	struct iovec iov;
	uint32_t slot;        /* of the sample under way */
	uint32_t same, other; /* so many were, or were not, as they should be */
	bool sampled;         /* a superblock with samples of it was asked for */
};

void mirror_disks_begin(struct mirror_engine *m);
void mirror_disks_found(struct mirror_engine *m, const struct mirror_header *h);
void mirror_disks_io(struct mirror_engine *m, struct mirror_io *io);
void mirror_disks_dropped(struct mirror_engine *m, const struct mirror_header *h);
/* No sample is of a record beyond `keep`. */
void mirror_disks_cut(struct mirror_engine *m, uint64_t keep);
/* The disks are about to hold a mixture: no sample says anything of them. */
void mirror_disks_forget(struct mirror_engine *m);
bool mirror_disks_judge(struct mirror_engine *m, char *text, size_t size);
void mirror_disks_homed(struct mirror_engine *m, const struct mirror_record *r);

#endif
