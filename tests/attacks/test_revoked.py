# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Keys that are taken back, expire, or are made anew, while workers have them."""

import signal
import time
import unittest
from pathlib import Path

import msgpack
import zmq

from peers import SLACK, Key, Secured, figure, wait_until, wire

REVOKED_WITHIN = 2.0
LOOKED_AT_EVERY = 1.0   # a key file
TOLD_WITHIN = 5.0       # until a worker knows that it is not wanted
FAST = ["--worker-timeout", "2s"]


class Revoked(Secured):
    def setUp(self):
        super().setUp()
        self.two_jobs()

    def two_jobs(self):
        self.hold_job(2)

    def start_both(self, *flags):
        self.run_ = self.pool_run(*flags)
        self.good = self.keyed(self.keys["good"], "--name", "good", "--slots", "2")
        self.wait_workers("good")
        self.bad = self.keyed(self.keys["bad"], "--name", "bad", "--slots", "1")
        self.wait_workers("bad", "good")

    def both_run(self):
        self.wait_status("a job at each", lambda s: [w["running"] for w in s["workers"]] == [1, 1])

    def assert_dropped(self, worker, key, since, words):
        self.assert_ends(worker, 77)
        took = time.monotonic() - since
        figure(f"{words}: dropped, and its worker gone, after {took:.2f} s")
        self.assertLess(took, REVOKED_WITHIN * SLACK)
        self.assertIn(key.fingerprint(), worker.err())
        self.run_.says("its key has been revoked, or has expired")

    def test_while_it_runs_a_job(self):
        self.run_ = self.pool_run()
        self.bad = self.keyed(self.keys["bad"], "--name", "bad", "--slots", "2")
        self.wait_status("both jobs to run", lambda s: s["jobs"]["running"] == 2)
        began = time.monotonic()
        self.keygen("--revoke", "bad")
        self.assert_dropped(self.bad, self.keys["bad"], began, "revoked")
        self.assertEqual([pid for pid in self.marked() if pid != self.run_.pid], [], "its jobs are killed with it")
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "2")
        (self.folder / "go").touch()
        self.assert_ends(self.run_, 0)
        self.assert_ends(good, 0)
        self.assert_results({"long": "ok", "long1": "ok"})
        self.assertEqual({result["worker"] for result in self.results()}, {"good"})
        self.run_.says(f"its key {self.keys['bad'].fingerprint()} has been revoked")

    def test_it_expires(self):
        key = self.add_key("short", "--expires", "3s")
        made = time.monotonic()
        self.run_ = self.pool_run()
        worker = self.keyed(key, "--name", "short", "--slots", "1")
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "2")
        self.wait_workers("good", "short")
        self.assert_dropped(worker, key, made + 3, "expired")
        self.finish_after(good)

    def test_the_whole_file_expires(self):
        self.run_ = self.pool_run()
        worker = self.keyed(self.keys["good"], "--name", "good", "--slots", "2")
        self.wait_workers("good")
        self.keygen("--expires", "1s")
        self.assert_dropped(worker, self.keys["good"], time.monotonic() + 1, "the file expired")
        self.keygen("--expires", "inf")
        again = self.come_in("again", self.keys["good"])
        self.finish_after(again)

    def finish_after(self, *workers):
        (self.folder / "go").touch()
        self.assert_ends(self.run_, 0)
        for worker in workers:
            self.assert_ends(worker, 0)
        self.assert_results({"long": "ok", "long1": "ok"})

    def come_in(self, name, key):
        """A worker with this key joins. The file is looked at once a second, so the first try may fail."""
        def tried():
            worker = self.keyed(key, "--name", name, "--slots", "2")
            wait_until("in or out", lambda: worker.poll() is not None or name in [w["name"] for w in (self.status() or {"workers": []})["workers"]])
            return worker if worker.poll() is None else None
        return wait_until(f"{name} to be let in", tried)

    def assert_stays_out(self, key, words="has been revoked"):
        worker = self.keyed(key, "--name", "again")
        self.assert_ends(worker, 77, TOLD_WITHIN * SLACK)
        self.assertIn(key.fingerprint(), worker.err())
        self.run_.says(f"its key {key.fingerprint()} {words}")

    def test_it_does_not_come_back(self):
        self.start_both()
        self.keygen("--revoke", "bad")
        self.assert_ends(self.bad, 77)
        self.assert_stays_out(self.keys["bad"])
        new = self.add_key("bad")
        self.assertNotEqual(new.public, self.keys["bad"].public)
        back = self.come_in("new", new)
        self.assert_stays_out(self.keys["bad"])
        # Nor after the next start.
        self.run_.send(signal.SIGKILL)
        self.run_.wait()
        self.run_ = self.pool_run()
        self.assert_stays_out(self.keys["bad"], "is not known here")
        self.wait_workers("good", "new")
        self.finish_after(self.good, back)

    def test_connections_that_it_still_has(self):
        """A peer that goes on as if nothing had happened: nothing that it says counts, and it learns nothing."""
        self.run_ = self.pool_run(*FAST)
        spy = self.peer("bad", name="spy", slots=2).ready()
        spy.take(2)
        dealer = spy.dial(zmq.DEALER, self.port)
        ask = msgpack.packb([wire.STATUS, 0, 0, 0, wire.PROTOCOL, True])
        dealer.send(ask)
        self.assertEqual(msgpack.unpackb(dealer.recv())[0], wire.STATUS_REPLY)
        began = time.monotonic()
        self.keygen("--revoke", "bad")
        self.run_.says("worker spy is lost: its key has been revoked")
        figure(f"revoked and fenced after {time.monotonic() - began:.2f} s")
        self.assertTrue(spy.is_over(), "it is told")
        for job in spy.given:
            spy.say(wire.RESULTS, [[job[0], job[2], job[3], job[4], 0, 1000, 0]])
            spy.say(wire.RESULTS, [[0, job[2], job[3], job[4], 0, 1000, 0]])
        spy.engine += 1
        dealer.send(spy.hello())
        answer = msgpack.unpackb(dealer.recv())
        self.assertEqual((answer[0], answer[5]), (wire.REFUSED, 77))
        dealer.send(ask)
        dealer.rcvtimeo = 1500
        try:
            learnt = msgpack.unpackb(dealer.recv())
        except zmq.Again:
            learnt = None
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "2")
        self.wait_workers("good")
        self.assertEqual(self.result_count(), 0)
        self.finish_after(good)
        self.assertEqual({result["worker"] for result in self.results()}, {"good"})
        self.assertIsNone(learnt, "a revoked key still learns what the run does")

    def test_the_file_becomes_garbage_meanwhile(self):
        self.start_both()
        good_file = self.pool.read_bytes()
        self.pool.write_bytes(b"nonsense\n")
        self.run_.says("is damaged: line 1 is no JSON object; until that is mended the keys that it had are valid")
        for spoil in (lambda: self.pool.write_bytes(b""), lambda: self.pool.chmod(0o644), self.pool.unlink, self.pool.mkdir):
            spoil()
            time.sleep(LOOKED_AT_EVERY * 1.2)
        self.pool.rmdir()
        third = self.come_in("third", self.keys["good"])
        self.assertIsNone(self.bad.poll())
        self.pool.write_bytes(good_file)
        self.pool.chmod(0o600)
        began = time.monotonic()
        self.keygen("--revoke", "bad")
        self.assert_dropped(self.bad, self.keys["bad"], began, "revoked in the file that came back")
        # A file of another dispatcher is not taken.
        self.pool.unlink()
        self.keygen()
        time.sleep(LOOKED_AT_EVERY * 1.2)
        self.come_in("fourth", self.keys["good"]).send(signal.SIGTERM)
        self.finish_after(self.good, third)


