#!/usr/bin/env python3
"""test_cli - the hamirror command against a daemon that is played here: its requests,
its output, its exit status. Run in the build directory."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

HAMIRROR = os.path.join(os.getcwd(), "hamirror")

CONFIG = """\
mirror: data
mode: sync
cluster: none
sites:
  - name: here
    hosts: [a]
    writelog: {dir}/a.log
    disks: [{{name: db, path: {dir}/a.db}}]
  - name: there
    hosts: [b]
    writelog: {dir}/b.log
    disks: [{{name: db, path: {dir}/b.db}}]
addresses: {{a: "127.0.0.1:7790", b: "127.0.0.1:7791"}}
"""

STATUS = {
    "mirror": "data", "instance": "data@a", "version": "9.9", "host": "a",
    "site": "here", "cluster": "none", "mode": "sync", "modes": ["connected"],
    "generation": {"ordinal": 3}, "quorate": True, "serving": True, "frozen": False,
    "production": {"site": "here", "host": "a"},
    "sites": [
        {"name": "here", "role": "production", "host": "a", "data": "UpToDate",
         "current": True, "link": None, "lag_bytes": None},
        {"name": "there", "role": "copy", "host": "b", "data": "Outdated",
         "current": False, "link": "refreshing", "lag_bytes": 1572864,
         "lag_groups": 7, "lag_ms": 120,
         "refresh": {"done_bytes": 25, "total_bytes": 100, "refused": False},
         "location": "Lyon", "rtt_us": 310, "sent_bytes_per_s": 1572864,
         "received_bytes_per_s": 0},
    ],
    "nodes": [
        {"name": "a", "site": "here", "address": "127.0.0.1:7790", "member": True,
         "since": None},
        {"name": "b", "site": "there", "address": "127.0.0.1:7791", "member": True,
         "since": "2026-03-01T12:00:00.000Z"},
    ],
    "disks": [{"name": "db", "bytes": 10737418240, "device": None,
               "socket": "/run/hamirror/data@a/db.nbd"}],
    "log": {"path": "/t/a.log", "bytes": 1073741824, "used_percent": 12},
    "why": ["Site there is not current: a refresh is under way."],
}

STATUS_TEXT = """\
data@a: sync, connected, generation 3, without a cluster
production: here on a, served here

SITE   ROLE        HOST  DATA      CURRENT  LINK              LAG
here   production  a     UpToDate  yes      -                 -
there  copy        b     Outdated  no       refreshing 25.0%  1.5 MiB, 7 groups, 120 ms

