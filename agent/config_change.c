/* config_change.c - see config_change.h. */
#include "agent/config_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config_write.h"

int config_change_begin(struct config_change *c, const char *path)
{
	int error = 0;

	c->draft[0] = '\0';
	c->text = NULL;
	c->config = NULL;
	if (realpath(path, c->path) == NULL)
		return -errno;
	c->text = config_file_read(c->path, &error);
	return error;
}

int config_change_draft(struct config_change *c, const char *text)
{
	const int error = config_draft_write(c->path, text, c->draft);

	if (error != 0)
		c->draft[0] = '\0';
	return error;
}

/* ---- the check ------------------------------------------------------------- */

struct remarks {
	const struct config_change *change;
	bool has_fault;
};

static void add_remark(void *data, enum config_remark remark, const char *text)
{
	struct remarks *r = data;
	char said[CONFIG_ERROR_TEXT_MAX];

	snprintf(said, sizeof said, ": %s%s",
		 remark == CONFIG_FAULT ? "on this node: " : "", text);
	r->change->complain(r->change->data, remark, 0, said);
	r->has_fault |= remark == CONFIG_FAULT;
}

/* The node that this machine is in a file that was named by its path. */
static int32_t own_node(const struct config *config)
{
	struct agent_instance instance;
	char text[256];

	if (agent_instance_parse(config->mirror, &instance, text, sizeof text) != 0)
		return -1;
	return config_node_find(config, instance.host);
}

static int load(const struct config_change *c, struct config *config, int32_t *node,
		struct config_errors *errors)
{
	uint32_t own = 0;
	int error;

	if (c->instance != NULL) {
		error = config_instance_load(c->instance, c->draft, config, &own, errors);
		*node = (int32_t)own;
	} else {
		error = config_load(c->draft, config, errors);
		*node = error == 0 ? own_node(config) : -1;
	}
	return error;
}

/* People know the file by its name, not by the draft's. */
static void tell(const struct config_change *c, const struct config_errors *errors)
{
	const size_t length = strlen(c->draft);

	for (uint32_t i = 0; i < errors->count; i++) {
		const struct config_error *e = &errors->entry[i];
		const bool named = strncmp(e->text, c->draft, length) == 0;

		c->complain(c->data, CONFIG_FAULT, e->line,
			    named ? e->text + length : e->text);
	}
}

bool config_change_check(struct config_change *c)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	struct remarks remarks = { .change = c };
	int32_t node;
	int error = -ENOMEM;

	config_free(c->config);
	c->config = NULL;
	if (config != NULL && errors != NULL) {
		error = load(c, config, &node, errors);
		tell(c, errors);
		if (error == 0)
			config_warn(config, node, add_remark, &remarks);
	} else {
		c->complain(c->data, CONFIG_FAULT, 0, ": no memory to check it");
	}
	free(errors);
	if (error == 0 && !remarks.has_fault)
		c->config = config;
	else
		config_free(config);
	return c->config != NULL;
}

/* ---- the end --------------------------------------------------------------- */

int config_change_accept(struct config_change *c)
{
	const int error = config_draft_accept(c->path, c->draft, c->text, true, c->why,
					      sizeof c->why);

	if (error == 0)
		c->draft[0] = '\0';
	return error;
}

void config_change_end(struct config_change *c)
{
	if (c->draft[0] != '\0')
		unlink(c->draft);
	c->draft[0] = '\0';
	free(c->text);
	config_free(c->config);
	c->text = NULL;
	c->config = NULL;
}
