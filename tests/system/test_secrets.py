#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""Secrets stay where they were given: canaries in environment, arguments, stdin and key, and every place looked at
in which they must not be. And no process of the same user, a job for example, can look into our programs."""

import json
import os
import re
import secrets
import shutil
import signal
import string
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from somebody_else import (IS_ROOT, PYTHON, STRANGER, USER, as_user, look_into, owner_of, run_as)  # noqa: E402
from workpool_testing import DISPATCHER, WORKER, System, children_of, parts_of, wait_until  # noqa: E402

LETTERS = string.ascii_letters + string.digits


def canary(length=40):
    return "canary" + "".join(secrets.choice(LETTERS) for _ in range(length - 6))


class CommandLines(threading.Thread):
    """The command lines of all processes, looked at again and again: {pid: those that it had}."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = {}
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.005):
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    line = Path(f"/proc/{entry}/cmdline").read_bytes()
                except OSError:
                    continue
                self.seen.setdefault(int(entry), set()).add(line)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()


class SecretsTest(System):
    def setUp(self):
        super().setUp()
        self.runs = self.folder / "runs"
        self.runs.mkdir(mode=0o700)
        self.environment["WORKPOOL_RUN_DIR"] = str(self.runs)
        if IS_ROOT:
            for path in (self.folder, self.runs):
                os.chown(path, USER, USER)

    def start(self, command, env=None, **popen):
        return super().start(as_user(command), env, **popen)

    def asked(self, *arguments):
        """What a command of the dispatcher answers."""
        answer = run_as(USER, [DISPATCHER, *arguments], env=self.environment)
        return answer.stdout + answer.stderr


