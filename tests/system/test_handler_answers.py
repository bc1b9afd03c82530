# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""What the programs of handlers (--handler) may answer, and what their jobs end with if that is no answer."""

import json
import os
import time
import unittest

from handler_testing import HandlerTest


class HandlerAnswers(HandlerTest):
    # ---- answers ----

    def test_values_as_they_came(self):
        texts = ['1.0', '"é\\u00e9"', 'null', 'true', '[1, {"a":  2}]', '12345678901234567890.5']
        results = self.run_jobs(*[{"do": "raw", "text": '{"value":' + text + '}\n'} for text in texts], code=0)
        lines = {json.loads(line)["id"]: line for line in self.results_path.read_text().splitlines()}
        for i, text in enumerate(texts):
            self.assertIn('"value":' + text + ',"worker"', lines[str(i)])
            self.assertNotIn("stderr", results[str(i)])

    def test_the_request(self):
        result = self.run_jobs({"do": "request", "x": [1, "ü"]}, code=0)["0"]
        self.assertEqual(result["value"], {"id": "0", "attempt": 1, "args": {"do": "request", "x": [1, "ü"]}})

    def test_one_child_for_all_jobs_of_a_slot(self):
        results = self.run_jobs(*[{}] * 200, flags=("--local", "1"), code=0)
        self.assertEqual(len({r["value"]["pid"] for r in results.values()}), 1)
        self.assertEqual(sorted(r["value"]["number"] for r in results.values()), list(range(1, 201)))
        many = self.run_jobs(*[{}] * 200, flags=("--local", "3", "--overwrite"), code=0)
        self.assertLessEqual(len({r["value"]["pid"] for r in many.values()}), 3)

    def test_handler_jobs_replaces_the_child(self):
        results = self.run_jobs(*[{}] * 50, flags=("--local", "1", "--handler-jobs", "7"), code=0)
        self.assertEqual(max(r["value"]["number"] for r in results.values()), 7)
        self.assertEqual(len({r["value"]["pid"] for r in results.values()}), 8)

    def test_world_of_a_child(self):
        self.environment["WORKPOOL_KEY_FILE"] = "secret"
        value = self.run_jobs({"do": "environment"}, code=0)["0"]["value"]
        self.assertEqual(value["names"], ["WORKPOOL_ATTEMPT_KEY", "WORKPOOL_HANDLER", "WORKPOOL_SLOT"])
        self.assertEqual(value["cwd"], os.getcwd())
        self.assertEqual(value["descriptors"][:3], ["0", "1", "2"])
        self.assertLessEqual(len(value["descriptors"]), 4)  # the listing itself has one

    def test_errors(self):
        self.assert_fails(self.one({"do": "error", "message": "no such ümlaut"}), "^no such ümlaut$")

    def test_progress_may_come_before_the_answer(self):
        self.assertEqual(self.one({"do": "progress"})["value"], "done")

    def test_status_shows_the_progress_of_a_job(self):
        go = self.folder / "go"
        text = "\u202e" + "ä" * 200
        self.jobs({"type": "crooked", "id": "far", "args": {"do": "part", "progress": 0.5, "text": text, "until": str(go)}},
                  {"type": "crooked", "id": "over", "args": {"do": "part", "progress": 1e300, "text": "", "until": str(go)}})
        run = self.dispatcher("--handler", self.crooked, "--local", "2")
        status = self.wait_status("both", lambda s: len([j for j in s["running"] if "progress" in j]) == 2)
        self.assertEqual({j["id"]: (j["progress"], j.get("text")) for j in status["running"]},
                         {"far": (0.5, ("\u202e" + "ä" * 200).encode()[:199].decode()), "over": (1, None)})
        go.touch()
        self.assert_ends(run, 0)

    def test_an_id_that_is_repeated_is_checked(self):
        self.assertEqual(self.one({"do": "id", "id": "0"})["value"], 1)
        self.assert_fails(self.run_jobs({"do": "id", "id": "7"}, flags=("--overwrite",))["0"], 'answered "7" when it was asked "0"')

    def test_stderr_belongs_to_the_job(self):
        jobs = [{"stderr": f"words of {i}\n"} if i % 3 else {} for i in range(60)]
        results = self.run_jobs(*jobs, flags=("--local", "1"), code=0)
        for i, job in enumerate(jobs[1:], 1):  # of the very first that writes, its neighbours may be asked already
            self.assertEqual(results[str(i)].get("stderr", ""), job.get("stderr", ""), i)
            self.assertIn("value", results[str(i)])
            self.assertNotIn("stdout", results[str(i)])
        failed = self.one({"do": "error", "message": "no", "stderr": "why\n"}, "--overwrite")
        self.assertEqual((failed["stderr"], failed["error"]["message"]), ("why\n", "no"))

    def test_much_on_stderr_is_cut(self):
        result = self.one({"stderr": "e" * 1_000_000})
        self.assertEqual((len(result["stderr"]), result["truncated"]), (65536, 1_000_000 - 65536))
        dropped = self.one({"stderr": "words"}, "--overwrite", "--capture", "failed")
        self.assertNotIn("stderr", dropped)

    # ---- what is no answer ----

    def test_nonsense(self):
        wrong = {"hello\n": "no answer", "\n": "an empty line", "[]\n": "no answer", "{}\n": "no answer", '{"value":1,"error":"x"}\n': "one of",
                 '{"valeu":1}\n': 'unknown member "valeu"', '{"error":7}\n': "is no string", '{"value":[1,}\n': "not one JSON text",
                 '{"value":1}}\n': "no answer", '{"value":1,"value":2}\n': "twice", '{"value": "\t"}\n': "control bytes",
                 '{"text":"x"}\n': "one of"}
        jobs = [{"do": "raw", "text": text} for text in wrong]
        results = self.run_jobs(*jobs, {"value": "last"}, flags=("--local", "1"), code=1)
        for i, message in enumerate(wrong.values()):
            self.assert_fails(results[str(i)], message)
        self.assertEqual(results[str(len(wrong))]["value"], "last")

    def test_binary_output(self):
        self.assert_fails(self.one({"do": "bytes", "bytes": [0, 255, 254, 10]}), r"no answer.*\\x")

    def test_values_up_to_a_mebibyte(self):
        results = self.run_jobs({"do": "long", "bytes": (1 << 20) - 2}, {"do": "long", "bytes": 1 << 20},
                                {"do": "long", "bytes": 1 << 22}, {"value": "next"}, flags=("--local", "1"))
        self.assertEqual(len(results["0"]["value"]), (1 << 20) - 2)
        self.assert_fails(results["1"], "1048576|the limit")
        self.assert_fails(results["2"], "over 1 MiB")
        self.assertEqual(results["3"]["value"], "next")

    def test_a_line_without_end_takes_no_memory(self):
        self.jobs({"type": "crooked", "id": "0", "args": {"do": "flood"}}, {"type": "crooked", "id": "1", "args": {"value": 1}})
        listening = self.dispatcher("--local", "0")
        worker = self.worker("--slots", "1", "--handler", self.crooked)
        self.assert_ends(listening, 1)
        self.assert_fails(self.by_id()["0"], "over 1 MiB")
        self.assertEqual(self.by_id()["1"]["value"], 1)
        self.assert_ends(worker, 0)

    def test_lines_without_end_take_no_memory_either(self):
        # The job that comes next is not harmed, since the program has not read its request.
        first = self.one({"do": "chatter"})
        if first["status"] != "ok":
            self.assert_fails(first, "not asked for")
        chatter = self.run_jobs({"do": "chatter", "line": '{"progress":0.5}\n'}, {"value": "next"},
                                flags=("--local", "1", "--overwrite", "--timeout", "2s"))
        self.assertEqual((chatter["0"]["status"], chatter["1"]["value"]), ("timeout", "next"))

    def test_a_second_answer(self):
        self.assert_fails(self.one({"do": "twice"}), "not asked for")
        # Nobody is blamed for one that comes when all is over, but the child is replaced.
        self.jobs({"type": "crooked", "id": "0", "args": {"do": "late"}}, {"cmd": "sleep 1", "id": "wait"},
                  {"type": "crooked", "id": "1", "args": {}})
        self.run_to_end("--handler", self.crooked, "--local", "1", "--overwrite")
        self.assertEqual(self.by_id()["0"]["value"], 1)
        self.assertEqual(self.by_id()["1"]["value"]["number"], 1)

    def test_a_closed_stdout(self):
        self.assert_fails(self.one({"do": "close"}), "closed its stdout")

    def test_a_closed_stdin(self):
        """Whether the next request meets a closed pipe, or one that is closed behind it."""
        results = self.run_jobs({"do": "deafen"}, {"value": "next"}, {"value": "last"}, flags=("--local", "1"))
        self.assertEqual([results[i].get("value") for i in "02"], ["deaf", "last"])
        if results["1"]["status"] != "ok":
            self.assert_fails(results["1"], "closed its stdin and went on")

    def test_one_that_does_not_read_on(self):
        """The next request is larger than a pipe. It is at its timeout, and then done in a new program."""
        results = self.run_jobs({"do": "stuck"}, *[{"value": i, "long": "x" * 300_000} for i in range(1, 6)],
                                flags=("--local", "1", "--timeout", "1s", "--retries", "1"), code=0)
        self.assertEqual(results["0"]["value"], "stuck")
        self.assertEqual([results[str(i)]["value"] for i in range(1, 6)], list(range(1, 6)))
        self.assertEqual([results[str(i)]["attempt"] for i in range(1, 6)], [2, 1, 1, 1, 1])

    def test_a_grandchild_that_holds_the_pipes_open(self):
        for do in ("leave behind", "leave behind and answer"):
            began = time.monotonic()
            result = self.one({"do": do}, "--overwrite")
            self.assertLess(time.monotonic() - began, 20)
            if do == "leave behind":
                self.assert_fails(result, "exited with status 0")
            else:
                self.assertEqual(result["value"], "left")
            self.assertEqual(self.marked(), [])

    def test_prints_of_libraries(self):
        self.assert_fails(self.one({"do": "print"}), "no answer.*Epoch 1/10")

    def test_one_that_forks_with_what_it_has_not_flushed(self):
        """Both write the answer. With the id in it, the second one is never taken for another job's."""
        results = self.run_jobs({"do": "fork"}, {"value": "next"}, {"value": "last"}, flags=("--local", "1"))
        self.assertIn(results["0"].get("value"), (1, None))
        if results["1"]["status"] != "ok":
            self.assert_fails(results["1"], 'answered "0" when it was asked "1"')
        self.assertIn(results["1"].get("value"), ("next", None))
        self.assertEqual(results["2"]["value"], "last")


if __name__ == "__main__":
    unittest.main()
