#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A14: what a job is given is passed on as it is. No shell reads it that was not asked for, and nothing in it means
anything to the programs between the jobs file and the job."""

import json
import unittest

from attack_testing import DISPATCHER, PYTHON, WORKER, CliTest, free_port, jsonl

TRAPS = ["; touch trap", "$(touch trap)", "`touch trap`", "| touch trap", "&& touch trap", "\ntouch trap\n", "> trap",
         "'; touch trap; '", '"; touch trap; "', "() { :; }; touch trap", "-rf", "--", "-", "--overwrite", "--listen=tcp://*:1",
         "{}", "{id}", "{{", "%s%n", "${IFS}touch${IFS}trap", "~", "*", "!!", "", " ", "\t", "\r", "\u2028", "\u202e", "\\", "=", "A=B"]
SAY = "import json, os, sys; print(json.dumps([sys.argv[1:], {n: v for n, v in os.environ.items() if n.startswith('TRAP_')}, sys.stdin.buffer.read().decode()]))"
SAYS = [PYTHON, "-S", "-E", "-c", SAY]


class Arguments(CliTest):
    def assert_no_trap(self):
        self.assertEqual(sorted(path.name for path in self.folder.rglob("*trap*")), [])

    def test_nothing_is_read_by_a_shell(self):
        names = {f"TRAP_{n}": text for n, text in enumerate(TRAPS)}
        jobs = [{"cmd": [*SAYS, *TRAPS], "env": names, "stdin": "\n".join(TRAPS), "id": "local"},
                {"cmd": [*SAYS, *TRAPS], "env": names, "stdin": "\n".join(TRAPS), "id": TRAPS[1], "meta": TRAPS, "priority": -1}]
        for result in self.run_jobs(*jobs, code=0).results:
            self.assertEqual(json.loads(result["stdout"]), [TRAPS, names, "\n".join(TRAPS)])
        self.assert_no_trap()

    def test_nor_in_the_place_of_a_program_a_folder_or_a_label(self):
        jobs = [{"cmd": [text], "id": f"program {n}"} for n, text in enumerate(TRAPS) if text]
        jobs += [{"cmd": ["true"], "cwd": text, "id": f"folder {n}"} for n, text in enumerate(TRAPS) if text]
        found = self.run_jobs(*jobs, flags=("--capture", "1KiB"), code=1).by_id
        self.assertEqual({result["status"] for result in found.values()}, {"failed"})
        self.assertEqual({result["error"]["kind"] for result in found.values()}, {"spawn"})
        self.assert_no_trap()

    def test_names_of_variables_are_only_names(self):
        names = ["A;touch trap", "A B", "A\nB", "$(touch trap)", "BASH_FUNC_ls%%", "-", "1", "\u00e9"]
        result = self.run_command(["env", "-0"], env={name: "() { touch trap; }" for name in names}, code=0)
        entries = result["stdout"].split("\0")
        for name in names:
            self.assertIn(f"{name}=() {{ touch trap; }}", entries)
        self.run_command("ls", env={"ENV": "$(touch trap)", "BASH_ENV": "$(touch trap)", "PS4": "$(touch trap)", "IFS": "a"},
                         flags=("--overwrite",))
        self.assert_no_trap()

    def test_what_the_loader_reads_reaches_the_job_alone(self):
        # It is the job's own affair, as it is on a command line; our programs never run with it.
        self.write("jobs.jsonl", jsonl(*({"cmd": ["sh", "-c", "echo $LD_PRELOAD $LD_AUDIT"], "id": str(n),
                                          "env": {"LD_PRELOAD": "/no/such/a.so", "LD_AUDIT": "/no/such/b.so"}} for n in range(3))))
        finished = self.dispatcher("run", "jobs.jsonl")
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertEqual(finished.code, 0, str(finished))
        self.assertNotIn("/no/such", finished.err)
        for result in finished.results:
            self.assertEqual(result["stdout"], "/no/such/a.so /no/such/b.so\n")
            self.assertIn("/no/such/a.so", result["stderr"], "the job's loader has read it")

    def test_path_of_a_job_finds_its_programs_only(self):
        # Neither a worker nor another job is led to this folder.
        (self.folder / "games").mkdir()
        for name in ("true", "sh", "workpool-worker", "env"):
            self.write(f"games/{name}", "#!/bin/sh\n: > trap\n").chmod(0o755)
        jobs = [{"cmd": ["true"], "id": "led", "env": {"PATH": "games"}}, {"cmd": ["true"], "id": "not"},
                {"cmd": "true", "id": "shell", "env": {"PATH": "games"}}]
        self.run_jobs(*jobs[1:], code=0)
        self.assert_no_trap()
        self.run_jobs(jobs[0], flags=("--overwrite",), code=0)
        self.assertTrue((self.folder / "trap").exists(), "as a shell would be led")

    def test_too_much_is_the_jobs_failure_and_not_the_workers(self):
        many = {"cmd": ["true", *["x" * 100_000] * 5]}
        self.write("jobs.jsonl", jsonl(*({"cmd": ["true"], "id": f"before {n}"} for n in range(3)),
                                       *({**many, "id": f"many {n}"} for n in range(5)),
                                       *({"cmd": ["true"], "id": f"after {n}"} for n in range(3))))
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start(DISPATCHER, "run", "jobs.jsonl", "--listen", address)
        worker = self.start("sh", "-c", 'ulimit -s 512; exec "$@"', "sh", WORKER, address, "--slots", "2")
        finished = run.finish()
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertEqual(finished.code, 1, str(finished))
        for name, result in finished.by_id.items():
            self.assertEqual(result["status"], "failed" if name.startswith("many") else "ok", result)
        self.assertEqual(worker.finish().code, 0)
        self.assertNotIn("engine_died", worker.err)
        self.assertNotIn("lost", finished.err)

    def test_each_value_of_an_argument_stays_one(self):
        finished = self.dispatcher("each", "-k", PYTHON, "-S", "-E", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", "{}", "::::", "-",
                                   stdin="".join(text + "\n" for text in TRAPS if "\n" not in text and text and "\r" not in text))
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual([json.loads(line) for line in finished.out.splitlines()],
                         [[text] for text in TRAPS if "\n" not in text and text and "\r" not in text])
        self.assert_no_trap()


if __name__ == "__main__":
    unittest.main(verbosity=2)
