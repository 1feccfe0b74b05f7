#!/usr/bin/env python3
"""test_cli_config - `hamirror config set` and `config edit`. Run in the build directory."""
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
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

    def start(self, *arguments):
        """A command that is waited for later."""
        return subprocess.Popen([HAMIRROR, "config", *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
                                env=dict(os.environ, LC_ALL="C", HAMIRROR_CONFIG_DIR=self.dir))

    def hold(self, path):
        """A new file that is locked until it is closed."""
        held = open(path, "x", encoding="utf-8")  # pylint: disable=consider-using-with
        fcntl.flock(held, fcntl.LOCK_EX)
        return held

    def wait_for_turn(self, process):
        """Until it has opened the lock that we hold."""
        lock = os.stat(os.path.join(self.dir, ".data.yaml.lock"))
        folder = f"/proc/{process.pid}/fd"
        while True:
            self.assertIsNone(process.poll(), "it has not waited")
            for name in os.listdir(folder):
                try:
                    if os.path.samestat(os.stat(os.path.join(folder, name)), lock):
                        return
                except FileNotFoundError:
                    pass   # it is closed
            time.sleep(0.01)

    def test_one_at_a_time(self):
        """Between the comparison with the file and its replacement there is no other writer:
        one that comes meanwhile sees what was written, and a wizard goes on. A lock that its
        owner has removed is none."""
        lock = os.path.join(self.dir, ".data.yaml.lock")
        answers = ["none"] + [""] * 4 + ["here", "", "", "", "{0}/a.db", "{0}/a.log", "there", "",
                                         "b", "", "/b.db", "/b.log", "yes", ""]
        for wanted, *command in ((1, "set", "data@a", "port", "7000"),
                                 (0, "wizard", "data@a", "--force")):
            self.write("data.yaml", self.text)
            with self.hold(lock) as held, self.start(*command) as process:
                process.stdin.write("\n".join(answers).format(self.dir))
                process.stdin.close()
                self.wait_for_turn(process)
                os.unlink(lock)
                with self.hold(lock):
                    held.close()
                    self.wait_for_turn(process)
                    self.write("data.yaml", self.text + "# his\n")
                    os.unlink(lock)
                err = process.stderr.read()
                self.assertEqual(process.wait(), wanted, err)
                if wanted == 1:
                    self.assertIn("was changed meanwhile", err)
                    self.assertEqual(self.read(), self.text + "# his\n")
                else:
                    self.assertIn("name: here", self.read())

    def test_hanging_writer(self):
        """A writer that stands still, with the lock, is named, and nothing is written; once it
        is gone, so is the lock."""
        lock = os.path.join(self.dir, ".data.yaml.lock")
        hold = f"import fcntl, os, signal; f = open({lock!r}, 'x'); " \
            "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); " \
            "os.kill(os.getpid(), signal.SIGSTOP)"
        with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder:
            self.assertEqual(holder.stdout.readline(), b"held\n")
            status, out, err = self.run_command("config", "set", "data@a", "port", "7000")
            self.assertEqual((status, out), (1, ""))
            for words in (f"process {holder.pid} (python", "kill -KILL", "nothing was written"):
                self.assertIn(words, err)
            with open(self.path, encoding="utf-8") as file:
                self.assertEqual(file.read(), self.text)
            holder.kill()
            holder.wait()
        self.set("port", "7000", self.text, self.text + "port: 7000\n")

    def test_many_at_a_time(self):
        """No change that was accepted is lost, and no lock is left."""
        def change(key, lost):
            value = 5000
            while value < 5010:
                status, _, err = self.run_command("config", "set", "data@a", key, str(value + 1))
                if status == 0:
                    value += 1
                    with open(self.path, encoding="utf-8") as file:
                        if f"{key}: {value}" not in file.read():
                            lost.append(f"{key}: {value}")
                elif "was changed meanwhile" not in err:
                    lost.append(err)
                    return

        lost = []
        threads = [threading.Thread(target=change, args=(key, lost))
                   for key in ("port", "demote-drain", "copy-timeout")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(lost, [])
        for line in ("port: 5010\n", "demote-drain: 5010\n", "copy-timeout: 5010 "):
            self.assertIn(line, self.read())

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
