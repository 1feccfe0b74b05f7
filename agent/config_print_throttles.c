/* config_print_throttles.c - throttles and bandwidth, as YAML and as JSON. */
#include <inttypes.h>
#include <string.h>

#include "agent/config_throttles.h"
#include "agent/throttle.h"

#define TIME_BYTES 16

static const char *time_text(uint32_t second, char text[TIME_BYTES])
{
	if (second == THROTTLE_ALWAYS)
		return NULL;
	snprintf(text, TIME_BYTES, "%02u:%02u:%02u", second / 3600, second / 60 % 60,
		 second % 60);
	return text;
}

static bool has_us(const struct throttle_action *a)
{
	return a->verb <= THROTTLE_DELAY_DEC;
}

/* ---- YAML ------------------------------------------------------------------ */

static void print_action(const struct throttle_action *a, FILE *out)
{
	fprintf(out, "      - {%s: ", throttle_verb_words[a->verb]);
	if (has_us(a))
		fprintf(out, "%u", a->us);
	else if (a->verb == THROTTLE_MODE)
		fputs(config_mode_words[a->mode], out);
	else
		config_print_quoted(a->text, out);
	if (a->records != 0)
		fprintf(out, ", records: %u", a->records);
	if (a->ms != 0)
		fprintf(out, ", ms: %u", a->ms);
	if (a->seconds != 0)
		fprintf(out, ", seconds: %u", a->seconds);
	if (a->to != NULL) {
		fputs(", to: ", out);
		config_print_quoted(a->to, out);
	}
	fputs("}\n", out);
}

static void print_throttle(const struct throttle *t, FILE *out)
{
	char value[24], from[TIME_BYTES], to[TIME_BYTES];

	throttle_value_text(t->test, t->value, value, sizeof value);
	fprintf(out, "  - test: %s\n    operator: \"%s\"\n    value: %s\n",
		throttle_test_words[t->test], throttle_operator_words[t->operator], value);
	if (strchr(t->name, '[') == NULL)
		fprintf(out, "    name: \"%s\"\n", t->name);
	if (time_text(t->from_s, from) != NULL && time_text(t->to_s, to) != NULL)
		fprintf(out, "    from: \"%s\"\n    to: \"%s\"\n", from, to);
	fputs("    actions:\n", out);
	for (uint32_t a = 0; a < t->action_count; a++)
		print_action(&t->action[a], out);
}

void config_throttles_print(const struct throttles *t, FILE *out)
{
	char from[TIME_BYTES], to[TIME_BYTES];

	if (t == NULL)
		return;
	if (t->bandwidth != 0) {
		fprintf(out, "bandwidth: {max: %" PRIu64, t->bandwidth);
		if (time_text(t->bandwidth_from_s, from) != NULL &&
		    time_text(t->bandwidth_to_s, to) != NULL)
			fprintf(out, ", from: \"%s\", to: \"%s\"", from, to);
		fputs("}\n", out);
	}
	fprintf(out, "throttle-period: %u\n%s", t->period_ms,
		t->count > 0 ? "throttles:\n" : "");
	for (uint32_t i = 0; i < t->count; i++)
		print_throttle(&t->throttle[i], out);
}

/* ---- JSON ------------------------------------------------------------------ */

static json_t *time_json(uint32_t second)
{
	char text[TIME_BYTES];

	return time_text(second, text) != NULL ? json_string(text) : json_null();
}

static json_t *action_json(const struct throttle_action *a)
{
	json_t *o = json_object();

	json_object_set_new(o, throttle_verb_words[a->verb],
			    has_us(a) ? json_integer(a->us) :
			    a->verb == THROTTLE_MODE ?
					json_string(config_mode_words[a->mode]) :
					json_string(a->text));
	if (a->records != 0)
		json_object_set_new(o, "records", json_integer(a->records));
	if (a->ms != 0)
		json_object_set_new(o, "ms", json_integer(a->ms));
	if (a->seconds != 0)
		json_object_set_new(o, "seconds", json_integer(a->seconds));
	if (a->to != NULL)
		json_object_set_new(o, "to", json_string(a->to));
	return o;
}

static json_t *throttle_json(const struct throttle *t)
{
	json_t *actions = json_array();

	for (uint32_t a = 0; a < t->action_count; a++)
		json_array_append_new(actions, action_json(&t->action[a]));
	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:I, s:o}", "name", t->name, "from",
			 time_json(t->from_s), "to", time_json(t->to_s), "test",
			 throttle_test_words[t->test], "operator",
			 throttle_operator_words[t->operator], "value",
			 (json_int_t)t->value, "actions", actions);
}

json_t *config_throttles_json(const struct throttles *t)
{
	json_t *list = json_array();

	if (t == NULL) {
		json_decref(list);
		return json_null();
	}
	for (uint32_t i = 0; i < t->count; i++)
		json_array_append_new(list, throttle_json(&t->throttle[i]));
	return json_pack(
		"{s:i, s:o, s:o, s:o, s:o}", "period_ms", t->period_ms, "bandwidth",
		t->bandwidth != 0 ? json_integer((json_int_t)t->bandwidth) : json_null(),
		"bandwidth_from", time_json(t->bandwidth_from_s), "bandwidth_to",
		time_json(t->bandwidth_to_s), "list", list);
}
