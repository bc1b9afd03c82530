#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""docs/coming-from.md: each line runs on small files. What GNU parallel and xargs make of theirs is compared with ours;
of HyperQueue's lines ours are run, and their effect is what EFFECTS says.

ssh and sbatch are stand-ins that run here what was to run there, and 10.0.0.5:5555 becomes a free port of this machine.
"""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import BIN, SOURCE, CliTest, Finished, clean_environment, free_port, jsonl, parse_results  # noqa: E402
from markdown_tables import Page, cells_of  # noqa: E402

PAGE = Page(SOURCE / "docs" / "coming-from.md")
COLUMNS = ["you type there", "here", "note"]
AT_LEAST = {"GNU parallel": 60, "xargs": 15, "HyperQueue": 40}
ADDRESS = "tcp://10.0.0.5:5555"
LINE_LIMIT = 30  # seconds for one line; each takes less than two
AT_ONCE = 4

# What the lines work on. `sim` fails for 2 while there is a file `broken`.
FILES = {
    "app.log": "start\nerror disk full\nstop\n",
    "web.log": "GET /\nerror 404\nGET /a\nGET /b\n",
    "db old.log": "open\nclose\n",
    "names.txt": "ada\ngrace\nlinus\n",
    "colours.txt": "red\ngreen\n",
    "sizes.txt": "S\nM\nL\n",
    "pairs.txt": "1 one\n2 two\n3 three\n",
    "parts.txt": "one_two_three",
    "numbers.txt": "".join(f"{number}\n" for number in range(1, 11)),
    "plain.tsv": "http\t80\nsql\t5432\n",
    "ports.tsv": "name\tport\nhttp\t80\nsql\t5432\n",
    "runs.csv": "rate,seed\n0.1,1\n0.2,2\n",
    "hosts.txt": "node7\nnode8\n",
    "items.json": '[{"rate": 0.1, "seed": 1}, {"rate": 0.2, "seed": 2}]\n',
    "commands.txt": "echo one\necho two | tr a-z A-Z\necho 'three  3'\n",
    "script.sh": "echo from a script\n",
    "more.txt": "./sim 7\n./sim 8\n",
    "jobs.jsonl": jsonl({"cmd": ["./sim", "1"]}, {"cmd": "./sim 2 | tr a-z A-Z"}),
    "first.jsonl": jsonl({"cmd": "echo first > made"}),
    "second.jsonl": jsonl({"cmd": "cat made"}),
    "slow.jsonl": jsonl(*({"cmd": ["sleep", "0.2"], "id": f"slow-{number}"} for number in range(8))),
    "long.jsonl": jsonl(*({"cmd": ["sleep", "0.3"], "id": f"long-{number}"} for number in range(200))),
    "photos/cat.jpg": "cat",
    "photos/trip/sea side.jpg": "sea",
    "thumbs/.keep": "",
    "archive/app.gz": gzip.compress(b"one\ntwo\n", mtime=0),
    "archive/web.gz": gzip.compress(b"three\n", mtime=0),
}
SIM = """#!/bin/sh
[ -e broken ] && [ "$1" = 2 ] && exit 1
echo "sim $*${HQ_ENTRY:+ entry $HQ_ENTRY}"
"""
SSH = """#!/bin/bash
while [ "${1#-}" != "$1" ]; do shift; done
shift
[ "$1" = -- ] && shift
exec /bin/bash -c "$*"
"""
SBATCH = """#!/bin/bash
while [ "$1" != --wrap ]; do shift; done
exec /bin/sh -c "$2"
"""

# What only keeps a record of the work, on either side, and is not compared.
RECORDS = ["log", "out", "out/*", "*.jsonl", "*.jsonl.state"]


class Row:
    def __init__(self, tool, heading, cells):
        self.tool, self.heading, self.cells = tool, heading, cells
        code = {name: [span.replace("\\|", "|") for span in cells_of(cells[name])] for name in COLUMNS[:2]}
        self.there = code["you type there"][0] if code["you type there"] else ""
        self.here = code["here"][0] if len(code["here"]) == 1 else None
        self.has_counterpart = cells["here"] != "no counterpart"


def rows_of(tool):
    headings = [heading for heading in PAGE.sections if heading == tool or heading.startswith(tool + ": ")]
    return [Row(tool, heading, cells) for heading in headings for table in PAGE.tables(heading) for cells in table]


def files_of(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not any(fnmatch(name, record) for record in RECORDS):
            found[name] = path.read_bytes()
    return found


class Done(Finished):
    """How a line ended, the folder in which it ran, and the lines of stdout, sorted unless their order is promised."""

    def __init__(self, line, folder, process):
        super().__init__(process.returncode, process.stdout, process.stderr)
        self.line, self.folder = line, folder
        self.lines = self.out.splitlines()
        if not re.search(r" -k | -j ?1 ", line):
            self.lines.sort()
        self.files = files_of(folder)

    def results_of(self, name):
        return parse_results((self.folder / name).read_bytes())

    def __str__(self):
        return f"{self.line}\n{super().__str__()}"


class Lines(CliTest):
    def setUp(self):
        super().setUp()
        tools = self.folder / "tools"
        for name, text in {"ssh": SSH, "sbatch": SBATCH}.items():
            self.write_program(tools / name, text)
        home = self.folder / "home"
        (home / ".parallel").mkdir(parents=True)
        (home / ".parallel" / "will-cite").touch()
        environment = clean_environment(HOME=str(home), TMPDIR=str(home), SHELL="/bin/bash", PARALLEL_SHELL="/bin/bash", LC_ALL="C.UTF-8")
        environment["PATH"] = f"{tools}:{environment['PATH']}"
        self.environment = environment
        self.template = self.folder / "template"
        for name, content in FILES.items():
            path = self.template / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.write_program(self.template / "sim", SIM)

    @staticmethod
    def write_program(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def new_folder(self, name):
        return Path(shutil.copytree(self.template, self.folder / name))

    def run_line(self, line, folder):
        process = subprocess.Popen(["bash", "-c", line], cwd=folder, env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=LINE_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nkilled after {LINE_LIMIT} s".encode()
        return Done(line, folder, subprocess.CompletedProcess(line, process.returncode, out, err))

    @staticmethod
    def at_once(function, rows):
        """Each row with a future of what the function makes of it; AT_ONCE run at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [(row, pool.submit(function, number, row)) for number, row in enumerate(rows)]


