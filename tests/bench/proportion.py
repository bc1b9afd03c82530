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
import itertools
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import jobs  # noqa: E402
import runs  # noqa: E402


def show(row, what, count, wall, cpu):
    print(f"{row:11} {what:42} {wall:7.2f} s {count / wall:10,.0f}/s   {cpu / count * 1e6:7.2f} us a job in the dispatcher",
          flush=True)


def one(binaries, row, what, lines, wait=None, **more):
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        count = jobs.write(f"{folder}/jobs.jsonl", lines)
        run = runs.Run(binaries, folder, f"{folder}/jobs.jsonl", durability="os", **more)
        try:
            wall, cpu = run.wait_for_records(wait or count)
            show(row, what, wait or count, wall, cpu)
        finally:
            run.stop()


def impossible(binaries, count):
    count = count or 20_000

    def noops_behind(labels):
        return itertools.chain(jobs.lines_of({"type": "noop", "labels": [label]} for label in labels),
                               jobs.equal_noops(count))
    one(binaries, "impossible", "none", jobs.equal_noops(count))
    one(binaries, "impossible", "50,000 jobs, one label", noops_behind(["no"] * 50_000), wait=count)
    one(binaries, "impossible", "50,000 jobs, a label each", noops_behind(f"no{i}" for i in range(50_000)), wait=count)


def failing(binaries, count):
    count = count or 200_000
    one(binaries, "failing", "all ok", jobs.equal_noops(count))
    one(binaries, "failing", "all fail", jobs.failures(count))


def classes(binaries, count):
    for requirements in (1, 10, 300, 3000):
        one(binaries, "classes", f"{requirements} requirements", jobs.noops_of_classes(count or 60_000, requirements),
            labels=jobs.CLASS_LABELS)


def priorities(binaries, count):
    for levels in (1, 50, 10_000):
        # Each line's priority is far from that of its neighbours.
        one(binaries, "priorities", f"{levels} priorities",
            jobs.lines_of({"type": "noop", "priority": i * 7919 % levels} for i in range(count or 300_000)))


class IdleSessions:
    """Workers that register and beat, and have no slot for anything in the file."""

    def __init__(self, binaries, count):
        self.binaries, self.count, self.processes = binaries, count, []

    def join(self, address):
        for i in range(self.count):
            self.processes.append(runs.Process(
                [f"{self.binaries}/workpool-worker", address, "--slots", "1", "--name", f"idle{i}", "--log-level",
                 "error"], stderr=subprocess.DEVNULL))
        time.sleep(0.05 * self.count + 2)  # until they are there: a measurement, not a test

    def stop(self):
        runs.end_all(self.processes)


def idle(binaries, count):
    for idlers in (0, 200):
        sessions = IdleSessions(binaries, idlers)
        try:
            one(binaries, "idle", f"{idlers} idle sessions",
                jobs.lines_of({"type": "noop", "labels": ["busy"]} for _ in range(count or 1_000_000)), labels=["busy"],
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
