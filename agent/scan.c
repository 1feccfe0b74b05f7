/* scan.c - see scan.h: reads the log with the core's own scan and shows the records that it
 * finds. scan_head.c shows the superblocks and maps, which stand before the ring. */
#include "agent/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/events.h"
#include "agent/scan_head.h"
#include "agent/scout.h"
#include "mirror/log/map.h"
#include "mirror/log/scan.h"

#define BUFFER_BYTES MIRROR_SCAN_BUFFER_BYTES_MIN

struct explanation {
	const struct scan_options *options;
	FILE *out;
	struct agent_log_file file;
	struct mirror_map *map;
	uint8_t *buffer;
	bool first_record;
	struct mirror_scan scan;
};

/* ---- maps ---------------------------------------------------------------------- */

/* Blocks that cannot be read count as dirty, as they do for the daemon. */
static int read_maps(struct explanation *x)
{
	uint8_t block[MIRROR_MAP_BLOCK_BYTES];

	x->map = mirror_map_create(&x->file.sb);
	if (x->map == NULL)
		return -ENOMEM;
	for (uint32_t site = 0; site < x->file.sb.site_count; site++)
		for (uint64_t i = 0; i < mirror_map_block_count(x->map); i++) {
			const uint64_t at = mirror_map_block_offset(x->map, site, i);
			const int error = agent_log_file_read(&x->file, at, block,
							      sizeof block);

			mirror_map_load(x->map, site, i, error == 0 ? block : NULL);
		}
	return 0;
}

/* ---- records ---------------------------------------------------------------------- */

static const char *type_text(const struct mirror_header *h)
{
	switch (h->type) {
	case MIRROR_RECORD_WRITE:
		return "write";
	case MIRROR_RECORD_ZERO:
		return (h->flags & MIRROR_RECORD_MAY_DEALLOCATE) != 0 ? "trim" : "zero";
	case MIRROR_RECORD_FLUSH:
		return "flush";
	case MIRROR_RECORD_REFRESHED:
		return "refreshed";
	}
	return "unknown";
}

static const char *disk_name(const struct explanation *x, const struct mirror_header *h)
{
	return h->type == MIRROR_RECORD_FLUSH || h->disk >= x->file.sb.disks.count ?
		       "-" :
		       x->file.sb.disks.entry[h->disk].name;
}

static void record_json(struct explanation *x, const struct mirror_header *h,
			const char *time)
{
	json_t *o = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:I, s:b, s:b}", "time", time,
		"sequence", (json_int_t)h->sequence, "disk_sequence",
		(json_int_t)h->disk_sequence, "generation", (json_int_t)h->generation,
		"group", (json_int_t)h->group, "type", type_text(h), "disk",
		disk_name(x, h), "offset", (json_int_t)h->offset_bytes, "length",
		(json_int_t)h->length_bytes, "fua", (h->flags & MIRROR_RECORD_FUA) != 0,
		"refresh", (h->flags & MIRROR_RECORD_REFRESH) != 0);

	fputs(x->first_record ? "\n" : ",\n", x->out);
	json_dumpf(o, x->out, JSON_COMPACT);
	json_decref(o);
}

static void record(struct explanation *x, const struct mirror_header *h)
{
	char time[32];

	agent_event_time_format(h->time_ns, time);
	if (x->options->json)
		record_json(x, h, time);
	else
		fprintf(x->out,
			"%s %10" PRIu64 " %10" PRIu64 " %6" PRIu64 " %8" PRIu64
			" %-5s %-12s %14" PRIu64 " %10" PRIu64 "%s%s\n",
			time, h->sequence, h->disk_sequence, h->generation, h->group,
			type_text(h), disk_name(x, h), h->offset_bytes, h->length_bytes,
			(h->flags & MIRROR_RECORD_FUA) != 0 ? " fua" : "",
			(h->flags & MIRROR_RECORD_REFRESH) != 0 ? " refresh" : "");
	x->first_record = false;
}

static void records_begin(struct explanation *x)
{
	x->first_record = true;
	if (x->options->json)
		fputs(",\n\"records\": [", x->out);
	else
		fprintf(x->out, "%-24s %10s %10s %6s %8s %-5s %-12s %14s %10s\n", "time",
			"sequence", "of disk", "gen", "group", "type", "disk", "offset",
			"length");
}

/* ---- the ring ------------------------------------------------------------------------ */

static enum mirror_scan_step run(struct explanation *x)
{
	struct mirror_scan *scan = &x->scan;

	mirror_scan_start(scan, &x->file.sb, x->buffer, BUFFER_BYTES, 0);
	for (;;) {
		const enum mirror_scan_step step = mirror_scan_step(scan);

		switch (step) {
		case MIRROR_SCAN_READ:
			if (agent_log_file_read(&x->file, scan->device_offset_bytes,
						scan->into, scan->length_bytes) != 0)
				mirror_scan_read_failed(scan);
			break;
		case MIRROR_SCAN_FOUND:
			for (uint32_t i = 0;
			     x->options->records && i < scan->descriptor.count; i++)
				record(x, &scan->headers[i]);
			break;
		case MIRROR_SCAN_END:
		case MIRROR_SCAN_DAMAGED:
			return step;
		}
	}
}

