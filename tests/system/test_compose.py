#!/usr/bin/python3
# ctest: serial
# ctest: timeout 1800
"""The local cluster of docker-compose.yml on a real engine: scaled and hurt in mid-run, resumed, under two owners.

Where CI is set, scripts/ci-docker makes an engine if none answers, and none at all is a failure. Elsewhere an engine
that answers is used, and without one the test is passed over: nobody's machine is changed by running tests.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(os.environ.get("WORKPOOL_SOURCE", Path(__file__).resolve().parents[2]))
PARTS = ["Dockerfile", "docker-compose.yml", ".dockerignore", "CMakeLists.txt", "CMakePresets.json", "common",
         "dispatcher", "worker", "front", "include", "scripts", "examples"]
LIMIT = 300  # seconds for anything; nothing here is decided by speed
JOBS = 300   # of 0.2 s: half a minute for the first two workers of one slot each


def call(*command, **options):
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=1500, **options)


def engine_answers():
    return shutil.which("docker") is not None and call("docker", "info").returncode == 0


def wait_until(what, condition):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {LIMIT} s for {what}")


class Cluster:
    """A checkout of its own, under an owner of its own, as a compose project."""

    def __init__(self, name, uid):
        self.project = f"workpool{os.getpid()}{name}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"workpool-{name}-"))
        self.folder.chmod(0o755)
        for part in PARTS:
            source = SOURCE / part
            if source.is_dir():
                shutil.copytree(source, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, self.folder / part)
        jobs = call(str(SOURCE / "examples" / "make-sleep-jobs"), str(JOBS), "0.2").stdout
        (self.folder / "examples" / "long.jsonl").write_text(jobs)
        self.results = self.folder / "out" / "long.results.jsonl"
        if os.getuid() == 0:
            call("chown", "-R", f"{uid}:{uid}", str(self.folder), check=True)

    def compose(self, *arguments, **variables):
        program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        environment = {**os.environ, "WORKPOOL_JOBS": "long.jsonl", "WORKPOOL_SLOTS": "1", **variables}
        return call(*program, "-p", self.project, *arguments, cwd=self.folder, env=environment)

    def containers(self, service, *filters):
        listed = call("docker", "ps", "-aq", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.project}",
                      "--filter", f"label=com.docker.compose.service={service}", *filters)
        return listed.stdout.split()

    def state(self, container):
        inspected = json.loads(call("docker", "inspect", container).stdout)[0]["State"]
        return inspected["Status"], inspected["ExitCode"]

    def end_of(self, service):
        """The exit codes of all containers of a service, once they have ended."""
        def ended():
            states = [self.state(container) for container in self.containers(service)]
            return states and all(status == "exited" for status, _ in states) and [code for _, code in states]
        return wait_until(f"the end of {service}", ended)

    def lines(self):
        return self.results.read_text().splitlines() if self.results.exists() else []

    def verify(self):
        return call("docker", "run", "--rm", "-v", f"{self.folder}/examples:/jobs:ro", "-v", f"{self.folder}/out:/out:ro",
                    "workpool", "workpool-dispatcher", "verify", "/jobs/long.jsonl", "/out/long.results.jsonl")

    def logs(self):
        return self.compose("logs", "--no-color").stdout

    def remove(self):
        self.compose("down", "--volumes", "--timeout", "5")
        shutil.rmtree(self.folder, ignore_errors=True)


class ComposeTest(unittest.TestCase):
    def cluster(self, name, uid):
        cluster = Cluster(name, uid)
        self.addCleanup(cluster.remove)
        built = cluster.compose("build")  # from the second time on from the engine's cache
        self.assertEqual(built.returncode, 0, built.stdout[-4000:] + built.stderr[-4000:])
        return cluster

    def test_scaled_and_hurt_in_mid_run(self):
        cluster = self.cluster("root", 0)
        up = cluster.compose("up", "-d", "--scale", "worker=2")
        self.assertEqual(up.returncode, 0, up.stderr)
        wait_until("first results", lambda: len(cluster.lines()) > 5)
        up = cluster.compose("up", "-d", "--no-recreate", "--scale", "worker=5")
        self.assertEqual(up.returncode, 0, up.stderr)
        workers = wait_until("five workers", lambda: len(found := cluster.containers("worker", "--filter",
                                                                                   "status=running")) == 5 and found)
        before = len(cluster.lines())
        wait_until("results of five", lambda: len(cluster.lines()) > before + 10)
        self.assertLess(len(cluster.lines()), JOBS, "the run was over too soon to be hurt")
        victim = workers[0]
        self.assertEqual(call("docker", "kill", victim).returncode, 0)
        self.assertEqual(cluster.end_of("dispatcher"), [0], cluster.logs()[-4000:])
        cluster.end_of("worker")
        for worker in workers[1:]:
            self.assertEqual(cluster.state(worker), ("exited", 0), cluster.logs()[-4000:])
        verified = cluster.verify()
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        results = [json.loads(line) for line in cluster.lines()]
        self.assertEqual(len(results), JOBS)
        self.assertEqual({result["status"] for result in results}, {"ok"})
        self.assertEqual(len({result["worker"] for result in results}), 5)
        if os.getuid() == 0:
            self.assertEqual(cluster.results.stat().st_uid, 1000)

        # Everything is done: the same command ends by itself, and changes nothing.
        again = cluster.compose("up", "--scale", "worker=2")
        self.assertEqual(again.returncode, 0, again.stdout[-4000:] + again.stderr[-4000:])
        self.assertEqual(cluster.end_of("dispatcher"), [0])
        self.assertEqual(len(cluster.lines()), JOBS)

    def test_a_folder_of_somebody_else(self):
        if os.getuid() != 0:
            self.skipTest("only root can make a checkout of somebody else's")
        cluster = self.cluster("other", 4242)
        (cluster.folder / "out").mkdir()
        os.chown(cluster.folder / "out", 4242, 4242)
        cluster.compose("up", "-d", "--scale", "worker=0")
        self.assertEqual(cluster.end_of("dispatcher"), [74])
        self.assertIn("WORKPOOL_UID=$(id -u)", cluster.logs())
        self.assertEqual(cluster.lines(), [])

        mine = {"WORKPOOL_UID": "4242", "WORKPOOL_GID": "4242", "WORKPOOL_SLOTS": "4"}
        up = cluster.compose("up", "--build", "--scale", "worker=4", **mine)
        self.assertEqual(up.returncode, 0, up.stdout[-4000:] + up.stderr[-4000:])
        self.assertEqual(cluster.end_of("dispatcher"), [0], up.stdout[-4000:])
        self.assertEqual(cluster.end_of("worker"), [0, 0, 0, 0])
        self.assertEqual(cluster.verify().returncode, 0)
        self.assertEqual(cluster.results.stat().st_uid, 4242)
        self.assertEqual(len({json.loads(line)["worker"] for line in cluster.lines()}), 4)


def main():
    script = str(SOURCE / "scripts" / "ci-docker")
    before = engine_answers()
    if os.environ.get("CI"):
        made = call(script, "up")
        print(made.stderr, file=sys.stderr)
        if made.returncode != 0:
            return 1
    elif not before:
        print("no Docker engine answers, and CI is not set: passed over")
        return 0
    try:
        return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1
    finally:
        if not before:
            call(script, "down")


if __name__ == "__main__":
    sys.exit(main())
