# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Whatever dies or stands still, each job gets exactly one result, and only what ran is blamed."""

import os
import random
import signal
import time
import unittest

from workpool_testing import SLACK, System, figure, is_alive, parts_of, wait_until

FAST = ["--worker-timeout", "2s"]


BEFORE = 80  # short jobs before the long one


def long_among_short(test):
    """Jobs of which many are short, so that they travel ahead, and one in the middle runs until the file `go` is there."""
    (test.folder / "go").unlink(missing_ok=True)
    before, after = [f"b{i}" for i in range(BEFORE)], [f"a{i}" for i in range(100)]
    # One class, so one mean run time.
    hold = {"cmd": f"echo start long 1 >> {test.witness_path}; while [ ! -e {test.folder}/go ]; do sleep 0.02; done", "id": "long"}
    test.jobs(*[test.witness_job(name) for name in before], hold, *[test.witness_job(name) for name in after])
    return [*before, "long", *after]


def wait_for_the_long_one(test):
    """How many jobs are queued at the worker behind it; at least one. The results of those before it have arrived: they
    come a few milliseconds after their end, and what a crash takes along runs again."""
    wait_until("the long job", lambda: test.witnessed("start")["long"])
    status = test.wait_status("a queue", lambda s: s["workers"] and s["workers"][0]["held"] > 1 and s["jobs"]["running"] == 1
                              and s["jobs"]["ok"] == BEFORE)
    return status["workers"][0]["held"] - 1


class Kills(System):
    def run_with_kills(self, victim):
        """40 jobs of 0.2 s on two workers of 2 slots; `victim` names the pid to kill, 4 times."""
        names = [f"j{i}" for i in range(40)]
        self.jobs(*[self.witness_job(name, 0.2) for name in names])
        dispatcher = self.dispatcher(*FAST)
        workers = [self.worker("--name", f"w{i}", "--slots", "2") for i in range(2)]
        for round_number in range(4):
            self.wait_witness("end", 4 + 6 * round_number)
            victim_worker = round_number % 2
            pid = victim(workers[victim_worker])
            os.kill(pid, signal.SIGKILL)
            if pid == workers[victim_worker].pid:
                self.assertEqual(workers[victim_worker].wait(), -signal.SIGKILL)
                workers[victim_worker] = self.worker("--name", f"w{victim_worker}-{round_number}", "--slots", "2")
        self.assert_ends(dispatcher, 0)
        for worker in workers:
            self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        starts = self.witnessed("start")
        again = sum(starts.values()) - len(names)
        figure(f"{again} jobs ran again after 4 kills of workers with 2 slots")
        # Two slots each, and one result more that may have been under way in each.
        self.assertLessEqual(again, 4 * 2 * 2)
        self.assertEqual(self.marked(), [])

    def test_engines_killed(self):
        self.run_with_kills(lambda worker: worker.engine())

    def test_supervisors_killed(self):
        self.run_with_kills(lambda worker: worker.pid)

    def test_killed_with_many_short_jobs_in_flight(self):
        count = 20000
        self.jobs(*[{"type": "noop", "id": f"n{i}"} for i in range(count)])
        dispatcher = self.dispatcher(*FAST)
        self.worker("--name", "steady", "--slots", "2")
        kills = 0
        while dispatcher.poll() is None:
            worker = self.worker("--slots", "2", "--name", f"w{kills}")
            before = self.result_count()
            wait_until("progress", lambda: dispatcher.poll() is not None or self.result_count() > before + 500)
            if dispatcher.poll() is not None:
                break
            os.kill(random.choice(parts_of(worker.pid)), signal.SIGKILL)
            kills += 1
        self.assert_ends(dispatcher, 0)
        self.assert_results({f"n{i}": "ok" for i in range(count)})
        figure(f"{count} no-op jobs, {kills} kills, each recorded once")
        self.assertGreater(kills, 0)

    def test_queued_jobs_of_a_dead_worker_are_not_blamed(self):
        # What waits behind the running job has not run, whatever dies.
        for victim in ("engine", "supervisor"):
            with self.subTest(victim):
                self.witness_path.unlink(missing_ok=True)
                names = long_among_short(self)
                dispatcher = self.dispatcher(*FAST, "--crash-limit", "1", "--overwrite")
                worker = self.worker("--slots", "1", "--name", "doomed")
                queued = wait_for_the_long_one(self)
                os.kill(worker.engine() if victim == "engine" else worker.pid, signal.SIGKILL)
                lost = self.wait_status("the loss", lambda s: s["jobs"]["redelivered"] > 0)
                figure(f"{queued} jobs were queued behind a running one; {lost['jobs']['redelivered']} counts as lost")
                self.assertEqual(lost["jobs"]["redelivered"], 1)
                (self.folder / "go").touch()
                heir = self.worker("--slots", "1", "--name", "heir")
                if victim == "engine":
                    # Named once is the limit: it was alone, and is condemned. The others never ran there.
                    self.assert_ends(dispatcher, 1)
                    self.assert_results({name: "quarantined" if name == "long" else "ok" for name in names})
                else:
                    self.assert_ends(dispatcher, 0)
                    self.assert_results({name: "ok" for name in names})
                self.assert_ends(heir, 0)
                self.assertEqual({name for name, count in self.witnessed("start").items() if count > 1} - {"long"}, set())


