/* superblock.c - see superblock.h: reading a choice of slots, the layout, the cuts.
 * The bytes are in superblock_format.c. */
#include "mirror/log/superblock.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mirror/log/map.h"
#include "mirror/log/record.h"

/* ---- the choice ---------------------------------------------------------- */

static int decode_slot(const uint8_t *buffer, uint32_t slot, struct mirror_superblock *sb,
		       char *text, size_t text_bytes)
{
	int error = mirror_superblock_decode(buffer, sb, text, text_bytes);

	if (error == 0 && sb->write_counter % MIRROR_SUPERBLOCK_SLOT_COUNT != slot) {
		snprintf(text, text_bytes, "it belongs into the other slot");
		error = -EPROTO;
	}
	return error;
}

/* Both were decoded; the error of the two together. A slot that is not a log at all
 * beside one that is damaged does not hide that this was a log. */
static int choose_error(int a, int b)
{
	if (a == -EPROTONOSUPPORT || b == -EPROTONOSUPPORT)
		return -EPROTONOSUPPORT;
	if (a == 0 || b == 0)
		return 0;
	return a == -ENODATA ? b : a;
}

int mirror_superblock_choose(const uint8_t *slot_a, const uint8_t *slot_b,
			     struct mirror_superblock *scratch,
			     struct mirror_superblock *sb, uint32_t *slot, char *text,
			     size_t text_bytes)
{
	char text_a[128] = "", text_b[128] = "";
	const int a = decode_slot(slot_a, 0, sb, text_a, sizeof text_a);
	const int b = decode_slot(slot_b, 1, scratch, text_b, sizeof text_b);
	const int error = choose_error(a, b);

	if (a == 0 && b == 0) {
		snprintf(text, text_bytes, "%s", "");
		if (!uuid_equal(&sb->log, &scratch->log)) {
			snprintf(text, text_bytes,
				 "the superblock's two slots are of different logs");
			return -EPROTO;
		}
	} else {
		snprintf(text, text_bytes, "superblock%s%s%s%s%s",
			 a < 0 ? " slot 0: " : "", text_a, a < 0 && b < 0 ? ";" : "",
			 b < 0 ? " slot 1: " : "", text_b);
	}
	if (error < 0)
		return error;
	*slot = a == 0 ? 0 : 1;
	if (b == 0 && (a < 0 || scratch->write_counter > sb->write_counter)) {
		*sb = *scratch;
		*slot = 1;
	}
	return 0;
}

/* ---- identity ------------------------------------------------------------ */

static int differs(char *text, size_t text_bytes, const char *what, const char *in_log,
		   const char *in_file)
{
	snprintf(text, text_bytes,
		 "the writelog belongs to %s '%s', but the configuration says '%s'", what,
		 in_log, in_file);
	return -EMEDIUMTYPE;
}

int mirror_superblock_check_identity(const struct mirror_superblock *sb,
				     const struct config *config, uint32_t site,
				     char *text, size_t text_bytes)
{
	const struct config_site *own = &config->site[site];

	assert(site < config->site_count);

	if (strcmp(sb->mirror_name, config->mirror) != 0)
		return differs(text, text_bytes, "mirror", sb->mirror_name,
			       config->mirror);
	if (strcmp(sb->sites[sb->site].name, own->name) != 0)
		return differs(text, text_bytes, "site", sb->sites[sb->site].name,
			       own->name);
	if (sb->site_count != config->site_count || sb->site != site) {
		snprintf(text, text_bytes,
			 "the writelog knows %" PRIu32 " sites, the configuration lists "
			 "%" PRIu32 " or in another order",
			 sb->site_count, config->site_count);
		return -EMEDIUMTYPE;
	}
	for (uint32_t i = 0; i < sb->site_count; i++)
		if (strcmp(sb->sites[i].name, config->site[i].name) != 0)
			return differs(text, text_bytes, "a mirror with site",
				       sb->sites[i].name, config->site[i].name);
	if (sb->disks.count != own->disk_count) {
		snprintf(text, text_bytes,
			 "the writelog knows %" PRIu32 " disks, the configuration lists "
			 "%" PRIu32,
			 sb->disks.count, own->disk_count);
		return -EMEDIUMTYPE;
	}
	for (uint32_t i = 0; i < sb->disks.count; i++)
		if (strcmp(sb->disks.entry[i].name, own->disk[i].name) != 0)
			return differs(text, text_bytes, "a mirror with disk",
				       sb->disks.entry[i].name, own->disk[i].name);
	return 0;
}

