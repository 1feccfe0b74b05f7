/* watch_file.h - tells that a file was written or replaced. */
#ifndef AGENT_WATCH_FILE_H
#define AGENT_WATCH_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct watch_file {
	char path[PATH_MAX];
	int fd;           /* readable when it may have changed; -1: nobody tells it */
	struct stat seen; /* at the last look */
};

/* Follow the file at `path`, shorter than PATH_MAX. Where its folder cannot be watched, as
 * inotify(7) may refuse, and where it is a link into another one, looks alone tell of a change:
 * so look now and then. */
void watch_file_open(struct watch_file *f, const char *path);
void watch_file_close(struct watch_file *f);

/* Is it another than at the last look? The first look says so, too. One that is gone is not. */
bool watch_file_look(struct watch_file *f);

#endif
