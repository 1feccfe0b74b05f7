/* check_host.c - the checklist: this host, fencing and quorum. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/check.h"
#include "agent/scout.h"
#include "agent/words.h"
#include "common/clock_driver.h"

#define TEXT_MAX 1024
#define MIB (1024.0 * 1024)
#define SPACE_BYTES_MIN (16 << 20) /* voter file, lock, last words */
#define READ_BYTES (1 << 20)
#define READ_COUNT 16
#define READ_NS 2000000000ull /* or so long */
#define ALIGN 4096
#define NOT_FOUND 127

void agent_check_add(struct agent_check *c, const char *name,
		     enum agent_check_result result, const char *format, ...)
{
	static const char *const words[] = { "ok", "do", "unknown" };
	char text[TEXT_MAX];
	json_t *o;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	o = json_pack("{s:s, s:s}", "name", name, "result", words[result]);
	json_object_set_new(o, "text", agent_text_json(text));
	json_array_append_new(c->list, o);
	c->do_count += result == CHECK_DO;
	c->unknown_count += result == CHECK_UNKNOWN;
}

/* ---- file, daemon ---------------------------------------------------------- */

static void add_remark(void *data, enum config_remark remark, const char *text)
{
	agent_check_add(data, remark == CONFIG_FAULT ? "device" : "setting", CHECK_DO,
			"%s", text);
}

static void check_file(struct agent_check *c)
{
	json_t *read = json_object_get(c->status, "config");
	const uint32_t before = c->do_count;

	config_warn(c->config, (int32_t)c->node, add_remark, c);
	if (c->do_count == before)
		agent_check_add(c, "file", CHECK_OK, "%s is valid and fits this host",
				c->config->file);
	if (read != NULL &&
	    config_differs_from(read, c->config->file_crc, c->config->settings_crc))
		agent_check_add(c, "file", CHECK_DO,
				"%s was changed since the daemon has read it: start the "
				"daemon anew for the change, or undo it",
				c->config->file);
}

static void check_daemon(struct agent_check *c)
{
	const char *version = json_string_value(json_object_get(c->status, "version"));
	json_t *why = json_object_get(c->status, "why"), *text;
	size_t i;

	if (c->status == NULL) {
		agent_check_add(c, "daemon", CHECK_DO, "%s", c->status_text);
		return;
	}
	if (version == NULL || strcmp(version, PACKAGE_VERSION) != 0)
		agent_check_add(c, "version", CHECK_DO,
				"the daemon is of version %s, and this command of %s: "
				"start the daemon anew when it can be spared",
				version != NULL ? version : "?", PACKAGE_VERSION);
	else
		agent_check_add(c, "version", CHECK_OK, "daemon and command are of %s",
				version);
	json_array_foreach(why, i, text)
		agent_check_add(c, "daemon", CHECK_DO, "%s", json_string_value(text));
	if (json_array_size(why) == 0)
		agent_check_add(c, "daemon", CHECK_OK, "it runs, and all is well");
}

/* ---- speed ----------------------------------------------------------------- */

