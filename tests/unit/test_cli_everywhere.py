#!/usr/bin/env python3
"""test_cli_everywhere - what holds for every command. Run in the build directory."""
import json
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import Command  # noqa: E402


class Everywhere(Command):
    """See above."""

    def test_json(self):
        """Each that is no dialogue takes --json and --field, and says so."""
        listed = self.run_command("--help")[1]
        names = re.findall(r"^  (\w+(?: \w+)?) {2,}\w", listed, re.MULTILINE)
        self.assertGreater(len(names), 25)
        for name in set(names) - {"top", "config edit", "config wizard"}:
            said = self.run_command(*name.split(), "--help")[1]
            self.assertIn("--json | --field LIST]", said.split("\n")[0])

    def test_perf_field(self):
        """Of each row."""
        os.mkdir(os.path.join(self.dir, "state"))
        self.write("state/data@a.prf", "2026-03-01T12:00:00Z db 1.5 2 3 4 5 6.25 7\n"
                   "2026-03-01T12:00:10Z db 0.1 2 3 4 5 6 8\n")
        self.assertEqual(self.run_command("perf", "data@a", "--field", "total_kb_s,age_s"),
                         (0, "1.5\n7.0\n0.1\n8.0\n", ""))
        self.assertEqual(self.run_command("perf", "data@a", "--field", "none")[0], 2)
        self.assertEqual(self.run_command("perf", "data@a", "--field", "disk", "--json")[0], 2)

    def test_recover_json(self):
        """A refusal is an object too."""
        status, out, _ = self.run_command("recover", "data@a", "--json")
        self.assertEqual((status, json.loads(out)["exit"]), (1, 1))
        self.assertEqual(self.run_command("recover", "data@a", "--field", "exit")[1], "1\n")


if __name__ == "__main__":
    unittest.main()
