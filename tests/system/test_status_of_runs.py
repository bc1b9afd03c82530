#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""`status`: of a run that goes on, with and without --listen, of one that is over, was stopped or has crashed."""

import json
import os
import signal
import subprocess
import time
import unittest

from cli_testing import DISPATCHER, WORKER, CliTest, Terminal, clean_environment, free_port, jsonl, wait_until


class StatusTest(CliTest):
    def setUp(self):
        super().setUp()
        self.env = clean_environment(WORKPOOL_RUN_DIR=str(self.folder / "runs"))

    def run_with(self, *arguments, **options):
        return self.start_run(*arguments, env=self.env, **options)

    def status(self, *arguments, **options):
        return self.dispatcher("status", *arguments, env=self.env, **options)

    def json_of(self, *arguments):
        finished = self.status("--json", *arguments)
        return json.loads(finished.out) if finished.code == 0 else None

    def wait_running(self, jobs, *arguments):
        seen = []
        def all_named():
            seen.append(self.json_of(*arguments))
            return seen[-1] and seen[-1]["running_total"] == jobs
        wait_until(lambda: f"{jobs} running jobs, last of all {seen[-1]}", all_named)
        return seen[-1]

    def files_of_runs(self):
        return sorted((self.folder / "runs").iterdir())


class OfARunThatGoesOn(StatusTest):
    def test_a_local_run_is_found_by_its_results_by_its_jobs_and_by_itself(self):
        self.write("jobs.jsonl", jsonl({"id": "long", "cmd": ["sleep", "60"]}, {"cmd": ["true"]},
                                       {"id": "other", "cmd": ["sleep", "61"], "retries": 1}))
        run = self.run_with("jobs.jsonl", "-j", "2")
        run.wait_for("jobs.results.jsonl")
        status = self.wait_running(2, "jobs.results.jsonl")
        self.assertEqual(status["jobs"]["ok"], 1)
        self.assertEqual({(job["line"], job["id"], job["attempt"], job["slots"]) for job in status["running"]},
                         {(1, "long", 1, 1), (3, "other", 1, 1)})
        self.assertGreaterEqual(status["running"][0]["s"], status["running"][1]["s"])
        for job in status["running"]:
            self.assertGreater(job["s"], 1)
            self.assertLess(job["s"], status["uptime_s"])
        for named in (["jobs.jsonl"], [], [str(self.folder / "jobs.results.jsonl")]):
            text = self.status(*named)
            self.assertEqual(text.code, 0, str(text))
            self.assertRegex(text.out, r"run      [0-9a-f]{16} is running, up ")
            self.assertRegex(text.out, r"\n +\d+\.\ds  \S+ +1  line 1, id long\n")
        # Two runs are two lines.
        self.write("more.txt", "sleep 60\n")
        more = self.run_with("more.txt", "-j", "1")
        more.wait_for("more.results.jsonl")
        rows = self.status()
        self.assertEqual(len(rows.out.splitlines()), 3, str(rows))
        self.assertIn("jobs.jsonl -> jobs.results.jsonl", rows.out)
        self.assertIn("more.txt -> more.results.jsonl", rows.out)
        lines = self.status("--json").out.splitlines()
        self.assertEqual({json.loads(line)["jobs_file"] for line in lines}, {"jobs.jsonl", "more.txt"})
        self.assertEqual(len(self.files_of_runs()), 2)
        for one in (run, more):
            one.process.send_signal(signal.SIGTERM)
            one.process.send_signal(signal.SIGTERM)
            one.finish()
        self.assertEqual(self.files_of_runs(), [])

    def test_all_lists_more_than_twenty(self):
        self.write("jobs.txt", "sleep 60\n" * 30)
        run = self.run_with("jobs.txt", "-j", "30")
        run.wait_for("jobs.results.jsonl")
        self.assertEqual(len(self.wait_running(30, "jobs.txt")["running"]), 20)
        text = self.status("jobs.txt")
        self.assertIn("(10 more have run for over a second; --all lists them)", text.out)
        everything = self.json_of("jobs.txt", "--all")
        self.assertEqual(sorted(job["line"] for job in everything["running"]), list(range(1, 31)))
        times = [job["s"] for job in everything["running"]]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_times_survive_a_restart_of_the_dispatcher(self):
        address = f"tcp://127.0.0.1:{free_port()}"
        self.write("jobs.txt", "sleep 120\n")
        run = self.run_with("jobs.txt", "--listen", address)
        worker = self.start(WORKER, address, "--slots", "1", env=self.env)
        before = self.wait_running(1, address)["running"][0]["s"]
        run.process.kill()
        run.process.wait()
        left = self.files_of_runs()
        self.assertEqual(len(left), 1, "kill -9 leaves the file")
        stopped = self.status("jobs.results.jsonl")
        self.assertIn(" is not running, and jobs are left: the same command as before goes on\n", stopped.out)
        self.assertIn("jobs     0/1 done: 0 ok\n", stopped.out)
        self.assertEqual(self.files_of_runs(), [], "what is left over is removed")
        time.sleep(1)
        again = self.run_with("jobs.txt", "--listen", address)
        after = self.wait_running(1, "jobs.results.jsonl")["running"][0]["s"]
        self.assertGreater(after, before + 1)
        for one in (worker, again):
            one.end()

    def test_usr1_prints_it_and_usr2_and_quit_are_ignored(self):
        self.write("jobs.txt", "sleep 3\n")
        run = self.run_with("jobs.txt", "-j", "1")
        run.wait_for("jobs.results.jsonl")
        time.sleep(0.3)
        for number, words in ((signal.SIGUSR1, "jobs     0/1 done: 0 ok; 1 running"), (signal.SIGQUIT, "SIGQUIT is ignored: "),
                              (signal.SIGUSR2, "SIGUSR2 is ignored: ")):
            run.process.send_signal(number)
            run.wait_for(words)
        finished = run.finish()
        self.assertEqual(finished.code, 0, str(finished))

    def test_no_signal_of_these_ends_a_worker_and_jobs_do_not_inherit_that(self):
        address = f"tcp://127.0.0.1:{free_port()}"
        self.write("jobs.txt", "sleep 2; grep SigIgn /proc/self/status\n")
        run = self.run_with("jobs.txt", "--listen", address)
        worker = self.start(WORKER, address, env=self.env)
        run.wait_for("joined")
        time.sleep(0.3)
        for number in (signal.SIGUSR1, signal.SIGQUIT, signal.SIGUSR2):
            worker.process.send_signal(number)
        finished = run.finish()
        self.assertEqual(finished.code, 0, str(finished))
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertEqual(finished.only["stdout"], "SigIgn:\t0000000000000000\n")
        self.assertEqual(finished.only["attempt"], 1)
        self.assertEqual(worker.finish().code, 0)

    def test_a_folder_of_runs_that_cannot_be_used_harms_nothing(self):
        os.mkdir(self.folder / "runs", 0o755)
        os.chmod(self.folder / "runs", 0o755)
        self.write("jobs.txt", "sleep 2\n")
        run = self.run_with("jobs.txt", "-j", "1")
        run.wait_for("jobs.results.jsonl")
        status = self.status("jobs.results.jsonl")
        self.assertIn(" is running, but cannot be asked from here\n", status.out)
        self.assertIn("jobs     0/1 done: 0 ok\n", status.out)
        self.assertEqual(run.finish().code, 0)


    def test_one_whose_results_go_through_the_shell(self):
        self.write("jobs.txt", "sleep 60\n")
        with open(self.folder / "out.jsonl", "wb") as out:
            run = self.run_with("jobs.txt", "-j", "1", "-o", "-", stdout=out)
            self.wait_running(1, "jobs.txt")
        self.write("more.txt", "true\n")
        self.assertEqual(self.dispatcher("run", "more.txt", env=self.env).code, 0)
        self.assertIn(" is over\n", self.status("more.txt").out, "the usual name of its results")
        run.end()

    def test_a_dispatcher_that_does_not_answer(self):
        self.write("jobs.txt", "sleep 60\n")
        run = self.run_with("jobs.txt", "-j", "1")
        self.wait_running(1, "jobs.txt")
        run.process.send_signal(signal.SIGSTOP)
        for named in (["jobs.txt"], [], ["jobs.results.jsonl"]):
            status = self.status(*named)
            self.assertIn(" is running, but cannot be asked from here\n", status.out, str(status))
        run.process.send_signal(signal.SIGCONT)

    def test_the_reason_if_nothing_can_be_found(self):
        self.write("runs", "")
        self.assert_one_line_error(self.status(), 1, "it is not known which runs go on here: the folder")


