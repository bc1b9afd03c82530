# SPDX-License-Identifier: MIT
"""Whoever reaches the ports may connect and send: memory stays bounded, and workers go on."""

import socket
import time
import unittest
from pathlib import Path

import msgpack
import zmq

import workpool_wire as wire
from workpool_testing import DISPATCHER, System, figure

FAST = ["--worker-timeout", "2s"]


class Strangers(System):
    def test_a_flood_of_another_run(self):
        """One connection to the results port, no session, frames of 119 KB as fast as they go."""
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.02; done", "id": "long"})
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--name", "w")
        self.wait_workers("w")
        results = [port for port in wire.listening_ports(dispatcher.pid) if port != self.port]
        body = [[0, b"k" * 16, b"s" * 16, 1, 0, 0, 0, 0, "", "v", True, 0, 0, b"x" * 1000]] * 110
        frame = msgpack.packb([wire.RESULTS, 12345, 6789, 1, body])
        sent, slowest, until = 0, 0.0, time.monotonic() + 6
        with wire.Sockets() as sockets:
            pushing = [sockets.make(zmq.PUSH) for _ in results]
            for push, port in zip(pushing, results):
                push.sndtimeo = 0
                push.connect(f"tcp://127.0.0.1:{port}")
            next_status = time.monotonic() + 1
            while time.monotonic() < until:
                for push in pushing:
                    try:
                        push.send(frame)
                        sent += 1
                    except zmq.ZMQError:
                        pass
                if time.monotonic() > next_status:
                    began = time.monotonic()
                    status = self.status()
                    slowest = max(slowest, time.monotonic() - began)
                    self.assertIsNotNone(status, "status is dead")
                    next_status = time.monotonic() + 1
            memory = int(next(line.split()[1] for line in Path(f"/proc/{dispatcher.pid}/status").read_text().splitlines()
                              if line.startswith("VmHWM"))) // 1024
            figure(f"{sent} frames of {len(frame)} bytes in 6 s: {memory} MiB at most, status within {slowest:.2f} s")
            self.assertLess(memory, 400)
            self.assertNotIn("lost", dispatcher.err())
            (self.folder / "go").touch()
            self.assert_ends(dispatcher, 0)
            self.assert_ends(worker, 0)

    def test_silent_connections_up_to_the_limit(self):
        self.jobs({"cmd": ["true"], "id": "a"})
        dispatcher = self.start(["sh", "-c", 'ulimit -n 60; exec "$@"', "sh", DISPATCHER, "run", self.jobs_path, "-o", self.results_path,
                                 "--listen", self.address])
        dispatcher.says("listening on")
        silent = [socket.create_connection((self.host, self.port)) for _ in range(100)]
        dispatcher.says("no file descriptor is left")
        began = time.monotonic()
        worker = self.worker()
        self.assert_ends(dispatcher, 0)
        figure(f"100 silent connections to a dispatcher that may open 60 files: done {time.monotonic() - began:.1f} s after a worker came")
        self.assert_ends(worker, 0)
        for connection in silent:
            connection.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
