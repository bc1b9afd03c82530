#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A16: what a job prints, or is called, cannot pass for anything else: not for a result, not for a line of a log, not
for a command to the terminal. And it comes back byte for byte."""

import base64
import csv
import io
import json
import re
import unittest
import zlib

from attack_testing import DISPATCHER, WORKER, CliTest, Terminal, clean_environment, free_port, jsonl

# Title, clipboard (OSC 52), clear screen, a reply that would be typed, C1 forms, back over the line, right to left.
EVIL = ("\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[6n\x9b31m\x9d52;c;ZXZpbA==\x9c\rdone\r\x08\x08\x08\u202e\x00"
        "\x1bP$q\"p\x1b\\")
FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "=HYPERLINK(\"http://example.org\",\"x\")", "\t=1", "\r=1"]
# What moves a terminal and is not in our own live line: colours, erasing to the end of line or screen, wrapping.
RAW = re.compile(rb"\x1b(?!\[\d*(;\d+)*m|\[[JK]|\[\?(7|25)[hl])|\x07|\x08|\x00|\xc2[\x80-\x9f]|\xe2\x80\xae")


def fake_result(name):
    head = '{"v":1,"run":"0000000000000001","line":1,"id":"%s","status":"ok","attempt":1,"exit":0' % name
    return head + ',"crc":"%08x"}' % zlib.crc32(head.encode())


class Output(CliTest):
    def printing(self, data, more="", **members):
        """A job that prints these bytes to both streams."""
        self.write("data", data)
        return {"cmd": f"cat data; cat data >&2; {more}", **members}

    def test_one_line_for_each_job_and_every_byte_comes_back(self):
        texts = {"escapes": EVIL, "lines": "\n".join([fake_result("victim"), fake_result("lines"), "\u2028", "\u0085", "\x0b", "\x0c", "\x1e"]) + "\n",
                 "torn": '","crc":"00000000"}\n{"v":1', "quotes": '\\"\\\\"\\u0000', "cr": fake_result("victim").replace(",", ",\r")}
        for name, text in texts.items():
            self.write(name + ".out", text.encode())
        jobs = [{"cmd": ["cat", name + ".out"], "id": name} for name in texts] + [{"cmd": ["false"], "id": "victim"}]
        found = self.run_jobs(*jobs, code=1).by_id
        self.assertEqual(set(found), {*texts, "victim"})
        self.assertEqual(found["victim"]["status"], "failed")
        for name, text in texts.items():
            self.assertEqual(found[name]["stdout"].encode(), text.encode())
        # Read again, by a resume, by verify and by show, it is as many.
        again = self.dispatcher("run", "jobs.jsonl")
        self.assertIn(f"{len(jobs)} done before", again.err)
        self.assertEqual(self.dispatcher("verify", "jobs.jsonl", "jobs.results.jsonl").code, 0)
        shown = self.dispatcher("show", "jobs.results.jsonl", "--json").raw_out.splitlines()
        self.assertEqual(len(shown), len(jobs))

    def test_bytes_that_are_no_text(self):
        data = bytes(range(256)) + EVIL.encode() + b"\xff\xfe" + fake_result("victim").encode() + b"\n"
        self.write("data", data)
        result = self.run_command(["cat", "data"], code=0)
        self.assertEqual(base64.b64decode(result["stdout_base64"]), data)
        self.assertEqual(self.dispatcher("show", "jobs.results.jsonl", "--stdout").raw_out, data)

    def shown_on_a_terminal(self, *arguments, limit=60):
        terminal = Terminal(120, 40)
        self.addCleanup(terminal.close)
        run = self.start(*arguments, stdout=terminal.slave, stderr=terminal.slave,
                         env=clean_environment(TERM="xterm-256color", WORKPOOL_RUN_DIR=str(self.folder / "runs")))
        terminal.close_slave()
        shown = terminal.read_until(None, limit)
        run.process.wait()
        return shown

    def test_a_terminal_gets_none_of_it_raw(self):
        self.write("data", EVIL.encode())
        name = EVIL.replace("\x00", "")
        jobs = [{"cmd": "cat data >&2; cat data; exit 3", "id": name}, {"cmd": [f"no-{name}"], "id": "program" + name},
                {"cmd": ["true"], "cwd": f"/{name}", "id": "folder"}, {"type": "fail", "args": {"message": EVIL}, "id": "handler"},
                {"cmd": ["sh", "-c", "exit 1", name], "id": "argument"}]
        self.write("jobs.jsonl", jsonl(*jobs))
        for command in (["run", "jobs.jsonl"], ["run", "jobs.jsonl", "--retry-failed"], ["show", "jobs.results.jsonl"],
                        ["show", "jobs.results.jsonl", "--failed"], ["show", "jobs.results.jsonl", "--stats"],
                        ["status", "jobs.results.jsonl"], ["check", "jobs.jsonl"], ["verify", "jobs.jsonl", "jobs.results.jsonl"]):
            with self.subTest(command=command):
                shown = self.shown_on_a_terminal(DISPATCHER, *command)
                self.assertIsNone(RAW.search(shown), (RAW.search(shown), shown))

    def test_what_is_called_by_it_while_it_runs(self):
        # Names of jobs and workers in the live line, in status, and in both logs.
        name = EVIL.replace("\x00", "")
        self.write("jobs.jsonl", jsonl({"cmd": "sleep 1", "id": name}, {"cmd": "exit 1", "id": "x" + name, "retries": 1}))
        address = f"tcp://127.0.0.1:{free_port()}"
        run = self.start(DISPATCHER, "run", "jobs.jsonl", "--listen", address, "--log-level", "trace")
        worker = self.start(WORKER, address, "--log-level", "trace", "--slots", "2")
        self.assertEqual(run.finish().code, 1)
        worker.finish()
        for said in (run.err_path.read_bytes(), worker.err_path.read_bytes()):
            self.assertIsNone(RAW.search(said), (RAW.search(said), said[-2000:]))
            self.assertNotIn(b"\r", said)
        self.assertEqual(self.call([WORKER, address, "--name", name]).code, 2)

    def test_summary_and_status_stay_json(self):
        self.write("data", EVIL.encode())
        self.run_jobs({"cmd": "cat data >&2; exit 1", "id": EVIL.replace("\x00", "")}, flags=("--summary", "end.json"), code=1)
        end = (self.folder / "end.json").read_bytes()
        self.assertEqual(end.count(b"\n"), 1)
        json.loads(end)
        status = self.dispatcher("status", "jobs.results.jsonl", "--json").raw_out
        self.assertEqual(status.count(b"\n"), 1)
        json.loads(status)

    def test_csv_has_the_bytes_and_the_page_says_what_a_spreadsheet_does(self):
        jobs = [{"cmd": ["printf", "%s", text], "id": text.strip()} for text in FORMULAS[:5]]
        self.run_jobs(*jobs, code=0)
        text = self.dispatcher("show", "jobs.results.jsonl", "--csv", "--stdout").raw_out.decode()
        records = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([record["stdout"] for record in records], FORMULAS[:5])
        self.assertEqual([record["id"] for record in records], [text.strip() for text in FORMULAS[:5]])


if __name__ == "__main__":
    unittest.main(verbosity=2)
