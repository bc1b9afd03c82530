#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""Which job runs when and where: priority, order, slots, labels, types, retries, and what no worker can run."""

import json
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import LIMIT, SLACK, WORKER, CliTest, free_port, jsonl, parse_results, wait_until  # noqa: E402


class Order(CliTest):
    def order(self, jobs, *flags):
        """The ids in the order in which one slot ran them."""
        self.run_jobs(*jobs, flags=("--local", "1", *flags))
        return (self.folder / "ran").read_text().split()

    def job(self, key, **members):
        return {"cmd": "echo $WORKPOOL_JOB_ID >> ran", "id": key, **members}

    def test_order_of_the_file(self):
        keys = [f"{n:03}" for n in range(100)]
        self.assertEqual(self.order([self.job(key) for key in keys]), keys)

    def test_order_of_the_file_over_all_requirements(self):
        jobs = []
        for n in range(60):
            jobs.append(self.job(f"{n:02}") if n % 2 else {"type": "echo", "args": n, "id": f"{n:02}"})
        self.run_jobs(*jobs, flags=("--local", "1"))
        results = parse_results((self.folder / "jobs.results.jsonl").read_bytes())
        self.assertEqual([result["id"] for result in results], [job["id"] for job in jobs])

    def test_priority_over_the_whole_file(self):
        # The most urgent stand last, behind more jobs than any window holds.
        jobs = [{"type": "noop", "id": f"n{n}", "priority": -1} for n in range(20_000)]
        jobs += [self.job("low", priority=-2147483648), self.job("zero"), self.job("five", priority=5),
                 self.job("top", priority=2147483647), self.job("five-2", priority=5)]
        self.assertEqual(self.order(jobs, "--durability", "os"), ["top", "five", "five-2", "zero", "low"])
        results = parse_results((self.folder / "jobs.results.jsonl").read_bytes())
        self.assertEqual([result["id"] for result in results[:4]], ["top", "five", "five-2", "zero"])
        self.assertEqual(results[-1]["id"], "low")

    def test_order_within_each_priority(self):
        jobs = [self.job(f"{n % 3}-{n:03}", priority=n % 3) for n in range(90)]
        self.assertEqual(self.order(jobs), sorted((job["id"] for job in jobs), key=lambda k: (-int(k[0]), k)))

    def test_priority_in_a_stream(self):
        lines = [{"cmd": "while [ ! -e go ]; do sleep 0.02; done", "id": "first"}]
        lines += [self.job("low", priority=-1), self.job("zero"), self.job("high", priority=9)]
        run = self.start_run("-", "-o", "-", "--local", "1", stdin=subprocess.PIPE, bufsize=0)
        run.process.stdin.write(jsonl(*lines).encode())
        run.process.stdin.close()
        run.wait_for("jobs from stdin")
        time.sleep(0.5)  # all four lines are read long before; if not, the order below is still one of the two
        (self.folder / "go").touch()
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual((self.folder / "ran").read_text().split(), ["high", "zero", "low"])

    def test_a_job_in_backoff_holds_up_nobody(self):
        jobs = [{"type": "fail", "args": {"times": 1}, "retries": 1, "priority": 9, "id": "urgent"},
                *({"type": "noop", "id": str(n)} for n in range(50))]
        ended = [result["id"] for result in self.run_jobs(*jobs, flags=("--local", "1")).results]
        self.assertEqual(ended[-1], "urgent")


class Slots(CliTest):
    # Marks its begin and end; at any time the sum of what is marked is what runs.
    CMD = "echo + $W >> log; sleep 0.2; echo - $W >> log"

    def most_at_once(self):
        running = most = 0
        for line in (self.folder / "log").read_text().splitlines():
            sign, width = line.split()
            running += int(width) if sign == "+" else -int(width)
            most = max(most, running)
        return most

    def test_four_slots_are_used_and_never_exceeded(self):
        jobs = [{"cmd": self.CMD, "env": {"W": "1"}, "id": str(n)} for n in range(24)]
        start = time.monotonic()
        self.run_jobs(*jobs, flags=("--local", "4"))
        print(f"24 jobs of 0.2 s on 4 slots: {time.monotonic() - start:.2f} s (1.2 s at best)")
        self.assertEqual(self.most_at_once(), 4)

    def test_wide_jobs_take_their_slots(self):
        jobs = [{"cmd": self.CMD, "env": {"W": str(1 + n % 3)}, "slots": 1 + n % 3, "id": str(n)} for n in range(18)]
        self.run_jobs(*jobs, flags=("--local", "4"))
        self.assertLessEqual(self.most_at_once(), 4)
        self.assertGreaterEqual(self.most_at_once(), 3)

    def test_a_job_as_wide_as_the_worker_runs(self):
        jobs = [{"type": "sleep", "args": {"for": "100ms"}, "id": str(n)} for n in range(10)]
        jobs.append({"type": "noop", "slots": 4, "id": "wide"})
        self.run_jobs(*jobs, flags=("--local", "4"))

    def test_handlers_share_the_slots(self):
        jobs = [{"type": "sleep", "args": {"for": 0.2}, "id": str(n)} for n in range(12)]
        start = time.monotonic()
        self.run_jobs(*jobs, flags=("--local", "4"))
        self.assertGreaterEqual(time.monotonic() - start, 0.6)


