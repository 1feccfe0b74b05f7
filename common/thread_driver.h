/* thread_driver.h - threads beside the control thread, and the signals that they leave to it.
 * For drivers. */
#ifndef COMMON_THREAD_DRIVER_H
#define COMMON_THREAD_DRIVER_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

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

/* Start a thread that leaves the signals to the control thread. Returns 0 or -errno. */
static inline int common_thread_start(pthread_t *thread, size_t stack_bytes,
				      void *(*run)(void *), void *data)
{
	pthread_attr_t attr;
	sigset_t before;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes);
	common_signals_block(&before);
	error = pthread_create(thread, &attr, run, data);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -error;
}

#endif
