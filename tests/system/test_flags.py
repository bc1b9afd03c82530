#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""The command line of both programs: usage, help, values, variables, addresses, and the codes of wrong ones."""

import json
import os
import socket
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, LIMIT, WORKER, CliTest, clean_environment, free_port, jsonl, wait_until  # noqa: E402

RUN_FLAGS = ["--results", "--local", "--listen", "--ports", "--insecure", "--overwrite", "--retry-failed", "--format",
             "--retries", "--timeout", "--durability", "--grace", "--crash-limit", "--unsatisfiable-after",
             "--worker-timeout", "--capture", "--progress", "--log-level", "--handler", "--handler-jobs",
             "--limit", "--rate"]
WORKER_FLAGS = ["--slots", "--name", "--label", "--handler", "--handler-jobs", "--insecure", "--orphan-grace", "--grace", "--log-level"]
ABSENT_IN_RUN = ["--config", "--log-format", "--http", "--joblog"]
ABSENT_IN_WORKER = ["--plugin", "--clean-env"]


class Help(CliTest):
    def test_version(self):
        for program in (DISPATCHER, WORKER):
            finished = self.call([program, "--version"])
            self.assertEqual(finished.code, 0)
            self.assertRegex(finished.out, r"^workpool \d+\.\d+\.\d+\n$")
            self.assertEqual(finished.err, "")

    def test_help_goes_to_stdout_with_every_flag_its_default_and_an_example(self):
        finished = self.dispatcher("run", "--help")
        self.assertEqual((finished.code, finished.err), (0, ""))
        for flag in RUN_FLAGS:
            self.assertRegex(finished.out, rf"(?m)^ .*{flag}\b")
        for default in ("[64KiB;", "[30s]", "[10s]", "[60s, or 2s without --listen]", "[3]", "[0]", "[info]", "[none]"):
            self.assertIn(default, finished.out)
        self.assertIn("Example", finished.out)
        finished = self.call([WORKER, "--help"])
        self.assertEqual((finished.code, finished.err), (0, ""))
        for flag in WORKER_FLAGS:
            self.assertRegex(finished.out, rf"(?m)^ .*{flag}\b")
        self.assertIn("Example", finished.out)
        for command in ([], ["check"], ["verify"], ["status"]):
            finished = self.dispatcher(*command, "--help")
            self.assertEqual((finished.code, finished.err), (0, ""))
            self.assertIn("Example", finished.out)
            self.assertLessEqual(max(map(len, finished.out.splitlines())), 100)

    def test_bare_programs_print_usage_and_exit_2(self):
        for program in (DISPATCHER, WORKER):
            finished = self.call([program])
            self.assertEqual((finished.code, finished.out), (2, ""))
            self.assertTrue(finished.err.startswith("usage: " + Path(program).name), finished.err)

    def test_help_into_a_closed_or_full_stdout(self):
        finished = self.call(["sh", "-c", f'"{DISPATCHER}" --help > /dev/full'])
        self.assertNotEqual(finished.code, 0)
        self.assert_no_trace(finished)

    def test_an_answer_into_a_full_stdout(self):
        self.write("jobs.jsonl", '{"cmd":["true"]}\n')
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "out.jsonl", "--local", "1").code, 0)
        for answer in ("check jobs.jsonl", "verify jobs.jsonl out.jsonl"):
            finished = self.call(["sh", "-c", f'"{DISPATCHER}" {answer} > /dev/full'])
            self.assertEqual((finished.code, answer), (74, answer))
            self.assertIn("stdout", finished.err)

    def test_a_worker_that_lacks_descriptors(self):
        finished = self.call(["sh", "-c", f'ulimit -n 4; "{WORKER}" tcp://127.0.0.1:1'])
        self.assertEqual(finished.code, 71)
        self.assert_no_trace(finished)


