"""The configuration on the watcher's page, in a real browser, for page.sh.

  page_config.py URL look           without a token: what is shown, and that nothing is changed
  page_config.py URL FILE LOG       with one: FILE is that of the mirror data@a, LOG the watcher's

Pictures of the page go to the folder in PICTURES, where that is set.
"""
import json
import os
import subprocess
import sys
import time

from browser import PATIENCE_S, Browser

CARD = "document.querySelector('article[aria-label=\"data@a\"]')"
VIEW = f"{CARD}.querySelector('.config')"
SUMMARY = f"[...{CARD}.querySelectorAll('summary')].find((s) => s.textContent === 'Configuration')"
FROM, TO = (time.strftime("%H:%M", time.localtime(time.time() + s)) for s in (-7200, 7200))
OURS = {"name": "now", "test": "pctwl", "operator": ">=", "value": 0, "from": f"{FROM}:00",
        "to": f"{TO}:00", "actions": [{"log": "%n: \"it's\" 100%%"}, {"sleep-set": 300}]}


def read(path):
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    """Another hand."""
    with open(path, "wb") as file:
        file.write(text)


def shown(key):
    """The element with that key."""
    return f"{VIEW}.querySelector('[data-key=\"{key}\"]')"


def focus(page, key):
    """To it, when it is there."""
    page.wait(f"{shown(key)} !== null", f"no {key}")
    page.value(f"{shown(key)}.focus()")


def press(page, key, name="Enter", text="\r"):
    """A button, by a key."""
    focus(page, key)
    page.key(name, text)


def put(page, key, text):
    """A text, instead of what is there."""
    focus(page, key)
    page.value(f"{shown(key)}.select()")
    page.send("Input.insertText", text=text)


def choose(page, key, word):
    """A word of a list: by its first letters, as a hand does."""
    focus(page, key)
    page.value(f"{shown(key)}.value = {word!r}")
    page.value(f"{shown(key)}.dispatchEvent(new Event('change', {{bubbles: true}}))")


def replied(page, word):
    """A new answer, that begins so; its text."""
    page.answers = getattr(page, "answers", 0) + 1
    page.wait("performance.getEntriesByType('resource').filter((e) => "
              f"e.name.endsWith('/action')).length >= {page.answers}", "an answer")
    page.wait(f"{shown('reply')} && /^(Done|Refused)/.test({shown('reply')}.textContent)",
              "an answer")
    text = page.value(f"{shown('reply')}.textContent")
    assert text.startswith(word), text
    return text


def open_view(page):
    """By keys."""
    page.wait(f"{CARD} !== null && {SUMMARY} !== undefined", "the card")
    page.value(f"{SUMMARY}.focus()")
    page.key("Enter", "\r")
    page.wait(f"{VIEW}.textContent.includes('data.yaml')", "the view")


def throttles():
    """Of a file that config check accepts."""
    subprocess.run(["hamirror", "config", "check", "data@a"], check=True,
                   stdout=subprocess.DEVNULL)
    text = subprocess.run(["hamirror", "config", "show", "data@a", "--json"], check=True,
                          stdout=subprocess.PIPE).stdout
    return (json.loads(text)["throttles"] or {"list": []})["list"]


def picture(page, name):
    """Narrow and wide, light and dark; nothing is wider than the window."""
    folder = os.environ.get("PICTURES")
    for width in (400, 1280):
        for scheme in ("light", "dark"):
            page.look(width, scheme)
            page.wait(f"innerWidth === {width} && matchMedia("
                      f"'(prefers-color-scheme: {scheme})').matches", f"{width}, {scheme}")
            page.look(width, scheme, folder and f"{folder}/{name}-{width}-{scheme}.png")
            wide = page.value("document.documentElement.scrollWidth")
            assert wide <= width, f"{name}: {wide} pixels at {width}"


def look(page):
    """Everybody reads, and nobody writes."""
    open_view(page)
    text = page.value(f"{VIEW}.textContent")
    for word in ("paris", "127.0.0.1", "copy-timeout", "There are none.", "mode: sync"):
        assert word in text, f"no {word} in: {text}"
    page.wait(f"{VIEW}.querySelectorAll('form, textarea, select').length === 0", "no form")
    assert page.value(f"[...{VIEW}.querySelectorAll('button')].map((b) => b.textContent).join()") \
        == "Read it again"
    picture(page, "config-look")


