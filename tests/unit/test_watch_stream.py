#!/usr/bin/env python3
"""test_watch_stream - what the page of hamirror-watch is told: all once, and then what is new.
Run in the build directory; the daemon is played."""
import http.client
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
# pylint: disable-next=wrong-import-position
from test_cli import HAMIRROR, STATUS, Command  # noqa: E402

FREE_PORT = os.path.join(os.environ.get("srcdir", ".."), "tests/system/free_port")
PATIENCE_S = 60


class Daemon(socketserver.ThreadingUnixStreamServer):
    """It has an event, and another one once it is told to."""
    daemon_threads = True

    def __init__(self, path):
        os.makedirs(os.path.dirname(path))
        super().__init__(path, Handler)
        self.more = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def say(self, answer):
        """A line."""
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def event(self, text):
        """A line of the event log."""
        self.say({"event": {"time": "2026-03-01T12:00:00.000Z", "verb": "change",
                            "object": "link there", "text": text, "rule": ""}})

    def handle(self):
        for line in self.rfile:
            if json.loads(line)["command"] == "events":
                self.event("first")
                self.server.more.wait()
                self.event("second")
            else:
                nodes = [dict(node, needs=["much"]) for node in STATUS["nodes"]]
                self.say({"exit": 0, "status": dict(STATUS, nodes=nodes)})


class Stream(Command):
    """See above."""

    def follow(self, port):
        """The messages of a new page, each as the one mirror in it."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self.addCleanup(connection.close)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        while True:
            line = answer.readline()
            if line.startswith(b"data: "):
                yield json.loads(line[len(b"data: "):])[0]

    def until(self, messages, text):
        """Read on until there is this event. Returns all events until then, and all states."""
        events, states = [], []
        for message in messages:
            events += message.get("events", [])
            states += [message["status"]] if message.get("status") else []
            if any(text in line for line in events):
                return events, states
        raise AssertionError("the stream has ended")

    def look(self, daemon, port):
        """At two pages."""
        messages = self.follow(port)
        events, states = self.until(messages, "first")
        for _ in range(2):   # nothing is told twice
            message = next(messages)
            events += message.get("events", [])
            states += [message["status"]] if message.get("status") else []
        daemon.more.set()
        events += self.until(messages, "second")[0]
        self.assertEqual([line.rsplit(" ", 1)[1] for line in events], ["first", "second"])
        self.assertEqual(states[0]["sites"], STATUS["sites"])
        self.assertEqual(states[0]["nodes"], STATUS["nodes"])
        events, states = self.until(self.follow(port), "second")
        self.assertEqual(len(events), 2)
        self.assertEqual(states[0]["why"], STATUS["why"])

    def test_what_is_new(self):
        """Events are told once; a page that comes later gets all of them."""
        daemon = Daemon(os.path.join(self.dir, "run/data@a/control"))
        self.addCleanup(daemon.server_close)
        self.addCleanup(daemon.shutdown)
        self.addCleanup(daemon.more.set)
        environment = dict(os.environ, HAMIRROR_CONFIG_DIR=self.dir,
                           HAMIRROR_RUN_DIR=os.path.join(self.dir, "run"))
        port = subprocess.check_output([FREE_PORT, str(os.getpid())], text=True).strip()
        with subprocess.Popen([HAMIRROR + "-watch", "data@a", "--listen", f"127.0.0.1:{port}"],
                              env=environment, stderr=subprocess.PIPE, text=True) as watcher:
            try:
                watcher.stderr.readline()   # it listens
                self.look(daemon, int(port))
            finally:
                watcher.send_signal(signal.SIGTERM)
            self.assertEqual(watcher.wait(PATIENCE_S), 0)


if __name__ == "__main__":
    unittest.main()
