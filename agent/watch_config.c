/* watch_config.c - see watch_config.h. */
#include "agent/watch_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config_change.h"
#include "agent/config_throttles.h"
#include "agent/config_write.h"
#include "agent/throttle.h"

#define TEXT_MAX 1024
#define WORD_CHARACTERS                                                                  \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/"

static int path_of(const struct watch_config *w, const struct agent_instance *instance,
		   char path[PATH_MAX])
{
	if (w->own_path == NULL || strcmp(instance->mirror, w->own->mirror) != 0)
		return agent_path(instance, AGENT_PATH_CONFIG, path);
	return snprintf(path, PATH_MAX, "%s", w->own_path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* `text` as it follows the file's name: the place is told apart. */
static void add_error(json_t *list, uint32_t line, const char *text)
{
	text += line > 0 ? strspn(text, ":0123456789") : strspn(text, ":");
	text += strspn(text, " ");
	json_array_append_new(list, json_pack("{s:i, s:s%}", "line", (int)line, "text",
					      text, strlen(text)));
}

__attribute__((format(printf, 2, 3))) static void append(json_t *list, const char *format,
							 ...)
{
	char text[TEXT_MAX + PATH_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	json_array_append_new(list, json_string(text));
}

/* ---- the file as it is ----------------------------------------------------- */

/* NULL, with errors in `list` if that is not NULL. */
static json_t *effective(const char *path, json_t *list)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	const size_t length = strlen(path);
	json_t *json = NULL;

	if (config != NULL && errors != NULL) {
		if (config_load(path, config, errors) == 0)
			json = config_json(config);
		for (uint32_t i = 0; i < errors->count && list != NULL; i++)
			add_error(list, errors->entry[i].line,
				  errors->entry[i].text + length);
	}
	free(errors);
	config_free(config);
	return json;
}

static bool all_may_read(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
}

json_t *watch_config_read(const struct watch_config *w,
			  const struct agent_instance *instance)
{
	json_t *errors = json_array(), *config = NULL, *shown = NULL;
	char path[PATH_MAX] = "";
	int error = path_of(w, instance, path);
	char *text = error == 0 ? config_file_read(path, &error) : NULL;

	if (text != NULL && w->anybody && !all_may_read(path)) {
		add_error(errors, 0,
			  "its mode keeps it from other users of this host: it is "
			  "shown with --token only");
	} else if (text != NULL) {
		config = effective(path, errors);
		shown = json_string(text);
	} else {
		add_error(errors, 0, strerror(-error));
	}
	free(text);
	return json_pack("{s:s, s:o?, s:o?, s:o}", "file", path, "text", shown, "config",
			 config, "errors", errors);
}

/* ---- a throttle as YAML ---------------------------------------------------- */

static bool put_value(const json_t *value, FILE *out)
{
	if (json_is_integer(value))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_string(value))
		config_print_text(json_string_value(value), out);
	return json_is_integer(value) || json_is_string(value);
}

static bool put_actions(json_t *list, FILE *out)
{
	json_t *action, *value;
	const char *key;
	bool good = true;
	size_t i;

	if (json_array_size(list) == 0)
		fputs(" []", out);
	json_array_foreach(list, i, action)
	{
		const char *separator = "";

		fputs("\n    - {", out);
		good &= json_is_object(action);
		json_object_foreach(action, key, value)
		{
			fputs(separator, out);
			config_print_text(key, out);
			fputs(": ", out);
			good &= put_value(value, out);
			separator = ", ";
		}
		fputc('}', out);
	}
	fputc('\n', out);
	return good;
}

/* The keys of a throttle are scalars but for one list. A new text, or NULL. */
static char *throttle_yaml(json_t *item)
{
	const char *lead = "- ", *key;
	char *text = NULL;
	bool good = json_object_size(item) > 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *value;

	if (out == NULL)
		return NULL;
	json_object_foreach(item, key, value)
	{
		fputs(lead, out);
		config_print_text(key, out);
		fputc(':', out);
		if (json_is_array(value)) {
			good &= put_actions(value, out);
		} else {
			fputc(' ', out);
			good &= put_value(value, out);
			fputc('\n', out);
		}
		lead = "  ";
	}
	if (fclose(out) == 0 && good)
		return text;
	free(text);
	return NULL;
}

/* ---- does it change what it names alone? ----------------------------------- */

/* All settings but the throttle at `index`; names that are places count for none. */
static json_t *all_but(const json_t *config, size_t index)
{
	static const char *const bounds[] = { "bandwidth", "bandwidth_from",
					      "bandwidth_to" };
	json_t *all = json_deep_copy(config), *throttle;
	json_t *throttles = json_object_get(all, "throttles");
	json_t *list = json_incref(json_object_get(throttles, "list"));
	json_t *period = json_object_get(throttles, "period_ms");
	size_t i;

	if (list == NULL)
		list = json_array();
	json_array_remove(list, index);
	json_array_foreach(list, i, throttle)
	{
		const char *name = json_string_value(json_object_get(throttle, "name"));

		if (strchr(name, '[') != NULL)
			json_object_del(throttle, "name");
	}
	json_object_set_new(all, "list", list);
	json_object_set_new(all, "period",
			    json_integer(period != NULL ? json_integer_value(period) :
							  THROTTLE_PERIOD_MS));
	for (i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
		json_t *value = json_object_get(throttles, bounds[i]);

		if (value != NULL && !json_is_null(value))
			json_object_set(all, bounds[i], value);
	}
	json_object_del(all, "throttles");
	return all;
}

static size_t throttle_count(const json_t *config)
{
	return json_array_size(
		json_object_get(json_object_get(config, "throttles"), "list"));
}

/* Lines were counted, not YAML. */
static bool is_that_alone(const json_t *old, const json_t *new, const json_t *request)
{
	const size_t index = (size_t)json_integer_value(
		json_object_get(request, "throttle"));
	const bool adds = index >= throttle_count(old);
	const bool removes = json_is_null(json_object_get(request, "item"));
	json_t *before = all_but(old, adds ? SIZE_MAX : index);
	json_t *after = all_but(new, removes ? SIZE_MAX : index);
	const bool same = json_equal(before, after) == 1 &&
			  throttle_count(new) + removes == throttle_count(old) + adds;

	json_decref(before);
	json_decref(after);
	return same;
}

/* ---- what it takes to come into effect ------------------------------------- */

/* As keys of the file are called. */
static void add_name(char *names, size_t size, const char *member)
{
	static const char *const units[] = { "_ms", "_us", "_bytes", "_percent" };
	size_t length = strlen(member), used = strlen(names);

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		const size_t unit = strlen(units[i]);

		if (length > unit && strcmp(member + length - unit, units[i]) == 0)
			length -= unit;
	}
	snprintf(names + used, size - used, "%s%.*s", used > 0 ? ", " : "", (int)length,
		 member);
	for (; names[used] != '\0'; used++)
		if (names[used] == '_')
			names[used] = '-';
}

