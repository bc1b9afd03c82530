# SPDX-License-Identifier: MIT
"""What the tests of secrets and attacks share: programs of another user, and a job that tries to read others.

Root may read everything, so as root the programs run as a user of the test's; anybody else is that user.
"""

import os
import subprocess

IS_ROOT = os.geteuid() == 0
USER = 65534 if IS_ROOT else os.geteuid()
STRANGER = 65533


def as_user(command, user=USER):
    """The command line that runs `command` as `user`."""
    if not IS_ROOT:
        return [str(word) for word in command]
    return ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", *[str(word) for word in command]]


# Prints as JSON what it may do to each process that its arguments name: every file of /proc that has something to
# hide, ptrace, and the memory and descriptors by their own calls. Each process is asked for in a child: one that is
# traced is let go by the child's end.
LOOK_INTO = r"""
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def opened(path):
    with open(path, "rb") as file:
        file.read(1)
def memory(pid):
    # A page that is mapped: the first one that maps names.
    first = int(open(f"/proc/{pid}/maps").read().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.seek(first)
        file.read(1)
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
def read_memory(pid):
    buffer = ctypes.create_string_buffer(1)
    here = Piece(ctypes.cast(buffer, ctypes.c_void_p), 1)
    there = Piece(int(open(f"/proc/{pid}/maps").read().split("-")[0], 16), 1)
    checked(libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
def take_descriptor(pid):
    pidfd = libc.syscall(434, pid, 0)
    checked(pidfd)
    checked(libc.syscall(438, pidfd, 2, 0))
def attach(pid):
    checked(libc.ptrace(16, pid, None, None))
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, None, None)
tries = {name: (lambda pid, name=name: opened(f"/proc/{pid}/{name}")) for name in ("environ", "maps", "auxv", "stack", "syscall")}
tries |= {name: (lambda pid, name=name: os.listdir(f"/proc/{pid}/{name}")) for name in ("fd", "fdinfo", "map_files")}
tries |= {name: (lambda pid, name=name: os.readlink(f"/proc/{pid}/{name}")) for name in ("exe", "cwd", "root")}
tries |= {"mem": memory, "process_vm_readv": read_memory, "pidfd_getfd": take_descriptor, "ptrace": attach}
found = {}
for pid in map(int, sys.argv[1:]):
    found[pid] = []
    for name, attempt in tries.items():
        try:
            attempt(pid)
            found[pid].append(name)
        except (OSError, IndexError, ValueError):
            pass
print(json.dumps(found))
"""
PYTHON = "/usr/bin/python3"


def look_into(pids):
    """The argv of a job, or of any process, that looks into these."""
    return [PYTHON, "-S", "-E", "-c", LOOK_INTO, *map(str, pids)]


def owner_of(pid):
    """Whom the kernel names as the owner of what a process hides: root if it is guarded."""
    return os.stat(f"/proc/{pid}/environ").st_uid


def run_as(user, command, **options):
    return subprocess.run(as_user(command, user), capture_output=True, text=True, check=False, **options)
