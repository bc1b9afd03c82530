# SPDX-License-Identifier: MIT
"""The rows that scripts/bench prints: the figure of each, what it has to reach at the least, its goal, and how it is
measured. Rows that come from the same runs share a measurement."""
import json
import os
import statistics
from dataclasses import dataclass

import jobs
import media
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
            runs.remove_results(self.folder)


class NoopArgs(Measurement):
    rows = (
        Row("noop-args", "no-ops with distinct args, file to file, jobs/s over the raw pipeline", 0.15, 0.22, True, 3,
            "{rate:,.0f} jobs/s; raw pipeline {raw:,.0f}/s; ceiling {ceiling:.3f}"),
        Row("noop-args-flow", "the same from first dispatch to last record", 0.21, 0.30, True, 3,
            "{flow:,.0f} jobs/s; ceiling {ceiling_flow:.3f}"),
        Row("noop-args-cpu", "the same, CPU us a job, all processes", 1.9, 1.2, digits=2,
            note="{dispatcher:.2f} of them in the dispatcher; ceiling {ceiling_processor:.2f}"),
    )
    raw_jobs = 4_000_000

    def prepare(self):
        self.jobs = jobs.write(self.jobs_file, jobs.noops_with_args(self.count(1_000_000, 300_000)))

    def reference(self):
        """The raw pipeline; and as the ceiling bench_floor, which does all that is promised and nothing else."""
        raw = float(runs.output_of([f"{self.binaries}/bench_raw_pipeline", str(self.raw_jobs)]))
        printed = runs.output_of([f"{self.binaries}/bench_floor", self.jobs_file, f"{self.folder}/out.jsonl"])
        runs.remove_results(self.folder)
        rate, flow, processor = (float(number) for number in printed.split())
        return {"raw": raw, "ceiling": rate / raw, "ceiling_flow": flow / raw, "ceiling_processor": processor}

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
        self.jobs = jobs.write(self.jobs_file, jobs.echoes_of_1k(self.count(100_000, 30_000)))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries)
        return {"processor": took.processor / self.jobs * US, "rate": self.jobs / took.seconds,
                "dispatcher": took.dispatcher / self.jobs * US}

    def figures(self, run, reference):
        return {"echo-1k": run["processor"]}


class Commands(Measurement):
    rows = (Row("commands", '["/bin/true"], 2 slots, synced, over a bare vfork loop with two pipes on two threads', 0.8, 0.9,
                True, 3, "{rate:,.0f}/s; loop {loop:,.0f}/s; CPU {processor:.0f} us a command"),)

    def prepare(self):
        self.jobs = jobs.write(self.jobs_file, jobs.commands(self.count(5_000, 1_500)))

    def reference(self):
        return {"loop": float(runs.output_of([f"{self.binaries}/bench_spawn_loop", str(self.jobs)]))}

    def run(self, binaries):
        done = runs.run_locally(binaries, self.folder, self.jobs_file, "--local", "2")
        return {"rate": self.jobs / (done.ended - done.started), "processor": done.processor / self.jobs * US}

    def figures(self, run, reference):
        return {"commands": run["rate"] / reference["loop"]}


class RoundTrip(Measurement):
    rows = (Row("round-trip", "one job at a time over `run - -o -`, median over that of empty hops in the same threads", 1.5,
                1.25, digits=2, note="{half:.0f} us, 99 % under {most:.0f}; hops {hops_half:.0f} and {hops_most:.0f}"),)

    def trip(self, *program):
        """Median and 99th percentile, in microseconds."""
        client = f"{self.binaries}/bench_round_trip"
        printed = runs.output_of([client, str(self.count(3_000, 1_000)), *program])
        return tuple(float(number) for number in printed.split())

    def reference(self):
        half, most = self.trip(f"{self.binaries}/bench_round_trip", "hops")
        return {"hops_half": half, "hops_most": most}

    def run(self, binaries):
        half, most = self.trip(f"{binaries}/workpool-dispatcher", "run", "-", "-o", "-", "--local", "1", "--progress", "none")
        return {"half": half, "most": most}

    def figures(self, run, reference):
        return {"round-trip": run["half"] / reference["hops_half"]}


class ColdStart(Measurement):
    rows = (Row("cold-start", "one command from a cold start, wall time in ms, median of ten", 20, 12,
                note="CPU {processor:.1f} ms"),)

    def prepare(self):
        jobs.write(self.jobs_file, jobs.commands(1))

    def run(self, binaries):
        done = [runs.run_locally(binaries, self.folder, self.jobs_file) for _ in range(self.count(10, 5))]
        return {"wall": statistics.median(process.ended - process.started for process in done) * 1000,
                "processor": statistics.median(process.processor for process in done) * 1000}

    def figures(self, run, reference):
        return {"cold-start": run["wall"]}


class AllFail(Measurement):
    rows = (Row("all-fail", "all jobs failing, thousands of jobs/s", 100, 200, True, 0,
                "{processor:.1f} us of CPU a job"),)

    def prepare(self):
        self.jobs = jobs.write(self.jobs_file, jobs.failures(self.count(200_000, 100_000)))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries, code=1)
        return {"rate": self.jobs / took.seconds, "processor": took.processor / self.jobs * US}

    def figures(self, run, reference):
        return {"all-fail": run["rate"] / 1000}


