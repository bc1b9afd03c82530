# SPDX-License-Identifier: MIT
# ctest: timeout 240
# ctest: labels asan tsan
"""The whole way of a job through both real programs, short enough for the sanitizers: delivery, the death of an engine,
a dispatcher that is killed and started again."""

import os
import signal
import unittest

from workpool_testing import System

FAST = ["--worker-timeout", "4s"]


class WholeWay(System):
    def assert_all_ok(self, count):
        self.assertEqual({r["status"] for r in self.by_id().values()}, {"ok"}, self.all_said())
        self.assertEqual(len(self.results()), count)
        self.assert_verified()

    def assert_no_report(self):
        """A sanitizer's report ends its program; here is what it said."""
        for program in self.programs:
            self.assertNotIn("Sanitizer", program.err(), self.all_said())

    def tearDown(self):
        self.assert_no_report()

    def test_delivery_to_two_workers(self):
        jobs = [{"type": "noop", "id": f"n{i}"} for i in range(400)]
        jobs += [{"cmd": ["sh", "-c", "cat; echo out; echo err >&2"], "stdin": f"{i}", "id": f"c{i}"} for i in range(60)]
        jobs += [{"type": "echo", "args": "x" * 100_000, "id": f"l{i}"} for i in range(10)]
        jobs += [{"cmd": ["sleep", "60"], "timeout": 0.3, "id": "late", "priority": 5}]
        jobs += [{"type": "sleep", "args": {"for": "60s"}, "timeout": 0.3, "id": "late too", "priority": 5}]
        self.jobs(*jobs)
        dispatcher = self.dispatcher(*FAST)
        workers = [self.worker("--slots", "2", "--name", name) for name in ("a", "b")]
        self.assert_ends(dispatcher, 1)
        for worker in workers:
            self.assert_ends(worker, 0)
        results = self.by_id()
        self.assertEqual(len(results), len(jobs))
        self.assertEqual({name for name, r in results.items() if r["status"] != "ok"}, {"late", "late too"})
        self.assertEqual(results["c7"]["stdout"], "7out\n")

    def test_an_engine_is_killed(self):
        self.jobs(*[self.witness_job(f"j{i}", 0.2) for i in range(30)])
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--slots", "4")
        self.wait_results(8)
        os.kill(worker.engine(), signal.SIGKILL)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assertIn("engine_died", worker.err())
        self.assert_all_ok(30)

    def test_a_dispatcher_is_killed_and_its_run_resumed(self):
        self.jobs(*[self.witness_job(f"j{i}", 0.2) for i in range(30)])
        first = self.dispatcher(*FAST)
        worker = self.worker("--slots", "4")
        self.wait_results(8)
        first.send(signal.SIGKILL)
        first.wait()
        second = self.dispatcher(*FAST)
        self.assert_ends(second, 0)
        self.assert_ends(worker, 0)
        self.assert_all_ok(30)
        self.assertEqual(set(self.witnessed("end").values()), {1}, "what ran was adopted, nothing ran twice")

    def test_a_local_worker_is_stopped_by_a_signal(self):
        self.jobs(*[self.witness_job(f"j{i}", 0.2) for i in range(60)])
        run = self.dispatcher("--local", "2", listen=False)
        self.wait_results(4)
        run.send(signal.SIGTERM)
        self.assert_ends(run, 143)
        again = self.dispatcher("--local", "4", listen=False)
        self.assert_ends(again, 0)
        self.assert_all_ok(60)


if __name__ == "__main__":
    unittest.main()
