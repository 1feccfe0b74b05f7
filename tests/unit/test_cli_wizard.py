#!/usr/bin/env python3
"""test_cli_wizard - `hamirror config wizard`, from a pipe and on a terminal. Run in the build
directory."""
import os
import pty
import resource
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import HAMIRROR, Command  # noqa: E402

# A trial on one machine.
TRIAL = ["none", "", "", "", "", "here", "", "", "127.0.0.1:7790", "{dir}/a.db", "{dir}/a.log",
         "there", "", "b", "127.0.0.1:7791", "{dir}/b.db", "{dir}/b.log", ""]

TRIAL_FILE = """\
mirror: try
mode: sync
cluster: none
sites:
  - name: here
    hosts: [a]
    writelog: {dir}/a.log
    disks:
      - {{name: db, path: {dir}/a.db}}
  - name: there
    hosts: [b]
    writelog: {dir}/b.log
    disks:
      - {{name: db, path: {dir}/b.db}}
addresses:
  a: "127.0.0.1:7790"
  b: "127.0.0.1:7791"
"""

CLUSTER_FILE = """\
mirror: try
mode: near-sync
near-sync: {{records: 500}}
port: 7800
sites:
  - name: paris
    location: "room: \\"2\\", Rue de l'Église"
    hosts: [a, n2]
    writelog: {dir}/a.log
    disks:
      - {{name: db, path: {dir}/a.db}}
      - {{name: wal, path: {dir}/a.wal}}
  - name: lyon
    hosts: [n3, n4]
    writelog: {dir}/a.log
    disks:
      - {{name: db, path: "/dev/v g/db"}}
      - {{name: wal, path: {dir}/a.wal}}
witnesses: [n5]
addresses:
  n3: "fd00::3"
"""


class Base(Command):
    """Host a has its devices here."""

    def setUp(self):
        super().setUp()
        os.unlink(os.path.join(self.dir, "data.yaml"))
        for name in ("a.log", "a.db", "a.wal", "b.log", "b.db"):
            self.write(name, "")
            os.truncate(os.path.join(self.dir, name), 2 << 30)
        self.path = os.path.join(self.dir, "try.yaml")
        self.environment = dict(os.environ, LC_ALL="C", HAMIRROR_CONFIG_DIR=self.dir,
                                HAMIRROR_RUN_DIR=os.path.join(self.dir, "run"))

    def play(self, answers, *arguments):
        """(exit status, stdout, stderr)"""
        text = "".join(f"{a}\n" for a in answers).format(dir=self.dir)
        done = subprocess.run([HAMIRROR, "config", "wizard", "try@a", *arguments], input=text,
                              capture_output=True, text=True, env=self.environment,
                              timeout=300, check=False)
        return done.returncode, done.stdout, done.stderr

    def read(self, path=None):
        """The file; beside it there is no draft."""
        self.assertEqual([n for n in os.listdir(self.dir) if n.startswith(".")], [])
        with open(path or self.path, encoding="utf-8") as file:
            return file.read()

    def nothing(self):
        """No file, and no draft."""
        self.assertEqual([n for n in os.listdir(self.dir)
                          if n.startswith(".") or n.endswith(".yaml")], [])


