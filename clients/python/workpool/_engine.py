# SPDX-License-Identifier: MIT
"""Futures on one side, lines to and from the dispatcher on the other.

A job waits here until few enough are handed over; until then its future can be cancelled. Two threads do the rest: the
feeder writes jobs lines, and the reader starts the program, reads results and resolves futures. When the program
ends, however it does, every future that is open ends with it: nothing is ever left waiting.
"""

from __future__ import annotations

import atexit
import collections
import json
import logging
import os
import queue
import select
import signal
import threading
import time
import weakref
from concurrent.futures import BrokenExecutor, Future, InvalidStateError
from typing import Any, Callable

from workpool._errors import JobFailed
from workpool._process import Process
from workpool._record import Record
from workpool._results import Result

AHEAD_MAX = 10_000  # the dispatcher reads no further ahead, either
PERIOD = 0.02  # seconds over which results are counted
AHEAD_SECONDS = 0.25  # how much work is handed over, if jobs are short
WRITE_BYTES = 1 << 18  # about as much is written at once
READ_BYTES = 1 << 20
NOBODY_AFTER = 10.0  # seconds for which jobs wait before it is said that no worker has joined
LOOK_SECONDS = 1.0
KILL_AFTER = 15.0  # seconds after stop(): jobs are given 5 s to end
AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"

LOG = logging.getLogger("workpool")


class Work:
    """A job whose result is not there: its line without an id, and how a result line becomes its future's result."""

    __slots__ = ("future", "body", "convert", "priority")

    def __init__(self, body: bytes, convert: Callable[[dict[str, Any]], Any], priority: int = 0) -> None:
        self.future: Future[Any] = Future()
        self.body = body
        self.convert = convert
        self.priority = priority


class Backlog:
    """What waits to be handed over: higher priorities first, then in the order of submission.

    add() may be interrupted by another add(), or by take_all(), of a signal handler: so nothing is counted here, and a
    queue that add() may be about to use stays.
    """

    def __init__(self) -> None:
        self._queues: dict[int, collections.deque[Work]] = {}

    def __bool__(self) -> bool:
        return any(self._queues.values())

    def add(self, work: Work) -> None:
        self._queues.setdefault(work.priority, collections.deque()).append(work)

    def take(self) -> Work:
        """REQUIRES: there is something. For the feeder, which no signal handler interrupts."""
        while True:
            first = max(self._queues)
            works = self._queues[first]
            if works:
                return works.popleft()
            del self._queues[first]

    def take_all(self) -> list[Work]:
        taken: list[Work] = []
        for works in list(self._queues.values()):
            taken.extend(works)
            works.clear()
        return taken


class Window:
    """How many jobs may be with the dispatcher: as many as keep its workers busy, and no more, so that the rest can be
    cancelled. It follows how fast results come. The engine's lock protects it."""

    def __init__(self, least: int, fixed: int | None) -> None:
        self._least = min(least, AHEAD_MAX)
        self.size = self._least if fixed is None else fixed
        self._fixed = fixed is not None
        self._since = 0.0
        self._ended = 0

    def begin(self) -> None:
        """Called when jobs are handed over and there were none: time without work does not count."""
        self._since = time.monotonic()
        self._ended = 0

    def add(self, ended: int) -> None:
        self._ended += ended
        now = time.monotonic()
        if self._fixed or now - self._since < PERIOD:
            return
        rate = self._ended / (now - self._since)
        self.size = max(self._least, min(AHEAD_MAX, int(rate * AHEAD_SECONDS)))
        self._since = now
        self._ended = 0


