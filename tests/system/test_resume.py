# SPDX-License-Identifier: MIT
# ctest: serial
# ctest: timeout 300
"""The same command again goes on, after a kill -9 at any time, and runs what is new, changed or damaged."""

import contextlib
import fcntl
import os
import random
import signal
import socket
import struct
import time
import unittest
import zlib
from pathlib import Path

from workpool_testing import SLACK, System, children_of, figure, is_alive, name_of, parts_of, wait_until, write_jobs

F_OFD_SETLK = 37
FAST = ["--worker-timeout", "2s"]


class KilledDispatcher(System):
    def test_killed_at_random_times_with_a_local_worker(self):
        names = [f"r{i}" for i in range(150)]
        self.jobs(*[self.witness_job(name, 0.02) for name in names])
        kills = 0
        while True:
            dispatcher = self.dispatcher("--local", "2", listen=False)
            before = self.result_count()
            # At once, after a few jobs, or some time after that.
            enough = before + random.choice([0, 0, 1, 5, 12])
            wait_until("progress", lambda: dispatcher.poll() is not None or self.result_count() >= enough)
            time.sleep(random.uniform(0, 0.15))
            if kills >= 25 or dispatcher.poll() is not None:
                break
            dispatcher.send(signal.SIGKILL)
            dispatcher.wait()
            kills += 1
        self.assert_ends(dispatcher, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        again = sum(self.witnessed("start").values()) - len(names)
        figure(f"{kills} kills of the dispatcher: {again} jobs of a local worker with 2 slots started again")
        self.assertGreaterEqual(kills, 8)
        # Two run at a time; two more each have ended and not been recorded.
        self.assertLessEqual(again, kills * 4)

    def test_workers_that_outlive_it_hand_over(self):
        names = [f"o{i}" for i in range(60)]
        self.jobs(*[self.witness_job(name, 0.15) for name in names])
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--slots", "3", "--name", "survivor")
        for kill in range(4):
            ended = sum(self.witnessed("end").values())
            self.wait_witness("end", ended + 5)
            dispatcher.send(signal.SIGKILL)
            dispatcher.wait()
            if kill % 2:                     # what runs ends while nobody is there
                wait_until("idleness", lambda: self.witnessed("start") == self.witnessed("end"))
            dispatcher = self.dispatcher(*FAST)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        twice = [name for name, count in self.witnessed("start").items() if count != 1]
        figure(f"4 kills of the dispatcher under a worker: {len(twice)} of 60 jobs ran twice")
        self.assertEqual(twice, [])
        self.assertEqual(len({result["run"] for result in self.results()}), 1)

    def test_a_name_means_one_worker_for_the_whole_run(self):
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.1; done", "id": "a"})
        dispatcher = self.dispatcher(*FAST)
        first = self.worker("--slots", "1", "--name", "n")
        self.wait_workers("n")
        second = self.worker("--slots", "1", "--name", "n")
        self.wait_workers("n", "n-2")
        dispatcher.send(signal.SIGKILL)
        dispatcher.wait()
        first.send(signal.SIGKILL)
        first.wait()
        dispatcher = self.dispatcher(*FAST)
        third = self.worker("--slots", "1", "--name", "n")
        self.wait_workers("n-2", "n-3")
        (self.folder / "go").touch()
        for program in (dispatcher, second, third):
            self.assert_ends(program, 0)
        self.assertIn(self.results()[0]["worker"], ("n-2", "n-3"))

    def test_everything_killed(self):
        names = [f"e{i}" for i in range(2000)]  # more than are done before the blow comes
        self.jobs(*[{"cmd": ["true"], "id": name} for name in names])
        rounds = 0
        while True:
            dispatcher = self.dispatcher(*FAST)
            workers = [self.worker("--slots", "2", "--name", f"w{i}") for i in range(2)]
            before = self.result_count()
            wait_until("progress", lambda: dispatcher.poll() is not None or self.result_count() > before + 10)
            if dispatcher.poll() is not None or rounds == 6:
                break
            for program in [dispatcher, *workers]:
                program.send(signal.SIGKILL)
            for program in [dispatcher, *workers]:
                program.wait()
            rounds += 1
        self.assert_ends(dispatcher, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        figure(f"{rounds} times everything killed, each of {len(names)} jobs recorded once")
        self.assertGreater(rounds, 1)


class TornTail(System):
    def test_cut_at_any_byte(self):
        self.jobs(*[{"cmd": f"echo {name}", "id": name} for name in "abcdef"])
        self.assertEqual(self.run_to_end("--local", "1").poll(), 0)
        whole = self.results_path.read_bytes()
        lines = whole.splitlines(keepends=True)
        last = len(lines[-1])
        cuts = sorted({1, 5, 6, 7, last - 1, last - 2, last - 9, *random.sample(range(1, last), 10)})
        for cut in cuts:
            with self.subTest(bytes_left=cut):
                self.results_path.write_bytes(whole[:len(whole) - last + cut])
                run = self.run_to_end("--local", "1")
                self.assertEqual(run.poll(), 0, run.err())
                self.assertIn("6 ok of 6 jobs", run.err())
                if cut < last - 1:
                    self.assertRegex(run.err(), f"cut a torn last line of {cut} bytes? ")
                    self.assertIn("(5 done before)", run.err())
                self.assert_results({name: "ok" for name in "abcdef"})
                self.assert_verified()
                self.assertEqual(self.results_path.read_bytes()[:len(whole) - last], whole[:len(whole) - last])
        figure(f"torn at {len(cuts)} places of the last line")

    def test_a_damaged_line_stays_and_its_job_runs_again(self):
        self.jobs(*[{"cmd": f"echo {name}", "id": name} for name in "abc"])
        self.assertEqual(self.run_to_end("--local", "1").poll(), 0)
        lines = self.results_path.read_bytes().splitlines(keepends=True)
        damaged = lines[1].replace(b'"status":"ok"', b'"status":"OK"')
        self.results_path.write_bytes(lines[0] + damaged + lines[2])
        self.assert_verified(1)
        run = self.run_to_end("--local", "1")
        self.assertEqual(run.poll(), 0)
        self.assertIn(f"{self.results_path}: line 2 is damaged and does not count: its job runs again unless another line "
                      "has its result\n", run.err())
        after = self.results_path.read_bytes().splitlines(keepends=True)
        self.assertEqual(after[:3], [lines[0], damaged, lines[2]])
        self.assertEqual(len(after), 4)
        self.assert_verified()


    def test_results_that_an_editor_or_windows_has_touched_count(self):
        self.jobs(*[{"cmd": f"echo {name} >> {self.folder}/ran", "id": name} for name in "abc"])
        self.assertEqual(self.run_to_end("--local", "1").poll(), 0)
        whole = self.results_path.read_bytes()
        edits = {"CRLF": whole.replace(b"\n", b"\r\n"), "mark": b"\xef\xbb\xbf" + whole,
                 "blank lines": b"\n" + whole.replace(b"\n", b"\n\r\n \n")}
        for name, edited in edits.items():
            with self.subTest(name):
                self.results_path.write_bytes(edited)
                again = self.run_to_end("--local", "1")
                self.assertEqual(again.poll(), 0, again.err())
                self.assertNotIn("damaged", again.err())
                self.assertEqual(self.results_path.read_bytes(), edited)
                self.assert_verified()
        self.assertEqual(sorted((self.folder / "ran").read_text().split()), ["a", "b", "c"])

    def test_a_line_of_a_later_version_counts(self):
        self.jobs(*[{"cmd": f"echo {name} >> {self.folder}/ran", "id": name} for name in "ab"])
        self.assertEqual(self.run_to_end("--local", "1").poll(), 0)
        lines = []
        for line in self.results_path.read_bytes().splitlines():
            body = line[:line.rindex(b',"crc"')] + b',"nice":[1,{"x":"}"}]'
            lines.append(body + b',"crc":"%08x"}\n' % zlib.crc32(body))
        self.results_path.write_bytes(b"".join(lines))
        self.assert_verified()
        self.assertEqual(self.run_to_end("--local", "1").poll(), 0)
        self.assertEqual(sorted((self.folder / "ran").read_text().split()), ["a", "b"])


class Edits(System):
    def run_again(self, *flags, code=0):
        run = self.run_to_end("--local", "2", *flags)
        self.assertEqual(run.poll(), code, run.err())
        return run

    def test_a_jobs_file_that_is_replaced_in_mid_run(self):
        go = f"while [ ! -e {self.folder}/go ]; do sleep 0.02; done"
        for what, code in (("other jobs", 65), ("the same jobs", 0), ("no file", 0), ("a broken file", 65)):
            with self.subTest(what):
                (self.folder / "go").unlink(missing_ok=True)
                self.jobs({"cmd": go, "id": "a"})
                dispatcher = self.dispatcher("--overwrite", "--local", "1", listen=False)
                wait_until("the job to be held", lambda: any("while" in Path(f"/proc/{pid}/cmdline").read_text()
                                                             for pid in self.marked(but=[dispatcher.pid])))
                fresh = self.folder / "fresh"
                write_jobs(fresh, [{"cmd": go + "; true", "id": "a"}] if what == "other jobs" else
                           ["{"] if what == "a broken file" else [{"cmd": go, "id": "a"}])
                if what == "no file":
                    self.jobs_path.unlink()
                else:
                    os.replace(fresh, self.jobs_path)
                (self.folder / "go").touch()
                self.assert_ends(dispatcher, code)
                self.assertEqual("replaced during the run" in dispatcher.err(), code == 65, dispatcher.err())

    def test_only_what_is_new_or_changed_runs(self):
        keep, change, remove = (self.witness_job(name) for name in ("keep", "change", "remove"))
        self.jobs(keep, change, remove)
        self.run_again()
        self.run_again()
        self.assertEqual(self.witnessed("start"), {"keep": 1, "change": 1, "remove": 1})
        changed = {**change, "env": {"A": "1"}}
        more = self.witness_job("more")
        self.jobs({**keep, "priority": 5, "timeout": 60, "retries": 2}, changed, more)
        run = self.run_again()
        self.assertIn("jobs.results.jsonl has 1 line of jobs that are not in", run.err())
        self.assertEqual(self.witnessed("start"), {"keep": 1, "change": 2, "remove": 1, "more": 1})
        self.assertEqual(len(self.results()), 5)
        listed = self.assert_verified()
        self.assertIn("remove", listed)
        # Back to what it was: its old line counts again only if it is the last of that spec; nothing else is asked.
        self.jobs(keep, change, more)
        self.run_again()
        self.assert_verified()

    def test_retry_failed(self):
        self.jobs({"cmd": f"test -e {self.folder}/fixed", "id": "fails"}, self.witness_job("fine"),
                  {"cmd": f"test -e {self.folder}/fixed || sleep 60", "id": "late", "timeout": "100ms"})
        self.run_again(code=1)
        self.run_again(code=1)               # a complete resume says so too
        self.assertEqual(len(self.results()), 3)
        (self.folder / "fixed").touch()
        self.run_again(code=1)
        self.run_again("--retry-failed")
        self.assertEqual(self.witnessed("start"), {"fine": 1})
        self.assertEqual(len(self.results()), 5)
        self.assert_verified()
        self.run_again("--retry-failed")
        self.assertEqual(len(self.results()), 5)

    def test_overwrite(self):
        self.jobs(self.witness_job("a"), self.witness_job("b"))
        self.run_again()
        before = self.results()
        inode = os.stat(self.results_path).st_ino
        self.run_again("--overwrite")
        self.assertEqual(self.witnessed("start"), {"a": 2, "b": 2})
        self.assertEqual(len(self.results()), 2)
        self.assertEqual(os.stat(self.results_path).st_ino, inode)
        self.assertNotEqual(self.results()[0]["run"], before[0]["run"])

    def test_overwrite_keeps_what_is_there_until_all_is_ready(self):
        """An address that cannot be had (71), and bad jobs (65), cost no results."""
        self.jobs({"cmd": "true", "id": "a"})
        self.run_again()
        before = self.results_path.read_bytes()
        with socket.create_server(("127.0.0.1", self.port)):
            self.run_again("--overwrite", "--listen", self.address, code=71)
        self.assertEqual(self.results_path.read_bytes(), before)
        self.jobs({"cmd": "true", "id": "a"}, "{")
        self.run_again("--overwrite", code=65)
        self.assertEqual(self.results_path.read_bytes(), before)

    def test_results_of_another_jobs_file_are_refused(self):
        self.jobs({"cmd": "true", "id": "mine"})
        self.run_again()
        before = self.results_path.read_bytes()
        self.jobs_path = self.folder / "other.jsonl"
        self.jobs({"cmd": "true", "id": "another"})
        run = self.run_again(code=73)
        self.assertIn("--overwrite", run.err())
        self.assertEqual(self.results_path.read_bytes(), before)
        # The tail is cut only when all checks have passed.
        self.results_path.write_bytes(before + b'{"id":"torn')
        self.run_again(code=73)
        self.assertEqual(self.results_path.read_bytes(), before + b'{"id":"torn')
        self.run_again("--overwrite")
        self.assertEqual([result["id"] for result in self.results()], ["another"])

    def test_a_moved_jobs_file_goes_on(self):
        self.jobs(self.witness_job("a"), self.witness_job("b"))
        self.run_again()
        moved = self.folder / "moved.jsonl"
        os.rename(self.jobs_path, moved)
        self.jobs_path = moved
        self.run_again()
        self.assertEqual(self.witnessed("start"), {"a": 1, "b": 1})

    def test_without_its_state_file(self):
        self.jobs(self.witness_job("a"), self.witness_job("b"))
        self.run_again()
        run_id = self.results()[0]["run"]
        os.unlink(str(self.results_path) + ".state")
        self.jobs(self.witness_job("a"), self.witness_job("b"), self.witness_job("c"))
        self.run_again()
        self.assertEqual(self.witnessed("start"), {"a": 1, "b": 1, "c": 1})
        self.assertEqual({result["run"] for result in self.results()}, {run_id})


class InUse(System):
    def test_results_are_locked(self):
        self.jobs(self.witness_job("a"))
        first = self.dispatcher()            # no local worker, which would hold a lock of its own
        self.wait_status("it to be up", lambda s: True)
        for flags in ([], ["--overwrite"]):
            second = self.run_to_end("--local", "1", *flags)
            self.assertEqual(second.poll(), 75, second.err())
            self.assertIn(f"{self.results_path} is in use by another workpool-dispatcher", second.err())
        self.assertIsNone(first.poll())
        self.assertEqual(self.witnessed("start"), {})

    def lock_of_the_local_worker(self):
        """Takes byte 1 of RESULTS as a local worker would hold it; None if one has it."""
        file = open(self.results_path, "r+b")
        self.addCleanup(file.close)
        try:
            fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0))
        except OSError:
            file.close()
            return None
        return file

    def test_waits_for_the_local_worker_of_the_run_before(self):
        self.jobs(self.witness_job("a"), self.witness_job("b"))
        self.assertEqual(self.run_to_end("--local", "1").poll(), 0)
        self.jobs(*[self.witness_job(name) for name in "abc"])
        held = self.lock_of_the_local_worker()
        second = self.dispatcher("--local", "1", listen=False)
        second.says("waiting for the local worker of the run before")
        self.assertEqual(sum(self.witnessed("start").values()), 2)
        held.close()
        self.assert_ends(second, 0)
        self.assert_results({name: "ok" for name in "abc"})

    def test_gives_up_on_a_local_worker_that_stays(self):
        self.results_path.touch()
        self.jobs(self.witness_job("a"))
        self.lock_of_the_local_worker()
        began = time.monotonic()
        second = self.run_to_end("--local", "1")
        took = time.monotonic() - began
        figure(f"gave up after {took:.1f} s; 5 s are promised")
        self.assertEqual(second.poll(), 75, second.err())
        self.assertGreater(took, 4)
        self.assertLess(took, 5 * SLACK)
        self.assertEqual(self.witnessed("start"), {})

    def test_a_local_worker_holds_its_lock_as_long_as_it_lives(self):
        self.jobs(self.witness_job("long", 600))
        first = self.dispatcher("--local", "1", listen=False)
        self.wait_witness("start", 1)
        self.assertIsNone(self.lock_of_the_local_worker())
        supervisor = next(pid for pid in children_of(first.pid) if name_of(pid) == "workpool-worker")
        parts = parts_of(supervisor)
        first.send(signal.SIGKILL)
        first.wait()
        wait_until("the lock to be free", self.lock_of_the_local_worker)
        self.assertEqual([pid for pid in parts if is_alive(pid)], [])


