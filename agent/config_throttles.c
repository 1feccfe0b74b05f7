/* config_throttles.c - the keys `throttles`, `throttle-period` and `bandwidth` of the file. */
#include "agent/config_throttles.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/throttle.h"

#define PERIOD_MS_MIN 100
#define PERIOD_MS_MAX 600000
#define VALUE_MAX (1ull << 40)
#define SECONDS_MAX 3600
#define TEXT_BYTES_MAX 1000u

/* The action that is being read. */
struct reading {
	struct throttle_action action;
	uint32_t verb_count;
};

/* All of the file, made at the first key that names one. NULL: no memory, and an error. */
static struct throttles *all(struct config_reader *r, const yaml_node_t *node)
{
	struct throttles *t = r->config->throttles;

	if (t == NULL)
		t = r->config->throttles = calloc(1, sizeof *t);
	if (t == NULL)
		config_complain(r, node, "finds no memory", "some");
	else if (t->period_ms == 0)
		*t = (struct throttles){ .period_ms = THROTTLE_PERIOD_MS,
					 .bandwidth_from_s = THROTTLE_ALWAYS,
					 .bandwidth_to_s = THROTTLE_ALWAYS };
	return t;
}

/* ---- values ---------------------------------------------------------------- */

/* Two digits at `*text`, at most `max`; `*text` is behind them then. */
static bool two_digits(const char **text, uint32_t max, uint32_t *number)
{
	const char *c = *text;

	if (!isdigit((unsigned char)c[0]) || !isdigit((unsigned char)c[1]))
		return false;
	*number = (uint32_t)(c[0] - '0') * 10 + (uint32_t)(c[1] - '0');
	*text = c + 2;
	return *number <= max;
}

/* HH:MM or HH:MM:SS, and 24:00 as the day's end. */
static bool second_of(const char *text, uint32_t *second)
{
	uint32_t hour, minute, rest = 0;

	if (text == NULL || !two_digits(&text, 24, &hour) || *text++ != ':' ||
	    !two_digits(&text, 59, &minute))
		return false;
	if (*text == ':') {
		text++;
		if (!two_digits(&text, 59, &rest))
			return false;
	}
	*second = (hour * 60 + minute) * 60 + rest;
	return *text == '\0' && *second <= THROTTLE_DAY_S;
}

static void take_time(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	const char *text = config_text_of(node);

	assert(key->size == sizeof(uint32_t));
	if (text == NULL || (strcmp(text, "--") != 0 && !second_of(text, at)))
		config_complain_of_value(r, node, key->expected);
}

/* After both: `from` and `to` as they are in the struct at `base`. */
static void check_window(struct config_reader *r, const yaml_node_t *node,
			 uint32_t from_s, uint32_t to_s)
{
	if ((from_s == THROTTLE_ALWAYS) != (to_s == THROTTLE_ALWAYS))
		config_complain(r, node, "has one end of a window",
				"both from and to, or neither: always");
	else if (from_s != THROTTLE_ALWAYS &&
		 from_s % THROTTLE_DAY_S == to_s % THROTTLE_DAY_S)
		config_complain(r, node, "has a window that begins where it ends",
				"two times, or none: always");
}

/* Up to 1000 bytes, no control characters but line ends. */
static char *take_line(struct config_reader *r, yaml_node_t *node, const char *expected)
{
	const char *text = config_text_of(node);
	bool good = text != NULL && text[0] != '\0' && strlen(text) <= TEXT_BYTES_MAX;
	char *copy;

	for (const char *c = text; good && *c != '\0'; c++)
		good = !iscntrl((unsigned char)*c) || *c == '\n' || *c == '\t';
	if (!good) {
		config_complain_of_value(r, node, expected);
		return NULL;
	}
	copy = strdup(text);
	if (copy == NULL)
		config_complain(r, node, "finds no memory", "some");
	return copy;
}

/* ---- actions --------------------------------------------------------------- */

