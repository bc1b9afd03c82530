# SPDX-License-Identifier: MIT
# ctest: serial
"""The CPU time of programs that have nothing to do. Whatever spins costs forty times what is allowed here."""

import os
import socket
import threading
import time
import unittest

from workpool_testing import SLACK, System, figure, parts_of

SECONDS = 4
PROMISED_MS = 25  # in that time; 0 to 10 are used
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_ms(pids):
    """User and system time that these processes have used."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            ticks += sum(int(field) for field in stat.read().rpartition(")")[2].split()[11:13])
    return 1000 * ticks / TICKS


class SilentServer:
    """Accepts everybody and never says a word."""

    def __init__(self, host):
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.peers = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                self.peers.append(self.listener.accept()[0])
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for peer in self.peers:
            peer.close()


class IdleCost(System):
    def assert_idle(self, what, program):
        """Supervisor, guard and engine of a worker, or a dispatcher, over SECONDS."""
        pids = parts_of(program.pid)
        before = cpu_ms(pids)
        time.sleep(SECONDS)  # what is measured, not a wait for anything
        used = cpu_ms(pids) - before
        figure(f"{what}: {used:.0f} ms of CPU in {SECONDS} s")
        self.assertLessEqual(used, SLACK * PROMISED_MS, f"{what}\n{self.all_said()}")

    def connected(self, job):
        """A dispatcher and a worker, with one job that lasts."""
        self.jobs(job)
        dispatcher = self.dispatcher("--progress", "none")
        worker = self.worker("--slots", "2", "--name", "w")
        return dispatcher, worker

    def test_connected_and_idle(self):
        dispatcher, worker = self.connected({"cmd": ["true"], "id": "a", "slots": 4})  # which nobody here can take
        self.wait_workers("w")
        self.assert_idle("a connected worker without jobs", worker)
        self.assert_idle("a dispatcher with an idle worker", dispatcher)

    def test_with_a_long_command(self):
        dispatcher, worker = self.connected({"cmd": ["sleep", "600"], "id": "a"})
        self.wait_status("the job runs", lambda s: s["jobs"]["running"] == 1)
        time.sleep(1)
        self.assert_idle("a worker with one long command", worker)
        self.assert_idle("a dispatcher with one long job", dispatcher)

    def test_with_a_long_handler(self):
        _, worker = self.connected({"type": "sleep", "args": {"for": "600s"}, "id": "a", "timeout": 500})
        self.wait_status("the job runs", lambda s: s["jobs"]["running"] == 1)
        self.assert_idle("a worker with one long handler", worker)

    def test_nobody_listens(self):
        worker = self.worker("--slots", "2")
        worker.says("waiting_for_dispatcher")
        self.assert_idle("a worker whose dispatcher refuses", worker)

    def test_a_silent_listener(self):
        server = SilentServer(self.host)
        self.addCleanup(server.close)
        worker = self.worker("--slots", "2", address=f"tcp://{self.host}:{server.port}")
        worker.engine()
        self.assert_idle("a worker before the first answer of a silent listener", worker)
        worker.says("gave no answer")
        self.assert_idle("a worker that waits for a silent listener", worker)


if __name__ == "__main__":
    unittest.main()
