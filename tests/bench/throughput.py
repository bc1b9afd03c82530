#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How fast workpool is, as ratios within one run, since absolute figures of a shared machine say little.

  no-op jobs   jobs file to results file, a dispatcher and two worker processes of one slot, next to a raw PUSH/PULL
               pipeline (bench_raw_pipeline), in interleaved pairs
  commands     ["true"] jobs with a local worker of two slots, next to xargs -P 2

With --against, another build's programs run the same jobs, alternating with these, and the medians of the pairs' ratios
are printed: wall time and processor time (of all processes together), this build's over the other's.

  throughput.py BIN [--against BIN] [--pairs 5] [--jobs 1000000] [--commands 5000] [--durability os|sync]
"""
import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raw(binaries, jobs):
    """Jobs per second of the bare pipeline."""
    done = subprocess.run([f"{binaries}/bench_raw_pipeline", str(jobs)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def noop(binaries, jobs_file, results, count, durability):
    """Jobs per second, from the dispatcher's start until its workers have left, which they do once every result is in
    the file. (After a run of less than 2 s it stays for 2 s more itself, for workers that come late.)"""
    address = f"tcp://127.0.0.1:{free_port()}"
    dispatcher = subprocess.Popen(
        [f"{binaries}/workpool-dispatcher", "run", jobs_file, "-o", results, "--overwrite", "--listen", address,
         "--durability", durability, "--progress", "none"], stderr=subprocess.PIPE, text=True)
    started = time.monotonic()
    workers = [subprocess.Popen([f"{binaries}/workpool-worker", address, "--slots", "1", "--name", f"w{i}",
                                 "--log-level", "error"]) for i in range(2)]
    for worker in workers:
        worker.wait(timeout=600)
    elapsed = time.monotonic() - started
    _, said = dispatcher.communicate(timeout=30)
    if dispatcher.returncode != 0:
        sys.exit(f"the dispatcher exited {dispatcher.returncode}: {said}")
    return count / elapsed


def commands(binaries, jobs_file, results):
    started = time.monotonic()
    subprocess.run([f"{binaries}/workpool-dispatcher", "run", jobs_file, "-o", results, "--overwrite", "--local", "2",
                    "--progress", "none"], check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def xargs(count):
    started = time.monotonic()
    subprocess.run(f"yes true | head -n {count} | xargs -P 2 -n 1 true", shell=True, check=True)
    return time.monotonic() - started


class Compared:
    """Runs two builds alternately and keeps the ratio of what each took."""

    def __init__(self, ours, other):
        self.builds = (ours, other)
        self.ratios = {}  # what was run -> [(wall, processor)]

    def pair(self, what, run, first):
        """`run(binaries)` is called for both, the build `first` (0 or 1) before the other."""
        took = {}
        for build in (first, 1 - first):
            before, started = processor_time(), time.monotonic()
            run(self.builds[build])
            took[build] = (time.monotonic() - started, processor_time() - before)
        self.ratios.setdefault(what, []).append(tuple(a / b for a, b in zip(took[0], took[1])))

    def report(self):
        for what, ratios in self.ratios.items():
            wall, processor = (sorted(column) for column in zip(*ratios))
            print(f"  {what:<11} wall {statistics.median(wall):.3f} ({wall[0]:.3f} to {wall[-1]:.3f}), processor time "
                  f"{statistics.median(processor):.3f} ({processor[0]:.3f} to {processor[-1]:.3f}) of the other build's")


def processor_time():
    """Seconds, of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(options, noop_file, true_file, results):
    compared = Compared(options.binaries, options.against)
    for pair in range(options.pairs):
        first = pair % 2
        compared.pair("no-op jobs", lambda binaries: noop(binaries, noop_file, results, options.jobs, options.durability),
                      first)
        compared.pair("commands", lambda binaries: commands(binaries, true_file, results), first)
    print(f"medians of {options.pairs} pairs, --durability {options.durability}:")
    compared.report()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries")
    parser.add_argument("--against", metavar="BIN")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--commands", type=int, default=5_000)
    parser.add_argument("--durability", default="os", choices=["os", "sync"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        noop_file = os.path.join(folder, "noop.jsonl")
        with open(noop_file, "w", encoding="ascii") as out:
            out.writelines('{"type":"noop"}\n' for _ in range(options.jobs))
        true_file = os.path.join(folder, "true.jsonl")
        with open(true_file, "w", encoding="ascii") as out:
            out.writelines('{"cmd":["true"]}\n' for _ in range(options.commands))
        results = os.path.join(folder, "out.jsonl")
        if options.against:
            compare(options, noop_file, true_file, results)
            return
        ratios, rates, raws, command_ratios = [], [], [], []
        for pair in range(options.pairs):
            raws.append(raw(options.binaries, 4_000_000))
            rates.append(noop(options.binaries, noop_file, results, options.jobs, options.durability))
            ratios.append(rates[-1] / raws[-1])
            ours, theirs = commands(options.binaries, true_file, results), xargs(options.commands)
            command_ratios.append(theirs / ours)
            print(f"pair {pair + 1}: raw {raws[-1]:,.0f} jobs/s, no-op {rates[-1]:,.0f} jobs/s (ratio {ratios[-1]:.3f}); "
                  f"commands {options.commands / ours:,.0f}/s, xargs {options.commands / theirs:,.0f}/s "
                  f"(ratio {command_ratios[-1]:.2f})", flush=True)
        print(f"\nmedians of {options.pairs} pairs, --durability {options.durability}:")
        print(f"  no-op jobs  {statistics.median(rates):,.0f}/s = {statistics.median(ratios):.3f} of the raw pipeline "
              f"({statistics.median(raws):,.0f}/s)")
        print(f"  commands    {statistics.median(command_ratios):.2f} of xargs -P 2")


if __name__ == "__main__":
    main()