class OneBlow(System):
    """Everything of ours dies at once, as with `pkill -9 workpool`, and the same command starts again."""

    def run_struck(self, victims):
        self.jobs({"cmd": f"sleep 600 & echo $! >> {self.folder}/pids; wait; echo done", "id": "long"})
        pids = self.folder / "pids"

        def started():
            return [int(line) for line in pids.read_text().splitlines()] if pids.exists() else []
        first = self.dispatcher("--local", "1", listen=False)
        wait_until("the job", started)
        supervisor = children_of(first.pid)[0]
        struck = [first.pid, *[pid for pid in parts_of(supervisor) if victims(pid)]]
        for pid in struck:
            os.kill(pid, signal.SIGSTOP)  # so that none of them sees another's end, as when one call kills all
        blow = time.monotonic()
        # The last ones first: the kernel wakes what is stopped (SIGHUP, SIGCONT) when its parent's death orphans its group,
        # and then the guard would clean up before its turn comes.
        for pid in reversed(struck):
            with contextlib.suppress(ProcessLookupError):  # the death of one may have been the end of the next
                os.kill(pid, signal.SIGKILL)
        first.wait()
        job = started()[0]
        if len(struck) == 3:
            wait_until("the end of the job", lambda: not is_alive(job))
            figure(f"the job was gone {time.monotonic() - blow:.3f} s after kill -9 of all that is called workpool; 1 s is promised")
            self.assertLess(time.monotonic() - blow, 1 * SLACK)
        second = self.dispatcher("--local", "1", listen=False)
        wait_until(lambda: f"the second start; {self.all_said()}", lambda: len(started()) == 2)
        self.assertFalse(is_alive(job), "the job runs beside itself")
        return second

    def test_all_that_is_called_workpool(self):
        self.run_struck(lambda pid: "workpool" in name_of(pid))

    def test_the_guard_too(self):
        second = self.run_struck(lambda pid: True)
        # Serial, or the worker of another test might sweep up first.
        wait_until("the word of the sweep", lambda: "local worker: warning: killed what was left of jobs of a worker that was killed" in second.err())


if __name__ == "__main__":
    unittest.main(verbosity=2)
