#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""Limits by key and rates: never more at once or in a second than they allow, over workers, deaths and restarts; wrong ones."""

import json
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from spans_testing import most_at_once, most_within
from workpool_testing import DISPATCHER, System, figure, wait_until


class Spans(System):
    """Jobs that write when they begin and when they end."""

    def span_job(self, name, seconds, **more):
        command = f"date +%s.%N > {self.folder}/b.{name}.$$; sleep {seconds}; date +%s.%N > {self.folder}/e.{name}.$$"
        return {"cmd": command, "id": name, **more}

    def spans(self, prefix=""):
        """(begin, end) of every attempt that has ended, and (begin, now) of those that were killed."""
        spans = []
        for begin in self.folder.glob(f"b.{prefix}*"):
            end = Path(str(begin).replace("/b.", "/e."))
            text = begin.read_text()
            if text.strip():
                ended = end.read_text().strip() if end.exists() else ""
                spans.append((float(text), float(ended) if ended else float(text) + 0.01))
        return spans


class Limits(Spans):
    def test_a_number_holds_over_all_workers_and_holds_up_nobody_else(self):
        self.jobs({"limits": {"db": 2}}, *[self.span_job(f"d{i}", 0.15, limit="db") for i in range(16)],
                  *[self.span_job(f"n{i}", 0.15) for i in range(16)])
        dispatcher = self.dispatcher()
        for _ in range(2):
            self.worker("--slots", "4")
        self.assert_ends(dispatcher, 0)
        self.assertEqual(most_at_once(self.spans("d")), 2)
        self.assertGreater(most_at_once(self.spans()), 2)
        self.assert_verified()

    def test_a_rate(self):
        self.jobs(*[self.span_job(f"r{i}", 0.01, limit=["api", "x:1"]) for i in range(24)])
        began = time.monotonic()
        self.assert_ends(self.dispatcher("--local", "8", "--limit", "api=8/s", "--limit", "x:*=4", listen=False), 0)
        took = time.monotonic() - began
        # Between the start that is counted and what the job writes is what the machine lets run in between.
        self.assertLessEqual(most_within([begin for begin, _ in self.spans()], 0.8), 8)
        self.assertGreater(took, 2)
        figure(f"24 jobs at 8/s: {took:.1f} s; they need 2.0 s at least")

    def test_of_all_jobs(self):
        values = "".join(f"{i}\n" for i in range(30))
        began = time.monotonic()
        finished = subprocess.run([DISPATCHER, "each", "--rate", "10/s", "-j", "8", "--shell", "date +%s.%N; : {}"], input=values, capture_output=True,
                                  env=self.environment, timeout=60, check=False, text=True)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        self.assertLessEqual(most_within([float(line) for line in finished.stdout.split()], 0.8), 10)
        self.assertGreater(time.monotonic() - began, 2)

    def test_each_makes_a_key_of_a_value(self):
        values = "".join(f"{host}\n" for _ in range(6) for host in ("a", "b", "c"))
        script = f"date +%s.%N > {self.folder}/b.{{1}}.$$; sleep 0.1; date +%s.%N > {self.folder}/e.{{1}}.$$"
        finished = subprocess.run([DISPATCHER, "each", "--limit", "host:{1}=1", "-j", "8", "--shell", script], input=values, capture_output=True,
                                  env=self.environment, timeout=60, check=False, text=True)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        for host in "abc":
            self.assertEqual(len(self.spans(host)), 6)
            self.assertEqual(most_at_once(self.spans(host)), 1)
        self.assertGreaterEqual(most_at_once(self.spans()), 2)
        printed = subprocess.run([DISPATCHER, "each", "--limit", "host:{1}=1", "--dry-run", "echo", ":::", "a"], capture_output=True,
                                 env=self.environment, timeout=60, check=True, text=True).stdout.splitlines()
        self.assertEqual(json.loads(printed[0]), {"limits": {"host:*": "1"}})
        self.assertEqual(json.loads(printed[1])["limit"], ["host:a"])

    def test_what_is_held_up_is_told(self):
        self.jobs({"limits": {"db": 1}}, *[{"cmd": ["sleep", "30"], "limit": "db", "id": f"d{i}"} for i in range(5)])
        dispatcher = self.dispatcher()
        self.worker("--slots", "4")
        status = self.wait_status("four to be held up", lambda answer: answer["jobs"]["held_up"] == 4)
        self.assertEqual((status["limits_total"], status["limits"]), (1, [{"limit": "db=1", "held": 1, "jobs": 4}]))
        text = subprocess.run([DISPATCHER, "status", self.address], capture_output=True, env=self.environment, timeout=30,
                              check=False, text=True).stdout
        self.assertIn("db=1: 1 of its jobs at workers, 4 held up", text)
        dispatcher.send(signal.SIGINT)
        self.wait_status("the first signal", lambda answer: answer["phase"] != "running")
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)


