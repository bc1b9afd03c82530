# SPDX-License-Identifier: MIT
"""Pool: commands and built-in handlers, options, failures, results files, addresses."""

import concurrent.futures
import json
import os
import pickle
import subprocess
import time
from pathlib import Path

import pytest
import workpool
from conftest import HAS_HANDLERS, LIMIT, new_pool, run_python, wait_until
from workpool import JobFailed, _engine


def test_a_command_and_its_result(pool):
    result = pool.command(["sh", "-c", "echo out; echo err >&2"]).result(LIMIT)
    assert (result.ok, result.exit, result.stdout, result.stderr, result.worker) == (True, 0, "out\n", "err\n", "local")
    assert result.run_ms > 0 and result.raw["crc"]
    assert pool.command("echo $((1+2))").result(LIMIT).stdout == "3\n"


def test_what_a_command_can_be_given(pool, tmp_path):
    ran = pool.command("pwd; echo $A; cat; exit 3", cwd=tmp_path, env={"A": "b c"}, stdin="in\n", ok_exit=[3]).result(LIMIT)
    assert (ran.exit, ran.stdout) == (3, f"{tmp_path}\nb c\nin\n")
    assert pool.command("echo ${A:-none} ${BASH_VERSION:+bash}", shell="bash").result(LIMIT).stdout == "none bash\n"
    filed = pool.command(["echo", "x"], stdout=tmp_path / "out").result(LIMIT)
    assert filed.stdout == "" and filed.stdout_file == workpool.OutputFile(str(tmp_path / "out"), 2, filed.stdout_file.xxh128)
    assert (tmp_path / "out").read_text() == "x\n"
    odd = tmp_path / "\udcff\n name"
    odd.write_bytes(b"\xfe")
    said = pool.command(["cat", odd]).result(LIMIT).stdout
    assert os.fsencode(said) == b"\xfe"


def test_handlers_of_every_worker(pool):
    assert pool.submit("noop").result(LIMIT) is None
    assert pool.submit("echo", {"a": [1, None, "ä"]}).result(LIMIT) == {"a": [1, None, "ä"]}
    assert pool.submit("echo", None).result(LIMIT) is None
    assert pool.submit("sha256", {"text": "hello"}).result(LIMIT)["sha256"].startswith("2cf24dba")
    assert list(pool.map("echo", range(100), timeout=LIMIT)) == list(range(100))
    assert list(pool.map("echo", range(10), chunksize=3)) == list(range(10))


@pytest.mark.parametrize("words, status, kind, exit, message", [
    (["false"], "failed", "exit", 1, "exit status 1"),
    ("echo oh no >&2; exit 3", "failed", "exit", 3, "exit status 3: oh no"),
    ("kill -9 $$", "failed", "signal", None, "signal 9"),
    (["/no/such/program"], "failed", "spawn", None, "/no/such/program"),
])
def test_a_command_that_fails(pool, words, status, kind, exit, message):
    future = pool.command(words)
    error = future.exception(LIMIT)
    assert isinstance(error, JobFailed)
    assert (error.status, error.kind, error.exit) == (status, kind, exit)
    assert message in str(error)
    assert error.result.id.endswith("-1") and error.result.raw["crc"]
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.result == error.result


def test_a_handler_that_fails(pool):
    with pytest.raises(JobFailed, match="^no such model$") as caught:
        pool.submit("fail", {"message": "no such model"}).result(LIMIT)
    assert caught.value.kind == "handler" and caught.value.exit is None


def test_options(pool):
    slow = pool.options(timeout=0.2)
    error = slow.command(["sleep", "30"]).exception(LIMIT)
    assert (error.status, error.kind) == ("timeout", "timeout")
    retried = pool.options(retries=2, meta={"a": 1})
    assert retried.submit("fail", {"message": "x", "times": 1}).result(LIMIT) is None
    assert retried.command(["true"]).result(LIMIT).meta == {"a": 1}
    assert list(pool.options(priority=3, slots=2).map("echo", [1, 2])) == [1, 2]


