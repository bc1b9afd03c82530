# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""What others on this machine can reach: no port is open without --listen, and Unix sockets are for one user."""

import json
import os
import signal
import subprocess
import unittest
from pathlib import Path

from peers import DISPATCHER, IS_ROOT, WORKER, System, wait_until
from attack_testing import STRANGER, as_user


def sockets_of(pid, table):
    """The lines of a table of /proc/net that are of descriptors of this process."""
    inodes = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    column = 6 if table == "unix" else 9
    lines = [line.split() for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [fields for fields in lines if len(fields) > column and fields[column] in inodes]


class NoPorts(System):
    """Without --listen no program has anything to do with the network."""

    def assert_no_network(self, program):
        wait_until("the job", (self.folder / "started").exists)
        looked_at = 0
        for pid in {program.pid, *self.marked()}:
            try:
                for table in ("tcp", "tcp6", "udp", "udp6"):
                    self.assertEqual(sockets_of(pid, table), [], pid)
                for fields in sockets_of(pid, "unix"):
                    self.assertNotRegex(fields[-1], "^@", "an abstract socket is open to everybody")
                looked_at += 1
            except FileNotFoundError:
                continue  # a `sleep` of the job's that has ended
        self.assertGreater(looked_at, 3)
        (self.folder / "go").touch()
        self.assert_ends(program, 0)

    def setUp(self):
        super().setUp()
        self.command = f"touch {self.folder}/started; while [ ! -e {self.folder}/go ]; do sleep 0.02; done"

    def test_run(self):
        self.jobs({"cmd": self.command})
        self.assert_no_network(self.dispatcher(listen=False))

    def test_each(self):
        self.assert_no_network(self.start([DISPATCHER, "each", "--shell", self.command + "; echo {}", ":::", "x"], cwd=self.folder))

    def test_run_of_a_pipe(self):
        reading, writing = os.pipe()
        program = self.start([DISPATCHER, "run", "-", "-o", self.results_path], stdin=reading)
        os.close(reading)
        os.write(writing, json.dumps({"cmd": self.command}).encode() + b"\n")
        os.close(writing)
        self.assert_no_network(program)


class OtherUsers(System):
    def setUp(self):
        super().setUp()
        self.runs = self.folder / "runs"
        self.environment |= {"TMPDIR": str(self.folder), "WORKPOOL_RUN_DIR": str(self.runs), "XDG_RUNTIME_DIR": ""}
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.05; done", "id": "long"})

    def socket_folders(self):
        return sorted(path for path in self.folder.glob("workpool-??????") if path.is_dir())

    @unittest.skipUnless(IS_ROOT, "only root can run programs as two users")
    def test_they_stay_out(self):
        dispatcher = self.dispatcher("--local", "1")
        self.wait_status("the job to run", lambda s: s["jobs"]["running"] == 1)
        folder, = self.socket_folders()
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.runs.stat().st_mode & 0o777, 0o700)
        names = sorted(path.name for path in folder.iterdir())
        self.assertIn("0", names)
        script = ("import socket,sys\nfor path in sys.argv[1:]:\n  s=socket.socket(socket.AF_UNIX)\n  try: s.connect(path); print('in')\n"
                  "  except PermissionError: print('out')")
        sockets = [str(folder / name) for name in names if name != "lock"]
        tried = subprocess.run(as_user(["/usr/bin/python3", "-c", script, *sockets], STRANGER), capture_output=True, text=True, check=True)
        self.assertEqual(tried.stdout.split(), ["out"] * len(sockets), tried.stderr)
        # Nor by way of the port, which the same user may use without a key.
        worker = self.start(as_user([WORKER, self.address], STRANGER))
        self.assert_ends(worker, 77)
        self.assertIn("the dispatcher asks for a key, and none is given", worker.err())
        asked = subprocess.run(as_user([DISPATCHER, "status", self.address], STRANGER), capture_output=True, text=True, check=False,
                               env=self.environment)
        self.assertNotEqual(asked.returncode, 0)
        self.assertNotIn("long", asked.stdout)
        read = subprocess.run(as_user(["cat", str(self.results_path) + ".key"], STRANGER), capture_output=True, check=False)
        self.assertEqual((read.returncode, read.stdout), (1, b""))
        mine = self.worker("--name", "mine", "--slots", "1")
        self.wait_status("a worker of the same user", lambda s: "mine" in [w["name"] for w in s["workers"]])
        (self.folder / "go").touch()
        self.assert_ends(dispatcher, 0)
        self.assert_ends(mine, 0)

    def test_what_a_killed_run_leaves_is_removed(self):
        dispatcher = self.dispatcher(listen=False)
        wait_until("its folder", self.socket_folders)
        left, = self.socket_folders()
        wait_until("the job to run", lambda: self.marked(but=[dispatcher.pid]))
        dispatcher.send(signal.SIGKILL)
        dispatcher.wait()
        self.assertTrue(left.exists())
        # Of others, or not of this kind: they stay.
        beside = self.folder / "workpool-mine00"
        beside.mkdir(0o700)
        (self.folder / "go").touch()
        self.run_to_end()
        self.assertFalse(left.exists(), "the next run removes it")
        self.assertEqual(self.socket_folders(), [beside])


if __name__ == "__main__":
    unittest.main(verbosity=2)
