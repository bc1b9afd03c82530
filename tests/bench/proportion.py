#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whether the dispatcher's cost follows what changes: runs that have much of one thing (requirements, priorities, idle
workers, failures), each next to the same run without it.

  impossible   no-op jobs behind 50,000 jobs of labels that no worker has: from the start to the last no-op's result
  failing      every job fails at once
  classes      jobs of 1, 300 and 3,000 requirements
  priorities   jobs of 1 and 10,000 priorities
  idle         a run with one busy worker, with and without 200 sessions that cannot run any of its jobs

  proportion.py BIN [--rows impossible,failing,...] [--jobs N]

Prints wall time, jobs per second and, per job, the dispatcher's own processor time. Nothing here decides a test.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


class Run:
    """One dispatcher with its workers, in a folder of its own."""

    def __init__(self, binaries, folder, jobs, labels=(), workers=2, slots=1, before=None):
        self.binaries, self.folder = binaries, folder
        self.jobs_file, self.results = f"{folder}/jobs.jsonl", f"{folder}/out.jsonl"
        with open(self.jobs_file, "w", encoding="ascii") as out:
            out.writelines(json.dumps(job, separators=(",", ":")) + "\n" for job in jobs)
        self.count = Lines(self.jobs_file).look()
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.dispatcher = subprocess.Popen(
            [f"{binaries}/workpool-dispatcher", "run", self.jobs_file, "-o", self.results, "--overwrite", "--listen",
             self.address, "--durability", "os", "--progress", "none"],
            stderr=open(f"{folder}/err", "w", encoding="ascii"))
        if before:
            before(self.address)
        self.started, self.cpu_before = time.monotonic(), self.cpu()
        more = [flag for label in labels for flag in ("--label", label)]
        self.workers = [subprocess.Popen(
            [f"{binaries}/workpool-worker", self.address, "--slots", str(slots), "--name", f"w{i}", "--log-level",
             "error", *more]) for i in range(workers)]

    def cpu(self):
        """Seconds of processor time that the dispatcher has used."""
        with open(f"/proc/{self.dispatcher.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ended(self):
        """Whether the dispatcher has ended. Does not reap it: its processor time is still to be read."""
        return os.waitid(os.P_PID, self.dispatcher.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait_for(self, records, limit=120):
        """Waits until that many results are written. Returns seconds of wall time and of the dispatcher's processor time."""
        end, lines = time.monotonic() + limit, Lines(self.results)
        while lines.look() < records:
            if time.monotonic() > end or self.ended():
                with open(f"{self.folder}/err", encoding="utf-8") as said:
                    print(f"only {lines.count} of {records} results: {said.read()[-500:]}", file=sys.stderr)
                break
            time.sleep(0.01)
        return time.monotonic() - self.started, self.cpu() - self.cpu_before

    def stop(self):
        for process in [self.dispatcher, *self.workers]:
            process.kill()
            process.wait()


def show(row, what, jobs, wall, cpu):
    print(f"{row:11} {what:42} {wall:7.2f} s {jobs / wall:10,.0f}/s   {cpu / jobs * 1e6:7.2f} us a job in the dispatcher",
          flush=True)


def one(binaries, row, what, jobs, wait=None, **more):
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        run = Run(binaries, folder, jobs, **more)
        try:
            count = wait or run.count
            wall, cpu = run.wait_for(count)
            show(row, what, count, wall, cpu)
            return wall, cpu
        finally:
            run.stop()


def impossible(binaries, jobs):
    jobs = jobs or 20_000
    noops = [{"type": "noop"}] * jobs
    one(binaries, "impossible", "none", noops)
    one(binaries, "impossible", "50,000 jobs, one label", [{"type": "noop", "labels": ["no"]}] * 50_000 + noops, wait=jobs)
    one(binaries, "impossible", "50,000 jobs, a label each",
        [{"type": "noop", "labels": [f"no{i}"]} for i in range(50_000)] + noops, wait=jobs)


def failing(binaries, jobs):
    jobs = jobs or 200_000
    one(binaries, "failing", "all ok", [{"type": "noop"}] * jobs)
    one(binaries, "failing", "all fail", [{"type": "fail", "args": {"message": "no"}}] * jobs)


def classes(binaries, jobs):
    jobs = jobs or 60_000
    labels = [f"l{i}" for i in range(12)]
    for count in (1, 10, 300, 3000):
        def labels_of(number):
            return [label for bit, label in enumerate(labels) if number % count >> bit & 1]
        one(binaries, "classes", f"{count} requirements", [{"type": "noop", "labels": labels_of(i)} for i in range(jobs)],
            labels=labels)


def priorities(binaries, jobs):
    jobs = jobs or 300_000
    for count in (1, 50, 10_000):
        # Each line's priority is far from that of its neighbours.
        one(binaries, "priorities", f"{count} priorities",
            [{"type": "noop", "priority": i * 7919 % count} for i in range(jobs)])


class IdleSessions:
    """200 workers that register and beat, and have no slot for anything in the file."""

    def __init__(self, binaries, count):
        self.binaries, self.count, self.processes = binaries, count, []

    def join(self, address):
        for i in range(self.count):
            self.processes.append(subprocess.Popen(
                [f"{self.binaries}/workpool-worker", address, "--slots", "1", "--name", f"idle{i}", "--log-level",
                 "error"]))
        time.sleep(0.05 * self.count + 2)  # until they are there: a measurement, not a test

    def stop(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def idle(binaries, jobs):
    jobs = jobs or 1_000_000
    for count in (0, 200):
        sessions = IdleSessions(binaries, count)
        try:
            one(binaries, "idle", f"{count} idle sessions", [{"type": "noop", "labels": ["busy"]}] * jobs, labels=["busy"],
                workers=2, before=sessions.join)
        finally:
            sessions.stop()


ROWS = {"impossible": impossible, "failing": failing, "classes": classes, "priorities": priorities, "idle": idle}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--jobs", type=int, help="of each run, instead of the row's own number")
    options = parser.parse_args()
    for row in options.rows.split(","):
        ROWS[row](options.binaries, options.jobs)


if __name__ == "__main__":
    main()
