# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Engines, supervisors and dispatchers killed, stopped and drained in any order: each job still has its one line.

CHAOS_SEED names the order of the blows; a failure prints it.
"""

import os
import random
import signal
import time
import unittest

from workpool_testing import System, engines_of, figure, guards_of

FAST = ["--worker-timeout", "2s"]
SECONDS = 12


class Chaos(System):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
        self.chance = random.Random(self.seed)
        self.stopped = []
        self.names = [f"c{i}" for i in range(300)]
        self.jobs(*[self.job(i, name) for i, name in enumerate(self.names)])

    def job(self, i, name):
        if i % 3 == 0:
            return {"type": self.chance.choice(["noop", "echo"]), "args": i, "id": name}
        return self.witness_job(name, self.chance.choice([0, 0, 0.02, 0.2, 1.0]))

    def new_worker(self):
        return self.worker("--slots", str(self.chance.randint(1, 4)), "--name", f"w{len(self.programs)}")

    def kill(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def wake(self):
        while self.stopped:
            self.kill(self.stopped.pop(), signal.SIGCONT)

    def strike(self, blow, worker):
        engine = (engines_of(worker.pid) or [worker.pid])[0]
        if blow == "engine":
            self.kill(engine, signal.SIGKILL)
        elif blow == "guard":
            self.kill((guards_of(worker.pid) or [worker.pid])[0], signal.SIGKILL)
        elif blow == "supervisor":
            self.kill(worker.pid, signal.SIGKILL)
        elif blow == "drain":
            self.kill(worker.pid, signal.SIGTERM)
        elif blow == "stop":
            self.kill(engine, signal.SIGSTOP)
            self.stopped.append(engine)
        elif blow == "wake":
            self.wake()
        elif blow == "dispatcher":
            self.kill(self.running.pid, signal.SIGKILL)
            self.running.wait()
            self.running = self.dispatcher(*FAST)
        elif blow == "pause":
            self.kill(self.running.pid, signal.SIGSTOP)
            time.sleep(self.chance.choice([0.1, 1, 2.5]))
            self.kill(self.running.pid, signal.SIGCONT)

    def test_any_order(self):
        self.running = self.dispatcher(*FAST)
        workers = [self.new_worker() for _ in range(3)]
        blows = []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.running.poll() is None:
            time.sleep(self.chance.uniform(0, 0.8))
            if self.running.poll() is not None:
                break
            blows.append(self.chance.choice(["engine", "guard", "supervisor", "drain", "stop", "wake", "dispatcher", "pause"]))
            self.strike(blows[-1], self.chance.choice(workers))
            workers = [worker for worker in workers if worker.poll() is None]
            while len(workers) < 3:
                workers.append(self.new_worker())
        self.wake()
        figure(f"CHAOS_SEED={self.seed}: {' '.join(blows)}")
        self.assert_ends(self.running, 0, 120)
        self.assert_results({name: "ok" for name in self.names})
        self.assert_verified()
        again = sum(self.witnessed("start").values()) - 200
        figure(f"{len(blows)} blows, {again} of 200 commands started again")
        # What a worker of 4 slots runs, and as much that has just ended; of all three if the dispatcher is struck.
        struck = sum({"wake": 0, "dispatcher": 3, "pause": 3}.get(blow, 1) for blow in blows)
        self.assertLessEqual(again, struck * 8)
        self.assertLessEqual(max(self.witnessed("start").values()), len(blows) + 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
