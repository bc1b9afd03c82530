#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What jobs get that do not say otherwise: --cwd, --env and --shell, and the first line of a jobs file."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import CliTest, clean_environment, jsonl, wait_until  # noqa: E402

SHOW = {"cmd": "pwd; echo $A $B; echo {1..3}"}
BASH = {"defaults": {"cwd": "/", "env": {"A": "a", "B": "b"}, "shell": "bash"}}


class OnTheCommandLine(CliTest):
    def test_jobs_get_them_and_may_say_otherwise(self):
        (self.folder / "sub").mkdir()
        finished = self.run_jobs(SHOW, {**SHOW, "id": "own", "cwd": "sub", "env": {"B": "mine"}, "shell": "sh"},
                                 flags=["--cwd", "/", "--env", "A=a", "--env", "B", "--shell", "bash"],
                                 env=clean_environment(B="ours"))
        first, own = sorted(finished.results, key=lambda result: result["line"])
        self.assertEqual(first["stdout"], "/\na ours\n1 2 3\n")
        self.assertEqual(own["stdout"], f"{(self.folder / 'sub').resolve()}\na mine\n{{1..3}}\n")

    def test_shell_lines_get_them_too(self):
        self.write("jobs.txt", "echo {1..3} $A\n")
        finished = self.dispatcher("run", "jobs.txt", "--shell", "bash", "--env", "A=1", "-o", "-")
        self.assertEqual(json.loads(finished.out)["stdout"], "1 2 3 1\n")
        piped = self.dispatcher("run", "-", "--shell", "bash", "--env", "A=1", stdin="echo {1..3} $A\n")
        self.assertEqual(piped.out, "1 2 3 1\n", str(piped))

    def test_handlers_get_none(self):
        finished = self.run_jobs({"type": "echo", "args": 1}, flags=["--cwd", "/nowhere", "--shell", "bash"])
        self.assertEqual(finished.only["value"], 1)

    def test_they_are_part_of_the_work(self):
        self.run_jobs({"cmd": "pwd"}, flags=["--cwd", "/"])
        again = self.dispatcher("run", "jobs.jsonl", "--cwd", "/")
        self.assertIn("1 done before", again.err)
        other = self.dispatcher("run", "jobs.jsonl", "--cwd", "/tmp")
        self.assertNotIn("done before", other.err)
        # Whoever reads the results has to say them, too, and is told so.
        self.assertEqual(self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl", "--cwd", "/tmp").code, 0)
        without = self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl")
        self.assertEqual(without.code, 1)
        self.assertIn("if the run had --cwd, --env or --shell, give verify the same", without.out)
        self.assertIn("\tpwd\n", self.dispatcher("show", "jobs.results.jsonl", "--cwd", "/tmp").out)

    def test_bad_ones_are_refused(self):
        self.write("jobs.jsonl", jsonl({"cmd": "true"}))
        for flags, word in ((["--env", "=x"], "NAME=VALUE"), (["--env", "NOT_SET_HERE"], "not set here"), (["--cwd", ""], "empty"),
                            (["--shell", ""], "empty")):
            finished = self.dispatcher("run", "jobs.jsonl", *flags)
            self.assertEqual(finished.code, 2, flags[0])
            self.assertIn(word, finished.err)


class OnTheFirstLine(CliTest):
    def test_a_file_and_a_pipe(self):
        own = {**SHOW, "cwd": "/tmp", "env": {"B": "c"}}
        expected = ["/\na b\n1 2 3\n", "/tmp\na c\n1 2 3\n"]
        finished = self.run_jobs(BASH, SHOW, own)
        self.assertEqual([result["stdout"] for result in sorted(finished.results, key=lambda result: result["line"])], expected)
        piped = self.dispatcher("run", "-", "-j", "1", stdin=jsonl(BASH, SHOW, own))
        self.assertEqual(piped.out, "".join(expected), str(piped))
        self.assertEqual(sorted(result["line"] for result in finished.results), [2, 3])

    def test_limits_and_labels(self):
        finished = self.run_jobs({"defaults": {"timeout": "100ms", "retries": 1, "labels": ["nobody-has-it"]}},
                                 {"cmd": ["sleep", "100"], "labels": []}, flags=["--retries", "0"], code=1)
        self.assertEqual(finished.only["status"], "timeout")
        self.assertEqual(finished.only["attempt"], 1, "the command line wins over the first line")
        waiting = self.run_jobs({"defaults": {"labels": ["nobody-has-it"]}}, {"cmd": ["true"]}, name="l.jsonl", code=1,
                                flags=["--unsatisfiable-after", "0"])
        self.assertIn("nobody-has-it", waiting.err)

    def test_changing_them_runs_the_jobs_again_that_they_change(self):
        jobs = [SHOW, {**SHOW, "cwd": "/tmp", "env": {"A": "1", "B": "2"}, "shell": "sh"}, {"cmd": ["true"], "id": "x"}]
        self.run_jobs(BASH, *jobs)
        changed = self.run_jobs({"defaults": {**BASH["defaults"], "env": {"A": "z", "B": "b"}, "retries": 5}}, *jobs)
        self.assertIn("1 done before", changed.err)
        self.assertEqual(len([result for result in changed.results if result["id"] == "x"]), 2)
        self.assertEqual(self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl").code, 0)
        rows = self.dispatcher("show", "jobs.results.jsonl").out.splitlines()
        self.assertEqual(sum("echo {1..3}" in row for row in rows), 2)

    def run_and_rewrite(self, cwd):
        """The exit code of a run whose jobs file is written again, with this default, while its first job runs."""
        def jobs(folder):
            return jsonl({"defaults": {"cwd": folder}}, {"cmd": "touch begun; until [ -e rewritten ]; do sleep 0.05; done", "cwd": str(self.folder)},
                         {"cmd": ["pwd"]})
        self.write("jobs.jsonl", jobs("/"))
        run = self.start_run("jobs.jsonl", "--local", "1", "--overwrite")
        wait_until("a job", (self.folder / "begun").exists)
        self.write("jobs.jsonl", jobs(cwd))
        self.write("rewritten", "")
        code = run.finish().code
        (self.folder / "begun").unlink()
        (self.folder / "rewritten").unlink()
        return code

    def test_a_change_while_the_run_goes_on_is_noticed(self):
        self.assertEqual(self.run_and_rewrite("/tmp"), 65)
        self.assertEqual(self.run_and_rewrite("/"), 0, "the same jobs")

    def test_bad_ones_are_errors_with_their_place(self):
        for text, error in (('{"defaults": {"cwd": 1}}\n{"cmd": "x"}\n', "jobs.jsonl:1:22: \"cwd\" must be"),
                            ('\n{"defaults": {"cmd": 1}}\n', "jobs.jsonl:2:15: \"cmd\" cannot be a default"),
                            ('{"defaults": {"cwdd": 1}}\n', "unknown default \"cwdd\""),
                            ('{"cmd": "x"}\n{"defaults": {}}\n', "jobs.jsonl:2:2: \"defaults\" must be in the first line"),
                            ('{"defaults": {}, "cmd": "x"}\n', "jobs.jsonl:1:18: a line of defaults or limits holds nothing else")):
            self.write("jobs.jsonl", text)
            for command in ("check", "run"):
                finished = self.dispatcher(command, "jobs.jsonl")
                self.assertEqual(finished.code, 65, text)
                self.assertIn(error, finished.err)
                self.assertEqual(len(finished.err.splitlines()), 1, finished.err)
        piped = self.dispatcher("run", "-", stdin='{"defaults": {"cwd": 1}}\n{"cmd": "echo ran"}\n')
        self.assertEqual((piped.code, piped.out), (65, ""), str(piped))
        self.assertIn("line 1, column 22: \"cwd\" must be", piped.err)

    def test_a_second_one_in_a_pipe_is_a_bad_line(self):
        finished, results = self.pipe_jobs('{"cmd": ["true"]}\n{"defaults": {}}\n{"cmd": ["true"]}\n', code=1)
        self.assertEqual([result["status"] for result in sorted(results, key=lambda result: result["line"])], ["ok", "invalid", "ok"])

    def test_what_each_prints_can_be_given_some(self):
        lines = self.dispatcher("each", "--dry-run", "pwd", ":::", "-P").out
        self.write("jobs.jsonl", '{"defaults": {"cwd": "/usr"}}\n' + lines)
        self.assertEqual(self.dispatcher("run", "jobs.jsonl", "-o", "-").out.count("/usr\\n"), 1)


if __name__ == "__main__":
    unittest.main()
