# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Random bytes at each open port, raw and after a proper handshake: nothing dies, nothing is recorded."""

import random
import struct
import time
import unittest

import msgpack
import zmq

import workpool_wire as wire
from workpool_testing import System, figure, wait_until

FAST = ["--worker-timeout", "2s"]
GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL" + b"\0" * 16 + b"\0" + b"\0" * 31
BOMBS = [b"", b"\0", b"\xc1", b"\xdd\x7f\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
         b"\xc9\xff\xff\xff\xff\x01", b"\x91" * 5000, b"\x9f" + b"\xc0" * 15, b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xa4\xff\xfe\xfd\xfc"]


def random_value(chance, depth=0):
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return chance.choice([0, 1, -1, 2**32, 2**63, 2**64 - 1, chance.getrandbits(16)])
    if kind == 1:
        return chance.choice([None, True, False])
    if kind == 2:
        return chance.choice([0.0, -1.5, float("inf"), float("nan")])
    if kind == 3:
        return chance.randbytes(chance.choice([0, 1, 15, 16, 17, 300]))
    if kind == 4:
        return chance.choice(["", "noop", "a" * 5000])
    if kind == 5:
        return 0
    return [random_value(chance, depth + 1) for _ in range(chance.randrange(5))]


def frames(seed, run=0, session=0):
    """What a stranger, a broken worker or an attacker might send; the header may be right."""
    chance = random.Random(seed)
    yield from BOMBS
    for kind in (*range(1, 7), *range(10, 17), *range(20, 26), 255, 2**32 - 1):
        for _ in range(4):
            body = [random_value(chance) for _ in range(chance.randrange(12))]
            yield msgpack.packb([kind, run, session, chance.choice([0, 1, 2, 2**63]), *body])
    whole = wire.hello()
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed[:chance.randrange(1, len(changed) + 1)])
    for size in (1, 10, 100, 1000, 60_000, 128 * 1024, 200_000):
        yield chance.randbytes(size)


