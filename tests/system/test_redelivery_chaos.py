# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Engines, supervisors and dispatchers killed, stopped and drained in any order: each job still has its one line.

CHAOS_SEED names the order of the blows; a failure prints it.
"""

import signal
import time
import unittest

from chaos_testing import Chaos
from workpool_testing import engines_of, figure, guards_of

SECONDS = 12


class RedeliveryChaos(Chaos):
    def setUp(self):
        super().setUp()
        self.stopped = []
        self.names = [f"c{i}" for i in range(300)]
        self.jobs(*[self.job(i, name) for i, name in enumerate(self.names)])

    def job(self, i, name):
        if i % 3 == 0:
            return {"type": self.chance.choice(["noop", "echo"]), "args": i, "id": name}
        return self.witness_job(name, self.chance.choice([0, 0, 0.02, 0.2, 1.0]))

    def new_worker(self):
        return self.worker("--slots", str(self.chance.randint(1, 4)), "--name", f"w{len(self.programs)}")

    def wake(self):
        while self.stopped:
            self.kill(self.stopped.pop(), signal.SIGCONT)

    def strike(self, blow, worker):
        if blow == "guard":
            return self.kill((guards_of(worker.pid) or [worker.pid])[0])
        if blow == "stop":
            self.stopped.append((engines_of(worker.pid) or [worker.pid])[0])
            return self.kill(self.stopped[-1], signal.SIGSTOP)
        if blow == "wake":
            self.wake()
            return True
        if blow == "pause":
            self.kill(self.running.pid, signal.SIGSTOP)
            time.sleep(self.chance.choice([0.1, 1, 2.5]))
            return self.kill(self.running.pid, signal.SIGCONT)
        return super().strike(blow, worker)

    def test_any_order(self):
        blows = self.strike_for(SECONDS, ["engine", "guard", "worker", "drain", "stop", "wake", "dispatcher", "pause"], workers=3, pause=(0, 0.8))
        self.wake()
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