class Usage(CliTest):
    def assert_usage(self, finished, *words):
        self.assert_one_line_error(finished, 2, *words)

    def test_unknown_flags_and_commands_name_the_nearest(self):
        self.write("jobs.jsonl", '{"cmd":["touch","ran"]}\n')
        for given, meant in (("--retry", "--retries"), ("--retry-faild", "--retry-failed"), ("--lokal", "--local"),
                             ("--overwrit", "--overwrite"), ("--result", "--results"), ("--time-out", "--timeout")):
            self.assert_usage(self.dispatcher("run", "jobs.jsonl", given, "1"), given, meant)
        self.assert_usage(self.call([WORKER, "tcp://127.0.0.1:1", "--slot", "3"]), "--slot", "--slots")
        self.assert_usage(self.dispatcher("rum", "jobs.jsonl"), "rum", "run")
        self.assert_usage(self.dispatcher("jobs.jsonl"), "jobs.jsonl", "run")
        self.assert_usage(self.dispatcher("--local", "3"))
        self.assert_usage(self.dispatcher("run", "jobs.jsonl", "--zzzzzz"), "--zzzzzz")
        self.assert_usage(self.dispatcher("run", "jobs.jsonl", "-x"), "-x")
        self.assertFalse((self.folder / "ran").exists())

    def test_flags_of_features_that_do_not_exist_are_absent(self):
        self.write("jobs.jsonl", '{"cmd":["touch","ran"]}\n')
        for flag in ABSENT_IN_RUN + ["--halt", "--keep"]:
            self.assert_usage(self.dispatcher("run", "jobs.jsonl", flag, "x"), flag)
        for flag in ABSENT_IN_WORKER:
            self.assert_usage(self.call([WORKER, "tcp://127.0.0.1:1", flag, "x"]), flag)
        self.assertNotIn("did you mean", self.dispatcher("run", "jobs.jsonl", "--halt", "x").err)
        self.assert_usage(self.dispatcher("keygen"), "keygen")
        self.assertFalse((self.folder / "ran").exists())

    def test_bad_values_name_flag_and_value(self):
        self.write("jobs.jsonl", '{"cmd":["touch","ran"]}\n')
        bad = {"--local": ["-1", "x", "1.5", "", "99999999999999999999", "4 "], "--timeout": ["5 apples", "-1s", "", "1h1"],
               "--retries": ["-1", "many", "1e3"], "--capture": ["17MiB", "1GB", "failed:", "-1", "64Kib", "lots"],
               "--limit": ["db", "db=0", "db=x", "=3", "db=0/s", "a*b*=1", "db=3,4"], "--rate": ["0/s", "5", "x/s", "1/0s", "5/"],
               "--durability": ["maybe", ""], "--format": ["json", "csv"], "--progress": ["on", "dots"],
               "--log-level": ["loud"], "--grace": ["soon"], "--crash-limit": ["0", "-3"],
               "--worker-timeout": ["1s", "1999ms", "0"], "--unsatisfiable-after": ["never"],
               "--listen": ["5555", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:0x5", "tcp://127.0.0.1:99999",
                            "udp://127.0.0.1:5555", "http://127.0.0.1:5555", "tcp://[::1:5555"],
               "--ports": ["x", "5-", "7000-6000", "0-5", "1-70000", "6000"]}
        for flag, values in bad.items():
            for value in values:
                with self.subTest(f"{flag} {value!r}"):
                    finished = self.dispatcher("run", "jobs.jsonl", flag, value)
                    self.assert_usage(finished, flag, value)
        for flag, value in (("--slots", "0"), ("--slots", "-2"), ("--slots", "x"), ("--orphan-grace", "later"),
                            ("--grace", "x"), ("--label", ""), ("--name", ""), ("--name", "x" * 200)):
            with self.subTest(f"worker {flag} {value!r}"):
                self.assert_usage(self.call([WORKER, "tcp://127.0.0.1:1", flag, value]), flag)
        self.assertEqual(os.listdir(self.folder), ["jobs.jsonl"])

    def test_missing_values_and_arguments(self):
        self.write("jobs.jsonl", '{"cmd":["true"]}\n')
        self.assert_usage(self.dispatcher("run", "jobs.jsonl", "--local"), "--local")
        self.assert_usage(self.dispatcher("run"), "JOBS")
        self.assert_usage(self.dispatcher("check"), "JOBS")
        self.assert_usage(self.dispatcher("verify", "jobs.jsonl"), "RESULTS")
        self.assert_usage(self.dispatcher("run", "jobs.jsonl", "another.jsonl"), "another.jsonl")
        self.assert_usage(self.call([WORKER, "--slots", "2"]), "ADDRESS")
        for address in ("127.0.0.1", "tcp://127.0.0.1", "5555", "tcp://:5555", "tcp://*:5555"):
            self.assert_usage(self.call([WORKER, address]), address)

    def test_local_0_without_listen(self):
        self.write("jobs.jsonl", '{"cmd":["true"]}\n')
        self.assert_usage(self.dispatcher("run", "jobs.jsonl", "--local", "0"), "--local", "--listen")

    def test_results_that_are_the_jobs_file(self):
        path = self.write("jobs.jsonl", '{"cmd":["touch","ran"]}\n')
        os.link(path, self.folder / "hard.jsonl")
        os.symlink("jobs.jsonl", self.folder / "soft.jsonl")
        for name in ("jobs.jsonl", "./jobs.jsonl", str(path), "hard.jsonl", "soft.jsonl"):
            finished = self.dispatcher("run", "jobs.jsonl", "-o", name)
            self.assert_usage(finished, "same file")
            finished = self.dispatcher("run", "jobs.jsonl", "-o", name, "--overwrite")
            self.assert_usage(finished, "same file")
        self.assertEqual(path.read_text(), '{"cmd":["touch","ran"]}\n')
        self.assertFalse((self.folder / "ran").exists())

    def test_results_that_are_where_messages_go(self):
        self.write("jobs.jsonl", '{"cmd":["touch","ran"]}\n')
        for redirection in ("2>", "2>>"):
            code = self.call(["sh", "-c", f'"{DISPATCHER}" run jobs.jsonl -o r.res {redirection}r.res']).code
            self.assertEqual(code, 2)
            self.assertIn("stderr goes to", (self.folder / "r.res").read_text())
        self.assertFalse((self.folder / "ran").exists())


