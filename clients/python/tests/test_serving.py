# SPDX-License-Identifier: MIT
"""The loop of a handler's program, with the test in the place of the worker: lines over pipes."""

import json
import os
import subprocess
import sys
import threading

import pytest
from conftest import HERE, LIMIT, wait_until
from workpool._handlers import Registry
from workpool._serving import one_handler

MODELS = [sys.executable, str(HERE / "models.py")]


class Child:
    """A handler's program and the pipes that a worker would hold."""

    def __init__(self, command, **environment):
        environment = {"WORKPOOL_HANDLER": "whatever", "PYTHONUNBUFFERED": "1", **environment}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **environment}, cwd=HERE)
        self.said = b""
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self):
        while block := os.read(self.process.stderr.fileno(), 1 << 16):
            self.said += block

    def write(self, request):
        line = request if isinstance(request, bytes) else json.dumps(request).encode()
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, args, id="a", attempt=1):
        """The answer, without the id that it has to repeat."""
        self.write({"id": id, "attempt": attempt, "args": args})
        answer = self.read()
        assert answer.pop("id") == id
        return answer

    def says(self, text):
        wait_until(f"{text!r} on stderr, there is {self.said!r}", lambda: text.encode() in self.said)

    def end(self):
        """The exit status, once stdin is closed; nothing may be left on stdout."""
        self.process.stdin.close()
        assert self.process.stdout.read() == b""
        status = self.process.wait(LIMIT)
        self._listener.join(LIMIT)
        self.process.stdout.close()
        self.process.stderr.close()
        return status


@pytest.fixture
def child():
    started = []

    def start(*command, **environment):
        started.append(Child(list(command), **environment))
        return started[-1]
    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def functions(child, **environment):
    return child(sys.executable, "-m", "workpool.serve", "--functions", **environment)


def test_values_and_the_second_argument(child):
    embed = child(*MODELS, "embed")
    assert embed.ask({"text": "abc"}) == {"value": [3, 0.5]}
    assert embed.ask({"text": ""}) == {"value": [0, 0.5]}
    assert embed.end() == 0
    assert b"models are loaded" in embed.said

    rank = child(*MODELS, "rank")
    rank.write({"id": "j1", "attempt": 3, "args": [2, 1]})
    assert rank.read() == {"progress": 0.5, "text": "half"}
    assert rank.read() == {"id": "j1", "value": {"id": "j1", "attempt": 3, "sorted": [1, 2]}}
    assert rank.end() == 0


def test_an_exception_is_an_error_of_its_job_only(child):
    broken = child(*MODELS, "broken")
    assert broken.ask("big") == {"error": 'LookupError: no model \'big\''}
    broken.says("about to fail")
    broken.says("Traceback (most recent call last):")
    assert broken.ask(2) == {"error": "LookupError: no model 2"}
    assert broken.end() == 0


def test_print_and_children_cannot_reach_the_answers(child):
    served = functions(child)
    assert served.ask({"call": "calls:speak", "args": ["hello"]}) == {"value": "hello"}
    served.says("hello\n")
    served.says("hello!\n")
    served.says("from a child\n")
    assert served.end() == 0


def test_what_is_printed_without_a_newline_comes_before_the_answer(child):
    served = functions(child, PYTHONUNBUFFERED="")
    assert served.ask({"call": "calls:murmur", "args": ["so far"]}) == {"value": None}
    served.says("so far")
    assert served.end() == 0


def test_input_of_a_function_is_not_the_next_request(child):
    served = functions(child)
    served.write({"id": "a", "attempt": 1, "args": {"call": "builtins:input"}})
    served.write({"id": "b", "attempt": 1, "args": {"call": "calls:add", "args": [1]}})
    assert served.read() == {"id": "a", "error": "EOFError: EOF when reading a line"}
    assert served.read() == {"id": "b", "value": 1}
    assert served.end() == 0


@pytest.mark.parametrize("call, part", [
    ({"call": "calls:return_a_set"}, "JSON cannot hold a set"),
    ({"call": "calls:return_nan"}, "the returned value[0]: nan is no JSON number"),
    ({"call": "calls:return_much", "args": [1 << 20]}, "1 MiB is the most"),
    ({"call": "calls:leave", "args": [3]}, "SystemExit: 3"),
    ({"call": "calls:fail", "args": ["two\nlines"]}, "ValueError: two\nlines"),
    ({"call": "calls:fail", "args": ["x" * 9000]}, "ValueError: xxxx"),
    ({"call": "calls:absent"}, "AttributeError: module 'calls' has no attribute 'absent'"),
    ({"call": "no_such_module:f"}, "ModuleNotFoundError: No module named 'no_such_module'"),
    ({"call": 3}, "a call needs args such as"),
    (None, "a call needs args such as"),
])
def test_what_cannot_be_answered_is_an_error_and_the_loop_goes_on(child, call, part):
    served = functions(child)
    answer = served.ask(call)
    assert list(answer) == ["error"] and part in answer["error"]
    assert len(answer["error"].encode()) <= 4096
    assert served.ask({"call": "calls:add", "args": [1, 2], "kwargs": {"times": 2}}) == {"value": 6}
    assert served.end() == 0


def test_a_value_of_the_limit_is_answered(child):
    served = functions(child)
    assert len(served.ask({"call": "calls:return_much", "args": [(1 << 20) - 2]})["value"]) == (1 << 20) - 2
    assert served.end() == 0


def test_requests_that_are_no_requests(child):
    embed = child(*MODELS, "embed")
    for line in (b"not json", b"[]", b"\xff"):
        embed.write(line)
        assert list(embed.read()) == ["error"]
    embed.write(b"  ")
    assert embed.ask({"text": "a"}) == {"value": [1, 0.5]}
    assert embed.end() == 0


