# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Children of handlers, engines, workers and the dispatcher killed in any order: each job still has its one right result.

CHAOS_SEED names the order of the blows; a failure prints it.
"""

import os
import random
import signal
import time
import unittest

from handler_testing import HandlerTest
from workpool_testing import engines_of, figure

FAST = ["--worker-timeout", "2s"]
SECONDS = 15
JOBS = 6000


class HandlerChaos(HandlerTest):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
        self.chance = random.Random(self.seed)
        # Mostly short, so that requests are written ahead, and some that are long all at once.
        self.jobs(*[self.job(i) for i in range(JOBS)])

    def job(self, i):
        args = {"value": [i, "x" * self.chance.choice([0, 0, 0, 3000])]}
        if i % 50 == 0:
            args = {"do": "sleep", "seconds": self.chance.choice([0.02, 0.1, 0.3]), "answer": i}
        elif i % 7 == 0:
            args = {"do": "sleep", "seconds": 0.004, "answer": i}
        return {"type": "crooked", "id": str(i), "retries": 50, "args": args}

    def new_worker(self):
        more = self.chance.choice([[], [], ["--handler-jobs", "20"]])
        return self.worker("--slots", str(self.chance.randint(1, 3)), "--name", f"w{len(self.programs)}", "--handler", self.crooked, *more)

    def kill(self, pid, number=signal.SIGKILL):
        try:
            os.kill(pid, number)
            return True
        except ProcessLookupError:
            return False

    def strike(self, blow, worker):
        if blow == "child":
            # With a signal that no stop sends, too: that counts as the job's own failure.
            number = self.chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
            return any(self.kill(pid, number) for pid in self.chance.sample(pids, 1)) if (pids := self.crooked_pids()) else False
        if blow == "engine":
            return self.kill((engines_of(worker.pid) or [worker.pid])[0])
        if blow == "worker":
            return self.kill(worker.pid)
        if blow == "drain":
            return self.kill(worker.pid, signal.SIGTERM)
        self.kill(self.running.pid)
        self.running.wait()
        self.running = self.dispatcher(*FAST)
        return True

    def test_any_order(self):
        self.running = self.dispatcher(*FAST)
        workers = [self.new_worker() for _ in range(2)]
        blows = []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.running.poll() is None:
            time.sleep(self.chance.uniform(0.05, 0.4))
            if self.running.poll() is not None:
                break
            blow = self.chance.choice(["child"] * 8 + ["engine", "worker", "drain", "dispatcher"])
            if self.strike(blow, self.chance.choice(workers)):
                blows.append(blow)
            workers = [worker for worker in workers if worker.poll() is None]
            while len(workers) < 2:
                workers.append(self.new_worker())
        figure(f"CHAOS_SEED={self.seed}: {' '.join(blows)}")
        self.assert_ends(self.running, 0, 120)
        self.assert_verified()
        results = self.by_id()
        self.assertEqual(len(results), JOBS)
        for i in range(JOBS):
            value = results[str(i)]["value"]
            self.assertEqual(value if isinstance(value, int) else value[0], i)
        figure(f"{len(blows)} blows; {sum(r['attempt'] > 1 for r in self.results())} of {JOBS} jobs had another attempt")


if __name__ == "__main__":
    unittest.main()
