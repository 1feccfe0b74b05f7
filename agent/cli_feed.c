/* cli_feed.c - see cli_feed.h. */
#include "agent/cli_feed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli_state.h"
#include "agent/events.h"
#include "agent/json_path.h"
#include "common/clock_driver.h"

#define ANSWER_MS 15000 /* the daemon gives its I/O thread 2 s */
#define SOONEST_MS 200
#define TEXT_MAX 1024

bool cli_feed_open(struct cli_feed *feed, const struct cli_names *names,
		   uint32_t interval_s)
{
	char text[TEXT_MAX];

	*feed = (struct cli_feed){ .interval_ms = interval_s * 1000 };
	feed->mirror = calloc(names->count, sizeof *feed->mirror);
	if (feed->mirror == NULL)
		return false;
	for (size_t i = 0; i < names->count; i++) {
		struct cli_feed_mirror *m = &feed->mirror[feed->count];

		m->line.fd = m->events.fd = -1;
		if (agent_instance_parse(names->name[i], &m->instance, text,
					 sizeof text) == 0)
			feed->count++;
	}
	return true;
}

/* ---- states ---------------------------------------------------------------- */

static void take_state(struct cli_feed_mirror *m, json_t *state)
{
	json_decref(m->state);
	m->state = state;
	m->state_count++;
}

/* The state of one whose daemon gives no status. */
static void take_reason(struct cli_feed_mirror *m, const char *mode, const char *text)
{
	take_state(m, json_pack("{s:s, s:s, s:s, s:[s]}", "mirror", m->instance.mirror,
				"instance", m->instance.name, "mode", mode, "why", text));
}

/* No status comes from a daemon, since `text`: begin anew at the next interval. */
static void without_answer(struct cli_feed *feed, struct cli_feed_mirror *m,
			   const char *mode, const char *text)
{
	take_reason(m, mode, text);
	cli_line_close(&m->line);
	cli_line_close(&m->events);
	m->asked = false;
	m->due_ms = common_clock_ms(CLOCK_BOOTTIME) + feed->interval_ms;
}

/* The daemon ends a connection that is idle for a minute, or has ended itself: ask on a new
 * one, which tells. */
static void hung_up(struct cli_feed_mirror *m)
{
	cli_line_close(&m->line);
	m->asked = false;
	if (m->due_ms > m->asked_ms + SOONEST_MS)
		m->due_ms = m->asked_ms + SOONEST_MS;
}

static void no_daemon(struct cli_feed *feed, struct cli_feed_mirror *m)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	uint32_t node;

	if (config == NULL || errors == NULL) {
		without_answer(feed, m, "stopped", "no memory");
	} else if (config_instance_load(&m->instance, NULL, config, &node, errors) != 0) {
		without_answer(feed, m, "stopped", errors->entry[0].text);
	} else {
		without_answer(feed, m, "stopped", "");
		take_state(m, cli_state_offline(&m->instance, config, node, false));
	}
	config_free(config);
	free(errors);
}

/* Returns true when a state is new, for there is no daemon to wait for. */
static bool ask(struct cli_feed *feed, struct cli_feed_mirror *m)
{
	char text[TEXT_MAX];
	const bool opens = m->line.fd < 0;
	int error = 0;

	if (opens)
		error = cli_line_try(&m->instance, &m->line, text, sizeof text);
	m->is_old = m->is_old && !opens;
	if (error == -ENOENT) {
		no_daemon(feed, m);
		return true;
	}
	if (error != 0) {
		without_answer(feed, m, "not reached", text);
		return true;
	}
	if (m->events.fd < 0 &&
	    cli_line_try(&m->instance, &m->events, text, sizeof text) == 0)
		cli_line_send(&m->events, json_pack("{s:s}", "command", "events"));
	cli_line_send(&m->line, json_pack("{s:s}", "command", "status"));
	m->asked = true;
	m->is_silent = false;
	m->asked_ms = common_clock_ms(CLOCK_BOOTTIME);
	return false;
}

/* Then one that was asked is called silent, once. */
static uint64_t silent_at(const struct cli_feed_mirror *m)
{
	return m->is_silent ? UINT64_MAX : m->asked_ms + ANSWER_MS;
}

static bool take_answer(struct cli_feed *feed, struct cli_feed_mirror *m)
{
	json_t *answer = NULL, *status;
	const int error = cli_line_next(&m->line, 0, &answer);

	if (error == -ETIMEDOUT && common_clock_ms(CLOCK_BOOTTIME) < silent_at(m))
		return false;
	status = json_incref(json_object_get(answer, "status"));
	json_decref(answer);
	if (error == -EPIPE && m->is_old) { /* it was idle for too long just then */
		hung_up(m);
		return false;
	}
	if (error == -ETIMEDOUT) {
		/* It may yet: another connection would only wait beside this one. */
		take_reason(m, "silent",
			    "The daemon does not answer; its log may tell why.");
		m->is_silent = true;
	} else if (error != 0 || status == NULL) {
		without_answer(feed, m, "not reached",
			       "The daemon has closed the connection.");
		m->due_ms = common_clock_ms(CLOCK_BOOTTIME) + SOONEST_MS;
	} else {
		cli_state_compare_file(&m->instance, status, &m->file);
		take_state(m, status);
		m->asked = false;
		m->is_old = true;
		m->due_ms = m->asked_ms + feed->interval_ms;
	}
	return true;
}

