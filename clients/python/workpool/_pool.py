# SPDX-License-Identifier: MIT
"""Pool: a concurrent.futures.Executor whose workers are those of a `workpool run`, here and on other machines."""

from __future__ import annotations

import os
import shlex
import sys
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Callable, Union

from workpool import _checks, _functions, _options, _run_flags
from workpool._engine import AHEAD_MAX, Engine, Window
from workpool._handlers import BUILT_IN, BY_NAME, NAME
from workpool._process import Process, find_program
from workpool._record import Record
from workpool._run_flags import Limits, Rule
from workpool._submitting import Submitting, Types

Command = Union[str, Sequence[str]]
SAYS_WITHIN = 30.0  # seconds; a name service that does not answer takes 15


class Options(Submitting):
    """A pool seen through other options: what is submitted here has them. Made by Pool.options()."""

    def __init__(self, pool: Pool, options: bytes, priority: int) -> None:
        super().__init__(pool._engine, pool._types, options, priority)
        self._pool = pool  # which would shut down if nobody held it


class Pool(Submitting):
    """Runs functions, handlers and commands on workers, as futures.

    handler    the program that serves handlers by name, "python3 embed.py" (it calls workpool.serve()), or any programs,
               one for each name: {"embed": "python3 embed.py", "thumb": "./thumb"}
    workers    how many jobs run at once on this machine; all usable cores if not given, none with `listen`
    listen     an address, such as tcp://10.0.0.5:5555, at which workers on other machines may join: worker_command
    results    a file to which every result line is added, for read_results() and `workpool show`
    key        the key file of a pool of workers (`workpool keygen`); with `listen`
    limits     what jobs with options(limit=KEY) may do together, by KEY: {"db": 3, "api": "10/s", "host:*": "2,5/s"}
               (docs/reference.md, "Limits by key")
    functions  whether plain functions are run
    ahead      how many jobs are handed over before they have their results: their futures can no longer be cancelled. If
               not given, as many as keep the workers busy; 10,000 with `listen`
    flags      more flags of `workpool run`, such as ["--ports", "5556-5600"]; not those that a pool sets itself
    program    the path of workpool-dispatcher; else it is looked up in the folder WORKPOOL_BIN, or on PATH
    """

    def __init__(self, handler: str | Mapping[str, Command] | None = None, *, workers: int | None = None,
                 listen: str | None = None, results: str | os.PathLike[str] | None = None,
                 key: str | os.PathLike[str] | None = None, limits: Mapping[str, Rule] | None = None,
                 functions: bool = True, ahead: int | None = None, flags: Sequence[str] = (),
                 program: str | None = None) -> None:
        _functions.refuse_a_pool_at_import()
        if workers is not None:
            _checks.whole(f"workers is how many jobs run at once here: an integer of at least 1, or 0 with listen, and at most "
                          f"{_options.SLOTS_MAX}", workers, 0 if listen else 1, _options.SLOTS_MAX)
        if ahead is not None:
            _checks.whole("ahead is how many jobs are handed over, an integer of at least 1", ahead, 1, sys.maxsize)
        if listen is not None and not isinstance(listen, str):
            raise TypeError(_checks.wrong("listen is an address such as 'tcp://10.0.0.5:5555'", listen))
        self._limits = Limits(limits)
        more_flags = _run_flags.given(flags)
        programs = _programs(handler, functions, here=True)
        self._remote_handlers = _handler_flags(_programs(handler, functions, here=False))
        command = [find_program(program), "run", "-", "-o", "-", "--format", "jsonl", "--progress", "none", "--grace", "0"]
        if workers is not None:
            command += ["--local", str(workers)]
        if listen is not None:
            command += ["--listen", listen]
        if key is not None:
            command += ["--key", os.fspath(key)]
        if workers or listen is None:  # otherwise there is no local worker, and run refuses what is meant for it
            command += _handler_flags(programs)
        command += self._limits.flags() + more_flags
        # Fewer, if a cgroup limits the processors; the dispatcher asks for that, too.
        self._slots = workers or len(os.sched_getaffinity(0))
        self._joinable = listen is not None
        window = Window(2 * self._slots, AHEAD_MAX if ahead is None and listen else ahead)
        record = None if results is None else Record(results)
        engine = Engine(command, os.urandom(4).hex(), window, record, self._joinable,
                        has_workers=bool(workers) or listen is None)
        try:
            engine.start()
        except BaseException:
            engine.close()
            if record is not None:
                record.close()
            raise
        super().__init__(engine, Types(programs, isinstance(handler, str), functions, self._joinable))
        # A pool that nobody holds any more finishes what was submitted, and ends.
        weakref.finalize(self, engine.close).atexit = False

    def options(self, *, timeout: float | str | None = None, retries: int | None = None, priority: int | None = None,
                labels: Sequence[str] | None = None, slots: int | None = None, limit: str | Sequence[str] | None = None,
                meta: Any = None) -> Options:
        """The same pool for jobs with these members (docs/reference.md, "Members of a job"):

            pool.options(timeout="5m", retries=2).submit("embed", args)

        TypeError or ValueError if a job cannot have them.
        """
        members = {"timeout": timeout, "retries": retries, "priority": priority, "labels": labels, "slots": slots,
                   "limit": limit, "meta": meta}
        body = _options.encoded(members)
        if not self._joinable and labels:
            raise ValueError("the workers of a pool without listen have no labels: no job could run with labels")
        if not self._joinable and slots is not None and slots > self._slots:
            raise ValueError(f"no job of this pool can have {slots} slots: it has {self._slots}")
        if limit is not None:
            self._limits.check(_options.limit_keys(limit))
        return Options(self, body, priority or 0)

    @property
    def address(self) -> str:
        """Where the pool listens, such as tcp://127.0.0.1:40207 if `listen` had port 0."""
        return self._said(lambda process: process.said.address)

    @property
    def worker_command(self) -> str:
        """The line for a shell that starts a worker on another machine. It has a key in it: whoever reads it can join."""
        line = self._said(lambda process: process.said.worker_line)
        return " ".join([line, *map(shlex.quote, self._remote_handlers)])

    def _said(self, what: Callable[[Process], str | None]) -> str:
        if not self._joinable:
            raise ValueError("this pool does not listen: Pool(listen='tcp://HOST:PORT') does")
        return str(self._engine.wait_for(what, SAYS_WITHIN))

    def stop(self) -> None:
        """Ends the pool now: jobs that run are cancelled, and their futures raise BrokenExecutor. Others are cancelled."""
        self._engine.stop()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Whoever presses Ctrl-C does not want to wait for what was submitted before.
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.stop()
        self.shutdown(wait=True)


