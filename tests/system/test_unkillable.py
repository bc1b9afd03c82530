#!/usr/bin/python3
# ctest: serial
# SPDX-License-Identifier: MIT
"""Processes that the worker may not kill, since they have become another user's: they delay others only briefly.

Alone: any worker of root's that another test starts would end what a worker has left here."""

import os
import shutil
import signal
import time
import unittest

from workpool_testing import SLACK, WORKER, System, figure, is_alive, wait_until

IS_ROOT = os.geteuid() == 0


@unittest.skipUnless(IS_ROOT, "only root can make a program that gives a worker's job away to root")
class Unkillable(System):
    def setUp(self):
        super().setUp()
        self.become_root = self.folder / "become-root"
        shutil.copy("/usr/bin/setpriv", self.become_root)
        self.become_root.chmod(0o4755)
        self.folder.chmod(0o777)
        # The jobs write their pids; what a test leaves is ended by the test, which is root.
        self.pids = self.folder / "pids"

    def roots(self, seconds, more=""):
        return f"{self.become_root} --reuid 0 --clear-groups sh -c 'echo $$ >> {self.pids}; exec sleep {seconds}'{more}"

    def run_as_nobody(self, *jobs, flags=()):
        self.jobs(*jobs)
        dispatcher = self.dispatcher("--worker-timeout", "2s")
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        worker = self.start([*nobody, WORKER, self.address, "--slots", "2", "--grace", "1s", "--allow-new-privs", *flags],
                            env={"WORKPOOL_KEY": dispatcher.join_key()})
        return dispatcher, worker

    def root_pid(self):
        pid = int(wait_until("the pid", lambda: self.pids.exists() and self.pids.read_text().split())[0])
        self.addCleanup(lambda: is_alive(pid) and os.kill(pid, signal.SIGKILL))
        return pid

    def test_in_the_background(self):
        dispatcher, worker = self.run_as_nobody({"cmd": self.roots(120, " & while [ ! -s %s ]; do sleep 0.02; done; exit 0" % self.pids), "id": "a"})
        pid = self.root_pid()
        began = time.monotonic()
        self.assert_ends(dispatcher, 0)
        figure(f"a job that leaves a process of root's: over {time.monotonic() - began:.1f} s after its end")
        self.assertTrue(is_alive(pid))
        self.assert_ends(worker, 0)
        self.assertIn(f"cannot_kill pids={pid}", worker.err())

    def test_at_a_timeout(self):
        dispatcher, worker = self.run_as_nobody({"cmd": self.roots(120), "id": "a", "timeout": "500ms"})
        self.root_pid()
        began = time.monotonic()
        self.assert_ends(dispatcher, 1)
        took = time.monotonic() - began
        figure(f"a timeout that cannot be carried out: told after {took:.1f} s (6.5 promised)")
        self.assertLess(took, SLACK * 6.5)
        result = self.by_id()["a"]
        self.assertEqual((result["status"], result["error"]["message"]), ("timeout", "timed out after 500ms"))
        self.assertNotIn("exit", result)
        self.assert_ends(worker, 0)

    def test_a_child_of_a_handler(self):
        """It is given up at a timeout, and waited for once it ends at last."""
        handler = "exec " + self.roots(120).replace("sh -c '", "sh -c 'read line; ")
        dispatcher, worker = self.run_as_nobody({"type": "x", "id": "a", "timeout": "500ms"}, {"cmd": f"while [ ! -e {self.folder}/end ]; do sleep 0.02; done", "id": "b"},
                                                flags=("--handler", f"x={handler}"))
        pid = self.root_pid()
        wait_until("the result", lambda: self.results_path.exists() and self.by_id().get("a"))
        self.assertEqual(self.by_id()["a"]["status"], "timeout")
        os.kill(pid, signal.SIGKILL)
        wait_until("its end is known", lambda: not os.path.exists(f"/proc/{pid}"), 20)
        (self.folder / "end").touch()
        self.assert_ends(dispatcher, 1)
        self.assert_ends(worker, 0)

    def test_a_worker_that_is_told_to_leave(self):
        _, worker = self.run_as_nobody({"cmd": self.roots(120), "id": "a"})
        self.root_pid()
        worker.send(signal.SIGTERM)
        began = time.monotonic()
        self.assert_ends(worker, 0)
        took = time.monotonic() - began
        figure(f"a worker with a job that it cannot kill: gone {took:.1f} s after SIGTERM (7 promised)")
        self.assertLess(took, SLACK * 7)


if __name__ == "__main__":
    unittest.main(verbosity=2)
