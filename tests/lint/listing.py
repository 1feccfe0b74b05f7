"""listing - the files that the lint checks look at."""
import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                    "..", ".."))
GENERATED_FOLDERS = {"build-aux", "autom4te.cache", "m4", "__pycache__"}
GENERATED_FILES = {"aclocal.m4", "config.log", "config.status", "configure",
                   "libtool", "Makefile", "Makefile.in"}


def _tracked():
    """The files that git tracks, or None outside of a clone."""
    if not os.path.exists(os.path.join(ROOT, ".git")):
        return None
    # Root may build in a clone that belongs to someone else.
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"],
        capture_output=True, check=False)
    if done.returncode != 0:
        return None
    return [name for name in done.stdout.decode().split("\0") if name]


def _found():
    """All files of an unpacked release."""
    names = []
    for folder, folders, files in os.walk(ROOT):
        if folder != ROOT and "config.status" in files:
            folders[:] = []   # a build directory
            continue
        folders[:] = [f for f in folders if f not in GENERATED_FOLDERS
                      and not f.startswith(("build", "_", "."))]
        names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files
                  if f not in GENERATED_FILES]
    return names


def paths():
    """The project's files, relative to its root, sorted."""
    names = _tracked()
    if names is None:
        names = _found()
    return sorted(n for n in names if os.path.isfile(os.path.join(ROOT, n)))


def text(path):
    """The file's text, or None when it is not text."""
    with open(os.path.join(ROOT, path), "rb") as file:
        try:
            return file.read().decode("utf-8")
        except UnicodeDecodeError:
            return None


def sources():
    """C sources and headers."""
    return [p for p in paths() if p.endswith((".c", ".h"))]


def interpreter(path):
    """The interpreter that a script's first line names, or ""."""
    with open(os.path.join(ROOT, path), "rb") as file:
        first = file.readline(200).decode("utf-8", "replace")
    if not first.startswith("#!"):
        return ""
    words = first[2:].split()
    if words and os.path.basename(words[0]) == "env":
        words = words[1:]
    return os.path.basename(words[0]) if words else ""


def scripts(*interpreters):
    """Scripts of these interpreters."""
    return [p for p in paths() if interpreter(p) in interpreters]


def is_core(path):
    """True for a file of the cores: pure logic, no I/O (tests/lint/README)."""
    folder = path.split("/", maxsplit=1)[0]
    name = os.path.splitext(os.path.basename(path))[0]
    return folder in ("common", "mirror", "cluster") and \
        not name.endswith("_driver")


def need(tool, package):
    """Skip the check, and say so, when a tool is not there."""
    for folder in os.environ.get("PATH", "").split(":"):
        if os.access(os.path.join(folder, tool), os.X_OK):
            return
    print(f"SKIP: {tool} is missing: install {package}")
    sys.exit(77)


def finish(complaints):
    """Print the complaints and end: 1 if there are any."""
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)
