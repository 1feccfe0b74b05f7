/* config_read.c - the keys of the file (man/hamirror.yaml.5), by tables. */
#include "agent/config_read.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config_throttles.h"
#include "agent/config_walk.h"

#define MIB (1024ull * 1024)

static void take_cluster(struct config_reader *r, yaml_node_t *node,
			 const struct config_key *key, void *at)
{
	const char *text = config_text_of(node);
	const bool none = text != NULL && strcmp(text, "none") == 0;

	assert(key->size == sizeof(bool));
	if (none || (text != NULL && strcmp(text, "corosync") == 0))
		*(bool *)at = !none;
	else
		config_complain_of_value(r, node, key->expected);
}

/* ---- sites ----------------------------------------------------------------- */

/* The site being read: the one after the last complete one. */
static struct config_site *site_of(struct config_reader *r)
{
	return &r->config->site[r->config->site_count];
}

static struct config_site_places *site_places_of(struct config_reader *r)
{
	return &r->places->site[r->config->site_count];
}

static void add_node(struct config_reader *r, yaml_node_t *node, int32_t site)
{
	struct config *c = r->config;
	const uint32_t max = site >= 0 ? CONFIG_HOST_COUNT_MAX : CONFIG_NODE_COUNT_MAX;
	const char *name = config_name_of(r, node);

	if (name == NULL)
		return;
	if (c->node_count == max) {
		config_complain(r, node, "is one too many",
				"at most 16 hosts in all sites together");
		return;
	}
	strcpy(c->node[c->node_count].name, name);
	c->node[c->node_count].site = site;
	r->places->node[c->node_count++] = config_place_of(node);
}

static void take_host(struct config_reader *r, yaml_node_t *node, void *data)
{
	(void)data;
	add_node(r, node, (int32_t)r->config->site_count);
}

static void take_hosts(struct config_reader *r, yaml_node_t *node,
		       const struct config_key *key, void *at)
{
	(void)at;
	config_walk_list(r, node, key->expected, CONFIG_HOST_COUNT_MAX, take_host, NULL);
}

static void take_disk(struct config_reader *r, yaml_node_t *node, void *data)
{
	static const struct config_key keys[] = {
		{ .name = "name",
		  .take = config_take_name,
		  CONFIG_FIELD(struct config_disk, name),
		  CONFIG_PLACE(struct config_disk_places, name),
		  .required = true,
		  .expected = "the disk's name, the same in every site" },
		{ .name = "path",
		  .take = config_take_path,
		  CONFIG_FIELD(struct config_disk, path),
		  CONFIG_PLACE(struct config_disk_places, path),
		  .required = true,
		  .expected = "the path of its block device or file" },
		{ 0 },
	};
	struct config_site *site = site_of(r);
	struct config_site_places *places = site_places_of(r);

	(void)data;
	config_walk(r, node, keys, &site->disk[site->disk_count],
		    &places->disk[site->disk_count]);
	site->disk_count++;
}

static void take_disks(struct config_reader *r, yaml_node_t *node,
		       const struct config_key *key, void *at)
{
	(void)at;
	config_walk_list(r, node, key->expected, CONFIG_DISK_COUNT_MAX, take_disk, NULL);
}

static void take_site(struct config_reader *r, yaml_node_t *node, void *data)
{
	static const struct config_key keys[] = {
		{ .name = "name",
		  .take = config_take_name,
		  CONFIG_FIELD(struct config_site, name),
		  CONFIG_PLACE(struct config_site_places, name),
		  .required = true,
		  .expected = "the site's name" },
		{ .name = "location",
		  .take = config_take_location,
		  CONFIG_FIELD(struct config_site, location),
		  .expected = "a text in one line, for people, up to 127 bytes" },
		{ .name = "hosts",
		  .take = take_hosts,
		  CONFIG_PLACE(struct config_site_places, hosts),
		  .required = true,
		  .expected = "a list of 1 to 16 node names in backup order" },
		{ .name = "writelog",
		  .take = config_take_path,
		  CONFIG_FIELD(struct config_site, writelog),
		  CONFIG_PLACE(struct config_site_places, writelog),
		  .required = true,
		  .expected = "the path of the block device or file of its log" },
		{ .name = "disks",
		  .take = take_disks,
		  CONFIG_PLACE(struct config_site_places, disks),
		  .required = true,
		  .expected = "a list of 1 to 256 disks, each with name and path" },
		{ 0 },
	};

	(void)data;
	config_walk(r, node, keys, site_of(r), site_places_of(r));
	r->config->site_count++;
}

static void take_sites(struct config_reader *r, yaml_node_t *node,
		       const struct config_key *key, void *at)
{
	(void)at;
	config_walk_list(r, node, key->expected, CONFIG_SITE_COUNT_MAX, take_site, NULL);
}

