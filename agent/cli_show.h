/* cli_show.h - a status (docs/control.md) as text for people. */
#ifndef AGENT_CLI_SHOW_H
#define AGENT_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "agent/cli_progress.h"

struct cli_show {
	FILE *out;
	bool escapes;    /* to a terminal that knows them */
	bool colour;     /* by escapes */
	bool figures;    /* with those that never stand still: round trips */
	uint64_t now_ms; /* CLOCK_REALTIME */
	struct cli_progress *progress; /* of the mirror; NULL: it was not seen before */
};

/* For stdout: in colours on a terminal, unless NO_COLOR is set to something. One of
 * which TERM says nothing, or that it is "dumb", knows no escapes. */
struct cli_show cli_show_stdout(void);

/* Print it. Members that the status does not have are shown as "-" or left
 * out, so that a status of a newer daemon can be shown too. */
void cli_status_show(const struct cli_show *show, json_t *status);

#endif