class Values(CliTest):
    def test_default_name_of_results(self):
        for name, results in (("a.jsonl", "a.results.jsonl"), ("b.txt", "b.results.jsonl"), ("c", "c.results.jsonl"),
                              ("d.e.ndjson", "d.e.results.jsonl"), (".hidden", ".hidden.results.jsonl")):
            self.write(name, '{"type":"noop"}\n' if "json" in name else "true\n")
            finished = self.dispatcher("run", name)
            self.assertEqual(finished.code, 0, str(finished))
            self.assertTrue((self.folder / results).exists(), results)
        (self.folder / "sub.d").mkdir()
        self.write("sub.d/jobs", "true\n")
        self.assertEqual(self.dispatcher("run", "sub.d/jobs").code, 0)
        self.assertTrue((self.folder / "sub.d" / "jobs.results.jsonl").exists())

    def test_format_by_ending_or_by_the_first_job(self):
        for name in ("a.jsonl", "a.ndjson"):
            self.write(name, "true\n")
            self.assertEqual(self.dispatcher("run", name).code, 65)
        for name in ("a.txt", "a.sh", "a"):
            self.write(name, "echo '{}'\n")
            self.assertEqual(self.dispatcher("run", name, "-o", name + ".out", "--overwrite").code, 0)
        self.write("jobs.json", '{"cmd":["true"]}\n')
        for command in (["check"], ["run"], ["verify"]):
            refused = self.dispatcher(*command, "jobs.json", *(["x"] if command == ["verify"] else []))
            self.assertEqual(refused.code, 65)
            self.assertIn("say --format jsonl", refused.err)
        self.write("b.txt", '{"type":"noop"}\n')
        self.assertEqual(self.dispatcher("run", "b.txt", "--format", "jsonl").code, 0)

    def test_flag_forms(self):
        self.write("jobs.jsonl", '{"cmd":["true"]}\n')
        for words in (["-o", "1"], ["-o1.x"], ["--results=2"], ["--results", "3"], ["--local=2", "-o", "4"]):
            finished = self.dispatcher("run", *words, "jobs.jsonl")
            self.assertEqual(finished.code, 0, str(finished))
        self.write("-odd.jsonl", '{"cmd":["true"]}\n')
        finished = self.dispatcher("run", "-o", "5", "--", "-odd.jsonl")
        self.assertEqual(finished.code, 0, str(finished))
        self.assertTrue((self.folder / "5").exists())

    def test_durations(self):
        for text in ("200ms", "1.5s", "5m", "1h30m", "2s", "3"):
            self.write("jobs.jsonl", '{"cmd":["true"]}\n')
            finished = self.dispatcher("run", "jobs.jsonl", "--grace", text, "--overwrite")
            self.assertEqual(finished.code, 0, str(finished))

    def test_variables(self):
        self.write("jobs.jsonl", '{"type":"fail","args":{"times":1}}\n')
        env = clean_environment(WORKPOOL_RETRIES="1", WORKPOOL_RESULTS="from-env.jsonl", WORKPOOL_OVERWRITE="1")
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", env=env).code, 0)
        self.assertTrue((self.folder / "from-env.jsonl").exists())
        # The flag wins, and what is wrong names the variable.
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "--retries", "0", env=env).code, 1)
        env = clean_environment(WORKPOOL_RETRIES="lots")
        self.assert_one_line_error(self.dispatcher("run", "jobs.jsonl", env=env), 2, "WORKPOOL_RETRIES", "lots")
        env = clean_environment(WORKPOOL_LOCAL="0")
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", env=env).code, 2)
        # An empty one is as good as none.
        env = clean_environment(WORKPOOL_RETRIES="", WORKPOOL_TIMEOUT="")
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "e", env=env).code, 1)

    def test_variables_of_the_worker(self):
        self.write("jobs.jsonl", jsonl({"type": "noop", "labels": ["one", "two"]}))
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start_run("jobs.jsonl", "--listen", address)
        self.start(WORKER, address, env=clean_environment(WORKPOOL_NAME="from-env", WORKPOOL_LABEL="one,two",
                                                          WORKPOOL_SLOTS="3"))
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual(json.loads((self.folder / "jobs.results.jsonl").read_text())["worker"], "from-env")

    def test_log_levels(self):
        self.write("jobs.jsonl", '{"type":"noop","id":"a"}\n')
        for level, jobs, messages in (("error", False, False), ("info", False, False), ("debug", True, False), ("trace", True, True)):
            finished = self.dispatcher("run", "jobs.jsonl", "--overwrite", "--log-level", level)
            self.assertEqual(finished.code, 0, str(finished))
            self.assertEqual("job_given id=a" in finished.err and "job_recorded id=a" in finished.err, jobs, str(finished))
            self.assertEqual("job_started id=a" in finished.err, jobs, "of the local worker\n" + str(finished))
            self.assertEqual("message_sent type=JOBS" in finished.err and "message_received type=RESULTS" in finished.err,
                             messages, str(finished))

    def test_retries_and_timeout_are_for_jobs_that_state_none(self):
        found = self.run_jobs({"type": "fail", "args": {"times": 1}, "id": "default"},
                              {"type": "fail", "args": {"times": 1}, "id": "own", "retries": 0},
                              flags=("--retries", "1"), code=1).by_id
        self.assertEqual({key: found[key]["status"] for key in found}, {"default": "ok", "own": "failed"})

    def test_resume_flags(self):
        jobs = [{"cmd": "echo ok >> ran", "id": "ok"}, {"cmd": "echo no >> ran; false", "id": "no"}]
        ran = self.folder / "ran"
        finished = self.run_jobs(*jobs, code=1)
        finished = self.run_jobs(*jobs, code=1)  # complete, and some not ok
        self.assertEqual(sorted(ran.read_text().split()), ["no", "ok"])
        self.assertIn("(2 done before)", finished.err)
        self.run_jobs(*jobs, flags=("--retry-failed",), code=1)
        self.assertEqual(sorted(ran.read_text().split()), ["no", "no", "ok"])
        finished = self.run_jobs(*jobs, flags=("--overwrite",), code=1)
        self.assertEqual(sorted(ran.read_text().split()), ["no", "no", "no", "ok", "ok"])
        self.assertEqual(len(finished.results), 2)