static void add_needs(json_t *needs, const char *instance, const json_t *old, json_t *new)
{
	char names[TEXT_MAX] = "";
	const char *key;
	json_t *value;

	if (json_equal(json_object_get(old, "throttles"),
		       json_object_get(new, "throttles")) != 1)
		append(needs,
		       "Throttles and bandwidth: hamirror-watch of this mirror takes them "
		       "up at once, where it runs.");
	json_object_foreach(new, key,
			    value) if (strcmp(key, "hash") != 0 &&
				       strcmp(key, "throttles") != 0 &&
				       json_equal(value, json_object_get(old, key)) != 1)
		add_name(names, sizeof names, key);
	if (names[0] != '\0')
		append(needs,
		       "The daemon of %s takes this when it is started anew, by stop and "
		       "start, or by a restart of the cluster's resource: %s.",
		       instance, names);
	if (json_equal(json_object_get(old, "hash"), json_object_get(new, "hash")) != 1)
		append(needs,
		       "It changes what must be the same on all nodes: members that run "
		       "on different files refuse each other by name. Copy it before a "
		       "daemon is started.");
	if (json_array_size(needs) == 0)
		append(needs,
		       "No setting has another value now: there is nothing to do.");
}

/* For the shell, which a user will paste it to. */
static void quote(const char *path, char *text, size_t size)
{
	if (strspn(path, WORD_CHARACTERS) == strlen(path) || strchr(path, '\'') != NULL)
		snprintf(text, size, "%s", path);
	else
		snprintf(text, size, "'%s'", path);
}

/* Nodes at this node's address are this machine. (The check has found this node.) */
static void add_copies(json_t *copies, json_t *needs, const struct config *config,
		       uint32_t self, const char *path)
{
	char quoted[PATH_MAX + 2], names[TEXT_MAX] = "";
	size_t used = 0;

	quote(path, quoted, sizeof quoted);
	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct config_node *node = &config->node[i];
		const bool is_six = strchr(node->address, ':') != NULL;

		if (strcmp(node->address, config->node[self].address) == 0)
			continue;
		append(copies, "scp -p %s root@%s%s%s:%s", quoted, is_six ? "[" : "",
		       node->address, is_six ? "]" : "", quoted);
		if (used < sizeof names)
			used += (size_t)snprintf(names + used, sizeof names - used,
						 "%s%s", used > 0 ? ", " : "",
						 node->name);
	}
	if (json_array_size(copies) > 0)
		append(needs,
		       "These nodes still have the file as it was: %s. Copy it to them.",
		       names);
}

