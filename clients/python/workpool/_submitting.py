# SPDX-License-Identifier: MIT
"""How calls, handlers and commands become jobs: what a Pool and its views with other options have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Callable, Union

from workpool import _jobs, _json
from workpool._engine import Engine, Work
from workpool._handlers import BUILT_IN, BY_NAME, NAME
from workpool._jobs import Word
from workpool._results import Result

Function = Union[str, Callable[..., Any]]


class Types:
    """Which handlers the workers of a pool have."""

    def __init__(self, named: Iterable[str], program: bool, functions: bool, others: bool) -> None:
        self._named = frozenset(named)
        self._program = program  # one program that serves whatever it has registered
        self._others = others  # workers from elsewhere may have more
        self._functions = functions

    def job(self, name: str, args: tuple[Any, ...], options: bytes) -> bytes:
        """The job that gives `args`, one value or none, to the handler `name`."""
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a handler: that is 1 to 64 letters, digits, '_', '.' or '-'. A command "
                             "is run by pool.command()")
        if len(args) > 1:
            raise TypeError(f"a handler takes one value, and {name!r} was given {len(args)}: pass one dict or list")
        if self._program and name not in BUILT_IN:
            wrapped = {"handler": name, **({"args": args[0]} if args else {})}
            return _jobs.typed(BY_NAME, _json.encode(wrapped, f"the argument of {name!r}", _json.LEVELS_MAX - 1), options)
        if name not in BUILT_IN and name not in self._named and not self._others:
            known = ", ".join(sorted(self._named | BUILT_IN))
            raise ValueError(f"no worker of this pool has a handler {name!r}, only {known}: name its program in "
                             f"Pool(handler={{{name!r}: 'python3 FILE'}})")
        return _jobs.typed(name, _json.encode(args[0], f"the argument of {name!r}") if args else None, options)

    def check_functions(self) -> None:
        if not self._functions:
            raise TypeError("this pool was made with functions=False, and runs handlers and commands only")


class _Chunk:
    """Several calls of a function as one job; what map() submits."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class Submitting(Executor):
    """An Executor whose jobs go to an engine with the same options."""

    def __init__(self, engine: Engine, types: Types, options: bytes = b"", priority: int = 0) -> None:
        self._engine = engine
        self._types = types
        self._options = options
        self._priority = priority  # which `options` says, too: jobs that are not handed over yet wait by it

    def submit(self, fn: Function, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs a handler, submit("embed", value), or a function, submit(module.function, 1, b=2).

        The future has what it returned, or raises JobFailed. TypeError if the function or a value cannot travel.
        """
        if isinstance(fn, str):
            if kwargs:
                raise TypeError(f"a handler takes one value and no keywords: submit({fn!r}, {{...}}); options of the job are "
                                "pool.options(...)")
            body = self._types.job(fn, args, self._options)
        else:
            self._types.check_functions()
            if isinstance(fn, _Chunk):
                body = _jobs.function_chunk(fn.function, args[0], self._options)
            else:
                body = _jobs.function_call(fn, args, kwargs, self._options)
        return self._engine.submit(Work(body, _value, self._priority))

    def map(self, fn: Function, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1,
            **more: Any) -> Iterator[Any]:
        """As of every Executor: results in the order of the items. `chunksize` calls of a function are one job; for a
        handler by name it means nothing, since that takes one value per job."""
        if chunksize < 1:
            raise ValueError("chunksize must be at least 1")
        if chunksize == 1 or isinstance(fn, str):
            return super().map(fn, *iterables, timeout=timeout, **more)  # type: ignore[arg-type]
        chunks = _chunks(zip(*iterables), chunksize)
        return _flat(super().map(_Chunk(fn), chunks, timeout=timeout, **more))  # type: ignore[arg-type]

    def command(self, words: str | Sequence[Word], *, cwd: Word | None = None, env: Mapping[str, str] | None = None,
                stdin: str | bytes | None = None, shell: str | None = None, ok_exit: Iterable[int] | None = None,
                stdout: Word | None = None, stderr: Word | None = None) -> Future[Result]:
        """Runs a command: a list of words without a shell, or a text by /bin/sh or `shell`.

        The future has its Result, with exit, stdout and stderr; or raises JobFailed if it exited otherwise than
        `ok_exit` ([0]) says. `stdout` and `stderr` name files for what it prints, of any size.
        """
        members = {"cwd": cwd, "env": env, "stdin": stdin, "shell": shell, "ok_exit": ok_exit, "stdout": stdout, "stderr": stderr}
        return self._engine.submit(Work(_jobs.command(words, self._options, members), Result.of, self._priority))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more jobs. Those that were submitted are finished; `cancel_futures` cancels those that are not handed over.
        With `wait`, it returns when all of them, and the programs, have ended."""
        self._engine.close(cancel=cancel_futures)
        if wait:
            self._engine.join()


def _value(result: dict[str, Any]) -> Any:
    return result.get("value")


def _chunks(items: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(items, size)):
        yield chunk


def _flat(lists: Iterator[list[Any]]) -> Iterator[Any]:
    for values in lists:
        yield from values
