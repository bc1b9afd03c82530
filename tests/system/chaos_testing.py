# SPDX-License-Identifier: MIT
"""What the tests share that strike the programs of a run in any order.

CHAOS_SEED names the order of the blows; each test prints it.
"""

import os
import random
import signal
import time

from workpool_testing import System, engines_of, figure

FAST = ["--worker-timeout", "2s"]


class Chaos(System):
    dispatcher_flags = FAST

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
        self.chance = random.Random(self.seed)
        self.running = None  # the dispatcher

    def new_worker(self):
        raise NotImplementedError

    def kill(self, pid, number=signal.SIGKILL):
        """Whether there was such a process."""
        try:
            os.kill(pid, number)
            return True
        except ProcessLookupError:
            return False

    def start_dispatcher(self):
        self.running = self.dispatcher(*self.dispatcher_flags)

    def strike(self, blow, worker):
        """Whether it hit something. Tests add blows of their own."""
        if blow == "engine":
            return self.kill((engines_of(worker.pid) or [worker.pid])[0])
        if blow == "worker":
            return self.kill(worker.pid)
        if blow == "drain":
            return self.kill(worker.pid, signal.SIGTERM)
        if blow == "dispatcher":
            self.kill(self.running.pid)
            self.running.wait()
            self.start_dispatcher()
            return True
        raise AssertionError(f"what is the blow {blow}?")

    def strike_for(self, seconds, blows, workers, pause):
        """Starts the run and strikes it for so long, unless it ends before, so often: a pause is from the first of the two to the
        second. So many workers are there after each blow. Returns the blows that hit something."""
        self.start_dispatcher()
        there = [self.new_worker() for _ in range(workers)]
        hits = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.chance.uniform(*pause))
            if self.running.poll() is not None:
                break
            blow = self.chance.choice(blows)
            if self.strike(blow, self.chance.choice(there)):
                hits.append(blow)
            there = [worker for worker in there if worker.poll() is None]
            while len(there) < workers:
                there.append(self.new_worker())
        figure(f"CHAOS_SEED={self.seed}: {' '.join(hits)}")
        return hits