/* Bytes a second of reads around the page cache; 0: not known, since `text`. */
static double read_speed(const char *name, const char *path, char *text, size_t size)
{
	const uint64_t begin_ns = common_clock_ns(CLOCK_MONOTONIC);
	uint64_t bytes = 0, ns = 0;
	void *buffer = NULL;
	struct stat st;
	ssize_t n = 0;
	int fd;

	if (agent_scout(name, path, text, size) != 0)
		return 0;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_blocks * 512 < st.st_size) {
		snprintf(text, size,
			 "%s (%s) is a file with holes, so a read tells nothing", name,
			 path);
		return 0;
	}
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || posix_memalign(&buffer, ALIGN, READ_BYTES) != 0) {
		snprintf(text, size, "%s (%s) cannot be read without the page cache: %s",
			 name, path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (int i = 0; i < READ_COUNT && ns < READ_NS; i++) {
		n = pread(fd, buffer, READ_BYTES, (off_t)bytes);
		if (n <= 0)
			break;
		bytes += (uint64_t)n;
		ns = common_clock_ns(CLOCK_MONOTONIC) - begin_ns;
	}
	if (bytes == 0)
		snprintf(text, size, "%s (%s) cannot be read: %s", name, path,
			 n < 0 ? strerror(errno) : "it is empty");
	free(buffer);
	close(fd);
	return bytes == 0 ? 0 : (double)bytes * 1e9 / (double)(ns + 1);
}

/* Writes of all disks go through the log. Only reads are safe to try. */
static void check_speed(struct agent_check *c, const struct config_site *site)
{
	char text[TEXT_MAX];
	const double log = read_speed("writelog", site->writelog, text, sizeof text);

	if (log <= 0) {
		agent_check_add(c, "log speed", CHECK_UNKNOWN, "%s", text);
		return;
	}
	for (uint32_t d = 0; d < site->disk_count; d++) {
		const struct config_disk *disk = &site->disk[d];
		const double speed = read_speed(disk->name, disk->path, text,
						sizeof text);

		if (speed <= 0)
			agent_check_add(c, "log speed", CHECK_UNKNOWN, "%s", text);
		else
			agent_check_add(
				c, "log speed", log < speed / 2 ? CHECK_DO : CHECK_OK,
				"the writelog is read with %.0f MiB/s, disk %s with %.0f "
				"MiB/s%s",
				log / MIB, disk->name, speed / MIB,
				log < speed / 2 ? ": every write goes through the log; "
						  "give it a faster device" :
						  "");
	}
}

/* ---- clock, space, watcher ------------------------------------------------- */

static void check_clock(struct agent_check *c)
{
	struct timex tx = { 0 };
	const int state = adjtimex(&tx);

	if (state < 0)
		agent_check_add(c, "clock", CHECK_UNKNOWN,
				"the kernel does not say whether it is synchronized: %s",
				strerror(errno));
	else if (state == TIME_ERROR || (tx.status & STA_UNSYNC) != 0)
		agent_check_add(c, "clock", CHECK_DO,
				"this host's clock is not synchronized: run an NTP "
				"service, so that times of events can be compared");
	else
		agent_check_add(c, "clock", CHECK_OK,
				"this host's clock is synchronized, within %.0f ms",
				(double)tx.maxerror / 1000);
}

static void check_space(struct agent_check *c)
{
	char path[PATH_MAX], *slash;
	struct statvfs fs;

	if (agent_path(c->instance, AGENT_PATH_STATE, path) != 0)
		return;
	while (statvfs(path, &fs) != 0) {
		slash = strrchr(path, '/');
		if (slash == NULL || slash == path) {
			agent_check_add(c, "space", CHECK_UNKNOWN,
					"the file system of the state folder: %s",
					strerror(errno));
			return;
		}
		*slash = '\0';
	}
	if ((double)fs.f_bavail * (double)fs.f_frsize < SPACE_BYTES_MIN ||
	    (fs.f_files > 0 && fs.f_favail < 64))
		agent_check_add(c, "space", CHECK_DO,
				"the file system of %s has %.0f MiB and %llu files "
				"free: make room for the voter file",
				path, (double)fs.f_bavail * (double)fs.f_frsize / MIB,
				(unsigned long long)fs.f_favail);
	else
		agent_check_add(c, "space", CHECK_OK, "%.0f MiB are free at %s",
				(double)fs.f_bavail * (double)fs.f_frsize / MIB, path);
}

/* A file of process `pid`, words that end with 0, into `words`; how many bytes. */
static size_t words_of(const char *pid, const char *file_name, char *words, size_t size)
{
	char path[300];
	size_t length;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%s/%s", pid, file_name);
	file = fopen(path, "re");
	length = file != NULL ? fread(words, 1, size - 1, file) : 0;
	if (file != NULL)
		fclose(file);
	words[length] = '\0';
	return length;
}

/* The word that begins with `prefix`, without that; NULL: there is none. */
static const char *word_with(const char *words, size_t length, const char *prefix)
{
	for (const char *w = words; w < words + length; w += strlen(w) + 1)
		if (strncmp(w, prefix, strlen(prefix)) == 0)
			return w + strlen(prefix);
	return NULL;
}

/* Is process `pid` the watcher of `name`, with the same folder for its sockets? */
static bool is_watcher(const char *pid, const char *name)
{
	const char *own = getenv("HAMIRROR_RUN_DIR"), *theirs, *base, *word;
	static char words[65536];
	size_t length = words_of(pid, "cmdline", words, sizeof words);

	base = strrchr(words, '/');
	if (strcmp(base != NULL && base < words + strlen(words) ? base + 1 : words,
		   "hamirror-watch") != 0)
		return false;
	word = word_with(words, length, name);
	if (word == NULL || *word != '\0')
		return false;
	length = words_of(pid, "environ", words, sizeof words);
	theirs = word_with(words, length, "HAMIRROR_RUN_DIR=");
	return strcmp(own != NULL ? own : "", theirs != NULL ? theirs : "") == 0;
}

static void check_watcher(struct agent_check *c)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (!found && folder != NULL && (entry = readdir(folder)) != NULL)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			found = is_watcher(entry->d_name, c->instance->name);
	if (folder == NULL)
		agent_check_add(c, "watcher", CHECK_UNKNOWN, "/proc: %s",
				strerror(errno));
	else if (found)
		agent_check_add(c, "watcher", CHECK_OK, "it runs");
	else
		agent_check_add(c, "watcher", CHECK_DO,
				"no hamirror-watch of %s runs here, so nobody gets "
				"metrics%s: `systemctl enable --now hamirror-watch@%s`",
				c->instance->name,
				c->config->throttles != NULL ?
					", and throttles and bandwidth do not hold" :
					"",
				c->instance->name);
	if (folder != NULL)
		closedir(folder);
}

