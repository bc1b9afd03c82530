#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""Habits of shells, terminals and people that have lost others their input, output or run."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import (DISPATCHER, LIMIT, CliTest, Terminal, clean_environment, jsonl, parse_results,  # noqa: E402
                         wait_until)


class Shell(CliTest):
    def shell(self, text, **options):
        return self.call(["bash", "-c", text, "bash", DISPATCHER], **options)

    def test_a_loop_keeps_its_stdin(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["cat"]}))
        finished = self.shell('printf "1\\n2\\n3\\n" | while read n; do "$1" run jobs.jsonl -o $n.out || exit 9; done; ls *.out')
        self.assertEqual((finished.code, finished.out), (0, "1.out\n2.out\n3.out\n"), str(finished))

    def test_stdout_redirected_to_a_file_is_appended_to_by_the_shells_rules(self):
        self.write("jobs.jsonl", jsonl(*({"type": "noop", "id": str(n)} for n in range(50))))
        self.write("out", "before\n")
        self.assertEqual(self.shell('"$1" run jobs.jsonl -o - >> out && "$1" run jobs.jsonl -o - >> out').code, 0)
        text = (self.folder / "out").read_text()
        self.assertTrue(text.startswith("before\n"))
        self.assertEqual(len(parse_results(text[len("before\n"):])), 100)  # no resume: nothing is remembered
        self.assertEqual(self.shell('{ echo first; "$1" run jobs.jsonl -o -; echo last; } > out').code, 0)
        lines = (self.folder / "out").read_text().splitlines()
        self.assertEqual((lines[0], lines[-1], len(lines)), ("first", "last", 52))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["jobs.jsonl", "out"])

    def test_both_streams_into_one_pipe(self):
        self.write("jobs.jsonl", jsonl(*({"cmd": ["false"], "id": str(n)} for n in range(50))))
        finished = self.shell('"$1" run jobs.jsonl -o - 2>&1 | cat')
        results = [json.loads(line) for line in finished.out.splitlines() if line.startswith('{"id"')]
        self.assertEqual(len(results), 50)  # no line is torn by another

    def test_head_takes_the_first_results_and_leaves(self):
        lines = jsonl(*({"cmd": "echo >> ran; sleep 0.02"} for _ in range(500)))
        finished = self.shell('"$1" run - -o - | head -n 3; exit ${PIPESTATUS[0]}', stdin=lines)
        self.assertEqual(finished.code, 74, str(finished))
        self.assertEqual(len(parse_results(finished.raw_out)), 3)
        self.assertLess((self.folder / "ran").stat().st_size, 500)

    def test_an_empty_environment(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["sh", "-c", "echo $0 ${HOME-none}"]}, {"cmd": "ls / | head -n 1"}))
        finished = self.call(["/usr/bin/env", "-i", DISPATCHER, "run", "jobs.jsonl"])
        self.assertEqual(finished.code, 0, str(finished))

    def test_other_locales(self):
        self.write("jobs.jsonl", jsonl({"cmd": "echo \u00e9 >&2; exit 1", "id": "\u4e2d"}))
        for locale in ("C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1", "tr_TR.UTF-8"):
            finished = self.dispatcher("run", "jobs.jsonl", "--overwrite", "--timeout", "1.5s",
                                       env=clean_environment(LC_ALL=locale, LANG=locale))
            self.assertEqual(finished.code, 1, str(finished))
            self.assertIn("\u4e2d", finished.err)
            result = parse_results((self.folder / "jobs.results.jsonl").read_bytes())[0]
            self.assertEqual(result["stderr"], "\u00e9\n")

    def test_a_folder_that_is_gone(self):
        path = self.write("jobs.jsonl", jsonl({"cmd": "echo fine"}, {"cmd": ["pwd"], "cwd": "/"}))
        (self.folder / "gone").mkdir()
        finished = self.shell(f'cd gone; rmdir ../gone; "$1" run {path}')
        self.assertEqual(finished.code, 0, str(finished))

    def test_a_folder_that_others_may_not_enter(self):
        path = self.write("jobs.jsonl", jsonl({"cmd": ["pwd"]}))
        (self.folder / "sub").mkdir()
        finished = self.shell(f'cd sub; chmod 0 .; "$1" run {path}')
        self.assertEqual(finished.code, 0, str(finished))

    def test_results_through_a_link_have_their_state_beside_the_file(self):
        self.write("jobs.jsonl", jsonl({"cmd": "echo >> ran"}))
        (self.folder / "far").mkdir()
        os.symlink("far/real.jsonl", self.folder / "link.jsonl")
        for _ in range(2):
            self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "link.jsonl").code, 0)
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "far/real.jsonl").code, 0)
        self.assertEqual(sorted(os.listdir(self.folder / "far")), ["real.jsonl", "real.jsonl.state"])
        self.assertEqual((self.folder / "ran").read_text(), "\n")
        self.assertTrue((self.folder / "link.jsonl").is_symlink())

    def test_a_jobs_file_replaced_in_mid_run_is_finished_as_it_was(self):
        jobs = [{"cmd": "touch began; while [ ! -e go ]; do sleep 0.02; done", "id": "0", "priority": 1}]
        jobs += [{"cmd": ["true"], "id": str(n)} for n in range(1, 3000)]
        self.write("jobs.jsonl", jsonl(*jobs))
        run = self.start_run("jobs.jsonl", "--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        self.write("new", jsonl({"cmd": ["false"], "id": "new"}))
        os.rename(self.folder / "new", self.folder / "jobs.jsonl")
        (self.folder / "go").touch()
        finished = run.finish()
        self.assertEqual(finished.code, 65, str(finished))  # what is in the file now has not run
        self.assertIn("replaced during the run", finished.err)
        results = parse_results((self.folder / "jobs.results.jsonl").read_bytes())
        self.assertEqual({result["id"] for result in results}, {str(n) for n in range(3000)})

    def test_results_removed_in_mid_run_are_an_error_or_kept(self):
        self.write("jobs.jsonl", jsonl({"cmd": "touch began; while [ ! -e go ]; do sleep 0.02; done"}, {"type": "noop"}))
        run = self.start_run("jobs.jsonl", "--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        os.unlink(self.folder / "jobs.results.jsonl")
        (self.folder / "go").touch()
        finished = run.finish()
        self.assert_no_trace(finished)
        self.assertIn(finished.code, (0, 74))

    def test_very_many_slots(self):
        jobs = [{"cmd": ["sleep", "0.3"], "id": str(n)} for n in range(300)]
        finished = self.run_jobs(*jobs, flags=("--local", "300"), code=0)
        self.assertEqual(len(finished.results), 300)

    def test_a_limit_on_the_size_of_files_is_74_and_resumable(self):
        jobs = jsonl(*({"cmd": "head -c 3000 /dev/zero | tr '\\0' x", "id": str(n)} for n in range(40)))
        self.write("jobs.jsonl", jobs)
        finished = self.shell('ulimit -f 64; "$1" run jobs.jsonl')
        self.assertEqual(finished.code, 74, str(finished))
        self.assertIn("File too large", finished.err)
        finished = self.dispatcher("run", "jobs.jsonl")
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual(self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl").code, 0)

    @unittest.skipUnless(subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], check=False,
                                        capture_output=True).returncode == 0, "no mounts of one's own here")
    def test_a_full_disk_pauses_and_goes_on_when_there_is_room(self):
        (self.folder / "small").mkdir()
        self.write("jobs.jsonl", jsonl(*({"cmd": "head -c 3000 /dev/zero | tr '\\0' x; echo >> ran", "id": str(n)}
                                         for n in range(400))))
        script = ('mount -t tmpfs -o size=1m none small && head -c 700000 /dev/zero > small/ballast && '
                  '{ "$1" run jobs.jsonl -o small/r.jsonl; echo $? > code; cp small/r.jsonl r.jsonl; } & '
                  'while [ ! -e free ]; do sleep 0.02; done; rm small/ballast; touch freed; '
                  'while [ ! -e more ]; do sleep 0.02; done; mount -o remount,size=16m small; wait')
        run = self.start("unshare", "-rm", "bash", "-c", script, "bash", DISPATCHER)
        run.wait_for("no space left")
        self.assertFalse((self.folder / "code").exists())
        ran = (self.folder / "ran").stat().st_size
        self.assertLess(ran, 400)
        (self.folder / "free").touch()
        wait_until("more jobs", lambda: (self.folder / "ran").stat().st_size > ran + 5)
        (self.folder / "more").touch()
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual((self.folder / "code").read_text().strip(), "0", run.err)
        self.assertIn("there is room", run.err)
        self.assertEqual(len({r["id"] for r in parse_results((self.folder / "r.jsonl").read_bytes())}), 400)


def own_terminal(slave):
    """For the child: a session of its own whose terminal this is, as in a window."""
    def prepare():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return prepare


class AtATerminal(CliTest):
    def start_in_terminal(self, *arguments):
        terminal = Terminal()
        self.addCleanup(terminal.close)
        run = self.start(*arguments, stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave,
                         env=clean_environment(TERM="xterm"), preexec_fn=own_terminal(terminal.slave))
        terminal.close_slave()
        return run, terminal

    def test_ctrl_c_reaches_no_job_and_twice_cancels_them(self):
        self.write("jobs.jsonl", jsonl({"cmd": "trap 'touch hit' INT; touch began; sleep 1.5; touch ended"},
                                       {"cmd": "touch began2; sleep 60"}))
        run, terminal = self.start_in_terminal(DISPATCHER, "run", "jobs.jsonl", "--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        os.write(terminal.master, b"\x03")
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), 130, shown)
        self.assertTrue((self.folder / "ended").exists())
        self.assertFalse((self.folder / "hit").exists())
        self.assertFalse((self.folder / "began2").exists())
        run, terminal = self.start_in_terminal(DISPATCHER, "run", "jobs.jsonl", "--local", "1")
        wait_until("the second job", (self.folder / "began2").exists)
        os.write(terminal.master, b"\x03")
        terminal.read_until(lambda shown: b"Ctrl-C again" in shown)
        os.write(terminal.master, b"\x03")
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), 130, shown)
        self.assertEqual(len(parse_results((self.folder / "jobs.results.jsonl").read_bytes())), 1)

    def test_jobs_from_a_terminal_end_with_ctrl_d(self):
        run, terminal = self.start_in_terminal(DISPATCHER, "run", "-", "--format", "lines", "-o", "r.jsonl")
        os.write(terminal.master, b"echo typed\n")
        wait_until("its result", lambda: (self.folder / "r.jsonl").exists() and
                   b"typed" in (self.folder / "r.jsonl").read_bytes())
        os.write(terminal.master, b"\x04")
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), 0, shown)

    def test_in_the_background_of_a_terminal_it_is_not_stopped(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["cat"]}, {"cmd": "sleep 0.5"}))
        script = 'set -m; "$1" run jobs.jsonl & wait %1; echo code $?'
        run, terminal = self.start_in_terminal("bash", "-c", script, "bash", DISPATCHER)
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), 0, shown)
        self.assertIn("code 0", shown)

    def test_a_window_that_is_closed_is_a_hangup(self):
        self.write("jobs.jsonl", jsonl({"cmd": "touch began; sleep 0.5; touch ended"}, {"cmd": "touch never"}))
        run, terminal = self.start_in_terminal(DISPATCHER, "run", "jobs.jsonl", "--local", "1")
        wait_until("the first job", (self.folder / "began").exists)
        terminal.close()
        self.assertEqual(run.process.wait(LIMIT), 143)
        self.assertTrue((self.folder / "ended").exists())
        self.assertFalse((self.folder / "never").exists())
        self.assertEqual(self.dispatcher("run", "jobs.jsonl").code, 0)

    def test_ctrl_z_and_fg(self):
        jobs = [{"cmd": "touch began; sleep 0.05", "id": str(n)} for n in range(60)]
        self.write("jobs.jsonl", jsonl(*jobs))
        run = self.start_run("jobs.jsonl", "--local", "1", "--worker-timeout", "2s")
        wait_until("the first job", (self.folder / "began").exists)
        # What Ctrl-Z comes to; TSTP itself is ignored if the whole test has no terminal behind it.
        run.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{run.process.pid}/stat")
        wait_until("the stop", lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
        run.process.send_signal(signal.SIGCONT)
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual(len(parse_results((self.folder / "jobs.results.jsonl").read_bytes())), 60)

    def test_a_job_cannot_take_the_terminal(self):
        self.write("jobs.jsonl", jsonl({"cmd": "(echo raw > /dev/tty) 2>/dev/null || echo none"}))
        run, terminal = self.start_in_terminal(DISPATCHER, "run", "jobs.jsonl")
        shown = terminal.read_until(None).decode()
        self.assertEqual(run.process.wait(LIMIT), 0, shown)
        self.assertNotIn("raw", shown)
        self.assertEqual(parse_results((self.folder / "jobs.results.jsonl").read_bytes())[0]["stdout"], "none\n")


if __name__ == "__main__":
    unittest.main()
