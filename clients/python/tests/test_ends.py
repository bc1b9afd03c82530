# SPDX-License-Identifier: MIT
"""How programs with a pool end: at their last line, by exceptions, signals and kill -9, and what forks do."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import HAS_HANDLERS, LIMIT, descendants_of, is_alive, run_python, wait_until

BEGIN = f"""
import atexit, os, signal, sys, threading, time, warnings, workpool
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork() next to threads, which is what is tested
def make(**more):
    return workpool.Pool(**{{"workers": 2, "functions": {HAS_HANDLERS}, **more}})
def sleep(pool, seconds):
    return pool.submit("sleep", {{"for": f"{{seconds}}s"}})
"""


class Program:
    """A Python program that is hurt in mid-run: it prints a line when it is ready."""

    def __init__(self, code, **popen):
        self.process = subprocess.Popen([sys.executable, "-c", BEGIN + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True, **popen)
        self.first = self.process.stdout.readline().strip()

    def end(self):
        """What it said at last."""
        try:
            return self.process.communicate(timeout=LIMIT)
        finally:
            self.process.kill()


def gone(pids):
    wait_until(f"the end of {pids}", lambda: not [pid for pid in pids if is_alive(pid)])


def test_the_interpreter_waits_for_what_was_submitted():
    ran = run_python(BEGIN + """
pool = make()
futures = [sleep(pool, 0.1) for _ in range(6)]
futures[-1].add_done_callback(lambda f: print("last", f.result(), flush=True))
futures[0].add_done_callback(lambda f: print("first", f.result(), flush=True))
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("first None\nlast None\n", "", 0)


def test_so_it_does_after_an_exception_and_keeps_the_exit_code():
    ran = run_python(BEGIN + """
pool = make()
sleep(pool, 0.2).add_done_callback(lambda f: print("done", flush=True))
sys.exit(7)
""")
    assert (ran.stdout, ran.returncode) == ("done\n", 7)
    ran = run_python(BEGIN + """
pool = make()
sleep(pool, 0.2).add_done_callback(lambda f: print("done", flush=True))
raise KeyError("mine")
""")
    assert ran.stdout == "done\n" and "KeyError: 'mine'" in ran.stderr and ran.returncode == 1


