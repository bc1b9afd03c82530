# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""A peer with a valid key that lies, about others and about itself: nothing false is recorded, and nobody else's work changes."""

import os
import random
import unittest
from pathlib import Path

import msgpack
import zmq

from peers import FAILED, OK, Handshakes, Inside, figure, wire


class ForAnother(Inside):
    """A04, A05: a session belongs to its key."""

    def test_the_lane_of_another(self):
        self.hold_job()
        dispatcher = self.pool_run()
        worker = self.keyed(self.keys["good"], "--slots", "1", "--name", "good")
        self.wait_status("the job to run", lambda s: s["jobs"]["running"] == 1)
        hostile = self.peer("bad")
        ends = {}
        for port in self.ports(dispatcher)[1]:
            made = self.sockets.make(zmq.PULL)
            self.keys["bad"].secure(made)
            events = Handshakes(self.sockets, made)
            made.connect(f"tcp://127.0.0.1:{port}")
            ends[port] = events.end()
        self.assertEqual(sorted(ends.values())[-1], Handshakes.FAILED_AUTH)    # the lane
        self.assertNotIn(Handshakes.FAILED_AUTH, sorted(ends.values())[:-1])   # the sink, which is for all
        dispatcher.says(f"its key {self.keys['bad'].fingerprint()} is not that of the worker whose jobs it wants")
        self.assertIsNotNone(hostile)
        self.finish(dispatcher, worker)
        self.assertEqual(self.by_id()["long"]["worker"], "good")

    def speak_for(self, hostile, victim, job):
        """Everything that one can say, in the session of another, with the number that comes next there, and others."""
        handle, _, key, spec, attempt = job[:5]
        stolen = {"run": victim.run, "session": victim.session}
        words = [(wire.RESULTS, [[handle, key, spec, attempt, 0, 0, OK]]), (wire.RESULTS, [[handle, key, spec, attempt, 0, 0, FAILED, 1]]),
                 (wire.RESULTS, [[0, key, spec, attempt, 0, 0, OK]]), (wire.RETURNED, [[handle, key, spec, attempt, 0]]),
                 (wire.RETURNED, [[handle, key, spec, attempt, 1]]), (wire.DIED, [[1, "signal 11", [key]]]), (wire.READY, False),
                 (wire.HELD, []), (wire.BEAT, 0, 0, [], [handle]), (wire.PART, 0, False, b"x" * 2000), (wire.GOODBYE,)]
        for seq in (victim.seq + 1, 1, 2**63, 0):
            for kind, *fields in words:
                hostile.say(kind, *fields, seq=seq, **stolen)

    def test_what_is_said_in_the_session_of_another(self):
        self.noops(1)
        dispatcher = self.pool_run()
        victim = self.peer("good", name="victim", engine=2).ready()
        job, = victim.take(1)
        hostile = self.peer("bad", name="hostile").ready()
        self.speak_for(hostile, victim, job)
        hostile.beat()
        hostile.live(lambda: hostile.acked >= hostile.seq - 1, "an ack of what it has said for itself")
        dispatcher.says("a peer with the key of 'bad' speaks for worker victim, which has another key; what it says does not count")
        self.assertEqual(dispatcher.err().count("speaks for worker"), 1, "said once")
        self.assertEqual(self.result_count(), 0)
        status = self.status()
        self.assertEqual((status["jobs"]["held"], status["jobs"]["redelivered"], status["jobs"]["retried"]), (1, 0, 0), status)
        victim.beat()
        self.true_result(victim, job)
        victim.live(self.result_count, "the true result")
        self.assert_ends(dispatcher, 0)
        self.assertEqual((self.by_id()["n0"]["worker"], self.by_id()["n0"]["attempt"]), ("victim", 1))

    def test_sessions_that_are_guessed(self):
        self.noops(1)
        dispatcher = self.pool_run()
        victim = self.peer("good", name="victim").ready()
        job, = victim.take(1)
        hostile = self.peer("bad", name="hostile").ready()
        for session in (0, 1, victim.session ^ 1, 2**64 - 1, *[random.getrandbits(64) for _ in range(200)]):
            self.true_result(hostile, job, session=session, seq=1)
            hostile.say(wire.GOODBYE, session=session, seq=1)
        hostile.live(lambda: hostile.acked >= hostile.seq - 1, "an ack of its own")
        self.assertEqual(self.result_count(), 0)
        self.true_result(victim, job)
        self.assert_ends(dispatcher, 0)
        self.assertEqual(self.by_id()["n0"]["worker"], "victim")

    def test_the_id_of_another(self):
        self.noops(1)
        dispatcher = self.pool_run()
        victim = self.peer("good", name="victim").ready()
        job, = victim.take(1)
        for fields in ({"try_number": 2}, {"engine": 9}, {"try_number": 2**31}):
            answer = self.peer("bad", name="victim", worker=victim.worker, **fields).ask()
            self.assertEqual((answer[0], answer[5]), (wire.REFUSED, 77), answer)
            self.assertIn(b"belongs to a worker with another key", answer[6].encode())
        victim.beat()
        self.true_result(victim, job)
        self.assert_ends(dispatcher, 0)
        self.assertEqual((self.by_id()["n0"]["worker"], self.by_id()["n0"]["attempt"]), ("victim", 1))


    def test_the_id_of_another_after_a_restart(self):
        """Ids stand in RESULTS.state, with the keys that they belong to."""
        self.noops(1)
        first = self.pool_run("--worker-timeout", "2s")
        victim = self.peer("good", name="victim").ready()
        victim.take(1)
        first.send(9)
        first.wait()
        self.assertIn(f'"worker":"{victim.worker:016x}","name":"victim","key":"', Path(f"{self.results_path}.state").read_text())
        dispatcher = self.pool_run("--worker-timeout", "2s")
        answer = self.peer("bad", name="victim", worker=victim.worker, engine=9).ask()
        self.assertEqual((answer[0], answer[5]), (wire.REFUSED, 77), answer)
        self.assertIn(b"belongs to a worker with another key", answer[6].encode())
        again = self.peer("good", name="victim", worker=victim.worker, try_number=2).ready()
        job, = again.take(1)
        self.true_result(again, job)
        self.assert_ends(dispatcher, 0)
        self.assertEqual(self.by_id()["n0"]["worker"], "victim")


