# SPDX-License-Identifier: MIT
"""A handler that does what its jobs say, well or badly, and runs with it."""

from pathlib import Path

from workpool_testing import System

# Does what its jobs say.
CROOKED = r'''
import json, os, signal, subprocess, sys, time
out = sys.stdout
def answer(what):
    out.write(json.dumps(what) + "\n")
    out.flush()
number = 0
if "--dead" in sys.argv:
    sys.stderr.write("cannot find my model\n")
    sys.exit(3)
if "--deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    request = json.loads(line)
    args = request["args"]
    number += 1
    do = args.get("do", "value")
    if "stderr" in args:
        sys.stderr.write(args["stderr"])
        sys.stderr.flush()
    if do == "value":
        answer({"value": args.get("value", {"number": number, "pid": os.getpid(), "attempt": request["attempt"]})})
    elif do == "request": answer({"value": request})
    elif do == "environment": answer({"value": {"names": sorted(n for n in os.environ if n.startswith("WORKPOOL_")), "cwd": os.getcwd(),
                                                "descriptors": sorted(os.listdir("/proc/self/fd"))}})
    elif do == "id": answer({"id": args["id"], "value": 1})
    elif do == "error": answer({"error": args["message"]})
    elif do == "raw":
        out.write(args["text"]); out.flush()
    elif do == "bytes":
        out.buffer.write(bytes(args["bytes"])); out.buffer.flush()
    elif do == "progress":
        for part in range(3): answer({"progress": part / 3, "text": "part"})
        answer({"value": "done"})
    elif do == "part":
        answer({"progress": args["progress"], "text": args["text"]})
        while not os.path.exists(args["until"]): time.sleep(0.01)
        answer({"value": "done"})
    elif do == "exit": sys.exit(args["status"])
    elif do == "signal": os.kill(os.getpid(), args["signal"]); time.sleep(100)
    elif do == "long": answer({"value": "x" * args["bytes"]})
    elif do == "flood":
        while True: out.write("x" * 65536)
    elif do == "twice":
        out.write('{"value":1}\n{"value":2}\n'); out.flush()
    elif do == "late":
        answer({"value": 1}); time.sleep(0.3); answer({"value": 2})
    elif do == "chatter":
        while True: out.write(args.get("line", '{"value":1}\n'))
    elif do == "deafen":
        os.close(0); answer({"value": "deaf"}); time.sleep(100)
    elif do == "stuck": answer({"value": "stuck"}); time.sleep(100)
    elif do.startswith("leave behind"):
        subprocess.Popen(["sleep", "1000"], start_new_session=True)  # with our stdin and stdout
        if "answer" in do: answer({"value": "left"})
        os._exit(0)
    elif do == "print":
        print("Epoch 1/10"); answer({"value": 1})
    elif do == "fork":
        out.write(json.dumps({"id": request["id"], "value": 1}) + "\n")
        if os.fork() == 0: out.flush(); os._exit(0)
        os.wait(); out.flush()
    elif do == "close":
        os.close(1); time.sleep(100)
    elif do == "sleep":
        if "tree" in args: subprocess.Popen(["sleep", "1000"], start_new_session=True)
        time.sleep(args["seconds"]); answer({"value": args.get("answer", "slept")})
'''


class HandlerTest(System):
    def setUp(self):
        super().setUp()
        (self.folder / "crooked.py").write_text(CROOKED)
        self.crooked = f"crooked=/usr/bin/python3 {self.folder}/crooked.py"

    def run_jobs(self, *jobs, flags=(), code=None, limit=60, handler=None):
        """The results by id of jobs that are args of the crooked program, or whole jobs."""
        self.jobs(*[job if "type" in job else {"type": "crooked", "id": str(i), "args": job} for i, job in enumerate(jobs)])
        program = self.run_to_end("--handler", handler or self.crooked, *flags, limit=limit)
        if code is not None:
            self.assertEqual(program.poll(), code, self.all_said())
        self.said = program.err()
        return self.by_id()

    def one(self, job, *flags):
        """The result of one job, and of one after it, which must be well."""
        results = self.run_jobs(job, {"value": "next"}, flags=("--local", "1", *flags))
        self.assertEqual(results["1"].get("value"), "next", results)
        return results["0"]

    def assert_fails(self, result, message, kind="handler"):
        self.assertEqual((result["status"], result["error"]["kind"]), ("failed", kind), result)
        self.assertRegex(result["error"]["message"], message)

    def pids_of(self, program, script=None):
        """The living processes of this test that run a program, with a script as its first argument."""
        found = []
        for pid in self.marked():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except OSError:
                continue
            if Path(words[0]).name == program and (script is None or Path("".join(words[1:2])).name == script):
                found.append(pid)
        return found

    def crooked_pids(self):
        return self.pids_of("python3", "crooked.py")
