/* watch_ask.c - see watch_ask.h. */
#include "agent/watch_ask.h"

#include <errno.h>

void watch_question_init(struct watch_question *q, const struct agent_instance *instance)
{
	*q = (struct watch_question){ .instance = *instance };
	pthread_mutex_init(&q->lock, NULL);
}

static void give_up(struct watch_question *q)
{
	if (q->is_open)
		cli_line_close(&q->line);
	q->is_open = q->is_asked = false;
}

void watch_question_close(struct watch_question *q)
{
	give_up(q);
}

static int ask_once(struct watch_question *q, json_t *request, json_t **reply)
{
	char text[512];
	int error = 0;

	if (!q->is_open) {
		error = cli_line_open(&q->instance, &q->line, text, sizeof text);
		if (error != 0)
			return error;
		q->is_open = true;
	}
	if (q->is_asked) {
		error = cli_line_next(&q->line, WATCH_ANSWER_MS / 2, reply);
		if (error != 0)
			return error;
		json_decref(*reply);
		*reply = NULL;
	}
	q->is_asked = true;
	error = cli_line_send(&q->line, json_incref(request));
	if (error == 0)
		error = cli_line_next(&q->line, WATCH_ANSWER_MS / 2, reply);
	q->is_asked = error == -ETIMEDOUT;
	return error;
}

json_t *watch_ask(struct watch_question *q, json_t *request, pid_t *pid)
{
	json_t *reply = NULL;
	bool was_open;
	int error;

	pthread_mutex_lock(&q->lock);
	was_open = q->is_open;
	error = ask_once(q, request, &reply);
	if (error != 0 && error != -ETIMEDOUT)
		give_up(q);
	/* The daemon closes a connection that was silent, or it is another daemon now. */
	if (error != 0 && error != -ETIMEDOUT && was_open &&
	    (error = ask_once(q, request, &reply)) != 0 && error != -ETIMEDOUT)
		give_up(q);
	if (pid != NULL)
		*pid = q->is_open ? q->line.pid : 0;
	pthread_mutex_unlock(&q->lock);
	json_decref(request);
	return reply;
}

json_t *watch_ask_status(struct watch_question *q, pid_t *pid)
{
	json_t *reply = watch_ask(q, json_pack("{s:s}", "command", "status"), pid);
	json_t *status = json_incref(json_object_get(reply, "status"));

	json_decref(reply);
	return status;
}
