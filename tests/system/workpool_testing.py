# SPDX-License-Identifier: MIT
"""What the tests of delivery, kills, stops and resume share: the real programs on ports and folders of their own.

Programs come from WORKPOOL_BIN. Waiting is for events, up to LIMIT. Everything that a test starts carries a mark in
its environment, jobs and what they leave behind included, and whatever still has it is ended with the test.
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
import zlib
from collections import Counter
from pathlib import Path

SOURCE = Path(os.environ.get("WORKPOOL_SOURCE", Path(__file__).resolve().parents[2]))
BIN = Path(os.environ.get("WORKPOOL_BIN", SOURCE / "build" / "test" / "bin")).resolve()
DISPATCHER = str(BIN / "workpool-dispatcher")
WORKER = str(BIN / "workpool-worker")
LIMIT = 60  # seconds for anything that happens at once on an idle machine
SLACK = 4   # what a promised bound is stretched by


def wait_until(what, condition, limit=LIMIT):
    """The first true value of condition(); AssertionError with `what` (text, or a function that gives it) after limit s."""
    end = time.monotonic() + limit
    while True:
        if found := condition():
            return found
        if time.monotonic() >= end:
            raise AssertionError(f"waited {limit} s for {what() if callable(what) else what}")
        time.sleep(0.01)


def free_port(host="127.0.0.1"):
    """Below the ephemeral ports, so that no other process gets it in between."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue


def write_jobs(path, jobs):
    Path(path).write_text("".join((job if isinstance(job, str) else json.dumps(job)) + "\n" for job in jobs))
    return str(path)


def parse_results(data):
    """The lines of a results file or of stdout, each with a crc that is right."""
    results = []
    for line in data.splitlines():
        head, crc = line.rsplit(b',"crc":"', 1)
        assert crc == b'%08x"}' % zlib.crc32(head), f"wrong crc: {line!r}"
        results.append(json.loads(line))
    return results


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def guards_of(supervisor):
    return [pid for pid in children_of(supervisor) if name_of(pid) == "wp-guard"]


def engines_of(supervisor):
    """One, or none while it is being started."""
    return [engine for guard in guards_of(supervisor) for engine in children_of(guard)]


def parts_of(supervisor):
    """Supervisor, guard and engine."""
    return [supervisor, *guards_of(supervisor), *engines_of(supervisor)]


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_alive(pid):
    """Also false for a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Program:
    """A started program; what it says is in err() and out()."""

    def __init__(self, command, folder, number, **popen):
        self.command = command
        self.err_path = folder / f"{number}.err"
        self.out_path = folder / f"{number}.out"
        out = popen.pop("stdout", None)
        with open(self.err_path, "wb") as err, open(self.out_path, "wb") as default_out:
            popen.setdefault("stderr", err)
            popen.setdefault("stdin", subprocess.DEVNULL)
            self.process = subprocess.Popen(command, stdout=default_out if out is None else out,
                                            start_new_session=True, **popen)
        self.pid = self.process.pid
        self.ended_at = None

    def poll(self):
        code = self.process.poll()
        if code is not None and self.ended_at is None:
            self.ended_at = time.monotonic()
        return code

    def wait(self, limit=LIMIT):
        """The exit code, negative for a signal."""
        wait_until(lambda: f"the end of {' '.join(self.command)}\n{self.err()}", lambda: self.poll() is not None, limit)
        return self.process.returncode

    def send(self, number):
        os.kill(self.pid, number)

    def err(self):
        return self.err_path.read_text(errors="replace")

    def out(self):
        return self.out_path.read_bytes()

    def says(self, text, limit=LIMIT):
        wait_until(lambda: f"{text!r} in:\n{self.err()}", lambda: text in self.err(), limit)

    def join_key(self):
        """What a dispatcher that listens prints for its workers, for use as WORKPOOL_KEY."""
        return wait_until(lambda: f"a join key in:\n{self.err()}", lambda: re.search(r"WORKPOOL_KEY=(wp1-[\w-]{86}) ", self.err()))[1]

    def guard(self):
        """The pid of the process between a worker's supervisor and its engine."""
        return wait_until("the guard", lambda: guards_of(self.pid))[0]

    def engine(self):
        """The pid of a worker's engine."""
        return wait_until("the engine", lambda: engines_of(self.pid))[0]


