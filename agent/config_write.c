/* config_write.c - see config_write.h. */
#include "agent/config_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/config.h"
#include "common/clock_driver.h"
#include "mirror/drivers/disk_holder_driver.h"

#define TURN_MS 10000u /* a writer that goes on needs a moment */
#define LOOK_NS 20000000

/* ---- text ------------------------------------------------------------------ */

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line == '\n' ? line + 1 : line;
}

static size_t indent_of(const char *line)
{
	return strspn(line, " ");
}

/* Neither empty nor a comment alone. */
static bool says_something(const char *line)
{
	line += indent_of(line);
	return *line != '\n' && *line != '\0' && *line != '#';
}

/* Is the key of this line `key` (of `length`)? */
static bool has_key(const char *line, const char *key, size_t length)
{
	line += indent_of(line);
	return strncmp(line, key, length) == 0 && line[length] == ':' &&
	       strchr(" \t\n", line[length + 1]) != NULL;
}

/* The line of `key` among those with the indent of the first one that says something, from
 * `at` to `end`; NULL: there is none. That indent goes to `*indent`. */
static const char *find_key(const char *at, const char *end, const char *key,
			    size_t length, size_t *indent)
{
	bool known = false;

	for (; at < end; at = next_line(at)) {
		if (!says_something(at))
			continue;
		if (!known)
			*indent = indent_of(at);
		known = true;
		if (indent_of(at) == *indent && has_key(at, key, length))
			return at;
	}
	return NULL;
}

/* The end of what belongs to the key at `line`: the next line that says something with no more
 * indent. A list may stand at the indent of its key. */
static const char *end_of(const char *line)
{
	const size_t indent = indent_of(line);
	const char *last = next_line(line);

	for (const char *at = last; *at != '\0'; at = next_line(at)) {
		if (!says_something(at))
			continue;
		if (indent_of(at) < indent ||
		    (indent_of(at) == indent && at[indent] != '-'))
			break;
		last = next_line(at);
	}
	return last;
}

/* Where the value behind `from` ends, and a comment begins, or the line's end. */
static const char *value_end(const char *from)
{
	const char *end = from;
	char quote = '\0';

	for (; *end != '\n' && *end != '\0'; end++) {
		if (quote != '\0')
			quote = *end == quote ? '\0' : quote;
		else if ((*end == '"' || *end == '\'') && (end == from || end[-1] == ' '))
			quote = *end;
		else if (*end == '#' && end > from && strchr(" \t", end[-1]) != NULL)
			break;
	}
	while (end > from && strchr(" \t", end[-1]) != NULL)
		end--;
	return end;
}

/* before, `line` and what follows `after`. */
static char *spliced(const char *text, const char *before, const char *line,
		     const char *after)
{
	const bool open = before > text && before[-1] != '\n';
	const size_t length = (size_t)(before - text);
	const size_t size = length + strlen(line) + strlen(after) + 2;
	char *out = malloc(size);

	if (out == NULL)
		return NULL;
	memcpy(out, text, length);
	snprintf(out + length, size - length, "%s%s%s",
		 open && strchr(line, '\n') != NULL ? "\n" : "", line, after);
	return out;
}

static char *replaced(const char *text, const char *line, const char *value, char *why,
		      size_t why_size)
{
	const char *from = strchr(line, ':') + 1;
	const char *after = value_end(from + strspn(from, " \t"));
	char with[1024];

	if (end_of(line) != next_line(line) || strchr("|>&", from[strspn(from, " ")])) {
		snprintf(why, why_size,
			 "its value fills more than one line, or none: `hamirror config "
			 "edit NAME` changes it");
		return NULL;
	}
	snprintf(with, sizeof with, " %s", value);
	return spliced(text, from, with, after);
}

static char *added(const char *text, const char *at, size_t indent, const char *key,
		   const char *value)
{
	char line[1280];

	snprintf(line, sizeof line, "%*s%s: %s\n", (int)indent, "", key, value);
	return spliced(text, at, line, at);
}

char *config_text_set(const char *text, const char *key, const char *value, char *why,
		      size_t why_size)
{
	const char *end = text + strlen(text), *dot = strchr(key, '.'), *line, *inner;
	const size_t length = dot != NULL ? (size_t)(dot - key) : strlen(key);
	size_t indent = 0;

	if (strlen(value) > 512 || strlen(key) > 128 || strchr(value, '\n') != NULL) {
		snprintf(why, why_size, "it is too long, or has a line break");
		return NULL;
	}
	snprintf(why, why_size, "no memory");
	line = find_key(text, end, key, length, &indent);
	if (dot == NULL)
		return line != NULL ? replaced(text, line, value, why, why_size) :
				      added(text, end, indent, key, value);
	if (line == NULL || end_of(line) == next_line(line)) {
		snprintf(why, why_size,
			 "%.*s has no lines of its own here: `hamirror config edit NAME` "
			 "changes it",
			 (int)length, key);
		return NULL;
	}
	inner = find_key(next_line(line), end_of(line), dot + 1, strlen(dot + 1),
			 &indent);
	return inner != NULL ? replaced(text, inner, value, why, why_size) :
			       added(text, end_of(line), indent, dot + 1, value);
}