static void take_witness(struct config_reader *r, yaml_node_t *node, void *data)
{
	(void)data;
	add_node(r, node, -1);
}

static void take_witnesses(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at)
{
	(void)at;
	config_walk_list(r, node, key->expected, CONFIG_WITNESS_COUNT_MAX, take_witness,
			 NULL);
}

static void take_next_host(struct config_reader *r, yaml_node_t *node, void *data)
{
	uint32_t *place = data;
	const char *name = config_text_of(node);
	const int32_t i = name != NULL ? config_node_find(r->config, name) : -1;

	if (i < 0 || r->config->node[i].site < 0)
		config_complain_of_value(r, node,
					 "the name of a host that `sites` lists");
	else if (r->config->node[i].backup_place != 0)
		config_complain(r, node, "is given twice", "each host once");
	else
		r->config->node[i].backup_place = ++*place;
}

static void take_backup_order(struct config_reader *r, yaml_node_t *node,
			      const struct config_key *key, void *at)
{
	uint32_t place = 0;

	(void)at;
	r->config->backup_ordered = true;
	config_walk_list(r, node, key->expected, CONFIG_HOST_COUNT_MAX, take_next_host,
			 &place);
}

/* ---- addresses ------------------------------------------------------------- */

/* HOST, HOST:PORT, or [IPV6]:PORT; a text with several colons and no bracket is
 * an IPv6 address alone. False: none of them. */
static bool split_address(const char *text, struct config_node *node)
{
	const char *colon = strrchr(text, ':');
	const bool bracket = text[0] == '[';
	const char *close = bracket ? strchr(text, ']') : NULL;
	size_t length = strlen(text);
	uint64_t port = 0;
	const char *end;

	if (bracket && (close == NULL || (close[1] != '\0' && close[1] != ':')))
		return false;
	if (bracket ? close[1] == ':' : colon != NULL && strchr(text, ':') == colon) {
		if (!config_number_of(colon + 1, &port, &end) || *end != '\0' ||
		    port == 0 || port > UINT16_MAX)
			return false;
		length = (size_t)(colon - text);
	}
	if (bracket) {
		text++;
		length = (size_t)(close - text);
	}
	if (length == 0 || length >= CONFIG_ADDRESS_MAX ||
	    strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:_-%") < length)
		return false;
	memcpy(node->address, text, length);
	node->address[length] = '\0';
	node->port = (uint16_t)port;
	return true;
}

static void take_address(struct config_reader *r, const yaml_node_t *key,
			 const yaml_node_t *value)
{
	const char *name = config_text_of(key), *text = config_text_of(value);
	const int32_t i = name != NULL ? config_node_find(r->config, name) : -1;
	const size_t before = config_key_push(r, i >= 0 ? name : "*");

	if (i < 0)
		config_complain_of_value(r, key,
					 "the name of a node that `sites` or `witnesses` "
					 "lists");
	else if (r->places->address[i].line != 0)
		config_complain(r, key, "is given twice", "one address of each node");
	else if (text == NULL || !split_address(text, &r->config->node[i]))
		config_complain_of_value(r, value,
					 "an address or host name, with or without :PORT "
					 "(\"[IPV6]:PORT\")");
	if (i >= 0)
		r->places->address[i] = config_place_of(value);
	config_key_pop(r, before);
}

static void take_addresses(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at)
{
	(void)at;
	if (node->type != YAML_MAPPING_NODE) {
		config_complain_of_value(r, node, key->expected);
		return;
	}
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++)
		take_address(r, yaml_document_get_node(&r->document, pair->key),
			     yaml_document_get_node(&r->document, pair->value));
}

/* ---- the file -------------------------------------------------------------- */

static void take_tasks(struct config_reader *r, yaml_node_t *node,
		       const struct config_key *key, void *at)
{
	static const struct config_key keys[] = {
		{ .name = "ranges",
		  .take = config_take_number,
		  CONFIG_FIELD(struct config, task_range_count),
		  .min = 1,
		  .max = 64,
		  .expected = "a number from 1 to 64" },
		{ .name = "per-range",
		  .take = config_take_number,
		  CONFIG_FIELD(struct config, task_per_range_count),
		  .min = 1,
		  .max = 256,
		  .expected = "a number from 1 to 256" },
		{ 0 },
	};

	(void)key, (void)at;
	config_walk(r, node, keys, r->config, NULL);
}

static void take_near_sync(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at)
{
	static const struct config_key keys[] = {
		{ .name = "records",
		  .take = config_take_number,
		  CONFIG_FIELD(struct config, near_sync_records),
		  .min = 1,
		  .max = CONFIG_NEAR_SYNC_RECORDS_MAX,
		  .expected = "a number from 1 to 30000" },
		{ .name = "ms",
		  .take = config_take_number,
		  CONFIG_FIELD(struct config, near_sync_ms),
		  .min = 1,
		  .max = CONFIG_NEAR_SYNC_MS_MAX,
		  .expected = "milliseconds, from 1 to 3600000" },
		{ 0 },
	};

	(void)key, (void)at;
	config_walk(r, node, keys, r->config, NULL);
}

