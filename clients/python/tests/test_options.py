# SPDX-License-Identifier: MIT
"""Options of jobs, limits by key, and flags of a run: what is refused at once, and that the dispatcher takes the rest."""

import json
import os
import subprocess

import pytest
from conftest import LIMIT, new_pool
from workpool import _options
from workpool._run_flags import OWN

DISPATCHER = os.path.join(os.environ["WORKPOOL_BIN"], "workpool-dispatcher")
TEN_YEARS = 10 * 365 * 24 * 3600

# An option, whether a job may have it, and why not. Next to each bound stands what is just beyond it.
OPTIONS = [
    *[("timeout", value, None) for value in (
        0, 0.5, 90, TEN_YEARS, 1e-9, "0", "90s", "1.5s", "200ms", "5m", "1h30m", "1d2h3m4s5ms6us", "3650d", "2.25", "00s")],
    *[("timeout", value, "timeout is seconds or a duration such as '90s' or '1h30m', from 0 (none) to 10 years, not ") for value in (
        -1, -0.5, TEN_YEARS + 1, "3651d", "5 parsecs", "", "-1s", "1m1h", "1s1s", ".5s", "5.", "1e3", "s", "٣s", "1 h", " 1s", "1S", True)],
    *[("retries", value, None) for value in (0, 1, (1 << 32) - 1)],
    *[("retries", value, "retries is an integer from 0 to 4294967295, not ") for value in (-1, 1 << 32, 1.5, 1.0, "2", True, [1])],
    *[("priority", value, None) for value in (-(1 << 31), 0, (1 << 31) - 1)],
    *[("priority", value, "priority is an integer from -2147483648 to 2147483647, not ")
      for value in (-(1 << 31) - 1, 1 << 31, "high", 0.5, False)],
    ("slots", 1, None), ("slots", 65_535, None),
    *[("slots", value, "slots is an integer from 1 to 65535, as many as a worker can have, not ") for value in (0, -1, "2", 1.0, True)],
    *[("labels", value, None) for value in ([], ["gpu"], ["ä" * 32], [str(n) for n in range(32)])],
    *[("labels", value, "labels is a list of at most 32 texts of 1 to 64 bytes, not ")
      for value in ("gpu", [""], ["x" * 65], ["ä" * 33], [str(n) for n in range(33)], ["a\0b"], [1], 5)],
    *[("limit", value, None) for value in ("db", [], ["db", "host:a"], "d" * 256, [f"k{n}" for n in range(8)])],
    *[("limit", value, "limit is a key of 1 to 256 bytes, such as 'db', or a list of at most 8 keys, not ")
      for value in ("", [""], "d" * 257, [f"k{n}" for n in range(9)], "a\0b", 5, [5])],
    ("meta", {"a": [1, None, "ä"]}, None), ("meta", "x" * 4094, None),
    ("meta", "x" * 4095, "meta is 4097 bytes of JSON, and 4096 is the most that is copied into a result"),
]
RULES = ["--limit", "*=1"]  # one for each key


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Which of OPTIONS the dispatcher takes, by their place."""
    folder = tmp_path_factory.mktemp("options")
    judgements = []
    for place, (name, value, _) in enumerate(OPTIONS):
        path = folder / f"{place}.jsonl"
        path.write_text(json.dumps({"type": "noop", name: value}, ensure_ascii=False) + "\n")
        ran = subprocess.run([DISPATCHER, "check", path, *RULES], capture_output=True, text=True, timeout=LIMIT)
        assert ran.returncode in (0, 65), ran.stderr
        judgements.append(ran.returncode == 0)
    return judgements


@pytest.mark.parametrize("place", range(len(OPTIONS)), ids=lambda place: f"{OPTIONS[place][0]}-{place}")
def test_what_options_take_is_what_jobs_may_have(judged, place):
    name, value, message = OPTIONS[place]
    assert judged[place] == (message is None)
    if message is None:
        assert json.loads(b"{" + _options.encoded({name: value})[1:] + b"}") == {name: [value] if value in ("db", "d" * 256) else value}
        return
    with pytest.raises((TypeError, ValueError)) as caught:
        _options.encoded({name: value})
    assert str(caught.value).startswith(message)


def test_a_wrong_type_is_a_type_error():
    for name, value in [("timeout", [1]), ("retries", "2"), ("priority", 0.5), ("slots", True), ("labels", "gpu"), ("limit", 5)]:
        with pytest.raises(TypeError, match=f"^{name} is .*, not "):
            _options.encoded({name: value})
    for name, value in [("timeout", -1), ("timeout", float("nan")), ("retries", -1), ("slots", 65_536), ("labels", ["\ud800"])]:
        with pytest.raises(ValueError, match=f"^{name} is .*, not "):
            _options.encoded({name: value})
    with pytest.raises(TypeError, match="^meta: JSON cannot hold a set"):
        _options.encoded({"meta": {1}})


def test_options_are_checked_where_they_are_given(pool):
    for options in ({"timeout": -1}, {"retries": -1}, {"priority": 1 << 31}, {"slots": 0}, {"meta": "x" * 5000}, {"limit": ""}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))} is "):
            pool.options(**options)


# ---- limits by key ----

def test_jobs_of_one_key_run_one_at_a_time(tmp_path):
    # Each fails if another one is there at the same time.
    alone = ["sh", "-c", 'mkdir "$0" && sleep 0.2 && rmdir "$0"', str(tmp_path / "here")]
    with new_pool(workers=4, limits={"db": 1, "host:*": "2,100/s"}) as pool:
        futures = [pool.options(limit="db").command(alone) for _ in range(4)]
        futures += [pool.options(limit=["db", "host:a"]).command(alone) for _ in range(4)]
        assert [future.exception(LIMIT) for future in futures] == [None] * 8


@pytest.mark.parametrize("limits, keys", [
    ({"db": 1}, "Db"), ({"db": 1}, "db2"), ({"db": 1}, ["db", "api"]), ({"host:*": 1}, "host"), ({"a*b": 1}, "ab-"), ({"a*a": 1}, "a"), ({}, "db"), (None, "db"),
])
def test_a_key_without_a_rule_is_refused(limits, keys):
    with new_pool(workers=1, functions=False, limits=limits) as pool:
        missing = keys if isinstance(keys, str) else keys[-1]
        with pytest.raises(ValueError, match=f"limit '{missing}' has no rule in this pool: Pool\\(limits={{'{missing}': 3}}\\)"):
            pool.options(limit=keys)


def test_keys_that_have_a_rule():
    with new_pool(workers=1, functions=False, limits={"a*b": 1, "k=v": "3/s", "*": 5}) as pool:
        for key in ("ab", "a-b", "a*b", "k=v", "other"):
            assert pool.options(limit=key).submit("echo", key).result(LIMIT) == key


@pytest.mark.parametrize("limits, error, message", [
    ({"db": 0}, ValueError, r"limits\['db'\] is how many jobs at once, such as 3 .*, or a text such as '10/s' or '2,5/s', not 0"),
    ({"db": 1.5}, TypeError, r"limits\['db'\] is .*, not 1.5"),
    ({"db": True}, TypeError, r"limits\['db'\] is .*, not True"),
    ({"": 1}, ValueError, "a key of limits is a text of 1 to 256 bytes, not ''"),
    ({5: 1}, TypeError, "a key of limits is a text of 1 to 256 bytes, not 5"),
    (["db=1"], TypeError, "limits is a dict of rules by key, such as {'db': 3, 'api': '10/s'}, not \\['db=1'\\]"),
])
def test_limits_that_are_none(limits, error, message):
    with pytest.raises(error, match=message):
        new_pool(limits=limits)


# ---- flags ----

@pytest.mark.parametrize("flags, instead", [
    (["-o", "mine.jsonl"], "results=FILE"), (["-omine.jsonl"], "results=FILE"), (["--results", "x"], "results=FILE"),
    (["--results=x"], "results=FILE"), (["--overwrite"], "results="), (["--overwrite=true"], "results="),
    (["--retry-failed"], r"pool.options\(retries=N\)"), (["--format", "lines"], "a pool writes its jobs itself"),
    (["--local", "3"], "workers=N"), (["--local=3"], "workers=N"), (["-j", "3"], "workers=N"), (["-j3"], "workers=N"),
    (["--jobs=3"], "workers=N"), (["--ports", "1-2", "--listen", "tcp://127.0.0.1:0"], "listen=ADDRESS"), (["--key", "k"], "key=FILE"),
    (["--handler", "a=cat"], r"Pool\({NAME: COMMAND}\)"), (["--limit", "db=1"], "limits={KEY: RULE}"),
    (["--grace", "1"], r"pool.stop\(\)"), (["--progress", "bar"], "its futures tell"),
    (["-h"], "it runs no jobs"), (["--help"], "it runs no jobs"), (["--version"], "it runs no jobs"),
])
def test_flags_that_are_the_pools_own(flags, instead, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^flags cannot have '{[f for f in flags if f[:1] == '-'][-1]}', .*{instead}"):
        new_pool(flags=flags)


def test_every_flag_of_run_is_either_the_pools_own_or_works(tmp_path):
    """A new flag of `run` has to be put into one of the two lists."""
    works = {"--retries": "1", "--timeout": "60", "--rate": "1000/s", "--max-fails": "5", "--until-ok": "100", "--capture": "1KiB",
             "--durability": "os", "--ports": None, "--insecure": "", "--handler-jobs": "5", "--allow-new-privs": "",
             "--worker-timeout": "20s", "--unsatisfiable-after": "5s", "--crash-limit": "2", "--summary": str(tmp_path / "s"),
             "--log-level": "error", "--cwd": "/", "--env": "A=b", "--shell": "bash", "--stdout": str(tmp_path / "{id}"),
             "--stderr": str(tmp_path / "{id}.e")}
    helped = subprocess.run([DISPATCHER, "run", "--help"], capture_output=True, text=True, timeout=LIMIT).stdout
    known = {word.rstrip(",") for line in helped.splitlines() if line.lstrip().startswith("-")
             for word in line.split()[:2] if word.startswith("--")}
    assert known == set(OWN) | set(works)
    flags = [word for flag, value in works.items() if value is not None for word in ([flag, value] if value else [flag])]
    with new_pool(functions=False, flags=flags) as pool:
        assert pool.submit("echo", 1).result(LIMIT) == 1
        done = pool.command("echo $A ${BASH_VERSION:+bash}; pwd").result(LIMIT)
    with open(done.stdout_file.path) as file:
        assert file.read() == "b bash\n/\n"
