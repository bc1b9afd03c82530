# SPDX-License-Identifier: MIT
"""Handlers whose programs take long to start, as those that import a large library do: that is no time of their jobs."""

import signal
import unittest

from handler_testing import HandlerTest
from workpool_testing import wait_until


class HandlerStart(HandlerTest):
    def starting(self, seconds):
        """A handler that reads nothing for so long."""
        command = self.crooked.removeprefix("crooked=")
        return f"crooked=sleep {seconds}; exec {command}"

    def test_a_start_longer_than_the_timeout(self):
        jobs = [{"type": "crooked", "id": str(i), "timeout": 2, "args": {}} for i in range(3)]
        hangs = {"type": "crooked", "id": "hangs", "timeout": 2, "args": {"do": "sleep", "seconds": 1000}}
        results = self.run_jobs(*jobs, hangs, handler=self.starting(5), flags=("--local", "1"), code=1)
        for job in jobs:
            self.assertEqual((results[job["id"]]["status"], results[job["id"]]["attempt"]), ("ok", 1), results)
        self.assertEqual([results[str(i)]["value"]["number"] for i in range(3)], [1, 2, 3], "one program for all")
        self.assertEqual((results["hangs"]["status"], results["hangs"]["error"]["message"]), ("timeout", "timed out after 2s"))
        self.assertNotIn("its timeout is", self.said)
        # The start belongs to the time for which the first job waited.
        self.assertGreater(results["0"]["queued_ms"], 3000)

    def test_each_job_that_hangs_in_its_first_seconds(self):
        """A job that hangs in a new program is at its timeout then, not after that of a start."""
        hangs = [{"type": "crooked", "id": str(i), "timeout": 1, "args": {"do": "sleep", "seconds": 1000}} for i in range(2)]
        results = self.run_jobs(*hangs, handler=self.starting(2), flags=("--local", "1"), code=1)
        self.assertEqual([r["status"] for r in results.values()], ["timeout"] * 2)

    def test_a_run_is_cancelled_while_programs_start(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "timeout": 1, "args": {}} for i in range(4)])
        dispatcher = self.dispatcher("--handler", self.starting(1000), "--local", "2", listen=False)
        wait_until("programs", lambda: len(self.pids_of("sleep")) == 2)
        dispatcher.send(signal.SIGINT)
        dispatcher.says("finish")
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)
        self.assertEqual(self.marked(), [])
        self.assertEqual(self.result_count(), 0)

    def test_a_worker_that_stops_while_programs_start_gives_their_jobs_back(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "timeout": 1, "args": {"value": i}} for i in range(4)])
        dispatcher = self.dispatcher()
        slow = self.worker("--name", "slow", "--slots", "2", "--handler", self.starting(1000))
        wait_until("programs", lambda: len(self.pids_of("sleep")) == 2)
        slow.send(signal.SIGTERM)
        self.assert_ends(slow, 0)
        self.worker("--name", "quick", "--slots", "2", "--handler", self.crooked)
        self.assert_ends(dispatcher, 0)
        self.assertEqual({(r["worker"], r["value"]) for r in self.results()}, {("quick", i) for i in range(4)})


if __name__ == "__main__":
    unittest.main()
