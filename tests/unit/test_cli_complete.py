#!/usr/bin/env python3
"""test_cli_complete - completion by the shells: each word that is offered is one that the
command takes. Run in the build directory."""
import contextlib
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import HAMIRROR, Command  # noqa: E402

SHELLS = os.path.join(os.environ["srcdir"], "agent", "completion")


# Ctrl-X tells the line, and begins anew.
ZSHRC = """\
PS1='ready> '
setopt complete_in_word
fpath=({completion} $fpath)
autoload -Uz compinit
compinit -u -D
tell() {{ zle -I; print -r -- "<<$BUFFER>>"; BUFFER= }}
zle -N tell
bindkey -e
bindkey '^X' tell
"""


class Complete(Command):
    """Of mirror data, with sites here and there."""

    def words(self, *words):
        """What may stand for the last of `words`."""
        status, out, err = self.run_command("--complete", *words)
        self.assertEqual((status, err), (0, ""))
        return out.split()

    def test_commands_are_those_of_the_table(self):
        """All of them, and no others."""
        _, out, _ = self.run_command("--help")
        names = [line.split("  ")[1] for line in out.splitlines()
                 if line.startswith("  ") and not line.startswith("   ")]
        offered = [w for w in self.words("") if w != "help" and not w.startswith("-")]
        self.assertEqual(sorted(set(n.split()[0] for n in names)), sorted(offered))
        self.assertEqual(sorted(n.split()[1] for n in names if " " in n),
                         sorted(self.words("config", "")))
        self.assertEqual(self.words("dem"), ["demote"])
        for name in names:
            self.check_options(name)

    def check_options(self, name):
        """Each option of the synopsis is offered, and each that is offered is known."""
        _, out, _ = self.run_command(*name.split(), "--help")
        offered = self.words(*name.split(), "--")
        for option in re.findall(r"--[a-z-]+", out.splitlines()[0]):
            self.assertIn(option, offered, name)
        for option in offered:
            _, _, err = self.run_command(*name.split(), option, "x", "y", "z", "w")
            self.assertNotIn("unrecognized", err, f"{name} {option}")

    def test_operands(self):
        """Mirrors, sites, nodes, disks and fixed words, each in its place."""
        for words, offered in (
                (["status", ""], ["data"]),
                (["devinfo", "d"], ["data"]),
                (["connect", "data", ""], ["here", "there"]),
                (["connect", "--discard", "data", "t"], ["there"]),
                (["connect", "data", "here", ""], []),
                (["switch", "data", "--wait", "7", ""], ["here", "there"]),
                (["bypass", "data", ""], ["on", "off"]),
                (["bypass", "data", "on", "h"], ["here"]),
                (["fenced", "data", ""], ["a", "b"]),
                (["hostinfo", "data", "b"], ["b"]),
                (["create", "data", "--copy-of", ""], ["a", "b"]),
                (["accept", "data", ""], ["db"]),
                (["mode", "data", ""], ["sync", "near-sync", "async"]),
                (["mode", "data", "sync", "--confirm", "h"], ["home"]),
                (["create", "data", "--config", ""], []),
                (["create", "data", "x", ""], []),
                (["connect", "none", ""], []), (["frob", "x", ""], []),
                (["frob"], [])):
            with self.subTest(words):
                self.assertEqual(self.words(*words), offered)

    def ask_shell(self, *words):
        """What bash offers for the last of `words`."""
        script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hamirror; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "-c", script, "bash", os.path.join(SHELLS, "hamirror"), HAMIRROR, *words],
            capture_output=True, text=True, check=True,
            env=dict(os.environ, HAMIRROR_CONFIG_DIR=self.dir, HAMIRROR_RUN_DIR=self.dir))
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash(self):
        """The installed script asks as it should."""
        self.assertEqual(self.ask_shell("connect", "data", "t"), ["there"])
        self.assertEqual(self.ask_shell("prom"), ["promote"])
        self.assertIn("--help", self.ask_shell("stop", "--"))
        self.assertIn("status", self.ask_shell(""))

    def until(self, master, words):
        """What the terminal shows, up to a match of these words."""
        shown = ""
        while not (found := re.search(words, shown)):
            self.assertTrue(select.select([master], [], [], 60)[0], f"no {words} in: {shown}")
            shown += os.read(master, 4096).decode()
        return found.group(1)

    @unittest.skipUnless(shutil.which("zsh"), "no zsh here: tests/packages")
    def test_zsh(self):
        """Tab in a real one; the line is what it makes of it."""
        self.write(".zshrc", ZSHRC.format(completion=SHELLS))
        pid, master = pty.fork()
        if pid == 0:
            os.execvpe("zsh", ["zsh", "-d", "-i"], dict(
                os.environ, LC_ALL="C", TERM="dumb", ZDOTDIR=self.dir, HOME=self.dir,
                HAMIRROR_CONFIG_DIR=self.dir, HAMIRROR_RUN_DIR=self.dir,
                PATH=f"{os.path.dirname(HAMIRROR)}:{os.environ['PATH']}"))
        self.addCleanup(os.close, master)
        self.until(master, "(ready> )")
        for typed, line in (("hamirror prom\t", "hamirror promote "),
                            ("hamirror connect data t\t", "hamirror connect data there "),
                            ("hamirror stop --w\t", "hamirror stop --wait "),
                            ("hamirror config w\t", "hamirror config wizard "),
                            ("hamirror prote\x02\x02\t", "hamirror promote "),
                            (f"hamirror scan --log {self.dir}/data.y\t",
                             f"hamirror scan --log {self.dir}/data.yaml ")):
            os.write(master, f"{typed}\x18".encode())
            self.assertEqual(self.until(master, "<<(.*)>>"), line)
        os.write(master, b"exit\n")
        with contextlib.suppress(OSError):   # its end
            while os.read(master, 4096):
                pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


if __name__ == "__main__":
    unittest.main()
