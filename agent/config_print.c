/* config_print.c - the configuration in effect, as YAML and as JSON. */
#include "agent/config.h"
#include "agent/config_throttles.h"

#include <ctype.h>
#include <string.h>

/* In double quotes: paths and addresses may hold characters that YAML would take apart. */
void config_print_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\' || *c == '\n' || *c == '\t')
			fputc('\\', out);
		fputc(*c == '\n' ? 'n' : *c == '\t' ? 't' : *c, out);
	}
	fputc('"', out);
}

void config_print_text(const char *text, FILE *out)
{
	bool plain = isalnum((unsigned char)text[0]) || text[0] == '/';

	for (const char *c = text; *c != '\0'; c++)
		plain = plain &&
			(isalnum((unsigned char)*c) || strchr("._-/", *c) != NULL);
	if (plain)
		fputs(text, out);
	else
		config_print_quoted(text, out);
}

/* [a, b] of the nodes of a site, or of the witnesses (-1). */
static void print_nodes(const struct config *c, int32_t site, FILE *out)
{
	const char *separator = "";

	fputc('[', out);
	for (uint32_t i = 0; i < c->node_count; i++) {
		if (c->node[i].site != site)
			continue;
		fputs(separator, out);
		config_print_quoted(c->node[i].name, out);
		separator = ", ";
	}
	fputs("]\n", out);
}

static void print_sites(const struct config *c, FILE *out)
{
	fputs("sites:\n", out);
	for (uint32_t s = 0; s < c->site_count; s++) {
		const struct config_site *site = &c->site[s];

		fprintf(out, "  - name: \"%s\"\n", site->name);
		if (site->location[0] != '\0') {
			fputs("    location: ", out);
			config_print_quoted(site->location, out);
			fputc('\n', out);
		}
		fputs("    hosts: ", out);
		print_nodes(c, (int32_t)s, out);
		fputs("    writelog: ", out);
		config_print_quoted(site->writelog, out);
		fputs("\n    disks:\n", out);
		for (uint32_t i = 0; i < site->disk_count; i++) {
			fprintf(out, "      - {name: \"%s\", path: ", site->disk[i].name);
			config_print_quoted(site->disk[i].path, out);
			fputs("}\n", out);
		}
	}
	if (c->node_count > 0 && c->node[c->node_count - 1].site < 0) {
		fputs("witnesses: ", out);
		print_nodes(c, -1, out);
	}
}

/* The host at `place` of the backup order, from 1; or NULL. */
static const char *host_at(const struct config *c, uint32_t place)
{
	for (uint32_t i = 0; i < c->node_count; i++)
		if (c->node[i].backup_place == place)
			return c->node[i].name;
	return NULL;
}

static void print_backup_order(const struct config *c, FILE *out)
{
	const char *name;

	if (!c->backup_ordered)
		return;
	fputs("backup-order: [", out);
	for (uint32_t place = 1; (name = host_at(c, place)) != NULL; place++) {
		fputs(place > 1 ? ", " : "", out);
		config_print_quoted(name, out);
	}
	fputs("]\n", out);
}

static void print_addresses(const struct config *c, FILE *out)
{
	fputs("addresses:\n", out);
	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct config_node *node = &c->node[i];
		const bool ipv6 = strchr(node->address, ':') != NULL;

		fprintf(out, "  \"%s\": \"%s%s%s:%u\"\n", node->name, ipv6 ? "[" : "",
			node->address, ipv6 ? "]" : "", (unsigned)node->port);
	}
}

static void print_near_sync(const struct config *c, FILE *out)
{
	if (c->mode != CONFIG_NEAR_SYNC)
		return;
	fputs("near-sync: {", out);
	if (c->near_sync_records != 0)
		fprintf(out, "records: %u%s", c->near_sync_records,
			c->near_sync_ms != 0 ? ", " : "");
	if (c->near_sync_ms != 0)
		fprintf(out, "ms: %u", c->near_sync_ms);
	fputs("}\n", out);
}

static void print_failover(const struct config *c, FILE *out)
{
	if (c->lag_bytes == 0)
		return;
	fprintf(out, "failover: {lag-bytes: %lluM",
		(unsigned long long)c->lag_bytes >> 20);
	if (c->lag_ms != 0)
		fprintf(out, ", lag-ms: %u", c->lag_ms);
	fputs("}\n", out);
}

