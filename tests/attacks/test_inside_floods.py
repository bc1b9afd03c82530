# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""A peer with a valid key that floods and stalls: memory and descriptors stay bounded, and others go on."""

import os
import random
import shutil
import struct
import subprocess
import time
import unittest

import msgpack
import zmq

from peers import SLACK, Inside, Progress, figure, in_background, memory_mib, raw_connection, wait_until, wire

FAST = ["--worker-timeout", "2s"]
SHARE_LEAST = 0.9 / 4     # of the good worker's speed; promised are 90 %
COMES_IN_WITHIN = 5.0     # a worker, whatever others do
PARTS_TO_FILL = 636       # of 60,000 bytes, from 7 peers: 256 MiB but for 1.3 MB
BOMBS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01",
         b"\x91" * 60_000, b"\xdd\x00\x00\xea\x60" + b"\xc0" * 60_000, b"\xdd\x00\x00\xea\x60" + b"\xdd\xff\xff\xff\xff" * 10,
         b"\xc1", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\xa4\xff\xfe\xfd\xfc", b"\x82\x01\x02\x01\x02",
         b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xd3\x80\0\0\0\0\0\0\0", b"\x91\x9a" + b"\xcf" + b"\xff" * 8]


class Idlers(Inside):
    """A13, E5: it takes jobs, and beats, and does nothing else."""

    def keep(self, peer, seconds, until):
        """Beats with echoes, until `until` or so long. Returns for how long it was."""
        began = time.monotonic()
        while time.monotonic() < began + seconds and not until():
            peer.hear()
            peer.beat()
            time.sleep(0.2)
        return time.monotonic() - began

    def test_one_that_starts_nothing(self):
        self.noops(300)
        dispatcher = self.pool_run(*FAST)
        peer = self.peer("bad", slots=1 << 20).ready()
        self.keep(peer, 10, lambda: len(peer.given) == 300)
        self.assertEqual(len(peer.given), 300)
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "1")
        took = self.keep(peer, 20 * SLACK + 30, lambda: dispatcher.poll() is not None)
        figure(f"a worker of a million slots that starts nothing holds up a run of 300 jobs for {took:.1f} s (20 promised, and some looks)")
        self.assertLess(took, (20 + 1) * SLACK)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(good, 0)
        self.assertRegex(dispatcher.err(), r"worker peer is there but has not started 300 jobs, such as n0, for \d+s: they are given out again")
        self.assertEqual({result["worker"] for result in self.results()}, {"good"})

    def test_one_that_says_that_it_runs_them(self):
        """Nobody can tell that from long jobs. Beyond their timeout it is named, and revoking its key is what helps."""
        self.noops(3, timeout="1s")
        dispatcher = self.pool_run(*FAST)
        peer = self.peer("bad", slots=3).ready()
        self.keep(peer, 10, lambda: len(peer.given) == 3)
        peer.say(wire.BEAT, 0, 0, [[job[0], 1] for job in peer.given])
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "1")
        self.keep(peer, 60, lambda: dispatcher.err().count("its timeout is 1s, but the worker does not end it") == 3)
        self.assertRegex(dispatcher.err(), "job n0 has run on worker peer for .*; its timeout is 1s, but the worker does not end it")
        self.keygen("--revoke", "bad")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(good, 0)
        self.assert_results({f"n{number}": "ok" for number in range(3)})

    def test_that_it_comes_again_and_claims_them_changes_nothing(self):
        self.noops(3)
        dispatcher = self.pool_run(*FAST)
        peer = self.peer("bad", slots=3).ready()
        self.keep(peer, 60, lambda: "has not started 3 jobs" in dispatcher.err())
        peer.try_number += 1
        peer.seq = 0
        peer.open()
        peer.say(wire.HELD, [[job[2], job[3], job[4], 3_600_000_000] for job in peer.given])
        peer.say(wire.READY, True)
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "1")
        took = self.keep(peer, 60, lambda: dispatcher.poll() is not None)
        figure(f"jobs that were taken away, and are claimed again, are done elsewhere after {took:.1f} s")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(good, 0)
        self.assertEqual({result["worker"] for result in self.results()}, {"good"})


