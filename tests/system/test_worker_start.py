# SPDX-License-Identifier: MIT
"""What a worker finds out at its start: whom it may dial, whether it fits, what the system lacks."""

import os
import shutil
import time
import unittest

from workpool_testing import DISPATCHER, SLACK, WORKER, System, figure

IS_ROOT = os.geteuid() == 0
FAST = ["--worker-timeout", "2s"]


class WorkerStart(System):
    def worker_in(self, preparation, *command):
        """A worker in a mount namespace of its own."""
        return self.start(["unshare", "--mount", "sh", "-c", f'{preparation} && exec "$@"', "sh", *command])

    def worker_with_hosts(self, hosts, *flags):
        own = self.folder / "hosts"
        own.write_text(hosts)
        return self.worker_in(f"mount --bind {own} /etc/hosts", WORKER, f"tcp://there:{self.port}", *flags)

    # Two documentation addresses (RFC 5737): nobody is there, and without --insecure nobody is asked.

    @unittest.skipUnless(IS_ROOT, "only root can give a worker a hosts file of its own")
    def test_a_name_that_leads_only_elsewhere(self):
        worker = self.worker_with_hosts("192.0.2.1 there\n192.0.2.2 there\n")
        self.assert_ends(worker, 78)
        self.assertIn("192.0.2.1", worker.err())
        self.assertIn("--insecure", worker.err())

    @unittest.skipUnless(IS_ROOT, "only root can give a worker a hosts file of its own")
    def test_a_name_that_leads_here_too_waits_for_it(self):
        worker = self.worker_with_hosts("192.0.2.1 there\n127.0.0.1 there\n")
        worker.says("Connection refused")
        self.jobs({"type": "noop", "id": "a"})
        dispatcher = self.dispatcher(*FAST)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)

    @unittest.skipUnless(IS_ROOT, "only root can take /proc away from a worker")
    def test_without_proc(self):
        began = time.monotonic()
        worker = self.worker_in("mount -t tmpfs none /proc", WORKER, self.address)
        self.assert_ends(worker, 71)
        self.assertLess(time.monotonic() - began, 20)
        self.assertIn("CONFIG_PROC_CHILDREN", worker.err())
        self.assertIn("exit 71", worker.err())
        self.assertEqual(worker.err().count("\n"), 1, worker.err())

    def test_labels_that_do_not_fit(self):
        flags = [word for i in range(80) for word in ("--label", f"{i:060}")]
        worker = self.worker(*flags)
        self.assert_ends(worker, 2)
        self.assertIn("80 labels of 4800 bytes are too many", worker.err())

    def test_an_engine_that_dies_before_any_contact(self):
        worker = self.worker("--slots", "1")
        worker.says("waiting_for_dispatcher")
        os.kill(worker.engine(), 9)
        worker.says("engine_died")
        self.jobs({"type": "noop", "id": "a"})
        dispatcher = self.dispatcher(*FAST)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)


    def test_proc_of_another_pid_namespace(self):
        # Numbers read there would be sent signals, and nothing that a job leaves would be found.
        if os.geteuid() != 0:
            self.skipTest("a PID namespace needs root")
        worker = self.start(["unshare", "--pid", "--fork", WORKER, self.address])
        self.assert_ends(worker, 71)
        self.assertIn("another PID namespace", worker.err())


