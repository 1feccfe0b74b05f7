/* engine/same_disks.c - are these the site's disks? Each open compares them with the
 * superblock's evidence (evidence.h), before anything is written. Records that go home
 * keep the evidence up to date.
 *
 * Each disk reads its samples one after the other, beside the other disks. A site whose
 * first refresh has not ended has no content to be known by, and is filled in any case.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/crc.h"
#include "mirror/engine/state.h"

/* ---- opening -------------------------------------------------------------- */

/* The scan has found a record. Records above a hold are dropped, and not at home (W6). */
void mirror_disks_found(struct mirror_engine *m, const struct mirror_header *h)
{
	if (!m->open.sb.hold.active || h->sequence <= m->open.sb.hold.sequence)
		mirror_evidence_touch(&m->open.sb.evidence, h);
}

/* A record that may be at home is cut off: its block is evidence no longer. */
void mirror_disks_dropped(struct mirror_engine *m, const struct mirror_header *h)
{
	mirror_evidence_touch(&m->open.sb.evidence, h);
}

/* A record that stays and is at home may lie below one that was cut off. */
void mirror_disks_cut(struct mirror_engine *m, uint64_t keep)
{
	mirror_evidence_cut(&m->open.sb.evidence, keep);
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= keep; s++)
		mirror_engine_record(m, s)->sample_crc = 0;
}

void mirror_disks_forget(struct mirror_engine *m)
{
	mirror_evidence_forget_samples(&m->open.sb.evidence);
}

/* Read the disk's next sample. Nothing is left to be read: does nothing. */
static void read_next(struct mirror_engine *m, uint32_t disk)
{
	struct engine_disk *d = &m->open.disk[disk];
	const uint32_t slots = mirror_evidence_slots(&m->open.sb.evidence);
	const struct mirror_sample *s;

	while (d->slot < slots &&
	       mirror_evidence_sample(&m->open.sb.evidence, disk, d->slot)->sequence == 0)
		d->slot++;
	if (d->slot == slots)
		return;
	s = mirror_evidence_sample(&m->open.sb.evidence, disk, d->slot);
	d->iov = (struct iovec){ m->memory.scan_buffer + disk * MIRROR_SAMPLE_BYTES_MAX,
				 s->length_bytes };
	mirror_engine_transfer(m, &d->io, MIRROR_IO_READ, disk, s->offset_bytes, &d->iov,
			       IO_SAMPLE, NULL);
}

/* The scan is over: begin to compare. */
void mirror_disks_begin(struct mirror_engine *m)
{
	if (m->open.sb.blank)
		mirror_disks_forget(m);
	for (uint32_t i = 0; i < m->open.disk_count; i++)
		read_next(m, i);
}

/* A block that cannot be read tells nothing. */
void mirror_disks_io(struct mirror_engine *m, struct mirror_io *io)
{
	struct engine_disk *d = &m->open.disk[io->device];
	const struct mirror_sample *s = mirror_evidence_sample(&m->open.sb.evidence,
							       io->device, d->slot);

	if (m->state != ENGINE_OPENING)
		return;
	if (io->result >= 0) {
		const uint32_t crc = common_crc32c(0, d->iov.iov_base, s->length_bytes);

		d->same += crc == s->crc;
		d->other += crc != s->crc;
	}
	d->slot++;
	read_next(m, io->device);
}

#define SHOWN 36 /* of an identity, its end: that tells one from the next */

static const char *shown(const char *identity)
{
	const size_t length = strlen(identity);

	return length == 0    ? "a device that the system cannot name" :
	       length > SHOWN ? identity + length - SHOWN :
				identity;
}

static void say_refused(const struct mirror_engine *m, uint32_t disk,
			enum mirror_disk_verdict verdict, uint32_t exchanged, char *text,
			size_t size)
{
	const struct config_disk *c = &m->config->site[m->open.site].disk[disk];
	const struct engine_disk *d = &m->open.disk[disk];
	char why[FACT_TEXT_MAX];

	if (verdict == MIRROR_DISK_EXCHANGED)
		mirror_text(why, sizeof why, "this device was disk %s",
			    m->open.sb.disks.entry[exchanged].name);
	else if (verdict == MIRROR_DISK_CHANGED)
		mirror_text(why, sizeof why,
			    "%" PRIu32 " of %" PRIu32 " blocks that were brought home "
			    "are not there",
			    d->other, d->same + d->other);
	else
		mirror_text(why, sizeof why, "it was %s, it is %s",
			    shown(m->open.sb.evidence.identity[disk]),
			    shown(m->open.devices.disk_identity[disk]));
	mirror_text(text, size,
		    "disk %s (%.48s) is not what it was: %s; put it right, or take it "
		    "after a look: `hamirror accept %s %s`",
		    c->name, c->path, why, m->config->instance, c->name);
}

/* All is compared. True: they are the site's disks, and their new evidence is in the
 * superblock to be written; else `text` names the first that is not. */
bool mirror_disks_judge(struct mirror_engine *m, char *text, size_t size)
{
	struct mirror_evidence *e = &m->open.sb.evidence;
	uint32_t exchanged;

	for (uint32_t i = 0; i < m->open.disk_count && !m->open.sb.blank; i++) {
		const char *found = m->open.devices.disk_identity[i];
		const enum mirror_disk_verdict verdict = mirror_evidence_judge(
			e, i, found, m->open.disk[i].same, m->open.disk[i].other,
			&exchanged);

		if (verdict >= MIRROR_DISK_EXCHANGED) {
			say_refused(m, i, verdict, exchanged, text, size);
			return false;
		}
		if (verdict == MIRROR_DISK_MOVED)
			mirror_engine_event(m, m->open.sb.disks.entry[i].name,
					    "disk-moved",
					    "it was %s and is %s, with all that is "
					    "known to be home there",
					    shown(e->identity[i]), shown(found));
	}
	for (uint32_t i = 0; i < m->open.disk_count; i++)
		if (m->open.devices.disk_identity[i][0] != 0 || m->open.sb.blank)
			memcpy(e->identity[i], m->open.devices.disk_identity[i],
			       MIRROR_IDENTITY_BYTES);
	return true;
}

/* ---- going home ----------------------------------------------------------- */

/* A record is at home and flushed. The first sample of a disk is worth a superblock of
 * its own: else a log that is never full keeps none. */
void mirror_disks_homed(struct mirror_engine *m, const struct mirror_record *r)
{
	const struct mirror_header *h = &r->header;

	if (m->open.sb.blank || !mirror_header_changes(h))
		return;
	mirror_evidence_home(&m->open.sb.evidence, h, r->sample_crc);
	if (!m->open.disk[h->disk].sampled && r->sample_crc != 0) {
		m->open.disk[h->disk].sampled = true;
		mirror_superblock_want(m);
	}
}
