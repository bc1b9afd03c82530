# SPDX-License-Identifier: MIT
"""read_results next to the programs that write and show results files."""

import json
import os
import subprocess
import warnings
import zlib

import pytest
import workpool
from conftest import LIMIT

DISPATCHER = os.path.join(os.environ["WORKPOOL_BIN"], "workpool-dispatcher")


def run(folder, jobs, *flags, name="jobs.jsonl"):
    (folder / name).write_text("".join((job if isinstance(job, str) else json.dumps(job)) + "\n" for job in jobs))
    subprocess.run([DISPATCHER, "run", name, "--local", "2", *flags], cwd=folder, capture_output=True, timeout=LIMIT)
    return folder / "jobs.results.jsonl"


def shown(path, *flags):
    """The lines that count, as `show` prints them."""
    found = subprocess.run([DISPATCHER, "show", path, "--json", *flags], capture_output=True, timeout=LIMIT)
    return [json.loads(line) for line in found.stdout.splitlines()]


def made(**members):
    """A result line with the crc that it should have."""
    members = {"id": "a", "line": 1, "status": "ok", "attempt": 1, "run": "0123456789abcdef", "spec": "0" * 32, **members}
    head = json.dumps({name: value for name, value in members.items() if value is not None}).encode()[:-1]
    return head + b',"crc":"%08x"}\n' % zlib.crc32(head)


def read(path, lines, **more):
    path.write_bytes(b"".join(lines))
    return workpool.read_results(path, **more)


JOBS = [
    {"cmd": ["sh", "-c", "echo out; echo err >&2; exit 3"], "id": "exit"},
    {"cmd": "kill -9 $$", "id": "signal"},
    {"cmd": ["printf", "\\377"], "id": "bytes"},
    {"cmd": ["true"]},
    {"cmd": ["true"]},
    {"type": "echo", "args": {"a": [1]}, "id": "value", "meta": {"m": 1}, "each": {"1": "x"}},
    {"cmd": ["sleep", "9"], "timeout": 0.1, "id": "slow"},
    {"cmd": ["echo", "x"], "stdout": "out/{line}.txt", "id": "file"},
    {"type": "fail", "args": {"message": "no"}, "id": "handler"},
]


def test_every_kind_of_result(tmp_path):
    path = run(tmp_path, JOBS)
    results = workpool.read_results(path)
    assert sorted(r.raw["line"] for r in results) == list(range(1, 10))
    assert [r.raw for r in sorted(results, key=lambda r: r.line)] == shown(path)
    of = results.by_id()
    assert (of["exit"].status, of["exit"].exit, of["exit"].stdout, of["exit"].stderr) == ("failed", 3, "out\n", "err\n")
    assert (of["exit"].kind, of["exit"].message, of["exit"].ok) == ("exit", "exit status 3", False)
    assert (of["signal"].signal, of["signal"].exit, of["signal"].kind) == (9, None, "signal")
    assert os.fsencode(of["bytes"].stdout) == b"\xff"
    assert (of["value"].value, of["value"].meta, of["value"].each) == ({"a": [1]}, {"m": 1}, {"1": "x"})
    assert (of["slow"].status, of["slow"].kind) == ("timeout", "timeout")
    assert of["file"].stdout_file.path == str(tmp_path / "out" / "8.txt") and of["file"].stdout_file.bytes == 2
    assert (of["handler"].kind, of["handler"].message) == ("handler", "no")
    assert of["value"].worker == "local" and of["value"].finished.endswith("Z") and len(of["value"].run) == 16
    assert (results.superseded, results.damaged, results.torn_bytes, len(results), len(results[2:4])) == (0, [], 0, 9, 2)


def test_of_several_lines_with_one_id_the_last_counts(tmp_path):
    run(tmp_path, [{"cmd": "test -e now", "id": "a"}, {"cmd": ["true"], "id": "b"}])
    (tmp_path / "now").touch()
    path = run(tmp_path, [{"cmd": "test -e now", "id": "a"}, {"cmd": ["true"], "id": "b"}], "--retry-failed")
    results = workpool.read_results(path)
    assert {r.id: r.status for r in results} == {"a": "ok", "b": "ok"}
    assert results.superseded == 1 and [r.id for r in results] == ["b", "a"]
    assert sorted(r.raw["crc"] for r in results) == sorted(r["crc"] for r in shown(path))


