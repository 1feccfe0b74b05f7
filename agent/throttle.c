/* throttle.c - see throttle.h. */
#include "agent/throttle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000ull

const char *const throttle_test_words[] = { "netkbps", "pctcpu",    "pctwl", "link",
					    "lag-ms",  "lag-bytes", NULL };
const char *const throttle_operator_words[] = { ">",  ">=",    "<",     "<=", "==",
						"!=", "rises", "falls", NULL };
const char *const throttle_verb_words[] = { "sleep-set", "sleep-inc", "sleep-dec",
					    "delay-set", "delay-inc", "delay-dec",
					    "mode",      "log",       "console",
					    "mail",      "exec",      NULL };

uint64_t throttle_wait_ns(const struct throttles *t, struct throttle_state *s,
			  uint64_t now_ns)
{
	const uint64_t period_ns = t->period_ms * NS_PER_MS;

	if (now_ns < s->next_ns)
		return s->next_ns - now_ns;
	s->next_ns = now_ns - s->next_ns < period_ns ? s->next_ns + period_ns :
						       now_ns + period_ns;
	return 0;
}

static bool is_open(uint32_t from_s, uint32_t to_s, uint32_t second)
{
	if (from_s == THROTTLE_ALWAYS)
		return true;
	if (from_s < to_s)
		return second >= from_s && second < to_s;
	return second >= from_s || second < to_s;
}

static bool holds(const struct throttle *t, uint64_t now, bool last_known, uint64_t last)
{
	switch ((enum throttle_operator)t->operator) {
	case THROTTLE_ABOVE:
		return now > t->value;
	case THROTTLE_ABOVE_EQUAL:
		return now >= t->value;
	case THROTTLE_BELOW:
		return now < t->value;
	case THROTTLE_BELOW_EQUAL:
		return now <= t->value;
	case THROTTLE_EQUAL:
		return now == t->value;
	case THROTTLE_UNEQUAL:
		return now != t->value;
	case THROTTLE_RISES:
		return last_known && last <= t->value && now > t->value;
	case THROTTLE_FALLS:
		return last_known && last >= t->value && now < t->value;
	}
	return false;
}

static uint32_t add(uint32_t us, uint32_t more)
{
	return more < THROTTLE_US_MAX - us ? us + more : THROTTLE_US_MAX;
}

static uint32_t take(uint32_t us, uint32_t less)
{
	return us > less ? us - less : 0;
}

bool throttle_slows(const struct throttle_action *action)
{
	return action->verb <= THROTTLE_MODE;
}

/* False: it is for others to carry out. */
static bool change(struct throttle_state *s, const struct throttle_action *a)
{
	switch (a->verb) {
	case THROTTLE_SLEEP_SET:
		s->sleep_us = add(0, a->us);
		return true;
	case THROTTLE_SLEEP_INC:
		s->sleep_us = add(s->sleep_us, a->us);
		return true;
	case THROTTLE_SLEEP_DEC:
		s->sleep_us = take(s->sleep_us, a->us);
		return true;
	case THROTTLE_DELAY_SET:
		s->delay_us = add(0, a->us);
		return true;
	case THROTTLE_DELAY_INC:
		s->delay_us = add(s->delay_us, a->us);
		return true;
	case THROTTLE_DELAY_DEC:
		s->delay_us = take(s->delay_us, a->us);
		return true;
	case THROTTLE_MODE:
	case THROTTLE_LOG:
	case THROTTLE_CONSOLE:
	case THROTTLE_MAIL:
	case THROTTLE_EXEC:
	case THROTTLE_VERB_COUNT:
		break;
	}
	return false;
}

void throttle_period(const struct throttles *t, struct throttle_state *s,
		     const struct throttle_figures *figures, uint32_t second,
		     void (*act)(void *data, const struct throttle *throttle,
				 const struct throttle_action *action),
		     void *data)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct throttle *throttle = &t->throttle[i];
		const uint32_t test = throttle->test;

		if (!figures->known[test] ||
		    !is_open(throttle->from_s, throttle->to_s, second) ||
		    !holds(throttle, figures->value[test], s->last.known[test],
			   s->last.value[test]))
			continue;
		for (uint32_t a = 0; a < throttle->action_count; a++)
			if (s->at_copy || !change(s, &throttle->action[a]))
				act(data, throttle, &throttle->action[a]);
	}
	for (uint32_t i = 0; i < THROTTLE_TEST_COUNT; i++)
		if (figures->known[i]) {
			s->last.known[i] = true;
			s->last.value[i] = figures->value[i];
		}
}

void throttle_rest(struct throttle_state *s, bool at_copy)
{
	s->at_copy = at_copy;
	s->last = (struct throttle_figures){ 0 };
	s->sleep_us = s->delay_us = 0;
}

uint64_t throttle_bandwidth(const struct throttles *t, uint32_t second)
{
	return t->bandwidth != 0 &&
			       is_open(t->bandwidth_from_s, t->bandwidth_to_s, second) ?
		       t->bandwidth :
		       0;
}

void throttle_value_text(uint32_t test, uint64_t value, char *text, size_t size)
{
	if (test == THROTTLE_LINK)
		snprintf(text, size, "%s", value != 0 ? "up" : "down");
	else
		snprintf(text, size, "%" PRIu64, value);
}

void throttle_text(const struct throttle *t, const struct throttle_action *action,
		   const struct throttle_figures *figures, const char *mirror,
		   const char *host, const char *time, char *text, size_t size)
{
	char value[24];
	const char *const marks[] = {
		['m'] = mirror,  ['h'] = host,
		['n'] = t->name, ['t'] = throttle_test_words[t->test],
		['v'] = value,   ['T'] = time,
		['%'] = "%",
	};
	size_t used = 0;

	throttle_value_text(t->test, figures->value[t->test], value, sizeof value);
	text[0] = '\0';
	for (const char *c = action->text; *c != '\0' && used < size - 1; c++) {
		const unsigned char mark = c[0] == '%' ? (unsigned char)c[1] : 0;
		const char *insert = mark < sizeof marks / sizeof marks[0] ? marks[mark] :
									     NULL;

		if (insert == NULL) {
			text[used++] = *c;
			text[used] = '\0';
			continue;
		}
		snprintf(text + used, size - used, "%s", insert);
		used += strlen(text + used);
		c++;
	}
}

void throttles_free(struct throttles *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->count; i++)
		for (uint32_t a = 0; a < t->throttle[i].action_count; a++) {
			free(t->throttle[i].action[a].text);
			free(t->throttle[i].action[a].to);
		}
	free(t->throttle);
	free(t);
}
