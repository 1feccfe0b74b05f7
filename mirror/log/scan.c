/* scan.c - see scan.h: reading, the chain and its end. Looking ahead and the survey are
 * in scan_ahead.c. */
#include "mirror/log/scan_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/crc.h"

#define SPARSE_BYTES (32u * 1024) /* to read so much takes longer than to begin anew */

void mirror_scan_set_phase(struct mirror_scan *scan, enum mirror_scan_phase phase)
{
	const enum mirror_scan_phase from = scan->phase;
	bool legal = false;

	switch (phase) {
	case MIRROR_SCAN_PHASE_CHAIN:
		legal = from == MIRROR_SCAN_PHASE_SURVEY;
		break;
	case MIRROR_SCAN_PHASE_AHEAD:
		legal = from == MIRROR_SCAN_PHASE_CHAIN;
		break;
	case MIRROR_SCAN_PHASE_SURVEY: /* once */
		legal = from <= MIRROR_SCAN_PHASE_AHEAD && !scan->result.surveyed;
		break;
	case MIRROR_SCAN_PHASE_END:
		legal = from <= MIRROR_SCAN_PHASE_AHEAD;
		break;
	case MIRROR_SCAN_PHASE_DAMAGED:
		legal = from <= MIRROR_SCAN_PHASE_SURVEY;
		break;
	}
	assert(legal);
	scan->phase = phase;
}

static uint64_t lower_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Records before `position` count up to here only. */
static uint64_t limit_before(const struct mirror_superblock *sb, uint64_t position)
{
	uint64_t limit = UINT64_MAX - 1;

	if (sb->hold.active && sb->hold.position > position)
		limit = sb->hold.sequence;
	for (uint32_t i = 0; i < sb->restart_count; i++)
		if (sb->restart[i].position > position)
			limit = lower_of(limit, sb->restart[i].sequence);
	return limit;
}

void mirror_scan_begin_chain(struct mirror_scan *scan, uint64_t position,
			     uint64_t sequence, uint64_t epoch)
{
	scan->position = position;
	scan->next_sequence = sequence;
	scan->epoch = epoch;
	scan->previous_known = false;
	scan->in_data = false;
	scan->buffer_filled_bytes = 0;
	scan->cautious_until = 0;
	scan->stop_reason = NULL;
	scan->proof[0] = 0;
	scan->result.tail_position = position;
	scan->result.tail_sequence = lower_of(sequence,
					      limit_before(scan->sb, position) + 1);
	scan->result.tail_epoch = epoch;
}

void mirror_scan_start(struct mirror_scan *scan, const struct mirror_superblock *sb,
		       uint8_t *buffer, size_t buffer_bytes, uint64_t proven_sequence)
{
	assert(buffer_bytes >= MIRROR_SCAN_BUFFER_BYTES_MIN &&
	       buffer_bytes % MIRROR_BLOCK_BYTES == 0);

	memset(scan, 0, sizeof *scan);
	scan->sb = sb;
	scan->buffer = buffer;
	scan->buffer_bytes = buffer_bytes;
	scan->proven_sequence = proven_sequence > sb->durable.sequence ?
					proven_sequence :
					sb->durable.sequence;
	scan->result.durable = sb->durable.sequence;
	scan->result.home = sb->home.sequence;
	/* Above a hold sequences are given that stand below it too. */
	scan->home_sequence = sb->hold.active ? 0 : sb->home.sequence;
	mirror_scan_begin_chain(scan, sb->tail_position, sb->tail_sequence,
				sb->tail_epoch);
	if (sb->tail_sequence == 0)
		mirror_scan_survey_begin(scan);
}

/* ---- reading ------------------------------------------------------------- */

void mirror_scan_read_failed(struct mirror_scan *scan)
{
	assert(scan->reading);
	scan->failed = true;
}

/* Take in the caller's read. A failed read is tried again block by block, so that one bad
 * sector costs no more than its block. */
