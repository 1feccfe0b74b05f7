/* paths.h - names of instances and the files that belong to one.
 *
 *   instance          NAME, or NAME@HOST where one machine plays several hosts
 *   configuration     /etc/hamirror/NAME.yaml          HAMIRROR_CONFIG_DIR
 *   state             /var/lib/hamirror/INSTANCE       HAMIRROR_STATE_DIR
 *   performance       /var/lib/hamirror/INSTANCE.prf   HAMIRROR_STATE_DIR
 *   while it runs     /run/hamirror/INSTANCE           HAMIRROR_RUN_DIR
 *   log file          /var/log/hamirror/INSTANCE.log   HAMIRROR_LOG_DIR
 *   last words        /var/log/hamirror/INSTANCE.crash HAMIRROR_LOG_DIR
 *   device links      /dev/hamirror/NAME/DISK          HAMIRROR_DEV_DIR
 *
 * The variables on the right replace the first part (/etc/hamirror and so on).
 */
#ifndef AGENT_PATHS_H
#define AGENT_PATHS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "common/config.h"

/* An instance's name as given, and its parts. */
struct agent_instance {
	char name[2 * CONFIG_NAME_MAX]; /* NAME or NAME@HOST, as given */
	char mirror[CONFIG_NAME_MAX];   /* NAME */
	char host[CONFIG_NAME_MAX];     /* HOST; the node's name if not given */
};

/* True for a name that a mirror, site, disk or host may have: 1 to 63 letters,
 * digits, '.', '_' and '-', the first a letter or digit. (Names become file
 * names, node attributes and NBD export names.) */
bool agent_name_is_valid(const char *name);

/* Take NAME or NAME@HOST apart. Returns 0, or -EINVAL when a part is not a valid
 * name: `text` then says which. */
int agent_instance_parse(const char *name, struct agent_instance *instance, char *text,
			 size_t text_size);

enum agent_path {
	AGENT_PATH_CONFIG,  /* the file */
	AGENT_PATH_STATE,   /* the directory: voter.0, voter.1, lock, run, device-failed */
	AGENT_PATH_RUN,     /* the directory: pid, control, nbd, nbd.own */
	AGENT_PATH_CONTROL, /* the control socket (docs/control.md) */
	AGENT_PATH_NBD,     /* the socket; each disk is an export of it */
	AGENT_PATH_NBD_OWN, /* likewise, for the daemon's own front-end alone */
	AGENT_PATH_LOG,     /* the file */
	AGENT_PATH_CRASH,   /* the file (last_words.h) */
	AGENT_PATH_DEVICES, /* the directory of the links */
	AGENT_PATH_PERF,    /* the file (perf.h); its older generation is FILE.1 */
	AGENT_PATH_FAILURE, /* the file (device_failure.h) */
};

/* The path of one of them. Returns 0, or -ENAMETOOLONG: `path` is "" then. */
int agent_path(const struct agent_instance *instance, enum agent_path which,
	       char path[PATH_MAX]);

/* An address for bind or connect to the unix socket `path`, however long that is:
 * a long one goes through an open descriptor of its directory, `*directory_fd`,
 * which the caller closes after the bind or connect (-1: none was needed).
 *
 * Returns 0; -ENAMETOOLONG when even the last part is too long; or -errno when
 * the directory cannot be opened. */
int agent_socket_address(const char *path, struct sockaddr_un *address,
			 int *directory_fd);

#endif