class Stalls(Inside):
    """E6: it takes room, and gives nothing."""

    def test_messages_that_are_never_finished(self):
        """They fill what there is for unfinished ones, but for a little; a good worker's long result must get through."""
        self.jobs({"cmd": "head -c 4000000 /dev/zero | tr '\\0' x", "id": "wide"})
        dispatcher = self.pool_run("--capture", "8MiB", *FAST)
        before = self.sizes(dispatcher)
        crowd = [self.peer("bad", name=f"b{number}").open() for number in range(7)]
        for peer in crowd:
            peer.say(wire.HELD, [])
            peer.say(wire.READY, False)
        index = 0
        for index in range(PARTS_TO_FILL):
            for peer in crowd:
                peer.say(wire.PART, index, False, b"x" * 60_000, seq=3)
        for peer in crowd:
            peer.hear()
        wait_until("them to arrive", lambda: memory_mib(dispatcher.pid) > 245, 20)
        self.assert_bounded(dispatcher, before, 256 * 2, what="unfinished messages")
        began = time.monotonic()
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "1")
        while dispatcher.poll() is None and time.monotonic() < began + 10 * 4:
            index += 1
            for peer in crowd:
                peer.say(wire.PART, index, False, b"x" * 1100, seq=3)
                peer.hear()
            time.sleep(1.4)
        figure(f"a result of 4 MB while 7 peers keep 267 MB of parts open: {time.monotonic() - began:.1f} s")
        self.assertIsNotNone(dispatcher.poll(), "no long result gets through\n" + self.all_said()[-2000:])
        self.assert_ends(dispatcher, 0)
        self.assert_ends(good, 0)


