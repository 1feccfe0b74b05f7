/* cli_daemon.h - one question to a daemon and its answer, for the command. */
#ifndef AGENT_CLI_DAEMON_H
#define AGENT_CLI_DAEMON_H

#include "agent/cli.h"
#include "agent/cli_json.h"
#include "agent/cli_line.h"

/* The daemon answers within the wait that it was given, or its own; a hung one is
 * given up some time after. */
#define CLI_SLACK_S 60

/* Connect to the instance's daemon. If that fails, the cause is printed; CLI_NONE: it does
 * not run, or there is no such mirror. */
enum cli_exit cli_daemon_open(const struct agent_instance *instance,
			      struct cli_line *line);

/* Send `request` (takes the reference) and wait for its answer, `*reply`, which is
 * the caller's (NULL: none came; that is printed). Returns the answer's status. */
enum cli_exit cli_daemon_ask(const struct agent_instance *instance, struct cli_line *line,
			     json_t *request, uint32_t wait_s, json_t **reply);

/* Production has ended here, or no daemon runs: detach file systems that are left on devices
 * that are gone (attach_mounts.h). Each is printed. */
void cli_detach_mounts(const struct agent_instance *instance);

/* `a` with a wait: a frozen write holds a demote or stop up for the mirror's own
 * frozen-timeout. */
struct cli_arguments cli_with_frozen_timeout(const struct cli_arguments *a);

#endif
