#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""What people see: banner, failures, totals, the live line of a terminal; and a stderr that is closed, full or gone."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import (DISPATCHER, LIMIT, WORKER, CliTest, Terminal, clean_environment, free_port, jsonl,  # noqa: E402
                         wait_until)

ESCAPE = "\x1b"


def live_lines(shown):
    """Each state of the live line, which is drawn without wrapping."""
    return re.findall(r"\x1b\[\?7l([^\x1b]*)\x1b\[\?7h\r", shown)


class Plain(CliTest):
    def test_no_escape_byte_where_stderr_is_no_terminal(self):
        jobs = [{"cmd": "printf '\\033[31mred\\007\\n' >&2; exit 1", "id": "a\x1b[2Jb"}, {"cmd": ["true"]}]
        for flags in ((), ("--progress", "bar"), ("--progress", "plain"), ("--log-level", "trace")):
            finished = self.run_jobs(*jobs, flags=(*flags, "--overwrite"), code=1,
                                     env=clean_environment(TERM="xterm-256color"))
            self.assertNotRegex(finished.err, "[\x00-\x08\x0b-\x1f\x7f]")
            self.assertIn("\\x1b", finished.err)  # how they are printed instead

    def test_banner_is_five_lines_at_most(self):
        self.write("jobs.jsonl", jsonl({"type": "noop"}))
        for flags in ((), ("--listen", f"tcp://0.0.0.0:{free_port()}", "--insecure", "--local", "1")):
            finished = self.dispatcher("run", "jobs.jsonl", "--overwrite", *flags)
            self.assertEqual(finished.code, 0, str(finished))
            lines = finished.err.splitlines()
            end = next(n for n, line in enumerate(lines) if line.startswith(("done:", "worker ")))
            self.assertLessEqual(end, 5, finished.err)
            self.assertIn("jobs.jsonl", lines[0])
            self.assertIn("jobs.results.jsonl", finished.err.split("done:")[0])

    def test_the_banners_worker_command_works_when_pasted(self):
        self.write("jobs.jsonl", jsonl({"cmd": "echo $WORKPOOL_JOB_ID", "id": "x"}))
        for listen in ((f"tcp://127.0.0.1:{free_port()}",), (f"tcp://0.0.0.0:{free_port()}", "--insecure"),
                       (f"tcp://[::1]:{free_port()}",), (f"tcp://*:{free_port()}", "--insecure"), (f"tcp://0.0.0.0:{free_port()}",),
                       (f"tcp://localhost:{free_port()}",)):
            with self.subTest(listen):
                run = self.start_run("jobs.jsonl", "--overwrite", "--listen", *listen)
                run.wait_for("workpool-worker ")
                command = re.search(r"^ *((?:WORKPOOL_KEY=wp1-[\w-]{86} )?workpool-worker .*)$", run.err, re.M)[1]
                self.assertEqual("WORKPOOL_KEY" in command, "--insecure" not in listen)
                self.assertNotIn("0.0.0.0", command)
                self.assertNotIn("*", command)
                worker = self.start("sh", "-c", command)
                self.assertEqual(run.finish().code, 0, run.err)
                self.assertEqual(worker.process.wait(LIMIT), 0, worker.err)

    def test_summary_has_totals_time_rate_slots_and_place(self):
        finished = self.run_jobs({"cmd": "sleep 0.3"}, {"cmd": "false"}, {"cmd": "sleep 30", "timeout": 0.3}, code=1)
        text = finished.err[finished.err.index("done:"):]
        self.assertIn("1 ok, 1 failed, 1 timed out of 3 jobs", text)
        self.assertRegex(text, r"\d+\.\d+s, \d+\.?\d*/s, slots \d+% busy")
        self.assertIn("results: jobs.results.jsonl", text)

    def test_next_command_works_when_pasted(self):
        name = "it's a \"file\" $HOME.jsonl"
        self.write(name, jsonl({"cmd": "test -e fixed", "id": "x"}))
        self.assertEqual(self.dispatcher("run", name, "--timeout", "5m", "-o", "out put.jsonl").code, 1)
        finished = self.dispatcher("run", name, "--timeout", "5m", "-o", "out put.jsonl")
        command = re.search(r"^to run what is not ok again: (.*)$", finished.err, re.M)[1]
        self.assertEqual(shlex.split(command)[1:],
                         ["run", name, "--timeout", "5m", "-o", "out put.jsonl", "--retry-failed"])
        self.write("fixed", "")
        self.assertEqual(self.call(["sh", "-c", command]).code, 0)

    def test_next_command_after_overwrite_does_not_overwrite(self):
        self.write("jobs.jsonl", jsonl({"cmd": "test -e fixed"}, {"cmd": "echo x >> ran"}))
        finished = self.dispatcher("run", "jobs.jsonl", "--overwrite")
        command = re.search(r"^to run what is not ok again: (.*)$", finished.err, re.M)[1]
        self.write("fixed", "")
        self.assertEqual(self.call(["sh", "-c", command]).code, 0)
        self.assertEqual((self.folder / "ran").read_text(), "x\n")

    def test_failures_are_shown_once_the_first_ten_and_grouped_by_reason(self):
        jobs = [{"cmd": f"echo why {n} >&2; exit {3 if n % 3 else 4}", "id": f"job-{n:02}"} for n in range(30)]
        finished = self.run_jobs(*jobs, flags=("--local", "1"), code=1)
        shown = [line for line in finished.err.splitlines() if line.startswith("not ok  ")]
        self.assertEqual(len(shown), 10)
        self.assertEqual(len(set(shown)), 10)
        for n in range(10):
            self.assertIn(f"job-{n:02}", shown[n])
            self.assertIn(f"why {n}", shown[n])
        summary = finished.err[finished.err.index("done:"):]
        self.assertRegex(summary, r"20 +exit status 3")
        self.assertRegex(summary, r"10 +exit status 4")

    def test_a_failure_names_its_command_not_a_digest(self):
        long = ["sh", "-c", "echo one >&2; echo 'no room' >&2; exit 3", "a b.jpg", "--size", "100x100", "--output", "thumbs/a.jpg"]
        jobs = [{"cmd": long}, {"cmd": "exit 4", "id": "mine"}, {"type": "fail"}]
        said = {"file": self.run_jobs(*jobs, flags=("--local", "1"), code=1).err}
        pipe = self.dispatcher("run", "-", "-o", "pipe.results", "--local", "1", stdin=jsonl(*jobs))
        self.assertEqual(pipe.code, 1, str(pipe))
        said["pipe"] = pipe.err
        for source, err in said.items():
            with self.subTest(source):
                self.assertRegex(err, r"(?m)^not ok  line 1: sh -c 'echo one >&2; [^\n]*…: exit status 3 on [^ ]+: no room$")
                self.assertRegex(err, r"(?m)^not ok  job 'mine' \(line 2\): exit 4: exit status 4 on [^ ]+$")
                self.assertRegex(err, r"(?m)^not ok  line 3: fail: ")
                summary = err[err.index("done:"):]
                self.assertRegex(summary, r"exit status 3, e\.g\. line 1: sh -c 'echo one")
                self.assertIn("exit status 4, e.g. job 'mine' (line 2): exit 4", summary)
                self.assertNotRegex(err, r"[0-9a-f]{32}")

    def test_a_missing_program_is_named_without_the_folders_that_were_searched(self):
        finished = self.run_jobs({"cmd": ["no-such-program", "x"]}, code=1,
                                 env=clean_environment(PATH="/usr/bin:/bin:/a-folder-of-its-own"))
        self.assertIn("not ok  line 1: no-such-program x: cannot run no-such-program: no such program in the folders of PATH on local\n",
                      finished.err)
        self.assertNotIn("/a-folder-of-its-own", finished.err)

    def test_the_last_failure_of_a_run_has_its_command_too(self):
        self.write("commands.txt", "true\n" * 500 + "false first\nfalse second\n")
        for _ in range(3):
            finished = self.dispatcher("run", "commands.txt", "--overwrite")
            self.assertEqual(finished.code, 1, str(finished))
            self.assertIn("not ok  line 501: false first: exit status 1", finished.err)
            self.assertIn("not ok  line 502: false second: exit status 1", finished.err)

    def test_the_example_of_a_late_reason_has_its_command(self):
        self.write("commands.txt", "exit 3\n" * 12 + "exit 4 # late\n")
        finished = self.dispatcher("run", "commands.txt", "--local", "1")
        self.assertEqual(finished.code, 1, str(finished))
        self.assertNotIn("not ok  line 13", finished.err)
        self.assertIn("1  exit status 4, e.g. line 13: exit 4 # late\n", finished.err)

    def test_a_crowd_of_workers_is_one_line_and_the_order_stays(self):
        self.write("jobs.jsonl", jsonl({"cmd": "while [ ! -e go ]; do sleep 0.05; done", "id": "x"}))
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start_run("jobs.jsonl", "--listen", address)
        run.wait_for(address)
        for n in range(12):
            self.start(WORKER, address, "--name", f"w{n}", "--slots", "2")
        came = r"^(?:(\d+) workers joined, (\d+) slots|worker w\d+ joined \(2 slots\))$"
        def joined():
            return sum(int(match[1] or 1) for match in re.finditer(came, run.err, re.M))
        wait_until("12 workers", lambda: joined() == 12)
        lines = [match[0] for match in re.finditer(came, run.err, re.M)]
        self.assertLess(len(lines), 12, lines)
        self.assertIn("workers joined, ", run.err)
        (self.folder / "go").touch()
        finished = run.finish()
        self.assertEqual(finished.code, 0, str(finished))
        self.assertLess(finished.err.index("joined"), finished.err.index("said goodbye"))
        self.assertLess(finished.err.rindex("said goodbye"), finished.err.index("done:"))

    def test_the_local_worker_is_called_local(self):
        finished = self.run_jobs({"cmd": ["true"]}, {"cmd": ["false"]}, code=1)
        self.assertEqual({result["worker"] for result in finished.results}, {"local"})
        self.assertIn("exit status 1 on local", finished.err)
        again = self.dispatcher("run", "jobs.jsonl", "--retry-failed")
        self.assertIn("exit status 1 on local\n", again.err)

    def test_reasons_that_differ_in_the_job_alone_are_one_group(self):
        jobs = [{"cmd": [f"no-such-program-{n}"], "id": str(n)} for n in range(30)]
        finished = self.run_jobs(*jobs, code=1)
        summary = finished.err[finished.err.index("done:"):]
        self.assertLessEqual(len(summary.splitlines()), 20, summary)

    def test_progress_none_says_less_and_plain_is_a_line_every_ten_seconds(self):
        finished = self.run_jobs({"type": "noop"}, flags=("--progress", "none"))
        self.assertNotIn("local worker", finished.err)
        self.assertIn("1 ok of 1 job", finished.err)
        finished = self.run_jobs({"cmd": "sleep 11"}, flags=("--overwrite",))
        lines = [line for line in finished.err.splitlines() if line.startswith("0/1 ")]
        self.assertEqual(len(lines), 1, finished.err)
        for word in ("ok 0", "failed 0", "running 1", "1 worker", "slot", "/s", "ETA"):
            self.assertIn(word, lines[0])

    def test_results_on_stdout_are_apart_from_messages(self):
        self.write("jobs.jsonl", jsonl({"cmd": "echo out; echo err >&2"}))
        finished = self.dispatcher("run", "jobs.jsonl", "-o", "-")
        self.assertEqual(len(finished.out.splitlines()), 1)
        self.assertEqual(json.loads(finished.out)["stderr"], "err\n")
        self.assertNotIn("err\n", finished.err.replace("stderr", ""))