class ThePage(unittest.TestCase):
    def test_each_row_can_be_read(self):
        for tool, least in AT_LEAST.items():
            rows = rows_of(tool)
            self.assertGreaterEqual(len(rows), least, tool)
            self.assertEqual(len({row.there for row in rows}), len(rows), "a line stands twice")
            for row in rows:
                with self.subTest(row.there):
                    self.assertEqual(list(row.cells), COLUMNS)
                    self.assertTrue(row.there)
                    if row.has_counterpart:
                        self.assertIsNotNone(row.here, "one line in backticks, or no counterpart")
                        self.assertIn("workpool " if tool != "HyperQueue" else "", row.here)

    def test_each_exception_is_on_the_page(self):
        lines = {row.there for tool in AT_LEAST for row in rows_of(tool)}
        self.assertEqual([line for line in (*INSTEAD, *TWICE) if line not in lines], [])

    def test_each_line_is_one_of_a_shell(self):
        for tool in AT_LEAST:
            for row in rows_of(tool):
                if row.has_counterpart:
                    for line in (row.there, row.here):
                        read = subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False)
                        self.assertEqual(read.returncode, 0, f"{line}\n{read.stderr}")


# Lines that run twice, so that the second run, which is compared, has something to continue.
TWICE = {"parallel --joblog log --resume ./sim ::: 1 2": ("", ""),
         "parallel --joblog log --resume-failed ./sim ::: 1 2": ("touch broken; ", "rm broken; ")}


def same(test, there, here):
    what = f"\n=== there: {there}\n=== here: {here}"
    test.assertEqual(here.lines, there.lines, what)
    test.assertEqual(here.files, there.files, what)
    test.assertEqual(here.code == 0, there.code == 0, what)


def dry_run(test, there, here):
    test.assertEqual([json.loads(line)["cmd"] for line in here.lines],
                     [["gzip", name] for name in ("app.log", "db old.log", "web.log")])
    test.assertEqual(here.files, there.files)


