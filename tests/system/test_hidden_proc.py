#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: serial
"""A /proc mounted with hidepid shows nobody but root our programs, since they let nobody look into them. A worker of
a plain user must find and end its jobs all the same, and must not take a living worker's jobs for left over.

Alone: it counts what a worker finds left on the machine."""

import os
import signal
import subprocess
import unittest
from pathlib import Path

from workpool_testing import WORKER, System, engines_of, guards_of, is_alive, wait_until

# Then the command as a user whom such a /proc hides from.
HIDDEN = 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'


def can_hide():
    if os.geteuid() != 0:
        return False
    looked = subprocess.run(["unshare", "--mount", "sh", "-c", HIDDEN, "sh", "test", "-e", "/proc/1"], check=False)
    return looked.returncode == 1


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@unittest.skipUnless(can_hide(), "only root can mount a /proc with hidepid")
class HiddenProc(System):
    def setUp(self):
        super().setUp()
        self.folder.chmod(0o777)
        self.pids = self.folder / "pids"

    def hidden_worker(self, dispatcher, *flags):
        return self.start(["unshare", "--mount", "sh", "-c", HIDDEN, "sh", WORKER, self.address, *flags],
                          env={"WORKPOOL_KEY": dispatcher.join_key()})

    def run_sleeper(self):
        # A child in a session of its own outlives the job's own process; only a walk of /proc finds it.
        self.jobs({"cmd": f"setsid -f sh -c 'echo $$ >> {self.pids}; exec sleep 600'; echo $$ >> {self.pids}; exec sleep 600", "id": "a"})
        dispatcher = self.dispatcher("--worker-timeout", "2s")
        worker = self.hidden_worker(dispatcher, "--grace", "1s", "--slots", "1")
        return dispatcher, worker, self.wait_pids(2)

    def wait_pids(self, count):
        def pids():
            found = self.pids.read_text().split() if self.pids.exists() else []
            return [int(pid) for pid in found] if len(found) >= count else None
        return wait_until(lambda: f"{count} pids\n{self.all_said()}", pids)[-2:]

    def wait_dead(self, pids):
        wait_until(lambda: f"the end of {pids}\n{self.all_said()}", lambda: not any(map(is_alive, pids)))

    def test_a_killed_engine_leaves_nothing(self):
        _, worker, pids = self.run_sleeper()
        os.kill(worker.engine(), signal.SIGKILL)
        self.wait_dead(pids)
        self.wait_pids(4)  # another engine runs it again

    def test_a_killed_guard_leaves_nothing(self):
        _, worker, pids = self.run_sleeper()
        engine = worker.engine()
        os.kill(worker.guard(), signal.SIGKILL)
        self.wait_dead([engine, *pids])
        self.wait_pids(4)
        self.assertEqual((len(guards_of(worker.pid)), len(engines_of(worker.pid))), (1, 1))

    def test_the_jobs_of_a_living_worker_are_not_left_over(self):
        dispatcher, _, pids = self.run_sleeper()
        other = self.hidden_worker(dispatcher, "--slots", "1", "--name", "other")
        self.wait_status("the other one", lambda status: len(status["workers"]) == 2)
        self.assertNotIn("leftovers_killed", other.err())
        self.assertTrue(all(map(is_alive, pids)))

    def test_those_of_a_dead_one_are(self):
        dispatcher, worker, pids = self.run_sleeper()
        parts = [worker.pid, worker.guard(), worker.engine()]
        for pid in parts:
            os.kill(pid, signal.SIGSTOP)  # so that none sees another's end
        wait_until("them to be stopped", lambda: all(state_of(pid) == "T" for pid in parts))
        for pid in parts:
            os.kill(pid, signal.SIGKILL)
        self.assert_ends(worker, -signal.SIGKILL)  # not a zombie, which is hidden as well
        self.wait_dead(parts)
        left = [pid for pid in pids if is_alive(pid)]  # mostly one: the kernel ends the job's own process
        other = self.hidden_worker(dispatcher, "--slots", "1")
        if left:
            other.says("leftovers_killed")
        self.wait_dead(pids)


if __name__ == "__main__":
    unittest.main(verbosity=2)