class Canaries(SecretsTest):
    """Each place with what it may hold; whatever is not named there must not be in it."""

    def places(self, dispatcher, worker):
        """{place: its bytes}"""
        found = {path.name: path.read_bytes() for path in self.folder.iterdir()
                 if path.is_file() and not path.name.endswith((".err", ".out", ".key"))}
        found |= {f"folder of runs: {path.name}": path.read_bytes() for path in self.runs.iterdir()}
        found["log of the dispatcher"] = dispatcher.err().encode()
        found["log of the worker"] = worker.err().encode()
        return found

    def test_nothing_is_where_it_does_not_belong(self):
        value, argument, given, printed = canary(), canary(), canary(), canary()
        caller = canary()
        gate = self.folder / "gate"
        os.mkfifo(gate, 0o666)
        gate.chmod(0o666)
        quiet = {"cmd": ["sh", "-c", f'cat > /dev/null; read line < {gate}', "sh", argument], "id": "quiet",
                 "env": {"SECRET": value}, "stdin": given}
        loud = {"cmd": ["env"], "id": "loud", "env": {"PRINTED": printed}}
        self.jobs(quiet, loud)
        end = self.folder / "end.json"
        with CommandLines() as lines:
            dispatcher = self.dispatcher("--log-level", "trace", "--summary", end)
            key = dispatcher.join_key()
            worker = self.worker("--log-level", "trace", env={"WORKPOOL_KEY": key, "OF_THE_CALLER": caller})
            self.wait_results(1)
            wait_until("the quiet job", lambda: any(argument.encode() in line for texts in list(lines.seen.values()) for line in texts))
            answers = {"status": self.asked("status", self.address), "status --json": self.asked("status", self.address, "--json"),
                       "status RESULTS": self.asked("status", self.results_path, "--json")}
            running = {f"{name} while it runs": text for name, text in self.places(dispatcher, worker).items()}
            ours = {pid for program in (dispatcher.pid, worker.pid) for pid in parts_of(program)}
            gate.write_text("go\n")
            self.assert_ends(dispatcher, 0)
            self.assert_ends(worker, 0)
        for flags in ([], ["--csv"], ["--json"], ["--stdout", "--stderr"], ["--stats"]):
            answers[" ".join(["show", *flags])] = self.asked("show", self.results_path, *flags)
        answers["verify"] = self.asked("verify", self.jobs_path, self.results_path)
        places = {**self.places(dispatcher, worker), **running, **{name: text.encode() for name, text in answers.items()}}
        for pid, texts in lines.seen.items():
            of_ours = pid in ours
            places[f"arguments of {pid}" + (", of ours" if of_ours else "")] = b"\n".join(texts)
        for name in ("jobs.results.jsonl.state", "end.json", "folder of runs: "):
            self.assertTrue(any(place.startswith(name) for place in places), f"{name} is not among {sorted(places)}")

        # What belongs where. A job's own output is the job's affair; its command is shown to whoever has the jobs.
        self.assertIn(printed.encode(), places["jobs.results.jsonl"])
        self.assertIn(caller.encode(), places["jobs.results.jsonl"], "a job has what its worker was started with")
        allowed = {
            key: [r"log of the dispatcher.*"],
            value: [r"jobs\.jsonl.*"],
            given: [r"jobs\.jsonl.*"],
            argument: [r"jobs\.jsonl.*", r"show( --csv)?", r"arguments of \d+"],
            printed: [r"jobs\.jsonl.*", r"jobs\.results\.jsonl.*", r"show --json", r"show --stdout --stderr"],
            caller: [r"jobs\.results\.jsonl", r"jobs\.results\.jsonl while.*", r"show --json", r"show --stdout --stderr"],
        }
        for secret, where in allowed.items():
            for name, text in places.items():
                if secret.encode() in text and not any(re.fullmatch(pattern, name) for pattern in where):
                    self.fail(f"{secret} is in {name}: {text[-2000:]!r}")
        # The half of a key that is secret, in any spelling that a log might use.
        for name, text in places.items():
            if not any(re.fullmatch(pattern, name) for pattern in allowed[key]):
                self.assertNotIn(key[-43:].encode(), text, name)
        print(f"looked for {len(allowed)} secrets in {len(places)} places")

    def test_a_job_does_not_have_the_key_of_its_worker(self):
        self.jobs({"cmd": ["env"], "id": "a"}, {"cmd": "cat /proc/self/environ | tr '\\0' '\\n'", "id": "b"})
        dispatcher = self.dispatcher()
        key = dispatcher.join_key()
        worker = self.worker(env={"WORKPOOL_KEY": key, "WORKPOOL_KEY_OTHER": "x"})
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        for result in self.results():
            self.assertNotIn("WORKPOOL_KEY", result["stdout"])
            self.assertNotIn(key, result["stdout"])

    def test_failures_that_are_said_say_nothing_of_env_and_stdin(self):
        value, given = canary(), canary()
        self.jobs(*[{"cmd": "exit 3", "id": str(n), "env": {"SECRET": value}, "stdin": given} for n in range(3)],
                  {"cmd": ["no-such-program-at-all"], "id": "missing", "env": {"SECRET": value}, "stdin": given})
        end = self.folder / "end.json"
        dispatcher = self.dispatcher("--log-level", "trace", "--summary", end, listen=False)
        self.assert_ends(dispatcher, 1)
        for text in (dispatcher.err(), end.read_text(), self.results_path.read_text(), self.asked("show", self.results_path)):
            self.assertNotIn(value, text)
            self.assertNotIn(given, text)