def results_of_commands(test, there, here):
    test.assertEqual(sorted("".join(result["stdout"] for result in here.results_of("commands.results.jsonl")).splitlines()),
                     there.lines)


def results_of_counts(test, there, here):
    test.assertEqual(sorted(result["stdout"] for result in here.results_of("out.jsonl")),
                     ["2 db old.log\n", "3 app.log\n", "4 web.log\n"])
    test.assertEqual(sorted(path.read_text() for path in there.folder.glob("out/**/stdout")),
                     ["2 db old.log\n", "3 app.log\n", "4 web.log\n"])


def files_of_output(test, there, here):
    test.assertEqual([here.files["1.out"], here.files["2.out"]], [b"a\n", b"b\n"])
    test.assertEqual(len(there.lines), 2)


def stops_early(test, there, here):
    """What runs when the limit is reached is finished, so a few more may end."""
    what = f"\n=== there: {there}\n=== here: {here}"
    test.assertEqual(here.lines[:len(there.lines)], there.lines, what)
    test.assertLess(len(here.lines), 8, what)
    test.assertEqual(here.code == 0, there.code == 0, what)


# Where the real tool and we differ on purpose, what is compared instead of stdout, exit code and files.
INSTEAD = {"parallel --dry-run gzip ::: *.log": dry_run,
           "parallel --joblog log --resume < commands.txt": results_of_commands,
           "parallel --results out wc -l ::: *.log": results_of_counts,
           "parallel --files echo ::: a b": files_of_output,
           "parallel -j1 --halt soon,fail=1 'echo {}; exit {}' ::: 0 0 1 0 0 0 0 0": stops_early,
           "parallel -j1 --halt now,success=1 'echo {}; exit {}' ::: 1 2 0 3 3 3 3 3": stops_early,
           "printf '%s\\n' 0 255 0 0 0 0 0 0 | xargs -n 1 sh -c 'echo $1; exit $1' sh": stops_early}


class RealTools(Lines):
    def both(self, number, row):
        port = free_port()
        before, between = TWICE.get(row.there, ("", None))
        sides = [("here", row.here)]
        if self.has_real(row.tool):
            sides.insert(0, ("there", row.there))
        ended = []
        for side, line in sides:
            folder = self.new_folder(f"{number}-{side}")
            line = line.replace(ADDRESS, f"tcp://127.0.0.1:{port}")
            if between is not None:
                self.run_line(before + line, folder)
                line = between + line
            ended.append(self.run_line(line, folder))
        return ended

    @staticmethod
    def has_real(tool):
        return shutil.which(tool.split()[-1]) is not None

    def compare(self, tool):
        for row, ended in self.at_once(self.both, [row for row in rows_of(tool) if row.has_counterpart]):
            with self.subTest(row.there):
                *there, here = ended.result()
                if there:
                    INSTEAD.get(row.there, same)(self, there[0], here)
                else:
                    self.assertIn(here.code, (0, 1), str(here))
        if not self.has_real(tool):
            self.skipTest(f"{tool} is missing: our lines ran, and nothing was compared")

    def test_gnu_parallel(self):
        self.compare("GNU parallel")

    def test_xargs(self):
        self.compare("xargs")


# ---- HyperQueue: what our line does ----

class Effect:
    """What runs before or beside a line, and what must hold after it."""

    def __init__(self, *lines, code=0, before=None, beside=None, check=None, ordered=False):
        self.lines = list(lines) if ordered else sorted(lines)
        self.code, self.before, self.beside, self.check = code, before, beside, check


def prints(*lines, **more):
    return Effect(*lines, **more)


def checks(check, **more):
    effect = Effect(check=check, **more)
    effect.lines = None
    return effect


def ran(*names):
    """The results file has these many ok jobs, and their output."""
    def check(test, done):
        found = sorted(result["stdout"].strip() for result in done.results_of("study.jsonl") if result["status"] == "ok")
        test.assertEqual(found, sorted(names))
    return check


def says(*words):
    def check(test, done):
        for word in words:
            test.assertIn(word, done.out)
    return check


