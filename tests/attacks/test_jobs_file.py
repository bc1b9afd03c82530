#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A19: names and numbers of a jobs file that something on their way might take for others, or for paths."""

import json
import os
import unittest

from attack_testing import DISPATCHER, CliTest, jsonl

# Pairs that a normal form, a case rule, a trim or a number would make one.
ALIKE = [("\u00e9", "e\u0301"), ("\ufb01", "fi"), ("A", "\uff21"), ("a", "A"), ("\u0131", "i"), ("x", "x "), ("y", " y"), ("z", "z\t"),
         ("1", "1.0"), ("1e2", "100"), ("0", "-0"), ("w", "w\u200b"), ("v", "\u202ev"), ("\u212b", "\u00c5"), ("true", "True"), ("L1", "l1"),
         ("ss", "\u00df"), ("9007199254740992", "9007199254740993")]
STRANGE = ["__proto__", "constructor", "toString", "null", "undefined", "NaN", "../../etc/passwd", "/etc/passwd", ".", "..", "...", "C:\\x", "a/b",
           "-o", "--overwrite", "*", "?", "[a]", "%s", "{id}", "{line}", "{", "}}", "'", '"', "\\", "$(id)", "#2", "x#2", "L2", "\x01", "\x7f", "\u2028"]


class Names(CliTest):
    def test_ids_are_bytes_that_are_compared_exactly(self):
        ids = sorted({name for pair in ALIKE for name in pair} | set(STRANGE))
        jobs = [{"cmd": ["printf", "%s", name], "id": name, "meta": {"id": name}} for name in ids]
        found = self.run_jobs(*jobs, code=0).by_id
        self.assertEqual(set(found), set(ids))
        for name, result in found.items():
            self.assertEqual((result["stdout"], result["meta"]), (name, {"id": name}))
        self.assertIn(f"{len(ids)} done before", self.dispatcher("run", "jobs.jsonl").err)
        # One of each pair is not taken for the other by a resume either.
        for first, second in ALIKE:
            with self.subTest(first=first, second=second):
                self.run_jobs({"cmd": ["true"], "id": first}, name="pair.jsonl", flags=("--overwrite",))
                again = self.run_jobs({"cmd": ["true"], "id": first}, {"cmd": ["true"], "id": second}, name="pair.jsonl")
                self.assertIn("1 done before", again.err)
                self.assertEqual(len(again.results), 2)

    def test_ids_are_no_paths(self):
        # Each goes into a folder of its own below `out`, or to a name in it: nothing is written above.
        jobs = [{"cmd": ["echo", "x"], "id": name} for name in STRANGE]
        for place in ("out/{id}/text", "out/{id}", "out/.{id}/text"):
            with self.subTest(place=place):
                folder = self.folder / "deep" / "er"
                folder.mkdir(parents=True, exist_ok=True)
                before = set(os.listdir(self.folder)) | {"jobs.jsonl", "jobs.results.jsonl", "jobs.results.jsonl.state"}
                self.run_jobs(*jobs, flags=("--cwd", folder, "--stdout", place, "--overwrite"), code=None)
                self.assertLessEqual(set(os.listdir(self.folder)), before)
                self.assertEqual(os.listdir(self.folder / "deep"), ["er"])
                self.assertEqual(os.listdir(folder), ["out"], "a job is beside its folder")
                self.assertFalse((folder / "out" / "text").exists(), "two ids share a folder with all")

    def test_ids_that_are_too_long_are_refused_before_anything_runs(self):
        for size in (257, 1 << 19):
            finished = self.run_jobs({"cmd": ["touch", "ran"]}, {"cmd": ["true"], "id": "x" * size}, name="bad.jsonl", code=65)
            self.assertIn("256", finished.err)
            self.assertLess(len(finished.err), 2000, "it is not repeated in full")
        self.assertFalse((self.folder / "ran").exists())

    def test_members_are_not_looked_up_anywhere_else(self):
        for name in ("__proto__", "constructor", "Cmd", "cmd ", "cmd\u0000", "\uff43md"):
            finished = self.run_jobs({"cmd": ["touch", "ran"], name: ["touch", "other"]}, name="bad.jsonl", code=65)
            self.assertRegex(finished.err, r"^bad\.jsonl:1:\d+: ")
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name in ("ran", "other")], [])

    def test_a_member_that_is_given_twice_at_any_depth_of_ours(self):
        for line in ('{"cmd":["true"],"env":{"A":"1","A":"2"}}', '{"cmd":["true"],"env":{"A":"1","\\u0041":"2"}}',
                     '{"cmd":["true"],"id":"a","id":"a"}', '{"defaults":{"cwd":"/","cwd":"/tmp"}}\n{"cmd":["true"]}',
                     '{"defaults":{"env":{"A":"1","A":"2"}}}\n{"cmd":["true"]}'):
            with self.subTest(line=line):
                self.run_jobs(*line.split("\n"), name="bad.jsonl", code=65)

    def test_numbers_keep_every_digit(self):
        texts = ["9007199254740993", "-9223372036854775808", "18446744073709551615", "0.1000000000000000055511151231257827", "1e-320", "-0.0"]
        jobs = ['{"type":"echo","args":%s,"id":"%d"}' % (text, n) for n, text in enumerate(texts)]
        finished = self.run_jobs(*jobs, code=0)
        for line in finished.results_path.read_text().splitlines():
            self.assertIn(f'"value":{texts[int(json.loads(line)["id"])]},', line)
        for text in ("priority\":2147483648", "retries\":4294967296", "slots\":1.0000000001", "priority\":1e0"):
            self.run_jobs('{"cmd":["true"],"%s}' % text, name="bad.jsonl", code=65)

    def test_names_in_messages_are_short_and_plain(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["false"], "id": "\u202e" + "x" * 200}))
        finished = self.call([DISPATCHER, "run", "jobs.jsonl"])
        self.assertNotIn("\u202e", finished.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
