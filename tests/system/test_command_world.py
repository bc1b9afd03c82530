#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""What a command finds around it: descriptors, session, signals, limits, environment, folder, stdin."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, WORKER, CliTest, clean_environment, free_port  # noqa: E402

# Prints what a process has been given, seen from inside and without a shell between.
LOOK = """
import json, os, resource, signal
def link(fd):
    return os.readlink(f"/proc/self/fd/{fd}")
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
opened = [fd for fd in range(4096) if os.path.lexists(f"/proc/self/fd/{fd}")]
print(json.dumps({
    "descriptors": opened, "stdin": link(0),
    "stdout": link(1), "stderr": link(2), "session": os.getsid(0) == os.getpid(), "group": os.getpgrp() == os.getpid(),
    "blocked": status["SigBlk"].strip(), "ignored": status["SigIgn"].strip(), "caught": status["SigCgt"].strip(),
    "umask": status["Umask"].strip(), "nice": os.nice(0), "affinity": sorted(os.sched_getaffinity(0)),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
    "fsize": resource.getrlimit(resource.RLIMIT_FSIZE), "stack": resource.getrlimit(resource.RLIMIT_STACK),
    "cwd": os.getcwd(), "environment": dict(os.environ)}))
"""
PYTHON = "/usr/bin/python3"


def python(text):
    return [PYTHON, "-S", "-E", "-c", text]


