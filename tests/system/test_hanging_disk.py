# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""A signal ends a run though the disk under JOBS hangs: strace holds up every read of that file."""

import os
import shutil
import signal
import time
import unittest
from pathlib import Path

from workpool_testing import SLACK, System, figure, is_alive, wait_until

HANG = 60     # seconds; each read of JOBS takes so long
PROMISED = 2  # seconds from the last signal to the end of the dispatcher


@unittest.skipUnless(shutil.which("strace"), "needs strace")
class HangingDisk(System):
    def hang(self, dispatcher):
        """From now on every read of JOBS hangs."""
        self.tracer = self.start(["strace", "-f", "-qq", "-o", "/dev/null", "-P", self.jobs_path, "-e", "trace=pread64",
                                  "-e", f"inject=pread64:delay_enter={HANG * 1_000_000}", "-p", dispatcher.pid])
        wait_until("strace", lambda: self.tracer.poll() is not None or self.is_traced(dispatcher))
        if self.tracer.poll() is not None:
            self.skipTest("strace may not trace here: " + self.tracer.err())

    @staticmethod
    def is_traced(program):
        """Every thread of it."""
        return all("TracerPid:\t0\n" not in (task / "status").read_text()
                   for task in Path(f"/proc/{program.pid}/task").iterdir())

    @staticmethod
    def stopped(program):
        """The threads that strace holds up."""
        found = set()
        for task in Path(f"/proc/{program.pid}/task").iterdir():
            try:
                if (task / "stat").read_text().rpartition(")")[2].split()[0] == "t":
                    found.add(task.name)
            except OSError:
                pass
        return found

    def wait_hang(self, program):
        def hangs():
            # strace stops a thread for a moment at other calls, too.
            threads = self.stopped(program)
            for _ in range(20):
                time.sleep(0.02)
                threads &= self.stopped(program)
            return threads
        wait_until("a read that hangs", hangs)

    def assert_soon(self, dispatcher, code, asked):
        wait_until("its end", lambda: not is_alive(dispatcher.pid))
        took = time.monotonic() - asked
        self.tracer.send(signal.SIGKILL)  # it keeps the thread whose read it holds up, though that is killed
        self.assert_ends(dispatcher, code)
        figure(f"left {took:.2f} s after the last signal, with a read of JOBS that hangs")
        self.assertLess(took, PROMISED * SLACK)

    def test_while_lines_are_read(self):
        go = self.folder / "go"
        self.jobs({"cmd": f"echo start again >> {self.witness_path}; while [ ! -e {go} ]; do sleep 0.02; done; exit 1",
                   "id": "again", "retries": 9})
        dispatcher = self.dispatcher("--local", "1", listen=False)
        self.wait_witness("start", 1)
        os.utime(self.jobs_path)  # what was read before does not count any more
        self.hang(dispatcher)
        go.touch()  # the job fails, and its line is read again
        self.wait_hang(dispatcher)
        dispatcher.send(signal.SIGINT)
        dispatcher.says("Ctrl-C")
        asked = time.monotonic()
        dispatcher.send(signal.SIGINT)
        self.assert_soon(dispatcher, 130, asked)

    def test_at_the_last_look(self):
        go = self.folder / "go"
        self.jobs({"cmd": f"echo start one >> {self.witness_path}; while [ ! -e {go} ]; do sleep 0.02; done", "id": "one"})
        dispatcher = self.dispatcher("--local", "1", listen=False)
        self.wait_witness("start", 1)
        os.utime(self.jobs_path)  # written to: its jobs are compared when all is recorded
        self.hang(dispatcher)
        go.touch()
        self.wait_results(1)
        self.wait_hang(dispatcher)
        asked = time.monotonic()
        dispatcher.send(signal.SIGINT)
        self.assert_soon(dispatcher, 130, asked)
        self.assertIn("to continue:", dispatcher.err())
        again = self.dispatcher("--local", "1", listen=False)
        self.assert_ends(again, 0)
        self.assertEqual(len(self.witnessed("start")), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