static struct reading *begin_verb(void *at, const char *name)
{
	struct reading *reading =
		(struct reading *)(void *)((char *)at - offsetof(struct reading, action));

	for (uint32_t v = 0; v < THROTTLE_VERB_COUNT; v++)
		if (strcmp(throttle_verb_words[v], name) == 0)
			reading->action.verb = v;
	reading->verb_count++;
	return reading;
}

static void take_us(struct config_reader *r, yaml_node_t *node,
		    const struct config_key *key, void *at)
{
	struct reading *reading = begin_verb(at, key->name);
	const struct config_key us = { .size = sizeof reading->action.us,
				       .max = THROTTLE_US_MAX,
				       .expected = key->expected };

	config_take_number(r, node, &us, &reading->action.us);
}

static void take_mode(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	struct reading *reading = begin_verb(at, key->name);
	const struct config_key mode = { .size = sizeof reading->action.mode,
					 .words = config_mode_words,
					 .expected = key->expected };

	config_take_word(r, node, &mode, &reading->action.mode);
}

static void take_text(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	struct reading *reading = begin_verb(at, key->name);

	free(reading->action.text);
	reading->action.text = take_line(r, node, key->expected);
}

static void take_to(struct config_reader *r, yaml_node_t *node,
		    const struct config_key *key, void *at)
{
	struct throttle_action *action = at;
	const char *text = config_text_of(node);

	/* An address, not an option of sendmail, and not a second line of the head. */
	if (text == NULL || text[0] == '-' || strpbrk(text, " \t\n,") != NULL)
		config_complain_of_value(r, node, key->expected);
	else
		action->to = take_line(r, node, key->expected);
}

/* The paper chains further devices into a writelog that fills; ours has one. */
static void take_segment(struct config_reader *r, yaml_node_t *node,
			 const struct config_key *key, void *at)
{
	begin_verb(at, key->name);
	config_complain(r, node,
			"is not available in this version, since a writelog cannot grow",
			key->expected);
}

static const char us_expected[] = "microseconds, from 0 to 1000000";
static const char other_expected[] = "another action, such as exec, log or mode";

/* The place of every field is that of the action: a taker finds the rest by it. */
#define ACTION .offset = 0, .size = sizeof(struct throttle_action)

static const struct config_key action_keys[] = {
	{ .name = "sleep-set", .take = take_us, ACTION, .expected = us_expected },
	{ .name = "sleep-inc", .take = take_us, ACTION, .expected = us_expected },
	{ .name = "sleep-dec", .take = take_us, ACTION, .expected = us_expected },
	{ .name = "delay-set", .take = take_us, ACTION, .expected = us_expected },
	{ .name = "delay-inc", .take = take_us, ACTION, .expected = us_expected },
	{ .name = "delay-dec", .take = take_us, ACTION, .expected = us_expected },
	{ .name = "mode",
	  .take = take_mode,
	  ACTION,
	  .expected = "sync, near-sync or async" },
	{ .name = "records",
	  .take = config_take_number,
	  CONFIG_FIELD(struct throttle_action, records),
	  .min = 1,
	  .max = CONFIG_NEAR_SYNC_RECORDS_MAX,
	  .expected = "a number from 1 to 30000" },
	{ .name = "ms",
	  .take = config_take_number,
	  CONFIG_FIELD(struct throttle_action, ms),
	  .min = 1,
	  .max = CONFIG_NEAR_SYNC_MS_MAX,
	  .expected = "milliseconds, from 1 to 3600000" },
	{ .name = "log",
	  .take = take_text,
	  ACTION,
	  .expected = "a text of up to 1000 bytes" },
	{ .name = "console",
	  .take = take_text,
	  ACTION,
	  .expected = "a text of up to 1000 bytes" },
	{ .name = "mail",
	  .take = take_text,
	  ACTION,
	  .expected = "a text of up to 1000 bytes" },
	{ .name = "to", .take = take_to, ACTION, .expected = "one address" },
	{ .name = "exec",
	  .take = take_text,
	  ACTION,
	  .expected = "a command of up to 1000 bytes" },
	{ .name = "seconds",
	  .take = config_take_number,
	  CONFIG_FIELD(struct throttle_action, seconds),
	  .min = 1,
	  .max = SECONDS_MAX,
	  .expected = "seconds, from 1 to 3600" },
	{ .name = "extend", .take = take_segment, ACTION, .expected = other_expected },
	{ .name = "free", .take = take_segment, ACTION, .expected = other_expected },
	{ 0 },
};

