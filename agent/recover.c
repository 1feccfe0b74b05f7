/* recover.c - see recover.h.
 *
 *   opening   FACT_OPENED      ORDER_RECOVER
 *   home      FACT_RECOVERED   ORDER_CLOSE
 *   closing   FACT_CLOSED      end
 */
#include "agent/recover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/files.h"
#include "agent/io_thread.h"
#include "agent/log_file.h"
#include "agent/paths.h"
#include "agent/scout.h"

struct recovery {
	const struct recover_options *o;
	const struct config *config;
	const struct config_site *site;
	uint32_t site_number;
	struct agent_instance instance;
	int lock_fd; /* -1: not held */
	struct qb_loop *loop;
	struct agent_io *io;
	uint64_t orders; /* given */
	uint64_t home;   /* as it was opened */
	int error;
	char *text;
	size_t text_size;
};

static int find_site(struct recovery *r)
{
	const struct config_node *node = &r->config->node[r->o->node];

	if (node->site < 0) {
		snprintf(r->text, r->text_size, "%s is a witness: it has no disks",
			 node->name);
		return -EINVAL;
	}
	r->site_number = (uint32_t)node->site;
	r->site = &r->config->site[r->site_number];
	return 0;
}

/* The lock is of this host alone; others of the site reach the same devices (D6). */
static int check_others(struct recovery *r, const struct mirror_superblock *sb)
{
	uint32_t hosts = 0;

	for (uint32_t n = 0; n < r->config->node_count; n++)
		hosts += r->config->node[n].site == (int32_t)r->site_number;
	if (r->o->force || sb->incarnation == 0 || hosts < 2)
		return 0;
	snprintf(
		r->text, r->text_size,
		"the writelog of site %s was not closed, and another host of the site may "
		"have it open: stop the mirror on all of them, or see that they are off, "
		"and repeat with --force",
		r->site->name);
	return -EBUSY;
}

static int check_log(struct recovery *r)
{
	struct agent_log_file *log = calloc(1, sizeof *log);
	char why[256];
	int error = -ENOMEM;

	if (log == NULL) {
		snprintf(r->text, r->text_size, "no memory");
		return error;
	}
	log->fd = -1;
	error = agent_scout_site(r->site, r->text, r->text_size);
	if (error == 0)
		error = agent_log_file_open(r->site->writelog, log, r->text,
					    r->text_size);
	if (error == 0) {
		error = mirror_superblock_check_identity(&log->sb, r->config,
							 r->site_number, why, sizeof why);
		if (error != 0)
			snprintf(r->text, r->text_size, "writelog %s: %s",
				 r->site->writelog, why);
	}
	if (error == 0)
		error = check_others(r, &log->sb);
	agent_log_file_close(log);
	free(log);
	return error;
}

/* ---- the engine -------------------------------------------------------------------- */

static void give(struct recovery *r, struct order *o)
{
	o->id = ++r->orders; /* an order without a number is not answered */
	o->site = r->site_number;
	r->error = agent_io_order(r->io, o);
	if (r->error != 0)
		qb_loop_stop(r->loop);
}

static void give_type(struct recovery *r, enum order_type type)
{
	struct order o = { .type = type };

	give(r, &o);
}

static void opened(struct recovery *r, const struct fact *f)
{
	r->error = f->error;
	r->home = f->marks.home;
	if (f->error == 0) {
		give_type(r, ORDER_RECOVER);
		return;
	}
	snprintf(r->text, r->text_size, "%s", f->text);
	qb_loop_stop(r->loop);
}

static void recovered(struct recovery *r, const struct fact *f)
{
	if (f->error != 0)
		snprintf(r->text, r->text_size, "%s", f->text);
	else
		snprintf(r->text, r->text_size,
			 "site %s: %llu records came home; its disks are at sequence "
			 "%llu, the end of the writelog",
			 r->site->name, (unsigned long long)(f->marks.home - r->home),
			 (unsigned long long)f->marks.home);
	give_type(r, ORDER_CLOSE);
	if (f->error != 0)
		r->error = f->error;
}

static void fact_came(void *owner, const struct fact *f)
{
	struct recovery *r = owner;

	switch (f->type) {
	case FACT_OPENED:
		opened(r, f);
		break;
	case FACT_RECOVERED:
		recovered(r, f);
		break;
	case FACT_DEVICE_HANGS:
		if (f->age_ms > 0)
			fprintf(stderr, "hamirror: %s: %s\n", r->o->instance, f->text);
		break;
	case FACT_CLOSED:
		qb_loop_stop(r->loop);
		break;
	default: /* nothing that a site alone acts on */
		break;
	}
}

static int run(struct recovery *r)
{
	const struct agent_io_owner owner = { .fact = fact_came, .owner = r };
	struct order open = { .type = ORDER_OPEN };
	int error;

	if (getrandom(&open.incarnation, sizeof open.incarnation, 0) !=
	    (ssize_t)sizeof open.incarnation)
		return -EIO;
	r->loop = qb_loop_create();
	if (r->loop == NULL) {
		snprintf(r->text, r->text_size, "no memory");
		return -ENOMEM;
	}
	error = agent_io_open(r->loop, r->config, &r->instance, r->o->node, &owner,
			      &r->io, r->text, r->text_size);
	if (error == 0) {
		give(r, &open);
		if (r->error == 0)
			qb_loop_run(r->loop);
		error = r->error;
		agent_io_close(r->io);
	}
	qb_loop_destroy(r->loop);
	return error;
}

int agent_recover(const struct recover_options *o, char *text, size_t text_size)
{
	struct recovery r = {
		.o = o,
		.config = o->config,
		.lock_fd = -1,
		.text = text,
		.text_size = text_size,
	};
	int error = find_site(&r);

	if (error == 0)
		error = agent_instance_take(o->instance, &r.instance, &r.lock_fd, text,
					    text_size);
	if (error == 0)
		error = check_log(&r);
	if (error == 0)
		error = run(&r);
	if (r.lock_fd >= 0)
		close(r.lock_fd);
	return error;
}
