/* scan_ahead.c - W4: is a stop of the chain the end of the log? And where does the ring's
 * content begin when no hint says so? See scan.h. */
#include "mirror/log/scan_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- look ahead ---------------------------------------------------------- */

void mirror_scan_ahead_begin(struct mirror_scan *scan)
{
	const uint64_t ring_bytes = scan->sb->ring_bytes;
	const uint64_t end_of_lap = scan->result.tail_position + ring_bytes;

	scan->cursor = scan->position;
	scan->ahead_end = scan->position + (ring_bytes < MIRROR_SCAN_WINDOW_BYTES ?
						    ring_bytes :
						    MIRROR_SCAN_WINDOW_BYTES);
	if (scan->ahead_end > end_of_lap)
		scan->ahead_end = end_of_lap;
	mirror_scan_set_phase(scan, MIRROR_SCAN_PHASE_AHEAD);
}

/* Does the candidate prove that the stop is not the end? */
static void prove(struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->candidate;

	if (d->epoch < scan->epoch || d->position < scan->cursor ||
	    (d->position - scan->cursor) % scan->sb->ring_bytes != 0)
		return;
	if (d->epoch > scan->sb->log_epoch)
		snprintf(scan->proof, sizeof scan->proof,
			 "the descriptor at position %" PRIu64 " is newer than the "
			 "superblock",
			 d->position);
	else if (d->durable >= scan->next_sequence)
		snprintf(scan->proof, sizeof scan->proof,
			 "the descriptor at position %" PRIu64 " says that all up to "
			 "%" PRIu64 " was durable",
			 d->position, d->durable);
}

enum scan_next mirror_scan_ahead_step(struct mirror_scan *scan)
{
	const uint8_t *block;
	size_t available;

	if (scan->cursor >= scan->ahead_end || scan->proof[0] != 0) {
		mirror_scan_conclude(scan);
		return SCAN_AGAIN;
	}
	switch (mirror_scan_get(scan, scan->cursor, scan->ahead_end, &block,
				&available)) {
	case SCAN_WANTED:
		return SCAN_READ;
	case SCAN_HAVE:
		if (mirror_descriptor_decode(block, &scan->sb->log, NULL,
					     &scan->candidate,
					     scan->candidate_headers) == 0)
			prove(scan);
		break;
	case SCAN_UNREADABLE:
		break;
	}
	scan->cursor += MIRROR_BLOCK_BYTES;
	return SCAN_AGAIN;
}

/* ---- survey --------------------------------------------------------------
 *
 * The ring holds, by position: old descriptors of the free part, broken where a write under
 * way at a crash went over them; then the descriptors that are needed, without a break up
 * to the head; then remains of such writes. Any of them may go over the ring's end. Two
 * passes: the first learns the latest epoch and the highest durable mark under it. Every
 * open leaves a descriptor under its epoch, so these are the log's own and of nothing given
 * up. The second finds the unbroken run that holds the record of that mark: remains from
 * before end at an earlier one, remains from behind begin at a later one.
 */

static void begin_pass(struct mirror_scan *scan, uint32_t pass)
{
	scan->survey_pass = pass;
	scan->cursor = 0;
	scan->in_data = false;
	scan->buffer_filled_bytes = 0;
	scan->cautious_until = 0;
	scan->run = scan->first_run = scan->best_run = (struct mirror_scan_run){ 0 };
}

void mirror_scan_survey_begin(struct mirror_scan *scan)
{
	mirror_scan_set_phase(scan, MIRROR_SCAN_PHASE_SURVEY);
	scan->result.surveyed = true;
	scan->survey_epoch = 0;
	scan->survey_durable = 0;
	scan->survey_end = 0;
	begin_pass(scan, 0);
}

/* Could the descriptor have been written at the cursor, in some lap, and is it not a
 * leftover of records that a cut dropped? */
static bool belongs_here(const struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->descriptor;
	const uint64_t ring_bytes = scan->sb->ring_bytes;

	for (uint32_t i = 0; i < scan->sb->restart_count; i++)
		if (scan->sb->restart[i].position <= d->position &&
		    scan->sb->restart[i].epoch > d->epoch)
			return false;
	return d->position % ring_bytes == scan->cursor &&
	       d->total_bytes <= ring_bytes - scan->cursor;
}

/* Do place, epoch and sequence follow right behind the run? */
static bool follows(const struct mirror_scan *scan, const struct mirror_scan_run *run,
		    uint64_t position, uint64_t epoch, uint64_t sequence)
{
	return run->exists && position == run->end_position && epoch >= run->last_epoch &&
	       (sequence == run->next_sequence ||
		mirror_scan_restart_in(scan, position, position + 1) != NULL);
}

/* Does the run go beyond the highest mark? Runs that begin beyond it do too, but the
 * lowest that does is taken, and a gap that this leaves is found at the end. */
static void weigh_run(struct mirror_scan *scan, const struct mirror_scan_run *run)
{
	const struct mirror_scan_run *best = &scan->best_run;
	const struct mirror_restart *restart = mirror_scan_restart_in(
		scan, run->end_position, run->end_position + 1);
	uint64_t durable = scan->survey_durable;

	if (scan->proven_sequence > durable)
		durable = scan->proven_sequence;
	/* Behind a cut nothing of the new epoch may be whole yet. */
	if (run->last_epoch != scan->survey_epoch && restart == NULL)
		return;
	if (run->next_sequence <= durable)
		return;
	if (!best->exists || run->sequence < best->sequence)
		scan->best_run = *run;
}

