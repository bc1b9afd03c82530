# SPDX-License-Identifier: MIT
"""The contract of concurrent.futures.Executor, point by point, as the standard library's own executors keep it."""

import asyncio
import concurrent.futures
import gc
import os
import signal
import threading
import time
import weakref
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, BrokenExecutor, CancelledError

import pytest
from conftest import LIMIT, new_pool, wait_until
from workpool import JobFailed
from workpool._engine import Work

TimeoutError_ = concurrent.futures.TimeoutError  # before Python 3.11 not the builtin one


def sleep(pool, seconds):
    return pool.submit("sleep", {"for": f"{seconds}s"})


def hold(pool, path):
    """A job that runs until `path` exists."""
    return pool.command(["sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.01; done', str(path)])


def test_it_is_an_executor(pool):
    assert isinstance(pool, concurrent.futures.Executor)
    assert isinstance(pool.submit("noop"), concurrent.futures.Future)


def test_states_of_a_future(pool, tmp_path):
    future = hold(pool, tmp_path / "go")
    wait_until("it runs", future.running)
    assert not future.done() and not future.cancelled() and not future.cancel()
    with pytest.raises(TimeoutError_):
        future.result(0.05)
    with pytest.raises(TimeoutError_):
        future.exception(0.05)
    (tmp_path / "go").touch()
    assert future.result(LIMIT).ok
    assert future.done() and not future.running() and not future.cancel() and future.exception() is None


def test_callbacks_get_the_future_whatever_becomes_of_it(pool):
    seen = []
    for future in (pool.submit("echo", 1), pool.submit("fail", {"message": "x"})):
        future.add_done_callback(seen.append)
        concurrent.futures.wait([future], LIMIT)
        wait_until("the callback", lambda: future in seen)
    # A callback that fails is the callback's own matter.
    failing = pool.submit("noop")
    failing.add_done_callback(lambda _: 1 / 0)
    assert failing.result(LIMIT) is None and pool.submit("echo", 2).result(LIMIT) == 2


def test_a_callback_that_exits_ends_neither_the_pool_nor_what_came_with_it(pool):
    def leave(_):
        raise SystemExit(3)
    futures = [pool.submit("echo", n) for n in range(50)]
    try:
        for future in futures:
            future.add_done_callback(leave)
    except SystemExit:
        pass  # if it was done already: then the callback runs here
    assert [future.result(LIMIT) for future in futures] == list(range(50))
    assert pool.submit("echo", 1).result(LIMIT) == 1


def test_a_callback_may_submit_and_shut_down():
    pool = new_pool()
    results = []

    def again(future):
        results.append(future.result())
        if len(results) < 20:
            pool.submit("echo", len(results)).add_done_callback(again)
        else:
            pool.shutdown(wait=True)  # it cannot wait for the thread that it runs in
            results.append("over")
    pool.submit("echo", 0).add_done_callback(again)
    wait_until("the last callback", lambda: results[-1:] == ["over"])
    assert results[:-1] == list(range(20))
    pool.shutdown()


# ---- map ----

def test_map_keeps_the_order(pool):
    seconds = [0.3, 0.0, 0.1, 0.0]
    found = list(pool.map("echo", seconds))
    assert found == seconds
    assert list(pool.map("echo", [])) == []


def test_map_submits_at_once_and_raises_where_the_failure_is(pool):
    values = pool.map("fail", [{"message": "x", "times": 0}, {"message": "x", "times": 0}, {"message": "bad"}, {"message": "y"}])
    assert next(values) is None and next(values) is None
    with pytest.raises(JobFailed, match="bad"):
        next(values)


def test_map_times_out_and_cancels_the_rest(tmp_path):
    with new_pool(ahead=2) as pool:
        begin = time.monotonic()
        values = pool.map("sleep", [{"for": "0s"}, {"for": "0s"}, *[{"for": "3s"}] * 20], timeout=0.7)
        found = []
        with pytest.raises(TimeoutError_):
            for value in values:
                found.append(value)
        assert found == [None, None]
    # Those that were not handed over never ran: twenty would have taken half a minute.
    assert time.monotonic() - begin < 4 * 5


def test_a_map_that_is_closed_cancels_the_rest():
    with new_pool(ahead=2) as pool:
        begin = time.monotonic()
        values = pool.map("sleep", [{"for": "0s"}, *[{"for": "3s"}] * 20])
        next(values)
        values.close()
    assert time.monotonic() - begin < 4 * 5


def test_a_value_that_cannot_travel_harms_nobody_else(pool):
    # Elsewhere such a value has ended the thread that sends, and everybody waited for ever.
    with pytest.raises(TypeError, match="JSON cannot hold a set"):
        pool.map("echo", [1, {2}, 3])
    with pytest.raises(TypeError):
        pool.submit("echo", object())
    assert list(pool.map("echo", [1, 2])) == [1, 2]


# ---- cancelling ----

def test_what_was_not_handed_over_can_be_cancelled(tmp_path):
    with new_pool(workers=1, ahead=1) as pool:
        running = hold(pool, tmp_path / "go")
        wait_until("it runs", running.running)
        marked = [pool.command(["touch", str(tmp_path / f"ran{n}")]) for n in range(5)]
        seen = []
        for future in marked[1:4]:
            future.add_done_callback(seen.append)
            assert future.cancel() and future.cancelled() and future.done()
        assert seen == marked[1:4]
        assert not running.cancel()
        (tmp_path / "go").touch()
        assert [f.result(LIMIT).ok for f in (running, marked[0], marked[4])] == [True] * 3
        for future in marked[1:4]:
            with pytest.raises(CancelledError):
                future.result(LIMIT)
        # wait() counts a cancelled future as done once the pool has seen it.
        assert concurrent.futures.wait(marked, LIMIT).not_done == set()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["go", "ran0", "ran4"]


def test_shutdown_with_cancel_futures():
    pool = new_pool(workers=2)
    futures = [sleep(pool, 0.2) for _ in range(50)]
    pool.shutdown(cancel_futures=True)
    cancelled = [f for f in futures if f.cancelled()]
    others = [f for f in futures if not f.cancelled()]
    assert len(cancelled) >= 40
    assert [f.exception() for f in others] == [None] * len(others)
    assert all(f.done() for f in futures)


def test_higher_priorities_go_first_also_before_they_are_handed_over(tmp_path):
    order = tmp_path / "order"
    with new_pool(workers=1, ahead=1) as pool:
        running = hold(pool, tmp_path / "go")
        wait_until("it runs", running.running)
        for priority in (0, -1, 5, 0, 5):
            pool.options(priority=priority).command(f"echo {priority} >> {order}")
        (tmp_path / "go").touch()
    assert order.read_text().split() == ["5", "5", "0", "0", "-1"]


# ---- shutting down ----

def test_no_futures_after_shutdown(pool):
    pool.shutdown()
    for call in (lambda: pool.submit("noop"), lambda: pool.command(["true"]), lambda: pool.map("noop", [1])):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            call()
    pool.shutdown()


def test_shutdown_finishes_what_was_submitted():
    pool = new_pool()
    futures = [sleep(pool, 0.05) for _ in range(20)]
    pool.shutdown(wait=True)
    assert all(f.done() and f.exception() is None for f in futures)


def test_shutdown_without_waiting():
    pool = new_pool()
    futures = [sleep(pool, 0.2) for _ in range(6)]
    begin = time.monotonic()
    pool.shutdown(wait=False)
    assert time.monotonic() - begin < 4 * 0.2 and not futures[-1].done()
    with pytest.raises(RuntimeError):
        pool.submit("noop")
    assert [f.result(LIMIT) for f in futures] == [None] * 6
    pool.shutdown(wait=True)


def test_the_context_manager_waits():
    with new_pool() as pool:
        futures = [sleep(pool, 0.1) for _ in range(4)]
    assert all(f.done() for f in futures)
    with pytest.raises(RuntimeError):
        pool.submit("noop")


def test_an_exception_in_the_block_is_kept_and_the_rest_finished():
    futures = []
    with pytest.raises(KeyError):
        with new_pool() as pool:
            futures += [sleep(pool, 0.1) for _ in range(4)]
            raise KeyError("mine")
    assert [f.exception() for f in futures] == [None] * 4


def test_a_pool_that_nobody_holds_finishes_and_ends():
    future = new_pool().submit("echo", 1)
    assert future.result(LIMIT) == 1
    pool = new_pool()
    futures = [sleep(pool, 0.1) for _ in range(8)]
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    assert [f.result(LIMIT) for f in futures] == [None] * 8


def test_nothing_is_held_once_it_is_done(pool):
    future = pool.submit("echo", ["x" * 1000])
    gone = weakref.ref(future)
    assert future.result(LIMIT)
    del future
    wait_until("nobody holds the future", lambda: gc.collect() is not None and gone() is None)


def test_a_signal_handler_may_use_it():
    # It runs between any two steps of the main thread, which may be inside submit().
    pool = new_pool()
    got = []
    before = signal.signal(signal.SIGALRM, lambda *_: got.append(pool.submit("noop")))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        futures = [pool.submit("noop") for _ in range(20_000)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    pool.shutdown()
    assert got and all(f.done() for f in [*futures, *got])


def test_many_pools_one_after_the_other_and_at_once():
    for _ in range(10):
        with new_pool() as pool:
            pool.submit("noop")
    for _ in range(10):
        new_pool().shutdown()
    errors = []

    def use():
        try:
            with new_pool(workers=1) as pool:
                assert list(pool.map("echo", range(20))) == list(range(20))
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert errors == []


def test_submitting_and_shutting_down_at_the_same_time():
    for _ in range(10):
        pool = new_pool(workers=1)
        futures, refused = [], []

        def submit():
            try:
                while True:
                    futures.append(pool.submit("noop"))
            except RuntimeError:
                refused.append(True)
        threads = [threading.Thread(target=submit) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.01)
        pool.shutdown()
        for thread in threads:
            thread.join(LIMIT)
        assert len(refused) == 3
        assert [f for f in futures if not f.done()] == []


def test_a_pool_may_be_made_and_left_in_a_thread_that_ends():
    # The program must not end with the thread that made its pool.
    made = []
    thread = threading.Thread(target=lambda: made.append(new_pool()))
    thread.start()
    thread.join(LIMIT)
    time.sleep(0.2)
    with made[0] as pool:
        assert pool.submit("echo", 1).result(LIMIT) == 1


# ---- wait and as_completed ----

def test_wait_for_the_first(pool, tmp_path):
    quick, slow = pool.submit("noop"), hold(pool, tmp_path / "go")
    done, left = concurrent.futures.wait([quick, slow], LIMIT, return_when=FIRST_COMPLETED)
    assert (done, left) == ({quick}, {slow})
    done, left = concurrent.futures.wait([quick, slow], LIMIT, return_when=FIRST_COMPLETED)
    assert (done, left) == ({quick}, {slow})
    (tmp_path / "go").touch()


def test_wait_for_the_first_exception(pool, tmp_path):
    fine, bad, slow = pool.submit("noop"), pool.submit("fail", {"message": "x"}), hold(pool, tmp_path / "go")
    done, left = concurrent.futures.wait([fine, bad, slow], LIMIT, return_when=FIRST_EXCEPTION)
    assert bad in done and left == {slow}
    (tmp_path / "go").touch()


def test_wait_for_all(pool):
    futures = {pool.submit("noop"), pool.submit("fail", {"message": "x"}), pool.command(["true"])}
    done, left = concurrent.futures.wait(futures, LIMIT, return_when=ALL_COMPLETED)
    assert (done, left) == (futures, set())


def test_wait_for_so_long(pool, tmp_path):
    quick, slow = pool.submit("noop"), hold(pool, tmp_path / "go")
    assert quick.result(LIMIT) is None
    done, left = concurrent.futures.wait([quick, slow], 0.1)
    assert (done, left) == ({quick}, {slow})
    (tmp_path / "go").touch()


def test_as_completed(pool, tmp_path):
    futures = [pool.submit("echo", n) for n in range(50)]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, LIMIT)) == list(range(50))
    assert [f for f in concurrent.futures.as_completed([futures[0]] * 3, LIMIT)] == [futures[0]]
    slow = hold(pool, tmp_path / "go")
    found = []
    with pytest.raises(TimeoutError_):
        for future in concurrent.futures.as_completed([slow, *futures], 0):
            found.append(future)
    assert set(found) == set(futures)
    (tmp_path / "go").touch()


def test_as_completed_of_many_threads(pool):
    def use(base):
        futures = [pool.submit("echo", base + n) for n in range(200)]
        return sum(f.result() for f in concurrent.futures.as_completed(futures, LIMIT))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(0, 1600, 200))) == sum(range(1600))


