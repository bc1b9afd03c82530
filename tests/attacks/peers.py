# SPDX-License-Identifier: MIT
"""Runs with keys, workers of our own making that hold one, and what can be seen of a run from outside."""

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgpack
import zmq
from zmq.utils import z85

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
import workpool_wire as wire  # noqa: E402
from workpool_testing import DISPATCHER, LIMIT, SLACK, WORKER, System, figure, free_port, wait_until  # noqa: E402,F401

IS_ROOT = os.geteuid() == 0
KEY_LETTERS = 90
OK, FAILED = 0, 1    # the status of a result


class Key:
    """A join key, taken apart."""

    def __init__(self, server, secret):
        self.server, self.secret = server, secret
        self.public = z85.decode(zmq.curve_public(z85.encode(secret)))

    @classmethod
    def read(cls, text):
        assert text.startswith("wp1-") and len(text) == KEY_LETTERS, text
        both = base64.urlsafe_b64decode(text[4:] + "==")
        return cls(both[:32], both[32:])

    def text(self):
        return "wp1-" + base64.urlsafe_b64encode(self.server + self.secret).decode().rstrip("=")

    def fingerprint(self):
        digest = hashlib.blake2b(self.public, digest_size=32).hexdigest()
        return "-".join(digest[at:at + 4] for at in (0, 4, 8, 12))

    def unknown(self):
        """A key that nobody has let in, for the same dispatcher."""
        return Key(self.server, os.urandom(32))

    def for_another(self):
        """The same worker's, for a dispatcher that is not this one."""
        return Key(Key(self.server, os.urandom(32)).public, self.secret)

    def secure(self, made):
        made.curve_serverkey, made.curve_publickey, made.curve_secretkey = self.server, self.public, self.secret
        return made


