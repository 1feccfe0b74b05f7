/* reach.c - see reach.h. */
#include "agent/reach.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/log_file.h"
#include "common/thread_driver.h"

#define LOOK_S 5

/* 0: it is not there. */
static uint64_t size_bytes(const char *path)
{
	const int fd = agent_device_open(path);
	off_t end;

	if (fd < 0)
		return 0;
	end = lseek(fd, 0, SEEK_END);
	close(fd);
	return end < 0 ? 0 : (uint64_t)end;
}

/* The remedy comes first: others are told the beginning only. */
static void no_log_yet(const struct config *config, uint32_t site, char *text,
		       size_t size)
{
	snprintf(text, size,
		 "no writelog of this mirror yet: stop hamirror here, `hamirror create "
		 "%s%s`, start it again (%s)",
		 config->instance, site == 0 ? "" : " --copy-of HOST",
		 config->site[site].writelog);
}

/* 0, or why not: -ENODATA and -ENXIO stay so until somebody changes it. */
static int log_is_there(const struct config *config, uint32_t site,
			struct agent_log_file *file, char *text, size_t size)
{
	const char *path = config->site[site].writelog;
	char why[256];
	int error = agent_log_file_open(path, file, text, size);

	if (error == -ENODATA) {
		no_log_yet(config, site, text, size);
	} else if (error == 0) {
		error = mirror_superblock_check_identity(&file->sb, config, site, why,
							 sizeof why);
		if (error != 0) {
			snprintf(text, size, "writelog %s: %s", path, why);
			error = -ENXIO;
		}
	}
	agent_log_file_close(file);
	return error;
}

/* As log_is_there(). `bytes`: of the disks that are there, 0 of others. */
static int site_is_there(const struct config *config, uint32_t site,
			 struct agent_log_file *file,
			 uint64_t bytes[CONFIG_DISK_COUNT_MAX], char *text, size_t size)
{
	int error = log_is_there(config, site, file, text, size);

	for (uint32_t d = 0; d < config->site[site].disk_count; d++) {
		const struct config_disk *disk = &config->site[site].disk[d];

		bytes[d] = size_bytes(disk->path);
		if (error == 0 && bytes[d] == 0) {
			snprintf(text, size, "disk %s (%s) is not there, or is empty",
				 disk->name, disk->path);
			error = -ENOENT;
		}
	}
	return error;
}

/* ---- a look that may not end ------------------------------------------------------ */

/* A look at a device that does not answer may never end, so a thread of its own looks. The
 * last of the two, that thread or the waiting one, frees this. */
struct look {
	pthread_mutex_t mutex;
	pthread_cond_t ended_or_left;
	bool ended, left;
	struct config config; /* ours, which goes with its owner, may be gone by then */
	uint32_t site;
	struct agent_log_file file;
	int error;
	uint64_t bytes[CONFIG_DISK_COUNT_MAX];
	char text[sizeof((struct cluster_self *)0)->reach_text];
};

static void look_free(struct look *l)
{
	pthread_cond_destroy(&l->ended_or_left);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

static void *look_run(void *data)
{
	struct look *l = data;
	bool left;

	l->error = site_is_there(&l->config, l->site, &l->file, l->bytes, l->text,
				 sizeof l->text);
	pthread_mutex_lock(&l->mutex);
	l->ended = true;
	left = l->left;
	pthread_cond_signal(&l->ended_or_left);
	pthread_mutex_unlock(&l->mutex);
	if (left)
		look_free(l);
	return NULL;
}

/* Signals are the loop's. */
static bool look_start(struct look *l)
{
	pthread_condattr_t clock;
	sigset_t before;
	pthread_t thread;
	int error;

	pthread_mutex_init(&l->mutex, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&l->ended_or_left, &clock);
	pthread_condattr_destroy(&clock);
	common_signals_block(&before);
	error = pthread_create(&thread, NULL, look_run, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_detach(thread);
	return error == 0;
}

/* False: it has not ended in time, and is its thread's from now on. */
static bool look_wait(struct look *l)
{
	struct timespec until;
	bool ended;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_S;
	pthread_mutex_lock(&l->mutex);
	while (!l->ended &&
	       pthread_cond_timedwait(&l->ended_or_left, &l->mutex, &until) != ETIMEDOUT)
		;
	ended = l->ended;
	l->left = !ended;
	pthread_mutex_unlock(&l->mutex);
	return ended;
}

/* NULL: a device of the site does not answer, or memory is short. */
static struct look *look_at(const struct config *config, uint32_t site)
{
	struct look *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->config = *config;
	l->site = site;
	if (!look_start(l)) {
		look_free(l);
		return NULL;
	}
	return look_wait(l) ? l : NULL;
}

void agent_reach_fill(const struct config *config, struct cluster_self *self)
{
	const int32_t own = config->node[self->node].site;

	self->reach = 0;
	self->reach_later = false;
	self->reach_text[0] = '\0';
	for (uint32_t s = 0; s < config->site_count; s++) {
		struct look *l = look_at(config, s);
		const bool there = l != NULL && l->error == 0;

		if (there)
			self->reach |= 1u << s;
		if ((int32_t)s == own && l != NULL)
			memcpy(self->disk_bytes, l->bytes, sizeof l->bytes);
		if ((int32_t)s == own && !there)
			snprintf(self->reach_text, sizeof self->reach_text, "%s",
				 l != NULL ?
					 l->text :
					 "a device of this site has not answered an "
					 "open: look at them, and start hamirror here "
					 "again");
		if ((int32_t)s == own && l != NULL)
			self->reach_later = !there && l->error != -ENODATA &&
					    l->error != -ENXIO;
		if (l != NULL)
			look_free(l);
	}
}
