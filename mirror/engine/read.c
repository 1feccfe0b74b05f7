/* engine/read.c - reads: the disk, with records that are not yet home laid over it.
 *
 * A read that overlaps an unacknowledged record waits for it, since its reader could pass
 * on the new data (G1, D5). All overlapping records are noted, with their data, before
 * the disk is asked, and laid over the answer in the order of sequences. So a record that
 * goes home meanwhile does no harm, even if the disk had only half of it when it was
 * read.
 */
#include "mirror/engine/state.h"

void mirror_reads_reset(struct mirror_engine *m)
{
	m->open.reading.free = NULL;
	for (uint32_t i = 0; i < READS_MAX; i++) {
		m->memory.reads[i].used = false;
		m->memory.reads[i].next = m->open.reading.free;
		m->open.reading.free = &m->memory.reads[i];
	}
}

static void note_overlaps(struct mirror_engine *m, struct engine_read *rd,
			  struct mirror_record **found, uint32_t count)
{
	rd->overlap_count = count;
	for (uint32_t i = 0; i < count; i++) {
		rd->overlap[i].offset_bytes = found[i]->header.offset_bytes;
		rd->overlap[i].length_bytes = found[i]->header.length_bytes;
		rd->overlap[i].data = found[i]->data;
		if (found[i]->data != NULL)
			mirror_buffer_ref(m, found[i]->data);
	}
}

static void lay_over(const struct engine_read *rd, uint32_t i)
{
	const uint64_t from = rd->overlap[i].offset_bytes > rd->offset_bytes ?
				      rd->overlap[i].offset_bytes :
				      rd->offset_bytes;
	const uint64_t over = rd->overlap[i].offset_bytes + rd->overlap[i].length_bytes;
	const uint64_t end = rd->offset_bytes + rd->length_bytes;
	const uint64_t to = over < end ? over : end;
	uint8_t *at = rd->data + (from - rd->offset_bytes);

	if (rd->overlap[i].data == NULL)
		memset(at, 0, to - from);
	else
		memcpy(at, rd->overlap[i].data + (from - rd->overlap[i].offset_bytes),
		       to - from);
}

/* The newest record alone answers the whole read: no need for the disk. */
static bool covered_by_newest(const struct engine_read *rd)
{
	const uint32_t i = rd->overlap_count - 1;

	return rd->overlap_count > 0 && rd->overlap[i].offset_bytes <= rd->offset_bytes &&
	       rd->overlap[i].offset_bytes + rd->overlap[i].length_bytes >=
		       rd->offset_bytes + rd->length_bytes;
}

static void finish(struct mirror_engine *m, struct engine_read *rd, int32_t result)
{
	struct mirror_request *q = rd->request;

	for (uint32_t i = 0; i < rd->overlap_count; i++) {
		if (result == 0)
			lay_over(rd, i);
		if (rd->overlap[i].data != NULL)
			mirror_buffer_unref(m, rd->overlap[i].data);
	}
	rd->used = false;
	rd->next = m->open.reading.free;
	m->open.reading.free = rd;
	if (result == 0)
		result = rd->failed;
	/* A held write may have gone home meanwhile (M8): then it is read again. */
	if (q != NULL && result == 0 && mirror_requests_holds(m, q))
		fifo_push(&m->open.requests.reads_waiting, q);
	else if (q != NULL)
		mirror_request_answer(m, q, result);
	else
		mirror_refresh_read_done(m, rd, result);
}

/* Records that may be put off go home now, up to `sequence`. */
static bool wait_for_homes(struct mirror_engine *m, uint64_t sequence)
{
	if (sequence > m->open.home.read_wanted)
		MIRROR_SET(m, home.read_wanted, sequence);
	return false;
}

/* Begin reading `length_bytes` into `data`: for a client (`q`), or for the
 * refresh of `site` (q is NULL). False: not now, try again after a step. */
static bool begin(struct mirror_engine *m, struct mirror_request *q, uint32_t disk,
		  uint64_t offset_bytes, uint64_t length_bytes, uint8_t *data,
		  struct engine_read **begun)
{
	struct mirror_record *found[READ_OVERLAPS_MAX];
	struct engine_read *rd = m->open.reading.free;
	int count;

	if (rd == NULL)
		return false;
	count = mirror_index_collect(&m->open.index[disk], offset_bytes, length_bytes,
				     found, READ_OVERLAPS_MAX);
	if (count < 0)
		return wait_for_homes(m, m->open.marks.last); /* so many */
	for (int i = 0; i < count; i++) {
		if (found[i]->partly_home)
			return false; /* a newer one may be below it at home */
		if (found[i]->header.type == MIRROR_RECORD_WRITE &&
		    found[i]->data == NULL) /* only in the log: the replay brings it */
			return wait_for_homes(m, found[i]->header.sequence);
	}
	m->open.reading.free = rd->next;
	rd->used = true; /* not zeroed: it is large, and overlap_count says how far */
	rd->request = q;
	rd->failed = 0;
	rd->disk = disk;
	rd->offset_bytes = offset_bytes;
	rd->length_bytes = length_bytes;
	rd->data = data;
	note_overlaps(m, rd, found, (uint32_t)count);
	*begun = rd;
	return true;
}

static void submit(struct mirror_engine *m, struct engine_read *rd)
{
	rd->iov = (struct iovec){ rd->data, rd->length_bytes };
	mirror_engine_transfer(m, &rd->io, MIRROR_IO_READ, rd->disk, rd->offset_bytes,
			       &rd->iov, IO_READ, rd);
}

bool mirror_read_start(struct mirror_engine *m, struct mirror_request *q)
{
	struct engine_read *rd;

	if (mirror_ack_acknowledged(&m->open.requests.ack) < m->open.requests.read_floor)
		return false;
	if (mirror_index_newest_overlap(&m->open.index[q->disk], q->offset_bytes,
					q->length_bytes) >
	    mirror_ack_acknowledged(&m->open.requests.ack))
		return false;
	if (mirror_requests_holds(m, q))
		return false;
	if (!begin(m, q, q->disk, q->offset_bytes, q->length_bytes, q->data, &rd))
		return false;
	if (covered_by_newest(rd))
		finish(m, rd, 0);
	else
		submit(m, rd);
	return true;
}

bool mirror_read_refresh(struct mirror_engine *m, uint32_t site, uint32_t link,
			 uint32_t disk, uint64_t offset_bytes, uint64_t length_bytes,
			 uint8_t *data)
{
	struct engine_read *rd;

	if (!begin(m, NULL, disk, offset_bytes, length_bytes, data, &rd))
		return false;
	rd->refresh_site = site;
	rd->refresh_link = link;
	submit(m, rd);
	return true;
}

/* Fail clients' reads under way with `result`: their device operations end by
 * themselves. */
void mirror_reads_fail(struct mirror_engine *m, int32_t result)
{
	for (uint32_t i = 0; i < READS_MAX; i++)
		if (m->memory.reads[i].used && m->memory.reads[i].request != NULL &&
		    m->memory.reads[i].failed == 0)
			m->memory.reads[i].failed = result;
}

void mirror_read_io(struct mirror_engine *m, struct mirror_io *io)
{
	if (io->result < 0)
		mirror_engine_fail(m, io->device, io->result, "reading");
	finish(m, io->owner, io->result < 0 ? -EIO : 0);
}
