#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""Jobs from stdin and from a FIFO: line by line, ids, duplicates, resume, formats, ends of the other side."""

import json
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, LIMIT, SLACK, CliTest, jsonl, parse_results, wait_until  # noqa: E402


class PingPong(CliTest):
    def start_pipe(self, *flags):
        return self.start_run("-", "-o", "-", *flags, stdin=subprocess.PIPE, bufsize=0)

    def test_a_line_is_answered_before_the_next_is_written(self):
        run = self.start_pipe()
        times = []
        for number in range(1, 41):
            began = time.monotonic()
            run.process.stdin.write(b'{"type":"echo","args":%d}\n' % number)
            result = json.loads(run.read_line())
            times.append(time.monotonic() - began)
            self.assertEqual((result["id"], result["value"]), (f"L{number}", number))
        run.process.stdin.close()
        self.assertEqual(run.process.wait(LIMIT), 0)
        times = sorted(times[1:])
        print(f"ping-pong: {times[len(times) // 2] * 1000:.1f} ms a line in the middle, {times[-1] * 1000:.1f} at most")
        self.assertLess(times[len(times) // 2], 0.05 * SLACK)

    def test_commands_ping_pong_too(self):
        run = self.start_pipe("--format", "lines")
        for number in range(10):
            run.process.stdin.write(b"echo %d\n" % number)
            self.assertEqual(json.loads(run.read_line())["stdout"], f"{number}\n")
        run.process.stdin.close()
        self.assertEqual(run.process.wait(LIMIT), 0)

    def test_a_bad_line_is_answered_at_once(self):
        run = self.start_pipe()
        for bad in (b"{}\n", b"rubbish\n"):
            run.process.stdin.write(bad)
            self.assertEqual(json.loads(run.read_line())["status"], "invalid")
        run.process.stdin.close()
        self.assertEqual(run.process.wait(LIMIT), 1)

    def test_the_reason_why_nothing_more_is_read_is_given_once(self):
        finished = self.dispatcher("run", "-", "-o", "-", "--format", "lines", stdin='{"cmd":["true"]}\n')
        self.assertEqual(finished.code, 65, str(finished))
        self.assertEqual(finished.err.count("this is JSON"), 1, finished.err)
        self.assertIn("stopped: the rest of the jobs cannot be read\n", finished.err)

    def test_half_a_line_waits_and_the_last_needs_no_newline(self):
        run = self.start_pipe()
        run.process.stdin.write(b'{"type":"echo",')
        run.wait_for("jobs from stdin")
        run.process.stdin.write(b'"args":1}')
        run.process.stdin.close()
        self.assertEqual(json.loads(run.read_line())["value"], 1)
        self.assertEqual(run.process.wait(LIMIT), 0)

    def test_a_failure_that_is_retried_does_not_hold_up_the_others(self):
        run = self.start_pipe("--local", "1")
        run.process.stdin.write(b'{"type":"fail","args":{"times":1},"retries":3,"id":"later"}\n{"type":"noop","id":"now"}\n')
        self.assertEqual([json.loads(run.read_line())["id"] for _ in range(2)], ["now", "later"])
        run.process.stdin.close()
        self.assertEqual(run.process.wait(LIMIT), 0)

    def test_a_large_value_comes_back_in_one_line(self):
        run = self.start_pipe()
        text = "v" * 1_000_000
        run.process.stdin.write(b'{"type":"echo","args":"%s"}\n' % text.encode())
        run.process.stdin.close()
        out = run.finish()
        self.assertEqual(parse_results(out.raw_out)[0]["value"], text)


class Ids(CliTest):
    def test_a_duplicate_of_an_open_job_is_invalid(self):
        lines = [{"cmd": "while [ ! -e go ]; do sleep 0.02; done", "id": "x"}, {"type": "noop", "id": "x"},
                 {"cmd": "touch go", "id": "y"}]
        _, results = self.pipe_jobs(jsonl(*lines), "--local", "2", code=1)
        by_id = {result["id"]: result for result in results}
        self.assertEqual({key: by_id[key]["status"] for key in by_id}, {"x": "ok", "L2": "invalid", "y": "ok"})
        self.assertEqual(by_id["L2"]["line"], 2)
        self.assertIn('"x"', by_id["L2"]["error"]["message"])

    def test_an_id_that_looks_like_a_later_line(self):
        # L2 is open when line 2, without an id, comes: one of them must go, and none may be lost or mixed up.
        lines = [{"cmd": "while [ ! -e go ]; do sleep 0.02; done", "id": "L2"}, {"cmd": "echo two"},
                 {"cmd": "touch go", "id": "y"}]
        finished, results = self.pipe_jobs(jsonl(*lines), "--local", "2")
        self.assertEqual(sorted(result["line"] for result in results), [1, 2, 3], str(finished))

    def test_a_finished_id_may_come_again(self):
        run = self.start_run("-", "-o", "-", stdin=subprocess.PIPE, bufsize=0)
        for number in range(3):
            run.process.stdin.write(b'{"type":"echo","args":%d,"id":"same"}\n' % number)
            result = json.loads(run.read_line())
            self.assertEqual((result["id"], result["status"], result["value"]), ("same", "ok", number))
        run.process.stdin.close()
        self.assertEqual(run.process.wait(LIMIT), 0)

    def test_a_repeated_id_is_invalid_beside_results_that_resume(self):
        # Whether its first job is recorded by then or still open: the next start would find two jobs of one id.
        for recorded in (True, False):
            with self.subTest(recorded=recorded):
                path = self.folder / f"{recorded}.jsonl"
                (self.folder / "go").unlink(missing_ok=True)
                run = self.start_run("-", "-o", path.name, "--durability", "os", stdin=subprocess.PIPE, bufsize=0)
                wait = "" if recorded else "while [ ! -e go ]; do sleep 0.02; done; "
                run.process.stdin.write(jsonl({"cmd": f"{wait}echo x >> ran", "id": "x"}).encode())
                if recorded:
                    wait_until("the record", lambda: path.exists() and b"\n" in path.read_bytes())
                run.process.stdin.write(jsonl({"cmd": "echo y >> ran", "id": "x"}).encode())
                wait_until("the second", lambda: path.exists() and path.read_bytes().count(b"\n") == 1 + recorded)
                (self.folder / "go").touch()
                run.process.stdin.close()
                self.assertEqual(run.finish().code, 1)
                results = {result["id"]: result for result in parse_results(path.read_bytes())}
                self.assertEqual({key: results[key]["status"] for key in results}, {"x": "ok", "L2": "invalid"})
                self.assertIn('"x" has come before', results["L2"]["error"]["message"])
        self.assertEqual((self.folder / "ran").read_text(), "x\nx\n")

    def test_a_bad_line_is_recorded_once_over_all_starts(self):
        # One job calls itself as the bad line is called, and one line is bad because its id has come before.
        lines = [jsonl({"cmd": "echo L3 >> ran", "id": "L3"}), "\n", "[oops]\n", jsonl({"type": "noop", "id": "x"}),
                 jsonl({"type": "echo", "id": "x"})]
        starts = [(lines, []), (lines, []), (lines, ["--retry-failed"]), (["\n", *lines], []), (lines[:4], [])]
        for number, (text, flags) in enumerate(starts):
            finished = self.dispatcher("run", "-", "-o", "r.jsonl", *flags, stdin="".join(text))
            self.assertEqual(finished.code, 1, str(finished))
            self.assertIn("1 invalid of 3 jobs" if number == 4 else "2 invalid of 4 jobs", finished.err)
            self.assertEqual("4 done before" in finished.err, 0 < number < 4, str(finished))
            results = parse_results((self.folder / "r.jsonl").read_bytes())
            self.assertEqual(sorted((result["id"], result["line"], result["status"]) for result in results),
                             [("L3", 1, "ok"), ("L3", 3, "invalid"), ("L5", 5, "invalid"), ("x", 4, "ok")])
            self.assertEqual({result["status"] for result in results if "digest" in result}, {"invalid"})
            self.assertEqual({result["status"] for result in results if "spec" in result}, {"ok"})
        self.assertEqual((self.folder / "ran").read_text(), "L3\n")
        # The same mistake once more is a line of its own.
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", stdin="".join([*lines, "[oops]\n"]))
        self.assertIn("3 invalid of 5 jobs (4 done before)", finished.err)
        self.assertEqual(len(parse_results((self.folder / "r.jsonl").read_bytes())), 5)

    def test_the_same_pipe_resumes_without_ids(self):
        # Known by their work, #2 for the same again: whatever their lines are now.
        jobs = [{"cmd": "echo a >> ran"}, {"cmd": "echo b >> ran"}, {"cmd": "echo a >> ran"}, {"type": "noop"}]
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", "--local", "1", stdin=jsonl(*jobs))
        self.assertEqual(finished.code, 0, str(finished))
        ids = [result["id"] for result in parse_results((self.folder / "r.jsonl").read_bytes())]
        self.assertEqual(len(set(ids)), 4)
        self.assertEqual(len([key for key in ids if key.endswith("#2")]), 1)
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", stdin="\n\n" + jsonl(*reversed(jobs)) + jsonl(jobs[0]))
        self.assertEqual(finished.code, 0, str(finished))
        self.assertIn("(4 done before)", finished.err)
        self.assertEqual((self.folder / "ran").read_text().split(), ["a", "b", "a", "a"])
        for text in ("echo a >> ran\n", "# again\necho a >> ran\r\n"):
            finished = self.dispatcher("run", "-", "-o", "s.jsonl", "--format", "lines", stdin=text)
            self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual(len((self.folder / "ran").read_text().split()), 5)
        # A file of the same jobs has the same ids.
        self.write("jobs.jsonl", jsonl(*jobs))
        by_file = self.dispatcher("run", "jobs.jsonl", "-o", "f.jsonl")
        self.assertEqual(by_file.code, 0, str(by_file))
        found = {result["id"] for result in parse_results((self.folder / "f.jsonl").read_bytes())}
        self.assertEqual(found, set(ids))

    def test_skips_what_results_held_at_the_start(self):
        first = jsonl({"cmd": "echo a >> ran", "id": "a"}, {"cmd": "echo L2 >> ran"}, {"cmd": "echo c >> ran", "id": "c"},
                      {"cmd": "false", "id": "no"}, "{}")
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", stdin=first)
        self.assertEqual(finished.code, 1, str(finished))
        # a and line 2 are as before, c is changed, d is new; the bad line never counts and is good now.
        second = jsonl({"cmd": "echo a >> ran", "id": "a"}, {"cmd": "echo L2 >> ran"}, {"cmd": "echo C >> ran", "id": "c"},
                       {"cmd": "false", "id": "no"}, {"cmd": "echo L5 >> ran"}, {"cmd": "echo d >> ran", "id": "d"})
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", stdin=second)
        self.assertEqual(finished.code, 1, str(finished))  # `no` is not ok, as before
        self.assertEqual(sorted((self.folder / "ran").read_text().split()), ["C", "L2", "L5", "a", "c", "d"])
        self.assertIn("3 done before", finished.err)
        self.assertEqual(len(parse_results((self.folder / "r.jsonl").read_bytes())), 8)
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", "--retry-failed", stdin=second)
        self.assertEqual(len(parse_results((self.folder / "r.jsonl").read_bytes())), 9)

    def test_complete_resume_of_a_stream(self):
        text = jsonl(*({"type": "noop", "id": str(n)} for n in range(500)))
        for expected in ("500 ok of 500 jobs", "(500 done before)"):
            finished = self.dispatcher("run", "-", "-o", "r.jsonl", stdin=text)
            self.assertEqual(finished.code, 0, str(finished))
            self.assertIn(expected, finished.err)
        self.assertEqual(len(parse_results((self.folder / "r.jsonl").read_bytes())), 500)


class Sources(CliTest):
    def test_without_results_what_jobs_write_is_printed(self):
        finished = self.dispatcher("run", "-", stdin="echo one; echo two >&2\n")
        self.assertEqual((finished.code, finished.out, finished.err), (0, "one\n", "two\n"))
        self.assertEqual(self.dispatcher("run", "/dev/null").code, 0)
        self.assertEqual([path.name for path in self.folder.iterdir()], [])

    def test_fifo_streams(self):
        os.mkfifo(self.folder / "fifo.jsonl")
        run = self.start_run("fifo.jsonl", "-o", "-", bufsize=0)
        with open(self.folder / "fifo.jsonl", "wb", buffering=0) as fifo:
            for number in range(3):
                fifo.write(b'{"type":"echo","args":%d}\n' % number)
                result = json.loads(run.read_line())
                self.assertEqual((result["id"], result["value"]), (f"L{number + 1}", number))
        self.assertEqual(run.process.wait(LIMIT), 0)

    def test_fifo_waits_for_its_writer_and_ctrl_c_ends_that(self):
        os.mkfifo(self.folder / "fifo")
        run = self.start_run("fifo", "-o", "r.jsonl")
        run.wait_for("jobs from fifo")
        self.assertIsNone(run.process.poll())
        run.process.send_signal(2)
        self.assertIn(run.process.wait(LIMIT), (0, 130))

    def test_shell_substitution(self):
        finished = self.call(["bash", "-c", f'"{DISPATCHER}" run <(echo \'{{"type":"noop"}}\') -o -'])
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual(parse_results(finished.raw_out)[0]["id"], "L1")

    def test_a_pipe_goes_on_under_any_path(self):
        # The shell gives <(…) the next free descriptor: what came out of it before is told by its ids.
        self.write("s.jsonl", jsonl({"cmd": "echo x >> ran", "id": "a"}))
        for number in (63, 62):
            hold = "" if number == 63 else "exec 63</dev/null; "
            finished = self.call(["bash", "-c", f'{hold}"{DISPATCHER}" run <(cat s.jsonl) -o r.jsonl'])
            self.assertEqual(finished.code, 0, str(finished))
        finished = self.dispatcher("run", "-", "-o", "r.jsonl", stdin=(self.folder / "s.jsonl").read_text())
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual((self.folder / "ran").read_text(), "x\n")
        # Results of a regular file are not a pipe's, whose ids nobody can look at beforehand.
        self.assertEqual(self.dispatcher("run", "s.jsonl", "-o", "regular.jsonl").code, 0)
        finished = self.dispatcher("run", "-", "-o", "regular.jsonl", stdin='{"type":"noop"}\n')
        self.assert_one_line_error(finished, 73, "s.jsonl", "before it is read", "--overwrite")

    def test_format_of_stdin(self):
        _, results = self.pipe_jobs("echo one\n# no\n\n  echo two\n", "--format", "lines", code=0)
        self.assertEqual({result["id"]: result["stdout"] for result in results}, {"L1": "one\n", "L4": "two\n"})
        # The first job tells.
        _, results = self.pipe_jobs("echo one\n", code=0)
        self.assertEqual(results[0]["stdout"], "one\n")
        _, results = self.pipe_jobs('{"cmd": "echo one"}\necho two\n', code=1)
        self.assertEqual(sorted(result["status"] for result in results), ["invalid", "ok"])
        refused = self.dispatcher("run", "-", "-o", "-", stdin='[{"cmd": "touch ran"}]\n')
        self.assertEqual((refused.code, refused.out), (65, ""), str(refused))
        self.assertIn("jq -c '.[]'", refused.err)

    def test_json_is_not_run_as_shell_commands(self):
        for text in (jsonl({"cmd": "touch ran"}) * 3, json.dumps([{"cmd": "touch ran"}], indent=2) + "\n",
                     "\n# jobs\n" + json.dumps({"cmd": "touch ran"}, indent=2)):
            finished = self.dispatcher("run", "-", "-o", "-", "--format", "lines", stdin=text)
            self.assertEqual((finished.code, finished.out), (65, ""), str(finished))
            self.assertIn("JSON", finished.err)
            self.assertIn("--format jsonl", finished.err)
        _, results = self.pipe_jobs('{ "echo" : ; }\n[ -f x ] || echo y\n{ echo a; echo b; }\n', "--format", "lines", code=0)
        self.assertEqual([r["stdout"] for r in sorted(results, key=lambda r: r["line"])], [":\n", "y\n", "a\nb\n"])

    def test_lines_from_a_regular_file_as_stdin(self):
        path = self.write("jobs.jsonl", '{"type":"noop"}\n{}\n')
        with open(path, "rb") as file:
            finished = self.dispatcher("run", "-", "-o", "-", stdin=file.fileno())
        self.assertEqual([result["status"] for result in sorted(parse_results(finished.raw_out), key=lambda r: r["line"])],
                         ["ok", "invalid"])

    def test_other_names_of_stdin_and_stdout(self):
        self.write("jobs.jsonl", '{"type":"echo","args":1}\n')
        for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
            with open(self.folder / "jobs.jsonl") as jobs:
                finished = self.dispatcher("run", name, "-o", "/dev/stdout", stdin=jobs.fileno())
            self.assertEqual(finished.code, 0, str(finished))
            self.assertEqual(json.loads(finished.out)["id"], "L1")
        self.assertEqual(self.dispatcher("run", "/dev/stdin").code, 0)

    def test_stdin_that_cannot_be_read(self):
        for command in ("run - -o r.jsonl", "run - -o -", "check -", "run /dev/stdin -o -"):
            for redirected in ("<&-", "0>/dev/null", "0>>out", "</"):
                with self.subTest(command=command, redirected=redirected):
                    finished = self.call(["bash", "-c", f'"{DISPATCHER}" {command} {redirected}'])
                    word = "directory" if redirected == "</" else "closed"
                    self.assert_one_line_error(finished, 65, "stdin", word)
                    self.assertFalse((self.folder / "r.jsonl").exists())
        self.pipe_jobs("", code=0)  # empty is not closed

    def test_check_takes_stdin_or_says_why_not(self):
        finished = self.dispatcher("check", "-", stdin='{"cmd":["true"]}\n')
        self.assertIn(finished.code, (0, 65), str(finished))
        finished = self.dispatcher("check", "-", stdin='{"cmd":["true"]}\n{}\n')
        self.assertEqual(finished.code, 65, str(finished))
        self.assertTrue(finished.err.startswith("stdin:2:1: "), finished.err)

    def test_an_endless_stream_in_constant_memory(self):
        # 300,000 lines through a window of 10,000: the reader waits for the jobs, not the jobs for the reader.
        text = "".join('{"type":"noop","id":"%d"}\n' % n for n in range(300_000))
        self.write("input", text)
        command = f'cat input | /usr/bin/time -o peak -f %M "{DISPATCHER}" run - -o out --durability os'
        finished = self.call(["bash", "-c", command], limit=200)
        self.assertEqual(finished.code, 0, str(finished))
        with open(self.folder / "out", "rb") as out:
            self.assertEqual(sum(1 for _ in out), 300_000)
        peak = int((self.folder / "peak").read_text().splitlines()[-1])
        print(f"peak memory of 300,000 lines from a pipe: {peak // 1024} MiB")
        self.assertLess(peak, 150 * 1024)

    def test_producer_that_dies_in_the_middle_of_a_line(self):
        finished = self.call(["bash", "-c", f'printf \'{{"type":"noop"}}\\n{{"type":"no\' | "{DISPATCHER}" run - -o -'])
        self.assertEqual(finished.code, 1)
        self.assertEqual({result["id"]: result["status"] for result in parse_results(finished.raw_out)},
                         {"L1": "ok", "L2": "invalid"})

    def test_reader_that_goes_away_is_74(self):
        # Each result is more than a pipe holds, so that writing fails while jobs are left.
        lines = jsonl(*({"cmd": "head -c 60000 /dev/zero | tr '\\0' x; echo >> ran", "id": str(n)} for n in range(200)))
        self.write("jobs.jsonl", lines)
        run = self.start_run("jobs.jsonl", "-o", "-", bufsize=0)
        run.read_line()
        run.process.stdout.close()
        self.assertEqual(run.process.wait(LIMIT), 74, run.err)
        self.assertIn("Broken pipe", run.err)
        ran = (self.folder / "ran").stat().st_size
        self.assertLess(ran, 200)

    def test_dev_full_is_74(self):
        self.write("jobs.jsonl", jsonl(*({"type": "noop", "id": str(n)} for n in range(20))))
        finished = self.dispatcher("run", "jobs.jsonl", "-o", "/dev/full")
        self.assertEqual(finished.code, 74, str(finished))
        self.assertIn("No space left", finished.err)
        self.assertFalse((self.folder / "dev/full.state").exists())

    def test_no_state_beside_what_is_no_regular_file(self):
        self.write("jobs.jsonl", jsonl({"type": "noop"}))
        os.mkfifo(self.folder / "out")
        reader = self.start("cat", "out")
        for target in ("-", "/dev/null", "out"):
            self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", target).code, 0)
        self.assertEqual(len(parse_results(reader.finish().raw_out)), 1)
        self.assertEqual(sorted(name for name in os.listdir(self.folder) if not name.startswith("stderr")),
                         ["jobs.jsonl", "out"])

    def test_a_blocked_stdout_holds_dispatching_and_loses_nothing(self):
        lines = jsonl(*({"cmd": "head -c 60000 /dev/zero | tr '\\0' x; echo >> ran", "id": str(n)} for n in range(600)))
        self.write("jobs.jsonl", lines)
        run = self.start_run("jobs.jsonl", "-o", "-")
        ran = self.folder / "ran"
        wait_until("the first jobs", lambda: ran.exists() and ran.stat().st_size > 0)
        sizes = []

        def stopped():
            sizes.append(ran.stat().st_size)
            return len(sizes) > 100 and sizes[-1] == sizes[-100]
        wait_until("dispatching to pause", stopped)
        self.assertLess(sizes[-1], 600)
        finished = run.finish()
        self.assertEqual(finished.code, 0, finished.err)
        self.assertEqual(len(parse_results(finished.raw_out)), 600)
        print(f"blocked stdout: {sizes[-1]} jobs of 60 kB ran before it paused")


if __name__ == "__main__":
    unittest.main()
