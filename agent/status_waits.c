/* status_waits.c - `why`: the awaited thing, and the time that is left. */
#include <stdio.h>

#include "agent/status.h"
#include "agent/words.h"
#include "mirror/status.h"

static void add(json_t *list, const char *text)
{
	json_array_append_new(list, agent_text_json(text));
}

/* Without a cluster the operator alone puts a copy out. */
static void lost_and_waited_for(const struct status_input *in, const char *name,
				uint32_t count, json_t *list)
{
	char text[512];

	snprintf(text, sizeof text,
		 "Site %s was lost %u times in a short time, and writes wait for it each "
		 "time: `hamirror disconnect %s %s` goes on without it.",
		 name, count, in->config->instance, name);
	add(list, text);
}

static void back_off(const struct status_input *in, json_t *list)
{
	const struct mirror_status *m = in->mirror;
	char text[512];

	for (uint32_t s = 0; s < m->site_count && m->serving; s++) {
		const struct mirror_status_site *site = &m->sites[s];
		const char *name = in->config->site[s].name;

		if (site->back_off_ms != 0 && site->waited)
			lost_and_waited_for(in, name, site->lost_count, list);
		if (site->back_off_ms == 0 || site->waited)
			continue;
		snprintf(
			text, sizeof text,
			"Site %s was lost %u times in a short time: writes wait for it again "
			"in %llu s at the earliest; `hamirror refresh %s %s` has them wait "
			"for it at once.",
			name, site->lost_count,
			(unsigned long long)(site->back_off_ms + 999) / 1000,
			in->config->instance, name);
		add(list, text);
	}
}

/* M7: clients outran it; or they wait for it, as was said. */
static void outrun(const struct status_input *in, json_t *list)
{
	const struct mirror_status *m = in->mirror;
	char text[512];

	for (uint32_t s = 0; s < m->site_count && m->serving; s++) {
		const struct mirror_status_site *site = &m->sites[s];
		const char *name = in->config->site[s].name;

		if (site->paced)
			snprintf(text, sizeof text,
				 "Writes wait for the refresh of site %s, by command.",
				 name);
		else if (site->bypass && site->retry_ms > 0)
			snprintf(
				text, sizeof text,
				"Site %s is in bypass, since clients write more than it takes "
				"in: %u times in a row. Its refresh begins in %llu s, or at "
				"once by `hamirror refresh %s %s`; with --pace clients wait "
				"for it.",
				name, site->outrun_count,
				(unsigned long long)(site->retry_ms + 999) / 1000,
				in->config->instance, name);
		else if (site->bypass)
			snprintf(text, sizeof text,
				 "Site %s is in bypass until its refresh ends: `hamirror "
				 "refresh %s %s --pace` has clients wait for it.",
				 name, in->config->instance, name);
		else
			continue;
		add(list, text);
	}
}

static void scan(const struct mirror_status *m, json_t *list)
{
	const uint64_t left = m->scan_total_bytes - m->scan_done_bytes;
	char text[256];

	if (m->scan_total_bytes == 0)
		return;
	snprintf(
		text, sizeof text,
		"The writelog of this site is being read: %llu of %llu MiB in %llu s, about "
		"%.0f s are left.",
		(unsigned long long)m->scan_done_bytes >> 20,
		(unsigned long long)m->scan_total_bytes >> 20,
		(unsigned long long)m->scan_ms / 1000,
		(double)m->scan_ms * (double)left / (double)m->scan_done_bytes / 1000 +
			1);
	add(list, text);
}

void agent_status_waits(const struct status_input *in, json_t *list)
{
	if (in->mirror == NULL)
		return;
	back_off(in, list);
	outrun(in, list);
	scan(in->mirror, list);
	agent_status_throttle_why(in->mirror, list);
}
