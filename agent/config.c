/* config.c - see config.h. */
#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config_read.h"
#include "agent/throttle.h"
#include "common/crc.h"

void config_error_add(struct config_errors *errors, const char *path,
		      const struct config_place *place, const char *key,
		      const char *format, ...)
{
	struct config_error *e = &errors->entry[errors->count];
	char where[32] = "";
	va_list ap;
	int length;

	if (errors->count == CONFIG_ERROR_COUNT_MAX) {
		errors->dropped_count++;
		return;
	}
	e->line = place->line;
	e->column = place->column;
	if (place->line > 0)
		snprintf(where, sizeof where, "%u:%u:", place->line, place->column);
	length = snprintf(e->text, sizeof e->text, "%s:%s %s%s", path, where, key,
			  key[0] != '\0' ? ": " : "");
	if (length > 0 && (size_t)length < sizeof e->text) {
		va_start(ap, format);
		vsnprintf(e->text + length, sizeof e->text - (size_t)length, format, ap);
		va_end(ap);
	}
	errors->count++;
}

/* About the file as a whole. */
static void add_file_error(struct config_errors *errors, const char *path,
			   const char *wrong, const char *help)
{
	config_error_add(errors, path, &(struct config_place){ 0 }, "", "%s; %s", wrong,
			 help);
}

void config_errors_print(const struct config_errors *errors, const char *prefix,
			 FILE *out)
{
	for (uint32_t i = 0; i < errors->count; i++)
		fprintf(out, "%s%s\n", prefix, errors->entry[i].text);
	if (errors->dropped_count > 0)
		fprintf(out, "%s%u more errors\n", prefix, errors->dropped_count);
}

int32_t config_node_find(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->node_count; i++)
		if (strcmp(config->node[i].name, name) == 0)
			return (int32_t)i;
	return -1;
}

int32_t config_site_find(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->site_count; i++)
		if (strcmp(config->site[i].name, name) == 0)
			return (int32_t)i;
	return -1;
}

/* The whole file as a text of `*length` bytes that the caller frees. */
static int read_file(const char *path, char **text, size_t *length)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *buffer = NULL;
	struct stat st;
	ssize_t n = 0;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		error = -errno;
	else if (S_ISDIR(st.st_mode))
		error = -EISDIR;
	if (error != 0)
		goto out;
	buffer = malloc(CONFIG_FILE_BYTES_MAX + 1);
	if (buffer == NULL) {
		error = -ENOMEM;
		goto out;
	}
	*length = 0;
	do {
		n = read(fd, buffer + *length, CONFIG_FILE_BYTES_MAX + 1 - *length);
		if (n < 0 && errno != EINTR)
			error = -errno;
		*length += n > 0 ? (size_t)n : 0;
		if (*length > CONFIG_FILE_BYTES_MAX)
			error = -EFBIG;
	} while (error == 0 && n != 0);
out:
	close(fd);
	if (error != 0)
		free(buffer);
	else
		*text = buffer;
	return error;
}

static void set_defaults(struct config *config)
{
	*config = (struct config){
		.cluster = true,
		.mode = CONFIG_SYNC,
		.order = CONFIG_ORDER_STRICT,
		.attach = CONFIG_ATTACH_AUTO,
		.on_no_quorum = CONFIG_NO_QUORUM_FREEZE,
		.port = 7790,
		.copy_timeout_ms = 10000,
		.frozen_timeout_ms = 30000,
		.demote_drain_ms = 10000,
		.device_timeout_ms = 15000,
		.bypass_at_percent = 80,
		.refresh_retry_ms = 60000,
		.task_range_count = 4,
		.task_per_range_count = 16,
		.memory_bytes = 64ull * 1024 * 1024,
		.spin_us = CONFIG_SPIN_AUTO,
	};
}

static uint32_t checksum_settings(const struct config *config)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	uint32_t crc = 0;

	if (out == NULL)
		return 0;
	config_print_settings(config, out);
	if (fclose(out) == 0)
		crc = common_crc32c(0, text, length);
	free(text);
	return crc;
}