/* ---- a change -------------------------------------------------------------- */

/* Returns the reply. */
__attribute__((format(printf, 2, 3))) static json_t *say(json_t *reply,
							 const char *format, ...)
{
	char text[TEXT_MAX + PATH_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	json_object_set_new(reply, "text", json_string(text));
	return reply;
}

/* The file's text with the change, or NULL with a sentence. */
static char *changed_text(const char *text, const json_t *request, char *why,
			  size_t why_size)
{
	const char *whole = json_string_value(json_object_get(request, "text"));
	const char *key = json_string_value(json_object_get(request, "key"));
	const char *value = json_string_value(json_object_get(request, "value"));
	const json_t *index = json_object_get(request, "throttle");
	json_t *item = json_object_get(request, "item");
	char *yaml, *out;

	if (whole != NULL)
		return strdup(whole);
	if (key != NULL && value != NULL)
		return config_text_set(text, key, value, why, why_size);
	snprintf(why, why_size,
		 "text, key with value, or throttle with item is expected");
	if (!json_is_integer(index) || json_integer_value(index) < 0 ||
	    json_integer_value(index) > UINT32_MAX || item == NULL)
		return NULL;
	yaml = json_is_null(item) ? NULL : throttle_yaml(item);
	if (yaml == NULL && !json_is_null(item))
		return NULL;
	out = config_text_set_item(text, "throttles", (uint32_t)json_integer_value(index),
				   yaml, why, why_size);
	free(yaml);
	return out;
}

static void complain(void *data, enum config_remark remark, uint32_t line,
		     const char *text)
{
	json_t *reply = data;

	add_error(json_object_get(reply, remark == CONFIG_FAULT ? "errors" : "warnings"),
		  line, text);
}

/* With the new text as its draft. */
static json_t *finish(struct config_change *c, const json_t *request, json_t *reply)
{
	json_t *needs = json_object_get(reply, "needs"), *old, *new = NULL;
	const bool is_item = json_object_get(request, "throttle") != NULL;

	if (!config_change_check(c))
		return say(reply, "%s is as it was", c->path);
	old = effective(c->path, NULL);
	new = config_json(c->config);
	if (is_item && (old == NULL || !is_that_alone(old, new, request))) {
		say(reply,
		    "%s is as it was: its throttles are written so that this "
		    "would change more; change the file as a text",
		    c->path);
	} else if (config_change_accept(c) != 0) {
		say(reply, "%s: %s", c->path, c->why);
	} else {
		json_object_set_new(reply, "exit", json_integer(0));
		say(reply, "%s is written", c->path);
		add_needs(needs, c->config->instance, old, new);
		add_copies(json_object_get(reply, "copy"), needs, c->config,
			   (uint32_t)config_node_find(c->config, c->instance->host),
			   c->path);
	}
	json_decref(old);
	json_decref(new);
	return reply;
}

json_t *watch_config_change(const struct watch_config *w,
			    const struct agent_instance *instance, const json_t *request)
{
	json_t *reply = json_pack("{s:i, s:s, s:[], s:[], s:[], s:[]}", "exit", 1, "text",
				  "memory is short", "errors", "warnings", "needs",
				  "copy");
	const char *was = json_string_value(json_object_get(request, "was"));
	struct config_change c = { .instance = instance,
				   .complain = complain,
				   .data = reply };
	char path[PATH_MAX], why[TEXT_MAX] = "", *text = NULL;
	int error = path_of(w, instance, path);

	if (reply == NULL || error != 0)
		return reply;
	error = config_change_begin(&c, path);
	if (error != 0)
		say(reply, "%s: %s", path, strerror(-error));
	else if (was == NULL || strcmp(was, c.text) != 0)
		say(reply,
		    "%s: it was changed meanwhile: nothing was written; read it again",
		    c.path);
	else if ((text = changed_text(c.text, request, why, sizeof why)) == NULL)
		say(reply, "%s is as it was: %s", c.path, why);
	else if ((error = config_change_draft(&c, text)) != 0)
		say(reply, "beside %s: %s", c.path, strerror(-error));
	else
		finish(&c, request, reply);
	free(text);
	config_change_end(&c);
	return reply;
}
