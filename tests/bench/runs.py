# SPDX-License-Identifier: MIT
"""Runs of the programs for a measurement, seen from outside: wall time, processor time, memory and records. Every wait
has a limit, and only what was started here is ended."""
import datetime
import json
import os
import select
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

# The limit of one run, far above what the slowest one takes on a busy machine.
LIMIT_S = 600


class Failed(Exception):
    """A run that did not end as it should; the text says how, and what it printed."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child process. Its times are taken when it ends, not when somebody looks."""

    def __init__(self, command, code=0, **more):
        self.command, self.code = command, code  # the exit code that it has to end with
        self.started = time.monotonic()
        self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
        self.pidfd = os.pidfd_open(self.popen.pid)
        self.ended, self.usage = None, None

    def reap(self):
        """Once it has ended: keeps the time, and what it and its own reaped children used."""
        self.ended = time.monotonic()
        _, status, self.usage = os.wait4(self.popen.pid, 0)
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.pidfd)

    def has_ended(self):
        """Whether it has ended. Does not reap it: what /proc says of it can still be read."""
        if self.ended is not None:
            return True
        return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def processor_now(self):
        """Seconds of processor time that this process alone has used so far."""
        with open(f"/proc/{self.popen.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def processor(self):
        """Seconds of processor time of this process and its children, after its end."""
        return self.usage.ru_utime + self.usage.ru_stime



def end_all(processes):
    """Kills and reaps those that still run."""
    left = [process for process in processes if process.ended is None]
    for process in left:
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)  # Popen's own kill() would reap it
    for process in left:
        process.reap()


def wait_for_all(processes, limit=LIMIT_S):
    """Waits until all have ended as they have to; raises Failed as soon as one has ended in another way."""
    poll, until = select.poll(), time.monotonic() + limit
    left = {process.pidfd: process for process in processes if process.ended is None}
    for pidfd in left:
        poll.register(pidfd, select.POLLIN)
    while left:
        for pidfd, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000):
            poll.unregister(pidfd)
            process = left.pop(pidfd)
            process.reap()
            if process.popen.returncode != process.code:
                raise Failed(f"{' '.join(process.command[:3])} ended with {process.popen.returncode}")
        if left and time.monotonic() >= until:
            raise Failed(f"not over after {limit} s: {' '.join(next(iter(left.values())).command[:3])}")


def output_of(command, limit=LIMIT_S):
    """What a program printed that has to end with 0."""
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"not over after {limit} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


class Lines:
    """Counts the lines of a file that is being written to, each once."""

    def __init__(self, path):
        self.path, self.seen, self.count = path, 0, 0

    def look(self):
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                file.seek(self.seen)
                while block := file.read(1 << 20):
                    self.seen += len(block)
                    self.count += block.count(b"\n")
        return self.count


def first_and_last(path):
    """The first and the last record of a results file, as dictionaries."""
    with open(path, "rb") as file:
        first = file.readline()
        file.seek(max(0, os.path.getsize(path) - (4 << 20)))  # no record is longer
        return json.loads(first), json.loads(file.read().splitlines()[-1])


def flow_seconds(results):
    """From the first dispatch to the last record, out of what RESULTS says. The first record's job was given out before
    any other: until one result is known, a worker is given one job at a time. So the clock starts when that job began to
    run (`finished` less `run_ms`), which is one message after its dispatch, well under 5 ms. It ends with `finished` of
    the last record."""
    first, last = first_and_last(results)
    begin, end = (datetime.datetime.fromisoformat(record["finished"]).timestamp() for record in (first, last))
    return end - begin + first["run_ms"] / 1000


def said_in(folder):
    """What the dispatcher of a run printed last."""
    with open(f"{folder}/dispatcher.err", encoding="utf-8", errors="replace") as said:
        return said.read()[-500:]


@dataclass(frozen=True)
class Outcome:
    """What a run that ended well took."""
    seconds: float     # from the dispatcher's start until its workers have left, when every result is in the file
    processor: float   # seconds, all processes together
    dispatcher: float  # seconds, the dispatcher alone
    peak_bytes: int    # the dispatcher's largest resident set (VmHWM in /proc), if that is larger than ours


class Run:
    """One dispatcher with its workers, in a folder of its own. To be stopped at the end, in any case. `under(name)` is a
    command to run each of them with, such as valgrind."""

    def __init__(self, binaries, folder, jobs_file, labels=(), workers=2, slots=1, before=None, durability="sync",
                 more=(), code=0, under=lambda name: (), worker_flags=()):
        self.under, self.folder, self.results = under, folder, f"{folder}/out.jsonl"
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.processes = []
        try:
            self.dispatcher = self.start("dispatcher", [
                f"{binaries}/workpool-dispatcher", "run", jobs_file, "-o", self.results, "--overwrite", "--listen",
                self.address, "--durability", durability, "--progress", "none", *more], code)
            if before:
                before(self.address)
            self.started, self.processor_before = time.monotonic(), self.dispatcher.processor_now()
            wanted = [flag for label in labels for flag in ("--label", label)]
            self.workers = [self.start(f"w{i}", [
                f"{binaries}/workpool-worker", self.address, "--slots", str(slots), "--name", f"w{i}", "--log-level",
                "error", *wanted, *worker_flags]) for i in range(workers)]
        except BaseException:
            self.stop()
            raise

    def start(self, name, command, code=0):
        with open(f"{self.folder}/{name}.err", "wb") as said:
            self.processes.append(Process([*self.under(name), *command], code, stdout=subprocess.DEVNULL, stderr=said))
        return self.processes[-1]

    def wait_for_records(self, records, limit=120):
        """Waits until that many results are written. Returns seconds since the workers' start: of wall time, and of the
        dispatcher's processor time."""
        end, lines = time.monotonic() + limit, Lines(self.results)
        while lines.look() < records:
            if time.monotonic() > end or self.dispatcher.has_ended():
                raise Failed(f"only {lines.count} of {records} results: {said_in(self.folder)}")
            time.sleep(0.01)
        return time.monotonic() - self.started, self.dispatcher.processor_now() - self.processor_before

    def wait_for_end(self, limit=LIMIT_S):
        """Waits until all have ended. (After a run of less than 2 s the dispatcher stays for 2 s more, for workers that
        come late; that is not counted.)"""
        try:
            wait_for_all(self.processes, limit)
        except Failed as failed:
            raise Failed(f"{failed}; the dispatcher said: {said_in(self.folder)}") from None
        return Outcome(max(worker.ended for worker in self.workers) - self.dispatcher.started,
                       sum(process.processor for process in self.processes), self.dispatcher.processor,
                       self.dispatcher.usage.ru_maxrss * 1024)

    def stop(self):
        end_all(self.processes)


def remove_results(folder):
    for name in (f"{folder}/out.jsonl", f"{folder}/out.jsonl.state"):
        if os.path.exists(name):
            os.unlink(name)


def run_locally(binaries, folder, jobs_file, *flags, limit=LIMIT_S):
    """Runs a jobs file with a local worker. Returns the dispatcher's process, which has ended."""
    with open(f"{folder}/dispatcher.err", "wb") as said:
        process = Process([f"{binaries}/workpool-dispatcher", "run", jobs_file, "-o", f"{folder}/out.jsonl",
                           "--overwrite", "--progress", "none", *flags], stdout=subprocess.DEVNULL, stderr=said)
    try:
        wait_for_all([process], limit)
    except Failed as failed:
        raise Failed(f"{failed}; it said: {said_in(folder)}") from None
    finally:
        end_all([process])
    return process