# A study of which one job failed, and each wrote to both streams.
STUDY = "workpool each --quiet -o study.jsonl --shell './sim {}; echo oh {} >&2; test {} = 1' ::: 1 2"
BROKEN = "touch broken; seq 1 2 | workpool each -o study.jsonl ./sim; rm broken"
# Runs that listen while a line runs: the first needs its worker, the second has one.
NEEDS_A_WORKER = "workpool run jobs.jsonl --listen {address} --insecure -o beside.jsonl"
NEEDS_A_GPU = "jq -c '.labels = [\"gpu\"]' jobs.jsonl | workpool run - --listen {address} --insecure -o beside.jsonl"
HAS_A_WORKER = "workpool run long.jsonl --listen {address} --insecure -j 1 -o beside.jsonl"


def beside_is_done(test, done):
    test.assertEqual([result["status"] for result in done.results_of("beside.jsonl")], ["ok", "ok"])


def one_row(test, done):
    test.assertIn("1", done.out)
    test.assertEqual(len([line for line in done.out.splitlines() if "failed" in line]), 1, str(done))


def two_objects(test, done):
    test.assertEqual(sorted(json.loads(line)["status"] for line in done.out.splitlines()), ["failed", "ok"])


def a_few_failed(test, done):
    failed = int(re.search(r"(\d+) failed", done.err)[1])
    test.assertTrue(2 <= failed < 50, str(done))


def stopped_early(test, done):
    if (done.folder / "slow.results.jsonl").exists():
        test.assertLess(len(done.results_of("slow.results.jsonl")), 8)


def gone(test, done):
    test.assertFalse((done.folder / "study.jsonl").exists() or (done.folder / "study.jsonl.state").exists())


def has_files(**contents):
    return lambda test, done: test.assertEqual({name: done.files[name.replace("_", "-")].decode() for name in contents}, contents)


EFFECTS = {
    "hq submit ./sim 7": prints("sim 7"),
    "hq submit --wait --progress ./sim 7": prints("sim 7"),
    "hq --output-mode json submit --wait ./sim 7": prints("sim 7", check=lambda test, done: test.assertEqual(
        json.loads((done.folder / "end.json").read_text())["end"], "all_ok")),
    "hq submit --array 1-3 ./sim": prints("sim 1", "sim 2", "sim 3"),
    "hq submit --array 0-10:5 sh -c './sim $HQ_TASK_ID'": prints("sim 0", "sim 5", "sim 10"),
    "hq submit --each-line names.txt ./sim": prints("sim  entry ada", "sim  entry grace", "sim  entry linus"),
    "hq submit --from-json items.json ./sim": prints('sim  entry {"rate":0.1,"seed":1}', 'sim  entry {"rate":0.2,"seed":2}'),
    "hq submit --from-json items.json ./sim-json": prints("sim --rate 0.1 --seed 1", "sim --rate 0.2 --seed 2"),
    "hq submit --stdin bash < script.sh": prints("from a script"),
    "hq job submit-file study.toml": checks(lambda test, done: test.assertEqual(
        sorted(result["stdout"] for result in done.results_of("jobs.results.jsonl")), ["SIM 2\n", "sim 1\n"])),
    "hq job submit-file deps.toml": checks(lambda test, done: test.assertEqual(
        [result["stdout"] for result in done.results_of("second.results.jsonl")], ["first\n"])),
    "hq job open; hq submit --job 1 ./sim 9": checks(lambda test, done: test.assertEqual(
        [result["stdout"] for result in done.results_of("more.results.jsonl")][-1], "sim 9\n"),
        before="workpool run more.txt"),
    "hq submit --name study ./sim 7": prints("sim 7", check=ran("sim 7")),
    "hq submit --time-limit 1s sleep 9": prints(code=1),
    "hq submit --array 1-50 --max-fails 2 false": checks(a_few_failed, code=1),
    "hq submit --array 1-2 --cpus 2 ./sim": prints("sim 1", "sim 2"),
    "hq submit --resource gpus/nvidia=1 ./sim 7": prints("sim 7"),
    "hq submit --priority 5 ./sim 7": prints("sim 7"),
    "hq submit --crash-limit 10 ./sim 7": prints("sim 7"),
    "hq submit --cwd photos ls": prints("cat.jpg", "trip"),
    "hq submit --env RATE=0.5 sh -c 'echo $RATE'": prints("0.5 x"),
    "hq submit --array 1-2 --stdout 'out-%{TASK_ID}' ./sim": prints(check=has_files(out_1="sim 1\n", out_2="sim 2\n")),
    "hq submit --stdout none --stderr none ./sim 7": prints(),
    "hq submit --array 1-2 --stream logs ./sim": prints("sim 1", "sim 2", check=ran("sim 1", "sim 2")),
    "hq output-log logs cat 1 stdout": prints("sim 1", "sim 2", before=STUDY, ordered=True),
    "hq job cat last stdout": prints("sim 1", "sim 2", before=STUDY, ordered=True),
    "hq job cat last stderr": prints("oh 1", "oh 2", before=STUDY, ordered=True),
    "hq job cat last --tasks 2 stderr": prints("oh 2", before=STUDY),
    "hq job info last": checks(says("ok", "failed"), before=STUDY),
    "hq task list last --task-status failed": checks(one_row, before=STUDY),
    "hq job summary": checks(says("ok", "failed"), before=STUDY),
    "hq --output-mode json job info last": checks(two_objects, before=STUDY),
    "hq submit --array $(hq job task-ids last --filter failed) ./sim":
        prints("sim 2", before=BROKEN, check=ran("sim 1", "sim 2")),
    "hq job forget last": prints(before=STUDY, check=gone),
    "hq job progress last": checks(says("long.jsonl"), beside=HAS_A_WORKER),
    "hq job list": checks(says("long.jsonl"), beside=HAS_A_WORKER),
    "hq worker list": checks(says("slots"), beside=HAS_A_WORKER),
    "hq job wait last": prints(),
    "hq job cancel last": prints(code=143, check=stopped_early),
    "hq server start": checks(lambda test, done: test.assertEqual(len(done.results_of("jobs.results.jsonl")), 2)),
    "hq server start --journal journal": checks(lambda test, done: test.assertIn("2 done before", done.err),
                                                before="workpool run jobs.jsonl"),
    "hq worker start": checks(beside_is_done, beside=NEEDS_A_WORKER),
    "hq worker start --cpus 4": checks(beside_is_done, beside=NEEDS_A_WORKER),
    "hq worker start --resource gpus/nvidia=[0]": checks(beside_is_done, beside=NEEDS_A_GPU),
    "hq worker start --time-limit 1h": checks(beside_is_done, beside=NEEDS_A_WORKER),
    "hq worker stop 1": prints(code=(0, 128 + signal.SIGTERM), beside=HAS_A_WORKER),  # it may not be up yet
    "hq alloc add slurm --time-limit 1h -- -p short": checks(beside_is_done, beside=NEEDS_A_WORKER),
}


