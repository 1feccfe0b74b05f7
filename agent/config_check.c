/* config_check.c - does a file that was read make sense together? */
#include "agent/config_read.h"

#include <stdarg.h>
#include <string.h>

#include "agent/limits.h"

struct checker {
	const char *path;
	struct config *config;
	struct config_places *places;
	struct config_errors *errors;
};

/* Add an error at `place`, about the key `sites[site].FORMAT...`. */
#define SITE_ERROR(c, place, site, key, ...)                                             \
	do {                                                                             \
		char name_[64];                                                          \
		snprintf(name_, sizeof name_, "sites[%u].%s", site, key);                \
		config_error_add((c)->errors, (c)->path, place, name_, __VA_ARGS__);     \
	} while (0)

/* ---- nodes ----------------------------------------------------------------- */

static const char *place_in_cluster(const struct config *config, uint32_t node)
{
	const int32_t site = config->node[node].site;

	return site >= 0 ? config->site[site].name : "the witnesses";
}

static void check_nodes(struct checker *c)
{
	const struct config *config = c->config;

	for (uint32_t i = 0; i < config->node_count; i++)
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(config->node[i].name, config->node[k].name) != 0)
				continue;
			config_error_add(
				c->errors, c->path, &c->places->node[i],
				config->node[i].site >= 0 ? "hosts" : "witnesses",
				"\"%s\" stands in %s already, line %u; expected "
				"each node once",
				config->node[i].name, place_in_cluster(config, k),
				c->places->node[k].line);
			break;
		}
}

/* Without a cluster nobody says which host of a site has its disks open, and
 * nobody votes. */
static void check_alone(struct checker *c)
{
	const struct config *config = c->config;
	uint32_t hosts[CONFIG_SITE_COUNT_MAX] = { 0 };

	if (config->cluster)
		return;
	if (c->places->witnesses.line != 0)
		config_error_add(c->errors, c->path, &c->places->witnesses, "witnesses",
				 "do not go with cluster: none; expected none of them");
	if (config->backup_ordered)
		config_error_add(c->errors, c->path, &c->places->backup_order,
				 "backup-order",
				 "does not go with cluster: none, where an operator "
				 "promotes; expected none");
	for (uint32_t i = 0; i < config->node_count; i++)
		if (config->node[i].site >= 0)
			hosts[config->node[i].site]++;
	for (uint32_t s = 0; s < config->site_count; s++)
		if (hosts[s] > 1)
			SITE_ERROR(c, &c->places->site[s].hosts, s, "hosts",
				   "are %u; expected one with cluster: none", hosts[s]);
}

/* ---- sites and disks ------------------------------------------------------- */

static void check_site_names(struct checker *c)
{
	const struct config *config = c->config;

	for (uint32_t s = 0; s < config->site_count; s++)
		for (uint32_t t = 0; t < s && config->site[s].name[0] != '\0'; t++)
			if (strcmp(config->site[s].name, config->site[t].name) == 0)
				SITE_ERROR(c, &c->places->site[s].name, s, "name",
					   "\"%s\" is the site in line %u already; "
					   "expected another name",
					   config->site[s].name,
					   c->places->site[t].name.line);
}

/* Within one site: names once, and no path for two things. */
static void check_disks(struct checker *c, uint32_t s)
{
	const struct config_site *site = &c->config->site[s];
	struct config_site_places *places = &c->places->site[s];

	for (uint32_t i = 0; i < site->disk_count; i++) {
		const struct config_disk *disk = &site->disk[i];

		if (disk->path[0] != '\0' && strcmp(disk->path, site->writelog) == 0)
			SITE_ERROR(c, &places->disk[i].path, s, "disks",
				   "\"%s\" is the writelog's path; expected another",
				   disk->path);
		for (uint32_t k = 0; k < i; k++) {
			if (disk->name[0] != '\0' &&
			    strcmp(disk->name, site->disk[k].name) == 0)
				SITE_ERROR(c, &places->disk[i].name, s, "disks",
					   "\"%s\" is the disk in line %u already; "
					   "expected another name",
					   disk->name, places->disk[k].name.line);
			if (disk->path[0] != '\0' &&
			    strcmp(disk->path, site->disk[k].path) == 0)
				SITE_ERROR(c, &places->disk[i].path, s, "disks",
					   "\"%s\" is the path of the disk in line %u "
					   "already; expected another",
					   disk->path, places->disk[k].path.line);
		}
	}
}

