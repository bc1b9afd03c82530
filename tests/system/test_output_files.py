#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Files for what jobs print ("stdout", "stderr"), who checks and shows them, and what is kept of captured output."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import CliTest, jsonl, wait_until  # noqa: E402

LARGE = 40 << 20  # beyond what is captured at most


class OutputFiles(CliTest):
    def read(self, name):
        return (self.folder / name).read_text()

    def files(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()
                      and not path.name.startswith(("jobs", "stderr")))

    def test_a_job_does_not_replace_the_files_of_its_run(self):
        for name in ("jobs.jsonl", "jobs.results.jsonl"):
            finished = self.run_jobs({"id": "first", "cmd": "echo one"}, {"id": "bad", "cmd": "echo two", "stdout": name},
                                     {"id": "last", "cmd": "echo three"}, flags=("-j", "1", "--overwrite"), code=1)
            results = finished.by_id
            self.assertEqual({name: result["status"] for name, result in results.items()},
                             {"first": "ok", "bad": "failed", "last": "ok"})
            self.assertIn("a program has it locked", results["bad"]["error"]["message"])

    def test_paths_sizes_and_digests(self):
        (self.folder / "sub").mkdir()
        finished = self.run_jobs({"cmd": "echo out; echo err >&2", "id": "a b", "stdout": "o/{id}/{line}.{attempt}.{{", "stderr": "e.{line}"},
                                 {"cmd": "echo sub", "cwd": "sub", "stdout": "../{line}"},
                                 {"cmd": ["true"], "stdout": str(self.folder / "empty")})
        by_line = {result["line"]: result for result in finished.results}
        root = self.folder.resolve()
        self.assertEqual(by_line[1]["stdout"]["file"], f"{root}/o/a b/1.1.{{")
        self.assertEqual((by_line[1]["stdout"]["bytes"], by_line[1]["stderr"]["bytes"]), (4, 4))
        self.assertEqual(by_line[2]["stdout"]["file"], f"{root}/2")
        self.assertEqual(by_line[2]["stderr"], "", "what is not for a file is captured as ever")
        self.assertEqual(by_line[3]["stdout"]["bytes"], 0)
        self.assertEqual(self.files(), ["2", "e.1", "empty", "o/a b/1.1.{"])
        self.assertEqual((self.read("o/a b/1.1.{"), self.read("e.1"), self.read("2")), ("out\n", "err\n", "sub\n"))
        if shutil.which("xxhsum"):
            said = subprocess.run(["xxhsum", "-H128", self.folder / "2"], capture_output=True, check=True).stdout
            self.assertEqual(said.split()[0].decode(), by_line[2]["stdout"]["xxh128"])

    def test_unlimited_verified_and_shown(self):
        script = f"import sys; sys.stdout.write('0123456789abcde\\n' * {LARGE // 16}); print('small', file=sys.stderr)"
        self.run_jobs({"cmd": ["/usr/bin/python3", "-c", script], "stdout": "large"}, {"cmd": "echo two"},
                      {"cmd": "echo three", "stdout": "three"})
        shown = self.dispatcher("show", "jobs.results.jsonl", "--stdout")
        self.assertEqual(shown.err, "")
        self.assertEqual(hashlib.md5(shown.raw_out).digest(),
                         hashlib.md5((self.folder / "large").read_bytes() + b"two\nthree\n").digest())
        tagged = self.dispatcher("show", "jobs.results.jsonl", "--stdout", "--tag", ":2-3").out
        self.assertEqual(tagged, "2\ttwo\n3\tthree\n")
        self.assertIn(f",{self.folder.resolve()}/three\r\n", self.dispatcher("show", "jobs.results.jsonl", "--csv", "--stdout").out)
        head = subprocess.run("workpool-dispatcher show jobs.results.jsonl --stdout | head -c 16", shell=True, cwd=self.folder,
                              env={**os.environ, "PATH": f"{os.environ['WORKPOOL_BIN']}:{os.environ['PATH']}"}, capture_output=True, check=True)
        self.assertEqual((head.stdout, head.stderr), (b"0123456789abcde\n", b""))
        verified = self.dispatcher("verify", "--files", "jobs.jsonl", "jobs.results.jsonl")
        self.assertEqual(verified.code, 0, str(verified))
        self.assertIn(f"files: 2 of 2 as their results say, {LARGE + 6} bytes in all", verified.out)

    def test_files_that_are_gone_or_changed(self):
        self.run_jobs(*({"cmd": f"echo {i}", "stdout": f"f{i}", "stderr": f"f{i}"} for i in range(1, 5)))
        (self.folder / "f1").unlink()
        (self.folder / "f2").write_text("22\n")
        (self.folder / "f3").write_text("x\n")
        verified = self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl")
        self.assertEqual(verified.code, 0, "without --files only results are looked at")
        verified = self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl", "--files")
        self.assertEqual(verified.code, 1)
        root = self.folder.resolve()
        self.assertIn("files: 1 of 4 as their results say, 8 bytes in all", verified.out)
        for line in (f"bad file: stdout of line 1 in {root}/f1 (worker local): No such file or directory",
                     f"bad file: stdout of line 2 in {root}/f2 (worker local): has 3 bytes instead of 2",
                     f"bad file: stdout of line 3 in {root}/f3 (worker local): has another content"):
            self.assertIn(line.replace("worker local", "worker " + self.worker_name()), verified.out)
        shown = self.dispatcher("show", "jobs.results.jsonl", "--stdout")
        self.assertEqual((shown.code, shown.out), (1, "x\n4\n"))
        for line in (f"the stdout of the job of line 1 is in {root}/f1 on worker {self.worker_name()}; here: No such file or directory",
                     f"the stdout of the job of line 2 is in {root}/f2 on worker {self.worker_name()}; here: has 3 bytes instead of 2",
                     f"the stdout of the job of line 3 is in {root}/f3 on worker {self.worker_name()}; here: has another content"):
            self.assertIn(line, shown.err)

    def test_no_more_is_shown_than_the_result_says(self):
        self.run_jobs({"cmd": "true", "stdout": "o"})
        results = self.folder / "jobs.results.jsonl"
        result = json.loads(results.read_text())
        for path, why in (("/proc/self/status", "has another content"), ("o", "gives no absolute path")):
            result["stdout"] = {**result["stdout"], "file": path, "xxh128": "0" * 32}
            result.pop("crc", None)
            (self.folder / "claimed.jsonl").write_text(self.with_crc(result))
            shown = self.dispatcher("show", "claimed.jsonl", "--stdout")
            self.assertEqual((shown.code, shown.out), (1, ""))
            self.assertIn(why, shown.err)

    @staticmethod
    def with_crc(result):
        text = json.dumps(result, separators=(",", ":"))[:-1]
        return f'{text},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'

    def worker_name(self):
        return json.loads((self.folder / "jobs.results.jsonl").read_text().splitlines()[0])["worker"]

    def test_whatever_ends_an_attempt_its_file_is_whole(self):
        finished = self.run_jobs({"cmd": "echo $WORKPOOL_ATTEMPT; test $WORKPOOL_ATTEMPT = 2", "stdout": "r", "retries": 1},
                                 {"cmd": "echo no; exit 1", "stdout": "f"}, {"cmd": "echo late; sleep 100", "stdout": "t", "timeout": "500ms"},
                                 {"cmd": "echo dead; kill -9 $$", "stdout": "k"}, code=1)
        self.assertEqual([self.read(name) for name in "rftk"], ["2\n", "no\n", "late\n", "dead\n"])
        self.assertTrue(all("file" in result["stdout"] for result in finished.results), finished.results)

    def test_a_killed_worker_leaves_no_file_in_place(self):
        self.write("jobs.jsonl", jsonl({"cmd": "echo begun; sleep 100", "stdout": "o"}))
        run = self.start_run("jobs.jsonl", "--local", "1")
        wait_until("the file beside its place", lambda: [path for path in self.folder.glob(".o.*.part") if path.read_text() == "begun\n"])
        run.process.send_signal(signal.SIGINT)
        run.wait_for("Ctrl-C")
        run.process.send_signal(signal.SIGINT)
        self.assertEqual(run.finish().code, 130)
        wait_until("the removal of the file", lambda: not list(self.folder.glob(".o.*")))
        self.assertFalse((self.folder / "o").exists())

    def test_what_is_in_the_way_fails_the_job(self):
        (self.folder / "d").mkdir()
        (self.folder / "f").write_text("")
        finished = self.run_jobs({"cmd": "echo x", "stdout": "d"}, {"cmd": "echo x", "stdout": "f/o"}, {"cmd": "echo x", "stderr": "/dev/null"}, code=1)
        messages = {result["line"]: result["error"] for result in finished.results}
        self.assertEqual({error["kind"] for error in messages.values()}, {"spawn"})
        self.assertEqual(messages[1]["message"], "cannot write its output to d: it is a folder")
        self.assertEqual(messages[2]["message"], "cannot write its output to f/o: Not a directory")
        self.assertIn("/dev/null: it is no regular file", messages[3]["message"])

    def test_bad_paths_are_errors_of_the_jobs_file(self):
        for path, word in (("", "empty"), ("a/", "ends in `/`"), ("{}", "begins none of {id}, {line} and {attempt}"), (7, "must be a string")):
            self.write("jobs.jsonl", jsonl({"cmd": "x", "stdout": path}))
            finished = self.dispatcher("check", "jobs.jsonl")
            self.assertEqual(finished.code, 65)
            self.assertIn(word, finished.err)
        self.write("jobs.jsonl", jsonl({"type": "noop", "stdout": "x"}))
        self.assertIn('"stdout" belongs to "cmd"', self.dispatcher("check", "jobs.jsonl").err)
        self.write("jobs.jsonl", jsonl({"defaults": {"stderr": "same"}}, {"cmd": "x"}))
        self.assertIn("jobs.jsonl:1:25: \"stderr\" is the same file for every job: put {id} or {line} into it",
                      self.dispatcher("check", "jobs.jsonl").err)
        self.assertIn("is the same file for every job", self.dispatcher("run", "jobs.jsonl", "--stdout", "o.{attempt}").err)

    def test_they_are_no_part_of_the_work(self):
        plain = self.run_jobs({"cmd": ["true"]}).only["id"]
        with_file = self.run_jobs({"cmd": ["true"], "stdout": "o", "stderr": "e"})
        self.assertIn("1 done before", with_file.err)
        self.assertEqual(with_file.only["id"], plain)

    def test_flags_of_run_and_the_first_line(self):
        self.run_jobs({"defaults": {"stdout": "first/{line}"}}, {"cmd": "echo a"}, {"cmd": "echo b", "stdout": "own"},
                      flags=["--stderr", "err/{line}"])
        self.assertEqual(self.files(), ["err/2", "err/3", "first/2", "own"])
        self.write("jobs.txt", "echo line\n")
        self.assertEqual(self.dispatcher("run", "jobs.txt", "--stdout", "{id}", "-o", "/dev/null").code, 0)

    def test_each_puts_values_into_them(self):
        finished = self.dispatcher("each", "--stdout", "o/{1/.}-{2}.{attempt}", "--stderr", "e{#}{{{line}", "--shell", "echo {1}; echo {2} >&2",
                                   ":::", "a/b.txt", "c{d", ":::", "1")
        self.assertEqual((finished.code, finished.out, finished.err), (0, "", ""))
        self.assertEqual(self.files(), ["e1{1", "e2{2", "o/b-1.1", "o/c{d-1.1"])
        self.assertEqual(self.read("o/b-1.1"), "a/b.txt\n")
        for path, word in (("same", "the same file for every job"), ("{foo}", "unknown placeholder"), ("", "empty")):
            refused = self.dispatcher("each", "--stdout", path, "echo", ":::", "1")
            self.assertEqual(refused.code, 2, path)
            self.assertIn(word, refused.err)

    def test_a_column_goes_before_a_placeholder_of_that_name(self):
        self.write("p.csv", "id,n\nfirst,1\nsecond,2\n")
        finished = self.dispatcher("each", "--csv", "p.csv", "--stdout", "out/{id}.txt", "echo", "{id}")
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertEqual((self.read("out/first.txt"), self.read("out/second.txt")), ("first\n", "second\n"))

    def test_a_file_that_is_spelled_in_two_ways_has_both_streams(self):
        finished = self.run_jobs({"cmd": "echo OUT; echo ERR >&2", "stdout": "o/a", "stderr": "./o/a"})
        self.assertEqual(self.read("o/a"), "OUT\nERR\n")
        self.assertEqual(finished.only["stdout"], finished.only["stderr"])

    def test_a_full_disk_is_what_the_command_sees(self):
        mounted = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0
        if not mounted:
            self.skipTest("no namespaces here")
        (self.folder / "small").mkdir()
        self.write("jobs.jsonl", jsonl({"cmd": ["head", "-c", "200000", "/dev/zero"], "stdout": "small/o"}, {"cmd": ["true"], "stdout": "small/p"}))
        finished = self.call(["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs small && exec workpool-dispatcher run jobs.jsonl --local 1"])
        if "mount" in finished.err:
            self.skipTest(finished.err)
        finished.results_path = self.folder / "jobs.results.jsonl"
        by_line = {result["line"]: result for result in finished.results}
        self.assertEqual(by_line[1]["error"]["kind"], "exit")
        self.assertIn("No space left", by_line[1]["stderr"])
        self.assertLessEqual(by_line[1]["stdout"]["bytes"], 65536)


