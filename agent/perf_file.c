/* perf_file.c - the performance file and its older generation: see perf.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/perf.h"

/* Other programs read it: it holds nothing secret. */
#define FILE_MODE 0644

int perf_file_init(struct perf_file *f, const struct agent_instance *instance,
		   uint64_t bytes_max)
{
	const int error = agent_path(instance, AGENT_PATH_PERF, f->path);
	const int length = snprintf(f->old_path, sizeof f->old_path, "%s.1", f->path);

	f->fd = -1;
	f->bytes_max = bytes_max;
	return error == 0 && (size_t)length >= sizeof f->old_path ? -ENAMETOOLONG : error;
}

void perf_file_close(struct perf_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* Is the file of that name the one that is open? */
static bool is_there(const struct perf_file *f)
{
	struct stat named, open;

	return f->fd >= 0 && stat(f->path, &named) == 0 && fstat(f->fd, &open) == 0 &&
	       named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

static int open_locked(struct perf_file *f)
{
	int error;

	if (is_there(f))
		return 0;
	perf_file_close(f);
	f->fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		     FILE_MODE);
	if (f->fd < 0)
		return -errno;
	if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	error = -errno;
	perf_file_close(f);
	return error;
}

/* The size up to the last line break. Returns -errno. */
static int64_t whole_bytes(int fd)
{
	char text[PERF_ROW_BYTES_MAX];
	struct stat st;
	int64_t end;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return -errno;
	for (end = st.st_size; end > 0; end -= n) {
		const int64_t from = end > (int64_t)sizeof text ?
					     end - (int64_t)sizeof text :
					     0;
		const char *last;

		n = pread(fd, text, (size_t)(end - from), from);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		last = memrchr(text, '\n', (size_t)n);
		if (last != NULL)
			return from + (last - text) + 1;
	}
	return 0;
}

/* The full one becomes the older generation. */
static int turn_over(struct perf_file *f)
{
	if (rename(f->path, f->old_path) != 0)
		return -errno;
	return open_locked(f);
}

int perf_file_add(struct perf_file *f, const char *rows)
{
	const size_t length = strlen(rows);
	int error = open_locked(f);
	int64_t bytes;
	ssize_t n;

	if (length > f->bytes_max)
		return -EFBIG;
	if (error != 0)
		return error;
	bytes = whole_bytes(f->fd);
	if (bytes < 0)
		return (int)bytes;
	if (ftruncate(f->fd, bytes) != 0)
		return -errno;
	if ((uint64_t)bytes + length > f->bytes_max) {
		error = turn_over(f);
		if (error != 0)
			return error;
		bytes = 0;
	}
	n = write(f->fd, rows, length);
	if (n == (ssize_t)length)
		return 0;
	error = n < 0 ? -errno : -ENOSPC;
	if (ftruncate(f->fd, bytes) != 0)
		return -errno; /* the next one cuts the half row off */
	return error;
}

/* ---- read ------------------------------------------------------------------------ */

static struct perf_row *new_row(struct perf_table *t)
{
	if (t->count == t->size) {
		const size_t size = t->size == 0 ? 1024 : 2 * t->size;
		struct perf_row *row = realloc(t->row, size * sizeof *row);

		if (row == NULL)
			return NULL;
		t->row = row;
		t->size = size;
	}
	return &t->row[t->count];
}

static int64_t file_bytes(FILE *file)
{
	struct stat of;

	return file != NULL && fstat(fileno(file), &of) == 0 ? of.st_size : 0;
}

/* Of the last `bytes_max` of the file. */
static int read_rows(struct perf_table *t, FILE *file, int64_t bytes_max,
		     uint64_t since_s, const char *disk)
{
	const int64_t skipped = file_bytes(file) - bytes_max;
	char line[PERF_ROW_BYTES_MAX];

	/* From the byte before on: a line break there leaves the first row whole. */
	if (skipped > 0 && (fseeko(file, skipped - 1, SEEK_SET) != 0 ||
			    fgets(line, sizeof line, file) == NULL))
		return ferror(file) ? -EIO : 0;
	while (fgets(line, sizeof line, file) != NULL) {
		struct perf_row *row = new_row(t);

		if (row == NULL)
			return -ENOMEM;
		t->count += perf_row_parse(line, row) && row->time_s >= since_s &&
			    (disk == NULL || strcmp(disk, row->disk) == 0);
	}
	return ferror(file) ? -EIO : 0;
}

static bool is_same(FILE *a, FILE *b)
{
	struct stat of_a, of_b;

	return fstat(fileno(a), &of_a) == 0 && fstat(fileno(b), &of_b) == 0 &&
	       of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

static int read_both(struct perf_table *t, const char *path, int64_t bytes_max,
		     uint64_t since_s, const char *disk)
{
	char old_path[PATH_MAX + 2];
	FILE *now, *old;
	int error = 0;

	*t = (struct perf_table){ 0 };
	snprintf(old_path, sizeof old_path, "%s.1", path);
	/* In this order: the newer one may become the older one meanwhile, not be missed. */
	now = fopen(path, "re");
	error = now == NULL ? -errno : 0;
	old = fopen(old_path, "re");
	if (old == NULL && error == 0 && errno != ENOENT)
		error = -errno;
	if (old != NULL && (error == 0 || error == -ENOENT))
		error = now != NULL && is_same(now, old) ?
				0 :
				read_rows(t, old, bytes_max - file_bytes(now), since_s,
					  disk);
	if (now != NULL && error == 0)
		error = read_rows(t, now, bytes_max, since_s, disk);
	if (now != NULL)
		fclose(now);
	if (old != NULL)
		fclose(old);
	return error;
}

int perf_table_read(struct perf_table *t, const char *path, uint64_t since_s,
		    const char *disk)
{
	return read_both(t, path, INT64_MAX, since_s, disk);
}

int perf_table_read_end(struct perf_table *t, const char *path, uint32_t bytes_max)
{
	return read_both(t, path, bytes_max, 0, NULL);
}

/* The row of the disk of `row` before it, -1: or after it, 1; NULL: there is none. */
static const struct perf_row *neighbour(const struct perf_table *t,
					const struct perf_row *row, int step)
{
	const struct perf_row *end = step < 0 ? t->row - 1 : t->row + t->count;

	for (const struct perf_row *r = row + step; r != end; r += step)
		if (strcmp(r->disk, row->disk) == 0)
			return r;
	return NULL;
}

/* From row to row; 0: not known, also because the clock was set back. */
static uint64_t seconds_between(const struct perf_row *a, const struct perf_row *b)
{
	return a != NULL && b != NULL && a->time_s < b->time_s ? b->time_s - a->time_s :
								 0;
}

uint64_t perf_table_begin_s(const struct perf_table *t, size_t row)
{
	const struct perf_row *r = &t->row[row], *before = neighbour(t, r, -1);
	const struct perf_row *after = neighbour(t, r, 1);
	const uint64_t since = seconds_between(before, r);
	uint64_t period = seconds_between(r, after);

	if (after == NULL && before != NULL)
		period = seconds_between(neighbour(t, before, -1), before);
	if (since == 0 || (period != 0 && since > 3 * period))
		return r->time_s - period;
	return before->time_s;
}

void perf_table_free(struct perf_table *t)
{
	free(t->row);
	*t = (struct perf_table){ 0 };
}
