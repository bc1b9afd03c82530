#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""Every row of the table of bad input: its exit code, place and message; nothing runs and nothing is left behind."""

import json
import os
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, CliTest, jsonl, parse_results, wait_until  # noqa: E402

GOOD = '{"cmd": ["touch", "ran"]}'
NO_UTF8 = b'{"cmd": ["a\xffb"]}'

# The bad line, its column (counted in bytes from 1), and words of the message.
BAD_LINES = {
    "trailing comma": ('{"cmd":["true"],}', 16, "trailing comma"),
    "trailing comma in an array": ('{"cmd":["true",]}', 15, "trailing comma"),
    "cut short": ('{"cmd":["true"]', 16, "ends too early"),
    "no value": ('{"cmd":}', 8, "expected a value"),
    "no value in an array": ('{"cmd":["a",:]}', 13, "expected a value"),
    "no JSON": ("touch ran", 1, "not a JSON value"),
    "leading zero": ('{"cmd":["a"],"retries":01}', 24, "leading zero"),
    "NaN": ('{"cmd":["a"],"timeout":NaN}', 24, "finite"),
    "Infinity": ('{"cmd":["a"],"timeout":-Infinity}', 24, "finite"),
    "number beyond a double": ('{"cmd":["a"],"timeout":1e999}', 24, "finite"),
    "lone surrogate": (r'{"cmd":["\ud800"]}', 10, "surrogate"),
    "lone low surrogate": (r'{"cmd":["a\udc00b"]}', 11, "surrogate"),
    "integer beyond 64 bits": ('{"type":"echo","args":18446744073709551616}', 23, "64 bits"),
    "negative integer beyond 64 bits": ('{"type":"echo","args":[-9223372036854775809]}', 24, "64 bits"),
    "empty object": ("{}", 1, "cmd"),
    "array": ('[{"cmd":["a"]}]', 1, "object"),
    "string": ('"true"', 1, "object"),
    "null": ("null", 1, "object"),
    "both": ('{"cmd":["a"],"type":"noop"}', 14, "both"),
    "neither": ('{"id":"x"}', 1, "cmd"),
    "unknown key": ('{"cmd":["a"],"prioritty":1}', 14, '"priority"'),
    "unknown key, other case": ('{"cmd":["a"],"Retries":1}', 14, '"retries"'),
    "unknown key like none": ('{"cmd":["a"],"zzzzzzzz":1}', 14, '"zzzzzzzz"'),
    "cmd of a wrong type": ('{"cmd":5}', 8, '"cmd"'),
    "cmd of null": ('{"cmd":null}', 8, '"cmd"'),
    "an argument of a wrong type": ('{"cmd":["a",1]}', 13, "string"),
    "empty cmd": ('{"cmd":[]}', 8, "empty"),
    "empty program": ('{"cmd":["","a"]}', 9, "empty"),
    "empty string cmd": ('{"cmd":""}', 8, "empty"),
    "args with cmd": ('{"cmd":["a"],"args":{}}', 14, '"args"'),
    "env with type": ('{"type":"noop","env":{}}', 16, '"env"'),
    "cwd with type": ('{"type":"noop","cwd":"/"}', 16, '"cwd"'),
    "stdin with type": ('{"type":"noop","stdin":""}', 16, '"stdin"'),
    "type of a wrong type": ('{"type":["noop"]}', 9, '"type"'),
    "empty type": ('{"type":""}', 9, '"type"'),
    "env is no object": ('{"cmd":["a"],"env":["A=1"]}', 20, '"env"'),
    "env with a number": ('{"cmd":["a"],"env":{"A":1}}', 25, "string"),
    "env with = in a name": ('{"cmd":["a"],"env":{"A=B":"c"}}', 21, "="),
    "env with an empty name": ('{"cmd":["a"],"env":{"":"c"}}', 21, "empty"),
    "cwd of a wrong type": ('{"cmd":["a"],"cwd":1}', 20, '"cwd"'),
    "stdin of a wrong type": ('{"cmd":["a"],"stdin":{}}', 22, '"stdin"'),
    "priority as text": ('{"cmd":["a"],"priority":"1"}', 25, '"priority"'),
    "priority with a fraction": ('{"cmd":["a"],"priority":1.5}', 25, '"priority"'),
    "priority beyond 32 bits": ('{"cmd":["a"],"priority":2147483648}', 25, "2147483647"),
    "negative retries": ('{"cmd":["a"],"retries":-1}', 24, '"retries"'),
    "huge retries": ('{"cmd":["a"],"retries":99999999999}', 24, '"retries"'),
    "negative timeout": ('{"cmd":["a"],"timeout":-1}', 24, '"timeout"'),
    "huge timeout": ('{"cmd":["a"],"timeout":1e300}', 24, '"timeout"'),
    "no duration": ('{"cmd":["a"],"timeout":"5 apples"}', 24, '"timeout"'),
    "slots of none": ('{"cmd":["a"],"slots":0}', 22, '"slots"'),
    "slots negative": ('{"cmd":["a"],"slots":-4}', 22, '"slots"'),
    "slots true": ('{"cmd":["a"],"slots":true}', 22, '"slots"'),
    "labels as text": ('{"cmd":["a"],"labels":"gpu"}', 23, '"labels"'),
    "label as a number": ('{"cmd":["a"],"labels":[1]}', 24, "label"),
    "empty id": ('{"cmd":["a"],"id":""}', 19, '"id"'),
    "id of a wrong type": ('{"cmd":["a"],"id":7}', 19, '"id"'),
    "id of 257 bytes": ('{"cmd":["a"],"id":"' + "x" * 257 + '"}', 19, "256"),
    "duplicate key": ('{"cmd":["a"],"cmd":["b"]}', 14, "twice"),
    "duplicate key, one escaped": (r'{"cmd":["a"],"id":"1","\u0069d":"2"}', 23, "twice"),
    "NUL in an argument": (r'{"cmd":["a","b\u0000c"]}', 13, "NUL"),
    "NUL in a shell command": (r'{"cmd":"echo \u0000"}', 8, "NUL"),
    "NUL in env": (r'{"cmd":["a"],"env":{"A":"\u0000"}}', 25, "NUL"),
    "NUL in cwd": (r'{"cmd":["a"],"cwd":"/\u0000"}', 20, "NUL"),
    "too deep": ('{"type":"echo","args":' + "[" * 65 + "]" * 65 + "}", None, "64"),
    "two objects": ('{"cmd":["a"]} {"cmd":["b"]}', 15, "one object"),
    "text after it": ('{"cmd":["a"]} # comment', 15, "after"),
    "control character in a string": ('{"cmd":["a\x01b"]}', 11, "control"),
    "bad escape": (r'{"cmd":["\q"]}', 10, "escape"),
    "single quotes": ("{'cmd':['a']}", 2, "quote"),
}


