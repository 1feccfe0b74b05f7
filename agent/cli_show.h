/* cli_show.h - a status (docs/control.md) as text for people. */
#ifndef AGENT_CLI_SHOW_H
#define AGENT_CLI_SHOW_H

#include <stdio.h>
#include <jansson.h>

/* Print it. Members that the status does not have are shown as "-" or left
 * out, so that a status of a newer daemon can be shown too. */
void cli_status_show(json_t *status, FILE *out);

#endif
