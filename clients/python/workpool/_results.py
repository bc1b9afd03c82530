# SPDX-License-Identifier: MIT
"""Results: a line of RESULTS as an object, and the lines of a file that count. docs/reference.md has the format."""

from __future__ import annotations

import base64
import json
import os
import re
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Iterator, Union, overload

LINE_BYTES_MAX = 48 << 20
LINE_START = b'{"id":'
SPACE = b" \t\r\n"
MARK = b"\xef\xbb\xbf"
STATUSES = frozenset({"ok", "failed", "timeout", "quarantined", "invalid"})
MADE_ID = re.compile(r"[0-9a-f]{32}(#[0-9]+)?")  # made from the work, which then is not written beside it
DAMAGED_SHOWN = 20

Path = Union[str, "os.PathLike[str]"]


class ResultsWarning(UserWarning):
    """A results file has damaged lines, whose jobs have no result."""


@dataclass(frozen=True)
class OutputFile:
    """Where the output of a job is that named a file for it."""

    path: str  # absolute, on the worker
    bytes: int
    xxh128: str


@dataclass(frozen=True)
class Result:
    """One result line. What the line does not have is None, 0 or empty."""

    id: str
    line: int  # in the jobs file
    status: str  # ok, failed, timeout, quarantined or invalid
    attempt: int = 0
    kind: str = ""  # of the error
    message: str = ""  # of the error
    exit: int | None = None
    signal: int | None = None
    stdout: str = ""  # bytes that are not UTF-8 are in it as surrogates: os.fsencode(stdout) has the bytes
    stderr: str = ""
    stdout_file: OutputFile | None = None
    stderr_file: OutputFile | None = None
    value: Any = None
    worker: str = ""
    queued_ms: float = 0.0
    run_ms: float = 0.0
    finished: str = ""
    each: dict[str, Any] | None = None
    meta: Any = None
    run: str = ""
    spec: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # every member, as it is in the line

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Result:
        """The result that a decoded line holds."""
        error = raw.get("error") or {}
        stdout, stdout_file = _output(raw, "stdout")
        stderr, stderr_file = _output(raw, "stderr")
        return cls(
            id=raw["id"], line=raw.get("line", 0), status=raw["status"], attempt=raw.get("attempt", 0),
            kind=error.get("kind", ""), message=error.get("message", ""), exit=raw.get("exit"), signal=raw.get("signal"),
            stdout=stdout, stderr=stderr, stdout_file=stdout_file, stderr_file=stderr_file, value=raw.get("value"),
            worker=raw.get("worker", ""), queued_ms=raw.get("queued_ms", 0.0), run_ms=raw.get("run_ms", 0.0),
            finished=raw.get("finished", ""), each=raw.get("each"), meta=raw.get("meta"), run=raw.get("run", ""),
            spec=raw.get("spec", ""), raw=raw)


def _output(raw: dict[str, Any], name: str) -> tuple[str, OutputFile | None]:
    said = raw.get(name)
    if isinstance(said, dict):
        path = said["file"]
        if isinstance(path, dict):
            path = os.fsdecode(base64.b64decode(path["base64"]))
        return "", OutputFile(path, said["bytes"], said["xxh128"])
    if said is None and name + "_base64" in raw:
        return base64.b64decode(raw[name + "_base64"]).decode("utf-8", "surrogateescape"), None
    return said or "", None


class Results(Sequence[Result]):
    """The lines of a results file that count, in the order of the file."""

    def __init__(self, results: list[Result], superseded: int, damaged: list[int], torn_bytes: int) -> None:
        self._results = results
        self.superseded = superseded  # how many lines do not count because of a later one
        self.damaged = damaged  # the numbers, from 1, of lines whose crc or content is wrong
        self.torn_bytes = torn_bytes  # how long a last line is that was cut short, or is still being written

    def by_id(self) -> dict[str, Result]:
        """The results by the ids of their jobs. Lines that were no job (`invalid`) are not among them."""
        return {result.id: result for result in self._results if result.status != "invalid"}

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    @overload
    def __getitem__(self, index: int) -> Result: ...

    @overload
    def __getitem__(self, index: slice) -> list[Result]: ...

    def __getitem__(self, index: int | slice) -> Result | list[Result]:
        return self._results[index]

    def __repr__(self) -> str:
        return (f"<Results: {len(self)} results, {self.superseded} superseded, {len(self.damaged)} damaged lines, "
                f"{self.torn_bytes} torn bytes>")


def checked(line: bytes) -> dict[str, Any] | None:
    """A result line decoded, or None if it is damaged: its crc is wrong, or it lacks what a result needs."""
    head, mark, crc = line.rpartition(b',"crc":"')
    if not mark or crc != b'%08x"}' % zlib.crc32(head):
        return None
    try:
        raw = json.loads(line)
    except ValueError:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("id"), str) or not isinstance(raw.get("run"), str):
        return None
    if raw.get("status") not in STATUSES:
        return None
    if raw["status"] != "invalid" and "spec" not in raw and not MADE_ID.fullmatch(raw["id"]):
        return None
    return raw


def read_results(path: Path, *, strict: bool = False) -> Results:
    """The results of a run. The crc of each line is checked, and of several lines with one id the last counts.

    Damaged lines are left out, and a ResultsWarning says which; with `strict` they are a ValueError, and so they are if no
    line is a result: that is another file, such as the one of the jobs. A last line that was cut short is left out without
    a warning, so a file can be read while its run goes on. It differs from `workpool show` in one point: it does not read
    the jobs file, and so cannot know that a job's work has changed.
    """
    counting: dict[str, int] = {}  # the place in `results` of an id's last line
    results: list[Result | None] = []
    damaged: list[int] = []
    torn = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text = (line[len(MARK):] if number == 1 and line.startswith(MARK) else line).strip(SPACE)
            if not text:
                continue
            raw = checked(text) if len(text) <= LINE_BYTES_MAX else None
            if raw is None:
                if not line.endswith(b"\n") and text[:len(LINE_START)] == LINE_START[:len(text)]:
                    torn = len(line)
                else:
                    damaged.append(number)
                continue
            result = Result.of(raw)
            if result.status != "invalid":  # such a line is no job's result, whatever its id
                before = counting.get(result.id)
                if before is not None:
                    results[before] = None
                counting[result.id] = len(results)
            results.append(result)
    if damaged and not results:
        count = "1 line" if len(damaged) == 1 else f"{len(damaged)} lines"
        raise ValueError(f"{os.fspath(path)} is no results file: none of its {count} is a result. Give the file of `run -o`")
    if damaged:
        _report_damage(path, damaged, strict)
    left = [result for result in results if result is not None]
    return Results(left, len(results) - len(left), damaged, torn)


def _report_damage(path: Path, damaged: list[int], strict: bool) -> None:
    shown = ", ".join(str(number) for number in damaged[:DAMAGED_SHOWN])
    more = f" and {len(damaged) - DAMAGED_SHOWN} more" if len(damaged) > DAMAGED_SHOWN else ""
    lines = "line" if len(damaged) == 1 else "lines"
    message = (f"{os.fspath(path)}: {lines} {shown}{more} damaged (the crc is missing or wrong): their jobs have no result; "
               "the same run again runs them")
    if strict:
        raise ValueError(message)
    warnings.warn(message, ResultsWarning, stacklevel=3)
