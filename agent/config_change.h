/* config_change.h - a new text for the file of a mirror: it replaces the old one as a whole,
 * and only if `config check` accepts it on this node. `config set`, `config edit` and the
 * page of hamirror-watch change files by nothing else.
 *
 *   begin -> draft -> check -> accept -> end    a draft may be checked several times
 */
#ifndef AGENT_CONFIG_CHANGE_H
#define AGENT_CONFIG_CHANGE_H

#include <limits.h>

#include "agent/config.h"

struct config_change {
	/* The caller's, to be set before begin: whose file it is, or NULL for any file; */
	const struct agent_instance *instance;
	/* ... and where complaints go. `text` follows the file's name: ":3:7: port: ..." with a
	 * place in the file, else ": ...". */
	void (*complain)(void *data, enum config_remark remark, uint32_t line,
			 const char *text);
	void *data;
	/* To be read: */
	char path[PATH_MAX];      /* of the file itself, not of a link to it */
	char draft[PATH_MAX];     /* beside it; "": none */
	char *text;               /* the file as it was at begin */
	struct config *config;    /* of a draft that was accepted by check, else NULL */
	char why[PATH_MAX + 512]; /* a draft was not let be the file */
};

/* Read the file. Returns 0, or -errno of realpath(3) or fopen(3), -EFBIG, -ENOMEM. After that
 * config_change_end() is due, whichever it was. */
int config_change_begin(struct config_change *c, const char *path);

/* Put `text` into a draft. Returns 0 or -errno: there is none. */
int config_change_draft(struct config_change *c, const char *text);

/* Does `config check` accept the draft? Its complaints are told; those that are only unwise
 * refuse nothing. Devices of this node are looked at: it may take seconds. */
bool config_change_check(struct config_change *c);

/* Let the draft be the file. Returns 0; -ESTALE: another hand has changed the file since
 * begin; -ETIMEDOUT: another change does not end; or -errno. The file is as it was then, and
 * `why` has a sentence. */
int config_change_accept(struct config_change *c);

/* Remove a draft that is not the file, and free all. */
void config_change_end(struct config_change *c);

#endif
