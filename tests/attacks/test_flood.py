# SPDX-License-Identifier: MIT
# ctest: timeout 300
# ctest: serial
"""Who has no key, in great numbers and in between: floods of connections, a man in the middle, and older protocols."""

import os
import re
import resource
import selectors
import socket
import struct
import threading
import time
import unittest

import msgpack
import zmq
from zmq.utils import z85

from peers import SLACK, Key, Progress, Secured, descriptors, figure, memory_mib, raw_connection, wait_until, wire

SHARE_LEAST = 0.9 / 4   # of the good worker's speed; promised are 90 %
BATCH = 1000
CONNECTIONS = 20_000
SIGNATURE = b"\xff\0\0\0\0\0\0\0\x01\x7f"
CURVE_GREETING = SIGNATURE + b"\x03\0" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
NULL_GREETING = SIGNATURE + b"\x03\0" + b"NULL".ljust(20, b"\0") + b"\0" * 32
CURVE_HELLO = b"\x04\xc8\x05HELLO\x01\0" + b"\0" * 72 + b"\x11" * 120
HANDSHAKE_S = 5
FAST = ["--worker-timeout", "2s"]


def drop(connection):
    """Closes it so that nothing of it stays, not even its port."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Connections(Secured):
    """A08."""

    def setUp(self):
        super().setUp()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def test_20000_of_them(self):
        self.jobs(*[{"type": "sleep", "args": {"for": "5ms"}, "id": f"s{number}"} for number in range(100_000)])
        dispatcher = self.pool_run()
        good = self.keyed(self.keys["good"], "--name", "good", "--slots", "4")
        self.wait_results(200)
        memory, open_files = memory_mib(dispatcher.pid), descriptors(dispatcher.pid)
        registration, others = self.ports(dispatcher)
        peak = [0]
        total = 0
        for what, data in (("silent", b""), ("half of a greeting", SIGNATURE), ("no key", NULL_GREETING),
                           ("half of a handshake", CURVE_GREETING + CURVE_HELLO[:50]), ("a wrong HELLO", CURVE_GREETING + CURVE_HELLO),
                           ("garbage", os.urandom(300))):
            made = 0

            def attack(until, data=data):
                nonlocal made
                held = []
                try:
                    while time.monotonic() < until and len(held) < BATCH:
                        connection = raw_connection((registration, *others)[len(held) % (1 + len(others))])
                        held.append(connection)
                        try:
                            connection.sendall(data)
                        except OSError:
                            pass
                    while time.monotonic() < until:
                        time.sleep(0.01)
                    peak[0] = max(peak[0], descriptors(dispatcher.pid))
                finally:
                    made += len(held)
                    for connection in held:
                        drop(connection)
            share = Progress(self, turns=CONNECTIONS // BATCH // 6 + 1, seconds=0.7).compare(f"connections with {what}", attack)
            self.assertGreater(share, SHARE_LEAST)
            total += made
        self.assertIsNone(dispatcher.poll(), self.all_said())
        self.assertNotIn("worker good is lost", dispatcher.err())
        self.assertNotIn("refused_frames", dispatcher.err())
        began = time.monotonic()
        wait_until(lambda: f"descriptors to come back to {open_files}: {descriptors(dispatcher.pid)}",
                   lambda: descriptors(dispatcher.pid) <= open_files + 4, HANDSHAKE_S * SLACK)
        now = memory_mib(dispatcher.pid)
        figure(f"{total} connections: {peak[0]} descriptors at most, back at {open_files} after {time.monotonic() - began:.1f} s; "
               f"memory {memory} MiB before, {now} MiB after")
        self.assertGreater(total, CONNECTIONS / 4, "the machine is too slow for a flood")
        self.assertLess(now, memory + 64)
        late = self.keyed(self.keys["good"], "--name", "late", "--slots", "1")
        self.wait_workers("good", "late")
        self.assertIsNone(late.poll())
        self.assertIsNone(good.poll())

    def test_a_worker_comes_in_during_a_flood(self):
        self.hold_job()
        dispatcher = self.pool_run()
        stop = threading.Event()
        made = [0]

        def flood():
            held = []
            while not stop.is_set():
                try:
                    connection = raw_connection(self.port)
                    connection.sendall(CURVE_GREETING[:made[0] % 64])
                except OSError:
                    continue
                held.append(connection)
                made[0] += 1
                if len(held) > 600:
                    drop(held.pop(0))
            for connection in held:
                drop(connection)
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            wait_until("a flood", lambda: made[0] > 3000)
            began = time.monotonic()
            worker = self.keyed(self.keys["good"], "--name", "w")
            self.wait_workers("w")
            took = time.monotonic() - began
            # Descriptors of strangers become those of lanes, and back.
            lanes = 0
            while time.monotonic() < began + 6:
                try:
                    lanes += self.peer("bad", name="lane").ask()[0] == wire.WELCOME
                except zmq.Again:
                    pass
                self.assertIsNone(dispatcher.poll(), self.all_said())
        finally:
            stop.set()
            thread.join()
        figure(f"a worker came in after {took:.1f} s, during a flood of {made[0]} connections; {lanes} lanes were opened, {descriptors(dispatcher.pid)} descriptors")
        self.assertLess(took, (HANDSHAKE_S + 5) * SLACK)
        self.finish(dispatcher, worker)

    def test_one_byte_a_second(self):
        """A slow handshake ends after 5 s, however it goes on."""
        self.hold_job()
        dispatcher = self.pool_run()
        slow = [raw_connection(self.port) for _ in range(50)]
        began = time.monotonic()
        closed = {}
        data = CURVE_GREETING + CURVE_HELLO
        for at in range(len(data)):
            for number, connection in enumerate(slow):
                if number in closed:
                    continue
                try:
                    connection.sendall(data[at:at + 1])
                    connection.setblocking(False)
                    while True:
                        if not connection.recv(4096):
                            raise ConnectionResetError
                except BlockingIOError:
                    pass
                except OSError:
                    closed[number] = time.monotonic() - began
            if len(closed) == len(slow) or time.monotonic() - began > HANDSHAKE_S * SLACK:
                break
            time.sleep(0.25)
        for connection in slow:
            drop(connection)
        self.assertEqual(len(closed), len(slow), "a handshake may take for ever")
        figure(f"50 handshakes of a byte each 250 ms: closed after {max(closed.values()):.1f} s at most")
        self.finish(dispatcher, self.keyed(self.keys["good"]))


class Between:
    """A man in the middle: forwards HOST:PORT to 127.0.0.1:PORT, for all of these ports, and may change what passes."""

    HOST = "127.0.0.2"

    def __init__(self, ports, change=None):
        self.change = change or (lambda up, data, at, connection: data)
        self.recorded = []      # per connection: port, [(is up, bytes)]
        self.stop = threading.Event()
        self.listeners = []
        for port in ports:
            listener = socket.create_server((self.HOST, port), backlog=64)
            self.listeners.append(listener)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        chosen = selectors.DefaultSelector()
        for listener in self.listeners:
            chosen.register(listener, selectors.EVENT_READ, None)
        pairs = {}
        while not self.stop.is_set():
            for key, _ in chosen.select(0.05):
                if key.data is None:
                    client, _ = key.fileobj.accept()
                    port = key.fileobj.getsockname()[1]
                    try:
                        server = socket.create_connection(("127.0.0.1", port), timeout=5)
                    except OSError:
                        client.close()
                        continue
                    record = (port, [], {True: 0, False: 0})
                    self.recorded.append(record)
                    number = len(self.recorded) - 1
                    for one, other, up in ((client, server, True), (server, client, False)):
                        one.setblocking(True)
                        chosen.register(one, selectors.EVENT_READ, (other, up, record, number))
                        pairs[one] = other
                    continue
                other, up, record, number = key.data
                try:
                    data = key.fileobj.recv(65536)
                    if data:
                        record[1].append((up, data))
                        passed = self.change(up, data, record[2][up], number)
                        record[2][up] += len(data)
                        if passed is not None:
                            other.sendall(passed)
                            continue
                except OSError:
                    pass
                for end in (key.fileobj, other):
                    if end in pairs:
                        chosen.unregister(end)
                        del pairs[end]
                        end.close()
        for end in pairs:
            end.close()

    def close(self):
        self.stop.set()
        self.thread.join()
        for listener in self.listeners:
            listener.close()

    def said(self, number, up):
        return b"".join(data for was_up, data in self.recorded[number][1] if was_up == up)


class InBetween(Secured):
    """A12."""

    def setUp(self):
        super().setUp()
        self.low = self.port + 1 if self.port % 2 else self.port + 2
        self.range = (self.low, self.low + 9)

    def run_through(self, change=None, *flags):
        dispatcher = self.pool_run("--ports", f"{self.range[0]}-{self.range[1]}", *flags)
        between = Between([self.port, *range(self.range[0], self.range[1] + 1)], change)
        self.addCleanup(between.close)
        return dispatcher, between

    def worker_through(self, *flags):
        return self.keyed(self.keys["good"], "--slots", "1", *flags, address=f"tcp://{Between.HOST}:{self.port}")

    def test_it_reads_nothing_and_can_play_nothing_back(self):
        canary = os.urandom(16).hex()
        self.jobs({"cmd": f"echo {canary}; while [ ! -e {self.folder}/go ]; do sleep 0.05; done", "id": "secret-id"})
        dispatcher, between = self.run_through()
        worker = self.worker_through("--name", "secret-name")
        self.wait_status("the job to run", lambda s: s["jobs"]["running"] == 1)
        wait_until("all three connections", lambda: sum(1 for number in range(len(between.recorded)) if len(between.said(number, False)) > 300) >= 2)
        everything = b"".join(data for _, parts, _ in between.recorded for _, data in parts)
        self.assertGreater(len(everything), 1500)
        for word in (canary, "secret-id", "secret-name", self.keys["good"].text()[4:20]):
            self.assertNotIn(word.encode(), everything)
        before = self.status()
        replayed = 0
        for number, (port, parts, _) in enumerate(list(between.recorded)):
            said = between.said(number, True)
            if len(said) <= 64:
                continue
            connection = raw_connection(port)
            connection.settimeout(HANDSHAKE_S * SLACK)
            connection.sendall(said)
            answer = b""
            try:
                while piece := connection.recv(4096):
                    answer += piece
            except ConnectionResetError:
                pass
            connection.close()
            replayed += 1
            # The greeting, and WELCOME with another key than then. No READY.
            self.assertNotIn(b"READY", answer)
            self.assertLess(len(answer), 64 + 200)
        self.assertGreaterEqual(replayed, 3)
        figure(f"{replayed} recorded connections played back: closed each time")
        after = self.status()
        self.assertEqual([w["name"] for w in after["workers"]], ["secret-name"])
        self.assertEqual(before["jobs"], {**after["jobs"]})
        self.assertNotIn("refused_frames", dispatcher.err())
        self.finish(dispatcher, worker, statuses={"secret-id": "ok"})

    def test_bits_that_are_flipped(self):
        """One bit of each connection, at ever other places: it is dropped, and the work goes on."""
        self.jobs(*[{"cmd": ["echo", f"{number}"], "id": f"j{number}"} for number in range(40)])
        flipped = []

        def flip(up, data, at, number):
            place = 70 + 37 * number
            if number >= 12 or up != (number % 2 == 0) or not at <= place < at + len(data):
                return data
            flipped.append(number)
            changed = bytearray(data)
            changed[place - at] ^= 1 << number % 8
            return bytes(changed)
        dispatcher, between = self.run_through(flip, *FAST)
        # A change in the handshake looks like a key for another dispatcher.
        worker = self.worker_through("--keep")
        self.assert_ends(dispatcher, 0)
        figure(f"a bit flipped in {len(flipped)} of {len(between.recorded)} connections")
        self.assertGreaterEqual(len(flipped), 3)
        self.assertIsNone(worker.poll())
        for name, result in self.by_id().items():
            self.assertEqual((result["status"], result["stdout"]), ("ok", name[1:] + "\n"))
        self.assertNotIn("refused_frames", dispatcher.err())
        self.assert_verified()

    def test_what_belongs_to_another_connection(self):
        """From some byte on, each connection gets what the one before got."""
        self.jobs(*[{"cmd": ["echo", f"{number}"], "id": f"j{number}"} for number in range(20)])
        spliced = []

        def splice(up, data, at, number):
            if 1 <= number <= 8 and at >= 64 and number not in spliced:
                for other in range(number - 1, -1, -1):
                    if stolen := between.said(other, up)[at:at + len(data)]:
                        spliced.append(number)
                        return stolen
            return data
        dispatcher, between = self.run_through(splice, *FAST)
        worker = self.worker_through("--keep")
        self.assert_ends(dispatcher, 0)
        figure(f"{len(spliced)} connections were given what belongs to another")
        self.assertGreaterEqual(len(spliced), 1)
        self.assertIsNone(worker.poll())
        self.assertEqual({result["status"] for result in self.results()}, {"ok"})
        self.assertNotIn("refused_frames", dispatcher.err())

    def refuses_to_talk(self, change, *codes):
        """Whatever the greeting is made, the worker says nothing but greetings, and the dispatcher lets nothing in."""
        self.hold_job()
        dispatcher, between = self.run_through(change)
        worker = self.worker_through("--name", "secret-name", "--orphan-grace", "4s")
        began = time.monotonic()
        code = worker.wait(HANDSHAKE_S * SLACK)
        figure(f"worker gone with {code} after {time.monotonic() - began:.1f} s: {worker.err().splitlines()[-2][:200]}")
        self.assertIn(code, codes, self.all_said())
        self.assertGreater(len(between.recorded), 0)
        for number in range(len(between.recorded)):
            up = between.said(number, True)
            self.assertNotIn(b"secret-name", up)
            # In the open there is nothing but a greeting: a HELLO of CURVE follows only to where CURVE was said.
            if len(up) > 64:
                self.assertIn(b"\x05HELLO", up[64:74])
        self.assertEqual(self.status()["workers"], [])
        self.assertNotIn("refused_frames", dispatcher.err())
        between.close()
        self.finish(dispatcher, self.keyed(self.keys["good"]))

    def test_a_dispatcher_that_is_made_to_say_null(self):
        self.refuses_to_talk(lambda up, data, at, number: data if up else data.replace(b"CURVE", b"NULL\0"), 77)

    def test_a_worker_that_is_made_to_say_null(self):
        self.refuses_to_talk(lambda up, data, at, number: data.replace(b"CURVE", b"NULL\0") if up else data, 77, 69)

    def test_both_are_made_to_say_null(self):
        self.refuses_to_talk(lambda up, data, at, number: data.replace(b"CURVE", b"NULL\0"), 77)

    def test_zmtp_2(self):
        def older(up, data, at, number):
            changed = bytearray(data)
            for place in range(10, 12):
                if at <= place < at + len(data):
                    changed[place - at] = 1 if place == 10 else 0
            return bytes(changed)
        self.refuses_to_talk(older, 77, 69)


class Older(Secured):
    """A12 and A22: older versions of ZMTP and of our own protocol."""

    def test_older_zmtp(self):
        """Versions before 3 know no keys."""
        self.hold_job()
        dispatcher = self.pool_run()
        worker = self.keyed(self.keys["good"], "--name", "good", "--slots", "1")
        self.wait_workers("good")
        frame = wire.hello(name="old")
        short = bytes([len(frame) + 1, 0]) + frame
        registration, others = self.ports(dispatcher)
        for port in (registration, *others):
            for kind in (0x05, 0x08, 0x07):
                for greeting in (SIGNATURE + bytes([1, kind, 0, 0]), SIGNATURE + bytes([2, kind, 0, 0]), SIGNATURE + b"\0" + bytes([kind, 0, 0]),
                                 b"\x01\0", b"\x05\0abcd"):
                    with self.subTest(port=port, kind=kind, greeting=greeting):
                        connection = raw_connection(port)
                        connection.settimeout(HANDSHAKE_S * SLACK)
                        connection.sendall(greeting + bytes([0, len(frame)]) + frame + short * 3)
                        try:
                            while piece := connection.recv(4096):
                                self.assertNotIn(b"old", piece)
                        except ConnectionResetError:
                            pass
                        connection.close()
        self.assertEqual([w["name"] for w in self.status()["workers"]], ["good"])
        self.assertNotIn("refused_frames", dispatcher.err())
        self.finish(dispatcher, worker)

    def test_a_worker_of_another_protocol(self):
        self.hold_job()
        dispatcher = self.pool_run()
        for protocol in (0, 2, 2**31):
            message = msgpack.packb([wire.HELLO, 0, 0, 0, protocol, "9.9.9", 77, 1, 1, "old", 1, ["noop"], []])
            answer = self.peer("bad").ask(message)
            self.assertEqual((answer[0], answer[4], answer[5]), (wire.REFUSED, wire.PROTOCOL, 76), answer)
            self.assertIn("install the same version", answer[6])
            self.assertIn(f"protocol {protocol}", answer[6])
            self.assertNotIn("(version )", answer[6])
            # The rest of it may be of any shape.
            answer = self.peer("bad").ask(msgpack.packb([wire.HELLO, 0, 0, 0, protocol]) if protocol != 0 else message)
            self.assertEqual((answer[0], answer[5]), (wire.REFUSED, 76), answer)
        self.assertEqual(self.status()["workers"], [])
        self.finish(dispatcher, self.keyed(self.keys["good"]))

    def test_a_dispatcher_of_another_protocol(self):
        """With the right key, so it is believed that it is an older one."""
        public, secret = zmq.curve_keypair()
        key = Key(z85.decode(public), self.keys["good"].secret)
        for answer, code in ((wire.welcome(protocol=0), 76), (wire.welcome(protocol=2), 76), (wire.refused(76, "this is protocol 0"), 76)):
            with wire.Sockets() as sockets:
                router = sockets.make(zmq.ROUTER)
                router.curve_server, router.curve_publickey, router.curve_secretkey = True, public, secret
                router.bind(self.address)
                worker = self.keyed(key)
                peer, _ = router.recv_multipart()
                router.send_multipart([peer, answer])
                self.assert_ends(worker, code, 5 * SLACK)
                self.assertIsNotNone(re.search(r"protocol", worker.err()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