class LocalWorkerStart(System):
    """A local worker that cannot work here; a program of the test stands in its place."""

    def dispatcher_beside(self, script, *flags, jobs=()):
        folder = self.folder / "bin"
        folder.mkdir()
        shutil.copy(DISPATCHER, folder)
        if script is not None:
            (folder / "workpool-worker").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "workpool-worker").chmod(0o755)
        self.jobs(*(jobs or [{"type": "noop", "id": "a"}]))
        return self.start([str(folder / "workpool-dispatcher"), "run", self.jobs_path, "--local", "1", *flags])

    def test_one_that_says_so_ends_the_run(self):
        for code in (2, 71, 76, 77, 78, 126, 127):
            with self.subTest(code=code):
                dispatcher = self.dispatcher_beside(f"echo for a reason >&2; exit {code}")
                self.assert_ends(dispatcher, 71, limit=30)
                self.assertIn("for a reason", dispatcher.err())
                self.assertIn(f"stopped: the local worker exited with status {code}", dispatcher.err())
                self.assertEqual(dispatcher.err().count("exited with status"), 1)
                shutil.rmtree(self.folder / "bin")

    def test_others_may_do_the_work(self):
        dispatcher = self.dispatcher_beside("exit 71", "--listen", self.address, *FAST)
        dispatcher.says("exited with status 71")
        self.assert_ends(self.worker(), 0)
        self.assert_ends(dispatcher, 0)
        self.assertEqual(dispatcher.err().count("exited with status 71"), 1)

    def test_any_other_end_is_no_reason_to_give_up(self):
        script = f'test -e {self.folder}/once && exec {WORKER} "$@"; touch {self.folder}/once; exit 1'
        dispatcher = self.dispatcher_beside(script)
        self.assert_ends(dispatcher, 0)
        self.assertIn("exited with status 1; starting it again", dispatcher.err())

    def test_what_the_system_refuses_after_it_has_worked_may_pass(self):
        starts = self.folder / "starts"
        script = f'echo >> {starts}; [ $(wc -l < {starts}) = 2 ] && exit 71; exec {WORKER} "$@"'
        kill_it = "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $PPID))"
        first = {"type": "noop", "id": "first", "priority": 1}
        job = {"cmd": f"sleep 0.5; test -e {self.folder}/again && exit 0; touch {self.folder}/again; {kill_it}; sleep 60", "id": "a"}
        dispatcher = self.dispatcher_beside(script, "--worker-timeout", "2s", jobs=[first, job])
        self.assert_ends(dispatcher, 0)
        self.assertIn("exited with status 71; starting it again", dispatcher.err())
        self.assertEqual(starts.read_text(), "\n" * 3)

    def test_none_there(self):
        self.results_path.write_text("precious\n")
        dispatcher = self.dispatcher_beside(None, "--overwrite")
        self.assert_ends(dispatcher, 71)
        self.assertIn("cannot start", dispatcher.err())
        self.assertIn("workpool-worker", dispatcher.err())
        self.assertEqual(self.results_path.read_text(), "precious\n")

    def test_what_it_says_is_told_a_line_a_time(self):
        script = f'printf "no\\033[1m\\nhalf" >&2; sleep 0.5; echo " and half" >&2; exec {WORKER} "$@"'
        dispatcher = self.dispatcher_beside(script)
        self.assert_ends(dispatcher, 0)
        self.assertIn("local worker: no\\x1b[1m\n", dispatcher.err())
        self.assertIn("local worker: half and half\n", dispatcher.err())

    def test_too_little_memory(self):
        self.jobs({"type": "noop", "id": "a"})
        dispatcher = self.start(["sh", "-c", 'ulimit -v 60000; exec "$@"', "sh", DISPATCHER, "run", self.jobs_path, "--local", "1"])
        self.assertIn(dispatcher.wait(), (0, 71), dispatcher.err())
        self.assertTrue(dispatcher.err())

    def test_one_that_goes_missing(self):
        dispatcher = self.dispatcher_beside(f'rm {self.folder}/bin/workpool-worker; exit 1')
        self.assert_ends(dispatcher, 71)
        self.assertIn("No such file", dispatcher.err())

    def test_child_signals_that_the_caller_ignored(self):
        self.jobs({"cmd": f"test -e {self.folder}/again && exit 0; touch {self.folder}/again; kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $PPID)); sleep 60", "id": "a"})
        dispatcher = self.start(["sh", "-c", 'trap "" CHLD; exec "$@"', "sh", DISPATCHER, "run", self.jobs_path, "--local", "1",
                                 "--worker-timeout", "2s"])
        self.assert_ends(dispatcher, 0)
        self.assertIn("was killed by signal 9", dispatcher.err())

    def test_too_few_descriptors(self):
        self.jobs({"type": "noop", "id": "a"})
        for limit in (8, 10, 12, 14, 16, 20, 24, 32, 39, 40, 41, 42, 44, 48):
            with self.subTest(limit=limit):
                dispatcher = self.start(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", DISPATCHER, "run", self.jobs_path,
                                         "--local", "1", "--overwrite"])
                code = dispatcher.wait()
                self.assertIn(code, (71, 74) if limit < 40 else (0,), dispatcher.err())
                if code == 71:
                    self.assertIn("ulimit -n", dispatcher.err())


class NoNetwork(System):
    @unittest.skipUnless(os.geteuid() == 0, "a network namespace needs root")
    def test_a_local_worker_needs_none(self):
        self.jobs({"cmd": ["true"], "id": "a"})
        self.assert_ends(self.start(["unshare", "-n", *self.run_command(listen=False)]), 0)
        self.assert_results({"a": "ok"})


class LocalWorkerThatNeverWorks(System):
    """Nothing but ends of the run with 71 and the reason, each within its time; they run beside each other."""

    def setUp(self):
        super().setUp()
        self.jobs({"cmd": ["true"], "id": "a"})
        self.running = []

    def begin(self, reason, before, dispatcher=DISPATCHER, promised=20):
        number = len(self.running)
        results = self.folder / f"{number}.results.jsonl"
        program = self.start([*before, dispatcher, "run", self.jobs_path, "-o", results, "--local", "4"])
        self.running.append((program, reason, promised, time.monotonic()))

    def end_all(self):
        for program, reason, promised, began in self.running:
            self.assert_ends(program, 71, limit=promised * SLACK)
            figure(f"{reason}: ended after {program.ended_at - began:.1f} s; {promised} s is promised")
            self.assertRegex(program.err(), f"stopped: .*{reason}")

    def beside(self, name, script):
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(DISPATCHER, folder)
        (folder / "workpool-worker").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "workpool-worker").chmod(0o755)
        return folder / "workpool-dispatcher"

    @unittest.skipUnless(os.geteuid() == 0, "root has no limit on processes, and only root can be somebody else")
    def test_too_few_processes(self):
        self.folder.chmod(0o777)
        for most in range(6, 20):
            user = str(54200 + most)
            command = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "prlimit", f"--nproc={most}"]
            self.begin(f"at most {most} processes", command, promised=45)
        codes = []
        for program, reason, promised, began in self.running:
            codes.append(program.wait(promised * SLACK))
            figure(f"{reason}: code {codes[-1]} after {program.ended_at - began:.1f} s; {promised} s is promised")
            self.assertIn(codes[-1], (0, 71), program.err())
            if codes[-1] == 71:
                self.assertRegex(program.err(), "temporarily unavailable|engine_cannot_start|more processes")
        self.assertEqual(set(codes), {0, 71})

    def test_a_program_that_does_not_work(self):
        self.begin("killed by signal 9, for the 8th time in a row, and cannot work here", [], self.beside("killed", "kill -9 $$"), promised=20)
        self.begin("exited with status 1, for the 8th time in a row, .*; the last that it said: alas",
                   [], self.beside("alas", "echo alas >&2; exit 1"), promised=20)
        self.begin("has not registered within 1m", [], self.beside("silent", "exec sleep 600"), promised=61)
        self.end_all()


if __name__ == "__main__":
    unittest.main()
