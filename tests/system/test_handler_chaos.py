# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Children of handlers, engines, workers and the dispatcher killed in any order: each job still has its one right result.

CHAOS_SEED names the order of the blows; a failure prints it.
"""

import signal
import unittest

from chaos_testing import Chaos
from handler_testing import HandlerTest
from workpool_testing import figure

SECONDS = 15
JOBS = 6000


class HandlerChaos(Chaos, HandlerTest):
    def setUp(self):
        super().setUp()
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

    def strike(self, blow, worker):
        if blow != "child":
            return super().strike(blow, worker)
        # With a signal that no stop sends, too: that counts as the job's own failure.
        number = self.chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
        pids = self.crooked_pids()
        return bool(pids) and self.kill(self.chance.choice(pids), number)

    def test_any_order(self):
        blows = self.strike_for(SECONDS, ["child"] * 8 + ["engine", "worker", "drain", "dispatcher"], workers=2, pause=(0.05, 0.4))
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