/* A key that goes with another action than this one. */
static void check_companions(struct config_reader *r, const yaml_node_t *node,
			     const struct throttle_action *a)
{
	if (a->verb != THROTTLE_MAIL && a->to != NULL)
		config_complain(r, node, "has to without mail", "to with mail only");
	if (a->verb == THROTTLE_MAIL && a->to == NULL)
		config_complain(r, node, "has mail without to", "the address, as to");
	if (a->verb != THROTTLE_EXEC && a->seconds != 0)
		config_complain(r, node, "has seconds without exec",
				"seconds with exec only");
	if ((a->verb != THROTTLE_MODE || a->mode != CONFIG_NEAR_SYNC) &&
	    (a->records != 0 || a->ms != 0))
		config_complain(r, node, "has a bound without mode near-sync",
				"records and ms with mode near-sync only");
}

static void take_action(struct config_reader *r, yaml_node_t *node, void *data)
{
	struct throttle *throttle = data;
	struct reading reading = { 0 };
	const uint32_t errors = r->errors->count + r->errors->dropped_count;

	config_walk(r, node, action_keys, &reading.action, NULL);
	if (r->errors->count + r->errors->dropped_count == errors) {
		if (reading.verb_count != 1)
			config_complain(r, node,
					reading.verb_count == 0 ? "names no action" :
								  "names several actions",
					"one in each item of the list");
		else
			check_companions(r, node, &reading.action);
	}
	if (reading.action.verb == THROTTLE_EXEC && reading.action.seconds == 0)
		reading.action.seconds = THROTTLE_EXEC_SECONDS;
	throttle->action[throttle->action_count++] = reading.action;
}

static void take_actions(struct config_reader *r, yaml_node_t *node,
			 const struct config_key *key, void *at)
{
	config_walk_list(r, node, key->expected, THROTTLE_ACTIONS_MAX, take_action, at);
}

/* ---- throttles ------------------------------------------------------------- */

/* Of the test that was read before it. */
static void take_value(struct config_reader *r, yaml_node_t *node,
		       const struct config_key *key, void *at)
{
	struct throttle *throttle = at;
	const char *text = config_text_of(node), *end;
	uint64_t *value = &throttle->value;
	bool good;

	if (throttle->test == THROTTLE_LINK) {
		*value = text != NULL && strcmp(text, "up") == 0;
		if (text == NULL || (*value == 0 && strcmp(text, "down") != 0))
			config_complain_of_value(r, node,
						 "up or down, since test is link");
		return;
	}
	if (throttle->test == THROTTLE_LAG_BYTES)
		good = text != NULL && config_size_of(text, VALUE_MAX, value);
	else
		good = config_number_of(text, value, &end) && *end == '\0' &&
		       *value <= VALUE_MAX;
	if (!good)
		config_complain_of_value(r, node, key->expected);
}

