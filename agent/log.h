/* log.h - hamirrord's own lines: to syslog, or to stderr in the foreground.
 * The libraries that we use log through libqb too; their lines are kept out. */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <stdbool.h>

/* Once, before anything logs. */
void agent_log_open(const char *name, bool foreground);

/* `priority` of syslog(3). From the control thread. */
void agent_log(int priority, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void agent_log_close(void);

#endif