class Captured(CliTest):
    def test_only_failures(self):
        jobs = [{"cmd": "echo good", "id": "ok"}, {"cmd": "echo bad; exit 1", "id": "bad"}]
        finished = self.run_jobs(*jobs, flags=["--capture", "failed"], code=1)
        self.assertNotIn("stdout", finished.by_id["ok"])
        self.assertNotIn("stderr", finished.by_id["ok"])
        self.assertEqual(finished.by_id["bad"]["stdout"], "bad\n")
        small = self.run_jobs(*jobs, flags=["--capture", "failed:2", "--overwrite"], code=1)
        self.assertEqual(small.by_id["bad"]["stdout"], "b\n")
        self.assertNotIn("truncated", small.by_id["ok"], "nothing of it was wanted")
        for value in ("failed:", "failed:x", "failure", "17MiB"):
            self.assertEqual(self.dispatcher("run", "jobs.jsonl", "--capture", value).code, 2, value)

    def test_up_to_sixteen_mebibytes_and_what_the_end_says(self):
        jobs = [{"cmd": ["/usr/bin/python3", "-c", "import sys; sys.stdout.write('x' * (16 << 20)); sys.stderr.buffer.write(bytes(range(256)) * (1 << 16))"]},
                {"cmd": ["/usr/bin/python3", "-c", "import sys; sys.stdout.write('y' * ((16 << 20) + 3))"]}]
        finished = self.run_jobs(*jobs, flags=["--capture", "16MiB"])
        by_line = {result["line"]: result for result in finished.results}
        self.assertEqual(by_line[1]["stdout"], "x" * (16 << 20))
        self.assertEqual(len(by_line[1]["stderr_base64"]), (16 << 20) // 3 * 4 + 4)
        self.assertEqual(by_line[2]["truncated"], 3)
        self.assertIn("the output of 1 job was cut: to have all of it, run again (--overwrite) with files for it", finished.err)
        self.assertIn("done: 2 ok", finished.err)
        again = self.dispatcher("run", "jobs.jsonl", "--capture", "16MiB")
        self.assertIn("2 done before", again.err)
        self.assertNotIn("was cut", again.err)

    def test_each_prints_what_is_large_as_a_whole(self):
        size = 16 << 20
        finished = self.dispatcher("each", "-j", "2", "/usr/bin/python3", "-c", f"import sys; sys.stdout.write(sys.argv[1] * {size})",
                                   ":::", "a", "b", "c")
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertEqual(sorted(finished.raw_out[i * size:(i + 1) * size] for i in range(3)), [letter * size for letter in (b"a", b"b", b"c")])
        cut = self.dispatcher("each", "/usr/bin/python3", "-c", f"import sys; sys.stdout.write(sys.argv[1] * ({size} + 5))", ":::", "a")
        self.assertEqual(len(cut.raw_out), size)
        self.assertIn("5 bytes of its output are missing", cut.err)
        piped = self.dispatcher("run", "-", stdin="head -c 300000 /dev/zero\n")
        self.assertEqual((len(piped.raw_out), piped.err), (300000, ""), "a pipe prints as each does")


if __name__ == "__main__":
    unittest.main()
