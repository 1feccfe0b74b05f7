#!/usr/bin/env python3
"""test_cli_check - the checklist where a cluster is, with Pacemaker's tools and the daemon
played. Run in the build directory; the rest of the list: tests/system/commands.sh."""
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import CONFIG, STATUS, Command  # noqa: E402


class Cluster(Command):
    """Of mirror data at host a, which Corosync's node b belongs to as well."""

    def setUp(self):
        super().setUp()
        text = CONFIG.format(dir=self.dir).replace("cluster: none\n", "")
        self.write("data.yaml", text + "witnesses: [c]\n")
        self.tools = os.path.join(self.dir, "bin")
        os.mkdir(self.tools)
        self.tool("crm_attribute", "echo true")

    def tool(self, name, script):
        """One of Pacemaker's."""
        path = os.path.join(self.tools, name)
        self.write(path, f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)

    def check(self, *options, **members):
        """{(result, name): [text, ...]}; what is not known counts with --strict only."""
        path = os.path.join(self.dir, "run/data@a/control")
        if os.path.exists(path):
            os.unlink(path)
        with self.daemon([{"exit": 0, "status": dict(STATUS, **members)}]):
            status, out, _ = self.run_command("check", "data@a", "--json", *options,
                                              PATH=f"{self.tools}:{os.environ['PATH']}")
        lines = {}
        for line in json.loads(out)["checks"]:
            lines.setdefault((line["result"], line["name"]), []).append(line["text"])
        results = [line["result"] for line in json.loads(out)["checks"]]
        self.assertEqual(status, "do" in results or ("--strict" in options and
                                                     "unknown" in results))
        self.assertEqual(json.loads(out)["ok"], status == 0)
        self.assertEqual(json.loads(out)["unknown"], results.count("unknown"))
        return lines

    def test_fencing(self):
        """Who fences whom; no answer is not a yes."""
        self.tool("stonith_admin", 'test "$2" = a && echo fence_a || exit 1')
        lines = self.check()
        self.assertEqual(lines["ok", "fencing"], ["a is fenced by fence_a"])
        self.assertEqual(len(lines["do", "fencing"]), 1)   # not of the witness
        self.assertIn("no device fences b", lines["do", "fencing"][0])
        self.tool("stonith_admin", "exit 124")
        lines = self.check()
        self.assertNotIn(("ok", "fencing"), lines)
        self.assertEqual(len(lines["unknown", "fencing"]), 2)
        self.tool("stonith_admin", "echo f")
        self.tool("crm_attribute", "echo false")
        self.assertIn("stonith-enabled is false", self.check()["do", "fencing"][0])

    def test_quorum(self):
        """By the daemon."""
        self.assertIn(("ok", "quorum"), self.check())
        self.assertIn(("do", "quorum"), self.check(quorate=False))

    def test_why_is_work(self):
        """Each sentence of why is a line."""
        lines = self.check(why=["One.", "Two."])
        self.assertEqual(lines["do", "daemon"], ["One.", "Two."])
        self.assertIn(("ok", "daemon"), self.check(why=[]))

    def test_version(self):
        """Of the daemon and the command."""
        own = self.run_command("--version")[1].split()[1]
        self.assertIn("of version 9.9", self.check()["do", "version"][0])
        self.assertIn(("ok", "version"), self.check(version=own))


if __name__ == "__main__":
    unittest.main()
