# SPDX-License-Identifier: MIT
"""What the tests of input, commands and terminal share: runs of the real programs in a folder of their own.

Programs come from WORKPOOL_BIN. Waiting is for events, up to LIMIT; whatever a test started is ended with it.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest
import zlib
from pathlib import Path

from workpool_testing import BIN, DISPATCHER, LIMIT, SLACK, SOURCE, WORKER, free_port, wait_until  # noqa: F401


def clean_environment(**more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("WORKPOOL_") and name not in ("NO_COLOR", "TERM")}
    kept["PATH"] = f"{BIN}:{kept.get('PATH', '/usr/bin:/bin')}"
    kept.update(more)
    return kept


def jsonl(*jobs):
    """A jobs file's text of objects, and of lines that are strings already."""
    return "".join((job if isinstance(job, str) else json.dumps(job)) + "\n" for job in jobs)


def parse_results(data):
    """The result lines of a file or of stdout, each with a crc that is right."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    assert text == "" or text.endswith("\n"), f"the last line is torn: {text[-200:]!r}"
    results = []
    for line in text.split("\n")[:-1]:  # not splitlines, for which U+2028 ends one
        head, crc = line.rsplit(',"crc":"', 1)
        assert crc == f'{zlib.crc32(head.encode("utf-8")):08x}"}}', f"wrong crc: {line}"
        results.append(json.loads(line))
    return results


class Finished:
    """How a program ended: code, out and err (text), results and by_id of its results file."""

    def __init__(self, code, out, err, results_path=None):
        self.code = code
        self.raw_out = out
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")
        self.results_path = results_path

    @property
    def results(self):
        return parse_results(Path(self.results_path).read_bytes())

    @property
    def by_id(self):
        results = self.results
        found = {result["id"]: result for result in results}
        assert len(found) == len(results), f"an id stands twice: {results}"
        return found

    @property
    def only(self):
        results = self.results
        assert len(results) == 1, results
        return results[0]

    def __str__(self):
        return f"exit {self.code}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}"


class Started:
    """A program that runs; its stderr goes to a file that can be read meanwhile, stdout to a pipe."""

    def __init__(self, test, arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options):
        self.err_path = test.folder / f"stderr.{len(test.started)}"
        options.setdefault("env", clean_environment())
        options.setdefault("cwd", test.folder)
        with open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout, stderr=options.pop("stderr", err),
                                            **options)
        test.started.append(self)

    @property
    def err(self):
        return self.err_path.read_text("utf-8", "replace")

    def wait_for(self, text):
        def seen():
            if text in self.err:
                return True
            if self.process.poll() is not None and text not in self.err:
                raise AssertionError(f"ended with {self.process.returncode} before {text!r}:\n{self.err}")
            return False
        wait_until(repr(text), seen)

    def read_line(self, limit=LIMIT):
        """A line of its stdout; to be used with bufsize=0."""
        line = b""
        end = time.monotonic() + limit
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no line within {limit} s, only {line!r}; stderr:\n{self.err}")
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                raise AssertionError(f"stdout ended after {line!r}; stderr:\n{self.err}")
            line += byte
        return line

    def finish(self, limit=LIMIT):
        if self.process.stdin and self.process.stdin.closed:
            self.process.stdin = None  # communicate would flush it
        try:
            out, _ = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {limit} s; stderr:\n{self.err}") from None
        return Finished(self.process.returncode, out or b"", self.err.encode())

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass


class CliTest(unittest.TestCase):
    """A test with a folder of its own that is the working directory of what it runs."""

    maxDiff = None

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="workpool-cli-", ignore_cleanup_errors=True)
        self.addCleanup(self._folder.cleanup)
        self.folder = Path(self._folder.name)
        self.folder.chmod(0o755)
        self.started = []
        self.addCleanup(lambda: [started.end() for started in self.started])

    # ---- to the end ----

    def call(self, arguments, stdin=None, limit=LIMIT, **options):
        options.setdefault("env", clean_environment())
        options.setdefault("cwd", self.folder)
        if not isinstance(stdin, (int, type(None))):
            options["input"] = stdin.encode() if isinstance(stdin, str) else stdin
        else:
            options["stdin"] = subprocess.DEVNULL if stdin is None else stdin
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.run(arguments, timeout=limit, check=False, **options)
        return Finished(process.returncode, process.stdout or b"", process.stderr or b"")

    def dispatcher(self, *arguments, **options):
        return self.call([DISPATCHER, *map(str, arguments)], **options)

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run_jobs(self, *jobs, flags=(), name="jobs.jsonl", code=0, **options):
        """Writes the jobs file, runs it and expects `code`; the results file is read from its default place."""
        path = self.write(name, jobs[0] if len(jobs) == 1 and isinstance(jobs[0], bytes) else jsonl(*jobs))
        finished = self.dispatcher("run", path.name, *flags, **options)
        finished.results_path = self.folder / (name.rsplit(".", 1)[0] + ".results.jsonl")
        if code is not None:
            self.assertEqual(finished.code, code, str(finished))
        return finished

    def run_command(self, cmd, code=None, flags=(), **members):
        """The result of one command job."""
        finished = self.run_jobs({"cmd": cmd, **members}, flags=flags, code=code)
        return finished.only

    def pipe_jobs(self, text, *flags, code=None, **options):
        """Runs stdin to stdout: the results of `run - -o -`."""
        finished = self.dispatcher("run", "-", "-o", "-", *flags, stdin=text, **options)
        if code is not None:
            self.assertEqual(finished.code, code, str(finished))
        return finished, parse_results(finished.raw_out)

    # ---- running next to the test ----

    def start(self, *arguments, **options):
        return Started(self, [str(argument) for argument in arguments], **options)

    def start_run(self, *arguments, **options):
        return self.start(DISPATCHER, "run", *arguments, **options)

    # ---- what no message may hold ----

    def assert_one_line_error(self, finished, code, *words):
        """An error of one line that names the program and these words; never a trace of a stack."""
        self.assertEqual(finished.code, code, str(finished))
        lines = finished.err.splitlines()
        self.assertEqual(len(lines), 1, str(finished))
        self.assertTrue(lines[0].startswith("workpool-"), lines[0])
        for word in words:
            self.assertIn(word, lines[0])
        self.assert_no_trace(finished)

    def assert_no_trace(self, finished):
        for word in ("terminate called", "what():", "Assertion", "std::", "core dumped", "CHECK"):
            self.assertNotIn(word, finished.err)
        self.assertGreaterEqual(finished.code, 0, "killed by a signal: " + str(finished))


class Terminal:
    """A pseudo terminal of a given size as the stderr of a program, and what was shown on it."""

    def __init__(self, columns=80, rows=24):
        self.master, self.slave = pty.openpty()
        self.shown = b""
        self.resize(columns, rows)

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, condition, limit=LIMIT):
        """Reads on until `condition` holds, or, if it is None, until all have closed their side."""
        end = time.monotonic() + limit
        while condition is None or not condition(self.shown):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"waited {limit} s; the terminal shows {self.shown[-2000:]!r}")
            try:
                part = os.read(self.master, 65536)
            except OSError:  # nobody has it open any more
                part = b""
            if not part:
                if condition is None:
                    return self.shown
                raise AssertionError(f"the terminal was closed, showing {self.shown[-2000:]!r}")
            self.shown += part
        return self.shown

    def close_slave(self):
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def close(self):
        self.close_slave()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def end_of(pid):
    """Waits until no process has this id, a zombie aside."""
    def gone():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return True
    wait_until(f"the end of process {pid}", gone)


def send(process, number=signal.SIGTERM):
    os.kill(process.pid, number)
