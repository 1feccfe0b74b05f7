/* device_failure.c - see device_failure.h. */
#include "agent/device_failure.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "agent/files.h"
#include "agent/paths.h"
#include "common/clock_driver.h"

#define BOOT_BYTES 40

static int note_path(const struct config *config, char path[PATH_MAX])
{
	struct agent_instance instance;
	char text[128];
	int error = agent_instance_parse(config->instance, &instance, text, sizeof text);
	size_t at;

	if (error == 0)
		error = agent_path(&instance, AGENT_PATH_STATE, path);
	if (error != 0)
		return error;
	at = strlen(path);
	return snprintf(path + at, PATH_MAX - at, "/device-failed") <
			       (int)(PATH_MAX - at) ?
		       0 :
		       -ENAMETOOLONG;
}

static void read_boot(char boot[BOOT_BYTES])
{
	agent_text_read("/proc/sys/kernel/random/boot_id", boot, BOOT_BYTES);
	boot[strcspn(boot, "\n")] = '\0';
}

void agent_device_failure_note(const struct config *config,
			       const struct cluster_core *core, const struct fact *fact)
{
	const uint32_t count = cluster_device_failures(core);
	char path[PATH_MAX], boot[BOOT_BYTES] = "";
	FILE *file;
	int error;

	if (fact->type != FACT_DEVICE_FAILED || count == 0)
		return;
	error = note_path(config, path);
	file = error == 0 ? fopen(path, "we") : NULL;
	if (file == NULL && error == 0)
		error = -errno;
	if (error == 0) {
		read_boot(boot);
		fprintf(file, "%s %" PRIu64 " %u\n%s\n", boot,
			common_clock_ns(CLOCK_BOOTTIME), count, fact->text);
		error = ferror(file) != 0 ? -EIO : 0;
		if (fclose(file) != 0)
			error = -errno;
	}
	if (error != 0)
		syslog(LOG_WARNING, "%s: a failed device cannot be noted in %s: %s",
		       config->instance, path, strerror(-error));
}

void agent_device_failure_read(const struct config *config, struct cluster_self *self)
{
	char path[PATH_MAX], note[512], boot[BOOT_BYTES] = "", its[BOOT_BYTES] = "";
	uint64_t failed_ns;
	uint32_t count;
	const char *line;

	if (note_path(config, path) != 0 ||
	    agent_text_read(path, note, sizeof note) != 0 ||
	    sscanf(note, "%39s %" SCNu64 " %u", its, &failed_ns, &count) != 3)
		return;
	read_boot(boot);
	line = strchr(note, '\n');
	if (strcmp(its, boot) != 0 || line == NULL || count == 0)
		return;
	self->failures = count;
	self->failed_ns = failed_ns;
	snprintf(self->failed_text, sizeof self->failed_text, "%.*s",
		 (int)strcspn(line + 1, "\n"), line + 1);
}