static void take_read(struct mirror_scan *scan)
{
	if (!scan->reading)
		return;
	scan->reading = false;
	scan->result.read_bytes += scan->length_bytes;
	scan->buffer_filled_bytes = scan->failed ? 0 : scan->length_bytes;
	if (scan->failed && scan->length_bytes == MIRROR_BLOCK_BYTES)
		scan->unreadable = true;
	else if (scan->failed)
		scan->cautious_until = scan->buffer_position + scan->length_bytes;
	scan->failed = false;
}

/* The data that comes next is skipped: only one block in many, a descriptor, is needed. */
static bool is_sparse(const struct mirror_scan *scan)
{
	return scan->phase == MIRROR_SCAN_PHASE_CHAIN && !scan->in_data &&
	       scan->next_sequence <= scan->home_sequence &&
	       scan->mean_bytes >= SPARSE_BYTES;
}

enum scan_get mirror_scan_get(struct mirror_scan *scan, uint64_t position, uint64_t end,
			      const uint8_t **at, size_t *available_bytes)
{
	const uint64_t ring_bytes = scan->sb->ring_bytes;
	const uint64_t into = position - scan->buffer_position;
	uint64_t length = ring_bytes - position % ring_bytes;

	assert(position < end && position % MIRROR_BLOCK_BYTES == 0);

	if (scan->unreadable && into == 0) {
		scan->unreadable = false;
		return SCAN_UNREADABLE;
	}
	if (position >= scan->buffer_position && into < scan->buffer_filled_bytes) {
		*at = scan->buffer + into;
		*available_bytes = scan->buffer_filled_bytes - into;
		return SCAN_HAVE;
	}
	if (length > end - position)
		length = end - position;
	if (length > scan->buffer_bytes)
		length = scan->buffer_bytes;
	if (position < scan->cautious_until || is_sparse(scan))
		length = MIRROR_BLOCK_BYTES;
	scan->buffer_position = position;
	scan->buffer_filled_bytes = 0;
	scan->device_offset_bytes = scan->sb->ring_start_bytes + position % ring_bytes;
	scan->length_bytes = (size_t)length;
	scan->into = scan->buffer;
	scan->reading = true;
	return SCAN_WANTED;
}

/* ---- data ---------------------------------------------------------------- */

static void begin_record(struct mirror_scan *scan, uint32_t record, uint64_t position)
{
	scan->record = record;
	scan->record_bytes = 0;
	if (record < scan->descriptor.count) {
		scan->data_position[record] = position;
		scan->record_crc = mirror_header_place_crc(&scan->sb->mirror,
							   &scan->headers[record]);
	}
}

void mirror_scan_data_begin(struct mirror_scan *scan, uint64_t position)
{
	scan->in_data = true;
	begin_record(scan, 0, position + MIRROR_BLOCK_BYTES);
}

enum scan_data mirror_scan_data_step(struct mirror_scan *scan, uint64_t end)
{
	const struct mirror_header *h;
	const uint8_t *data;
	uint64_t place;
	size_t available;

	if (scan->record == scan->descriptor.count)
		return SCAN_DATA_GOOD;
	h = &scan->headers[scan->record];
	place = scan->data_position[scan->record];
	if (scan->record_bytes == h->data_bytes) {
		if (scan->record_crc != h->crc)
			return SCAN_DATA_TORN;
		begin_record(scan, scan->record + 1,
			     place + mirror_data_padded_bytes(h->data_bytes));
		return SCAN_DATA_AGAIN;
	}
	switch (mirror_scan_get(scan, place + scan->record_bytes, end, &data,
				&available)) {
	case SCAN_WANTED:
		return SCAN_DATA_READ;
	case SCAN_UNREADABLE:
		return SCAN_DATA_TORN;
	case SCAN_HAVE:
		break;
	}
	if (available > h->data_bytes - scan->record_bytes)
		available = h->data_bytes - scan->record_bytes;
	scan->record_crc = common_crc32c(scan->record_crc, data, available);
	scan->record_bytes += (uint32_t)available;
	return SCAN_DATA_AGAIN;
}

/* ---- the end ------------------------------------------------------------- */

