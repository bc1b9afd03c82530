# SPDX-License-Identifier: MIT
"""A program with several handlers, as tests give it to pools and workers."""

import os
import sys
import time

import workpool

print("models are loaded: not a line of the protocol")


@workpool.handler("embed")
def embed(args):
    return [len(args["text"]), 0.5]


@workpool.handler("rank")
def rank(args, job):
    job.progress(0.5, "half")
    return {"id": job.id, "attempt": job.attempt, "sorted": sorted(args)}


@workpool.handler("broken")
def broken(args):
    print("about to fail")
    raise LookupError(f"no model {args!r}")


@workpool.handler("flaky")
def flaky(args, job):
    if job.attempt < args["attempts"]:
        raise RuntimeError(f"attempt {job.attempt}")
    return job.attempt


@workpool.handler("slow")
def slow(seconds):
    time.sleep(seconds)
    return os.getpid()


@workpool.handler("dies")
def dies(status):
    os._exit(status)


if __name__ == "__main__":
    workpool.serve(sys.argv[1] if len(sys.argv) > 1 else None)
