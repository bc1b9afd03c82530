#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What it costs to keep others out: the same echoes of 1 KiB with a worker that comes over Unix sockets, over TCP with
keys, and over TCP without (--insecure); and one no-op at a time. The three take turns in one run, in changing order, so
that the machine's moods hit all alike. Prints medians, and ratios within each turn.

usage: access.py BINARIES [--turns N] [--jobs N]
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import jobs
import runs

WAYS = ("here", "keys", "open")


def flags_of(way, folder):
    if way == "keys":
        return ["--key", f"{folder}/pool.key"], ["--key", f"{folder}/join.key"]
    return ([], []) if way == "here" else (["--insecure"], ["--insecure"])


def one_run(binaries, folder, jobs_file, way):
    dispatcher, worker = flags_of(way, folder)
    runs.remove_results(folder)
    run = runs.Run(binaries, folder, jobs_file, workers=1, slots=2, more=dispatcher, worker_flags=worker)
    try:
        outcome = run.wait_for_end()
        flow = runs.flow_seconds(run.results)
    finally:
        run.stop()
    return flow, outcome.processor, outcome.dispatcher


def one_trip(binaries, way, jobs_count, folder):
    """Microseconds for one job, sent when the one before is back: the median."""
    dispatcher, worker = flags_of(way, folder)
    address = f"tcp://127.0.0.1:{runs.free_port()}"
    waiting = runs.Process([f"{binaries}/workpool-worker", address, "--slots", "1", "--log-level", "error", *worker],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        printed = runs.output_of([f"{binaries}/bench_round_trip", str(jobs_count), f"{binaries}/workpool-dispatcher", "run", "-",
                                  "-o", "-", "--progress", "none", "--log-level", "error", "--listen", address, *dispatcher])
        runs.wait_for_all([waiting])
    finally:
        runs.end_all([waiting])
    return float(printed.split()[0])


def make_keys(binaries, folder):
    made = subprocess.run([f"{binaries}/workpool-dispatcher", "keygen", f"{folder}/pool.key", "--worker", "any"],
                          check=True, capture_output=True)
    with open(os.open(f"{folder}/join.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(made.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--trips", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workpool-access-") as folder:
        jobs_file = f"{folder}/jobs.jsonl"
        jobs.write(jobs_file, jobs.echoes_of_1k(given.jobs))
        make_keys(given.binaries, folder)
        seen = {way: [] for way in WAYS}
        trips = {way: [] for way in WAYS}
        for turn in range(given.turns):
            for way in WAYS[turn % 3:] + WAYS[:turn % 3]:
                seen[way].append(one_run(given.binaries, folder, jobs_file, way))
                trips[way].append(one_trip(given.binaries, way, given.trips, folder))
    print(f"{given.jobs} echoes of 1 KiB, {given.turns} turns; load {os.getloadavg()[0]:.1f}")
    for way in WAYS:
        flow, processor, dispatcher = (statistics.median(values) for values in zip(*seen[way]))
        print(f"  {way}: {given.jobs / flow:9.0f} jobs/s, {processor / given.jobs * 1e6:6.1f} us of processor time a job, "
              f"{dispatcher / given.jobs * 1e6:5.1f} us of it in the dispatcher; {statistics.median(trips[way]):5.0f} us for one alone")
    for way in ("here", "keys"):
        rates = [open_[0] / other[0] for open_, other in zip(seen["open"], seen[way])]
        times = [other / open_ for open_, other in zip(trips["open"], trips[way])]
        for what, ratios in (("throughput", sorted(rates)), ("time of one alone", sorted(times))):
            print(f"  {what}, {way} over open: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
