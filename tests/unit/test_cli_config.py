#!/usr/bin/env python3
"""test_cli_config - `hamirror config set` and `config edit`. Run in the build directory."""
import os
import signal
import stat
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import CONFIG, HAMIRROR, Command  # noqa: E402

EXTRA = """\
# how long we wait
copy-timeout: 5000   # ms, agreed with the net people
failover:   # near copies
  lag-bytes: 64M
  # and their age
  lag-ms: 5000
"""

# Waits for Ctrl-C, then changes the file.
EDITOR = f"""\
#!{sys.executable}
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
signal.sigwait([signal.SIGINT])
text = open(sys.argv[1]).read().replace("5000", "7000")
open(sys.argv[1], "w").write(text)
"""


def crc32c(data):
    """The Castagnoli CRC, bit by bit."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Change(Command):
    """data.yaml, whose devices exist."""

    def setUp(self):
        super().setUp()
        for name in ("a.log", "a.db"):
            self.write(name, "\0" * (4 << 20))
        self.text = CONFIG.format(dir=self.dir).replace("cluster: none\n", "") \
            .replace("mode: sync", "mode: async") + EXTRA
        self.write("data.yaml", self.text)
        self.path = os.path.join(self.dir, "data.yaml")

    def read(self):
        """The file; beside it there is no other."""
        self.assertEqual([n for n in os.listdir(self.dir) if n.startswith(".")], [])
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def set(self, key, value, old, new):
        """One line changes, and nothing else."""
        self.write("data.yaml", self.text)
        status, out, err = self.run_command("config", "set", "data@a", key, value)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("is written", out)
        self.assertEqual(self.read(), self.text.replace(old, new))

    def test_set(self):
        """Of the top level, and one below; a comment stays."""
        self.set("copy-timeout", "7000", "copy-timeout: 5000   #", "copy-timeout: 7000   #")
        self.set("failover.lag-ms", "9000", "lag-ms: 5000", "lag-ms: 9000")
        self.set("failover.lag-bytes", '"32M"', "lag-bytes: 64M", 'lag-bytes: "32M"')
        self.set("mode", "sync", "mode: async", "mode: sync")

    def test_add(self):
        """What is not there comes behind, on a line of its own."""
        self.set("frozen-timeout", "60000", self.text, self.text + "frozen-timeout: 60000\n")
        self.text = self.text.rstrip("\n")
        self.write("data.yaml", self.text)
        self.assertEqual(self.run_command("config", "set", "data@a", "port", "7000")[0], 0)
        self.assertEqual(self.read(), self.text + "\nport: 7000\n")
        self.text = self.text.replace("  lag-ms: 5000", "") + "port: 7000\n"
        self.set("failover.lag-ms", "7000", "  # and their age\n",
                 "  lag-ms: 7000\n  # and their age\n")
        self.text = self.text.replace("  # and their age\n", "").replace("port: 7000\n", "") \
            .rstrip("\n")
        self.assertTrue(self.text.endswith("lag-bytes: 64M"))
        self.set("failover.lag-ms", "7000", self.text, self.text + "\n  lag-ms: 7000\n")

    def refuse(self, words, *arguments):
        """Nothing changes."""
        status, out, err = self.run_command("config", "set", *arguments)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(words, err)
        self.assertEqual(self.read(), self.text)

    def test_refused(self):
        """What config check would not accept, by the name of the file."""
        self.refuse("copy-timeout:", "data@a", "copy-timeout", "soon")
        self.refuse(f"{self.path}:", "data@a", "copy-timeout", "soon")
        self.refuse("frob: is not a key here", "data@a", "frob", "1")
        self.refuse("more than one line", "data@a", "sites", "[]")
        self.refuse("more than one line", "data@a", "failover", "{}")
        self.refuse("no lines of its own", "data@a", "addresses.a", "x")
        self.refuse("is of another mirror", "data@a", "mirror", "other")
        self.refuse("line break", "data@a", "port", "1\nfrob: 2")
        os.unlink(os.path.join(self.dir, "a.db"))
        self.refuse("on this node", "data@a", "port", "7000")
        self.assertEqual(self.run_command("config", "set", "none", "port", "1")[0], 3)
        self.assertEqual(self.run_command("config", "set", "data@a", "port")[0], 2)

    def test_link_and_mode(self):
        """A link stays one, and the mode of the file stays."""
        os.chmod(self.path, 0o604)
        link = os.path.join(self.dir, "link.yaml")
        os.symlink("data.yaml", link)
        self.assertEqual(self.run_command("config", "set", link, "port", "7000")[0], 0)
        self.assertTrue(os.path.islink(link))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o604)
        self.assertIn("port: 7000", self.read())

    def test_changed_file(self):
        """What the watcher takes is no change for the daemon."""
        crc = crc32c(self.run_command("config", "show", self.path)[1].encode())
        read = {"file": self.path, "crc": 0, "settings_crc": crc}
        for more, changed in (("bandwidth: {max: 1M}\n", False), ("demote-drain: 9\n", True)):
            self.write("data.yaml", self.text + more)
            with self.daemon([{"exit": 0, "text": "All is well.", "why": [], "config": read}]):
                _, out, _ = self.run_command("why", "data@a")
            self.assertEqual(f"{self.path} was changed since" in out, changed)
            os.unlink(os.path.join(self.dir, "run/data@a/control"))

    def edit(self, script, **variables):
        """`config edit` with an editor that does this to $1."""
        self.write("editor", f"#!/bin/sh\n{script}\n")
        editor = os.path.join(self.dir, "editor")
        os.chmod(editor, 0o755)
        return self.run_command("config", "edit", "data@a",
                                **dict({"EDITOR": editor, "VISUAL": ""}, **variables))

    def test_edit(self):
        """A good one is written, a faulty one is not."""
        status, out, _ = self.edit('sed -i s/5000/7000/ "$1"')
        self.assertEqual(status, 0)
        self.assertIn("is written", out)
        self.assertEqual(self.read(), self.text.replace("5000", "7000"))
        self.write("data.yaml", self.text)
        status, out, err = self.edit('echo frob: 1 >> "$1"')
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"{self.path}:", err)
        self.assertIn("frob: is not a key here", err)
        self.assertEqual(self.read(), self.text)

    def test_edit_that_ends_early(self):
        """Nothing done, an editor that fails, and another hand meanwhile."""
        status, out, _ = self.edit("exit 0")
        self.assertEqual(status, 0)
        self.assertIn("is as it was", out)
        status, _, err = self.edit('echo "#" >> "$1"; exit 3')
        self.assertEqual(status, 1)
        self.assertIn("the editor failed", err)
        self.assertEqual(self.read(), self.text)
        status, _, err = self.edit(f'echo "# mine" >> "$1"; echo "# his" >> {self.path}')
        self.assertEqual(status, 1)
        self.assertIn("was changed meanwhile", err)
        self.assertEqual(self.read(), self.text + "# his\n")

    def test_edit_interrupted(self):
        """Ctrl-C is the editor's: its change is kept, and no draft is left."""
        editor = os.path.join(self.dir, "editor")
        self.write("editor", EDITOR)
        os.chmod(editor, 0o755)
        with subprocess.Popen([HAMIRROR, "config", "edit", "data@a"], stdout=subprocess.PIPE,
                              start_new_session=True,
                              env=dict(os.environ, HAMIRROR_CONFIG_DIR=self.dir,
                                       VISUAL=editor)) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            os.killpg(process.pid, signal.SIGINT)   # as a terminal does
            self.assertIn(b"is written", process.stdout.read())
            self.assertEqual(process.wait(), 0)
        self.assertEqual(self.read(), self.text.replace("5000", "7000"))


if __name__ == "__main__":
    unittest.main()