def commit(page, file, log):
    """A new throttle: keys alone, one field after the other."""
    before = read(file)
    press(page, "new")
    page.wait("document.activeElement.dataset.key === 'name'", "the focus")
    for key, text in (("name", "now"), ("test", ""), ("operator", ""), ("value", "soon"),
                      ("from", FROM), ("to", TO), ("verb0", ""),
                      ("log0", "%n: \"it's\" 100%%")):
        assert page.value("document.activeElement.dataset.key") == key
        if text:
            page.send("Input.insertText", text=text)
        page.key("Tab")
    press(page, "add-action")
    page.wait("document.activeElement.dataset.key === 'verb1'", "the focus")
    page.send("Input.dispatchKeyEvent", type="char", text="s")  # sleep-set, the first such
    page.wait(f"{shown('sleep-set1')} !== null", "the fields of sleep-set")
    put(page, "sleep-set1", "300")
    press(page, "up1")
    page.wait("document.activeElement.dataset.key === 'verb0'", "the focus")
    assert page.value(f"{shown('verb0')}.value") == "sleep-set", "it is not above the other"
    picture(page, "config-throttle")

    press(page, "value")  # Enter in a field commits
    assert "as it was" in replied(page, "Refused")
    page.wait(f"[...{VIEW}.querySelectorAll('.throttle .errors')].some((e) => "
              "e.textContent.includes('value: is \"soon\"'))", "the error beside it")
    assert read(file) == before, "a refused throttle has changed the file"
    picture(page, "config-refused")
    put(page, "value", "0")
    press(page, "down0")
    page.wait(f"{shown('verb1')}.value === 'sleep-set'", "the order")
    press(page, "commit")
    text = replied(page, "Done")
    assert "takes them up at once" in text, text
    assert throttles() == [OURS], throttles()
    assert read(file).startswith(before), "what was there is not as it was"
    page.wait(f"{VIEW}.querySelectorAll('.throttles > li').length === 1", "the list")
    picture(page, "config-done")
    until = time.monotonic() + PATIENCE_S
    while b'now: "it\'s" 100%' not in read(log) and time.monotonic() < until:
        time.sleep(0.05)
    assert b'now: "it\'s" 100%' in read(log), "the watcher has not taken it up"


def reset(page):
    """What was typed is gone; the values are those of the file."""
    press(page, "change0")
    put(page, "value", "77")
    press(page, "remove1")
    page.wait(f"{VIEW}.querySelectorAll('.actions > li').length === 1", "an action less")
    press(page, "reset")
    page.wait(f"{shown('value')} && {shown('value')}.value === '0'", "the file's value")
    assert page.value(f"{VIEW}.querySelectorAll('.actions > li').length") == 2
    press(page, "close")
    page.wait("document.activeElement.dataset.key === 'change0'", "the focus")


def underneath(page, file):
    """Another hand was faster: its file stays."""
    press(page, "change0")
    put(page, "value", "5")
    theirs = read(file) + b"# theirs\n"
    write(file, theirs)
    press(page, "commit")
    assert "changed meanwhile" in replied(page, "Refused")
    assert read(file) == theirs, "their change is lost"
    press(page, "reset")
    page.wait(f"{shown('value')} && {shown('value')}.value === '0'", "the file's value")
    put(page, "value", "5")
    press(page, "commit")
    replied(page, "Done")
    assert throttles()[0]["value"] == 5
    assert read(file).endswith(b"# theirs\n")


def delete(page):
    """It is asked first, and the key that comes first cancels."""
    for key, left in (("confirm-no", 1), ("confirm-do", 0)):
        press(page, "delete0")
        page.wait("document.getElementById('confirm').open", "a question")
        assert page.value("document.activeElement.id") == "confirm-no", "a key would do it"
        page.value(f"document.getElementById('{key}').focus()")
        page.key("Enter", "\r")
        if key == "confirm-do":
            page.answers += 1
            page.wait("/^Done/.test(document.getElementById('confirm-said').textContent)", "it")
            page.value("document.getElementById('confirm-no').click()")
        page.wait("!document.getElementById('confirm').open", "the end of the question")
        assert len(throttles()) == left
    page.wait(f"{VIEW}.textContent.includes('There are none.')", "an empty list")


def setting(page, file):
    """One line changes."""
    before = read(file)
    choose(page, "setting", "copy-timeout")
    assert page.value(f"{shown('setting-value')}.value") == "2000"
    put(page, "setting-value", "9 s")
    press(page, "set")
    assert "copy-timeout: is \"9 s\"" in replied(page, "Refused")
    assert read(file) == before
    put(page, "setting-value", "9000")
    press(page, "setting-value")
    text = replied(page, "Done")
    assert "started anew" in text and "copy-timeout." in text, text
    assert read(file) == before.replace(b"copy-timeout: 2000", b"copy-timeout: 9000")


def whole(page, file):
    """As a text: errors with their lines."""
    before = read(file)
    press(page, "edit-sites")
    assert page.value("document.activeElement.dataset.key") == "file"
    page.send("Input.insertText", text="frob: 1\n")
    picture(page, "config-file")
    press(page, "write")
    assert "frob: is not a key here" in replied(page, "Refused")
    assert read(file) == before
    page.value(f"{shown('file')}.value = {shown('file')}.value.replace('frob: 1', "
               "'addresses: {a: n1, b: \"[fd00::2]:1\"}').replace(/^addresses.*127.*$/m, '')")
    press(page, "write")
    text = replied(page, "Done")
    assert "must be the same on all nodes" in text, text
    assert "root@[fd00::2]:'" in text and "root@n1" not in text, text
    write(file, before)
    press(page, "read")
    page.wait(f"!{VIEW}.textContent.includes('fd00::2')", "the file as it is now")


def main():
    """Both kinds of a run."""
    page = Browser()
    try:
        page.go(sys.argv[1])
        if sys.argv[2] == "look":
            look(page)
        else:
            file, log = sys.argv[2:]
            page.value("sessionStorage.setItem('token', 'open sesame')")
            page.go(sys.argv[1])
            open_view(page)
            begin = read(file)
            commit(page, file, log)
            reset(page)
            underneath(page, file)
            delete(page)
            assert read(file) == begin + b"# theirs\n", "the file is not as it was before"
            setting(page, file)
            whole(page, file)
        assert not page.errors, page.errors
    finally:
        page.close()


main()