/* ---- an item of a list ----------------------------------------------------- */

/* `item`, with `indent` before each of its lines; a new text, or NULL: no memory. */
static char *indented(const char *head, const char *item, size_t indent)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fputs(head, out);
	for (const char *line = item; *line != '\0'; line = next_line(line))
		fprintf(out, "%*s%.*s", (int)indent, "", (int)(next_line(line) - line),
			line);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* The next item, from `at` to `end`, of a list with this indent; NULL: there is none. */
static const char *find_item(const char *at, const char *end, size_t indent)
{
	for (; at < end; at = next_line(at))
		if (says_something(at) && indent_of(at) == indent && at[indent] == '-')
			return at;
	return NULL;
}

/* The item at `line` ends before what has no more indent; comments before that stay. */
static const char *item_end(const char *line, const char *end)
{
	const size_t indent = indent_of(line);
	const char *last = next_line(line);

	for (const char *at = last; at < end; at = next_line(at)) {
		if (!says_something(at))
			continue;
		if (indent_of(at) <= indent)
			break;
		last = next_line(at);
	}
	return last;
}

/* In the list of the key at `line`. */
static char *with_item(const char *text, const char *line, uint32_t index,
		       const char *item, char *why, size_t why_size)
{
	const char *end = end_of(line), *first = next_line(line), *at, *after = NULL;
	char *lines, *out;
	size_t indent;

	while (first < end && !says_something(first))
		first = next_line(first);
	indent = indent_of(first);
	at = find_item(first, end, indent);
	if (strspn(strchr(line, ':') + 1, " \t") !=
		    strcspn(strchr(line, ':') + 1, "#\n") ||
	    at != first) {
		snprintf(why, why_size,
			 "the list lies in [...]: change the file as a text");
		return NULL;
	}
	for (; at != NULL && index > 0; index--) {
		after = item_end(at, end);
		at = find_item(after, end, indent);
	}
	if (index > 0 || (at == NULL && item == NULL)) {
		snprintf(why, why_size, "there is no such item any more");
		return NULL;
	}
	if (item == NULL && after == NULL &&
	    find_item(item_end(at, end), end, indent) == NULL)
		return spliced(text, line, "",
			       item_end(at, end)); /* an empty list is none */
	lines = indented("", item != NULL ? item : "", indent);
	out = lines == NULL ? NULL :
	      at != NULL    ? spliced(text, at, lines, item_end(at, end)) :
			      spliced(text, after, lines, after);
	free(lines);
	return out;
}

char *config_text_set_item(const char *text, const char *key, uint32_t index,
			   const char *item, char *why, size_t why_size)
{
	const char *end = text + strlen(text);
	char head[CONFIG_NAME_MAX + 2], *lines, *out;
	size_t indent = 0;
	const char *line = find_key(text, end, key, strlen(key), &indent);

	snprintf(why, why_size, "no memory");
	if (line != NULL)
		return with_item(text, line, index, item, why, why_size);
	if (index > 0 || item == NULL) {
		snprintf(why, why_size, "there is no such item any more");
		return NULL;
	}
	snprintf(head, sizeof head, "%s:\n", key);
	lines = indented(head, item, 2);
	out = lines != NULL ? spliced(text, end, lines, end) : NULL;
	free(lines);
	return out;
}

/* ---- files ----------------------------------------------------------------- */

char *config_file_read(const char *path, int *error)
{
	FILE *file = fopen(path, "re");
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	size_t length = 0;

	*error = file == NULL ? -errno : text == NULL ? -ENOMEM : 0;
	if (*error == 0) {
		length = fread(text, 1, CONFIG_FILE_BYTES_MAX, file);
		*error = ferror(file) ? -EIO : fgetc(file) != EOF ? -EFBIG : 0;
	}
	if (file != NULL)
		fclose(file);
	if (*error != 0) {
		free(text);
		return NULL;
	}
	text[length] = '\0';
	return text;
}

/* The name of a file beside `path`, to PATH_MAX bytes at `name`. config_load() wants no ending,
 * and a dot hides it from `status`. */
