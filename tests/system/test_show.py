#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""`show`: what jobs printed and how they ended, from the results of real runs."""

import csv
import io
import json
import os
import subprocess
import sys
import time
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, CliTest, Terminal, clean_environment, free_port, jsonl, wait_until  # noqa: E402
from workpool_testing import figure  # noqa: E402

RESULTS = "jobs.results.jsonl"
MILLION = 1_000_000


def with_crc(members):
    """A result line of these members, as a later version may write it."""
    body = json.dumps(members, separators=(",", ":"))[:-1].encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def rows_of(finished):
    return [line.split("\t") for line in finished.out.splitlines()]


class ShowTest(CliTest):
    def show(self, *arguments, code=0, results=RESULTS, **options):
        finished = self.dispatcher("show", results, *arguments, **options)
        if code is not None:
            self.assertEqual(finished.code, code, str(finished))
            self.assert_no_trace(finished)
        return finished

    def quietly(self, *arguments, **options):
        finished = self.show(*arguments, **options)
        self.assertEqual(finished.err, "")
        return finished


class AfterARun(ShowTest):
    def setUp(self):
        super().setUp()
        self.run_jobs({"cmd": ["printf", "one\ntwo"]},
                      {"cmd": "echo oh no >&2; exit 3", "id": "broken"},
                      {"cmd": "kill -9 $$", "id": "killed"},
                      {"type": "sha256", "args": {"text": "hello"}},
                      {"cmd": ["sleep", "60"], "timeout": 0.2, "id": "slow\n\x1b[31m"},
                      {"cmd": ["printf", "a\\377b\\n"], "id": "bytes"},
                      {"cmd": ["workpool-no-such-program", "x y"]}, code=1)

    def test_a_row_for_each_job_in_the_order_of_the_jobs_file(self):
        rows = rows_of(self.quietly())
        self.assertEqual([row[:4] for row in rows],
                         [["1", "-", "ok", "0"], ["2", "broken", "failed", "3"], ["3", "killed", "failed", "SIGKILL"],
                          ["4", "-", "ok", "-"], ["5", "slow\\x0a\\x1b[31m", "timeout", "SIGTERM"],
                          ["6", "bytes", "ok", "0"], ["7", "-", "failed", "spawn"]])
        self.assertEqual([row[7].partition("  # ")[0] for row in rows],
                         ["printf 'one\\x0atwo'".replace("'one\\x0atwo'", "$'one\\x0atwo'"), "echo oh no >&2; exit 3",
                          "kill -9 $$", 'sha256 {"text":"hello"}', "sleep 60", "printf 'a\\377b\\n'",
                          "workpool-no-such-program 'x y'"])
        self.assertIn("workpool-no-such-program", rows[6][7].partition("  # ")[2])
        slow = rows[4]
        self.assertGreaterEqual(float(slow[4]), 0.2)
        self.assertEqual(slow[6], "1")
        self.assertTrue(all(row[5] == rows[0][5] != "-" for row in rows))

    def test_a_terminal_gets_a_header_and_rows_that_fit(self):
        terminal = Terminal(columns=60)
        self.addCleanup(terminal.close)
        process = subprocess.Popen([DISPATCHER, "show", RESULTS], cwd=self.folder, env=clean_environment(),
                                   stdin=subprocess.DEVNULL, stdout=terminal.slave, stderr=subprocess.PIPE)
        terminal.close_slave()
        lines = terminal.read_until(None).decode().replace("\r\n", "\n").splitlines()
        self.assertEqual((process.wait(), process.stderr.read()), (0, b""))
        process.stderr.close()
        self.assertEqual(lines[0].split(), ["LINE", "ID", "STATUS", "EXIT", "RUN", "TIME", "WORKER", "ATTEMPTS", "COMMAND"])
        self.assertEqual(len(lines), 8)
        column = lines[0].index("STATUS")
        self.assertEqual([line[column:].split()[0] for line in lines[1:]],
                         ["ok", "failed", "failed", "ok", "timeout", "ok", "failed"])

    def test_without_the_jobs_file(self):
        rows = rows_of(self.quietly("--no-jobs"))
        self.assertEqual([row[7] for row in rows[:6]], ["-"] * 6)
        self.assertTrue(rows[6][7].startswith("# "), rows[6])
        os.rename(self.folder / "jobs.jsonl", self.folder / "gone")
        gone = self.show()
        self.assertEqual(rows_of(gone), rows)
        self.assertIn("jobs.jsonl: no such file", gone.err)
        self.quietly("--stdout")
        os.unlink(self.folder / f"{RESULTS}.state")
        self.assertEqual(rows_of(self.quietly()), rows)

    def test_a_jobs_file_that_was_edited(self):
        jobs = (self.folder / "jobs.jsonl").read_text().splitlines(keepends=True)
        jobs[1] = jobs[1].replace("oh no", "oh yes")
        self.write("jobs.jsonl", '{"cmd":["new"]}\n' + "".join(jobs))
        rows = rows_of(self.quietly())
        # `broken` has a result of other work: it stays where it was, without a command. The others have moved.
        self.assertEqual([(row[0], row[1], row[7] == "-") for row in rows[:3]],
                         [("2", "-", False), ("2", "broken", True), ("4", "killed", False)])
        self.write("jobs.jsonl", "{oops\n")
        wrong = self.show()
        self.assertEqual([row[7] for row in rows_of(wrong)[:6]], ["-"] * 6)
        self.assertIn("commands are left out", wrong.err)

    def test_output_is_byte_for_byte(self):
        self.assertEqual(self.quietly("--stdout").raw_out, b"one\ntwoa\xffb\n")
        self.assertEqual(self.quietly("--stdout", "--tag").raw_out, b"1\tone\n1\ttwo\nbytes\ta\xffb\n")
        self.assertEqual(self.quietly("--stderr").raw_out, b"oh no\n")
        self.assertEqual(json.loads(self.quietly("--value").out),
                         {"sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"})

    def test_jobs_are_named_by_id_pattern_and_line(self):
        self.assertEqual([row[0] for row in rows_of(self.quietly("b*", ":3"))], ["2", "3", "6"])
        self.assertEqual([row[0] for row in rows_of(self.quietly("4"))], ["4"])
        self.assertEqual(self.quietly("bytes", "--stdout").raw_out, b"a\xffb\n")
        self.assertEqual([row[0] for row in rows_of(self.quietly("--", "bytes"))], ["6"])
        missing = self.show("bytes", "nobody", code=1)
        self.assertEqual([row[0] for row in rows_of(missing)], ["6"])
        self.assertIn("no result of 'nobody'", missing.err)
        self.show(":8", code=1)

    def test_jobs_are_chosen_by_status(self):
        self.assertEqual([row[0] for row in rows_of(self.quietly("--failed"))], ["2", "3", "5", "7"])
        self.assertEqual([row[0] for row in rows_of(self.quietly("--status", "ok,timeout"))], ["1", "4", "5", "6"])
        self.assertEqual([row[0] for row in rows_of(self.quietly("--failed", "--status", "ok", "k*"))], ["3"])
        self.assertEqual(self.quietly("--status", "quarantined").out, "")
        self.assert_one_line_error(self.show("--status", "okay", code=2), 2, "--status", "okay")

    def test_json_is_the_lines_that_count(self):
        self.dispatcher("run", "jobs.jsonl", "--retry-failed")
        lines = (self.folder / RESULTS).read_bytes().splitlines(keepends=True)
        self.assertEqual(len(lines), 11)
        shown = self.quietly("--json").raw_out.splitlines(keepends=True)
        self.assertEqual(len(shown), 7)
        self.assertLessEqual(set(shown), set(lines))
        last = {json.loads(line)["id"]: line for line in lines}
        self.assertEqual(set(shown), set(last.values()))
        self.assertEqual([json.loads(line)["line"] for line in shown], list(range(1, 8)))

    def test_csv_is_read_by_others(self):
        shown = self.quietly("--csv", "--stdout", "--value").raw_out
        records = list(csv.DictReader(io.StringIO(shown.decode("latin-1"), newline="")))
        self.assertEqual([record["status"] for record in records],
                         ["ok", "failed", "failed", "ok", "timeout", "ok", "failed"])
        self.assertEqual(records[0]["stdout"], "one\ntwo")
        self.assertEqual(records[0]["command"], "printf $'one\\x0atwo'")
        self.assertEqual(records[1]["error.message"], "exit status 3")
        self.assertEqual(records[2]["signal"], "9")
        self.assertTrue(records[3]["value"].startswith('{"sha256":'))
        self.assertEqual(records[4]["id"], "slow\n\x1b[31m")
        self.assertEqual(records[5]["stdout"], "a\xffb\n")
        self.assertGreater(float(records[4]["run_ms"]), 200)

    def test_stats(self):
        text = self.quietly("--stats").out.splitlines()
        self.assertEqual(text[0].split()[:2], ["STATUS", "JOBS"])
        self.assertEqual([line.split()[:2] for line in text[1:5]], [["ok", "3"], ["failed", "3"], ["timeout", "1"], ["all", "7"]])
        self.assertEqual(text[6].split()[:4], ["WORKER", "JOBS", "NOT", "OK"])
        self.assertEqual(text[7].split()[1:3], ["7", "4"])
        self.assertEqual(self.quietly("--stats", "--failed").out.splitlines()[1].split()[:2], ["failed", "3"])

    def test_nothing_is_changed(self):
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in self.folder.iterdir()
                  if not path.name.startswith("stderr.")}
        for flags in ([], ["--stdout"], ["--csv"], ["--json"], ["--stats"], ["--failed"]):
            self.show(*flags)
        after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in self.folder.iterdir()
                 if not path.name.startswith("stderr.")}
        self.assertEqual(before, after)


