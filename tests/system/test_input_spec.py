#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The default id and `spec` of ten jobs and two lines, pinned, as the results show them; and what is no part of it."""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import CliTest  # noqa: E402

# A jobs line, the bytes that are hashed, and their XXH3-128 as `xxhsum -H128` prints it.
PINNED = [
    ('{ "cmd": ["true"] }', '{"cmd":["true"]}', "385bb00ad9936907bb3342b79c51cb85"),
    ('{"id": "x", "priority": 5, "timeout": "3s", "retries": 2, "slots": 1, '
     '"cmd":\t[ "sh", "-c", "echo  two  spaces" ]}',
     '{"cmd":["sh","-c","echo  two  spaces"]}', "9cb9e833628ae6f32b7a79d40d4914a9"),
    ('{"cmd": "gzip -k *.log && ls"}', '{"cmd":"gzip -k *.log && ls"}', "f4f738050c17fe39d3111547deddfd48"),
    ('{"stdin": "in", "cwd": "/tmp", "env": {"B": "2", "A": "1"}, "cmd": ["env"]}',
     '{"cmd":["env"],"env":{"B":"2","A":"1"},"cwd":"/tmp","stdin":"in"}', "68c43d256cfa700159ad4e8e791285fc"),
    ('{"type": "echo", "args": {"x": 1.50, "y": 1E5, "z": [ ]}}',
     '{"type":"echo","args":{"x":1.50,"y":1E5,"z":[]}}', "97bab26fc6ba6e672025ac0760219054"),
    ('{"args": null, "type": "noop"}', '{"type":"noop","args":null}', "f676708b3b3493bb213b9dbf09dd7317"),
    ('{"type": "noop"}', '{"type":"noop"}', "33fe9cce9a293d36a68c1fb397f653d7"),
    ('{"cmd": ["\\u0061", "a\\/b", "\u00e9"]}', '{"cmd":["\\u0061","a\\/b","\u00e9"]}',
     "17b156e0d48d29b2be9e142695e78e39"),
    ('{"cmd": ["true"], "env": {}}', '{"cmd":["true"],"env":{}}', "5c0c06302f1198f5a7703f471cacd6a9"),
    ('{"type": "echo", "args": " [ 1 , 2 ] "}', '{"type":"echo","args":" [ 1 , 2 ] "}',
     "1bbe2bdf9b80675159f42e6c24da97cb"),
]
PINNED_LINES = [
    ('echo "a\\b"\tc', '{"cmd":"echo \\"a\\\\b\\"\\u0009c"}', "e87b0058cf6ab3e60198a8c9d77fe114"),
    ("echo plain", '{"cmd":"echo plain"}', "4e6a6634e5ebe7306ecce9a2efe291b4"),
]


class Spec(CliTest):
    def test_pinned_values_in_real_results(self):
        found = self.run_jobs(*(line for line, _, _ in PINNED), code=None).results
        self.assertEqual(len(found), 10)
        for result in found:
            _, _, spec = PINNED[result["line"] - 1]
            given = '"id"' in PINNED[result["line"] - 1][0]
            self.assertEqual(result["spec"] if given else result["id"], spec)
            self.assertEqual("spec" in result, given)

    def test_pinned_values_of_lines(self):
        self.write("jobs.txt", "".join(line + "\n" for line, _, _ in PINNED_LINES))
        finished = self.dispatcher("run", "jobs.txt")
        finished.results_path = self.folder / "jobs.results.jsonl"
        self.assertEqual(sorted(finished.by_id), sorted(spec for _, _, spec in PINNED_LINES))

    @unittest.skipUnless(shutil.which("xxhsum"), "xxhsum is not installed")
    def test_pinned_values_are_what_xxhsum_says(self):
        for _, hashed, spec in PINNED + PINNED_LINES:
            got = subprocess.run(["xxhsum", "-H128"], input=hashed.encode(), capture_output=True, check=True).stdout
            self.assertEqual(got.split()[0].decode(), spec)

    def test_a_line_and_its_string_command_are_one_job(self):
        self.write("jobs.txt", "echo one\necho two\n")
        self.dispatcher("run", "jobs.txt", "-o", "r.jsonl")
        self.write("jobs.jsonl", '{"cmd": "echo two"}\n{"cmd": "echo three"}\n')
        finished = self.dispatcher("run", "jobs.jsonl", "-o", "r.jsonl")
        self.assertIn("1 done before", finished.err)

    def test_repeated_jobs_are_numbered(self):
        spec = PINNED[0][2]
        found = self.run_jobs('{"cmd":["true"]}', '{ "cmd" : ["true"] }', '{"cmd":["false"]}',
                              '{"cmd":["true"],"retries":1}', code=1).by_id
        self.assertEqual({key: found[key]["line"] for key in found if key.startswith(spec)},
                         {spec: 1, spec + "#2": 2, spec + "#3": 4})
        self.assertTrue(all("spec" not in result for result in found.values()))

    def test_what_is_no_part_of_it(self):
        self.run_jobs('{"cmd":["true"],"id":"a"}')
        again = self.run_jobs('{"id":"a", "priority":7,"timeout":9,"retries":3,"labels":[],"slots":1, "cmd":[ "true" ]}')
        self.assertIn("1 done before", again.err)
        changed = self.run_jobs('{"cmd":["true"],"id":"a","env":{}}')
        self.assertNotIn("done before", changed.err)
        self.assertEqual(len(changed.results), 2)

    def test_ids_from_stdin(self):
        _, results = self.pipe_jobs('\n{"cmd":["true"]}\n{"cmd":["true"],"id":"given"}\n{"type":"noop"}\n', code=0)
        self.assertEqual({result["line"]: result["id"] for result in results}, {2: "L2", 3: "given", 4: "L4"})
        by_line = {result["line"]: result for result in results}
        self.assertEqual(by_line[2]["spec"], PINNED[0][2])
        self.assertEqual(by_line[3]["spec"], PINNED[0][2])

    def test_ids_of_all_kinds_come_back(self):
        ids = ["a", " ", "\u00e9\U0001f600", "L1", "#2", "x\ty", 'q"\\', "\x7f", "\u0085", "i" * 256, "../../etc", "null"]
        found = self.run_jobs(*({"type": "noop", "id": key} for key in ids), code=0).by_id
        self.assertEqual(set(found), set(ids))
        self.assertNotIn("done before", self.dispatcher("run", "jobs.jsonl", "--overwrite").err)
        self.assertIn(f"{len(ids)} done before", self.dispatcher("run", "jobs.jsonl").err)

    def test_values_go_through_unchanged(self):
        texts = ["1.50", "1E5", "-0", "0.1", "[]", "{}", "null", '"\\u00e9\\/"', '{"b":1,"a":2}', "123456789012345678"]
        jobs = ['{"type": "echo", "id": "%d", "args": %s}' % (n, text) for n, text in enumerate(texts)]
        finished = self.run_jobs(*jobs, code=0)
        lines = Path(finished.results_path).read_text().splitlines()
        for line in lines:
            number = int(json.loads(line)["id"])
            self.assertIn(f'"value":{texts[number]},', line)


if __name__ == "__main__":
    unittest.main()