static void take_failover(struct config_reader *r, yaml_node_t *node,
			  const struct config_key *key, void *at)
{
	static const struct config_key keys[] = {
		{ .name = "lag-bytes",
		  .take = config_take_size,
		  CONFIG_FIELD(struct config, lag_bytes),
		  .required = true,
		  .min = CONFIG_LAG_BYTES_MIN,
		  .max = CONFIG_LAG_BYTES_MAX,
		  .expected = "bytes, or with K, M or G, from 16M to 1024G, in whole "
			      "MiB" },
		{ .name = "lag-ms",
		  .take = config_take_number,
		  CONFIG_FIELD(struct config, lag_ms),
		  .min = CONFIG_LAG_MS_MIN,
		  .max = CONFIG_NEAR_SYNC_MS_MAX,
		  .expected = "milliseconds, from 1000 to 3600000" },
		{ 0 },
	};

	(void)key, (void)at;
	config_walk(r, node, keys, r->config, NULL);
}

static void take_spin(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	const char *text = config_text_of(node);

	if (text != NULL && strcmp(text, "auto") == 0)
		r->config->spin_us = CONFIG_SPIN_AUTO;
	else if (text != NULL && strcmp(text, "off") == 0)
		r->config->spin_us = 0;
	else
		config_take_number(r, node, key, at);
}

/* Order matters: witnesses stand behind the hosts in the table of nodes, and
 * backup-order and addresses name nodes. */
static const struct config_key file_keys[] = {
	{ .name = "mirror",
	  .take = config_take_name,
	  CONFIG_FIELD(struct config, mirror),
	  CONFIG_PLACE(struct config_places, mirror),
	  .required = true,
	  .expected = "the mirror's name, as in NAME.yaml" },
	{ .name = "mode",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, mode),
	  CONFIG_PLACE(struct config_places, mode),
	  .required = true,
	  .words = config_mode_words,
	  .expected = "sync, near-sync or async" },
	{ .name = "near-sync",
	  .take = take_near_sync,
	  CONFIG_PLACE(struct config_places, near_sync),
	  .expected = "records, ms, or both" },
	{ .name = "confirm",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, confirm),
	  CONFIG_PLACE(struct config_places, confirm),
	  .words = config_confirm_words,
	  .expected = "logged or home" },
	{ .name = "failover",
	  .take = take_failover,
	  CONFIG_PLACE(struct config_places, failover),
	  .expected = "lag-bytes, and lag-ms if wanted" },
	{ .name = "cluster",
	  .take = take_cluster,
	  CONFIG_FIELD(struct config, cluster),
	  CONFIG_PLACE(struct config_places, cluster),
	  .expected = "corosync or none" },
	{ .name = "port",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, port),
	  CONFIG_PLACE(struct config_places, port),
	  .min = 1,
	  .max = UINT16_MAX,
	  .expected = "a port number from 1 to 65535" },
	{ .name = "sites",
	  .take = take_sites,
	  CONFIG_PLACE(struct config_places, sites),
	  .required = true,
	  .expected = "a list of 1 to 8 sites, the first one production at first" },
	{ .name = "witnesses",
	  .take = take_witnesses,
	  CONFIG_PLACE(struct config_places, witnesses),
	  .expected = "a list of 1 to 8 node names" },
	{ .name = "backup-order",
	  .take = take_backup_order,
	  CONFIG_PLACE(struct config_places, backup_order),
	  .expected = "a list of the hosts of all sites in backup order" },
	{ .name = "addresses",
	  .take = take_addresses,
	  .expected = "a mapping of node names to addresses" },
	{ .name = "order",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, order),
	  CONFIG_PLACE(struct config_places, order),
	  .words = config_order_words,
	  .expected = "strict or log" },
	{ .name = "attach",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, attach),
	  .words = config_attach_words,
	  .expected = "auto, none, ublk, nbd or fuse" },
	{ .name = "unprotected",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, unprotected),
	  .words = config_unprotected_words,
	  .expected = "refused or allowed" },
	{ .name = "on-no-quorum",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, on_no_quorum),
	  .words = config_no_quorum_words,
	  .expected = "freeze or fail" },
	{ .name = "on-copy-loss",
	  .take = config_take_word,
	  CONFIG_FIELD(struct config, on_copy_loss),
	  CONFIG_PLACE(struct config_places, on_copy_loss),
	  .words = config_copy_loss_words,
	  .expected = "continue or block" },
	{ .name = "copy-timeout",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, copy_timeout_ms),
	  .min = 500,
	  .max = 3600000,
	  .expected = "milliseconds, from 500 to 3600000" },
	{ .name = "frozen-timeout",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, frozen_timeout_ms),
	  .min = 0,
	  .max = 3600000,
	  .expected = "milliseconds, from 0 to 3600000" },
	{ .name = "demote-drain",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, demote_drain_ms),
	  .min = 0,
	  .max = 3600000,
	  .expected = "milliseconds, from 0 to 3600000" },
	{ .name = "device-timeout",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, device_timeout_ms),
	  .min = 1000,
	  .max = 3600000,
	  .expected = "milliseconds, from 1000 to 3600000" },
	{ .name = "bypass-at",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, bypass_at_percent),
	  .min = 10,
	  .max = 95,
	  .expected = "percent of the writelog, from 10 to 95, without a sign" },
	{ .name = "refresh-retry",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, refresh_retry_ms),
	  .min = 1000,
	  .max = 3600000,
	  .expected = "milliseconds, from 1000 to 3600000" },
	{ .name = "lease",
	  .take = config_take_number,
	  CONFIG_FIELD(struct config, lease_ms),
	  .min = 100,
	  .max = 600000,
	  .expected = "milliseconds, from 100 to 600000" },
	{ .name = "tasks", .take = take_tasks },
	{ .name = "memory",
	  .take = config_take_size,
	  CONFIG_FIELD(struct config, memory_bytes),
	  CONFIG_PLACE(struct config_places, memory),
	  .min = 8 * MIB,
	  .max = 65536 * MIB,
	  .expected = "whole MiB from 8M to 64G: a number with M or G" },
	{ .name = "spin",
	  .take = take_spin,
	  CONFIG_FIELD(struct config, spin_us),
	  .min = 1,
	  .max = 1000,
	  .expected = "auto, off, or microseconds from 1 to 1000" },
	{ .name = "bandwidth",
	  .take = config_bandwidth_take,
	  .expected = "max, and from and to if wanted" },
	{ .name = "throttle-period",
	  .take = config_throttle_period_take,
	  .expected = "milliseconds, from 100 to 600000" },
	{ .name = "throttles",
	  .take = config_throttles_take,
	  .expected = "a list of throttles, each with test, operator, value and "
		      "actions" },
	{ 0 },
};