static int name_beside(const char *path, const char *ending, char *name)
{
	const char *slash = strrchr(path, '/');
	const int folder = slash != NULL ? (int)(slash - path) + 1 : 0;

	return snprintf(name, PATH_MAX, "%.*s.%s.%s", folder, path, path + folder,
			ending) < PATH_MAX ?
		       0 :
		       -ENAMETOOLONG;
}

int config_draft_write(const char *path, const char *text, char *draft)
{
	const size_t length = strlen(text);
	struct stat st;
	int fd, error = name_beside(path, "XXXXXX", draft);

	if (error != 0)
		return error;
	if (stat(path, &st) != 0) {
		if (errno != ENOENT)
			return -errno;
		st = (struct stat){ .st_uid = geteuid(),
				    .st_gid = getegid(),
				    .st_mode = 0644 };
	}
	fd = mkostemp(draft, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length)
		error = errno != 0 ? -errno : -ENOSPC;
	if (error == 0 && (fchown(fd, st.st_uid, st.st_gid) != 0 ||
			   fchmod(fd, st.st_mode & 07777) != 0 || fsync(fd) != 0))
		error = -errno;
	close(fd);
	if (error != 0)
		unlink(draft);
	return error;
}

static int sync_file(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const int error = fd < 0 || fsync(fd) != 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

static void sync_folder(const char *path)
{
	char folder[PATH_MAX];
	char *slash;

	snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[1] = '\0';
	sync_file(slash != NULL ? folder : ".");
}

/* ---- one writer at a time -------------------------------------------------- */

static bool is_at(int fd, const char *path)
{
	struct stat held, there;

	return fstat(fd, &held) == 0 && stat(path, &there) == 0 &&
	       held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

/* Returns 0, -ETIMEDOUT or another -errno. */
static int lock_until(int fd, uint64_t until_ms)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (common_clock_ms(CLOCK_BOOTTIME) >= until_ms)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Wait for our turn to replace `path`. The lock is a file of its own: the one at `path` becomes
 * another one, and a folder could be locked by whoever may read it. Its owner removes it, so
 * that we may have waited for one that is there no more. Returns its descriptor or -errno;
 * -ETIMEDOUT: its owner does not end. */
static int take_turn(const char *path, char *lock)
{
	const uint64_t until_ms = common_clock_ms(CLOCK_BOOTTIME) + TURN_MS;
	int fd, error = name_beside(path, "lock", lock);

	while (error == 0) {
		fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		error = lock_until(fd, until_ms);
		if (error == 0 && is_at(fd, lock))
			return fd;
		close(fd);
	}
	return error;
}

/* Why we may not replace it. */
static void say_why(int error, const char *lock, char *why, size_t why_size)
{
	char holder[200] = "in use by another process";
	struct stat st;

	if (error == -ESTALE) {
		snprintf(why, why_size,
			 "it was changed meanwhile: nothing was written; "
			 "begin again");
	} else if (error == -ETIMEDOUT) {
		if (stat(lock, &st) == 0)
			disk_holder_find(&st, holder, sizeof holder);
		snprintf(why, why_size,
			 "another change of it does not end: nothing was written; %s is "
			 "%s (kill -KILL ends one that hangs), then begin again",
			 lock, holder);
	} else {
		snprintf(why, why_size, "%s: nothing was written", strerror(-error));
	}
}

static void end_turn(int fd, const char *lock)
{
	unlink(lock);
	close(fd);
}

static bool says(const char *path, const char *text)
{
	int error;
	char *now = config_file_read(path, &error);
	const bool same = now != NULL && strcmp(now, text) == 0;

	free(now);
	return same;
}

/* As config_draft_accept(), without its text, and not yet durable; the lock's name is left in
 * `lock`. */
static int accept_in_turn(const char *path, const char *draft, const char *was,
			  bool replace, char *lock)
{
	int fd, error = sync_file(draft);

	if (error != 0)
		return error;
	fd = take_turn(path, lock);
	if (fd < 0)
		return fd;
	if (was != NULL && !says(path, was))
		error = -ESTALE;
	else if ((replace ? rename(draft, path) : link(draft, path)) != 0)
		error = -errno;
	end_turn(fd, lock);
	return error;
}

int config_draft_accept(const char *path, const char *draft, const char *was,
			bool replace, char *why, size_t why_size)
{
	char lock[PATH_MAX] = "";
	const int error = accept_in_turn(path, draft, was, replace, lock);

	if (error != 0) {
		say_why(error, lock, why, why_size);
		return error;
	}
	if (!replace)
		unlink(draft);
	sync_folder(path);
	return 0;
}
