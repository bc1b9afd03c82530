# SPDX-License-Identifier: MIT
"""What can travel: values as JSON, and functions by their names."""

import enum
import functools
import json
import math
import sys
import time

import calls
import pytest
from workpool import _functions, _jobs, _json


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize("value", [
    None, True, 0, -1 << 63, (1 << 64) - 1, 1.5, -0.0, 1e308, "", "ä\0\u2028😀", [], {}, [[1, {"a": None}]], Colour.RED,
])
def test_what_json_holds_arrives_as_it_is(value):
    assert json.loads(_json.encode(value, "it")) == value


def test_tuples_become_lists():
    assert json.loads(_json.encode((1, (2,)), "it")) == [1, [2]]


def deep(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def circle():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("value, message", [
    (math.nan, "it: nan is no JSON number"),
    ([1, math.inf], r"it\[1\]: inf is no JSON number"),
    ({"a": [{1, 2}]}, r"it\['a'\]\[0\]: JSON cannot hold a set"),
    ({1: 2}, r"it: the key 1 is no text"),
    ({"a": {None: 2}}, r"it\['a'\]: the key None is no text"),
    (1 << 64, "beyond 64 bits"),
    (-(1 << 63) - 1, "beyond 64 bits"),
    (b"bytes", "JSON cannot hold a bytes"),
    (object(), "JSON cannot hold a object"),
    (1j, "JSON cannot hold a complex"),
    (calls.Thing(), "JSON cannot hold a calls.Thing"),
    ("\ud800", "surrogate"),
    (deep(64), "deeper than 64 levels"),
    (circle(), "deeper than 64 levels, or one contains itself"),
])
def test_what_json_cannot_hold_is_refused_with_its_place(value, message):
    with pytest.raises(TypeError, match=message):
        _json.encode(value, "it")


def test_of_a_deep_place_only_the_ends_are_named():
    with pytest.raises(TypeError) as caught:
        _json.encode({"a": circle()}, "it")
    assert str(caught.value) == "it['a'][0][0]…[0][0][0]: arrays and objects nest deeper than 64 levels, or one contains itself"
    with pytest.raises(TypeError, match=r"^it\[0\]\[0\]\[0\]\[0\]\[0\]\['b'\]: JSON cannot hold a set"):
        _json.encode([[[[[{"b": {1}}]]]]], "it")


@pytest.mark.parametrize("function, name", [
    (calls.add, "calls:add"), (len, "builtins:len"), (time.sleep, "time:sleep"), (math.sqrt, "math:sqrt"),
    (int, "builtins:int"), (calls.Thing.made, "calls:Thing.made"), (calls.Other.made, "calls:Other.made"),
    (str.upper, "builtins:str.upper"), (dict.fromkeys, "builtins:dict.fromkeys"), (calls.Thing.fixed, "calls:Thing.fixed"), (json.dumps, "json:dumps"),
])
def test_functions_that_have_a_name_elsewhere(function, name):
    assert _functions.name_of(function) == name
    assert _functions.resolve(name) == function


def nested():
    def inner():
        pass
    return inner


@pytest.mark.parametrize("function, message", [
    (lambda: 1, "a lambda has no name"),
    (nested(), "defined inside another function"),
    (calls.Thing().method, "a method of an object"),
    (calls.Thing(), "an object that can be called"),
    ([].append, "a method of an object"),
    (calls.asynchronous, "is async"),
    (calls.decorated(calls.add), "a lambda has no name"),
    (3, "neither a function nor the name of a handler"),
])
def test_functions_that_have_none_are_refused_with_the_reason(function, message):
    with pytest.raises(TypeError, match=message):
        _functions.name_of(function)


def test_functions_of_main_are_refused_unless_it_has_a_name(monkeypatch):
    def main_function():
        pass
    main_function.__module__, main_function.__qualname__ = "__main__", "main_function"
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    with pytest.raises(TypeError, match="defined in the program that runs .__main__., which a worker cannot import"):
        _functions.name_of(main_function)
    # python3 -m calls
    monkeypatch.setattr(main, "__spec__", sys.modules["calls"].__spec__)
    monkeypatch.setattr(main, "main_function", main_function, raising=False)
    assert _functions.name_of(main_function) == "calls:main_function"


def test_a_function_that_was_replaced_is_refused(monkeypatch):
    before = calls.add
    monkeypatch.setattr(calls, "add", calls.fail)
    with pytest.raises(TypeError, match="now something else"):
        _functions.name_of(before)
    monkeypatch.delattr(calls, "add")
    with pytest.raises(TypeError, match="a worker cannot import add from calls"):
        _functions.name_of(before)


def test_partial_is_taken_apart():
    function = functools.partial(functools.partial(calls.add, 1, times=2), times=3)
    assert json.loads(_functions.call_body(function, (5,), {})) == {"call": "calls:add", "args": [1, 5], "kwargs": {"times": 3}}
    assert json.loads(_functions.chunk_body(function, [(5,), (6,)])) == {
        "call": "calls:add", "many": [[1, 5], [1, 6]], "kwargs": {"times": 3}}
    assert _functions.run_call(json.loads(_functions.chunk_body(function, [(5,), (6,)]))) == [18, 21]


def test_the_place_of_an_argument_is_named():
    with pytest.raises(TypeError, match=r"the arguments of add\['args'\]\[1\]: JSON cannot hold a set"):
        _functions.call_body(calls.add, (1, {2}), {})
    with pytest.raises(TypeError, match=r"the arguments of add\['kwargs'\]\['times'\]"):
        _functions.call_body(calls.add, (1,), {"times": {2}})


def line(body):
    return json.loads(b"{" + body + b"}")


def test_commands():
    assert line(_jobs.command(["cat", b"\xff", calls_path()], b"", {"cwd": "/", "env": {"A": "1"}, "ok_exit": {0, 1}})) == {
        "cmd": ["cat", {"base64": "/w=="}, "calls.py"], "cwd": "/", "env": {"A": "1"}, "ok_exit": [0, 1]}
    assert line(_jobs.command("ls | wc", b',"timeout":1', {"shell": "bash", "stdin": None})) == {
        "cmd": "ls | wc", "shell": "bash", "timeout": 1}
    # A file name that is not UTF-8, as os.listdir gives it.
    assert line(_jobs.command(["cat", "\udcff"], b"", {})) == {"cmd": ["cat", {"base64": "/w=="}]}


def calls_path():
    import pathlib
    return pathlib.Path("calls.py")


@pytest.mark.parametrize("words, error, message", [
    ([], ValueError, "at least one word"),
    (["sleep", 1], TypeError, "use str\\(\\) for a number"),
    (b"ls", TypeError, "a list of words"),
    (calls_path(), TypeError, "a list of words"),
    (3, TypeError, "a list of words"),
    (["a\0b"], ValueError, "NUL"),
    (["x" * (1 << 20)], ValueError, "1 MiB is the most"),
])
def test_commands_that_are_none(words, error, message):
    with pytest.raises(error, match=message):
        _jobs.command(words, b"", {})
