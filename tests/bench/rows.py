# SPDX-License-Identifier: MIT
"""The rows that scripts/bench prints: the figure of each, what it has to reach at the least, its goal, and how it is
measured. Rows that come from the same runs share a measurement."""
import os
from dataclasses import dataclass

import runs

US = 1e6


@dataclass(frozen=True)
class Row:
    name: str
    figure: str
    least: float
    goal: float
    more_is_better: bool = False
    digits: int = 1
    note: str = ""  # what else the runs showed: a format of the medians of what they returned

    def reached(self, figure):
        def at_least(limit):
            return figure >= limit if self.more_is_better else figure <= limit
        return "goal" if at_least(self.goal) else "least" if at_least(self.least) else "not yet"


class Measurement:
    """What is run for some rows. `run` and `reference` return named numbers of one run; `figures` makes a figure for each
    row of what one pair of them returned."""
    rows = ()
    runs_most = None  # if the figure hardly differs from run to run

    def __init__(self, binaries, folder, quick):
        self.binaries, self.folder, self.quick = binaries, folder, quick
        self.jobs_file = f"{folder}/jobs.jsonl"

    def prepare(self):
        """Writes the files that the runs read."""

    def reference(self):
        """One run of what the figures are compared with."""
        return {}

    def run(self, binaries):
        """One run of the programs in that folder."""
        raise NotImplementedError

    def figures(self, run, reference):
        raise NotImplementedError

    def count(self, usual, quick):
        return quick if self.quick else usual

    def outcome_of(self, binaries, measure=None, **more):
        """Of a run of the jobs file; also what `measure(results)` returns."""
        run = runs.Run(binaries, self.folder, self.jobs_file, **more)
        try:
            outcome = run.wait_for_end()
            return outcome, measure(run.results) if measure else None
        finally:
            run.stop()
            for name in ("", ".state"):
                if os.path.exists(run.results + name):
                    os.unlink(run.results + name)


def noop_lines(count):
    """No-op jobs with distinct arguments, 88 bytes a line."""
    return (f'{{"type":"noop","args":{{"number":{10_000_000 + i},"file":"/data/input/part-{i:010}.parquet"}}}}\n'
            for i in range(count))


def write_lines(path, lines):
    with open(path, "w", encoding="ascii") as out:
        out.writelines(lines)


class NoopArgs(Measurement):
    rows = (
        Row("noop-args", "no-ops with distinct args, file to file, jobs/s over the raw pipeline", 0.15, 0.22, True, 3,
            "{rate:,.0f} jobs/s; raw pipeline {raw:,.0f}/s"),
        Row("noop-args-flow", "the same from first dispatch to last record", 0.21, 0.30, True, 3, "{flow:,.0f} jobs/s"),
        Row("noop-args-cpu", "the same, CPU us a job, all processes", 1.9, 1.2, digits=2,
            note="{dispatcher:.2f} of them in the dispatcher"),
    )
    raw_jobs = 4_000_000

    def prepare(self):
        self.jobs = self.count(1_000_000, 300_000)
        write_lines(self.jobs_file, noop_lines(self.jobs))

    def reference(self):
        return {"raw": float(runs.output_of([f"{self.binaries}/bench_raw_pipeline", str(self.raw_jobs)]))}

    def run(self, binaries):
        took, flow_seconds = self.outcome_of(binaries, runs.flow_seconds)
        return {"rate": self.jobs / took.seconds, "flow": self.jobs / flow_seconds,
                "processor": took.processor / self.jobs * US, "dispatcher": took.dispatcher / self.jobs * US}

    def figures(self, run, reference):
        return {"noop-args": run["rate"] / reference["raw"], "noop-args-flow": run["flow"] / reference["raw"],
                "noop-args-cpu": run["processor"]}


class Echo1k(Measurement):
    rows = (Row("echo-1k", "echo of 1 KiB, CPU us a job, all processes", 9, 6,
                note="{rate:,.0f} jobs/s, {dispatcher:.1f} us in the dispatcher"),)

    def prepare(self):
        self.jobs = self.count(100_000, 30_000)
        text = "0123456789abcdef" * 64
        write_lines(self.jobs_file, (f'{{"type":"echo","args":{{"number":{100_000 + i},"text":"{text[:997]}"}}}}\n'
                                     for i in range(self.jobs)))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries)
        return {"processor": took.processor / self.jobs * US, "rate": self.jobs / took.seconds,
                "dispatcher": took.dispatcher / self.jobs * US}

    def figures(self, run, reference):
        return {"echo-1k": run["processor"]}


class AllFail(Measurement):
    rows = (Row("all-fail", "all jobs failing, thousands of jobs/s", 100, 200, True, 0,
                "{processor:.1f} us of CPU a job"),)

    def prepare(self):
        self.jobs = self.count(200_000, 100_000)
        write_lines(self.jobs_file, ('{"type":"fail","args":{"message":"no"}}\n' for _ in range(self.jobs)))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries, code=1)
        return {"rate": self.jobs / took.seconds, "processor": took.processor / self.jobs * US}

    def figures(self, run, reference):
        return {"all-fail": run["rate"] / 1000}


MEASUREMENTS = (NoopArgs, Echo1k, AllFail)
NAMES = tuple(row.name for measurement in MEASUREMENTS for row in measurement.rows)
