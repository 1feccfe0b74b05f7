/* scan_head.c - see scan_head.h. */
#include "agent/scan_head.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/events.h"
#include "agent/words.h"

static const char *refresh_text(enum mirror_refresh_kind kind)
{
	switch (kind) {
	case MIRROR_REFRESH_NONE:
		return "none";
	case MIRROR_REFRESH_HELD:
		return "held";
	case MIRROR_REFRESH_BLANK:
		return "without a hold";
	}
	return "unknown";
}

/* The bytes that the site of the map misses; -1: all. */
static int64_t missing_bytes(const struct mirror_superblock *sb,
			     const struct mirror_map *map, uint32_t site)
{
	return sb->sites[site].map_state == MIRROR_MAP_ALL_DIRTY ?
		       -1 :
		       (int64_t)(mirror_map_count(map, site) * MIRROR_EXTENT_BYTES);
}

/* ---- text ------------------------------------------------------------------------ */

static void uuid_line(FILE *out, const char *what, const char *name,
		      const struct uuid *uuid)
{
	char text[AGENT_UUID_TEXT_BYTES];

	agent_uuid_format(uuid, text);
	fprintf(out, "%-8s %s%s%s\n", what, name, name[0] != '\0' ? " " : "", text);
}

static void state_lines(const struct mirror_superblock *sb, FILE *out)
{
	fprintf(out,
		"marks    durable %" PRIu64 ", home %" PRIu64
		", next sequence at least %" PRIu64 "\n",
		sb->durable.sequence, sb->home.sequence, sb->next_sequence);
	if (sb->clean.set)
		fprintf(out, "clean    demoted with nothing left behind at %" PRIu64 "\n",
			sb->clean.sequence);
	if (sb->blank)
		fputs("blank    made without data, the first refresh has not ended\n",
		      out);
	if (sb->hold.active)
		fprintf(out,
			"hold     records above sequence %" PRIu64 " count only once the "
			"refresh (%s) has ended\n",
			sb->hold.sequence, refresh_text(sb->refresh.kind));
	if (!uuid_is_zero(&sb->refusal.generation)) {
		uuid_line(out, "refusal", "every generation but",
			  &sb->refusal.generation);
		fprintf(out, "         of ballot %" PRIu64 "\n", sb->refusal.ballot);
	}
	for (uint32_t i = 0; i < sb->restart_count; i++)
		fprintf(out,
			"cut      at %" PRIu64 " after sequence %" PRIu64
			", epoch %" PRIu64 "\n",
			sb->restart[i].position, sb->restart[i].sequence,
			sb->restart[i].epoch);
}

static void table_lines(const struct mirror_superblock *sb, const struct mirror_map *map,
			FILE *out)
{
	for (uint32_t i = 0; i < sb->disks.count; i++)
		fprintf(out,
			"disk     %s: %" PRIu64 " bytes, sectors of %" PRIu32
			"; %s, known by %" PRIu32 " blocks\n",
			sb->disks.entry[i].name, sb->disks.entry[i].size_bytes,
			sb->disks.entry[i].sector_bytes,
			sb->evidence.identity[i][0] != '\0' ? sb->evidence.identity[i] :
							      "a device without a name",
			mirror_evidence_count(&sb->evidence, i));
	for (uint32_t i = 0; i < sb->site_count; i++) {
		const int64_t missing = missing_bytes(sb, map, i);

		fprintf(out, "site     %s%s: ", sb->sites[i].name,
			i == sb->site ? " (this)" : "");
		if (missing < 0)
			fputs("everything is to be refreshed", out);
		else
			fprintf(out, "%" PRId64 " bytes in the tracking map", missing);
		fprintf(out, "%s\n", sb->sites[i].disconnected ? ", disconnected" : "");
	}
}

static void history_lines(const struct mirror_superblock *sb, FILE *out)
{
	const struct history *h = &sb->history;

	if (h->dropped_count > 0)
		fprintf(out, "history  %" PRIu32 " older generations are not listed\n",
			h->dropped_count);
	for (uint32_t i = 0; i < h->count; i++) {
		const struct generation *g = &h->entry[i];
		char id[AGENT_UUID_TEXT_BYTES];

		agent_uuid_format(&g->id, id);
		fprintf(out,
			"history  generation %" PRIu64
			" %s: %s at %s, after sequence %" PRIu64 "\n",
			g->ordinal, id, agent_reason_text(g->reason),
			g->site < sb->site_count ? sb->sites[g->site].name : "?", g->cut);
	}
}

void agent_scan_head_text(const struct agent_log_file *file, const struct mirror_map *map,
			  const char *path, bool in_use, FILE *out)
{
	const struct mirror_superblock *sb = &file->sb;

	fprintf(out, "writelog %s: %" PRIu64 " bytes%s\n", path, file->bytes,
		in_use ? ", in use: this is a moment that has passed" : "");
	uuid_line(out, "mirror", sb->mirror_name, &sb->mirror);
	uuid_line(out, "lineage", "", &sb->lineage);
	uuid_line(out, "site", sb->sites[sb->site].name, &sb->site_id);
	uuid_line(out, "log", "", &sb->log);
	fprintf(out,
		"block    slot %" PRIu32 ", write %" PRIu64 ", epoch %" PRIu64
		", ring of %" PRIu64 " bytes at %" PRIu64 "\n",
		file->slot, sb->write_counter, sb->log_epoch, sb->ring_bytes,
		sb->ring_start_bytes);
	if (file->note[0] != '\0')
		fprintf(out, "note     %s\n", file->note);
	state_lines(sb, out);
	table_lines(sb, map, out);
	history_lines(sb, out);
}