class Closed(CliTest):
    """A stderr that is closed, full or gone costs messages, never results or the exit code."""

    def setUp(self):
        super().setUp()
        jobs = [{"cmd": f"echo {'x' * 50} >&2; exit {n % 2}", "id": f"{n:04}"} for n in range(200)]
        self.write("jobs.jsonl", jsonl(*jobs))

    def assert_complete(self, code):
        self.assertEqual(code, 1)
        with open(self.folder / "jobs.results.jsonl", encoding="utf-8") as results:
            lines = [json.loads(line) for line in results]
        self.assertEqual(len({line["id"] for line in lines}), 200)
        self.assertEqual({line["stderr"] for line in lines}, {"x" * 50 + "\n"})

    def shell(self, text, **options):
        return self.call(["bash", "-c", text, "bash", DISPATCHER], **options).code

    def test_closed(self):
        self.assert_complete(self.shell('"$1" run jobs.jsonl 2>&-'))

    def test_all_three_closed(self):
        self.assert_complete(self.shell('"$1" run jobs.jsonl <&- >&- 2>&-'))
        # None of ours may have become a job's, nor a file taken what was meant for people.
        self.assertEqual(sorted(os.listdir(self.folder)), ["jobs.jsonl", "jobs.results.jsonl",
                                                           "jobs.results.jsonl.state"])

    def test_closed_stdout_with_results_on_it_is_an_error_and_no_file_is_hurt(self):
        code = self.shell('"$1" run jobs.jsonl -o - >&-')
        self.assertIn(code, (1, 2, 74))
        self.assertEqual(len((self.folder / "jobs.jsonl").read_text().splitlines()), 200)

    def test_dev_full(self):
        self.assert_complete(self.shell('"$1" run jobs.jsonl 2>/dev/full'))

    def test_reader_gone(self):
        self.assert_complete(self.shell('"$1" run jobs.jsonl 2> >(exit 0); exit $?'))

    def test_full_pipe_that_nobody_reads(self):
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(write, True)
        try:
            start = time.monotonic()
            run = self.start_run("jobs.jsonl", "--log-level", "trace", stderr=write)
            self.assert_complete(run.process.wait(LIMIT))
            print(f"full pipe as stderr: {time.monotonic() - start:.2f} s")
        finally:
            os.close(read)
            os.close(write)

    def test_full_terminal_that_nobody_reads(self):
        terminal = Terminal()
        self.addCleanup(terminal.close)
        run = self.start_run("jobs.jsonl", "--log-level", "trace", stderr=terminal.slave,
                             env=clean_environment(TERM="xterm"))
        self.assert_complete(run.process.wait(LIMIT))

    def test_usage_errors_with_a_closed_stderr(self):
        self.assertEqual(self.shell('"$1" run --zzz 2>&-'), 2)
        self.assertEqual(self.shell('"$1" run nowhere.jsonl 2>/dev/full'), 65)