refresh of there         [######..................]  25.0%  25 B of 100 B

HOST  SITE   LOCATION  ADDRESS         STATE  SINCE                     RTT      SENT       RECEIVED
a     here   -         127.0.0.1:7790  up     -                         -        -          -
b     there  Lyon      127.0.0.1:7791  up     2026-03-01T12:00:00.000Z  0.31 ms  1.5 MiB/s  0 B/s

DISK  SIZE      DEVICE
db    10.0 GiB  /run/hamirror/data@a/db.nbd

writelog: 12% of 1.0 GiB used, /t/a.log

why:
  Site there is not current: a refresh is under way.
"""


# Takes the lock of argv[1]; argv[2]: it ignores SIGTERM.
HOLDER = """\
import fcntl, signal, sys, time
if sys.argv[2] == "1":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
time.sleep(60)
"""


class Daemon:
    """Answers each request of one connection with the next of `answers`, a list of
    lines each; then closes."""

    def __init__(self, path, answers):
        self.requests = []
        self.answers = answers
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
        self.listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        os.close(directory)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        """One connection."""
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rw") as lines:
            for answer in self.answers:
                self.requests.append(json.loads(lines.readline()))
                for line in answer:
                    lines.write(line if isinstance(line, str)
                                else json.dumps(line) + "\n")
                lines.flush()

    def end(self):
        """No more."""
        self.thread.join(10)
        self.listener.close()


class Command(unittest.TestCase):
    """Each test in a directory of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hamirror-test-cli-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.write("data.yaml", CONFIG.format(dir=self.dir))

    def write(self, name, text):
        """A file of the test."""
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as file:
            file.write(text)

    def run_command(self, *arguments, **variables):
        """(exit status, stdout, stderr)"""
        environment = dict(os.environ, LC_ALL="C", **variables)
        for name in ("CONFIG", "RUN", "STATE", "LOG", "DEV"):
            environment[f"HAMIRROR_{name}_DIR"] = self.dir if name == "CONFIG" \
                else os.path.join(self.dir, name.lower())
        done = subprocess.run([HAMIRROR, *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=environment, timeout=300,
                              check=False)
        return done.returncode, done.stdout, done.stderr

    @contextlib.contextmanager
    def daemon(self, *answers, instance="data@a"):
        """A daemon of `instance` that gives these answers."""
        daemon = Daemon(os.path.join(self.dir, "run", instance, "control"),
                        list(answers))
        yield daemon
        daemon.end()

    def check(self, arguments, request, answer, expected):
        """The command makes this request, and ends so."""
        with self.daemon([answer]) as daemon:
            self.assertEqual(self.run_command(*arguments), expected)
        self.assertEqual(daemon.requests, [request])


class Asking(Command):
    """Commands that ask a daemon."""

    def test_switch_asks_pacemaker_first(self):
        """Only where Pacemaker has no such resource the daemon moves production alone: not
        to hear from it is no answer."""
        tools = os.path.join(self.dir, "bin")
        os.mkdir(tools)
        path = f"{tools}:{os.environ['PATH']}"
        for code in (102, 105, 1, 124):
            self.write("bin/cibadmin", f"#!/bin/sh\nexit {code}\n")
            os.chmod(os.path.join(tools, "cibadmin"), 0o755)
            if code in (102, 105):
                with self.daemon([{"exit": 0, "text": "moved"}]) as daemon:
                    self.assertEqual(self.run_command("switch", "data@a", "there", PATH=path),
                                     (0, "moved\n", ""))
                self.assertEqual(daemon.requests,
                                 [{"command": "switch", "site": "there", "wait": 60}])
                os.unlink(os.path.join(self.dir, "run", "data@a", "control"))
            else:
                status, _, said = self.run_command("switch", "data@a", "there", PATH=path)
                self.assertEqual(status, 1)
                self.assertIn("does not say whether it manages data", said)

    def test_requests(self):
        """The request that each command sends."""
        done = {"exit": 0, "text": "done"}
        for arguments, request in (
                (["promote", "data@a"], {"command": "promote", "force": False}),
                (["promote", "--force", "data@a", "--wait", "7"],
                 {"command": "promote", "force": True, "wait": 7}),
                (["demote", "data@a"], {"command": "demote", "wait": 30}),
                (["demote", "data@a", "--wait=0"], {"command": "demote", "wait": 0}),
                (["connect", "data@a"], {"command": "connect"}),
                (["connect", "data@a", "there"],
                 {"command": "connect", "site": "there"}),
                (["connect", "data@a", "--discard"],
                 {"command": "connect", "discard": True}),
                (["connect", "--discard", "data@a", "there"],
                 {"command": "connect", "site": "there", "discard": True}),
                (["disconnect", "data@a", "there"],
                 {"command": "disconnect", "site": "there"}),
                (["bypass", "data@a", "on"], {"command": "bypass", "on": True}),
                (["bypass", "data@a", "off", "there"],
                 {"command": "bypass", "on": False, "site": "there"}),
                (["refresh", "data@a"], {"command": "refresh"}),
                (["refresh", "data@a", "there", "--allow-inconsistent"],
                 {"command": "refresh", "site": "there", "allow_inconsistent": True}),
                (["refresh", "data@a", "--pace"], {"command": "refresh", "pace": True}),
                (["mode", "data@a", "sync"], {"command": "mode", "mode": "sync"}),
                (["mode", "data@a", "near-sync", "--records", "500", "--ms=200"],
                 {"command": "mode", "mode": "near-sync", "records": 500, "ms": 200}),
                (["fenced", "data@a", "n3"], {"command": "fenced", "node": "n3"}),
                (["why", "data@a"], {"command": "why"})):
            with self.subTest(arguments):
                self.check(arguments, request, done, (0, "done\n", ""))
                os.unlink(os.path.join(self.dir, "run/data@a/control"))

    def test_refused(self):
        """A refusal's sentence goes to stderr; --json prints the answer."""
        answer = {"exit": 1, "text": "site there is not current; use --force"}
        self.check(["promote", "data@a"], {"command": "promote", "force": False},
                   answer, (1, "", "hamirror: data@a: site there is not current; use "
                                   "--force\n"))
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        asks = {"exit": 1, "text": "records 65 to 129 of site here would be undone: "
                                   "`hamirror connect data@a there --discard` gives "
                                   "them up"}
        self.check(["connect", "data@a"], {"command": "connect"}, asks,
                   (1, "", f"hamirror: data@a: {asks['text']}\n"))
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([answer]):
            status, out, _ = self.run_command("promote", "data@a", "--json")
        self.assertEqual((status, json.loads(out)), (1, answer))

    def test_score(self):
        """A number, or a refusal."""
        self.check(["score", "data@a"], {"command": "score"},
                   {"exit": 0, "score": 10000}, (0, "10000\n", ""))
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        self.check(["score", "data@a"], {"command": "score"},
                   {"exit": 1, "text": "no quorum"},
                   (1, "", "hamirror: data@a: no quorum\n"))

    def test_start(self):
        """Nothing is started where a daemon answers."""
        self.check(["start", "data@a"], {"command": "ping"},
                   {"exit": 0, "instance": "data@a", "pid": 17, "version": "9.9"},
                   (0, "data@a runs already, as process 17\n", ""))

    def test_stop(self):
        """A refusal is told."""
        self.check(["stop", "data@a", "--wait", "2"], {"command": "stop", "wait": 2},
                   {"exit": 1, "text": "a disk hangs"},
                   (1, "", "hamirror: data@a: a disk hangs\n"))

    def test_status(self):
        """As text, and as it came."""
        answer = {"exit": 0, "status": STATUS}
        self.check(["status", "data@a"], {"command": "status"}, answer,
                   (0, STATUS_TEXT, ""))
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([answer]):
            status, out, _ = self.run_command("status", "--json", "data@a")
        self.assertEqual((status, json.loads(out)), (0, STATUS))
        self.assertNotIn(" ", out.split('"why"')[0])

    def ask_fields(self, status, fields):
        """Run status --field against a daemon that answers `status`."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([{"exit": 0, "status": status}]):
            return self.run_command("status", "data@a", "--field", fields)

    def test_status_fields(self):
        """Values for scripts: by name, by place in a list, and those that are not known."""
        status, out, err = self.ask_fields(
            STATUS, "serving,sites.there.data,sites.0.lag_bytes,disks.db.bytes,modes,"
            "production.host,sites.here.link.x")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, "true\nOutdated\n\n10737418240\n[\"connected\"]\na\n\n")
        # of a daemon of another version not all is known, of one of ours it is
        self.assertEqual(self.ask_fields(STATUS, "later,host"), (0, "\na\n", ""))
        own = dict(STATUS, version=self.run_command("--version")[1].split()[1])
        for wrong in ("servng", "host,", "", "sites.7", "sites.x.data", "x" * 300):
            status, _, err = self.ask_fields(own, wrong)
            self.assertEqual(status, 2, wrong)
            self.assertIn("--field", err)

    def test_fields_of_what_is_down(self):
        """Without a daemon the exit tells it, and the rest is not known."""
        status, out, _ = self.run_command("status", "data@a", "--field", "serving,sites.a")
        self.assertEqual((status, out), (3, "false\n\n"))

    def test_refused_refresh(self):
        """A refresh that has not begun shows no progress."""
        refused = json.loads(json.dumps(STATUS))
        refused["sites"][1]["refresh"] = {"done_bytes": 0, "total_bytes": 100,
                                          "refused": True}
        with self.daemon([{"exit": 0, "status": refused}]):
            _, out, _ = self.run_command("status", "data@a")
        self.assertIn("refresh refused", out)
        self.assertNotIn("%  ", out)

    def test_changed_file(self):
        """A daemon that runs on an older file, or on one that is broken by now."""
        path = os.path.join(self.dir, "data.yaml")
        read = {"file": path, "crc": 0}
        answer = {"exit": 0, "status": dict(STATUS, config=read)}
        with self.daemon([answer]):
            _, out, _ = self.run_command("status", "data@a")
        self.assertIn(f"{path} was changed since", out)
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([{"exit": 0, "text": "All is well.", "why": [], "config": read}]):
            _, out, _ = self.run_command("why", "data@a")
        self.assertIn(f"{path} was changed since", out)
        self.assertNotIn("well", out)
        self.write("data.yaml", "mirror: [")
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([answer]):
            _, out, _ = self.run_command("status", "data@a")
        self.assertIn("`hamirror config check data` names the errors", out)

    def test_status_of_all(self):
        """Mirrors that run and mirrors that do not, each once."""
        self.write("other.yaml", CONFIG.format(dir=self.dir).replace("data", "other"))
        with self.daemon([{"exit": 0, "status": STATUS}]):
            status, out, err = self.run_command("status")
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith(STATUS_TEXT))
        self.assertIn("neither a host nor a witness", err)   # other, on this node

    def test_events(self):
        """The stream: until all past events are printed, or until the daemon ends."""
        first = {"event": {"time": "T1", "verb": "exists", "object": "site here",
                           "rule": "", "text": "role:production"}}
        end = {"event": {"time": "T1", "verb": "exists", "object": "-", "rule": "",
                         "text": ""}}
        change = {"event": {"time": "T2", "verb": "change", "object": "site there",
                            "rule": "D3", "text": "current:yes"}}
        with self.daemon([{"exit": 0}, first, end, change]) as daemon:
            status, out, err = self.run_command("events", "data@a", "--now")
        self.assertEqual(daemon.requests, [{"command": "events", "now": True}])
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, "T1 exists site here role:production\nT1 exists -\n")
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([{"exit": 0}, first, end, change]):
            status, out, err = self.run_command("events", "data@a", "--json")
        self.assertEqual(status, 3)
        self.assertEqual([json.loads(line) for line in out.splitlines()],
                         [first["event"], end["event"], change["event"]])
        self.assertIn("ended", err)
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([{"exit": 0}, first, change]):
            _, out, _ = self.run_command("events", "data@a", "--field", "verb,object")
        self.assertEqual(out, "exists\nsite here\nchange\nsite there\n")

    def test_daemon_that_breaks(self):
        """One that ends, and one that talks nonsense."""
        with self.daemon([]):
            status, _, err = self.run_command("why", "data@a")
        self.assertEqual(status, 3)
        self.assertIn("has ended", err)
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon(["nonsense\n"]):
            self.assertEqual(self.run_command("why", "data@a")[0], 1)

    @contextlib.contextmanager
    def lock_holder(self, deaf=False):
        """A process that has the lock of data@a, as a daemon has it."""
        state = os.path.join(self.dir, "state", "data@a")
        os.makedirs(state, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, os.path.join(state, "lock"), str(int(deaf))],
            stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    def test_alive_by_its_lock(self):
        """A broken line, or none, is no dead daemon while its lock is held."""
        with self.lock_holder() as holder:
            for command in ("status", "why", "stop", "demote", "events"):
                with self.subTest(command):
                    status, out, err = self.run_command(command, "data@a")
                    self.assertEqual((status, out), (1, ""))
                    self.assertIn(f"as process {holder.pid}, but takes no connection",
                                  err)
            with self.daemon([]):
                status, _, err = self.run_command("why", "data@a")
            self.assertEqual(status, 1)
            self.assertIn("closed the connection", err)
            os.unlink(os.path.join(self.dir, "run/data@a/control"))
            status, _, err = self.run_command("start", "data@a")
            self.assertEqual(status, 1)
            self.assertIn(f"process {holder.pid} holds", err)
        self.assertEqual(self.run_command("status", "data@a")[0], 3)

    def test_socket_that_comes_back(self):
        """A socket that was removed is waited for."""
        answer = {"exit": 0, "text": "well"}
        with self.lock_holder():
            command = threading.Thread(target=lambda: done.append(
                self.run_command("why", "data@a")))
            done = []
            command.start()
            with self.daemon([answer]):
                command.join()
        self.assertEqual(done, [(0, "well\n", "")])

    def test_kill(self):
        """A daemon that cannot be asked is ended: kindly, and by force."""
        with self.lock_holder() as holder:
            status, _, _ = self.run_command("stop", "data@a", "--kill", "20")
            self.assertEqual((status, holder.wait(5)), (0, -signal.SIGTERM))
        with self.lock_holder(deaf=True) as holder:
            status, _, err = self.run_command("stop", "data@a", "--kill", "1")
            self.assertEqual((status, holder.wait(5)), (0, -signal.SIGKILL))
            self.assertIn("it is killed", err)

    def test_no_verdict(self):
        """An answer without an exit that the protocol knows is neither a yes nor "none"."""
        for answer in ({"text": "well"}, {"exit": "0"}, {"exit": 3}, {"exit": -1}, []):
            with self.daemon([answer]):
                status, out, err = self.run_command("demote", "data@a")
            os.unlink(os.path.join(self.dir, "run/data@a/control"))
            self.assertEqual((status, out), (1, ""))
            self.assertEqual(err, "hamirror: the daemon of data@a: Protocol error\n")

    def test_lock_of_another_kind(self):
        """A lock that is a pipe holds nothing up."""
        folder = os.path.join(self.dir, "state/data@a")
        os.makedirs(folder)
        os.mkfifo(os.path.join(folder, "lock"))
        for command in ("status", "why", "stop"):
            self.assertEqual(self.run_command(command, "data@a")[0], 3)

    def test_from_the_cluster(self):
        """Requests of the cluster say so, and are heard first."""
        with self.daemon([{"exit": 0, "text": "well"}]) as daemon:
            self.run_command("why", "data@a", HAMIRROR_FROM="cluster")
        self.assertEqual(daemon.requests, [{"command": "why", "from": "cluster"}])

    def test_long_directory(self):
        """A socket whose path is longer than an address can hold."""
        self.dir = os.path.join(self.dir, "d" * 120)
        os.mkdir(self.dir)
        self.check(["why", "data@a"], {"command": "why"}, {"exit": 0, "text": "well"},
                   (0, "well\n", ""))


class Alone(Command):
    """Without a daemon."""

    def test_missing_operand(self):
        """It is named as in the usage."""
        for arguments, name in ((["promote"], "NAME"), (["switch", "data"], "SITE"),
                                (["bypass", "data"], "on or off"), (["mode", "data"], "MODE"),
                                (["fenced", "data"], "NODE"), (["accept", "data"], "DISK"),
                                (["config", "check"], "NAME or FILE"),
                                (["config", "set", "data", "port"], "VALUE")):
            self.assertIn(f": {name} is missing\n", self.run_command(*arguments)[2])

    def test_usage(self):
        """Exit 2, and how it is used."""
        for arguments in ([], ["frob"], ["promote"], ["promote", "data", "x"],
                          ["promote", "data", "--frob"], ["fenced", "data"],
                          ["promote", "data", "--wait", "x"],
                          ["promote", "data", "--wait", "-1"],
                          ["promote", "a/b"], ["config", "frob", "x"], ["config"],
                          ["create", "data", "--copy-of"],
                          ["connect", "data", "--force"],
                          ["disconnect", "data", "--discard"], ["scan"],
                          ["bypass", "data"], ["bypass", "data", "there"],
                          ["bypass", "data", "on", "there", "x"],
                          ["bypass", "data", "ON"], ["bypass", "data", "on", "--force"]):
            with self.subTest(arguments):
                status, out, err = self.run_command(*arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertNotEqual(err, "")

    def test_help(self):
        """Each command explains itself."""
        _, out, _ = self.run_command("--help")
        names = [line.split("  ")[1] for line in out.splitlines()
                 if line.startswith("  ") and not line.startswith("   ")]
        self.assertGreater(len(names), 15)
        for name in names:
            with self.subTest(name):
                status, out, err = self.run_command(*name.split(), "--help")
                self.assertEqual((status, err), (0, ""))
                self.assertTrue(out.startswith(f"usage: hamirror {name}"))

    def test_no_daemon(self):
        """Exit 3: no daemon, and no mirror at all."""
        for command in ("promote", "demote", "stop", "connect", "disconnect", "refresh",
                        "why", "score", "events"):
            with self.subTest(command):
                status, out, err = self.run_command(command, "data@a")
                self.assertEqual((status, out), (3, ""))
                self.assertEqual(err, "hamirror: no daemon of data@a runs on this "
                                      "node; `hamirror start data@a` starts it\n")
                status, out, err = self.run_command(command, "none@a")
                self.assertEqual((status, out), (3, ""))
                self.assertIn("there is no mirror none here", err)

    def test_killed_daemon(self):
        """A socket that nobody listens to is no daemon."""
        with self.daemon([{"exit": 0, "text": ""}]):
            self.run_command("why", "data@a")
        self.assertEqual(self.run_command("why", "data@a")[0], 3)

    def test_setup(self):
        """Before create: setup, and the next step; exit 3 all the same."""
        self.write("a.log", "\0" * (4 << 20))
        status, out, _ = self.run_command("status", "data@a")
        self.assertEqual(status, 3)
        self.assertEqual(out, "data@a: setup\n\nwhy:\n  This site has no writelog yet; "
                              "`hamirror create data@a` makes it.\n")
        status, out, _ = self.run_command("status", "data@a", "--json")
        self.assertEqual((status, json.loads(out)["mode"]), (3, "setup"))

    def test_config(self):
        """check and show, of a name and of a file."""
        path = os.path.join(self.dir, "data.yaml")
        status, out, err = self.run_command("config", "check", "data@a")
        self.assertEqual((status, out), (1, ""))   # valid, but not on this node
        self.assertIn(f"{path}: on this node: writelog: {self.dir}/a.log: No such", err)
        status, out, _ = self.run_command("config", "check", "data@a", "--json")
        self.assertEqual((status, len(json.loads(out)["faults"])), (1, 2))
        for name in ("a.log", "a.db"):
            self.write(name, "\0" * (4 << 20))
        status, out, err = self.run_command("config", "check", "data@a")
        self.assertEqual((status, err), (0, ""))
        self.assertIn(f"{path}: valid\n", out)
        self.assertRegex(out, f"{path}: room for \\d+ NBD clients at a time")
        _, out, _ = self.run_command("config", "check", "data@a", "--json")
        self.assertEqual(json.loads(out)["limits"]["clients"], 256)
        self.write("bad.yaml", "mirror: bad\nmode: sync\nfrob: 1\nsites: []\n")
        bad = os.path.join(self.dir, "bad.yaml")
        status, out, err = self.run_command("config", "check", bad)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"{bad}:3:1: frob: is not a key here", err)
        self.assertIn(f"{bad}:4:8: sites: is an empty list", err)
        status, out, _ = self.run_command("config", "check", bad, "--json")
        self.assertEqual((status, json.loads(out)["errors"][0]["line"]), (1, 3))
        self.assertEqual(self.run_command("config", "check", "none")[0], 3)
        status, out, _ = self.run_command("config", "show", path)
        self.assertEqual(status, 0)
        self.write("again.yaml", out)
        again = os.path.join(self.dir, "again.yaml")
        self.assertEqual(self.run_command("config", "show", again), (0, out, ""))
        _, out, _ = self.run_command("config", "show", "data", "--json")
        self.assertEqual(json.loads(out)["nodes"][1]["port"], 7791)
        self.assertEqual(self.run_command("config", "show", "data", "--field",
                                          "cluster,nodes.b.port"), (0, "none\n7791\n", ""))

    def test_times(self):
        """Timeouts that wait for each other are compared, and both are named."""
        text = CONFIG.format(dir=self.dir).replace("cluster: none\n", "").replace(
            "addresses:", "#")
        self.write("times.yaml", text + "device-timeout: 40000\nfrozen-timeout: 35000\n"
                   "copy-timeout: 60000\nlease: 80000\ndemote-drain: 20000\n")
        status, out, _ = self.run_command("config", "check",
                                          os.path.join(self.dir, "times.yaml"))
        self.assertEqual(status, 0)
        for words in ("device-timeout is 40000 ms", "frozen-timeout, 35000 ms",
                      "frozen-timeout is 35000 ms", "copy-timeout is 60000 ms: a copy",
                      "copy-timeout is 60000 ms: a demote", "lease is 80000 ms",
                      "demote-drain is 20000 ms"):
            self.assertIn(words, out)

    def test_one_device(self):
        """A log and a disk in one place are told."""
        for name in ("a.log", "a.db"):
            self.write(name, "\0" * (4 << 20))
        _, out, _ = self.run_command("config", "check", "data@a")
        self.assertIn("the writelog and disk db are both on", out)
        os.unlink(os.path.join(self.dir, "a.db"))
        os.link(os.path.join(self.dir, "a.log"), os.path.join(self.dir, "a.db"))
        status, _, err = self.run_command("config", "check", "data@a")
        self.assertEqual(status, 1)
        self.assertIn("are one and the same", err)


if __name__ == "__main__":
    unittest.main()