/* ---- events ---------------------------------------------------------------- */

static void keep_event(struct cli_feed_mirror *m, json_t *o)
{
	const struct agent_event event = {
		.verb = agent_json_text(o, "verb", ""),
		.object = agent_json_text(o, "object", ""),
		.text = agent_json_text(o, "text", ""),
		.rule = agent_json_text(o, "rule", ""),
	};
	char **slot = &m->event[m->event_next % CLI_FEED_EVENTS_MAX];
	char text[AGENT_EVENT_LINE_MAX], line[AGENT_EVENT_LINE_MAX + 40];

	agent_event_format(&event, text);
	snprintf(line, sizeof line, "%s %s", agent_json_text(o, "time", ""), text);
	free(*slot);
	*slot = strdup(line);
	m->event_next += *slot != NULL;
}

/* Returns true when one was new; the status is asked for then. What exists is in the status. */
static bool take_events(struct cli_feed_mirror *m)
{
	const uint32_t before = m->event_next;
	json_t *line = NULL, *event;
	int error;

	while ((error = cli_line_next(&m->events, 0, &line)) == 0) {
		event = json_object_get(line, "event");
		if (event != NULL &&
		    strcmp(agent_json_text(event, "verb", ""), "exists") != 0)
			keep_event(m, event);
		json_decref(line);
	}
	if (error != -ETIMEDOUT)
		cli_line_close(&m->events);
	if (m->event_next != before && m->due_ms > m->asked_ms + SOONEST_MS)
		m->due_ms = m->asked_ms + SOONEST_MS;
	return m->event_next != before;
}

/* ---- the turn -------------------------------------------------------------- */

/* Ask those that are due; the time until the next one is goes to `*wait_ms`. */
static bool ask_due(struct cli_feed *feed, uint64_t *wait_ms)
{
	const uint64_t now = common_clock_ms(CLOCK_BOOTTIME);
	bool news = false;

	*wait_ms = feed->interval_ms;
	for (size_t i = 0; i < feed->count; i++) {
		struct cli_feed_mirror *m = &feed->mirror[i];
		uint64_t at;

		if (!m->asked && m->due_ms <= now)
			news = ask(feed, m) || news;
		at = m->asked ? silent_at(m) : m->due_ms;
		if (at < now + *wait_ms)
			*wait_ms = at > now ? at - now : 0;
	}
	return news;
}

bool cli_feed_turn(struct cli_feed *feed, int fd)
{
	struct pollfd *poll_fd = calloc(2 * feed->count + 1, sizeof *poll_fd);
	uint64_t wait_ms;
	bool news = ask_due(feed, &wait_ms);

	if (poll_fd == NULL)
		return news;
	for (size_t i = 0; i < feed->count; i++) {
		poll_fd[2 * i].fd = feed->mirror[i].line.fd;
		poll_fd[2 * i + 1].fd = feed->mirror[i].events.fd;
	}
	poll_fd[2 * feed->count].fd = fd;
	for (size_t i = 0; i <= 2 * feed->count; i++)
		poll_fd[i].events = POLLIN;
	if (poll(poll_fd, 2 * feed->count + 1, news ? 0 : (int)wait_ms) >= 0)
		for (size_t i = 0; i < feed->count; i++) {
			struct cli_feed_mirror *m = &feed->mirror[i];

			if (m->asked && (poll_fd[2 * i].revents != 0 ||
					 common_clock_ms(CLOCK_BOOTTIME) >= silent_at(m)))
				news = take_answer(feed, m) || news;
			else if (!m->asked && m->line.fd >= 0 &&
				 poll_fd[2 * i].revents != 0)
				hung_up(m);
			if (m->events.fd >= 0 && poll_fd[2 * i + 1].revents != 0)
				news = take_events(m) || news;
		}
	free(poll_fd);
	return news;
}

void cli_feed_ask(struct cli_feed *feed, struct cli_feed_mirror *m)
{
	for (size_t i = 0; i < feed->count; i++)
		if (m == NULL || m == &feed->mirror[i])
			feed->mirror[i].due_ms = 0;
}

void cli_feed_close(struct cli_feed *feed)
{
	for (size_t i = 0; i < feed->count; i++) {
		struct cli_feed_mirror *m = &feed->mirror[i];

		json_decref(m->state);
		cli_line_close(&m->line);
		cli_line_close(&m->events);
		for (uint32_t e = 0; e < CLI_FEED_EVENTS_MAX; e++)
			free(m->event[e]);
	}
	free(feed->mirror);
}
