# SPDX-License-Identifier: MIT
"""The loop behind a worker's --handler: a JSON line per request on stdin, one answer for each on stdout.

    {"id": "…", "attempt": 1, "args": …}   ->   {"id": "…", "value": …} or {"id": "…", "error": "ValueError: …"}

The id lets the worker notice an answer that is not for its request. Before its answer a job may write any number of
{"progress": 0.4, "text": "…"} lines. Nothing that a function does
ends the loop, except ending the process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from typing import Any, Callable

from workpool import _functions, _json
from workpool._channel import Channel
from workpool._handlers import BY_NAME, HANDLERS, Job, Registry, takes_job

# A worker sets it for the programs of its handlers: which of them this one is started as.
HANDLER_VARIABLE = "WORKPOOL_HANDLER"
VALUE_BYTES_MAX = 1 << 20
ID_BYTES_MAX = 512  # a worker allows 1 KiB around the largest value, and an id full of escapes may be longer
ERROR_BYTES_MAX = 4096  # of a message in a result; more is cut there anyway

# From the args of a request to the function that it is for, and its args.
Find = Callable[[Any], "tuple[Callable[..., Any], Any]"]

USAGE = """usage: python3 -m workpool.serve MODULE:NAME
       python3 -m workpool.serve --functions
  MODULE:NAME   serves the handler that MODULE registers as NAME, or its function NAME
  --functions   serves calls of functions by their names, for Pool.submit(function, ...)"""


class Loop:
    """Runs requests one after the other. `find` gives the function and its args from those of a request."""

    def __init__(self, channel: Channel, find: Find) -> None:
        self._channel = channel
        self._find = find
        self._pid = os.getpid()
        # Progress may come from other threads: no line of it may follow the answer.
        self._lock = threading.Lock()
        self._current: Job | None = None
        self._takes_job: dict[int, bool] = {}  # by the id of the function, which lives as long as the loop

    def run(self) -> None:
        for line in self._channel.requests():
            if not line.strip():
                continue
            answer = self._answer(line)
            if os.getpid() != self._pid:
                # It would take requests from its parent, and answer a second time.
                print("workpool.serve: a forked process came back from a handler, and ends here", file=sys.stderr, flush=True)
                os._exit(1)
            # What the job printed belongs to it only if it arrives before the answer.
            sys.stderr.flush()
            with self._lock:
                self._current = None
                self._channel.write(answer)

    def _answer(self, line: bytes) -> bytes:
        id = b""
        try:
            request = json.loads(line)
            id = b'"id":%s,' % json.dumps(request["id"], ensure_ascii=False).encode()
            if len(id) > ID_BYTES_MAX:
                id = b""
            value = _json.encode(self._call(request), "the returned value")
            if len(value) > VALUE_BYTES_MAX:
                raise ValueError(f"the returned value is {len(value)} bytes of JSON, and 1 MiB is the most: write a file "
                                 "and return its name")
            return b'{%s"value":%s}' % (id, value)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            return b'{%s"error":%s}' % (id, json.dumps(message_of(error)).encode())

    def _call(self, request: Any) -> Any:
        function, args = self._find(request.get("args"))
        takes = self._takes_job.get(id(function))
        if takes is None:
            takes = self._takes_job[id(function)] = takes_job(function)
        if not takes:
            return function(args)
        job = Job(str(request["id"]), int(request.get("attempt", 1)), lambda *what: self._report(job, *what))
        with self._lock:
            self._current = job
        return function(args, job)

    def _report(self, job: Job, fraction: float, text: str) -> None:
        line = json.dumps({"progress": fraction, "text": text}).encode()
        with self._lock:
            if self._current is job:
                self._channel.write(line)


def message_of(error: BaseException) -> str:
    """The line of a traceback that says what went wrong, such as `ValueError: no such model`."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = str(error)
    except Exception:
        text = "its message cannot be shown"
    message = f"{name}: {text}" if text else name
    return message.encode("utf-8", "replace")[:ERROR_BYTES_MAX].decode("utf-8", "ignore")


def serve(name: str | None = None) -> None:
    """Answers requests on stdin until it ends. `name`: which handler; most programs need not say it.

    A request does not say what its type is. So a program with several handlers serves the one that the worker has
    started it for: with `--handler embed='python3 models.py' --handler rank='python3 models.py'` each has a process of
    its own. If the program has only one handler, that is served under whatever name.
    """
    try:
        by_name = name is None and HANDLERS.started_as == BY_NAME
        find = by_each_name(HANDLERS) if by_name else one_handler(HANDLERS, name, HANDLERS.started_as)
    except LookupError as error:
        print(f"workpool.serve: {error.args[0]}", file=sys.stderr)
        sys.exit(2)
    _serve(find)


def _serve(find: Find) -> None:
    try:
        Loop(HANDLERS.channel or Channel(), find).run()
    except BrokenPipeError:
        pass  # the worker is gone, and wants nothing any more


def one_handler(registry: Registry, name: str | None, started_as: str | None) -> Find:
    """Every request is for the handler `name`, or that of the name `started_as`, or the only one. LookupError if that is
    not clear."""
    names = registry.names()
    if not names:
        raise LookupError('there is no handler: put @workpool.handler("NAME") above a function')
    if name is None:
        name = started_as if started_as in names or len(names) > 1 else names[0]
    if name is None:
        raise LookupError(f"this program has the handlers {', '.join(names)}: choose one, by serve(NAME) or "
                          "python3 -m workpool.serve MODULE:NAME")
    function = registry.get(name)
    if function is None:
        raise LookupError(f"this program has no handler {name!r}; it has {', '.join(names)}")
    chosen = function
    return lambda args: (chosen, args)


def by_each_name(registry: Registry) -> Find:
    """Each request names its handler: {"handler": NAME, "args": …}."""
    return lambda args: _named(registry, args)


def _named(registry: Registry, args: Any) -> tuple[Callable[..., Any], Any]:
    function = registry.get(args["handler"])
    if function is None:
        raise LookupError(f"this program has no handler {args['handler']!r}; it has {', '.join(registry.names())}")
    return function, args.get("args")


def main(arguments: list[str]) -> int:
    """python3 -m workpool.serve"""
    if arguments == ["--functions"]:
        _serve(lambda args: (_functions.run_call, args))
        return 0
    if len(arguments) != 1 or arguments[0].startswith("-") or ":" not in arguments[0]:
        wants_help = arguments in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 2
    HANDLERS.channel = HANDLERS.channel or Channel()  # before the import, which may print
    module, _, name = arguments[0].partition(":")
    try:
        with _functions.importing_for_a_worker(module):
            importlib.import_module(module)
        function = HANDLERS.get(name) or _functions.resolve(arguments[0])
    except Exception as error:
        traceback.print_exc()
        print(f"workpool.serve: cannot serve {arguments[0]}: {message_of(error)}", file=sys.stderr)
        return 2
    _serve(lambda args: (function, args))
    return 0


def take_over(registry: Registry) -> None:
    """If a worker has started this process for a handler, stdout is for answers from now on: modules print, too, while
    they are imported. The variable is not for the processes that a handler starts."""
    if HANDLER_VARIABLE in os.environ:
        registry.started_as = os.environ.pop(HANDLER_VARIABLE)
        registry.channel = Channel()


take_over(HANDLERS)