class BadLines(CliTest):
    def assert_refused(self, finished, line, column, word):
        place = re.match(r"^bad\.jsonl:(\d+):(\d+): (.+)$", finished.err.splitlines()[0])
        self.assertIsNotNone(place, finished.err)
        self.assertEqual(int(place[1]), line, finished.err)
        if column:
            self.assertEqual(int(place[2]), column, finished.err)
        self.assertIn(word.lower(), place[3].lower(), finished.err)
        self.assert_no_trace(finished)

    def test_each_is_refused_with_its_place_and_nothing_runs(self):
        for name, (text, column, word) in BAD_LINES.items():
            with self.subTest(name):
                finished = self.run_jobs(GOOD, text, GOOD, name="bad.jsonl", code=65)
                self.assert_refused(finished, 2, column, word)
                self.assertEqual(sorted(os.listdir(self.folder)), ["bad.jsonl"])

    def test_check_says_the_same_as_run(self):
        for name, (text, _, _) in BAD_LINES.items():
            with self.subTest(name):
                finished = self.run_jobs(GOOD, text, name="bad.jsonl", code=65)
                checked = self.dispatcher("check", "bad.jsonl")
                self.assertEqual((checked.code, checked.err), (65, finished.err))

    def test_each_is_a_result_from_a_pipe_and_the_rest_runs(self):
        lines = [entry[0] for entry in BAD_LINES.values()]
        text = "".join(f'{line}\n{{"type":"noop","id":"good {n}"}}\n' for n, line in enumerate(lines))
        finished, results = self.pipe_jobs(text, code=1)
        by_line = {result["line"]: result for result in results}
        self.assertEqual(len(by_line), 2 * len(lines))
        for n, (name, (_, column, word)) in enumerate(BAD_LINES.items()):
            with self.subTest(name):
                bad = by_line[2 * n + 1]
                self.assertEqual((bad["status"], bad["id"]), ("invalid", f"L{2 * n + 1}"))
                self.assertEqual(bad["error"]["kind"], "invalid")
                self.assertIn(word.lower(), bad["error"]["message"].lower())
                if column:
                    self.assertRegex(bad["error"]["message"], rf"\b{column}\b")
                self.assertEqual(by_line[2 * n + 2]["status"], "ok")
        self.assertIn(f"{len(lines)} invalid", finished.err)

    def test_invalid_utf8(self):
        self.write("bad.jsonl", GOOD.encode() + b"\n" + NO_UTF8 + b"\n")
        finished = self.dispatcher("run", "bad.jsonl")
        self.assertEqual(finished.code, 65, str(finished))
        self.assert_refused(finished, 2, 12, "UTF-8")
        _, results = self.pipe_jobs(NO_UTF8 + b'\n{"type":"noop"}\n', code=1)
        self.assertEqual({result["id"]: result["status"] for result in results}, {"L1": "invalid", "L2": "ok"})

    def test_json_of_another_shape_is_named_and_not_run(self):
        objects = [{"cmd": ["touch", "ran"]}, {"cmd": "touch ran"}]
        texts = {"array": json.dumps(objects), "indented array": json.dumps(objects, indent=2),
                 "indented": "".join(json.dumps(job, indent=4) + "\n" for job in objects)}
        for name, text in texts.items():
            for file in ("bad.json", "bad.txt", "bad.jsonl", "bad"):
                with self.subTest(f"{name} in {file}"):
                    finished = self.run_jobs(f"\ufeff\n{text}\n".encode(), name=file, code=65)
                    advice = "jq -c ." if name == "indented" else "jq -c '.[]'"
                    self.assertRegex(finished.err, rf"^{re.escape(file)}:2:1: this [^\n]*JSON[^\n]*{re.escape(advice)}[^\n]*\n$")
                    self.assert_no_trace(finished)
                    for command in (("check", file), ("verify", file, "r.jsonl")):
                        other = self.dispatcher(*command)
                        self.assertEqual((other.code, other.err), (65, finished.err))
                    os.unlink(self.folder / file)

    def test_json_lines_of_another_ending_are_not_run_as_shell_commands(self):
        finished = self.run_jobs(GOOD, GOOD, name="bad.json", code=65)
        self.assertRegex(finished.err, r"^bad.json:1:1: this is JSON[^\n]*--format jsonl[^\n]*\n$")
        self.assert_no_trace(finished)
        self.assertEqual(self.run_jobs(GOOD, name="bad.json", flags=("--format", "jsonl", "--overwrite")).code, 0)
        os.unlink(self.folder / "ran")
        # Of any other name the first job tells, and a line among others of another kind is refused.
        self.assertEqual(self.run_jobs(GOOD, name="good.txt").code, 0)
        os.unlink(self.folder / "ran")
        for text in (b"true\n" + GOOD.encode() + b"\n", b"# x\ntrue\n [1]\n"):
            finished = self.run_jobs(text, name="mixed.txt", code=65)
            self.assertIn("as JSON does, among shell commands: say --format lines", finished.err)
            self.assert_no_trace(finished)

    def test_other_encodings_of_a_whole_file(self):
        for encoding in ("utf-16", "utf-32"):
            finished = self.run_jobs(jsonl(GOOD, GOOD).encode(encoding), name="bad.jsonl", code=65)
            self.assertTrue(finished.err.startswith("bad.jsonl:1:1: "), finished.err)

    def test_duplicate_id_names_both_lines(self):
        finished = self.run_jobs('{"cmd":["a"],"id":"x"}', GOOD, '{"cmd":["b"],"id":"x"}', name="bad.jsonl", code=65)
        self.assert_refused(finished, 3, None, '"x"')
        self.assertRegex(finished.err, r"line 1\b")

    def test_duplicate_of_a_default_id(self):
        # The id of a job without one is made from it; taken by another, that other's line is at fault.
        spec = "385bb00ad9936907bb3342b79c51cb85"
        for lines in (('{"cmd":["true"]}', '{"cmd":["false"],"id":"%s"}' % spec),
                      ('{"cmd":["false"],"id":"%s"}' % spec, '{"cmd":["true"]}'),
                      ('{"cmd":["true"]}', '{"cmd":["true"]}', '{"cmd":["false"],"id":"%s#2"}' % spec)):
            finished = self.run_jobs(*lines, name="bad.jsonl", code=None)
            self.assertEqual(finished.code, 65, str(finished))

    def test_ids_equal_only_after_unescaping(self):
        finished = self.run_jobs('{"cmd":["a"],"id":"\\u0061"}', '{"cmd":["b"],"id":"a"}', name="bad.jsonl", code=65)
        self.assert_refused(finished, 2, None, "line 1")

    def test_at_most_20_errors_are_shown(self):
        finished = self.run_jobs(*["{}"] * 50, name="bad.jsonl", code=65)
        lines = finished.err.splitlines()
        self.assertEqual([line.split(":")[1] for line in lines[:20]], [str(n) for n in range(1, 21)])
        self.assertEqual(lines[20:], ["bad.jsonl: 30 more errors"])

    def test_no_blank_lines_in_what_is_said(self):
        finished = self.run_jobs("{}", name="bad.jsonl", code=65)
        self.assertNotIn("", finished.err.splitlines())

    def test_a_message_shows_no_raw_control_character(self):
        finished = self.run_jobs('{"cmd":["a"],"\\u001b[31m":1}', name="bad.jsonl", code=65)
        self.assertNotIn("\x1b", finished.err)

    def test_lines_format(self):
        self.write("bad.txt", b"true\n# a comment\n\necho \xff\n")
        finished = self.dispatcher("run", "bad.txt")
        self.assertEqual(finished.code, 65)
        self.assertTrue(finished.err.startswith("bad.txt:4:6: "), finished.err)
        self.write("bad.txt", b"true\necho \0\n")
        finished = self.dispatcher("check", "bad.txt")
        self.assertTrue(finished.code == 65 and finished.err.startswith("bad.txt:2:6: "), str(finished))
        self.write("bad.txt", "true\n" + ": " + "x" * 131_070 + "\n")
        finished = self.dispatcher("run", "bad.txt")
        self.assertTrue(finished.code == 65 and finished.err.startswith("bad.txt:2:"), str(finished))


