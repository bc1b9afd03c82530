#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Large jobs files, handlers and their values, and what the results file holds of them."""

import base64
import hashlib
import json
import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, SLACK, CliTest, jsonl, parse_results, wait_until  # noqa: E402


class Large(CliTest):
    def test_a_million_lines_are_checked_whole(self):
        with open(self.folder / "jobs.jsonl", "w", encoding="ascii") as file:
            for start in range(0, 1_000_000, 1000):
                file.write("".join('{"type":"noop","id":"job-%d"}\n' % n for n in range(start, start + 1000)))
        start = time.monotonic()
        finished = self.call(["/usr/bin/time", "-o", "peak", "-f", "%M", DISPATCHER, "check", "jobs.jsonl"])
        peak = int((self.folder / "peak").read_text().splitlines()[-1])
        print(f"check of a million lines: {time.monotonic() - start:.2f} s, {peak // 1024} MiB")
        self.assertEqual((finished.code, finished.out), (0, "jobs.jsonl: 1000000 jobs, all good\n"))
        self.assertLess(peak, 80 * 1024 * SLACK)
        with open(self.folder / "jobs.jsonl", "a", encoding="ascii") as file:
            file.write('{"type":"noop","id":"job-7"}\n{"type":"noop",}\n')
        finished = self.dispatcher("run", "jobs.jsonl")
        self.assertEqual(finished.code, 65)
        places = [line.split(": ")[0] for line in finished.err.splitlines()]
        self.assertEqual([place.rsplit(":", 1)[0] for place in places], ["jobs.jsonl:1000001", "jobs.jsonl:1000002"])
        self.assertIn("line 8", finished.err)
        self.assertEqual(sorted(os.listdir(self.folder)), ["jobs.jsonl", "peak"])

    def test_many_jobs_each_once(self):
        count = 100_000
        self.write("jobs.jsonl", "".join('{"type":"echo","args":%d}\n' % n for n in range(count)))
        finished = self.dispatcher("run", "jobs.jsonl", "--durability", "os", limit=200)
        self.assertEqual(finished.code, 0, str(finished))
        values = [result["value"] for result in parse_results((self.folder / "jobs.results.jsonl").read_bytes())]
        self.assertEqual(sorted(values), list(range(count)))

    def test_jobs_of_a_mebibyte_each(self):
        jobs = ['{"type":"echo","id":"%d","args":"%s"}' % (n, str(n % 10) * 1_000_000) for n in range(40)]
        found = self.run_jobs(*jobs, code=0, limit=120).by_id
        self.assertTrue(all(found[str(n)]["value"] == str(n % 10) * 1_000_000 for n in range(40)))


