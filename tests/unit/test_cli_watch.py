#!/usr/bin/env python3
"""test_cli_watch - the status on a terminal: colours, progress, --watch. Run in the build
directory; the daemon is played, the terminal is a real pseudo-terminal."""
import copy
import datetime
import fcntl
import json
import os
import pty
import select
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import termios
import threading
import time
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import HAMIRROR, STATUS, STATUS_TEXT, Command  # noqa: E402

PATIENCE_S = 60

# A signal comes when a long wait for nothing is about to begin, which is when it is missed.
INTERRUPTION = r"""
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void interrupt(struct pollfd *fds, nfds_t count, long wait_s)
{
	const struct winsize large = { .ws_row = 40, .ws_col = 80 };
	const int number = atoi(getenv("INTERRUPTION"));
	static int done;

	if (done || wait_s < 60 || syscall(SYS_poll, fds, count, 1000) != 0)
		return;
	done = 1;
	if (number == SIGWINCH)
		ioctl(STDOUT_FILENO, TIOCSWINSZ, &large);
	raise(number);
}

int poll(struct pollfd *fds, nfds_t count, int wait_ms)
{
	interrupt(fds, count, wait_ms / 1000);
	return syscall(SYS_poll, fds, count, wait_ms);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *wait, const sigset_t *mask)
{
	interrupt(fds, count, wait->tv_sec);
	return syscall(SYS_ppoll, fds, count, wait, mask, _NSIG / 8);
}
"""


