# SPDX-License-Identifier: MIT
"""The real programs, from WORKPOOL_BIN; each test ends within LIMIT and leaves no process behind."""

import faulthandler
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
os.environ.setdefault("WORKPOOL_BIN", str(HERE.parents[2] / "build" / "test" / "bin"))
# The package as it is in the checkout, also for the programs that tests start.
sys.path.insert(0, str(HERE.parent))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE)])

import workpool  # noqa: E402

LIMIT = 60  # seconds for anything that happens at once on an idle machine


def _has_handlers():
    program = Path(os.environ["WORKPOOL_BIN"]) / "workpool-worker"
    return "--handler " in subprocess.run([program, "--help"], capture_output=True, text=True, timeout=LIMIT).stdout


HAS_HANDLERS = _has_handlers()
needs_handlers = pytest.mark.skipif(not HAS_HANDLERS, reason="workpool-worker has no flag --handler yet")


def wait_until(what, condition, limit=LIMIT):
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(0.01)
    return found


def children_of(pid):
    """The living processes that a process, any of its threads, has started."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return [child for child in children if is_alive(child)]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def descendants_of(pid):
    found = []
    for child in children_of(pid) if is_alive(pid) else ():
        found += [child, *descendants_of(child)]
    return found


def new_pool(handler=None, **more):
    """A pool of two workers; without functions as long as the programs cannot run them."""
    more.setdefault("workers", 2)
    more.setdefault("functions", HAS_HANDLERS)
    return workpool.Pool(handler, **more)


@pytest.fixture
def pool():
    with new_pool() as made:
        yield made
        made.shutdown(cancel_futures=True)


def run_python(code, *arguments, limit=LIMIT, **more):
    """A program of its own, given as text."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=limit, **more)


@pytest.fixture(autouse=True)
def bounded():
    """Shows every thread and ends the tests if one hangs, and fails the test that leaves processes or threads."""
    faulthandler.dump_traceback_later(2 * LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    wait_until(f"the end of {[(c, Path(f'/proc/{c}/cmdline').read_text()) for c in children_of(os.getpid())]}",
               lambda: not children_of(os.getpid()))
    wait_until("the end of threads", lambda: not [t for t in threading.enumerate() if t.name.startswith("workpool")])