class Guarded(SecretsTest):
    """Memory, environment and open files of our programs are nobody's, a job's of the same user least of all."""

    def started(self, *flags):
        """A run with a local worker and one from elsewhere, each with a job: all our processes."""
        ready = [self.folder / name for name in ("one", "two")]
        self.jobs(*[{"cmd": f"touch {path}; exec sleep 600", "id": path.name} for path in ready],
                  {"cmd": ["true"], "id": "looks", "labels": ["never"]})
        dispatcher = self.dispatcher("--local", "1", *flags)
        worker = self.worker("--slots", "1")
        wait_until(lambda: f"both jobs\n{self.all_said()}", lambda: all(path.exists() for path in ready))
        local = children_of(dispatcher.pid)[0]
        return {"dispatcher": dispatcher.pid,
                **{f"{part} of {name}": pid for name, first in (("the local worker", local), ("the worker", worker.pid))
                   for part, pid in zip(("supervisor", "guard", "engine"), parts_of(first))}}

    def test_nobody_looks_into_them(self):
        ours = self.started()
        self.assertEqual(len(ours), 7, ours)
        plain = self.start(["sleep", "600"])
        wait_until("the sleep", lambda: b"sleep" in Path(f"/proc/{plain.pid}/cmdline").read_bytes())
        for user in [USER] + ([STRANGER] if IS_ROOT else []):
            looked = run_as(user, look_into([*ours.values(), plain.pid]))
            self.assertEqual(looked.returncode, 0, looked.stderr)
            found = {int(pid): names for pid, names in json.loads(looked.stdout).items()}
            for name, pid in ours.items():
                self.assertEqual(found[pid], [], f"user {user} can read that of {name}")
            if user == USER:  # what it can see of others shows that it would see something
                self.assertLessEqual({"environ", "maps", "fd", "exe"}, set(found[plain.pid]))
        for name, pid in ours.items():
            self.assertEqual(owner_of(pid), 0, name)
            limits = Path(f"/proc/{pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 ", name)

    def test_a_job_does_not_look_into_them(self):
        ours = {}
        script = self.folder / "look.py"
        pids = self.folder / "pids"
        script.write_text("import os, sys, time\n"
                          f"while not os.path.exists({str(pids)!r}): time.sleep(0.01)\n"
                          f"words = open({str(pids)!r}).read().split()\n"
                          f"os.execv({PYTHON!r}, [{PYTHON!r}, '-S', '-E', '-c', open({str(self.folder / 'into.py')!r}).read(), *words])\n")
        (self.folder / "into.py").write_text(look_into([])[4])
        self.jobs({"cmd": [PYTHON, str(script)], "id": "local", "labels": []}, {"cmd": [PYTHON, str(script)], "id": "other"})
        dispatcher = self.dispatcher("--local", "1")
        worker = self.worker("--slots", "1")
        local = wait_until("the local worker", lambda: children_of(dispatcher.pid))[0]
        for first in (local, worker.pid):
            wait_until("its parts", lambda: len(parts_of(first)) == 3)
            ours[first] = parts_of(first)
        plain = self.start(["sleep", "600"])
        wait_until("the sleep", lambda: b"sleep" in Path(f"/proc/{plain.pid}/cmdline").read_bytes())
        everything = [dispatcher.pid, *ours[local], *ours[worker.pid], plain.pid]
        beside = self.folder / "pids.new"
        beside.write_text(" ".join(map(str, everything)))
        beside.rename(pids)
        self.assert_ends(dispatcher, 0)
        for result in self.results():
            found = json.loads(result["stdout"])
            self.assertIn("environ", found.pop(str(plain.pid)))
            self.assertEqual({pid: names for pid, names in found.items() if names}, {})

    def test_a_crash_leaves_no_core(self):
        # The folder of the programs is where a core dump would be, if the machine writes such into folders.
        ours = self.started()
        for name, pid in ours.items():
            self.assertIn(" 0 ", re.search(r"Max core file size.*", Path(f"/proc/{pid}/limits").read_text())[0], name)
        dispatcher = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", DISPATCHER, "run", "-", "-o", "-", "--listen",
                      "tcp://127.0.0.1:0"]
        for command, dumps in ((dispatcher, False), (["sh", "-c", "ulimit -c unlimited; exec sleep 600"], None)):
            for number in (signal.SIGSEGV, signal.SIGABRT):
                reader, writer = os.pipe()
                child = os.fork()
                if child == 0:
                    os.chdir(self.folder)
                    os.dup2(reader, 0)
                    line = as_user(command)
                    os.execvpe(line[0], line, self.environment)
                os.close(reader)
                name = "workpool-dispatcher" if dumps is False else "sleep"
                wait_until(f"the start of {name}", lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(
                    (DISPATCHER if dumps is False else "sleep").encode()))
                if dumps is False:
                    wait_until("its guard", lambda: owner_of(child) == 0)
                os.kill(child, number)
                _, status = os.waitpid(child, 0)
                os.close(writer)
                self.assertEqual(os.WTERMSIG(status), number)
                if dumps is False:
                    self.assertFalse(os.WCOREDUMP(status), f"{name} dumped core at {number}")
                print(f"{name} at signal {number}: core dump {os.WCOREDUMP(status)}")
        self.assertEqual([path for path in self.folder.iterdir() if path.name.startswith("core") and "workpool" in path.name], [])

    def test_jobs_have_the_callers_limit(self):
        # In units of 512 bytes or 1 KiB, as the shell likes; what the job prints is what its caller's shell prints.
        self.jobs({"cmd": "ulimit -Sc; ulimit -Hc", "id": "a"})
        for before in ("ulimit -Hc 4096; ulimit -Sc 1234", "ulimit -c 0", "ulimit -Sc 0"):
            with self.subTest(before=before):
                asked = subprocess.run(["sh", "-c", before + "; ulimit -Sc; ulimit -Hc"], capture_output=True, text=True, check=True)
                for local in (True, False):
                    run = self.run_command("--overwrite", listen=not local)
                    dispatcher = self.start(["sh", "-c", before + '; exec "$@"', "sh", *map(str, run)])
                    if not local:
                        worker = self.start(["sh", "-c", before + '; exec "$@"', "sh", WORKER, self.address])
                        self.assert_ends(worker, 0)
                    self.assert_ends(dispatcher, 0)
                    self.assertEqual(self.by_id()["a"]["stdout"], asked.stdout)


