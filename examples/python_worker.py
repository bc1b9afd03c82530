#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A workpool worker in Python, written from docs/protocol.md alone: a start for workers in other languages.

  WORKPOOL_KEY=wp1-... examples/python_worker.py tcp://127.0.0.1:5555 --slots 4

It needs Debian's python3-zmq and python3-msgpack. Without WORKPOOL_KEY it talks to a dispatcher with --insecure.

It runs commands and the handlers in HANDLERS: add your own there. The real worker does more: it survives its own crashes,
finds processes that left their session, stops handlers at their timeout, pauses when there is no memory, and lets a job
that comes back wait for its own killed attempt. """
import argparse, base64, collections, contextlib, ctypes, json, os, queue, random, signal, socket  # noqa: E401
import subprocess, sys, tempfile, threading, time, uuid  # noqa: E401

import msgpack, zmq, zmq.utils.z85  # noqa: E401

HELLO, WELCOME, REFUSED, PART, HELD, RESULTS, RETURNED, READY, BEAT, GOODBYE = 1, 3, 4, 6, 11, 12, 13, 14, 15, 16
JOBS, CANCEL, RECALL, LANE_BEAT, STOP, END = 20, 21, 22, 23, 24, 25
PART_BYTES, FRAME_BYTES, VALUE_BYTES = 64 * 1024, 128 * 1024, 1 << 20
LIBC = ctypes.CDLL(None)
now = time.monotonic


def words(args):  # {"text": TEXT}: how often each word is in it
    return collections.Counter(args["text"].split())


HANDLERS = {"noop": lambda args: None, "words": words}


def curve_options():
    """The keys of a socket, out of the join key; none without it. It must not be seen by jobs."""
    key = base64.urlsafe_b64decode(os.environ.pop("WORKPOOL_KEY", "").removeprefix("wp1-") + "==")
    if not key:
        return {}
    server, secret = zmq.utils.z85.encode(key[:32]), zmq.utils.z85.encode(key[32:])
    return {"curve_serverkey": server, "curve_secretkey": secret, "curve_publickey": zmq.curve_public(secret)}


def micros_since(moment):
    return int((now() - moment) * 1e6)


def head_and_tail(file, size, most):
    head = size if size <= most else most // 2
    return os.pread(file, head, 0) + os.pread(file, min(size, most) - head, size - (min(size, most) - head))


def signal_all(process, *numbers):
    with contextlib.suppress(ProcessLookupError):
        for number in numbers:
            os.killpg(process.pid, number)


def kill(jobs):
    for job in jobs:
        job.killed = True


class Job:
    def __init__(self, fields):
        self.handle, self.id, self.key, self.spec, self.attempt, work, timeout, self.slots, self.kind = [*fields, 0][:9]
        self.work = json.loads(work)
        if isinstance(self.id, int):
            self.id = (self.spec.hex() + (f"#{self.id}" if self.id > 1 else "")).encode()
        self.limit = timeout / 1e6 or float("inf")
        self.received, self.started, self.killed, self.named = now(), None, False, False

    def run(self, capture):
        """Fields of its result: status, kind, value, message, command, exit, signal, stdout, stderr, truncated."""
        if "cmd" in self.work:
            return self.run_command(self.work["cmd"], capture)
        try:
            text = json.dumps(HANDLERS[self.work["type"]](self.work.get("args")), allow_nan=False).encode()
            assert len(text) <= VALUE_BYTES, "the value is over 1 MiB"
        except Exception as error:  # pylint: disable=broad-except
            return 1, 4, b"", repr(error)[:1000].encode(errors="replace")
        return (2, 5, b"", b"over its timeout") if now() > self.started + self.limit else (0, 0, text)

    def run_command(self, cmd, capture):
        env = {name: text for name, text in os.environ.items() if not name.startswith("WORKPOOL_")} | self.work.get("env", {})
        env |= {"WORKPOOL_JOB_ID": self.id.decode(), "WORKPOOL_ATTEMPT": str(self.attempt), "WORKPOOL_ATTEMPT_KEY": uuid.uuid4().hex}
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            os.pwrite(stdin.fileno(), self.work.get("stdin", "").encode(), 0)
            try:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else cmd, env=env, cwd=self.work.get("cwd"),
                    stdin=stdin, stdout=out, stderr=err, start_new_session=True,
                    preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL))  # PR_SET_PDEATHSIG: it ends with this worker
            except OSError as error:
                return 1, 3, b"", f"cannot start {error.filename}: {error.strerror}".encode(errors="replace"), True
            timed_out = self.wait(process)
            sizes = [os.fstat(file.fileno()).st_size for file in (out, err)]
            texts = [head_and_tail(file.fileno(), size, capture) for file, size in zip((out, err), sizes)]
        exit_, signal_ = (process.returncode, None) if process.returncode >= 0 else (None, -process.returncode)
        status, kind, message = (2, 5, b"over its timeout") if timed_out else (1, 2, b"signal %d" % signal_) if signal_ else \
            (1, 1, b"exit status %d" % exit_) if exit_ else (0, 0, b"")
        return status, kind, b"", message, True, exit_, signal_, *texts, sum(sizes) - len(texts[0] + texts[1])

    def wait(self, process):
        """Returns at its end whether it ran over its timeout. TERM at that, or once `killed` is set, KILL 5 s later."""
        timed_out, kill_at = False, float("inf")
        while process.poll() is None:
            timed_out = timed_out or now() > self.started + self.limit
            if timed_out or self.killed:
                kill_at = min(kill_at, now() + 5)
                signal_all(process, signal.SIGTERM, signal.SIGCONT) if now() < kill_at else signal_all(process, signal.SIGKILL)
            time.sleep(min(0.05, 0.001 + (now() - self.started) / 10))
        signal_all(process, signal.SIGKILL)  # what it left behind
        return timed_out


class Worker:
    def __init__(self, options):
        self.host, _, self.port = options.address.removeprefix("tcp://").rpartition(":")
        self.options, self.context, self.keys = options, zmq.Context(), curve_options()
        self.id, self.tries, self.run, self.timeout, self.stops = random.getrandbits(64) | 1, 0, 0, 10.0, 0
        # kept: [seq, or 0 if not sent in this session; bytes; fields] of each result that is not acked
        self.queued, self.running, self.kept, self.ended = [], [], [], queue.Queue()
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(self, "stops", self.stops + 1))

    def socket(self, kind, port):
        made = self.context.socket(kind)
        made.linger, made.reconnect_ivl, made.ipv6, made.maxmsgsize = 0, -1, 1, FRAME_BYTES
        made.immediate, made.sndhwm, made.rcvhwm = int(kind == zmq.PUSH), 4096, 4096
        for name, value in self.keys.items():
            setattr(made, name, value)
        made.connect(f"tcp://{self.host}:{port}")
        return made

    def register(self):
        """The fields of WELCOME; None if it should be tried again."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
            probe.settimeout(3)  # ZeroMQ does not report a refused connection
            if probe.connect_ex((self.host.strip("[]"), int(self.port))):
                return None
        self.tries += 1
        with self.socket(zmq.DEALER, self.port) as dealer:
            dealer.send(msgpack.packb([HELLO, 0, 0, 0, 1, "python", self.id, 1, self.tries, self.options.name,
                                       self.options.slots, list(HANDLERS), []]))
            answer = msgpack.unpackb(dealer.recv(), raw=True) if dealer.poll(5000) else [0]
        if answer[0] == REFUSED and answer[5] != 1:
            print(f"refused: {answer[6].decode(errors='replace')}", file=sys.stderr)
            sys.exit(answer[5] if answer[5] in (0, 76) else 77)
        return answer[5:] if answer[0] == WELCOME else None

    def work(self):
        last_contact, barren = now(), 0
        while not self.stops or self.running or self.kept:
            began, welcome, self.fruitful = now(), self.register(), False
            if welcome:
                with contextlib.suppress(ConnectionError):
                    self.serve(welcome)
                last_contact = now()
                barren = 0 if self.fruitful or now() > began + self.timeout else barren + 1
                self.lane.close()
                self.sink.close()
                self.queued = []  # the dispatcher gives them to others
                for entry in self.kept:
                    entry[0], entry[2][0] = 0, 0
                for job in self.running:
                    job.handle = 0
            elif now() > last_contact + 60:
                return 69  # the kernel kills what runs
            if not welcome or now() < began + self.timeout:
                time.sleep(random.uniform(0.1, 0.25) * (2 ** min(max(barren - 1, 0), 5) if welcome else 1))
        return 0

    def serve(self, welcome):
        run, self.session, _, lane_port, sink_port, timeout, self.window, self.capture = welcome[:8]
        self.timeout, self.part_bytes = timeout / 1e6, max(4096, min(PART_BYTES, PART_BYTES * timeout // 10**7))
        if run != self.run:  # nothing of another run is sent
            kill(self.running)
            self.running, self.kept, self.run = [], [], run
        self.lane, self.sink = self.socket(zmq.PULL, lane_port), self.socket(zmq.PUSH, sink_port)
        self.seq = self.lane_seq = self.acked = self.lease = self.beat = 0
        self.outbox, self.sent, self.parts, self.opened, self.heard = collections.deque(), collections.deque(), b"", now(), now()
        self.echo = self.accepting = self.goodbye_at = self.connected = None
        held = [job for job in self.running if not job.killed]
        for first in range(0, max(1, len(held)), 1000):
            self.send(HELD, [[job.key, job.spec, job.attempt, micros_since(job.started)] for job in held[first:first + 1000]])
        while True:
            self.collect()
            self.send_results()
            self.judge_stop()
            self.start_jobs()
            if now() > self.beat + self.timeout / 10:
                self.beat = now()
                self.send(BEAT, *(self.echo[0], micros_since(self.echo[1])) if self.echo else (0, 0), self.begun())
            if now() > self.heard + self.timeout or (self.goodbye_at and now() > self.goodbye_at + 2):
                raise ConnectionError("the session is over")
            self.flush()
            zmq.select([self.lane, self.wake_read], [], [], 0.02 if self.outbox else self.timeout / 20)
            while self.lane.poll(0):
                self.receive(msgpack.unpackb(self.lane.recv(), raw=True))

    def send(self, kind, *fields):
        self.seq += 1
        header = [self.run, self.session, self.seq]
        frame = msgpack.packb([kind, *header, *fields])
        parts = [frame[at:at + self.part_bytes] for at in range(0, len(frame), self.part_bytes)]
        self.outbox.extend([frame] if len(parts) == 1 else
                           [msgpack.packb([PART, *header, i, i == len(parts) - 1, part]) for i, part in enumerate(parts)])
        self.sent.append((self.seq, now()))
        self.flush()

    def flush(self):
        while self.outbox and self.sink.poll(0, zmq.POLLOUT):
            self.sink.send(self.outbox.popleft(), zmq.DONTWAIT)
            self.connected = True
        if self.outbox and (self.connected or now() > self.opened + 5):
            raise ConnectionError("the sink is gone")

    def begun(self):
        """What has run for over a second, each job once in a session. What HELD has named has no handle any more."""
        begun = [job for job in self.running if job.handle and not job.named and now() > job.started + 1][:1000]
        for job in begun:
            job.named = True
        return [[job.handle, micros_since(job.started)] for job in begun]

    def send_results(self):
        for entry in self.kept:
            under_way = sum(size for seq, size, _ in self.kept if seq)
            if not entry[0] and (under_way == 0 or under_way + entry[1] <= self.window):
                entry[0] = self.seq + 1
                self.send(RESULTS, [entry[2]])

    def give_back(self, jobs, reason):
        if jobs:
            self.send(RETURNED, [[job.handle, job.key, job.spec, job.attempt, reason] for job in jobs])

    def receive(self, message):
        kind, run, session, seq, *fields = message
        if (run, session, seq) != (self.run, self.session, self.lane_seq + 1) or kind == END:
            raise ConnectionError("the session is over")
        self.heard = now()
        if kind == PART:
            self.parts += fields[2]
            if fields[1]:
                whole, self.parts = self.parts, b""
                self.receive(msgpack.unpackb(whole, raw=True))
            return
        self.lane_seq = seq
        if kind == JOBS:
            self.on_acks(*fields[:2])
            self.fruitful = self.fruitful or bool(fields[2])
            here = {(job.key, job.attempt) for job in self.queued + self.running if not job.killed}
            new = {(job.key, job.attempt): job for job in map(Job, fields[2])}
            for job in [new[name] for name in new if name not in here]:
                fits = job.kind in (0, 1) and job.slots <= self.options.slots and not self.stops
                self.queued.append(job) if fits else self.give_back([job], 0)
        elif kind == LANE_BEAT:
            self.echo = (fields[0], now())
            self.on_acks(*fields[1:3])
        elif kind in (CANCEL, RECALL):
            named = {(ref[1], ref[2]) for ref in fields[0]}
            self.give_back([job for job in self.queued if (job.key, job.attempt) in named], 0)
            self.queued = [job for job in self.queued if (job.key, job.attempt) not in named]
            kill(job for job in self.running if kind == CANCEL and (job.key, job.attempt) in named)
        elif kind == STOP:
            kill(self.running)
            self.queued, self.running, self.kept, self.stops, self.accepting, self.ready_seq = [], [], [], 1, False, 0

    def on_acks(self, ack, received):
        if max(ack, received) > self.seq:
            return
        while self.sent and self.sent[0][0] <= received:
            self.lease = self.sent.popleft()[1] + self.timeout / 2
        self.acked = max(self.acked, ack)
        self.fruitful = self.fruitful or any(0 < entry[0] <= ack for entry in self.kept)
        self.kept = [entry for entry in self.kept if not 0 < entry[0] <= ack]

    def start_jobs(self):
        while self.queued and not self.stops and now() < self.lease and \
                sum(job.slots for job in self.running) + self.queued[0].slots <= self.options.slots:
            job = self.queued.pop(0)
            job.started = now()
            self.running.append(job)
            threading.Thread(target=self.run_job, args=(job,), daemon=True).start()

    def run_job(self, job):
        outcome = job.run(self.capture)
        waited, ran = int((job.started - job.received) * 1e6), micros_since(job.started)
        self.ended.put((job, [job.handle, job.key, job.spec, job.attempt, waited, ran, *outcome]))
        os.write(self.wake_write, b".")

    def collect(self):
        if zmq.select([self.wake_read], [], [], 0)[0]:
            os.read(self.wake_read, 65536)
        while not self.ended.empty():
            job, fields = self.ended.get()
            if job in self.running:  # else of another run
                self.running.remove(job)
                if job.killed:
                    self.give_back([job], 1)
                else:
                    self.kept.append([0, len(msgpack.packb(fields)), [job.handle, *fields[1:]]])

    def judge_stop(self):
        if self.accepting != (not self.stops):
            self.accepting, self.ready_seq = not self.stops, self.seq + 1
            self.send(READY, self.accepting)
        if self.stops and not self.goodbye_at:
            self.give_back(self.queued, 0)
            self.queued = []
            kill(self.running if self.stops > 1 else [])
            if not self.running and not self.kept and self.acked >= self.ready_seq:
                self.goodbye_at = now()
                self.send(GOODBYE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A workpool worker in Python.")
    parser.add_argument("address", help="of the dispatcher, such as tcp://127.0.0.1:5555")
    parser.add_argument("--slots", type=int, default=os.cpu_count(), help="how many jobs run at once")
    parser.add_argument("--name", default=socket.gethostname(), help="what the dispatcher calls this worker")
    sys.exit(Worker(parser.parse_args()).work())
