/* watch_question.c - see watch_question.h. */
#include "agent/watch_question.h"

#include <errno.h>

void watch_question_end(struct watch_question *q)
{
	if (q->is_open)
		cli_line_close(&q->line);
	q->is_open = q->is_asked = false;
}

static int ask_once(struct watch_question *q, json_t *request, json_t **reply)
{
	char text[512];
	int error = 0;

	if (!q->is_open) {
		error = cli_line_open(q->instance, &q->line, text, sizeof text);
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

json_t *watch_ask(struct watch_question *q, json_t *request)
{
	const bool was_open = q->is_open;
	json_t *reply = NULL;
	int error = ask_once(q, request, &reply);

	if (error != 0 && error != -ETIMEDOUT)
		watch_question_end(q);
	/* The daemon closes a connection that was silent, or it is another daemon now. */
	if (error != 0 && error != -ETIMEDOUT && was_open &&
	    (error = ask_once(q, request, &reply)) != 0 && error != -ETIMEDOUT)
		watch_question_end(q);
	json_decref(request);
	return reply;
}