class Refusals(ShowTest):
    def test_what_is_no_results_file(self):
        self.run_jobs({"cmd": ["true"]})
        self.assert_one_line_error(self.show(results="jobs.jsonl", code=1), 1, "jobs.jsonl is no results file")
        self.assert_one_line_error(self.show(results="none", code=1), 1, "none: No such file")
        self.assert_one_line_error(self.show(results=".", code=1), 1, "directory")
        self.assert_one_line_error(self.show(results="/dev/null", code=1), 1, "not a regular file")
        self.assert_one_line_error(self.show(results="-", code=2), 2, "cannot be a pipe")

    def test_flags_that_do_not_go_together(self):
        for flags in (["--csv", "--json"], ["--stats", "--csv"], ["--json", "--stdout"], ["--stats", "--value"],
                      ["--tag"], ["--tag", "--csv", "--stdout"], ["--tag", "--json"]):
            with self.subTest(flags):
                self.assert_one_line_error(self.show(*flags, code=2), 2, "--")

    def test_a_stdout_that_takes_nothing(self):
        self.run_jobs({"cmd": ["true"]})
        with open("/dev/full", "wb") as full:
            self.assert_one_line_error(self.show(code=74, stdout=full), 74, "No space left")


class Files(ShowTest):
    def test_an_empty_file_and_one_line(self):
        self.write(RESULTS, "")
        for flags in ([], ["--stdout"], ["--json"]):
            self.assertEqual(self.quietly(*flags).out, "")
        self.assertEqual(len(self.quietly("--csv").out.splitlines()), 1)
        self.show("any", code=1)
        self.run_jobs({"cmd": ["echo", "hello"]})
        self.assertEqual(rows_of(self.quietly())[0][7], "echo hello")

    def test_damaged_lines_are_left_out_and_said_once(self):
        self.run_jobs(*[{"cmd": ["echo", str(i)]} for i in range(5)])
        lines = sorted((self.folder / RESULTS).read_bytes().splitlines(keepends=True), key=lambda line: json.loads(line)["line"])
        lines[1] = lines[1].replace(b"1\\n", b"2\\n")
        lines[3] = b"junk\n"
        self.write(RESULTS, b"".join(lines) + lines[0][:30])
        shown = self.show("--stdout")
        self.assertEqual(shown.out, "0\n2\n4\n")
        self.assertEqual(len(shown.err.splitlines()), 1)
        self.assertIn("2 lines left out as damaged, the first is line 2", shown.err)

    def test_results_of_another_version(self):
        self.write(RESULTS, b"".join([
            with_crc({"new": {"id": "x"}, "run": "0" * 16, "status": "ok", "id": "b", "line": 2, "spec": "0" * 32,
                      "stdout": "two\n", "cpu_ms": 12.5, "max_rss_kib": 4096, "run_ms": 3.5, "worker": "n1"}),
            with_crc({"id": "a", "line": 1, "status": "ok", "run": "0" * 16, "spec": "0" * 32, "each": {"1": "0.1", "2": "x"},
                      "stdout_base64": "b25lCg=="})]))
        self.assertEqual(rows_of(self.quietly()), [["1", "a", "ok", "-", "-", "-", "-", "0.1 x"],
                                                   ["2", "b", "ok", "-", "0.0035", "n1", "-", "-"]])
        self.assertEqual(self.quietly("--stdout", "--tag").out, "a\tone\nb\ttwo\n")
        self.assertIn("12ms", self.quietly("--stats").out)
        self.assertIn("4.0MiB", self.quietly("--stats").out)
        records = list(csv.DictReader(io.StringIO(self.quietly("--csv").out, newline="")))
        self.assertEqual([record["each.2"] for record in records], ["x", ""])

    def test_large_output_that_was_cut(self):
        self.run_jobs({"cmd": "yes 0123456789 | head -c 1000000"}, {"cmd": ["echo", "after"]}, flags=["--capture", "256KiB"])
        shown = self.show("--stdout")
        self.assertTrue(shown.raw_out.startswith(b"0123456789\n"))
        self.assertTrue(shown.raw_out.endswith(b"after\n"))
        self.assertGreaterEqual(len(shown.raw_out), 256 * 1024)
        self.assertIn("the output of 1 job was cut", shown.err)
        self.assertIn("by 737856 bytes", shown.err)
        self.assertIn("--capture", shown.err)
        self.assertEqual(self.quietly("--stdout", "2").out, "after\n")

    def test_lines_of_a_mebibyte(self):
        lines = [with_crc({"id": f"big{i}", "line": i, "status": "ok", "attempt": 1, "exit": 0, "stdout": chr(97 + i) * (1 << 20),
                           "run": "0" * 16, "spec": "0" * 32}) for i in range(20, 0, -1)]
        self.write(RESULTS, b"".join(lines))
        out = self.quietly("--stdout").raw_out
        self.assertEqual([out[i << 20:(i << 20) + 2] for i in range(20)], [bytes([98 + i]) * 2 for i in range(20)])
        self.assertEqual(len(out), 20 << 20)

    def test_bad_lines_of_a_pipe(self):
        self.dispatcher("run", "-", "-o", RESULTS, stdin='{"cmd":["true"]}\n[oops]\n{"cmd":["true"],"id":"x"}\n')
        rows = rows_of(self.quietly())
        self.assertEqual([row[:3] for row in rows], [["1", "-", "ok"], ["2", "-", "invalid"], ["3", "x", "ok"]])
        self.assertTrue(rows[1][7].startswith("# "), rows[1])
        self.assertEqual(rows_of(self.quietly("--failed")), rows[1:2])

    def test_inputs_stand_where_there_is_no_jobs_file(self):
        self.dispatcher("each", "-o", RESULTS, "echo", "{2}", "{1}", ":::", "0.1", "0.2", ":::", "a b", "c")
        self.assertEqual([row[7] for row in rows_of(self.quietly())], ["0.1 a b", "0.1 c", "0.2 a b", "0.2 c"])
        self.assertEqual(self.quietly("--stdout", "--tag", ":3-4").out, "0.2 a b\ta b 0.2\n0.2 c\tc 0.2\n")
        records = list(csv.DictReader(io.StringIO(self.quietly("--csv", "--stdout").out, newline="")))
        self.assertEqual([(record["each.1"], record["each.2"], record["stdout"]) for record in records][1:3],
                         [("0.1", "c", "c 0.1\n"), ("0.2", "a b", "a b 0.2\n")])

    def test_a_jobs_file_of_commands(self):
        self.write("list.txt", "# a comment\necho 'a  b'\n")
        self.dispatcher("run", "list.txt")
        self.assertEqual([row[0::7] for row in rows_of(self.quietly(results="list.results.jsonl"))], [["2", "echo 'a  b'"]])

    def test_results_behind_a_link(self):
        self.run_jobs({"cmd": ["echo", "hello"]})
        os.mkdir(self.folder / "elsewhere")
        os.symlink(self.folder / RESULTS, self.folder / "elsewhere" / "link")
        self.assertEqual(rows_of(self.quietly(results="elsewhere/link"))[0][7], "echo hello")

    def test_results_that_can_only_be_read(self):
        self.run_jobs({"cmd": ["echo", "hello"]})
        for name in (RESULTS, f"{RESULTS}.state"):
            os.chmod(self.folder / name, 0o444)
        self.assertEqual(rows_of(self.quietly())[0][7], "echo hello")


