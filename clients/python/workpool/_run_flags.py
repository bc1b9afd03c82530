# SPDX-License-Identifier: MIT
"""The flags of the `run` under a pool: those that stand for arguments of Pool, and those that its user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

from workpool import _checks
from workpool._options import LIMIT_KEY_BYTES_MAX

AT_ONCE_MAX = 1_000_000  # of a rule
ONE_LETTER = {"-o": "--results", "-j": "--jobs", "-h": "--help"}
# A pool sets these itself, or they would change what it reads from its run: what to use instead.
OWN = {
    "--results": "use results=FILE",
    "--overwrite": "a pool adds to the file of results=; remove the file before",
    "--retry-failed": "a pool knows no earlier results; pool.options(retries=N) tries jobs again",
    "--format": "a pool writes its jobs itself",
    "--local": "use workers=N",
    "--jobs": "use workers=N",
    "--listen": "use listen=ADDRESS",
    "--key": "use key=FILE",
    "--handler": "use Pool({NAME: COMMAND})",
    "--limit": "use limits={KEY: RULE}",
    "--grace": "pool.stop() cancels what runs, and pool.shutdown() waits for it",
    "--progress": "a pool reads what would show it, and its futures tell how far it is",
    "--help": "it runs no jobs",
    "--version": "it runs no jobs",
}

Rule = Union[int, str]


class Limits:
    """What the keys allow that jobs name in their option `limit`."""

    def __init__(self, rules: Mapping[str, Rule] | None) -> None:
        if rules is not None and not isinstance(rules, Mapping):
            raise TypeError(_checks.wrong("limits is a dict of rules by key, such as {'db': 3, 'api': '10/s'}", rules))
        self._rules = dict(rules or {})
        for key, rule in self._rules.items():
            _checks.text(f"a key of limits is a text of 1 to {LIMIT_KEY_BYTES_MAX} bytes", key, LIMIT_KEY_BYTES_MAX)
            if not isinstance(rule, str):  # the run judges a text
                _checks.whole(f"limits[{key!r}] is how many jobs at once, such as 3 (at most {AT_ONCE_MAX}), or a text such as "
                              "'10/s' or '2,5/s'", rule, 1, AT_ONCE_MAX)

    def flags(self) -> list[str]:
        return [word for key, rule in self._rules.items() for word in ("--limit", f"{key}={rule}")]

    def check(self, keys: Sequence[str]) -> None:
        """ValueError if one of these keys has no rule: its jobs would be refused."""
        for key in keys:
            if key not in self._rules and not any(_fits(rule, key) for rule in self._rules):
                raise ValueError(f"limit {key!r} has no rule in this pool: Pool(limits={{{key!r}: 3}}) allows 3 of its jobs at "
                                 "once")


def _fits(pattern: str, key: str) -> bool:
    """Whether a key is of the form of another one with a *, which stands for any text."""
    before, star, after = pattern.partition("*")
    return bool(star) and len(key) >= len(before) + len(after) and key.startswith(before) and key.endswith(after)


def given(flags: Any) -> list[str]:
    """`flags` of Pool, unless one of them is the pool's own."""
    allowed = "flags is a list of words, such as ['--ports', '5556-5600']"
    if isinstance(flags, (str, bytes)) or not isinstance(flags, Sequence) or not all(isinstance(word, str) for word in flags):
        raise TypeError(_checks.wrong(allowed, flags))
    for word in flags:
        name = word.partition("=")[0] if word.startswith("--") else ONE_LETTER.get(word[:2], "")
        if name in OWN:
            raise ValueError(f"flags cannot have {word!r}, which is the pool's own matter: {OWN[name]}")
    return list(flags)
