/* log.c - see log.h. */
#include "agent/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <qb/qblog.h>

#include "agent/last_words.h"

/* libqb selects lines by the name of their source file. Ours use this name. */
#define SOURCE "hamirror"
#define LINE_MAX_BYTES 1200

void agent_log_open(const char *name, bool foreground)
{
	const int32_t target = foreground ? QB_LOG_STDERR : QB_LOG_SYSLOG;

	qb_log_init(name, LOG_DAEMON, LOG_INFO);
	qb_log_filter_ctl(QB_LOG_SYSLOG, QB_LOG_FILTER_CLEAR_ALL, QB_LOG_FILTER_FILE, "*",
			  LOG_TRACE);
	qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, !foreground);
	qb_log_filter_ctl(target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, SOURCE,
			  LOG_INFO);
	qb_log_format_set(target, "%b");
	qb_log_ctl(target, QB_LOG_CONF_MAX_LINE_LEN, LINE_MAX_BYTES);
	qb_log_ctl(target, QB_LOG_CONF_ENABLED, QB_TRUE);
}

void agent_log(int priority, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	agent_last_words_note(text);
	qb_log_from_external_source(__func__, SOURCE, "%s", (uint8_t)priority, __LINE__,
				    0, text);
}

void agent_log_close(void)
{
	qb_log_fini();
}