/* The run ends here. A run that begins where the ring begins waits: the run at the ring's
 * end may lead into it. */
static void close_run(struct mirror_scan *scan)
{
	if (scan->run.exists && scan->run.position % scan->sb->ring_bytes == 0)
		scan->first_run = scan->run;
	else if (scan->run.exists)
		weigh_run(scan, &scan->run);
	scan->run.exists = false;
}

/* The descriptor at hand and its data are good. */
static void add_to_run(struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->descriptor;

	if (!follows(scan, &scan->run, d->position, d->epoch, d->first_sequence)) {
		close_run(scan);
		scan->run = (struct mirror_scan_run){
			.exists = true,
			.position = d->position,
			.sequence = d->first_sequence,
			.epoch = d->epoch,
		};
	}
	scan->run.last_epoch = d->epoch;
	scan->run.end_position = d->position + d->total_bytes;
	scan->run.next_sequence = d->first_sequence + d->count;
}

static void learn(struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->descriptor;

	if (d->position + d->total_bytes > scan->survey_end)
		scan->survey_end = d->position + d->total_bytes;
	if (d->epoch < scan->sb->tail_epoch)
		return;
	if (d->epoch > scan->survey_epoch) {
		scan->survey_epoch = d->epoch;
		scan->survey_durable = d->durable;
	} else if (d->epoch == scan->survey_epoch && d->durable > scan->survey_durable) {
		scan->survey_durable = d->durable;
	}
}
/* The last run may end where the ring does and lead into the first one. */
static void close_last_run(struct mirror_scan *scan)
{
	struct mirror_scan_run joined = scan->run;
	const struct mirror_scan_run *first = &scan->first_run;

	if (first->exists &&
	    follows(scan, &joined, first->position, first->epoch, first->sequence)) {
		joined.last_epoch = first->last_epoch;
		joined.end_position = first->end_position;
		joined.next_sequence = first->next_sequence;
		weigh_run(scan, &joined);
		return;
	}
	close_run(scan);
	if (first->exists)
		weigh_run(scan, first);
}

/* A position above the superblock's and all that were met. */
static uint64_t position_above(const struct mirror_scan *scan)
{
	return scan->survey_end > scan->sb->head_position ? scan->survey_end :
							    scan->sb->head_position;
}

static void survey_end(struct mirror_scan *scan)
{
	const struct mirror_superblock *sb = scan->sb;
	const struct mirror_scan_run *best = &scan->best_run;

	if (scan->survey_pass == 0) {
		begin_pass(scan, 1);
		return;
	}
	close_last_run(scan);
	if (sb->tail_sequence != 0 &&
	    scan->survey_end <= sb->tail_position + sb->ring_bytes) {
		/* Nothing was written over the place of the hint: it is damaged. */
		mirror_scan_conclude(scan);
		return;
	}
	if (!best->exists && scan->survey_epoch > 0) {
		mirror_scan_damaged(scan,
				    "no unbroken part of the ring holds the durable "
				    "sequence %" PRIu64,
				    scan->survey_durable);
		return;
	}
	mirror_scan_set_phase(scan, MIRROR_SCAN_PHASE_CHAIN);
	if (best->exists)
		mirror_scan_begin_chain(scan, best->position, best->sequence,
					best->epoch);
	else   /* empty: go on above all that ever stood there */
		mirror_scan_begin_chain(scan, position_above(scan),
					sb->durable.sequence + 1, sb->log_epoch);
}

static enum scan_next survey_block(struct mirror_scan *scan)
{
	const uint8_t *block;
	size_t available;

	switch (mirror_scan_get(scan, scan->cursor, scan->sb->ring_bytes, &block,
				&available)) {
	case SCAN_WANTED:
		return SCAN_READ;
	case SCAN_HAVE:
		if (mirror_descriptor_decode(block, &scan->sb->log, &scan->sb->disks,
					     &scan->descriptor, scan->headers) != 0 ||
		    !belongs_here(scan))
			break;
		mirror_scan_data_begin(scan, scan->cursor);
		return SCAN_AGAIN;
	case SCAN_UNREADABLE:
		break;
	}
	scan->cursor += MIRROR_BLOCK_BYTES;
	return SCAN_AGAIN;
}

enum scan_next mirror_scan_survey_step(struct mirror_scan *scan)
{
	if (scan->cursor >= scan->sb->ring_bytes) {
		survey_end(scan);
		return SCAN_AGAIN;
	}
	if (!scan->in_data)
		return survey_block(scan);
	switch (mirror_scan_data_step(scan, scan->sb->ring_bytes)) {
	case SCAN_DATA_AGAIN:
		return SCAN_AGAIN;
	case SCAN_DATA_READ:
		return SCAN_READ;
	case SCAN_DATA_GOOD:
		/* Its data is skipped: a client's data is no descriptor. */
		if (scan->survey_pass == 0)
			learn(scan);
		else
			add_to_run(scan);
		scan->cursor += scan->descriptor.total_bytes;
		break;
	case SCAN_DATA_TORN:
		scan->cursor += MIRROR_BLOCK_BYTES;
		break;
	}
	scan->in_data = false;
	return SCAN_AGAIN;
}