def test_shutdown_without_waiting_still_finishes_at_the_end():
    ran = run_python(BEGIN + """
pool = make(ahead=1)
future = sleep(pool, 0.2)
futures = [sleep(pool, 0.1) for _ in range(3)]
futures[-1].add_done_callback(lambda f: print("done", flush=True))
pool.shutdown(wait=False)
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("done\n", "", 0)
    ran = run_python(BEGIN + """
pool = make(ahead=1)
future = sleep(pool, 0.2)
time.sleep(0.1)
futures = [sleep(pool, 100) for _ in range(3)]
pool.shutdown(wait=False, cancel_futures=True)
print([f.cancelled() for f in futures])
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("[True, True, True]\n", "", 0)


def test_no_futures_after_the_interpreter_has_begun_to_end():
    ran = run_python(BEGIN + """
def late():
    try:
        pool.submit("noop")
    except RuntimeError as error:
        print(error, flush=True)
atexit.register(late)  # runs after what was registered later
pool = make()
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("cannot schedule new futures after shutdown\n", "", 0)


def test_threads_of_the_program_may_use_it_to_their_end():
    ran = run_python(BEGIN + """
pool = make()
def work():
    time.sleep(0.2)
    print(sum(pool.map("echo", range(10))), flush=True)
threading.Thread(target=work).start()
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("45\n", "", 0)


def test_a_pool_in_a_global_and_one_in_a_circle():
    ran = run_python(BEGIN + """
class Holder: pass
holder = Holder()
holder.self, holder.pool = holder, make()
holder.future = holder.pool.submit("echo", 1)
del holder
POOL = make()
print(POOL.submit("echo", 2).result())
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("2\n", "", 0)


@pytest.mark.parametrize("how", ["kill -9", "os._exit", "TERM"])
def test_nothing_outlives_a_program_that_dies(how):
    program = Program("""
pool = make()
futures = [pool.command(["sleep", "1000"]) for _ in range(2)]
print("ready", flush=True)
if sys.stdin.readline().strip() == "os._exit": os._exit(3)
""")
    assert program.first == "ready"
    pids = wait_until("the jobs", lambda: len(found := descendants_of(program.process.pid)) >= 5 and found)
    program.process.stdin.write(how + "\n" if how == "os._exit" else "")
    program.process.stdin.flush()
    if how != "os._exit":
        program.process.send_signal(signal.SIGKILL if how == "kill -9" else signal.SIGTERM)
    begin = time.monotonic()
    assert program.process.wait(LIMIT) in (3, -signal.SIGKILL, -signal.SIGTERM)
    gone(pids)
    print(f"figure: all gone {time.monotonic() - begin:.2f} s after {how}", file=sys.stderr)
    program.end()


def test_ctrl_c_leaves_the_block_soon():
    program = Program("""
try:
    with make() as pool:
        futures = [pool.command(["sleep", "1000"]) for _ in range(5)]
        print("ready", flush=True)
        futures[0].result()
except KeyboardInterrupt:
    print([f.cancelled() or type(f.exception()).__name__ for f in futures], flush=True)
    raise
""")
    assert program.first == "ready"
    pids = wait_until("the jobs", lambda: len(found := descendants_of(program.process.pid)) >= 5 and found)
    program.process.send_signal(signal.SIGINT)
    out, err = program.end()
    assert "BrokenExecutor" in out and err.rstrip().endswith("KeyboardInterrupt")
    assert program.process.returncode == -signal.SIGINT
    gone(pids)


def test_ctrl_c_of_the_terminal_does_not_reach_the_program():
    # It has a session of its own: Python alone decides what Ctrl-C means.
    program = Program("""
pool = make()
future = sleep(pool, 0.5)
try:
    print("ready", flush=True)
    while True: time.sleep(0.01)
except KeyboardInterrupt:
    print(future.result(), pool.submit("echo", 1).result())
""")
    os.killpg(program.process.pid, signal.SIGINT)
    assert program.end() == ("None 1\n", "")


def test_a_second_ctrl_c_while_the_interpreter_waits():
    program = Program("""
pool = make()
futures = [pool.command(["sleep", "1000"]) for _ in range(3)]
print("ready", flush=True)
""")
    pids = wait_until("the jobs", lambda: len(found := descendants_of(program.process.pid)) >= 5 and found)
    time.sleep(0.2)
    program.process.send_signal(signal.SIGINT)
    program.end()
    gone(pids)


def test_a_forked_child_does_not_keep_it_open():
    # The child has copies of the pipes: if they stayed open, the program would wait for more jobs as long as it lives.
    ran = run_python(BEGIN + """
pool = make()
assert pool.submit("echo", 1).result() == 1
read, write = os.pipe()
child = os.fork()
if child == 0:
    try:
        pool.submit("noop")
    except Exception as error:
        print(type(error).__name__, str(error).startswith("this pool belongs to process"), flush=True)
    pool.shutdown()
    os.write(write, b"x")
    time.sleep(100)
os.read(read, 1)
pool.shutdown()
print("over", flush=True)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
""")
    assert ran.stderr == "" and sorted(ran.stdout.splitlines()) == ["BrokenExecutor True", "over"]


def test_a_forked_child_ends_by_itself_and_has_pools_of_its_own():
    ran = run_python(BEGIN + """
pool = make()
future = sleep(pool, 0.5)
child = os.fork()
if child == 0:
    with make() as own:
        print(own.submit("echo", "child").result(), flush=True)
    sys.exit(5)  # runs what atexit knows, which is the parent's
print(os.waitpid(child, 0)[1] >> 8, flush=True)
print(future.result(), pool.submit("echo", "parent").result(), flush=True)
""")
    assert (ran.stderr, ran.stdout) == ("", "child\n5\nNone parent\n")


def test_multiprocessing_by_fork_next_to_it():
    ran = run_python(BEGIN + """
import multiprocessing
def square(x): return x * x
pool = make()
with multiprocessing.get_context("fork").Pool(2) as forked:
    print(forked.map(square, range(4)), list(pool.map("echo", range(3))), flush=True)
    pool.shutdown()
print("over")
""")
    assert (ran.stderr, ran.stdout) == ("", "[0, 1, 4, 9] [0, 1, 2]\nover\n")


def test_descriptors_are_given_back():
    ran = run_python(BEGIN + """
def count(): return len(os.listdir("/proc/self/fd"))
make().shutdown()
before = count()
for _ in range(5):
    with make() as pool: pool.submit("noop").result()
    try: make(program="/no/such")
    except FileNotFoundError: pass
print(count() - before, threading.active_count())
""")
    assert (ran.stderr, ran.stdout) == ("", "0 1\n")


def test_a_full_table_of_descriptors_is_an_error_of_the_constructor():
    ran = run_python(BEGIN + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3, 1000))
try:
    make()
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 1000))
with make() as pool:
    print(pool.submit("echo", 1).result())
""")
    assert (ran.stderr, ran.stdout) == ("", "Too many open files\n1\n")
