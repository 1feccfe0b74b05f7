/* attach_helper.c - the helper process of one disk: see attach_helper.h. */
#include "agent/attach_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/attach.h"
#include "agent/attach_mounts.h"
#include "agent/last_words.h"
#include "common/config.h"

/* For a predecessor's helper to end, which only has to close. */
#define LOCK_MS 10000

#define COMMAND_BYTES 64

/* The next command, as far as it has arrived: the helper has one input. */
static char command[COMMAND_BYTES];
static size_t command_bytes;
static bool input_ended;

int attach_helper_fail(struct attach_disk *d, int error, const char *format, ...)
{
	va_list args;
	size_t at;

	va_start(args, format);
	vsnprintf(d->text, sizeof d->text, format, args);
	va_end(args);
	at = strlen(d->text);
	snprintf(d->text + at, sizeof d->text - at, ": %s", strerror(error));
	return -error;
}

void attach_helper_say(const char *word, const char *text)
{
	/* Nobody hears it: then our input has ended too. */
	dprintf(STDOUT_FILENO, "%s%s%s\n", word, text[0] != '\0' ? " " : "", text);
}

/* ---- input -------------------------------------------------------------------------- */

/* Read available input; wait for it up to `ms` (-1: for ever), or until `other_fd` is
 * ready. */
static void read_input(int ms, int other_fd)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = other_fd, .events = POLLIN } };
	ssize_t n;

	if (input_ended || poll(p, 2, ms) <= 0 || p[0].revents == 0)
		return;
	n = read(STDIN_FILENO, command + command_bytes, sizeof command - command_bytes);
	if (n <= 0)
		input_ended = true;
	else
		command_bytes += (size_t)n;
}

/* The next whole command, or false. */
static bool next_command(char line[COMMAND_BYTES])
{
	char *end = memchr(command, '\n', command_bytes);
	size_t length;

	if (end == NULL) {
		/* Longer than any command: the other side is not hamirrord. */
		input_ended = input_ended || command_bytes == sizeof command;
		return false;
	}
	length = (size_t)(end - command);
	memcpy(line, command, length);
	line[length] = '\0';
	command_bytes -= length + 1;
	memmove(command, end + 1, command_bytes);
	return true;
}

bool attach_helper_pause(int ms)
{
	read_input(ms, -1);
	/* Any input while we attach means that we are to give up. */
	return input_ended || command_bytes > 0;
}

/* ---- the link ------------------------------------------------------------------------- */

static int make_folder_of(struct attach_disk *d, const char *path)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof folder, "%s", path);
	for (char *at = strchr(folder + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return attach_helper_fail(d, errno, "%s", folder);
		*at = '/';
	}
	return 0;
}

/* At once, also over one that a predecessor left. */
static int make_link(struct attach_disk *d)
{
	char path[PATH_MAX + 8];
	int rc = make_folder_of(d, d->link);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof path, "%s.new", d->link);
	unlink(path);
	if (symlink(d->device, path) < 0)
		return attach_helper_fail(d, errno, "%s", path);
	if (rename(path, d->link) < 0) {
		rc = attach_helper_fail(d, errno, "%s", d->link);
		unlink(path);
		return rc;
	}
	d->linked = true;
	return 0;
}

/* Only if it is still ours: nodes in tests share a /dev. */
static void remove_link(struct attach_disk *d)
{
	char target[PATH_MAX];
	const ssize_t n = d->linked ? readlink(d->link, target, sizeof target - 1) : -1;

	d->linked = false;
	if (n < 0)
		return;
	target[n] = '\0';
	if (strcmp(target, d->device) == 0)
		unlink(d->link);
}

/* ---- in use? ---------------------------------------------------------------------------- */

/* Where the device, or a partition of it, is mounted here; "" if nowhere. */
static void find_mount(const struct attach_disk *d, char where[PATH_MAX])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	const size_t length = strlen(d->device);
	static char line[4 * PATH_MAX];
	char point[PATH_MAX];
	const char *source;

	where[0] = '\0';
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		source = strstr(line, " - ");
		if (source == NULL || sscanf(line, "%*d %*d %*s %*s %4095s", point) != 1)
			continue;
		source = strchr(source + 3, ' ');
		if (source != NULL && strncmp(source + 1, d->device, length) == 0 &&
		    strchr("p ", source[1 + length]) != NULL)
			snprintf(where, PATH_MAX, "%s", point);
	}
	if (f != NULL)
		fclose(f);
}

/* The kernel knows every claim on it: mounts in any namespace, swap, mappings. */
static bool is_busy(struct attach_disk *d)
{
	const int fd = open(d->device, O_RDONLY | O_EXCL | O_CLOEXEC);
	char where[PATH_MAX];

	if (fd >= 0)
		close(fd);
	if (fd >= 0 || errno != EBUSY)
		return false;
	find_mount(d, where);
	if (where[0] != '\0')
		snprintf(d->text, sizeof d->text, "%.200s is mounted on %.200s", d->link,
			 where);
	else
		snprintf(d->text, sizeof d->text,
			 "%.200s is in use (mounted elsewhere, swap, LVM or RAID)",
			 d->link);
	return true;
}

