#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 600
"""The worker as a library: what is installed, programs that are built against it, and what their handlers do."""

import os
import re
import unittest

from library_testing import Installed, call
from workpool_testing import BIN, DISPATCHER, SOURCE, figure

PAGE = (SOURCE / "docs" / "handlers.md").read_text()

# Does what its jobs say.
CROOKED = r'''
#include <workpool/worker.h>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

namespace {

std::atomic<int> started = 0;

workpool::json crooked(const workpool::Job& job) {
  const auto what = job.arg<std::string>("do", "value");
  if (what == "int") throw 7;
  if (what == "failure") throw workpool::Failure("no such picture");
  if (what == "exception") throw std::runtime_error("index 7");
  if (what == "forever") while (true) ::pause();
  if (what == "obedient") {
    while (!job.stop_token().stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    throw workpool::Failure("stopped");
  }
  if (what == "progress") {
    job.progress(0.29, "part of it");
    const auto until = job.arg<std::string>("until");
    while (::access(until.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    job.progress(0.9);
  }
  if (what == "large") return std::string(1 << 20, 'x');
  if (what == "bytes") return "\xff";
  if (what == "exit") std::exit(3);
  if (what == "abort" && job.attempt() == 1) std::abort();
  return {{"id", job.id()}, {"attempt", job.attempt()}, {"started", started.load()}, {"pid", ::getpid()},
          {"left", job.remaining() ? workpool::json(job.remaining()->count()) : nullptr}};
}

}  // namespace

int main(int argc, char** argv) {
  workpool::Worker worker("crooked", argc, argv);
  const char* const set = std::getenv("CROOKED");
  const std::string how = set == nullptr ? "" : set;
  worker.at_start([how] {
    ++started;
    if (how == "bad start") throw std::runtime_error("the model is not there");
  });
  worker.handle("crooked", crooked);
  if (how == "twice") worker.handle("crooked", crooked);
  if (how == "built-in") worker.handle("noop", crooked);
  if (how == "bad name") worker.handle("a b", crooked);
  if (how == "thread") std::thread([] { ::pause(); }).detach();
  const int code = worker.run();
  std::cout << "run() returned " << code << std::endl;
  return code;
}
'''