class Engine:
    """One run of the dispatcher. Any thread may call its methods."""

    def __init__(self, command: list[str], prefix: str, window: Window, record: Record | None, joinable: bool,
                 has_workers: bool) -> None:
        """`joinable`: whether workers may join later, and so run what none can run now. `has_workers`: whether it starts
        any itself."""
        self._command = command
        self._prefix = prefix.encode()
        self._window = window
        self._record = record
        self._joinable = joinable
        # Reentrant: a signal handler, or the end of a pool found by the garbage collector, may come in at any place.
        self._lock = threading.RLock()
        self._heard = threading.Condition(self._lock)  # the program has said something, or has ended
        # Wakes the feeder. Unlike a Condition it may be used in the middle of itself.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        # All below is protected by _lock.
        self._waiting = Backlog()
        self._handed: dict[int, Work] = {}  # by the number of the line
        self._lines = 0  # written
        self._idle = False  # the feeder waits for work
        self._closing = False
        self._stopped = False
        self._killer: threading.Timer | None = None
        self._end: str | None = None  # why no job can be run any more
        self._failure: str | None = None  # of one of our threads
        self._awaited = not has_workers  # nobody has joined, and that has not been said yet
        self._waits_since: float | None = None  # jobs, for the first worker
        self._hopeless = False  # there are jobs that no worker can run
        self._pid = os.getpid()
        self._process: Process | None = None
        self._start_error: BaseException | None = None
        self._started = threading.Event()
        # Daemons: the interpreter would otherwise wait for them before it calls _at_exit, which ends them.
        self._reader = threading.Thread(target=self._read, name="workpool-reader", daemon=True)
        self._feeder = threading.Thread(target=self._feed, name="workpool-feeder", daemon=True)

    def start(self) -> None:
        """If it fails, or is interrupted, close() ends what has begun."""
        self._feeder.start()
        try:
            self._reader.start()
        except BaseException:
            self._started.set()  # there is nothing to feed
            raise
        self._started.wait()
        if self._start_error is not None:
            raise self._start_error
        atexit.register(self._at_exit)
        reference = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(reference()))

    # ---- what a pool asks for ----

    def submit(self, work: Work) -> Future[Any]:
        with self._lock:
            if self._end is not None:
                raise BrokenExecutor(self._end)
            if self._closing:
                raise RuntimeError(AFTER_SHUTDOWN)
            self._waiting.add(work)
            if self._idle:
                self._idle = False
                self._bell.put(None)
        return work.future

    def close(self, cancel: bool = False) -> None:
        """No more jobs. Those that were submitted are finished; with `cancel`, only those that are handed over."""
        cancelled: list[Work] = []
        with self._lock:
            self._closing = True
            if cancel:
                cancelled = self._waiting.take_all()
            self._bell.put(None)
        _cancel(cancelled)

    def stop(self) -> None:
        """Ends the run now: running jobs are cancelled, and open futures raise BrokenExecutor."""
        with self._lock:
            self._stopped = True
        self.close(cancel=True)
        process = self._process
        if process is None or self._pid != os.getpid():
            return
        process.send(signal.SIGTERM)
        with self._lock:
            if self._end is None and self._killer is None:
                self._killer = threading.Timer(KILL_AFTER, process.send, (signal.SIGKILL,))
                self._killer.daemon = True
                self._killer.start()

    def join(self) -> None:
        """Waits until everything has ended. A callback of a future runs in the reader, which cannot wait for itself."""
        if self._pid != os.getpid() or threading.current_thread() in (self._reader, self._feeder):
            return
        self._feeder.join()
        self._reader.join()

    def wait_for(self, ready: Callable[[Process], Any], seconds: float) -> Any:
        """The first true value of ready(process), which looks at what the program has said."""
        end = time.monotonic() + seconds
        with self._lock:
            while True:
                assert self._process is not None
                if found := ready(self._process):
                    return found
                if self._end is not None:
                    raise BrokenExecutor(self._end)
                if not self._heard.wait(end - time.monotonic()):
                    raise TimeoutError(f"{self._process.name} has not said it for {seconds:g} s:\n{self._process.said.last()}")

    @property
    def pid(self) -> int:
        """Of the program."""
        assert self._process is not None
        return self._process.pid

    def _at_exit(self) -> None:
        """As for other executors, what was submitted is finished before the interpreter ends."""
        self.close()
        self.join()

    # ---- the feeder ----

    def _feed(self) -> None:
        self._started.wait()
        if self._process is None:
            return
        try:
            while (lines := self._next_lines()) is not None:
                self._write(lines)
        except BrokenPipeError:
            return  # the program is gone: the reader sees that, too, and knows more
        except BaseException as error:
            self._fail("cannot hand jobs over", error)
        with self._lock:
            self._process.close_jobs()

    def _next_lines(self) -> bytes | None:
        """Lines to write, or None if there will be none any more."""
        while True:
            with self._lock:
                while self._waiting and self._end is None and len(self._handed) < self._window.size:
                    if lines := self._take():
                        return lines
                if self._end is not None or (self._closing and not self._waiting):
                    return None
                self._idle = not self._waiting  # otherwise there is no room, and only results make some
            self._bell.get()

    def _take(self) -> bytes:
        if not self._handed:
            self._window.begin()
        parts: list[bytes] = []
        size = 0
        room = self._window.size - len(self._handed)
        while self._waiting and room > 0 and size < WRITE_BYTES:
            work = self._waiting.take()
            if not work.future.set_running_or_notify_cancel():
                continue
            self._lines += 1
            self._handed[self._lines] = work
            parts.append(b'{"id":"%s-%d",%s}\n' % (self._prefix, self._lines, work.body))
            size += len(work.body)
            room -= 1
        return b"".join(parts)

    def _write(self, lines: bytes) -> None:
        assert self._process is not None
        pipe = self._process.jobs
        view = memoryview(lines)
        while view:
            view = view[os.write(pipe, view):]

    # ---- the reader ----

    def _read(self) -> None:
        # The program lives no longer than the thread that started it: see Process.
        try:
            self._process = process = Process(self._command)
        except BaseException as error:
            self._start_error = error
            return
        finally:
            self._started.set()
        try:
            self._read_until_end(process)
        except BaseException as error:
            self._fail("cannot take results", error)
        self._end_all(process, process.wait())

    def _read_until_end(self, process: Process) -> None:
        poller = select.poll()
        poller.register(process.results, select.POLLIN)
        poller.register(process.errors, select.POLLIN)
        parts: list[bytes] = []  # of a line that has not ended
        while True:
            for pipe, _ in poller.poll(self._look_for_workers(process)):
                block = os.read(pipe, READ_BYTES)
                if pipe == process.errors:
                    self._hear(process, block)
                    if not block:
                        poller.unregister(pipe)
                elif not block:
                    return
                elif b"\n" not in block:
                    parts.append(block)
                else:
                    parts.append(block)
                    whole, _, rest = b"".join(parts).rpartition(b"\n")
                    parts = [rest]
                    self._take_results(whole)

    def _look_for_workers(self, process: Process) -> float | None:
        """Says, once, that jobs wait and no worker has joined: nothing else tells why nothing happens. Returns for how
        many milliseconds there is nothing else to do; None for ever."""
        with self._lock:
            if not self._awaited:
                return None
            now = time.monotonic()
            if not self._handed:
                self._waits_since = None
            elif self._waits_since is None:
                self._waits_since = now
            elif now >= self._waits_since + NOBODY_AFTER:
                self._awaited = False
        if not self._awaited:
            LOG.warning("no worker has joined the pool at %s yet, and its jobs wait: pool.worker_command is the line for a "
                        "shell that starts one", process.said.address)
        return LOOK_SECONDS * 1000

    def _hear(self, process: Process, block: bytes) -> None:
        with self._lock:
            process.said.add(block)
            self._heard.notify_all()
            self._awaited = self._awaited and not process.said.joined
            # The run would wait for ever, since more jobs may come. A handler whose program cannot run leads here.
            give_up = process.said.nobody and not self._joinable and not self._hopeless
            self._hopeless = self._hopeless or give_up
        if give_up:
            process.send(signal.SIGTERM)

    def _take_results(self, lines: bytes) -> None:
        if self._record is not None:
            self._record.write(lines + b"\n")  # before anybody is told
        # One call for all of them; the lines hold no newlines themselves.
        results = json.loads(b"[" + lines.replace(b"\n", b",") + b"]")
        with self._lock:
            works = [self._handed.pop(result["line"], None) for result in results]
            self._window.add(len(results))
            if self._waiting:
                self._bell.put(None)
        for work, result in zip(works, results):
            if work is not None:
                _resolve(work, result)

    # ---- the end ----

    def _fail(self, what: str, error: BaseException) -> None:
        """One of our threads cannot go on. The program is ended, so that the reader ends what is open."""
        LOG.debug("%s", what, exc_info=error)
        with self._lock:
            self._failure = f"the pool {what}: {type(error).__name__}: {error}"
        assert self._process is not None
        self._process.send(signal.SIGKILL)

    def _end_all(self, process: Process, status: int) -> None:
        with self._lock:
            handed, waiting = list(self._handed.values()), self._waiting.take_all()
            self._handed.clear()
            self._end = self._why(process, status, bool(handed or waiting))
            if self._killer is not None:
                self._killer.cancel()
            self._heard.notify_all()
            self._bell.put(None)
        for work in waiting:
            if work.future.set_running_or_notify_cancel():
                handed.append(work)
        for work in handed:
            _set(work.future, error=BrokenExecutor(self._end))
        self._feeder.join()
        process.close()
        if self._record is not None:
            self._record.close()
        atexit.unregister(self._at_exit)

    def _why(self, process: Process, status: int, open_jobs: bool) -> str:
        if self._failure is not None:
            return self._failure
        if self._stopped:
            return "the pool was stopped"
        if self._closing and status in (0, 1) and not open_jobs:
            return AFTER_SHUTDOWN
        how = f"was ended by signal {-status}" if status < 0 else f"exited with status {status}"
        what = f"{how} before all jobs had a result"
        if self._hopeless:
            what = "has jobs that no worker of the pool can run"
        return f"{process.name} {what}. Its last lines:\n{process.said.last()}"


