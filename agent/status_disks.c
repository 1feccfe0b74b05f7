/* status_disks.c - status: each disk, with its device and its figures. */
#include "agent/status.h"
#include "agent/words.h"
#include "mirror/status.h"

static json_t *text_or_null(const char *text)
{
	return text == NULL || text[0] == '\0' ? json_null() : agent_text_json(text);
}

static void put_count(json_t *o, const char *key, const uint64_t *value)
{
	json_object_set_new(
		o, key, value == NULL ? json_null() : json_integer((json_int_t)*value));
}

static void put_figures(json_t *o, const struct mirror_status_disk *f)
{
	put_count(o, "sent_bytes", f == NULL ? NULL : &f->sent_bytes);
	put_count(o, "sent_data_bytes", f == NULL ? NULL : &f->sent_data_bytes);
	put_count(o, "sent_records", f == NULL ? NULL : &f->sent_records);
	put_count(o, "waiting_records", f == NULL ? NULL : &f->waiting_records);
}

json_t *agent_status_disks(const struct status_input *in)
{
	const struct config_site *first = &in->config->site[0];
	const struct mirror_status *m = in->mirror;
	json_t *list = json_array();

	for (uint32_t d = 0; d < first->disk_count; d++) {
		const struct status_device *v = in->devices == NULL ? NULL :
								      &in->devices[d];
		const bool is_open = m != NULL && m->open && d < m->disk_count;
		const bool has_device = v != NULL && v->path[0] != '\0';
		json_t *o = json_object();

		json_object_set_new(o, "name", agent_text_json(first->disk[d].name));
		put_count(o, "bytes", is_open ? &m->disk_bytes[d] : NULL);
		json_object_set_new(o, "device",
				    text_or_null(has_device ? v->path : NULL));
		json_object_set_new(o, "front_end",
				    text_or_null(has_device ? v->front_end : NULL));
		json_object_set_new(o, "socket",
				    text_or_null(v != NULL && in->cluster->serving_here ?
							 v->socket :
							 NULL));
		put_figures(o, is_open ? &m->disk[d] : NULL);
		json_array_append_new(list, o);
	}
	return list;
}
