/* cli_state.c - see cli_state.h. */
#include "agent/cli_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli_line.h"
#include "agent/last_run.h"
#include "agent/log_file.h"
#include "agent/status.h"

#define TEXT_MAX 1024
#define ANSWER_WAIT_MS 15000 /* the daemon gives its I/O thread 2 s */

/* ---- a daemon that is down ------------------------------------------------- */

/* Has this site's log been made? True also when that cannot be seen. */
static bool is_created(const struct config *config, uint32_t node)
{
	struct agent_log_file *file = calloc(1, sizeof *file);
	const int32_t site = config->node[node].site;
	char text[TEXT_MAX];
	bool created = true;

	if (file != NULL && site >= 0) {
		created = agent_log_file_open(config->site[site].writelog, file, text,
					      sizeof text) != -ENODATA;
		agent_log_file_close(file);
	}
	free(file);
	return created;
}

json_t *cli_state_offline(const struct agent_instance *instance,
			  const struct config *config, uint32_t node, bool looks)
{
	const bool created = !looks || is_created(config, node);
	struct agent_last_run last;
	char why[TEXT_MAX];

	if (created)
		snprintf(why, sizeof why,
			 "No daemon runs on this node; `hamirror start %s` starts it.",
			 instance->name);
	else
		snprintf(
			why, sizeof why,
			"This site has no writelog yet; `hamirror create %s%s` makes it.",
			instance->name,
			config->node[node].site > 0 ? " --copy-of HOST" : "");
	agent_last_run_read(instance, &last);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:[s], s:o}", "mirror",
			 config->mirror, "instance", instance->name, "version",
			 PACKAGE_VERSION, "host", config->node[node].name, "mode",
			 created ? "stopped" : "setup", "serving", 0, "why", why,
			 "last_run", agent_status_last_run(&last));
}

/* ---- the file that a daemon runs on ---------------------------------------- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Returns false when memory is short. */
static bool read_file(const char *path, struct cli_state_file *file)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	const bool has_memory = config != NULL && errors != NULL;

	/* Before it is read: a change meanwhile is seen the next time. */
	if (stat(path, &file->stat) != 0)
		file->stat = (struct stat){ 0 };
	if (has_memory) {
		file->is_readable = config_load(path, config, errors) == 0;
		file->crc = config->file_crc;
		file->settings_crc = config->settings_crc;
	} else {
		file->stat = (struct stat){ 0 };
	}
	free(errors);
	config_free(config);
	return has_memory;
}

void cli_state_compare_file(const struct agent_instance *instance, json_t *answer,
			    struct cli_state_file *before)
{
	json_t *read = json_object_get(answer, "config");
	json_t *why = json_object_get(answer, "why");
	const char *path = json_string_value(json_object_get(read, "file"));
	struct cli_state_file once = { 0 }, *file = before != NULL ? before : &once;
	char text[TEXT_MAX] = "";
	struct stat now;

	if (path == NULL || path[0] == '\0')
		return;
	if ((file->stat.st_ino == 0 || stat(path, &now) != 0 ||
	     !is_same(&now, &file->stat)) &&
	    !read_file(path, file))
		return;
	if (!file->is_readable)
		snprintf(
			text, sizeof text,
			"%s can no longer be read as a configuration; the daemon runs on "
			"the one that it has read before, and `hamirror config check %s` "
			"names the errors.",
			path, instance->mirror);
	else if (config_differs_from(read, file->crc, file->settings_crc))
		snprintf(text, sizeof text,
			 "%s was changed since the daemon of %s has read it: the change "
			 "takes effect when that is started anew.",
			 path, instance->name);
	if (text[0] != '\0' && json_is_array(why))
		json_array_append_new(why, json_string(text));
}

json_t *cli_state_ask(const struct agent_instance *instance, char *text, size_t text_size)
{
	json_t *answer = NULL, *status;
	struct cli_line line;
	int error;

	if (cli_line_open(instance, &line, text, text_size) != 0)
		return NULL;
	error = cli_line_send(&line, json_pack("{s:s}", "command", "status"));
	if (error == 0)
		error = cli_line_next(&line, ANSWER_WAIT_MS, &answer);
	status = json_incref(json_object_get(answer, "status"));
	if (status == NULL)
		snprintf(text, text_size, "the daemon of %s gives no status: %s",
			 instance->name, error != 0 ? strerror(-error) : "it refuses");
	json_decref(answer);
	cli_line_close(&line);
	return status;
}
