#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""examples/python_worker.py, which was written from docs/protocol.md alone, beside workers of our own."""

import json
import signal
import sys
import time
import unittest
from pathlib import Path

import msgpack
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parent))
from workpool_testing import SOURCE, System, free_port, is_alive, wait_until  # noqa: E402
from workpool_wire import END, JOBS, PART, READY, RESULTS, Sockets, welcome  # noqa: E402

EXAMPLE = SOURCE / "examples" / "python_worker.py"


class PythonWorker(System):
    insecure = True

    def python(self, *flags, name="py"):
        return self.start(["/usr/bin/python3", EXAMPLE, self.address, "--name", name, *flags])

    def test_each_kind_of_end(self):
        big = "x" * 200_000
        self.jobs({"id": "argv", "cmd": ["printf", "%s", "a b"]}, {"id": "shell", "cmd": "echo $0 $((6*7)) >&2; pwd", "cwd": "/"},
                  {"id": "stdin", "cmd": ["cat"], "stdin": "h\u00e9llo"}, {"id": "env", "cmd": "echo $A $WORKPOOL_JOB_ID", "env": {"A": "b"}},
                  {"id": "exit", "cmd": "exit 3"}, {"id": "signal", "cmd": "kill -TERM $$"}, {"id": "spawn", "cmd": ["no-such-program"]},
                  {"id": "timeout", "cmd": "sleep 1000 & wait", "timeout": "0.2s"}, {"id": "retried", "cmd": 'test "$WORKPOOL_ATTEMPT" = 2', "retries": 1},
                  {"id": "cut", "cmd": ["head", "-c", "1000000", "/dev/zero"]}, {"id": "parts", "cmd": ["cat"], "stdin": big},
                  {"id": "words", "type": "words", "args": {"text": "a b a"}}, {"id": "noop", "type": "noop"},
                  {"id": "raises", "type": "words", "args": {}}, {"id": "long", "type": "words", "args": {"text": big * 3}},
                  {"id": "wide", "cmd": ["true"], "slots": 2}, {"cmd": ["true"]})
        run = self.dispatcher("--capture", "256KiB")
        worker = self.python("--slots", "2")
        self.assert_ends(run, 1)
        self.assert_ends(worker, 0)
        self.assert_verified()
        got = self.by_id()
        self.assertEqual({result["worker"] for result in got.values()}, {"py"})
        self.assertEqual({name: result["status"] for name, result in got.items() if result["status"] != "ok"},
                         {"exit": "failed", "signal": "failed", "spawn": "failed", "timeout": "timeout", "raises": "failed"})
        self.assertEqual({name: result["error"]["kind"] for name, result in got.items() if "error" in result},
                         {"exit": "exit", "signal": "signal", "spawn": "spawn", "timeout": "timeout", "raises": "handler"})
        self.assertEqual(got["argv"]["stdout"], "a b")
        self.assertEqual((got["shell"]["stdout"], got["shell"]["stderr"]), ("/\n", "/bin/sh 42\n"))
        self.assertEqual((got["stdin"]["stdout"], got["env"]["stdout"], got["parts"]["stdout"]), ("h\u00e9llo", "b env\n", big))
        self.assertEqual((got["exit"]["exit"], got["signal"]["signal"], got["retried"]["attempt"]), (3, 15, 2))
        self.assertEqual(got["cut"]["truncated"], 1_000_000 - 256 * 1024)
        self.assertEqual((got["words"]["value"], got["noop"]["value"]), ({"a": 2, "b": 1}, None))

    def test_beside_our_own_workers_and_killed_in_mid_run(self):
        jobs = [self.witness_job(str(n), 0.05) for n in range(200)]
        jobs += [{"id": f"words {n}", "type": "words", "args": {"text": f"a {n}"}} for n in range(20)]  # of the Python workers only
        jobs += [{"id": f"sha {n}", "type": "sha256", "args": {"text": f"a {n}"}} for n in range(20)]   # of ours only
        self.jobs(*jobs)
        run = self.dispatcher("--worker-timeout", "2s")
        own = self.worker("--slots", "2", "--name", "own")
        killed = self.python("--slots", "2", name="killed")
        self.wait_witness("start", 40)
        killed.send(signal.SIGKILL)
        wait_until("the end of it", lambda: killed.poll() is not None)
        python = self.python("--slots", "2", name="python")
        self.assert_ends(run, 0)
        self.assert_ends(own, 0)
        self.assert_ends(python, 0)
        self.assert_verified()
        got = self.by_id()
        self.assertEqual(len(got), 240)
        self.assertTrue({"own", "python"} <= {result["worker"] for result in got.values()})
        self.assertEqual({result["worker"] for name, result in got.items() if name.startswith("sha")}, {"own"})
        # What it ran ended with it, and was started once more, by others: its two slots and nothing else.
        again = {name: count for name, count in self.witnessed("start").items() if count > 1}
        self.assertLessEqual(len(again), 2, again)
        # The blow may have come between the end of a job and its result.
        twice = {name for name, count in self.witnessed("end").items() if count > 1}
        self.assertLessEqual(twice, set(again))
        self.assertEqual(len(self.witnessed("end")), 200)

    def test_drains_on_a_signal(self):
        self.jobs(*[self.witness_job(str(n), 0.3) for n in range(12)])
        run = self.dispatcher()
        worker = self.python("--slots", "2")
        self.wait_witness("start", 3)
        worker.send(signal.SIGTERM)
        self.assert_ends(worker, 0)
        self.assertEqual(self.witnessed("start"), self.witnessed("end"))
        self.worker("--slots", "4")
        self.assert_ends(run, 0)
        self.assertEqual(set(self.witnessed("start").values()), {1})

    def test_outlives_its_dispatcher(self):
        self.jobs(self.witness_job("held", 3), self.witness_job("ended", 0.5), *[self.witness_job(str(n), 0.05) for n in range(20)])
        run = self.dispatcher()
        worker = self.python("--slots", "2")
        self.wait_witness("start", 2)
        run.send(signal.SIGKILL)
        run.wait()
        self.wait_witness("end", 1)  # its result waits for a dispatcher
        run = self.dispatcher()
        self.assert_ends(run, 0)
        self.assert_ends(worker, 0)
        self.assertEqual(len(self.by_id()), 22)
        self.assertEqual(set(self.witnessed("start").values()), {1})

    def test_gives_back_what_is_recalled(self):
        # Short jobs that make the dispatcher prefetch, a long one, and what waits behind it.
        self.jobs(*[{"id": str(n), "cmd": ["true"]} for n in range(60)], self.witness_job("long", 4),
                  *[{"id": f"behind {n}", "cmd": ["true"]} for n in range(8)])
        run = self.dispatcher()
        worker = self.python("--slots", "1")
        self.wait_witness("start", 1)
        self.worker("--name", "own", "--slots", "1")
        self.assert_ends(run, 0)
        self.assert_ends(worker, 0)
        got = self.by_id()
        self.assertEqual({result["worker"] for name, result in got.items() if name.startswith("behind")}, {"own"})
        self.assertEqual(got["long"]["worker"], "py")

    def test_kills_what_is_cancelled(self):
        self.jobs({"id": "hangs", "cmd": ["sleep", "1000"]}, *[{"id": str(n), "cmd": ["sleep", "0.02"]} for n in range(20)])
        run = self.dispatcher()
        worker = self.python("--slots", "2")
        self.wait_results(20)
        run.send(signal.SIGINT)
        run.says("finishing 1 running job")
        run.send(signal.SIGINT)
        self.assert_ends(run, 130)
        self.assert_ends(worker, 0)
        self.assertEqual(len(self.by_id()), 20)
        wait_until("no process of a job", lambda: not [pid for pid in self.marked() if is_alive(pid) and b"1000" in
                                                       Path(f"/proc/{pid}/cmdline").read_bytes()])

    def test_is_short_and_stands_alone(self):
        text = EXAMPLE.read_text()
        self.assertLess(len(text.splitlines()), 320)
        self.assertNotIn("build/", text)