class OfTheRun(Secured):
    """The key that a run makes for itself, in RESULTS.key."""

    def printed_key(self, program):
        return Key.read(program.join_key())

    def start_run(self, *flags):
        program = self.dispatcher("--progress", "none", *flags)
        program.join_key()
        return program

    def test_workers_come_back_to_the_next_start(self):
        self.hold_job()
        first = self.start_run(*FAST)
        key = self.printed_key(first)
        path = Path(str(self.results_path) + ".key")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        worker = self.keyed(key, "--name", "w")
        self.wait_status("the job to run", lambda s: s["jobs"]["running"] == 1)
        first.send(signal.SIGKILL)
        first.wait()
        second = self.start_run(*FAST)
        self.assertEqual(self.printed_key(second).text(), key.text())
        self.wait_workers("w")
        self.finish(second, worker)

    def test_overwrite_makes_a_new_one(self):
        self.hold_job()
        first = self.start_run()
        old = self.printed_key(first)
        first.send(signal.SIGKILL)
        first.wait()
        second = self.start_run("--overwrite")
        new = self.printed_key(second)
        self.assertNotEqual((new.server, new.public), (old.server, old.public))
        late = self.keyed(old)
        self.assert_ends(late, 77, TOLD_WITHIN * SLACK)
        self.assertIn("key is for another dispatcher, or for an earlier one", late.err())
        worker = self.keyed(new)
        self.finish(second, worker)

    def test_a_damaged_one_is_not_replaced(self):
        self.hold_job()
        first = self.start_run()
        first.send(signal.SIGKILL)
        first.wait()
        path = Path(str(self.results_path) + ".key")
        for spoil in (lambda: path.chmod(0o644), lambda: (path.chmod(0o600), path.write_bytes(b""))):
            spoil()
            before = path.read_bytes()
            second = self.dispatcher()
            self.assert_ends(second, 78)
            self.assertIn(str(path), second.err())
            self.assertEqual(path.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
