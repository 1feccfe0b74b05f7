#!/usr/bin/env python3
"""test_writer - tests/system/writer judges lost records by the promise of their moment."""
import os
import subprocess
import sys
import tempfile
import unittest

WRITER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system", "writer")


class Judge(unittest.TestCase):
    """Records 1 to 9, each acknowledged at the second of its number."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def judge(self, lost, promises):
        """`lost broken` for these records lost, and these (second, limit)."""
        subprocess.run([sys.executable, "-c", """
import re, sys
text = open(sys.argv[1]).read()
exec(text[:text.index("def acknowledged")])
with open(sys.argv[2], "wb") as file:
    for number in sys.argv[3:]:
        file.write(record(int(number)))""", WRITER, self.path("records")] +
                       [str(n) for n in range(1, 10) if n not in lost], check=True)
        with open(self.path("notes"), "w") as notes:
            notes.writelines(f"{n} {n}.000000\n" for n in range(1, 10))
        with open(self.path("promises"), "w") as lines:
            lines.writelines(f"{when} {limit}\n" for when, limit in promises)
        done = subprocess.run([sys.executable, WRITER, "judge"] +
                              [self.path(n) for n in ("records", "notes", "promises")],
                              capture_output=True, text=True, check=True)
        total, *rest = done.stdout.split()
        self.assertEqual(total, "9")
        self.assertEqual(len(done.stderr.splitlines()), int(rest[1]))
        return " ".join(rest)

    def test_in_sync_nothing_may_be_lost(self):
        self.assertEqual(self.judge([], [(0, 0)]), "0 0")
        self.assertEqual(self.judge([5], [(0, 0)]), "1 1")

    def test_each_takeover_may_lose_as_many_as_the_bound(self):
        self.assertEqual(self.judge([3, 4, 8, 9], [(0, 2)]), "4 0")
        self.assertEqual(self.judge([3, 4, 5, 8, 9], [(0, 2)]), "5 1")

    def test_the_promise_of_the_moment_counts(self):
        # sync until 4.5: 4 was acknowledged in it
        self.assertEqual(self.judge([5, 6], [(0, 0), (4.5, 3)]), "2 0")
        self.assertEqual(self.judge([4, 5], [(0, 0), (4.5, 3)]), "2 1")
        # and again from 6.5 on; 7 may have been answered before
        self.assertEqual(self.judge([6, 7], [(0, 3), (6.5, 0)]), "2 0")
        self.assertEqual(self.judge([6, 7, 8], [(0, 3), (6.5, 0)]), "3 1")


if __name__ == "__main__":
    unittest.main()
