# SPDX-License-Identifier: MIT
# ctest: timeout 400
"""20,000 connections at once, without a key and without a word: they go, and so does what they took."""

import resource
import subprocess
import sys
import time
import unittest

from peers import DISPATCHER, SLACK, Secured, descriptors, figure, memory_mib, wait_until

CONNECTIONS = 20_000
GONE_WITHIN = 20.0   # after the last of them came: the exchange of keys, and until the memory is given back
COMES_IN_WITHIN = 5.0
HOLD = """
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = []
for i in range(int(sys.argv[2])):
    made = socket.socket()
    made.setblocking(False)
    try:
        made.connect(("127.0.0.1", int(sys.argv[1])))
    except BlockingIOError:
        pass
    held.append(made)
print(len(held), flush=True)
sys.stdin.read()
"""


class Crowd(Secured):
    def hold(self, count):
        """A process with so many connections; their kernel queue may hold some that were not accepted yet."""
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(self.port), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.environment)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        return process

    def test_it_comes_and_goes(self):
        self.hold_job()
        dispatcher = self.pool_run()
        good = self.keyed(self.keys["good"], "--name", "good")
        self.wait_workers("good")
        before = descriptors(dispatcher.pid), memory_mib(dispatcher.pid)
        each = min(5000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
        crowd = [self.hold(each) for _ in range(CONNECTIONS // each)]
        peak = 0
        for process in crowd:
            wait_until("the connections", lambda process=process: process.stdout.readline(), 60)
            peak = max(peak, descriptors(dispatcher.pid))
        came = time.monotonic()
        late = self.keyed(self.keys["good"], "--name", "late")
        self.wait_workers("good", "late")
        took = time.monotonic() - came
        self.assertLess(took, COMES_IN_WITHIN * SLACK)

        def now():
            return descriptors(dispatcher.pid), memory_mib(dispatcher.pid)

        def is_gone():
            open_files, memory = now()
            return open_files <= before[0] + 16 and memory <= before[1] + 16
        wait_until(lambda: f"them to be gone: (descriptors, MiB) were {before} and are {now()}", is_gone, GONE_WITHIN * SLACK)
        figure(f"{each * len(crowd)} connections at once: {peak} descriptors at most; a worker comes in among them after {took:.1f} s; "
               f"(descriptors, MiB) {before} before, {now()} after {time.monotonic() - came:.1f} s ({GONE_WITHIN} promised)")
        self.finish(dispatcher, good, late)

    def test_it_takes_all_descriptors_while_somebody_asks(self):
        """libzmq aborts if it lacks a descriptor for a connection to a Unix socket (common/io/libzmq_accept.cpp)."""
        self.hold_job()
        dispatcher = self.pool_run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)))
        good = self.keyed(self.keys["good"], "--name", "good")
        self.wait_workers("good")
        crowd = self.hold(min(3000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100))
        wait_until("the connections", crowd.stdout.readline, 60)
        wait_until(lambda: f"all descriptors to be taken: {descriptors(dispatcher.pid)} are; {self.all_said()}",
                   lambda: descriptors(dispatcher.pid) > 390, 60)
        began = time.monotonic()
        answers = 0
        while answers < 10:
            asked = subprocess.run([DISPATCHER, "status", self.address, "--json"], capture_output=True, env=self.environment, timeout=60,
                                   check=False)
            self.assertIsNone(dispatcher.poll(), self.all_said())
            answers += asked.returncode == 0  # as long as there is no descriptor, there is no answer
            self.assertLess(time.monotonic(), began + 240, asked)
        self.finish(dispatcher, good)


if __name__ == "__main__":
    unittest.main(verbosity=2)
