# SPDX-License-Identifier: MIT
"""The results file of a pool: every result line as it came from the dispatcher, before its future is resolved."""

from __future__ import annotations

import os
from typing import Union


class Record:
    """Appends to a file. What stands there stays; a last line that was cut short gets its newline and counts as damaged."""

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self.write(b"\n")

    def write(self, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[os.write(self._file, view):]

    def close(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)
