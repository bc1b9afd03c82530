#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What runs and checks tell other programs: `--summary FILE` of run and each, `--json` of check and verify."""

import json
import os
import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, LIMIT, WORKER, CliTest, free_port, jsonl, wait_until  # noqa: E402


class Summary(CliTest):
    def summary(self, name="end.json"):
        lines = (self.folder / name).read_text().splitlines()
        self.assertEqual(len(lines), 1, lines)
        return json.loads(lines[0])

    def assert_alone(self):
        """Nothing is left beside the file."""
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("end.json")], ["end.json"])

    def test_all_ok(self):
        self.run_jobs(*[{"type": "noop"}] * 5, flags=("--summary", "end.json"))
        end = self.summary()
        self.assertEqual((end["v"], end["exit"], end["end"]), (1, 0, "all_ok"))
        self.assertEqual((end["jobs_file"], end["results_file"]), ("jobs.jsonl", "jobs.results.jsonl"))
        self.assertEqual({name: count for name, count in end["jobs"].items() if count},
                         {"total": 5, "total_known": True, "done": 5, "ok": 5})
        self.assertEqual((end["failures"], end["not_run"]), ([], []))
        self.assertEqual(end["workers"], [{"name": "local", "done": 5, "not_ok": 0}])
        self.assertEqual(end["run"], json.loads((self.folder / "jobs.results.jsonl").read_text().splitlines()[0])["run"])
        self.assertLess(end["started"], end["finished"])
        self.assertGreater(end["wall_s"], 0)
        self.assert_alone()

    def test_failures_by_reason_and_worker(self):
        jobs = [{"cmd": ["sh", "-c", "exit 3", "x"]}] * 3 + [{"cmd": "exit 4", "id": "mine"}, {"cmd": ["true"]},
                                                             {"cmd": "sleep 30", "timeout": 0.2}]
        self.run_jobs(*jobs, flags=("--summary", "end.json"), code=1)
        end = self.summary()
        self.assertEqual((end["exit"], end["end"], end["reason"]), (1, "not_all_ok", "some jobs are not ok"))
        self.assertEqual(end["failures"][0], {"reason": "exit status 3", "count": 3, "line": end["failures"][0]["line"],
                                              "command": "sh -c 'exit 3' x", "worker": "local"})
        self.assertIn({"reason": "exit status 4", "count": 1, "line": 4, "id": "mine", "command": "exit 4", "worker": "local"},
                      end["failures"])
        self.assertEqual((end["jobs"]["ok"], end["jobs"]["failed"], end["jobs"]["timeout"]), (1, 4, 1))
        self.assertEqual(end["workers"], [{"name": "local", "done": 6, "not_ok": 5}])
        # The same command has nothing to do, and says so.
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "--summary", "end.json").code, 1)
        again = self.summary()
        self.assertEqual((again["exit"], again["jobs"]["before"], again["jobs"]["done"], again["workers"]), (1, 6, 6, []))

    def test_workers_that_have_left_are_among_them(self):
        self.write("jobs.jsonl", jsonl(*[{"cmd": ["true"], "labels": [name]} for name in "ab" for _ in range(4)]))
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start_run("jobs.jsonl", "--listen", address, "--summary", "end.json")
        self.start(WORKER, address, "--name", "a", "--label", "a")
        results = self.folder / "jobs.results.jsonl"
        wait_until("the first four", lambda: results.exists() and len(results.read_text().splitlines()) == 4)
        self.start(WORKER, address, "--name", "b", "--label", "b")
        self.assertEqual(run.finish().code, 0)
        self.assertEqual([(worker["name"], worker["done"]) for worker in self.summary()["workers"]], [("a", 4), ("b", 4)])

    def test_a_signal(self):
        for number, times, code in ((signal.SIGINT, 1, 130), (signal.SIGTERM, 2, 143), (signal.SIGINT, 3, 130)):
            with self.subTest(number=number, times=times):
                self.write("jobs.jsonl", jsonl({"cmd": "touch began; sleep 1"}, {"cmd": "true"}, {"cmd": "true"}))
                run = self.start_run("jobs.jsonl", "--overwrite", "--local", "1", "--summary", "end.json")
                wait_until("the first job", (self.folder / "began").exists)
                self.assertFalse((self.folder / "end.json").exists(), "the one of the run before")
                for _ in range(times):
                    run.process.send_signal(number)
                    wait_until("what it says", lambda: "SIGTERM" in run.err or "Ctrl-C" in run.err)
                self.assertEqual(run.process.wait(LIMIT), code, run.err)
                end = self.summary()
                self.assertEqual((end["exit"], end["end"]), (code, "stopped"))
                self.assertGreaterEqual(end["jobs"]["left"], 2)
                (self.folder / "began").unlink()

    def test_of_each(self):
        finished = self.dispatcher("each", "--summary", "end.json", "sh", "-c", "exit $1", "x", "{}", ":::", "0", "1")
        self.assertEqual(finished.code, 1, str(finished))
        end = self.summary()
        self.assertEqual((end["jobs_file"], end["results_file"], end["exit"]), ("each", "/dev/null", 1))
        self.assertEqual((end["jobs"]["total"], end["jobs"]["total_known"], end["jobs"]["failed"]), (2, True, 1))

    def test_a_reader_of_the_output_that_leaves(self):
        self.assertEqual(self.call(["bash", "-c", '"$1" each --summary end.json echo {} ::: $(seq 2000) | head -n 1; exit ${PIPESTATUS[0]}',
                                    "bash", DISPATCHER]).code, 141)
        self.assertEqual((self.summary()["exit"], self.summary()["end"]), (141, "results_lost"))

    def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(self):
        finished = self.run_jobs({"cmd": "touch ran"}, flags=("--summary", "no/such/end.json"), code=74)
        self.assert_one_line_error(finished, 74, "--summary", "no/such/end.json", "No such file or directory")
        self.assertFalse((self.folder / "ran").exists())
        finished = self.run_jobs({"cmd": "true"}, flags=("--summary", "/dev/full"), code=74)
        self.assertIn("done: 1 ok", finished.err)
        self.assertIn("--summary: /dev/full cannot be written: No space left on device", finished.err)

    def test_files_that_are_needed_are_not_overwritten(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["true"]}))
        self.write("values", "1\n")
        os.link(self.folder / "jobs.jsonl", self.folder / "link")
        for arguments in (("run", "jobs.jsonl", "--summary", "jobs.jsonl"), ("run", "jobs.jsonl", "--summary", "link"),
                          ("run", "jobs.jsonl", "--summary", "jobs.results.jsonl"),
                          ("run", "jobs.jsonl", "--summary", "jobs.results.jsonl.state"), ("run", "jobs.jsonl", "--summary", "-"),
                          ("each", "--summary", "values", "echo", "::::", "values")):
            with self.subTest(arguments):
                self.assert_one_line_error(self.dispatcher(*arguments), 2, "--summary")
        self.assertEqual((self.folder / "values").read_text(), "1\n")
        self.assertEqual((self.folder / "jobs.jsonl").read_text(), jsonl({"cmd": ["true"]}))

    def test_to_stdout(self):
        finished = self.run_jobs({"cmd": ["true"]}, flags=("--summary", "/dev/stdout"))
        self.assertEqual(json.loads(finished.out)["exit"], 0)

    def test_to_stdout_or_stderr_that_is_a_file(self):
        for name, stream in (("/dev/stdout", "stdout"), ("/dev/fd/1", "stdout"), ("/proc/self/fd/1", "stdout"), ("/dev/stderr", "stderr"),
                             ("/dev/fd/2", "stderr")):
            with self.subTest(name), open(self.write("log", ""), "wb") as log:
                finished = self.dispatcher("run", "-", "--summary", name, stdin="echo a; echo b >&2", **{stream: log})
                self.assertEqual(finished.code, 0, str(finished))
                *before, last = (self.folder / "log").read_text().splitlines()
                self.assertEqual(json.loads(last)["exit"], 0)
                if stream == "stdout":
                    self.assertEqual(before, ["a"])
                else:
                    self.assertIn("b", before)
                self.assertEqual(os.listdir(self.folder), ["log"])

    def test_a_file_that_stdout_or_stderr_goes_to_is_refused(self):
        os.symlink("log", self.folder / "link")
        for stream in ("stdout", "stderr"):
            for name in ("log", "./log", "link"):
                with self.subTest(stream=stream, name=name), open(self.write("log", "before\n"), "ab") as log:
                    finished = self.dispatcher("run", "-", "--summary", name, stdin="touch ran", **{stream: log})
                    said = (self.folder / "log").read_text() + finished.err
                    self.assertEqual(finished.code, 2, said)
                    self.assertEqual(said, f"before\nworkpool-dispatcher run: --summary: {name} is the file that {stream} goes to; "
                                           f"/dev/{stream} writes to its end (see --help)\n")
                    self.assertFalse((self.folder / "ran").exists())

    def test_a_stdout_that_cannot_be_written(self):
        for file, mode, code, words in (("/dev/null", "rb", 74, "Bad file descriptor"), ("/dev/full", "wb", 74, "No space left on device")):
            with self.subTest(file), open(file, mode) as out:
                finished = self.run_jobs({"cmd": ["true"]}, flags=("--overwrite", "--summary", "/dev/stdout"), code=code, stdout=out)
                self.assertIn(f"--summary: /dev/stdout cannot be written: {words}", finished.err)
                self.assertEqual((self.folder / "jobs.results.jsonl").exists(), file == "/dev/full")

    def test_a_start_that_fails_leaves_the_one_of_before(self):
        self.run_jobs({"cmd": ["true"]}, flags=("--summary", "end.json"))
        before = self.summary()
        self.write("bad.jsonl", "{oops}\n")
        self.write("other.jsonl", jsonl({"cmd": ["false"]}))
        self.write("slow.jsonl", jsonl({"cmd": "touch began; sleep 1000"}))
        address = f"tcp://127.0.0.1:{free_port()}"
        self.start_run("slow.jsonl", "--listen", address, "--local", "1")
        wait_until("the slow job", (self.folder / "began").exists)
        for code, arguments in ((65, ("run", "bad.jsonl")), (65, ("run", "nowhere.jsonl")), (65, ("each", "echo", "::::", "nowhere")),
                                (73, ("run", "other.jsonl", "-o", "jobs.results.jsonl")), (75, ("run", "slow.jsonl")),
                                (71, ("run", "other.jsonl", "--listen", address))):
            with self.subTest(arguments):
                finished = self.dispatcher(arguments[0], "--summary", "end.json", *arguments[1:])
                self.assertEqual(finished.code, code, str(finished))
                self.assertEqual(self.summary(), before)
        self.assert_alone()

    def test_a_pipe_that_nobody_reads(self):
        os.mkfifo(self.folder / "end.json")
        reader = os.open(self.folder / "end.json", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        filler = os.open(self.folder / "end.json", os.O_WRONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, filler)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(filler, b"x" * 4096)
        full = os.open(self.folder / "end.json", os.O_WRONLY)  # one that blocks, as a stdout does
        self.addCleanup(os.close, full)
        for name in ("end.json", "/dev/stdout"):
            with self.subTest(name):
                finished = self.run_jobs({"cmd": ["true"]}, flags=("--overwrite", "--summary", name), code=74, stdout=full)
                self.assertIn(f"--summary: {name} cannot be written: nobody has read from it for 2 s", finished.err)


class Checks(CliTest):
    def json(self, *arguments, code=0, **options):
        finished = self.dispatcher(*arguments, "--json", **options)
        self.assertEqual((finished.code, finished.err), (code, ""), str(finished))
        self.assertEqual(len(finished.out.splitlines()), 1)
        return json.loads(finished.out)

    def test_check(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["true"]}, "", {"type": "noop"}))
        self.assertEqual(self.json("check", "jobs.jsonl"), {"v": 1, "jobs_file": "jobs.jsonl", "ok": True, "jobs": 2, "lines": 3,
                                                            "error_count": 0, "errors": []})
        self.write("bad.jsonl", jsonl({"cmd": ["true"], "prioritty": 1}, *["nonsense"] * 30))
        said = self.json("check", "bad.jsonl", code=65)
        self.assertEqual((said["ok"], said["error_count"], len(said["errors"])), (False, 31, 20))
        self.assertEqual(said["errors"][0], {"line": 1, "column": 19, "message": 'unknown key "prioritty": did you mean "priority"?'})
        self.assertEqual(self.json("check", "-", stdin=jsonl({"type": "noop"}))["jobs"], 1)
        said = self.json("check", "nowhere.jsonl", code=65)
        self.assertFalse(said["ok"])
        self.assertIn("no such file", said["problem"])

    def test_verify(self):
        self.run_jobs({"cmd": ["true"], "id": "a"}, {"cmd": ["false"], "id": "b"}, code=1)
        said = self.json("verify", "jobs.jsonl", "jobs.results.jsonl")
        self.assertEqual((said["complete"], said["jobs"], said["missing"], said["ok"], said["failed"]), (True, 2, 0, 1, 1))
        self.write("jobs.jsonl", jsonl({"cmd": ["true"], "id": "a"}, {"cmd": "other work", "id": "b"}, {"cmd": ["c"], "id": "c"}))
        with open(self.folder / "jobs.results.jsonl", "a", encoding="utf-8") as results:
            results.write('{"id":"x"}\n{"id":"to')
        said = self.json("verify", "jobs.jsonl", "jobs.results.jsonl", code=1)
        self.assertEqual((said["complete"], said["missing"], said["superseded_first"]), (False, 2, ["b"]))
        self.assertEqual(said["missing_first"], [{"line": 2, "id": "b", "other_work": True}, {"line": 3, "id": "c", "other_work": False}])
        self.assertEqual((said["damaged"], said["damaged_lines"]), (1, [3]))
        self.assertGreater(said["torn_bytes"], 0)

    def test_verify_of_what_cannot_be_read(self):
        """The words are those for people, without the name of the program before them."""
        self.run_jobs({"cmd": ["true"]})
        self.write("bad.jsonl", jsonl({"cmd": ["true"], "prioritty": 1}, *["nonsense"] * 30))
        for jobs, results, code in (("jobs.jsonl", "nowhere", 1), ("nowhere", "jobs.results.jsonl", 65), ("/dev/null", "jobs.results.jsonl", 65)):
            with self.subTest(jobs=jobs, results=results):
                problem = self.json("verify", jobs, results, code=code)["problem"]
                self.assertEqual(self.dispatcher("verify", jobs, results).err, f"workpool-dispatcher: {problem}\n")
        of_check = self.json("check", "bad.jsonl", code=65)
        self.assertEqual(self.json("verify", "bad.jsonl", "jobs.results.jsonl", code=65),
                         {"v": 1, "jobs_file": "bad.jsonl", "results_file": "jobs.results.jsonl", "complete": False,
                          "error_count": of_check["error_count"], "errors": of_check["errors"]})
        self.assertTrue(self.dispatcher("verify", "bad.jsonl", "jobs.results.jsonl").err.startswith("bad.jsonl:1:19: "))


if __name__ == "__main__":
    unittest.main()