class Survivors(System):
    def test_nothing_survives_an_engine_or_a_supervisor(self):
        hide = "trap '' TERM HUP INT; "
        self.jobs({"cmd": f"{hide}touch {self.folder}/1; sleep 600", "id": "plain"},
                  {"cmd": f"{hide}setsid sh -c 'touch {self.folder}/2; sleep 601' & sleep 602", "id": "session"},
                  {"cmd": f"(setsid sh -c '(touch {self.folder}/3; sleep 603) & sleep 604' &); sleep 605", "id": "daemon"})
        for victim in ("supervisor", "engine", "guard"):
            with self.subTest(victim):
                for i in "123":
                    (self.folder / i).unlink(missing_ok=True)
                dispatcher = self.dispatcher(*FAST)
                worker = self.worker("--slots", "3")
                wait_until("the jobs", lambda: all((self.folder / i).exists() for i in "123"))
                dispatcher.send(signal.SIGKILL)          # nobody gives the jobs out again
                dispatcher.wait()
                jobs = self.marked(but=parts_of(worker.pid))
                self.assertGreaterEqual(len(jobs), 6)
                os.kill({"supervisor": worker.pid, "engine": worker.engine(), "guard": worker.guard()}[victim], signal.SIGKILL)
                killed = time.monotonic()
                wait_until(lambda: f"the end of {jobs}", lambda: not any(is_alive(pid) for pid in jobs))
                took = time.monotonic() - killed
                figure(f"{len(jobs)} processes of jobs were gone {took:.2f} s after kill -9 of the {victim}; 1 s is promised")
                self.assertLess(took, 1 * SLACK)
                if victim != "supervisor":
                    worker.send(signal.SIGTERM)
                worker.wait()
                self.port += 1


class Stalls(System):
    def test_stopped_beyond_the_timeout(self):
        names = [f"s{i}" for i in range(100)]
        self.jobs(*[self.witness_job(name, 0.3) for name in names])
        dispatcher = self.dispatcher("--worker-timeout", "4s")
        stalled = self.worker("--name", "stalled", "--slots", "2")
        self.wait_witness("start", 2)
        self.worker("--name", "other", "--slots", "2")
        self.wait_workers("other", "stalled")
        engine = stalled.engine()
        os.kill(engine, signal.SIGSTOP)
        stopped_at = time.monotonic()
        self.wait_status("the stalled worker to be lost", lambda s: len(s["workers"]) == 1)
        lost_after = time.monotonic() - stopped_at
        os.kill(engine, signal.SIGCONT)
        woken_at = time.monotonic()
        dispatcher.says("worker stalled is back")
        back_after = time.monotonic() - woken_at
        figure(f"lost {lost_after:.1f} s after SIGSTOP, the worker timeout is 4 s; back {back_after:.2f} s after SIGCONT")
        self.assertLess(lost_after, 4 * SLACK)
        self.assertGreaterEqual(lost_after, 2)
        # END waited in its lane; without it the beats that wait there would keep it from registering for another
        # worker timeout.
        self.assertLess(back_after, 3.5)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(stalled, 0)
        self.assert_results({name: "ok" for name in names})
        again = sum(self.witnessed("start").values()) - len(names)
        figure(f"{again} jobs started twice for a stall")
        self.assertLessEqual(again, 4)

    def test_stopped_for_less_than_the_timeout(self):
        names = [f"s{i}" for i in range(8)]
        self.jobs(*[self.witness_job(name, 0.3) for name in names])
        dispatcher = self.dispatcher()           # the default worker timeout, 10 s
        worker = self.worker("--name", "w", "--slots", "2")
        self.wait_witness("start", 3)
        os.kill(worker.engine(), signal.SIGSTOP)
        self.wait_status("suspicion", lambda s: s["workers"] and s["workers"][0]["suspect"])
        os.kill(worker.engine(), signal.SIGCONT)
        self.assert_ends(dispatcher, 0)
        self.assert_results({name: "ok" for name in names})
        self.assertEqual(set(self.witnessed("start").values()), {1})

    def test_a_stopped_dispatcher_costs_nothing(self):
        names = [f"s{i}" for i in range(12)]
        self.jobs(*[self.witness_job(name, 0.3) for name in names])
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--name", "w", "--slots", "2")
        self.wait_witness("start", 3)
        dispatcher.send(signal.SIGSTOP)
        time.sleep(3)                            # longer than the worker timeout
        dispatcher.send(signal.SIGCONT)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assertEqual(set(self.witnessed("start").values()), {1})


