/* verb.c - see verb.h. */
#include "agent/verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/config.h"

#define WAIT_S_MAX 86400

enum member_kind {
	MEMBER_BOOL,
	MEMBER_TEXT,
	MEMBER_SECONDS,
	MEMBER_BOUND,
	MEMBER_BYTES,
	MEMBER_US
};

static const struct member {
	const char *name;
	enum member_kind kind;
} members[] = {
	{ "force", MEMBER_BOOL },      { "wait", MEMBER_SECONDS },
	{ "site", MEMBER_TEXT },       { "allow_inconsistent", MEMBER_BOOL },
	{ "node", MEMBER_TEXT },       { "now", MEMBER_BOOL },
	{ "from", MEMBER_TEXT },       { "discard", MEMBER_BOOL },
	{ "mode", MEMBER_TEXT },       { "records", MEMBER_BOUND },
	{ "ms", MEMBER_BOUND },        { "part", MEMBER_TEXT },
	{ "on", MEMBER_BOOL },         { "pace", MEMBER_BOOL },
	{ "lag_bytes", MEMBER_BYTES }, { "lag_ms", MEMBER_BOUND },
	{ "confirm", MEMBER_TEXT },    { "sleep_us", MEMBER_US },
	{ "delay_us", MEMBER_US },     { "bytes_per_s", MEMBER_BYTES },
	{ "lease_ms", MEMBER_BOUND },
};

static const struct {
	const char *name;
	const char *members; /* that it knows, each with a blank after it */
} verbs[AGENT_VERB_COUNT] = {
	[AGENT_VERB_PING] = { "ping", "" },
	[AGENT_VERB_STATUS] = { "status", "" },
	[AGENT_VERB_WHY] = { "why", "" },
	[AGENT_VERB_SCORE] = { "score", "" },
	[AGENT_VERB_PROMOTE] = { "promote", "force wait " },
	[AGENT_VERB_DEMOTE] = { "demote", "wait " },
	[AGENT_VERB_CONNECT] = { "connect", "site discard " },
	[AGENT_VERB_DISCONNECT] = { "disconnect", "site " },
	[AGENT_VERB_BYPASS] = { "bypass", "on site " },
	[AGENT_VERB_REFRESH] = { "refresh", "site allow_inconsistent pace " },
	[AGENT_VERB_MODE] = { "mode", "mode confirm records lag_bytes lag_ms ms " },
	[AGENT_VERB_FENCED] = { "fenced", "node " },
	[AGENT_VERB_EVENTS] = { "events", "now " },
	[AGENT_VERB_STOP] = { "stop", "wait " },
	[AGENT_VERB_SWITCH] = { "switch", "site wait part " },
	[AGENT_VERB_THROTTLE] = { "throttle", "sleep_us delay_us bytes_per_s lease_ms " },
};

static enum agent_verb verb_of(const char *name)
{
	enum agent_verb v = 0;

	while (v < AGENT_VERB_COUNT && (name == NULL || strcmp(verbs[v].name, name) != 0))
		v++;
	return v;
}

static bool value_fits(enum member_kind kind, const json_t *value)
{
	switch (kind) {
	case MEMBER_BOOL:
		return json_is_boolean(value);
	case MEMBER_TEXT:
		return json_is_string(value);
	case MEMBER_SECONDS:
		return json_is_number(value) && json_number_value(value) >= 0 &&
		       json_number_value(value) <= WAIT_S_MAX;
	case MEMBER_BOUND: /* how much of it makes sense: agent/request.c */
		return json_is_integer(value) && json_integer_value(value) > 0 &&
		       json_integer_value(value) <= CONFIG_NEAR_SYNC_MS_MAX;
	case MEMBER_BYTES: /* 0: no such bound */
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case MEMBER_US:
		return json_is_integer(value) && json_integer_value(value) >= 0 &&
		       json_integer_value(value) <= CONFIG_THROTTLE_US_MAX;
	}
	return false;
}

/* Does `verb` know the member, and has it a value that it may have? */
static bool member_fits(enum agent_verb v, const char *key, const json_t *value)
{
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		const char *known = strstr(verbs[v].members, members[i].name);

		if (strcmp(members[i].name, key) == 0)
			return (known != NULL || strcmp(key, "from") == 0) &&
			       value_fits(members[i].kind, value);
	}
	return strcmp(key, "command") == 0;
}

int agent_verb_parse(json_t *request, enum agent_verb *verb, char *text, size_t text_size)
{
	const char *name = json_string_value(json_object_get(request, "command"));
	const char *key;
	json_t *value;

	*verb = verb_of(name);
	if (*verb == AGENT_VERB_COUNT) {
		snprintf(text, text_size, "unknown command %s",
			 name != NULL ? name : "(none given)");
		return -EINVAL;
	}
	json_object_foreach(request, key, value) if (!member_fits(*verb, key, value))
	{
		snprintf(text, text_size,
			 "%s: the member \"%s\" is unknown or has a wrong value", name,
			 key);
		return -EINVAL;
	}
	return 0;
}