@unittest.skipUnless(IS_ROOT, "only root can make a setuid program, and run as root")
class Rights(System):
    """Jobs gain no rights that their worker does not have, and root is warned."""

    def setUp(self):
        super().setUp()
        self.become_root = self.folder / "become-root"
        shutil.copy("/usr/bin/setpriv", self.become_root)
        self.become_root.chmod(0o4755)
        self.folder.chmod(0o777)
        self.jobs({"cmd": f"{self.become_root} --reuid 0 --clear-groups id -u && grep NoNewPrivs /proc/self/status", "id": "a"})

    def result(self, dispatcher_flags=(), worker_flags=None):
        dispatcher = self.start(as_user(self.run_command("--overwrite", *dispatcher_flags, listen=worker_flags is not None)))
        if worker_flags is not None:
            self.assert_ends(self.start(as_user([WORKER, self.address, *worker_flags])), 0)
        dispatcher.wait()
        return self.by_id()["a"]

    def test_a_setuid_program_gives_none(self):
        for result in (self.result(), self.result(worker_flags=[])):
            self.assertEqual((result["status"], result["stdout"]), ("failed", ""), result)
            self.assertIn("not permitted", result["stderr"])

    def test_unless_that_is_asked_for(self):
        for result in (self.result(["--allow-new-privs"]), self.result(worker_flags=["--allow-new-privs"])):
            self.assertEqual((result["status"], result["stdout"]), ("ok", "0\nNoNewPrivs:\t0\n"), result)

    def test_our_own_processes_may_still(self):
        # The flag is the job's own: a worker with it could not start jobs without it.
        dispatcher = self.dispatcher()
        worker = self.worker()
        for pid in (dispatcher.pid, worker.pid):
            self.assertIn("NoNewPrivs:\t0\n", Path(f"/proc/{pid}/status").read_text())

    def test_a_worker_of_root_says_so_once(self):
        for command, flags, said in (([WORKER], [], 1), ([WORKER], ["--allow-root"], 0), (as_user([WORKER]), [], 0)):
            with self.subTest(command=command, flags=flags):
                worker = self.start([*command, self.address, *flags])
                worker.says("waiting_for_dispatcher")
                self.assertEqual(worker.err().count("jobs_run_as_root"), said, worker.err())
                if said:
                    self.assertIn("--allow-root", worker.err())
        dispatcher = self.run_to_end("--overwrite", "--log-level", "trace")
        self.assertNotIn("as root", dispatcher.err(), "a local worker runs what the same user typed here")


if __name__ == "__main__":
    unittest.main(verbosity=2)
