#!/usr/bin/env python3
"""test_cli_all - commands for every mirror of a node, and single members of answers. Run in
the build directory; the daemons are played, as in test_cli.py."""
import contextlib
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import CONFIG, STATUS, Command  # noqa: E402


class All(Command):
    """Two mirrors: data@a, which runs or not, and other, which has no place here."""

    def setUp(self):
        super().setUp()
        self.write("other.yaml", CONFIG.format(dir=self.dir).replace("data", "other"))

    @contextlib.contextmanager
    def both(self, first, second):
        """Two daemons, each with one answer."""
        with self.daemon([first]) as data, \
                self.daemon([second], instance="other@b") as other:
            yield data, other

    def test_each_is_asked(self):
        """Each answer is named; no failure, exit 0."""
        done = {"exit": 0, "text": "done"}
        for command in ("connect", "disconnect"):
            with self.both(done, done) as daemons:
                self.assertEqual(self.run_command(command, "--all"),
                                 (0, "data@a: done\nother@b: done\n", ""))
            for daemon in daemons:
                self.assertEqual(daemon.requests, [{"command": command}])
            for name in ("data@a", "other@b"):
                os.unlink(os.path.join(self.dir, "run", name, "control"))

    def test_failures_are_listed(self):
        """One that refuses stops none of the others."""
        with self.both({"exit": 1, "text": "no"}, {"exit": 0, "text": "done"}):
            status, out, err = self.run_command("connect", "--all")
        self.assertEqual((status, out), (1, "other@b: done\n"))
        self.assertEqual(err, "hamirror: data@a: no\nhamirror: failed: data@a\n")

    def test_failures_as_json(self):
        """A line for each, and one with the names."""
        with self.both({"exit": 1, "text": "no"}, {"exit": 0, "text": "done"}):
            status, out, err = self.run_command("connect", "--all", "--json")
        self.assertEqual((status, err), (1, "hamirror: failed: data@a\n"))
        self.assertEqual([json.loads(line) for line in out.splitlines()],
                         [{"exit": 1, "text": "no", "instance": "data@a"},
                          {"exit": 0, "text": "done", "instance": "other@b"},
                          {"exit": 1, "failed": ["data@a"]}])

    def test_start(self):
        """What runs is left alone; what cannot start here is named."""
        with self.daemon([{"exit": 0, "instance": "data@a", "pid": 17}]):
            status, out, err = self.run_command("start", "--all")
        self.assertEqual((status, out),
                         (1, "data@a: data@a runs already, as process 17\n"))
        self.assertIn("neither a host nor a witness", err)
        self.assertTrue(err.endswith("hamirror: failed: other\n"))

    def test_stop_of_what_is_down(self):
        """It is no failure to stop what does not run."""
        self.assertEqual(self.run_command("stop", "--all"),
                         (0, "data: does not run\nother: does not run\n", ""))
        self.assertEqual(self.run_command("disconnect", "--all")[0], 1)

    def test_status(self):
        """As without a name."""
        with self.daemon([{"exit": 0, "status": STATUS}]):
            all_of_them = self.run_command("status", "--all")
        os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([{"exit": 0, "status": STATUS}]):
            self.assertEqual(self.run_command("status"), all_of_them)

    def test_usage(self):
        """--all and a name do not go together; not every command takes it. --interval is of
        --watch."""
        for arguments in (["stop", "data@a", "--all"], ["connect", "--all", "data@a", "x"],
                          ["promote", "--all"], ["start", "--all", "--foreground"],
                          ["start", "--all", "--config", "x"], ["status", "--interval", "3"],
                          ["status", "data@a", "--interval", "3"],
                          ["status", "data@a", "--config", "x"]):
            status, out, err = self.run_command(*arguments)
            self.assertRegex(err, "usage: hamirror [a-z]+ ", arguments)
            self.assertEqual((status, out), (2, ""), arguments)

    def test_none(self):
        """A node without mirrors."""
        for name in ("data", "other"):
            os.unlink(os.path.join(self.dir, f"{name}.yaml"))
        for command in ("start", "stop", "status", "connect", "disconnect"):
            self.assertEqual(self.run_command(command, "--all")[0], 3, command)


class Field(Command):
    """Members of answers."""

    def ask(self, answer, *arguments):
        """Run it against a daemon that answers so."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.dir, "run/data@a/control"))
        with self.daemon([answer]):
            return self.run_command(*arguments)

    def test_answers(self):
        """A line for each path; a member that is not there is an error."""
        demoted = {"exit": 0, "text": "demoted", "may_promote": ["there"]}
        self.assertEqual(self.ask(demoted, "demote", "data@a", "--field",
                                  "may_promote.0,text"), (0, "there\ndemoted\n", ""))
        status, _, err = self.ask(demoted, "demote", "data@a", "--field", "lost")
        self.assertEqual(status, 0)   # it is done
        self.assertIn("there is no \"lost\"", err)
        self.assertEqual(self.ask({"exit": 0, "why": []}, "why", "data@a", "--field",
                                  "wy")[0], 2)
        self.assertEqual(self.ask({"exit": 0, "why": ["a", "b"]}, "why", "data@a", "--field",
                                  "why.1"), (0, "b\n", ""))
        self.assertEqual(self.ask({"exit": 0, "score": 7}, "score", "data@a", "--field",
                                  "score"), (0, "7\n", ""))

    def test_refusal(self):
        """It has no member of success, and the exit says it."""
        self.assertEqual(self.ask({"exit": 1, "text": "no"}, "demote", "data@a", "--field",
                                  "may_promote,text"), (1, "\nno\n", ""))

    def test_of_the_command_itself(self):
        """Answers that no daemon gives."""
        self.assertEqual(self.ask({"exit": 0, "pid": 17}, "start", "data@a", "--field",
                                  "exit"), (0, "0\n", ""))
        path = os.path.join(self.dir, "data.yaml")
        status, out, _ = self.run_command("config", "check", path, "--field", "file,errors")
        self.assertEqual((status, out), (0, f"{path}\n[]\n"))


if __name__ == "__main__":
    unittest.main()