static void ring_text(struct explanation *x, bool damaged)
{
	const struct mirror_scan_result *r = &x->scan.result;
	char time[32];

	fprintf(x->out,
		"ring     %" PRIu64 " descriptors, %" PRIu64
		" records, sequences %" PRIu64 " to %" PRIu64 "%s\n",
		r->descriptor_count, r->record_count, r->tail_sequence, r->last_sequence,
		r->surveyed ? ", found without a hint" : "");
	fprintf(x->out,
		"         tail at %" PRIu64 ", head at %" PRIu64 ", durable %" PRIu64
		", home %" PRIu64 "\n",
		r->tail_position, r->head_position, r->durable, r->home);
	if (r->last_time_ns != 0) {
		agent_event_time_format(r->last_time_ns, time);
		fprintf(x->out, "         last record of %s, generation %" PRIu64 "\n",
			time, r->last_generation);
	}
	if (damaged)
		fprintf(x->out,
			"DAMAGED  at %" PRIu64 ", where sequence %" PRIu64
			" should be: %s\n",
			r->damage_position, r->damage_sequence, r->text);
	else
		fprintf(x->out, "end      %s\n", r->text);
}

static void ring_json(struct explanation *x, bool damaged)
{
	const struct mirror_scan_result *r = &x->scan.result;
	char time[32];
	json_t *o;

	agent_event_time_format(r->last_time_ns, time);
	o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:s}",
		      "descriptors", (json_int_t)r->descriptor_count, "records",
		      (json_int_t)r->record_count, "tail_position",
		      (json_int_t)r->tail_position, "tail_sequence",
		      (json_int_t)r->tail_sequence, "head_position",
		      (json_int_t)r->head_position, "last_sequence",
		      (json_int_t)r->last_sequence, "last_generation",
		      (json_int_t)r->last_generation, "durable", (json_int_t)r->durable,
		      "home", (json_int_t)r->home, "held", r->held, "surveyed",
		      r->surveyed, "damaged", damaged, "text", r->text);
	json_object_set_new(o, "last_time",
			    r->last_time_ns == 0 ? json_null() : json_string(time));
	if (damaged) {
		json_object_set_new(o, "damage_position",
				    json_integer((json_int_t)r->damage_position));
		json_object_set_new(o, "damage_sequence",
				    json_integer((json_int_t)r->damage_sequence));
	}
	fputs(",\n\"ring\": ", x->out);
	json_dumpf(o, x->out, JSON_COMPACT);
	json_decref(o);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* A daemon has a file locked, and a block device open for itself alone. */
static bool in_use(const struct explanation *x)
{
	struct stat st;
	int fd;

	if (fstat(x->file.fd, &st) != 0)
		return false;
	if (!S_ISBLK(st.st_mode)) {
		if (flock(x->file.fd, LOCK_SH | LOCK_NB) != 0)
			return true;
		flock(x->file.fd, LOCK_UN);
		return false;
	}
	fd = open(x->options->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return errno == EBUSY;
	close(fd);
	return false;
}

static void explain(struct explanation *x)
{
	const bool json = x->options->json;
	bool damaged;

	if (json)
		agent_scan_head_json(&x->file, x->map, x->options->path, in_use(x),
				     x->out);
	else
		agent_scan_head_text(&x->file, x->map, x->options->path, in_use(x),
				     x->out);
	if (x->options->records)
		records_begin(x);
	damaged = run(x) == MIRROR_SCAN_DAMAGED;
	if (x->options->records && json)
		fputs("]", x->out);
	if (json)
		ring_json(x, damaged);
	else
		ring_text(x, damaged);
	if (json)
		fputs("}\n", x->out);
}

int agent_scan(const struct scan_options *o, FILE *out, char *text, size_t text_size)
{
	struct explanation *x = calloc(1, sizeof *x);
	int error;

	if (x == NULL) {
		snprintf(text, text_size, "no memory");
		return -ENOMEM;
	}
	x->options = o;
	x->out = out;
	error = agent_scout("writelog", o->path, text, text_size);
	if (error == 0)
		error = agent_log_file_open(o->path, &x->file, text, text_size);
	if (error == -ENODATA || error == -EBADMSG || error == -EPROTO)
		error = -EILSEQ;
	if (error == 0)
		error = read_maps(x);
	if (error == 0) {
		x->buffer = aligned_alloc(MIRROR_BLOCK_BYTES, BUFFER_BYTES);
		error = x->buffer == NULL ? -ENOMEM : 0;
	}
	if (error == 0)
		explain(x);
	else if (error == -ENOMEM)
		snprintf(text, text_size, "no memory to explain %s", o->path);
	mirror_map_destroy(x->map);
	free(x->buffer);
	agent_log_file_close(&x->file);
	free(x);
	return error;
}
