/* last_words.h - a process that dies of a signal or a failed assertion leaves a file with the
 * reason, a backtrace, its last events and its counters.
 *
 * All of it is in static memory before. The signal handler calls only functions that
 * signal-safety(7) allows, and backtrace(3), which is loaded at the start. If the handler
 * needs more than some seconds the process ends all the same. At last the signal has its
 * usual effect: the parent sees it, and a core is dumped where that is configured.
 *
 *   NAME died: REASON
 *   run BEGAN PID BOOT
 *   died WALL           seconds since 1970
 *   assertion TEXT      if one failed
 *   backtrace, events (oldest first), counters: a line each, two blanks before it
 *   end                 the file is whole
 *
 * An older file becomes FILE.1. SIGKILL and a machine that stops leave no file: last_run.h
 * tells them apart.
 */
#ifndef AGENT_LAST_WORDS_H
#define AGENT_LAST_WORDS_H

#include <stdint.h>

#define AGENT_LAST_EVENTS_MAX 64 /* a power of two */

/* Install the signal handlers. Call it once per process, in its first thread. `who` begins the
 * file, `run` is in its second line, `path` is its path: all are copied. If the path is too
 * long the words go to stderr alone. */
void agent_last_words_open(const char *who, const char *run, const char *path);

/* Remember an event; the last AGENT_LAST_EVENTS_MAX are kept. Any thread. */
void agent_last_words_note(const char *line);

/* Add a counter, which is read when the process dies. Name and value must live until then, or
 * until agent_last_words_forget(). There is room for 64; further ones are ignored. */
void agent_last_words_count(const char *name, const uint64_t *value);
void agent_last_words_forget(void);

#endif
