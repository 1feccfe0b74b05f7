/* cli_stop.c - ending a daemon, also one that cannot be asked.
 *
 * The instance's lock says which process is the daemon, and whether it has ended. A
 * killed one loses nothing that was acknowledged, and the kernel gives its devices free
 * when its I/O has ended (D6), so killing is safe; to ask first is kinder:
 *
 *   daemon               without --kill        with --kill SECONDS
 *   none                 exit 3                exit 3
 *   refuses to stop      exit 1                exit 1: a device is in use
 *   stops                exit 0                exit 0
 *   takes no connection  exit 1                SIGTERM, and killed in the end
 *   does not answer      exit 1                likewise
 *   answers, stays       exit 1                killed in the end
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli_daemon.h"
#include "agent/files.h"
#include "common/clock_driver.h"

#define KILLED_MS 4000 /* a killed process waits for its I/O alone */

struct ending {
	const struct cli_arguments *a;
	bool may_kill;
	int64_t until_ms; /* may_kill: then it is killed */
	uint32_t wait_s, drain_s;
	pid_t pid;
	bool ends;   /* it has said that it ends, stopped in order or not */
	bool stands; /* it has said that it does not */
};

static int64_t now_ms(void)
{
	return (int64_t)common_clock_ms(CLOCK_BOOTTIME);
}

static int64_t left_ms(const struct ending *e)
{
	const int64_t left = e->until_ms - now_ms();

	return !e->may_kill ? CLI_SLACK_S * 1000 : left > 0 ? left : 0;
}

static bool is_daemon(const struct ending *e, pid_t pid)
{
	pid_t holder;

	return agent_lock_holder(&e->a->instance, &holder) == 1 && holder == pid;
}

/* Ask it. A refusal, or the lack of an answer, is printed. */
static enum cli_exit ask(struct ending *e)
{
	json_t *reply = NULL;
	struct cli_line line;
	enum cli_exit status = cli_daemon_open(&e->a->instance, &line);
	int64_t wait_s = e->wait_s + CLI_SLACK_S + e->drain_s;

	if (status != CLI_DONE)
		return status;
	e->pid = line.pid;
	if (e->may_kill && left_ms(e) < wait_s * 1000)
		wait_s = (left_ms(e) + 999) / 1000;
	status = cli_daemon_ask(
		&e->a->instance, &line,
		json_pack("{s:s, s:i}", "command", "stop", "wait", (int)e->wait_s),
		(uint32_t)wait_s, &reply);
	e->ends = status == CLI_DONE || json_is_true(json_object_get(reply, "ends"));
	e->stands = reply != NULL && !e->ends;
	if (reply != NULL)
		cli_reply_print(e->a, reply, status);
	json_decref(reply);
	cli_line_close(&line);
	return status;
}

/* Until the process is gone, and with it its lock and devices. */
static bool wait_for_end(int pid_fd, int64_t wait_ms)
{
	struct pollfd poll_fd = { .fd = pid_fd, .events = POLLIN };

	return poll(&poll_fd, 1, (int)wait_ms) == 1;
}

static void send_signal(int pid_fd, int number)
{
	syscall(SYS_pidfd_send_signal, pid_fd, number, NULL, 0);
}

/* Let it end, or end it. True: it is gone. */
static bool end_process(const struct ending *e, int pid_fd)
{
	const int64_t wait_ms = left_ms(e);

	if (!e->ends && e->may_kill)
		send_signal(pid_fd, SIGTERM);
	if ((e->ends || e->may_kill) && wait_for_end(pid_fd, wait_ms))
		return true;
	if (!e->may_kill)
		return false;
	fprintf(stderr, "hamirror: process %d of %s does not end: it is killed\n",
		(int)e->pid, e->a->instance.name);
	send_signal(pid_fd, SIGKILL);
	return wait_for_end(pid_fd, KILLED_MS);
}

static enum cli_exit end_daemon(struct ending *e, enum cli_exit status)
{
	bool gone = true;
	int pid_fd;

	/* It was not reached, so only its lock tells which process it is. */
	if (e->pid == 0 && agent_lock_holder(&e->a->instance, &e->pid) == 0)
		return CLI_DONE;
	pid_fd = e->pid > 0 ? (int)syscall(SYS_pidfd_open, e->pid, 0) : -1;
	/* A process that has the number now, but not the lock, is another one. */
	if (pid_fd >= 0 && (e->ends || is_daemon(e, e->pid)))
		gone = end_process(e, pid_fd);
	if (pid_fd >= 0)
		close(pid_fd);
	if (!gone || e->pid == 0)
		return cli_fail(CLI_REFUSED,
				"process %d of %s does not end: a device may hang",
				(int)e->pid, e->a->instance.name);
	return e->may_kill ? CLI_DONE : status;
}

static enum cli_exit stop(const struct cli_arguments *a)
{
	const struct cli_arguments more = cli_with_frozen_timeout(a);
	struct ending e = {
		.a = a,
		.may_kill = (a->given & CLI_KILL) != 0,
		.until_ms = now_ms() + (int64_t)a->kill_s * 1000,
		.wait_s = more.wait_s,
		.drain_s = more.drain_s,
	};
	enum cli_exit status;

	if ((a->given & CLI_ALL) != 0 && agent_lock_holder(&a->instance, &e.pid) == 0) {
		cli_detach_mounts(&a->instance);
		return cli_answer(a, CLI_DONE, "does not run");
	}
	status = ask(&e);
	if (status != CLI_NONE && !e.stands && (e.may_kill || e.ends))
		status = end_daemon(&e, status);
	if (status == CLI_DONE || status == CLI_NONE)
		cli_detach_mounts(&a->instance);
	return status;
}

const struct cli_command cli_stop_commands[] = {
	{ .name = "stop",
	  .synopsis =
		  "NAME | --all [--wait SECONDS] [--kill SECONDS] [--json | --field LIST]",
	  .summary = "Release what is hosted here and end the daemon",
	  .help = "  --all            every mirror of this node; exit 1 names those that failed\n"
		  "  --wait SECONDS   fail frozen writes after so long (frozen-timeout)\n"
		  "  --kill SECONDS   kill a daemon that cannot be asked, or does not end, "
		  "after\n"
		  "                   so long; not one that refuses, since a device is in "
		  "use\n"
		  "  --json           the daemon's answer as it is\n",
	  .options = CLI_ALL | CLI_WAIT | CLI_KILL | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = stop },
	{ 0 },
};