class Addresses(CliTest):
    def setUp(self):
        super().setUp()
        self.write("jobs.jsonl", '{"cmd":["touch","ran"]}\n')

    def assert_refused(self, code, *arguments, words=()):
        finished = self.dispatcher("run", "jobs.jsonl", *arguments)
        self.assert_one_line_error(finished, code, *words)
        self.assertFalse((self.folder / "ran").exists())

    def test_a_worker_without_a_key_does_not_wait_for_anybody_elsewhere(self):
        # RFC 5737: nobody is there.
        finished = self.call([WORKER, "tcp://192.0.2.1:5555"])
        self.assertEqual(finished.code, 78, str(finished))
        for word in ("--insecure", "192.0.2.1", "WORKPOOL_KEY"):
            self.assertIn(word, finished.err)

    def test_port_in_use_is_71(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            self.assert_refused(71, "--listen", address, words=(address, "in use"))

    def test_address_not_here_is_71(self):
        self.assert_refused(71, "--listen", "tcp://192.0.2.7:5555", "--insecure", words=("192.0.2.7", "assign"))
        self.assert_refused(71, "--listen", "tcp://no-such-host.invalid:5555", "--insecure",
                            words=("no-such-host.invalid",))

    def test_a_range_with_no_free_port_is_71(self):
        with socket.socket() as one, socket.socket() as two:
            low = free_port()
            for taken, port in ((one, low), (two, low + 1)):
                taken.bind(("127.0.0.1", port))
                taken.listen()
            self.assert_refused(71, "--listen", f"tcp://127.0.0.1:{free_port()}", "--ports", f"{low}-{low + 1}",
                                words=("--ports", f"{low}"))

    def test_any_address_can_be_listened_on(self):
        for host in ("localhost", "127.0.0.1", "127.1.2.3", "[::1]", "0.0.0.0", "[::]", "*"):
            address = f"tcp://{host}:{free_port()}"
            finished = self.dispatcher("run", "jobs.jsonl", "--listen", address, "--local", "1", "--overwrite")
            self.assertEqual(finished.code, 0, str(finished))

    def test_insecure_on_all_addresses_with_a_local_worker(self):
        for host in ("0.0.0.0", "[::]", "*"):
            finished = self.dispatcher("run", "jobs.jsonl", "--listen", f"tcp://{host}:{free_port()}", "--insecure",
                                       "--local", "1", "--overwrite")
            self.assertEqual(finished.code, 0, str(finished))

    def test_nothing_left_to_run_waits_for_no_worker(self):
        self.assertEqual(self.dispatcher("run", "jobs.jsonl").code, 0)
        start = time.monotonic()
        finished = self.dispatcher("run", "jobs.jsonl", "--listen", f"tcp://127.0.0.1:{free_port()}")
        self.assertEqual(finished.code, 0, str(finished))
        print(f"nothing left to run: {time.monotonic() - start:.2f} s")
        self.assertLess(time.monotonic() - start, 4)
        self.assertIn("1 done before", finished.err)

    def test_starting_order_does_not_matter(self):
        address = f"tcp://127.0.0.1:{free_port()}"
        worker = self.start(WORKER, address)
        children = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children")
        wait_until("its engine", lambda: children.read_text().strip())
        finished = self.dispatcher("run", "jobs.jsonl", "--listen", address)
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual(worker.process.wait(LIMIT), 0)

    def test_worker_leaves_at_once_with_orphan_grace_0(self):
        finished = self.call([WORKER, f"tcp://127.0.0.1:{free_port()}", "--orphan-grace", "0"])
        self.assertEqual(finished.code, 69, str(finished))


if __name__ == "__main__":
    unittest.main()
