#!/usr/bin/python3
# ctest: timeout 900
"""The Python package of clients/python: its own tests, its types, and that it can be installed."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ.get("WORKPOOL_SOURCE", Path(__file__).resolve().parents[2]))
BIN = Path(os.environ.get("WORKPOOL_BIN", SOURCE / "build" / "test" / "bin")).resolve()
CLIENT = SOURCE / "clients" / "python"
PYTHON = "/usr/bin/python3"  # the one that scripts/setup installs pytest and mypy for
LIMIT = 600  # seconds for all tests of the package; each of them ends by itself within 120

# Debian's environment of this test, and nothing of the caller's that chooses other modules.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "PIP_", "MYPY"))}
ENVIRONMENT.update(WORKPOOL_BIN=str(BIN), PYTHONDONTWRITEBYTECODE="1")


def call(*command, limit=LIMIT, **more):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=limit, env=ENVIRONMENT, **more)


class PythonClient(unittest.TestCase):
    def test_its_own_tests(self):
        ran = call(PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "--durations=5", cwd=CLIENT)
        print(ran.stdout[-20_000:], file=sys.stderr)
        self.assertEqual(ran.returncode, 0)

    def test_its_types(self):
        ran = call(PYTHON, "-m", "mypy", "--cache-dir=/dev/null", "--strict", "workpool", cwd=CLIENT)
        self.assertEqual(ran.returncode, 0, ran.stdout)

    def test_it_can_be_installed(self):
        with tempfile.TemporaryDirectory(prefix="workpool-python-") as folder:
            # pip writes into the folder that it installs from, so it gets a copy. Nothing is fetched.
            copy = Path(folder) / "client"
            self.assertEqual(call("cp", "-r", CLIENT, copy).returncode, 0)
            venv = Path(folder) / "venv"
            made = call(PYTHON, "-m", "venv", "--system-site-packages", venv)
            self.assertEqual(made.returncode, 0, made.stdout)
            installed = call(venv / "bin/pip", "install", "--no-index", "--no-build-isolation", "--no-deps", copy)
            self.assertEqual(installed.returncode, 0, installed.stdout)
            code = ("import workpool, pathlib; folder = pathlib.Path(workpool.__file__).parent\n"
                    f"assert folder.is_relative_to({str(venv)!r}) and (folder / 'py.typed').exists()\n"
                    "with workpool.Pool(workers=1, functions=False) as pool: print(pool.submit('echo', [1]).result())")
            used = call(venv / "bin/python", "-c", code, cwd=folder)
            self.assertEqual((used.returncode, used.stdout), (0, "[1]\n"))


if __name__ == "__main__":
    unittest.main()
