# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Dispatcher and workers on machines of their own: network namespaces, users, folders, and a firewall between them.

Each machine has a key of its own, made before anything is started.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import unittest
from collections import Counter

from workpool_testing import DISPATCHER, SLACK, WORKER, System, figure

FAST = ["--worker-timeout", "2s"]
CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def namespaces_work():
    name = f"wp{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
        return True
    except (OSError, subprocess.CalledProcessError):
        return False


class Network(System):
    workers = 3

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0 or not namespaces_work():
            if os.environ.get("CI"):
                self.fail("network namespaces need root and CAP_SYS_ADMIN, and in CI they must be there")
            self.skipTest("network namespaces need root")
        self.low = self.port + 1
        self.programs_folder = self.folder / "bin"
        self.programs_folder.mkdir()
        for program in (DISPATCHER, WORKER):
            shutil.copy(program, self.programs_folder)
        self.namespaces = [f"wp-{self.mark[:8]}-{i}" for i in range(self.workers + 1)]
        # Before anything is made, so that a failure half way removes what there is.
        self.addCleanup(self.remove_namespaces)
        for i, name in enumerate(self.namespaces):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            home = self.folder / f"home{i}"
            home.mkdir()
            os.chown(home, self.user(i), self.user(i))
        for i in range(1, self.workers + 1):
            self.wire_up(i)
        self.firewall()
        self.make_keys()
        # Files of the dispatcher's user.
        self.jobs_path = self.folder / "home0" / "jobs.jsonl"
        self.results_path = self.folder / "home0" / "results.jsonl"

    def remove_namespaces(self):
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def make_keys(self):
        pool = self.folder / "home0" / "pool.key"
        self.keys = {}
        for i in range(1, self.workers + 1):
            made = subprocess.run([DISPATCHER, "keygen", pool, "--worker", f"machine{i}"], capture_output=True, text=True, check=True)
            self.keys[i] = made.stdout.strip()
            own = self.folder / f"home{i}" / "join.key"
            own.write_text(made.stdout)
            os.chmod(own, 0o600)
            os.chown(own, self.user(i), self.user(i))
        os.chown(pool, self.user(0), self.user(0))

    def user(self, i):
        return 54000 + i

    def wire_up(self, i):
        """A cable between the dispatcher's machine (10.77.i.1) and worker i's (10.77.i.2)."""
        here, there = f"d{self.mark[:6]}{i}", f"w{self.mark[:6]}{i}"
        ip("-n", self.namespaces[0], "link", "add", here, "type", "veth", "peer", "name", there, "netns", self.namespaces[i])
        ip("-n", self.namespaces[0], "addr", "add", f"10.77.{i}.1/24", "dev", here)
        ip("-n", self.namespaces[i], "addr", "add", f"10.77.{i}.2/24", "dev", there)
        ip("-n", self.namespaces[0], "link", "set", here, "up")
        ip("-n", self.namespaces[i], "link", "set", there, "up")

    def cable(self, i, state):
        ip("-n", self.namespaces[0], "link", "set", f"d{self.mark[:6]}{i}", state)

    def firewall(self):
        """Into the dispatcher's machine go registration and --ports, and nothing else."""
        rules = [["-P", "INPUT", "DROP"], ["-A", "INPUT", "-i", "lo", "-j", "ACCEPT"],
                 ["-A", "INPUT", "-p", "tcp", "--dport", str(self.port), "-j", "ACCEPT"],
                 ["-A", "INPUT", "-p", "tcp", "--dport", f"{self.low}:{self.low + 9}", "-j", "ACCEPT"]]
        for rule in rules:
            subprocess.run(["ip", "netns", "exec", self.namespaces[0], "iptables", "-w", *rule], check=True)

    def on_machine(self, i, command):
        user = str(self.user(i))
        return self.start(["ip", "netns", "exec", self.namespaces[i], "setpriv", "--reuid", user, "--regid", user,
                           "--clear-groups", "--", *command], cwd=self.folder / f"home{i}")

    def start_dispatcher(self, *flags):
        return self.on_machine(0, [self.programs_folder / "workpool-dispatcher", "run", "jobs.jsonl", "-o", "results.jsonl", "--listen",
                                   f"tcp://0.0.0.0:{self.port}", "--ports", f"{self.low}-{self.low + 9}", "--key", "pool.key", *FAST, *flags])

    def start_worker(self, i, *flags):
        return self.on_machine(i, [self.programs_folder / "workpool-worker", f"tcp://10.77.{i}.1:{self.port}", "--key", "join.key",
                                   "--slots", "2", "--name", f"machine{i}", *flags])

    def status(self):
        asked = subprocess.run(["ip", "netns", "exec", self.namespaces[0], DISPATCHER, "status", f"tcp://127.0.0.1:{self.port}",
                                "--json"], capture_output=True, env={**self.environment, "WORKPOOL_KEY": self.keys[1]})
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def test_four_machines(self):
        names = [f"n{i}" for i in range(150)]
        self.jobs(*[{"cmd": "id -u; pwd; cat /proc/net/fib_trie | grep -o '10\\.77\\.[0-9]*\\.2' | head -1; sleep 0.05", "id": name}
                    for name in names])
        before = self.start_worker(1)
        dispatcher = self.start_dispatcher()
        self.wait_status("it to be up", lambda s: True)
        # The firewall is there: another port of the dispatcher's machine is not reached.
        other = self.start(["ip", "netns", "exec", self.namespaces[0], sys.executable, "-m", "http.server", str(self.port - 1)])
        reach = [sys.executable, "-c", CONNECT, "10.77.1.1"]
        in_machine_1 = ["ip", "netns", "exec", self.namespaces[1]]
        self.assertEqual(subprocess.run([*in_machine_1, *reach, str(self.port)], capture_output=True).returncode, 0)
        self.assertNotEqual(subprocess.run([*in_machine_1, *reach, str(self.port - 1)], capture_output=True).returncode, 0)
        self.assertIsNone(other.poll())
        others = [self.start_worker(2), self.start_worker(3)]
        self.assert_ends(dispatcher, 0)
        for worker in (before, *others):
            self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        for result in self.results():
            i = int(result["worker"][-1])
            home = self.folder / f"home{i}"
            self.assertEqual(result["stdout"], f"{self.user(i)}\n{home}\n10.77.{i}.2\n")
        self.assertEqual(os.stat(self.results_path).st_uid, self.user(0))
        shares = Counter(result["worker"] for result in self.results())
        figure(f"150 jobs on machines {dict(shares)}")
        self.assertEqual(set(shares), {"machine1", "machine2", "machine3"})

    def test_a_key_is_taken_back(self):
        names = [f"n{i}" for i in range(60)]
        self.jobs(*[{"cmd": ["sleep", "0.2"], "id": name} for name in names])
        dispatcher = self.start_dispatcher()
        workers = [self.start_worker(i) for i in (1, 2)]
        self.wait_status("two at work", lambda s: sum(w["done"] > 0 for w in s["workers"]) == 2)
        taken = time.monotonic()
        self.on_machine(0, [self.programs_folder / "workpool-dispatcher", "keygen", "pool.key", "--revoke", "machine2"]).wait()
        dispatcher.says("its key has been revoked")
        self.assert_ends(workers[1], 77)
        figure(f"its worker was gone {time.monotonic() - taken:.1f} s after the key was taken back; 2 s are promised")
        self.assertLess(time.monotonic() - taken, 2 * SLACK)
        self.assertIn("revoked", workers[1].err())
        self.assert_ends(dispatcher, 0)
        self.assert_ends(workers[0], 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()

    def block(self, port):
        subprocess.run(["ip", "netns", "exec", self.namespaces[0], "iptables", "-w", "-I", "INPUT", "-p", "tcp", "--dport", str(port),
                        "!", "-i", "lo", "-j", "DROP"], check=True)

    def test_only_the_port_for_results_is_blocked(self):
        self.jobs({"cmd": ["true"], "id": "a"})
        self.block(self.low)
        dispatcher = self.start_dispatcher()
        worker = self.start_worker(1)
        dispatcher.says(f"nothing arrives from it: open port {self.low} of this machine")
        worker.says(f"its port {self.low} for results is out of reach from here")
        self.assertNotIn("joined", dispatcher.err() + worker.err())
        self.assertNotIn("lost", dispatcher.err())
        subprocess.run(["ip", "netns", "exec", self.namespaces[0], "iptables", "-w", "-D", "INPUT", "1"], check=True)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assertIn("machine1 joined", dispatcher.err())

    def test_a_thin_link(self):
        # 60 KiB take 2.4 s at 200 kbit/s, longer than the worker timeout of 2 s.
        names = [f"n{i}" for i in range(4)]
        self.jobs(*[{"cmd": "head -c 61440 /dev/zero | tr '\\0' x", "id": name} for name in names])
        subprocess.run(["ip", "netns", "exec", self.namespaces[1], "tc", "qdisc", "add", "dev", f"w{self.mark[:6]}1", "root", "tbf",
                        "rate", "200kbit", "burst", "4kb", "latency", "2s"], check=True)
        began = time.monotonic()
        dispatcher = self.start_dispatcher()
        worker = self.start_worker(1)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        figure(f"4 results of 60 KiB at 200 kbit/s: {time.monotonic() - began:.1f} s")
        self.assertNotIn("lost", dispatcher.err())
        self.assert_results({name: "ok" for name in names})
        self.assertEqual({result["attempt"] for result in self.results()}, {1})

    def test_a_cable_is_pulled(self):
        names = [f"n{i}" for i in range(120)]
        self.jobs(*[{"cmd": ["sleep", "0.2"], "id": name} for name in names])
        dispatcher = self.start_dispatcher()
        workers = [self.start_worker(i) for i in (1, 2)]
        self.wait_status("two at work", lambda s: sum(w["done"] > 0 for w in s["workers"]) == 2)
        pulled = time.monotonic()
        self.cable(2, "down")
        self.wait_status("the loss", lambda s: [w["name"] for w in s["workers"]] == ["machine1"])
        figure(f"lost {time.monotonic() - pulled:.1f} s after its cable was pulled; the worker timeout is 2 s")
        self.cable(2, "up")
        plugged = time.monotonic()
        self.wait_status("its return", lambda s: len(s["workers"]) == 2)
        figure(f"back {time.monotonic() - plugged:.1f} s after its cable was plugged in")
        self.assert_ends(dispatcher, 0)
        for worker in workers:
            self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()


if __name__ == "__main__":
    unittest.main(verbosity=2)
