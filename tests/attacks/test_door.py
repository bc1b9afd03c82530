# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Who gets in, and who does not: keys that are missing, wrong or unsafe, and what both sides say of it."""

import os
import re
import signal
import statistics
import subprocess
import threading
import time
import unittest
from pathlib import Path

import msgpack
import zmq

from peers import DISPATCHER, IS_ROOT, SLACK, WORKER, Handshakes, Secured, figure, wait_until, wire
from attack_testing import STRANGER

REFUSED_WITHIN = 0.05   # promised, for a peer with a key that nobody knows
REVOKED_WITHIN = 2.0
TOLD_WITHIN = 5.0       # until a worker knows that it is not wanted


class Strangers(Secured):
    """A01: on registration, sink and lane."""

    def knock(self, kind, port, prepare):
        """How the handshake ends, and after how many seconds; whoever gets through would speak."""
        made = self.sockets.make(kind)
        prepare(made)
        events = Handshakes(self.sockets, made)
        began = time.monotonic()
        made.connect(f"tcp://127.0.0.1:{port}")
        how = events.end()
        took = time.monotonic() - began
        if kind != zmq.PULL:
            made.sndtimeo = 0
            for frame in (wire.hello(), b"\xc1", msgpack.packb([wire.GOODBYE, 1, 1, 1])):
                try:
                    made.send(frame)
                except zmq.ZMQError:
                    pass
        return how, took, made

    def test_who_has_no_key_or_a_wrong_one(self):
        self.hold_job()
        dispatcher = self.pool_run()
        worker = self.keyed(self.keys["good"], "--slots", "1", "--name", "w")
        self.wait_workers("w")
        registration, others = self.ports(dispatcher)
        self.assertEqual(len(others), 2)
        unknown = self.keys["good"].unknown()

        def plain(made):
            made.plain_username, made.plain_password = b"admin", b"admin"
        strangers = {"no key": lambda made: None, "a password": plain, "a key for another": self.keys["good"].for_another().secure,
                     "an unknown key": unknown.secure}
        took = []
        for port in (registration, *others):
            for kind in (zmq.DEALER, zmq.PUSH, zmq.PULL):
                for name, prepare in strangers.items():
                    with self.subTest(port=port, kind=kind, who=name):
                        how, seconds, _ = self.knock(kind, port, prepare)
                        self.assertIn(how, (Handshakes.FAILED_AUTH if name == "an unknown key" else Handshakes.DISCONNECTED,
                                            Handshakes.FAILED_PROTOCOL, Handshakes.FAILED_NO_DETAIL))
                        took.append(seconds)
        # The true one gets through in the same way, so the knocking is right.
        _, _, made = self.knock(zmq.DEALER, registration, self.keys["good"].secure)
        self.assertEqual(msgpack.unpackb(made.recv())[0], wire.WELCOME)
        figure(f"{len(took)} strangers refused: in {statistics.median(took) * 1000:.1f} ms typically, {max(took) * 1000:.0f} ms at most")
        self.assertLess(statistics.median(took), REFUSED_WITHIN * SLACK)
        # A worker of ours greets before it dials, so that the dispatcher hears of it. Others may be gone too soon.
        wire.send_bytes(registration, b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL" + b"\0" * 48)
        for text in ("it has no key; give it WORKPOOL_KEY, or --key FILE", "its key is for another dispatcher",
                     f"its key {unknown.fingerprint()} is not known here"):
            dispatcher.says(text)
        self.assertRegex(dispatcher.err(), r"turned away a peer at (::ffff:)?127\.0\.0\.1: ")
        self.assertNotIn("refused_frames", dispatcher.err().split("turned away", 1)[0])
        # Only the two last frames of the one who was let in got as far as the decoder.
        counts = [int(count) for count in re.findall(r"refused_frames count=(\d+)", dispatcher.err())]
        self.assertLessEqual(max(counts, default=0), 2, dispatcher.err())
        self.finish(dispatcher, worker)


class KeyFiles(Secured):
    """A03: what a key file may be."""

    def refused_to_start(self, path, *words):
        """Exit 78 that names the file, and the port was never open."""
        opened, stop = [], threading.Event()

        def watch():
            ours = f":{self.port:04X}"
            while not stop.is_set():
                for table in ("tcp", "tcp6"):
                    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                        fields = line.split()
                        if fields[3] == "0A" and fields[1].endswith(ours):
                            opened.append(line)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            dispatcher = self.dispatcher("--key", path)
            self.assert_ends(dispatcher, 78)
        finally:
            stop.set()
            watcher.join()
        self.assertEqual(opened, [])
        for word in (str(path), *words):
            self.assertIn(word, dispatcher.err())
        self.assertEqual(len(dispatcher.err().splitlines()), 1, dispatcher.err())
        self.assertEqual(self.result_count(), 0)

    def test_what_cannot_be_trusted(self):
        self.jobs({"cmd": ["true"], "id": "a"})
        good = self.pool.read_bytes()

        def file(data=good, mode=0o600):
            path = self.folder / "other.key"
            if path.is_symlink() or path.exists():
                path.unlink()
            path.write_bytes(data)
            path.chmod(mode)
            return path
        for mode in (0o644, 0o640, 0o606, 0o660):
            self.refused_to_start(file(mode=mode), "other users: chmod 600")
        for data in (good[:40], good[:-1], good[:-30] + b"\n", b"{}\n", os.urandom(500), good * 2):
            self.refused_to_start(file(data), "is damaged")
        self.refused_to_start(file(b""), "it is empty")
        self.refused_to_start(file(self.keys["good"].text().encode() + b"\n"), "is damaged")
        if IS_ROOT:
            path = file()
            os.chown(path, STRANGER, STRANGER)
            self.refused_to_start(path, f"belongs to another user ({STRANGER})")
        link = self.folder / "link.key"
        link.symlink_to(self.pool)
        self.refused_to_start(link, "is a symbolic link")
        pipe = self.folder / "pipe.key"
        os.mkfifo(pipe, 0o600)
        self.refused_to_start(pipe, "is no regular file")
        folder = self.folder / "folder.key"
        folder.mkdir(0o700)
        self.refused_to_start(folder, "is no regular file")
        self.refused_to_start(self.folder / "missing.key", "does not exist; make one:", "keygen")
        self.refused_to_start(Path("/dev/zero"), "is no regular file")

    def test_a_worker_trusts_no_such_file_either(self):
        path = self.folder / "join.key"

        def refused(*words):
            worker = self.start([WORKER, self.address, "--key", path])
            self.assert_ends(worker, 78)
            for word in (str(path), *words):
                self.assertIn(word, worker.err())
        text = self.keys["good"].text()
        refused("does not exist")
        path.write_text(text + "\n")
        path.chmod(0o602)
        refused("other users")
        if IS_ROOT:
            path.chmod(0o600)
            os.chown(path, STRANGER, STRANGER)
            refused("another user")
            os.chown(path, 0, 0)
        path.chmod(0o600)
        for data, words in (("", "is empty"), (text[:40], "cut short"), (text + "\n" + text, "more than one line"),
                            (self.pool.read_text(), "keygen FILE --worker NAME"), (text.replace("wp1", "wp9"), "")):
            path.write_text(data)
            refused(words)
            self.assertNotIn(text[10:30], self.programs[-1].err())
        path.unlink()
        os.mkfifo(path, 0o600)
        refused("is no regular file")


class WhatWorkersAreTold(Secured):
    def refused(self, key, *words, flags=(), env=None):
        began = time.monotonic()
        worker = self.keyed(key, *flags, env=env)
        self.assert_ends(worker, 77)
        took = time.monotonic() - began
        self.assertLess(took, TOLD_WITHIN * SLACK)
        for word in words:
            self.assertIn(word, worker.err())
        self.assertEqual(worker.err().count(" error "), 1, worker.err())
        return took

    def test_by_a_run_with_keys(self):
        self.hold_job()
        dispatcher = self.pool_run()
        self.keygen("--revoke", "bad")
        time.sleep(REVOKED_WITHIN)
        unknown = self.keys["good"].unknown()
        slowest = max(
            self.refused(None, "the dispatcher asks for a key", "WORKPOOL_KEY", "--key FILE"),
            self.refused(None, "the dispatcher asks for a key", flags=["--insecure"]),
            self.refused(self.keys["good"].for_another(), "is for another dispatcher", self.keys["good"].fingerprint()),
            self.refused(self.keys["bad"], "revoked", self.keys["bad"].fingerprint()),
            self.refused(unknown, "never known there", unknown.fingerprint()))
        figure(f"five workers without the right key: told, and gone, within {slowest:.1f} s")
        for words in ("it has no key", "its key is for another dispatcher", f"{self.keys['bad'].fingerprint()} has been revoked",
                      f"{unknown.fingerprint()} is not known here"):
            dispatcher.says(words)
        asked = subprocess.run([DISPATCHER, "status", self.address], capture_output=True, text=True, check=False,
                               env={**self.environment, "WORKPOOL_RUN_DIR": str(self.folder / "none"), "WORKPOOL_KEY": unknown.text()})
        self.assertNotEqual(asked.returncode, 0)
        self.assertIn(unknown.fingerprint(), asked.stderr)
        self.finish(dispatcher, self.keyed(self.keys["good"]))

    def test_by_a_run_without(self):
        self.hold_job()
        dispatcher = self.dispatcher("--insecure")
        dispatcher.says("listening on")
        self.refused(self.keys["good"], "the dispatcher has no keys, since it runs with --insecure")
        dispatcher.says("it has a key, and this run has none (--insecure)")
        # Somebody who has no key and has not said --insecure runs nothing for just anybody either.
        worker = self.keyed(None)
        self.assert_ends(worker, 78)
        self.assertIn("--insecure", worker.err())
        self.finish(dispatcher, self.keyed(None, "--insecure"))

    def test_keep_tries_on(self):
        self.hold_job()
        self.keygen("--revoke", "bad")
        dispatcher = self.pool_run()
        stubborn = self.keyed(self.keys["bad"], "--keep")
        dispatcher.says(self.keys["bad"].fingerprint())
        stubborn.says(self.keys["bad"].fingerprint())
        time.sleep(1.5)
        self.assertIsNone(stubborn.poll(), "it waits for a run that knows its key")
        self.assertLess(len(stubborn.err().splitlines()), 5, "without filling the log")
        self.finish(dispatcher, self.keyed(self.keys["good"]))
        stubborn.send(signal.SIGTERM)
        self.assert_ends(stubborn, 0)

    def test_words_that_are_no_key(self):
        text = self.keys["good"].text()
        for value in ("x", text[:-1], text + "A", text.replace("wp1", "wp2"), text[:50] + "!" + text[51:], " "):
            worker = self.start([WORKER, self.address], env={"WORKPOOL_KEY": value})
            self.assert_ends(worker, 2)
            self.assertIn("WORKPOOL_KEY", worker.err())
            self.assertNotIn(text[10:30], worker.err())
            self.assertEqual(len(worker.err().splitlines()), 1, worker.err())
        for command in ([WORKER, self.address, "--key", text], [DISPATCHER, "status", self.address, "--key", text],
                        [DISPATCHER, "run", self.jobs({"cmd": ["true"]}), "--listen", self.address, "--key", text]):
            program = self.start(command)
            self.assert_ends(program, 2)
            self.assertNotIn(text[10:30], program.err())
            self.assertIn("command line", program.err())

    def test_nobody_sees_the_key_of_a_running_worker(self):
        self.jobs({"cmd": f"env > {self.folder}/env; while [ ! -e {self.folder}/go ]; do sleep 0.05; done", "id": "long"})
        dispatcher = self.pool_run()
        key = self.keys["good"]
        worker = self.keyed(key, "--slots", "1")
        wait_until("the job", lambda: (self.folder / "env").exists() and self.status()["jobs"]["running"] == 1)
        secret = key.text()[60:]
        for pid in self.marked():
            for name in ("environ", "cmdline"):
                self.assertNotIn(secret.encode(), Path(f"/proc/{pid}/{name}").read_bytes(), (pid, name))
        self.assertNotIn("WORKPOOL_KEY", (self.folder / "env").read_text())
        self.finish(dispatcher, worker)
        for path in [*self.folder.glob("*.err"), *self.folder.glob("*.out"), *self.folder.glob("jobs.results*")]:
            self.assertNotIn(secret, path.read_text(errors="replace"), path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