void mirror_scan_damaged(struct mirror_scan *scan, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(scan->result.text, sizeof scan->result.text, format, arguments);
	va_end(arguments);
	scan->result.damage_position = scan->position;
	scan->result.damage_sequence = scan->next_sequence;
	mirror_scan_set_phase(scan, MIRROR_SCAN_PHASE_DAMAGED);
}

static void end(struct mirror_scan *scan, uint64_t last_sequence, const char *reason)
{
	struct mirror_scan_result *r = &scan->result;

	r->head_position = scan->position;
	r->last_sequence = last_sequence;
	if (r->descriptor_count == 0)
		r->tail_sequence = last_sequence + 1;
	r->durable = lower_of(r->durable, last_sequence);
	r->home = lower_of(r->home, last_sequence);
	snprintf(r->text, sizeof r->text,
		 "%" PRIu64 " records in %" PRIu64 " descriptors up to sequence %" PRIu64
		 ": %s",
		 r->record_count, r->descriptor_count, last_sequence, reason);
	mirror_scan_set_phase(scan, MIRROR_SCAN_PHASE_END);
}

/* A survey finds where the ring's content begins, not where the tail was. Records before
 * that place must be at home, else records between were lost. */
static void end_or_gap(struct mirror_scan *scan, uint64_t last_sequence,
		       const char *reason)
{
	const struct mirror_scan_result *r = &scan->result;

	if (r->surveyed && r->tail_sequence > r->home + 1)
		mirror_scan_damaged(scan,
				    "the oldest record found is %" PRIu64 ", but only "
				    "those up to %" PRIu64 " are known to be at home",
				    r->tail_sequence, r->home);
	else
		end(scan, last_sequence, reason);
}

void mirror_scan_conclude(struct mirror_scan *scan)
{
	if (scan->proof[0] == 0)
		end_or_gap(scan, scan->next_sequence - 1, scan->stop_reason);
	else if (scan->result.descriptor_count == 0 && !scan->result.surveyed)
		mirror_scan_survey_begin(scan);
	else
		mirror_scan_damaged(scan,
				    "damaged before sequence %" PRIu64 " (%s), for %s",
				    scan->next_sequence, scan->stop_reason, scan->proof);
}

/* The chain does not go on. Is it the end? */
static void stop(struct mirror_scan *scan, const char *reason)
{
	const struct mirror_superblock *sb = scan->sb;

	scan->stop_reason = reason;
	if (sb->hold.active && scan->next_sequence > sb->hold.sequence) {
		scan->result.held = true;
		end_or_gap(scan, sb->hold.sequence, "a refresh was cut short here");
		return;
	}
	if (scan->next_sequence <= scan->proven_sequence)
		snprintf(scan->proof, sizeof scan->proof,
			 "all up to %" PRIu64 " is known to have been durable",
			 scan->proven_sequence);
	else if (sb->restart_count > 0 &&
		 sb->restart[sb->restart_count - 1].position > scan->position)
		snprintf(scan->proof, sizeof scan->proof,
			 "the superblock knows of a cut at position %" PRIu64,
			 sb->restart[sb->restart_count - 1].position);
	if (scan->proof[0] != 0) {
		mirror_scan_conclude(scan);
		return;
	}
	mirror_scan_ahead_begin(scan);
}

/* ---- the chain ----------------------------------------------------------- */

const struct mirror_restart *mirror_scan_restart_in(const struct mirror_scan *scan,
						    uint64_t position, uint64_t end)
{
	const struct mirror_superblock *sb = scan->sb;

	for (uint32_t i = 0; i < sb->restart_count; i++)
		if (sb->restart[i].position >= position && sb->restart[i].position < end)
			return &sb->restart[i];
	return NULL;
}

static void apply_restart(struct mirror_scan *scan)
{
	const struct mirror_restart *restart = mirror_scan_restart_in(
		scan, scan->position, scan->position + 1);
	struct mirror_scan_result *r = &scan->result;

	if (restart == NULL)
		return;
	scan->next_sequence = restart->sequence + 1;
	if (restart->epoch > scan->epoch)
		scan->epoch = restart->epoch;
	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		r->confirmed[i] = lower_of(r->confirmed[i], restart->sequence);
}