void config_print_settings(const struct config *c, FILE *out)
{
	fprintf(out, "mirror: \"%s\"\nmode: %s\n", c->mirror, config_mode_words[c->mode]);
	print_near_sync(c, out);
	if (c->confirm != CONFIG_CONFIRM_LOGGED)
		fprintf(out, "confirm: %s\n", config_confirm_words[c->confirm]);
	print_failover(c, out);
	fprintf(out, "cluster: %s\nport: %u\n", c->cluster ? "corosync" : "none",
		(unsigned)c->port);
	print_sites(c, out);
	print_backup_order(c, out);
	print_addresses(c, out);
	fprintf(out,
		"order: %s\nattach: %s\nunprotected: %s\non-no-quorum: %s\n"
		"on-copy-loss: %s\n",
		config_order_words[c->order], config_attach_words[c->attach],
		config_unprotected_words[c->unprotected],
		config_no_quorum_words[c->on_no_quorum],
		config_copy_loss_words[c->on_copy_loss]);
	fprintf(out,
		"copy-timeout: %u\nfrozen-timeout: %u\ndemote-drain: %u\n"
		"device-timeout: %u\nbypass-at: %u\nrefresh-retry: %u\n",
		c->copy_timeout_ms, c->frozen_timeout_ms, c->demote_drain_ms,
		c->device_timeout_ms, c->bypass_at_percent, c->refresh_retry_ms);
	if (c->lease_ms != 0)
		fprintf(out, "lease: %u\n", c->lease_ms);
	fprintf(out, "tasks: {ranges: %u, per-range: %u}\n", c->task_range_count,
		c->task_per_range_count);
	fprintf(out, "memory: %lluM\n",
		(unsigned long long)c->memory_bytes / (1024 * 1024));
	if (c->spin_us == CONFIG_SPIN_AUTO || c->spin_us == 0)
		fprintf(out, "spin: %s\n", c->spin_us == 0 ? "off" : "auto");
	else
		fprintf(out, "spin: %u\n", c->spin_us);
}

void config_print_yaml(const struct config *c, FILE *out)
{
	config_print_settings(c, out);
	config_throttles_print(c->throttles, out);
}

/* ---- JSON ------------------------------------------------------------------ */

static json_t *site_json(const struct config *c, uint32_t s)
{
	const struct config_site *site = &c->site[s];
	json_t *hosts = json_array(), *disks = json_array();

	for (uint32_t i = 0; i < c->node_count; i++)
		if (c->node[i].site == (int32_t)s)
			json_array_append_new(hosts, json_string(c->node[i].name));
	for (uint32_t i = 0; i < site->disk_count; i++)
		json_array_append_new(disks,
				      json_pack("{s:s, s:s}", "name", site->disk[i].name,
						"path", site->disk[i].path));
	return json_pack("{s:s, s:s?, s:o, s:s, s:o}", "name", site->name, "location",
			 site->location[0] != '\0' ? site->location : NULL, "hosts",
			 hosts, "writelog", site->writelog, "disks", disks);
}

static json_t *backup_order_json(const struct config *c)
{
	json_t *order = json_array();
	const char *name;

	for (uint32_t place = 1; (name = host_at(c, place)) != NULL; place++)
		json_array_append_new(order, json_string(name));
	return order;
}

static json_t *nodes_json(const struct config *c)
{
	json_t *nodes = json_array();

	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct config_node *node = &c->node[i];

		json_array_append_new(
			nodes,
			json_pack("{s:s, s:s, s:i, s:s?}", "name", node->name, "address",
				  node->address, "port", node->port, "site",
				  node->site >= 0 ? c->site[node->site].name : NULL));
	}
	return nodes;
}

static json_t *bound_json(uint32_t number)
{
	return number != 0 ? json_integer(number) : json_null();
}

json_t *config_json(const struct config *c)
{
	json_t *sites = json_array();
	char hash[17];

	snprintf(hash, sizeof hash, "%016llx", (unsigned long long)c->hash);
	for (uint32_t s = 0; s < c->site_count; s++)
		json_array_append_new(sites, site_json(c, s));
	return json_pack(
		"{s:s, s:s, s:{s:o, s:o}, s:s, s:{s:o, s:o}, s:s, s:i, s:o, s:o, s:o, s:s, "
		"s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o, "
		"s:{s:i, s:i}, s:I, s:o, s:o, s:s}",
		"mirror", c->mirror, "mode", config_mode_words[c->mode], "near_sync",
		"records", bound_json(c->near_sync_records), "ms",
		bound_json(c->near_sync_ms), "confirm", config_confirm_words[c->confirm],
		"failover", "lag_bytes",
		c->lag_bytes != 0 ? json_integer((json_int_t)c->lag_bytes) : json_null(),
		"lag_ms", bound_json(c->lag_ms), "cluster",
		c->cluster ? "corosync" : "none", "port", c->port, "sites", sites,
		"nodes", nodes_json(c), "backup_order", backup_order_json(c), "order",
		config_order_words[c->order], "attach", config_attach_words[c->attach],
		"unprotected", config_unprotected_words[c->unprotected], "on_no_quorum",
		config_no_quorum_words[c->on_no_quorum], "on_copy_loss",
		config_copy_loss_words[c->on_copy_loss], "device_timeout_ms",
		c->device_timeout_ms, "copy_timeout_ms", c->copy_timeout_ms,
		"frozen_timeout_ms", c->frozen_timeout_ms, "demote_drain_ms",
		c->demote_drain_ms, "bypass_at_percent", c->bypass_at_percent,
		"refresh_retry_ms", c->refresh_retry_ms, "lease_ms",
		c->lease_ms != 0 ? json_integer(c->lease_ms) : json_null(), "tasks",
		"ranges", c->task_range_count, "per_range", c->task_per_range_count,
		"memory_bytes", (json_int_t)c->memory_bytes, "spin_us",
		c->spin_us == CONFIG_SPIN_AUTO ? json_string("auto") :
						 json_integer(c->spin_us),
		"throttles", config_throttles_json(c->throttles), "hash", hash);
}
