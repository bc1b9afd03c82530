# SPDX-License-Identifier: MIT
"""Whoever reaches the ports may connect and send: memory stays bounded, and workers go on."""

import random
import socket
import time
import unittest
from pathlib import Path

import msgpack
import zmq

import workpool_wire as wire
from workpool_testing import DISPATCHER, System, figure

FAST = ["--worker-timeout", "2s"]
# Greeting and READY of a DEALER, ZMTP 3.0.
HANDSHAKE = (b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL" + b"\0" * 48 +
             b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER")


class Strangers(System):
    insecure = True

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
                                 "--listen", self.address, *self.openly])
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

    def test_silent_peers_give_their_descriptors_back(self):
        """They shake hands, so ZeroMQ keeps them; after 15 s of silence they are closed, and workers can join."""
        self.jobs({"cmd": ["true"], "id": "a"})
        dispatcher = self.start(["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", DISPATCHER, "run", self.jobs_path, "-o", self.results_path,
                                 "--listen", self.address, *self.openly, *FAST])
        dispatcher.says("listening on")
        began = time.monotonic()
        silent = []
        for number in range(100):
            port = sorted(wire.listening_ports(dispatcher.pid))[number % 2] if number < 20 else self.port
            connection = socket.create_connection((self.host, port))
            connection.sendall(HANDSHAKE)
            silent.append(connection)
        dispatcher.says("no file descriptor is left")
        worker = self.worker()
        self.assert_ends(dispatcher, 0)
        took = time.monotonic() - began
        figure(f"100 peers that shook hands and said nothing, at 80 open files: a worker had its job done after {took:.1f} s")
        self.assertGreater(took, 10, "they are not waited for")
        self.assert_ends(worker, 0)
        for connection in silent:
            connection.close()

    def test_held_of_a_million_jobs_that_nobody_knows(self):
        """From workers of 2^20 slots that never dial their lanes: what is to be told to them is bounded."""
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.02; done", "id": "long"})
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--name", "w")
        self.wait_workers("w")
        page = [[random.randbytes(16), b"s" * 16, 1, 0] for _ in range(1000)]
        with wire.Sockets() as sockets:
            for number in range(12):
                answer = sockets.register(self.address, name=f"many{number}", slots=1 << 20)
                run, session, sink_port = answer[5], answer[6], answer[9]
                sink = sockets.dial(zmq.PUSH, f"tcp://127.0.0.1:{sink_port}")
                for seq in range(1, 1041):
                    sink.send(msgpack.packb([wire.HELD, run, session, seq, page]))
                self.assertIsNotNone(self.status(), "status is dead")
        memory = int(next(line.split()[1] for line in Path(f"/proc/{dispatcher.pid}/status").read_text().splitlines()
                          if line.startswith("VmHWM"))) // 1024
        figure(f"12 times HELD of a million unknown jobs: {memory} MiB at most")
        self.assertLess(memory, 4 * 80)
        (self.folder / "go").touch()
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assertNotIn("worker w is lost", dispatcher.err())


if __name__ == "__main__":
    unittest.main(verbosity=2)
