/* config_agreed.c - the settings that all nodes must have alike, as text and as a hash. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/config_read.h"
#include "common/promise.h"

#define LINE_BYTES (2 * CONFIG_PATH_MAX) /* of the longest, with two names */

struct agreed {
	struct config *config;
	size_t used; /* of its text */
};

/* FNV-1a of the whole line, though the text may have no room for it. */
__attribute__((format(printf, 2, 3))) static void add(struct agreed *a,
						      const char *format, ...)
{
	const size_t room = CONFIG_AGREED_BYTES - a->used;
	char line[LINE_BYTES];
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	length = strlen(line);
	for (size_t i = 0; i < length; i++)
		a->config->hash = (a->config->hash ^ (uint8_t)line[i]) * 0x100000001b3ull;
	snprintf(a->config->agreed + a->used, room, "%s", line);
	a->used += length < room ? length : room - 1;
}

static void add_node(struct agreed *a, const struct config_node *n)
{
	if (n->site >= 0)
		add(a, "hosts of %s: %s\n", a->config->site[n->site].name, n->name);
	else
		add(a, "witnesses: %s\n", n->name);
	if (strchr(n->address, ':') == NULL)
		add(a, "addresses: %s: %s:%u\n", n->name, n->address, n->port);
	else
		add(a, "addresses: %s: [%s]:%u\n", n->name, n->address, n->port);
}

static void add_backup_order(struct agreed *a)
{
	const struct config *c = a->config;
	uint32_t place = 0;

	for (bool more = true; more; place += more) {
		more = false;
		for (uint32_t i = 0; i < c->node_count && !more; i++)
			if (c->node[i].backup_place == place + 1) {
				add(a, "backup-order: %s\n", c->node[i].name);
				more = true;
			}
	}
	if (place == 0)
		add(a, "backup-order: as listed\n");
}

static void add_site(struct agreed *a, const struct config_site *site)
{
	add(a, "writelog of %s: %s\n", site->name, site->writelog);
	for (uint32_t i = 0; i < site->disk_count; i++)
		add(a, "disks of %s: %s: %s\n", site->name, site->disk[i].name,
		    site->disk[i].path);
}

void config_agree(struct config *config)
{
	const struct promise promise = promise_of_config(config);
	struct agreed a = { .config = config };
	char text[PROMISE_TEXT_BYTES];

	memset(config->agreed, 0, sizeof config->agreed);
	config->hash = 0xcbf29ce484222325ull;
	add(&a, "mirror: %s\n", config->mirror);
	add(&a, "cluster: %s\n", config->cluster ? "corosync" : "none");
	promise_text(&promise, text);
	add(&a, "mode: %s\n", text);
	if (config->cluster)
		add(&a, "on-copy-loss: %s\n",
		    config_copy_loss_words[config->on_copy_loss]);
	if (config->cluster && config->lag_bytes == 0)
		add(&a, "failover: none\n");
	else if (config->cluster)
		add(&a, "failover: lag-bytes %llu, lag-ms %u\n",
		    (unsigned long long)config->lag_bytes, config->lag_ms);
	if (config->lease_ms == 0)
		add(&a, "lease: default\n");
	else
		add(&a, "lease: %u\n", config->lease_ms);
	for (uint32_t i = 0; i < config->node_count; i++)
		add_node(&a, &config->node[i]);
	add_backup_order(&a);
	for (uint32_t s = 0; s < config->site_count; s++)
		add_site(&a, &config->site[s]);
}