class Wizard(Base):
    """From a pipe."""

    def test_trial(self):
        """It is written as people would, is valid, and what comes next is said."""
        status, out, err = self.play(TRIAL)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.read(), TRIAL_FILE.format(dir=self.dir))
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o644)
        self.assertIn("a file of 2.0 GiB", out)
        self.assertIn("propose\n204 MiB", out)
        self.assertTrue(out.endswith("Next:\n"
                                     "  hamirror create try@a    # on a\n"
                                     "  hamirror start try@a    # on a\n"
                                     "  hamirror create try@b --copy-of a    # on b\n"
                                     "  hamirror start try@b    # on b\n"
                                     "  hamirror promote try@a    # on a\n"
                                     "  hamirror check try@a    # on a\n"
                                     "  hamirror check try@b    # on b\n"), out)
        for host in "ab":
            self.assertEqual(self.run_command("config", "check", f"try@{host}")[0], 0)

    def test_cluster(self):
        """Lists, a path that YAML would take apart, an address, a witness; what is not on this
        machine is not looked at."""
        status, out, err = self.play(
            ["corosync", "near-sync", "500", "7800", "2", "db, wal",
             "paris", 'room: "2", Rue de l\'Église', "a n2", "", "", "{dir}/a.db",
             "{dir}/a.wal", "{dir}/a.log",
             "lyon", "none", "n3, n4", "fd00::3", "n4", "/dev/v g/db", "", "", "n5", "yes"])
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.read(), CLUSTER_FILE.format(dir=self.dir))
        self.assertIn("fence a, n2, n3, n4, n5:", out)
        self.assertIn("promotable", out)
        self.assertEqual(self.run_command("config", "check", "try@a")[0], 0)

    def refused(self, at, answer, words):
        """This answer before the right one of the trial."""
        status, _, err = self.play(TRIAL[:at] + [answer] + TRIAL[at:], "--force")
        self.assertEqual(status, 0, err)
        self.assertIn(f"  no: {words}".format(dir=self.dir), err)
        self.assertEqual(err.count("no:"), 1, err)
        self.assertEqual(self.read(), TRIAL_FILE.format(dir=self.dir))

    def test_wrong_answers(self):
        """Each is asked for again, with what is wrong."""
        for at, answer, words in (
                (0, "pacemaker", 'cluster: is "pacemaker"'), (1, "fast", 'mode: is "fast"'),
                (2, "0", 'port: is "0"'), (3, "9", '"9" is no number of sites'),
                (3, "x", '"x" is no number of sites'), (4, "db db", "sites[0].disks: "),
                (4, "a/b", "sites[0].disks[0].name: "), (4, ",", "sites[0].disks: "),
                (5, "", "an answer is needed"), (5, "a b", "sites[0].name: "),
                (6, "x" * 128, "sites[0].location: "), (6, "a\x1bb", "control characters"),
                (7, "a n2", "sites[0].hosts: are 2"), (8, "a b:", "addresses."),
                (9, "a.db", "sites[0].disks[0].path: "),
                (9, "{dir}/none", "db ({dir}/none): No such file"),
                (9, "{dir}", "db ({dir}): Is a directory"),
                (10, "{dir}/a.db", "sites[0].disks: "),
                (11, "here", "sites[1].name: "), (13, "a", "hosts: "),
                (14, "127.0.0.1:7790", "addresses: b has the address and port of a"),
                (15, "", "sites[1].disks: "), (15, "{dir}/a.log", "sites[1].disks: "),
                (17, "maybe", "expected yes or no"), (5, "x" * 600, "that is too long"),
                (5, "y\0z", "that is too long, or no text")):
            with self.subTest(answer, at=at):
                self.refused(at, answer, words)

    def test_no_descriptor(self):
        """An answer that cannot be checked is refused for that, not for what an earlier one
        was; it is taken once it can be."""
        with subprocess.Popen([HAMIRROR, "config", "wizard", "try@a"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=self.environment, bufsize=1) as process:
            process.stdin.write("pacemaker\n")
            self.assertIn('cluster: is "pacemaker"', process.stderr.readline())
            before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
            process.stdin.write("none\n")
            self.assertEqual(process.stderr.readline(),
                             "  no: it cannot be checked: Too many open files\n")
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
            _, err = process.communicate("\n".join(TRIAL).format(dir=self.dir) + "\n")
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual(self.read(), TRIAL_FILE.format(dir=self.dir))

    def test_sizes(self):
        """A writelog that is too small, or one device by two names; a copy's smaller disk."""
        small = os.path.join(self.dir, "small")
        self.write("small", "")
        os.truncate(small, 1 << 20)
        os.link(os.path.join(self.dir, "a.db"), os.path.join(self.dir, "same"))
        self.refused(10, small, "writelog: {dir}/small has 1048576 bytes")
        self.refused(10, "{dir}/same", "{dir}/same and {dir}/a.db are one and the same")
        self.refused(15, small, "the disk of here has 2146435072 bytes more")
        os.truncate(small, 8 << 20)
        _, out, _ = self.play(TRIAL[:10] + [small] + TRIAL[11:], "--force")
        self.assertIn("less than the 204 MiB", out)

    def test_early_end(self):
        """At each question; nothing is written."""
        for count in range(len(TRIAL)):
            status, _, err = self.play(TRIAL[:count])
            self.assertEqual(status, 1)
            self.assertRegex(err, 'the answers end before ".+": nothing was written')
            self.nothing()
        self.assertIn('"Name of site 2"', self.play(TRIAL[:11])[2])
        status, _, err = self.play(TRIAL[:-1] + ["no"])
        self.assertEqual((status, err), (1, "hamirror: nothing was written\n"))
        self.nothing()

    def test_file_that_is_there(self):
        """It is replaced with --force only, also when it comes meanwhile."""
        self.write("try.yaml", "mine\n")
        status, out, err = self.play(TRIAL)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("try.yaml exists", err)
        self.assertEqual(self.read(), "mine\n")
        other = os.path.join(self.dir, "other")
        self.assertEqual(self.play(TRIAL, "--output", other)[0], 0)
        self.assertEqual(self.read(other), TRIAL_FILE.format(dir=self.dir))
        self.assertEqual(self.read(), "mine\n")
        self.assertEqual(self.play(TRIAL, "--force")[0], 0)
        self.assertEqual(self.read(), TRIAL_FILE.format(dir=self.dir))
        status, _, err = self.play(TRIAL, "--output", os.path.join(self.dir, "no/try.yaml"))
        self.assertEqual(status, 1)
        self.assertIn("No such file or directory", err)
        os.unlink(self.path)
        with subprocess.Popen([HAMIRROR, "config", "wizard", "try@a"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=self.environment) as process:
            self.assertIn("An empty answer", process.stdout.readline())
            self.write("try.yaml", "his\n")
            _, err = process.communicate("\n".join(TRIAL).format(dir=self.dir) + "\n")
        self.assertEqual(process.returncode, 1)
        self.assertIn("File exists", err)
        self.assertEqual(self.read(), "his\n")

    def test_port(self):
        """One that no other mirror of this node has."""
        self.assertEqual(self.play(TRIAL)[0], 0)
        with open(self.path, encoding="utf-8") as file:
            text = file.read().replace("try", "else").replace(":7791", ":7793")
        os.unlink(self.path)
        self.write("else.yaml", text)
        self.assertIn("the sites [7794]:", self.play(TRIAL[:2])[1])


class Terminal(Base):
    """On one of its own."""

    def setUp(self):
        super().setUp()
        self.screen = ""

    def terminal(self):
        """(process, master)"""
        pid, master = pty.fork()
        if pid == 0:
            os.execve(HAMIRROR, [HAMIRROR, "config", "wizard", "try@a"], self.environment)
        self.addCleanup(os.close, master)
        self.screen = ""
        return pid, master

    def until(self, master, words):
        """Read on until the screen ends so."""
        while not self.screen.endswith(words):
            self.screen += os.read(master, 4096).decode().replace("\r\n", "\n")

    def answer(self, master, answers):
        """Each after its prompt."""
        for answer in answers:
            self.until(master, ": ")
            self.screen = ""
            os.write(master, answer.format(dir=self.dir).encode() + b"\n")

    def test_on_a_terminal(self):
        """As from a pipe."""
        pid, master = self.terminal()
        self.answer(master, TRIAL)
        self.until(master, "check try@b    # on b\n")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual(self.read(), TRIAL_FILE.format(dir=self.dir))

    def test_left(self):
        """By Ctrl-C and by the end of file, even at the last question."""
        for key, status in (("\x03", -signal.SIGINT), ("\x04", 1)):
            pid, master = self.terminal()
            self.answer(master, TRIAL[:-1])
            self.until(master, "[yes]: ")
            os.write(master, key.encode())
            if status == 1:
                self.until(master, "nothing was written\n")
                self.assertIn('before "Write this to', self.screen)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status)
            self.nothing()


if __name__ == "__main__":
    unittest.main()
