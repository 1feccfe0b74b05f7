/* attach_mounts.c - see attach_mounts.h. */
#include "agent/attach_mounts.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define SUFFIX ".mounts"
#define LINE_BYTES (4 * PATH_MAX)
#define DEPTH_MAX 64 /* mounts that are piled up in one place */

struct mount {
	unsigned long number;
	char device[32];      /* MAJOR:MINOR */
	char point[PATH_MAX]; /* as the kernel writes it: blanks are \040 */
	const char *source;   /* in the line */
};

static bool parse(char *line, struct mount *m)
{
	char *source = strstr(line, " - ");

	if (source == NULL ||
	    sscanf(line, "%lu %*u %31s %*s %4095s", &m->number, m->device, m->point) != 3)
		return false;
	source = strchr(source + 3, ' ');
	m->source = source != NULL ? source + 1 : "";
	return true;
}

/* DEVICE, or a partition of it: DEVICEpN. */
static bool is_on(const struct mount *m, const char *device)
{
	const size_t length = strlen(device);

	return strncmp(m->source, device, length) == 0 &&
	       strchr("p ", m->source[length]) != NULL && m->source[length] != '\0';
}

static bool note_path(const char *folder, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s" SUFFIX, folder) < PATH_MAX;
}

void attach_mounts_note(const char *folder, const char *device)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re"), *note = NULL;
	static char line[LINE_BYTES];
	static struct mount m;
	char path[PATH_MAX];

	while (mounts != NULL && note_path(folder, path) &&
	       fgets(line, sizeof line, mounts) != NULL) {
		if (!parse(line, &m) || !is_on(&m, device))
			continue;
		if (note == NULL)
			note = fopen(path, "we");
		if (note == NULL)
			break;
		fprintf(note, "%lu %s %s\n", m.number, m.device, m.point);
	}
	if (mounts != NULL)
		fclose(mounts);
	if (note != NULL)
		fclose(note);
}

/* Is the mount still there, and the topmost at its place? */
static bool is_on_top(const struct mount *wanted)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	static char line[LINE_BYTES];
	static struct mount m;
	bool top = false;

	while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL)
		if (parse(line, &m) && strcmp(m.point, wanted->point) == 0)
			top = m.number == wanted->number &&
			      strcmp(m.device, wanted->device) == 0;
	if (mounts != NULL)
		fclose(mounts);
	return top;
}

/* \040 and the like become the byte. */
static void unescape(char *text)
{
	char *to = text;
	unsigned int byte;

	for (const char *from = text; *from != '\0'; to++) {
		if (sscanf(from, "\\%3o", &byte) == 1) {
			*to = (char)byte;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* One after the other: the topmost mount may have hidden another one. */
static bool detach_one(FILE *note, char where[PATH_MAX])
{
	static struct mount m;

	rewind(note);
	while (fscanf(note, "%lu %31s %4095s", &m.number, m.device, m.point) == 3) {
		if (!is_on_top(&m))
			continue;
		unescape(m.point);
		if (umount2(m.point, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
			continue;
		snprintf(where, PATH_MAX, "%s", m.point);
		return true;
	}
	return false;
}

uint32_t attach_mounts_detach(const char *folder, char where[PATH_MAX])
{
	char path[PATH_MAX];
	uint32_t count = 0;
	FILE *note;

	where[0] = '\0';
	note = note_path(folder, path) ? fopen(path, "re") : NULL;
	if (note == NULL)
		return 0;
	while (count < DEPTH_MAX && detach_one(note, where))
		count++;
	fclose(note);
	unlink(path);
	return count;
}

uint32_t attach_mounts_detach_all(const struct agent_instance *instance,
				  char where[PATH_MAX])
{
	char run[PATH_MAX], folder[PATH_MAX + 256];
	struct dirent *entry;
	uint32_t count = 0;
	DIR *files;

	where[0] = '\0';
	files = agent_path(instance, AGENT_PATH_RUN, run) == 0 ? opendir(run) : NULL;
	while (files != NULL && (entry = readdir(files)) != NULL) {
		const size_t length = strlen(entry->d_name);
		const size_t end = sizeof SUFFIX - 1;
		char place[PATH_MAX];

		if (length <= end || strcmp(entry->d_name + length - end, SUFFIX) != 0 ||
		    snprintf(folder, sizeof folder, "%s/%.*s", run, (int)(length - end),
			     entry->d_name) >= PATH_MAX)
			continue;
		count += attach_mounts_detach(folder, place);
		if (place[0] != '\0')
			strcpy(where, place);
	}
	if (files != NULL)
		closedir(files);
	return count;
}
