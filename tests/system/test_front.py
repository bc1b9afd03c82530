#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 120
"""`workpool`, the short name: which program it starts, the names that are printed, help, manual and completion."""

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import BIN, DISPATCHER, WORKER, CliTest, clean_environment, free_port  # noqa: E402

FRONT = str(BIN / "workpool")
COMMANDS = ("run", "each", "check", "verify", "show", "status", "keygen")


class Front(CliTest):
    def test_starts_the_other_two(self):
        self.write("jobs.txt", "echo a\n")
        finished = self.call([FRONT, "run", "jobs.txt"])
        self.assertEqual(finished.code, 0, str(finished))
        for words in ([], ["run"], ["each"], ["status", "x"], ["bogus"]):
            mine = self.call([FRONT, *words])
            theirs = self.call([DISPATCHER, *words])
            self.assertEqual(mine.code, theirs.code)
        self.assertEqual(self.call([FRONT, "worker", "nonsense"]).code, 2)
        self.assertEqual(self.call([FRONT, "--version"]).out, self.call([DISPATCHER, "--version"]).out)

    def test_a_worker_joins_a_run(self):
        self.write("jobs.txt", "echo a\n")
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start(FRONT, "run", "jobs.txt", "--listen", address)
        worker = self.start(FRONT, "worker", address)
        self.assertEqual(run.finish().code, 0, run.err)
        self.assertEqual(worker.finish().code, 0, worker.err)
        self.assertRegex(run.err, rf"\n  WORKPOOL_KEY=wp1-[\w-]{{86}} workpool worker {address}\n")

    def test_prints_the_name_that_was_typed(self):
        self.write("jobs.txt", "false\n")
        environment = clean_environment()
        finished = self.call(["workpool", "run", "jobs.txt"], env=environment)
        self.assertIn("again: workpool run jobs.txt --retry-failed", finished.err)
        finished = self.call([FRONT, "run", "jobs.txt"], env=environment)
        self.assertIn(f"again: {FRONT} run jobs.txt --retry-failed", finished.err)
        for command in COMMANDS:
            text = self.call(["workpool", "help", command], env=environment).out
            self.assertTrue(text.startswith(f"usage: workpool {command} "), text[:200])
            self.assertNotIn("workpool-", text)
        self.assertTrue(self.call(["workpool", "help", "worker"], env=environment).out.startswith("usage: workpool worker ADDRESS"))
        self.assertIn("worker ADDRESS", self.call(["workpool", "help"], env=environment).out)

    def test_says_what_is_missing(self):
        alone = self.folder / "workpool"
        shutil.copy(FRONT, alone)
        finished = self.call([str(alone), "run", "x"])
        self.assertEqual(finished.code, 71)
        self.assertIn(f"cannot start {self.folder}/workpool-dispatcher: No such file or directory", finished.err)

    def test_a_link_in_the_path_is_enough(self):
        (self.folder / "workpool").symlink_to(FRONT)
        self.assertEqual(self.call([str(self.folder / "workpool"), "--version"]).code, 0)


class Manual(CliTest):
    def page(self):
        return self.call([FRONT, "--man"]).out + self.call([WORKER, "--man"]).out

    def test_has_every_command_and_every_flag(self):
        text = self.page()
        for command in (*COMMANDS, "worker"):
            self.assertIn(f'.SH "workpool {command}"', text)
            for line in self.call([FRONT, command, "--list-flags"]).out.splitlines():
                name = line.split("\t")[0]
                if name.startswith("--") and name not in ("--help", "--version"):
                    self.assertIn("\\fB" + name.replace("-", "\\-") + "\\fR", text, command)

    @unittest.skipUnless(shutil.which("man") or shutil.which("groff"), "neither man nor groff is installed")
    def test_is_set_without_complaints(self):
        self.write("workpool.1", self.page())
        tool = ["groff", "-man", "-Tutf8", "-ww", "workpool.1"] if shutil.which("groff") else ["man", "--warnings", "-l", "workpool.1"]
        finished = self.call(tool)
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertTrue("--keep-order" in re.sub(".\x08", "", finished.out), "bold letters are printed twice")


class Completion(CliTest):
    def complete(self, *words):
        """What bash offers for the last word."""
        script = (f"source <({FRONT} --completion bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); compopt() {{ :; }}; "
                  "_workpool; printf '%s\\n' \"${COMPREPLY[@]}\"")
        return self.call(["bash", "-c", script, "bash", "workpool", *words]).out.split()

    def test_of_bash(self):
        self.assertEqual(self.complete("ea"), ["each"])
        self.assertLessEqual({"run", "each", "worker", "help"}, set(self.complete("")))
        self.assertEqual(self.complete("each", "--keep"), ["--keep-order"])
        self.assertEqual(self.complete("worker", "--orphan"), ["--orphan-grace"])
        self.assertEqual(self.complete("run", "--progress", "p"), ["plain"])
        self.write("my.jsonl", "")
        self.assertEqual(self.complete("run", "my"), ["my.jsonl"])

    def test_of_other_shells(self):
        for shell, check in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            script = self.call([FRONT, "--completion", shell])
            self.assertEqual(script.code, 0)
            self.write(f"script.{shell}", script.out)
            if shutil.which(shell):
                self.assertEqual(self.call([*check, f"script.{shell}"]).code, 0)
        refused = self.call([FRONT, "--completion", "tcsh"])
        self.assertEqual(refused.code, 2)
        self.assertIn("none of bash, zsh, fish", refused.err)


if __name__ == "__main__":
    unittest.main()