class FineInput(CliTest):
    def test_blank_lines_bom_crlf_and_no_final_newline(self):
        text = b'\xef\xbb\xbf{"type":"noop","id":"1"}\r\n\r\n   \t\r\n\n{"type":"noop","id":"4"}\n  {"type" : "noop","id":"5"}  '
        found = self.run_jobs(text, code=0).by_id
        self.assertEqual({key: found[key]["line"] for key in found}, {"1": 1, "4": 5, "5": 6})

    def test_the_same_from_a_pipe(self):
        text = b'\xef\xbb\xbf{"type":"noop","id":"1"}\r\n\r\n   \t\r\n\n{"type":"noop"}\n  {"type" : "noop","id":"5"}  '
        _, results = self.pipe_jobs(text, code=0)
        self.assertEqual({result["id"]: result["line"] for result in results}, {"1": 1, "L5": 5, "5": 6})

    def test_empty_files(self):
        for text in (b"", b"\n", b"\n\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
            finished = self.run_jobs(text, code=0)
            self.assertIn("0 ok of 0 jobs", finished.err)
            finished, results = self.pipe_jobs(text, code=0)
            self.assertEqual(results, [])
        self.write("empty.txt", b"# nothing\n\n")
        self.assertEqual(self.dispatcher("run", "empty.txt").code, 0)

    def test_limits_are_reached_exactly(self):
        depth = '{"type":"echo","args":' + "[" * 63 + "]" * 63 + "}"
        line = '{"type":"echo","args":"' + "x" * ((1 << 20) - 25) + '"}'
        self.assertEqual(len(line), 1 << 20)
        big = '{"type":"echo","args":[18446744073709551615,-9223372036854775808,1e308,0.1]}'
        found = self.run_jobs(depth, line, '{"type":"noop","id":"' + "i" * 256 + '"}', big, code=0).results
        values = {result["line"]: result["value"] for result in found}
        self.assertEqual(values[4], [18446744073709551615, -9223372036854775808, 1e308, 0.1])
        self.assertEqual(values[2], "x" * ((1 << 20) - 25))
        finished = self.run_jobs(line + " ", name="bad.jsonl", code=65)
        self.assertRegex(finished.err, r"^bad\.jsonl:1:\d+: .*(1 MiB|1048576)")
        self.assertEqual(self.run_jobs((line + "\r\n").encode(), name="crlf.jsonl").code, 0)

    def test_a_line_of_100_mb(self):
        self.write("bad.jsonl", b'{"cmd":["' + b"x" * 100_000_000 + b'"]}\n' + GOOD.encode() + b"\n")
        finished = self.call(["/usr/bin/time", "-f", "%M", DISPATCHER, "run", "bad.jsonl"])
        self.assertEqual(finished.code, 65, str(finished))
        self.assertRegex(finished.err, r"^bad\.jsonl:1:\d+: ")
        self.assertLess(len(finished.err), 2000)
        self.assertFalse((self.folder / "ran").exists())

    def test_a_line_of_100_mb_from_a_pipe_in_constant_memory(self):
        self.write("input", b'{"cmd":["' + b"x" * 100_000_000 + b'"]}\n{"type":"noop"}\n')
        command = 'cat input | /usr/bin/time -o peak -f %M "$0" run - -o -'
        finished = self.call(["bash", "-c", command, DISPATCHER])
        results = parse_results(finished.raw_out)
        self.assertEqual([(result["id"], result["status"]) for result in sorted(results, key=lambda r: r["line"])],
                         [("L1", "invalid"), ("L2", "ok")])
        peak = int((self.folder / "peak").read_text().splitlines()[-1])
        print(f"peak memory with a line of 100 MB: {peak // 1024} MiB")
        self.assertLess(peak, 64 * 1024)


class BadFiles(CliTest):
    def test_missing_file(self):
        finished = self.dispatcher("run", "nowhere.jsonl")
        self.assert_one_line_error(finished, 65, "nowhere.jsonl", "no such file")
        self.assert_one_line_error(self.dispatcher("check", "nowhere.jsonl"), 65, "nowhere.jsonl")

    def test_directory(self):
        (self.folder / "sub.jsonl").mkdir()
        for command in ("run", "check"):
            self.assert_one_line_error(self.dispatcher(command, "sub.jsonl"), 65, "sub.jsonl", "directory")
        self.assertEqual(os.listdir(self.folder), ["sub.jsonl"])

    def test_unreadable(self):
        path = self.write("secret.jsonl", GOOD)
        path.chmod(0)
        if os.getuid() == 0:  # root may read everything
            finished = self.call(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", DISPATCHER,
                                  "run", "secret.jsonl"])
        else:
            finished = self.dispatcher("run", "secret.jsonl")
        self.assert_one_line_error(finished, 65, "secret.jsonl", "Permission denied")

    def test_a_path_through_a_file_and_a_long_name(self):
        self.write("plain", "")
        self.assert_one_line_error(self.dispatcher("run", "plain/x.jsonl"), 65, "plain/x.jsonl")
        self.assert_one_line_error(self.dispatcher("run", "x" * 300 + ".jsonl"), 65)

    def test_unwritable_results(self):
        self.write("jobs.jsonl", GOOD)
        (self.folder / "sub").mkdir()
        for target in ("nowhere/results.jsonl", "sub", "/proc/results.jsonl"):
            finished = self.dispatcher("run", "jobs.jsonl", "-o", target)
            self.assert_one_line_error(finished, 74, target)
        self.assertNotIn("/proc does not exist", finished.err)
        os.symlink("nowhere/results.jsonl", self.folder / "link.jsonl")
        self.assert_one_line_error(self.dispatcher("run", "jobs.jsonl", "-o", "link.jsonl"), 74, "link.jsonl", "a link")
        self.assertFalse((self.folder / "ran").exists())

    def test_results_that_cannot_be_written_to(self):
        self.write("jobs.jsonl", GOOD)
        path = self.write("old.jsonl", b"")
        path.chmod(0o444)
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        if os.getuid() == 0:
            finished = self.call(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", DISPATCHER,
                                  "run", "jobs.jsonl", "-o", "old.jsonl"])
        else:
            finished = self.dispatcher("run", "jobs.jsonl", "-o", "old.jsonl")
        self.assert_one_line_error(finished, 74, "old.jsonl", "Permission denied")

    def test_jobs_changed_in_mid_run_is_65_and_resumable(self):
        lines = [{"cmd": "while [ ! -e go ]; do sleep 0.02; done", "id": "first", "priority": 1}]
        lines += [{"cmd": ["true"], "id": f"{n:04}"} for n in range(3000)]
        path = self.write("jobs.jsonl", jsonl(*lines))
        run = self.start_run("jobs.jsonl", "--local", "1")
        run.wait_for("results go to")
        text = path.read_text().replace('"true"', '"echo"')
        with open(path, "r+") as file:  # in place, as some editors do
            file.write(text)
        (self.folder / "go").touch()
        finished = run.finish()
        self.assertEqual(finished.code, 65, str(finished))
        self.assertIn("jobs.jsonl", finished.err)
        self.assertIn("changed", finished.err)
        again = self.dispatcher("run", "jobs.jsonl")
        self.assertEqual(again.code, 0, str(again))
        results = {result["id"]: result for result in parse_results((self.folder / "jobs.results.jsonl").read_bytes())}
        self.assertEqual(len(results), 3001)

    def test_a_small_jobs_file_changed_in_mid_run_is_65_too(self):
        """All its lines were read before the change; what ran is what the file held at first."""
        old = jsonl({"cmd": "touch began; while [ ! -e go ]; do sleep 0.02; done", "id": "first", "priority": 1},
                    {"cmd": ["echo", "old"], "id": "second"})
        changes = {"another line": (old.replace("old", "new"), 65), "one more line": (old + '{"type":"noop"}\n', 65),
                   "nothing left": ("", 65), "a bad line": (old + "{\n", 65),
                   "the same jobs": (old.replace('"cmd": ', '"cmd" :') + "\n", 0)}
        for name, (text, code) in changes.items():
            with self.subTest(name):
                path = self.write("jobs.jsonl", old)
                run = self.start_run("jobs.jsonl", "--local", "1", "--overwrite")
                wait_until("the first job", (self.folder / "began").exists)
                path.write_text(text)  # in place
                (self.folder / "go").touch()
                finished = run.finish()
                self.assertEqual(finished.code, code, str(finished))
                self.assertEqual("changed" in finished.err, code == 65, str(finished))
                results = {r["id"]: r for r in parse_results((self.folder / "jobs.results.jsonl").read_bytes())}
                self.assertEqual(results["second"]["stdout"], "old\n")
                for mark in ("began", "go"):
                    (self.folder / mark).unlink()


if __name__ == "__main__":
    unittest.main()
