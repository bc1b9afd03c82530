# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""What long-lived worker processes of other systems are known to fail at: recycling, large requests, memory, locales, pools
inside of a job, programs that leave by themselves."""

import unittest

from handler_testing import HandlerTest
from workpool_testing import wait_until

# Each does what its users do to a worker process.
PROGRAM = r'''
import json, multiprocessing, os, sys, threading

def square(n):
    return n * n

KEPT = []
DONE = 0
if "--leaves" in sys.argv:
    sys.stdin = open(0, "rb", buffering=0)  # reads no more than the line that it answers
for line in sys.stdin:
    request = json.loads(line)
    args, do, value = request["args"], request["args"]["do"], None
    if do == "pool":
        threading.Thread(target=lambda: None).start()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            value = pool.map(square, range(5))
    elif do == "grow":
        KEPT.append(bytearray(20 << 20))
        value = len(KEPT)
    elif do == "allocate":
        bytearray(4 << 30)
    elif do == "size":
        value = len(args["text"])
    elif do == "text":
        value = args["text"]
    elif do == "pid":
        value = os.getpid()
    print(json.dumps({"id": request["id"], "value": value}), flush=True)
    DONE += 1
    if "--leaves" in sys.argv and DONE == 7:
        sys.exit(0)
'''


class HandlerHabits(HandlerTest):
    def setUp(self):
        super().setUp()
        (self.folder / "habits.py").write_text(PROGRAM)
        self.command = f"python3 {self.folder}/habits.py"

    def run_all(self, *jobs, flags=(), command=None, code=0):
        results = self.run_jobs(*jobs, flags=("--local", "2", *flags), handler=f"crooked={command or self.command}", code=code)
        self.assertEqual(len(results), len(jobs))
        return [results[str(i)] for i in range(len(jobs))]

    def test_a_new_program_for_each_job_loses_none(self):
        """celery/celery#3085: jobs were lost when their process was replaced after its last one."""
        results = self.run_all(*[{"do": "pid"}] * 60, flags=("--handler-jobs", "1"))
        self.assertEqual({(r["status"], r["attempt"]) for r in results}, {("ok", 1)})
        self.assertEqual(len({r["value"] for r in results}), 60)

    def test_large_requests_to_programs_that_are_replaced(self):
        """celery/celery#1310: a request larger than a pipe was written to a process that had gone."""
        results = self.run_all(*[{"do": "size", "text": "x" * 900_000}] * 12, flags=("--handler-jobs", "1"))
        self.assertEqual({(r["value"], r["attempt"]) for r in results}, {(900_000, 1)})

    def test_a_program_that_leaves_by_itself_after_some_jobs(self):
        """It fails no job if it has not read the next request."""
        results = self.run_all(*[{"do": "pid"}] * 100, command=self.command + " --leaves")
        self.assertEqual({(r["status"], r["attempt"]) for r in results}, {("ok", 1)})
        self.assertGreaterEqual(len({r["value"] for r in results}), 100 // 7)

    def test_memory_that_grows_is_given_back(self):
        results = self.run_all(*[{"do": "grow"}] * 40, flags=("--handler-jobs", "5"))
        self.assertEqual(max(r["value"] for r in results), 5)

    def test_no_memory_costs_its_job_only(self):
        """celery/celery#2011: a worker hung when one of its processes had no memory."""
        results = self.run_all({"do": "text", "text": "before"}, {"do": "allocate"}, {"do": "text", "text": "after"},
                               command=f"ulimit -v 1000000; exec {self.command}", code=1)
        self.assertEqual([results[i].get("value") for i in (0, 2)], ["before", "after"])
        self.assert_fails(results[1], "exited with status 1")
        self.assertRegex(results[1]["stderr"], "MemoryError\n$")

    def test_pools_and_threads_inside_of_a_job(self):
        results = self.run_all(*[{"do": "pool"}] * 6)
        self.assertEqual({tuple(r["value"]) for r in results}, {(0, 1, 4, 9, 16)})
        wait_until("all processes are gone", lambda: self.marked() == [])

    def test_any_locale(self):
        for locale in ("C", "C.UTF-8", "no_such_LOCALE"):
            self.environment.update(LC_ALL=locale, LANG=locale)
            text = "ü € 日本 \U0001f600 \\ \" \u2028"
            self.assertEqual(self.run_all({"do": "text", "text": text}, flags=("--overwrite",))[0]["value"], text)


if __name__ == "__main__":
    unittest.main()