class World(CliTest):
    def look(self, before="", flags=(), caller=None, **members):
        """What a job sees; `before` is shell text that runs in the shell that starts the dispatcher."""
        self.write("jobs.jsonl", json.dumps({"cmd": python(LOOK), **members}) + "\n")
        command = f'{before}\nexec "$@"'
        finished = self.call(["bash", "-c", command, "bash", DISPATCHER, "run", "jobs.jsonl", "--overwrite", *flags],
                             env=caller or clean_environment())
        self.assertEqual(finished.code, 0, str(finished))
        finished.results_path = self.folder / "jobs.results.jsonl"
        return json.loads(finished.only["stdout"])

    def test_descriptors_session_and_signals(self):
        # Descriptors that whoever starts the dispatcher left open must not reach the job either.
        seen = self.look("exec 7</etc/passwd 9>/dev/null 45</dev/zero")
        self.assertEqual(seen["descriptors"], [0, 1, 2])
        self.assertEqual(seen["stdin"], "/dev/null")
        self.assertTrue(seen["stdout"].startswith("pipe:"))
        self.assertTrue(seen["stderr"].startswith("pipe:"))
        self.assertNotEqual(seen["stdout"], seen["stderr"])
        self.assertEqual((seen["session"], seen["group"]), (True, True))
        self.assertEqual(seen["blocked"], "0" * 16)

    def test_dispositions_are_the_default_ones(self):
        result = self.run_command(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], code=0)
        for line in result["stdout"].splitlines():
            self.assertEqual(line.split()[1], "0" * 16, line)

    def test_ignored_signals_of_the_caller_do_not_reach_the_job(self):
        self.write("jobs.jsonl", json.dumps({"cmd": ["grep", "SigIgn", "/proc/self/status"]}) + "\n")
        finished = self.call([PYTHON, "-c", "import os, signal, sys\n"
                              "for n in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU):\n"
                              "    signal.signal(n, signal.SIG_IGN)\n"
                              "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})\n"
                              "os.execv(sys.argv[1], sys.argv[1:])", DISPATCHER, "run", "jobs.jsonl"])
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual(finished.only["stdout"].split()[1], "0" * 16)

    def test_umask_nice_limits_and_affinity_are_the_callers(self):
        cpu = sorted(os.sched_getaffinity(0))[-1]
        seen = self.look(f"umask 027; ulimit -c 0; ulimit -f 123456; ulimit -Ss 4096; ulimit -n 300; "
                         f"taskset -cp {cpu} $$ >/dev/null; renice -n 7 $$ >/dev/null")
        self.assertEqual(seen["umask"], "0027")
        self.assertEqual(seen["nice"], 7)
        self.assertEqual(seen["affinity"], [cpu])
        self.assertEqual(seen["files"], [300, 300])
        self.assertEqual(seen["core"], [0, 0])
        self.assertEqual(seen["fsize"][0], 123456 * 1024)
        self.assertEqual(seen["stack"][0], 4096 * 1024)

    def test_the_callers_soft_descriptor_limit_is_given_back(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        seen = self.look("ulimit -Sn 256")
        self.assertEqual(seen["files"], [256, hard])

    def test_the_limit_is_given_back_by_a_worker_started_by_hand(self):
        self.write("jobs.jsonl", json.dumps({"cmd": python(LOOK)}) + "\n")
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start_run("jobs.jsonl", "--listen", address)
        self.start("bash", "-c", 'ulimit -Sn 333; exec 8</etc/passwd; exec "$@"', "bash", WORKER, address)
        self.assertEqual(run.finish().code, 0, run.err)
        result = json.loads((self.folder / "jobs.results.jsonl").read_text())
        seen = json.loads(result["stdout"])
        self.assertEqual(seen["files"][0], 333)
        self.assertEqual(seen["descriptors"], [0, 1, 2])

    def test_few_descriptors_take_fewer_slots_and_no_job_fails(self):
        jobs = [{"cmd": ["sleep", "0.05"], "id": str(n)} for n in range(100)]
        self.write("jobs.jsonl", "".join(json.dumps(job) + "\n" for job in jobs))
        finished = self.call(["bash", "-c", 'ulimit -n 80; exec "$@"', "bash", DISPATCHER, "run", "jobs.jsonl",
                              "--local", "64"])
        self.assertEqual(finished.code, 0, str(finished))

    def test_environment(self):
        env = clean_environment(KEPT="from the caller", TAKEN="away", WORKPOOL_PROGRESS="none", WORKPOOL_SECRET="x")
        seen = self.look(caller=env, id="an id", env={"TAKEN": "by the job", "NEW": "", "EQUALS": "a=b=c"})
        got = seen["environment"]
        self.assertEqual((got["KEPT"], got["TAKEN"], got["NEW"], got["EQUALS"]),
                         ("from the caller", "by the job", "", "a=b=c"))
        ours = {name for name in got if name.startswith("WORKPOOL_")}
        self.assertEqual(ours, {"WORKPOOL_JOB_ID", "WORKPOOL_ATTEMPT", "WORKPOOL_ATTEMPT_KEY", "WORKPOOL_SLOT"})
        self.assertEqual((got["WORKPOOL_JOB_ID"], got["WORKPOOL_ATTEMPT"]), ("an id", "1"))
        self.assertGreaterEqual(len(got["WORKPOOL_ATTEMPT_KEY"]), 16)
        self.assertEqual(set(got) - set(env) - {"LC_CTYPE"}, {"NEW", "EQUALS"} | ours)

    def test_job_id_of_a_default_one_is_the_id_in_the_results(self):
        found = self.run_jobs({"cmd": "echo $WORKPOOL_JOB_ID"}, {"cmd": "echo $WORKPOOL_JOB_ID"}, code=0).by_id
        self.assertEqual({key: result["stdout"].strip() for key, result in found.items()}, {key: key for key in found})
        self.assertEqual(sorted(key.partition("#")[2] for key in found), ["", "2"])

    def test_attempt_rises_and_its_key_is_new(self):
        cmd = 'echo "$WORKPOOL_ATTEMPT $WORKPOOL_ATTEMPT_KEY" >> seen; test $(wc -l < seen) -ge 3'
        result = self.run_command(cmd, code=0, retries=2)
        lines = [line.split() for line in (self.folder / "seen").read_text().splitlines()]
        self.assertEqual([line[0] for line in lines], ["1", "2", "3"])
        self.assertEqual(len({line[1] for line in lines}), 3)
        self.assertEqual(result["attempt"], 3)

    def test_cwd(self):
        (self.folder / "sub").mkdir()
        found = self.run_jobs({"cmd": ["pwd"], "id": "worker's"}, {"cmd": ["pwd"], "id": "given", "cwd": "/usr"},
                              {"cmd": ["pwd"], "id": "relative", "cwd": "sub"}, code=0).by_id
        self.assertEqual({key: found[key]["stdout"].strip() for key in found},
                         {"worker's": str(self.folder), "given": "/usr", "relative": f"{self.folder}/sub"})

    def test_a_cwd_that_is_removed_while_it_runs_is_no_matter(self):
        (self.folder / "gone").mkdir()
        self.run_jobs({"cmd": f"rmdir '{self.folder}/gone'", "cwd": "gone", "id": "1"}, {"cmd": ["true"], "id": "2"})

    def test_stdin(self):
        text = "line one\nno newline at the end \u00e9\u0000"
        found = self.run_jobs({"cmd": ["od", "-An", "-c"], "id": "given", "stdin": "a\u0000b"},
                              {"cmd": ["cat"], "id": "text", "stdin": text.rstrip("\u0000")},
                              {"cmd": ["wc", "-c"], "id": "none"}, {"cmd": ["wc", "-c"], "id": "empty", "stdin": ""},
                              {"cmd": ["wc", "-c"], "id": "large", "stdin": "x" * 1_000_000},
                              {"cmd": ["true"], "id": "unread", "stdin": "y" * 1_000_000}, code=0).by_id
        self.assertEqual(found["text"]["stdout"], text.rstrip("\u0000"))
        self.assertEqual(found["given"]["stdout"].split(), ["a", "\\0", "b"])
        counts = {key: found[key]["stdout"].strip() for key in ("none", "empty", "large")}
        self.assertEqual(counts, {"none": "0", "empty": "0", "large": "1000000"})

    def test_no_terminal(self):
        result = self.run_command("(exec 3</dev/tty) || echo none", code=0)
        self.assertIn("none", result["stdout"])

    def test_argv_is_taken_as_given(self):
        words = ["", " ", "*", "$HOME", "`x`", "a\nb", "--", "-n", "'", '"', "\\", "\u00e9\U0001f600", "x" * 100_000]
        result = self.run_command(python("import json, sys; print(json.dumps(sys.argv[1:]))") + words, code=0,
                                  flags=("--capture", "256KiB"))
        self.assertEqual(json.loads(result["stdout"]), words)

    def test_string_is_a_shell_command(self):
        result = self.run_command("a='x  y'; echo \"$a\" $0 | cat && echo $((1 + 2)); true; ls /nonexistent || :", code=0)
        self.assertEqual(result["stdout"], "x  y /bin/sh\n3\n")

    def test_largest_command_there_is(self):
        # 131,071 bytes is what Linux takes for one; a byte more is refused before anything runs.
        text = ": " + "x" * 131_069
        self.run_jobs({"cmd": text}, {"cmd": ["true", "y" * 131_071]}, {"cmd": ["true"], "env": {"A": "z" * 131_069}})
        for bad in ({"cmd": text + "x"}, {"cmd": ["true", "y" * 131_072]}, {"cmd": ["true"], "env": {"A": "z" * 131_070}}):
            finished = self.run_jobs(bad, name="bad.jsonl", code=65)
            self.assertRegex(finished.err, r"^bad\.jsonl:1:\d+: ")
            self.assertIn("131071", finished.err.replace(",", ""))

    def test_job_runs_as_if_by_hand_while_its_worker_is_busy(self):
        # 30 jobs at once on one worker: each sees its own three descriptors only.
        look = 'ls /proc/self/fd | wc -l'
        found = self.run_jobs(*({"cmd": look, "id": str(n)} for n in range(60)), flags=("--local", "30"), code=0).by_id
        self.assertEqual({result["stdout"].strip() for result in found.values()}, {"4"})  # ls has the folder open


class Timeouts(CliTest):
    def test_term_ends_a_job_that_obeys(self):
        result = self.run_command("echo before; trap 'echo caught; exit 7' TERM; while :; do sleep 0.05; done", code=1,
                                  timeout=0.5)
        print(f"timeout of 500 ms: {result['run_ms']} ms")
        self.assertEqual((result["status"], result["error"]["kind"]), ("timeout", "timeout"))
        self.assertIn("500ms", result["error"]["message"].replace("0.5s", "500ms"))
        self.assertEqual((result["exit"], result["stdout"]), (7, "before\ncaught\n"))
        self.assertGreaterEqual(result["run_ms"], 500)
        self.assertLess(result["run_ms"], 2000)

    def test_kill_follows_after_5_seconds_and_reaches_every_descendant(self):
        # The job, its child and a grandchild in a session of its own ignore TERM; a stopped one must go as well.
        cmd = ("trap '' TERM; (trap '' TERM; echo $BASHPID > child; while :; do sleep 1; done) & "
               "setsid -f bash -c \"trap '' TERM; echo \\$\\$ > grandchild; while :; do sleep 1; done\"; "
               "sleep 600 & echo $! > stopped; kill -STOP $!; while :; do sleep 1; done")
        result = self.run_command(["bash", "-c", cmd], code=1, timeout="1s")
        print(f"timeout of 1 s, TERM ignored: {result['run_ms']} ms (promised: 6 s)")
        self.assertEqual(result["status"], "timeout")
        self.assertEqual(result["signal"], 9)
        self.assertGreaterEqual(result["run_ms"], 5900)
        self.assertLess(result["run_ms"], 1000 + 5000 * 4)
        for name in ("child", "grandchild", "stopped"):
            # The result comes when they are gone.
            self.assertFalse(Path("/proc", (self.folder / name).read_text().strip()).exists(), name)

    def test_a_stopped_job_sees_term(self):
        result = self.run_command("trap 'echo caught; exit 0' TERM; kill -STOP $$; while :; do sleep 0.1; done", code=1,
                                  timeout=0.3)
        self.assertEqual(result["status"], "timeout")
        self.assertEqual((result["exit"], result["stdout"]), (0, "caught\n"))
        self.assertLess(result["run_ms"], 5000)

    def test_timeout_is_per_attempt_and_is_retried(self):
        cmd = 'echo $WORKPOOL_ATTEMPT >> seen; test $(wc -l < seen) -ge 2 || exec sleep 30'
        result = self.run_command(cmd, code=0, timeout="700ms", retries=1)
        self.assertEqual((result["status"], result["attempt"]), ("ok", 2))

    def test_default_timeout_is_for_jobs_that_state_none(self):
        found = self.run_jobs({"cmd": ["sleep", "20"], "id": "default"},
                              {"cmd": ["sleep", "0.8"], "id": "own", "timeout": 30},
                              {"cmd": ["sleep", "0.8"], "id": "never", "timeout": 0},
                              {"type": "sleep", "args": {"for": "20s"}, "id": "handler"},
                              flags=("--timeout", "400ms", "--local", "4"), code=1).by_id
        self.assertEqual({key: found[key]["status"] for key in found},
                         {"default": "timeout", "own": "ok", "never": "ok", "handler": "timeout"})
        self.assertEqual(found["handler"]["error"]["kind"], "timeout")
        self.assertLess(found["handler"]["run_ms"], 400 * 4)


if __name__ == "__main__":
    unittest.main()
