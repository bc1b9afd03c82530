# SPDX-License-Identifier: MIT
# ctest: timeout 600
"""Handlers that programs run (--handler): how their programs may end, and what becomes of the jobs then."""

import datetime
import os
import random
import re
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from handler_testing import HandlerTest
from workpool_testing import DISPATCHER, SOURCE, figure, wait_until

EXAMPLES = SOURCE / "examples" / "handlers"


class HandlerChildren(HandlerTest):
    # ---- ends ----

    def test_exit_with_a_job_in_hand(self):
        self.assert_fails(self.one({"do": "exit", "status": 3, "stderr": "last words\n"}), "^the handler's program exited with status 3$")
        self.assertEqual(self.by_id()["0"]["stderr"], "last words\n")
        self.assert_fails(self.one({"do": "exit", "status": 0}, "--overwrite"), "exited with status 0")

    def test_a_signal_with_a_job_in_hand(self):
        self.assert_fails(self.one({"do": "signal", "signal": 9}), r"^the handler's program was ended by signal 9 \(SIGKILL\)$")
        self.assert_fails(self.one({"do": "signal", "signal": 11}, "--overwrite"), "SIGSEGV")

    def test_retries(self):
        self.jobs({"type": "crooked", "id": "0", "retries": 1, "args": {"do": "exit", "status": 4}})
        program = self.run_to_end("--handler", self.crooked)
        self.assertEqual(program.poll(), 1)
        self.assertEqual(self.by_id()["0"]["attempt"], 2)

    def test_timeout_ends_the_tree_and_nothing_else(self):
        self.jobs({"type": "crooked", "id": "0", "timeout": 0.5, "args": {"do": "sleep", "seconds": 100, "tree": 1, "stderr": "slow\n"}},
                  *[{"type": "crooked", "id": str(i), "args": {}} for i in range(1, 20)])
        began = time.monotonic()
        program = self.run_to_end("--handler", self.crooked, "--local", "1")
        self.assertEqual(program.poll(), 1)
        results = self.by_id()
        self.assertEqual((results["0"]["status"], results["0"]["error"]["message"], results["0"]["stderr"]),
                         ("timeout", "timed out after 500ms", "slow\n"))
        self.assertEqual({r["status"] for i, r in results.items() if i != "0"}, {"ok"})
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.marked(), [])

    def test_a_deaf_child_is_killed_after_the_grace(self):
        self.jobs({"type": "crooked", "id": "0", "timeout": 0.5, "args": {"do": "sleep", "seconds": 100}})
        began = time.monotonic()
        self.run_to_end("--handler", self.crooked + " --deaf", "--local", "1")
        self.assertEqual(self.by_id()["0"]["status"], "timeout")
        self.assertGreater(time.monotonic() - began, 5)
        self.assertLess(time.monotonic() - began, 20)

    def test_cancel_and_stop(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "args": {"do": "sleep", "seconds": 100, "tree": 1}} for i in range(4)])
        dispatcher = self.dispatcher("--handler", self.crooked, "--local", "2", listen=False)
        wait_until("what the children started", lambda: len(self.pids_of("sleep")) == 2)
        dispatcher.send(signal.SIGINT)
        dispatcher.says("finish")
        dispatcher.send(signal.SIGINT)
        self.assert_ends(dispatcher, 130)
        self.assertEqual(self.marked(), [])

    def test_worker_stop_finishes_what_runs(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "args": {"do": "sleep", "seconds": 1}} for i in range(4)])
        dispatcher = self.dispatcher()
        first = self.worker("--name", "first", "--slots", "1", "--handler", self.crooked)
        self.wait_workers("first")
        wait_until("a child", self.crooked_pids)
        first.send(signal.SIGTERM)
        self.assert_ends(first, 0)
        self.worker("--name", "second", "--slots", "4", "--handler", self.crooked)
        self.assert_ends(dispatcher, 0)
        self.assertEqual({r["attempt"] for r in self.by_id().values()}, {1})

    def test_engine_dies_and_its_children_with_it(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "args": {"do": "sleep", "seconds": 2}} for i in range(2)])
        dispatcher = self.dispatcher()
        worker = self.worker("--slots", "2", "--handler", self.crooked)
        wait_until("children", lambda: len(self.crooked_pids()) == 2)
        os.kill(worker.engine(), signal.SIGKILL)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assertEqual(self.marked(), [])

    def test_children_killed_at_random_under_load(self):
        count = 20_000
        pause = {"do": "sleep", "seconds": 0.0003}
        self.jobs(*[{"type": "crooked", "id": str(i), "retries": 40, "args": {"value": i} if i % 2 else {**pause, "i": i}} for i in range(count)])
        dispatcher = self.dispatcher("--handler", self.crooked, "--local", "3", listen=False)
        killed = 0
        while dispatcher.poll() is None and killed < 40:
            time.sleep(random.uniform(0.03, 0.08))
            for pid in random.sample(self.crooked_pids(), k=min(1, len(self.crooked_pids()))):
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
        self.assert_ends(dispatcher, 0, 200)
        self.assertEqual({int(i): r["value"] for i, r in self.by_id().items()}, {i: i if i % 2 else "slept" for i in range(count)})
        self.assertGreater(killed, 2)
        figure(f"{killed} children killed under {count} jobs; {sum(r['attempt'] > 1 for r in self.results())} jobs had another attempt")

    # ---- programs that do not work ----

    def test_three_deaths_stop_the_handler_here(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "args": {"value": i}} for i in range(40)], {"cmd": "true", "id": "command"})
        dispatcher = self.dispatcher()
        bad = self.worker("--name", "bad", "--slots", "1", "--handler", self.crooked + " --dead")
        bad.says("handler_stopped")
        self.worker("--name", "good", "--slots", "1", "--handler", self.crooked)
        self.assert_ends(dispatcher, 1)
        results = self.by_id()
        failed = {i for i, r in results.items() if r["status"] == "failed"}
        self.assertLessEqual(len(failed), 3)
        for i in failed:
            self.assert_fails(results[i], "exited with status 3")
            self.assertEqual(results[i]["stderr"], "cannot find my model\n")
        self.assertEqual({r["worker"] for i, r in results.items() if i not in failed and i != "command"}, {"good"})
        self.assertEqual(bad.err().count("handler_stopped"), 1)
        self.assertRegex(bad.err(), "exited with status 3; it said: cannot find my model")

    def test_two_jobs_that_kill_their_program_do_not_stop_it(self):
        poison = [{"type": "crooked", "id": f"p{i}", "retries": 3, "args": {"do": "exit", "status": 3}} for i in range(2)]
        results = self.run_jobs(*[{"value": i} for i in range(20)], *poison, code=1, flags=("--local", "1"))
        self.assertNotIn("is stopped", self.said)
        for job in poison:
            self.assert_fails(results[job["id"]], "exited with status 3")
            self.assertEqual(results[job["id"]]["attempt"], 4)

    def test_a_program_that_cannot_be_started(self):
        bad = self.folder / "bad"
        bad.write_text("#!/no/such/interpreter\n")
        bad.chmod(0o755)
        self.jobs(*[{"type": "x", "id": str(i)} for i in range(60)])
        program = self.run_to_end("--handler", f"x={bad}", "--local", "16", "--unsatisfiable-after", "1s")
        self.assertEqual(program.poll(), 1, program.err())
        self.assertRegex(program.err(), r"handler x is stopped on this worker.*the last time: the handler's program: \S.{5}")

    def test_long_jobs_behind_short_ones_are_shared_out(self):
        long = [{"type": "crooked", "id": f"long{i}", "args": {"do": "sleep", "seconds": 0.3}} for i in range(24)]
        began = time.monotonic()
        self.run_jobs(*[{"value": i} for i in range(5000)], *long, code=0, flags=("--local", "4"))
        took = time.monotonic() - began
        figure(f"24 jobs of 0.3 s behind 5,000 short ones, on 4 slots: {took:.1f} s in all; 7.2 one after the other")
        runs = [result for name, result in self.by_id().items() if name.startswith("long")]
        ends = sorted(datetime.datetime.fromisoformat(run["finished"]) for run in runs)
        self.assertLess((ends[-1] - ends[0]).total_seconds(), 0.75 * 24 * 0.3)

    def test_alone_with_a_dead_handler(self):
        self.jobs(*[{"type": "crooked", "id": str(i), "args": {}} for i in range(10)])
        program = self.run_to_end("--handler", self.crooked + " --dead", "--unsatisfiable-after", "2s")
        self.assertEqual(program.poll(), 1, program.err())
        self.assertIn("handler crooked is stopped", program.err())
        self.assertRegex(program.err(), "no .*worker")
        self.assertNotIn("is given with --handler", program.err())
        self.assertLessEqual(len(self.by_id()), 4)

    def test_a_type_without_a_program(self):
        self.jobs(*[{"type": "crooked", "id": str(i)} for i in range(10)])
        program = self.run_to_end()  # waits for nobody, since nobody can come
        self.assertEqual(program.poll(), 1, program.err())
        self.assertIn("no worker could run 10 jobs of type 'crooked'\n"
                      "a program for the type 'crooked' is given with --handler crooked=COMMAND", program.err())

    def test_programs_that_somebody_kills_are_not_dead_through_a_shell_either(self):
        self.jobs(*[{"type": "killed", "id": str(i)} for i in range(8)])
        program = self.run_to_end("--handler", "killed=sh -c 'read line; kill -KILL $$'; exit $?", "--local", "1")
        self.assertEqual(len(self.by_id()), 8, program.err())
        self.assertNotIn("stopped", program.err())

    def test_a_poisonous_job_stops_nothing(self):
        self.jobs({"type": "crooked", "id": "poison", "retries": 4, "args": {"do": "exit", "status": 5}})
        program = self.run_to_end("--handler", self.crooked, limit=90)
        self.assertEqual(self.by_id()["poison"]["attempt"], 5)
        self.assertNotIn("stopped", program.err())

    def test_programs_that_are_not_there(self):
        self.jobs({"type": "noop"})
        no_file = self.folder / "plain"
        no_file.write_text("")
        for command, said in (("no-such-program-here", "no such program in the folders of PATH"),
                              ("./not/there x", "No such file or directory"), (str(no_file), "is it executable"),
                              (str(self.folder), "directory")):
            worker = self.worker("--handler", f"thumb={command}")
            self.assert_ends(worker, 2)
            self.assertIn(said, worker.err())
            self.assertIn("--handler thumb", worker.err())
            run = self.run_to_end("--handler", f"thumb={command}")
            self.assertEqual(run.poll(), 2, run.err())
            self.assertIn(said, run.err())

    def test_a_shell_command_that_is_not_there(self):
        results = self.run_jobs({}, {}, handler="crooked=no-such-program-here $HOME", flags=("--local", "1"), code=1)
        self.assert_fails(results["0"], "exited with status 127")
        self.assertIn("not found", results["0"]["stderr"])

    def test_names(self):
        for value, said in (("noop=cat", "every worker has"), ("a b=cat", "the type of a job"), ("x", "NAME=COMMAND"), ("x=", "has no command")):
            worker = self.worker("--handler", value)
            self.assert_ends(worker, 2)
            self.assertIn(said, worker.err())
        twice = self.worker("--handler", "x=cat", "--handler", "x=cat")
        self.assert_ends(twice, 2)
        self.assertIn("a second time", twice.err())
        alone = self.run_command("--handler", "x=cat", "--local", "0")
        self.jobs({"type": "noop"})
        program = self.start(alone)
        self.assert_ends(program, 2)
        self.assertIn("for the local worker", program.err())

    def test_two_handlers_and_the_built_in_ones_side_by_side(self):
        self.jobs(*[{"type": kind, "id": f"{kind}{i}", "args": {"value": i}} for i in range(100) for kind in ("crooked", "second", "echo")],
                  *[{"cmd": "true", "id": f"command{i}"} for i in range(20)])
        program = self.run_to_end("--handler", self.crooked, "--handler", self.crooked.replace("crooked", "second", 1), "--local", "2")
        self.assertEqual(program.poll(), 0, program.err())
        results = self.by_id()
        for i in range(100):
            self.assertEqual((results[f"crooked{i}"]["value"], results[f"second{i}"]["value"]), (i, i))

    def test_what_a_child_started_outlives_other_jobs(self):
        """A helper whose parent has gone belongs to the child that started it, and lives as long."""
        script = self.folder / "helper.sh"
        script.write_text(f'(setsid sleep 1000 & echo $! > {self.folder}/helper) &\n'
                          f'while [ ! -s {self.folder}/helper ]; do sleep 0.01; done\n'
                          'while read -r line; do echo "{\\"value\\":$(cat ' + f'{self.folder}/helper)' + '}"; done\n')
        self.jobs({"type": "h", "id": "a"}, *[{"cmd": "sleep 0.2", "id": f"c{i}"} for i in range(10)], {"type": "h", "id": "b"},
                  {"cmd": f"kill -0 $(cat {self.folder}/helper)", "id": "alive"})
        program = self.run_to_end("--handler", f"h=sh {script}", "--local", "1")
        self.assertEqual(program.poll(), 0, program.err())
        self.assertEqual(self.marked(), [])

    # ---- speed, examples ----

    @unittest.skipUnless(shutil.which("cc"), "no C compiler is here")
    def test_speed_through_a_compiled_child(self):
        child = self.folder / "echo_args"
        subprocess.run(["cc", "-O2", "-o", child, EXAMPLES / "echo_args.c"], check=True)
        rates = {}
        for kind in ("noop", "echo_args"):
            self.jobs_path.write_text("".join(f'{{"type":"{kind}","args":{{"n":{i}}}}}\n' for i in range(100_000)))
            run = self.run_to_end("--handler", f"echo_args={child}", "--overwrite")
            self.assertEqual(run.poll(), 0, run.err())
            rates[kind] = float(re.search(r"([\d.]+)/s", run.err())[1])
        for result in self.results():
            self.assertEqual(result["value"], {"n": result["line"] - 1})
        figure(f"{rates['echo_args']:.0f} jobs/s through a compiled child, {rates['noop']:.0f}/s of the built-in noop")
        self.assertGreater(rates["echo_args"], 30_000 / 4)

    def example(self, handler, args):
        self.jobs({"type": handler.partition("=")[0], "id": "a", "args": args}, {"type": handler.partition("=")[0], "id": "wrong", "args": {}})
        program = self.run_to_end("--handler", handler, "--overwrite")
        self.assertEqual(program.poll(), 1, program.err())
        self.assertEqual(self.by_id()["wrong"]["error"]["kind"], "handler")
        return self.by_id()["a"]["value"]

    def test_the_page(self):
        page = (SOURCE / "docs" / "handlers.md").read_text()
        for name, text in re.findall(r"<!-- file: (\S+) -->\n```\n(.*?)```", page, re.S):
            (self.folder / name).write_text(text)
        command = re.search(r"<!-- run -->\n```\n(.*?)```", page, re.S)[1].strip()
        self.assertTrue(command.startswith("workpool run "), command)
        program = self.start(["sh", "-c", f"cd {self.folder} && {command.replace('workpool', DISPATCHER, 1)}"])
        self.assert_ends(program, 0)
        shown = re.search(r"<!-- results -->\n```\n(.*?)```", page, re.S)[1]
        lines = sorted((self.folder / "jobs.results.jsonl").read_text().splitlines())
        self.assertEqual([line.partition(',"worker"')[0] for line in lines], [line.partition(",…")[0] for line in shown.splitlines()])

    def test_examples(self):
        self.assertEqual(self.example(f"words=python3 {EXAMPLES}/word_count.py", {"text": "to be or not to be"}), {"words": 6})
        self.assertEqual(self.example(f"total=sh {EXAMPLES}/total.sh", {"numbers": [1, 2, 3]}), 6)

    def test_example_in_javascript(self):
        self.assertEqual(self.example(f"title=node {EXAMPLES}/title.js", {"text": "war and peace"}), "War And Peace")


if __name__ == "__main__":
    unittest.main()
