# SPDX-License-Identifier: MIT
"""The dispatcher under a pool, as a child process: how it is found, started and ended, and what it said."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import time

PROGRAM = "workpool-dispatcher"
SAID_LINES = 20  # of stderr, for the message if the program dies
DRAIN_SECONDS = 1.0  # for what is left of stderr at the end, which a job may hold open
END_SECONDS = 60.0  # for a program that has closed its stdout
PIPE_BYTES = 1 << 20
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which fcntl has from Python 3.10 on
# Flags of `run` can be set by these; what was meant for a run at the terminal is not for the runs of a program.
VARIABLES_KEPT = frozenset({"WORKPOOL_RUN_DIR"})

LOG = logging.getLogger("workpool")


def find_program(program: str | None) -> str:
    """The path of workpool-dispatcher: as given, or in the folder WORKPOOL_BIN, or on PATH."""
    if program is not None:
        found = shutil.which(program)
        where = f"there is no program {program!r}"
    elif folder := os.environ.get("WORKPOOL_BIN"):
        found = shutil.which(PROGRAM, path=folder)
        where = f"{PROGRAM} is not in WORKPOOL_BIN ({folder})"
    else:
        found = shutil.which(PROGRAM)
        where = f"{PROGRAM} is not on PATH"
    if found is None:
        raise FileNotFoundError(f"{where}: add the folder of workpool's programs to PATH, or set WORKPOOL_BIN to it, or "
                                "pass program=")
    return os.path.abspath(found)


class Said:
    """What the program wrote to stderr: the last lines, and what they say of its address and its workers."""

    LISTENING = re.compile(r"listening on (tcp://[^\s,]+)")
    WARNING = "warning: "
    NOBODY = "warning: no connected worker can run "
    JOINED = re.compile(r"worker .* joined |\d+ workers joined")
    WORKER = re.compile(r"(WORKPOOL_KEY=(wp1-[\w-]+) )?\S*workpool\S*( worker)? tcp://")

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=SAID_LINES)
        self._rest = b""
        self.address: str | None = None
        self.worker_line: str | None = None  # the command that starts a worker elsewhere
        self.key: str | None = None
        self.joined = False  # whether a worker has come
        self.nobody = False  # whether there are jobs that none of its workers can run

    def add(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace")
            self._lines.append(line)
            self.nobody = self.nobody or line.startswith(self.NOBODY)
            if self.address is None and (found := self.LISTENING.search(line)):
                self.address = found[1]
            elif self.address and self.worker_line is None and (found := self.WORKER.search(line)):
                self.key = found[2]
                self.worker_line = line.strip()
            self.joined = self.joined or self.JOINED.match(line) is not None
            # Python shows warnings also in programs that set up no logging. A secret has no place there.
            level = logging.WARNING if line.startswith(self.WARNING) else logging.INFO
            LOG.log(level, "%s", line if self.key is None else line.replace(self.key, "…"))

    def last(self) -> str:
        lines = [line for line in [*self._lines, self._rest.decode("utf-8", "replace")] if line.strip()]
        return "\n".join("  " + line for line in lines) or "  (it said nothing)"


class Process:
    """A started program, and our ends of its stdin, stdout and stderr.

    It has to be started by a thread that lives as long as it is to live: setpriv ends it with that thread, and so with
    this Python process, however that ends. Ctrl-C is not for it: it has a session of its own.
    """

    def __init__(self, command: list[str]) -> None:
        self.name = os.path.basename(command[0])
        self.said = Said()
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("WORKPOOL_") or name in VARIABLES_KEPT}
        guard = shutil.which("setpriv") or shutil.which("setpriv", path=os.defpath)  # every Debian has it (util-linux)
        if guard is not None:
            command = [guard, "--pdeathsig", "TERM", "--", *command]
        with contextlib.ExitStack() as on_failure:
            pipes = []
            for _ in range(3):
                pipe = os.pipe()
                pipes.append(pipe)
                for end in pipe:
                    on_failure.callback(os.close, end)
            (their_in, self.jobs), (self.results, their_out), (self.errors, their_err) = pipes
            self._widen()
            self._child = subprocess.Popen(command, stdin=their_in, stdout=their_out, stderr=their_err,
                                           env=environment, start_new_session=True)
            on_failure.pop_all()
        for end in (their_in, their_out, their_err):
            os.close(end)

    def _widen(self) -> None:
        """Fewer switches between the programs. Users other than root have a limit, and then the pipes stay as they are."""
        for pipe in (self.jobs, self.results):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, SET_PIPE_SIZE, PIPE_BYTES)

    @property
    def pid(self) -> int:
        return self._child.pid

    def close_jobs(self) -> None:
        if self.jobs >= 0:
            jobs, self.jobs = self.jobs, -1
            os.close(jobs)

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(number)  # does nothing once the child was waited for

    def wait(self) -> int:
        """The exit status, negative for a signal, after its last words."""
        try:
            status = self._child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            status = self._child.wait()
        end = time.monotonic() + DRAIN_SECONDS
        while select.select([self.errors], [], [], max(0.0, end - time.monotonic()))[0]:
            block = os.read(self.errors, 1 << 16)
            if not block:
                break
            self.said.add(block)
        return status

    def close(self) -> None:
        """Our ends of the pipes, also in a forked child, where they would keep the program waiting for more jobs."""
        self.close_jobs()
        for name in ("results", "errors"):
            pipe = getattr(self, name)
            if pipe >= 0:
                setattr(self, name, -1)
                os.close(pipe)
