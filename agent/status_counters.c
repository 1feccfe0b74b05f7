/* status_counters.c - status: the engine's counters, and what slows it on purpose. */
#include <inttypes.h>
#include <stdio.h>

#include "agent/status.h"
#include "agent/words.h"
#include "mirror/status.h"

static void put_count(json_t *o, const char *key, uint64_t count)
{
	json_object_set_new(o, key, json_integer((json_int_t)count));
}

json_t *agent_status_counters(const struct mirror_status *m)
{
	json_t *o = json_object();

	put_count(o, "writes", m->writes);
	put_count(o, "reads", m->reads);
	put_count(o, "flushes", m->flushes);
	put_count(o, "write_bytes", m->write_bytes);
	put_count(o, "read_bytes", m->read_bytes);
	put_count(o, "groups", m->groups);
	put_count(o, "log_writes", m->log_writes);
	put_count(o, "log_flushes", m->log_flushes);
	put_count(o, "disk_flushes", m->disk_flushes);
	put_count(o, "records_sent", m->records_sent);
	put_count(o, "records_received", m->records_received);
	put_count(o, "records_homed", m->records_homed);
	put_count(o, "records_overwritten", m->records_overwritten);
	put_count(o, "home_writes", m->home_writes);
	put_count(o, "sent_bytes", m->sent_bytes);
	return o;
}

static bool is_slowed(const struct mirror_status *m)
{
	return m != NULL && m->throttle_left_ms != 0;
}

json_t *agent_status_throttle(const struct mirror_status *m)
{
	json_t *o;

	if (!is_slowed(m))
		return json_null();
	o = json_object();
	put_count(o, "sleep_us", m->throttle_sleep_us);
	put_count(o, "delay_us", m->throttle_delay_us);
	put_count(o, "bytes_per_s", m->throttle_bytes_per_s);
	put_count(o, "left_ms", m->throttle_left_ms);
	return o;
}

void agent_status_throttle_why(const struct mirror_status *m, json_t *list)
{
	char text[256];

	if (!is_slowed(m))
		return;
	if (m->throttle_sleep_us != 0) {
		snprintf(text, sizeof text,
			 "By a throttle %" PRIu32
			 " us lie between two records that are sent "
			 "to a copy.",
			 m->throttle_sleep_us);
		json_array_append_new(list, agent_text_json(text));
	}
	if (m->throttle_bytes_per_s != 0) {
		snprintf(text, sizeof text,
			 "By bandwidth at most %" PRIu64 " KiB a second are sent to the "
			 "copies.",
			 m->throttle_bytes_per_s / 1024);
		json_array_append_new(list, agent_text_json(text));
	}
	if (m->throttle_delay_us != 0) {
		snprintf(text, sizeof text,
			 "By a throttle each write takes %" PRIu32 " us longer.",
			 m->throttle_delay_us);
		json_array_append_new(list, agent_text_json(text));
	}
}