static int32_t find_disk(const struct config_site *site, const char *name)
{
	for (uint32_t i = 0; i < site->disk_count; i++)
		if (strcmp(site->disk[i].name, name) == 0)
			return (int32_t)i;
	return -1;
}

static void swap_disks(struct checker *c, uint32_t s, uint32_t i, uint32_t k)
{
	struct config_site *site = &c->config->site[s];
	struct config_site_places *places = &c->places->site[s];
	const struct config_disk disk = site->disk[i];
	const struct config_disk_places place = places->disk[i];

	site->disk[i] = site->disk[k];
	site->disk[k] = disk;
	places->disk[i] = places->disk[k];
	places->disk[k] = place;
}

/* The same names in every site; put them in site 0's order. */
static void check_same_disks(struct checker *c, uint32_t s)
{
	const struct config_site *first = &c->config->site[0];
	const struct config_site *site = &c->config->site[s];
	struct config_site_places *places = &c->places->site[s];
	bool all = true;

	for (uint32_t i = 0; i < site->disk_count; i++)
		if (site->disk[i].name[0] != '\0' &&
		    find_disk(first, site->disk[i].name) < 0)
			SITE_ERROR(c, &places->disk[i].name, s, "disks",
				   "\"%s\" is no disk of site %s; expected the same "
				   "names in every site",
				   site->disk[i].name, first->name);
	for (uint32_t i = 0; i < first->disk_count; i++)
		if (first->disk[i].name[0] != '\0' &&
		    find_disk(site, first->disk[i].name) < 0) {
			SITE_ERROR(c, &places->disks, s, "disks",
				   "lack \"%s\" of site %s; expected the same names in "
				   "every site",
				   first->disk[i].name, first->name);
			all = false;
		}
	for (uint32_t i = 0; all && i < first->disk_count && i < site->disk_count; i++) {
		const int32_t k = find_disk(site, first->disk[i].name);

		if (k > (int32_t)i)
			swap_disks(c, s, i, (uint32_t)k);
	}
}

/* ---- addresses ------------------------------------------------------------- */

/* Two sites of one machine: no path may serve both. */
static void check_same_machine(struct checker *c, uint32_t s, uint32_t t)
{
	const struct config_site *a = &c->config->site[s], *b = &c->config->site[t];
	struct config_site_places *places = &c->places->site[t];
	static const char wrong[] = "\"%s\" is a path of site %s on the same machine; "
				    "expected another";

	for (uint32_t k = 0; k <= b->disk_count; k++) {
		const bool log = k == b->disk_count;
		const char *path = log ? b->writelog : b->disk[k].path;
		bool same = path[0] != '\0' && strcmp(path, a->writelog) == 0;

		for (uint32_t i = 0; i < a->disk_count; i++)
			same |= path[0] != '\0' && strcmp(path, a->disk[i].path) == 0;
		if (same)
			SITE_ERROR(c, log ? &places->writelog : &places->disk[k].path, t,
				   log ? "writelog" : "disks", wrong, path, a->name);
	}
}

static void check_pair(struct checker *c, uint32_t i, uint32_t k)
{
	const struct config_node *a = &c->config->node[k], *b = &c->config->node[i];

	if (strcmp(a->name, b->name) == 0 || strcmp(a->address, b->address) != 0)
		return;
	if (a->port == b->port && a->site >= 0 && b->site >= 0)
		config_error_add(c->errors, c->path,
				 c->places->address[i].line != 0 ?
					 &c->places->address[i] :
					 &c->places->node[i],
				 "addresses",
				 "%s has the address and port of %s, %s:%u; expected "
				 "another port",
				 b->name, a->name, b->address, (unsigned)b->port);
	if (a->site >= 0 && b->site >= 0 && a->site != b->site)
		check_same_machine(c, (uint32_t)a->site, (uint32_t)b->site);
}

