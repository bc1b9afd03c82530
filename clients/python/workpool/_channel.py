# SPDX-License-Identifier: MIT
"""The two ends of a handler's program that its worker holds: where requests come from, and where answers go."""

from __future__ import annotations

import os
import sys
from typing import Iterator

READ_BYTES = 1 << 16


class Channel:
    """Descriptors of its own, which functions cannot meet by accident.

    Once it is made, descriptor 0 is empty, and descriptor 1 and sys.stdout lead to stderr, so that print() and whatever
    a function starts neither read requests nor write into answers.
    """

    def __init__(self) -> None:
        self._requests = os.dup(0)
        self._answers = os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        # What was printed before and is still buffered goes to stderr as well.
        sys.stdout.flush()
        sys.stdout = sys.stderr

    def requests(self) -> Iterator[bytes]:
        rest = b""
        while True:
            block = os.read(self._requests, READ_BYTES)
            if not block:
                break
            if b"\n" not in block:
                rest += block
                continue
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def write(self, line: bytes) -> None:
        view = memoryview(line + b"\n")
        while view:
            view = view[os.write(self._answers, view):]
