#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""How a command's end and output come out in its result: exit, signal, spawn, timeout, capture, base64."""

import base64
import json
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, SLACK, CliTest, end_of  # noqa: E402

KEYS_OF_OK = ["id", "line", "status", "attempt", "exit", "stdout", "stderr", "cpu_ms", "worker", "queued_ms", "run_ms",
              "finished", "run", "crc"]


class Ends(CliTest):
    def test_ok_line_has_the_documented_members_in_order(self):
        result = self.run_command(["printf", "%s", "x y"], code=0)
        self.assertEqual(list(result), KEYS_OF_OK)  # no spec: the id was made from it
        self.assertEqual((result["line"], result["status"], result["attempt"], result["exit"]), (1, "ok", 1, 0))
        self.assertEqual((result["stdout"], result["stderr"]), ("x y", ""))
        self.assertRegex(result["finished"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertRegex(result["run"], r"^[0-9a-f]{16}$")
        self.assertRegex(result["id"], r"^[0-9a-f]{32}$")

    def test_given_id_brings_its_spec(self):
        result = self.run_command(["true"], code=0, id="a b\u00e9")
        self.assertEqual(result["id"], "a b\u00e9")
        self.assertEqual(result["spec"], "385bb00ad9936907bb3342b79c51cb85")

    def test_exit_statuses(self):
        jobs = [{"cmd": f"exit {n}", "id": str(n)} for n in (0, 1, 2, 77, 126, 127, 128, 255)]
        found = self.run_jobs(*jobs, code=1).by_id
        for job in jobs:
            result, number = found[job["id"]], int(job["id"])
            self.assertEqual(result["exit"], number)
            self.assertNotIn("signal", result)
            if number == 0:
                self.assertEqual((result["status"], "error" in result), ("ok", False))
            else:
                self.assertEqual(result["status"], "failed")
                self.assertEqual(result["error"], {"kind": "exit", "message": f"exit status {number}"})

    def test_failed_line_has_error_after_attempt(self):
        result = self.run_command("echo out; echo err >&2; exit 3", code=1)
        self.assertEqual((result["stdout"], result["stderr"], result["exit"]), ("out\n", "err\n", 3))
        self.assertEqual(list(result)[:5], ["id", "line", "status", "attempt", "error"])

    def test_signals(self):
        for name, number in (("SEGV", 11), ("ABRT", 6), ("USR1", 10), ("PIPE", 13), ("ALRM", 14), ("QUIT", 3)):
            with self.subTest(name):
                (self.folder / "jobs.results.jsonl").unlink(missing_ok=True)
                result = self.run_command(f"kill -{name} $$; sleep 60", code=1)
                self.assertEqual((result["status"], result["signal"]), ("failed", number))
                self.assertNotIn("exit", result)
                self.assertEqual(result["error"]["kind"], "signal")
                self.assertIn(name, result["error"]["message"])

    def test_a_job_that_terminates_itself_ends_at_once(self):
        # With an inherited mask it would survive; and no stop is under way, so it is a result like any other.
        found = self.run_jobs({"cmd": "kill -TERM $$; sleep 60", "id": "term"},
                              {"cmd": "kill -KILL $$", "id": "kill"},
                              {"cmd": "kill -INT $$; sleep 60", "id": "int"},
                              {"cmd": ["/usr/bin/python3", "-c", "import os; os.kill(os.getpid(), 15)"], "id": "argv"},
                              {"cmd": "kill -HUP $$; sleep 60", "id": "hup"}, code=1).by_id
        numbers = {key: found[key]["signal"] for key in found}
        self.assertEqual(numbers, {"term": 15, "kill": 9, "int": 2, "argv": 15, "hup": 1})

    # Their results are held back for 250 ms, their slots are not: 400 of them took 4.5 s on 2 slots.
    def test_jobs_that_a_signal_kills_cost_what_others_cost(self):
        took = {}
        for command in ("exit 3", "kill -9 $$"):
            (self.folder / "jobs.results.jsonl").unlink(missing_ok=True)
            began = time.monotonic()
            found = self.run_jobs(*[{"cmd": command, "id": str(n)} for n in range(400)], code=1,
                                  flags=["--local", "2", "--crash-limit", "1"]).by_id
            took[command] = time.monotonic() - began
            self.assertEqual({result["status"] for result in found.values()}, {"failed"})
            self.assertEqual({result["attempt"] for result in found.values()}, {1})
        print("400 jobs: " + ", ".join(f"{command} {seconds:.2f} s" for command, seconds in took.items()))
        self.assertLess(took["kill -9 $$"], 4 * (took["exit 3"] + 0.25))

    def test_kill_zero_ends_the_job_alone(self):
        found = self.run_jobs({"cmd": "kill 0; sleep 60", "id": "group"}, {"cmd": ["true"], "id": "other"}, code=1).by_id
        self.assertEqual(found["group"]["signal"], 15)
        self.assertEqual(found["other"]["status"], "ok")

    def test_run_ms_is_what_the_command_took(self):
        result = self.run_command(["sleep", "0.5"], code=0)
        self.assertGreaterEqual(result["run_ms"], 500)
        self.assertLess(result["run_ms"], 500 * SLACK)
        self.assertGreaterEqual(result["queued_ms"], 0)


class Spawns(CliTest):
    def spawn_message(self, cmd, **members):
        (self.folder / "jobs.results.jsonl").unlink(missing_ok=True)
        result = self.run_command(cmd, code=1, **members)
        self.assertEqual(result["status"], "failed", result)
        self.assertEqual(result["error"]["kind"], "spawn", result)
        self.assertNotIn("exit", result)
        self.assertNotIn("signal", result)
        return result["error"]["message"]

    def test_missing_program(self):
        message = self.spawn_message(["no-such-program-here"])
        self.assertEqual(message, "cannot run no-such-program-here: no such program in the folders of PATH")
        message = self.spawn_message(["/no/such/dir/program"])
        self.assertIn("/no", message)
        self.assertIn("No such file or directory", message)

    def test_a_file_on_the_way_is_named_for_what_it_is(self):
        self.write("plain", "")
        message = self.spawn_message(["plain/program"])
        self.assertIn("directory plain: Not a directory", message)
        message = self.spawn_message(["./gone/program"])
        self.assertIn("directory ./gone: No such file or directory", message)

    def test_missing_interpreter_is_named(self):
        script = self.write("script", "#!/no/such/interpreter -x\n")
        script.chmod(0o755)
        message = self.spawn_message([str(script)])
        self.assertIn(str(script), message)
        self.assertIn("/no/such/interpreter", message)
        self.assertIn("No such file or directory", message)

    def test_missing_cwd_is_named_and_not_the_program(self):
        message = self.spawn_message(["true"], cwd="/no/such/folder")
        self.assertIn("/no/such/folder", message)
        self.assertIn("No such file or directory", message)
        self.assertNotIn("true", message)

    def test_cwd_that_is_a_file(self):
        self.write("plain", "")
        message = self.spawn_message(["true"], cwd="plain")
        self.assertIn("plain", message)
        self.assertIn("Not a directory", message)

    def test_directory_as_program(self):
        (self.folder / "sub").mkdir()
        message = self.spawn_message(["./sub"])
        self.assertIn("./sub", message)
        self.assertIn("Permission denied", message)

    def test_not_executable(self):
        self.write("plain.sh", "#!/bin/sh\ntrue\n").chmod(0o644)
        message = self.spawn_message(["./plain.sh"])
        self.assertIn("./plain.sh", message)
        self.assertIn("Permission denied", message)

    def test_no_interpreter_line_is_no_program(self):
        self.write("bare", "echo never\n").chmod(0o755)
        message = self.spawn_message(["./bare"])
        self.assertIn("./bare", message)
        self.assertIn("Exec format error", message)

    def test_empty_file_and_binary_rubbish(self):
        for name, text in (("empty", b""), ("rubbish", b"\x7fELF rubbish")):
            self.write(name, text).chmod(0o755)
            self.assertIn("Exec format error", self.spawn_message([f"./{name}"]))

    def test_argument_list_too_long_is_a_clear_spawn_failure(self):
        # Each argument is within Linux' limit for one; together they are over its limit for all.
        resource_limit = "ulimit -s 512; exec \"$@\""
        path = self.write("jobs.jsonl", json.dumps({"cmd": ["true"] + ["x" * 100_000] * 5}) + "\n")
        finished = self.call(["sh", "-c", resource_limit, "sh", DISPATCHER, "run", path.name])
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertEqual(finished.code, 1, str(finished))
        self.assertEqual(finished.only["error"]["kind"], "spawn")
        self.assertIn("Argument list too long", finished.only["error"]["message"])

    def test_shell_gives_126_and_127_as_exits(self):
        self.write("plain", "").chmod(0o644)
        found = self.run_jobs({"cmd": "./plain", "id": "126"}, {"cmd": "no-such-program", "id": "127"}, code=1).by_id
        for number in (126, 127):
            self.assertEqual(found[str(number)]["exit"], number)
            self.assertEqual(found[str(number)]["error"]["kind"], "exit")
        self.assertIn("not found", found["127"]["stderr"])

    def test_path_of_the_job_is_searched(self):
        (self.folder / "tools").mkdir()
        self.write("tools/only-here", "#!/bin/sh\necho found $0\n").chmod(0o755)
        result = self.run_command(["only-here"], code=0, env={"PATH": f"{self.folder}/tools:/bin"})
        self.assertIn("tools/only-here", result["stdout"])

    def test_unexecutable_hit_in_path_is_passed_over_but_named_when_it_is_the_only_one(self):
        for name in ("one", "two"):
            (self.folder / name).mkdir()
        self.write("one/prog", "#!/bin/sh\necho one\n").chmod(0o644)
        self.write("two/prog", "#!/bin/sh\necho two\n").chmod(0o755)
        both = f"{self.folder}/one:{self.folder}/two"
        self.assertEqual(self.run_command(["prog"], code=0, env={"PATH": both})["stdout"], "two\n")
        message = self.spawn_message(["prog"], env={"PATH": f"{self.folder}/one"})
        self.assertIn(f"{self.folder}/one/prog", message)
        self.assertIn("Permission denied", message)

    def test_a_slash_is_looked_up_after_changing_to_cwd(self):
        (self.folder / "sub").mkdir()
        self.write("sub/tool", "#!/bin/sh\npwd\n").chmod(0o755)
        self.assertEqual(self.run_command(["./tool"], code=0, cwd="sub")["stdout"], f"{self.folder}/sub\n")
        message = self.spawn_message(["sub/tool"], cwd="sub")
        self.assertIn("sub/tool", message)

    def test_spawn_failures_are_retried(self):
        # The program appears while the job waits for its second attempt.
        jobs = [{"cmd": ["./late"], "id": "late", "retries": 8},
                {"cmd": "printf '#!/bin/sh\\necho here\\n' > t; chmod 755 t; mv t late", "id": "maker", "priority": -1}]
        found = self.run_jobs(*jobs, flags=("--local", "1"), code=0).by_id
        self.assertGreater(found["late"]["attempt"], 1)
        self.assertEqual(found["late"]["stdout"], "here\n")


class Members(CliTest):
    """shell, ok_exit, meta, each, and what a command used."""

    def test_exit_statuses_that_are_no_failure(self):
        jobs = [{"id": f"{status} of {ok}", "cmd": f"exit {status}", "ok_exit": ok} for status in (0, 1, 2) for ok in ([0, 1], [1])]
        found = self.run_jobs(*jobs, code=1).by_id
        self.assertEqual({key: result["status"] for key, result in found.items()},
                         {f"{status} of {ok}": "ok" if status in ok else "failed" for status in (0, 1, 2) for ok in ([0, 1], [1])})
        self.assertEqual(found["1 of [1]"]["exit"], 1)
        self.assertEqual(found["0 of [1]"]["error"], {"kind": "exit", "message": "exit status 0"})

    def test_a_killed_command_is_never_ok(self):
        self.assertEqual(self.run_command("kill -9 $$", ok_exit=list(range(256)), code=1)["signal"], 9)

    def test_another_shell(self):
        self.assertEqual(self.run_command("echo {1..3} $0", shell="bash", code=0)["stdout"], "1 2 3 bash\n")
        message = self.run_command("true", shell="no-such-shell", code=1, flags=("--overwrite",))["error"]["message"]
        self.assertIn("no-such-shell", message)

    def test_bytes_that_are_not_utf_8(self):
        result = self.run_command(["printf", "%s", {"base64": "//4="}], code=0)
        self.assertEqual(result["stdout_base64"], "//4=")
        result = self.run_command(["cat"], stdin={"base64": "AP8="}, code=0, flags=("--overwrite",))
        self.assertEqual(result["stdout_base64"], "AP8=")

    def test_meta_and_each_are_found_again(self):
        meta = {"b": [1, None, {"a": "\u00e9\n"}], "a": 1.50}
        for job in ({"cmd": ["true"]}, {"type": "noop"}, {"cmd": ["false"]}):
            finished = self.run_jobs({**job, "meta": meta, "each": {"x": "1"}}, code=None, flags=("--overwrite",))
            self.assertEqual((finished.only["meta"], finished.only["each"]), (meta, {"x": "1"}))
        self.assertIn("not ok  '1' (job 1): exit status 1", finished.err)
        # It is no part of the work.
        again = self.run_jobs({"cmd": ["false"], "meta": 2}, code=None)
        self.assertEqual(len(again.results), 1)

    def test_processor_time_and_memory(self):
        burn = "import os,time; b = bytearray(200 << 20); e = time.process_time() + 0.5\nwhile time.process_time() < e: pass"
        result = self.run_command(["/usr/bin/python3", "-c", burn], code=0)
        self.assertTrue(500 <= result["cpu_ms"] <= 500 * 4, result)
        self.assertTrue(200 << 10 <= result["max_rss_kib"] <= 300 << 10, result)
        # Also of what it waited for; not of the worker, which is larger than this program.
        result = self.run_command(f"/usr/bin/python3 -c '{burn}'; true", code=0, flags=("--overwrite",))
        self.assertGreaterEqual(result["cpu_ms"], 500)
        self.assertNotIn("max_rss_kib", self.run_command(["true"], code=0, flags=("--overwrite",)))

    def test_slots_are_numbered(self):
        jobs = [{"cmd": "echo $WORKPOOL_SLOT; sleep 0.3", "id": str(n)} for n in range(8)]
        results = self.run_jobs(*jobs, code=0, flags=("--local", "4")).results
        slots = [int(result["stdout"]) for result in results]
        self.assertEqual(sorted(slots[:4]), [1, 2, 3, 4])
        self.assertEqual(set(slots), {1, 2, 3, 4})


class Output(CliTest):
    def test_both_streams_whole_and_apart(self):
        result = self.run_command("for i in 1 2 3; do echo o$i; echo e$i >&2; done", code=0)
        self.assertEqual((result["stdout"], result["stderr"]), ("o1\no2\no3\n", "e1\ne2\ne3\n"))
        self.assertNotIn("truncated", result)

    def test_head_and_tail_without_a_mark(self):
        # 1000 numbers of 5 bytes: 5000 bytes; kept are 64 at each end.
        result = self.run_command("seq -f %04g 1 1000", code=0, flags=("--capture", "128"))
        whole = "".join(f"{n:04}\n" for n in range(1, 1001))
        self.assertEqual(result["stdout"], whole[:64] + whole[-64:])
        self.assertEqual(result["truncated"], len(whole) - 128)

    def test_truncated_counts_both_streams(self):
        result = self.run_command("head -c 1000 /dev/zero | tr '\\0' a; head -c 2000 /dev/zero | tr '\\0' b >&2", code=0,
                                  flags=("--capture", "100"))
        self.assertEqual((result["stdout"], result["stderr"]), ("a" * 100, "b" * 100))
        self.assertEqual(result["truncated"], 900 + 1900)

    def test_exactly_the_limit_is_whole(self):
        result = self.run_command("printf 0123456789", code=0, flags=("--capture", "10"))
        self.assertEqual((result["stdout"], "truncated" in result), ("0123456789", False))

    def test_capture_zero_keeps_nothing(self):
        result = self.run_command("echo hello", code=0, flags=("--capture", "0"))
        self.assertEqual((result["stdout"], result["truncated"]), ("", 6))

    def test_default_capture_is_64_kib_and_the_most_is_256(self):
        result = self.run_command("head -c 300000 /dev/zero | tr '\\0' x", code=0)
        self.assertEqual((len(result["stdout"]), result["truncated"]), (65536, 300000 - 65536))
        (self.folder / "jobs.results.jsonl").unlink()
        result = self.run_command("head -c 300000 /dev/zero | tr '\\0' x", code=0, flags=("--capture", "256KiB"))
        self.assertEqual((len(result["stdout"]), result["truncated"]), (262144, 300000 - 262144))

    def test_cut_between_letters(self):
        # Letters of 2, 3 and 4 bytes; no limit may cut one in two, and what is cut is counted in bytes.
        for letter in ("\u00e9", "\u20ac", "\U0001f600"):
            for limit in range(9, 17):
                with self.subTest(letter=letter, limit=limit):
                    (self.folder / "jobs.results.jsonl").unlink(missing_ok=True)
                    result = self.run_command(["printf", "%s", letter * 50], code=0, flags=("--capture", str(limit)))
                    self.assertEqual(set(result["stdout"]), {letter})
                    kept = len(result["stdout"].encode())
                    self.assertLessEqual(kept, limit)
                    self.assertGreater(kept, limit - 2 * len(letter.encode()))
                    self.assertEqual(result["truncated"], 50 * len(letter.encode()) - kept)

    def test_not_utf8_is_base64(self):
        result = self.run_command("printf 'a\\377b'; printf fine >&2", code=0)
        self.assertNotIn("stdout", result)
        self.assertEqual(base64.b64decode(result["stdout_base64"]), b"a\xffb")
        self.assertEqual(result["stderr"], "fine")

    def test_all_bytes_come_back(self):
        self.write("bytes", bytes(range(256)) * 20)
        result = self.run_command(["cat", "bytes"], code=0)
        self.assertEqual(base64.b64decode(result["stdout_base64"]), bytes(range(256)) * 20)

    def test_control_characters_come_back(self):
        text = "tab\tquote\"back\\slash\rbell\x07esc\x1b[31mdel\x7fnull\x00end\u2028"
        self.write("text", text)
        result = self.run_command(["cat", "text"], code=0)
        self.assertEqual(result["stdout"], text)

    def test_text_is_text_however_much_of_it_is_escaped(self):
        self.assertEqual(self.run_command(["seq", "1", "3"], code=0)["stdout"], "1\n2\n3\n")

    def test_the_most_that_is_kept_is_read_back(self):
        # Each byte takes six in the line, and a line that is too long to be read would run its job again.
        command = "echo ran >> ran; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"
        result = self.run_command(command, code=0, flags=("--capture", "256KiB"))
        self.assertEqual((result["stdout"], result["stderr"]), ("\0" * 262144,) * 2)
        self.run_command(command, code=0, flags=("--capture", "256KiB"))
        self.assertEqual((self.folder / "ran").read_text(), "ran\n")

    def test_utf8_cut_by_the_job_itself_is_base64(self):
        result = self.run_command("printf '\\303'", code=0)
        self.assertEqual(base64.b64decode(result["stdout_base64"]), b"\xc3")

    def test_a_flood_is_drained(self):
        result = self.run_command("head -c 200000000 /dev/zero | tr '\\0' y; echo end", code=0, flags=("--capture", "8"))
        self.assertEqual(result["stdout"], "yyyyend\n")
        self.assertEqual(result["truncated"], 200000004 - 8)


class Descendants(CliTest):
    def assert_gone(self, name):
        pid = int((self.folder / name).read_text())
        end_of(pid)

    def test_a_daemon_that_holds_the_pipe_is_killed_after_at_most_a_second(self):
        start = time.monotonic()
        result = self.run_command("sleep 300 & echo $! > child; echo done", code=0)
        took = time.monotonic() - start
        print(f"daemon with the pipe: {took:.2f} s (promised: 1 s after the job's end)")
        self.assertEqual(result["stdout"], "done\n")
        self.assertLess(took, 1 * SLACK + 2)
        self.assert_gone("child")

    def test_a_daemon_in_a_session_of_its_own_is_killed(self):
        self.run_command("setsid -f sh -c 'echo $$ > child; exec sleep 300' >/dev/null 2>&1 </dev/null; "
                         "while [ ! -s child ]; do sleep 0.01; done", code=0)
        self.assert_gone("child")

    def test_what_descendants_wrote_within_the_second_is_kept(self):
        result = self.run_command("(sleep 0.2; echo late) & echo early", code=0)
        self.assertEqual(result["stdout"], "early\nlate\n")

    def test_a_job_without_open_pipes_ends_at_once(self):
        result = self.run_command("sleep 300 >/dev/null 2>&1 & echo $! > child", code=0)
        self.assert_gone("child")
        print(f"daemon without the pipe: {result['run_ms']} ms")
        self.assertLess(result["run_ms"], 1000)


if __name__ == "__main__":
    unittest.main()
