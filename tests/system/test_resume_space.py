# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""RESULTS that cannot be written: a full disk is waited for, everything else ends the run with 74, resumable."""

import os
import signal
import subprocess
import time
import unittest

from workpool_testing import DISPATCHER, System, figure, is_alive, parse_results, wait_until

FAST = ["--worker-timeout", "2s"]


@unittest.skipUnless(os.geteuid() == 0, "only root can mount a small file system")
class FullDisk(System):
    def small_disk(self, kib):
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", disk], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", disk], check=True))
        self.results_path = disk / "results.jsonl"
        return disk

    def test_pauses_and_goes_on(self):
        disk = self.small_disk(256)
        filler = disk / "filler"
        filler.write_bytes(b"x" * 180 * 1024)
        names = [f"d{i}" for i in range(400)]
        self.jobs(*[{"cmd": f"echo {name} >> {self.witness_path}; head -c 500 /dev/zero | tr '\\0' x", "id": name} for name in names])
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--slots", "2")
        dispatcher.says("no space left")
        before = self.result_count()
        # Nothing new is started: what was under way ends, then all is still.
        started = [0]

        def still():
            count = len(self.witness_path.read_text().splitlines())
            if count == started[0]:
                return True
            started[0] = count
            time.sleep(1)
            return False
        wait_until("stillness", still)
        self.assertIsNone(dispatcher.poll())
        self.assertLess(started[0], 400)
        figure(f"full after {before} results; {started[0]} of 400 jobs had been started")
        parse_results(self.results_path.read_bytes()[:self.results_path.read_bytes().rfind(b"\n") + 1])
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        dispatcher.says("room for results again")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        self.assertEqual(len(self.witness_path.read_text().splitlines()), 400)

    def test_killed_while_it_waits(self):
        disk = self.small_disk(256)
        filler = disk / "filler"
        filler.write_bytes(b"x" * 200 * 1024)
        names = [f"d{i}" for i in range(300)]
        self.jobs(*[{"cmd": "head -c 500 /dev/zero | tr '\\0' x", "id": name} for name in names])
        dispatcher = self.dispatcher("--local", "2", listen=False)
        dispatcher.says("no space left")
        dispatcher.send(signal.SIGKILL)
        dispatcher.wait()
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        self.assert_ends(self.dispatcher("--local", "2", listen=False), 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()

    def test_stopped_while_it_waits(self):
        disk = self.small_disk(256)
        (disk / "filler").write_bytes(b"x" * 200 * 1024)
        self.jobs(*[{"cmd": "head -c 500 /dev/zero | tr '\\0' x", "id": f"d{i}"} for i in range(300)])
        dispatcher = self.dispatcher("--local", "2", listen=False)
        dispatcher.says("no space left")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            dispatcher.send(number)
        self.assertIn(dispatcher.wait(), (130, 143))
        (disk / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        self.assert_ends(self.dispatcher("--local", "2", listen=False), 0)
        self.assert_verified()

    def test_no_room_at_the_start(self):
        disk = self.small_disk(64)
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 1024)
            except OSError:
                pass
        self.jobs(self.witness_job("a"))
        dispatcher = self.dispatcher("--local", "1", listen=False)
        dispatcher.says("space")
        self.assertEqual(self.witnessed("start"), {})
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)
        dispatcher = self.dispatcher("--local", "1", listen=False)
        dispatcher.says("space")
        (disk / "filler").unlink()
        self.assert_ends(dispatcher, 0)
        self.assert_results({"a": "ok"})


@unittest.skipUnless(os.geteuid() == 0, "only root can mount and freeze a file system")
class FrozenDisk(System):
    def frozen_disk(self):
        """A file system for RESULTS, and what freezes (True) and thaws it: a write to it does not return."""
        disk, image = self.folder / "disk", self.folder / "image"
        disk.mkdir()
        image.write_bytes(b"\0" * (16 << 20))
        made = [subprocess.run(command, capture_output=True, text=True) for command in
                (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, disk])]
        if any(step.returncode != 0 for step in made):
            self.skipTest("no loop device: " + "".join(step.stderr for step in made))
        self.addCleanup(lambda: subprocess.run(["umount", "-l", disk], check=True))
        self.results_path = disk / "results.jsonl"

        def freeze(on):
            subprocess.run(["fsfreeze", "-f" if on else "-u", disk], check=True)
        self.addCleanup(lambda: subprocess.run(["fsfreeze", "-u", disk], capture_output=True))
        return freeze

    def test_nobody_is_lost_and_status_answers(self):
        freeze = self.frozen_disk()
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.05; done", "id": "long"},
                  *[{"cmd": "true", "id": f"s{i}"} for i in range(20)])
        dispatcher = self.dispatcher(*FAST)
        old = self.worker("--slots", "1", "--name", "old")
        self.wait_status("the long job to run", lambda s: s["jobs"]["running"] >= 1)
        freeze(True)
        new = self.worker("--slots", "1", "--name", "new")  # its name is to be written first
        until, answers = time.monotonic() + 7, 0            # three times as long as silence is suffered
        while time.monotonic() < until:
            status = self.status()
            self.assertIsNotNone(status, "the dispatcher does not answer while the disk is frozen\n" + self.all_said())
            answers += 1
            time.sleep(0.2)
        self.assertIn("old", [worker["name"] for worker in status["workers"]])
        self.assertNotIn("is lost", dispatcher.err())
        self.assertNotIn("worker new joined", dispatcher.err())
        freeze(False)
        dispatcher.says("worker new joined")
        (self.folder / "go").touch()
        self.assert_ends(dispatcher, 0)
        for worker in (old, new):
            self.assert_ends(worker, 0)
        self.assertNotIn("is lost", dispatcher.err())
        self.assertEqual({name: result["attempt"] for name, result in self.by_id().items()},
                         {"long": 1, **{f"s{i}": 1 for i in range(20)}})
        self.assertIn(b'"name":"new"', self.results_path.with_suffix(".jsonl.state").read_bytes())
        figure(f"status answered {answers} times while the disk was frozen")