def test_requests_may_be_written_ahead_and_in_pieces(child):
    served = functions(child)
    lines = b"".join(b'{"id":"%d","attempt":1,"args":{"call":"calls:add","args":[%d]}}\n' % (n, n) for n in range(500))
    feeder = threading.Thread(target=lambda: [(served.process.stdin.write(lines[at:at + 777]), served.process.stdin.flush())
                                              for at in range(0, len(lines), 777)])
    feeder.start()
    assert [served.read() for _ in range(500)] == [{"id": str(n), "value": n} for n in range(500)]
    feeder.join()
    assert served.end() == 0


def test_many_calls_in_one_request(child):
    served = functions(child)
    assert served.ask({"call": "calls:add", "many": [[1, 2], [3, 4]], "kwargs": {"times": 10}}) == {"value": [30, 70]}
    assert served.end() == 0


def test_which_handler_is_served(child):
    named = child(*MODELS, WORKPOOL_HANDLER="embed")
    assert named.ask({"text": "a"}) == {"value": [1, 0.5]}
    assert named.end() == 0
    chosen = child(*MODELS, "embed", WORKPOOL_HANDLER="rank")
    assert chosen.ask({"text": "a"}) == {"value": [1, 0.5]}
    assert chosen.end() == 0
    each = child(*MODELS, WORKPOOL_HANDLER="pool.program")
    assert each.ask({"handler": "embed", "args": {"text": "a"}}) == {"value": [1, 0.5]}
    assert "no handler 'nix'" in each.ask({"handler": "nix"})["error"]
    assert each.end() == 0
    unclear = child(*MODELS, WORKPOOL_HANDLER="other")
    assert unclear.end() == 2
    assert b"no handler 'other'; it has broken, dies, embed, flaky, rank, slow" in unclear.said
    wrong = child(*MODELS, "nix")
    assert wrong.end() == 2
    assert b"no handler 'nix'; it has broken" in wrong.said
    by_module = child(sys.executable, "-m", "workpool.serve", "models:embed")
    assert by_module.ask({"text": "a"}) == {"value": [1, 0.5]}
    assert by_module.end() == 0
    plain = child(sys.executable, "-m", "workpool.serve", "math:sqrt")
    assert plain.ask(16) == {"value": 4.0}
    assert plain.end() == 0


def test_only_one_handler_needs_no_name(child, tmp_path):
    program = tmp_path / "one.py"
    program.write_text("import workpool\n@workpool.handler('embed')\ndef embed(args):\n    return args\nworkpool.serve()\n")
    one = child(sys.executable, str(program), WORKPOOL_HANDLER="whatever")
    assert one.ask(1) == {"value": 1}
    assert one.end() == 0
    program.write_text("import workpool\nworkpool.serve()\n")
    none = child(sys.executable, str(program))
    assert none.end() == 2
    assert b"there is no handler: put @workpool.handler" in none.said


@pytest.mark.parametrize("arguments", [[], ["models"], ["--nix"], ["models:embed", "more"]])
def test_wrong_usage(child, arguments):
    wrong = child(sys.executable, "-m", "workpool.serve", *arguments)
    assert wrong.end() == 2
    assert b"usage: python3 -m workpool.serve" in wrong.said


@pytest.mark.parametrize("name, part", [("nix:f", b"No module named 'nix'"), ("calls:nix", b"no attribute 'nix'")])
def test_a_function_that_is_not_there(child, name, part):
    absent = child(sys.executable, "-m", "workpool.serve", name)
    assert absent.end() == 2
    assert part in absent.said


def test_progress_of_a_thread_after_the_answer_is_no_line(child, tmp_path):
    (tmp_path / "late.py").write_text("""
import threading, workpool
threads = []
@workpool.handler("late")
def late(args, job):
    if args == "join":
        threads[0].join()
    else:
        go = threading.Timer(0.2, job.progress, (0.5,))
        threads.append(go)
        go.start()
workpool.serve()
""")
    late = child(sys.executable, str(tmp_path / "late.py"))
    assert late.ask(None) == {"value": None}
    assert late.ask("join") == {"value": None}
    assert late.end() == 0


def test_a_worker_that_is_gone_ends_it_quietly(child):
    served = functions(child)
    served.process.stdout.close()
    served.write({"id": "a", "attempt": 1, "args": {"call": "calls:add", "args": [1]}})
    assert served.process.wait(LIMIT) == 0
    served.process.stdin.close()
    served._listener.join(LIMIT)
    assert b"Traceback" not in served.said


def test_what_a_handler_starts_has_a_stdout_of_its_own(child):
    served = functions(child)
    code = "import workpool; print('here')"
    assert served.ask({"call": "subprocess:getoutput", "args": [f'{sys.executable} -c "{code}"']}) == {"value": "here"}
    assert served.end() == 0


def test_a_forked_process_that_comes_back_neither_answers_nor_takes_requests(child):
    served = functions(child)
    for _ in range(3):
        assert served.ask({"call": "calls:fork_and_wait"}) == {"value": "parent"}
        served.says("came back from a handler")
    assert served.end() == 0


def test_registering():
    registry = Registry()
    registry.add("a", test_registering)
    registry.add("a", test_registering)
    with pytest.raises(ValueError, match="registered twice"):
        registry.add("a", functions)
    with pytest.raises(ValueError, match="of its own"):
        registry.add("echo", functions)
    with pytest.raises(ValueError, match="letters"):
        registry.add("a b", functions)
    registry.add("b", functions)
    with pytest.raises(LookupError, match="has the handlers a, b: choose one"):
        one_handler(registry, None, None)