class OnATerminal(CliTest):
    def on_terminal(self, *flags, columns=80, **variables):
        terminal = Terminal(columns)
        self.addCleanup(terminal.close)
        variables.setdefault("TERM", "xterm-256color")
        run = self.start_run("jobs.jsonl", *flags, stderr=terminal.slave, env=clean_environment(**variables))
        terminal.close_slave()
        return run, terminal

    def shown(self, *flags, code=0, **options):
        run, terminal = self.on_terminal(*flags, **options)
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), code, shown)
        return shown

    def test_one_live_line(self):
        self.write("jobs.jsonl", jsonl(*({"cmd": ["sleep", "0.3"], "id": str(n)} for n in range(4))))
        shown = self.shown("--local", "2")
        live = live_lines(shown)
        self.assertGreater(len(live), 3)
        running = next(part for part in live if "running 2" in part)
        for word in ("/4", "ok ", "failed 0", "1 worker, 2 slots", "/s", "ETA"):
            self.assertIn(word, running)
        # At the end the line is gone and the totals stand alone.
        last = shown[shown.rindex("\r" + ESCAPE + "[K"):]
        self.assertIn("4 ok of 4 jobs", last)
        self.assertTrue(shown.endswith("\r\n"))

    def test_never_wider_than_the_terminal(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["sleep", "0.5"]}))
        for columns in (20, 40, 61):
            shown = self.shown("--overwrite", columns=columns)
            live = live_lines(shown)
            self.assertTrue(any(live))
            # A line that is as wide as the terminal would already wrap on some.
            self.assertLess(max(len(line) for line in live), columns)

    def test_a_window_that_is_made_narrower_in_mid_run(self):
        self.write("jobs.jsonl", jsonl({"cmd": "while [ ! -e go ]; do sleep 0.02; done"}))
        run, terminal = self.on_terminal("--local", "1")
        terminal.read_until(lambda shown: shown.count(b"running 1") > 2)
        terminal.resize(30)
        before = len(terminal.shown)
        redrawn = ("\r" + ESCAPE + "[K").encode()
        terminal.read_until(lambda shown: shown[before:].count(redrawn) > 5)
        (self.folder / "go").touch()
        shown = terminal.read_until(None)
        self.assertEqual(run.process.wait(LIMIT), 0, shown)
        # The first two may have been on their way when the size changed.
        live = live_lines(shown[before:].decode())[3:6]
        self.assertEqual(len(live), 3)
        self.assertLess(max(map(len, live)), 30, live)

    def test_colour_unless_no_color(self):
        self.write("jobs.jsonl", jsonl({"cmd": "exit 3"}))
        self.assertIn(ESCAPE + "[31m", self.shown("--overwrite", code=1))
        self.assertNotIn(ESCAPE + "[3", self.shown("--overwrite", code=1, NO_COLOR="1"))
        self.assertIn(ESCAPE + "[31m", self.shown("--overwrite", code=1, NO_COLOR=""))

    def test_no_escapes_on_a_dumb_terminal_or_when_not_wanted(self):
        self.write("jobs.jsonl", jsonl({"cmd": "sleep 0.3; exit 3"}))
        self.assertNotIn(ESCAPE, self.shown("--overwrite", code=1, TERM="dumb"))
        for progress in ("plain", "none"):
            self.assertNotIn(ESCAPE + "[K", self.shown("--overwrite", "--progress", progress, code=1))

    def test_output_of_jobs_never_reaches_it_raw(self):
        evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"
        self.write("jobs.jsonl", jsonl({"cmd": ["sh", "-c", f"printf '%s\\n' '{evil}' >&2; exit 1"], "id": evil}))
        shown = self.shown("--overwrite", code=1)
        self.assertNotIn("\x1b]0", shown)
        self.assertNotIn("\x1b[2J", shown)
        self.assertNotIn("\x9b", shown)
        self.assertIn("\\x1b", shown)

    def test_ctrl_c_once_finishes_what_runs_and_says_so(self):
        self.write("jobs.jsonl", jsonl({"cmd": "touch began; sleep 1", "id": "a"}, {"cmd": "touch never", "id": "b"}))
        run, terminal = self.on_terminal("--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        run.process.send_signal(signal.SIGINT)
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), 130, shown)
        self.assertIn("Ctrl-C: finishing 1 running job", shown)
        self.assertFalse((self.folder / "never").exists())
        command = re.search(r"to continue: (.*)\r", shown)[1]
        self.assertEqual(self.call(["sh", "-c", command]).code, 0)
        self.assertTrue((self.folder / "never").exists())

    def test_nohup_lets_a_hangup_pass(self):
        self.write("jobs.jsonl", jsonl({"cmd": "touch began; sleep 1"}, {"cmd": "echo second"}))
        run = self.start("nohup", DISPATCHER, "run", "jobs.jsonl", "--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        run.process.send_signal(signal.SIGHUP)
        self.assertEqual(run.process.wait(LIMIT), 0, run.err)

    def test_without_nohup_a_hangup_is_143(self):
        self.write("jobs.jsonl", jsonl({"cmd": "touch began; sleep 0.5"}, {"cmd": "touch never"}))
        run = self.start_run("jobs.jsonl", "--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        run.process.send_signal(signal.SIGHUP)
        self.assertEqual(run.process.wait(LIMIT), 143, run.err)
        self.assertFalse((self.folder / "never").exists())


class AWorker(CliTest):
    """A worker speaks plainly on a terminal, and logs anywhere else."""

    def shown(self, *flags, on_terminal=True):
        self.write("jobs.jsonl", jsonl({"cmd": ["true"]}, {"cmd": "exit 3"}, {"cmd": ["true"]}))
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start_run("jobs.jsonl", "--overwrite", "--listen", address)
        run.wait_for(address)
        arguments = (WORKER, address, "--name", "node7", "--slots", "16", "--allow-root", *flags)
        if on_terminal:
            terminal = Terminal(200)
            self.addCleanup(terminal.close)
            worker = self.start(*arguments, stderr=terminal.slave, env=clean_environment(TERM="xterm"))
            terminal.close_slave()
            text = terminal.read_until(None).decode().replace("\r\n", "\n")
        else:
            worker = self.start(*arguments)
        self.assertEqual(worker.process.wait(LIMIT), 0)
        self.assertEqual(run.finish().code, 1)
        return address, text if on_terminal else worker.err

    def test_on_a_terminal(self):
        address, text = self.shown()
        self.assertRegex(text, f"^joined {address} as node7, 16 slots\nthe run is over: leaving\nran 3 jobs, 1 not ok, in [0-9.]+m?s\n$")

    def test_its_log_stays_anywhere_else(self):
        for flags, on_terminal in (((), False), (("--log-level", "info"), True)):
            with self.subTest(flags=flags):
                text = self.shown(*flags, on_terminal=on_terminal)[1]
                stamp = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
                self.assertRegex(text, rf'(?m)^{stamp} info joined detail="as node7"$')
                self.assertRegex(text, rf"(?m)^{stamp} info ran jobs=3 not_ok=1 time=[^ ]+$")
                self.assertEqual(len(re.findall(f"(?m)^{stamp} ", text)), len(text.splitlines()), text)

    def test_a_warning_is_one(self):
        terminal = Terminal(200)
        self.addCleanup(terminal.close)
        worker = self.start(WORKER, f"tcp://127.0.0.1:{free_port()}", "--orphan-grace", "1500ms", "--allow-root", stderr=terminal.slave,
                            env=clean_environment(TERM="xterm"))
        terminal.close_slave()
        lines = terminal.read_until(None).decode().splitlines()
        self.assertEqual(worker.process.wait(LIMIT), 69)
        self.assertRegex(lines[0], "^warning: .*refused")
        self.assertRegex(lines[-1], "^ran 0 jobs in ")

    @unittest.skipUnless(os.geteuid() == 0, "only root runs as root")
    def test_root_is_warned_of(self):
        lines = self.shown("--allow-root=false")[1].splitlines()
        self.assertEqual(lines[0], "warning: jobs run as root here: start the worker as a plain user; --allow-root silences this")
        self.assertRegex(lines[1], "^joined ")


if __name__ == "__main__":
    unittest.main()
