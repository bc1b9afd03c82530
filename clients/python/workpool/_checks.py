# SPDX-License-Identifier: MIT
"""Checks of arguments: a wrong type is a TypeError, a wrong value a ValueError, and both say what is allowed and what came."""

from __future__ import annotations

import reprlib
from collections.abc import Collection
from typing import Any


def wrong(allowed: str, value: Any) -> str:
    return f"{allowed}, not {reprlib.repr(value)}"


def whole(allowed: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(wrong(allowed, value))
    if not least <= value <= most:
        raise ValueError(wrong(allowed, value))
    return value


def text(allowed: str, value: Any, bytes_max: int) -> str:
    """1 to `bytes_max` bytes of UTF-8 without NUL."""
    if not isinstance(value, str):
        raise TypeError(wrong(allowed, value))
    if not 1 <= len(value.encode("utf-8", "replace")) <= bytes_max or "\0" in value or not _is_utf8(value):
        raise ValueError(wrong(allowed, value))
    return value


def texts(allowed: str, value: Any, count_max: int, bytes_max: int) -> list[str]:
    """Several of these. One text is none, although Python would take it for a list of its letters."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Collection):
        raise TypeError(wrong(allowed, value))
    if len(value) > count_max:
        raise ValueError(wrong(allowed, value))
    return [text(allowed, each, bytes_max) for each in value]


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
