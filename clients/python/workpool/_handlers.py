# SPDX-License-Identifier: MIT
"""What a program can run for a worker: the handlers that it registers by name."""

from __future__ import annotations

import inspect
import re
from typing import Any, Callable, TypeVar

from workpool._channel import Channel

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TEXT_LENGTH_MAX = 1000  # of a progress text; a line over 1 MiB would fail the job
# The names that every worker has by itself; see "Built-in handlers" in docs/reference.md.
BUILT_IN = frozenset({"noop", "echo", "sleep", "sha256", "fail"})
# The handler of a pool whose one program serves all its names. Each of its requests says which one it is for. A worker
# tells a program under which name it runs, so the program needs no other sign, and its command stays as it was given.
BY_NAME = "pool.program"

Function = TypeVar("Function", bound=Callable[..., Any])


class Job:
    """What a handler can know of its job, and how it says how far it is: its second argument, if it takes one."""

    __slots__ = ("id", "attempt", "_report")

    def __init__(self, id: str, attempt: int, report: Callable[[float, str], None]) -> None:
        self.id = id
        self.attempt = attempt  # from 1
        self._report = report

    def progress(self, fraction: float, text: str = "") -> None:
        """Says how far this job is, 0 to 1. Any thread may call it; after the job it does nothing. Workers accept it, and
        do not show it yet."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction}")
        self._report(float(fraction), str(text)[:TEXT_LENGTH_MAX])


class Registry:
    """Handlers by name. A program has one, HANDLERS; tests make their own."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        self.channel: Channel | None = None  # to the worker that has started this program, and
        self.started_as: str | None = None  # for which handler

    def add(self, name: str, function: Callable[..., Any]) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"a handler's name is 1 to 64 letters, digits, '_', '.' or '-', not {name!r}")
        if name in BUILT_IN:
            raise ValueError(f"every worker has a handler {name!r} of its own: choose another name")
        known = self._functions.get(name)
        # A module that is imported under a second name, as python3 -m does, registers the same again.
        if known is not None and known.__qualname__ != function.__qualname__:
            raise ValueError(f"handler {name!r} is registered twice: {known.__qualname__} and {function.__qualname__}")
        self._functions[name] = function

    def get(self, name: str) -> Callable[..., Any] | None:
        return self._functions.get(name)

    def names(self) -> list[str]:
        return sorted(self._functions)


# The only state of the module: a decorator has nothing else to put a function into.
HANDLERS = Registry()


def handler(name: str) -> Callable[[Function], Function]:
    """Registers a function as the handler of jobs {"type": name, "args": …}; the function itself stays as it is.

    It is called with the job's args (None if the job has none), and returns what JSON can hold. If it has a
    second parameter without a default, it gets a Job there.
    """
    def register(function: Function) -> Function:
        HANDLERS.add(name, function)
        return function
    return register


def takes_job(function: Callable[..., Any]) -> bool:
    """Whether a function has a second positional parameter without a default."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 and positional[1].default is inspect.Parameter.empty