class Library(Installed):
    def crooked(self, *flags, **more):
        program = self.built("crooked", ("crooked.cpp", CROOKED))
        return self.start([program, self.address, *flags], **more)

    def run_jobs(self, *args, code=1, slots=2, limit=60, **more):
        """The results of jobs with these args by their numbers, through one crooked worker."""
        self.jobs(*[{"type": "crooked", "id": str(i), "args": given, **more} for i, given in enumerate(args)])
        worker = self.crooked("--slots", slots)
        run = self.run_to_end("--local", "0", listen=True, limit=limit)
        self.assertEqual(run.poll(), code, self.all_said())
        self.worker_said = worker
        return self.by_id()

    def assert_fails(self, result, message, kind="handler"):
        self.assertEqual(result["error"], {"kind": kind, "message": message})

    def test_what_is_installed(self):
        for name in ("bin/workpool", "bin/workpool-dispatcher", "bin/workpool-worker", "include/workpool/worker.h"):
            self.assertTrue((self.prefix / name).is_file(), self.installed)
        for header in (self.prefix / "include").rglob("*.h"):
            for included in re.findall(r"#\s*include\s*(.*)", header.read_text()):
                self.assertRegex(included, r"^<(workpool/\w+\.h|[a-z_]+)>$", f"{header}: no standard header")
        self.assertIn("libworkpool-worker.so.0.1]", call("readelf", "-d", self.library))
        # The programs start as fast as before: they load no more than they did.
        self.assertNotIn("libzmq", call("readelf", "-d", self.prefix / "bin" / "workpool-worker"))

    def test_it_shows_the_public_headers_and_nothing_else(self):
        declared = "".join(header.read_text() for header in (SOURCE / "include" / "workpool").glob("*.h"))
        shown = [line.split(maxsplit=2)[2] for line in call("nm", "-DC", "--defined-only", self.library).splitlines()]
        self.assertGreater(len(shown), 10)
        for symbol in shown:
            plain = re.sub(r"\[abi:\w+\]|^(typeinfo|typeinfo name|vtable) for ", "", symbol).partition("(")[0]
            self.assertRegex(plain, r"^(workpool::(Worker|Job|Failure|json)(::~?\w+)?|workpool_worker_needs)$")
            self.assertIn(plain.rpartition("::")[2], declared, f"{symbol} is in no public header")

    def test_each_header_stands_alone(self):
        for header in (self.prefix / "include" / "workpool").glob("*.h"):
            call("g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", self.prefix / "include",
                 "-x", "c++", "-include", header, "/dev/null")

    def test_pkg_config(self):
        paths = ":".join(str(path) for path in self.prefix.rglob("pkgconfig"))
        flags = call("pkg-config", "--cflags", "--libs", "workpool-worker", env={**os.environ, "PKG_CONFIG_PATH": paths}).split()
        source = self.folder / "small.cpp"
        source.write_text("#include <workpool/worker.h>\n"
                          'int main(int argc, char** argv) { return workpool::Worker("small", argc, argv).run(); }\n')
        call("g++", "-std=c++20", "-o", self.folder / "small", source, *flags, f"-Wl,-rpath,{self.library.parent}")
        self.assertIn("workpool 0.1.0", call(self.folder / "small", "--version"))

    def test_the_page(self):
        folder = self.root / "page"
        folder.mkdir()
        for name, text in re.findall(r"<!-- c\+\+ file: (\S+) -->\n```\w*\n(.*?)```", PAGE, re.S):
            (folder / name).write_text(text)
        build = re.search(r"<!-- c\+\+ build -->\n```\n(.*?)```", PAGE, re.S)[1]
        call("sh", "-ec", build.replace("/opt/workpool", str(self.prefix)), cwd=folder)
        run = re.search(r"<!-- c\+\+ run -->\n```\n(.*?)```", PAGE, re.S)[1]
        self.assertIn("\nworkpool run ", run)
        run = run.replace("\nworkpool", "\n" + DISPATCHER).replace("tcp://127.0.0.1:5555", self.address)
        program = self.start(["sh", "-c", run], cwd=folder)
        self.assert_ends(program, 1)
        shown = re.search(r"<!-- c\+\+ results -->\n```\n(.*?)```", PAGE, re.S)[1]
        lines = sorted((folder / "files.results.jsonl").read_text().splitlines())
        self.assertEqual([line.partition(',"worker"')[0] for line in lines],
                         [line.partition(",…")[0] for line in shown.splitlines()])

    def test_status_shows_the_progress_of_a_job(self):
        go = self.folder / "go"
        self.jobs({"type": "crooked", "id": "far", "args": {"do": "progress", "until": str(go)}})
        run = self.dispatcher("--local", "0")
        self.crooked("--slots", 1)
        self.wait_status("its progress", lambda s: [(j["id"], j.get("progress"), j.get("text")) for j in s["running"]]
                         == [("far", 0.29, "part of it")])
        self.assertIn("line 1, id far: 29 %, part of it\n", call(DISPATCHER, "status", self.address, env=self.environment))
        go.touch()
        self.assert_ends(run, 0)

    # ---- versions ----

    def test_a_project_that_wants_another_version(self):
        said = self.built("newer", ("newer.cpp", ""), version="0.2", code=1)
        self.assertRegex(said, r'compatible with requested\s+version "0.2"')
        self.assertIn("version: 0.1.0", said)

    def test_a_program_with_headers_of_another_version(self):
        folder = self.folder / "include" / "workpool"
        folder.mkdir(parents=True)
        for header in (self.prefix / "include" / "workpool").glob("*.h"):
            text = header.read_text()
            (folder / header.name).write_text(text.replace("kVersionMinor = 1", "kVersionMinor = 2"))
        source = self.folder / "old.cpp"
        source.write_text("#include <workpool/worker.h>\n"
                          'int main(int argc, char** argv) { return workpool::Worker("old", argc, argv).run(); }\n')
        call("g++", "-std=c++20", "-o", self.folder / "old", source, "-I", self.folder / "include", self.library,
             f"-Wl,-rpath,{self.library.parent}")
        said = call(self.folder / "old", "--version", code=71)
        self.assertEqual(said, "workpool: this program was compiled with headers of workpool 0.2, but the library "
                         "libworkpool-worker.so that it loads is version 0.1: compile it again, or install workpool 0.2\n")

    # ---- flags ----

    def test_flags_and_their_mistakes(self):
        program = self.built("crooked", ("crooked.cpp", CROOKED))
        mine, theirs = call(program, "--help"), call(BIN / "workpool-worker", "--help")
        self.assertEqual(mine.replace("run() returned 0\n", "").replace("crooked", "workpool-worker"), theirs)
        self.assertIn("crooked: ADDRESS: 'x' is not an address", call(program, "x", code=2))
        self.assertIn("crooked: --slots: ", call(program, self.address, "--slots", "0", code=2))
        taken = call(program, self.address, "--handler", "crooked=cat", code=2)
        self.assertIn("takes the name of a handler that this program has itself (crooked)", taken)
        for how, said in (("twice", 'the handler "crooked" is given a second time'),
                          ("built-in", 'the handler "noop" takes the name of a handler that every worker has'),
                          ("bad name", 'the handler "a b" has a name that cannot be the type of a job'),
                          ("thread", "the program has 2 threads already")):
            self.assertIn(f"crooked: {said}", call(program, self.address, code=2, env={**os.environ, "CROOKED": how}))
        failed = call(program, self.address, code=71, env={**os.environ, "CROOKED": "bad start"})
        self.assertIn("the model is not there", failed)
        self.assertIn("run() returned 71", failed)

    # ---- what handlers do ----

    def test_good_and_bad_results(self):
        results = self.run_jobs({}, {"do": "int"}, {"do": "failure"}, {"do": "exception"}, {"do": "large"},
                                {"do": "bytes"}, {"do": 3}, [], timeout="100s")
        value = results["0"]["value"]
        self.assertEqual((value["id"], value["attempt"], value["started"]), ("0", 1, 1))
        self.assertTrue(0 < value["left"] <= 100_000, value)
        self.assert_fails(results["1"], "crooked threw something that is no std::exception")
        self.assert_fails(results["2"], "no such picture")
        self.assert_fails(results["3"], "crooked: index 7")
        self.assertIn("the limit is 1048576", results["4"]["error"]["message"])
        self.assertIn("UTF-8", results["5"]["error"]["message"])
        self.assert_fails(results["6"], 'args: "do" must be a string')
        self.assert_fails(results["7"], "args must be an object with do")
        self.assert_ends(self.worker_said, 0)
        self.assertIn(b"run() returned 0", self.worker_said.out())

    def test_timeouts(self):
        results = self.run_jobs({"do": "obedient"}, {"do": "forever"}, {"do": "forever"}, *[{} for _ in range(20)],
                                timeout="1s", slots=2, retries=0)
        self.assertEqual([results[str(i)]["status"] for i in range(3)], ["timeout"] * 3)
        # Both slots were lost for good, so a new process did the rest.
        self.assertEqual({results[str(i)]["status"] for i in range(3, 23)}, {"ok"})

    def test_crashes(self):
        results = self.run_jobs({"do": "exit"}, {"do": "abort"}, *[{} for _ in range(20)], retries=0)
        self.assertEqual(results["0"]["status"], "quarantined")
        self.assertEqual(results["1"]["status"], "ok")
        self.assertEqual({results[str(i)]["status"] for i in range(2, 22)}, {"ok"})
        self.assertEqual(results["1"]["value"]["started"], 1, "each process starts by itself")

    def test_beside_commands_and_built_in_handlers(self):
        self.jobs(*[{"type": kind, "id": f"{kind}{i}", "args": {}} for i in range(20) for kind in ("crooked", "echo", "cat")],
                  *[{"cmd": "exit 0", "id": f"command{i}"} for i in range(20)])
        self.crooked("--handler", "cat=sed -u 's/.*/{\"value\":1}/'")
        run = self.run_to_end("--local", "0", listen=True)
        self.assertEqual(run.poll(), 0, self.all_said())
        self.assertEqual(len(self.by_id()), 80)

    def test_speed(self):
        self.jobs_path.write_text("".join(f'{{"type":"crooked","args":{{"n":{i}}}}}\n' for i in range(100_000)))
        self.crooked()
        run = self.run_to_end("--local", "0", listen=True)
        self.assertEqual(run.poll(), 0, self.all_said())
        figure(f"{re.search(r'([0-9.]+)/s', run.err())[1]} jobs/s through a C++ function that returns an object")


if __name__ == "__main__":
    unittest.main()