class Player(socketserver.ThreadingUnixStreamServer):
    """A daemon that answers with `status`, and tells its followers of changes."""
    daemon_threads = True

    def __init__(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        super().__init__(path, Handler)
        self.status = copy.deepcopy(STATUS)
        self.followers = []
        self.idle = []
        self.answers = threading.Event()
        self.answers.set()
        self.connections = 0
        self.followed = threading.Event()
        self.asked = threading.Semaphore(0)   # for a status
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def change(self, **members):
        """Other members from now on, and an event."""
        self.status = dict(self.status, **members)
        for follower in self.followers:
            follower.write(json.dumps({"event": {
                "time": "T", "verb": "change", "object": "site there", "rule": "",
                "text": "changed"}}).encode() + b"\n")


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        self.server.connections += 1
        for line in self.rfile:
            self.server.answers.wait()
            command = json.loads(line)["command"]
            if command == "events":
                self.wfile.write(b'{"exit":0}\n')
                self.server.followers.append(self.wfile)
                self.server.followed.set()
            else:
                self.server.asked.release()
                answer = {"exit": 0, "status": self.server.status}
                self.server.idle.append(self.connection)
                self.wfile.write(json.dumps(answer).encode() + b"\n")


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, test, *arguments, rows=24, **variables):
        own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        environment = dict(os.environ, LC_ALL="C", TERM="xterm", NO_COLOR="")
        environment.update(variables)
        for name in ("CONFIG", "RUN", "STATE", "LOG", "DEV"):
            environment[f"HAMIRROR_{name}_DIR"] = test.dir if name == "CONFIG" \
                else os.path.join(test.dir, name.lower())
        self.own, self.seen = own, ""
        self.before = termios.tcgetattr(own)
        self.process = subprocess.Popen([HAMIRROR, *arguments], stdin=other, stdout=other,
                                        stderr=other, env=environment)
        os.close(other)
        test.addCleanup(self.end)

    def end(self):
        """Idempotent."""
        self.process.kill()
        self.process.wait()
        if self.own >= 0:
            os.close(self.own)
        self.own = -1

    def until(self, text):
        """What came up to `text`, or all until the end where that is None."""
        end = time.monotonic() + PATIENCE_S
        while text is None or text not in self.seen:
            if not select.select([self.own], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            try:
                more = os.read(self.own, 65536).decode()
            except OSError:   # the other side is closed
                more = ""
            if more == "" and text is not None:
                raise AssertionError(f"ended without {text!r}: {self.seen!r}")
            if more == "":
                break
            self.seen += more
        at = len(self.seen) if text is None else self.seen.index(text) + len(text)
        part, self.seen = self.seen[:at], self.seen[at:]
        return part


class Watch(Command):
    """`hamirror status` for people."""

    def player(self):
        """The daemon of data@a."""
        player = Player(os.path.join(self.dir, "run/data@a/control"))
        self.addCleanup(player.server_close)
        self.addCleanup(player.shutdown)
        return player

    def test_colours(self):
        """On a terminal; not with NO_COLOR, nor into a pipe."""
        self.player()
        out = Terminal(self, "status", "data@a").until(None)
        self.assertIn("\033[32mUpToDate\033[0m", out)
        self.assertIn("\033[33mOutdated\033[0m ", out)
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            out = Terminal(self, "status", "data@a", **variables).until(None)
            self.assertEqual(out.replace("\r\n", "\n"), STATUS_TEXT)
        self.assertEqual(self.run_command("status", "data@a"), (0, STATUS_TEXT, ""))

    def test_rate_of_one_look(self):
        """That of the refresh since its begin."""
        player = self.player()
        site = player.status["sites"][1]
        begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        site["since"] = begin.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        site["refresh"] = {"done_bytes": 36 << 30, "total_bytes": 72 << 30}
        out = self.run_command("status", "data@a")[1]
        self.assertRegex(out, r"refresh of there +\[#{12}\.{12}\] +50\.0%  36\.0 GiB of "
                              r"72\.0 GiB, 10\.\d MiB/s, about (59|60) min\n")

    def test_watch(self):
        """A change is drawn at once; Ctrl-C leaves a whole terminal."""
        player = self.player()
        terminal = Terminal(self, "status", "data@a", "--watch", "--interval", "3600")
        terminal.until("refresh is under way")
        player.followed.wait(PATIENCE_S)
        player.change(why=["The sky falls."])
        terminal.until("The sky falls.")
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.process.wait(PATIENCE_S), 0)
        self.assertTrue(terminal.until(None).endswith("\033[?7h\033[?25h"))
        self.assertEqual(termios.tcgetattr(terminal.own), terminal.before)

    def interrupted(self, number, *arguments):
        """A small terminal with a command that gets this signal before a long wait."""
        library = os.path.join(self.dir, "interruption.so")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-x", "c", "-shared", "-fPIC",
                        "-o", library, "-"], input=INTERRUPTION, text=True, check=True)
        return Terminal(self, *arguments, "--interval", "3600", rows=8, LD_PRELOAD=library,
                        INTERRUPTION=str(int(number)), ASAN_OPTIONS="verify_asan_link_order=0")

    def test_signal_before_a_wait(self):
        """It is heeded as one that comes while it waits."""
        self.player()
        for arguments in (("status", "data@a", "--watch"), ("top", "data@a")):
            for number in (signal.SIGINT, signal.SIGTERM):
                terminal = self.interrupted(number, *arguments)
                self.assertEqual(terminal.process.wait(PATIENCE_S), 0)
            self.interrupted(signal.SIGWINCH, *arguments).until("refresh is under way")

    def test_watch_idle(self):
        """A daemon ends a connection that is idle: it is asked on a new one, and no state in
        between says that it is not reached."""
        player = self.player()
        terminal = Terminal(self, "status", "data@a", "--watch", "--interval", "3600")
        terminal.until("refresh is under way")
        player.followed.wait(PATIENCE_S)
        for words in ("The sky falls.", "It is up again."):
            player.status = dict(player.status, why=[words])
            player.idle.pop().shutdown(socket.SHUT_RDWR)
            self.assertNotIn("not reached", terminal.until(words))

    def test_watch_small(self):
        """What does not fit is left out; a larger terminal shows it."""
        self.player()
        terminal = Terminal(self, "status", "data@a", "--watch", rows=8)
        self.assertNotIn("writelog", terminal.until("...\033[K"))
        fcntl.ioctl(terminal.own, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until("refresh is under way")

    def test_watch_daemon_that_goes(self):
        """It is told, and that it has come again."""
        player = self.player()
        terminal = Terminal(self, "status", "data@a", "--watch")
        terminal.until("refresh is under way")
        player.change(serving=False)
        terminal.until("production: here on a\033")
        player.shutdown()
        player.server_close()
        os.unlink(player.server_address)
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.process.wait(PATIENCE_S), 0)
        terminal = Terminal(self, "status", "data@a", "--watch")
        terminal.until("`hamirror start data@a` starts it")
        self.player()
        terminal.until("refresh is under way")

    def test_watch_silent(self):
        """A daemon that hangs gets no more connections; the old ones are good later."""
        player = self.player()
        terminal = Terminal(self, "status", "data@a", "--watch")
        self.addCleanup(player.answers.set)
        terminal.until("refresh is under way")
        player.followed.wait(PATIENCE_S)
        player.answers.clear()
        before = player.connections
        terminal.until("The daemon does not answer")
        player.status = dict(player.status, why=["It is up again."])
        player.answers.set()
        terminal.until("It is up again.")
        self.assertEqual(player.connections, before)

    def test_watch_file(self):
        """A file that is changed while it is watched is told; one that is put back is not."""
        player = self.player()
        path = os.path.join(self.dir, "data.yaml")
        with open(path, "rb") as file:
            text = file.read()
        player.status["config"] = {"file": path, "crc": 0}
        terminal = Terminal(self, "status", "data@a", "--watch")
        terminal.until("data.yaml was changed")
        with open(path, "ab") as file:
            file.write(b"nonsense: [\n")
        terminal.until("no longer be read")
        with open(path, "wb") as file:
            file.write(text)
        terminal.until("data.yaml was changed")

    def test_watch_deaf(self):
        """A daemon without a socket is not waited for: others are watched too."""
        player = self.player()
        terminal = Terminal(self, "status", "data@a", "--watch", "--interval", "3600")
        terminal.until("refresh is under way")
        player.followed.wait(PATIENCE_S)
        os.makedirs(os.path.join(self.dir, "state/data@a"))
        with open(os.path.join(self.dir, "state/data@a/lock"), "w", encoding="ascii") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            os.unlink(player.server_address)
            begin = time.monotonic()
            player.idle.pop().shutdown(socket.SHUT_RDWR)
            terminal.until("takes no connection")
            self.assertLess(time.monotonic() - begin, 3)

    def test_watch_reads_no_log(self):
        """A device that hangs would hold up the rest: whether there is a log is not looked at."""
        with open(os.path.join(self.dir, "a.log"), "wb") as log:
            log.truncate(1 << 20)
        self.assertIn("no writelog yet", self.run_command("status", "data@a")[1])
        terminal = Terminal(self, "status", "data@a", "--watch")
        terminal.until("`hamirror start data@a` starts it")
    def test_watch_beside_a_deaf_one(self):
        """A mirror that does not answer holds up no other."""
        self.player()
        os.makedirs(os.path.join(self.dir, "run/other@b"))
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(os.path.join(self.dir, "run/other@b/control"))
            deaf.listen()
            terminal = Terminal(self, "status", "--watch", rows=60)
            self.assertIn("refresh is under way",
                          terminal.until("other@b: waiting for its answer"))
            terminal.until("other@b")

    def test_top_tells_sentences(self):
        """As they are; a change of a name counts, one of a figure alone does not."""
        player = self.player()
        player.status["why"] = ["Host n1 waits since 7 s for 10.0.0.1."]
        told = os.path.join(self.dir, "told")
        self.write("tell", f'echo "$HAMIRROR_TEXT" >> {told}\n')
        terminal = Terminal(self, "top", "--on", f"why=run:. {self.dir}/tell")
        terminal.until("data@a")
        player.followed.wait(PATIENCE_S)
        for why in ("Host n1 waits since 8 s for 10.0.0.1.",
                    "Host n2 waits since 9 s for 10.0.0.1.",
                    "Host n2 waits since 9 s for 10.0.0.2.", ""):
            player.change(why=[why] if why else [])
            while player.asked.acquire(blocking=False):
                pass
            for _ in range(3):   # the one before has been seen when the next is asked for
                self.assertTrue(player.asked.acquire(timeout=PATIENCE_S))
        end = time.monotonic() + PATIENCE_S
        text = ""
        while "All is well" not in text and time.monotonic() < end:
            if os.path.exists(told):
                with open(told, encoding="utf-8") as file:
                    text = file.read()
            time.sleep(0.05)
        self.assertEqual(text, "Host n2 waits since 9 s for 10.0.0.1.\n"
                               "Host n2 waits since 9 s for 10.0.0.2.\nAll is well.\n")

    def test_watch_rate(self):
        """The rate is that of what was seen."""
        player = self.player()
        site = player.status["sites"][1]
        site["refresh"] = {"done_bytes": 0, "total_bytes": 1 << 40}
        terminal = Terminal(self, "status", "data@a", "--watch")
        terminal.until("0 B of 1.0 TiB")
        site["refresh"]["done_bytes"] = 100 << 20
        terminal.until("iB/s, about")

    def test_watch_into_a_pipe(self):
        """A picture, or an object, for each change."""
        player = self.player()
        environment = dict(os.environ, LC_ALL="C", HAMIRROR_CONFIG_DIR=self.dir,
                           HAMIRROR_RUN_DIR=os.path.join(self.dir, "run"))
        with subprocess.Popen([HAMIRROR, "status", "data@a", "--watch", "--json"],
                              stdout=subprocess.PIPE, env=environment) as process:
            self.assertEqual(json.loads(process.stdout.readline()), STATUS)
            player.change(serving=False)
            self.assertFalse(json.loads(process.stdout.readline())["serving"])
            process.terminate()
            self.assertEqual(process.wait(PATIENCE_S), 0)

    def test_watch_on_a_plain_terminal(self):
        """One that knows no escapes, or says nothing of itself, gets none: it is as a pipe."""
        player = self.player()
        for term in ("dumb", ""):
            terminal = Terminal(self, "status", "data@a", "--watch", TERM=term)
            out = terminal.until("writelog: 12%")
            player.followed.wait(PATIENCE_S)
            player.change(why=[f"The sky of {term} falls."])
            out += terminal.until(f"The sky of {term} falls.")
            terminal.process.send_signal(signal.SIGINT)
            self.assertEqual(terminal.process.wait(PATIENCE_S), 0)
            self.assertNotIn("\033", out + terminal.until(None))
            player.followers.clear()
            player.followed.clear()

    def test_watch_none(self):
        """A mirror that is not there is not watched."""
        self.assertEqual(self.run_command("status", "none@a", "--watch")[0], 3)
        self.player()
        self.assertEqual(self.run_command("status", "data@a", "--watch", "--field",
                                          "serving")[0], 2)
        for wrong in ("0", "x", "3601"):
            self.assertEqual(self.run_command("status", "--watch", "--interval", wrong)[0],
                             2)


if __name__ == "__main__":
    unittest.main()
