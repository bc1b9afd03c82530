#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A17, as far as files go: what another user of the machine can read of a run, and what he can make it write by
putting links and files where it is going to write."""

import json
import os
import re
import stat
import subprocess
import unittest

from attack_testing import (DISPATCHER, IS_ROOT, STRANGER, USER, CliTest, as_user, clean_environment, jsonl, run_as, wait_until)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


class FilesTest(CliTest):
    def setUp(self):
        super().setUp()
        self.env = clean_environment(WORKPOOL_RUN_DIR=str(self.folder / "runs"))
        self.write("jobs.jsonl", jsonl({"cmd": ["echo", "done"], "id": "a"}))

    def run_here(self, *flags, code=0, umask=0o022, jobs="jobs.jsonl", user=None):
        command = [DISPATCHER, "run", jobs, *map(str, flags)]
        finished = self.call(command if user is None else as_user(command, user), env=self.env, umask=umask)
        if code is not None:
            self.assertEqual(finished.code, code, str(finished))
        return finished


class Modes(FilesTest):
    def test_results_and_state_have_what_the_umask_leaves(self):
        for umask, expected in ((0o077, 0o600), (0o027, 0o640), (0o022, 0o644)):
            self.run_here("--overwrite", "-o", f"{umask}.jsonl", "--summary", f"{umask}.end", umask=umask)
            for name in (f"{umask}.jsonl", f"{umask}.jsonl.state", f"{umask}.end"):
                self.assertEqual(mode(self.folder / name), expected, name)

    def test_a_results_file_that_is_private_stays_so(self):
        self.write("jobs.results.jsonl", "").chmod(0o600)
        self.run_here("--overwrite", umask=0)
        self.assertEqual(mode(self.folder / "jobs.results.jsonl"), 0o600)

    def test_the_folder_of_runs_is_the_users_alone(self):
        self.write("jobs.jsonl", jsonl({"cmd": "until test -e go; do sleep 0.02; done"}))
        run = self.start(DISPATCHER, "run", "jobs.jsonl", env=self.env, umask=0)
        runs = self.folder / "runs"
        found = wait_until("the run", lambda: runs.exists() and [path for path in runs.iterdir() if not path.name.startswith(".")])
        self.assertEqual([mode(runs), mode(found[0])], [0o700, 0o600])
        if IS_ROOT:
            self.assertNotEqual(run_as(STRANGER, ["ls", runs]).returncode, 0)
            asked = run_as(STRANGER, [DISPATCHER, "status"], env=self.env)
            self.assertNotIn("jobs.jsonl", asked.stdout)
        self.write("go", "")
        self.assertEqual(run.finish().code, 0)


class InTheWay(FilesTest):
    def setUp(self):
        super().setUp()
        self.write("precious", "kept\n")

    def assert_kept(self):
        self.assertEqual((self.folder / "precious").read_text(), "kept\n")

    def link(self, name, to="precious"):
        os.symlink(self.folder / to, self.folder / name)

    def test_a_link_where_the_state_goes(self):
        self.link("jobs.results.jsonl.state")
        finished = self.run_here(code=None)
        self.assertEqual(finished.code, 74, str(finished))
        self.assert_kept()
        self.assertIn("jobs.results.jsonl.state", finished.err)

    def test_a_link_where_an_output_goes(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["echo", "x"], "id": "a", "stdout": "out.txt"}))
        self.link("out.txt")
        self.run_here(code=1)
        self.assert_kept()

    def test_a_folder_of_runs_that_is_a_link_or_anothers(self):
        self.write("jobs.jsonl", jsonl({"cmd": "until test -e go; do sleep 0.02; done"}))
        os.mkdir(self.folder / "elsewhere", 0o700)
        self.link("runs", "elsewhere")
        run = self.start(DISPATCHER, "run", "jobs.jsonl", "--log-level", "debug", env=self.env)
        run.wait_for("not_listed")
        self.assertEqual(os.listdir(self.folder / "elsewhere"), [])
        self.write("go", "")
        self.assertEqual(run.finish().code, 0)
        if IS_ROOT:
            os.unlink(self.folder / "runs")
            os.unlink(self.folder / "go")
            os.mkdir(self.folder / "runs", 0o700)
            os.chown(self.folder / "runs", STRANGER, STRANGER)
            run = self.start(DISPATCHER, "run", "jobs.jsonl", "--overwrite", "--log-level", "debug", env=self.env)
            run.wait_for("belongs to another user")
            self.write("go", "")
            self.assertEqual(run.finish().code, 0)
            self.assertEqual(os.listdir(self.folder / "runs"), [])

    def test_no_name_that_can_be_guessed_is_written_through(self):
        # A stranger in a folder that many may write to guesses the number of the process, and is right.
        self.folder.chmod(0o777)
        self.write("jobs.jsonl", jsonl({"cmd": "until test -e go; do sleep 0.02; done", "id": "a"}))
        run = self.start(DISPATCHER, "run", "jobs.jsonl", "--summary", "end.json", env=self.env)
        run.wait_for("results go to")
        wait_until("its folder of runs", lambda: (self.folder / "runs").exists())
        pid = run.process.pid
        for name in (f"end.json.{pid}.tmp", f"end.json.{pid}", "end.json.tmp", "jobs.results.jsonl.tmp", f"jobs.results.jsonl.{pid}.tmp"):
            self.link(name)
        self.write("go", "")
        self.assertEqual(run.finish().code, 0, run.err)
        self.assert_kept()
        json.loads((self.folder / "end.json").read_text())
        self.assertFalse((self.folder / "end.json").is_symlink())

    @unittest.skipUnless(IS_ROOT, "what a program of ours opens is traced by root only")
    def test_files_with_fixed_names_are_in_no_shared_folder(self):
        # What is opened for writing outside the folder of the results, other than devices, is in the folder of runs, or in
        # one whose name nobody can guess.
        traced = self.folder / "trace"
        looked = subprocess.run(["strace", "-f", "-qq", "-e", "trace=open,openat,creat,mkdir,mkdirat,symlink,symlinkat,rename,renameat,renameat2,link,linkat",
                                 "-o", traced, DISPATCHER, "run", "jobs.jsonl"], env=self.env, cwd=self.folder, capture_output=True,
                                text=True, check=False)
        if looked.returncode != 0 or not traced.exists():
            self.skipTest("strace cannot be used here: " + looked.stderr[-200:])
        written = [line for line in traced.read_text(errors="replace").splitlines()
                   if re.search(r"O_CREAT|O_TRUNC|mkdir|symlink|rename|link\(", line) and "ENOENT" not in line]
        paths = {path for line in written for path in re.findall(r'"([^"]+)"', line)}
        strange = [path for path in paths if path.startswith("/") and not path.startswith((str(self.folder), "/dev/"))]
        strange = [path for path in strange if not re.match(r"/tmp/workpool-\w{6}(/|$)", path)]
        self.assertEqual(strange, [], "\n".join(written))
        self.assertTrue(any(path.endswith(".json") for path in paths), paths)


@unittest.skipUnless(IS_ROOT, "only root can put files of another user into a folder")
class Anothers(FilesTest):
    """A results file that a stranger has made, in a folder like /tmp, waiting for somebody to run into it."""

    def setUp(self):
        super().setUp()
        self.folder.chmod(0o1777)
        self.write("results.jsonl", "").chmod(0o666)
        os.chown(self.folder / "results.jsonl", STRANGER, STRANGER)

    def test_is_refused(self):
        for flags in ([], ["--overwrite"]):
            finished = self.run_here("-o", "results.jsonl", *flags, code=74, user=USER)
            self.assertIn("belongs to another user", finished.err)
            self.assertEqual((self.folder / "results.jsonl").read_bytes(), b"")
        # Through a link, too.
        os.symlink("results.jsonl", self.folder / "link.jsonl")
        os.lchown(self.folder / "link.jsonl", USER, USER)
        self.assertIn("belongs to another user", self.run_here("-o", "link.jsonl", code=74, user=USER).err)

    def test_one_result_for_other_work_is_not_believed(self):
        # Where it is accepted, in a folder of colleagues: a line that is right but for the digest of the work.
        self.folder.chmod(0o777)
        self.write("forged.jsonl", jsonl({"cmd": ["true"], "id": "a"}))
        self.run_here("-o", "forged.results.jsonl", jobs="forged.jsonl")
        self.write("results.jsonl", (self.folder / "forged.results.jsonl").read_bytes())
        finished = self.run_here("-o", "results.jsonl", code=None, user=USER)
        self.assertNotIn("1 done before", finished.err)
        last = json.loads((self.folder / "results.jsonl").read_text().splitlines()[-1])
        self.assertTrue(finished.code != 0 or last["stdout"] == "done\n", str(finished))


if __name__ == "__main__":
    unittest.main(verbosity=2)
