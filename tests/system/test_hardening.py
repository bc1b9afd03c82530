#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 120
"""The three programs as they were built, read with readelf: what CMakeLists.txt asks for under WORKPOOL_HARDENING,
and that they load nothing but Debian's own libraries."""

import os
import platform
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from workpool_testing import BIN  # noqa: E402

PROGRAMS = ("workpool", "workpool-dispatcher", "workpool-worker")


def setting(name):
    """Of the build that the programs are from; "" if there is none."""
    cache = BIN.parent / "CMakeCache.txt"
    found = re.search(rf"^{name}:\w+=(.*)$", cache.read_text(), re.M) if cache.exists() else None
    return found[1] if found else ""


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def is_optimised():
    return setting("CMAKE_BUILD_TYPE") != "Debug"


@unittest.skipIf(setting("WORKPOOL_SANITIZE"), "a build with sanitizers is not hardened")
class Hardening(unittest.TestCase):
    maxDiff = None

    def each(self):
        for name in PROGRAMS:
            self.assertTrue(os.access(BIN / name, os.X_OK), BIN / name)
            yield name, str(BIN / name)

    def test_position_independent_with_tables_that_are_read_only_from_the_start(self):
        for name, program in self.each():
            with self.subTest(program=name):
                header = said_by("readelf", "-hW", program)
                dynamic = said_by("readelf", "-dW", program)
                self.assertRegex(header, r"Type: +DYN", "no PIE")
                flags = re.search(r"\(FLAGS_1\) +Flags: (.*)", dynamic)
                self.assertTrue(flags and "NOW" in flags[1].split() and "PIE" in flags[1].split(), "no BIND_NOW\n" + dynamic)
                self.assertIn("GNU_RELRO", said_by("readelf", "-lW", program))
                self.assertNotRegex(dynamic, r"\((RPATH|RUNPATH|TEXTREL)\)")
                print(f"{name}: {flags[0].strip()}, RELRO, no RPATH")

    def test_no_memory_is_writable_and_executable(self):
        for name, program in self.each():
            with self.subTest(program=name):
                segments = re.findall(r"^ +([A-Z_0-9]+) +0x\w+ 0x\w+ 0x\w+ 0x\w+ 0x\w+ ([R ][W ][E ])", said_by("readelf", "-lW", program), re.M)
                self.assertGreater(len(segments), 5)
                self.assertEqual([kind for kind, rights in segments if "W" in rights and "E" in rights], [])
                stack = [rights for kind, rights in segments if kind == "GNU_STACK"]
                self.assertEqual(stack, ["RW "], "the stack")
                # Code is apart from what is only read (-z separate-code).
                code = [rights for kind, rights in segments if kind == "LOAD" and "E" in rights]
                self.assertEqual(code, ["R E"])
                print(f"{name}: {len(segments)} segments, stack {stack[0].strip()}")

    def test_stack_protector_and_checked_functions(self):
        for name, program in self.each():
            with self.subTest(program=name):
                symbols = set(re.findall(r" UND (\w+)(?:@\S+)?", said_by("readelf", "--dyn-syms", "-W", program)))
                self.assertIn("__stack_chk_fail", symbols)
                checked = sorted(symbol for symbol in symbols if re.fullmatch(r"__\w+_chk", symbol))
                if is_optimised():
                    self.assertGreaterEqual(len(checked), 1 if name == "workpool" else 5, checked)
                print(f"{name}: __stack_chk_fail, {len(checked)} checked functions: {' '.join(checked[:8])}")

    def test_marks_of_cet_where_the_system_has_them(self):
        if platform.machine() != "x86_64":
            self.skipTest("CET is of x86-64")
        # A program has the mark if each of its objects has, the C library's crt1.o first of all.
        start = said_by(os.environ.get("CXX", "g++"), "-print-file-name=crt1.o").strip()
        if not Path(start).exists() or "IBT" not in said_by("readelf", "-nW", start):
            self.skipTest(f"{start} has no mark, so no program here has one")
        for name, program in self.each():
            with self.subTest(program=name):
                self.assertIn("IBT", said_by("readelf", "-nW", program), name)

    @unittest.skipUnless(shutil.which("dpkg"), "not a Debian system")
    def test_only_libraries_of_debian(self):
        for name, program in self.each():
            with self.subTest(program=name):
                loaded = re.findall(r"(?:=> )?(/\S+) \(0x", said_by("ldd", program))
                self.assertGreater(len(loaded), 2)
                # Debian's list of files has the path before or behind the link /lib -> /usr/lib.
                known_as = {library: [re.sub("^(/usr)?/lib", root, path) for path in (library, os.path.realpath(library))
                                      for root in ("/lib", "/usr/lib")] for library in loaded}
                asked = subprocess.run(["dpkg", "-S", *{path for paths in known_as.values() for path in paths}],
                                       capture_output=True, text=True, check=False).stdout
                packages = {line.split(": ", 1)[1]: line.split(":")[0] for line in asked.splitlines() if ": /" in line}
                owners = {}
                for library, paths in known_as.items():
                    owner = next((packages[path] for path in paths if path in packages), None)
                    self.assertIsNotNone(owner, f"{library} belongs to no package")
                    owners[os.path.basename(library)] = owner
                print(f"{name}: {' '.join(f'{library} ({owner})' for library, owner in owners.items())}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
