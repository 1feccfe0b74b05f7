/* signals_driver.h - which signals a thread leaves to the control thread. For drivers. */
#ifndef COMMON_SIGNALS_DRIVER_H
#define COMMON_SIGNALS_DRIVER_H

#include <signal.h>

/* Block the signals that are for the process: the control thread's loop takes them. A fault
 * of the thread itself stays unblocked: the kernel ends a process whose fault is blocked at
 * once, and it could not say why (agent/last_words.h). `before` may be NULL; it gets the mask
 * that pthread_sigmask(SIG_SETMASK) sets again. */
static inline void common_signals_block(sigset_t *before)
{
	static const int faults[] = { SIGABRT, SIGBUS,  SIGFPE, SIGILL,
				      SIGSEGV, SIGTRAP, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (unsigned int i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_SETMASK, &set, before);
}

#endif