class Handlers(CliTest):
    def test_built_in_ones(self):
        self.write("data", b"some bytes")
        jobs = [{"type": "echo", "args": {"a": [1, None, "\u00e9"]}, "id": "echo"}, {"type": "noop", "id": "noop"},
                {"type": "echo", "id": "bare"}, {"type": "noop", "args": 5, "id": "noop5"},
                {"type": "sha256", "args": {"text": "hello"}, "id": "text"},
                {"type": "sha256", "args": {"path": "data"}, "id": "path"},
                {"type": "sleep", "args": {"for": "50ms"}, "id": "sleep"}]
        found = self.run_jobs(*jobs, code=0).by_id
        self.assertEqual(found["echo"]["value"], {"a": [1, None, "\u00e9"]})
        self.assertEqual((found["noop"]["value"], found["bare"]["value"]), (None, None))
        self.assertEqual(found["text"]["value"]["sha256"], hashlib.sha256(b"hello").hexdigest())
        self.assertEqual(found["path"]["value"]["sha256"], hashlib.sha256(b"some bytes").hexdigest())
        self.assertGreaterEqual(found["sleep"]["run_ms"], 50)
        for result in found.values():  # a handler gives a value and nothing of a command
            self.assertFalse({"exit", "signal", "stdout", "stderr", "truncated"} & set(result))

    def test_fail(self):
        jobs = [{"type": "fail", "args": {"message": "no luck \u00e9"}, "id": "always", "retries": 1},
                {"type": "fail", "args": {"message": "m", "times": 2}, "id": "twice", "retries": 2},
                {"type": "fail", "args": {"times": 2}, "id": "not enough", "retries": 1}, {"type": "fail", "id": "bare"}]
        found = self.run_jobs(*jobs, code=1).by_id
        self.assertEqual(found["always"]["error"], {"kind": "handler", "message": "no luck \u00e9"})
        self.assertEqual({key: (r["status"], r["attempt"]) for key, r in found.items()},
                         {"always": ("failed", 2), "twice": ("ok", 3), "not enough": ("failed", 2),
                          "bare": ("failed", 1)})

    def test_wrong_args_are_a_clear_failure(self):
        cases = {"sleep": [None, {}, {"for": "soon"}, {"for": -1}, {"four": "1s"}, 5],
                 "sha256": [{}, {"path": "/no/such"}, {"path": "/"}, {"text": 1}, {"path": "a", "text": "b"}, []],
                 "fail": [{"times": -1}, {"times": "x"}, {"massage": "x"}]}
        jobs = [{"type": kind, "args": args, "id": f"{kind} {n}"} for kind, many in cases.items()
                for n, args in enumerate(many)]
        found = self.run_jobs(*jobs, code=1).by_id
        for key, result in found.items():
            with self.subTest(key):
                self.assertEqual((result["status"], result["error"]["kind"]), ("failed", "handler"))
                self.assertTrue(result["error"]["message"])
        self.assertIn("/no/such", found["sha256 1"]["error"]["message"])
        self.assertIn("No such file", found["sha256 1"]["error"]["message"])

    def test_a_sleeping_handler_is_stopped_by_its_timeout(self):
        result = self.run_jobs({"type": "sleep", "args": {"for": "60s"}, "timeout": "300ms"}, code=1).only
        self.assertEqual((result["status"], result["error"]["kind"]), ("timeout", "timeout"))
        self.assertLess(result["run_ms"], 300 * SLACK)

    def test_large_values(self):
        # 1 MiB is the most for a line, so for echo's value as well; escapes make it longer still.
        text = '"' + "\\u00e9" * 170_000 + '"'
        found = self.run_jobs('{"type":"echo","args":%s,"id":"x"}' % text, code=0).only
        self.assertEqual(found["value"], "\u00e9" * 170_000)