class WhileARunGoesOn(ShowTest):
    def test_what_is_there_is_shown(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["echo", "first"], "priority": 1}, {"cmd": ["sleep", "1000"]}))
        run = self.start_run("jobs.jsonl", "--local", "1", "--listen", f"tcp://127.0.0.1:{free_port()}")
        wait_until("the first result", lambda: (self.folder / RESULTS).exists() and (self.folder / RESULTS).stat().st_size > 0)
        self.assertEqual([row[7] for row in rows_of(self.quietly())], ["echo first"])
        self.assertEqual(self.quietly("--stdout").out, "first\n")
        self.assertIsNone(run.process.poll())

    def test_the_last_line_may_be_half_written(self):
        self.run_jobs({"cmd": ["echo", "0"]}, {"cmd": ["echo", "1"]}, flags=["--local", "1"])
        whole = (self.folder / RESULTS).read_bytes()
        second = whole.index(b"\n") + 1
        for end in range(second, len(whole) - 1):
            self.write(RESULTS, whole[:end])
            self.assertEqual(self.quietly("--stdout").out, "0\n")


class Many(ShowTest):
    @classmethod
    def lines(cls, count):
        """Results of commands, each half in the order of its lines and the halves one after the other."""
        for line in [*range(2, count + 1, 2), *range(1, count + 1, 2)]:
            body = (f'{{"id":"{line:032x}","line":{line},"status":"{"failed" if line % 100 == 0 else "ok"}","attempt":1,'
                    f'"exit":{int(line % 100 == 0)},"stdout":"energy {line * 37}\\nsteps {line}\\n","stderr":"","worker":"node{line % 16}",'
                    f'"queued_ms":97743.786,"run_ms":{line % 10000}.5,"finished":"2026-11-24T16:00:00.003Z",'
                    f'"run":"000000000000002a"').encode()
            yield body + b',"crc":"%08x"}\n' % zlib.crc32(body)

    def test_a_million_lines(self):
        with open(self.folder / RESULTS, "wb") as file:
            file.writelines(self.lines(MILLION))
        for flags in ([], ["--stdout"], ["--stats"], ["--json"], ["--failed"], ["500001"]):
            begin = time.monotonic()
            with open(self.folder / "out", "wb") as out:
                self.assertEqual(subprocess.run([DISPATCHER, "show", RESULTS, *flags], cwd=self.folder, stdout=out,
                                                env=clean_environment()).returncode, 0)
            figure(f"show {' '.join(flags) or 'rows'}: {MILLION} lines in {time.monotonic() - begin:.2f} s")
            if not flags:
                with open(self.folder / "out") as out:
                    self.assertTrue(all(row.startswith(f"{line}\t") for line, row in enumerate(out, 1)))
                with open(self.folder / "out") as out:
                    self.assertEqual(sum(1 for _ in out), MILLION)

    def test_a_reader_that_leaves_ends_it_quietly(self):
        with open(self.folder / RESULTS, "wb") as file:
            file.writelines(self.lines(100_000))
        for flags in ([], ["--stdout"], ["--json"], ["--csv"]):
            show = self.start(DISPATCHER, "show", RESULTS, *flags)
            self.assertTrue(show.process.stdout.readline())
            show.process.stdout.close()
            self.assertEqual(show.process.wait(60), 0)
            self.assertEqual(show.err, "")


if __name__ == "__main__":
    unittest.main()
