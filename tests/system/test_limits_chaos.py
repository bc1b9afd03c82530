# SPDX-License-Identifier: MIT
# ctest: timeout 600
"""Limits while children of handlers, engines, workers and the dispatcher are killed: never exceeded, one right result for each job.

CHAOS_SEED names the order of the blows; each test prints it.
"""

import signal
import unittest
from typing import NamedTuple

from chaos_testing import FAST, Chaos
from handler_testing import HandlerTest
from spans_testing import most_within
from workpool_testing import figure, wait_until

SECONDS = 40
# What each key allows: at once, and in a second.
DATABASE, HOST, STARTS = 3, 2, 8
HOSTS = 5
LOADS, PAGES = 40, 800
# The longest last until a new dispatcher gives out jobs again: that takes 7 s if a worker does not come back.
LOAD_SECONDS = [0.02, 0.3, 0.3, 10]

# Each place of a key is a file, and a job that begins locks one that is free. The kernel gives back the lock of a program that is
# killed when it ends it, before anybody can know of that end. So no clock and no luck decides whether too many ran at once: a job
# that finds no place free has met as many others as are allowed, all alive.
COUNTED = r'''
import fcntl, json, os, sys, time
folder = sys.argv[1]
notes = os.open(folder + "/notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def place_of(key, places):
    for number in range(places):
        place = os.open(f"{folder}/place.{key}.{number}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, place
        except BlockingIOError:
            os.close(place)
    return "none", None
for line in sys.stdin:
    request = json.loads(line)
    args = request["args"]
    began = time.monotonic()
    number, place = place_of(args["key"], args["places"])
    def note(what):
        os.write(notes, f"{what} {request['id']} {request['attempt']} {args['key']} {number} {began} {os.getpid()}\n".encode())
    note("begin")
    time.sleep(args["seconds"])
    note("end")
    if place is not None: os.close(place)
    print(json.dumps({"id": request["id"], "value": args["number"] ** 2}), flush=True)
'''


class Note(NamedTuple):
    name: str
    attempt: int
    key: str
    place: str
    began: float
    pid: int


class LimitsChaos(Chaos, HandlerTest):
    def setUp(self):
        super().setUp()
        (self.folder / "counted.py").write_text(COUNTED)
        self.program = f"/usr/bin/python3 {self.folder}/counted.py {self.folder}"

    def run_of(self, database, host, starts, loads, pages):
        """The jobs, and the flags of their run: these are the limits that it keeps."""
        self.loads, self.pages = loads, pages
        jobs = [{"type": "load", "id": f"load{i}", "retries": 50, "limit": "db",
                 "args": {"number": i, "key": "db", "places": DATABASE, "seconds": self.chance.choice(LOAD_SECONDS)}}
                for i in range(loads)]
        # Short ones, since of a longer job that had to wait for its program nobody knows well when it began.
        jobs += [{"type": "page", "id": f"page{i}", "retries": 50, "limit": f"host:{i % HOSTS}",
                  "args": {"number": i, "key": f"host{i % HOSTS}", "places": HOST, "seconds": self.chance.choice([0.005, 0.03])}}
                 for i in range(pages)]
        self.chance.shuffle(jobs)
        self.jobs(*jobs)
        self.dispatcher_flags = [*FAST, "--limit", f"db={database}", "--limit", f"host:*={host},{starts}/s"]

    def new_worker(self):
        return self.worker("--slots", str(self.chance.randint(2, 4)), "--name", f"w{len(self.programs)}",
                           "--handler", f"load={self.program}", "--handler", f"page={self.program}")

    def strike(self, blow, worker):
        if blow == "dispatcher":
            super().strike(blow, worker)
            begun = len(self.notes("begin"))
            # Nothing is to be seen of blows while nothing runs.
            wait_until(lambda: f"a job to begin\n{self.all_said()}", lambda: len(self.notes("begin")) > begun or self.running.poll() is not None)
            return True
        if blow != "child":
            return super().strike(blow, worker)
        ended = {note[:2] for note in self.notes("end")}
        busy = {note.pid for note in self.notes("begin") if note[:2] not in ended}
        pids = [pid for pid in self.pids_of("python3", "counted.py") if pid in busy]
        return bool(pids) and self.kill(self.chance.choice(pids), self.chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))

    def notes(self, what):
        if not (path := self.folder / "notes").exists():
            return []
        lines = [line.split() for line in path.read_text().splitlines()]
        return [Note(name, int(attempt), key, place, float(began), int(pid)) for word, name, attempt, key, place, began, pid in lines if word == what]

    def exceeded(self):
        """What began although as many as are allowed ran, and the hosts that had more starts than are allowed, with their number."""
        begun = self.notes("begin")
        # A program that has just been started may still have been loading when its job counted as begun.
        within = {f"host{host}": most_within([note.began for note in begun if note.key == f"host{host}"], 0.8) for host in range(HOSTS)}
        return [note for note in begun if note.place == "none"], {host: most for host, most in within.items() if most > STARTS}

    def assert_all_right(self):
        results, ended = self.by_id(), {note[:2] for note in self.notes("end")}
        self.assertEqual(len(results), self.loads + self.pages)
        for name, result in results.items():
            self.assertEqual(result.get("value"), int(name.removeprefix("load").removeprefix("page")) ** 2, result)
            self.assertIn((name, result["attempt"]), ended, "the attempt with the result has not run")
        self.assert_verified()

    def test_any_order(self):
        self.run_of(DATABASE, HOST, STARTS, LOADS, PAGES)
        blows = self.strike_for(SECONDS, ["child"] * 10 + ["engine", "worker", "drain", "dispatcher", "dispatcher"], workers=3, pause=(0.05, 0.5))
        self.assert_ends(self.running, 0, 240)
        self.assertEqual(self.exceeded(), ([], {}), f"CHAOS_SEED={self.seed}")
        self.assert_all_right()
        begun, ended = self.notes("begin"), self.notes("end")
        figure(f"{len(blows)} blows; {self.loads + self.pages} jobs had {len(begun)} begins, {len(begun) - len(ended)} of which were killed")

    def test_one_more_is_seen(self):
        """What the other test would say if the dispatcher let one more through."""
        self.run_of(DATABASE + 1, HOST + 1, STARTS + 4, 20, 150)
        self.start_dispatcher()
        for _ in range(3):
            self.new_worker()
        self.assert_ends(self.running, 0, 120)
        without_place, starts = self.exceeded()
        self.assertEqual({note.key[:2] for note in without_place}, {"db", "ho"})
        self.assertTrue(starts)
        self.assert_all_right()


if __name__ == "__main__":
    unittest.main()
