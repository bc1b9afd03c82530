# SPDX-License-Identifier: MIT
"""Values as JSON text, without surprises: what would arrive as something else is refused with its place.

json.dumps alone writes NaN, which is no JSON, and turns the keys 1 and None into "1" and "null".
"""

from __future__ import annotations

import json
import math
from typing import Any

LEVELS_MAX = 64  # of a jobs line, its outer object included
LINE_BYTES_MAX = 1 << 20  # of a jobs line
INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 64) - 1
STEPS_SHOWN = 6  # of a place in a message


def encode(value: Any, what: str, levels: int = LEVELS_MAX - 2) -> bytes:
    """`value` as compact UTF-8 JSON. TypeError if JSON cannot hold it; `what` begins the message.

    Tuples become arrays, the only change that is made. `levels` is how deep arrays and objects may nest.
    """
    fault = _fault_of(value, levels)
    if fault is not None:
        keys, reason = fault
        raise TypeError(f"{what}{_place(keys)}: {reason}")
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        text = error.object[error.start:error.end]
        raise TypeError(f"{what}: a text holds {text!r}, half of a surrogate pair, which UTF-8 cannot hold") from None


def _place(keys: list[Any]) -> str:
    """Such as ['a'][3]. Of many keys, as of a value that is too deep, the first and last say enough."""
    steps = [f"[{key!r}]" for key in keys]
    if len(steps) > STEPS_SHOWN:
        steps[STEPS_SHOWN // 2:-STEPS_SHOWN // 2] = ["…"]
    return "".join(steps)


def _fault_of(value: Any, levels: int) -> tuple[list[Any], str] | None:
    """The keys that lead to what JSON cannot hold in `value`, and why it cannot; None if it can hold all."""
    if value is None or isinstance(value, (str, bool)):
        return None
    if isinstance(value, int):
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return None
        return [], f"the integer {value} is beyond 64 bits: pass it as a text"
    if isinstance(value, float):
        return None if math.isfinite(value) else ([], f"{float(value)} is no JSON number: pass None or a text")
    if isinstance(value, (list, tuple)):
        pairs: Any = enumerate(value)
    elif isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return [], f"the key {key!r} is no text, and a JSON object has no others: use str({key!r})"
        pairs = value.items()
    else:
        return [], (f"JSON cannot hold a {type(value).__module__}.{type(value).__qualname__}: pass what it is made "
                    "of, as None, bool, int, float, str, list and dict").replace("builtins.", "")
    if levels == 0:
        return [], f"arrays and objects nest deeper than {LEVELS_MAX} levels, or one contains itself"
    for key, item in pairs:
        # Most items are plain; this saves a call for each.
        if item is None or type(item) is str:
            continue
        fault = _fault_of(item, levels - 1)
        if fault is not None:
            return [key, *fault[0]], fault[1]
    return None
