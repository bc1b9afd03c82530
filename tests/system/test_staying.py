#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 180
"""How long a worker stays: --keep for the next run, --idle until nothing came, --for an allotted time."""

import json
import os
import re
import time
import unittest

from cli_testing import WORKER, CliTest, clean_environment, free_port, jsonl
from workpool_testing import figure


def run_cpu(pid):
    """Seconds of processor time of a process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Staying(CliTest):
    def setUp(self):
        super().setUp()
        self.address = f"tcp://127.0.0.1:{free_port()}"

    def worker(self, *flags, **options):
        return self.start(WORKER, self.address, *flags, **options)

    def test_keep_serves_one_run_after_the_other(self):
        worker = self.worker("--keep", "--slots", "2")
        for name in ("one", "two", "three"):
            self.write(f"{name}.txt", "echo fine\n" * 20)
            run = self.dispatcher("run", f"{name}.txt", "--listen", self.address)
            self.assertEqual(run.code, 0, str(run))
            self.assertIn("done: 20 ok of 20 jobs", run.err)
        worker.wait_for("waiting for the next one")
        worker.process.terminate()
        ended = worker.finish()
        self.assertEqual(ended.code, 0, str(ended))
        self.assertNotIn("waiting_for_dispatcher", ended.err.split("waiting for the next one")[-1])

    def test_idle_leaves_when_nothing_came(self):
        worker = self.worker("--keep", "--idle", "3s", "--slots", "1")
        self.write("jobs.txt", "sleep 4\n")
        run = self.dispatcher("run", "jobs.txt", "--listen", self.address)
        self.assertEqual(run.code, 0, str(run))
        began = time.monotonic()
        ended = worker.finish()
        self.assertEqual(ended.code, 0, str(ended))
        waited = time.monotonic() - began
        figure(f"left {waited:.1f} s after the run, of --idle 3s")
        self.assertGreater(waited, 1)
        self.assertLess(waited, 12)
        self.assertIn("nothing to do for 3s (--idle): leaving", ended.err)
        alone = self.worker("--idle", "1s").finish()
        self.assertEqual(alone.code, 0, str(alone))

    def test_for_takes_only_what_can_still_be_done(self):
        # One worker has little time: what takes long goes to the other one.
        self.write("jobs.jsonl", jsonl(*({"id": f"long{i}", "cmd": ["sleep", "0.3"], "timeout": 60} for i in range(20)),
                                       *({"id": f"short{i}", "cmd": ["sleep", "0.3"], "timeout": 2} for i in range(20))))
        run = self.start_run("jobs.jsonl", "--listen", self.address)
        short = self.worker("--name", "short", "--slots", "2", "--for", "20s", "--grace", "1s")
        short.wait_for("joined")
        self.worker("--name", "long", "--slots", "2")
        finished = run.finish()
        self.assertEqual(finished.code, 0, str(finished))
        finished.results_path = self.folder / "jobs.results.jsonl"
        where = {(result["worker"], result["id"].rstrip("0123456789")) for result in finished.results}
        self.assertNotIn(("short", "long"), where)
        self.assertIn(("short", "short"), where)
        self.assertEqual({result["attempt"] for result in finished.results}, {1}, "what was not started used no attempt")
        self.assertNotIn("gives back", finished.err)

    def test_for_is_gone_in_time_and_what_it_ran_runs_elsewhere(self):
        self.write("jobs.txt", "sleep 12\n" + "sleep 0.2\n" * 100)
        run = self.start_run("jobs.txt", "--listen", self.address)
        began = time.monotonic()
        short = self.worker("--name", "short", "--slots", "1", "--for", "9s", "--grace", "1s")
        ended = short.finish()
        self.assertEqual(ended.code, 0, str(ended))
        self.assertLess(time.monotonic() - began, 9.5)
        self.assertIn("the time is nearly up", ended.err)
        self.worker("--name", "long", "--slots", "20")
        finished = run.finish()
        self.assertEqual(finished.code, 0, str(finished))
        self.assertIn("done: 101 ok of 101 jobs", finished.err)

    def test_a_queue_that_takes_too_long_is_not_drawn_through_it(self):
        self.write("jobs.jsonl", jsonl(*({"cmd": ["sleep", "60"], "timeout": 3600, "id": str(i)} for i in range(20_000))))
        run = self.start_run("jobs.jsonl", "--listen", self.address)
        self.worker("--name", "long", "--slots", "2").wait_for("joined")
        self.worker("--name", "short", "--for", "60s").wait_for("joined")
        time.sleep(5)
        status = json.loads(self.dispatcher("status", self.address, "--json").out)
        retried = run_cpu(run.process.pid)
        figure(f"{retried:.1f} s of processor time in {status['uptime_s']:.0f} s")
        self.assertLess(retried, 4)
        run.end()

    def test_idle_leaves_although_nobody_takes_its_results(self):
        self.write("jobs.txt", "sleep 2\n" * 3)
        run = self.start_run("jobs.txt", "--listen", self.address)
        worker = self.worker("--keep", "--idle", "4s", "--orphan-grace", "2s", "--slots", "3")
        worker.wait_for("joined")
        time.sleep(1)
        run.process.kill()
        ended = worker.finish()
        self.assertEqual(ended.code, 0, str(ended))
        self.assertIn("(--idle)", ended.err)

    def test_nobody_has_the_time(self):
        # The job is offered, given back, and waits for a worker with more time: it is not sent to and fro.
        self.write("jobs.jsonl", jsonl({"cmd": ["true"], "timeout": 100}))
        run = self.start_run("jobs.jsonl", "--listen", self.address, "--log-level", "debug")
        self.worker("--name", "short", "--for", "20s", "--grace", "1s").wait_for("joined")
        time.sleep(5)
        sent = len(re.findall(r'"event":"job_sent"|given', run.err))
        self.worker("--name", "long")
        finished = run.finish()
        self.assertEqual(finished.code, 0, str(finished))
        self.assertLess(sent, 40)
        self.assertIn("worker short gives jobs back that would not be over before it leaves (--for)", finished.err)

    def test_slurm_says_when_the_time_is_up(self):
        env = clean_environment(SLURM_JOB_END_TIME=str(int(time.time()) + 7))
        worker = self.worker("--grace", "0s", env=env)
        worker.wait_for("SLURM_JOB_END_TIME")
        began = time.monotonic()
        self.assertEqual(worker.finish().code, 0)
        self.assertLess(time.monotonic() - began, 7)
        other = self.worker("--for", "inf", "--idle", "1s", env=clean_environment(SLURM_JOB_END_TIME="1"))
        self.assertIn("(--idle)", other.finish().err)
        odd = self.worker("--idle", "1s", env=clean_environment(SLURM_JOB_END_TIME="soon"))
        self.assertIn("(--idle)", odd.finish().err)

    def test_what_is_no_time(self):
        for flags, words in ((("--for", "3s"), "--for 3s leaves no time for jobs"), (("--idle", "0"), "--idle"),
                             (("--for", "soon"), "neither inf nor a duration")):
            self.assert_one_line_error(self.call([WORKER, self.address, *flags]), 2, words)


if __name__ == "__main__":
    unittest.main()
