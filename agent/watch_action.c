/* watch_action.c - see watch_action.h. */
#include "agent/watch_action.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "agent/cli_line.h"
#include "agent/log.h"
#include "common/clock_driver.h"

#define REQUEST_BYTES_MAX 4096 /* a daemon takes no longer one */
#define RUNNING_MAX 4          /* start() names it */
#define WAIT_MS 120000 /* the daemon answers within the command's own time, far below */
#define LOOK_MS 200    /* so soon is an end of the watcher seen */

struct watch_actions {
	pthread_mutex_t lock; /* of all below, and of each action's `answer` */
	const struct watch_config *config;
	pthread_cond_t fewer;
	uint32_t running;
	bool ends;
};

struct watch_action {
	struct watch_actions *all;
	struct MHD_Connection *connection;
	struct agent_instance instance;
	json_t *request;
	pthread_t thread;
	char *answer;
};

struct watch_actions *watch_actions_open(const struct watch_config *config)
{
	struct watch_actions *all = calloc(1, sizeof *all);

	if (all == NULL)
		return NULL;
	all->config = config;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->fewer, NULL);
	return all;
}

/* What the page may ask of a daemon, which looks at the rest of a request. */
static bool may_be_asked(const char *command)
{
	static const char *const commands[] = {
		"promote", "demote", "connect", "disconnect", "bypass", "refresh", "mode",
	};

	for (size_t i = 0; command != NULL && i < sizeof commands / sizeof commands[0];
	     i++)
		if (strcmp(command, commands[i]) == 0)
			return true;
	return false;
}

static const char *command_of(const json_t *request)
{
	return json_string_value(json_object_get(request, "command"));
}

static bool is_of_file(const json_t *request)
{
	const char *command = command_of(request);

	return command != NULL && strcmp(command, "config") == 0;
}

static bool ends(struct watch_actions *all)
{
	bool end;

	pthread_mutex_lock(&all->lock);
	end = all->ends;
	pthread_mutex_unlock(&all->lock);
	return end;
}

/* No answer of the daemon: the page offers nothing because of it. */
static json_t *no_answer(const char *text)
{
	return json_pack("{s:i, s:b, s:s}", "exit", 1, "answered", 0, "text", text);
}

static json_t *ask(struct watch_action *a)
{
	const uint64_t until_ms = common_clock_ms(CLOCK_BOOTTIME) + WAIT_MS;
	struct cli_line line;
	json_t *reply = NULL;
	char text[512];
	int error = cli_line_open(&a->instance, &line, text, sizeof text);

	if (error != 0)
		return no_answer(text);
	error = cli_line_send(&line, json_incref(a->request));
	if (error == 0)
		do
			error = cli_line_next(&line, LOOK_MS, &reply);
		while (error == -ETIMEDOUT &&
		       common_clock_ms(CLOCK_BOOTTIME) < until_ms && !ends(a->all));
	cli_line_close(&line);
	if (error == 0)
		return reply;
	snprintf(text, sizeof text,
		 "the daemon has not answered (%s): it may go on with it",
		 strerror(-error));
	return no_answer(text);
}

static void *run(void *owner)
{
	struct watch_action *a = owner;
	json_t *reply = !is_of_file(a->request) ?
				ask(a) :
				watch_config_change(a->all->config, &a->instance,
						    a->request);
	char *answer = json_dumps(reply, JSON_COMPACT);
	const char *said = json_string_value(json_object_get(reply, "text"));

	agent_log(LOG_NOTICE, "%s: %s, asked by the page: %s", a->instance.name,
		  command_of(a->request), said != NULL ? said : "no text");
	json_decref(reply);
	pthread_mutex_lock(&a->all->lock);
	a->answer = answer != NULL ? answer : strdup("{}");
	MHD_resume_connection(a->connection);
	a->all->running--;
	pthread_cond_broadcast(&a->all->fewer);
	pthread_mutex_unlock(&a->all->lock);
	return NULL;
}

/* The request, with the instance taken out of it. Returns NULL with `text`. */
static json_t *read_request(const char *body, size_t length,
			    struct agent_instance *instance, char *text, size_t text_size)
{
	json_t *request = json_loadb(body, length, 0, NULL);
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *command = command_of(request);

	if (name == NULL)
		snprintf(text, text_size, "an object with a name is expected");
	else if (!is_of_file(request) && length > REQUEST_BYTES_MAX)
		snprintf(text, text_size, "it is too long");
	else if (!is_of_file(request) && !may_be_asked(command))
		snprintf(text, text_size, "the page cannot ask for \"%.40s\"",
			 command != NULL ? command : "");
	else if (agent_instance_parse(name, instance, text, text_size) == 0) {
		json_object_del(request, "name");
		json_object_del(request, "from");
		return request;
	}
	json_decref(request);
	return NULL;
}

/* The lock keeps the thread from resuming what is not yet suspended. Returns NULL, or why it
 * does not. */
static const char *start(struct watch_action *a)
{
	struct watch_actions *all = a->all;
	const char *why = NULL;

	pthread_mutex_lock(&all->lock);
	if (all->ends)
		why = "the watcher ends";
	else if (all->running == RUNNING_MAX)
		why = "4 commands are under way: wait for one of them";
	else if (pthread_create(&a->thread, NULL, run, a) != 0)
		why = "no thread can be started";
	if (why == NULL) {
		all->running++;
		MHD_suspend_connection(a->connection);
	}
	pthread_mutex_unlock(&all->lock);
	return why;
}

struct watch_action *watch_action_begin(struct watch_actions *all,
					struct MHD_Connection *connection,
					const char *body, size_t length, char *text,
					size_t text_size)
{
	struct watch_action *a = calloc(1, sizeof *a);
	const char *why;

	snprintf(text, text_size, "memory is short");
	if (a == NULL)
		return NULL;
	a->all = all;
	a->connection = connection;
	a->request = read_request(body, length, &a->instance, text, text_size);
	why = a->request != NULL ? start(a) : text;
	if (why == NULL)
		return a;
	if (why != text)
		snprintf(text, text_size, "%s", why);
	json_decref(a->request);
	free(a);
	return NULL;
}

const char *watch_action_answer(struct watch_action *a)
{
	const char *answer;

	pthread_mutex_lock(&a->all->lock);
	answer = a->answer;
	pthread_mutex_unlock(&a->all->lock);
	return answer;
}

void watch_action_free(struct watch_action *a)
{
	if (a == NULL)
		return;
	pthread_join(a->thread, NULL);
	json_decref(a->request);
	free(a->answer);
	free(a);
}

void watch_actions_end(struct watch_actions *all)
{
	pthread_mutex_lock(&all->lock);
	all->ends = true;
	while (all->running > 0)
		pthread_cond_wait(&all->fewer, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

void watch_actions_close(struct watch_actions *all)
{
	free(all);
}