def test_options_keep_their_pool():
    view = new_pool().options(timeout=5)
    assert view.submit("echo", 1).result(LIMIT) == 1
    view.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        view.submit("echo", 1)


def test_what_is_refused_at_submit(pool):
    for call, error, message in [
        (lambda: pool.submit("echo", {1, 2}), TypeError, "the argument of 'echo': JSON cannot hold a set"),
        (lambda: pool.submit("echo", float("nan")), TypeError, "nan is no JSON number"),
        (lambda: pool.submit("echo", 1, 2), TypeError, "a handler takes one value, and 'echo' was given 2"),
        (lambda: pool.submit("echo", a=1), TypeError, "no keywords"),
        (lambda: pool.submit("embed", 1), ValueError, "no worker of this pool has a handler 'embed'"),
        (lambda: pool.submit("sort file", 1), ValueError, "is no name of a handler"),
        (lambda: pool.submit("echo", "x" * (1 << 20)), ValueError, "1 MiB is the most"),
        (lambda: pool.map("echo", [1], chunksize=0), ValueError, "chunksize"),
        (lambda: pool.submit(), TypeError, "missing"),
    ]:
        with pytest.raises(error, match=message):
            call()
    assert pool.submit("echo", 1).result(LIMIT) == 1


def test_functions_can_be_left_out():
    with new_pool(functions=False) as pool:
        with pytest.raises(TypeError, match="functions=False"):
            pool.submit(len, [])
        with pytest.raises(TypeError, match="functions=False"):
            list(pool.map(len, [[]], chunksize=2))


@pytest.mark.parametrize("arguments, error, message", [
    ({"workers": 0}, ValueError, "at least 1"),
    ({"workers": 1 << 16}, ValueError, "at most 65535, not 65536"),
    ({"workers": "2"}, TypeError, "workers is how many jobs run at once here: an integer of at least 1.*, not '2'"),
    ({"workers": True}, TypeError, "an integer .*, not True"),
    ({"ahead": 1.5}, TypeError, "ahead is .* an integer of at least 1, not 1.5"),
    ({"handler": 5}, TypeError, "handler is the command of a program .*, or a dict of commands by name, not 5"),
    ({"handler": ["python3", "models.py"]}, TypeError, "handler is the command of a program"),
    ({"handler": {"embed": 5}}, TypeError, "the command of the handler 'embed' is a text or a list of texts, not 5"),
    ({"handler": {"embed": []}}, TypeError, "the command of the handler 'embed' is"),
    ({"handler": {"embed": ["nice", 5]}}, TypeError, "the command of the handler 'embed' is"),
    ({"handler": {5: "cat"}}, ValueError, "a handler cannot be called 5"),
    ({"listen": 5555}, TypeError, "listen is an address such as 'tcp://10.0.0.5:5555', not 5555"),
    ({"flags": "--insecure"}, TypeError, "flags is a list of words, such as .*, not '--insecure'"),
    ({"flags": ["--handler-jobs", 5]}, TypeError, "flags is a list of words"),
    ({"flags": 5}, TypeError, "flags is a list of words"),
    ({"workers": -1, "listen": "tcp://127.0.0.1:0"}, ValueError, "at least 1"),
    ({"ahead": 0}, ValueError, "ahead"),
    ({"handler": {"echo": "cat"}}, ValueError, "a handler cannot be called 'echo'"),
    ({"handler": {"a b": "cat"}}, ValueError, "a handler cannot be called 'a b'"),
    ({"handler": {"python": "cat"}, "functions": True}, ValueError, "a handler cannot be called 'python'"),
    ({"program": "/no/such/program"}, FileNotFoundError, "there is no program '/no/such/program'"),
    ({"results": "/no/such/folder/results"}, FileNotFoundError, "/no/such/folder/results"),
])
def test_arguments_that_are_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        new_pool(**arguments)