/* ---- layout -------------------------------------------------------------- */

int mirror_superblock_layout(struct mirror_superblock *sb, uint64_t log_bytes, char *text,
			     size_t text_bytes)
{
	const uint64_t map = mirror_map_area_bytes(&sb->disks);
	const uint64_t ring_start = MIRROR_SUPERBLOCK_AREA_BYTES + sb->site_count * map;
	uint64_t needed = ring_start + MIRROR_RING_BYTES_MIN;

	assert(sb->site_count > 0 && sb->site_count <= CONFIG_SITE_COUNT_MAX);

	if (needed < MIRROR_LOG_BYTES_MIN)
		needed = MIRROR_LOG_BYTES_MIN;
	if (log_bytes < needed) {
		snprintf(text, text_bytes,
			 "the writelog has %" PRIu64 " bytes, these disks need at least "
			 "%" PRIu64,
			 log_bytes, needed);
		return -ENOSPC;
	}
	for (uint32_t i = 0; i < sb->site_count; i++) {
		sb->sites[i].map_start_bytes = MIRROR_SUPERBLOCK_AREA_BYTES + i * map;
		sb->sites[i].map_bytes = map;
		sb->sites[i].map_epoch = 1;
	}
	sb->log_bytes = log_bytes;
	sb->ring_start_bytes = ring_start;
	sb->ring_bytes = (log_bytes - ring_start) / MIRROR_BLOCK_BYTES *
			 MIRROR_BLOCK_BYTES;
	return 0;
}

/* ---- cuts ---------------------------------------------------------------- */

static void lower(struct mirror_mark *mark, uint64_t sequence)
{
	if (mark->sequence > sequence)
		mark->sequence = sequence;
}

/* Leave out those at or behind `position`. */
static uint32_t restarts_before(const struct mirror_superblock *sb, uint64_t position)
{
	uint32_t count = 0;

	while (count < sb->restart_count && sb->restart[count].position < position)
		count++;
	return count;
}

int mirror_superblock_restart(struct mirror_superblock *sb, uint64_t position,
			      uint64_t sequence)
{
	const uint32_t kept = restarts_before(sb, position);

	assert(position >= sb->tail_position || sb->tail_sequence == 0);
	assert(position % MIRROR_BLOCK_BYTES == 0);

	if (kept == MIRROR_RESTART_COUNT_MAX)
		return -ENOSPC;
	sb->log_epoch++;
	sb->restart[kept] = (struct mirror_restart){
		.position = position,
		.sequence = sequence,
		.epoch = sb->log_epoch,
	};
	sb->restart_count = kept + 1;
	sb->head_position = position;
	if (position == sb->tail_position)
		mirror_superblock_set_tail(sb, position, sequence + 1, sb->log_epoch);
	lower(&sb->durable, sequence);
	lower(&sb->home, sequence);
	if (sb->clean.set && sb->clean.sequence > sequence)
		sb->clean.set = false;
	if (sb->hold.active && sb->hold.sequence > sequence)
		sb->hold.sequence = sequence;
	if (sb->hold.active && sb->hold.position > position)
		sb->hold.position = position;
	return 0;
}

void mirror_superblock_set_tail(struct mirror_superblock *sb, uint64_t position,
				uint64_t sequence, uint64_t epoch)
{
	uint32_t passed = 0;

	assert(position >= sb->tail_position || sb->tail_sequence == 0);
	assert(sequence > 0);

	/* Descriptors behind a restart have its epoch or a later one; the tail's must
	 * still say so when the restart itself is forgotten. */
	while (passed < sb->restart_count && sb->restart[passed].position <= position) {
		if (sb->restart[passed].epoch > epoch)
			epoch = sb->restart[passed].epoch;
		passed++;
	}
	memmove(&sb->restart[0], &sb->restart[passed],
		(sb->restart_count - passed) * sizeof sb->restart[0]);
	sb->restart_count -= passed;
	sb->tail_position = position;
	sb->tail_sequence = sequence;
	sb->tail_epoch = epoch;
}
