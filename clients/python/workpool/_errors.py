# SPDX-License-Identifier: MIT
"""What a future raises if its job is not ok."""

from __future__ import annotations

from workpool._results import Result


class JobFailed(Exception):
    """A job ended otherwise than ok. `result` is its whole result line; the most used parts are members here."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)  # args, so that the exception can be pickled
        self.result = result
        self.status = result.status  # failed, timeout, quarantined or invalid
        self.kind = result.kind  # exit, signal, spawn, handler, timeout, crash, invalid or output
        self.message = result.message
        self.exit = result.exit
        self.signal = result.signal
        self.stdout = result.stdout
        self.stderr = result.stderr

    def __str__(self) -> str:
        text = self.message or self.status
        said = self.stderr.rstrip().rpartition("\n")[2].strip()
        # A handler's last line is the error itself.
        return f"{text}: {said}" if said and said not in text else text