class HyperQueue(Lines):
    def test_each_counterpart_has_its_effect(self):
        self.assertEqual(sorted(EFFECTS), sorted(row.there for row in rows_of("HyperQueue") if row.has_counterpart))

    def ours(self, number, row):
        effect = EFFECTS[row.there]
        folder = self.new_folder(f"hq-{number}")
        address = f"tcp://127.0.0.1:{free_port()}"
        if effect.before:
            self.run_line(effect.before, folder)
        beside = None
        if effect.beside:
            beside = self.start("bash", "-c", "exec 2>&1; " + effect.beside.format(address=address), cwd=folder,
                                env=self.environment, bufsize=0, start_new_session=True)
            self.addCleanup(self.end_group, beside.process.pid)
            while b"listening" not in (line := beside.read_line()):
                assert line, "no run beside"
        done = self.run_line(row.here.replace(ADDRESS, address), folder)
        if effect.beside == HAS_A_WORKER:
            self.end_group(beside.process.pid)
        elif beside:
            beside.finish()
        return done

    @staticmethod
    def end_group(pid):
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    @unittest.skipUnless(shutil.which("jq"), "jq is missing")
    def test_hyperqueue(self):
        for row, ended in self.at_once(self.ours, [row for row in rows_of("HyperQueue") if row.has_counterpart]):
            with self.subTest(row.there):
                effect, done = EFFECTS[row.there], ended.result()
                self.assertIn(done.code, effect.code if isinstance(effect.code, tuple) else (effect.code,), str(done))
                if effect.lines is not None:
                    self.assertEqual(done.lines, effect.lines, str(done))
                if effect.check:
                    effect.check(self, done)


if __name__ == "__main__":
    unittest.main()
