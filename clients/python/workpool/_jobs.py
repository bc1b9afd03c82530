# SPDX-License-Identifier: MIT
"""Jobs as the text of a jobs line: all of it but the id, which a job gets when its line is written."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

from workpool import _functions, _json

# A program or argument: text, bytes, or a path.
Word = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
ID_BYTES_MAX = 64  # of the ids that a pool makes, for the limit of a line


def typed(type_name: str, args: bytes | None, options: bytes) -> bytes:
    """A job for a handler, from the JSON text of its args."""
    body = b'"type":"' + type_name.encode() + b'"'
    if args is not None:
        body += b',"args":' + args
    return _limited(body + options)


def command(words: str | Sequence[Word], options: bytes, members: Mapping[str, Any]) -> bytes:
    """A job that runs a command: a list of words without a shell, or a text by a shell."""
    if isinstance(words, str):
        cmd: Any = _text(words)
    elif isinstance(words, (bytes, os.PathLike)) or not isinstance(words, Sequence):
        raise TypeError(f"a command is a list of words, or a text for the shell, not {words!r}")
    elif not words:
        raise ValueError("a command needs at least one word: the program")
    else:
        cmd = [_text(word) for word in words]
    given = {name: value for name, value in members.items() if value is not None}
    for name in ("cwd", "stdin", "stdout", "stderr"):
        if name in given:
            given[name] = _text(given[name])
    if "env" in given:
        given["env"] = dict(given["env"])
    if "ok_exit" in given:
        given["ok_exit"] = list(given["ok_exit"])
    body = b'"cmd":' + _json.encode(cmd, "the command")
    for name, value in given.items():
        body += b',"%s":%s' % (name.encode(), _json.encode(value, name))
    return _limited(body + options)


def function_call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: bytes) -> bytes:
    return typed(_functions.TYPE, _functions.call_body(function, args, kwargs), options)


def function_chunk(function: Any, chunk: list[tuple[Any, ...]], options: bytes) -> bytes:
    return typed(_functions.TYPE, _functions.chunk_body(function, chunk), options)


def _text(word: Any) -> Any:
    """A word as a job has it: text, or base64 if it is not UTF-8, as some file names are."""
    if not isinstance(word, (str, bytes, os.PathLike)):
        raise TypeError(f"a word of a command is a text, bytes or a path, not {word!r}: use str() for a number")
    encoded = os.fsencode(word)
    try:
        text = encoded.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(encoded).decode()}
    if "\0" in text:
        raise ValueError(f"no program can be given the word {text!r}: it holds a NUL byte")
    return text


def _limited(body: bytes) -> bytes:
    size = len(body) + ID_BYTES_MAX
    if size > _json.LINE_BYTES_MAX:
        raise ValueError(f"the job is {size} bytes of JSON, and 1 MiB is the most: put its input into a file and pass the "
                         "file's name")
    return body