def test_the_program_is_looked_up(monkeypatch):
    folder = os.environ["WORKPOOL_BIN"]
    monkeypatch.setenv("WORKPOOL_BIN", "/nowhere")
    with pytest.raises(FileNotFoundError, match="not in WORKPOOL_BIN \\(/nowhere\\): add"):
        new_pool()
    monkeypatch.delenv("WORKPOOL_BIN")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="not on PATH"):
        new_pool()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with new_pool() as pool:
        assert pool.submit("echo", 1).result(LIMIT) == 1


def test_variables_for_runs_at_the_terminal_do_not_reach_it(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKPOOL_RESULTS", str(tmp_path / "r"))
    monkeypatch.setenv("WORKPOOL_MAX_FAILS", "1")
    monkeypatch.setenv("WORKPOOL_LISTEN", "tcp://127.0.0.1:0")
    with new_pool() as pool:
        assert [type(f.exception(LIMIT)) for f in [pool.submit("fail", {"message": "x"}) for _ in range(5)]] == [JobFailed] * 5
    assert not (tmp_path / "r").exists()


def test_results_are_recorded_and_added_to(tmp_path):
    path = tmp_path / "results.jsonl"
    with new_pool(results=path) as pool:
        values = list(pool.map("echo", range(50)))
        # A line is there before its future is done.
        assert len(workpool.read_results(path)) == len(values) == 50
        failed = pool.submit("fail", {"message": "no"})
        assert failed.exception(LIMIT)
    with open(path, "ab") as file:
        file.write(b'{"id":"torn')
    with new_pool(results=path) as pool:
        pool.command(["true"]).result(LIMIT)
    with pytest.warns(workpool.ResultsWarning, match="line 52"):
        results = workpool.read_results(path)
    assert sorted(r.value for r in results[:50]) == list(range(50))
    assert [r.status for r in results[50:]] == ["failed", "ok"]
    assert len(results.by_id()) == 52  # two pools never use the same id
    shown = subprocess.run([os.path.join(os.environ["WORKPOOL_BIN"], "workpool-dispatcher"), "show", path, "--json"],
                           capture_output=True, text=True, timeout=LIMIT)
    assert sorted(json.loads(line)["id"] for line in shown.stdout.splitlines()) == sorted(r.id for r in results)


def test_a_results_file_that_cannot_be_written_breaks_the_pool():
    with new_pool(results="/dev/full") as pool:
        future = pool.submit("noop")
        with pytest.raises(concurrent.futures.BrokenExecutor, match="cannot take results: OSError.*No space left"):
            future.result(LIMIT)
        with pytest.raises(concurrent.futures.BrokenExecutor, match="No space left"):
            pool.submit("noop")


def join(pool):
    """A worker that joins by the line that the pool has for it."""
    environment = {**os.environ, "PATH": os.environ["WORKPOOL_BIN"] + ":" + os.environ["PATH"]}
    return subprocess.Popen(["sh", "-c", "exec env " + pool.worker_command], env=environment, stderr=subprocess.PIPE, text=True)


def test_workers_join(tmp_path):
    worker = None
    with new_pool(listen="tcp://127.0.0.1:0", workers=0, flags=["--worker-timeout", "5s"]) as pool:
        try:
            future = pool.submit("echo", 7)
            assert pool.address.startswith("tcp://127.0.0.1:")
            line = pool.worker_command
            assert line.startswith("WORKPOOL_KEY=wp1-") and pool.address in line
            assert ("--functions" in line) == HAS_HANDLERS
            worker = join(pool)
            assert future.result(LIMIT) == 7
            assert pool.command(["true"]).result(LIMIT).worker != "local"
        finally:
            pool.shutdown()
            if worker is not None:
                _, said = worker.communicate(timeout=LIMIT)
                assert worker.returncode == 0, said


# Nobody has started a worker, and logging is as it is in most programs.
ALONE = """
import workpool, workpool._engine
workpool._engine.NOBODY_AFTER = 0.5
pool = workpool.Pool(listen="tcp://127.0.0.1:0", functions=False)
future = pool.command(["true"])
try:
    future.result(5)
except TimeoutError:
    pass
except Exception as error:  # that of concurrent.futures, before Python 3.11
    assert type(error).__name__ == "TimeoutError", error
print(pool.address)
pool.stop()
"""


def test_jobs_that_wait_for_the_first_worker_say_so():
    ran = run_python(ALONE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == (f"no worker has joined the pool at {ran.stdout.strip()} yet, and its jobs wait: pool.worker_command "
                          "is the line for a shell that starts one\n")


def test_a_long_job_of_a_worker_that_has_joined_is_no_wait(caplog, monkeypatch):
    monkeypatch.setattr(_engine, "NOBODY_AFTER", 0.1)
    monkeypatch.setattr(_engine, "LOOK_SECONDS", 0.1)
    with new_pool(listen="tcp://127.0.0.1:0", workers=0, functions=False) as pool:
        worker = join(pool)
        try:
            wait_until("it has joined", lambda: pool._engine._process.said.joined)
            pool.command(["sleep", "1"]).result(LIMIT)
        finally:
            pool.shutdown()
            worker.communicate(timeout=LIMIT)
    assert "no worker has joined" not in caplog.text


def test_jobs_that_no_worker_can_run_yet_are_a_warning(caplog):
    with new_pool(listen="tcp://127.0.0.1:0", workers=1, functions=False) as pool:
        pool.options(labels=["gpu"]).command(["true"])
        wait_until("the warning", lambda: "no connected worker can run 1 job" in caplog.text)
        pool.stop()
    assert [r.levelname for r in caplog.records if "no connected worker" in r.message] == ["WARNING"]


def test_a_pool_that_does_not_listen_has_no_address(pool):
    for ask in (lambda: pool.address, lambda: pool.worker_command):
        with pytest.raises(ValueError, match="does not listen"):
            ask()


def test_nesting_up_to_the_limit(pool):
    value = []
    for _ in range(61):
        value = [value]
    assert pool.submit("echo", value).result(LIMIT) == value
    with pytest.raises(TypeError, match="deeper than 64 levels"):
        pool.submit("echo", [value])


def test_an_address_that_is_taken_breaks_the_pool():
    with new_pool(listen="tcp://127.0.0.1:0") as first:
        with new_pool(listen=first.address) as second:
            with pytest.raises(concurrent.futures.BrokenExecutor, match="exited with status 71"):
                second.worker_command
            with pytest.raises(concurrent.futures.BrokenExecutor, match=first.address):
                wait_until("it is known to everybody", lambda: second.submit("noop") and None)


def test_flags_that_are_wrong_break_the_pool():
    with new_pool(flags=["--no-such-flag"]) as pool:
        error = pool.submit("noop").exception(LIMIT) if not pool._engine._end else None
        if error is None:
            with pytest.raises(concurrent.futures.BrokenExecutor, match="no-such-flag"):
                pool.submit("noop")
        else:
            assert "exited with status 2" in str(error) and "no-such-flag" in str(error)


def test_a_key_is_not_logged(caplog):
    caplog.set_level("INFO", "workpool")
    with new_pool(listen="tcp://127.0.0.1:0") as pool:
        key = pool.worker_command.split()[0].partition("=")[2]
    assert "listening on" in caplog.text and "WORKPOOL_KEY=…" in caplog.text and key not in caplog.text


def test_a_jobs_output_is_no_line_of_ours(pool):
    assert pool.command("printf '{\"id\":\"x\",\"line\":1}\\n%.0s' 1 2 3").result(LIMIT).stdout.count("\n") == 3
    big = pool.command("head -c 40000 /dev/zero | tr '\\0' '\\n'").result(LIMIT)
    assert big.stdout == "\n" * 40000


def test_large_values_both_ways(pool):
    text = "ä\n\"" * 150_000
    assert [value == text for value in pool.map("echo", [text] * 8, timeout=LIMIT)] == [True] * 8


def test_it_starts_at_once_and_ends_at_once():
    begin = time.monotonic()
    with new_pool() as pool:
        pool.submit("noop").result(LIMIT)
    assert time.monotonic() - begin < 4 * 2  # 0.03 s on an idle machine
    assert not Path(f"/proc/{pool._engine.pid}").exists()
