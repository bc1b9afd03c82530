# SPDX-License-Identifier: MIT
"""A name service that never answers: people hear of it soon, and deadlines and signals hold nevertheless."""

import os
import signal
import subprocess
import time
import unittest

from workpool_testing import DISPATCHER, SLACK, WORKER, System, figure

# A machine of its own that drops what goes to its name server.
SILENT = """ip link set lo up && iptables -w -A INPUT -p udp --dport 53 -j DROP && mount --bind "$0" /etc/resolv.conf && exec "$@" """


def can_have_a_machine():
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "-n", "-m", "iptables", "-w", "-L"], capture_output=True).returncode == 0


@unittest.skipUnless(can_have_a_machine(), "needs root, network and mount namespaces")
class SilentNameService(System):
    def setUp(self):
        super().setUp()
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.began = time.monotonic()

    def start_there(self, *command):
        return self.start(["unshare", "-n", "-m", "sh", "-c", SILENT, self.folder / "resolv.conf", *command])

    def assert_within(self, what, promised):
        took = time.monotonic() - self.began
        figure(f"{what} after {took:.2f} s; {promised} s is promised")
        self.assertLess(took, promised * SLACK)

    def test_a_worker_says_so_and_keeps_its_grace(self):
        worker = self.start_there(WORKER, "tcp://dispatcher.example:5555", "--orphan-grace", "2500ms")
        worker.says("the name service has not answered for", limit=30)
        self.assert_within("the first word", 2.2)
        self.assert_ends(worker, 69)
        self.assertLess(time.monotonic() - self.began, 8)
        self.assert_within("its end with --orphan-grace 2500ms", 2.5)

    def test_a_dispatcher_says_so_and_hears_signals(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number=number):
                self.began = time.monotonic()
                self.jobs({"type": "noop", "id": "a"})
                dispatcher = self.start_there(DISPATCHER, "run", self.jobs_path, "--listen", "tcp://me.example:5555", "--insecure")
                dispatcher.says('waiting for the name service to answer for "me.example"', limit=30)
                self.assert_within("the first word", 1.2)
                sent = time.monotonic()
                dispatcher.send(number)
                self.assert_ends(dispatcher, code)
                figure(f"left {time.monotonic() - sent:.2f} s after the signal")
                self.assertLess(time.monotonic() - sent, 1 * SLACK)

    def test_a_dispatcher_gives_up(self):
        self.jobs({"type": "noop", "id": "a"})
        dispatcher = self.start_there(DISPATCHER, "run", self.jobs_path, "--listen", "tcp://me.example:5555", "--insecure")
        self.assert_ends(dispatcher, 71)
        self.assertIn("me.example", dispatcher.err())

    def test_status_ends_in_its_time(self):
        status = self.start_there(DISPATCHER, "status", "tcp://dispatcher.example:5555")
        self.assert_ends(status, 1)
        self.assertIn('the name service has not answered for "dispatcher.example" within 5 s', status.err())
        self.assertLess(time.monotonic() - self.began, 9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