class Fit(CliTest):
    def start_listening(self, *jobs, flags=()):
        self.write("jobs.jsonl", jsonl(*jobs))
        self.address = f"tcp://127.0.0.1:{free_port()}"
        return self.start_run("jobs.jsonl", "--listen", self.address, *flags)

    def results(self):
        return {r["id"]: r for r in parse_results((self.folder / "jobs.results.jsonl").read_bytes())}

    def test_labels(self):
        jobs = [{"cmd": ["true"], "id": f"{label}-{n}", "labels": label.split("+")}
                for n in range(10) for label in ("a", "b", "a+b")]
        run = self.start_listening(*jobs, *({"cmd": ["true"], "id": f"any-{n}"} for n in range(10)))
        for name, labels in (("wa", "a"), ("wab", "a b"), ("wb", "b")):
            self.start(WORKER, self.address, "--name", name, *(w for label in labels.split() for w in ("--label", label)))
        self.assertEqual(run.finish().code, 0, run.err)
        for key, result in self.results().items():
            allowed = {"a": {"wa", "wab"}, "b": {"wb", "wab"}, "a+b": {"wab"}, "any": {"wa", "wb", "wab"}}
            self.assertIn(result["worker"], allowed[key.rsplit("-", 1)[0]], key)

    def test_names_are_one_worker_each(self):
        jobs = [{"cmd": "while [ $(ls | grep -c began) -lt 3 ]; do touch began-$WORKPOOL_JOB_ID; sleep 0.02; done",
                 "id": str(n)} for n in range(3)]
        run = self.start_listening(*jobs)
        for _ in range(3):
            self.start(WORKER, self.address, "--name", "same", "--slots", "1")
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual({result["worker"] for result in self.results().values()}, {"same", "same-2", "same-3"})

    def assert_unsatisfiable(self, job, *words):
        start = time.monotonic()
        jobs = [{"type": "noop", "id": "good"}, {"id": "impossible", **job}]
        finished = self.run_jobs(*jobs, flags=("--unsatisfiable-after", "1s", "--local", "2"), code=1)
        took = time.monotonic() - start
        for word in words:
            self.assertIn(word, finished.err)
        self.assertEqual([result["id"] for result in finished.results], ["good"])
        self.assertGreaterEqual(took, 1)
        self.assertLess(took, 1 * SLACK + 3)
        return finished

    def test_unsatisfiable_type_label_and_width(self):
        self.assert_unsatisfiable({"type": "thumbnail"}, "'thumbnail'")
        for name in ("jobs.results.jsonl", "jobs.results.jsonl.state"):
            (self.folder / name).unlink()
        self.assert_unsatisfiable({"cmd": ["true"], "labels": ["gpu"]}, "gpu")
        for name in ("jobs.results.jsonl", "jobs.results.jsonl.state"):
            (self.folder / name).unlink()
        finished = self.assert_unsatisfiable({"cmd": ["true"], "slots": 3}, "3 slots")
        self.assertIn("1 not done", finished.err)
        # They run when the run is resumed with a worker that can run them.
        again = self.dispatcher("run", "jobs.jsonl", "--local", "3")
        self.assertEqual(again.code, 0, str(again))

    def test_an_impossible_class_blocks_no_other(self):
        jobs = [{"cmd": ["true"], "labels": ["none"], "priority": 9, "id": f"i{n}"} for n in range(200)]
        jobs += [{"type": "noop", "id": f"n{n}"} for n in range(200)]
        finished = self.run_jobs(*jobs, flags=("--unsatisfiable-after", "0.5s"), code=1)
        self.assertEqual(len(finished.results), 200)

    def test_waits_for_a_worker_that_can(self):
        run = self.start_listening({"cmd": ["true"], "labels": ["gpu"]}, flags=("--local", "1"))
        run.wait_for("workpool-worker ")
        self.start(WORKER, self.address, "--label", "gpu", "--name", "late")
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual([r["worker"] for r in self.results().values()], ["late"])


class Retries(CliTest):
    def test_backoff_doubles_with_jitter_within_its_bounds(self):
        result = self.run_command("date +%s.%N >> times; test $(wc -l < times) -ge 4", code=0, retries=5)
        times = [float(line) for line in (self.folder / "times").read_text().split()]
        gaps = [b - a for a, b in zip(times, times[1:])]
        print("backoff:", ", ".join(f"{gap:.2f} s" for gap in gaps), "(full jitter of 1, 2, 4 s)")
        self.assertEqual(result["attempt"], 4)
        for gap, most in zip(gaps, (1, 2, 4)):
            self.assertLess(gap, most + SLACK)

    def test_only_failed_and_timeout_are_retried(self):
        jobs = [{"cmd": ["false"], "id": "exit", "retries": 1}, {"cmd": "kill -9 $$", "id": "signal", "retries": 1},
                {"type": "fail", "id": "handler", "retries": 1}, {"cmd": ["true"], "id": "ok", "retries": 1},
                {"cmd": ["sleep", "9"], "timeout": 0.2, "id": "timeout", "retries": 1},
                {"cmd": ["/no/such"], "id": "spawn", "retries": 1}]
        found = self.run_jobs(*jobs, flags=("--local", "6"), code=1).by_id
        self.assertEqual({key: found[key]["attempt"] for key in found},
                         {"exit": 2, "signal": 2, "handler": 2, "ok": 1, "timeout": 2, "spawn": 2})
        kinds = {key: found[key]["error"]["kind"] for key in found if "error" in found[key]}
        self.assertEqual(kinds, {"exit": "exit", "signal": "signal", "handler": "handler", "timeout": "timeout",
                                 "spawn": "spawn"})

    def test_retried_jobs_of_a_stream(self):
        lines = jsonl(*({"cmd": f"test $WORKPOOL_ATTEMPT = 2 && echo {n}", "id": str(n), "retries": 1} for n in range(20)))
        _, results = self.pipe_jobs(lines, code=0)
        self.assertEqual({r["id"]: r["stdout"] for r in results}, {str(n): f"{n}\n" for n in range(20)})


if __name__ == "__main__":
    unittest.main()
