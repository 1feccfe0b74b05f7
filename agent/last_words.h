/* last_words.h - what a process leaves that dies of a signal or a failed assertion: a file
 * with the reason, the way to it (backtrace), its counters and its last events.
 *
 * Everything that is written then lies ready before; nothing but what signal-safety(7)
 * allows is called, and backtrace(3), which is made ready at the start. A process that does
 * not get through it in some seconds ends all the same. Then the signal has its usual
 * effect, so that whoever waits for the process sees it, and a core is dumped where that is
 * configured.
 *
 *   who died: reason
 *   run BEGAN PID BOOT
 *   died WALL           seconds since 1970
 *   assertion TEXT      if one failed
 *   backtrace, counters, events, oldest first: a line each, two blanks before it
 *   end                 the file is whole
 *
 * The file before becomes FILE.1. SIGKILL and a machine that stops leave nothing: last_run.h
 * tells them apart.
 */
#ifndef AGENT_LAST_WORDS_H
#define AGENT_LAST_WORDS_H

#include <stdint.h>

#define AGENT_LAST_EVENTS_MAX 64 /* a power of two */

/* From now on; once per process, by its first thread. `who` begins the file and `run` is
 * its second line: both are copied. `path` of the file. A path that is too long leaves the
 * words to stderr alone. */
void agent_last_words_open(const char *who, const char *run, const char *path);

/* One of the last events. Any thread. */
void agent_last_words_note(const char *line);

/* A counter, read when it is written; both outlive it, or agent_last_words_forget() comes
 * first. What exceeds the room (64) is left out. */
void agent_last_words_count(const char *name, const uint64_t *value);
void agent_last_words_forget(void);

#endif
