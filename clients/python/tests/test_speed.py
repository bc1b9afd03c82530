# SPDX-License-Identifier: MIT
"""How many futures per second, next to the same jobs from a file. Nothing is decided by it: the figures are printed."""

import os
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor

import calls
from conftest import LIMIT, needs_handlers, new_pool

NO_OPS = 50_000
CALLS = 10_000


def seconds(work):
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def run_file(path, lines):
    path.write_text("".join(line + "\n" for line in lines))
    program = os.path.join(os.environ["WORKPOOL_BIN"], "workpool-dispatcher")
    subprocess.run([program, "run", path, "-o", "/dev/null", "--local", "2"], check=True, capture_output=True, timeout=LIMIT)


def test_futures_next_to_a_file(tmp_path, capsys):
    def futures():
        with new_pool(functions=False) as pool:
            submitted = [pool.submit("noop") for _ in range(NO_OPS)]
            assert all(future.result() is None for future in submitted)
    of_file = seconds(lambda: run_file(tmp_path / "jobs.jsonl", (f'{{"id":"a-{n}","type":"noop"}}' for n in range(NO_OPS))))
    of_pool = seconds(futures)
    with capsys.disabled():
        print(f"\nfigure: {NO_OPS / of_pool:,.0f} futures/s, {NO_OPS / of_file:,.0f} jobs/s from a file, "
              f"ratio {of_file / of_pool:.2f}")


@needs_handlers
def test_functions_next_to_the_standard_library(capsys):
    def functions(make, **more):
        with make() as pool:
            assert list(pool.map(calls.add, range(CALLS), **more)) == list(range(CALLS))
    single, chunked = seconds(lambda: functions(new_pool)), seconds(lambda: functions(new_pool, chunksize=100))
    standard = seconds(lambda: functions(lambda: ProcessPoolExecutor(2)))
    with capsys.disabled():
        print(f"\nfigure: {CALLS / single:,.0f} functions/s, {CALLS / chunked:,.0f} in chunks of 100; "
              f"ProcessPoolExecutor {CALLS / standard:,.0f}")