class WriteErrors(System):
    def long_and_short(self):
        self.jobs({"cmd": "true", "id": "short"}, {"cmd": f"echo $$ > {self.folder}/pid; sleep 600", "id": "long"},
                  *[self.witness_job(f"j{i}") for i in range(100)])

    def test_dev_full(self):
        self.long_and_short()
        self.results_path = "/dev/full"
        dispatcher = self.dispatcher("--local", "1", listen=False)
        self.assert_ends(dispatcher, 74)
        self.assertIn("/dev/full", dispatcher.err())
        self.assertIn("0 ok, 102 not done of 102 jobs", dispatcher.err())
        self.assertEqual(self.marked(), [])

    def test_a_reader_that_leaves(self):
        self.jobs(*[{"type": "echo", "args": "x" * 1000, "id": f"e{i}"} for i in range(2000)])
        reader, writer = os.pipe()
        dispatcher = self.start([DISPATCHER, "run", self.jobs_path, "-o", "-", "--listen", self.address, *FAST], stdout=writer)
        os.close(writer)
        worker = self.worker("--slots", "2")
        self.assertTrue(os.read(reader, 1000))
        os.close(reader)
        self.assert_ends(dispatcher, 74)
        self.assert_ends(worker, 0)              # its results are nobody's any more

    def test_cancels_what_runs(self):
        self.jobs({"cmd": f"echo $$ > {self.folder}/pid; sleep 600", "id": "long"},
                  {"cmd": f"while [ ! -s {self.folder}/pid ]; do sleep 0.02; done", "id": "short"})
        self.results_path = "/dev/full"
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--slots", "2")
        self.assert_ends(dispatcher, 74)
        self.assert_ends(worker, 0)
        self.assertFalse(is_alive(int((self.folder / "pid").read_text())))

    def test_a_slow_reader_holds_back_the_jobs(self):
        self.jobs(*[{"cmd": f"echo x >> {self.witness_path}; head -c 60000 /dev/zero | tr '\\0' x", "id": f"e{i}"} for i in range(600)])
        reader, writer = os.pipe()
        dispatcher = self.start([DISPATCHER, "run", self.jobs_path, "-o", "-", "--local", "2"], stdout=writer)
        os.close(writer)
        started = [-1]

        def still():
            count = len(self.witness_path.read_text().splitlines()) if self.witness_path.exists() else 0
            if count == started[0] and count:
                return True
            started[0] = count
            time.sleep(1)
            return False
        wait_until("stillness", still)
        figure(f"{started[0]} of 600 jobs of 60 kB started while nobody read")
        self.assertLess(started[0], 400)
        data = b""
        with os.fdopen(reader, "rb") as results:
            data = results.read()
        self.assert_ends(dispatcher, 0)
        self.assertEqual(len(parse_results(data)), 600)

    def test_a_file_that_goes_away(self):
        """Removed, moved, replaced, cut short: what is recorded is nowhere that a resume would find it."""
        changes = {"rm": "rm R", "mv": "mv R R.away", "replaced": "cp R C && mv C R", "edited": "sed -i s/x/y/ R",
                   "emptied": ": > R", "its folder": "rm -r ../its-folder"}
        for what, change in changes.items():
            with self.subTest(what):
                folder = self.folder / what.replace(" ", "-")
                folder.mkdir()
                self.results_path = folder / "R"
                self.jobs(*[{"cmd": f"echo {i} >> {self.witness_path}; sleep 0.05", "id": f"j{i}"} for i in range(400)])
                dispatcher = self.dispatcher("--local", "2", listen=False)
                self.wait_results(4)
                subprocess.run(["sh", "-c", change], cwd=folder, check=True)
                self.assert_ends(dispatcher, 74)
                self.assertIn("the results file was removed, replaced or cut short", dispatcher.err())

    def test_a_file_that_goes_away_behind_the_last_line(self):
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.02; done; rm {self.results_path}", "id": "a"})
        dispatcher = self.dispatcher("--local", "1", listen=False)
        dispatcher.says("jobs.results.jsonl")
        (self.folder / "go").touch()
        self.assert_ends(dispatcher, 74)

    def test_unwritable(self):
        self.jobs(self.witness_job("a"))
        self.results_path = self.folder / "no" / "such" / "folder.jsonl"
        run = self.run_to_end("--local", "1")
        self.assertEqual(run.poll(), 74)
        self.assertIn("no/such", run.err())
        self.results_path = self.folder
        self.assertEqual(self.run_to_end("--local", "1").poll(), 74)
        self.assertEqual(self.witnessed("start"), {})


if __name__ == "__main__":
    unittest.main(verbosity=2)
