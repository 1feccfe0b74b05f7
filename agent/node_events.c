/* node_events.c - see node_events.h. */
#include "agent/node_events.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/config.h"
#include "common/clock_driver.h"

void agent_site_event(struct agent_events *events, const struct config *config,
		      const char *kind, const char *key, const char *word,
		      const struct fact *fact)
{
	char object[CONFIG_NAME_MAX + 8], text[FACT_TEXT_MAX + 40];

	assert(fact->site < config->site_count);
	snprintf(object, sizeof object, "%s %s", kind, config->site[fact->site].name);
	snprintf(text, sizeof text, "%s:%s%s%s", key, word,
		 fact->text[0] != '\0' ? " " : "", fact->text);
	agent_events_add_now(events, "change", object, text, fact->rule);
}

void agent_engine_event(struct agent_events *events, const struct config *config,
			const struct fact *fact)
{
	char object[CONFIG_NAME_MAX + 8];

	snprintf(object, sizeof object, "%s%s",
		 config_site_find(config, fact->object) >= 0 ? "site " : "",
		 fact->object);
	agent_events_add_now(events, "change", object, fact->text, fact->rule);
}

void agent_heard_event(struct agent_events *events, const struct config *config,
		       const struct fact *fact)
{
	char object[CONFIG_NAME_MAX + 8], text[FACT_TEXT_MAX + CONFIG_NAME_MAX];
	struct agent_event event = {
		.wall_ns = common_clock_ns(CLOCK_REALTIME),
		.verb = "change",
		.object = object,
		.text = text,
		.rule = fact->rule,
		.others_know = true,
	};

	for (uint32_t i = 0; i < config->node_count; i++) {
		if (config->node[i].site != (int32_t)fact->site)
			continue;
		snprintf(object, sizeof object, "member %s", config->node[i].name);
		snprintf(text, sizeof text, "%s %s", fact->object, fact->text);
		agent_events_add(events, &event);
	}
}

bool agent_is_of_other_site(const struct config *config, uint32_t self,
			    const char *object)
{
	const char *name = strchr(object, ' ');
	int32_t site;

	if (name == NULL ||
	    (strncmp(object, "site ", 5) != 0 && strncmp(object, "link ", 5) != 0))
		return false;
	site = config_site_find(config, name + 1);
	return site >= 0 && site != config->node[self].site;
}

void agent_core_event(struct agent_events *events, const struct cluster_action *a)
{
	const struct agent_event event = {
		.wall_ns = common_clock_ns(CLOCK_REALTIME),
		.verb = a->verb,
		.object = a->object,
		.text = a->text,
		.rule = a->rule,
		.others_know = true,
	};

	agent_events_add(events, &event);
}