static void check_addresses(struct checker *c)
{
	struct config *config = c->config;

	for (uint32_t i = 0; i < config->node_count; i++) {
		struct config_node *node = &config->node[i];

		if (node->address[0] == '\0')
			strcpy(node->address, node->name);
		if (node->port == 0)
			node->port = config->port;
		for (uint32_t k = 0; k < i; k++)
			check_pair(c, i, k);
	}
}

/* ---- limits ---------------------------------------------------------------- */

/* The devices of all disks get their places, and some clients too. */
static void check_memory(struct checker *c)
{
	const struct config *config = c->config;
	struct agent_limits limits;

	agent_limits_get(config, &limits);
	if (config->memory_bytes >= limits.memory_bytes_least)
		return;
	config_error_add(
		c->errors, c->path, &c->places->memory, "memory",
		"is %lluM, too little for the devices of %u disks (attach: %s), "
		"which take %u NBD connections; expected %lluM or more",
		(unsigned long long)config->memory_bytes >> 20,
		config->site[0].disk_count, config_attach_words[config->attach],
		limits.connection_count,
		(unsigned long long)(limits.memory_bytes_least + (1 << 20) - 1) >> 20);
}

/* ---- the promise ----------------------------------------------------------- */

/* `failover` may stand beside any mode: it is in force in async only, which `hamirror mode`
 * may bring. */
static void check_mode(struct checker *c)
{
	struct config *config = c->config;

	if (c->places->failover.line != 0 && !config->cluster)
		config_error_add(c->errors, c->path, &c->places->failover, "failover",
				 "does not go with cluster: none, where no copy is "
				 "promoted by itself");
	if (config->mode != CONFIG_NEAR_SYNC && c->places->near_sync.line != 0)
		config_error_add(
			c->errors, c->path, &c->places->near_sync, "near-sync",
			"is the bound of mode near-sync; expected none with mode "
			"%s",
			config_mode_words[config->mode]);
	else if (config->mode == CONFIG_NEAR_SYNC && c->places->near_sync.line == 0)
		config->near_sync_records = CONFIG_NEAR_SYNC_RECORDS;
	else if (config->mode == CONFIG_NEAR_SYNC && config->near_sync_records == 0 &&
		 config->near_sync_ms == 0)
		config_error_add(c->errors, c->path, &c->places->near_sync, "near-sync",
				 "names no bound; expected records, ms, or both");
	if (config->mode != CONFIG_SYNC && config->confirm == CONFIG_CONFIRM_HOME)
		config_error_add(c->errors, c->path, &c->places->confirm, "confirm",
				 "home goes with mode sync only; expected logged with "
				 "mode %s",
				 config_mode_words[config->mode]);
}

/* Without a cluster writes wait for a copy that is lost, until an operator puts it out; but in
 * async for none. */
static void check_copy_loss(struct checker *c)
{
	struct config *config = c->config;
	const bool given = c->places->on_copy_loss.line != 0;
	const bool waits = !config->cluster && config->mode != CONFIG_ASYNC;

	if (waits && given && config->on_copy_loss != CONFIG_COPY_LOSS_BLOCK)
		config_error_add(c->errors, c->path, &c->places->on_copy_loss,
				 "on-copy-loss",
				 "is always block with cluster: none; expected block, or "
				 "none");
	if (waits)
		config->on_copy_loss = CONFIG_COPY_LOSS_BLOCK;
	if (config->mode == CONFIG_ASYNC &&
	    config->on_copy_loss == CONFIG_COPY_LOSS_BLOCK)
		config_error_add(
			c->errors, c->path, &c->places->on_copy_loss, "on-copy-loss",
			"block does not go with mode async, where writes wait for "
			"no copy; expected continue");
}

void config_check(const char *path, struct config *config, struct config_places *places,
		  struct config_errors *errors)
{
	struct checker c = {
		.path = path, .config = config, .places = places, .errors = errors
	};

	check_mode(&c);
	check_copy_loss(&c);
	if (config->order == CONFIG_ORDER_FLUSH)
		config_error_add(errors, path, &places->order, "order",
				 "order flush is not available in this version; expected "
				 "strict or log");
	check_site_names(&c);
	check_nodes(&c);
	check_alone(&c);
	for (uint32_t s = 0; s < config->site_count; s++) {
		check_disks(&c, s);
		if (s > 0)
			check_same_disks(&c, s);
	}
	check_addresses(&c);
	check_memory(&c);
}