static void complain_of_yaml(struct config_reader *r, const yaml_parser_t *parser)
{
	const yaml_mark_t *mark = &parser->problem_mark;
	const struct config_place place = { (uint32_t)mark->line + 1,
					    (uint32_t)mark->column + 1 };

	if (parser->error == YAML_READER_ERROR || parser->error == YAML_MEMORY_ERROR)
		config_error_add(r->errors, r->path, &(struct config_place){ 0 }, "",
				 "%s; expected UTF-8 text",
				 parser->problem != NULL ? parser->problem :
							   "out of memory");
	else
		config_error_add(r->errors, r->path, &place, "", "%s%s%s; expected YAML",
				 parser->context != NULL ? parser->context : "",
				 parser->context != NULL ? ": " : "", parser->problem);
}

/* Load the one document of the file. */
static bool load_document(struct config_reader *r, yaml_parser_t *parser)
{
	const struct config_place start = { 1, 1 };
	yaml_document_t second;
	bool only;

	if (yaml_parser_load(parser, &r->document) == 0) {
		complain_of_yaml(r, parser);
		return false;
	}
	if (yaml_document_get_root_node(&r->document) == NULL) {
		config_error_add(r->errors, r->path, &start, "",
				 "is empty; expected at least mirror, mode and sites");
		return false;
	}
	if (yaml_parser_load(parser, &second) == 0) {
		complain_of_yaml(r, parser);
		return false;
	}
	only = yaml_document_get_root_node(&second) == NULL;
	if (!only) {
		const struct config_place place = config_place_of(
			yaml_document_get_root_node(&second));

		config_error_add(r->errors, r->path, &place, "",
				 "begins a second document; expected one");
	}
	yaml_document_delete(&second);
	return only;
}

bool config_read(const char *path, const char *yaml, size_t length, struct config *config,
		 struct config_places *places, struct config_errors *errors)
{
	struct config_reader r = {
		.path = path, .config = config, .places = places, .errors = errors
	};
	yaml_parser_t parser;
	bool loaded;

	if (yaml_parser_initialize(&parser) == 0) {
		config_error_add(errors, path, &(struct config_place){ 0 }, "",
				 "out of memory; expected some");
		return false;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, length);
	loaded = load_document(&r, &parser);
	if (loaded)
		config_walk(&r, yaml_document_get_root_node(&r.document), file_keys,
			    config, places);
	yaml_document_delete(&r.document);
	yaml_parser_delete(&parser);
	return loaded;
}