def _resolve(work: Work, result: dict[str, Any]) -> None:
    if result["status"] != "ok":
        _set(work.future, error=JobFailed(Result.of(result)))
        return
    try:
        value = work.convert(result)
    except Exception as error:
        _set(work.future, error=error)
    else:
        _set(work.future, value)


def _set(future: Future[Any], value: Any = None, error: BaseException | None = None) -> None:
    try:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
    except InvalidStateError:
        LOG.debug("a future was given a result by somebody else")
    except BaseException:
        # Future lets through what is no Exception, such as SystemExit; others wait for their results behind it.
        LOG.exception("a callback of a future raised")


def _cancel(works: list[Work]) -> None:
    for place, work in enumerate(works):
        try:
            work.future.cancel()
            work.future.set_running_or_notify_cancel()
        except BaseException:  # Ctrl-C, or of a callback
            _cancel(works[place + 1:])
            raise


def _after_fork(engine: Engine | None) -> None:
    """In a forked child, which has copies of the descriptors and none of the threads."""
    if engine is None:
        return
    engine._lock = threading.RLock()
    engine._heard = threading.Condition(engine._lock)
    engine._waiting, engine._handed = Backlog(), {}  # their locks may be held by threads that are not here
    engine._end = f"this pool belongs to process {engine._pid}: a forked process needs a pool of its own"
    if engine._process is not None:
        engine._process.close()