def _programs(handler: str | Mapping[str, Command] | None, functions: bool, here: bool) -> dict[str, str]:
    """The commands of the handlers by name, on this machine or for workers elsewhere."""
    programs: dict[str, str] = {}
    if isinstance(handler, str):
        programs[BY_NAME] = handler
    elif isinstance(handler, Mapping):
        for name, command in handler.items():
            if not isinstance(name, str) or not NAME.fullmatch(name) or name in BUILT_IN or (functions and name == _functions.TYPE):
                raise ValueError(f"a handler cannot be called {name!r}: take 1 to 64 letters, digits, '_', '.' or '-', and "
                                 "no name that workers have already")
            programs[name] = command if isinstance(command, str) else _line(name, command)
    elif handler is not None:
        raise TypeError(_checks.wrong("handler is the command of a program that serves handlers, such as 'python3 models.py', or "
                                      "a dict of commands by name", handler))
    if functions:
        programs[_functions.TYPE] = _function_program() if here else "python3 -m workpool.serve --functions"
    return programs


def _function_program() -> str:
    """Calls functions as this process would: with its Python, and modules from the same folders."""
    path = [os.path.abspath(folder) for folder in sys.path]  # '' is the current folder
    code = f"import sys; sys.path[:] = {path!r}; from workpool._serving import main; sys.exit(main(['--functions']))"
    return _line(_functions.TYPE, [sys.executable or "python3", "-c", code])


def _line(name: str, words: Sequence[str]) -> str:
    """Words as the text of a handler's command. A worker gives what needs quotes to a shell, which must not stay beside
    each program: it would hide by which signal that ends."""
    if not isinstance(words, Sequence) or not words or not all(isinstance(word, str) for word in words):
        raise TypeError(_checks.wrong(f"the command of the handler {name!r} is a text or a list of texts", words))
    plain = " ".join(words)
    quoted = shlex.join(words)
    return plain if plain == quoted else f"exec {quoted}"


def _handler_flags(programs: Mapping[str, str]) -> list[str]:
    return [word for name, command in programs.items() for word in ("--handler", f"{name}={command}")]