class Secured(System):
    """A pool file with some workers in it, and the run that uses it. Workers come over TCP, with a key."""

    names = ("good", "bad")

    def setUp(self):
        super().setUp()
        self.pool = self.folder / "pool.key"
        self.environment["WORKPOOL_RUN_DIR"] = str(self.folder / "runs")
        self.keygen()
        self.keys = {name: self.add_key(name) for name in self.names}
        self.sockets = wire.Sockets().__enter__()
        self.addCleanup(self.sockets.__exit__)

    def keygen(self, *arguments):
        done = subprocess.run([DISPATCHER, "keygen", self.pool, *arguments], capture_output=True, text=True, env=self.environment,
                              timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def add_key(self, name, *more):
        return Key.read(self.keygen("--worker", name, *more))

    def pool_run(self, *flags, **popen):
        """The dispatcher, when it listens."""
        dispatcher = self.dispatcher("--key", self.pool, *flags, **popen)
        dispatcher.says("listening on")
        return dispatcher

    def keyed(self, key, *flags, address=None, env=None):
        """A worker with this key, or with none. It does not look for runs of its user."""
        more = {"WORKPOOL_RUN_DIR": str(self.folder / "none"), **({"WORKPOOL_KEY": key.text()} if key else {}), **(env or {})}
        return self.start([WORKER, address or self.address, *flags], env=more)

    def peer(self, who, **fields):
        return Peer(self, who if isinstance(who, Key) else self.keys[who], **fields)

    def ports(self, dispatcher):
        """Registration, sink, and lanes in no order."""
        others = sorted(wire.listening_ports(dispatcher.pid) - {self.port})
        return self.port, others

    def hold_job(self, count=1):
        """Jobs that go on until finish()."""
        self.jobs(*[{"cmd": f"while [ ! -e {self.folder}/go ]; do sleep 0.05; done", "id": f"long{i or ''}"} for i in range(count)])

    def finish(self, dispatcher, *workers, statuses=None):
        """Lets the held jobs go, and sees that all is as if nothing had come."""
        self.assertIsNone(dispatcher.poll(), self.all_said())
        (self.folder / "go").touch()
        self.assert_ends(dispatcher, 0)
        for worker in workers:
            self.assert_ends(worker, 0)
        self.assert_results(statuses or {"long": "ok"})
        for result in self.results():
            self.assertEqual(result["attempt"], 1, result)


class Inside(Secured):
    def noops(self, count, **more):
        self.jobs(*[{"type": "noop", "id": f"n{number}", **more} for number in range(count)])

    def sleeps(self, count, each="5ms"):
        self.jobs(*[{"type": "sleep", "args": {"for": each}, "id": f"s{number}"} for number in range(count)])

    def true_result(self, peer, job, status=OK, **header):
        peer.say(wire.RESULTS, [[job[0], job[2], job[3], job[4], 0, 1000, status]], **header)

    def stop(self, dispatcher):
        """Ends a run that has not ended by itself; it must have gone on until now."""
        self.assertIsNone(dispatcher.poll(), self.all_said())
        dispatcher.send(15)
        dispatcher.send(15)
        self.assertEqual(dispatcher.wait(), 143, self.all_said())

    def assert_bounded(self, dispatcher, before, grown_most_mib, descriptors_most=64, what=""):
        memory, open_files = memory_mib(dispatcher.pid, "VmHWM"), descriptors(dispatcher.pid)
        figure(f"{what}: {before[0]} MiB before, {memory} MiB at most; {before[1]} descriptors before, {open_files} after")
        self.assertLess(memory, before[0] + grown_most_mib)
        self.assertLess(open_files, before[1] + descriptors_most)

    def sizes(self, dispatcher):
        return memory_mib(dispatcher.pid, "VmHWM"), descriptors(dispatcher.pid)


class Peer:
    """A worker of our own making: it says what it is told to, true or not."""

    def __init__(self, test, key, name="peer", slots=1, worker=None, engine=1, try_number=1, handlers=("noop", "sleep")):
        self.test, self.key, self.name = test, key, name
        self.worker = worker or int.from_bytes(os.urandom(8), "big") | 1
        self.slots, self.engine, self.try_number, self.handlers = slots, engine, try_number, list(handlers)
        self.seq, self.given = 0, []
        self.stamp = self.acked = 0
        self.parts = b""

    def dial(self, kind, port, **options):
        made = self.test.sockets.make(kind)
        if self.key:
            self.key.secure(made)
        for option, value in options.items():
            setattr(made, option, value)
        made.connect(f"tcp://127.0.0.1:{port}")
        return made

    def hello(self):
        return msgpack.packb([wire.HELLO, 0, 0, 0, wire.PROTOCOL, "0", self.worker, self.engine, self.try_number, self.name,
                              self.slots, self.handlers, []])

    def ask(self, message=None):
        """The answer to a HELLO, or to something else, on a connection of its own."""
        dealer = self.dial(zmq.DEALER, self.test.port)
        dealer.send(message or self.hello())
        answer = msgpack.unpackb(dealer.recv())
        dealer.close()
        return answer

    def register(self):
        answer = self.ask()
        assert answer[0] == wire.WELCOME, answer
        self.run, self.session, self.granted, self.lane_port, self.sink_port = answer[5:10]
        self.timeout_s = answer[10] / 1e6
        return self

    def open(self):
        self.register()
        self.lane = self.dial(zmq.PULL, self.lane_port)
        self.sink = self.dial(zmq.PUSH, self.sink_port)
        return self

    def ready(self, accepting=True):
        """Registered, and taking jobs."""
        self.open()
        self.say(wire.HELD, [])
        self.say(wire.READY, accepting)
        return self

    def frame(self, kind, *fields, run=None, session=None, seq=None):
        if seq is None:
            self.seq += 1
        return msgpack.packb([kind, self.run if run is None else run, self.session if session is None else session,
                              self.seq if seq is None else seq, *fields])

    def say(self, kind, *fields, **header):
        self.sink.send(self.frame(kind, *fields, **header))

    def beat(self):
        self.say(wire.BEAT, self.stamp, 0, [])

    def hear(self, wait_s=0.0):
        """What has come down the lane."""
        heard = []
        while self.lane.poll(int(wait_s * 1000) if not heard else 0):
            message = msgpack.unpackb(self.lane.recv(), raw=True)
            if message[0] == wire.PART:
                self.parts += message[6]
                if not message[5]:
                    continue
                message, self.parts = msgpack.unpackb(self.parts, raw=True), b""
            if message[0] == wire.JOBS:
                self.acked = message[4]
                self.given += message[6]
            elif message[0] == wire.LANE_BEAT:
                self.stamp, self.acked = message[4], message[5]
            heard.append(message)
        return heard

    def live(self, condition, what, limit=LIMIT):
        """Beats and hears until the condition holds."""
        def holds():
            self.beat()
            self.hear(0.05)
            return condition()
        wait_until(lambda: f"{what}; {self.test.all_said()}", holds, limit)

    def take(self, count):
        """Waits for so many jobs: [handle, id, key, spec, attempt, work, ...]."""
        self.live(lambda: len(self.given) >= count, f"{count} jobs of {self.name}")
        return self.given

    def is_over(self, wait_s=3.0):
        """Whether END has come."""
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            if any(message[0] == wire.END for message in self.hear(0.1)):
                return True
        return False

    def leave(self):
        for made in (self.lane, self.sink):
            made.close(linger=0)


class Handshakes:
    """The events of one socket."""

    FAILED_NO_DETAIL, SUCCEEDED, FAILED_PROTOCOL, FAILED_AUTH, DISCONNECTED = 0x0800, 0x1000, 0x2000, 0x4000, 0x0200

    def __init__(self, sockets, made):
        self.monitor = made.get_monitor_socket()
        sockets.sockets.append(self.monitor)

    def end(self, limit=10.0):
        """The event that ends the handshake."""
        deadline = time.monotonic() + limit
        while self.monitor.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            event = int.from_bytes(self.monitor.recv_multipart()[0][:2], "little")
            if event in (self.FAILED_NO_DETAIL, self.SUCCEEDED, self.FAILED_PROTOCOL, self.FAILED_AUTH, self.DISCONNECTED):
                return event
        return None


def memory_mib(pid, which="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) // 1024
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Progress:
    """Compares how fast a run goes with and without something that is done to it: in turns, one after the other."""

    def __init__(self, test, turns=3, seconds=0.5):
        self.test, self.turns, self.seconds = test, turns, seconds

    def rate(self, during):
        before, began = self.test.results_path.stat().st_size, time.monotonic()
        during(began + self.seconds)
        left = began + self.seconds - time.monotonic()
        if left > 0:
            time.sleep(left)
        return (self.test.results_path.stat().st_size - before) / (time.monotonic() - began)

    def compare(self, what, attack):
        """`attack(until)` is done for that long. Prints the share of the speed that was left, and returns it."""
        calm = attacked = 0.0
        for _ in range(self.turns):
            calm += self.rate(lambda until: None)
            attacked += self.rate(attack)
        share = attacked / calm if calm else 0.0
        figure(f"{what}: the good worker goes at {share:.0%} of its speed")
        return share


@contextlib.contextmanager
def in_background(work):
    """Calls work() again and again in a thread, until the block ends."""
    stop = threading.Event()

    def run():
        while not stop.is_set():
            work()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def raw_connection(port, host="127.0.0.1"):
    made = socket.create_connection((host, port), timeout=10)
    made.settimeout(10)
    return made
