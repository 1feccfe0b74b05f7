/* device_nodes.c - see device_nodes.h. */
#include "agent/device_nodes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/attach.h"
#include "agent/control.h"

/* Each client may have one, and a signal. */
#define COMMANDS_MAX (AGENT_CLIENTS_MAX + 1)

enum device_nodes_state {
	NODES_NONE,
	NODES_STARTING,
	NODES_STANDING,
	NODES_RELEASING,
	NODES_DROPPING,
};

enum stage {
	STAGE_FREE,
	STAGE_WAITS, /* for the devices to go */
	STAGE_BEGUN, /* the core has it */
	STAGE_ENDED, /* well; waits for the devices to stand */
};

struct entry {
	enum stage stage;
	struct cluster_command command;
	char text[512]; /* ENDED: the core's reply */
};

struct agent_devices {
	struct agent_devices_owner owner;
	struct agent_attach *attach;
	enum device_nodes_state state;
	bool serves;
	bool failed; /* the last start failed, or a device was lost */
	struct entry entry[COMMANDS_MAX];
};

static bool releases(const struct cluster_command *command)
{
	return command->type == CLUSTER_COMMAND_DEMOTE ||
	       command->type == CLUSTER_COMMAND_STOP;
}

static void set_state(struct agent_devices *d, enum device_nodes_state state)
{
	static const uint8_t legal[] = {
		[NODES_NONE] = 1 << NODES_STARTING,
		[NODES_STARTING] = 1 << NODES_NONE | 1 << NODES_STANDING |
				   1 << NODES_DROPPING,
		[NODES_STANDING] = 1 << NODES_NONE | 1 << NODES_RELEASING |
				   1 << NODES_DROPPING,
		[NODES_RELEASING] = 1 << NODES_NONE | 1 << NODES_STANDING |
				    1 << NODES_DROPPING,
		[NODES_DROPPING] = 1 << NODES_NONE,
	};

	assert((legal[d->state] >> state & 1) != 0);
	d->state = state;
}

static void answer(struct agent_devices *d, struct entry *e, int exit_status,
		   const char *text)
{
	const uint64_t id = e->command.id;

	e->stage = STAGE_FREE;
	d->owner.reply(d->owner.owner, id, exit_status, text);
}

/* ---- commands that wait ------------------------------------------------------------------ */

static bool someone(const struct agent_devices *d, bool waits_only)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++)
		if (d->entry[i].stage != STAGE_FREE && releases(&d->entry[i].command) &&
		    (!waits_only || d->entry[i].stage == STAGE_WAITS))
			return true;
	return false;
}

static void go_on(struct agent_devices *d)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct cluster_command command = d->entry[i].command;

		if (d->entry[i].stage != STAGE_WAITS)
			continue;
		d->entry[i].stage = STAGE_BEGUN;
		d->owner.go(d->owner.owner, &command);
	}
}

/* Promotions that waited for the devices: they stand, or will not. */
static void end_promotions(struct agent_devices *d, const char *error)
{
	char text[640];

	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct entry *e = &d->entry[i];

		if (e->stage != STAGE_ENDED)
			continue;
		snprintf(text, sizeof text, "%s%s",
			 error == NULL ? e->text :
					 "promoted, but its devices do not stand: ",
			 error == NULL ? "" : error);
		answer(d, e, error == NULL ? 0 : 1, text);
	}
}

/* A device is in use. True: someone will not take no for an answer. */
static bool refuse_waiting(struct agent_devices *d, const char *why)
{
	bool forced = false;

	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct entry *e = &d->entry[i];

		if (e->stage == STAGE_WAITS && e->command.force)
			forced = true;
		else if (e->stage == STAGE_WAITS)
			answer(d, e, 1, why);
	}
	return forced;
}

/* ---- actions of a state ------------------------------------------------------------ */

static void drop(struct agent_devices *d)
{
	set_state(d, NODES_DROPPING);
	agent_attach_stop(d->attach, true);
	end_promotions(d, "they are taken away again");
}

static void pump(struct agent_devices *d)
{
	switch (d->state) {
	case NODES_NONE:
		go_on(d);
		/* A command that went on may have changed all that. */
		if (d->state != NODES_NONE || !d->serves || d->failed ||
		    someone(d, false))
			return;
		set_state(d, NODES_STARTING);
		agent_attach_start(d->attach);
		break;
	case NODES_STARTING:
		if (!d->serves || someone(d, true))
			drop(d);
		break;
	case NODES_STANDING:
		if (!d->serves) {
			drop(d);
		} else if (someone(d, true)) {
			set_state(d, NODES_RELEASING);
			agent_attach_stop(d->attach, false);
		}
		break;
	case NODES_RELEASING:
		if (!d->serves)
			drop(d);
		break;
	case NODES_DROPPING:
		break;
	}
}

/* One front-end makes all of them: the choice depends on the kernel only. */
static void tell_stand(struct agent_devices *d)
{
	const struct status_device *device = agent_attach_devices(d->attach);
	char text[64];

	snprintf(text, sizeof text, "the devices stand%s%s",
		 device->front_end[0] != '\0' ? ", by " : "", device->front_end);
	d->owner.tell(d->owner.owner, "create", text);
}

