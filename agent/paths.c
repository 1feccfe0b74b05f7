/* paths.c - see paths.h. */
#include "agent/paths.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool agent_name_is_valid(const char *name)
{
	const size_t length = strlen(name);

	if (length == 0 || length >= CONFIG_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (const char *at = name; *at != '\0'; at++)
		if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL)
			return false;
	return true;
}

/* The node's name as corosync and Pacemaker have it: `uname -n`. */
static int own_host(char host[CONFIG_NAME_MAX])
{
	char name[256];

	if (gethostname(name, sizeof name) != 0 || name[sizeof name - 1] != '\0')
		name[0] = '\0';
	if (!agent_name_is_valid(name))
		return -EINVAL;
	strcpy(host, name);
	return 0;
}

int agent_instance_parse(const char *name, struct agent_instance *instance, char *text,
			 size_t text_size)
{
	const char *at = strchr(name, '@');
	const size_t mirror_length = at != NULL ? (size_t)(at - name) : strlen(name);

	*instance = (struct agent_instance){ 0 };
	if (mirror_length >= CONFIG_NAME_MAX)
		goto bad_mirror;
	memcpy(instance->mirror, name, mirror_length);
	if (!agent_name_is_valid(instance->mirror))
		goto bad_mirror;
	if (at == NULL) {
		strcpy(instance->name, instance->mirror);
		if (own_host(instance->host) == 0)
			return 0;
		snprintf(text, text_size,
			 "this node's name (uname -n) cannot be a host's name; "
			 "use %s@HOST",
			 instance->mirror);
		return -EINVAL;
	}
	if (!agent_name_is_valid(at + 1)) {
		snprintf(text, text_size, "\"%s\" is not the name of a host", at + 1);
		return -EINVAL;
	}
	strcpy(instance->host, at + 1);
	strcpy(instance->name, name);
	return 0;

bad_mirror:
	snprintf(text, text_size,
		 "\"%.*s\" is not the name of a mirror: 1 to %d letters, digits, "
		 "'.', '_' and '-'",
		 (int)mirror_length, name, CONFIG_NAME_MAX - 1);
	return -EINVAL;
}

int agent_path(const struct agent_instance *instance, enum agent_path which,
	       char path[PATH_MAX])
{
	static const struct {
		const char *variable;
		const char *directory;
		const char *suffix;
		bool by_mirror;
	} paths[] = {
		[AGENT_PATH_CONFIG] = { "HAMIRROR_CONFIG_DIR", "/etc/hamirror", ".yaml",
					true },
		[AGENT_PATH_STATE] = { "HAMIRROR_STATE_DIR", "/var/lib/hamirror", "",
				       false },
		[AGENT_PATH_RUN] = { "HAMIRROR_RUN_DIR", "/run/hamirror", "", false },
		[AGENT_PATH_CONTROL] = { "HAMIRROR_RUN_DIR", "/run/hamirror", "/control",
					 false },
		[AGENT_PATH_NBD] = { "HAMIRROR_RUN_DIR", "/run/hamirror", "/nbd", false },
		[AGENT_PATH_NBD_OWN] = { "HAMIRROR_RUN_DIR", "/run/hamirror", "/nbd.own",
					 false },
		[AGENT_PATH_LOG] = { "HAMIRROR_LOG_DIR", "/var/log/hamirror", ".log",
				     false },
		[AGENT_PATH_CRASH] = { "HAMIRROR_LOG_DIR", "/var/log/hamirror", ".crash",
				       false },
		[AGENT_PATH_DEVICES] = { "HAMIRROR_DEV_DIR", "/dev/hamirror", "", true },
		[AGENT_PATH_PERF] = { "HAMIRROR_STATE_DIR", "/var/lib/hamirror", ".prf",
				      false },
		[AGENT_PATH_FAILURE] = { "HAMIRROR_STATE_DIR", "/var/lib/hamirror",
					 "/device-failed", false },
	};
	const char *directory = getenv(paths[which].variable);
	int length;

	if (directory == NULL || *directory == '\0')
		directory = paths[which].directory;
	length = snprintf(path, PATH_MAX, "%s/%s%s", directory,
			  paths[which].by_mirror ? instance->mirror : instance->name,
			  paths[which].suffix);
	if (length >= 0 && length < PATH_MAX)
		return 0;
	path[0] = '\0';
	return -ENAMETOOLONG;
}

int agent_socket_address(const char *path, struct sockaddr_un *address, int *directory_fd)
{
	char directory[PATH_MAX], *slash;
	int length;

	*directory_fd = -1;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) < sizeof address->sun_path) {
		strcpy(address->sun_path, path);
		return 0;
	}
	if (strlen(path) >= sizeof directory)
		return -ENAMETOOLONG;
	strcpy(directory, path);
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return -ENAMETOOLONG;
	*slash = '\0';
	*directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*directory_fd < 0)
		return -errno;
	length = snprintf(address->sun_path, sizeof address->sun_path,
			  "/proc/self/fd/%d/%s", *directory_fd, slash + 1);
	if (length >= 0 && (size_t)length < sizeof address->sun_path)
		return 0;
	close(*directory_fd);
	*directory_fd = -1;
	return -ENAMETOOLONG;
}
