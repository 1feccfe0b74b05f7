/* limits.c - see limits.h. */
#include "agent/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/control.h"
#include "mirror/io.h"
#include "mirror/front/nbd_client.h"
#include "mirror/front/nbd_places.h"

/* Per disk: its device twice (disk_open_driver.h), helper's socket and process, and a
 * ublk device. */
#define FILES_PER_DISK 5u

/* Standard streams, log, locks, rings, corosync, files that are open for a moment. */
#define FILES_OF_PROCESS 128u

void agent_limits_get(const struct config *config, struct agent_limits *limits)
{
	const uint32_t own_count = mirror_nbd_own_count(config);
	struct mirror_nbd_places places;

	mirror_nbd_places_divide(config->memory_bytes, own_count, &places);
	*limits = (struct agent_limits){
		.connection_count = own_count,
		.client_count = places.client_count,
		.file_count = FILES_OF_PROCESS + own_count + places.client_count +
			      MIRROR_NBD_REFUSED_MAX + MIRROR_LINK_COUNT_MAX +
			      AGENT_CLIENTS_MAX +
			      config->site[0].disk_count * FILES_PER_DISK,
		.memory_bytes_least = mirror_nbd_places_pool_bytes_min(own_count),
	};
}

/* ---- files ------------------------------------------------------------------------ */

int agent_limits_files_raise(const struct config *config, char *text, size_t text_size)
{
	struct agent_limits need;
	struct rlimit have;
	int error = 0;

	agent_limits_get(config, &need);
	if (getrlimit(RLIMIT_NOFILE, &have) != 0)
		return 0; /* cannot be */
	if (have.rlim_cur >= need.file_count)
		return 0;
	if (have.rlim_max < need.file_count)
		have.rlim_max = need.file_count;
	have.rlim_cur = need.file_count;
	if (setrlimit(RLIMIT_NOFILE, &have) == 0)
		return 0;
	error = -errno;
	getrlimit(RLIMIT_NOFILE, &have);
	snprintf(
		text, text_size,
		"%u disks and %u NBD clients may need %u open files, and %llu are allowed "
		"(RLIMIT_NOFILE: %s): raise LimitNOFILE= of the unit that starts it, or "
		"`ulimit -Hn`",
		config->site[0].disk_count, need.client_count, need.file_count,
		(unsigned long long)have.rlim_max, strerror(-error));
	return error;
}

/* ---- devices ------------------------------------------------------------------------ */

/* A number in sysfs, or -1. */
static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long number = -1;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%ld", &number) != 1)
		number = -1;
	fclose(f);
	return number;
}

/* The modules that the kernel has loaded decide. A module that it loads on demand is
 * judged then. */
void agent_limits_devices_check(const struct config *config, char *text, size_t text_size)
{
	static const char nbds[] = "/sys/module/nbd/parameters/nbds_max";
	static const char ublks[] = "/sys/module/ublk_drv/parameters/ublks_max";
	const bool any = config->attach == CONFIG_ATTACH_AUTO;
	const bool ublk = config->attach == CONFIG_ATTACH_UBLK ||
			  (any && access(ublks, F_OK) == 0);
	const bool nbd = config->attach == CONFIG_ATTACH_NBD || (any && !ublk);
	const long most = ublk ? read_number(ublks) : nbd ? read_number(nbds) : -1;

	text[0] = '\0';
	if (most < 0 || (unsigned long)most >= config->site[0].disk_count)
		return;
	snprintf(text, text_size,
		 "disks: are %u, and the kernel has %ld %s devices: load module %s with "
		 "%s=%u or more",
		 config->site[0].disk_count, most, ublk ? "ublk" : "nbd",
		 ublk ? "ublk_drv" : "nbd", ublk ? "ublks_max" : "nbds_max",
		 config->site[0].disk_count);
}
