# SPDX-License-Identifier: MIT
"""What the tests of the library share: an install tree, and programs that are built against it."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from workpool_testing import BIN, System

BUILD = BIN.parent

PROJECT = """cmake_minimum_required(VERSION 3.25)
project({name} CXX)
find_package(workpool {version} REQUIRED)
add_executable({name} {name}.cpp)
target_compile_options({name} PRIVATE -Wall -Wextra -Werror)
target_link_libraries({name} PRIVATE workpool::worker)
"""


def call(*command, code=0, **more):
    done = subprocess.run([str(word) for word in command], text=True, stdin=subprocess.DEVNULL, timeout=300,
                          capture_output=True, check=False, **more)
    assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


class Installed(System):
    """One install tree for all tests of a file."""
    root = None

    @classmethod
    def setUpClass(cls):
        if Installed.root is not None:
            return
        tree = tempfile.TemporaryDirectory(prefix="workpool-library-")
        unittest.addModuleCleanup(tree.cleanup)
        Installed.root = Path(tree.name)
        Installed.prefix = cls.root / "installed"
        Installed.installed = call("cmake", "--install", BUILD, "--prefix", cls.prefix)
        Installed.library = next(cls.prefix.glob("lib*/**/libworkpool-worker.so"))

    @classmethod
    def built(cls, name, *sources, version="0.1", code=0):
        """Where the program is, or what CMake said. Built once."""
        folder = cls.root / name
        if not (folder / "build" / name).exists() or code:
            folder.mkdir(exist_ok=True)
            for file, text in sources:
                (folder / file).write_text(text)
            if not (folder / "CMakeLists.txt").exists():
                (folder / "CMakeLists.txt").write_text(PROJECT.format(name=name, version=version))
            said = call("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja",
                        f"-DCMAKE_PREFIX_PATH={cls.prefix}", code=code)
            if code:
                return said
            call("cmake", "--build", folder / "build")
        return folder / "build" / name