class Classes3000(Measurement):
    rows = (Row("classes-3000", "60,000 no-ops of 3,000 requirements, CPU us a job in the dispatcher", 5, 3, digits=2,
                note="{rate:,.0f} jobs/s"),)

    def prepare(self):
        self.jobs = jobs.write(self.jobs_file, jobs.noops_of_classes(60_000, 3_000))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries, labels=jobs.CLASS_LABELS)
        return {"dispatcher": took.dispatcher / self.jobs * US, "rate": self.jobs / took.seconds}

    def figures(self, run, reference):
        return {"classes-3000": run["dispatcher"]}


class Workers100(Measurement):
    rows = (Row("workers-100", "no-ops over 100 workers of one slot, CPU us a job, all processes", 6, 4, digits=2,
                note="{dispatcher:.2f} of them in the dispatcher; {rate:,.0f} jobs/s"),)

    def prepare(self):
        self.jobs = jobs.write(self.jobs_file, jobs.equal_noops(self.count(400_000, 100_000)))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries, workers=100)
        return {"processor": took.processor / self.jobs * US, "dispatcher": took.dispatcher / self.jobs * US,
                "rate": self.jobs / took.seconds}

    def figures(self, run, reference):
        return {"workers-100": run["processor"]}


class PythonHandler(Measurement):
    rows = (Row("python-handler", "jobs/s of a Python function in a handler that stays, over one python3 a job", 20, 100, True, 0,
                "{rate:,.0f} jobs/s; {each:.0f} with a python3 each"),)

    def prepare(self):
        with open(f"{self.folder}/handler.py", "w", encoding="ascii") as script:
            script.write(jobs.PYTHON_HANDLER)

    def rate(self, binaries, count, *flags):
        done = runs.run_locally(binaries, self.folder, self.jobs_file, "--local", "2", *flags)
        return count / (done.ended - done.started)

    def reference(self):
        count = jobs.write(self.jobs_file, jobs.python_commands(self.count(400, 100)))
        return {"each": self.rate(self.binaries, count)}

    def run(self, binaries):
        count = jobs.write(self.jobs_file, jobs.of_type("squares", self.count(100_000, 30_000)))
        return {"rate": self.rate(binaries, count, "--handler", f"squares=python3 {self.folder}/handler.py")}

    def figures(self, run, reference):
        return {"python-handler": run["rate"] / reference["each"]}


class CompiledHandler(PythonHandler):
    rows = (
        Row("c-handler", "thousands of jobs/s through a C program that answers each line", 30, 100, True, 0),
        Row("c-handler-noop", "the same, over the built-in noop", 0.3, 0.7, True, 2, "{noop:,.0f} no-ops/s"),
    )

    def prepare(self):
        runs.output_of(["cc", "-O2", "-o", f"{self.folder}/echo_args", "examples/handlers/echo_args.c"])

    def reference(self):
        count = jobs.write(self.jobs_file, jobs.of_type("noop", self.count(400_000, 100_000)))
        return {"noop": self.rate(self.binaries, count)}

    def run(self, binaries):
        count = jobs.write(self.jobs_file, jobs.of_type("args", self.count(400_000, 100_000)))
        return {"rate": self.rate(binaries, count, "--handler", f"args={self.folder}/echo_args")}

    def figures(self, run, reference):
        return {"c-handler": run["rate"] / 1000, "c-handler-noop": run["rate"] / reference["noop"]}


class LimitedKeys(Measurement):
    rows = (Row("limits-noop", "no-ops of 10,000 keys that allow 2 at once each, over the same without limits", 0.3, 0.8, True, 2,
                "{rate:,.0f} jobs/s, {free:,.0f} without"),
            Row("limits-command", "the same with commands", 0.8, 0.8, True, 2, "{commands:,.0f}/s, {free_commands:,.0f} without"))

    def rate(self, binaries, count, lines):
        jobs.write(self.jobs_file, lines)
        took = runs.run_locally(binaries, self.folder, self.jobs_file, "--local", "2", "--limit", "host:*=2")
        return count / (took.ended - took.started)

    def measured(self, binaries, keys):
        noops, commands = self.count(1_000_000, 200_000), self.count(20_000, 5_000)
        return (self.rate(binaries, noops, jobs.limited({"type": "noop"}, noops, keys)),
                self.rate(binaries, commands, jobs.limited({"cmd": ["/bin/true"]}, commands, keys)))

    def reference(self):
        free, free_commands = self.measured(self.binaries, 0)
        return {"free": free, "free_commands": free_commands}

    def run(self, binaries):
        rate, commands = self.measured(binaries, 10_000)
        return {"rate": rate, "commands": commands}

    def figures(self, run, reference):
        return {"limits-noop": run["rate"] / reference["free"], "limits-command": run["commands"] / reference["free_commands"]}