def test_it_serves_asyncio(pool):
    async def main():
        loop = asyncio.get_running_loop()
        values = await asyncio.gather(*(asyncio.wrap_future(pool.submit("echo", n)) for n in range(20)))
        return values, await loop.run_in_executor(pool, "echo", 5)
    assert asyncio.run(main()) == (list(range(20)), 5)


# ---- a pool that breaks ----

def test_open_futures_break_with_the_program(tmp_path):
    with new_pool(ahead=1, workers=1) as pool:
        running = hold(pool, tmp_path / "never")
        waiting = [pool.submit("noop") for _ in range(5)]
        assert waiting[0].cancel()
        wait_until("it runs", running.running)
        os.kill(pool._engine.pid, signal.SIGKILL)
        for future in (running, *waiting[1:]):
            with pytest.raises(BrokenExecutor, match="ended by signal 9 before all jobs had a result"):
                future.result(LIMIT)
        assert waiting[0].cancelled()
        with pytest.raises(BrokenExecutor, match="ended by signal 9"):
            pool.submit("noop")


def test_a_program_that_dies_idle_is_noticed():
    with new_pool() as pool:
        assert pool.submit("noop").result(LIMIT) is None
        os.kill(pool._engine.pid, signal.SIGKILL)
        wait_until("it is known", lambda: pool._engine._end is not None)
        with pytest.raises(BrokenExecutor, match="Its last lines:"):
            pool.submit("noop")


