# SPDX-License-Identifier: MIT
"""Functions that tests submit: workers import them from here."""

import os
import sys
import time
from pathlib import Path

import workpool


def add(a, b=0, *, times=1):
    return (a + b) * times


def fail(message):
    raise ValueError(message)


def sleep_and_return(seconds, value):
    time.sleep(seconds)
    return value


def speak(text):
    print(text)
    print(text + "!", file=sys.stderr)
    os.system("echo from a child")
    return text


def murmur(text):
    print(text, end="")


def return_a_set():
    return {1, 2}


def return_nan():
    return [float("nan")]


def return_much(size):
    return "x" * size


def leave(status):
    sys.exit(status)


def die(status):
    os._exit(status)


def pid():
    return os.getpid()


def decorated(function):
    return lambda *args: function(*args)


def folder():
    return os.getcwd()


def fork_and_wait():
    child = os.fork()
    if child == 0:
        return "child"
    os.waitpid(child, 0)
    return "parent"


def signal_itself(number):
    os.kill(os.getpid(), number)


def parent_command():
    return Path(f"/proc/{os.getppid()}/comm").read_text().strip()


def pool_of_its_own(value):
    with workpool.Pool(workers=1) as pool:
        return pool.submit(add, value, times=2).result()


async def asynchronous():
    return 1


class Thing:
    def method(self):
        return 1

    @classmethod
    def made(cls, value):
        return [cls.__name__, value]

    @staticmethod
    def fixed(value):
        return value

    def __call__(self):
        return 1


class Other(Thing):
    pass