def test_lines_that_were_no_job_are_nobodys_result(tmp_path):
    path = tmp_path / "r.jsonl"
    subprocess.run([DISPATCHER, "run", "-", "-o", path, "--format", "jsonl"], input='{"type":"noop","id":"L2"}\nbad\n{}\n',
                   text=True, capture_output=True, timeout=LIMIT)
    results = workpool.read_results(path)
    assert sorted((r.id, r.status) for r in results) == [("L2", "invalid"), ("L2", "ok"), ("L3", "invalid")]
    assert {name: r.status for name, r in results.by_id().items()} == {"L2": "ok"}
    assert len(shown(path, "--no-jobs")) == 3


def test_damaged_lines_are_reported_and_left_out(tmp_path):
    path = tmp_path / "r.jsonl"
    lines = [made(id="a"), made(id="b").replace(b'"attempt": 1', b'"attempt": 2'), b"nonsense\n", made(id="c"), made(id="d")[:-20] + b"\n",
             made(id="e", status="fine"), made(id="f", run=None), made(id="g", spec=None), made(id=7), b"[1]\n"]
    with pytest.warns(workpool.ResultsWarning, match=r"r.jsonl: lines 2, 3, 5, 6, 7, 8, 9, 10 damaged") as caught:
        results = read(path, lines)
    assert caught[0].filename == __file__
    assert [r.id for r in results] == ["a", "c"] and results.damaged == [2, 3, 5, 6, 7, 8, 9, 10]
    assert [r["id"] for r in shown(path)] == ["a", "c"]
    with pytest.raises(ValueError, match="lines 2, 3, 5"):
        workpool.read_results(path, strict=True)


@pytest.mark.parametrize("jobs, count", [(['{"cmd":["true"]}'], "1 line"), (['{"cmd":["true"],"id":"a"}', '{"type":"noop"}'], "2 lines")])
def test_a_jobs_file_is_no_results_file(tmp_path, jobs, count):
    run(tmp_path, jobs)
    with pytest.raises(ValueError) as caught:
        workpool.read_results(tmp_path / "jobs.jsonl")
    said = f"{tmp_path}/jobs.jsonl is no results file: none of its {count} is a result. Give the file of `run -o`"
    assert str(caught.value) == said
    refused = subprocess.run([DISPATCHER, "show", tmp_path / "jobs.jsonl"], capture_output=True, text=True, timeout=LIMIT)
    assert said in refused.stderr


@pytest.mark.parametrize("cut", [1, 5, 30, 60])
def test_a_last_line_that_was_cut_short_is_left_out_in_silence(tmp_path, cut):
    line = made(id="b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = read(tmp_path / "r", [made(id="a"), line[:-1 - cut]], strict=True)
    assert [r.id for r in results] == ["a"] and results.torn_bytes == len(line) - 1 - cut and results.damaged == []


def test_a_last_line_that_lacks_only_its_newline_counts(tmp_path):
    results = read(tmp_path / "r", [made(id="a"), made(id="b")[:-1]], strict=True)
    assert [r.id for r in results] == ["a", "b"] and results.torn_bytes == 0


def test_a_tail_that_is_not_ours_is_damage(tmp_path):
    with pytest.warns(workpool.ResultsWarning, match="line 2 damaged"):
        assert len(read(tmp_path / "r", [made(), b"some text"])) == 1


def test_blank_lines_a_mark_and_carriage_returns_do_no_harm(tmp_path):
    lines = [b"\xef\xbb\xbf" + made(id="a").replace(b"\n", b"\r\n"), b"\n", b"  \r\n", b" " + made(id="b"), b"\n"]
    assert [r.id for r in read(tmp_path / "r", lines, strict=True)] == ["a", "b"]
    assert [r["id"] for r in shown(tmp_path / "r")] == ["a", "b"]


def test_an_id_that_is_made_from_the_work_needs_no_spec(tmp_path):
    lines = [made(id="0" * 32, spec=None), made(id="0" * 32 + "#2", spec=None)]
    assert len(read(tmp_path / "r", lines, strict=True)) == 2


def test_members_of_later_versions_and_in_any_order(tmp_path):
    results = read(tmp_path / "r", [made(new={"a": 1}), made(id="b", zzz=None)], strict=True)
    assert results[0].raw["new"] == {"a": 1}


def test_an_empty_file_and_none(tmp_path):
    assert len(read(tmp_path / "r", [])) == 0
    with pytest.raises(FileNotFoundError):
        workpool.read_results(tmp_path / "absent")
    assert "0 results" in repr(read(tmp_path / "r", []))