/* Why an intact descriptor is not the next one, or NULL. */
static const char *not_next(const struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->descriptor;
	const uint64_t ring_bytes = scan->sb->ring_bytes;

	if (d->position != scan->position)
		return "the descriptor there is of another lap";
	if (d->epoch < scan->epoch)
		return "the descriptor there was left over by an earlier epoch";
	if (scan->previous_known && d->previous_position != scan->previous_position &&
	    d->previous_position != d->position)
		return "the descriptor there does not follow the one before it";
	if (d->first_sequence != scan->next_sequence)
		return "the descriptor there is not the next in sequence";
	if (d->total_bytes > scan->result.tail_position + ring_bytes - d->position)
		return "the descriptor there reaches beyond the tail";
	if (mirror_scan_restart_in(scan, d->position + 1, d->position + d->total_bytes) !=
	    NULL)
		return "the descriptor there reaches beyond a cut";
	return NULL;
}

/* An intact descriptor at the right place that nevertheless cannot be. */
static bool refuse_impossible(struct mirror_scan *scan, int error)
{
	const struct mirror_descriptor *d = &scan->descriptor;
	const uint64_t rest = scan->sb->ring_bytes - d->position % scan->sb->ring_bytes;
	const char *what = NULL;

	if (error != 0 && error != -EPROTONOSUPPORT && error != -EPROTO)
		return false;
	if (d->position != scan->position || d->epoch < scan->epoch)
		return false;
	if (error == -EPROTONOSUPPORT)
		what = "was written by a newer version of hamirror";
	else if (error == -EPROTO)
		what = "is intact, but its fields contradict each other";
	else if (d->epoch > scan->sb->log_epoch)
		what = "is newer than the superblock: a newer superblock was lost";
	else if (d->type == MIRROR_DESCRIPTOR_PAD ? d->total_bytes != rest :
						    d->total_bytes > rest)
		what = "does not fit the ring";
	else
		return false;
	mirror_scan_damaged(
		scan, "the descriptor at position %" PRIu64 " (sequence %" PRIu64 ") %s",
		scan->position, scan->next_sequence, what);
	return true;
}

/* Leave out records that a restart has dropped; see limit_before(). */
static void drop_records(struct mirror_scan *scan)
{
	const uint64_t limit = limit_before(scan->sb, scan->position);
	struct mirror_descriptor *d = &scan->descriptor;

	scan->whole_count = d->count;
	if (d->first_sequence > limit) {
		d->first_sequence = limit + 1;
		d->count = 0;
		if (d->type == MIRROR_DESCRIPTOR_RECORDS)
			d->type = MIRROR_DESCRIPTOR_MARK;
	} else if (d->count > limit - d->first_sequence + 1) {
		d->count = (uint32_t)(limit - d->first_sequence + 1);
	}
}

/* The descriptor and all its data are good, or not needed: count them, step behind them. */
static void accept(struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->descriptor;
	struct mirror_scan_result *r = &scan->result;

	r->descriptor_count++;
	r->record_count += d->count;
	r->last_epoch = scan->epoch = d->epoch;
	if (d->durable > r->durable)
		r->durable = d->durable;
	if (d->home > r->home)
		r->home = d->home;
	memcpy(r->confirmed, d->confirmed, sizeof r->confirmed);
	if (d->count > 0) {
		r->last_generation = d->generation;
		r->last_time_ns = scan->headers[d->count - 1].time_ns;
	}
	scan->next_sequence += scan->whole_count;
	scan->previous_position = d->position;
	scan->previous_known = true;
	scan->position += d->total_bytes;
	scan->mean_bytes = (7 * scan->mean_bytes + d->total_bytes) / 8;
	scan->in_data = false;
}

/* Has this site all records of the descriptor at home, and durably so? */
static bool is_home(const struct mirror_scan *scan)
{
	const struct mirror_descriptor *d = &scan->descriptor;

	return !scan->result.surveyed && d->count > 0 &&
	       d->first_sequence + d->count - 1 <= scan->home_sequence;
}