/* ---- the whole ------------------------------------------------------------------------- */

/* A predecessor's helper may still be taking things away. */
static int take_lock(struct attach_disk *d)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s.lock", d->folder);
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (d->lock_fd < 0)
		return attach_helper_fail(d, errno, "%s", path);
	for (int ms = 0; flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0; ms += 20) {
		if (errno != EWOULDBLOCK || ms >= LOCK_MS)
			return attach_helper_fail(d, errno, "%s", path);
		if (attach_helper_pause(20))
			return -ECANCELED;
	}
	return 0;
}

/* The wanted method, or the first that can work here. */
static int choose(struct attach_disk *d)
{
	static const struct attach_method *const methods[] = { &attach_ublk,
							       &attach_kernel,
							       &attach_fuse };
	const bool any = strcmp(d->front_end, "auto") == 0;
	const struct attach_method *wanted = NULL;

	/* Clean up after a predecessor, whichever front-end it used. */
	attach_ublk.clean(d);
	attach_fuse.clean(d);
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		if (!any && strcmp(d->front_end, methods[i]->name) != 0)
			continue;
		wanted = methods[i];
		if (wanted->is_there()) {
			d->method = wanted;
			return 0;
		}
	}
	snprintf(d->text, sizeof d->text, "attach: %s: %s", d->front_end,
		 wanted != NULL ? wanted->missing : "not known");
	return -ENODEV;
}

static int attach(struct attach_disk *d)
{
	char where[PATH_MAX];
	int rc = take_lock(d);

	if (rc == 0)
		attach_mounts_detach(d->folder, where);
	if (rc == 0)
		rc = choose(d);
	if (rc == 0)
		rc = d->method->connect(d);
	return rc < 0 ? rc : make_link(d);
}

static void say_attached(const struct attach_disk *d)
{
	char text[PATH_MAX + 16];

	snprintf(text, sizeof text, "%s %s", d->device, d->method->name);
	attach_helper_say("attached", text);
}

static void release(struct attach_disk *d, bool force)
{
	/* One that never stood may be somebody else's. */
	const bool stood = d->linked;

	remove_link(d);
	if (force && stood)
		attach_mounts_note(d->folder, d->device);
	if (d->method != NULL)
		d->method->disconnect(d, force);
}

/* Write back data that the device's users have written and not flushed. That may wait for a
 * frozen mirror, so a child does it, and we listen meanwhile. Returns its errno, 0, or
 * ECANCELED. */
static int write_back(const struct attach_disk *d)
{
	const pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fsync(d->device_fd) == 0 ? 0 : errno);
	if (pid < 0)
		return errno;
	while (waitpid(pid, &status, WNOHANG) == 0)
		/* If it is to be by force, the server's end makes it return. */
		if (attach_helper_pause(10))
			return ECANCELED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

/* Returns true when the device can go, by force or not. */
static bool detach(struct attach_disk *d, bool *force)
{
	const int error = write_back(d);

	*force = error == ECANCELED;
	if (error == 0 || *force)
		return true;
	attach_helper_fail(d, error, "%s: its cached writes could not be written",
			   d->link);
	attach_helper_say("failed", d->text);
	return false;
}

/* Serve until it is time to go. Returns whether that is by force. */
static bool keep(struct attach_disk *d)
{
	char line[COMMAND_BYTES];
	bool force;

	while (!input_ended) {
		read_input(-1, d->server_pid_fd >= 0 ? d->server_pid_fd : d->watch_fd);
		if (d->method->has_ended(d)) {
			attach_helper_say("failed", d->text[0] != '\0' ?
							    d->text :
							    "its server has ended");
			return true;
		}
		while (next_command(line)) {
			d->text[0] = '\0';
			if (strcmp(line, "force") == 0)
				return true;
			if (strcmp(line, "check") == 0)
				attach_helper_say(is_busy(d) ? "busy" : "free", d->text);
			else if (strcmp(line, "detach") == 0 && detach(d, &force))
				return force;
		}
	}
	return true;
}

int agent_attach_helper(int argc, char **argv)
{
	struct attach_disk d = {
		.lock_fd = -1, .server_pid_fd = -1, .device_fd = -1, .watch_fd = -1
	};
	char who[CONFIG_NAME_MAX + 24];
	bool force = true;
	int rc;

	if (argc != 8) {
		fprintf(stderr, "%s is not for use by hand\n", AGENT_ATTACH_HELPER);
		return 2;
	}
	d.socket = argv[2];
	d.export = argv[3];
	d.folder = argv[4];
	d.link = argv[5];
	d.front_end = argv[6];
	signal(SIGPIPE, SIG_IGN);
	snprintf(who, sizeof who, "helper of disk %s", d.export);
	agent_last_words_open(who, "", argv[7]);
	rc = attach(&d);
	if (rc == 0) {
		say_attached(&d);
		force = keep(&d);
	} else if (rc != -ECANCELED) {
		attach_helper_say("failed", d.text);
	}
	release(&d, force);
	return rc < 0;
}