class Poison(System):
    def poison(self, slots, limit, innocents):
        self.jobs({"cmd": f"echo x >> {self.folder}/deaths; kill -SEGV $PPID; sleep 5", "id": "poison"},
                  *[self.witness_job(name, 0.05) for name in innocents])
        dispatcher = self.dispatcher(*FAST, "--crash-limit", str(limit))
        workers = [self.worker("--slots", str(slots), "--name", f"w{i}") for i in range(2)]
        self.assert_ends(dispatcher, 1)
        for worker in workers:
            self.assert_ends(worker, 0)
        self.assert_results({"poison": "quarantined", **{name: "ok" for name in innocents}})
        self.assert_verified()
        deaths = len((self.folder / "deaths").read_text().split())
        poison = self.by_id()["poison"]
        figure(f"poison with --crash-limit {limit} on {slots} slots: {deaths} deaths; {poison['error']}")
        self.assertEqual(poison["error"]["kind"], "crash")
        self.assertLessEqual(deaths, limit + 1)
        self.assertGreaterEqual(deaths, limit)

    def test_one_slot(self):
        self.poison(1, 3, [f"i{i}" for i in range(20)])

    def test_beside_others(self):
        self.poison(3, 3, [f"i{i}" for i in range(40)])

    def test_one_that_stops_its_engine(self):
        self.jobs({"cmd": "kill -STOP $PPID; sleep 5", "id": "poison"},
                  *[self.witness_job(f"i{i}", 0.05) for i in range(5)])
        dispatcher = self.dispatcher("--worker-timeout", "2s", "--crash-limit", "1")
        for i in range(2):
            self.worker("--slots", "1", "--name", f"w{i}")
        self.assert_ends(dispatcher, 1)  # the other one may still be stopped then
        self.assert_results({"poison": "quarantined", **{f"i{i}": "ok" for i in range(5)}})
        self.assert_verified()

    def test_limit_of_one(self):
        self.poison(1, 1, [f"i{i}" for i in range(5)])


class Drains(System):
    def test_a_drained_worker_gives_back_what_has_not_started(self):
        names = long_among_short(self)
        dispatcher = self.dispatcher(*FAST)
        drained = self.worker("--slots", "1", "--name", "drained")
        queued = wait_for_the_long_one(self)
        drained.send(signal.SIGTERM)
        self.wait_status("the return", lambda s: [(w["accepting"], w["held"]) for w in s["workers"]] == [(False, 1)])
        other = self.worker("--slots", "2", "--name", "other")
        self.wait_results(len(names) - 1)
        self.assertIsNone(drained.poll())
        (self.folder / "go").touch()
        self.assert_ends(drained, 0)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(other, 0)
        figure(f"{queued} jobs behind a running one were given back")
        self.assert_results({name: "ok" for name in names})
        self.assertEqual({r["attempt"] for r in self.results()}, {1})
        self.assertEqual(set(self.witnessed("start").values()), {1})

    def test_grace_ends_what_runs_and_it_runs_elsewhere(self):
        self.jobs({"cmd": f"echo $$ >> {self.folder}/pids; [ -e {self.folder}/go ] || sleep 600", "id": "long"})
        dispatcher = self.dispatcher(*FAST)
        drained = self.worker("--slots", "1", "--grace", "1s")
        wait_until("the long job", lambda: (self.folder / "pids").exists())
        asked = time.monotonic()
        drained.send(signal.SIGTERM)
        self.assert_ends(drained, 0)
        figure(f"drained in {time.monotonic() - asked:.1f} s with a grace of 1 s; promised within 7 s")
        self.assertLess(time.monotonic() - asked, 7 * SLACK)
        self.assertEqual(self.result_count(), 0)
        (self.folder / "go").touch()
        self.worker("--slots", "1")
        self.assert_ends(dispatcher, 0)
        self.assert_results({"long": "ok"})

    def test_a_second_signal_cancels(self):
        self.jobs({"cmd": f"echo $$ >> {self.folder}/pids; [ -e {self.folder}/go ] || sleep 600", "id": "long"})
        dispatcher = self.dispatcher(*FAST)
        drained = self.worker("--slots", "1")
        wait_until("the long job", lambda: (self.folder / "pids").exists())
        pid = int((self.folder / "pids").read_text().split()[0])
        asked = time.monotonic()
        drained.send(signal.SIGINT)
        drained.send(signal.SIGTERM)
        self.assert_ends(drained, 0)
        figure(f"cancelled in {time.monotonic() - asked:.1f} s")
        self.assertLess(time.monotonic() - asked, 2 * SLACK)
        self.assertFalse(is_alive(pid))
        (self.folder / "go").touch()
        self.worker("--slots", "1")
        self.assert_ends(dispatcher, 0)
        self.assert_results({"long": "ok"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
