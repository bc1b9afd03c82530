#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 120
"""`status`: what a running dispatcher says of itself over its registration port, as text and as JSON; no answer is 1."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, LIMIT, SLACK, WORKER, CliTest, clean_environment, free_port, jsonl, wait_until  # noqa: E402


class Running(CliTest):
    def setUp(self):
        super().setUp()
        jobs = [{"cmd": "while [ ! -e go ]; do sleep 0.02; done", "id": str(n)} for n in range(7)]
        jobs += [{"cmd": ["true"], "id": "ok", "priority": 9}, {"cmd": ["false"], "id": "no", "priority": 9},
                 {"cmd": ["false"], "id": "later", "priority": 9, "retries": 1_000},
                 {"cmd": ["true"], "labels": ["gpu"], "id": "gpu"}]
        self.write("jobs.jsonl", jsonl(*jobs))
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.run_ = self.start_run("jobs.jsonl", "--listen", self.address, "--local", "2")

    def status(self, *flags):
        return self.dispatcher("status", self.address, *flags)

    def json(self):
        finished = self.status("--json")
        if finished.code != 0:
            return None
        self.assertEqual(len(finished.out.splitlines()), 1)
        return json.loads(finished.out)

    def test_counts_and_workers(self):
        self.start(WORKER, self.address, "--name", "by-hand", "--slots", "3")
        now = wait_until("five running jobs", lambda: (s := self.json()) and s["jobs"]["running"] == 5 and
                         s["jobs"]["ok"] == 1 and s["jobs"]["failed"] == 1 and s)
        self.assertEqual(now["v"], 1)
        self.assertRegex(now["run"], r"^[0-9a-f]{16}$")
        self.assertEqual((now["jobs_file"], now["results_file"]), ("jobs.jsonl", "jobs.results.jsonl"))
        jobs = now["jobs"]
        self.assertEqual((jobs["total"], jobs["done"], jobs["total_known"]), (11, 2, True))
        self.assertEqual(now["slots"], 5)
        self.assertEqual({(w["name"], w["slots"], w["busy"]) for w in now["workers"]} - {("local", 2, 2)},
                         {("by-hand", 3, 3)})
        text = self.status()
        self.assertEqual((text.code, text.err), (0, ""))
        for word in ("jobs.jsonl", "2/11 done", "1 ok", "1 failed", "5 running", "by-hand"):
            self.assertIn(word, text.out)
        self.assertNotIn("\x1b", text.out)
        # The jobs and the results are as if nobody had asked.
        (self.folder / "go").touch()
        self.run_.process.send_signal(2)
        self.assertEqual(self.run_.process.wait(LIMIT), 130, self.run_.err)

    def test_many_ask_at_once(self):
        wait_until("an answer", self.json)
        asking = [self.start(DISPATCHER, "status", self.address, "--json") for _ in range(20)]
        for one in asking:
            self.assertEqual(one.finish().code, 0, one.err)

    def test_address_forms(self):
        wait_until("an answer", self.json)
        port = self.address.rsplit(":", 1)[1]
        self.assertEqual(self.dispatcher("status", f"tcp://localhost:{port}").code, 0)


class Silent(CliTest):
    def assert_no_answer(self, address, most=5 * SLACK):
        start = time.monotonic()
        nobody_runs = clean_environment(WORKPOOL_RUN_DIR=str(self.folder / "none"))
        finished = self.dispatcher("status", *([address] if address else []), env=nobody_runs)
        took = time.monotonic() - start
        print(f"no answer from {address}: {took:.2f} s (promised: 5 s)")
        self.assert_one_line_error(finished, 1, address or "tcp://127.0.0.1:5555")
        self.assertEqual(finished.out, "")
        self.assertLess(took, most)

    def test_nobody_listens(self):
        self.assert_no_answer(f"tcp://127.0.0.1:{free_port()}")

    def test_default_address(self):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 5555)) == 0:
                self.skipTest("something listens on 5555")
        self.assert_no_answer("")

    def test_something_else_listens_and_says_nothing(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            self.assert_no_answer(f"tcp://127.0.0.1:{listener.getsockname()[1]}")

    def test_something_else_talks(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def talk():
                while True:
                    try:
                        peer, _ = listener.accept()
                        peer.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n" + os.urandom(1000))
                        peer.close()
                    except OSError:
                        return
            threading.Thread(target=talk, daemon=True).start()
            self.assert_no_answer(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
            listener.shutdown(socket.SHUT_RDWR)

    def test_name_that_does_not_resolve(self):
        self.assert_no_answer("tcp://no-such-host.invalid:5555")

    def test_wrong_address(self):
        for address in ("127.0.0.1:5555", "node7:5555", "tcp://127.0.0.1", "tcp://*:5555"):
            self.assert_one_line_error(self.dispatcher("status", address), 2, address, "is not an address such as tcp://")


if __name__ == "__main__":
    unittest.main()
