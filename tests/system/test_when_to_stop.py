#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""When a run stops by itself, and what one bad machine among good ones costs."""

import json
import os
import re
import unittest

from cli_testing import WORKER, CliTest, clean_environment, free_port, jsonl, wait_until
from workpool_testing import figure


class StopsByItself(CliTest):
    def test_a_program_that_nobody_has_stops_at_max_fails(self):
        jobs = jsonl(*({"cmd": ["no-such-program", str(i)]} for i in range(2000)))
        self.write("jobs.jsonl", jobs)
        finished = self.dispatcher("run", "jobs.jsonl", "--max-fails", "20")
        self.assertEqual(finished.code, 1, str(finished))
        # Results come several at a time, so it may be a few more.
        said = re.search(r"\nstopped: (\d+) jobs not ok \(--max-fails 20\)\n", finished.err)
        self.assertTrue(said and 20 <= int(said.group(1)) <= 500, finished.err[-2000:])
        self.assertIn("\nto continue: ", finished.err)
        finished.results_path = self.folder / "jobs.results.jsonl"
        ended = len(finished.results)
        figure(f"{ended} of 2,000 jobs were recorded")
        self.assertGreaterEqual(ended, 20)
        self.assertLess(ended, 1500)
        self.assertEqual({result["error"]["kind"] for result in finished.results}, {"spawn"})
        # The same command goes on, and stops again after 20 of its own.
        again = self.dispatcher("run", "jobs.jsonl", "--max-fails", "20")
        self.assertEqual(again.code, 1, str(again))
        said = re.search(r"\nstopped: (\d+) jobs not ok \(--max-fails 20\)\n", again.err)
        self.assertTrue(said and 20 <= int(said.group(1)) <= 500, again.err[-2000:])
        self.assertGreaterEqual(len(finished.results), ended + 20)

    def test_a_part_of_the_jobs(self):
        self.write("jobs.txt", "".join("false\n" if i % 4 == 0 else "true\n" for i in range(400)))
        finished = self.dispatcher("run", "jobs.txt", "--max-fails", "20%", "--local", "2")
        self.assertEqual(finished.code, 1, str(finished))
        self.assertRegex(finished.err, r"\nstopped: \d+ of \d+ jobs not ok \(--max-fails 20%\)\n")
        more = self.dispatcher("run", "jobs.txt", "-o", "other.jsonl", "--max-fails", "40%", "--local", "2")
        self.assertIn("done: 300 ok, 100 failed of 400 jobs", more.err)

    def test_what_runs_is_finished(self):
        self.write("jobs.txt", "sleep 2; echo whole\nfalse\n" + "sleep 60\n" * 20)
        finished = self.dispatcher("run", "jobs.txt", "--max-fails", "1", "--local", "2")
        self.assertEqual(finished.code, 1, str(finished))
        self.assertIn("1 job not ok (--max-fails 1): nothing new is started", finished.err)
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertIn("whole\n", {result["stdout"] for result in finished.results})

    def test_until_ok(self):
        self.write("jobs.txt", "false\n" + "true\n" * 50 + "sleep 60\n" * 50)
        finished = self.dispatcher("run", "jobs.txt", "--until-ok", "30", "--local", "2")
        self.assertEqual(finished.code, 0, str(finished))
        self.assertIn("\nstopped: 30 jobs ok (--until-ok 30)\n", finished.err)
        self.assertIn("to run the rest: ", finished.err)
        self.assertNotIn("--until-ok 30\n", finished.err.split("to run the rest")[1])
        # There are enough already.
        again = self.dispatcher("run", "jobs.txt", "--until-ok", "30", "--local", "2")
        self.assertEqual(again.code, 0, str(again))
        self.assertIn("stopped: 30 jobs ok", again.err)
        self.write("few.txt", "true\nfalse\n")
        few = self.dispatcher("run", "few.txt", "--until-ok", "2")
        self.assertEqual(few.code, 1, str(few))
        self.assertIn("fewer are ok than --until-ok 2 asks for", few.err)