class OfARunThatIsOver(StatusTest):
    def test_in_the_same_words(self):
        finished = self.run_jobs({"cmd": "true"}, {"cmd": "false"}, {"cmd": "sleep 9", "timeout": 0.1}, code=1)
        self.assertEqual(finished.code, 1)
        text = self.status("jobs.results.jsonl")
        self.assertEqual(text.code, 0, str(text))
        run = json.loads((self.folder / "jobs.results.jsonl.state").read_text().splitlines()[0])["run"]
        self.assertEqual(text.out, f"run      {run} is over\nfiles    {self.folder.resolve()}/jobs.jsonl -> jobs.results.jsonl\n"
                                   "jobs     3/3 done: 1 ok, 1 failed, 1 timeout\n")
        status = self.json_of("jobs.results.jsonl")
        self.assertEqual((status["phase"], status["jobs"]["total"], status["jobs"]["failed"]), ("over", 3, 1))
        self.assertNotIn("uptime_s", status)

    def test_more_jobs_than_before(self):
        self.run_jobs({"cmd": "true"})
        self.write("jobs.jsonl", jsonl({"cmd": "true"}, {"cmd": "true", "id": "new"}))
        self.assertIn("jobs     1/2 done: 1 ok\n", self.status("jobs.results.jsonl").out)
        (self.folder / "jobs.jsonl").unlink()
        self.assertIn("jobs     1/1+ done: 1 ok\n", self.status("jobs.results.jsonl").out)
        self.assertNotIn(" is over", self.status("jobs.results.jsonl").out)

    def test_of_a_pipe(self):
        self.dispatcher("run", "-", "-o", "r.jsonl", stdin="true\nfalse\n", env=self.env)
        status = self.status("r.jsonl")
        self.assertIn("files    - -> r.jsonl\njobs     2/2+ done: 1 ok, 1 failed\n", status.out)
        self.assertIn(" is not running; whether jobs are left only the same command as before finds out\n", status.out)
        self.assertEqual(self.json_of("r.jsonl")["phase"], "ended")

    def test_a_line_again_an_empty_file_and_damage(self):
        self.run_jobs({"cmd": "test -e there", "id": "a"}, code=1)
        self.write("there", "")
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "--retry-failed").code, 0)
        self.assertIn("jobs     1/1 done: 1 ok\n", self.status("jobs.results.jsonl").out)
        self.write("empty.jsonl", "")
        self.assertIn("jobs     0/0+ done: 0 ok\n", self.status("empty.jsonl").out)
        results = self.folder / "jobs.results.jsonl"
        results.write_bytes(results.read_bytes() + b"damaged\n{\"id\":\"a\",")
        self.assertIn("jobs     1/1 done: 1 ok\n", self.status("jobs.results.jsonl").out)

    def test_what_is_no_results_file(self):
        self.write("jobs.txt", "true\n")
        self.assert_one_line_error(self.status("jobs.txt"), 1, "jobs.txt is no results file", "`run -o`")
        self.assert_one_line_error(self.status("nothing"), 1, "cannot read the results file nothing", "No such file")
        self.assert_one_line_error(self.status("."), 1, "cannot read the results file .")
        self.assert_one_line_error(self.status("tcp://127.0.0.1"), 2, "is not an address")
        self.assert_one_line_error(self.status(f"tcp://127.0.0.1:{free_port()}"), 1, "no dispatcher at tcp://127.0.0.1:")


