/* status_link.c - status: where a site is, and the link to it from here. */
#include "agent/status.h"
#include "agent/words.h"
#include "mirror/status.h"

void agent_status_link(const struct status_input *in, uint32_t s, json_t *o)
{
	static const char *const key[] = { "rtt_us", "sent_bytes_per_s",
					   "received_bytes_per_s" };
	const char *location = in->config->site[s].location;
	const struct mirror_status_site *m = in->mirror != NULL &&
							     s < in->mirror->site_count ?
						     &in->mirror->sites[s] :
						     NULL;

	json_object_set_new(o, "location",
			    location[0] != '\0' ? agent_text_json(location) :
						  json_null());
	for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
		json_object_set_new(o, key[i], json_null());
	if (m == NULL || m->rtt_us == 0)
		return;
	json_object_set_new(o, key[0], json_integer(m->rtt_us));
	json_object_set_new(o, key[1], json_integer((json_int_t)m->sent_per_s));
	json_object_set_new(o, key[2], json_integer((json_int_t)m->received_per_s));
}
