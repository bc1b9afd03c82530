# SPDX-License-Identifier: MIT
"""Plain functions as jobs: a call is a name, "module:qualified.name", and JSON arguments. No code travels.

So a function can be called if the same name leads to it in another process: top-level functions, classes and
their class and static methods. Whatever else is refused when it is submitted, with the reason.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Callable, Optional

from workpool import _json

TYPE = "python"  # the handler that runs these calls: python3 -m workpool.serve --functions
# The module that a worker's process imports at the moment, in this thread, since a job asks for a function of it.
IMPORTED: ContextVar[Optional[str]] = ContextVar("imported", default=None)


def call_body(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The args member of the job that calls function(*args, **kwargs)."""
    function, args, kwargs = _without_partial(function, args, kwargs)
    call: dict[str, Any] = {"call": name_of(function)}
    if args:
        call["args"] = args
    if kwargs:
        call["kwargs"] = kwargs
    return _encode(call, function)


def chunk_body(function: Callable[..., Any], chunk: list[tuple[Any, ...]]) -> bytes:
    """The same for several calls in one job, whose value is a list."""
    function, before, kwargs = _without_partial(function, (), {})
    call: dict[str, Any] = {"call": name_of(function), "many": [before + args for args in chunk]}
    if kwargs:
        call["kwargs"] = kwargs
    return _encode(call, function)


def _encode(call: dict[str, Any], function: Callable[..., Any]) -> bytes:
    return _json.encode(call, f"the arguments of {function.__qualname__}", _json.LEVELS_MAX - 1)


def _without_partial(function: Callable[..., Any], args: tuple[Any, ...],
                     kwargs: dict[str, Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner, args, kwargs = inner.func, inner.args + args, {**inner.keywords, **kwargs}
    return inner, args, kwargs


def name_of(function: Callable[..., Any]) -> str:
    """"module:qualified.name" of a function that another process can import. TypeError with the reason if none can."""
    if not callable(function):
        raise TypeError(f"{function!r} is neither a function nor the name of a handler")
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    owner = getattr(function, "__self__", None)
    if not isinstance(name, str):
        raise TypeError(f"{function!r} is an object that can be called, and has no name by which a worker could import "
                        "it: submit a top-level function that makes the object and calls it")
    if owner is not None and not inspect.isclass(owner) and not inspect.ismodule(owner):
        raise TypeError(f"{name} is a method of an object, and a worker has no such object: submit a top-level function "
                        "that makes the object from its arguments")
    if "<lambda>" in name:
        raise TypeError("a lambda has no name by which a worker could import it: use def at the top level of a module")
    if "<locals>" in name:
        raise TypeError(f"{name} is defined inside another function, where a worker cannot import it: move it to the top "
                        "level of its module")
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{name} is async, and workers only call ordinary functions: submit one that runs it by asyncio.run")
    if module is None:  # a method of a built-in class, such as str.upper
        module = getattr(getattr(function, "__objclass__", None), "__module__", None)
    if inspect.isclass(owner):  # a class method belongs to the class through which it was reached
        name, module = f"{owner.__qualname__}.{name.rpartition('.')[2]}", owner.__module__
    elsewhere = _importable(module, name)
    try:
        # The program itself is looked at as it is: an import would run it a second time.
        found = _member(sys.modules["__main__"], name) if module == "__main__" else resolve(f"{elsewhere}:{name}")
    except (ImportError, AttributeError) as error:
        raise TypeError(f"a worker cannot import {name} from {elsewhere}: {error}") from None
    if found is not function and found != function:
        raise TypeError(f"{elsewhere}.{name} is now something else than the function that was submitted, which a worker "
                        "therefore cannot import: give it a name of its own")
    return f"{elsewhere}:{name}"


def _importable(module: str | None, name: str) -> str:
    """The name by which other processes import a module. TypeError if there is none."""
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        if spec is not None and spec.name != "__main__":  # python3 -m package.module
            return str(spec.name)
        raise TypeError(f"{name} is defined in the program that runs (__main__), which a worker cannot import: move it "
                        "into a module of its own and import it from there")
    if not module:
        raise TypeError(f"{name} does not say which module it is from, so a worker cannot import it")
    return module


def resolve(call: str) -> Any:
    """What "module:qualified.name" names. ImportError or AttributeError if there is none."""
    module, _, path = call.partition(":")
    return _member(importlib.import_module(module), path)


def _loaded(call: str) -> Any:
    """The same in a worker's process, which may have to import the module."""
    module = call.partition(":")[0]
    if module in sys.modules:
        return resolve(call)
    with importing_for_a_worker(module):
        return resolve(call)


@contextlib.contextmanager
def importing_for_a_worker(module: str) -> Iterator[None]:
    """Within it refuse_a_pool_at_import() raises."""
    before = IMPORTED.set(module)
    try:
        yield
    finally:
        IMPORTED.reset(before)


def refuse_a_pool_at_import() -> None:
    """RuntimeError while a worker imports a module: the workers of a pool made there would import it as well, and so on."""
    module = IMPORTED.get()
    if module is not None:
        raise RuntimeError(f"a worker imports {module} to call a function of it, and that import makes a Pool, whose workers "
                           "would import it and make the next one, without end: make the Pool inside a function, or under "
                           "`if __name__ == \"__main__\":`")


def _member(module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part)
    return found


def run_call(args: Any) -> Any:
    """The handler of type TYPE: args as call_body and chunk_body make them."""
    if not isinstance(args, dict) or not isinstance(args.get("call"), str):
        raise TypeError('a call needs args such as {"call": "module:function", "args": [1, 2], "kwargs": {}}')
    function = _loaded(args["call"])
    kwargs = args.get("kwargs", {})
    if "many" in args:
        return [function(*each, **kwargs) for each in args["many"]]
    return function(*args.get("args", ()), **kwargs)
