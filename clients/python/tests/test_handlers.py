# SPDX-License-Identifier: MIT
"""Functions and programs of handlers, run by real workers (--handler)."""

import functools
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import calls
import pytest
from conftest import HERE, LIMIT, descendants_of, is_alive, needs_handlers, new_pool, run_python, wait_until
from workpool import JobFailed

pytestmark = needs_handlers

MODELS = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'models.py'))}"


# ---- functions ----

def test_functions(pool):
    assert pool.submit(calls.add, 1).result(LIMIT) == 1
    assert pool.submit(calls.add, 1, b=2, times=3).result(LIMIT) == 9
    assert pool.submit(functools.partial(calls.add, 1, times=2), 4).result(LIMIT) == 10
    assert pool.submit(math.sqrt, 16).result(LIMIT) == 4.0
    assert pool.submit(calls.Other.made, "x").result(LIMIT) == ["Other", "x"]
    assert pool.submit(len, "äöü").result(LIMIT) == 3
    assert pool.submit(calls.folder).result(LIMIT) == os.getcwd()


def test_map_of_functions(pool):
    assert list(pool.map(calls.add, range(20), range(20))) == [2 * n for n in range(20)]
    assert list(pool.map(calls.add, range(103), chunksize=10)) == list(range(103))
    assert list(pool.map(calls.sleep_and_return, [0.3, 0.0, 0.1], "abc")) == ["a", "b", "c"]
    assert list(pool.map(calls.add, [], chunksize=10)) == []
    values = pool.map(calls.fail, ["a", "b"], chunksize=2)
    with pytest.raises(JobFailed, match="ValueError: a"):
        next(values)


def test_a_function_that_raises(pool):
    error = pool.submit(calls.fail, "no such thing").exception(LIMIT)
    assert isinstance(error, JobFailed)
    assert (error.status, error.kind, error.message) == ("failed", "handler", "ValueError: no such thing")
    assert error.stderr.startswith("Traceback (most recent call last):")
    assert 'raise ValueError(message)' in error.stderr
    assert str(error) == "ValueError: no such thing"


def test_what_it_prints_is_no_answer(pool):
    assert pool.submit(calls.speak, "hello").result(LIMIT) == "hello"


@pytest.mark.parametrize("function, args, part", [
    (calls.return_a_set, (), "JSON cannot hold a set"), (calls.return_nan, (), "nan is no JSON number"),
    (calls.return_much, (1 << 20,), "1 MiB is the most"), (calls.leave, (3,), "SystemExit: 3"),
    (calls.die, (3,), "exited with status 3"),
])
def test_what_fails_only_its_own_job(pool, function, args, part):
    assert pool.submit(calls.add, 1).result(LIMIT) == 1
    bad = pool.submit(function, *args)
    good = pool.submit(calls.add, 2)
    assert part in str(bad.exception(LIMIT))
    assert good.result(LIMIT) == 2


def test_the_largest_value(pool):
    assert len(pool.submit(calls.return_much, (1 << 20) - 2).result(LIMIT)) == (1 << 20) - 2
    assert "1 MiB is the most" in str(pool.submit(calls.return_much, (1 << 20) - 1).exception(LIMIT))


def test_functions_are_refused_before_anything_is_sent(pool):
    for function, message in ((lambda: 1, "a lambda has no name"), (calls.Thing().method, "a method of an object")):
        with pytest.raises(TypeError, match=message):
            pool.submit(function)
        with pytest.raises(TypeError, match=message):
            pool.map(function, [1, 2], chunksize=2)
    with pytest.raises(TypeError, match=r"the arguments of add\['args'\]\[0\]: JSON cannot hold a set"):
        pool.submit(calls.add, {1})
    ran = run_python("import workpool\ndef mine(): pass\nwith workpool.Pool(workers=1) as pool:\n pool.submit(mine)")
    assert "TypeError: mine is defined in the program that runs (__main__)" in ran.stderr


