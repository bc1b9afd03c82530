# SPDX-License-Identifier: MIT
"""The members that any job may have, as Pool.options() takes them: checked there, so that no job is refused for them later.

What is allowed is said in docs/reference.md, "Members of a job" and "Limits".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from workpool import _checks, _json

RETRIES_MAX = (1 << 32) - 1
PRIORITY_MIN, PRIORITY_MAX = -(1 << 31), (1 << 31) - 1
SLOTS_MAX = 65_535  # of a worker
LABELS_MAX, LABEL_BYTES_MAX = 32, 64
LIMITS_MAX, LIMIT_KEY_BYTES_MAX = 8, 256
META_BYTES_MAX = 4096
TIMEOUT_SECONDS_MAX = 10 * 365 * 24 * 3600
UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6}  # the larger ones come first
DURATION = re.compile("".join(f"(?:([0-9]+(?:[.][0-9]+)?){unit})?" for unit in UNITS) + "|[0-9]+(?:[.][0-9]+)?")


def encoded(options: Mapping[str, Any]) -> bytes:
    """As the end of a jobs line. None is an option that is not given."""
    return b"".join(b',"%s":%s' % (name.encode(), _json.encode(CHECKS[name](value), name))
                    for name, value in options.items() if value is not None)


def _timeout(value: Any) -> Any:
    allowed = "timeout is seconds or a duration such as '90s' or '1h30m', from 0 (none) to 10 years"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(_checks.wrong(allowed, value))
    seconds = _seconds(value) if isinstance(value, str) else value
    if not 0 <= seconds <= TIMEOUT_SECONDS_MAX:  # nor is NaN
        raise ValueError(_checks.wrong(allowed, value))
    return value


def _seconds(duration: str) -> float:
    """NaN if it is no duration."""
    found = DURATION.fullmatch(duration)
    if found is None or not duration:
        return math.nan
    if duration[-1].isdigit():
        return float(duration)
    return sum(float(number) * unit for number, unit in zip(found.groups(), UNITS.values()) if number is not None)


def _retries(value: Any) -> int:
    return _checks.whole(f"retries is an integer from 0 to {RETRIES_MAX}", value, 0, RETRIES_MAX)


def _priority(value: Any) -> int:
    return _checks.whole(f"priority is an integer from {PRIORITY_MIN} to {PRIORITY_MAX}", value, PRIORITY_MIN, PRIORITY_MAX)


def _slots(value: Any) -> int:
    return _checks.whole(f"slots is an integer from 1 to {SLOTS_MAX}, as many as a worker can have", value, 1, SLOTS_MAX)


def _labels(value: Any) -> list[str]:
    return _checks.texts(f"labels is a list of at most {LABELS_MAX} texts of 1 to {LABEL_BYTES_MAX} bytes", value, LABELS_MAX,
                         LABEL_BYTES_MAX)


def limit_keys(value: Any) -> list[str]:
    keys = [value] if isinstance(value, str) else value
    return _checks.texts(f"limit is a key of 1 to {LIMIT_KEY_BYTES_MAX} bytes, such as 'db', or a list of at most {LIMITS_MAX} "
                         "keys", keys, LIMITS_MAX, LIMIT_KEY_BYTES_MAX)


def _meta(value: Any) -> Any:
    size = len(_json.encode(value, "meta"))
    if size > META_BYTES_MAX:
        raise ValueError(f"meta is {size} bytes of JSON, and {META_BYTES_MAX} is the most that is copied into a result")
    return value


CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "timeout": _timeout, "retries": _retries, "priority": _priority, "labels": _labels, "slots": _slots, "limit": limit_keys,
    "meta": _meta,
}