bool config_differs_from(const json_t *read, uint32_t file_crc, uint32_t settings_crc)
{
	const json_t *settings = json_object_get(read, "settings_crc");

	if (settings == NULL) /* an older daemon */
		return json_integer_value(json_object_get(read, "crc")) !=
		       (json_int_t)file_crc;
	return json_integer_value(settings) != (json_int_t)settings_crc;
}

int config_load(const char *path, struct config *config, struct config_errors *errors)
{
	struct config_places *places = calloc(1, sizeof *places);
	char *text = NULL;
	size_t length = 0;
	int error = -ENOMEM;

	errors->count = 0;
	errors->dropped_count = 0;
	set_defaults(config);
	if (places != NULL)
		error = read_file(path, &text, &length);
	if (error == -ENOENT)
		add_file_error(errors, path, "does not exist",
			       "write it; hamirror.yaml(5) has an example");
	else if (error == -EFBIG)
		add_file_error(errors, path, "is larger than 1 MiB",
			       "expected a configuration");
	else if (error != 0)
		add_file_error(errors, path, strerror(-error),
			       "the configuration cannot be read");
	if (error == 0 && config_read(path, text, length, config, places, errors))
		config_check(path, config, places, errors);
	if (error == 0 && errors->count > 0)
		error = -EINVAL;
	if (error == 0) {
		char *real = realpath(path, NULL);

		config_agree(config);
		config->file_crc = common_crc32c(0, text, length);
		config->settings_crc = checksum_settings(config);
		snprintf(config->file, sizeof config->file, "%s",
			 real != NULL ? real : path);
		free(real);
		snprintf(config->instance, sizeof config->instance, "%s", config->mirror);
	}
	if (error != 0) {
		throttles_free(config->throttles);
		config->throttles = NULL;
	}
	free(text);
	free(places);
	return error;
}

void config_free(struct config *config)
{
	if (config != NULL)
		throttles_free(config->throttles);
	free(config);
}

int config_instance_load(const struct agent_instance *instance, const char *path,
			 struct config *config, uint32_t *node,
			 struct config_errors *errors)
{
	char usual[PATH_MAX], help[256];
	int32_t found;
	int error;

	errors->count = 0;
	errors->dropped_count = 0;
	if (path == NULL) {
		error = agent_path(instance, AGENT_PATH_CONFIG, usual);
		if (error != 0) {
			add_file_error(errors, "HAMIRROR_CONFIG_DIR", "is too long",
				       "use a shorter path");
			return error;
		}
		path = usual;
	}
	error = config_load(path, config, errors);
	if (error != 0)
		return error;
	if (strcmp(config->mirror, instance->mirror) != 0) {
		snprintf(help, sizeof help, "expected %s; the file is NAME.yaml",
			 instance->mirror);
		add_file_error(errors, path, "is of another mirror", help);
		return -EINVAL;
	}
	found = config_node_find(config, instance->host);
	if (found < 0) {
		snprintf(help, sizeof help,
			 "\"%s\" is neither a host nor a witness in it; add it, or say "
			 "%s@HOST",
			 instance->host, instance->mirror);
		config_error_add(errors, path, &(struct config_place){ 0 }, "", "%s",
				 help);
		return -EINVAL;
	}
	*node = (uint32_t)found;
	snprintf(config->instance, sizeof config->instance, "%s", instance->name);
	return 0;
}

int config_instance_read(const struct agent_instance *instance, const char *path,
			 const char *prefix, struct config **config, uint32_t *node)
{
	struct config_errors *errors = calloc(1, sizeof *errors);
	int error = -ENOMEM;

	*config = calloc(1, sizeof **config);
	if (*config != NULL && errors != NULL) {
		error = config_instance_load(instance, path, *config, node, errors);
		config_errors_print(errors, prefix, stderr);
	} else {
		fprintf(stderr, "%sno memory for the configuration\n", prefix);
	}
	free(errors);
	return error;
}
