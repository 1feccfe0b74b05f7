/* watch_scrape.c - see watch_scrape.h. */
#include "agent/watch_scrape.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct watch_scrape {
	struct watch_scrapes *all;
	struct MHD_Connection *connection;
	char *text;
	struct watch_scrape *next;
};

struct watch_scrapes {
	char *(*metrics)(void *owner);
	void *owner;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below, and of each scrape */
	pthread_cond_t change;
	struct watch_scrape *waiting;
	bool ends;
};

/* With the lock: a scrape may be freed as soon as its connection goes on. */
static void answer(struct watch_scrape *first, const char *text)
{
	struct watch_scrape *next;

	for (struct watch_scrape *s = first; s != NULL; s = next) {
		next = s->next;
		s->text = text != NULL ? strdup(text) : NULL;
		MHD_resume_connection(s->connection);
	}
}

static void *run(void *owner)
{
	struct watch_scrapes *all = owner;
	struct watch_scrape *asked;
	char *text;

	pthread_mutex_lock(&all->lock);
	while (!all->ends) {
		if (all->waiting == NULL) {
			pthread_cond_wait(&all->change, &all->lock);
			continue;
		}
		asked = all->waiting;
		all->waiting = NULL;
		pthread_mutex_unlock(&all->lock);
		text = all->metrics(all->owner);
		pthread_mutex_lock(&all->lock);
		answer(asked, text);
		free(text);
	}
	answer(all->waiting, NULL);
	all->waiting = NULL;
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

struct watch_scrapes *watch_scrapes_open(char *(*metrics)(void *owner), void *owner)
{
	struct watch_scrapes *all = calloc(1, sizeof *all);

	if (all == NULL)
		return NULL;
	all->metrics = metrics;
	all->owner = owner;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->change, NULL);
	if (pthread_create(&all->thread, NULL, run, all) == 0)
		return all;
	free(all);
	return NULL;
}

struct watch_scrape *watch_scrape_begin(struct watch_scrapes *all,
					struct MHD_Connection *connection)
{
	struct watch_scrape *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->all = all;
	s->connection = connection;
	/* The lock keeps the thread from resuming what is not yet suspended. */
	pthread_mutex_lock(&all->lock);
	if (all->ends) {
		free(s);
		s = NULL;
	} else {
		MHD_suspend_connection(connection);
		s->next = all->waiting;
		all->waiting = s;
		pthread_cond_signal(&all->change);
	}
	pthread_mutex_unlock(&all->lock);
	return s;
}

const char *watch_scrape_text(struct watch_scrape *s)
{
	const char *text;

	pthread_mutex_lock(&s->all->lock);
	text = s->text;
	pthread_mutex_unlock(&s->all->lock);
	return text;
}

void watch_scrape_free(struct watch_scrape *s)
{
	struct watch_scrapes *all;

	if (s == NULL)
		return;
	all = s->all;
	pthread_mutex_lock(&all->lock);
	free(s->text);
	free(s);
	pthread_mutex_unlock(&all->lock);
}

void watch_scrapes_end(struct watch_scrapes *all)
{
	pthread_mutex_lock(&all->lock);
	all->ends = true;
	pthread_cond_signal(&all->change);
	pthread_mutex_unlock(&all->lock);
	pthread_join(all->thread, NULL);
}

void watch_scrapes_close(struct watch_scrapes *all)
{
	free(all);
}