/* ---- JSON -------------------------------------------------------------------------- */

static json_t *uuid_json(const struct uuid *uuid)
{
	char text[AGENT_UUID_TEXT_BYTES];

	agent_uuid_format(uuid, text);
	return uuid_is_zero(uuid) ? json_null() : json_string(text);
}

static json_t *samples_json(const struct mirror_evidence *e, uint32_t disk)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < mirror_evidence_slots(e); i++) {
		const struct mirror_sample *s = mirror_evidence_sample(e, disk, i);

		if (s->sequence != 0)
			json_array_append_new(
				list, json_pack("{s:I, s:I, s:I, s:I}", "sequence",
						(json_int_t)s->sequence, "offset",
						(json_int_t)s->offset_bytes, "length",
						(json_int_t)s->length_bytes, "crc",
						(json_int_t)s->crc));
	}
	return list;
}

static json_t *disks_json(const struct mirror_superblock *sb)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < sb->disks.count; i++)
		json_array_append_new(
			list,
			json_pack("{s:s, s:I, s:i, s:s, s:o}", "name",
				  sb->disks.entry[i].name, "bytes",
				  (json_int_t)sb->disks.entry[i].size_bytes,
				  "sector_bytes", (int)sb->disks.entry[i].sector_bytes,
				  "identity", sb->evidence.identity[i], "samples",
				  samples_json(&sb->evidence, i)));
	return list;
}

static json_t *sites_json(const struct mirror_superblock *sb,
			  const struct mirror_map *map)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < sb->site_count; i++) {
		const int64_t missing = missing_bytes(sb, map, i);

		json_array_append_new(list, json_pack("{s:s, s:o, s:b}", "name",
						      sb->sites[i].name, "tracked_bytes",
						      missing < 0 ? json_string("all") :
								    json_integer(missing),
						      "disconnected",
						      sb->sites[i].disconnected));
	}
	return list;
}

static json_t *history_json(const struct mirror_superblock *sb)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < sb->history.count; i++) {
		const struct generation *g = &sb->history.entry[i];

		json_array_append_new(
			list,
			json_pack("{s:I, s:o, s:o, s:s, s:s, s:I}", "ordinal",
				  (json_int_t)g->ordinal, "id", uuid_json(&g->id),
				  "parent", uuid_json(&g->parent), "reason",
				  agent_reason_text(g->reason), "site",
				  g->site < sb->site_count ? sb->sites[g->site].name :
							     "?",
				  "cut", (json_int_t)g->cut));
	}
	return list;
}

static json_t *block_json(const struct agent_log_file *file)
{
	const struct mirror_superblock *sb = &file->sb;
	json_t *o = json_pack(
		"{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:s}", "slot",
		(int)file->slot, "note", file->note, "write_counter",
		(json_int_t)sb->write_counter, "epoch", (json_int_t)sb->log_epoch,
		"ring_start_bytes", (json_int_t)sb->ring_start_bytes, "ring_bytes",
		(json_int_t)sb->ring_bytes, "durable", (json_int_t)sb->durable.sequence,
		"home", (json_int_t)sb->home.sequence, "next_sequence",
		(json_int_t)sb->next_sequence, "blank", sb->blank, "hold",
		sb->hold.active, "refresh", refresh_text(sb->refresh.kind));

	json_object_set_new(o, "clean_sequence",
			    sb->clean.set ? json_integer((json_int_t)sb->clean.sequence) :
					    json_null());
	json_object_set_new(o, "hold_sequence",
			    sb->hold.active ?
				    json_integer((json_int_t)sb->hold.sequence) :
				    json_null());
	json_object_set_new(o, "refusal", uuid_json(&sb->refusal.generation));
	return o;
}

void agent_scan_head_json(const struct agent_log_file *file, const struct mirror_map *map,
			  const char *path, bool in_use, FILE *out)
{
	const struct mirror_superblock *sb = &file->sb;
	json_t *o = json_pack("{s:s, s:I, s:b, s:s, s:o, s:o, s:s, s:o, s:o}", "path",
			      path, "bytes", (json_int_t)file->bytes, "in_use", in_use,
			      "mirror", sb->mirror_name, "id", uuid_json(&sb->mirror),
			      "lineage", uuid_json(&sb->lineage), "site",
			      sb->sites[sb->site].name, "site_id",
			      uuid_json(&sb->site_id), "log", uuid_json(&sb->log));
	char *text;

	json_object_set_new(o, "superblock", block_json(file));
	json_object_set_new(o, "disks", disks_json(sb));
	json_object_set_new(o, "sites", sites_json(sb, map));
	json_object_set_new(o, "history", history_json(sb));
	text = json_dumps(o, JSON_INDENT(1));
	if (text != NULL)
		fprintf(out, "%.*s", (int)(strlen(text) - strlen("\n}")), text);
	free(text);
	json_decref(o);
}