static void skip_data(struct mirror_scan *scan)
{
	uint64_t position = scan->position + MIRROR_BLOCK_BYTES;

	for (uint32_t i = 0; i < scan->descriptor.count; i++) {
		scan->data_position[i] = position;
		position += mirror_data_padded_bytes(scan->headers[i].data_bytes);
	}
	scan->result.skipped_bytes += scan->descriptor.total_bytes - MIRROR_BLOCK_BYTES;
}

static enum scan_next descriptor_step(struct mirror_scan *scan)
{
	const uint64_t end_of_lap = scan->result.tail_position + scan->sb->ring_bytes;
	const uint8_t *block;
	const char *reason;
	size_t available;
	int error;

	if (scan->sb->hold.active && scan->position >= scan->sb->hold.position) {
		scan->result.held = true;
		end_or_gap(scan,
			   lower_of(scan->next_sequence - 1, scan->sb->hold.sequence),
			   "a refresh was cut short here");
		return SCAN_AGAIN;
	}
	apply_restart(scan);
	if (scan->position >= end_of_lap) {
		stop(scan, "the ring is full");
		return SCAN_AGAIN;
	}
	switch (mirror_scan_get(scan, scan->position, end_of_lap, &block, &available)) {
	case SCAN_WANTED:
		return SCAN_READ;
	case SCAN_UNREADABLE:
		stop(scan, "the device cannot read it");
		return SCAN_AGAIN;
	case SCAN_HAVE:
		break;
	}
	error = mirror_descriptor_decode(block, &scan->sb->log, &scan->sb->disks,
					 &scan->descriptor, scan->headers);
	reason = error == 0        ? not_next(scan) :
		 error == -EBADMSG ? "the descriptor there is torn" :
				     "nothing of this log stands there";
	if ((reason == NULL || error != 0) && refuse_impossible(scan, error))
		return SCAN_AGAIN;
	if (reason != NULL) {
		stop(scan, reason);
		return SCAN_AGAIN;
	}
	drop_records(scan);
	if (is_home(scan)) {
		skip_data(scan);
		accept(scan);
		return SCAN_FOUND;
	}
	mirror_scan_data_begin(scan, scan->position);
	return SCAN_AGAIN;
}

static enum scan_next chain_step(struct mirror_scan *scan)
{
	const uint64_t end_of_lap = scan->result.tail_position + scan->sb->ring_bytes;

	if (!scan->in_data)
		return descriptor_step(scan);
	switch (mirror_scan_data_step(scan, end_of_lap)) {
	case SCAN_DATA_AGAIN:
		return SCAN_AGAIN;
	case SCAN_DATA_READ:
		return SCAN_READ;
	case SCAN_DATA_TORN:
		stop(scan, "the data that stands there is torn or cannot be read");
		return SCAN_AGAIN;
	case SCAN_DATA_GOOD:
		break;
	}
	accept(scan);
	return SCAN_FOUND;
}

/* ---- the machine --------------------------------------------------------- */

enum mirror_scan_step mirror_scan_step(struct mirror_scan *scan)
{
	enum scan_next next = SCAN_AGAIN;

	take_read(scan);
	for (;;) {
		switch (scan->phase) {
		case MIRROR_SCAN_PHASE_CHAIN:
			next = chain_step(scan);
			break;
		case MIRROR_SCAN_PHASE_AHEAD:
			next = mirror_scan_ahead_step(scan);
			break;
		case MIRROR_SCAN_PHASE_SURVEY:
			next = mirror_scan_survey_step(scan);
			break;
		case MIRROR_SCAN_PHASE_END:
			return MIRROR_SCAN_END;
		case MIRROR_SCAN_PHASE_DAMAGED:
			return MIRROR_SCAN_DAMAGED;
		}
		if (next == SCAN_READ)
			return MIRROR_SCAN_READ;
		if (next == SCAN_FOUND)
			return MIRROR_SCAN_FOUND;
	}
}