class Deaths(Spans):
    def test_workers_and_dispatchers_that_are_killed(self):
        """What a killed dispatcher's workers still run counts before the next one gives out anything."""
        self.jobs({"limits": {"db": 3}}, *[self.span_job(f"d{i:02}", 0.3, limit="db") for i in range(40)])
        flags = ["--worker-timeout", "2s"]
        dispatcher = self.dispatcher(*flags)
        workers = [self.worker("--slots", "3", "--name", f"w{i}") for i in range(2)]
        for blow in range(3):
            done = self.result_count()
            wait_until("some more results", lambda done=done: self.result_count() >= done + 4)
            if blow == 1:
                workers[0].send(signal.SIGKILL)
                self.worker("--slots", "3", "--name", "w2")
                continue
            os.kill(dispatcher.pid, signal.SIGKILL)
            dispatcher.wait()
            dispatcher = self.dispatcher(*flags)
        self.assert_ends(dispatcher, 0, limit=120)
        self.assert_verified()
        # Of those that the killed worker ran only the begin is known; they ended with it.
        self.assertLessEqual(most_at_once(self.spans()), 3)


class Wrong(System):
    def refused(self, *lines, flags=(), command="check"):
        (self.folder / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        finished = subprocess.run([DISPATCHER, command, "jobs.jsonl", *flags], cwd=self.folder, capture_output=True, env=self.environment, timeout=60,
                                  check=False, text=True)
        self.assertEqual(finished.returncode, 65, finished.stderr)
        return finished.stderr

    def test_a_key_without_a_rule(self):
        for command in ("check", "run"):
            said = self.refused({"cmd": ["true"], "limit": "dv"}, flags=["--limit", "db=3"], command=command)
            self.assertIn('jobs.jsonl:1:28: nothing says what the limit "dv" allows (there are db): say so with --limit', said)
        finished = subprocess.run([DISPATCHER, "check", "jobs.jsonl", "--limit", "d*=3"], cwd=self.folder, capture_output=True, env=self.environment,
                                  timeout=60, check=False)
        self.assertEqual(finished.returncode, 0)

    def test_rules_that_start_nothing(self):
        for rule, words in ((0, "a limit of 0 would start nothing"), ("0/s", "a rate of 0 would start nothing"), ("x", "say how many at once"),
                            (None, "say how many at once"), (1.5, "say how many at once")):
            said = self.refused({"limits": {"db": rule}}, {"cmd": ["true"], "limit": "db"})
            self.assertRegex(said, rf"jobs.jsonl:1:\d+: the limit \"db\": {words}")

    def test_in_a_later_line(self):
        self.assertIn('jobs.jsonl:2:2: "limits" must be in the first line', self.refused({"cmd": ["true"]}, {"limits": {"db": 1}}))

    def test_in_a_stream_it_is_one_bad_line(self):
        lines = '{"limits":{"a":1}}\n{"cmd":["true"],"limit":"a","id":"x"}\n{"cmd":["true"],"limit":"b","id":"y"}\n{"cmd":["true"],"id":"z"}\n'
        finished = subprocess.run([DISPATCHER, "run", "-", "-o", "-", "--local", "2"], input=lines, capture_output=True, env=self.environment, timeout=60,
                                  check=False, text=True)
        self.assertEqual(finished.returncode, 1, finished.stderr)
        results = {line["id"]: line["status"] for line in map(json.loads, finished.stdout.splitlines()) if "id" in line}
        self.assertEqual(results, {"x": "ok", "L3": "invalid", "z": "ok"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