class Memory10M(Measurement):
    rows = (Row("memory-10m", "10 M no-ops with distinct args, the dispatcher's peak memory in MiB (one run)", 341, 300,
                digits=0, note="{rate:,.0f} jobs/s"),)
    runs_most = 1

    def prepare(self):
        self.jobs = jobs.write(self.jobs_file, jobs.noops_with_args(10_000_000))

    def run(self, binaries):
        took, _ = self.outcome_of(binaries)
        return {"peak": took.peak_bytes / (1 << 20), "rate": self.jobs / took.seconds}

    def figures(self, run, reference):
        return {"memory-10m": run["peak"]}


class Thumbnails(Measurement):
    rows = (Row("thumbnails", "thumbnails by examples/media-worker on 2 slots, over `xargs -P2 -n1 vipsthumbnail`", 1.0, 1.0, True, 2,
                "{rate:.0f}/s; xargs {one:.0f}/s, with sRGB and 20 pictures a process {many:.0f}/s; CPU of a picture {processor:.1f} ms, "
                "{one_processor:.1f} and {many_processor:.1f}"),)

    def prepare(self):
        self.program = media.build(self.binaries, self.folder)
        self.photographs = media.photographs(f"{self.folder}/photos", self.count(300, 60))
        os.mkdir(f"{self.folder}/thumbs")
        self.list = f"{self.folder}/photographs"
        with open(self.list, "w", encoding="utf-8") as file:
            file.writelines(path + "\n" for path in self.photographs)
        with open(self.jobs_file, "w", encoding="utf-8") as file:
            for path in self.photographs:
                target = f"{self.folder}/thumbs/{os.path.basename(path)}"
                args = {"source": path, "target": target, "width": 200, "quality": 75}
                file.write(json.dumps({"type": "thumbnail", "args": args}) + "\n")

    def by_xargs(self, pictures, *flags):
        """Pictures a second, with so many for each process, and the processor time of one in milliseconds."""
        xargs = runs.Process(["xargs", "-a", self.list, "-P2", f"-n{pictures}", "vipsthumbnail", *flags, "-s", "200x200", "-o",
                              f"{self.folder}/thumbs/%s.jpg[Q=75,strip]"])
        try:
            runs.wait_for_all([xargs])
        finally:
            runs.end_all([xargs])
        count = len(self.photographs)
        return count / (xargs.ended - xargs.started), xargs.processor / count * 1000

    def reference(self):
        one, one_processor = self.by_xargs(1)
        # What media-worker does, too: it brings each picture to sRGB.
        many, many_processor = self.by_xargs(20, "--eprofile", "srgb")
        return {"one": one, "one_processor": one_processor, "many": many, "many_processor": many_processor}

    def run(self, binaries):
        seconds, processor = media.seconds_of(binaries, self.folder, self.jobs_file, self.program, 2)
        return {"rate": len(self.photographs) / seconds, "processor": processor / len(self.photographs) * 1000}

    def figures(self, run, reference):
        return {"thumbnails": run["rate"] / reference["one"]}


class Fetch(Measurement):
    rows = (Row("fetch", "small pages by examples/media-worker on 50 slots, over one curl a job on 2 slots", 5, 5, True, 1,
                "{rate:,.0f} pages/s; curl {curl:,.0f}/s; CPU {processor:.2f} ms a page in the worker"),)

    def prepare(self):
        self.program = media.build(self.binaries, self.folder)
        self.pages, self.curls = self.count(20_000, 4_000), self.count(2_000, 400)
        self.root, self.out = f"{self.folder}/www", f"{self.folder}/pages"
        os.mkdir(self.root)
        os.mkdir(self.out)
        for number in range(self.pages):
            with open(f"{self.root}/{number}.html", "w", encoding="ascii") as file:
                file.write(f"<p>page {number}</p>\n" * 50)

    def write_jobs(self, count, job):
        with open(self.jobs_file, "w", encoding="ascii") as file:
            file.writelines(json.dumps(job(number, f"{self.out}/{number}")) + "\n" for number in range(count))

    def reference(self):
        with media.server(self.folder, self.root) as base:
            self.write_jobs(self.curls, lambda number, target: {
                "cmd": ["curl", "-sSf", "--noproxy", "*", "-o", target, f"{base}/{number}.html"]})
            done = runs.run_locally(self.binaries, self.folder, self.jobs_file, "--local", "2")
        return {"curl": self.curls / (done.ended - done.started)}

    def run(self, binaries):
        with media.server(self.folder, self.root) as base:
            self.write_jobs(self.pages, lambda number, target: {
                "type": "fetch", "args": {"url": f"{base}/{number}.html", "target": target}})
            seconds, processor = media.seconds_of(binaries, self.folder, self.jobs_file, self.program, 50)
        return {"rate": self.pages / seconds, "processor": processor / self.pages * 1000}

    def figures(self, run, reference):
        return {"fetch": run["rate"] / reference["curl"]}


MEASUREMENTS = (NoopArgs, Echo1k, Commands, RoundTrip, ColdStart, AllFail, Classes3000, Workers100, PythonHandler, CompiledHandler,
                LimitedKeys, Memory10M, Thumbnails, Fetch)
NAMES = tuple(row.name for measurement in MEASUREMENTS for row in measurement.rows)
