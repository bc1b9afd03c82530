#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures workpool next to its goals, row by row (tests/bench/rows.py). Absolute figures of a shared
machine say little, so what a row is compared with runs in the same pair, in turn, and a figure is the median of the pairs.

  measure.py BIN [--rows a,b,...] [--pairs 5] [--quick] [--against BIN]
  measure.py BIN --instructions [--quick] [--against BIN]
  measure.py BIN --picture FILE [--quick] [--against BIN]

With --against, another build's programs run the same in each pair, and each row also shows its figure, and the median of
this build's figure over the other's. Files go to $TMPDIR or /tmp; results are synced there, so its disk matters.
With --instructions, callgrind counts instructions per job and thread instead (instructions.py). With --picture, that and
throughput over job count, workers and requirements are drawn into an SVG file (picture.py).

Exits with 1 if a run failed. No figure decides anything.
"""
import argparse
import os
import signal
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
import instructions  # noqa: E402
import picture  # noqa: E402
import rows  # noqa: E402
import runs  # noqa: E402


class Samples:
    """What the runs of one measurement returned, pair by pair."""

    def __init__(self, measurement):
        self.measurement = measurement
        self.ours, self.others, self.facts = [], [], []

    def add(self, reference, ours, other):
        figures = self.measurement.figures
        self.ours.append(figures(ours, reference))
        self.facts.append({**reference, **ours})
        if other is not None:
            self.others.append(figures(other, reference))

    def text_of(self, row):
        def shown(value):
            return f"{value:,.{row.digits}f}"
        ours = [figures[row.name] for figures in self.ours]
        middle = statistics.median(ours)
        line = f"{row.name:15}{shown(middle):>8} {shown(min(ours)) + ' to ' + shown(max(ours)):>18}"
        line += f" {shown(row.least):>8} {shown(row.goal):>8}  {row.reached(middle)}"
        medians = {name: statistics.median(facts[name] for facts in self.facts) for name in self.facts[0]}
        lines = [line, "  " + "; ".join(filter(None, (row.figure, row.note.format(**medians))))]
        if self.others:
            others = [figures[row.name] for figures in self.others]
            ratios = sorted(mine / other for mine, other in zip(ours, others))
            lines.append(f"  the other build {shown(statistics.median(others))}; this one is {statistics.median(ratios):.3f} "
                         f"of it ({ratios[0]:.3f} to {ratios[-1]:.3f})")
        return "\n".join(lines)


def one_pair(measurement, pair, against):
    """Runs reference, our programs and the other build's; every second pair in the opposite order."""
    steps = {"reference": measurement.reference, "ours": lambda: measurement.run(measurement.binaries)}
    if against:
        steps["other"] = lambda: measurement.run(against)
    took = {name: steps[name]() for name in (steps if pair % 2 == 0 else reversed(steps))}
    return took["reference"], took["ours"], took.get("other")


def show_progress(text):
    """In place of the last text, if somebody watches."""
    if sys.stderr.isatty():
        print(f"\r{text:50}\r", end="", file=sys.stderr, flush=True)


def measured(kind, options):
    """The text of each row of one measurement that was asked for."""
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        measurement = kind(options.binaries, folder, options.quick)
        wanted = [row for row in measurement.rows if row.name in options.rows]
        pairs = min(options.pairs, measurement.runs_most or options.pairs)
        measurement.prepare()
        samples = Samples(measurement)
        for pair in range(pairs):
            show_progress(f"{wanted[0].name}: pair {pair + 1} of {pairs}")
            samples.add(*one_pair(measurement, pair, options.against))
        show_progress("")
        return [samples.text_of(row) for row in wanted]


def options_from(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", help="the folder of the programs to measure and of the references")
    parser.add_argument("--rows", help="of " + ", ".join(rows.NAMES), default=",".join(rows.NAMES))
    parser.add_argument("--pairs", type=int, help="5, or 2 with --quick")
    parser.add_argument("--quick", action="store_true",
                        help="fewer jobs, so that starting counts more: compare only with other quick runs")
    parser.add_argument("--against", metavar="BIN", help="the folder of another build's programs")
    parser.add_argument("--instructions", action="store_true", help="count instructions per job and thread instead")
    parser.add_argument("--picture", metavar="FILE", help="draw costs and throughput into this SVG file instead")
    options = parser.parse_args(arguments)
    options.rows = options.rows.split(",")
    unknown = [name for name in options.rows if name not in rows.NAMES]
    if unknown:
        parser.error(f"no row {unknown[0]}; there are {', '.join(rows.NAMES)}")
    for folder in filter(None, (options.binaries, options.against)):
        if not os.access(f"{folder}/workpool-dispatcher", os.X_OK):
            parser.error(f"{folder} has no workpool-dispatcher")
    options.pairs = options.pairs or (2 if options.quick else 5)
    return options


def measure_rows(options):
    """Prints the rows that were asked for. Returns whether all runs went well."""
    print(f"medians of {options.pairs} pairs{', quick' if options.quick else ''}; {os.cpu_count()} cores, load "
          f"{os.getloadavg()[0]:.1f} at the start, files in {tempfile.gettempdir()}\n")
    print(f"{'row':15}{'figure':>8} {'range':>18} {'least':>8} {'goal':>8}  reached", flush=True)
    ok = True
    for kind in rows.MEASUREMENTS:
        wanted = [row.name for row in kind.rows if row.name in options.rows]
        if not wanted:
            continue
        try:
            print("\n".join(measured(kind, options)), flush=True)
        except (runs.Failed, OSError) as problem:
            ok = False
            print(f"{wanted[0]:15} failed: {problem}", flush=True)
    return ok


def main():
    options = options_from(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that what was started is ended
    if not options.instructions and not options.picture:
        return 0 if measure_rows(options) else 1
    try:
        if options.picture:
            picture.write(options.picture, options.binaries, options.against, options.pairs, options.quick)
        else:
            instructions.show(options.binaries, options.against, options.quick)
    except (runs.Failed, OSError) as problem:
        print(f"failed: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
