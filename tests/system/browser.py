"""A real browser for tests: Chromium without a window, told over a pipe what to do.

Source: the Chrome DevTools Protocol; --remote-debugging-pipe: each message is JSON and ends
with a zero byte, to the browser on descriptor 3, from it on 4.
"""
import base64
import json
import os
import subprocess
import tempfile
import time

PATIENCE_S = 60  # of a busy machine


class Browser:
    """One page of one browser, which ends with the object."""

    def __init__(self):
        to_read, self.to = os.pipe()
        self.come, come_write = os.pipe()
        self.folder = tempfile.TemporaryDirectory()
        self.number = 0
        self.rest = b""
        self.errors = []
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_read} 4>&{come_write}', "chromium",
             "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
             f"--user-data-dir={self.folder.name}"],
            pass_fds=(to_read, come_write), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(come_write)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.send("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        """Send a command; returns its result. Complaints of the page are kept meanwhile."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def next(self):
        """The next message of the browser."""
        while b"\0" not in self.rest:
            piece = os.read(self.come, 65536)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.rest += piece
        line, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(line)
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded":
            entry = message["params"]["entry"]
            if entry["source"] in ("security", "violation", "javascript"):
                self.errors.append(entry["text"])
        return message

    def go(self, url):
        """Load a page."""
        self.send("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'", url)

    def value(self, script):
        """What an expression of JavaScript gives, as JSON; a promise is waited for."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script, what, seconds=PATIENCE_S):
        """Until an expression is true; returns the seconds that it took."""
        begin = time.monotonic()
        while not self.value(script):
            if time.monotonic() - begin > seconds:
                raise RuntimeError(f"not within {seconds} s: {what}; the page says: "
                                   + str(self.value("document.body.innerText"))[:1000])
            time.sleep(0.02)
        return time.monotonic() - begin

    def key(self, name, text=""):
        """Press a key, and let it go."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, text=text if
                      kind == "keyDown" else "", windowsVirtualKeyCode=codes.get(name, 0))

    def look(self, width, scheme, path=None):
        """A window so wide, light or dark; the whole page goes to `path` as PNG."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setScrollbarsHidden", hidden=True)
        self.send("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        if path:
            shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
            with open(path, "wb") as out:
                out.write(base64.b64decode(shot["data"]))

    def close(self):
        """End the browser."""
        os.close(self.to)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.come)
        self.folder.cleanup()
