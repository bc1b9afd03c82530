# SPDX-License-Identifier: MIT
"""Instructions per job, thread by thread, counted by callgrind. They do not depend on what else the machine does, but
leave the kernel out. A thread is known by the function it runs, so this survives threads that come and go, and valgrind's
habit of giving the number of an ended thread to a new one."""
import collections
import glob
import os
import re
import shutil
import tempfile

import jobs
import runs

JOBS = 100_000
QUICK_JOBS = 20_000
LIMIT_S = 1800  # a run is some fifty times slower

# What a row counts: all that was called by this function, without what other rows of the same program count in it. An
# object instead of a function: all that it runs in threads of its own. If there are two, the second is that of
# earlier builds, to be compared with; in these libzmq was an object.
ZEROMQ = ("/libzmq.so", "zmq::worker_poller_base_t::worker_routine(")
ENTRIES = {
    "dispatcher": {
        "loop": "workpool::dispatcher::Loop::run(",
        "index: merging": "workpool::dispatcher::index_jobs_file(",
        "index: reading": "::Segment::run(",
        "reader": "workpool::dispatcher::JobsReader::Impl::serve(",
        "writer": ("workpool::dispatcher::JournalWriter::Impl::run(", "workpool::dispatcher::ResultsWriter::Impl::run("),
        "ZeroMQ": ZEROMQ,
    },
    "worker": {
        "loop": "workpool::worker::run_engine(",
        "pool": ("workpool::worker::HandlerExecutor::State::run(", "workpool::worker::ThreadPool::State::run("),
        "ZeroMQ": ZEROMQ,
    },
}
CALLGRIND = ("valgrind", "--tool=callgrind", "--separate-threads=yes", "--fair-sched=try", "-q")
THREAD_START = "start_thread"
NAMED = re.compile(r"(c?fn|c?ob)=\((\d+)\)(?: (.*))?")


class Profile:
    """One thread's file: what it ran in all, and what each function was called for, callees included."""

    def __init__(self, path):
        self.total, self.calls = 0, []  # (caller, callee, the callee's object, instructions)
        names = {}
        here = {"fn": "", "ob": "", "cfn": "", "cob": ""}
        called = False
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if match := NAMED.match(line):
                    kind, number, name = match.groups()
                    key = (kind[-2:], number)
                    if name:
                        names[key] = name.removesuffix("'2")  # callgrind's mark of a recursion
                    here[kind] = names[key]
                elif line.startswith("calls="):
                    called = True
                elif called:
                    self.calls.append((here["fn"], here["cfn"], here["cob"] or here["ob"], int(line.split()[1])))
                    called, here["cob"] = False, ""
                elif line.startswith("totals:"):
                    self.total = int(line.split()[1])

    def of(self, entry):
        """Instructions of an entry, or of several. Calls from within itself are in the outer call."""
        if isinstance(entry, tuple):
            return sum(self.of(one) for one in entry)
        if entry.startswith("/"):
            return sum(cost for caller, _, place, cost in self.calls if caller == THREAD_START and entry in place)
        return sum(cost for caller, callee, _, cost in self.calls if entry in callee and entry not in caller)


    def biggest(self):
        """The name of our function that most of the thread was spent in, without its parameters."""
        costs = collections.Counter()
        for _, callee, _, cost in self.calls:
            if callee.startswith("workpool::"):
                costs[callee.replace("(anonymous namespace)::", "").partition("(")[0]] += cost
        return costs.most_common(1)[0][0].removeprefix("workpool::") if costs else "?"


def by_thread(program, profiles):
    """Row -> instructions, of all profiles of a program together."""
    entries, whole = ENTRIES[program], sum(profile.total for profile in profiles)
    counts, others = collections.Counter(dict.fromkeys(entries, 0)), collections.Counter()
    for profile in profiles:
        own = {name: profile.of(entry) for name, entry in entries.items()}
        if own.get("index: merging"):
            own["index: merging"] -= own["index: reading"]  # if the thread that merges reads, too
        counts.update(own)
        rest = profile.total - sum(own.values())
        # A thread that no entry fits is worth a row of its own, unless it hardly does anything.
        known = rest < profile.total / 2 or profile.total < whole / 20
        others["start and others" if known else profile.biggest()] += rest
    return counts | others


def counted(binaries, folder, jobs_file):
    """Runs a dispatcher and two workers of one slot each; returns (program, row) -> instructions."""
    def under(name):
        return (*CALLGRIND, f"--callgrind-out-file={folder}/{name}.%p")
    run = runs.Run(binaries, folder, jobs_file, under=under, more=("--worker-timeout", "60s"))
    try:
        run.wait_for_end(LIMIT_S)
    finally:
        run.stop()
        runs.remove_results(folder)
    counts = {}
    for program, names in (("dispatcher", "dispatcher.*-*"), ("worker", "w?.*-*")):
        profiles = [Profile(path) for path in glob.glob(f"{folder}/{names}")]
        for name, count in by_thread(program, profiles).items():
            counts[program, name] = count
    return counts


def show(binaries, against, quick):
    if shutil.which("valgrind") is None:
        raise runs.Failed("valgrind is not installed: scripts/setup --bench does that")
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        jobs_file = f"{folder}/jobs.jsonl"
        count = jobs.write(jobs_file, jobs.noops_with_args(QUICK_JOBS if quick else JOBS))
        print(f"instructions per job, {count:,} no-ops with distinct args, two workers of one slot\n")
        builds = []
        for number, build in enumerate(filter(None, (binaries, against))):
            os.mkdir(f"{folder}/{number}")
            builds.append(counted(build, f"{folder}/{number}", jobs_file))
        print(f"{'thread':40}{'this build':>12}" + ("  other build" if against else ""))
        names = sorted(dict.fromkeys(name for build in builds for name in build), key=lambda name: name[0])
        rows = [(", ".join(name), [build.get(name, 0) for build in builds]) for name in names]
        rows.append(("all", [sum(build.values()) for build in builds]))
        for name, counts in rows:
            print(f"{name[:39]:40}" + " ".join(f"{number / count:12,.0f}" for number in counts))
