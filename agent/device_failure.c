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
#include "agent/self.h"
#include "common/clock_driver.h"

static int write_note(const char *path, uint64_t boot, uint32_t count, const char *text)
{
	FILE *file = fopen(path, "we");
	int error = 0;

	if (file == NULL)
		return -errno;
	if (fprintf(file, "%016" PRIx64 " %" PRIu64 " %u\n%s\n", boot,
		    common_clock_ns(CLOCK_BOOTTIME), count, text) < 0)
		error = -EIO;
	if (fclose(file) != 0)
		error = -errno;
	return error;
}

void agent_device_failure_note(const struct agent_instance *instance,
			       const struct cluster_core *core, const struct fact *fact)
{
	const uint32_t count = cluster_device_failures(core);
	struct cluster_self self = { 0 };
	char path[PATH_MAX], text[256];
	int error;

	if (fact->type != FACT_DEVICE_FAILED || count == 0)
		return;
	error = agent_path(instance, AGENT_PATH_FAILURE, path);
	if (error == 0)
		error = agent_self_fill(&self, text, sizeof text);
	if (error == 0)
		error = write_note(path, self.boot, count, fact->text);
	if (error != 0)
		syslog(LOG_WARNING, "%s: a failed device cannot be noted in %s: %s",
		       instance->name, path, strerror(-error));
}

void agent_device_failure_read(const struct agent_instance *instance,
			       struct cluster_self *self)
{
	char path[PATH_MAX], note[512];
	uint64_t boot, failed_ns;
	uint32_t count;
	const char *line;

	if (agent_path(instance, AGENT_PATH_FAILURE, path) != 0 ||
	    agent_text_read(path, note, sizeof note) != 0 ||
	    sscanf(note, "%" SCNx64 " %" SCNu64 " %u", &boot, &failed_ns, &count) != 3)
		return;
	line = strchr(note, '\n');
	if (boot != self->boot || line == NULL || count == 0)
		return;
	self->failures = count;
	self->failed_ns = failed_ns;
	snprintf(self->failed_text, sizeof self->failed_text, "%.*s",
		 (int)strcspn(line + 1, "\n"), line + 1);
}