class Claims(Inside):
    """libzmq numbers the peers of the registration, from a random start; a peer may claim such a number for itself, and when
    libzmq comes to it, it aborts. So claims must not stay."""

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_the_number_of_a_peer_to_come(self):
        source, library = self.folder / "rand.c", self.folder / "rand.so"
        source.write_text("int rand(void) { return 1; }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        self.hold_job()
        dispatcher = self.pool_run(env={**self.environment, "LD_PRELOAD": str(library)})
        peer = self.peer("bad")
        claimed = peer.dial(zmq.DEALER, self.port, routing_id=b"\0" + struct.pack(">I", 0x80000001 + 60), reconnect_ivl=-1)
        events = claimed.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.sockets.sockets.append(events)
        began = time.monotonic()
        while not events.poll(200):
            claimed.send(b"still here")
            self.assertLess(time.monotonic() - began, 15 * 4, "whoever goes on talking may stay")
        figure(f"a connection to the registration that goes on talking is closed after {time.monotonic() - began:.1f} s")
        for _ in range(120):
            self.peer("bad").ask(msgpack.packb([wire.STATUS, 0, 0, 0, wire.PROTOCOL]))
            self.assertIsNone(dispatcher.poll(), self.all_said())
        self.finish(dispatcher, self.keyed(self.keys["good"]))


class Floods(Inside):
    """A09 to A11, E1, E4, E8: as much as goes, while a good worker works."""

    def start_work(self):
        self.sleeps(200_000)
        self.dispatcher_ = self.pool_run()
        self.good = self.keyed(self.keys["good"], "--name", "good", "--slots", "4")
        self.wait_results(200)
        self.before = self.sizes(self.dispatcher_)

    def flood(self, what, send, grown_most_mib=64, descriptors_most=64, between=lambda: None):
        sent = [0]

        def attack(until):
            while time.monotonic() < until:
                sent[0] += send()
            between()
        share = Progress(self).compare(what, attack)
        self.assertGreater(sent[0], 0)
        self.assertGreater(share, SHARE_LEAST)
        self.assertIsNone(self.dispatcher_.poll(), self.all_said())
        self.assertNotIn("worker good is lost", self.dispatcher_.err())
        self.assert_bounded(self.dispatcher_, self.before, grown_most_mib, descriptors_most, f"{what}, {sent[0]} times")

    def pushed(self, made, frame):
        try:
            made.send_multipart(frame, zmq.DONTWAIT) if isinstance(frame, list) else made.send(frame, zmq.DONTWAIT)
            return 1
        except zmq.Again:
            time.sleep(0.001)
            return 0

    def test_on_the_sink(self):
        self.start_work()
        peer = self.peer("bad").ready()
        body = [[0, b"k" * 16, b"s" * 16, 1, 0, 0, 0, 0, "", "v", True, 0, 0, b"x" * 1000]] * 100

        def beats():
            sent = 0
            for _ in range(100):
                sent += self.pushed(peer.sink, peer.frame(wire.BEAT, 0, 0, []))
            peer.hear()
            return sent
        self.flood("beats", beats)
        self.flood("empty messages", lambda: self.pushed(peer.sink, b""))
        self.flood("messages of 1,000 parts", lambda: self.pushed(peer.sink, [b"x"] * 1000))
        foreign = msgpack.packb([wire.RESULTS, 12345, 6789, 1, body])
        self.flood("frames of another run", lambda: self.pushed(peer.sink, foreign), 128)
        unknown = msgpack.packb([wire.RESULTS, peer.run, 6789, 1, body])
        self.flood("results of a session that is none", lambda: self.pushed(peer.sink, unknown), 128)
        # Whoever brings nothing else is closed, and has to come again.
        peer.sink = peer.dial(zmq.PUSH, peer.sink_port)
        events = peer.sink.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.sockets.sockets.append(events)
        junk = os.urandom(100_000)
        self.flood("junk", lambda: self.pushed(peer.sink, junk), 128)
        self.assertTrue(events.poll(0), "a connection that brings nothing but junk stays")
        self.stop(self.dispatcher_)

    def test_on_the_registration(self):
        self.start_work()
        dealer = self.peer("bad").dial(zmq.DEALER, self.port)
        ask = msgpack.packb([wire.STATUS, 0, 0, 0, wire.PROTOCOL, True])

        def heard():
            while dealer.poll(0):
                dealer.recv()
        self.flood("requests for the status", lambda: self.pushed(dealer, ask), between=heard)
        self.flood("empty messages", lambda: self.pushed(dealer, b""), between=heard)
        # Each HELLO is of another worker, that never comes.
        crowd = self.peer("bad").dial(zmq.DEALER, self.port)

        def hellos():
            sent = self.pushed(crowd, self.peer("bad", name=f"n{random.random()}").hello())
            while crowd.poll(0):
                crowd.recv()
            return sent
        self.flood("HELLOs of ever new workers", hellos, grown_most_mib=256, descriptors_most=20_000)
        with in_background(hellos):
            began = time.monotonic()
            late = self.keyed(self.keys["good"], "--name", "late", "--slots", "1")
            self.wait_status("a good worker comes in", lambda s: "late" in [w["name"] for w in s["workers"]], COMES_IN_WITHIN * SLACK)
            figure(f"a good worker comes in after {time.monotonic() - began:.1f} s, during a flood of HELLOs of another key")
        self.assertIsNone(late.poll())
        self.stop(self.dispatcher_)

    def test_frames_that_are_too_large(self):
        """A10: whole ones through a handshake, and headers without one."""
        self.start_work()

        def large():
            peer = self.peer("bad")
            for kind, port in ((zmq.DEALER, self.port), (zmq.PUSH, self.sink_port)):
                made = peer.dial(kind, port, sndtimeo=100)
                try:
                    made.send(bytes((16 << 20) + 1))
                except zmq.Again:
                    pass
                made.close(linger=50)
            return 1
        self.sink_port = self.peer("bad").register().sink_port
        self.flood("frames of 16 MiB", large, 96)
        greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
        held = []

        def headers():
            made = raw_connection(self.port)
            made.sendall(greeting + b"\x02" + struct.pack(">Q", 8 << 30) + b"x" * 1000)
            held.append(made)
            for other in held[-20:]:
                try:
                    other.sendall(b"x" * 100)
                except OSError:
                    pass
            time.sleep(0.02)
            return 1
        self.flood("headers of 8 GiB", headers, 96, 400)
        for made in held:
            made.close()
        self.stop(self.dispatcher_)

    def test_bombs(self):
        """A11: what unpacks to far more than it is, with and without a header that is right."""
        self.start_work()
        peer = self.peer("bad").ready()

        def bombs():
            sent = 0
            for bomb in BOMBS:
                for kind in (wire.RESULTS, wire.HELD, wire.BEAT, wire.PART, wire.DIED, wire.RETURNED):
                    head = b"\x95" + msgpack.packb(kind) + msgpack.packb(peer.run) + msgpack.packb(peer.session) + msgpack.packb(peer.seq + 1)
                    sent += self.pushed(peer.sink, head + bomb)
                sent += self.pushed(peer.sink, bomb)
            return sent

        def again():
            nonlocal peer
            peer = self.peer("bad").ready()
        self.flood("bombs", bombs, 96, between=again)
        dealer = self.peer("bad").dial(zmq.DEALER, self.port)

        def hellos():
            return sum(self.pushed(dealer, b"\x9d\x01\0\0\0\x01" + bomb) + self.pushed(dealer, bomb) for bomb in BOMBS)
        self.flood("bombs at the registration", hellos, 96)
        self.stop(self.dispatcher_)

    def test_held_of_a_million_jobs(self):
        """E4: what is to be told to a worker that does not listen is bounded."""
        self.start_work()
        page = [[random.randbytes(16), b"s" * 16, 1, 0] for _ in range(1000)]
        for number in range(6):
            peer = self.peer("bad", name=f"many{number}", slots=1 << 20).register()
            sink = peer.dial(zmq.PUSH, peer.sink_port)
            for seq in range(1, 500):
                sink.send(msgpack.packb([wire.HELD, peer.run, peer.session, seq, page]))
        self.assert_bounded(self.dispatcher_, self.before, 320, what="6 times HELD of half a million unknown jobs")
        self.assertNotIn("worker good is lost", self.dispatcher_.err())
        self.stop(self.dispatcher_)

    def test_sessions_without_end(self):
        """E8: a key that registers ever new workers, all the way to READY, which keep silent and come again."""
        self.start_work()
        took = []

        def sessions():
            peer = self.peer("bad", name="many").open()
            peer.say(wire.HELD, [])
            peer.say(wire.READY, True)
            took.append(peer)
            return 1
        self.flood("sessions of ever new workers", sessions, grown_most_mib=256, descriptors_most=20_000)
        figure(f"{len(took)} sessions opened by one key; status lists {self.status()['workers_total']}")
        self.stop(self.dispatcher_)


if __name__ == "__main__":
    unittest.main(verbosity=2)