class Garbage(System):
    insecure = True

    def start_pool(self):
        """A run that goes on until its file `go` is there, with one worker; the ports that are open."""
        self.jobs({"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.02; done", "id": "long"})
        self.pool = self.dispatcher(*FAST)
        self.mate = self.worker("--slots", "1", "--name", "true")
        self.wait_status("the job to run", lambda s: s["jobs"]["running"] == 1)
        return sorted(wire.listening_ports(self.pool.pid))

    def finish_pool(self):
        """All is as if nothing had come."""
        self.assertIsNone(self.pool.poll(), self.all_said())
        self.assertEqual(self.result_count(), 0)
        status = self.wait_status("only the true worker", lambda s: [w["name"] for w in s["workers"]] == ["true"])
        self.assertEqual(status["jobs"]["done"], 0)
        (self.folder / "go").touch()
        self.assert_ends(self.pool, 0)
        self.assert_ends(self.mate, 0)
        self.assert_results({"long": "ok"})
        self.assertEqual(self.by_id()["long"]["attempt"], 1)
        # A mutated HELLO may still be one, of a worker that then says no more; the true one is never lost.
        self.assertNotIn("worker true is lost", self.pool.err())

    def test_plain_tcp(self):
        ports = self.start_pool()
        self.assertEqual(len(ports), 3)          # registration, sink, a lane
        chance = random.Random(1)
        sent = 0
        for port in ports:
            for data in [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, GREETING, GREETING + b"\x04\x26\x05READY" + b"\xff" * 40,
                         GREETING + b"\x02" + struct.pack(">Q", 2**63) + b"x" * 100, GREETING[:20],
                         *[chance.randbytes(chance.choice([1, 64, 5000])) for _ in range(8)]]:
                wire.send_bytes(port, data)
                sent += 1
        figure(f"{sent} times random bytes at {len(ports)} ports")
        self.finish_pool()

    def test_after_a_handshake(self):
        ports = self.start_pool()
        sent = 0
        with wire.Sockets() as sockets:
            for port in ports:
                for kind in (zmq.PUSH, zmq.DEALER, zmq.REQ, zmq.PULL, zmq.SUB):
                    dialled = sockets.dial(kind, f"tcp://127.0.0.1:{port}")
                    dialled.sndtimeo = 200
                    for data in frames(port * 10 + kind) if kind in (zmq.PUSH, zmq.DEALER) else [b"x"] if kind == zmq.REQ else []:
                        try:
                            dialled.send(data)
                            dialled.send_multipart([data, b"", data])
                            sent += 2
                        except zmq.ZMQError:
                            break                # not a peer of this kind
            time.sleep(0.5)                      # for what is still in the sockets; nothing is waited for
        figure(f"{sent} frames after a handshake")
        self.assertGreater(sent, 300)
        self.assertIn("refused_frames", self.pool.err())
        self.finish_pool()

    def test_a_registered_worker_goes_mad(self):
        self.start_pool()
        with wire.Sockets() as sockets:
            for round_number in range(6):
                answer = sockets.register(self.address, name=f"mad{round_number}", worker=1000 + round_number)
                self.assertEqual(answer[0], wire.WELCOME)
                run, session, lane_port, sink_port = answer[5], answer[6], answer[8], answer[9]
                lane = sockets.dial(zmq.PULL, f"tcp://127.0.0.1:{lane_port}")
                sink = sockets.dial(zmq.PUSH, f"tcp://127.0.0.1:{sink_port}")
                for data in frames(round_number, run, session):
                    sink.send(data)
                if round_number % 2:
                    lane.close()
        figure("6 registered workers sent what they liked")
        self.wait_status("them to be lost", lambda s: [w["name"] for w in s["workers"]] == ["true"])
        self.assertEqual(self.result_count(), 0)
        self.assertIsNone(self.pool.poll())

    def test_more_workers_than_descriptors(self):
        # Both parities of what is left: libzmq aborts if it has one for a socket and none to bind it.
        for limit in (120, 121):
            with self.subTest(limit=limit):
                self.jobs({"cmd": f"while [ ! -e {self.folder}/go-{limit} ]; do sleep 0.02; done", "id": "long"})
                dispatcher = self.start(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh",
                                         *self.run_command("--local", "1", "--overwrite", "--worker-timeout", "30s")])
                self.wait_status("the job to run", lambda s: s["jobs"]["running"] == 1)
                with wire.Sockets() as sockets:
                    crowd = sockets.dial(zmq.DEALER, self.address)
                    answers = 0
                    for number in range(60):
                        crowd.send(wire.hello(name=f"crowd-{number}"))
                    while answers < 60:
                        last = msgpack.unpackb(crowd.recv())
                        answers += 1
                    self.assertEqual((last[0], last[5]), (wire.REFUSED, 1), "the last one is to come later")
                self.assertIsNone(dispatcher.poll(), self.all_said())
                dispatcher.says("ulimit -n")  # reports follow the answers
                (self.folder / f"go-{limit}").touch()
                self.assert_ends(dispatcher, 0)

    def test_results_that_are_not_its_own(self):
        self.start_pool()
        with wire.Sockets() as sockets:
            answer = sockets.register(self.address, name="liar")
            run, session, sink_port = answer[5], answer[6], answer[9]
            lane = sockets.dial(zmq.PULL, f"tcp://127.0.0.1:{answer[8]}")
            sink = sockets.dial(zmq.PUSH, f"tcp://127.0.0.1:{sink_port}")
            sink.send(msgpack.packb([wire.HELD, run, session, 1, []]))
            sink.send(msgpack.packb([wire.READY, run, session, 2, True]))
            self.wait_status("the liar", lambda s: len(s["workers"]) == 2)
            for seq in range(3, 40):
                result = [random.choice([0, 1, 2**32, 2**40 + 1]), random.randbytes(16), random.randbytes(16), 1, 0, 0]
                sink.send(msgpack.packb([wire.RESULTS, run, session, seq, [result]]))
            wait_until("an ack of them all", lambda: msgpack.unpackb(lane.recv())[-2] >= 39)
            sink.send(msgpack.packb([wire.GOODBYE, run, session, 40]))
        self.finish_pool()

    def test_values_that_no_result_line_can_hold(self):
        """A worker of somebody else answers each job with such a value, in one frame with a good one."""
        bad = {"nan": b"NaN", "open": b"{oops", "inject": b'1,"status":"ok","id":"zzz"', "break": b"[1,\n2]",
               "bytes": b'"\xff"', "large": b'"' + b"v" * (2 << 20) + b'"'}
        good = {"good": b'{"a":[1]}', "most": b'"' + b"v" * ((1 << 20) - 2) + b'"'}
        values = {**bad, **good}
        self.jobs(*[{"type": "noop", "id": name} for name in values])
        pool = self.dispatcher(*FAST)
        with wire.Sockets() as sockets:
            answer = sockets.register(self.address, name="liar", slots=len(values))
            run, session = answer[5], answer[6]
            lane = sockets.dial(zmq.PULL, f"tcp://127.0.0.1:{answer[8]}")
            sink = sockets.dial(zmq.PUSH, f"tcp://127.0.0.1:{answer[9]}")
            sink.send(msgpack.packb([wire.HELD, run, session, 1, []]))
            sink.send(msgpack.packb([wire.READY, run, session, 2, True]))
            given, seq = [], 3
            while len(given) < len(values):
                message = msgpack.unpackb(lane.recv())
                if message[0] == wire.JOBS:
                    given += [[job[0], job[1].decode(), *job[2:]] for job in message[6]]
                sink.send(msgpack.packb([wire.BEAT, run, session, seq, 0, 0, []]))
                seq += 1

            def results(jobs):
                nonlocal seq
                frame = msgpack.packb([wire.RESULTS, run, session, seq,
                                       [[handle, key, spec, attempt, 0, 0, 0, 0, values[name]]
                                        for handle, name, key, spec, attempt, *_ in jobs]])
                parts = [frame[at:at + 60_000] for at in range(0, len(frame), 60_000)]
                for index, part in enumerate(parts):
                    sink.send(msgpack.packb([wire.PART, run, session, seq, index, index == len(parts) - 1, part])
                              if len(parts) > 1 else frame)
                seq += 1

            results([job for job in given if job[1] not in ("large", "most")])
            for name in ("large", "most"):
                results([job for job in given if job[1] == name])
            while msgpack.unpackb(lane.recv())[0] != wire.STOP:
                sink.send(msgpack.packb([wire.BEAT, run, session, seq, 0, 0, []]))
                seq += 1
            sink.send(msgpack.packb([wire.GOODBYE, run, session, seq]))
            self.assert_ends(pool, 1)
        self.assert_results({**{name: "failed" for name in bad}, **{name: "ok" for name in good}})
        found = self.by_id()
        for name in bad:
            self.assertEqual((found[name]["error"]["kind"], found[name]["attempt"]), ("handler", 1))
            self.assertNotIn("value", found[name])
        self.assertIn("the value is not one JSON text", found["inject"]["error"]["message"])
        self.assertIn("the limit is 1048576", found["large"]["error"]["message"])
        self.assertEqual((found["good"]["value"], len(found["most"]["value"])), ({"a": [1]}, (1 << 20) - 2))
        self.assert_verified()

    def test_a_dispatcher_goes_mad(self):
        # WELCOME, then anything down the lane: the worker ends the session and registers again, and never runs a thing.
        with wire.Sockets() as sockets:
            router = sockets.listen(zmq.ROUTER, self.address)
            sink = sockets.make(zmq.PULL)
            sink_port = sink.bind_to_random_port("tcp://127.0.0.1")
            worker = self.worker("--slots", "1")
            engine = worker.engine()
            for round_number in range(8):
                peer, _ = router.recv_multipart()
                lane = sockets.make(zmq.PUSH)
                lane.sndtimeo = 5000
                lane_port = lane.bind_to_random_port("tcp://127.0.0.1")
                router.send_multipart([peer, wire.welcome(run=7, session=100 + round_number, lane=lane_port, sink=sink_port)])
                data = list(frames(round_number, 7, 100 + round_number))[round_number * 10:]
                for frame in data[:20]:
                    try:
                        lane.send(frame)
                    except zmq.ZMQError:
                        break
                lane.close(linger=500)
            peer, _ = router.recv_multipart()    # back once more
            self.assertEqual(worker.engine(), engine)
            router.send_multipart([peer, wire.refused(0)])
            self.assert_ends(worker, 0)
        figure("8 sessions with a mad dispatcher, the same engine after them")


if __name__ == "__main__":
    unittest.main(verbosity=2)