class BadMachine(CliTest):
    """Two workers; node2 lacks something."""

    def cluster(self, jobs, *flags):
        self.write("jobs.jsonl", jobs)
        self.address = f"tcp://127.0.0.1:{free_port()}"
        return self.start_run("jobs.jsonl", "--listen", self.address, *flags)

    def worker(self, name, slots=2, **options):
        return self.start(WORKER, self.address, "--name", name, "--slots", str(slots), **options)

    def program(self, name, text):
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        path = tools / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        environment = clean_environment()
        environment["PATH"] = f"{tools}:{environment['PATH']}"
        return environment

    def counting(self):
        """What counts of the results file: the last line of each job."""
        lines = (self.folder / "jobs.results.jsonl").read_text().splitlines()
        return lines, {result["id"]: result for result in map(json.loads, lines)}

    def assert_all_ok(self, run, jobs):
        finished = run.finish(120)
        self.assertEqual(finished.code, 0, str(finished))
        lines, counting = self.counting()
        self.assertEqual(len(counting), jobs)
        self.assertEqual({result["status"] for result in counting.values()}, {"ok"})
        self.assertIn(f"done: {jobs} ok of {jobs} jobs\n", finished.err)
        verified = self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl")
        self.assertEqual(verified.code, 0, str(verified))
        self.assertIn(f"ok: {jobs}\n", verified.out)
        return finished, lines, counting

    def test_a_program_that_one_of_two_lacks(self):
        for shell in (False, True):
            with self.subTest(shell=shell):
                for name in ("jobs.results.jsonl", "jobs.results.jsonl.state"):
                    (self.folder / name).unlink(missing_ok=True)
                good = self.program("goodprog", "sleep 0.05; echo fine\n")
                cmd = (lambda i: f"goodprog {i}") if shell else (lambda i: ["goodprog", str(i)])
                run = self.cluster(jsonl(*({"cmd": cmd(i)} for i in range(100))))
                bad = self.worker("node2", env=clean_environment())
                bad.wait_for("joined")
                self.worker("node1", env=good)
                finished, lines, counting = self.assert_all_ok(run, 100)
                benched = [line for line in finished.err.splitlines() if "is benched" in line]
                figure(f"100 of 100 ok, {len(lines) - 100} withdrawn; {benched}")
                self.assertEqual({result["worker"] for result in counting.values()}, {"node1"})
                self.assertLessEqual(len(benched), 1)
                if benched:
                    self.assertRegex(benched[0], r"worker node2 is benched: its last \d+ jobs failed \(.*\), "
                                                 r"elsewhere 0 of \d+ did; retried in 1m")

    def test_a_folder_that_one_of_two_lacks(self):
        # Each worker runs in a folder of its own, and a relative cwd exists in one of them.
        for name in ("one", "two"):
            (self.folder / name).mkdir()
        (self.folder / "one" / "data").mkdir()
        run = self.cluster(jsonl(*({"cmd": ["sleep", "0.03"], "cwd": "data", "id": str(i)} for i in range(100))))
        self.worker("node2", cwd=self.folder / "two").wait_for("joined")
        self.worker("node1", cwd=self.folder / "one")
        _, _, counting = self.assert_all_ok(run, 100)
        self.assertEqual({result["worker"] for result in counting.values()}, {"node1"})

    def test_a_machine_that_fails_at_everything_is_benched_and_what_it_failed_runs_again(self):
        # A status that says nothing about why; slow enough on node1 that node2 would have done them all.
        self.program("work", "exit 3\n")
        os.rename(self.folder / "tools", self.folder / "broken")
        good = self.program("work", "sleep 0.2\n")
        bad = clean_environment()
        bad["PATH"] = f"{self.folder / 'broken'}:{bad['PATH']}"
        run = self.cluster(jsonl(*({"cmd": ["work", str(i)]} for i in range(60))))
        self.worker("node1", env=good).wait_for("joined")
        self.worker("node2", env=bad)
        finished, lines, counting = self.assert_all_ok(run, 60)
        benched = [line for line in finished.err.splitlines() if "is benched" in line]
        self.assertEqual(len(benched), 1, str(finished))
        self.assertIn("worker node2 is benched: its last", benched[0])
        self.assertIn("(exit status 3)", benched[0])
        withdrawn = [json.loads(line) for line in lines if json.loads(line)["status"] != "ok"]
        figure(f"{len(withdrawn)} failures of node2 are replaced by lines that count")
        self.assertGreaterEqual(len(withdrawn), 10)
        self.assertEqual({result["worker"] for result in withdrawn}, {"node2"})
        self.assertEqual({result["worker"] for result in counting.values()}, {"node1"})
        self.assertNotIn("not ok, by reason", finished.err)

    def test_a_mended_machine_comes_back(self):
        flag = self.folder / "mended"
        good = self.program("work", f"sleep 0.3; test -e {flag} || test $WHO = node1\n")
        self.program("fast", f"test -e {flag} || test $WHO = node1\n")
        jobs = jsonl(*({"cmd": "fast", "id": f"f{i}"} for i in range(40)),
                     *({"cmd": "work", "id": f"w{i}"} for i in range(260)))
        run = self.cluster(jobs)
        self.worker("node1", env={**good, "WHO": "node1"}, slots=1).wait_for("joined")
        self.worker("node2", env={**good, "WHO": "node2"}, slots=1)
        run.wait_for("node2 is benched")
        flag.touch()
        wait_until("node2 on its feet", lambda: "worker node2 is back: a job was ok there" in run.err, 150)
        wait_until("work at node2", lambda: any(
            result["worker"] == "node2" and result["status"] == "ok" for result in self.counting()[1].values()))
        finished, _, _ = self.assert_all_ok(run, 300)
        figure(str([line for line in finished.err.splitlines() if "node2" in line]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