def test_jobs_that_no_worker_can_run_break_it_with_the_reason():
    # As after a handler's program has failed too often. The run alone would wait as long as jobs may come.
    with new_pool() as pool:
        future = pool._engine.submit(Work(b'"type":"nobody-has-it"', dict))
        with pytest.raises(BrokenExecutor, match="(?s)no worker of the pool can run.*1 job of type 'nobody-has-it'"):
            future.result(LIMIT)


def test_jobs_that_no_worker_could_ever_run_are_refused():
    with new_pool(workers=2) as pool:
        with pytest.raises(ValueError, match="without listen have no labels"):
            pool.options(labels=["gpu"])
        with pytest.raises(ValueError, match="no job of this pool can have 3 slots: it has 2"):
            pool.options(slots=3)


def test_stop_ends_what_runs(tmp_path):
    begin = time.monotonic()
    pool = new_pool(ahead=2)
    running = [pool.command(["sleep", "100"]) for _ in range(2)]
    waiting = pool.submit("noop")
    wait_until("they run", lambda: all(f.running() for f in running))
    pool.stop()
    for future in running:
        with pytest.raises(BrokenExecutor, match="the pool was stopped"):
            future.result(LIMIT)
    assert waiting.cancelled()
    pool.shutdown()
    assert time.monotonic() - begin < 4 * 7


def test_jobs_that_are_cancelled_before_anything_is_handed_over_do_not_stop_it():
    with new_pool(workers=1, ahead=1) as pool:
        first = sleep(pool, 0.2)
        futures = [pool.submit("noop") for _ in range(1000)]
        for future in futures:
            future.cancel()
        assert first.result(LIMIT) is None
        assert pool.submit("echo", 1).result(LIMIT) == 1