static const struct config_key throttle_keys[] = {
	{ .name = "name",
	  .take = config_take_name,
	  CONFIG_FIELD(struct throttle, name),
	  .expected = "a name" },
	{ .name = "from",
	  .take = take_time,
	  CONFIG_FIELD(struct throttle, from_s),
	  .expected = "a time of the day as \"08:00\" or \"08:00:00\", or \"--\"" },
	{ .name = "to",
	  .take = take_time,
	  CONFIG_FIELD(struct throttle, to_s),
	  .expected = "a time of the day as \"17:00\" or \"17:00:00\", or \"--\"" },
	{ .name = "test",
	  .take = config_take_word,
	  CONFIG_FIELD(struct throttle, test),
	  .required = true,
	  .words = throttle_test_words,
	  .expected = "netkbps, pctcpu, pctwl, link, lag-ms or lag-bytes" },
	{ .name = "operator",
	  .take = config_take_word,
	  CONFIG_FIELD(struct throttle, operator),
	  .required = true,
	  .words = throttle_operator_words,
	  .expected = "\">\", \">=\", \"<\", \"<=\", \"==\", \"!=\", rises or falls" },
	{ .name = "value",
	  .take = take_value,
	  .required = true,
	  .expected = "a whole number" },
	{ .name = "actions",
	  .take = take_actions,
	  .required = true,
	  .expected = "a list of 1 to 16 actions" },
	{ 0 },
};

/* Room for one more; false: no memory. */
static bool grow(struct throttles *t)
{
	const uint32_t size = t->size == 0 ? 8 : t->size * 2;
	struct throttle *grown;

	if (t->count < t->size)
		return true;
	grown = realloc(t->throttle, size * sizeof *grown);
	if (grown == NULL)
		return false;
	t->throttle = grown;
	t->size = size;
	return true;
}

static void take_throttle(struct config_reader *r, yaml_node_t *node, void *data)
{
	struct throttles *t = data;
	struct throttle *throttle;

	if (!grow(t)) {
		config_complain(r, node, "finds no memory", "fewer throttles");
		return;
	}
	throttle = &t->throttle[t->count];
	*throttle = (struct throttle){ .from_s = THROTTLE_ALWAYS,
				       .to_s = THROTTLE_ALWAYS };
	snprintf(throttle->name, sizeof throttle->name, "throttles[%u]", t->count++);
	config_walk(r, node, throttle_keys, throttle, NULL);
	if (node->type == YAML_MAPPING_NODE)
		check_window(r, node, throttle->from_s, throttle->to_s);
}

void config_throttles_take(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at)
{
	struct throttles *t = all(r, node);

	(void)at;
	if (t != NULL)
		config_walk_list(r, node, key->expected, UINT32_MAX, take_throttle, t);
}

void config_throttle_period_take(struct config_reader *r, yaml_node_t *node,
				 const struct config_key *key, void *at)
{
	const struct config_key period = { .size = sizeof(uint32_t),
					   .min = PERIOD_MS_MIN,
					   .max = PERIOD_MS_MAX,
					   .expected = key->expected };
	struct throttles *t = all(r, node);

	(void)at;
	if (t != NULL)
		config_take_number(r, node, &period, &t->period_ms);
}

/* ---- bandwidth ------------------------------------------------------------- */

static void take_rate(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	uint64_t value;

	if (config_size_of(config_text_of(node), THROTTLE_BANDWIDTH_MAX, &value) &&
	    value >= THROTTLE_BANDWIDTH_MIN)
		*(uint64_t *)at = value;
	else
		config_complain_of_value(r, node, key->expected);
}

void config_bandwidth_take(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at)
{
	static const struct config_key keys[] = {
		{ .name = "max",
		  .take = take_rate,
		  CONFIG_FIELD(struct throttles, bandwidth),
		  .required = true,
		  .expected = "bytes a second, or with K, M or G, from 64K to 1024G" },
		{ .name = "from",
		  .take = take_time,
		  CONFIG_FIELD(struct throttles, bandwidth_from_s),
		  .expected =
			  "a time of the day as \"08:00\" or \"08:00:00\", or \"--\"" },
		{ .name = "to",
		  .take = take_time,
		  CONFIG_FIELD(struct throttles, bandwidth_to_s),
		  .expected =
			  "a time of the day as \"17:00\" or \"17:00:00\", or \"--\"" },
		{ 0 },
	};
	struct throttles *t = all(r, node);

	(void)key, (void)at;
	if (t == NULL)
		return;
	config_walk(r, node, keys, t, NULL);
	if (node->type == YAML_MAPPING_NODE)
		check_window(r, node, t->bandwidth_from_s, t->bandwidth_to_s);
}