class WithKeys(System):
    def test_it_joins_with_the_key_that_is_printed(self):
        self.jobs({"id": "a", "cmd": "env"}, {"id": "b", "type": "words", "args": {"text": "x y x"}})
        run = self.dispatcher()
        worker = self.start(["/usr/bin/python3", EXAMPLE, self.address, "--name", "py"], env={"WORKPOOL_KEY": run.join_key()})
        self.assert_ends(run, 0)
        self.assert_ends(worker, 0)
        self.assertEqual(self.by_id()["b"]["value"], {"x": 2, "y": 1})
        self.assertNotIn("wp1-", self.by_id()["a"]["stdout"])


class PlayedDispatcher(System):
    """The test plays the dispatcher itself, for rules of the page that a real one gives no occasion for."""
    insecure = True

    RUN = 7

    def setUp(self):
        super().setUp()
        self.sockets = self.enterContext(Sockets())
        self.door = self.sockets.listen(zmq.ROUTER, self.address)
        self.sink_port = free_port()
        self.sink = self.sockets.listen(zmq.PULL, f"tcp://127.0.0.1:{self.sink_port}")
        self.session = 0
        self.start(["/usr/bin/python3", EXAMPLE, self.address, "--name", "py", "--slots", "2"])

    def admit(self, timeout_s):
        """Answers the next HELLO, and returns when that came."""
        peer, _ = self.door.recv_multipart()
        came = time.monotonic()
        self.session, self.seq, port = self.session + 1, 0, free_port()
        self.lane = self.sockets.listen(zmq.PUSH, f"tcp://127.0.0.1:{port}")
        self.door.send_multipart([peer, welcome(run=self.RUN, session=self.session, lane=port, sink=self.sink_port, timeout_s=timeout_s)])
        return came

    def say(self, kind, *fields):
        self.seq += 1
        self.lane.send(msgpack.packb([kind, self.RUN, self.session, self.seq, *fields]))

    def hear(self, *kinds):
        """The next message of one of these kinds."""
        while True:
            message = msgpack.unpackb(self.sink.recv())
            if message[0] in kinds:
                return message

    def give(self, received, *jobs):
        """Jobs are (handle, name, command)."""
        self.say(JOBS, 0, received, [[handle, name, name.encode() * 16, b"s" * 16, 1, json.dumps({"cmd": command}), 0, 1, 0]
                                     for handle, name, command in jobs])

    def test_waits_longer_after_each_session_of_no_use(self):
        came = []
        for _ in range(6):
            came.append(self.admit(timeout_s=60))
            self.say(END)
        # The fifth pause is 16 times 100 to 250 ms.
        self.assertGreaterEqual(came[5] - came[4], 1.5)

    def test_ignores_a_second_copy_of_an_attempt_that_is_here(self):
        self.admit(timeout_s=60)
        received = self.hear(READY)[3]
        started, go = self.folder / "started", self.folder / "go"
        command = f"echo >> {started}; until test -e {go}; do sleep 0.01; done"
        self.give(received, (1, "a", command), (2, "a", command))
        self.give(received, (3, "a", command), (4, "b", "true"))
        # A copy would have its slot.
        self.assertEqual(self.hear(RESULTS)[4][0][1], b"b" * 16)
        go.touch()
        self.assertEqual(self.hear(RESULTS)[4][0][1], b"a" * 16)
        self.assertEqual(started.read_text(), "\n")

    def test_sends_smaller_parts_if_the_worker_timeout_is_short(self):
        self.admit(timeout_s=5)
        self.give(self.hear(READY)[3], (1, "a", "head -c 60000 /dev/zero"))
        parts = [self.hear(PART, RESULTS)]
        while parts[-1][0] == PART and not parts[-1][5]:
            parts.append(self.hear(PART, RESULTS))
        self.assertEqual([part[0] for part in parts], [PART] * 2)
        self.assertLessEqual(max(len(part[6]) for part in parts), 32 * 1024)
        whole = msgpack.unpackb(b"".join(part[6] for part in parts))
        self.assertEqual((whole[0], len(whole[4][0][13])), (RESULTS, 60000))


if __name__ == "__main__":
    unittest.main()
