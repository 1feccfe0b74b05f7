#!/usr/bin/env python3
"""test_watch_pace - hamirror-watch slows a daemon, and ends that. Run in the build directory;
the daemon is played."""
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
from test_cli import CONFIG, HAMIRROR, Command  # noqa: E402

PATIENCE_S = 60
STATUS = {"serving": True, "log": {"used_percent": 1}, "sites": []}
THROTTLES = """throttle-period: 100
throttles:
  - {test: pctwl, operator: ">=", value: 0, actions: [{sleep-set: 5000}]}
"""


class Daemon(socketserver.ThreadingUnixStreamServer):
    """It takes each order to slow down, and closes the connection without an answer."""
    daemon_threads = True

    def __init__(self, path):
        os.makedirs(os.path.dirname(path))
        super().__init__(path, Handler)
        self.slept = []   # the `sleep_us` of all orders
        self.ordered = threading.Semaphore(0)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        for line in self.rfile:
            request = json.loads(line)
            answer = {"exit": 0}
            if request["command"] == "status":
                answer["status"] = STATUS
            elif request["command"] == "throttle":
                self.server.slept.append(request["sleep_us"])
                self.server.ordered.release()
                if request["sleep_us"] != 0:
                    break
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Pace(Command):
    """See above."""

    def test_an_order_without_an_answer_is_ended_too(self):
        """The daemon may have taken it, and would be slow until the order's own end."""
        self.write("data.yaml", CONFIG.format(dir=self.dir) + THROTTLES)
        daemon = Daemon(os.path.join(self.dir, "run/data@a/control"))
        self.addCleanup(daemon.server_close)
        self.addCleanup(daemon.shutdown)
        environment = dict(os.environ, HAMIRROR_CONFIG_DIR=self.dir,
                           HAMIRROR_RUN_DIR=os.path.join(self.dir, "run"))
        with subprocess.Popen([HAMIRROR + "-watch", "data@a", "--listen", "127.0.0.1:0"],
                              env=environment, stderr=subprocess.DEVNULL) as watcher:
            for _ in range(2):   # it is asked once more, by a connection of its own
                self.assertTrue(daemon.ordered.acquire(timeout=PATIENCE_S))
            watcher.send_signal(signal.SIGTERM)
            self.assertEqual(watcher.wait(PATIENCE_S), 0)
        self.assertEqual(set(daemon.slept[:-1]), {5000})
        self.assertEqual(daemon.slept[-1], 0)


if __name__ == "__main__":
    unittest.main()