class Watching(StatusTest):
    def test_until_the_run_is_over(self):
        self.write("jobs.txt", "sleep 3\n")
        run = self.run_with("jobs.txt", "-j", "1")
        run.wait_for("jobs.results.jsonl")
        watched = self.status("jobs.results.jsonl", "--watch", "--json")
        self.assertEqual(watched.code, 0, str(watched))
        phases = [json.loads(line)["phase"] for line in watched.out.splitlines()]
        self.assertEqual((phases[0], phases[-1]), ("running", "over"))
        run.finish()

    def test_the_end_is_shown_whatever_was_named(self):
        self.write("jobs.txt", "sleep 3\nfalse\n")
        run = self.run_with("jobs.txt", "-j", "2")
        run.wait_for("jobs.results.jsonl")
        watches = [self.start(DISPATCHER, "status", "--watch", *named, env=self.env) for named in ([], ["jobs.txt"])]
        run.finish()
        for watch in watches:
            ended = watch.finish()
            self.assertEqual(ended.code, 0, str(ended))
            self.assertTrue(ended.out.endswith("jobs     2/2 done: 1 ok, 1 failed\n"), str(ended))
            self.assertEqual(ended.err, "")

    def test_on_a_terminal_it_is_drawn_in_place(self):
        self.write("jobs.txt", "sleep 60\n" * 40)
        run = self.run_with("jobs.txt", "-j", "40")
        run.wait_for("jobs.results.jsonl")
        self.wait_running(40, "jobs.txt")
        terminal = Terminal(columns=40, rows=10)
        watch = subprocess.Popen([DISPATCHER, "status", "jobs.txt", "--watch"], cwd=self.folder, env={**self.env, "TERM": "xterm"},
                                 stdin=subprocess.DEVNULL, stdout=terminal.slave, stderr=subprocess.DEVNULL)
        try:
            terminal.read_until(lambda shown: b"\x1b[J" in shown)
            screen = terminal.shown.split(b"\x1b[H")[1]
            lines = screen.split(b"\x1b[J")[0].decode().replace("\r", "").split("\x1b[K\n")
            self.assertEqual(len(lines) - 1, 9, lines)
            for line in lines:
                self.assertLessEqual(len(line), 40)
        finally:
            watch.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(10), -signal.SIGINT)


if __name__ == "__main__":
    unittest.main()