void agent_check_host(struct agent_check *c)
{
	const int32_t site = c->config->node[c->node].site;

	check_file(c);
	check_daemon(c);
	if (site >= 0)
		check_speed(c, &c->config->site[site]);
	check_clock(c);
	check_space(c);
	check_watcher(c);
}

/* ---- fencing, quorum ------------------------------------------------------- */

/* The first line of a command's output, and its exit. */
static int output_of(const char *command, char *line, int size)
{
	FILE *pipe = popen(command, "r");
	int status;

	line[0] = '\0';
	if (pipe == NULL)
		return NOT_FOUND;
	if (fgets(line, size, pipe) == NULL)
		line[0] = '\0';
	while (fgetc(pipe) != EOF)
		;
	status = pclose(pipe);
	line[strcspn(line, "\n")] = '\0';
	return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_FOUND;
}

static void check_fencing_of(struct agent_check *c, const char *node)
{
	char command[256], line[128];
	int status;

	snprintf(command, sizeof command,
		 "timeout 15 stonith_admin --list '%s' --quiet 2> /dev/null", node);
	status = output_of(command, line, sizeof line);
	if (status == 0 && line[0] != '\0')
		agent_check_add(c, "fencing", CHECK_OK, "%s is fenced by %s", node, line);
	else if (status == NOT_FOUND || status == 124)
		agent_check_add(c, "fencing", CHECK_UNKNOWN,
				"Pacemaker's fencer does not say who fences %s; `crm_mon "
				"-1` shows whether it runs",
				node);
	else
		agent_check_add(c, "fencing", CHECK_DO,
				"no device fences %s: when that host hangs, production "
				"is not moved before its lease has ended; configure one "
				"(crm-examples)",
				node);
}

void agent_check_cluster(struct agent_check *c)
{
	json_t *quorate = json_object_get(c->status, "quorate");
	char line[128];

	if (!c->config->cluster) {
		agent_check_add(c, "fencing", CHECK_OK,
				"not needed: without a cluster you decide");
		return;
	}
	if (c->status == NULL)
		agent_check_add(c, "quorum", CHECK_UNKNOWN, "%s", c->status_text);
	else
		agent_check_add(c, "quorum", json_is_true(quorate) ? CHECK_OK : CHECK_DO,
				"%s",
				json_is_true(quorate) ?
					"this partition has it" :
					"this partition has none: `corosync-quorumtool` "
					"shows who is missing");
	if (output_of("timeout 15 crm_attribute --type crm_config --name stonith-enabled "
		      "--query --quiet 2> /dev/null",
		      line, sizeof line) == 0 &&
	    strcmp(line, "false") == 0)
		agent_check_add(c, "fencing", CHECK_DO,
				"Pacemaker's stonith-enabled is false: it fences nobody; "
				"set it to true");
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (c->config->node[n].site >= 0)
			check_fencing_of(c, c->config->node[n].name);
}