static void started(struct agent_devices *d, int error, const char *text)
{
	d->failed = error != 0;
	set_state(d, error != 0 ? NODES_NONE : NODES_STANDING);
	if (error != 0)
		d->owner.tell(d->owner.owner, "change", text);
	else
		tell_stand(d);
	end_promotions(d, error != 0 ? text : NULL);
}

static void released(struct agent_devices *d, int error, const char *text)
{
	if (error == 0) {
		set_state(d, NODES_NONE);
		d->owner.tell(d->owner.owner, "destroy", "the devices are gone");
	} else if (error == -EBUSY && !refuse_waiting(d, text)) {
		set_state(d, NODES_STANDING);
	} else {
		/* Users lose the data that could not be written; an event tells it. */
		d->owner.tell(d->owner.owner, "change", text);
		drop(d);
	}
}

static void done(void *owner, int error, const char *text)
{
	struct agent_devices *d = owner;

	switch (d->state) {
	case NODES_STARTING:
		started(d, error, text);
		break;
	case NODES_RELEASING:
		released(d, error, text);
		break;
	case NODES_DROPPING:
		set_state(d, NODES_NONE);
		d->owner.tell(d->owner.owner, "destroy", "the devices are gone");
		break;
	case NODES_NONE:
	case NODES_STANDING:
		assert(false);
	}
	pump(d);
}

static void lost(void *owner, const char *text)
{
	struct agent_devices *d = owner;

	d->failed = true;
	d->owner.tell(d->owner.owner, "destroy", text);
	if (d->state == NODES_STANDING && !agent_attach_is_active(d->attach))
		set_state(d, NODES_NONE);
	pump(d);
}

static void serve_disk(void *owner, uint32_t disk, uint32_t number)
{
	struct agent_devices *d = owner;

	d->owner.serve(d->owner.owner, disk, number);
}

static void fail_disk(void *owner, uint32_t disk)
{
	struct agent_devices *d = owner;

	d->owner.fail(d->owner.owner, disk);
}

/* ---- from outside --------------------------------------------------------------------- */

static struct entry *find(struct agent_devices *d, uint64_t id)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++)
		if (d->entry[i].stage != STAGE_FREE && d->entry[i].command.id == id)
			return &d->entry[i];
	return NULL;
}

/* A promotion of a host that already serves makes devices that do not stand. */
static void try_again(struct agent_devices *d)
{
	d->failed = false;
	if (d->state == NODES_STANDING)
		drop(d);
	else
		pump(d);
}

void agent_devices_command(struct agent_devices *d, const struct cluster_command *command)
{
	struct entry *e = NULL;

	for (size_t i = 0; i < COMMANDS_MAX && e == NULL; i++)
		if (d->entry[i].stage == STAGE_FREE)
			e = &d->entry[i];
	if (e == NULL) {
		d->owner.reply(d->owner.owner, command->id, 1,
			       "too many commands are under way; try again");
		return;
	}
	e->command = *command;
	e->stage = releases(command) ? STAGE_WAITS : STAGE_BEGUN;
	if (e->stage == STAGE_WAITS) {
		pump(d);
		return;
	}
	if (command->type == CLUSTER_COMMAND_PROMOTE && d->serves && d->failed)
		try_again(d);
	d->owner.go(d->owner.owner, command);
}

void agent_devices_reply(struct agent_devices *d, uint64_t id, int exit_status,
			 const char *text)
{
	struct entry *e = find(d, id);

	if (e == NULL)
		return;
	if (e->command.type == CLUSTER_COMMAND_PROMOTE && exit_status == 0 && d->serves &&
	    !d->failed && d->state != NODES_STANDING) {
		e->stage = STAGE_ENDED;
		snprintf(e->text, sizeof e->text, "%s", text);
		return;
	}
	answer(d, e, exit_status, text);
	pump(d); /* a demotion that was refused: they are wanted again */
}

void agent_devices_serve(struct agent_devices *d, bool serves)
{
	if (d->serves == serves)
		return;
	d->serves = serves;
	if (serves)
		d->failed = false;
	pump(d);
	if (!serves)
		end_promotions(d, "it has been demoted again");
}

const struct status_device *agent_devices_list(const struct agent_devices *d)
{
	return agent_attach_devices(d->attach);
}

const char *agent_devices_text(const struct agent_devices *d)
{
	/* A release that was refused has left a text behind, too. */
	return d->state == NODES_STANDING && !d->failed ? "" :
							  agent_attach_text(d->attach);
}

int agent_devices_open(struct qb_loop *loop, const struct config *config,
		       const struct agent_instance *instance,
		       const struct agent_devices_owner *owner,
		       struct agent_devices **out)
{
	struct agent_devices *d = calloc(1, sizeof *d);
	const struct agent_attach_owner attach_owner = { done, lost, serve_disk,
							 fail_disk, d };
	int error;

	if (d == NULL)
		return -ENOMEM;
	d->owner = *owner;
	error = agent_attach_open(loop, config, instance, &attach_owner, &d->attach);
	if (error != 0) {
		free(d);
		return error;
	}
	*out = d;
	return 0;
}

void agent_devices_close(struct agent_devices *d)
{
	if (d == NULL)
		return;
	agent_attach_close(d->attach);
	free(d);
}
