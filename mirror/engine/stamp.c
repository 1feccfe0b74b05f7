/* stamp.c - see stamp.h. The numbers are the boxes in the figures of paper 000
 * (docs/sources.md).
 *
 *   state         next (Fig. 4)             answer to `group`  answer to another
 *   closed        number + 1, in progress   closed             closed
 *   in progress   same number               closed (94)        in progress
 */
#include "mirror/engine/stamp.h"

#include <assert.h>

static void check(const struct mirror_stamp *s)
{
	assert(!s->in_progress || s->group > 0);
	assert(s->sequence >= s->group);
}

void mirror_stamp_init(struct mirror_stamp *s, uint64_t generation,
		       uint64_t last_sequence, uint64_t *disk_sequence,
		       uint32_t disk_count)
{
	assert(disk_sequence != NULL || disk_count == 0);

	*s = (struct mirror_stamp){
		.generation = generation,
		.sequence = last_sequence,
		.disk_sequence = disk_sequence,
		.disk_count = disk_count,
	};
	check(s);
}

void mirror_stamp_next(struct mirror_stamp *s, struct mirror_header *header)
{
	if (!s->in_progress) {          /* 70: no */
		s->in_progress = true;  /* 72 */
		s->group++;             /* 74 */
	}
	header->generation = s->generation;
	header->group = s->group;       /* 76 */
	header->sequence = ++s->sequence;
	header->disk_sequence = 0;
	if (header->type != MIRROR_RECORD_FLUSH) {
		assert(header->disk < s->disk_count);
		header->disk_sequence = ++s->disk_sequence[header->disk];
	}
	check(s);
}

void mirror_stamp_acknowledge(struct mirror_stamp *s, uint64_t group)
{
	if (group == s->group)          /* 88: yes */
		s->in_progress = false; /* 94 */
	check(s);
}
