/* names.c - see names.h. */
#include "cluster/names.h"

#include <string.h>
#include <strings.h>

static bool same_host(const char *a, const char *b)
{
	const size_t length = strcspn(a, ".");

	return strcspn(b, ".") == length && strncasecmp(a, b, length) == 0;
}

static uint32_t hosts_called(const struct cluster_names *names, const char *name)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < names->count; i++)
		count += same_host(names->entry[i].name, name);
	return count;
}

int32_t cluster_names_find(const struct cluster_names *names, const struct config *config,
			   const char *name)
{
	int32_t found = -1;

	for (uint32_t n = 0; n < config->node_count; n++)
		if (strcasecmp(config->node[n].name, name) == 0)
			return (int32_t)n;
	if (hosts_called(names, name) != 1)
		return -1;
	for (uint32_t n = 0; n < config->node_count; n++) {
		if (!same_host(config->node[n].name, name))
			continue;
		if (found >= 0)
			return -1;
		found = (int32_t)n;
	}
	return found;
}

const char *cluster_names_of(const struct cluster_names *names, uint32_t nodeid)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (names->entry[i].nodeid == nodeid)
			return names->entry[i].name;
	return NULL;
}