class Results(CliTest):
    def test_a_string_of_odd_letters_is_one_line(self):
        # What many programs take for the end of a line is none.
        self.write("odd", "some text, so that escapes are shorter than base64; " * 2 + "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\rh")
        finished = self.run_jobs({"cmd": ["cat", "odd"], "id": "\u2028"}, code=0)
        data = Path(finished.results_path).read_bytes()
        self.assertEqual(data.count(b"\n"), 1)
        self.assertEqual(finished.only["stdout"], (self.folder / "odd").read_bytes().decode())

    def test_results_are_readable_while_it_runs(self):
        jobs = [{"cmd": f"test {n} = 0 || cat jobs.results.jsonl", "id": str(n)} for n in range(2)]
        finished = self.run_jobs(*jobs, flags=("--local", "1", "--durability", "os"), code=0)
        self.assertEqual(parse_results(finished.by_id["1"]["stdout"])[0]["id"], "0")

    def test_order_is_that_of_finishing(self):
        finished = self.run_jobs({"cmd": "sleep 0.6", "id": "slow"}, {"cmd": "true", "id": "fast"}, code=0,
                                 flags=("--local", "2"))
        self.assertEqual([result["id"] for result in finished.results], ["fast", "slow"])

    def test_append_only_and_damage_stays(self):
        jobs = [{"cmd": f"echo {n} >> ran", "id": str(n)} for n in range(4)]
        finished = self.run_jobs(*jobs, code=0)
        path = Path(finished.results_path)
        lines = path.read_bytes().splitlines(keepends=True)
        damaged = lines[1].replace(b'"ok"', b'"OK"')
        path.write_bytes(lines[0] + damaged + b"rubbish\n" + lines[2] + lines[3] + b'{"id":"torn","li')
        again = self.run_jobs(*jobs, code=0)
        self.assertIn(": lines 2, 3 are damaged and do not count: their jobs run again unless other lines have their results\n",
                      again.err)
        self.assertIn("torn", again.err)
        data = path.read_bytes()
        self.assertTrue(data.startswith(lines[0] + damaged + b"rubbish\n" + lines[2] + lines[3]))
        self.assertNotIn(b"torn", data)
        self.assertEqual(len((self.folder / "ran").read_text().split()), 5)
        verified = self.dispatcher("verify", "jobs.jsonl", path)
        self.assertEqual(verified.code, 0, str(verified))
        self.assertIn("damaged", verified.out)

    def test_verify(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["true"], "id": "a"}, {"cmd": ["true"], "id": "b"}))
        self.assertEqual(self.dispatcher("verify", "jobs.jsonl", "none.jsonl").code, 1)
        self.write("empty.jsonl", "")
        finished = self.dispatcher("verify", "jobs.jsonl", "empty.jsonl")
        self.assertEqual(finished.code, 1)
        self.assertIn("a", finished.out)
        self.assertEqual(self.dispatcher("verify", "none.jsonl", "empty.jsonl").code, 65)
        self.write("bad.jsonl", "{}\n")
        finished = self.dispatcher("verify", "bad.jsonl", "empty.jsonl")
        self.assertTrue(finished.code == 65 and finished.err.startswith("bad.jsonl:1:1: "), str(finished))
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "r.jsonl").code, 0)
        before = (self.folder / "r.jsonl").read_bytes()
        finished = self.dispatcher("verify", "jobs.jsonl", "r.jsonl")
        self.assertEqual((finished.code, finished.err), (0, ""), str(finished))
        self.assertEqual((self.folder / "r.jsonl").read_bytes(), before)

    def test_results_of_another_jobs_file_are_73(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["true"], "id": "a"}))
        self.write("other.jsonl", jsonl({"cmd": ["touch", "ran"], "id": "z"}))
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "r.jsonl").code, 0)
        before = (self.folder / "r.jsonl").read_bytes()
        self.assert_one_line_error(self.dispatcher("run", "other.jsonl", "-o", "r.jsonl"), 73, "r.jsonl", "--overwrite")
        self.assertEqual((self.folder / "r.jsonl").read_bytes(), before)
        self.assertFalse((self.folder / "ran").exists())
        self.assertEqual(self.dispatcher("run", "other.jsonl", "-o", "r.jsonl", "--overwrite").code, 0)

    def test_results_in_use_are_75(self):
        self.write("jobs.jsonl", jsonl({"cmd": "touch began; while [ ! -e go ]; do sleep 0.02; done"}))
        run = self.start_run("jobs.jsonl")
        wait_until("the job", (self.folder / "began").exists)
        self.assert_one_line_error(self.dispatcher("run", "jobs.jsonl"), 75, "jobs.results.jsonl")
        self.assert_one_line_error(self.dispatcher("run", "jobs.jsonl", "--overwrite"), 75, "jobs.results.jsonl")
        (self.folder / "go").touch()
        self.assertEqual(run.finish().code, 0, run.err)

    def test_base64_of_stderr_and_head_and_tail_of_bytes(self):
        result = self.run_command("head -c 100 /dev/zero >&2; printf '\\377%.0s' $(seq 100) >&2", code=0,
                                  flags=("--capture", "20"))
        self.assertEqual(base64.b64decode(result["stderr_base64"]), b"\0" * 10 + b"\xff" * 10)
        self.assertEqual(result["truncated"], 180)


if __name__ == "__main__":
    unittest.main()
