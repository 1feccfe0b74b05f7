/* config_warn.c - warnings about a valid file: settings that do not fit this node, or are
 * not wise.
 *
 * "One device" is the physical one: partitions and stacked devices (LVM, md,
 * dm-crypt) are followed down through sysfs. Log and disk on one device share its
 * heads or channels, its cache and its death.
 *
 * Source: docs/sources.md (P4-8).
 */
#include "agent/config.h"
#include "agent/limits.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/scout.h"

#define PHYSICAL_COUNT_MAX 32
#define STACK_DEPTH_MAX 16
#define GRACE_MS 15000u       /* beyond frozen-timeout, with so much ... */
#define GRACE_DRAIN_MS 10000u /* ... of demote-drain in it: agent/request.c */
#define STOP_TIMEOUT_MS 90000u /* ocf/disk; so is the next */
#define PROMOTE_TIMEOUT_MS 90000u
#define MONITOR_TIMEOUT_MS 20000u /* Pacemaker's default for an operation */
#define WRITELOG_BYTES_MIN (2ll * 1024 * 1024)

/* The physical devices under one path. */
struct physical {
	uint32_t count;
	char name[PHYSICAL_COUNT_MAX][64];
};

struct warner {
	void (*add)(void *data, enum config_remark remark, const char *text);
	void *data;
};

__attribute__((format(printf, 3, 4))) static void warn(const struct warner *w,
						       enum config_remark remark,
						       const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	w->add(w->data, remark, text);
}

static void add_physical(struct physical *p, const char *name)
{
	if (p->count < PHYSICAL_COUNT_MAX)
		snprintf(p->name[p->count++], sizeof p->name[0], "%s", name);
}

