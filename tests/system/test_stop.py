# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Ctrl-C, SIGTERM and SIGHUP to the dispatcher, and its end without a word."""

import fcntl
import os
import signal
import struct
import subprocess
import termios
import time
import unittest

from workpool_testing import DISPATCHER, SLACK, System, children_of, figure, is_alive, parts_of, wait_until

FAST = ["--worker-timeout", "2s"]


class Signals(System):
    def start_long(self, *flags, jobs=12, stubborn=False, **popen):
        """Jobs that run until the file `go` is there, two at a time, the first two of them running."""
        self.go = self.folder / "go"
        hold = f"while [ ! -e {self.go} ]; do sleep 0.02; done; "
        if stubborn:
            hold = "trap '' TERM; " + hold
        self.jobs(*[{"cmd": f"echo start {i} $$ >> {self.witness_path}; {hold} echo end {i} >> {self.witness_path}", "id": f"l{i}"}
                    for i in range(jobs)])
        dispatcher = self.dispatcher(*FAST, *flags, **popen)
        self.workers = [self.worker("--slots", "1", "--name", f"w{i}") for i in range(2)]
        self.wait_witness("start", 2)
        return dispatcher

    def resume(self, jobs=12):
        """The same command finishes the run."""
        self.go.touch()
        again = self.dispatcher(*FAST)
        self.worker("--slots", "2")
        self.assert_ends(again, 0)
        self.assert_results({f"l{i}": "ok" for i in range(jobs)})
        self.assert_verified()

    def test_once_finishes_what_runs(self):
        dispatcher = self.start_long()
        dispatcher.send(signal.SIGINT)
        dispatcher.says("finishing 2 running jobs")
        self.wait_status("the drain", lambda s: s["phase"] == "draining" and s["jobs"]["held"] == 2)
        self.assertIsNone(dispatcher.poll())
        self.go.touch()
        self.assert_ends(dispatcher, 130)
        for worker in self.workers:
            self.assert_ends(worker, 0)
        self.assertEqual(len(self.by_id()), 2)
        self.assertEqual(sum(self.witnessed("start").values()), 2)
        self.resume()
        self.assertEqual(sum(self.witnessed("start").values()), 12)

    def test_twice_cancels(self):
        dispatcher = self.start_long()
        pids = [int(line.split()[2]) for line in self.witness_path.read_text().splitlines()]
        dispatcher.send(signal.SIGINT)
        dispatcher.says("finishing 2 running jobs")
        asked = time.monotonic()
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)
        took = time.monotonic() - asked
        figure(f"cancelled 2 jobs and ended {took:.2f} s after the second Ctrl-C")
        self.assertLess(took, 2 * SLACK)
        self.assertEqual([pid for pid in pids if is_alive(pid)], [])
        for worker in self.workers:
            self.assert_ends(worker, 0)
        self.assertEqual(self.result_count(), 0)
        self.resume()

    def test_twice_with_jobs_that_ignore_term(self):
        self.jobs({"cmd": f"trap '' TERM; echo $$ > {self.folder}/pid; while :; do sleep 1; done", "id": "stubborn"})
        dispatcher = self.dispatcher("--local", "1", listen=False)
        pid = int(wait_until("the job", lambda: (self.folder / "pid").exists() and (self.folder / "pid").read_text()))
        dispatcher.send(signal.SIGINT)
        dispatcher.send(signal.SIGTERM)
        asked = time.monotonic()
        self.assert_ends(dispatcher, 130)
        took = time.monotonic() - asked
        figure(f"a job that ignores TERM was gone {took:.1f} s after the second signal; KILL comes after 5 s")
        self.assertGreater(took, 4)
        self.assertLess(took, 7 * SLACK)
        self.assertFalse(is_alive(pid))
        self.assertEqual(self.result_count(), 0)

    def test_three_times_leaves_now(self):
        dispatcher = self.start_long(stubborn=True)
        dispatcher.send(signal.SIGINT)
        dispatcher.says("finishing 2 running jobs")
        dispatcher.send(signal.SIGINT)
        dispatcher.says("cancelling 2 jobs")
        asked = time.monotonic()
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)
        figure(f"left {time.monotonic() - asked:.2f} s after the third Ctrl-C")
        self.assertLess(time.monotonic() - asked, 1 * SLACK)   # a KILL of the jobs would take 5 s
        self.resume()

    def test_three_times_leaves_now_though_nobody_reads_its_results(self):
        self.jobs(*({"type": "echo", "args": "x" * 100_000, "id": str(n)} for n in range(200)))
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        dispatcher = self.start([DISPATCHER, "run", self.jobs_path, "-o", "-"], stdout=writing)
        os.close(writing)
        held = lambda: struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, bytes(4)))[0]  # noqa: E731
        wait_until("a full pipe", lambda: held() >= 65_536)
        for _ in range(3):
            asked = time.monotonic()
            dispatcher.send(signal.SIGINT)
            time.sleep(0.1)
        self.assert_ends(dispatcher, 130)
        took = time.monotonic() - asked
        figure(f"left {took:.2f} s after the third Ctrl-C, its output blocked")
        self.assertLess(took, 2)  # promised within half a second

    def test_three_at_once(self):
        dispatcher = self.start_long()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            dispatcher.send(each)
        self.assertIn(dispatcher.wait(), (130, 143))
        self.resume()

    def test_term_cancels_after_its_grace(self):
        dispatcher = self.start_long("--grace", "1s")
        asked = time.monotonic()
        dispatcher.send(signal.SIGTERM)
        self.assert_ends(dispatcher, 143)
        took = time.monotonic() - asked
        figure(f"SIGTERM with --grace 1s ended the run in {took:.1f} s")
        self.assertGreater(took, 0.9)
        self.assertLess(took, 3 * SLACK)
        self.assertEqual(self.result_count(), 0)
        self.resume()

    def test_hangup_is_term(self):
        dispatcher = self.start_long("--grace", "1s")
        dispatcher.send(signal.SIGHUP)
        self.assert_ends(dispatcher, 143)
        self.resume()

    def test_nohup(self):
        dispatcher = self.start_long(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        worker = self.worker("--name", "nohup", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_workers("nohup", "w0", "w1")
        dispatcher.send(signal.SIGHUP)
        worker.send(signal.SIGHUP)
        self.go.touch()
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assertEqual(len(self.by_id()), 12)

    def test_all_recorded_all_the_same(self):
        dispatcher = self.start_long(jobs=2)
        dispatcher.send(signal.SIGINT)
        dispatcher.says("finishing 2 running jobs")
        self.go.touch()
        self.assert_ends(dispatcher, 0)
        self.assertEqual(len(self.by_id()), 2)

    def test_with_no_worker_at_all(self):
        self.jobs(self.witness_job("a"))
        dispatcher = self.dispatcher()
        self.wait_status("it to be up", lambda s: True)
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)

    def test_a_whole_foreground_group(self):
        # A terminal's Ctrl-C goes to the group: the local worker has one of its own and finishes its job.
        self.jobs(self.witness_job("a", 1), self.witness_job("b", 1))
        dispatcher = self.dispatcher("--local", "1", listen=False)
        self.wait_witness("start", 1)
        os.killpg(dispatcher.pid, signal.SIGINT)
        self.assert_ends(dispatcher, 130)
        self.assertEqual(list(self.by_id()), ["a"])
        self.assertEqual(self.witnessed("end"), {"a": 1})
        self.assertEqual(self.marked(), [])


class WorkerSignals(System):
    def one_long_job(self, **popen):
        self.jobs({"cmd": f"echo $$ > {self.folder}/pid; while [ ! -e {self.folder}/go ]; do sleep 0.02; done", "id": "long"})
        self.running = self.dispatcher(*FAST)
        worker = self.worker("--slots", "1", "--name", "w", **popen)
        wait_until("the job", lambda: (self.folder / "pid").exists())
        return worker

    def drains(self, number):
        worker = self.one_long_job()
        worker.send(number)
        self.wait_status("the drain", lambda s: s["workers"] and not s["workers"][0]["accepting"])
        self.assertIsNone(worker.poll())
        (self.folder / "go").touch()
        self.assert_ends(worker, 0)
        self.assert_ends(self.running, 0)
        self.assert_results({"long": "ok"})

    def test_interrupt(self):
        self.drains(signal.SIGINT)

    def test_term(self):
        self.drains(signal.SIGTERM)

    def test_hangup(self):
        self.drains(signal.SIGHUP)

    def test_a_service_manager_signals_the_whole_unit(self):
        # TERM to supervisor, engine and job alike: the job is returned, not reported, and runs elsewhere.
        worker = self.one_long_job()
        pid = int((self.folder / "pid").read_text())
        for each in [pid, *reversed(parts_of(worker.pid))]:
            os.kill(each, signal.SIGTERM)
        self.assert_ends(worker, 0)
        self.assertEqual(self.result_count(), 0)
        (self.folder / "go").touch()
        self.worker("--slots", "1")
        self.assert_ends(self.running, 0)
        self.assert_results({"long": "ok"})

    def test_before_it_has_a_dispatcher(self):
        worker = self.worker("--slots", "1")
        worker.engine()
        asked = time.monotonic()
        worker.send(signal.SIGTERM)
        self.assert_ends(worker, 0)
        figure(f"a worker without a dispatcher left in {time.monotonic() - asked:.2f} s")
        self.assertLess(time.monotonic() - asked, 1 * SLACK)


class Gone(System):
    def test_local_worker_and_jobs_end_with_the_dispatcher(self):
        # setsid, double fork, a job that ignores TERM: a second after kill -9 nothing is left.
        hide = "trap '' TERM HUP INT; "
        self.jobs({"cmd": f"{hide}touch {self.folder}/1; sleep 600"},
                  {"cmd": f"{hide}setsid sh -c 'touch {self.folder}/2; sleep 601' & sleep 602"},
                  {"cmd": f"(setsid sh -c '(touch {self.folder}/3; sleep 603) & sleep 604' &); sleep 605"})
        for round_number in range(3):
            for i in "123":
                (self.folder / i).unlink(missing_ok=True)
            dispatcher = self.dispatcher("--local", "3", listen=False)
            wait_until("the jobs", lambda: all((self.folder / i).exists() for i in "123"))
            self.assertGreater(len(self.marked()), 6)
            killed = time.monotonic()
            dispatcher.send(signal.SIGKILL)
            dispatcher.wait()
            wait_until(lambda: f"the end of {self.marked()}", lambda: not self.marked())
            took = time.monotonic() - killed
            figure(f"everything was gone {took:.2f} s after kill -9; 1 s is promised")
            self.assertLess(took, 1 * SLACK)

    def test_local_worker_that_dies_is_replaced(self):
        self.jobs(*[self.witness_job(f"j{i}", 0.1) for i in range(20)])
        dispatcher = self.dispatcher("--local", "2", listen=False)
        self.wait_witness("end", 2)
        os.kill(next(iter(children_of(dispatcher.pid))), signal.SIGKILL)
        self.assert_ends(dispatcher, 0)
        self.assert_results({f"j{i}": "ok" for i in range(20)})
        self.assertEqual(self.marked(), [])

    def test_orphans_leave_after_their_grace(self):
        self.jobs({"cmd": f"echo $$ > {self.folder}/pid; sleep 600", "id": "long"})
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--slots", "1", "--orphan-grace", "2s")
        # The job is to be with the one whose grace ends: the others come when it runs there.
        pid = int(wait_until("the job", lambda: (self.folder / "pid").exists() and (self.folder / "pid").read_text()))
        waiting = self.worker("--slots", "1", "--orphan-grace", "inf", "--name", "patient")
        at_once = self.worker("--slots", "1", "--orphan-grace", "0", "--name", "hasty")
        self.wait_status("three workers", lambda s: len(s["workers"]) == 3)
        dispatcher.send(signal.SIGKILL)
        killed = time.monotonic()
        self.assert_ends(at_once, 69)
        figure(f"--orphan-grace 0 left after {time.monotonic() - killed:.2f} s")
        self.assert_ends(worker, 69)
        took = time.monotonic() - killed
        figure(f"--orphan-grace 2s left after {took:.2f} s")
        self.assertGreater(took, 1)
        self.assertLess(took, 3 * SLACK)
        wait_until("the end of the job", lambda: not is_alive(pid))
        self.assertIsNone(waiting.poll())

    def test_first_contact(self):
        self.assert_ends(self.worker("--orphan-grace", "0"), 69)
        self.assert_ends(self.worker("--orphan-grace", "500ms"), 69)


if __name__ == "__main__":
    unittest.main(verbosity=2)