static const char *async_promise(const json_t *request, const struct config *config,
				 struct promise *promise)
{
	const json_t *given = json_object_get(request, "lag_bytes");
	const uint64_t bytes = (uint64_t)json_integer_value(given);
	const uint32_t ms = (uint32_t)json_integer_value(
		json_object_get(request, "lag_ms"));

	if (given == NULL && ms != 0)
		return "lag_ms goes with lag_bytes";
	if (given == NULL) {
		*promise = promise_async(config->lag_bytes, config->lag_ms);
		return NULL;
	}
	if (bytes == 0 ? ms != 0 :
			 bytes < CONFIG_LAG_BYTES_MIN || bytes > CONFIG_LAG_BYTES_MAX)
		return "lag_bytes is 0, or from 16 MiB to 1024 GiB";
	if (ms != 0 && ms < CONFIG_LAG_MS_MIN)
		return "lag_ms is 1000 at least";
	*promise = promise_async(bytes, ms);
	return NULL;
}

/* Without a word of the command as in the file, where that is of mode sync. */
static const char *confirm(const json_t *request, const struct config *config,
			   struct promise *promise)
{
	const json_t *given = json_object_get(request, "confirm");
	const char *word = json_string_value(given);

	promise->home = config->confirm == CONFIG_CONFIRM_HOME;
	if (given == NULL)
		return NULL;
	promise->home = strcmp(word, config_confirm_words[CONFIG_CONFIRM_HOME]) == 0;
	return promise->home || strcmp(word,
				       config_confirm_words[CONFIG_CONFIRM_LOGGED]) == 0 ?
		       NULL :
		       "confirm is logged or home";
}

const char *agent_verb_promise(const json_t *request, const struct config *config,
			       struct promise *promise)
{
	const char *mode = json_string_value(json_object_get(request, "mode"));
	const json_int_t records = json_integer_value(
		json_object_get(request, "records"));
	const json_int_t ms = json_integer_value(json_object_get(request, "ms"));
	uint32_t m = 0;

	while (config_mode_words[m] != NULL &&
	       (mode == NULL || strcmp(config_mode_words[m], mode) != 0))
		m++;
	if (config_mode_words[m] == NULL)
		return "the mode is sync, near-sync or async";
	if (m != CONFIG_NEAR_SYNC && (records != 0 || ms != 0))
		return "records and ms are the bound of near-sync";
	if (m != CONFIG_ASYNC && (json_object_get(request, "lag_bytes") != NULL ||
				  json_object_get(request, "lag_ms") != NULL))
		return "lag_bytes and lag_ms are the bound of async";
	if (m != CONFIG_SYNC && json_object_get(request, "confirm") != NULL)
		return "confirm goes with mode sync only";
	if (m == CONFIG_ASYNC)
		return async_promise(request, config, promise);
	if (records > CONFIG_NEAR_SYNC_RECORDS_MAX)
		return "near-sync allows 30000 records at most";
	*promise = promise_make(
		m, records == 0 && ms == 0 ? CONFIG_NEAR_SYNC_RECORDS : (uint32_t)records,
		(uint32_t)ms);
	return m == CONFIG_SYNC ? confirm(request, config, promise) : NULL;
}

struct order agent_verb_throttle(const json_t *request, uint64_t now_ns)
{
	const uint64_t lease_ms = (uint64_t)json_integer_value(
		json_object_get(request, "lease_ms"));

	return (struct order){
		.type = ORDER_THROTTLE,
		.sleep_us = (uint32_t)json_integer_value(
			json_object_get(request, "sleep_us")),
		.delay_us = (uint32_t)json_integer_value(
			json_object_get(request, "delay_us")),
		.bytes_per_s = (uint64_t)json_integer_value(
			json_object_get(request, "bytes_per_s")),
		.until_ns = now_ns + lease_ms * 1000000,
	};
}

bool agent_verb_is_urgent(const json_t *request)
{
	const char *from = json_string_value(json_object_get(request, "from"));

	if (from != NULL && strcmp(from, "cluster") == 0)
		return true;
	switch (verb_of(json_string_value(json_object_get(request, "command")))) {
	case AGENT_VERB_PROMOTE:
	case AGENT_VERB_DEMOTE:
	case AGENT_VERB_STOP:
	case AGENT_VERB_FENCED:
		return true;
	case AGENT_VERB_PING:
	case AGENT_VERB_STATUS:
	case AGENT_VERB_WHY:
	case AGENT_VERB_SCORE:
	case AGENT_VERB_CONNECT:
	case AGENT_VERB_DISCONNECT:
	case AGENT_VERB_BYPASS:
	case AGENT_VERB_REFRESH:
	case AGENT_VERB_MODE:
	case AGENT_VERB_EVENTS:
	case AGENT_VERB_SWITCH:
	case AGENT_VERB_THROTTLE:
	case AGENT_VERB_COUNT:
		return false;
	}
	return false;
}