class Lies(Inside):
    """A06, A07, E2, E3, E7, E11: about jobs, and about itself."""

    def start_with_victim(self, count=2):
        self.noops(count)
        dispatcher = self.pool_run()
        victim = self.peer("good", name="victim", slots=count).ready()
        return dispatcher, victim, victim.take(count)

    def let_finish(self, dispatcher, victim, jobs):
        status = self.status()
        self.assertEqual((self.result_count(), status["jobs"]["held"], status["jobs"]["redelivered"], status["jobs"]["quarantined"]),
                         (0, len(jobs), 0, 0), (status, dispatcher.err()))
        self.assertEqual([m for m in victim.hear(0.1) if m[0] in (wire.CANCEL, wire.END, wire.RECALL)], [])
        for job in jobs:
            self.true_result(victim, job)
        self.assert_ends(dispatcher, 0)
        self.assertEqual({(r["worker"], r["attempt"], r["status"]) for r in self.results()}, {("victim", 1, "ok")})
        self.assert_verified()

    def test_results_of_jobs_that_it_never_had(self):
        dispatcher, victim, jobs = self.start_with_victim()
        for status in (OK, FAILED, 2):
            for attempt in (0, 1, 2, 2**31, 2**32 - 1):
                hostile = self.peer("bad", name="hostile").ready()
                for handle, _, key, spec, *_ in jobs:
                    for named in (0, handle, 2**40 + 1):
                        hostile.say(wire.RESULTS, [[named, key, spec, attempt, 0, 0, status] + ([] if status == OK else [1])])
                hostile.say(wire.RESULTS, [[0, os.urandom(16), os.urandom(16), attempt, 0, 0, OK]])
                hostile.beat()
                hostile.hear(0.02)
                victim.beat()
                victim.hear()
                hostile.leave()
        self.let_finish(dispatcher, victim, jobs)

    def test_a_result_again_and_again(self):
        self.noops(3)
        dispatcher = self.pool_run()
        hostile = self.peer("bad", name="hostile").ready()
        hostile.take(1)
        first = hostile.given[0]
        for _ in range(50):
            self.true_result(hostile, first)
            hostile.say(wire.RESULTS, [[first[0], first[2], first[3], first[4], 0, 1000, FAILED, 1]])
        hostile.take(2)
        old = (hostile.run, hostile.session)
        again = self.peer("bad", name="hostile", worker=hostile.worker, try_number=2).ready()
        for _ in range(50):
            self.true_result(hostile, first, run=old[0], session=old[1])   # in the session before
            again.say(wire.RESULTS, [[0, first[2], first[3], first[4], 0, 0, OK]])
        seen = set()
        while dispatcher.poll() is None:
            again.beat()
            again.hear(0.05)
            for job in again.given:
                if job[0] not in seen:
                    seen.add(job[0])
                    self.true_result(again, job)
        self.assert_ends(dispatcher, 0)
        self.assert_results({f"n{number}": "ok" for number in range(3)})
        self.assert_verified()

    def test_deaths_of_jobs_that_it_never_had(self):
        dispatcher, victim, jobs = self.start_with_victim()
        hostile = self.peer("bad", name="hostile", engine=1000)
        hostile.open()
        for engine in range(1, 200):
            hostile.say(wire.DIED, [[engine, "signal 9", [job[2]]] for job in jobs] + [[engine, "signal 9", [os.urandom(16)] * 50]])
        hostile.say(wire.HELD, [])
        hostile.say(wire.READY, True)
        hostile.live(lambda: hostile.acked >= 199, "an ack")
        victim.beat()
        self.let_finish(dispatcher, victim, jobs)

    def test_held_jobs_of_another(self):
        dispatcher, victim, jobs = self.start_with_victim()
        for elapsed in (0, 3_600_000_000, 2**62):
            for attempt in (1, 2, 2**32 - 1):
                hostile = self.peer("bad", name="hostile", slots=4).open()
                hostile.say(wire.HELD, [[job[2], job[3], attempt, elapsed] for job in jobs])
                hostile.say(wire.READY, True)
                hostile.say(wire.HELD, [[job[2], job[3], attempt, elapsed] for job in jobs])
                hostile.hear(0.05)
                hostile.leave()
                victim.beat()
        self.let_finish(dispatcher, victim, jobs)

    def test_held_jobs_of_another_after_a_restart(self):
        """The dispatcher has forgotten who had what, and takes the word of those whom it knew."""
        self.noops(2)
        first = self.pool_run()
        victim = self.peer("good", name="victim", slots=2).ready()
        jobs = list(victim.take(2))
        hostile = self.peer("bad", name="hostile", slots=2).ready()
        hostile.live(lambda: hostile.acked >= 2, "its name")
        first.send(9)
        first.wait()
        second = self.pool_run()
        back = self.peer("good", name="victim", slots=2, worker=victim.worker, try_number=2).open()
        back.say(wire.HELD, [[job[2], job[3], job[4], 5_000_000] for job in jobs])
        back.say(wire.READY, True)
        back.live(lambda: self.status()["jobs"]["running"] == 2, "both to run")
        hostile = self.peer("bad", name="hostile", slots=2, worker=hostile.worker, try_number=2).open()
        hostile.say(wire.HELD, [[job[2], job[3], job[4], 3_600_000_000] for job in jobs])
        hostile.say(wire.READY, True)
        hostile.hear(0.3)
        cancelled = [message for message in back.hear(0.3) if message[0] == wire.CANCEL]
        figure(f"after a restart, a hostile HELD has {len(cancelled)} CANCEL sent to the worker that runs the jobs")
        for job in jobs:
            back.say(wire.RESULTS, [[0, job[2], job[3], job[4], 0, 1000, OK]])
        self.assert_ends(second, 0)
        self.assertEqual({result["worker"] for result in self.results()}, {"victim"})
        self.assertEqual(cancelled, [], "what another runs is taken from it")

    def test_names(self):
        self.noops(1)
        dispatcher = self.pool_run()
        victim = self.peer("good", name="victim").ready()
        job, = victim.take(1)
        for name, answer_is in (("victim", wire.WELCOME), ("../../etc/passwd", wire.WELCOME), ("a\nb", wire.WELCOME),
                                ("\x1b[2J\x1b]52;c;aGk=\x07", wire.WELCOME), ("\u202eabc", wire.WELCOME), ("", wire.REFUSED),
                                (b"\xff\xfe", wire.REFUSED), ("x" * 64, wire.WELCOME)):
            peer = self.peer("bad", name=name)
            answer = peer.ask()
            self.assertEqual(answer[0], answer_is, (name, answer))
            if answer_is == wire.WELCOME:
                self.assertNotEqual(answer[7], "victim")
        for name in ("x" * 1000, "x" * 4000):
            peer = self.peer("bad", name=name)
            dealer = peer.dial(zmq.DEALER, self.port)
            dealer.rcvtimeo = 300
            dealer.send(peer.hello())
            try:
                answer = msgpack.unpackb(dealer.recv())
                self.assertLessEqual(len(answer[7]), 80, answer)
            except zmq.Again:
                pass     # no answer
        text = dispatcher.err()
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\u202e", text)
        victim.beat()
        self.true_result(victim, job)
        self.assert_ends(dispatcher, 0)
        self.assertEqual(self.by_id()["n0"]["worker"], "victim")

    def test_numbers_that_are_too_large(self):
        dispatcher, victim, jobs = self.start_with_victim()
        for echo in (2**63, 2**64 - 1, 2**62, 1):
            for held in (0, 2**63, 2**64 - 1):
                hostile = self.peer("bad", name="hostile", slots=3).ready()
                hostile.say(wire.BEAT, echo, held, [[2**32, 2**63]])
                hostile.say(wire.BEAT, echo, held, [], [2**64 - 1, 0])
                hostile.say(wire.RETURNED, [[2**64 - 1, b"k" * 16, b"s" * 16, 2**32 - 1, 0]])
                hostile.say(wire.RESULTS, [[1, b"k" * 16, b"s" * 16, 1, 2**64 - 1, 2**64 - 1, 0]])
                hostile.hear(0.02)
                hostile.leave()
        victim.beat()
        self.let_finish(dispatcher, victim, jobs)


if __name__ == "__main__":
    unittest.main(verbosity=2)