/* Add the devices under the block device whose folder in sysfs is `folder`. */
static void follow(struct physical *p, const char *folder, int depth)
{
	char real[PATH_MAX], inner[PATH_MAX + 300];
	bool stacked = false;
	struct dirent *entry;
	DIR *slaves;

	if (depth > STACK_DEPTH_MAX || realpath(folder, real) == NULL)
		return;
	snprintf(inner, sizeof inner, "%s/partition", real);
	if (access(inner, F_OK) == 0)
		*strrchr(real, '/') = '\0';
	snprintf(inner, sizeof inner, "%s/slaves", real);
	slaves = opendir(inner);
	while (slaves != NULL && (entry = readdir(slaves)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		stacked = true;
		snprintf(inner, sizeof inner, "%s/slaves/%s", real, entry->d_name);
		follow(p, inner, depth + 1);
	}
	if (slaves != NULL)
		closedir(slaves);
	if (!stacked)
		add_physical(p, strrchr(real, '/') + 1);
}

/* The devices under a block device, or under the file system of a file. */
static void find_physical(const struct stat *st, struct physical *p)
{
	const dev_t device = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	char folder[64];

	p->count = 0;
	snprintf(folder, sizeof folder, "/sys/dev/block/%u:%u", major(device),
		 minor(device));
	follow(p, folder, 0);
	if (p->count == 0) { /* tmpfs, overlay, no sysfs */
		snprintf(folder, sizeof folder, "device %u:%u", major(device),
			 minor(device));
		add_physical(p, folder);
	}
}

/* A device that both have, or NULL. */
static const char *shared_device(const struct physical *a, const struct physical *b)
{
	for (uint32_t i = 0; i < a->count; i++)
		for (uint32_t k = 0; k < b->count; k++)
			if (strcmp(a->name[i], b->name[k]) == 0)
				return a->name[i];
	return NULL;
}

static bool same_thing(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool find(const struct warner *w, const char *what, const char *path,
		 struct stat *st)
{
	if (stat(path, st) != 0) {
		warn(w, CONFIG_FAULT, "%s: %s: %s", what, path, strerror(errno));
		return false;
	}
	if (S_ISBLK(st->st_mode) || S_ISREG(st->st_mode))
		return true;
	warn(w, CONFIG_FAULT, "%s: %s is neither a block device nor a file", what, path);
	return false;
}

static void warn_of_site(const struct config_site *site, const struct warner *w)
{
	struct physical log_under, disk_under;
	struct stat log, disk;
	char text[512];
	bool have_log;

	if (agent_scout_site(site, text, sizeof text) != 0) {
		warn(w, CONFIG_FAULT, "%s", text);
		return;
	}
	have_log = find(w, "writelog", site->writelog, &log);
	if (have_log && S_ISREG(log.st_mode) && log.st_size < WRITELOG_BYTES_MIN)
		warn(w, CONFIG_FAULT,
		     "writelog: %s has %lld bytes; it needs at least 2 MiB, and room "
		     "for the writes that a copy misses while it is away",
		     site->writelog, (long long)log.st_size);
	if (have_log)
		find_physical(&log, &log_under);
	for (uint32_t i = 0; i < site->disk_count; i++) {
		const char *shared = NULL;

		if (!find(w, site->disk[i].name, site->disk[i].path, &disk) || !have_log)
			continue;
		if (same_thing(&log, &disk)) {
			warn(w, CONFIG_FAULT,
			     "%s and %s are one and the same: the log would "
			     "overwrite disk %s",
			     site->writelog, site->disk[i].path, site->disk[i].name);
			continue;
		}
		find_physical(&disk, &disk_under);
		shared = shared_device(&log_under, &disk_under);
		if (shared != NULL)
			warn(w, CONFIG_UNWISE,
			     "the writelog and disk %s are both on %s: each write "
			     "goes there twice, and both are lost together; give the "
			     "log a device of its own",
			     site->disk[i].name, shared);
	}
}

/* Timeouts outside of hamirror must exceed ours (ocf/disk, crm-examples). */
static void warn_of_times(const struct config *config, const struct warner *w)
{
	if (config->frozen_timeout_ms + GRACE_MS > STOP_TIMEOUT_MS / 2)
		warn(w, CONFIG_UNWISE,
		     "frozen-timeout is %u ms: a stop, which may take it and %u ms twice, "
		     "needs a timeout above the agent's default of %u ms, else writes fail "
		     "earlier",
		     config->frozen_timeout_ms, GRACE_MS, STOP_TIMEOUT_MS);
	if (config->demote_drain_ms > GRACE_DRAIN_MS)
		warn(w, CONFIG_UNWISE,
		     "demote-drain is %u ms: a demote or stop may take that beyond "
		     "frozen-timeout, of which a timeout of %u ms, the agent's default, has "
		     "%u ms; with more the timeouts need as much more",
		     config->demote_drain_ms, STOP_TIMEOUT_MS, GRACE_DRAIN_MS);
	if (config->copy_timeout_ms >= MONITOR_TIMEOUT_MS)
		warn(w, CONFIG_UNWISE,
		     "copy-timeout is %u ms: a copy that hangs holds writes for so long, and "
		     "a monitor that writes, with a timeout of %u ms, fails before",
		     config->copy_timeout_ms, MONITOR_TIMEOUT_MS);
	if (config->lease_ms + GRACE_MS > PROMOTE_TIMEOUT_MS)
		warn(w, CONFIG_UNWISE,
		     "lease is %u ms: a promotion where nobody was fenced waits so long and "
		     "a little more, and needs a timeout above the agent's default of %u ms",
		     config->lease_ms, PROMOTE_TIMEOUT_MS);
}

/* A demotion or stop fails frozen requests in the end; the waits here have to end before
 * that. */
static void warn_of_demotion(const struct config *config, const struct warner *w)
{
	const struct {
		const char *key, *end;
		uint32_t ms;
	} wait[] = { { "device-timeout", "a device that hangs is given up",
		       config->device_timeout_ms },
		     { "copy-timeout", "a copy that hangs is put out",
		       config->copy_timeout_ms } };

	for (size_t i = 0; i < sizeof wait / sizeof wait[0]; i++)
		if (wait[i].ms >= config->frozen_timeout_ms)
			warn(w, CONFIG_UNWISE,
			     "%s is %u ms: a demote or stop fails frozen requests after "
			     "frozen-timeout, %u ms, before %s; let %s be the shorter one",
			     wait[i].key, wait[i].ms, config->frozen_timeout_ms,
			     wait[i].end, wait[i].key);
}

/* On the hosts of this configuration, of which this machine is one. */
static void warn_of_limits(const struct config *config, const struct warner *w)
{
	char text[512];

	if (agent_limits_files_raise(config, text, sizeof text) != 0)
		warn(w, CONFIG_UNWISE, "%s", text);
	agent_limits_devices_check(config, text, sizeof text);
	if (text[0] != '\0')
		warn(w, CONFIG_UNWISE, "%s", text);
}

void config_warn(const struct config *config, int32_t node,
		 void (*add)(void *data, enum config_remark remark, const char *text),
		 void *data)
{
	const struct warner w = { .add = add, .data = data };

	if (config->site_count == 1)
		warn(&w, CONFIG_UNWISE, "only one site: nothing is mirrored");
	warn_of_demotion(config, &w);
	if (config->cluster)
		warn_of_times(config, &w);
	if (node >= 0 && config->node[node].site >= 0)
		warn_of_limits(config, &w);
	if (node >= 0 && config->node[node].site >= 0)
		warn_of_site(&config->site[config->node[node].site], &w);
}