class System(unittest.TestCase):
    """A folder, a port and any number of programs, all gone when the test is."""

    host = "127.0.0.1"
    insecure = False  # of dispatchers that listen and of their workers: for what speaks plain TCP in between

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="workpool-test-"))
        os.chmod(self.folder, 0o755)
        self.mark = uuid.uuid4().hex
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("WORKPOOL_") and name not in ("NO_COLOR", "TERM")}
        self.environment["TEST_MARK"] = self.mark
        self.port = free_port(self.host)
        self.programs = []
        self.jobs_path = self.folder / "jobs.jsonl"
        self.results_path = self.folder / "jobs.results.jsonl"
        self.witness_path = self.folder / "witness"
        self.addCleanup(self.clean_up)

    def clean_up(self):
        for _ in range(200):
            left = self.marked()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.02)
        for program in self.programs:
            program.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def marked(self, but=()):
        """The living processes that this test started, directly or not."""
        mark = b"TEST_MARK=" + self.mark.encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in but:
                continue
            try:
                if mark in Path(f"/proc/{entry}/environ").read_bytes() and is_alive(entry):
                    found.append(int(entry))
            except OSError:
                continue
        # Our own programs let nobody but root read that; the parts of a worker end with it.
        found += [program.pid for program in self.programs if program.pid not in (*found, *but) and program.poll() is None]
        return found

    # ---- programs ----

    def start(self, command, env=None, **popen):
        program = Program([str(word) for word in command], self.folder, len(self.programs),
                          env={**self.environment, **(env or {})}, **popen)
        self.programs.append(program)
        return program

    @property
    def address(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    def jobs(self, *jobs):
        return write_jobs(self.jobs_path, jobs)

    def run_command(self, *flags, listen=True):
        listening = ["--listen", self.address, *self.openly] if listen else []
        return [DISPATCHER, "run", self.jobs_path, "-o", self.results_path, *listening, *flags]

    def dispatcher(self, *flags, listen=True, **popen):
        return self.start(self.run_command(*flags, listen=listen), **popen)

    def worker(self, *flags, address=None, **popen):
        return self.start([WORKER, address or self.address, *self.openly, *flags], **popen)

    @property
    def openly(self):
        return ["--insecure"] if self.insecure else []

    def run_to_end(self, *flags, listen=False, limit=LIMIT, **popen):
        program = self.dispatcher(*flags, listen=listen, **popen)
        program.wait(limit)
        return program

    def status(self):
        """What the dispatcher says of itself; None if it does not answer."""
        asked = subprocess.run([DISPATCHER, "status", self.address, "--json"], capture_output=True, env=self.environment)
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def wait_status(self, what, condition, limit=LIMIT):
        last = [None]

        def holds():
            last[0] = self.status()
            return last[0] is not None and condition(last[0]) and last[0]
        return wait_until(lambda: f"{what}; status: {last[0]}\n{self.all_said()}", holds, limit)

    def wait_workers(self, *names):
        return self.wait_status(f"workers {names}", lambda s: sorted(w["name"] for w in s["workers"]) == sorted(names))

    def all_said(self):
        return "\n".join(f"--- {' '.join(p.command[:3])} ({p.pid}) code {p.poll()}\n{p.err()[-3000:]}" for p in self.programs)

    def assert_ends(self, program, code, limit=LIMIT):
        self.assertEqual(program.wait(limit), code, self.all_said())

    # ---- what was done ----

    def results(self, path=None):
        return parse_results(Path(path or self.results_path).read_bytes())

    def result_count(self):
        try:
            return self.results_path.read_bytes().count(b"\n")
        except OSError:
            return 0

    def wait_results(self, count, limit=LIMIT):
        wait_until(lambda: f"{count} results, there are {self.result_count()}\n{self.all_said()}",
                   lambda: self.result_count() >= count, limit)

    def by_id(self):
        """The results by id; each id must have exactly one line."""
        results = self.results()
        found = {result["id"]: result for result in results}
        again = [name for name, count in Counter(r["id"] for r in results).items() if count > 1]
        self.assertEqual(again, [], f"recorded more than once\n{self.all_said()}")
        return found

    def assert_results(self, statuses):
        """Exactly one line for each id, with this status: {id: status}."""
        self.assertEqual({name: r["status"] for name, r in self.by_id().items()}, statuses, self.all_said())

    def assert_verified(self, code=0):
        verified = subprocess.run([DISPATCHER, "verify", self.jobs_path, self.results_path], capture_output=True,
                                  text=True, env=self.environment)
        self.assertEqual(verified.returncode, code, verified.stdout + verified.stderr + self.all_said())
        return verified.stdout + verified.stderr

    def witness_job(self, name, seconds=0.0, **more):
        """A job that leaves a line in the witness file when it starts and, unless it was killed, when it ends."""
        command = f'echo "start {name} $WORKPOOL_ATTEMPT" >> {self.witness_path}; '
        if seconds:
            command += f"sleep {seconds}; "
        command += f'echo "end {name} $WORKPOOL_ATTEMPT" >> {self.witness_path}'
        return {"cmd": command, "id": name, **more}

    def witnessed(self, what):
        """How often each job started or ended."""
        try:
            lines = self.witness_path.read_text().splitlines()
        except OSError:
            return Counter()
        return Counter(line.split()[1] for line in lines if line.startswith(what + " "))

    def wait_witness(self, what, count, limit=LIMIT):
        wait_until(lambda: f"{count} times {what}; {self.witnessed(what)}\n{self.all_said()}",
                   lambda: sum(self.witnessed(what).values()) >= count, limit)


def figure(text):
    """A measured figure beside what is asserted of it."""
    print(f"figure: {text}", file=sys.stderr, flush=True)
