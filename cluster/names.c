/* names.c - see names.h. */
#include "cluster/names.h"

#include <stddef.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* In any case; up to the first dot when only the host counts. */
static bool same(const char *a, const char *b, bool host)
{
	while (*a != '\0' && lower(*a) == lower(*b) && !(host && *a == '.')) {
		a++;
		b++;
	}
	return (*a == '\0' || (host && *a == '.')) && (*b == '\0' || (host && *b == '.'));
}

static uint32_t hosts_called(const struct cluster_names *names, const char *name)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < names->count; i++)
		count += same(names->entry[i].name, name, true);
	return count;
}

int32_t cluster_names_find(const struct cluster_names *names, const struct config *config,
			   const char *name)
{
	int32_t found = -1;

	for (uint32_t n = 0; n < config->node_count; n++)
		if (same(config->node[n].name, name, false))
			return (int32_t)n;
	if (hosts_called(names, name) != 1)
		return -1;
	for (uint32_t n = 0; n < config->node_count; n++) {
		if (!same(config->node[n].name, name, true))
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