def test_a_program_that_is_run_as_a_module_can_submit_its_own_functions(tmp_path):
    (tmp_path / "own.py").write_text("import workpool\ndef double(x): return 2 * x\nif __name__ == '__main__':\n"
                                     "    with workpool.Pool(workers=1) as pool: print(pool.submit(double, 4).result())\n")
    ran = subprocess.run([sys.executable, "-m", "own"], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert (ran.stdout, ran.stderr) == ("8\n", "")


def test_a_timeout_ends_the_child_and_the_next_job_has_another():
    with new_pool(workers=1) as pool:
        before = pool.submit(calls.pid).result(LIMIT)
        assert pool.submit(calls.pid).result(LIMIT) == before
        error = pool.options(timeout=0.3).submit(time.sleep, 1000).exception(LIMIT)
        assert (error.status, error.kind) == ("timeout", "timeout")
        assert pool.submit(calls.pid).result(LIMIT) != before
        assert not is_alive(before)


def test_the_signal_that_ended_its_process_is_known(pool):
    # No shell stays beside it, which would make an exit status of the signal.
    error = pool.submit(calls.signal_itself, signal.SIGKILL).exception(LIMIT)
    assert "ended by signal 9 (SIGKILL)" in error.message
    assert pool.submit(calls.parent_command).result(LIMIT).startswith("workpool")


# It makes a pool whenever it is imported. DEPTH ends that after three, so that a failure of this test ends, too.
UNGUARDED = """
import os, workpool
def double(n): return 2 * n
depth = os.environ["DEPTH"] = os.environ.get("DEPTH", "") + "x"
if depth != "xxx":
    with workpool.Pool(workers=1) as pool:
        print(pool.submit(double, 2).result())
"""


def environment_with_programs(**more):
    """A worker's programs have no WORKPOOL_BIN, so pools inside of them look at PATH."""
    return {**os.environ, "PATH": os.environ["WORKPOOL_BIN"] + ":" + os.environ["PATH"], **more}


def test_a_pool_that_is_made_at_the_import_of_a_worker_is_refused(tmp_path):
    (tmp_path / "unguarded.py").write_text(UNGUARDED)
    ran = subprocess.run([sys.executable, "-m", "unguarded"], cwd=tmp_path, env=environment_with_programs(),
                         capture_output=True, text=True, timeout=2 * LIMIT)
    assert ran.returncode == 1 and ran.stdout == ""
    assert "JobFailed: RuntimeError: a worker imports unguarded to call a function of it, and that import makes a Pool" in ran.stderr
    assert 'make the Pool inside a function, or under `if __name__ == "__main__":`' in ran.stderr


def test_so_is_one_of_a_module_that_serves_a_function(tmp_path):
    (tmp_path / "unguarded.py").write_text("import workpool\npool = workpool.Pool(workers=1)\ndef double(n): return 2 * n\n")
    ran = subprocess.run([sys.executable, "-m", "workpool.serve", "unguarded:double"], cwd=tmp_path, input="",
                         env=environment_with_programs(), capture_output=True, text=True, timeout=LIMIT)
    assert ran.returncode == 2 and "cannot serve unguarded:double: RuntimeError: a worker imports unguarded" in ran.stderr


def test_a_pool_inside_a_function(monkeypatch):
    monkeypatch.setenv("PATH", environment_with_programs()["PATH"])
    with new_pool() as pool:
        assert pool.submit(calls.pool_of_its_own, 3).result(2 * LIMIT) == 6


def test_many_at_once(pool):
    assert sum(pool.map(calls.add, range(5000))) == sum(range(5000))


# ---- programs ----

def test_programs_by_name():
    with new_pool({"embed": MODELS, "rank": [sys.executable, str(HERE / "models.py"), "rank"]}) as pool:
        assert pool.submit("embed", {"text": "abc"}).result(LIMIT) == [3, 0.5]
        future = pool.submit("rank", [3, 1, 2])
        ranked = future.result(LIMIT)
        assert (ranked["attempt"], ranked["sorted"]) == (1, [1, 2, 3])
        with pytest.raises(ValueError, match="no worker of this pool has a handler 'broken', only echo, embed, fail"):
            pool.submit("broken", 1)
        assert pool.submit(calls.add, 1).result(LIMIT) == 1


def test_one_program_for_all_its_names():
    with new_pool(MODELS) as pool:
        assert pool.submit("embed", {"text": "abc"}).result(LIMIT) == [3, 0.5]
        assert [r["sorted"] for r in pool.map("rank", [[2, 1], [4, 3]])] == [[1, 2], [3, 4]]
        error = pool.submit("broken", "big").exception(LIMIT)
        assert error.message == "LookupError: no model 'big'" and "about to fail" in error.stderr
        assert "this program has no handler 'nix'; it has broken" in str(pool.submit("nix").exception(LIMIT))
        assert pool.submit("echo", 1).result(LIMIT) == 1
        assert pool.options(retries=1).submit("flaky", {"attempts": 2}).result(LIMIT) == 2
        assert "exited with status 4" in str(pool.submit("dies", 4).exception(LIMIT))
        assert pool.submit("embed", {"text": ""}).result(LIMIT) == [0, 0.5]


@pytest.mark.parametrize("before", ["ulimit -n 100; exec ", "cd / && ", "A='b c' exec "])
def test_one_program_may_be_a_line_for_a_shell(before):
    with new_pool(before + MODELS) as pool:
        assert pool.submit("embed", {"text": "abc"}).result(LIMIT) == [3, 0.5]
        assert pool.submit("slow", 0).result(LIMIT) > 0


@pytest.mark.parametrize("handler", ["no-such-python models.py", {"embed": "no-such-python models.py"}])
def test_a_program_that_is_not_there_breaks_the_pool_at_its_start(handler):
    with new_pool(handler) as pool:
        # No job is needed for it.
        end = wait_until("its end", lambda: pool._engine._end)
    assert "exited with status 2" in end and "cannot run no-such-python: no such program in the folders of PATH" in end


def test_a_program_of_words_that_need_quotes():
    # These go through a shell, which must not stay.
    with new_pool({"parent": [sys.executable, "-c", "import calls, workpool\nworkpool.handler('parent')"
                              "(lambda _: calls.parent_command())\nworkpool.serve()"]}) as pool:
        assert pool.submit("parent").result(LIMIT).startswith("workpool")


def test_a_program_in_another_language():
    # It answers each request with its args: the shortest handler that there is.
    jq = "jq -c --unbuffered '{value: .args}'"
    with new_pool({"same": jq}) as pool:
        assert list(pool.map("same", [[1], {"a": None}])) == [[1], {"a": None}]


def test_a_program_that_cannot_be_started_breaks_the_pool():
    with new_pool({"embed": "/no/such/program"}) as pool:
        with pytest.raises(BrokenExecutor, match="/no/such/program"):
            pool.submit("embed", 1).result(LIMIT)


def test_a_program_that_ends_at_once_breaks_the_pool_with_what_it_said():
    with new_pool({"embed": [sys.executable, "-c", "import no_such_module"]}) as pool:
        outcomes = [pool.submit("embed", n) for n in range(6)]
        errors = [future.exception(2 * LIMIT) for future in outcomes]
        assert {type(error) for error in errors} <= {JobFailed, BrokenExecutor}
        assert any("no_such_module" in (error.stderr if isinstance(error, JobFailed) else str(error)) for error in errors)


def test_nothing_outlives_a_program_that_is_killed(tmp_path):
    code = """
import calls, time, workpool
pool = workpool.Pool(workers=2)
futures = [pool.submit(calls.sleep_and_return, 1000, n) for n in range(4)]
print("ready", flush=True)
time.sleep(1000)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    functions = wait_until("two children", lambda: len(
        found := [pid for pid in descendants_of(process.pid) if "--functions" in command_of(pid)]) >= 3 and found)
    pids = {*functions, *descendants_of(process.pid)}
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT)
    process.stdout.close()
    wait_until("the end of all", lambda: not [pid for pid in pids if is_alive(pid)])


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_workers_elsewhere_run_functions_of_their_own_folder(tmp_path):
    (tmp_path / "theirs.py").write_text("import os\ndef where(x): return [os.getcwd(), x]\n")
    sys.path.append(str(tmp_path))
    environment = {**os.environ, "PATH": os.environ["WORKPOOL_BIN"] + ":" + os.environ["PATH"]}
    worker = None
    try:
        import theirs
        with new_pool(listen="tcp://127.0.0.1:0", workers=0) as pool:
            worker = subprocess.Popen(["sh", "-c", "exec env " + pool.worker_command], env=environment, cwd=tmp_path,
                                      stderr=subprocess.PIPE, text=True)
            assert pool.submit(theirs.where, 1).result(LIMIT) == [str(tmp_path), 1]
    finally:
        sys.path.remove(str(tmp_path))
        if worker is not None:
            _, said = worker.communicate(timeout=LIMIT)
            assert worker.returncode == 0, said


def test_jobs_files_use_the_same_programs(tmp_path):
    (tmp_path / "jobs.jsonl").write_text('{"type":"embed","args":{"text":"ab"}}\n'
                                         '{"type":"python","args":{"call":"calls:add","args":[1,2]}}\n')
    program = os.path.join(os.environ["WORKPOOL_BIN"], "workpool-dispatcher")
    ran = subprocess.run([program, "run", "jobs.jsonl", "-o", "-", "--handler", f"embed={MODELS}",
                          "--handler", f"python={sys.executable} -m workpool.serve --functions"],
                         cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert ran.returncode == 0, ran.stderr
    assert sorted(json.dumps(json.loads(line)["value"]) for line in ran.stdout.splitlines()) == ["3", "[2, 0.5]"]
